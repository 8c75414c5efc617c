//! Models of dipoles and polarisabilities: trained as a file says, shown, predicted with, compared with labels.

mod common;

use common::{Place, bundled, says};
use rhobasis::Structure;
use rhobasis::equivariant::Target;
use rhobasis::extxyz::{Options, read, write};
use rhobasis::structure::{ColumnData, Value};

/// A small model of some bundled molecules.
fn model(target: &str, more_data: &str, more: &str) -> String {
    let data = bundled("molecules.xyz.xz");
    format!(
        "[data]\ntrain = \"{data}@40:100\"\ntest = \"{data}@100:120\"\n{more_data}\n[basis]\nr_cut = 4.0\nsigma = 0.4\n\
         n_max = 5\nl_max = 3\nq_max = 3\nmixing = \"combined\"\nspline_accuracy = 1e-5\n[features]\nnu_max = 2\n\
         n_equivariants = 8\nn_candidates = 60\n[model]\ntype = \"equivariant-ridge\"\ntarget = \"{target}\"\nalpha = 1e-8\n\
         {more}"
    )
}

/// Numbers of the row of a table that begins with this word.
fn row(text: &str, name: &str) -> Vec<f64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split_whitespace().skip(1).map(|word| word.replace(',', "").parse().unwrap()).collect()
}

fn values(frames: &[Structure], key: &str) -> Vec<f64> {
    let of = |frame: &Structure| match frame.get(key) {
        Some(Value::Reals(x, _)) => x.clone(),
        other => panic!("{key} is {other:?}"),
    };
    frames.iter().flat_map(of).collect()
}

#[test]
fn train_show_predict_and_evaluate_tell_one_story() {
    let data = bundled("molecules.xyz.xz@100:120");
    for (target, column, width) in
        [(Target::Dipole, "born_charges", 9), (Target::Polarizability, "polarizability_derivatives", 27)]
    {
        let key = target.key();
        let place = Place::of(&[("model.toml", &model(key, "", ""))]);
        let trained = place.ok(&["train", "model.toml", "-o", "m.rho"]);
        says(
            &trained,
            &["60 frames", "λ = ", "weights", "wrote m.parity.svg", "wrote m.rho", "next: rhobasis predict"],
        );
        // count, RMSE, MAE, RMSE and MAE of the mean, for the training set and for the test.
        let all = row(&trained, "all");
        assert!(all[7] < 0.7 * all[9], "{trained}");
        says(&place.ok(&["show", "m.rho"]), &["target", key, "H C N O F", "NICE", "all_equivariants", "Squared norm"]);

        let evaluated = place.ok(&["evaluate", "m.rho", &data, "--csv", "e.csv", "--plot", "e.svg"]);
        assert_eq!(row(&evaluated, "all"), all[5..], "{evaluated}{trained}");
        says(&evaluated, &["20 frames", "largest", "in frame", "wrote e.svg", "wrote e.csv"]);
        says(&String::from_utf8(place.bytes("e.csv")).unwrap(), &["component,count,rmse,mae,rmse_of_mean", "all,"]);

        let told = place.ok(&["predict", "m.rho", &data, "-o", "p.xyz", "--derivatives"]);
        says(&told, &["20 frames", "next: rhobasis evaluate m.rho"]);
        let frames = place.read("p.xyz");
        let (predicted, labels) = (values(&frames, key), values(&frames, &format!("reference_{key}")));
        let mae = predicted.iter().zip(&labels).map(|(p, y)| (p - y).abs()).sum::<f64>() / labels.len() as f64;
        assert!((mae / all[7] - 1.0).abs() < 1e-3, "{mae} {trained}");
        for frame in &frames {
            let found = frame.column(column).unwrap();
            let ColumnData::Reals(x) = &found.data else { panic!("{found:?}") };
            assert_eq!((found.width, x.len()), (width, width * frame.len()));
            for k in 0..width {
                let sum: f64 = x.iter().skip(k).step_by(width).sum();
                assert!(sum.abs() < 1e-6, "{sum}"); // as many digits as a file has
            }
        }

        // Once more: the labels stay where they are, and a potential's predictions would not touch them.
        place.ok(&["predict", "m.rho", "p.xyz", "-o", "again.xyz"]);
        let again = place.read("again.xyz");
        assert_eq!(values(&again, &format!("reference_{key}")), labels);
        assert!(again[0].column(column).is_none());
        assert_eq!(place.ok(&["train", "model.toml", "-o", "n.rho", "--no-plot"]).matches("wrote").count(), 1);
        assert_eq!(place.bytes("n.rho"), place.bytes("m.rho"));
    }
}

#[test]
fn labels_of_another_name_are_found_or_suggested() {
    let place = Place::new();
    let frames = read(bundled("molecules.xyz.xz@40:70"), &Options::default()).unwrap();
    write(place.path("data.xyz"), &frames).unwrap();
    let data = String::from_utf8(place.bytes("data.xyz")).unwrap().replace("dipole=", "mu=");
    let text = |key: &str| {
        model("dipole", key, "")
            .replace(&bundled("molecules.xyz.xz"), "data.xyz")
            .replace("@40:100", "")
            .replace("@100:120", "@::3")
    };
    let place =
        place.with("model.toml", text("")).with("named.toml", text("dipole_key = \"mu\"")).with("data.xyz", &data);
    place.refused(
        1,
        &["train", "model.toml", "-o", "m.rho"],
        &["model.toml: [data]: dipole_key = \"dipole\": no frame has a dipole", "'mu' may be it: dipole_key = \"mu\""],
    );
    place.ok(&["train", "named.toml", "-o", "m.rho", "--no-plot"]);
    place.refused(
        1,
        &["evaluate", "m.rho", "data.xyz"],
        &["no frame has a dipole", "'mu' may be it: --dipole-key \"mu\""],
    );
    says(&place.ok(&["evaluate", "m.rho", "data.xyz", "--dipole-key", "mu"]), &["30 frames"]);
    let one_bad = data.replacen("mu=\"", "mu=\"nan ", 1);
    let place = place.with("bad.xyz", one_bad);
    place.refused(
        1,
        &["evaluate", "m.rho", "bad.xyz", "--dipole-key", "mu"],
        &["bad.xyz, frame 0: mu=", "is no vector of three numbers"],
    );
}

#[test]
fn what_cannot_be_is_refused_before_any_work() {
    let place = Place::of(&[
        ("good.toml", model("dipole", "", "")),
        ("key.toml", model("dipole", "polarizability_key = \"a\"", "")),
        ("weights.toml", model("dipole", "", "[weights]\nenergy_sigma = 1.0\n")),
        ("target.toml", model("dipoles", "", "")),
        ("zeta.toml", model("dipole", "", "zeta = 2\n")),
        ("kind.toml", model("dipole", "", "").replace("nu_max = 2", "kind = \"bispectrum\"")),
        ("flat.toml", model("polarizability", "", "").replace("l_max = 3", "l_max = 1")),
        ("last.toml", model("dipole", "", "").replace("nu_max = 2", "nu_max = 2\nall_equivariants = false")),
    ]);
    let train = |file: &str, parts: &[&str]| {
        place.refused(1, &["train", file, "-o", "m.rho"], parts);
    };
    train("key.toml", &["key.toml: line 4: [data]: polarizability_key is given, and the target is \"dipole\""]);
    train("weights.toml", &["weights.toml", "unknown key 'weights'"]);
    train("target.toml", &["target = \"dipoles\"", "the nearest known one is \"dipole\""]);
    train("zeta.toml", &["zeta.toml", "unknown key 'zeta'", "alpha, solver, target"]);
    train("kind.toml", &["kind.toml", "[features]: kind is another", "use kind = \"nice\""]);
    train("flat.toml", &["l_max = 1: there is no equivariant of λ = 2"]);
    train("last.toml", &["of order 2 only invariants are kept", "all_equivariants = true"]);
    let usage = |args: &[&str], parts: &[&str]| {
        place.refused(2, args, parts);
    };
    usage(&["train", "good.toml", "-o", "m.rho", "--checkpoint", "c"], &["--checkpoint", "leave it out"]);
    usage(&["evaluate", "good.toml", "--folds", "3"], &["--folds and --learning-curve are for potentials"]);
    says(
        &place.ok(&["train", "good.toml", "-o", "m.rho", "--dry-run"]),
        &["60 dipoles, 180 components", "nothing was written"],
    );
    place.ok(&["train", "good.toml", "-o", "m.rho", "--no-plot"]);
    let data = bundled("molecules.xyz.xz@:3");
    usage(&["predict", "m.rho", &data, "-o", "p.xyz", "--uncertainty"], &["--uncertainty", "leave it out"]);
    usage(&["evaluate", "m.rho", &data, "--polarizability-key", "a"], &["--polarizability-key"]);
    usage(&["evaluate", "m.rho", &data, "--energy-key", "a"], &["--energy-key", "are for potentials"]);
    usage(&["show", "m.rho", "--at", "2"], &["--at", "this is a model"]);
    place.refused(1, &["md", "m.rho", &data], &["of kind 'equivariant-ridge', not 'potential'"]);
}
