//! A setting is refused with the same words, whether it was given with a flag or in a model file.

use std::fs;
use std::process::Command;

mod common;

use common::{Place, molecules, says};

fn stderr(folder: &std::path::Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rhobasis")).args(args).current_dir(folder).output().unwrap();
    assert!(!output.status.success(), "{args:?} was accepted");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn flags_and_model_files_refuse_with_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.xyz"), "2\nenergy=1 pbc=\"F F F\"\nSi 0 0 0\nSi 0 0 2.3\n").unwrap();
    let positive = "must be a positive number; give it in Å, for example 5";
    let fraction =
        "must lie above 0 and at most at 1; it is the retained fraction of the variance; 0.9999 is a good start";
    for (name, flag, toml, sentence) in [
        ("r_cut", "far", "\"far\"", "r_cut = \"far\": must be a number; give it in Å, for example 5"),
        ("r_cut", "-1", "-1", &format!("r_cut = -1: {positive}")),
        ("r_cut", "nan", "nan", &format!("r_cut = NaN: {positive}")),
        (
            "sigma",
            "Hx=0.3",
            "{ Hx = 0.3 }",
            "sigma = \"Hx\": is no element; use symbols from H to Og, or atomic numbers",
        ),
        ("sigma", "H=wide", "{ H = \"wide\" }", "sigma = \"wide\": must be a number, or numbers by species; give it"),
        ("cutoff_width", "9", "9", "cutoff_width = 9: must lie between 0 and r_cut = 5; 0.5 to 1 Å is usual"),
        (
            "cutoff_function",
            "tahn",
            "\"tahn\"",
            "cutoff_function = \"tahn\": is unknown, the nearest known one is \"tanh\"; use one of \"cosine\", \"polynomial\"",
        ),
        ("scaling", "1,2", "[1, 2]", "scaling = [1, 2]: must be 3 numbers; give rate, scale in Å, exponent"),
        ("scaling", "1,2,0.5", "[1, 2, 0.5]", "scaling exponent = 0.5: must be at least 1; forces diverge"),
        ("weighting", "1,2", "[1, 2]", "weighting = [1, 2]: must be 3 numbers, or \"nearest\"; give rate, scale in Å"),
        ("weighting", "near", "\"near\"", "weighting = \"near\": must be 3 numbers, or \"nearest\"; give rate"),
        (
            "weighting",
            "1,-2,7",
            "[1, -2, 7]",
            "weighting scale = -2: must be a positive number; leave the weighting out",
        ),
        ("weighting", "1,2,0.5", "[1, 2, 0.5]", "weighting exponent = 0.5: must be at least 1; that of a scaling is"),
        ("center_weight", "inf", "inf", "center_weight = inf: must be finite; 1 counts the centre once"),
        (
            "primitive",
            "gtos",
            "\"gtos\"",
            "primitive = \"gtos\": is unknown, the nearest known one is \"gto\"; use one of",
        ),
        ("n_max", "4.5", "4.5", "n_max = 4.5: must be a whole number; 12 to 30 are usual"),
        ("n_max", "0", "0", "n_max = 0: must lie between 1 and 500; 12 to 30 are usual"),
        ("l_max", "21", "21", "l_max = 21: must lie between 0 and 20; use at most 20"),
        ("spline_accuracy", "fine", "\"fine\"", "spline_accuracy = \"fine\": must be a number, or \"exact\"; 1e-8"),
        ("spline_accuracy", "1", "1", "spline_accuracy = 1: must lie between 1e-12 and 0.01; 1e-8 is the default"),
        ("mixing", "combind", "\"combind\"", "mixing = \"combind\": is unknown, the nearest known one is \"combined\""),
        ("q_max", "0", "0", "q_max = 0: must be at least 1; it counts the channels"),
        ("retain", "1.5", "1.5", &format!("retain = 1.5: {fraction}")),
        ("method", "pcover", "\"pcover\"", "method = \"pcover\": is unknown, the nearest known one is \"pcovr\""),
        ("gamma", "2", "2", "gamma = 2: must lie above 0 and at most at 1; 1 is principal components"),
    ] {
        let option = format!("--{}={flag}", name.replace('_', "-"));
        let mut args = vec!["fit", "a.xyz", "-o", "b.rho", &option];
        let mut model = format!("[data]\ntrain = \"a.xyz\"\n[basis]\n{name} = {toml}\n");
        if name == "gamma" {
            args.extend(["--method", "pcovr"]);
            model += "method = \"pcovr\"\n";
        }
        fs::write(folder.path().join("model.toml"), model).unwrap();
        let of_flag = stderr(folder.path(), &args);
        assert!(of_flag.contains(sentence), "'{sentence}' is missing in: {of_flag}");
        let of_file = stderr(folder.path(), &["train", "model.toml", "-o", "m.rho"]);
        let place = "model.toml: line 4: [basis]: ";
        assert!(of_file.contains(&format!("{place}{sentence}")), "'{place}{sentence}' is missing in: {of_file}");
    }
}

#[test]
fn the_cutoff_function_is_a_flag_that_show_tells_and_featomic_may_not_have() {
    let place = Place::of(&[("a.xyz", molecules(12))]);
    let small = ["--r-cut", "4", "--n-max", "4", "--l-max", "2", "--q-max", "2", "--spline-accuracy", "1e-4"];
    let fit = |out: &str, more: &[&str]| place.ok(&[&["fit", "a.xyz", "-o", out][..], &small, more].concat());
    fit("cosine.rho", &[]);
    says(&place.ok(&["show", "cosine.rho"]), &["sigma 0.3 Å, cutoff width 0.5 Å\n"]);
    fit("tanh.rho", &["--cutoff-function", "tanh", "--cutoff-width", "4"]);
    says(&place.ok(&["show", "tanh.rho"]), &["sigma 0.3 Å, cutoff width 4 Å (tanh)\n"]);
    fit("step.rho", &["--cutoff-function", "step"]);
    says(&place.ok(&["show", "step.rho"]), &["sigma 0.3 Å, a step at the cutoff\n"]);
    let export = |basis, to: &'static str| ["export", basis, "--to", "featomic", "-o", to];
    place.ok(&export("step.rho", "step.json"));
    let said = ["cutoff_function = \"tanh\": featomic has no such cutoff function", "\"cosine\" or \"step\""];
    place.refused(1, &export("tanh.rho", "tanh.json"), &said);
}

/// sin(nπr/4)/r at 65 radii up to 4 Å, as arrays of TOML.
fn sines(n_max: usize) -> (String, String) {
    let r: Vec<f64> = (0..=64).map(|k| f64::from(k) / 16.0).collect();
    let value = |k: f64, x: f64| if x == 0.0 { k } else { (k * x).sin() / x };
    let row = |n: usize| r.iter().map(|&x| value((n + 1) as f64 * std::f64::consts::FRAC_PI_4, x)).collect::<Vec<_>>();
    (format!("{r:?}"), format!("{:?}", (0..n_max).map(row).collect::<Vec<_>>()))
}

#[test]
fn a_model_file_takes_radial_functions_as_a_table() {
    let (r, functions) = sines(5);
    let model = |functions: &str, l_max: usize| {
        format!(
            "[data]\ntrain = \"a.xyz\"\n[basis]\nr_cut = 4.0\nsigma = 0.4\nl_max = {l_max}\nq_max = 2\n\
             primitive = {{ r = {r}, R = {functions} }}\n[model]\nalpha = 1e-6\n"
        )
    };
    let place = Place::of(&[("a.xyz", molecules(12)), ("m.toml", model(&functions, 2))]);
    place.ok(&["train", "m.toml", "-o", "m.rho"]);
    says(&place.ok(&["show", "m.rho"]), &["of 5 functions at 65 radii up to 4 Å, ", ", l_max 2"]);
    place.ok(&["predict", "m.rho", "a.xyz", "-o", "p.xyz"]);
    // For each l, but not for enough; no numbers; no table at all.
    let refused = |name: &str, text: String, said: &[&str]| {
        fs::write(place.path(name), text).unwrap();
        place.refused(1, &["train", name, "-o", "x.rho"], said);
    };
    refused(
        "few.toml",
        model(&format!("[{functions}, {functions}]"), 2),
        &["l_max = 2", "ends with l = 1", "l_max <= 1"],
    );
    refused("text.toml", model("[\"a\"]", 2), &["text.toml: line 8: [basis]: primitive = (a table): R are no numbers"]);
    let other_keys = model(&functions, 2).replace("R =", "Q =");
    refused(
        "keys.toml",
        other_keys,
        &["line 8: [basis]: primitive = (a table): a table has r and R; give radii r in Å"],
    );
    // A flag takes names.
    place.refused(
        2,
        &["fit", "a.xyz", "-o", "x.rho", "--primitive", "r=1,R=2"],
        &["must be a word; use one of \"gto\""],
    );
}
