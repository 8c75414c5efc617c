//! What `train`, `predict` and `md` may write over, and what they leave when they are interrupted.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::{Place, bundled, says, silicon};

#[test]
fn no_output_replaces_what_is_read_or_holds_something_else() {
    let model = silicon("");
    let place = Place::of(&[("model.toml", &model)]);
    let basis = "--r-cut 4 --n-max 6 --l-max 3 --q-max 4 --spline-accuracy 1e-5";
    let data = bundled("silicon.xyz.xz");
    place.ok(&[vec!["fit", &data, "-o", "basis.rho"], basis.split(' ').collect()].concat());
    let of_file = model.replace(super::BASIS, "[basis]\nfile = \"basis.rho\"\n");
    fs::write(place.path("of_file.toml"), &of_file).unwrap();
    fs::write(place.path("notes.txt"), "to do").unwrap();
    place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]);
    let start = format!("{data}@1");
    place.ok(&["predict", "m.rho", &format!("{data}@:4"), "-o", "a.xyz"]);
    place.ok(&["predict", "m.rho", "a.xyz", "-o", "a.xyz.gz"]);

    let overwritten = "is read by this command, and would be overwritten";
    place.refused(1, &["predict", "m.rho", "a.xyz@:3", "-o", "./a.xyz"], &["a.xyz", overwritten]);
    place.refused(1, &["predict", "m.rho", "a.xyz", "-o", "m.rho"], &["m.rho", overwritten]);
    place.refused(1, &["md", "m.rho", "a.xyz@0", "--steps", "2", "-o", "a.xyz"], &["a.xyz", overwritten]);
    let over_basis = ["train", "of_file.toml", "-o", "n.rho", "--checkpoint", "basis.rho"];
    place.refused(1, &over_basis, &["basis.rho", overwritten]);
    place.refused(1, &["train", "model.toml", "-o", "basis.rho"], &["of kind 'basis'", "of kind 'potential'"]);
    place.refused(1, &["predict", "m.rho", &start, "-o", "notes.txt"], &["notes.txt", "a text", "remove the file"]);
    place.refused(1, &["predict", "m.rho", &start, "-o", "basis.rho"], &["of kind 'basis'", "a file of structures"]);
    fs::write(place.path("m.parity.svg"), "notes").unwrap();
    place.refused(1, &["train", "model.toml", "-o", "m.rho"], &["m.parity.svg", "a text", "a picture"]);
    assert!(place.path("m.rho").metadata().unwrap().len() > 0 && place.read("a.xyz").len() == 4);

    // Structures over structures, packed or not.
    for name in ["a.xyz", "a.xyz.gz"] {
        place.ok(&["predict", "m.rho", &start, "-o", name, "--force"]);
        assert_eq!(place.read(name).len(), 1);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_trajectory_ends_with_a_whole_frame() {
    let place = Place::of(&[("model.toml", &silicon(""))]);
    place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]);
    let start = format!("{}@100", bundled("silicon.xyz.xz"));
    for (name, signal, code) in [("t.xyz", libc::SIGINT, 130), ("t.xyz.xz", libc::SIGTERM, 143)] {
        let args = ["md", "m.rho", &start, "--steps", "1000000", "--every", "1", "-o", name];
        let mut child = place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut table = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while said.lines().count() < 8 {
            assert!(table.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        // SAFETY: a call of the C library with a process of ours that has not been waited for.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        table.read_to_string(&mut said).unwrap(); // lest it waits for a reader
        let output = child.wait_with_output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{message}");
        let frames = place.read(name);
        assert!(!frames.is_empty());
        let kept = message.replace(",", "").contains(&format!("of 1000000; {} frame", frames.len()));
        assert!(kept, "{} frames: {message}", frames.len());
        says(&message, &["interrupted by SIG", "after step ", &format!("are in {name}")]);
        says(&said, &["K on average", "steps per second", "wrote t.xyz"]);
        assert!(place.names().iter().all(|file| !file.ends_with(".part") && !file.contains("unfinished")));
    }
}

#[cfg(unix)]
#[test]
fn the_frames_of_a_killed_run_are_where_they_were_to_be_and_the_same_command_goes_on() {
    let place = Place::of(&[("model.toml", &silicon(""))]);
    place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]);
    let start = format!("{}@100", bundled("silicon.xyz.xz"));
    let run = ["md", "m.rho", &start, "--steps", "400", "--every", "1", "--temperature", "900"];
    let with = |more: &[&str]| place.command(&[&run[..], more].concat());
    place.succeeds(&mut with(&["-o", "whole.xyz"]));
    for name in ["t.xyz", "t.xyz.gz"] {
        let md = || with(&["-o", name, "--checkpoint", "t.md", "--checkpoint-every", "0"]);
        let mut child = md().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut table = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while said.lines().count() < 60 {
            assert!(table.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let frames = said.lines().count() - 5; // start, velocities, dynamics, a blank, the header
        assert!(place.bytes(name).len() > 1000 && place.names().iter().all(|file| !file.contains("unfinished")));
        let again = place.succeeds(&mut md());
        says(&String::from_utf8(again.stderr).unwrap(), &["going on from t.md, after step "]);
        let (whole, found) = (place.read("whole.xyz"), place.read(name));
        assert!(found.len() == 401 && frames < 401);
        assert_eq!(found, whole, "{name}");
        fs::remove_file(place.path("t.md")).unwrap();
    }
    assert_eq!(place.bytes("t.xyz"), place.bytes("whole.xyz"));
    // Nothing is replaced unless it is asked for.
    let refused = [&run[..], &["-o", "t.xyz"]].concat();
    place.refused(1, &refused, &["t.xyz: is there already", "--force"]);
}

#[test]
fn a_run_that_explodes_says_so_and_leaves_the_frames_that_show_why() {
    let place = Place::of(&[("model.toml", &silicon(""))]);
    place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]);
    let start = format!("{}@100", bundled("silicon.xyz.xz"));
    for more in [&["--dt", "40"][..], &["--dt", "40", "--thermostat", "csvr"], &["--temperature", "1e60"]] {
        let args =
            [&["md", "m.rho", &start, "--steps", "100000", "--every", "1000", "-o", "t.xyz", "--force"], more].concat();
        let failed = place.run(&args);
        let message = String::from_utf8(failed.stderr).unwrap();
        assert_eq!(failed.status.code(), Some(1), "{message}");
        says(&message, &["silicon.xyz.xz", "at step ", " in t.xyz", "error: "]);
        let frames = place.read("t.xyz");
        let said = message.replace(',', "");
        let step: usize = said.split("at step ").nth(1).unwrap().split([':', ' ']).next().unwrap().parse().unwrap();
        assert!(step < 1000, "{message}");
        if more[0] == "--dt" {
            says(&message, &["smaller time step than 40 fs"]);
            let Some(rhobasis::structure::Value::Real(time)) = frames.last().unwrap().get("time_fs") else { panic!() };
            assert!((time - 40.0 * step as f64).abs() < 40.5, "{time} fs, {message}");
        }
    }
}
