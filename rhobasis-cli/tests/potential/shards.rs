//! Fits whose rows are summed in parts.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rhobasis::files::{Archive, Stored};
use rhobasis::potential::Potential;

use super::{Place, bundled, says, silicon};

/// Makes the parts of a model, `part-1.rows` and on, and returns their names.
fn parts(place: &Place, model: &str, n: usize, more: &[&str]) -> Vec<String> {
    let names: Vec<String> = (1..=n).map(|i| format!("part-{i}.rows")).collect();
    for (i, name) in names.iter().enumerate() {
        let shard = format!("{}/{n}", i + 1);
        place.ok(&[&["train", model, "-o", name, "--shard", &shard, "--force"], more].concat());
    }
    names
}

fn merge(place: &Place, names: &[String], output: &str) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    place.ok(&[&["merge"], &names[..], &["-o", output, "--force"]].concat())
}

fn load(place: &Place, name: &str) -> Potential {
    Potential::load(&place.path(name)).unwrap()
}

/// How far energies, forces and stresses of some frames are apart, over the largest force.
fn apart(place: &Place, a: &str, b: &str) -> f64 {
    let (a, b) = (load(place, a), load(place, b));
    let frames = place.read("some.xyz");
    assert!(!frames.is_empty() && a.to_bytes() != b.to_bytes());
    let [a, b] = [a, b].map(|potential| potential.predict(&frames, true).unwrap());
    let mut most = 0.0_f64;
    for (a, b) in a.iter().zip(&b) {
        most = most.max((a.energy - b.energy).abs());
        let forces = a.forces.as_flattened().iter().zip(b.forces.as_flattened());
        most = forces.fold(most, |most, (a, b)| most.max((a - b).abs()));
    }
    most
}

/// What a command said, without what differs from run to run.
fn comparable(text: &str) -> Vec<String> {
    let differs = ["time", "peak memory", "wrote", "next:", "parts", "condition"];
    let lines = text.lines().filter(|line| !differs.iter().any(|word| line.trim_start().starts_with(word)));
    lines.map(str::to_string).collect()
}

/// Silicon, one in six frames, and a few frames to predict.
fn place_of(model: &str) -> Place {
    let place = Place::of(&[("model.toml", model)]);
    let frames = rhobasis::extxyz::read(bundled("silicon.xyz.xz"), &Default::default()).unwrap();
    let some: Vec<_> = frames.into_iter().skip(2).step_by(97).collect();
    rhobasis::extxyz::write(place.path("some.xyz"), &some).unwrap();
    place
}

#[test]
fn parts_make_the_potential_of_one_run() {
    for alpha in ["[1e-12, 1e-10, 1e-8]", "1e-10"] {
        let place = place_of(&silicon("").replace("alpha = 1e-10", &format!("alpha = {alpha}")));
        let whole = place.ok(&["train", "model.toml", "-o", "whole.rho", "--no-plot"]);
        for n in if alpha.starts_with('[') { vec![3, 7] } else { vec![2] } {
            let mut names = parts(&place, "model.toml", n, &[]);
            let said = merge(&place, &names, "merged.rho");
            // All that a fit says at its end, to the digits that are printed.
            assert_eq!(comparable(&said), comparable(&whole), "alpha = {alpha}, {n} parts");
            let off = apart(&place, "whole.rho", "merged.rho");
            println!("alpha = {alpha}, {n} parts: {off:e} eV, eV/Å");
            assert!(off < 1e-10, "alpha = {alpha}, {n} parts: {off:e} eV, eV/Å");
            let (whole, merged) = (load(&place, "whole.rho"), load(&place, "merged.rho"));
            assert_eq!(whole.alpha(), merged.alpha());
            let [a, b] = [&whole, &merged].map(|potential| potential.calibration().unwrap());
            assert_eq!(a.frames, b.frames);
            for (a, b) in [(a.energy, b.energy), (a.force, b.force), (a.force_rmse, b.force_rmse)] {
                assert!((a.unwrap() / b.unwrap() - 1.0).abs() < 1e-6);
            }
            // The order in which parts are named, and the number of threads, change nothing.
            names.reverse();
            let args: Vec<&str> = names.iter().map(String::as_str).collect();
            place.ok(&[&["merge", "--threads", "1", "-o", "again.rho"], &args[..]].concat());
            let [a, b] = [load(&place, "merged.rho"), load(&place, "again.rho")].map(|p| p.to_bytes());
            assert!(a == b, "alpha = {alpha}, {n} parts");
            fs::remove_file(place.path("again.rho")).unwrap();
        }
        // One part is all.
        merge(&place, &parts(&place, "model.toml", 1, &["--threads", "1"]), "one.rho");
        assert!(load(&place, "one.rho").to_bytes() == load(&place, "whole.rho").to_bytes());
    }
}

#[test]
fn normal_equations_and_nice_go_in_parts_too() {
    for more in ["solver = \"cholesky\"\n", "[features]\nkind = \"nice\"\nnu_max = 3\nn_invariants = 20\n"] {
        let place = place_of(&silicon(more).replace("@::6", "@::24").replace("@3::6", "@3::24"));
        place.ok(&["train", "model.toml", "-o", "whole.rho", "--no-plot"]);
        merge(&place, &parts(&place, "model.toml", 2, &[]), "merged.rho");
        let off = apart(&place, "whole.rho", "merged.rho");
        println!("{more}: {off:e}");
        assert!(off < 1e-10, "{more}: {off:e}");
    }
}

/// Fewer energies in a fold than parameters, and a species that comes first among them and is in a few frames alone.
#[test]
fn parts_that_lack_a_species_and_have_few_rows_make_the_potential_of_one_run() {
    let mut text = String::new();
    for k in 0..60 {
        let d = 0.01 * f64::from(k * 7 % 13);
        let last = if k % 19 == 18 { "H" } else { "F" };
        text += &format!(
            "3\nenergy={} pbc=\"F F F\"\nC 0 0 0\nO {} 0.2 0\n{last} -0.5 {} 0.3\n",
            -10.0 - d,
            1.2 + d,
            0.95 - d
        );
    }
    let model = format!(
        "[data]\ntrain = \"data.xyz\"\n{}[model]\nalpha = [1e-6, 1e-4]\n",
        super::BASIS.replace("q_max = 4", "q_max = 2")
    );
    let place = Place::of(&[("data.xyz", &text), ("some.xyz", &text), ("model.toml", &model)]);
    place.ok(&["train", "model.toml", "-o", "whole.rho", "--no-plot"]);
    for n in [4, 10] {
        merge(&place, &parts(&place, "model.toml", n, &[]), "merged.rho");
        let off = apart(&place, "whole.rho", "merged.rho");
        println!("{n} parts: {off:e}");
        assert!(off < 1e-10, "{n} parts: {off:e}");
        assert_eq!(load(&place, "whole.rho").alpha(), load(&place, "merged.rho").alpha());
    }
}

#[test]
fn more_parts_than_frames_of_a_fold_or_than_frames() {
    let place =
        place_of(&silicon("").replace("@::6", "@::60").replace("@3::6", "@3::60").replace("1e-10", "[1e-6, 1e-3]"));
    let whole = place.ok(&["train", "model.toml", "-o", "whole.rho", "--no-plot"]);
    says(&whole, &["training set"]);
    merge(&place, &parts(&place, "model.toml", 17, &[]), "merged.rho");
    let off = apart(&place, "whole.rho", "merged.rho");
    assert!(off < 1e-10, "{off:e}");
}

#[test]
fn a_part_that_is_killed_goes_on_to_the_same_bytes() {
    let place = place_of(&silicon(""));
    let args = ["train", "model.toml", "-o", "p.rows", "--shard", "2/3"];
    place.ok(&args);
    let expected = place.bytes("p.rows");
    fs::remove_file(place.path("p.rows")).unwrap();
    let args = [&args[..], &["--checkpoint", "p.ckpt", "--checkpoint-every", "0"]].concat();
    let quiet = |mut command: Command| command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    for _ in 0..4 {
        let mut child = quiet(place.command(&args));
        while !place.path("p.ckpt").exists() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
    if !place.path("p.rows").exists() {
        let other = place.run(&["train", "model.toml", "-o", "q.rows", "--shard", "1/3", "--checkpoint", "p.ckpt"]);
        says(&String::from_utf8_lossy(&other.stderr), &["p.ckpt", "other settings or data"]);
        place.ok(&args);
    }
    assert!(place.bytes("p.rows") == expected);
    assert!(!place.path("p.ckpt").exists());
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let text = silicon("").replace("@::6", "@::60").replace("@3::6", "@3::60");
    let place = place_of(&text).with("other.toml", text.replace("1e-10", "1e-9"));
    let place = place.with("fewer.toml", text.replace("@3::60", "@9::60"));
    let names = parts(&place, "model.toml", 3, &[]);
    place.ok(&["train", "other.toml", "-o", "other.rows", "--shard", "3/3"]);
    place.ok(&["train", "fewer.toml", "-o", "fewer.rows", "--shard", "3/3"]);
    place.ok(&["train", "model.toml", "-o", "half.rows", "--shard", "1/2"]);
    let [one, two, three] = [0, 1, 2].map(|k| names[k].as_str());
    let refused = |parts: &[&str], words: &[&str]| {
        place.refused(1, &[&["merge"], parts, &["-o", "m.rho"]].concat(), words);
        assert!(!place.path("m.rho").exists());
    };
    refused(&[one, three], &["2 of 3 shards", "make shard 2/3 with train --shard"]);
    refused(&[one, two, two, three], &["is shard 2/3, and so is", "would count twice"]);
    refused(&[one, two, "other.rows"], &["other.rows", "settings.model.alpha", "1e-9", "1e-10"]);
    refused(&[one, two, "fewer.rows"], &["fewer.rows", "is a shard of"]);
    refused(&[one, two, "half.rows"], &["half.rows", "is shard 1/2"]);
    refused(&[one, "model.toml"], &["model.toml"]);
    place.refused(2, &["merge", one, two, three, "-o", "m.rho", "--q-max", "3"], &["--q-max", "rows of a fit"]);
    place.refused(2, &["merge", one, two, three, "-o", "m.cov"], &["m.cov", ".rho"]);
    place.refused(2, &["train", "model.toml", "-o", "m.rho", "--shard", "1/2"], &["must end in .rows"]);
    place.refused(2, &["train", "model.toml", "-o", "m.rows"], &["must end in .rho"]);
    place.refused(2, &["train", "model.toml", "-o", "m.rows", "--shard", "3/2"], &["1 ≤ i ≤ n"]);
    let shown = place.ok(&["show", two]);
    says(&shown, &["for the model of model.toml", "shard", "2/3", "made by", "rhobasis train model.toml --shard 2/3"]);
    // The text of the model file goes with the parts; the data are read again.
    fs::write(place.path("model.toml"), "changed").unwrap();
    merge(&place, &names, "m.rho");
    let elsewhere = Place::new();
    for name in &names {
        fs::copy(place.path(name), elsewhere.path(name)).unwrap();
    }
    merge(&elsewhere, &names, "m.rho");
    assert!(load(&elsewhere, "m.rho").to_bytes() == load(&place, "m.rho").to_bytes());
}

/// What machines or versions that differ would leave in the parts.
#[test]
fn parts_of_another_basis_version_or_components_are_refused() {
    let more = "[features]\ncolumns = \"columns.npz\"\n";
    let text = silicon(more).replace("@::6", "@::60").replace("@3::6", "@3::60");
    let place = Place::of(&[("model.toml", &text)]);
    let data = format!("{}@::60", bundled("silicon.xyz.xz"));
    let flags = "--r-cut 4 --sigma 0.4 --n-max 6 --l-max 3 --q-max 4 --spline-accuracy 1e-5";
    place.ok(&[&["fit", &data, "-o", "b.rho"], &flags.split(' ').collect::<Vec<_>>()[..]].concat());
    place.ok(&["features", &data, "--basis", "b.rho", "--kind", "power-spectrum", "-o", "X.npz"]);
    place.ok(&["select", "X.npz", "-n", "12", "-o", "columns.npz"]);
    let names = parts(&place, "model.toml", 2, &[]);
    let args = ["merge", &names[0], &names[1], "-o", "m.rho"];
    let columns = place.bytes("columns.npz");
    place.ok(&["select", "X.npz", "-n", "11", "-o", "columns.npz", "--force"]);
    place.refused(1, &args, &["model.toml", "its settings are not those of the parts"]);
    fs::write(place.path("columns.npz"), columns).unwrap();
    place.ok(&args);

    let change = |name: &str, key: &str, from: &str, to: &str| {
        let mut archive = Archive::read(&place.path(name), "rows").unwrap();
        let text = archive.metadata.get_mut(key).unwrap();
        assert!(text.contains(from), "{text}");
        *text = text.replacen(from, to, 1);
        archive.write(&place.path(name), "rows").unwrap();
    };
    let version = format!("\"rhobasis\":\"{}\"", env!("CARGO_PKG_VERSION"));
    let args = [&args[..], &["--force"]].concat();
    for name in &names {
        change(name, "origin", &version, "\"rhobasis\":\"0.0.1\"");
    }
    place.refused(1, &args, &["part-1.rows", "made by rhobasis", "0.0.1", "version that made the parts"]);
    change(&names[0], "origin", "\"rhobasis\":\"0.0.1\"", &version);
    place.refused(1, &args, &["part-2.rows", "rhobasis = \"0.0.1\""]);
    change(&names[1], "origin", "\"rhobasis\":\"0.0.1\"", &version);
    place.ok(&args);
    change(&names[1], "made", "\"", "\"0");
    place.refused(1, &args, &["part-2.rows", "not those of part-1.rows, to the last bit", "rhobasis fit"]);
}

#[test]
fn data_that_are_not_where_the_parts_were_made_are_named() {
    let text = silicon("")
        .replace(&bundled("silicon.xyz.xz"), "data.xyz.xz")
        .replace("@::6", "@::60")
        .replace("@3::6", "@3::60");
    let data = fs::read(bundled("silicon.xyz.xz")).unwrap();
    let place = Place::of(&[("model.toml", text.as_bytes()), ("data.xyz.xz", &data)]);
    let names = parts(&place, "model.toml", 2, &[]);
    let args: Vec<&str> = [&["merge", "-o", "m.rho"], &[&names[0][..], &names[1]][..]].concat();
    fs::rename(place.path("data.xyz.xz"), place.path("moved")).unwrap();
    place.refused(1, &args, &["data.xyz.xz", "no such file", "merge in the folder where the parts were made"]);
    let frames = place.read("moved");
    rhobasis::extxyz::write(place.path("data.xyz.xz"), &frames).unwrap();
    place.refused(1, &args, &["data.xyz.xz", "is not the file that the parts were made of"]);
}

#[test]
fn what_no_part_can_be_made_of_is_refused_before_any_work() {
    let gap = silicon("").replace("alpha = 1e-10", "type = \"gap\"\nn_sparse = 20");
    let exact = silicon("").replace("alpha = 1e-10", "type = \"kernel-ridge\"");
    let made = silicon("").replace("[basis]", "[basis]\nmethod = \"supervised\"");
    let place = Place::of(&[("gap.toml", gap), ("exact.toml", exact), ("made.toml", made)]);
    for (name, words) in [
        ("gap.toml", ["model = gap", "sparse points", "one run"]),
        ("exact.toml", ["model = kernel-ridge", "all frames together", "one run"]),
        ("made.toml", ["supervised", "rhobasis fit --method supervised", "file ="]),
    ] {
        place.refused(1, &["train", name, "-o", "p.rows", "--shard", "1/2"], &words);
    }
    let dipoles = super::example("model-dipoles.toml");
    place.refused(2, &["train", &dipoles, "-o", "p.rows", "--shard", "1/2"], &["--shard", "tensor"]);
    assert!(!place.path("p.rows").exists());
}
