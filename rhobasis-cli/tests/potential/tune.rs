//! `rhobasis tune`: settings by cross-validation.

use super::{Place, bundled, says};

fn model(more: &str, data: &str) -> String {
    format!(
        "# A model of silicon.\n[data]\ntrain = \"{data}\" # few\n\
         [basis]\nr_cut = 4.0 # Å\nsigma = 0.5\nn_max = 6\nl_max = 1\nq_max = 2\n{more}\n\
         [model]\ntype = \"ridge\"\nalpha = 1e-8\n"
    )
}

fn silicon() -> String {
    bundled("silicon.xyz.xz@::12")
}

/// Lines of the file of trials.
fn trials(place: &Place, name: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(place.path(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_model_file_is_tuned_and_an_interrupted_search_goes_on() {
    let place = Place::new().with("model.toml", model("", &silicon()));
    let tune = |budget: &str| {
        place.ok(&["tune", "model.toml", "-o", "tuned.toml", "--folds", "3", "--frames", "15", "--budget", budget])
    };
    // One trial, whatever it takes.
    let told = tune("0");
    says(&told, &["1, 0.", "the budget ended the search", "*+", "wrote tuned.toml", "next: rhobasis train tuned.toml"]);
    let first = trials(&place, "tuned.trials.jsonl");
    assert_eq!(first.len(), 2);
    let unchanged = std::fs::read_to_string(place.path("tuned.toml")).unwrap();
    assert!(unchanged.ends_with(&model("", &silicon())), "{unchanged}");

    // More, from there; at most so many, as the steps are few and end where nothing gets better.
    let told = tune("0.5");
    let more = trials(&place, "tuned.trials.jsonl");
    // Before the trials stands the scaling, if there was time to look for it.
    assert_eq!(more.iter().find(|line| line.get("trial").is_some()), Some(&first[1]));
    assert!(more.len() > 4, "{told}");
    assert!(place.names().contains(&"tuned.svg".to_string()));
    // The same rule, from the numbers of the file: the cheapest of those within one standard error of the best, and of those that
    // cost the same to five per cent the best.
    let trials: Vec<&serde_json::Value> = more.iter().filter_map(|line| line.get("trial")).collect();
    let numbers = |trial: &serde_json::Value, key: &str| -> Vec<f64> {
        trial[key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    for trial in &trials {
        let (energy, force, score) =
            (numbers(trial, "energy_of_folds"), numbers(trial, "force_of_folds"), numbers(trial, "scores"));
        assert_eq!(score.len(), 3);
        for ((e, f), s) in energy.iter().zip(&force).zip(&score) {
            assert!(((e * f).sqrt().ln() - s).abs() < 1e-12);
        }
    }
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let score = |trial: &&&serde_json::Value| mean(&numbers(trial, "scores"));
    let best = trials.iter().min_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
    let as_good = |trial: &&&serde_json::Value| {
        let differences: Vec<f64> =
            numbers(trial, "scores").iter().zip(numbers(best, "scores")).map(|(a, b)| a - b).collect();
        let m = mean(&differences);
        let variance = differences.iter().map(|d| (d - m).powi(2)).sum::<f64>() / 2.0;
        m <= (variance / 3.0).sqrt()
    };
    let cost = |trial: &&&serde_json::Value| trial["cost"].as_f64().unwrap();
    let least = trials.iter().filter(as_good).map(|trial| cost(&trial)).fold(f64::INFINITY, f64::min);
    let cheap = trials.iter().filter(as_good).filter(|trial| cost(trial) <= 1.05 * least);
    let taken = cheap.min_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
    let tuned = std::fs::read_to_string(place.path("tuned.toml")).unwrap();
    for key in ["r_cut", "sigma", "q_max", "l_max"] {
        let line = tuned.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        let value: f64 = line.split('=').nth(1).unwrap().split('#').next().unwrap().trim().parse().unwrap();
        assert_eq!(value, taken[key].as_f64().unwrap(), "{line}");
    }
    let score_of_first = score(&&trials[0]);
    assert!(score(&taken) < score_of_first, "{told}");

    // Comments stay, what was changed says so, and the file is one to train with: with the errors that it promises.
    says(
        &tuned,
        &[
            "# Tuned by 'rhobasis tune' from model.toml",
            "# Before: energy",
            "# A model of silicon.",
            "# few",
            "# tuned; was",
        ],
    );
    place.ok(&["train", "tuned.toml", "-o", "p.rho", "--no-plot"]);
    std::fs::copy(place.path("tuned.toml"), place.path("all.toml")).unwrap();

    // Trials of something else are not gone on from.
    let other = ["tune", "model.toml", "-o", "tuned.toml", "--folds", "4"];
    place.refused(1, &other, &["tuned.trials.jsonl", "another model file, other data, flags", "remove this file"]);
    let text = model("", &silicon()).replace("sigma = 0.5", "sigma = 0.4");
    let place = place.with("model.toml", text);
    place.refused(
        1,
        &["tune", "model.toml", "-o", "tuned.toml", "--folds", "3", "--frames", "15"],
        &["another model file"],
    );
    let place = place.with("x.trials.jsonl", "{}\n");
    place.refused(1, &["tune", "model.toml", "-o", "x.toml"], &["line 1 is no trial of 'rhobasis tune'"]);
}

#[test]
fn a_tuned_file_in_another_folder_finds_its_data() {
    let place = Place::new().with("model.toml", model("", "few.xyz"));
    place.ok(&["predict", &potential(&place), &bundled("silicon.xyz.xz@::40"), "-o", "few.xyz"]);
    std::fs::create_dir(place.path("sub")).unwrap();
    let to =
        ["tune", "model.toml", "-o", "sub/t.toml", "--folds", "2", "--budget", "0", "--no-plot", "--for", "forces"];
    place.ok(&to);
    let there = std::fs::read_to_string(place.path("sub/t.toml")).unwrap();
    let data = place.folder().canonicalize().unwrap().join("few.xyz");
    says(&there, &[&format!("train = \"{}\" # few", data.display())]);
    place.ok(&["train", "sub/t.toml", "-o", "p.rho", "--no-plot"]);
    let first = &trials(&place, "sub/t.trials.jsonl")[1]["trial"];
    for fold in 0..2 {
        let force = first["force_of_folds"][fold].as_f64().unwrap();
        assert!((first["scores"][fold].as_f64().unwrap() - force.ln()).abs() < 1e-12);
    }
}

/// A potential to make labels with.
fn potential(place: &Place) -> String {
    std::fs::write(place.path("first.toml"), model("", &silicon())).unwrap();
    place.ok(&["train", "first.toml", "-o", "first.rho", "--no-plot"]);
    "first.rho".into()
}

#[test]
fn what_cannot_be_tuned_is_refused_before_any_work() {
    let place = Place::new();
    let tune = ["tune", "model.toml", "-o", "t.toml"];
    for (text, parts) in [
        (model("", &silicon()).replace("q_max = 2", "method = \"primitive\""), "[basis]: is made of no data"),
        (model("", &silicon()).replace("q_max = 2", "retain = 0.9"), "retain leaves the number of functions open"),
    ] {
        std::fs::write(place.path("model.toml"), text).unwrap();
        place.refused(1, &tune, &["model.toml", parts, "examples/model-silicon.toml"]);
    }
    let text = model("", &silicon()) + "[weights]\nforce_sigma = \"none\"\n";
    std::fs::write(place.path("model.toml"), text).unwrap();
    place.refused(1, &[&tune[..], &["--for", "forces"]].concat(), &["for = forces", "is not trained on them"]);
    place.refused(2, &["tune", "model.toml", "-o", "t.txt"], &["must end in .toml"]);
    place.refused(2, &["tune", "model.toml", "-o", "t.toml", "--budget=-1"], &["not negative"]);
    place.refused(1, &["tune", "model.toml", "-o", "model.toml"], &["would be overwritten"]);
    let place = place.with("mine.toml", "[data]\n");
    place.refused(1, &["tune", "model.toml", "-o", "mine.toml"], &["mine.toml: does not begin with '# Tuned by"]);
}
