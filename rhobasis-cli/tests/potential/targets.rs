//! Bases made for a target: `fit --method supervised` and `sensitivity`, and `method` in a model file.

use rhobasis::files::Stored;
use rhobasis::optimal::{Method, OptimalBasis, SensitivitySettings, SupervisedSettings};
use rhobasis::potential::{Basis, Potential};

use super::{Place, bundled, cell, says};

const BASIS: [&str; 10] = ["--r-cut", "5", "--cutoff-width", "1", "--n-max", "10", "--l-max", "3", "--span", "8"];

fn model(basis: &str, model: &str) -> String {
    format!(
        "[data]\ntrain = \"{}\"\ntest = [\"{}\"]\n\
         [basis]\nr_cut = 5.0\ncutoff_width = 1.0\nn_max = 10\nl_max = 3\n{basis}\n\
         [model]\n{model}\n",
        bundled("silicon.xyz.xz@::9"),
        bundled("silicon.xyz.xz@1::27"),
    )
}

#[test]
fn a_basis_for_a_linear_model_is_made_from_files_and_in_a_model_file() {
    let place = Place::new();
    let data = bundled("silicon.xyz.xz@::9");
    let fit = |more: &[&str]| place.ok(&[&["fit", &data], &BASIS[..], more].concat());
    let told = fit(&["-o", "b.rho", "--method", "supervised", "--q-max", "2"]);
    says(
        &told,
        &[
            "linear fit",
            "of the squared error that 2 principal functions add to that of 8 is left",
            "supervised: all of each l",
        ],
    );
    let left: f64 = told.split("linear fit").nth(1).unwrap().split('%').next().unwrap().trim().parse().unwrap();
    assert!(left < 60.0, "{told}");
    let basis = OptimalBasis::load(&place.path("b.rho")).unwrap();
    assert_eq!(basis.settings().method, Method::Supervised(SupervisedSettings { supervised: None, span: 8 }));
    says(&place.ok(&["show", "b.rho"]), &["supervised: all of each l made for a linear model, of 8"]);
    fit(&["-o", "c.rho", "--method", "supervised", "--q-max", "2", "--threads", "1"]);
    assert!(place.bytes("b.rho") == place.bytes("c.rho"));

    // In a model file: smaller errors than with principal functions, in training as in test.
    let error = |name: &str, basis: &str| {
        std::fs::write(place.path("model.toml"), model(basis, "type = \"ridge\"\nalpha = 1e-9")).unwrap();
        let told = place.ok(&["train", "model.toml", "-o", name, "--no-plot"]);
        cell(&told, "force component, eV/Å", 2)
    };
    let [principal, supervised] =
        [error("p.rho", "q_max = 1"), error("s.rho", "q_max = 1\nmethod = \"supervised\"\nspan = 8")];
    assert!(supervised < 0.8 * principal, "{supervised} {principal}");

    // Kernels have one function of each l made so, unless they are told.
    for (basis, expected) in [("", Some(1)), ("supervised = 2", Some(2)), ("supervised = \"all\"", None)] {
        let basis = format!("q_max = 2\nmethod = \"supervised\"\nspan = 4\n{basis}");
        let text = model(&basis, "type = \"gap\"\nn_sparse = 40");
        std::fs::write(place.path("model.toml"), text).unwrap();
        place.ok(&["train", "model.toml", "-o", "k.rho", "--no-plot", "--force"]);
        let potential = Potential::load(&place.path("k.rho")).unwrap();
        let Basis::Optimal(basis) = potential.basis() else { panic!("it is optimal") };
        let found = SupervisedSettings { supervised: expected, span: 4 };
        assert_eq!(basis.settings().method, Method::Supervised(found));
    }

    // What a potential depends on.
    let told = place.ok(&[
        "fit",
        &data,
        "-o",
        "d.rho",
        "--force",
        "--method",
        "sensitivity",
        "--potential",
        "k.rho",
        "--q-max",
        "1",
    ]);
    says(&told, &["sensitivity of a potential, with gamma 0.1"]);
    let basis = OptimalBasis::load(&place.path("d.rho")).unwrap();
    assert_eq!(basis.settings().method, Method::Sensitivity(SensitivitySettings { gamma: 0.1 }));
    assert_eq!(basis.provenance().files[0].frames, 34);
}

#[test]
fn what_makes_no_such_basis_is_refused_with_what_to_do() {
    let place = Place::of(&[("no.xyz", "2\nProperties=species:S:1:pos:R:3\nSi 0 0 0\nSi 0 0 2.3\n")]);
    let data = bundled("silicon.xyz.xz@:4");
    let refusals: [(i32, &[&str], &[&str]); 8] = [
        (1, &["--method", "supervised"], &["q_max = none", "say how many are kept"]),
        (
            2,
            &["--method", "supervised", "--q-max", "2", "--gamma", "0.1"],
            &["--gamma: --method supervised has no use"],
        ),
        (1, &["--method", "supervised", "--q-max", "2", "--supervised", "3"], &["supervised = 3", "at most q_max"]),
        (2, &["--method", "supervised", "--q-max", "2", "--supervised", "none"], &["a whole number, or \"all\""]),
        (1, &["--method", "supervised", "--q-max", "9", "--span", "4"], &["q_max = 9", "1 to 4"]),
        (2, &["--method", "sensitivity", "--q-max", "2"], &["--potential FILE.rho"]),
        (2, &["--q-max", "2", "--span", "3"], &["--span: --method pca has no use"]),
        (1, &["--method", "supervised", "--q-max", "2", "--force-key", "nowhere"], &["--force-key nowhere"]),
    ];
    for (code, more, words) in refusals {
        let args: Vec<&str> = ["fit", &data, "-o", "x.rho", "--n-max", "6", "--l-max", "1"]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        place.refused(code, &args, words);
    }
    let unlabelled = ["fit", "no.xyz", "-o", "x.rho", "--method", "supervised", "--q-max", "1"];
    place.refused(1, &unlabelled, &["no frame has a label"]);
}
