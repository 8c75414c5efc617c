//! Files that change under the command, are of another kind, or claim more than there is.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

mod common;

use common::Place;

fn molecules(n: usize) -> String {
    let mut text = String::new();
    for k in 0..n {
        let d = 0.001 * (k % 100) as f64;
        writeln!(text, "3\nProperties=species:S:1:pos:R:3").unwrap();
        writeln!(text, "C 0 0 0\nO {} 0.2 0\nH -0.5 {} 0.3", 1.2 + d, 0.95 - d).unwrap();
    }
    text
}

#[test]
fn a_file_that_shrinks_during_a_fit_ends_it_with_an_error() {
    let place = Place::new().with("data.xyz", molecules(60_000));
    let args = ["fit", "data.xyz", "-o", "basis.rho", "--n-max", "8", "--l-max", "4", "--mixing", "combined"];
    let mut child = place.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut message = String::new();
    while !message.contains("memory: about") {
        assert!(stderr.read_line(&mut message).unwrap() > 0, "{message}");
    }
    let file = OpenOptions::new().write(true).open(place.path("data.xyz")).unwrap();
    file.set_len(1000).unwrap();
    stderr.read_to_string(&mut message).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{message}");
    assert!(message.contains("data.xyz: the file changed while it was read: it had "), "{message}");
    assert!(message.contains(" bytes, and has 1000 now; run again when nothing writes to it"), "{message}");
    assert!(!place.path("basis.rho").exists());
}

#[test]
fn other_files_are_named() {
    let place = Place::new()
        .with("md.traj", "- of UlmASE-Trajectory")
        .with("data.xyz", molecules(2))
        .with("X.npy", molecules(2))
        .with("X.npz", "SQLite format 3\0")
        .with("model.toml", molecules(2));
    place.refused(1, &["info", "md.traj"], &["md.traj: is an ASE trajectory", "ase convert md.traj md.extxyz"]);
    for (args, expected) in [
        (&["show", "md.traj"][..], "md.traj: is an ASE trajectory (.traj); give a rhobasis"),
        (&["show", "data.xyz"], "data.xyz: is an XYZ file of structures; give a rhobasis"),
        (&["select", "X.npy", "-n", "1", "-o", "s.npz"], "cannot be read: the file is an XYZ file of structures"),
        (&["select", "X.npz", "-n", "1", "-o", "s.npz"], "X.npz: is an SQLite database, as ase.db writes, and is no"),
        (&["train", "model.toml", "-o", "m.rho"], "model.toml: is an XYZ file of structures, and a TOML file is read"),
    ] {
        place.refused(1, args, &[expected]);
    }
}

/// A `.npy` file of this shape and 80 bytes of numbers.
fn npy(shape: &str) -> Vec<u8> {
    let mut text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
    text += &" ".repeat(117 - text.len());
    text.push('\n');
    [b"\x93NUMPY\x01\x00v\x00", text.as_bytes(), &[0; 80]].concat()
}

#[test]
fn shapes_that_the_file_does_not_hold_are_refused() {
    for (shape, expected) in [
        ("(3, 1000000000000)", "ends too early: it takes 24000000000000 bytes, and 80 are there"),
        ("(0, 9223372036854775807)", "which is too large"),
        ("(9223372036854775807, 0)", "which is too large"),
        ("(4294967296, 4294967296)", "which is too large"),
        ("(99999999999999999999, 1)", "has a header of no known form"),
    ] {
        let place = Place::new().with("X.npy", npy(shape));
        let select = ["select", "X.npy", "-n", "1", "-o", "s.npz", "--memory", "1e9"];
        place.refused(1, &select, &["X.npy: array 'X'", expected]);
    }
}
