//! A data set in parts: shards that are merged, and runs that are killed and go on.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

mod common;

use common::Place;

/// Settings small enough for a test.
const SMALL: &[&str] = &["--r-cut", "4", "--n-max", "5", "--l-max", "2", "--spline-accuracy", "1e-5"];

/// Fits with these settings.
fn fit(place: &Place, data: &[&str], output: &str, more: &[&str]) -> Output {
    let args = [&["fit"], data, &["-o", output, "--force"], SMALL, more].concat();
    place.succeeds(&mut place.command(&args))
}

/// Bent molecules C-H-O; with a fluorine now and then.
fn molecules(n: usize) -> String {
    let mut text = String::new();
    for k in 0..n {
        let d = 0.01 * ((k * 7) % 13) as f64;
        let last = if k % 31 == 30 { "F" } else { "H" };
        write!(text, "3\nenergy={} pbc=\"F F F\"\nC 0 0 0\nO {} 0.2 0\n", -10.0 - d, 1.2 + d).unwrap();
        writeln!(text, "{last} -0.5 {} 0.3", 0.95 - d).unwrap();
    }
    text
}

/// Numbers of the arrays whose name begins so, in a safetensors file.
fn numbers(file: &[u8], prefix: &str) -> Vec<f64> {
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let json: serde_json::Value = serde_json::from_slice(&file[8..8 + header]).unwrap();
    let mut values = Vec::new();
    for (name, entry) in json.as_object().unwrap().iter().filter(|(name, _)| name.contains(prefix)) {
        let place =
            |k: usize| 8 + header + entry["data_offsets"][k].as_u64().unwrap_or_else(|| panic!("{name}")) as usize;
        values.extend(file[place(0)..place(1)].chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())));
    }
    values
}

fn metadata(file: &[u8], key: &str) -> String {
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let json: serde_json::Value = serde_json::from_slice(&file[8..8 + header]).unwrap();
    json["__metadata__"][key].as_str().unwrap().to_string()
}

#[test]
fn merged_shards_equal_the_whole() {
    let place = Place::of(&[("a.xyz", molecules(70)), ("b.xyz", molecules(33))]);
    let data = ["a.xyz@2:", "b.xyz"];
    let kinds: [&[&str]; 4] =
        [&[], &["--center-specific"], &["--mixing", "combined"], &["--mixing", "combined", "--center-specific"]];
    for more in kinds {
        fit(&place, &data, "whole.rho", &[more, &["--q-max", "3"]].concat());
        fit(&place, &data, "whole.cov", more);
        for n in [2, 5] {
            let names: Vec<String> = (1..=n).rev().map(|i| format!("part-{i}.cov")).collect();
            for (i, name) in (1..=n).rev().zip(&names) {
                fit(&place, &data, name, &[more, &["--shard", &format!("{i}/{n}")]].concat());
            }
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            place.ok(&[&["merge"], &names[..], &["-o", "merged.rho", "--q-max", "3", "--force"]].concat());
            place.ok(&[&["merge"], &names[..], &["-o", "merged.cov", "--force"]].concat());
            let (whole, merged) = (place.bytes("whole.cov"), place.bytes("merged.cov"));
            let [expected, found] = [&whole, &merged].map(|file| numbers(file, "sum/"));
            let scale = expected.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
            assert_eq!(expected.len(), found.len());
            for (a, b) in expected.iter().zip(&found) {
                assert!((a - b).abs() <= 1e-13 * scale, "{more:?}, {n} shards: {a} and {b}");
            }
            for key in ["settings", "species", "centers", "n_structures", "files", "shard"] {
                assert_eq!(metadata(&whole, key), metadata(&merged, key), "{more:?}, {n} shards");
            }
            assert_eq!(numbers(&whole, "n_centers"), numbers(&merged, "n_centers"));
            let [whole, merged] = ["whole.rho", "merged.rho"].map(|name| place.bytes(name));
            for key in ["provenance", "settings", "species", "n_centers"] {
                assert_eq!(metadata(&whole, key), metadata(&merged, key), "{more:?}, {n} shards");
            }
        }
    }
}

#[test]
fn more_shards_than_frames_leave_some_of_them_empty() {
    let place = Place::of(&[("a.xyz", molecules(2)), ("b.xyz", molecules(1))]);
    let data = ["a.xyz", "b.xyz"];
    for i in 1..=5 {
        fit(&place, &data, &format!("{i}.cov"), &["--shard", &format!("{i}/5")]);
    }
    place.ok(&["merge", "1.cov", "2.cov", "3.cov", "4.cov", "5.cov", "-o", "merged.cov"]);
    fit(&place, &data, "whole.cov", &[]);
    assert_eq!(metadata(&place.bytes("merged.cov"), "files"), metadata(&place.bytes("whole.cov"), "files"));
}

#[test]
fn parts_that_do_not_make_a_whole_are_refused() {
    let place = Place::of(&[("a.xyz", molecules(9)), ("b.xyz", molecules(8))]);
    for i in ["1", "2", "3"] {
        fit(&place, &["a.xyz"], &format!("{i}.cov"), &["--shard", &format!("{i}/3")]);
    }
    fit(&place, &["b.xyz"], "b3.cov", &["--shard", "3/3"]);
    fit(&place, &["b.xyz"], "b.cov", &[]);
    fit(&place, &["a.xyz"], "wider.cov", &["--sigma", "0.4", "--shard", "3/3"]);
    let merge = |parts: &[&str], words: &[&str]| {
        place.refused(1, &[&["merge"], parts, &["-o", "x.rho"]].concat(), words);
    };
    merge(&["1.cov", "3.cov"], &["2/3", "2 of 3 shards of a.xyz", "fit --shard"]);
    merge(&["1.cov", "2.cov", "3.cov", "1.cov"], &["1.cov: is shard 1/3, and so is 1.cov", "count twice"]);
    merge(&["1.cov", "2.cov", "wider.cov"], &["wider.cov", "sigma = 0.4", "1.cov with sigma = 0.3", "same settings"]);
    merge(&["1.cov", "2.cov", "b3.cov"], &["b3.cov: is a shard of b.xyz", "1.cov of a.xyz"]);
    merge(&["1.cov", "2.cov", "3.cov", "b.cov"], &["b.cov: is no shard, but 1.cov is shard 1/3", "first"]);
    merge(&["b.cov", "b.cov"], &["holds b.xyz", "count twice"]);
    merge(&["none.cov"], &["none.cov", "no such file"]);
    merge(&["1.cov", "a.xyz"], &["a.xyz"]);
    // The sum of the shards goes with other data.
    place.ok(&["merge", "1.cov", "2.cov", "3.cov", "-o", "a.cov"]);
    place.ok(&["merge", "a.cov", "b.cov", "-o", "ab.rho", "--retain", "0.99"]);

    place.refused(2, &["fit", "a.xyz", "-o", "x.rho", "--shard", "1/3"], &["--shard", ".cov", "rhobasis merge"]);
    place.refused(2, &["fit", "a.xyz", "-o", "x.cov", "--shard", "4/3"], &["4/3", "1 ≤ i ≤ n"]);
    place.refused(2, &["fit", "a.xyz", "-o", "x.cov", "--shard", "third"], &["third", "i/n"]);
    place.refused(2, &["merge", "a.cov", "-o", "x.cov", "--q-max", "2"], &["--q-max"]);
}

/// Starts `fit` over and over and kills it at any moment, `kills` times; then lets it end. Returns the frames with which
/// the runs began, as far as they said so before they were killed.
fn fit_killed(place: &Place, args: &[&str], kills: usize) -> Vec<usize> {
    // It may be killed when all is written, and only its end is missing.
    let args = [args, &["--checkpoint", "run.ckpt", "--checkpoint-every", "0", "--force"]].concat();
    let mut random = 1_u64;
    let mut began = Vec::new();
    for kill in 0..kills {
        let mut child = place.command(&args).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // Every other run may get as far as its first checkpoint: so the whole comes to an end.
        if kill % 2 == 1 {
            wait_for_another(&place.path("run.ckpt"), &mut child);
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sleep(Duration::from_micros((random >> 33) % 10_000));
        let _ = child.kill(); // SIGKILL; it may have ended by itself
        let output = child.wait_with_output().unwrap();
        began.extend(frames_done(&String::from_utf8_lossy(&output.stderr)));
        if output.status.success() {
            return began;
        }
    }
    began.extend(frames_done(&String::from_utf8_lossy(&place.succeeds(&mut place.command(&args)).stderr)));
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
fn a_run_that_is_killed_ten_times_ends_with_the_same_bytes() {
    let place = Place::of(&[("a.xyz", molecules(13000)), ("b.xyz", molecules(7030))]);
    let data = ["a.xyz", "b.xyz@3:"];
    fit(&place, &data, "expected.rho", &["--mixing", "combined"]);
    let fit = [&["fit"], &data[..], &["-o", "found.rho"], SMALL, &["--mixing", "combined"]].concat();
    let began = fit_killed(&place, &fit, 10);
    println!("runs began with {began:?} frames");
    assert!(began.iter().filter(|&&n| n > 0).count() >= 3, "{began:?}");
    assert!(began.is_sorted(), "{began:?}");
    assert!(place.bytes("found.rho") == place.bytes("expected.rho"));
    assert_eq!(place.names(), ["a.xyz", "b.xyz", "expected.rho", "found.rho"]);
}

#[test]
fn a_shard_that_is_killed_ends_with_the_same_bytes() {
    let place = Place::of(&[("a.xyz", molecules(9001))]);
    let more = ["--shard", "2/3", "--center-specific"];
    fit(&place, &["a.xyz"], "expected.cov", &more);
    let fit = [&["fit", "a.xyz", "-o", "found.cov"], SMALL, &more[..]].concat();
    let began = fit_killed(&place, &fit, 4);
    assert!(began.iter().any(|&n| n > 0), "{began:?}");
    assert!(place.bytes("found.cov") == place.bytes("expected.cov"));
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let place = Place::of(&[("a.xyz", molecules(4000)), ("b.xyz", molecules(20))]);
    let fit = |data: &[&'static str], more: &[&'static str]| {
        let checkpoint = ["--checkpoint", "run.ckpt", "--checkpoint-every", "0"];
        [&["fit"], data, &["-o", "a.cov"], SMALL, &checkpoint[..], more].concat()
    };
    let mut child = place.command(&fit(&["a.xyz"], &[])).stderr(Stdio::null()).spawn().unwrap();
    wait_for_another(&place.path("run.ckpt"), &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.path("run.ckpt").exists());
    let remove = "or remove the checkpoint to start anew";
    place.refused(1, &fit(&["a.xyz"], &["--cutoff-width", "0.7"]), &["run.ckpt", "cutoff_width = 0.5", "0.7", remove]);
    place.refused(1, &fit(&["a.xyz"], &["--shard", "1/2"]), &["all frames", "shard 1/2", remove]);
    place.refused(1, &fit(&["a.xyz", "b.xyz"], &[]), &["a checkpoint of a.xyz, not of a.xyz, b.xyz", remove]);
    fs::write(place.path("a.xyz"), molecules(4001)).unwrap();
    place.refused(1, &fit(&["a.xyz"], &[]), &["content of a.xyz has changed", remove]);
    fs::write(place.path("run.ckpt"), &place.bytes("run.ckpt")[..300]).unwrap();
    place.refused(1, &fit(&["a.xyz"], &[]), &["run.ckpt"]);
    place.refused(2, &["fit", "a.xyz", "-o", "a.cov", "--checkpoint", "a.cov"], &["--checkpoint", "same file"]);
    place.refused(2, &["fit", "a.xyz", "-o", "a.cov", "--checkpoint-every", "9"], &["--checkpoint"]);
    place.refused(1, &["fit", "a.xyz", "-o", "a.cov", "--checkpoint", "no/run.ckpt"], &["no such folder"]);
}

#[test]
fn the_slurm_example_runs_without_slurm() {
    let place = Place::of(&[("data.xyz", molecules(3000))]);
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_rhobasis"));
    let folders = [binary.parent().unwrap().to_path_buf(), "/usr/bin".into(), "/bin".into()];
    let script = |name: &str, task: usize| {
        let mut command = Command::new("bash");
        command
            .arg(format!("{}/../examples/slurm/{name}", env!("CARGO_MANIFEST_DIR")))
            .current_dir(place.folder())
            .env("PATH", std::env::join_paths(&folders).unwrap())
            .envs([
                ("DATA", "data.xyz"),
                ("MODEL", "model.toml"),
                ("WORK", "parts"),
                ("N_SHARDS", "3"),
                ("SLURM_CPUS_PER_TASK", "2"),
            ])
            .env("SLURM_ARRAY_TASK_ID", task.to_string());
        command
    };
    let run = |name: &str, task: usize| {
        let output = script(name, task).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for task in [1, 3] {
        run("fit_array.sh", task);
    }
    let early = script("merge.sh", 0).output().unwrap();
    assert!(String::from_utf8_lossy(&early.stderr).contains("make shard 2/3"));
    run("fit_array.sh", 2);
    assert!(run("fit_array.sh", 2).contains("is there already"));
    run("merge.sh", 0);
    let settings = ["--r-cut", "5", "--sigma", "0.3", "--n-max", "12", "--l-max", "4", "--mixing", "combined"];
    place.ok(&[&["fit", "data.xyz", "-o", "whole.rho", "--retain", "0.9999"], &settings[..]].concat());
    let [whole, merged] = ["whole.rho", "parts/basis.rho"].map(|name| place.bytes(name));
    for key in ["provenance", "settings", "species", "n_centers"] {
        assert_eq!(metadata(&whole, key), metadata(&merged, key));
    }

    // The potential, of the basis that has just been made.
    let model = "[data]\ntrain = \"data.xyz@:40\"\n[basis]\nfile = \"parts/basis.rho\"\n[features]\nq_max = 2\n";
    std::fs::write(place.path("model.toml"), model).unwrap();
    for task in [1, 3] {
        run("train_array.sh", task);
    }
    let early = script("train_merge.sh", 0).output().unwrap();
    assert!(String::from_utf8_lossy(&early.stderr).contains("make shard 2/3"));
    run("train_array.sh", 2);
    assert!(run("train_array.sh", 2).contains("is there already"));
    run("train_merge.sh", 0);
    assert!(place.ok(&["show", "parts/model.rho"]).contains("rhobasis merge parts/part-1.rows"));
}
