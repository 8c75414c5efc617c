//! The memory that `fit`, `features` and `train` state before they begin, against what they take.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Bytes that a command stated, and the most that it held. The system's own account of a process that has ended counts the
/// memory of the one that started it, as these tests are, and so is not used.
fn stated_and_peak(folder: &Path, args: &[&str]) -> (f64, f64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rhobasis"))
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (account, mut peak) = (format!("/proc/{}/status", child.id()), 0.0);
    let status = loop {
        let account = std::fs::read_to_string(&account).unwrap();
        if let Some(line) = account.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            peak = 1024.0 * line.trim().trim_end_matches(" kB").parse::<f64>().unwrap();
        }
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert!(status.success(), "{message}");
    let words: Vec<&str> = message.split("memory: about ").nth(1).expect(&message).split(' ').collect();
    let unit = match words[1] {
        "kB" => 1e3,
        "MB" => 1e6,
        _ => 1e9,
    };
    (words[0].parse::<f64>().unwrap() * unit, peak)
}

fn check(folder: &Path, args: &[&str]) {
    let (stated, peak) = stated_and_peak(folder, &[args, &["--threads", "2"]].concat());
    let [stated, peak] = [stated, peak].map(|bytes| bytes / 1e6);
    println!("{stated:.0} MB stated, {peak:.1} MB held: {}", args.join(" "));
    assert!((stated / peak - 1.0).abs() < 0.2, "{args:?}: {stated} MB stated, {peak} MB held");
}

fn bundled(name: &str) -> String {
    format!("{}/../examples/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn memory_is_stated_within_a_fifth() {
    let (silicon, molecules) = (bundled("silicon.xyz.xz"), bundled("molecules.xyz.xz@:1200"));
    let cases: [&[&str]; 4] = [
        &[&silicon, "-o", "b.rho", "--q-max", "8"],
        &[&molecules, "-o", "b.rho", "--l-max", "4"],
        &[&molecules, "-o", "b.rho", "--l-max", "4", "--mixing", "combined"],
        &[&molecules, "-o", "b.cov", "--l-max", "4", "--mixing", "combined", "--center-specific"],
    ];
    for case in cases {
        check(tempfile::tempdir().unwrap().path(), &[&["fit"], case].concat());
    }
}

#[test]
fn memory_of_features_is_stated_within_a_fifth() {
    let folder = tempfile::tempdir().unwrap();
    let basis = ["-o", "b.rho", "--n-max", "10", "--l-max", "4", "--q-max", "6"];
    stated_and_peak(folder.path(), &[&["fit", &bundled("molecules.xyz.xz@:200")], &basis[..]].concat());
    let some = bundled("molecules.xyz.xz@:800");
    let features = |kind: &str, data: &str, more: &[&str]| {
        check(folder.path(), &[&["features", data, "--basis", "b.rho", "--force", "--kind", kind], more].concat());
    };
    features("density", &some, &["-o", "x.npz"]);
    features("power-spectrum", &some, &["-o", "x.npz", "--normalize"]);
    features("power-spectrum", &some, &["-o", "x.npy", "--chunk-rows", "1000"]);
    features("bispectrum", &bundled("molecules.xyz.xz@:20"), &["-o", "x.npy"]);
}

#[test]
fn memory_of_train_is_a_bound_that_is_not_far_off() {
    let basis = "[basis]\nr_cut = 4\nn_max = 8\nl_max = 4\nq_max = 8\n";
    let ridge = "[model]\ntype = \"ridge\"\n";
    let gap = "[model]\ntype = \"gap\"\nn_sparse = 400\n";
    let kernel = "[model]\ntype = \"kernel-ridge\"\n";
    let cases = [
        ("silicon.xyz.xz", ridge, ""),
        ("silicon.xyz.xz", gap, ""),
        ("molecules.xyz.xz@:600", ridge, "mixing = \"combined\"\n"),
        ("molecules.xyz.xz@:600", kernel, "mixing = \"combined\"\n"),
    ];
    for (data, model, mixing) in cases {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[data]\ntrain = \"{}\"\n{basis}{mixing}{model}", bundled(data));
        std::fs::write(folder.path().join("m.toml"), text).unwrap();
        let (stated, peak) = stated_and_peak(folder.path(), &["train", "m.toml", "-o", "m.rho", "--threads", "2"]);
        println!("{:.0} MB stated, {:.1} MB held: {data}, {model}", stated / 1e6, peak / 1e6);
        assert!(peak < 1.2 * stated && stated < 2.5 * peak, "{data}, {model}: {stated} stated, {peak} held");
    }
}
