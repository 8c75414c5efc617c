//! `rhobasis fit --nu`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod common;

use common::without_command;
use rhobasis::files::Stored;
use rhobasis::optimal::OptimalBasis;

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rhobasis")).args(args).current_dir(folder).output().unwrap()
}

fn molecules() -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("examples/data/molecules.xyz.xz@:120").display().to_string()
}

const SETTINGS: [&str; 8] = ["--l-max", "2", "--n-max", "6", "--mixing", "combined", "--q-max", "2"];

#[test]
fn a_basis_for_nu_4_says_what_it_gained_and_names_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = molecules();
    let fit = |output: &str, more: &[&str]| {
        let output = run(folder.path(), &[&["fit", &data, "-o", output], &SETTINGS[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = fit("one.rho", &[]);
    let adapted = fit("four.rho", &["--nu", "4"]);
    assert!(!plain.contains("made for") && adapted.contains("made for") && adapted.contains("sweep by sweep"));
    let basis = OptimalBasis::load(&folder.path().join("four.rho")).unwrap();
    let provenance = basis.provenance();
    assert_eq!((basis.settings().nu, provenance.files[0].frames, provenance.n_structures), (4, 120, 120));
    assert!(
        provenance.retained.len() > 1 && provenance.retained[provenance.retained.len() - 1] > provenance.retained[0]
    );
    fit("again.rho", &["--nu", "4", "--threads", "1"]);
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(bytes("four.rho") == bytes("again.rho"), "threads change no bit");
    fit("same.rho", &["--nu", "1"]);
    assert!(without_command(&bytes("one.rho")) == without_command(&bytes("same.rho")));
}

#[test]
fn what_does_not_go_with_sweeps_is_a_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let data = molecules();
    for more in [&["-o", "x.cov"][..], &["-o", "x.rho", "--checkpoint", "c"], &["-o", "x.cov", "--shard", "1/2"]] {
        let output = run(folder.path(), &[&["fit", &data, "--nu", "2"], more].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("--nu"));
    }
    assert_eq!(run(folder.path(), &["fit", &data, "-o", "x.rho", "--nu", "0"]).status.code(), Some(2));
}
