//! Extended XYZ: against what ASE reads, against itself, on real files, and on files that are wrong.

use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rhobasis::extxyz::{Labels, Options, Reader, labels, read, write};
use rhobasis::structure::{Column, ColumnData, Value, atomic_number, symbol};
use rhobasis::{Error, Structure};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file in a folder that goes when it is dropped.
struct TestFile {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl TestFile {
    fn new(name: &str, bytes: impl AsRef<[u8]>) -> TestFile {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        TestFile { folder, path }
    }

    fn slice(&self, slice: &str) -> String {
        format!("{}@{slice}", self.path.display())
    }
}

fn read_text(text: impl AsRef<[u8]>) -> rhobasis::Result<Vec<Structure>> {
    read(&TestFile::new("test.xyz", text).path, &Options::default())
}

fn one(text: &str) -> Structure {
    let mut frames = read_text(text).unwrap();
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

/// The message, with the folder of the test file cut off.
fn message(result: rhobasis::Result<impl std::fmt::Debug>) -> String {
    let text = result.unwrap_err().to_string();
    text.find("test.xyz").map_or(text.clone(), |start| text[start..].to_string())
}

/// `n` frames of one atom whose `i` counts them.
fn numbered(n: usize) -> String {
    (0..n).map(|i| format!("1\nProperties=species:S:1:pos:R:3 i={i}\nH {i}.5 0 0\n")).collect()
}

fn indices(frames: &[Structure]) -> Vec<i64> {
    let index = |f: &Structure| match f.get("i") {
        Some(Value::Int(i)) => *i,
        other => panic!("i = {other:?}"),
    };
    frames.iter().map(index).collect()
}

// ---------------------------------------------------------------- against ASE

/// The number of Python's `float.hex`.
fn hex_float(text: &str) -> f64 {
    if !text.contains("0x") {
        return text.parse().unwrap();
    }
    let (sign, digits) = text.strip_prefix('-').map_or((1.0, text), |t| (-1.0, t));
    let (mantissa, exponent) = digits.strip_prefix("0x").unwrap().split_once('p').unwrap();
    let (whole, fraction) = mantissa.split_once('.').unwrap();
    let bits = u64::from_str_radix(&format!("{whole}{fraction}"), 16).unwrap();
    let exponent = exponent.parse::<i32>().unwrap() - 4 * fraction.len() as i32;
    sign * bits as f64 * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2)
}

fn reals(data: &serde_json::Value) -> Vec<f64> {
    data.as_array().unwrap().iter().map(|x| hex_float(x.as_str().unwrap())).collect()
}

fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

fn assert_value(ours: &Value, ase: &serde_json::Value, what: &str) {
    let data = &ase["data"];
    let list = || data.as_array().unwrap().iter();
    let shape: Vec<usize> = serde_json::from_value(ase["shape"].clone()).unwrap_or_default();
    let equal = match (ase["kind"].as_str().unwrap(), ours) {
        ("Bool", Value::Bool(b)) => data.as_bool() == Some(*b),
        ("Int", Value::Int(i)) => data.as_i64() == Some(*i),
        ("Real", Value::Real(x)) => same(&[*x], &[hex_float(data.as_str().unwrap())]),
        ("Text", Value::Text(t)) => data.as_str() == Some(t),
        ("Bools", Value::Bools(x, s)) => *s == shape && list().map(|b| b.as_bool().unwrap()).eq(x.iter().copied()),
        ("Ints", Value::Ints(x, s)) => *s == shape && list().map(|i| i.as_i64().unwrap()).eq(x.iter().copied()),
        ("Reals", Value::Reals(x, s)) => *s == shape && same(x, &reals(data)),
        ("Texts", Value::Texts(x, s)) => *s == shape && list().map(|t| t.as_str().unwrap()).eq(x.iter()),
        // Objects stay the JSON they are.
        ("Dict", Value::Text(t)) => serde_json::from_str::<serde_json::Value>(&t["_JSON ".len()..]).unwrap() == *data,
        _ => false,
    };
    assert!(equal, "{what}: {ours:?} instead of {ase}");
}

#[test]
fn awkward_frames_read_as_ase_reads_them() {
    let folder = repository().join("reference/extxyz");
    let json = std::fs::read_to_string(folder.join("awkward.json")).unwrap();
    let ase: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let frames = read(folder.join("awkward.xyz"), &Options::default()).unwrap();
    assert_eq!(frames.len(), ase.len());
    for (f, (frame, ase)) in frames.iter().zip(&ase).enumerate() {
        assert_eq!(serde_json::json!(frame.species), ase["species"], "frame {f}");
        assert!(same(frame.positions.as_flattened(), &reals(&ase["positions"])), "positions of frame {f}");
        assert!(same(frame.cell.as_flattened(), &reals(&ase["cell"])), "cell of frame {f}");
        assert_eq!(serde_json::json!(frame.pbc), ase["pbc"], "pbc of frame {f}");
        assert_eq!(frame.info.len(), ase["info"].as_object().unwrap().len(), "frame {f}: {:?}", frame.info);
        for (key, value) in &frame.info {
            assert_value(value, &ase["info"][key], &format!("{key} of frame {f}"));
        }
        assert_eq!(frame.columns.len(), ase["columns"].as_object().unwrap().len(), "frame {f}");
        for column in &frame.columns {
            let shape = if column.width == 1 { vec![frame.len()] } else { vec![frame.len(), column.width] };
            let value = match column.data.clone() {
                ColumnData::Reals(x) => Value::Reals(x, shape),
                ColumnData::Ints(x) => Value::Ints(x, shape),
                ColumnData::Bools(x) => Value::Bools(x, shape),
                ColumnData::Texts(x) => Value::Texts(x, shape),
            };
            assert_value(&value, &ase["columns"][&column.name], &format!("column {} of frame {f}", column.name));
        }
    }
}

#[test]
fn awkward_frames_survive_writing_and_reading() {
    let frames = read(repository().join("reference/extxyz/awkward.xyz"), &Options::default()).unwrap();
    let file = TestFile::new("copy.xyz", "");
    write(&file.path, &frames).unwrap();
    let again = read(&file.path, &Options::default()).unwrap();
    // Compared as text, because NaN is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{frames:?}"));
}

// ---------------------------------------------------------------- the format

#[test]
fn lattice_vectors_come_one_after_the_other() {
    let s = one("1\nLattice=\"1 2 3 4 5 60 7 8 9\" Properties=species:S:1:pos:R:3\nSi 0 0 0\n");
    assert_eq!(s.cell, [[1.0, 2.0, 3.0], [4.0, 5.0, 60.0], [7.0, 8.0, 9.0]]);
    assert_eq!(s.pbc, [true; 3]);
    assert!(s.info.is_empty());
}

#[test]
fn windows_line_ends_tabs_and_trailing_blanks_are_passed_over() {
    let text = "\u{feff}2 \r\nProperties=species:S:1:pos:R:3\tpbc=\"F F F\" \r\nH\t0 0  0 \t\r\n  O 0 0 1.0D0\r\n\r\n \n\n1\n\nHe 1 2 3\n\n\n  ";
    let frames = read_text(text).unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].species, [1, 8]);
    assert_eq!(frames[0].positions[1], [0.0, 0.0, 1.0]);
    assert_eq!(frames[1].positions, [[1.0, 2.0, 3.0]]);
}

#[test]
fn fortran_exponents_are_numbers_and_names_like_them_are_not() {
    let s = one("1\nProperties=species:S:1:pos:R:3 e=-1.5D-3 v=\"1.0d2 .5D0\" name=1d3\nH 1.0D-3 -2.D+02 .5d0\n");
    assert_eq!(s.positions, [[1e-3, -200.0, 0.5]]);
    assert_eq!(s.get("e"), Some(&Value::Real(-1.5e-3)));
    assert_eq!(s.get("v"), Some(&Value::Reals(vec![100.0, 0.5], vec![2])));
    assert_eq!(s.get("name"), Some(&Value::Text("1d3".to_string())));
}

#[test]
fn plain_xyz_takes_symbol_and_position_and_leaves_the_rest() {
    let s = one("2\nit's methane, or part of it\nC 0 0 0 -0.4 17\n1 0 0 1.1\n");
    assert_eq!(s.species, [6, 1]);
    assert_eq!(s.get("comment"), Some(&Value::Text("it's methane, or part of it".to_string())));
    assert!(s.columns.is_empty() && s.pbc == [false; 3]);
}

#[test]
fn all_elements_are_known_by_symbol_and_by_number() {
    for z in 1..=118u8 {
        let symbol = symbol(z);
        assert_eq!(atomic_number(symbol), Some(z));
        assert_eq!(one(&format!("1\n\n{symbol} 0 0 0\n")).species, [z]);
        assert_eq!(one(&format!("1\nProperties=pos:R:3:Z:I:1\n0 0 0 {z}\n")).species, [z]);
    }
}

#[test]
fn an_empty_quoted_value_is_an_empty_text() {
    let s = one("1\na=\"\" b=2 c=''\nH 0 0 0\n");
    let empty = Value::Text(String::new());
    assert_eq!((s.get("a"), s.get("b"), s.get("c")), (Some(&empty), Some(&Value::Int(2)), Some(&empty)));
}

// ---------------------------------------------------------------- slices, streams

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
        (with_info("stress", Value::Real(1.0)), "stress = Real(1.0) is no 3×3 matrix; give stress nine numbers"),
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

// ---------------------------------------------------------------- labels

#[test]
fn stress_is_the_negative_virial_over_the_volume_in_any_order() {
    let head = "1\nLattice=\"2 0 0 0 2 0 0 0 2\" Properties=species:S:1:pos:R:3:force:R:3 energy=-1";
    let expected = [[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]];
    for text in [
        "stress=\"1 6 5 6 2 4 5 4 3\"",
        "stress=\"1 2 3 4 5 6\"",
        "virial=\"-8 -48 -40 -48 -16 -32 -40 -32 -24\"",
        "virial=\"-8 -16 -24 -32 -40 -48\"",
        "stress=\"1 2 3 4 5 6\" virial=\"-8 -16 -24 -32 -40 -48.001\"",
    ] {
        let s = one(&format!("{head} {text}\nSi 0 0 0 .5 1 2\n"));
        let labels = labels(&s, &Options::default()).unwrap();
        let forces = Some(vec![[0.5, 1.0, 2.0]]);
        assert_eq!(labels, Labels { energy: Some(-1.0), forces, stress: Some(expected) }, "{text}");
    }
}

#[test]
fn labels_go_by_the_names_given() {
    let comment = "Lattice=\"2 0 0 0 2 0 0 0 2\" energy=-1 e=3 s=\"1 0 0 0 1 0 0 0 1\" stress=bad";
    let s = one(&format!("1\n{comment} Properties=species:S:1:pos:R:3:f:R:3\nSi 0 0 0 1 2 3\n"));
    let options =
        Options { energy_key: "e".into(), force_key: "f".into(), stress_key: "s".into(), ..Options::default() };
    let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let expected = Labels { energy: Some(3.0), forces: Some(vec![[1.0, 2.0, 3.0]]), stress: Some(identity) };
    assert_eq!(labels(&s, &options).unwrap(), expected);
    let none = Options { energy_key: String::new(), stress_key: String::new(), ..Options::default() };
    assert_eq!(labels(&s, &none).unwrap(), Labels::default());
}

#[test]
fn bad_labels_are_refused() {
    for (comment, forces, expected) in [
        ("energy=low", "1 2 3", "energy energy=Text(\"low\") is no number; give the total energy"),
        ("energy=nan", "1 2 3", "energy energy=NaN is not finite; remove the frame"),
        ("", "1 2 inf", "atom 0: force forces = [1.0, 2.0, inf] is not finite; remove the frame"),
        ("stress=\"1 2 3\"", "1 2 3", "does not hold nine or six numbers; give the matrix row by row"),
        ("virial=\"1 2 3 4 5 nan\"", "1 2 3", "is not finite; remove the frame"),
        ("stress=\"1 1 1 0 0 0\" virial=\"8 8 8 0 0 0\"", "1 2 3", "differ by 2.000e0 eV/Å³: xx is 1.000000e0 and -1"),
        ("stress=\"1 1 1 0 0 0\" pbc=\"T T F\"", "1 2 3", "set stress_key and virial_key to \"\" to leave it out"),
    ] {
        let head = "1\nLattice=\"2 0 0 0 2 0 0 0 2\" Properties=species:S:1:pos:R:3:forces:R:3";
        let s = one(&format!("{head} {comment}\nSi 0 0 0 {forces}\n"));
        let message = labels(&s, &Options::default()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let s = one("1\nProperties=species:S:1:pos:R:3:forces:R:2\nSi 0 0 0 1 2\n");
    let message = labels(&s, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("the column forces has 2 values per atom"), "{message}");
}

// ---------------------------------------------------------------- wrong files

#[test]
fn errors_name_file_frame_atom_value_and_remedy() {
    let row = "Properties=species:S:1:pos:R:3";
    for (bad, expected) in [
        ("two\n\nH 0 0 0\n".to_string(), ": the atom count is \"two\", not a whole number; a frame begins with a line"),
        ("H 0 0 0\n".into(), ": the atom count is \"H 0 0 0\""),
        ("-1\n\n".into(), ": the atom count is \"-1\""),
        (
            format!("3\n{row}\nH 0 0 0\nH 0 0 1\n"),
            ": the file ends after 2 of 3 atoms; it was cut short: copy it again, or read the frames before with @:1",
        ),
        (format!("2\n{row}\nH 0 0 0\nH 0 0"), ": the file ends after 1 of 2 atoms"),
        ("3\n".into(), ": the file ends after 0 of 3 atoms"),
        ("3".into(), ": the file ends after 0 of 3 atoms"),
        (format!("99999999999999\n{row}\nH 0 0 0\n"), ": the file ends after 1 of 99999999999999 atoms"),
        (
            format!("2\n{row}\nH 0 0 0\nH 0 1\nH 0 0 0\n"),
            ", atom 1: the row \"H 0 1\" has 3 columns, but Properties=species:S:1:pos:R:3 asks for 4; complete the row, or correct the atom count 2",
        ),
        (
            format!("1\n{row}\nH 0 0 0 7\n"),
            ", atom 0: the row \"H 0 0 0 7\" has 5 columns, but Properties=species:S:1:pos:R:3 asks for 4; name every column in Properties",
        ),
        (
            format!("1\n{row}\nH 0 0.1x 0\n"),
            ", atom 0: \"0.1x\" in column pos is no number; repair the row \"H 0 0.1x 0\"",
        ),
        (format!("1\n{row}:tag:I:1\nH 0 0 0 1.5\n"), ", atom 0: \"1.5\" in column tag is no whole number"),
        (format!("1\n{row}:ok:L:1\nH 0 0 0 maybe\n"), ", atom 0: \"maybe\" in column ok is no logical (T or F)"),
        (
            format!("1\n{row}\nH 0 nan 0\n"),
            ", atom 0: position (0, NaN, 0) is not finite; remove the frame or repair its coordinates",
        ),
        (format!("1\n{row}\nH 0 0 -inf\n"), ", atom 0: position (0, 0, -inf) is not finite"),
        (
            format!("1\n{row}\nQq 0 0 0\n"),
            ", atom 0: unknown element \"Qq\"; use symbols from H to Og (or Z from 1 to 118), and remove dummy atoms",
        ),
        (format!("1\n{row}\nX 0 0 0\n"), ", atom 0: unknown element \"X\""),
        ("1\nProperties=Z:I:1:pos:R:3\n119 0 0 0\n".into(), ", atom 0: unknown element \"119\""),
        (
            "1\nProperties=species:S:1:pos:R\nH 0 0 0\n".into(),
            ": Properties=species:S:1:pos:R: 5 parts do not make triplets; write NAME:TYPE:COLUMNS for each property",
        ),
        ("1\nProperties=species:S:1:pos:Q:3\nH 0 0 0\n".into(), "\"Q\" is no type"),
        ("1\nProperties=species:S:1:pos:R:x\nH 0 0 0\n".into(), "\"x\" is no number of columns"),
        ("1\nProperties=species:S:1:pos:R:2\nH 0 0 0\n".into(), "pos has type R and 2 columns"),
        ("1\nProperties=pos:R:3\n0 0 0\n".into(), "species is missing"),
        ("1\nProperties=species:S:1\nH\n".into(), "pos is missing"),
        ("1\nProperties=species:S:1:pos:R:3:a:R:1:a:R:1\nH 0 0 0\n".into(), "a occurs twice"),
        (
            format!("1\nLattice=\"1 0 0 0 1 0 0 0\" {row}\nH 0 0 0\n"),
            ": Lattice=\"1 0 0 0 1 0 0 0\": it holds 8 numbers; give nine numbers",
        ),
        (format!("1\nLattice=\"1 0 0 0 1 0 0 0 c\" {row}\nH 0 0 0\n"), "\"c\" is no number"),
        (format!("1\nLattice=\"1 0 0 1 0 0 0 0 1\" {row}\nH 0 0 0\n"), "has no volume along its periodic directions"),
        (format!("1\npbc=\"T T\" {row}\nH 0 0 0\n"), ": pbc=\"T T\" is not three of T and F; write pbc=\"T T T\""),
        (
            format!("1\n{row} name=\"half a quote\nH 0 0 0\n"),
            ": unterminated quote at \"\\\"half a quote\" of the comment line; close it with \"",
        ),
        (format!("1\n{row} =3\nH 0 0 0\n"), ": '=' without a key at \"=3\" of the comment line; write key=value"),
    ] {
        let message = message(read_text(numbered(1) + &bad));
        assert!(message.contains(expected) && message.starts_with("test.xyz, frame 1"), "{bad:?}\n  gave {message}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let m = message(read_text(b"1\nProperties=species:S:1:pos:R:3 name=\xff\xfe\nH 0 0 0\n"));
    assert!(m.contains("frame 0: the comment line") && m.contains("is not valid UTF-8 at byte 36; save"), "{m}");
    let m = message(read_text(b"1\nProperties=species:S:1:pos:R:3:t:S:1\nH 0 0 0 a\xff\n"));
    assert!(
        m.contains("test.xyz, frame 0, atom 0: \"a\u{fffd}\" in column t is not valid UTF-8; save the file"),
        "{m}"
    );
    let m = message(read_text(b"\x00\x01\x02\xff"));
    assert!(m.contains("not a whole number"), "{m}");
}

#[test]
fn empty_and_missing_files_are_refused() {
    for text in ["", "\n \n"] {
        let m = message(read_text(text));
        assert_eq!(m, "test.xyz: the file holds no frame; give an extended XYZ file with at least one structure");
    }
    let file = TestFile::new("test.xyz", numbered(3));
    let m = message(read(file.folder.path().join("no_test.xyz"), &Options::default()));
    assert_eq!(m, "test.xyz: no such file; check the path; a slice of frames follows an '@', as in data.xyz@:1000");
    let m = message(read(file.folder.path(), &Options::default()));
    assert!(m.contains("is a directory; name a file in it"), "{m}");
    for index in ["3", "-4"] {
        let m = message(read(file.slice(index), &Options::default()));
        let expected = format!("frame {index} was asked for, but the file has 3 frames; frames count from 0");
        assert!(m.contains(&expected), "{m}");
    }
    for slice in ["a", "1:2:0", "::-1", "1:2:3:4"] {
        let m = message(
            read(file.slice(slice), &Options::default()).map_err(|e| Error::file("test.xyz", e.to_string(), "")),
        );
        assert!(m.contains("is no slice of the frames of") && m.contains("write @index or @start:stop:step"), "{m}");
    }
    let m = message(read(&TestFile::new("test.xyz", b"BZh91AY").path, &Options::default()));
    assert!(m.contains("bzip2 and zip files are not read; unpack it"), "{m}");
}

#[test]
fn checking_can_be_switched_off_and_an_error_ends_the_reading() {
    let file = TestFile::new("test.xyz", "1\n\nH 0 nan 0\n1\n\nH 0 0 0\n");
    let options = Options { validate: false, ..Options::default() };
    assert!(read(&file.path, &options).unwrap()[0].positions[0][1].is_nan());
    let mut reader = Reader::open(&file.path, &Options::default()).unwrap();
    assert!(matches!(reader.next(), Some(Err(Error::Structure { .. }))));
    assert!(reader.next().is_none());
}

// ---------------------------------------------------------------- round trips

fn any_real() -> impl Strategy<Value = f64> {
    let bits = any::<f64>().prop_filter("NaN is not equal to itself", |x| !x.is_nan());
    prop_oneof![bits, -1e3..1e3, Just(0.0), Just(3.0)]
}

fn any_text() -> impl Strategy<Value = String> {
    let known =
        prop::sample::select(vec!["", " ", "T", "1 2", "1_0", "nan", "_JSON [", "_JSON \"a\"", "1.0D3", "\r\n"]);
    prop_oneof!["[ -~]{0,12}", "\\PC{0,6}", any::<String>(), known.prop_map(String::from)]
}

/// Arrays of one or two dimensions.
fn array<T: Clone + std::fmt::Debug>(
    element: impl Strategy<Value = T>,
    value: fn(Vec<T>, Vec<usize>) -> Value,
) -> impl Strategy<Value = Value> {
    (prop::collection::vec(element, 1..9), any::<bool>()).prop_map(move |(x, folded)| {
        let n = x.len();
        let shape = if folded && n % 2 == 0 { vec![2, n / 2] } else { vec![n] };
        value(x, shape)
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any_real().prop_map(Value::Real),
        any_text().prop_map(Value::Text),
        array(any::<bool>(), Value::Bools),
        array(any::<i64>(), Value::Ints),
        array(any_real(), Value::Reals),
        array(any_text(), Value::Texts),
    ]
}

fn any_structure() -> impl Strategy<Value = Structure> {
    let info = prop::collection::btree_map("k[a-zA-Z_ =\"'é\\\\{}\\[\\]-]{0,8}", any_value(), 0..5);
    let cell = prop::array::uniform3(prop::array::uniform3(any_real()));
    (0..4usize, cell, any::<[bool; 3]>(), info).prop_flat_map(|(n, cell, pbc, info)| {
        let atoms = prop::collection::vec((1..=118u8, prop::array::uniform3(any_real())), n);
        let columns = (
            prop::collection::vec(any_real(), 3 * n),
            prop::collection::vec(any::<i64>(), n),
            prop::collection::vec(any::<bool>(), 2 * n),
            prop::collection::vec("[!-~é]{1,5}", n),
        );
        (atoms, columns).prop_map(move |(atoms, (r, i, l, s))| {
            let (species, positions) = atoms.into_iter().unzip();
            let columns = vec![
                Column { name: "forces".into(), width: 3, data: ColumnData::Reals(r) },
                Column { name: "tag".into(), width: 1, data: ColumnData::Ints(i) },
                Column { name: "mask".into(), width: 2, data: ColumnData::Bools(l) },
                Column { name: "name".into(), width: 1, data: ColumnData::Texts(s) },
            ];
            Structure { species, positions, cell, pbc, info: info.clone().into_iter().collect(), columns }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_frame_reads_back_equal(frames in prop::collection::vec(any_structure(), 1..4)) {
        let file = TestFile::new("a.xyz", "");
        write(&file.path, &frames).unwrap();
        let options = Options { validate: false, ..Options::default() };
        prop_assert_eq!(read(&file.path, &options).unwrap(), frames);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[ -~\n]{0,200}") {
        let frame = format!("2\n{text}\nH 0 0 0\n{text}");
        for bytes in [bytes, text.into_bytes(), frame.into_bytes()] {
            let file = TestFile::new("a.xyz", bytes);
            for slice in [":", "-1", "1:"] {
                let _ = read(file.slice(slice), &Options::default());
            }
        }
    }
}

// ---------------------------------------------------------------- real data

/// Frames and atoms of the smaller files, by data/README.md.
const DATA: [(&str, usize, usize); 12] = [
    ("bench_molecular_crystals", 100, 14535),
    ("bench_silicon_bulk", 30, 1620),
    ("ge_zuo2020", 253, 15640),
    ("methane_random", 9006, 45030),
    ("methane_random_forces", 999, 4995),
    ("perovskites", 3787, 18935),
    ("rmd17_ethanol", 2000, 18000),
    ("si_point_defects", 334, 21398),
    ("si_pw91_gap_sample", 252, 2651),
    ("si_random_crystals", 6204, 36355),
    ("si_zuo2020", 214, 13209),
    ("zundel", 901, 6307),
];

#[test]
fn real_files_hold_the_frames_and_atoms_they_should() {
    let data = std::env::var("RHOBASIS_DATA").map_or_else(|_| repository().join("../shared/data"), PathBuf::from);
    let options = Options::default();
    for (name, n_frames, n_atoms) in DATA {
        let path = data.join(format!("{name}.xyz.xz"));
        if !path.exists() {
            println!("skipped: no {}", path.display());
            continue;
        }
        let (mut frames, mut atoms) = (0, 0);
        for frame in Reader::open(&path, &options).unwrap() {
            let frame = frame.unwrap();
            assert_eq!(labels(&frame, &options).unwrap().energy.is_none(), name.starts_with("bench"), "{name}");
            frames += 1;
            atoms += frame.len();
        }
        assert_eq!((frames, atoms), (n_frames, n_atoms), "{name}");
    }
}
