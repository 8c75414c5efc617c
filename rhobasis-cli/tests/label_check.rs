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
