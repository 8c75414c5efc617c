//! Extended XYZ: against what ASE reads, against itself, on real files, and on files that are wrong.

mod changes;
mod contents;
mod keys;
mod limits;
mod other_formats;
mod refusals;
mod round_trips;
mod streams;

use std::path::{Path, PathBuf};

use rhobasis::Structure;
use rhobasis::extxyz::{Options, read};
use rhobasis::structure::Value;

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
