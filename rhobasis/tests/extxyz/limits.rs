//! Small files that claim a lot, and files without end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rhobasis::Structure;
use rhobasis::extxyz::{Options, Reader, read};
use rhobasis::structure::Value;

use super::{TestFile, message, numbered, one, read_text};

const MB: usize = 1 << 20;
/// For what takes a second or two, without optimisation and on a machine that does other things too; what grows with the
/// square of the size of these files takes longer.
const SOON: Duration = Duration::from_secs(120);

fn soon<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    done
}

fn refused(file: &TestFile, expected: &str) {
    for slice in ["", "@-1"] {
        let m = soon(|| message(read(format!("{}{slice}", file.path.display()), &Options::default())));
        assert!(m.contains(expected) && m.len() < 600, "{slice}: {m}");
    }
}

/// A Zstandard file that begins with `head` and repeats a byte: four bytes for 128 kB.
fn packed(head: &str, byte: u8, megabytes: usize) -> Vec<u8> {
    let block = |last: bool, kind: u32, size: usize| {
        let header = u32::from(last) | kind << 1 | (size as u32) << 3;
        header.to_le_bytes()[..3].to_vec()
    };
    let mut bytes = b"\x28\xb5\x2f\xfd\x00\x38".to_vec();
    bytes.extend([block(false, 0, head.len()), head.as_bytes().to_vec()].concat());
    let n = 8 * megabytes;
    (0..n).for_each(|k| bytes.extend([block(k + 1 == n, 1, MB / 8), vec![byte]].concat()));
    bytes
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let comment = "1\nProperties=species:S:1:pos:R:3 note=";
    let plain = TestFile::new("test.xyz", [comment.as_bytes(), &vec![b'a'; 200 * MB]].concat());
    refused(&plain, "frame 0: a line that begins with \"Properties=species:S:1:pos:R:3 note=aaa");
    let line = format!("{comment}{}\nH 0 0 0\n", "a".repeat(65 * MB));
    refused(&TestFile::new("test.xyz", line), "is longer than 64 MB; extended XYZ has a line for each atom");
    let small = packed(comment, b'a', 3000);
    assert!(small.len() < 100_000);
    refused(&TestFile::new("test.xyz", small), "is longer than 64 MB");
    let row = "2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 ";
    refused(&TestFile::new("test.xyz", packed(row, b'1', 3000)), "a line that begins with \"H 0 0 111");
}

#[test]
fn what_does_not_begin_with_a_count_is_not_read_on() {
    for byte in [b'a', b'1'] {
        refused(&TestFile::new("test.xyz", packed("", byte, 3000)), "not a whole number");
    }
    refused(&TestFile::new("test.xyz", packed("", 0, 3000)), "there are zero bytes where a frame should begin");
    #[cfg(unix)]
    assert!(soon(|| message(read("/dev/zero", &Options::default()))).contains("there are zero bytes where a frame"));
}

#[test]
fn zero_bytes_between_frames_are_no_blanks() {
    let m = message(read_text(numbered(2) + &"\0".repeat(4096)));
    assert!(m.contains("test.xyz, frame 2: there are zero bytes where a frame should begin; a full disk"), "{m}");
}

#[test]
fn many_blanks_are_passed_over() {
    let file = TestFile::new("test.xyz", packed("1\n\nH 0 0 0", b'\n', 100));
    let mut reader = Reader::open(&file.path, &Options::default()).unwrap();
    assert!(reader.next().unwrap().is_ok());
    assert!(soon(|| reader.next()).is_none());
}

#[test]
fn an_atom_count_that_the_file_cannot_hold_is_refused() {
    let head = "1000000000000\nProperties=species:S:1:pos:R:3\n";
    refused(&TestFile::new("test.xyz", head.to_string() + "H 0 0 0\n"), "the file ends after 1 of 1000000000000 atoms");
    let rows = "H 0 0 0\n".repeat(70 * MB / 8);
    let file = TestFile::new("test.xyz", head.to_string() + &rows);
    let (length, n) = (head.len() + rows.len(), "1000000000000");
    refused(&file, &format!("the atom count is {n}, but the {length} bytes that are left cannot hold so many"));
}

#[test]
fn many_keys_are_read_in_the_time_of_their_number() {
    let mut line = String::from("Properties=species:S:1:pos:R:3");
    (0..500_000).for_each(|k| write!(line, " key{k}={k}").unwrap());
    let frame = soon(|| one(&format!("1\n{line} key7=0 key499999=1\nH 0 0 0\n")));
    assert_eq!(frame.info.len(), 500_000);
    assert_eq!(frame.info[7], ("key7".to_string(), Value::Int(0)));
    assert_eq!(frame.info[499_999].1, Value::Int(1));
    assert_eq!(frame.info[499_998], ("key499998".to_string(), Value::Int(499_998)));
}

#[test]
fn many_columns_are_read_in_the_time_of_their_number() {
    let (mut properties, mut row) = (String::from("species:S:1:pos:R:3"), String::from("H 0 0 0"));
    for k in 0..1_000_000 {
        write!(properties, ":c{k}:I:1").unwrap();
        row += " 1";
    }
    let frame = soon(|| one(&format!("1\nProperties={properties}\n{row}\n")));
    assert_eq!(frame.columns.len(), 1_000_000);
    let twice = format!("1\nProperties={properties}:c5:I:1\n{row} 1\n");
    let m = soon(|| message(read_text(twice)));
    assert!(m.contains("c5 occurs twice") && m.len() < 2000, "{} bytes", m.len());
}

#[test]
fn wide_columns_take_no_memory_before_their_values_are_there() {
    let mut properties = String::from("species:S:1:pos:R:3");
    (0..100_000).for_each(|k| write!(properties, ":c{k}:R:1048576").unwrap());
    let m = soon(|| message(read_text(format!("1\nProperties={properties}\nH 0 0 0\n"))));
    assert!(m.contains("the row \"H 0 0 0\" has 4 columns, but Properties=species") && m.len() < 2000, "{m}");
}

#[test]
fn more_cells_than_memory_holds_are_refused() {
    let atom =
        Structure::crystal(vec![14, 14], vec![[0.0; 3], [1.3; 3]], [[0.0, 2.7, 2.7], [2.7, 0.0, 2.7], [2.7, 2.7, 0.0]]);
    let m = atom.repeated([100_000, 100_000, 1_000]).unwrap_err().to_string();
    let expected = "100000 × 100000 × 1000 cells of 2 atoms: it needs 500000.0 GB of memory";
    assert!(m.contains(expected) && m.contains("repeat it fewer times"), "{m}");
    let m = atom.repeated([usize::MAX, usize::MAX, 2]).unwrap_err().to_string();
    assert!(m.contains("it needs more memory than any machine has"), "{m}");
    let twice = atom.repeated([2, 1, 1]).unwrap();
    assert_eq!(twice.positions[2], [0.0, 2.7, 2.7]);
}

#[test]
fn a_damaged_block_of_xz_does_not_turn_for_ever() {
    // The library that unpacks makes no progress on it.
    let file = TestFile::new("damaged.xyz.xz", include_bytes!("no-progress.xyz.xz"));
    refused(&file, "the xz stream cannot be unpacked");
}
