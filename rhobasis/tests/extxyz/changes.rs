//! Files that somebody writes to while they are read.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use rhobasis::extxyz::{Dataset, Options, Reader};

use super::{TestFile, message, numbered};

/// More than a window of the reader.
const LONG: usize = 60_000;

fn half(file: &TestFile) -> u64 {
    let length = std::fs::metadata(&file.path).unwrap().len();
    OpenOptions::new().write(true).open(&file.path).unwrap().set_len(length / 2).unwrap();
    length
}

fn append(file: &TestFile, text: &str) {
    OpenOptions::new().append(true).open(&file.path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Writes the same bytes again, after the clock of the file system has moved on.
fn write_again(file: &TestFile) {
    std::thread::sleep(Duration::from_millis(30));
    let bytes = std::fs::read(&file.path).unwrap();
    std::fs::write(&file.path, bytes).unwrap();
}

fn rest(mut reader: Reader) -> String {
    let frames: rhobasis::Result<Vec<_>> = reader.by_ref().collect();
    assert!(reader.next().is_none(), "an error ends the iteration");
    message(frames)
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error_and_no_fewer_frames() {
    for slice in ["", "@1:", "@-40000:"] {
        let file = TestFile::new("test.xyz", numbered(LONG));
        let mut reader = Reader::open(format!("{}{slice}", file.path.display()), &Options::default()).unwrap();
        reader.next().unwrap().unwrap();
        let length = half(&file);
        let m = rest(reader);
        let expected = format!("the file changed while it was read: it had {length} bytes, and has {} now", length / 2);
        assert!(m.contains(&expected) && m.contains("test.xyz: ") && m.contains("or read a copy"), "{slice}: {m}");
    }
}

#[test]
fn a_file_that_was_read_ahead_and_shrinks_is_noticed_too() {
    let file = TestFile::new("test.xyz", numbered(3));
    let mut reader = Reader::open(&file.path, &Options::default()).unwrap();
    reader.next().unwrap().unwrap();
    half(&file);
    assert!(rest(reader).contains("the file changed while it was read"));
}

#[test]
fn a_file_that_grows_or_is_written_again_is_noticed() {
    for change in [(|file| append(file, &numbered(1))) as fn(&TestFile), write_again] {
        let file = TestFile::new("test.xyz", numbered(LONG));
        let mut reader = Reader::open(&file.path, &Options::default()).unwrap();
        reader.next().unwrap().unwrap();
        change(&file);
        let m = rest(reader);
        assert!(m.contains("the file changed while it was read"), "{m}");
    }
}

#[test]
fn the_frames_before_a_slice_ends_are_given_of_a_file_that_grows() {
    let file = TestFile::new("test.xyz", numbered(10));
    let mut reader = Reader::open(file.slice(":3"), &Options::default()).unwrap();
    reader.next().unwrap().unwrap();
    append(&file, &numbered(1));
    assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 2);
    assert!(reader.next().is_none());
}

#[test]
fn a_data_set_is_of_the_bytes_that_its_hash_is_of() {
    for slice in [":", ":2"] {
        let file = TestFile::new("test.xyz", numbered(10));
        let open = || Dataset::open(&[file.slice(slice)], &Options::default()).unwrap();

        let mut hashed = open();
        hashed.hash().unwrap();
        append(&file, &numbered(1));
        let last = hashed.chunks().last().unwrap();
        let m = message(last.map(|chunk| chunk.first));
        assert!(m.contains("the file changed while it was read"), "{slice}: {m}");

        let opened = open();
        write_again(&file);
        let last = opened.chunks().last().unwrap();
        let m = message(last.map(|chunk| chunk.first));
        assert!(m.contains("bytes were written anew"), "{slice}: {m}");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_hashed_as_it_is_read() {
    let text = numbered(LONG);
    let file = TestFile::new("test.xyz", &text);
    let pipe = file.folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, text).unwrap()
    });
    let mut chunks = Dataset::open(&[pipe.display().to_string()], &Options::default()).unwrap().chunks();
    let n: usize = chunks.by_ref().map(|chunk| chunk.unwrap().structures.len()).sum();
    writer.join().unwrap();
    assert_eq!(n, LONG);
    assert_eq!(chunks.files()[0].sha256, rhobasis::files::sha256(&file.path).unwrap());

    let mut opened = Dataset::open(&[pipe.display().to_string()], &Options::default()).unwrap();
    let m = opened.hash().unwrap_err().to_string();
    assert!(m.contains("is no regular file") && m.contains("write it to a file first"), "{m}");
}
