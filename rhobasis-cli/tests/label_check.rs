//! `info --labels` and what `train` says of labels.

use std::path::Path;
use std::process::Command;

fn rhobasis(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rhobasis")).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn bundled(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data").join(name).to_str().unwrap().to_string()
}

#[test]
fn clean_labels_are_called_so_and_what_was_tested_is_said() {
    let text = rhobasis(&["info", &bundled("silicon.xyz.xz@::3"), "--labels"]);
    for expected in ["LABELS", "tested", "forces of", "stress of"] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(!rhobasis(&["info", &bundled("silicon.xyz.xz@:20")]).contains("LABELS"));
}

#[test]
fn a_virial_named_as_stress_is_seen_through() {
    let text =
        rhobasis(&["info", &bundled("silicon.xyz.xz@::3"), "--labels", "--stress-key", "virial", "--virial-key", ""]);
    assert!(text.contains("virial taken for stress"), "{text}");
    assert!(text.contains("remedy: divide by the volume"), "{text}");
}

#[cfg(unix)]
#[test]
fn labels_that_come_through_a_pipe_are_checked() {
    use rhobasis::extxyz::{self, Dataset, Options};
    let data = Dataset::open(&[bundled("silicon.xyz.xz@::6")], &Options::default()).unwrap();
    let frames: Vec<_> = data.chunks().flat_map(|chunk| chunk.unwrap().structures).collect();
    let path = |name: &str| std::env::temp_dir().join(format!("rhobasis-labels-{}-{name}.xyz", std::process::id()));
    let (file, pipe) = (path("file"), path("pipe"));
    extxyz::write(&file, &frames).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let into = (file.clone(), pipe.clone());
    let writing = std::thread::spawn(move || std::fs::write(into.1, std::fs::read(into.0).unwrap()));
    let text = rhobasis(&["info", pipe.to_str().unwrap(), "--labels"]);
    writing.join().unwrap().unwrap();
    assert!(text.contains("LABELS") && text.contains("stress of"), "{text}");
    [file, pipe].iter().for_each(|path| std::fs::remove_file(path).unwrap());
}
