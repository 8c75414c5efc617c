//! Fits that are killed and continued.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Place, says, silicon};

/// Starts `train` over and over and kills it at any moment, `kills` times; then lets it end. Returns the frames with which the
/// runs began, as far as they said so before they were killed.
fn train_killed(place: &Place, args: &[&str], kills: usize) -> Vec<usize> {
    let args = [args, &["--checkpoint", "run.ckpt", "--checkpoint-every", "0"]].concat();
    let mut random = 1_u64;
    let mut began = Vec::new();
    for kill in 0..kills {
        let mut child = place.command(&args).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        if kill % 2 == 1 {
            wait_for_another(&place.path("run.ckpt"), &mut child); // so the whole comes to an end
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sleep(Duration::from_micros((random >> 33) % 20_000));
        let _ = child.kill(); // SIGKILL; it may have ended by itself
        let output = child.wait_with_output().unwrap();
        began.extend(frames_done(&String::from_utf8_lossy(&output.stderr)));
        if output.status.success() {
            return began;
        }
    }
    let output = place.run(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.extend(frames_done(&String::from_utf8_lossy(&output.stderr)));
    began
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

fn frames_done(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once("continuing from run.ckpt: ")?;
    Some(rest.split_once(" frame")?.0.replace(',', "").parse().unwrap())
}

#[test]
fn a_fit_that_is_killed_ends_with_the_same_bytes() {
    for model in ["alpha = [1e-12, 1e-8]", "type = \"gap\"\nn_sparse = 60"] {
        let text = silicon("").replace("alpha = 1e-10", model);
        let place = Place::of(&[("model.toml", &text)]);
        place.ok(&["train", "model.toml", "-o", "expected.rho", "--no-plot", "--threads", "1"]);
        let began = train_killed(&place, &["train", "model.toml", "-o", "found.rho", "--no-plot"], 8);
        println!("runs began with {began:?} frames");
        assert!(began.iter().filter(|&&n| n > 0).count() >= 2 && began.is_sorted(), "{began:?}");
        assert!(place.bytes("found.rho") == place.bytes("expected.rho"), "other bytes after {began:?}");
        assert_eq!(place.names(), ["expected.rho", "found.rho", "model.toml"]);
    }
}

#[test]
fn a_checkpoint_of_another_fit_is_refused() {
    let place = Place::of(&[("model.toml", &silicon(""))]);
    let args = ["train", "model.toml", "-o", "m.rho", "--checkpoint", "run.ckpt", "--checkpoint-every", "0"];
    let mut child = place.command(&args).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_for_another(&place.path("run.ckpt"), &mut child);
    let _ = child.kill();
    child.wait().unwrap();
    if !place.path("run.ckpt").exists() {
        return; // it was faster than we are
    }
    fs::write(place.path("model.toml"), silicon("[weights]\nforce_sigma = 0.1\n")).unwrap();
    let output = place.run(&args);
    assert_eq!(output.status.code(), Some(1));
    says(&String::from_utf8_lossy(&output.stderr), &["run.ckpt", "other settings or data", "remove it"]);
    place.refused(2, &["train", "model.toml", "-o", "m.rho", "--checkpoint", "m.rho"], &["the same file"]);
}
