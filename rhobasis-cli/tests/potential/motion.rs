//! md, relax and elastic: what they begin with, go on with, and say.

use std::fs;

use rhobasis::structure::{ColumnData, Value};

use super::{Place, bundled, cell, says, silicon};

fn trained(more: &str) -> Place {
    let place = Place::of(&[("model.toml", &silicon(more))]);
    place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]);
    place
}

/// The text of a file of frames without one of its columns of three numbers.
fn without(text: &str, column: &str) -> String {
    let (mut lines, mut place) = (Vec::new(), None);
    for line in text.lines() {
        if line.contains("Properties=") {
            let properties = line.split("Properties=").nth(1).unwrap().split(' ').next().unwrap();
            let mut at = 0;
            for field in properties.split(':').collect::<Vec<_>>().chunks(3) {
                if field[0] == column {
                    place = Some(at);
                }
                at += field[2].parse::<usize>().unwrap();
            }
            lines.push(line.replace(&format!(":{column}:R:3"), ""));
        } else if let (Some(at), true) = (place, line.split_whitespace().count() > 3) {
            let words = line.split_whitespace().enumerate().filter(|(k, _)| !(at..at + 3).contains(k));
            lines.push(words.map(|(_, word)| word).collect::<Vec<_>>().join(" "));
        } else {
            lines.push(line.to_string());
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn a_run_in_two_parts_has_the_bits_of_one() {
    let place = trained("");
    let start = format!("{}@100", bundled("silicon.xyz.xz"));
    let hot = ["md", "m.rho", &start, "--temperature", "2500", "--dt", "2", "--thermostat", "csvr", "--every", "4"];
    for (name, more) in [("nvt", &[][..]), ("npt", &["--barostat", "scr", "--pressure", "1", "--tau-p", "300"])] {
        let run = [&hot[..], more].concat();
        let whole = place.ok(&[&run[..], &["--steps", "150", "-o", &format!("{name}.xyz")]].concat());
        let (part, file) = (format!("{name}-part.xyz"), format!("{name}.md"));
        let part_of =
            |steps: &'static str| [&run[..], &["--steps", steps, "-o", &part, "--checkpoint", &file]].concat();
        place.ok(&part_of("71"));
        // What a killed run may have written besides.
        let mut torn = place.bytes(&part);
        torn.extend_from_slice(b"64\nLattice=\"1");
        fs::write(place.path(&part), torn).unwrap();
        let rest = place.ok(&part_of("150"));
        assert_eq!(place.bytes(&part), place.bytes(&format!("{name}.xyz")), "{name}");
        // So are the averages of the whole, and its table but for what was printed before.
        for row in ["temperature ", "drift ", "fluctuation "] {
            let of = |text: &str| text.lines().find(|line| line.starts_with(row)).unwrap().to_string();
            assert_eq!(of(&rest), of(&whole));
        }
        says(&rest, &["velocities      those of ", "after step 71"]);
    }
    // Of another run it says what differs; another trajectory is not cut.
    let other = [&hot[..], &["--steps", "9", "--seed", "5", "-o", "nvt-part.xyz", "--checkpoint", "nvt.md"]].concat();
    place.refused(1, &other, &["nvt.md: is of a run with another seed (0, now 5)"]);
    fs::copy(place.path("npt.xyz"), place.path("nvt-part.xyz")).unwrap();
    let swapped = [&hot[..], &["--steps", "160", "-o", "nvt-part.xyz", "--checkpoint", "nvt.md"]].concat();
    place.refused(1, &swapped, &["nvt-part.xyz: is not the trajectory that the checkpoint belongs to"]);
    place.refused(1, &["md", "m.rho", &start, "--checkpoint", "m.rho"], &["m.rho"]);
}

#[test]
fn a_frame_starts_with_its_velocities_unless_a_temperature_is_asked_for() {
    let place = trained("");
    let start = format!("{}@100", bundled("silicon.xyz.xz"));
    let first = place.ok(&["md", "m.rho", &start, "--steps", "30", "-o", "t.xyz"]);
    says(&first, &["velocities      drawn at 300 K\n"]);
    let hot = place.ok(&["md", "m.rho", "t.xyz@-1", "--steps", "0"]);
    says(&hot, &["velocities      'velocities' of the frame (in Å/fs): "]);
    let row = |text: &str| -> Vec<f64> {
        let line = text.lines().rfind(|l| l.starts_with("  ") && !l.contains("time fs")).unwrap();
        line.split_whitespace().map(|word| word.parse().unwrap()).collect()
    };
    let (end, begin) = (row(&first), row(&hot));
    assert!((1..5).all(|k| (end[k] - begin[k]).abs() < 2e-6 + 1e-2 * f64::from(k == 3)), "{end:?} {begin:?}");
    let drawn = place.ok(&["md", "m.rho", "t.xyz@-1", "--steps", "0", "--temperature", "400"]);
    says(&drawn, &["drawn at 400 K; 'velocities' of the frame is left out, as --temperature is given"]);
    let repeated = place.ok(&["md", "m.rho", "t.xyz@-1", "--steps", "0", "--repeat", "2,1,1"]);
    says(&repeated, &["drawn at 300 K; 'velocities' of the frame is left out, as copies of atoms would move in step"]);
    // Momenta as ASE has them: amu Å over √(amu Å²/eV).
    let text = String::from_utf8(place.bytes("t.xyz")).unwrap();
    fs::write(place.path("ase.xyz"), without(&text, "velocities")).unwrap();
    let of_ase = place.ok(&["md", "m.rho", "ase.xyz@-1", "--steps", "0"]);
    says(&of_ase, &["velocities      'momenta' of the frame (momenta of ASE): "]);
    assert!((row(&of_ase)[3] - begin[3]).abs() < 0.02);
    // Both, and they contradict each other.
    let frame = place.read("t.xyz").pop().unwrap();
    let ColumnData::Reals(momenta) = &frame.column("momenta").unwrap().data else { panic!() };
    let changed = text.replace(&format!("{:?}", momenta[5]), "7.5");
    assert_ne!(changed, text);
    fs::write(place.path("odd.xyz"), changed).unwrap();
    place.refused(1, &["md", "m.rho", "odd.xyz@-1"], &["odd.xyz, frame 3, atom 1: ", "contradict each other"]);
    // What has no meaning here is said to have none.
    let masked = "1\nProperties=species:S:1:pos:R:3:move_mask:L:1 pbc=\"F F F\"\nSi 0 0 0 F\n";
    fs::write(place.path("masked.xyz"), masked).unwrap();
    let output = place.run(&["md", "m.rho", "masked.xyz", "--steps", "0"]);
    says(&String::from_utf8(output.stderr).unwrap(), &["masked.xyz, frame 0: the column 'move_mask' is not looked at"]);
}

#[test]
fn a_run_ends_where_the_potential_knows_nothing_and_keeps_what_to_label() {
    let place = trained("");
    let start = format!("{}@0", bundled("silicon.xyz.xz"));
    let heated = ["md", "m.rho", &start, "--repeat", "2,1,1", "--temperature", "9000", "--every", "5", "--seed", "3"];
    let number = |frame: &rhobasis::Structure, name: &str| match frame.get(name) {
        Some(Value::Real(x)) => *x,
        other => panic!("{name}: {other:?}"),
    };
    place.ok(&[&heated[..], &["--steps", "200", "-o", "plain.xyz"]].concat());
    let row = |text: &str| text.lines().find(|line| line.starts_with("extrapolation ")).unwrap().to_string();
    let calm = place.ok(&[&heated[..], &["--steps", "200", "--dump-above", "1e9", "none.xyz"]].concat());
    says(&calm, &["to be labelled  0 frames above 1000000000\n"]);
    assert!(!place.path("none.xyz").exists());
    let largest: f64 = row(&calm).split_whitespace().nth(1).unwrap().parse().unwrap();
    let low = (0.7 * largest).to_string();
    // The same run, looked at: same bits, one frame in five steps, from the first above the limit on.
    let graded = [&heated[..], &["--steps", "200", "--dump-above", &low, "new.xyz"]].concat();
    let said = place.ok(&[&graded[..], &["-o", "t.xyz"]].concat());
    let kept = place.read("new.xyz");
    says(
        &said,
        &["extrapolation\n", &format!("to be labelled  {} frames above {low}\nspeed", kept.len()), "wrote new.xyz"],
    );
    assert!(kept.len() > 2 && kept.len() < 41, "{}", kept.len());
    for (a, b) in place.read("plain.xyz").iter().zip(&place.read("t.xyz")) {
        assert_eq!(a.positions, b.positions);
    }
    let times: Vec<f64> = kept.iter().map(|frame| number(frame, "time_fs")).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 5.0), "{times:?}");
    for frame in &kept {
        let ColumnData::Reals(of_atoms) = &frame.column("extrapolation").unwrap().data else { panic!() };
        let largest = of_atoms.iter().copied().fold(0.0, f64::max);
        assert!(largest > low.parse().unwrap() && largest == number(frame, "max_extrapolation"));
    }
    let potential = rhobasis::files::Stored::load(&place.path("m.rho")).unwrap();
    let potential: rhobasis::potential::Potential = potential;
    let again = &potential.extrapolation(&kept[..1]).unwrap()[0];
    let largest = again.iter().copied().fold(0.0, f64::max);
    assert!((largest / number(&kept[0], "max_extrapolation") - 1.0).abs() < 1e-6);
    // In two parts the same frames are kept.
    for steps in ["83", "200"] {
        let part =
            [&heated[..], &["--steps", steps, "--dump-above", &low, "part.xyz", "--checkpoint", "run.md"]].concat();
        let said_of_part = place.ok(&part);
        assert!(steps == "83" || row(&said_of_part) == row(&said));
    }
    assert_eq!(place.bytes("part.xyz"), place.bytes("new.xyz"));
    // It ends, and says where, why and what to do; the last frame is the one above the limit.
    let limit = 0.5 * (low.parse::<f64>().unwrap() + number(&kept[0], "max_extrapolation"));
    let (limit, above) = (limit.to_string(), ["--dump-above", &low, "last.xyz"]);
    let ends = [&heated[..], &["--steps", "200", "--stop-at", &limit, "-o", "ended.xyz"], &above].concat();
    let words = [
        "at step ",
        "the extrapolation is ",
        &format!("above {limit}; label such frames"),
        "1 frame of this run is in last.xyz",
    ];
    let output = place.run(&ends);
    assert_eq!(output.status.code(), Some(1));
    says(&String::from_utf8(output.stderr).unwrap(), &words);
    let (last, ended) = (place.read("last.xyz"), place.read("ended.xyz"));
    assert_eq!(last[0].positions, ended[ended.len() - 1].positions);
    assert!(number(&last[0], "max_extrapolation") > limit.parse().unwrap());

    place.refused(2, &[&heated[..], &["--stop-at", "0"]].concat(), &["give a number above zero"]);
    place.refused(
        2,
        &[&heated[..], &["--dump-above", "new.xyz", "1.2"]].concat(),
        &["--dump-above new.xyz: give a number"],
    );
    place.refused(1, &graded, &["new.xyz: is there already"]);
}

#[test]
fn constant_pressure_asks_for_what_it_needs_and_reports_the_cell() {
    let place = trained("");
    let start = format!("{}@0", bundled("silicon.xyz.xz"));
    let run = ["md", "m.rho", &start, "--repeat", "2,2,2", "--steps", "200", "--every", "50", "--temperature", "300"];
    let npt = [&run[..], &["--thermostat", "csvr", "--barostat", "scr", "--pressure", "2", "--tau-p", "200"]].concat();
    let said = place.ok(&[&npt[..], &["-o", "t.xyz"]].concat());
    says(
        &said,
        &["cell rescaling to 2 GPa within 200 fs", "volume Å³", "pressure GPa", "GPa on average", "volume          "],
    );
    let frames = place.read("t.xyz");
    assert_ne!(frames[0].cell, frames[4].cell);
    let [Some(Value::Reals(stress, _)), Some(Value::Real(pressure))] =
        ["stress", "pressure_gpa"].map(|key| frames[4].get(key))
    else {
        panic!("{frames:?}")
    };
    // Pressure has the motion of atoms besides the stress of the potential.
    let motion = pressure + (stress[0] + stress[4] + stress[8]) / 3.0 * 160.217_663_4;
    assert!((0.05..0.4).contains(&motion), "{motion} GPa");
    place.refused(2, &[&run[..], &["--barostat", "scr"]].concat(), &["--barostat", "--thermostat csvr"]);
    place.refused(2, &[&run[..], &["--pressure", "1"]].concat(), &["--pressure", "--barostat scr"]);
    place.refused(2, &[&run[..], &["--tau-p", "1"]].concat(), &["--tau-p", "--barostat scr"]);
}

#[test]
fn crystals_relax_and_silicon_is_cubic() {
    let place = trained("");
    let start = format!("{}@0", bundled("silicon.xyz.xz"));
    let relaxed = place.ok(&["relax", "m.rho", &start, "--cell", "-o", "r.xyz"]);
    says(&relaxed, &["largest force", "wrote r.xyz (1 frame)"]);
    let again = place.ok(&["predict", "m.rho", "r.xyz", "-o", "p.xyz"]);
    says(&again, &["wrote p.xyz"]);
    let frame = place.read("p.xyz").remove(0);
    let ColumnData::Reals(forces) = &frame.column("forces").unwrap().data else { panic!() };
    assert!(forces.iter().all(|f| f.abs() < 1.1e-3), "{forces:?}");
    let Some(Value::Reals(stress, _)) = frame.get("stress") else { panic!() };
    assert!(stress.iter().all(|s| s.abs() * 160.217_663_4 < 1.1e-3), "{stress:?}");
    place.refused(1, &["relax", "m.rho", &start, "-o", "r.xyz"], &["r.xyz: is there already"]);
    place.refused(2, &["relax", "m.rho", &start, "--pressure", "1", "-o", "n.xyz"], &["--pressure", "--cell"]);
    let few = ["relax", "m.rho", &start, "--cell", "--pressure", "5", "--max-steps", "1", "-o", "n.xyz"];
    place.refused(1, &few, &["silicon.xyz.xz, frame 0", "after 1 steps"]);

    let told = place.ok(&["elastic", "m.rho", &start, "--plot", "eos.svg", "--volumes", "9"]);
    says(&told, &["lattice ", "ELASTIC CONSTANTS", "EQUATION OF STATE", "Birch-Murnaghan", "wrote eos.svg"]);
    let c = |i: usize, j: usize| cell(&told, &format!("C{i}j"), 7 - j);
    for (i, j) in [(2, 2), (3, 3)] {
        assert!((c(i, j) - c(1, 1)).abs() < 0.3, "{told}");
    }
    for (i, j) in [(1, 3), (2, 3)] {
        assert!((c(i, j) - c(1, 2)).abs() < 0.3, "{told}");
    }
    for (i, j) in [(5, 5), (6, 6)] {
        assert!((c(i, j) - c(4, 4)).abs() < 0.3, "{told}");
    }
    assert!(c(1, 4).abs() < 0.3 && c(4, 5).abs() < 0.3 && c(1, 1) > c(1, 2) && c(4, 4) > 10.0, "{told}");
    let bulk = cell(&told, "bulk modulus", 3);
    let of_curve: f64 = told.split("B_0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((bulk / of_curve - 1.0).abs() < 0.05, "{told}");
}

#[test]
fn atoms_nearer_than_in_training_are_named_by_every_command() {
    let place = trained("");
    let dimer =
        |r: f64| format!("2\nProperties=species:S:1:pos:R:3 energy=-300.0 pbc=\"F F F\"\nSi 0 0 0\nSi 0 0 {r}\n");
    fs::write(place.path("near.xyz"), dimer(2.4) + &dimer(1.1) + &dimer(1.0)).unwrap();
    let said = |args: &[&str]| {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    let named = "near.xyz, frame 1: atoms 0 (Si) and 1 (Si) are 1.100 Å apart; the smallest distance in training is";
    says(&said(&["predict", "m.rho", "near.xyz", "-o", "p.xyz"]), &[named, "(and so in 1 other frame)"]);
    says(&said(&["evaluate", "m.rho", "near.xyz"]), &["frame 1: atoms 0 (Si) and 1 (Si) are 1.100 Å apart"]);
    let md = said(&["md", "m.rho", "near.xyz@1", "--steps", "5", "--dt", "0.05", "--every", "1"]);
    says(&md, &["step 0: atoms 0 (Si) and 1 (Si) are 1.100 Å apart"]);
    assert_eq!(md.matches("apart").count(), 1);
    assert_eq!(said(&["predict", "m.rho", &bundled("silicon.xyz.xz@3"), "-o", "q.xyz"]), "");
    let energies = |name: &str| -> Vec<f64> {
        let energy = |frame: rhobasis::Structure| match frame.get("energy") {
            Some(Value::Real(energy)) => *energy,
            other => panic!("{other:?}"),
        };
        place.read(name).into_iter().map(energy).collect()
    };
    let core = energies("p.xyz");
    assert!(core[1] > core[0] + 10.0 && core[2] > core[1] + 10.0, "{core:?}");

    let shown = place.ok(&["show", "m.rho"]);
    says(
        &shown,
        &["ZBL core", "Smallest distances in training", "Si-Si", "energy_sigma 0.002", "power-spectrum", "ridge"],
    );
    place.refused(2, &["show", "m.rho", "--at", "2"], &["this is a potential"]);
    let bare = silicon("[repulsion]\ntype = \"none\"\n");
    fs::write(place.path("bare.toml"), &bare).unwrap();
    place.ok(&["train", "bare.toml", "-o", "bare.rho", "--no-plot"]);
    says(&place.ok(&["show", "bare.rho"]), &["none: the model alone"]);
    says(&said(&["predict", "bare.rho", "near.xyz", "-o", "b.xyz"]), &[named]);
    let model = energies("b.xyz");
    assert!(model[0] == core[0] && model[2] < core[2] - 10.0, "{model:?} {core:?}");
    fs::write(place.path("odd.toml"), bare.replace("none", "yukawa")).unwrap();
    place.refused(1, &["train", "odd.toml", "-o", "n.rho", "--no-plot"], &["odd.toml", "yukawa", "zbl"]);
}
