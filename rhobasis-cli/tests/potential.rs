//! From labelled structures to a potential, and what it says of others: train, predict, evaluate, md.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rhobasis::Structure;
use rhobasis::extxyz::{Labels, Options, labels, read};
use rhobasis::structure::Value;
use tempfile::TempDir;

/// A folder in which the command runs.
struct Place(TempDir);

impl Place {
    fn with(files: &[(&str, &str)]) -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| fs::write(place.path(name), text).unwrap());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rhobasis"));
        command.args(args).current_dir(self.0.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; returns what it printed.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must end with this code, say all of `parts`, and leave nothing behind.
    fn refused(&self, code: i32, args: &[&str], parts: &[&str]) {
        let before = self.listing();
        let output = self.run(args);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
        assert_eq!(self.listing(), before, "something was written");
        assert!(!message.contains("panicked"), "{message}");
        says(&message, parts);
    }

    fn listing(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn read(&self, name: &str) -> Vec<Structure> {
        read(self.path(name), &Options::default()).unwrap()
    }
}

fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "'{part}' is missing in: {message}");
    }
}

fn bundled(name: &str) -> String {
    format!("{}/../examples/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn example(name: &str) -> String {
    format!("{}/../examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A small basis.
const BASIS: &str = "[basis]\nr_cut = 4.0\nsigma = 0.4\nn_max = 6\nl_max = 3\nq_max = 4\nspline_accuracy = 1e-5\n";

/// A linear model of every third frame of the bundled silicon.
fn silicon(more: &str) -> String {
    let data = bundled("silicon.xyz.xz");
    format!(
        "[data]\ntrain = [\"{data}@::6\", \"{data}@3::6\"]\ntest = \"{data}@1::6\"\n{BASIS}[model]\nalpha = 1e-10\n{more}"
    )
}

/// The number in a row of a table: of the line that begins with `row`, the column-th word from behind.
fn cell(text: &str, row: &str, from_behind: usize) -> f64 {
    let line =
        text.lines().find(|line| line.trim_start().starts_with(row)).unwrap_or_else(|| panic!("no {row} in {text}"));
    let words: Vec<&str> = line.split_whitespace().collect();
    words[words.len() - from_behind].replace(',', "").parse().unwrap()
}

fn rmse(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (sum, n) = pairs.fold((0.0, 0.0), |(sum, n), (a, b)| (sum + (a - b) * (a - b), n + 1.0));
    (sum / n).sqrt()
}

fn said(frames: &[Structure], options: &Options) -> Vec<Labels> {
    frames.iter().map(|frame| labels(frame, options).unwrap()).collect()
}

fn references() -> Options {
    Options {
        energy_key: "reference_energy".into(),
        force_key: "reference_forces".into(),
        stress_key: "reference_stress".into(),
        virial_key: "reference_virial".into(),
        validate: true,
    }
}

#[test]
fn train_predict_evaluate_and_md_tell_one_story() {
    let place = Place::with(&[("model.toml", &silicon(""))]);
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
        assert!(*std > 0.0 && *std < 1.0, "{std}");
        let rhobasis::structure::ColumnData::Reals(atoms) = &frame.column("energies").unwrap().data else { panic!() };
        let Some(Value::Real(total)) = frame.get("energy") else { panic!("no energy") };
        assert!((atoms.iter().sum::<f64>() - total).abs() < 1e-9 * total.abs());
    }

    // Predicted once more, with the same numbers: labels stay where they are.
    place.ok(&["predict", "m.rho", "p.xyz.gz", "-o", "again.xyz", "--uncertainty"]);
    let again = place.read("again.xyz");
    assert_eq!(said(&again, &references()), labelled);
    let energies = |labels: Vec<Labels>| labels.into_iter().map(|l| l.energy.unwrap()).collect::<Vec<_>>();
    assert_eq!(energies(said(&again, &Options::default())), energies(predicted));
    assert!(again.iter().zip(&frames).all(|(a, b)| a.info.len() == b.info.len() && a.columns.len() == b.columns.len()));

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
    place.ok(&run);
    assert_eq!(place.read("t.xyz"), trajectory, "the same seed, another trajectory");
}

#[test]
fn a_thermostat_heats_a_crystal() {
    let place = Place::with(&[("model.toml", &silicon("[weights]\nstress_sigma = \"none\""))]);
    let trained = place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]);
    says(&trained, &["0 stress components, left out", "stress component, meV/Å³ (not trained on)"]);
    assert_eq!(place.listing(), ["m.rho", "model.toml"]);
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
        let place = Place::with(&[]);
        let text = place.ok(&["train", &example(&format!("model-{name}.toml")), "-o", "m.rho"]);
        assert!(cell(&text, row, 2) < limit, "{text}");
        assert_eq!(place.listing(), ["m.parity.svg", "m.rho"]);
        let said = place.run(&["train", &example(&format!("model-{name}.toml")), "-o", "n.rho", "--dry-run"]);
        says(&String::from_utf8(said.stderr).unwrap(), &["memory: about "]);
        says(&String::from_utf8(said.stdout).unwrap(), &["training set", "nothing was written"]);
        assert_eq!(place.listing(), ["m.parity.svg", "m.rho"]);
    }
}

#[test]
fn a_sparse_model_and_a_file_of_a_basis() {
    let gap = "[model]\ntype = \"gap\"\nn_sparse = 40\nzeta = 2\n";
    let data = bundled("silicon.xyz.xz");
    let from_file =
        format!("[data]\ntrain = \"{data}@::6\"\ntest_fraction = 0.2\n[basis]\nfile = \"sub/b.rho\"\n{gap}");
    let place = Place::with(&[]);
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
    assert!(place.bytes("a.rho") == place.bytes("b.rho"));
    place.ok(&["predict", "a.rho", &format!("{data}@:3"), "-o", "p.xyz", "--uncertainty"]);
}

#[test]
fn primitive_and_supervised_bases() {
    let error = |basis: &str| {
        let place = Place::with(&[("model.toml", &silicon("").replace(BASIS, basis))]);
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
fn cross_validation_and_learning_curves() {
    let place = Place::with(&[("model.toml", &silicon(""))]);
    let folds = place.ok(&["evaluate", "model.toml", "--folds", "4", "--csv", "f.csv", "--plot", "f.svg"]);
    says(&folds, &["4, of 25, 25, 25, 25 frames", "RMSE of fold", "stress component"]);
    let trained = place.ok(&["train", "model.toml", "-o", "m.rho"]);
    let (of_folds, of_fit) =
        (cell(&folds[folds.find("count").unwrap()..], "force", 5), cell(&trained, "force component", 5));
    assert!(of_folds > of_fit && of_folds < 2.0 * of_fit, "{of_folds} {of_fit}");
    assert_eq!(folds, place.ok(&["evaluate", "model.toml", "--folds", "4", "--csv", "f.csv", "--plot", "f.svg"]));
    assert_ne!(
        folds,
        place.ok(&["evaluate", "model.toml", "--folds", "4", "--csv", "f.csv", "--plot", "f.svg", "--seed", "9"])
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

    place.refused(1, &["evaluate", "model.toml", "--folds", "1"], &["folds = 1", "two at least"]);
    place.refused(1, &["evaluate", "model.toml", "--learning-curve", "101"], &["learning_curve = 101", "100 frames"]);
    place.refused(2, &["evaluate", "model.toml"], &["--folds K or --learning-curve"]);
    place.refused(2, &["evaluate", "model.toml", "a.xyz", "--folds", "2"], &["names its own data"]);
    place.refused(2, &["evaluate", "m.rho", "a.xyz", "--folds", "2"], &["name a model file"]);
    place.refused(2, &["evaluate", "m.rho"], &["name the DATA"]);
}

#[test]
fn what_is_wrong_in_a_model_file_is_named() {
    let place = Place::with(&[]);
    let data = bundled("silicon.xyz.xz@:20");
    let head = format!("[data]\ntrain = \"{data}\"\n");
    let refused = |text: &str, parts: &[&str]| {
        fs::write(place.path("model.toml"), text).unwrap();
        place.refused(1, &["train", "model.toml", "-o", "m.rho"], parts);
    };
    let both = format!("{head}{BASIS}");
    refused(
        &format!("{both}r_cutt = 5\n"),
        &["model.toml", "[basis]", "unknown key 'r_cutt'", "nearest known one is 'r_cut'"],
    );
    refused(&format!("{both}[modell]\n"), &["unknown key 'modell'", "'model'"]);
    refused(&format!("{both}[model]\ntype = \"gap\"\nalpha = 1\n"), &["unknown key 'alpha'", "n_sparse"]);
    refused(&format!("{both}[model]\ntype = \"rigde\"\n"), &["nearest known one is \"ridge\""]);
    refused(&format!("{both}[model]\nalpha = -1\n"), &["alpha = -1", "positive"]);
    refused(&format!("{both}[weights]\nenrgy_sigma = 1\n"), &["'enrgy_sigma'", "'energy_sigma'"]);
    refused(
        &format!("{both}[weights.\"diamont_2\"]\nenergy_sigma = 1\n"),
        &["diamont_2", "config_type", "'diamond_2'"],
    );
    refused(&format!("{both}[weights.\"diamond_2\"]\nenergy = 1\n"), &["[weights.\"diamond_2\"]", "'energy_sigma'"]);
    refused(&format!("{both}[weights]\nforce_sigma = 0\n"), &["force_sigma = 0", "positive"]);
    refused(&format!("{both}[baseline]\ntype = \"given\"\nenergies = {{ Xx = 1 }}\n"), &["\"Xx\"", "no element"]);
    refused(&format!("{both}[baseline]\ntype = \"given\"\n"), &["energies = none: they are missing"]);
    refused(&format!("{both}[baseline]\ntype = \"isolated-atoms\"\n"), &["single Si atom"]);
    refused(&both.replace("r_cut = 4.0", "r_cut = \"4\""), &["line 4", "r_cut = \"4\"", "must be a number"]);
    refused(&both.replace("r_cut = 4.0", "r_cut = -4"), &["r_cut = -4", "positive"]);
    refused(&both.replace("q_max = 4", "q_max = 4\nretain = 0.9"), &["retain", "q_max"]);
    refused(&format!("{head}test = \"x\"\ntest_fraction = 0.5\n{BASIS}"), &["test_fraction", "does not go with test"]);
    refused(&format!("{head}test_fraction = 1.5\n{BASIS}"), &["test_fraction = 1.5"]);
    refused(&format!("{both}gamma = 0.5\n"), &["unknown key 'gamma'"]);
    refused(&format!("{both}method = \"pcovr\"\ngamma = 2\n"), &["gamma = 2"]);
    refused(&format!("{both}method = \"primitive\"\n"), &["unknown key 'q_max'"]);
    refused(&head, &["no section [basis]"]);
    refused(BASIS, &["no section [data]"]);
    refused(&format!("{head}[basis]\nfile = \"none.rho\"\n"), &["none.rho"]);
    refused("[data]\ntrain = 3\n", &["train = 3"]);
    refused("[data\n", &["model.toml: line 1"]);
}

#[test]
fn missing_labels_are_named() {
    let bare = "2\nLattice=\"4 0 0 0 4 0 0 0 4\" pbc=\"T T T\"\nSi 0 0 0\nSi 1.9 1.9 1.9\n".repeat(3);
    let energies = bare.replace("pbc", "dft=-8.0 pbc");
    let model = |keys: &str, more: &str| format!("[data]\ntrain = \"a.xyz\"\n{keys}{BASIS}{more}");
    let place = Place::with(&[("bare.xyz", &bare), ("a.xyz", &energies), ("m.toml", &model("", ""))]);
    place.refused(
        1,
        &["train", "m.toml", "-o", "m.rho"],
        &["m.toml", "no training frame has a label under energy", "energy_key"],
    );
    fs::write(place.path("m.toml"), model("energy_key = \"dft\"\n", "[weights]\nforce_sigma = 0.1\n")).unwrap();
    place.refused(
        1,
        &["train", "m.toml", "-o", "m.rho"],
        &["force_sigma = 0.1", "no training frame has forces", "\"none\""],
    );
    fs::write(place.path("m.toml"), model("energy_key = \"dft\"\n", "")).unwrap();
    let text = place.ok(&["train", "m.toml", "-o", "m.rho"]);
    says(&text, &["3 energies", "0 force components, left out"]);
    place.refused(1, &["evaluate", "m.rho", "bare.xyz"], &["bare.xyz", "no frame has a label", "--energy-key"]);
    place.ok(&["evaluate", "m.rho", "a.xyz", "--energy-key", "dft"]);
    place.ok(&["predict", "m.rho", "bare.xyz", "-o", "p.xyz"]);
    assert!(place.read("p.xyz").iter().all(|frame| frame.get("energy").is_some() && frame.get("stress").is_some()));
}

#[test]
fn wrong_files_and_unknown_species_are_refused() {
    let place = Place::with(&[("model.toml", &silicon(""))]);
    place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]);
    let data = bundled("silicon.xyz.xz@:2");
    place.ok(&["fit", &data, "-o", "basis.rho", "--n-max", "4", "--l-max", "1"]);
    place.refused(1, &["predict", "basis.rho", &data, "-o", "p.xyz"], &["basis.rho", "kind 'basis', not 'potential'"]);
    place.refused(1, &["evaluate", "basis.rho", &data], &["kind 'basis'"]);
    place.refused(1, &["md", "basis.rho", &data], &["kind 'basis'"]);
    place.refused(1, &["predict", "model.toml", &data, "-o", "p.xyz"], &["model.toml"]);
    place.refused(2, &["train", "m.rho", "-o", "n.rho"], &["does not end in .toml"]);
    place.refused(2, &["train", "model.toml", "-o", "n.xyz"], &["must end in .rho"]);
    place.refused(1, &["predict", "none.rho", &data, "-o", "p.xyz"], &["none.rho", "no such file"]);
    place.refused(1, &["predict", "m.rho", &data, "-o", "no/p.xyz"], &["no such folder"]);
    let water = "1\npbc=\"F F F\" energy=1\nSi 0 0 0\n3\npbc=\"F F F\" energy=1\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n";
    fs::write(place.path("w.xyz"), water).unwrap();
    for verb in [&["predict", "m.rho", "w.xyz", "-o", "p.xyz"][..], &["evaluate", "m.rho", "w.xyz"]] {
        place.refused(1, verb, &["w.xyz, frame 1, atom", "Si"]);
    }
    place.refused(1, &["md", "m.rho", "w.xyz@1"], &["w.xyz", "atom", "Si"]);
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
    let place = Place::with(&[("a.xyz", &text), ("m.toml", &model)]);
    for seed in ["1", "2", "3"] {
        fs::write(place.path("m.toml"), model.replace("test_fraction", &format!("seed = {seed}\ntest_fraction")))
            .unwrap();
        says(&place.ok(&["train", "m.toml", "-o", "m.rho"]), &["free atoms      H -3.500000, O -12.250000 eV"]);
        says(&place.ok(&["evaluate", "m.toml", "--folds", "3"]), &["energy per atom, meV/atom     12"]);
    }
}

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
        let place = Place::with(&[("model.toml", &text)]);
        place.ok(&["train", "model.toml", "-o", "expected.rho", "--no-plot", "--threads", "1"]);
        let began = train_killed(&place, &["train", "model.toml", "-o", "found.rho", "--no-plot"], 8);
        println!("runs began with {began:?} frames");
        assert!(began.iter().filter(|&&n| n > 0).count() >= 2 && began.is_sorted(), "{began:?}");
        assert!(place.bytes("found.rho") == place.bytes("expected.rho"), "other bytes after {began:?}");
        assert_eq!(place.listing(), ["expected.rho", "found.rho", "model.toml"]);
    }
}

#[test]
fn a_checkpoint_of_another_fit_is_refused() {
    let place = Place::with(&[("model.toml", &silicon(""))]);
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
