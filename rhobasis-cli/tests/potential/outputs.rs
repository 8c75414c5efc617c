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
        place.ok(&["predict", "m.rho", &start, "-o", name]);
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
fn the_frames_of_a_killed_or_failed_run_stay_under_a_name_that_shows() {
    let place = Place::of(&[("model.toml", &silicon("")), ("t.xyz", &"1\nold\nSi 0 0 0\n".to_string())]);
    place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]);
    let start = format!("{}@100", bundled("silicon.xyz.xz"));
    let unfinished =
        || -> Vec<String> { place.names().into_iter().filter(|name| name.contains("unfinished")).collect() };
    let md = |more: &[&str]| place.command(&[&["md", "m.rho", &start, "--every", "1", "-o", "t.xyz"], more].concat());

    let mut child = md(&["--steps", "1000000"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut table = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while said.lines().count() < 9 {
        assert!(table.read_line(&mut said).unwrap() > 0, "it ended: {said}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let [killed] = &unfinished()[..] else { panic!("{:?}", place.names()) };
    assert!(killed.starts_with("t.unfinished-") && killed.ends_with(".xyz"));
    assert_eq!(place.read("t.xyz")[0].species, [14], "the old file stays");
    let shown = said.lines().count() - 4; // start, dynamics, a blank, the header
    let frames = place.read(killed);
    assert!(frames.len() >= shown && frames[shown - 1].get("time_fs").is_some());

    // The next run says so, and touches it as little as other commands do.
    let again = place.succeeds(&mut md(&["--steps", "3"]));
    let note = format!("note: {killed} holds frames of a run that did not end; it stays until you remove it");
    says(&String::from_utf8(again.stderr).unwrap(), &[&note]);
    assert_eq!(place.read("t.xyz"), frames[..4]);
    place.ok(&["predict", "m.rho", "t.xyz", "-o", "t.xyz.gz"]);
    assert_eq!((unfinished(), place.read(killed)), (vec![killed.clone()], frames));

    // Atoms that fly away end a run, and its frames tell why.
    let failed = md(&["--steps", "1000000", "--temperature", "1e60"]).output().unwrap();
    let message = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{message}");
    let place_of_frames = message.split(" kept in ").nth(1).unwrap().split('\n').next().unwrap();
    let kept = format!("{} frame", place.read(place_of_frames).len());
    says(&message, &["at step 1: position", &kept, &note]);
    assert_eq!(place.read("t.xyz").len(), 4);
    assert_eq!(unfinished().len(), 2);
}
