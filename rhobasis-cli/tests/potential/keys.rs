//! Keys of labels: named ones that are nowhere, others that are proposed, and labels that are left out.

use std::fs;
use std::process::{Command, Stdio};

use super::{BASIS, Place, says};

/// Crystals of two atoms with labels as MACE and pacemaker have them.
fn crystals(n: usize) -> String {
    let frame = |k: usize| {
        let d = 1.8 + 0.05 * k as f64;
        format!(
            "2\nLattice=\"4 0 0 0 4 0 0 0 4\" pbc=\"T T T\" Properties=species:S:1:pos:R:3:REF_forces:R:3 REF_energy=-8.{k} \
             REF_stress=\"0.01 0 0 0 0.01 0 0 0 0.01\"\nSi 0 0 0 0.{k} 0 0\nSi {d} {d} {d} -0.{k} 0 0\n"
        )
    };
    (0..n).map(frame).collect()
}

/// The same under the usual keys.
fn usual(n: usize) -> String {
    crystals(n).replace("REF_", "")
}

fn model(data: &str) -> String {
    format!("[data]\ntrain = \"a.xyz\"\n{data}{BASIS}")
}

const NAMED: &str = "energy_key = \"REF_energy\"\nforce_key = \"REF_forces\"\nstress_key = \"REF_stress\"\n";

/// What a command that succeeds says on standard error.
fn warned(place: &Place, args: &[&str]) -> String {
    let output = place.run(args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn a_named_key_that_no_frame_has_is_refused_by_every_command() {
    let wrong = "energy_key = \"REF_energy\"\nforce_key = \"REF_force\"\n";
    let files = [("a.xyz", &crystals(4)[..]), ("m.toml", &model(wrong)), ("good.toml", &model(NAMED))];
    let place = Place::of(&files);
    place.ok(&["train", "good.toml", "-o", "m.rho", "--no-plot"]);
    let parts = ["m.toml", "force_key = \"REF_force\": no frame has this column; there is REF_forces"];
    for command in [
        &["train", "m.toml", "-o", "n.rho"][..],
        &["train", "m.toml", "-o", "n.rho", "--dry-run"],
        &["evaluate", "m.toml", "--folds", "2"],
    ] {
        place.refused(1, command, &parts);
    }
    fs::write(place.path("m.toml"), model(&format!("{wrong}test_fraction = 0.5\n"))).unwrap();
    place.refused(1, &["evaluate", "m.toml", "--learning-curve", "2"], &parts);
    let parts = ["a.xyz", "--force-key REF_force: no frame has this column; there is REF_forces"];
    let flags = ["--energy-key", "REF_energy", "--force-key", "REF_force"];
    place.refused(1, &[&["evaluate", "m.rho", "a.xyz"], &flags[..]].concat(), &parts);
    place.refused(1, &[&["info", "a.xyz"], &flags[..]].concat(), &parts);
    // The usual name is a name too, once it is given.
    place.refused(1, &["info", "a.xyz", "--stress-key", "stress"], &["--stress-key stress: no frame has this key"]);
    place.refused(
        1,
        &["fit", "a.xyz", "-o", "b.rho", "--method", "pcovr", "--energy-key", "REF_enrgy"],
        &["a.xyz, frame 0", "'REF_enrgy'", "energy_key = \"REF_energy\" (--energy-key REF_energy)"],
    );
}

#[test]
fn keys_are_looked_for_before_anything_is_predicted() {
    // Oxygen is unknown to the potential: the first prediction would say so.
    let strange = crystals(4).replace("Si", "O");
    let files = [("a.xyz", &crystals(4)[..]), ("o.xyz", &strange), ("m.toml", &model(NAMED))];
    let place = Place::of(&files);
    place.ok(&["train", "m.toml", "-o", "m.rho", "--no-plot"]);
    let named = ["evaluate", "m.rho", "o.xyz", "--energy-key", "REF_enrgy"];
    place.refused(1, &named, &["--energy-key REF_enrgy: no frame has this key; there is REF_energy"]);
    place.refused(1, &["evaluate", "m.rho", "o.xyz"], &["no frame has a label under energy"]);
    place.refused(
        1,
        &["evaluate", "m.rho", "o.xyz", "--energy-key", "REF_energy"],
        &["o.xyz, frame 0, atom 0: O is not among the species"],
    );
    // A pipe is read once, and the end tells.
    let piped = ["evaluate", "m.rho", "/dev/stdin", "--energy-key"];
    let run = |key: &str| {
        let frames = fs::File::open(place.path("a.xyz")).unwrap();
        let mut cat = Command::new("cat").stdin(frames).stdout(Stdio::piped()).spawn().unwrap();
        let pipe = cat.stdout.take().unwrap();
        let output = place.command(&[&piped[..], &[key]].concat()).stdin(pipe).output().unwrap();
        cat.wait().unwrap();
        output
    };
    assert!(run("REF_energy").status.success());
    says(&String::from_utf8(run("REF_enrgy").stderr).unwrap(), &["--energy-key REF_enrgy: no frame has this key"]);
    // Nor is a model trained whose test would fail.
    let text = model(NAMED).replace("\nenergy_key", "\ntest = \"o.xyz\"\nenergy_key");
    fs::write(place.path("m.toml"), &text).unwrap();
    place.refused(1, &["train", "m.toml", "-o", "n.rho"], &["o.xyz, frame 0, atom 0: O was no centre"]);
    fs::write(place.path("t.xyz"), crystals(2).replace("REF_", "other_")).unwrap();
    fs::write(place.path("m.toml"), text.replace("o.xyz", "t.xyz")).unwrap();
    let curve = ["evaluate", "m.toml", "--learning-curve", "2"];
    place.refused(1, &curve, &["no test frame has a label under REF_energy, REF_forces, REF_stress"]);
}

#[test]
fn a_label_whose_square_is_none_is_refused_with_its_frame() {
    let wrong = usual(3) + &usual(1).replace("energy=-8.0", "energy=1e308");
    let place = Place::of(&[("a.xyz", &usual(4)), ("b.xyz", &wrong), ("m.toml", &model(""))]);
    place.ok(&["train", "m.toml", "-o", "m.rho", "--no-plot"]);
    let parts = ["b.xyz, frame 3: energy is 1e308, and labels reach 1e100 at most; correct it"];
    place.refused(1, &["evaluate", "m.rho", "b.xyz"], &parts);
    fs::write(place.path("m.toml"), model("").replace("a.xyz", "b.xyz")).unwrap();
    place.refused(1, &["train", "m.toml", "-o", "n.rho"], &parts);
    place.refused(1, &["evaluate", "m.toml", "--folds", "2"], &parts);
    place.refused(1, &["fit", "b.xyz", "-o", "n.rho", "--method", "pcovr"], &parts);
    says(&place.ok(&["info", "b.xyz", "--labels"]), &["labels would be refused: 1", "energy is 1e308"]);
}

#[test]
fn a_key_that_some_frames_have_is_enough() {
    let place = Place::of(&[("a.xyz", &(crystals(3) + &usual(2))), ("m.toml", &model(NAMED))]);
    says(
        &place.ok(&["train", "m.toml", "-o", "m.rho", "--no-plot"]),
        &["5 frames", "3 energies", "18 force components"],
    );
}

#[test]
fn test_frames_without_the_labels_are_named() {
    let place = Place::of(&[("a.xyz", &crystals(3)), ("t.xyz", &usual(1)), ("m.toml", &model(NAMED))]);
    let text = fs::read_to_string(place.path("m.toml")).unwrap();
    fs::write(place.path("m.toml"), text.replace("\nenergy_key", "\ntest = \"t.xyz\"\nenergy_key")).unwrap();
    let text = warned(&place, &["train", "m.toml", "-o", "m.rho", "--no-plot"]);
    says(
        &text,
        &["warning: among the test frames, ", "energy_key = \"REF_energy\": no frame has this key; there is energy"],
    );
}

#[test]
fn keys_that_look_like_labels_are_proposed_where_the_usual_ones_are_missing() {
    let place = Place::of(&[("a.xyz", &crystals(4)), ("m.toml", &model("")), ("good.toml", &model(NAMED))]);
    let lines = NAMED.replace('\n', "\n  ");
    let lines = lines.trim_end();
    place.refused(
        1,
        &["train", "m.toml", "-o", "m.rho", "--force"],
        &[
            "no training frame has a label under energy, forces, stress, virial",
            "add to [data] what is meant of",
            lines,
        ],
    );
    let flags = "--energy-key REF_energy --force-key REF_forces --stress-key REF_stress";
    says(&place.ok(&["info", "a.xyz"]), &["Keys that look like labels", lines, flags]);
    place.ok(&["train", "good.toml", "-o", "m.rho", "--no-plot"]);
    place.refused(1, &["evaluate", "m.rho", "a.xyz"], &["no frame has a label under", flags]);
    place.refused(
        1,
        &["fit", "a.xyz", "-o", "b.rho", "--method", "pcovr"],
        &["a.xyz, frame 0", "'REF_energy' looks like one", "--energy-key REF_energy"],
    );
    // One kind is missing and the others are there.
    fs::write(place.path("m.toml"), model("energy_key = \"REF_energy\"\n")).unwrap();
    let text = warned(&place, &["train", "m.toml", "-o", "n.rho", "--force", "--no-plot"]);
    says(
        &text,
        &["warning: nothing is under the usual keys of forces, stress;", "  force_key = \"REF_forces\"\n  stress_key"],
    );
    let text = warned(&place, &["evaluate", "m.rho", "a.xyz", "--energy-key", "REF_energy", "--stress-key", ""]);
    says(&text, &["usual keys of forces;", "--force-key REF_forces"]);
    assert!(!text.contains("--stress-key"), "{text}");
    // All is there: info mentions what else may be a label, the others say nothing.
    fs::write(place.path("a.xyz"), usual(4).replace("pbc=", "free_energy=-1 pbc=")).unwrap();
    fs::write(place.path("m.toml"), model("")).unwrap();
    says(&place.ok(&["info", "a.xyz"]), &["keys that may hold energy too: free_energy"]);
    assert_eq!(
        warned(&place, &["train", "m.toml", "-o", "n.rho", "--force", "--no-plot"]).matches("warning").count(),
        0
    );
}

#[test]
fn a_slab_with_a_stress_and_labels_of_nan_are_left_out_with_a_warning() {
    let whole = usual(4);
    let slab = usual(1).replace("pbc=\"T T T\"", "pbc=\"T T F\"");
    let nan = usual(1).replace("-8.0", "nan").replace("0.0 0 0", "nan nan nan");
    let place = Place::of(&[("a.xyz", &(whole + &slab + &slab + &nan)), ("m.toml", &model(""))]);
    let parts =
        ["the stress of 2 frames is left out", "a.xyz, frame 4", "the energy of 1 frame is NaN", "a.xyz, frame 6"];
    says(&warned(&place, &["train", "m.toml", "-o", "m.rho", "--force", "--no-plot"]), &parts);
    says(
        &place.ok(&["train", "m.toml", "-o", "m.rho", "--dry-run"]),
        &["7 frames", "6 energies", "36 force components", "30 stress components"],
    );
    says(&warned(&place, &["evaluate", "m.rho", "a.xyz"]), &parts);
    says(&place.ok(&["info", "a.xyz"]), &[&parts[..], &["the forces of 1 frame are NaN", "5 frames"]].concat());
    says(&warned(&place, &["evaluate", "m.toml", "--folds", "2"]), &parts);
    // In part NaN is a mistake.
    fs::write(place.path("a.xyz"), usual(2) + &usual(1).replace("0.0 0 0", "0.0 nan 0")).unwrap();
    place.refused(
        1,
        &["train", "m.toml", "-o", "m.rho", "--force"],
        &["a.xyz, frame 2, atom 0: component y of forces is NaN"],
    );
    place.refused(1, &["evaluate", "m.rho", "a.xyz"], &["a.xyz, frame 2, atom 0: component y of forces is NaN"]);
    says(&place.ok(&["info", "a.xyz"]), &["labels would be refused: 1", "atom 0: component y of forces is NaN"]);
}

#[test]
fn a_misspelt_cell_is_named_and_a_harmless_one_mentioned() {
    let place = Place::of(&[("a.xyz", &(usual(1) + &usual(1).replace("Lattice", "lattice")))]);
    place.refused(1, &["info", "a.xyz"], &["a.xyz, frame 1", "'lattice' differs from Lattice", "write Lattice"]);
    fs::write(place.path("a.xyz"), usual(2).replace("pbc=", "lattice=fcc pbc=")).unwrap();
    says(&place.ok(&["info", "a.xyz"]), &["the key 'lattice' is not taken for Lattice"]);
}
