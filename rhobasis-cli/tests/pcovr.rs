//! `rhobasis fit --method pcovr`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod common;

use common::without_command;
use rhobasis::files::Stored;
use rhobasis::optimal::{Method, OptimalBasis, PcovrSettings};

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rhobasis")).args(args).current_dir(folder).output().unwrap()
}

fn data(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/data").join(name).display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const SETTINGS: [&str; 8] = ["--l-max", "1", "--n-max", "6", "--mixing", "combined", "--q-max", "2"];

#[test]
fn a_basis_that_knows_energies_says_so_and_does_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    let molecules = data("molecules.xyz.xz@:120");
    let fit = |output: &str, more: &[&str]| {
        let output = run(folder.path(), &[&["fit", &molecules, "-o", output], &SETTINGS[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let pcovr = ["--method", "pcovr", "--gamma", "0.1"];
    let said = fit("a.rho", &pcovr);
    assert!(said.contains("pcovr with gamma 0.1 for l = 0, whose R² of energies is 0."), "{said}");
    assert!(fit("pca.rho", &[]).contains("pca (principal components)"));
    fit("b.rho", &[&pcovr[..], &["--threads", "1", "--energy-key", "energy"]].concat());
    fit("default.rho", &["--method", "pcovr"]);
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(without_command(&bytes("a.rho")) == without_command(&bytes("b.rho")));
    let load = |name: &str| OptimalBasis::load(&folder.path().join(name)).unwrap();
    let basis = load("a.rho");
    assert_eq!(basis.settings().method, Method::Pcovr(PcovrSettings { gamma: 0.1 }));
    assert_eq!(load("default.rho").settings().method, Method::Pcovr(PcovrSettings { gamma: 0.5 }));
    assert_eq!((basis.provenance().files[0].frames, basis.provenance().n_structures), (120, 120));
    let pca = load("pca.rho");
    let u = |basis: &OptimalBasis, l: usize| basis.kinds()[0].blocks[l].contraction.u.clone();
    assert!(u(&pca, 1) == u(&basis, 1) && u(&pca, 0) != u(&basis, 0));
    assert!(basis.residual_variance(None)[2] > pca.residual_variance(None)[2]);
    let shown = run(folder.path(), &["show", "a.rho", "--plot", "a.svg", "--csv", "a"]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    assert!(text(&shown.stdout).contains("Variance of each function"));
    for to in [&["featomic", "-o", "a.json"][..], &["csv", "-o", "a.csv"]] {
        let exported = run(folder.path(), &[&["export", "a.rho", "--to"], to].concat());
        assert_eq!(exported.status.code(), Some(0), "{}", text(&exported.stderr));
    }
}

#[test]
fn a_frame_without_energy_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let frame = |energy: &str| format!("2\nProperties=species:S:1:pos:R:3{energy} other=1\nSi 0 0 0\nSi 0 0 2.3\n");
    let file = [frame(" energy=-8.1"), frame(" energy=-8.0"), frame("")].concat();
    std::fs::write(folder.path().join("x.xyz"), file).unwrap();
    let output = run(folder.path(), &["fit", "x.xyz", "-o", "x.rho", "--method", "pcovr"]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.contains("x.xyz, frame 2: there is no energy under the key 'energy'"), "{message}");
    assert!(message.contains("other") && !folder.path().join("x.rho").exists());
}

#[test]
fn what_does_not_go_with_energies_is_a_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let molecules = data("molecules.xyz.xz@:4");
    for (more, words) in [
        (&["--method", "pcovr", "-o", "x.cov"][..], "--method pcovr"),
        (&["--method", "pcovr", "-o", "x.cov", "--shard", "1/2"], "--method pcovr"),
        (&["--method", "pcovr", "-o", "x.rho", "--checkpoint", "c"], "--checkpoint"),
        (&["--method", "pcovr", "-o", "x.rho", "--nu", "2"], "--nu"),
        (&["--gamma", "0.1", "-o", "x.rho"], "--gamma"),
        (&["--energy-key", "e", "-o", "x.rho"], "--energy-key"),
        (&["--method", "ridge", "-o", "x.rho"], "ridge"),
    ] {
        let output = run(folder.path(), &[&["fit", &molecules], more].concat());
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
    let output = run(folder.path(), &["fit", &molecules, "-o", "x.rho", "--method", "pcovr", "--gamma", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("gamma = 0"));
}
