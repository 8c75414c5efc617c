//! Files that are wrong.

use rhobasis::extxyz::{Options, Reader, labels, read};
use rhobasis::structure::Value;
use rhobasis::{Error, Structure};

use super::{TestFile, message, numbered, read_text};

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
        (format!("1\n{row}\nD 0 0 0\n"), ", atom 0: unknown element \"D\"; write H for an isotope of hydrogen"),
        (format!("1\n{row}\nT 0 0 0\n"), ", atom 0: unknown element \"T\"; write H for an isotope of hydrogen"),
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
            ": unterminated quote at '\"half a quote' of the comment line; close it with \"",
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
    assert!(m.contains("there are zero bytes"), "{m}");
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
    assert!(m.contains("is packed by bzip2, and extended XYZ is read; unpack it"), "{m}");
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

#[test]
fn messages_show_values_as_they_stand_in_the_input() {
    let mut atom = Structure::molecule(vec![1], vec![[0.0; 3]]);
    for (key, value, expected) in [
        ("energy", Value::Text("a \"b\"".into()), "energy energy='a \"b\"' is no number; give"),
        ("energy", Value::Bool(true), "energy energy=T is no number; give"),
        ("energy", Value::Ints(vec![1, 2], vec![2]), "energy energy=[1, 2] is no number; give"),
        ("stress", Value::Reals(vec![1.5, 2.0], vec![2]), "stress=[1.5, 2] does not hold nine or six numbers; give"),
    ] {
        atom.info = vec![(key.into(), value)];
        // The only structure there is has no place.
        let message = message(labels(&atom, &Options::default()));
        assert!(message.starts_with(expected), "{message}");
    }
}
