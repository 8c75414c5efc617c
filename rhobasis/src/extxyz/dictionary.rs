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

/// Bytes that unpacking the first frame of a Zstandard file takes: its content, or twice its window, which the buffer then
/// grows to. Unknown is 0.
pub fn of_zstandard(start: &[u8]) -> u64 {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = start else { return 0 };
    let single = descriptor & 0x20 != 0;
    let content_at = usize::from(!single) + [0, 1, 2, 4][usize::from(descriptor & 3)];
    let width = [usize::from(single), 2, 4, 8][usize::from(descriptor >> 6)];
    let number = rest.get(content_at..content_at + width).unwrap_or_default();
    let content = number.iter().rev().fold(0, |n, &byte| (n << 8) | u64::from(byte));
    let content = if width == 0 { u64::MAX } else { content + if width == 2 { 256 } else { 0 } };
    let window = match rest.first() {
        Some(byte) if !single => (1_u64 << (10 + (byte >> 3))) / 8 * (8 + u64::from(byte & 7)),
        _ => content,
    };
    if content <= window { content } else { 2 * window.next_power_of_two() }
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
    fn zstandard_files_take_their_content_or_twice_their_window() {
        let start = |descriptor: u8, rest: &[u8]| [&[0x28, 0xb5, 0x2f, 0xfd, descriptor], rest].concat();
        assert_eq!(of_zstandard(&start(0x84, &[0x58, 4, 0xe4, 0x88, 0])), 4 << 20); // level 3, 9 MB
        assert_eq!(of_zstandard(&start(0x84, &[0x58, 0, 0, 1, 0])), 1 << 16); // level 3, 64 kB
        assert_eq!(of_zstandard(&start(0x24, &[7])), 7); // one segment of seven bytes
        assert_eq!(of_zstandard(&start(0x04, &[0x58])), 4 << 20); // length not known
        assert_eq!(of_zstandard(&start(0x84, &[])), 0); // cut short
        assert_eq!(of_zstandard(b"plain"), 0);
    }
}
