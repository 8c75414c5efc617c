//! How far back a packed stream may refer, hence what unpacking it takes.

/// Bytes of the dictionary that the first bytes of an xz file ask for: its first block's LZMA2 filter. Unknown is 0.
pub fn of_xz(start: &[u8]) -> u64 {
    const STREAM_HEADER: usize = 12;
    let size_of_header = usize::from(start.get(STREAM_HEADER).copied().unwrap_or(0)) * 4;
    let mut rest = start.get(STREAM_HEADER + 1..).unwrap_or_default().iter().copied().take(size_of_header);
    let flags = rest.next().unwrap_or(0);
    for _ in 0..(flags >> 6).count_ones() {
        variable_length(&mut rest); // packed and unpacked size of the block
    }
    for _ in 0..=(flags & 3) {
        let (filter, n_bytes) = (variable_length(&mut rest), variable_length(&mut rest));
        let properties = rest.by_ref().take(n_bytes as usize).last().unwrap_or(0);
        if filter == 0x21 && properties < 40 {
            return (2 | u64::from(properties & 1)) << (properties / 2 + 11);
        }
    }
    0
}

/// Bytes of the window of the first frame of a Zstandard file; `u64::MAX` if it is the frame itself, 0 if unknown.
pub fn of_zstandard(start: &[u8]) -> u64 {
    match start {
        [0x28, 0xb5, 0x2f, 0xfd, descriptor, ..] if descriptor & 0x20 != 0 => u64::MAX,
        [0x28, 0xb5, 0x2f, 0xfd, _, window, ..] => {
            let base = 1_u64 << (10 + (window >> 3));
            (base + base / 8 * u64::from(window & 7)).next_power_of_two()
        }
        _ => 0,
    }
}

/// Seven bits a byte, the lowest first.
fn variable_length(bytes: &mut impl Iterator<Item = u8>) -> u64 {
    let mut value = 0;
    for (k, byte) in bytes.take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * k);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xz_files_of_the_presets_6_and_9() {
        let start = |dictionary: u8| {
            let stream = *b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46";
            [&stream[..], &[2, 0, 0x21, 1, dictionary, 0, 0, 0]].concat()
        };
        assert_eq!(of_xz(&start(0x16)), 8 << 20);
        assert_eq!(of_xz(&start(0x1c)), 64 << 20);
        assert_eq!(of_xz(b"\xfd7zXZ\0"), 0);
    }

    #[test]
    fn a_zstandard_file_of_level_3() {
        assert_eq!(of_zstandard(&[0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58]), 2 << 20);
        assert_eq!(of_zstandard(&[0x28, 0xb5, 0x2f, 0xfd, 0x24, 0x05]), u64::MAX);
    }
}
