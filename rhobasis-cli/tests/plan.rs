//! `rhobasis plan` as its users meet it.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

const SMALL: &[&str] = &["--r-cut", "4", "--n-max", "6", "--l-max", "2"];

fn data() -> String {
    format!("{}/../examples/data/silicon.xyz.xz@:6", env!("CARGO_MANIFEST_DIR"))
}

fn run(folder: &TempDir, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rhobasis")).args(args).current_dir(folder.path()).output().unwrap()
}

fn ok(folder: &TempDir, args: &[&str]) -> String {
    let output = run(folder, args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_planned_retain_makes_the_planned_basis() {
    let folder = tempfile::tempdir().unwrap();
    let data = data();
    let flags = ["--nu", "3", "--retain", "0.99", "--invariant", "--plot", "plan.svg", "--csv", "plan.csv"];
    let said = ok(&folder, &[&["plan", &data][..], SMALL, &flags].concat());
    assert!(said.contains("exact for these data"), "{said}");
    let retain = said.split("--retain ").nth(1).unwrap().split(' ').next().unwrap();
    let planned: Vec<&str> =
        said.lines().find(|line| line.contains("Si neighbours")).unwrap().split_whitespace().collect();
    let fitted = ok(&folder, &[&["fit", &data, "-o", "si.rho", "--retain", retain][..], SMALL].concat());
    let kept: Vec<&str> =
        fitted.lines().find(|line| line.contains("Si neighbours")).unwrap().split_whitespace().collect();
    assert_eq!(planned, kept[..kept.len() - 1]);
    assert!(fs::read_to_string(folder.path().join("plan.svg")).unwrap().contains("residual variance"));
    let csv = fs::read_to_string(folder.path().join("plan.csv")).unwrap();
    assert!(csv.starts_with("channels,retain,exact_1,exact_2,exact_3,invariant_1,"), "{csv}");
    let chosen = csv.lines().find(|line| line.split(',').nth(1) == Some(retain)).unwrap();
    let invariant: f64 = chosen.split(',').nth(7).unwrap().parse().unwrap();
    assert!((0.99..1.0).contains(&invariant), "{chosen}");
}

#[test]
fn a_basis_file_alone_gives_an_approximation_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = data();
    ok(&folder, &[&["fit", &data, "-o", "full.rho", "--retain", "1"][..], SMALL].concat());
    let said = ok(&folder, &["plan", "full.rho", "--nu", "2"]);
    assert!(said.contains("approximate") && said.contains("--data DATA"), "{said}");
    assert!(!said.contains("keeps"), "{said}");
    let exact = ok(&folder, &["plan", "full.rho", "--data", &data, "--nu", "2"]);
    let direct = ok(&folder, &[&["plan", &data, "--nu", "2"][..], SMALL].concat());
    assert_eq!(exact.split("next:").next(), direct.split("next:").next());
    ok(&folder, &[&["fit", &data, "-o", "cut.rho", "--q-max", "3"][..], SMALL].concat());
    assert!(ok(&folder, &["plan", "cut.rho", "--data", &data]).contains("of what cut.rho keeps"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = data();
    for (code, args, message) in [
        (1, vec!["plan", &data, "--retain", "2"], "retain = 2"),
        (1, vec!["plan", &data, "--nu", "0"], "nu = 0"),
        (2, vec!["plan", &data, "--plot", "plan.png"], ".svg"),
        (2, vec!["plan", "a.rho", &data], "after --data"),
        (2, vec!["plan", &data, "--data", &data], "belongs to a basis file"),
        (1, vec!["plan", "absent.rho"], "absent.rho"),
    ] {
        let output = run(&folder, &args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(message), "{args:?}: {said}");
    }
}
