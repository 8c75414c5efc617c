//! Fits of NICE in parts: shards whose samples are merged, and runs that are killed and go on.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

mod common;

use common::{Place, molecules, said, says, without_command};

/// Few of many products, from few of many atoms.
const NICE: [&str; 14] = [
    "--kind",
    "nice",
    "--nu-max",
    "4",
    "--n-centers",
    "400",
    "--n-candidates",
    "200",
    "--n-equivariants",
    "20",
    "--n-invariants",
    "30",
    "--n-invariant-candidates",
    "300",
];

/// Bent molecules and a basis of them.
fn place(n: usize) -> Place {
    let place = Place::of(&[("a.xyz", molecules(n))]);
    let basis = ["fit", "a.xyz@:20", "-o", "a.rho", "--r-cut", "4", "--n-max", "5", "--l-max", "3"];
    place.ok(&[&basis[..], &["--mixing", "combined", "--q-max", "4", "--spline-accuracy", "1e-5"]].concat());
    place
}

fn features<'a>(data: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["features", data, "--basis", "a.rho"], more].concat()
}

/// Waits for a checkpoint that was not there before, or the end of the run.
fn wait_for_another(path: &std::path::Path, child: &mut Child) {
    let written = || fs::metadata(path).and_then(|m| m.modified()).ok();
    let (before, start) = (written(), Instant::now());
    while written() == before && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint in a minute");
        sleep(Duration::from_millis(1));
    }
}

/// Starts a command over and over and kills it a little after its first or its third checkpoint, `kills` times; then lets it end.
/// Returns what the runs said.
fn killed(place: &Place, args: &[&str], checkpoint: &str, kills: usize) -> Vec<String> {
    let args = &[args, &["--force"]].concat(); // it may be killed when all is written, and only its end is missing
    let mut messages = Vec::new();
    for kill in 0..kills {
        let mut child = place.command(args).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        for _ in 0..1 + kill % 3 {
            wait_for_another(&place.path(checkpoint), &mut child);
        }
        sleep(Duration::from_millis(kill as u64 % 4));
        let _ = child.kill(); // SIGKILL; it may have ended by itself
        let output = child.wait_with_output().unwrap();
        messages.push(said(output.stderr));
        if output.status.success() {
            return messages;
        }
    }
    messages.push(said(place.succeeds(&mut place.command(args)).stderr));
    messages
}

#[test]
fn a_fit_of_nice_that_is_killed_ends_with_the_same_bytes() {
    let place = place(4000);
    place.ok(&features("a.xyz", &[&NICE[..], &["--save-nice", "expected.nice", "--threads", "1"]].concat()));
    let keep = ["--save-nice", "found.nice", "--checkpoint", "run.ckpt", "--checkpoint-every", "0"];
    let said = killed(&place, &features("a.xyz", &[&NICE[..], &keep].concat()), "run.ckpt", 12);
    let began = |what: &str| said.iter().filter(|message| message.contains(what)).count();
    assert!(began("comes next") + began("the orders up to ν = ") >= 2, "{said:?}");
    assert!(place.bytes("found.nice") == place.bytes("expected.nice"), "other bytes after {said:?}");
    assert_eq!(place.names(), ["a.rho", "a.xyz", "expected.nice", "found.nice"]);
}

#[test]
#[cfg(unix)]
fn a_signal_says_what_is_kept() {
    let place = place(4000);
    let keep = ["--save-nice", "a.nice", "--checkpoint", "run.ckpt", "--checkpoint-every", "0"];
    let args = features("a.xyz", &[&NICE[..], &keep].concat());
    for (signal, code, name) in [(libc::SIGINT, 130, "SIGINT"), (libc::SIGTERM, 143, "SIGTERM")] {
        let mut child = place.command(&args).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        wait_for_another(&place.path("run.ckpt"), &mut child);
        // SAFETY: the child is not waited for yet, so the number is its own.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            return; // it was faster than we are
        }
        assert_eq!(output.status.code(), Some(code));
        let message = said(output.stderr);
        says(&message, &[&format!("interrupted by {name}"), "in run.ckpt; the same command goes on"]);
    }
    place.ok(&args);
}

#[test]
fn samples_of_shards_are_merged_to_that_of_all() {
    let place = place(600);
    place
        .ok(&features("a.xyz", &[&NICE[..], &["--save-nice", "whole.nice", "--save-sample", "whole.sample"]].concat()));
    let centers = ["--kind", "nice", "--n-centers", "400"];
    for (shard, output) in [("3/3", "3.sample"), ("1/3", "1.sample"), ("2/3", "2.sample")] {
        place.ok(&features("a.xyz", &[&centers[..], &["--shard", shard, "--save-sample", output]].concat()));
    }
    place.ok(&["merge", "2.sample", "3.sample", "1.sample", "-o", "merged.sample"]);
    assert!(place.bytes("merged.sample") == place.bytes("whole.sample"));
    let settings = NICE.iter().copied().filter(|word| !["--n-centers", "400"].contains(word)).collect::<Vec<_>>();
    let fit = [&["features", "--basis", "a.rho"], &settings[..], &["--sample", "merged.sample"]].concat();
    let keep = ["--save-nice", "merged.nice", "--checkpoint", "run.ckpt"];
    let said = killed(&place, &[&fit[..], &keep].concat(), "run.ckpt", 2);
    let [merged, whole] = ["merged.nice", "whole.nice"].map(|name| without_command(&place.bytes(name)));
    assert!(merged == whole, "{said:?}");
    assert!(!place.path("run.ckpt").exists());

    place.refused(1, &["merge", "1.sample", "3.sample", "-o", "x.sample"], &["2/3", "features --save-sample --shard"]);
    place.refused(1, &["merge", "1.sample", "1.sample", "-o", "x.sample"], &["count twice"]);
    place.refused(1, &["merge", "1.sample", "a.rho", "-o", "x.sample"], &["a.rho", "nice-sample"]);
    place.refused(1, &["merge", "none.sample", "1.sample", "-o", "x.sample"], &["none.sample", "no such file"]);
    place.refused(2, &["merge", "1.sample", "-o", "x.rho"], &["must end in .sample"]);
    place.refused(2, &["merge", "1.sample", "-o", "x.sample", "--q-max", "2"], &["--q-max", "leave it out"]);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let place = place(30);
    let refused = |code, more: &[&str], words: &[&str]| {
        place.refused(code, &[&["features", "--basis", "a.rho"], more].concat(), words);
    };
    place.ok(&features("a.xyz", &["--kind", "nice", "--save-sample", "a.sample"]));
    place.ok(&["fit", "a.xyz@:20", "-o", "b.rho", "--r-cut", "5", "--n-max", "5", "--l-max", "3", "--q-max", "4"]);
    refused(2, &["a.xyz", "--kind", "nice"], &["--output"]);
    refused(2, &["--kind", "nice", "-o", "x.npz"], &["DATA"]);
    refused(2, &["--kind", "nice", "--sample", "a.sample", "-o", "x.npz"], &["DATA", "are needed"]);
    refused(2, &["a.xyz", "--kind", "nice", "--sample", "a.sample", "--save-nice", "x.nice"], &["are not read"]);
    refused(2, &["a.xyz", "--kind", "nice", "--shard", "1/2", "--save-nice", "x.nice"], &["--shard"]);
    refused(2, &["a.xyz", "--kind", "nice", "--save-sample", "x.sample", "--nu-max", "4"], &["--nu-max", "--sample"]);
    refused(2, &["a.xyz", "--kind", "nice", "--save-sample", "x.cov"], &["must end in .sample"]);
    refused(2, &["a.xyz", "--kind", "power-spectrum", "-o", "x.npz", "--checkpoint", "x"], &["--checkpoint"]);
    refused(2, &["a.xyz", "--kind", "nice", "--save-nice", "x.nice", "--normalize"], &["--output"]);
    let of_another =
        ["features", "--basis", "b.rho", "--kind", "nice", "--sample", "a.sample", "--save-nice", "x.nice"];
    place.refused(1, &of_another, &["a.sample", "the basis it was taken with"]);
}

#[test]
fn a_potential_of_nice_that_is_killed_ends_with_the_same_bytes() {
    let model = "[data]\ntrain = \"a.xyz\"\ntest = \"a.xyz@:9\"\n[basis]\nfile = \"a.rho\"\n\
                 [features]\nkind = \"nice\"\nn_centers = 300\nn_equivariants = 15\nn_invariants = 20\n\
                 [model]\ntype = \"ridge\"\nalpha = 1e-8\n";
    let place = place(1500).with("model.toml", model);
    place.ok(&["train", "model.toml", "-o", "expected.rho", "--no-plot", "--threads", "1"]);
    let args = ["train", "model.toml", "-o", "found.rho", "--no-plot", "--checkpoint", "run.ckpt"];
    let args = [&args[..], &["--checkpoint-every", "0"]].concat();
    let said = killed(&place, &args, "run.ckpt.nice", 4);
    assert!(said.iter().any(|message| message.contains("continuing from run.ckpt.nice")), "{said:?}");
    assert!(place.bytes("found.rho") == place.bytes("expected.rho"), "other bytes after {said:?}");
    assert_eq!(place.names(), ["a.rho", "a.xyz", "expected.rho", "found.rho", "model.toml"]);
}
