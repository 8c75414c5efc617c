//! What is trained, and what comes of it.

use std::fmt::Write as _;
use std::fs;

use rhobasis::Structure;
use rhobasis::extxyz::{Labels, Options, Writer, read};
use rhobasis::structure::Value;

use super::common::without_command;
use super::{BASIS, Place, bundled, cell, example, references, rmse, said, says, silicon};

#[test]
fn train_predict_evaluate_and_md_tell_one_story() {
    let place = Place::of(&[("model.toml", &silicon(""))]);
    let trained = place.ok(&["train", "model.toml", "-o", "m.rho"]);
    says(
        &trained,
        &[
            "100 frames, 3,490 atoms of Si",
            "100 energies, sigma 0.002",
            "force components, sigma 0.05",
            "stress components, sigma 0.002",
            "free atoms      Si -",
            "diamond_64",
            "peak memory",
            "wrote m.parity.svg",
            "wrote m.rho",
            "next: rhobasis predict m.rho",
        ],
    );
    let svg = String::from_utf8(place.bytes("m.parity.svg")).unwrap();
    says(&svg, &["prediction, eV/atom", "prediction, eV/Å", "prediction, meV/Å³", "train", "test"]);

    // The potential knows silicon: forces to a fraction of their size, in test as in training.
    let [train, test] = [5, 2].map(|from_behind| cell(&trained, "force component, eV/Å", from_behind));
    assert!(train < 0.3 && test < 1.5 * train, "{trained}");
    assert!(cell(&trained, "energy per atom", 2) < 20.0, "{trained}");

    // `evaluate` on the test frames repeats the last columns, and so do the numbers that `predict` writes.
    let data = bundled("silicon.xyz.xz@1::6");
    let evaluated = place.ok(&["evaluate", "m.rho", &data, "--csv", "e.csv", "--plot", "e.svg"]);
    for row in ["energy per atom", "energy,", "force component", "stress component", "liquid"] {
        // count, RMSE, MAE, largest, frame N
        assert_eq!(cell(&evaluated, row, 5), cell(&trained, row, 2), "{row}: {evaluated}{trained}");
        assert_eq!(cell(&evaluated, row, 4), cell(&trained, row, 1), "{row}");
    }
    // Errors lie within the intervals that the potential gives about as often as these say.
    says(&evaluated, &["within its interval of", "error / deviation, by fifths"]);
    let intervals = evaluated.split_once("within its interval of").unwrap().1;
    for row in ["energy", "force component"] {
        let line = intervals.lines().find(|line| line.trim_start().starts_with(row)).unwrap();
        let percent: Vec<f64> =
            line.split('%').filter_map(|part| part.split_whitespace().next_back()?.parse().ok()).collect();
        assert!((percent[0] - 68.0).abs() < 15.0 && (percent[1] - 90.0).abs() < 10.0, "{line}");
    }
    let csv = String::from_utf8(place.bytes("e.csv")).unwrap();
    says(&csv, &["quantity,unit,config_type,count,rmse,mae,largest,frame\n", "force component,eV/Å,(all),"]);
    assert!(place.path("e.svg").exists());

    let told = place.ok(&["predict", "m.rho", &data, "-o", "p.xyz.gz", "--uncertainty"]);
    says(&told, &["50 frames", "wrote p.xyz.gz", "next: rhobasis evaluate m.rho"]);
    let frames = place.read("p.xyz.gz");
    let (predicted, labelled) = (said(&frames, &Options::default()), said(&frames, &references()));
    assert_eq!(said(&read(&data, &Options::default()).unwrap(), &Options::default()), labelled);
    let pairs = || predicted.iter().zip(&labelled);
    let per_atom = |k: usize, l: &Labels| 1e3 * l.energy.unwrap() / frames[k].len() as f64;
    let energy = rmse(pairs().enumerate().map(|(k, (p, l))| (per_atom(k, p), per_atom(k, l))));
    let flat = |l: &Labels| l.forces.clone().unwrap().concat();
    let force = rmse(pairs().flat_map(|(p, l)| flat(p).into_iter().zip(flat(l))));
    let voigt = |l: &Labels| l.stress.map(|s| [s[0][0], s[1][1], s[2][2], s[1][2], s[0][2], s[0][1]].map(|x| 1e3 * x));
    let stress = rmse(pairs().flat_map(|(p, l)| voigt(p).into_iter().flatten().zip(voigt(l).into_iter().flatten())));
    // Surfaces are open in one direction: no stress, neither as a label nor predicted.
    assert!(pairs().all(|(p, l)| p.stress.is_some() == l.stress.is_some()));
    for (row, found) in [("energy per atom", energy), ("force component", force), ("stress component", stress)] {
        assert!((cell(&evaluated, row, 5) / found - 1.0).abs() < 1e-3, "{row}: {found}, {evaluated}");
    }
    for frame in &frames {
        let Some(Value::Real(std)) = frame.get("energy_std") else { panic!("no energy_std") };
        assert!(*std > 0.0 && *std < 5.0, "{std}");
        let reals = |name: &str| match &frame.column(name).unwrap_or_else(|| panic!("no {name}")).data {
            rhobasis::structure::ColumnData::Reals(x) => x.clone(),
            _ => panic!("{name} holds no reals"),
        };
        assert_eq!(reals("forces_std").len(), 3 * frame.len());
        let Some(Value::Real(largest)) = frame.get("max_extrapolation") else { panic!("no max_extrapolation") };
        assert_eq!(reals("extrapolation").into_iter().fold(0.0, f64::max), *largest);
        let atoms = reals("energies");
        let Some(Value::Real(total)) = frame.get("energy") else { panic!("no energy") };
        assert!((atoms.iter().sum::<f64>() - total).abs() < 1e-9 * total.abs());
    }

    // Predicted once more, with the same numbers: labels stay where they are.
    place.ok(&["predict", "m.rho", "p.xyz.gz", "-o", "again.xyz", "--uncertainty"]);
    let again = place.read("again.xyz");
    assert_eq!(said(&again, &references()), labelled);
    let energies = |labels: Vec<Labels>| labels.into_iter().map(|l| l.energy.unwrap()).collect::<Vec<_>>();
    assert_eq!(energies(said(&again, &Options::default())), energies(predicted.clone()));
    assert!(again.iter().zip(&frames).all(|(a, b)| a.info.len() == b.info.len() && a.columns.len() == b.columns.len()));

    // Intervals that hold nine of ten errors, and what is known of these.
    place.ok(&["predict", "m.rho", &data, "-o", "wide.xyz", "--uncertainty", "--interval", "0.9"]);
    let wide = place.read("wide.xyz");
    let (mut inside, mut all) = (0, 0);
    for ((frame, label), predicted) in wide.iter().zip(&labelled).zip(&predicted) {
        let Some(rhobasis::structure::ColumnData::Reals(widths)) = frame.column("forces_interval").map(|c| &c.data)
        else {
            panic!("no forces_interval")
        };
        let errors = flat(label).into_iter().zip(flat(predicted)).map(|(a, b)| (a - b).abs());
        inside += errors.zip(widths).filter(|(error, width)| error <= width).count();
        all += widths.len();
        let [Some(Value::Real(width)), Some(Value::Real(std))] =
            ["energy_interval", "energy_std"].map(|k| frame.get(k))
        else {
            panic!("no energy_interval")
        };
        assert!(*width > *std && *width < 5.0 * std, "{width} {std}");
    }
    let part = inside as f64 / all as f64;
    assert!((0.8..0.97).contains(&part), "{part} of the errors");
    let much = ["predict", "m.rho", &data, "-o", "no.xyz", "--uncertainty", "--interval", "1.9"];
    place.refused(2, &much, &["give a number between 0 and 1"]);

    // Frames to label next: those that are compressed most, and not the same one twice.
    let squeezed = |frame: &Structure, x: f64| {
        let mut frame = frame.clone();
        frame.cell = frame.cell.map(|row| row.map(|y| x * y));
        frame.positions = frame.positions.iter().map(|r| r.map(|y| x * y)).collect();
        frame
    };
    let mut writer = Writer::create(place.path("run.xyz")).unwrap();
    let strange = [&frames[3], &frames[3], &frames[10]].map(|frame| squeezed(frame, 0.85));
    frames[..5].iter().chain(&strange).for_each(|frame| writer.write(frame).unwrap());
    writer.finish().unwrap();
    let args = ["select", "run.xyz", "--potential", "m.rho", "--method", "leverage", "-n", "3", "-o", "label.xyz"];
    says(&place.ok(&args), &["3 frames of 8 chosen", "wrote label.xyz"]);
    let real = |frame: &Structure, key: &str| match frame.get(key) {
        Some(Value::Real(x)) => *x,
        other => panic!("{key} is {other:?}"),
    };
    let chosen = place.read("label.xyz");
    assert!(
        real(&chosen[0], "max_extrapolation") > 1.0 && matches!(chosen[0].get("selected_from"), Some(Value::Int(5..)))
    );
    assert!(real(&chosen[2], "remaining_extrapolation") < real(&chosen[0], "remaining_extrapolation"));
    place.refused(2, &args[..4], &["-n <N>"]);
    let cur = ["select", "run.xyz", "--potential", "m.rho", "-n", "3", "-o", "label.xyz", "--force"];
    place.refused(2, &cur, &["--method leverage"]);
    place.refused(2, &["select", "X.npy", "--method", "leverage", "-n", "3", "-o", "p.npz"], &["--potential"]);

    // Dynamics begin at the frame that is named and conserve the energy.
    let start = bundled("silicon.xyz.xz@100");
    let run = ["md", "m.rho", &start, "--steps", "100", "--every", "20", "--temperature", "600", "-o", "t.xyz"];
    let md = place.ok(&run);
    says(&md, &["frame 100, 64 atoms", "constant energy", "eV/atom/ns", "steps per second", "wrote t.xyz"]);
    let trajectory = place.read("t.xyz");
    assert_eq!(trajectory.len(), 6);
    let number = |frame: &Structure, key: &str| match frame.get(key) {
        Some(Value::Real(x)) => *x,
        other => panic!("{key} is {other:?}"),
    };
    let conserved: Vec<f64> = trajectory.iter().map(|frame| number(frame, "conserved_energy")).collect();
    let potential: Vec<f64> = trajectory.iter().map(|frame| number(frame, "energy")).collect();
    let spread = |x: &[f64]| x.iter().fold(f64::MIN, |a, b| a.max(*b)) - x.iter().fold(f64::MAX, |a, b| a.min(*b));
    assert!(spread(&conserved) < 0.02 * spread(&potential), "{conserved:?} {potential:?}");
    assert!((number(&trajectory[0], "temperature") - 600.0).abs() < 1e-9);
    assert_eq!(trajectory[0].positions, read(&start, &Options::default()).unwrap()[0].positions);
    assert_ne!(trajectory[5].positions, trajectory[0].positions);
    // What the trajectory says is what the potential says of its frames.
    place.ok(&["predict", "m.rho", "t.xyz", "-o", "tp.xyz"]);
    for (frame, energy) in place.read("tp.xyz").iter().zip(&potential) {
        assert!((number(frame, "energy") - energy).abs() < 1e-8, "{frame:?}");
    }
    place.ok(&[&run[..], &["--force"]].concat());
    assert_eq!(place.read("t.xyz"), trajectory, "the same seed, another trajectory");
}

#[test]
fn a_thermostat_heats_a_crystal() {
    let place = Place::of(&[("model.toml", &silicon("[weights]\nstress_sigma = \"none\""))]);
    let trained = place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]);
    says(&trained, &["0 stress components, left out", "stress component, meV/Å³ (not trained on)"]);
    assert_eq!(place.names(), ["m.rho", "model.toml"]);
    let start = bundled("silicon.xyz.xz@28");
    let repeat =
        ["md", "m.rho", &start, "--repeat", "2,1,1", "--steps", "400", "--temperature", "500", "--every", "100"];
    let hot = place.ok(&[&repeat[..], &["--thermostat", "csvr", "--tau", "20"]].concat());
    says(&hot, &["16 atoms", "velocity rescaling to 500 K within 20 fs"]);
    let mean = |text: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with("temperature ")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    assert!((400.0..600.0).contains(&mean(&hot)), "{hot}");
    // Without one, half of the kinetic energy goes into the springs.
    let free = place.ok(&repeat);
    assert!(mean(&free) < 400.0, "{free}");
    place.refused(2, &[&repeat[..], &["--tau", "20"]].concat(), &["--tau", "--thermostat csvr"]);
    place.refused(2, &["md", "m.rho", &start, "--repeat", "2,2"], &["three whole numbers"]);
    place.refused(1, &["md", "m.rho", &start, "--dt", "0"], &["dt = 0", "in fs"]);
    place.refused(1, &["md", "m.rho", "none.xyz"], &["none.xyz"]);
}

#[test]
fn the_examples_train() {
    for (name, row, limit) in [("silicon", "force component", 0.05), ("molecules", "energy,", 0.2)] {
        let place = Place::new();
        let text = place.ok(&["train", &example(&format!("model-{name}.toml")), "-o", "m.rho"]);
        assert!(cell(&text, row, 2) < limit, "{text}");
        assert_eq!(place.names(), ["m.parity.svg", "m.rho"]);
        let said = place.run(&["train", &example(&format!("model-{name}.toml")), "-o", "n.rho", "--dry-run"]);
        says(&String::from_utf8(said.stderr).unwrap(), &["memory: about "]);
        says(&String::from_utf8(said.stdout).unwrap(), &["training set", "nothing was written"]);
        assert_eq!(place.names(), ["m.parity.svg", "m.rho"]);
    }
}

#[test]
fn a_sparse_model_and_a_file_of_a_basis() {
    let gap = "[model]\ntype = \"gap\"\nn_sparse = 40\nzeta = 2\n";
    let data = bundled("silicon.xyz.xz");
    let from_file =
        format!("[data]\ntrain = \"{data}@::6\"\ntest_fraction = 0.2\n[basis]\nfile = \"sub/b.rho\"\n{gap}");
    let place = Place::new();
    fs::create_dir(place.path("sub")).unwrap();
    fs::write(place.path("model.toml"), &from_file).unwrap();
    let fit = [
        "fit",
        &format!("{data}@::6"),
        "-o",
        "sub/b.rho",
        "--r-cut",
        "4",
        "--n-max",
        "6",
        "--l-max",
        "3",
        "--q-max",
        "4",
    ];
    place.ok(&fit);
    let text = place.ok(&["train", "model.toml", "-o", "a.rho"]);
    says(&text, &["40 frames", "parameters      40"]);
    assert!(cell(&text, "energy per atom", 5) < 20.0 && cell(&text, "energy per atom", 2) < 150.0, "{text}");
    // Run from elsewhere: paths are relative to the model file. The same bytes, on one thread too.
    fs::create_dir(place.path("else")).unwrap();
    let mut other = place.command(&["train", "../model.toml", "-o", "../b.rho", "--threads", "1"]);
    assert!(other.current_dir(place.path("else")).output().unwrap().status.success());
    assert!(without_command(&place.bytes("a.rho")) == without_command(&place.bytes("b.rho")));
    place.ok(&["predict", "a.rho", &format!("{data}@:3"), "-o", "p.xyz", "--uncertainty"]);
}

#[test]
fn primitive_and_supervised_bases() {
    let error = |basis: &str| {
        let place = Place::of(&[("model.toml", &silicon("").replace(BASIS, basis))]);
        cell(&place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]), "energy per atom", 2)
    };
    let small = BASIS.replace("q_max = 4", "q_max = 2");
    let primitive = error(&BASIS.replace("q_max = 4", "method = \"primitive\""));
    let supervised = error(&format!("{small}method = \"pcovr\"\ngamma = 0.1\n"));
    let plain = error(&format!("{small}method = \"pca\"\n"));
    assert_eq!(plain, error(&small));
    // Six functions know more than two, and of two, those that were chosen with the energies know more of energies.
    assert!(primitive < supervised && supervised < plain, "{primitive} {supervised} {plain}");
}

#[test]
fn several_kinds_of_features_in_one_potential() {
    let both = "[features]\nkind = [\"power-spectrum\", \"bispectrum\"]\nq_max = [4, 2]\nl_max = [3, 2]\nweight = [1.0, 0.5]\n";
    let place = Place::of(&[("pairs.toml", &silicon("")), ("both.toml", &silicon(both))]);
    let error = |model: &str, folds: &str| cell(&folds[folds.find("count").unwrap_or(0)..], model, 5);
    let [pairs, both] = ["pairs", "both"].map(|name| {
        let (model, potential) = (format!("{name}.toml"), format!("{name}.rho"));
        let trained = place.ok(&["train", &model, "-o", &potential]);
        let folds = place.ok(&["evaluate", &model, "--folds", "3"]);
        [error("force component", &trained), error("force", &folds)]
    });
    assert!(both[0] < 0.9 * pairs[0] && both[1] < 0.9 * pairs[1], "{both:?} {pairs:?}");
    let data = bundled("silicon.xyz.xz@1::60");
    place.ok(&["predict", "both.rho", &data, "-o", "predicted.xyz", "--uncertainty"]);
    place.ok(&["md", "both.rho", &bundled("silicon.xyz.xz@0"), "--steps", "20", "--every", "10"]);
    // A list of one kind is that kind.
    let old = silicon("[features]\nkind = \"power-spectrum\"\n");
    fs::write(place.path("one.toml"), old.replace("\"power-spectrum\"", "[\"power-spectrum\"]")).unwrap();
    place.ok(&["train", "one.toml", "-o", "one.rho"]);
    assert!(without_command(&place.bytes("one.rho")) == without_command(&place.bytes("pairs.rho")));
}

#[test]
fn cross_validation_and_learning_curves() {
    let place = Place::of(&[("model.toml", &silicon(""))]);
    let folds = place.ok(&["evaluate", "model.toml", "--folds", "4", "--csv", "f.csv", "--plot", "f.svg", "--force"]);
    says(&folds, &["4, of 25, 25, 25, 25 frames", "RMSE of fold", "stress component"]);
    let trained = place.ok(&["train", "model.toml", "-o", "m.rho"]);
    let (of_folds, of_fit) =
        (cell(&folds[folds.find("count").unwrap()..], "force", 5), cell(&trained, "force component", 5));
    assert!(of_folds > of_fit && of_folds < 2.0 * of_fit, "{of_folds} {of_fit}");
    assert_eq!(
        folds,
        place.ok(&["evaluate", "model.toml", "--folds", "4", "--csv", "f.csv", "--plot", "f.svg", "--force"])
    );
    assert_ne!(
        folds,
        place.ok(&[
            "evaluate",
            "model.toml",
            "--folds",
            "4",
            "--csv",
            "f.csv",
            "--plot",
            "f.svg",
            "--force",
            "--seed",
            "9"
        ])
    );

    let curve =
        place.ok(&["evaluate", "model.toml", "--learning-curve", "10,100", "--csv", "l.csv", "--plot", "l.svg"]);
    let energy = |row: &str| {
        let line = curve.lines().find(|line| line.trim_start().starts_with(row)).unwrap();
        line.split_whitespace().nth(2).unwrap().parse::<f64>().unwrap()
    };
    assert!(energy("100 frames") < energy("10 frames"), "{curve}");
    // The whole set is the fit of `train`.
    assert_eq!(energy("100 frames"), cell(&trained, "energy per atom", 2));
    assert!(String::from_utf8(place.bytes("l.csv")).unwrap().lines().count() == 9);
    let picture = String::from_utf8(place.bytes("l.svg")).unwrap();
    for tick in ["10", "20", "50", "100", "training frames"] {
        assert!(picture.lines().any(|line| line == tick), "{tick}");
    }
    assert!(!picture.contains('⁻') && !picture.contains("log10"));

    place.refused(1, &["evaluate", "model.toml", "--folds", "1"], &["folds = 1", "two at least"]);
    place.refused(1, &["evaluate", "model.toml", "--learning-curve", "101"], &["learning_curve = 101", "100 frames"]);
    place.refused(2, &["evaluate", "model.toml"], &["--folds K or --learning-curve"]);
    place.refused(2, &["evaluate", "model.toml", "a.xyz", "--folds", "2"], &["names its own data"]);
    place.refused(2, &["evaluate", "m.rho", "a.xyz", "--folds", "2"], &["name a model file"]);
    place.refused(2, &["evaluate", "m.rho"], &["name the DATA"]);
}

/// Copies of a rattled crystal among others, and free atoms.
#[test]
fn free_atoms_are_trained_on_and_not_held_out() {
    let mut text = String::new();
    for k in 0..12 {
        let d = 0.02 * f64::from(k);
        writeln!(
            text,
            "2\nProperties=species:S:1:pos:R:3 energy={} pbc=\"F F F\"\nH 0 0 0\nO {} 0 0",
            -20.0 + d,
            0.9 + d
        )
        .unwrap();
    }
    for (symbol, energy) in [("H", -3.5), ("O", -12.25)] {
        writeln!(text, "1\nProperties=species:S:1:pos:R:3 energy={energy} pbc=\"F F F\"\n{symbol} 0 0 0").unwrap();
    }
    let model =
        format!("[data]\ntrain = \"a.xyz\"\ntest_fraction = 0.5\n{BASIS}[baseline]\ntype = \"isolated-atoms\"\n");
    let place = Place::of(&[("a.xyz", &text), ("m.toml", &model)]);
    for seed in ["1", "2", "3"] {
        fs::write(place.path("m.toml"), model.replace("test_fraction", &format!("seed = {seed}\ntest_fraction")))
            .unwrap();
        says(
            &place.ok(&["train", "m.toml", "-o", "m.rho", "--force"]),
            &["free atoms      H -3.500000, O -12.250000 eV"],
        );
        says(&place.ok(&["evaluate", "m.toml", "--folds", "3"]), &["energy per atom, meV/atom     12"]);
    }
}

/// Free atoms, one of them in a large cell, are the baseline: they are told apart from the frames of the fit.
#[test]
fn free_atoms_are_neither_counted_nor_compared_and_are_predicted_exactly() {
    let mut text = String::new();
    for k in 0..12 {
        let d = 0.9 + 0.01 * f64::from(k);
        let energy = -20.0 + 3.0 * (d - 0.97) * (d - 0.97);
        writeln!(text, "2\nProperties=species:S:1:pos:R:3 energy={energy} pbc=\"F F F\"\nH 0 0 0\nO {d} 0 0").unwrap();
    }
    text += "1\nProperties=species:S:1:pos:R:3 energy=-3.5 pbc=\"F F F\"\nH 0 0 0\n";
    text += "1\nLattice=\"12 0 0 0 12 0 0 0 12\" Properties=species:S:1:pos:R:3 energy=-12.25\nO 0 0 0\n";
    let model = format!(
        "[data]\ntrain = \"a.xyz\"\n{BASIS}[baseline]\ntype = \"isolated-atoms\"\n[weights]\nforce_sigma = \"none\"\n"
    );
    let place = Place::of(&[("a.xyz", &text), ("m.toml", &model)]);
    let told = place.ok(&["train", "m.toml", "-o", "m.rho", "--force"]);
    says(&told, &["12 frames, 24 atoms of H O; besides 2 frames of an atom alone", "12 energies", "keeps "]);
    assert_eq!(cell(&told, "energy per atom, meV/atom", 3), 12.0, "{told}");
    says(&told, &["largest, train  energy per atom: ", " meV/atom in frame "]);
    place.ok(&["predict", "m.rho", "a.xyz", "-o", "p.xyz"]);
    let energies = said(&place.read("p.xyz"), &Options::default());
    for (frame, e) in [(12, -3.5), (13, -12.25)] {
        assert!((energies[frame].energy.unwrap() - e).abs() < 1e-9);
    }
    says(&place.ok(&["evaluate", "m.toml", "--folds", "3"]), &["energy per atom, meV/atom     12"]);
    for seed in ["0", "1", "2", "3"] {
        let held_out = model.replace("[data]", &format!("[data]\ntest_fraction = 0.5\nseed = {seed}"));
        fs::write(place.path("t.toml"), held_out).unwrap();
        says(&place.ok(&["train", "t.toml", "-o", "t.rho", "--force"]), &["besides 2 frames", "largest, test "]);
    }
    let two = format!("{text}1\nProperties=species:S:1:pos:R:3 energy=-3.9 pbc=\"F F F\"\nH 0 0 0\n");
    fs::write(place.path("a.xyz"), two).unwrap();
    place.refused(1, &["train", "m.toml", "-o", "n.rho"], &["a.xyz, frame 14, atom 0", "-3.9 eV", "-3.5 eV"]);
}

#[test]
fn what_a_fit_should_tell_before_it_starts_is_told() {
    let mut text = String::new();
    for k in 0..8 {
        let d = 0.9 + 0.01 * f64::from(k);
        let energy = if k == 5 { -27211.0 } else { -1000.0 + 3.0 * (d - 0.97) * (d - 0.97) };
        writeln!(text, "3\nProperties=species:S:1:pos:R:3 dft={energy} pbc=\"F F F\"\nH 0 0 0\nO {d} 0 0\nH {d} {d} 0")
            .unwrap();
    }
    let model = format!("[data]\ntrain = \"a.xyz\"\nenergy_key = \"dft\"\n{}", BASIS.replace("q_max = 4", "q_max = 1"));
    let place = Place::of(&[("a.xyz", &text), ("m.toml", &model)]);
    let output = place.run(&["train", "m.toml", "-o", "m.rho", "--dry-run"]);
    let told = String::from_utf8(output.stderr).unwrap();
    says(
        &told,
        &[
            "warning: q_max 1 keeps ",
            "the free atoms of H and O apart",
            "warning: frame 5: its energy is -",
            "no training frame has forces under the key 'forces'",
        ],
    );
    fs::write(place.path("m.toml"), format!("{model}[weights]\nforce_sigma = \"none\"\n")).unwrap();
    let output = place.run(&["train", "m.toml", "-o", "m.rho", "--dry-run"]);
    assert!(!String::from_utf8(output.stderr).unwrap().contains("forces"));
    fs::write(place.path("m.toml"), format!("{model}[weights]\nenergy_sigma = 1e-308\n")).unwrap();
    place.refused(
        1,
        &["train", "m.toml", "-o", "m.rho", "--force"],
        &["energy_sigma = 1e-308", "must be a positive number"],
    );
}
