//! Slices, streams, packed files, and what the writer leaves behind.

use std::io::Write;

use rhobasis::Structure;
use rhobasis::extxyz::{Options, Reader, read, write};
use rhobasis::structure::{Column, ColumnData, Value};

use super::{TestFile, indices, message, numbered, read_text};

#[test]
fn slices_select_as_in_python() {
    let file = TestFile::new("test.xyz", numbered(10));
    let packed = TestFile::new("test.xyz.gz", gzip(numbered(10).as_bytes()));
    for (slice, expected) in [
        (":3", vec![0, 1, 2]),
        ("::4", vec![0, 4, 8]),
        ("2:9:3", vec![2, 5, 8]),
        ("5", vec![5]),
        ("-1", vec![9]),
        ("-3:", vec![7, 8, 9]),
        (":-8", vec![0, 1]),
        ("-100:2", vec![0, 1]),
        ("8:100", vec![8, 9]),
        ("7:3", vec![]),
        (":", (0..10).collect()),
    ] {
        for file in [&file, &packed] {
            let frames = read(file.slice(slice), &Options::default()).unwrap();
            assert_eq!(indices(&frames), expected, "@{slice} of {}", file.path.display());
        }
    }
}

#[test]
fn skipped_frames_are_not_parsed() {
    let text = numbered(2) + "1\nProperties=species:S:1:pos:R:3 i=2\nthis is no atom\n" + &numbered(1);
    let file = TestFile::new("test.xyz", text);
    assert_eq!(indices(&read(file.slice("::3"), &Options::default()).unwrap()), [0, 0]);
    assert!(read(&file.path, &Options::default()).is_err());
}

#[test]
fn a_file_whose_name_holds_an_at_sign_opens() {
    let file = TestFile::new("run@2.xyz", numbered(3));
    assert_eq!(indices(&read(&file.path, &Options::default()).unwrap()), [0, 1, 2]);
    assert_eq!(indices(&read(file.slice("1"), &Options::default()).unwrap()), [1]);
    let file = TestFile::new("data@5", numbered(3));
    assert_eq!(read(&file.path, &Options::default()).unwrap().len(), 3);
}

#[test]
fn several_files_follow_each_other_and_frames_count_anew() {
    let (a, b) = (TestFile::new("a.xyz", numbered(5)), TestFile::new("b.xyz.gz", gzip(numbered(3).as_bytes())));
    let mut reader = Reader::open_all([a.slice("3:"), b.slice(":")], &Options::default()).unwrap();
    let mut seen = Vec::new();
    let mut last_progress = 0.0;
    assert_eq!(reader.frame_index(), None);
    while let Some(frame) = reader.next() {
        seen.push((indices(&[frame.unwrap()])[0], reader.frame_index(), reader.path().unwrap() == a.path));
        assert!(reader.progress() >= last_progress && reader.progress() <= 1.0);
        last_progress = reader.progress();
    }
    let expected =
        [(3, Some(3), true), (4, Some(4), true), (0, Some(0), false), (1, Some(1), false), (2, Some(2), false)];
    assert_eq!(seen, expected);
    assert_eq!(reader.progress(), 1.0);
    let (done, total) = reader.bytes();
    assert_eq!(done, total);
}

#[test]
fn chunks_end_with_an_empty_one() {
    let file = TestFile::new("test.xyz", numbered(7));
    let mut reader = Reader::open(&file.path, &Options::default()).unwrap();
    let sizes: Vec<usize> = (0..4).map(|_| reader.read_chunk(3).unwrap().len()).collect();
    assert_eq!(sizes, [3, 3, 1, 0]);
}

#[test]
fn progress_of_a_slice_follows_its_frames() {
    let file = TestFile::new("test.xyz", numbered(1000));
    let mut reader = Reader::open(file.slice(":10"), &Options::default()).unwrap();
    reader.read_chunk(5).unwrap();
    assert!((reader.progress() - 0.5).abs() < 1e-12, "{}", reader.progress());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A packer of whole files.
type Pack = fn(&[u8]) -> Vec<u8>;

/// More than a window of the stream, so that frames straddle its edges.
fn long() -> String {
    numbered(30_000)
}

#[test]
fn packed_files_are_known_by_content_and_their_parts_joined() {
    let text = long();
    let (head, tail) = text.as_bytes().split_at(text.len() / 3);
    for (pack, name) in [(gzip as Pack, "gzip"), (xz, "xz"), (zstd, "zstd")] {
        let bytes = [pack(head), pack(tail)].concat();
        let file = TestFile::new("no_ending", &bytes);
        let mut reader = Reader::open(&file.path, &Options::default()).unwrap();
        let mut n = 0;
        for frame in reader.by_ref() {
            assert_eq!(indices(&[frame.unwrap()]), [n], "{name}");
            n += 1;
        }
        assert_eq!(n, 30_000, "{name}");
        assert_eq!(reader.bytes(), (bytes.len() as u64, bytes.len() as u64), "{name}");
    }
}

#[test]
fn skippable_zstandard_frames_are_skipped() {
    let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    let bytes = [skippable, zstd(numbered(2).as_bytes()).as_slice(), skippable].concat();
    assert_eq!(read(&TestFile::new("a", bytes).path, &Options::default()).unwrap().len(), 2);
}

#[test]
fn a_truncated_packed_file_is_refused() {
    let text = long();
    for (pack, name) in [(gzip as Pack, "gzip"), (xz, "xz"), (zstd, "Zstandard")] {
        let bytes = pack(text.as_bytes());
        for cut in [bytes.len() - 3, bytes.len() / 2, 7] {
            let file = TestFile::new("test.xyz", &bytes[..cut]);
            let message = message(read(&file.path, &Options::default()));
            assert!(message.contains(&format!("the {name} stream cannot be unpacked")), "{cut}: {message}");
            assert!(message.contains("the file is cut short or damaged; copy or download it again"), "{message}");
        }
    }
}

#[test]
fn the_writer_packs_by_ending_and_leaves_no_temporary_file() {
    let frames = read_text(numbered(50)).unwrap();
    for (name, magic) in [("a.xyz.gz", &b"\x1f\x8b"[..]), ("a.xyz.zst", b"\x28\xb5\x2f\xfd"), ("a.xyz.xz", b"\xfd7zXZ")]
    {
        let file = TestFile::new(name, "");
        write(&file.path, &frames).unwrap();
        assert!(std::fs::read(&file.path).unwrap().starts_with(magic), "{name}");
        assert_eq!(read(&file.path, &Options::default()).unwrap(), frames, "{name}");
        assert_eq!(std::fs::read_dir(file.folder.path()).unwrap().count(), 1, "{name}");
    }
}

#[test]
fn what_cannot_be_written_is_refused_and_the_old_file_stays() {
    let file = TestFile::new("test.xyz", numbered(2));
    let atom = Structure::molecule(vec![1], vec![[0.0; 3]]);
    let with_info = |key: &str, value: Value| Structure { info: vec![(key.to_string(), value)], ..atom.clone() };
    let with_column = |name: &str, data: ColumnData| {
        let columns = vec![Column { name: name.to_string(), width: 1, data }];
        Structure { columns, ..atom.clone() }
    };
    for (bad, expected) in [
        (with_info("Lattice", Value::Int(1)), "info key \"Lattice\" cannot be written; rename it"),
        (with_info("stress", Value::Real(1.0)), "stress = 1 is no 3×3 matrix; give stress nine numbers"),
        (with_column("a:b", ColumnData::Ints(vec![1])), "column name \"a:b\" cannot be written; use a name"),
        (with_column("a", ColumnData::Ints(vec![1, 2])), "column a has 2 values for 1 atoms and width 1; give"),
        (with_column("a", ColumnData::Texts(vec!["b c".into()])), "text \"b c\" in column a is empty or holds blanks"),
        (Structure::molecule(vec![0], vec![[0.0; 3]]), "atomic number 0 is no element; use atomic numbers"),
        (Structure::molecule(vec![1], vec![]), "1 species but 0 positions; give one position per atom"),
    ] {
        let message = message(write(&file.path, [&atom, &bad]));
        assert!(message.starts_with("test.xyz, frame 1") && message.contains(expected), "{message}");
        assert_eq!(read(&file.path, &Options::default()).unwrap().len(), 2);
        assert_eq!(std::fs::read_dir(file.folder.path()).unwrap().count(), 1);
    }
}
