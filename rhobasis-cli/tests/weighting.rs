//! `--weighting`: functions found for a weighted density.

mod common;

use std::path::PathBuf;

use common::{Place, without_command};

const SETTINGS: [&str; 6] = ["--l-max", "2", "--n-max", "6", "--r-cut", "4"];

fn silicon() -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/data/silicon.xyz.xz@:40").display().to_string()
}

/// Fits; returns what it said on standard output and on standard error.
fn fit(place: &Place, output: &str, more: &[&str]) -> (String, String) {
    let data = silicon();
    let args = [&["fit", &data, "-o", output], &SETTINGS[..], more].concat();
    let done = place.succeeds(&mut place.command(&args));
    (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
}

/// The numbers of `--weighting nearest` that a run has said.
fn numbers(said: &str) -> String {
    let start = said.find("--weighting nearest is [").expect(said) + "--weighting nearest is [".len();
    said[start..].split(']').next().unwrap().replace(' ', "")
}

#[test]
fn nearest_becomes_numbers_which_give_the_same_file_and_show_says_of_which_density_variances_are() {
    let place = Place::new();
    let (_, said) = fit(&place, "nearest.rho", &["--q-max", "3", "--weighting", "nearest"]);
    let numbers = numbers(&said);
    let scale: f64 = numbers.split(',').nth(1).unwrap().parse().unwrap();
    assert!(numbers.starts_with("1,") && numbers.ends_with(",7") && (1.8..2.1).contains(&scale), "{numbers}");
    fit(&place, "numbers.rho", &["--q-max", "3", "--weighting", &numbers]);
    assert!(without_command(&place.bytes("nearest.rho")) == without_command(&place.bytes("numbers.rho")));

    let shown = place.ok(&["show", "nearest.rho"]);
    assert!(shown.contains(&format!("by 1/(1 + (r/{scale} Å)^7) in the covariance, not in the density of features")));
    assert!(shown.contains("Residual variance of the weighted density") && shown.contains("radial scaling none"));
    assert!(shown.contains("of the variance of the weighted density."));
    place.ok(&["show", "nearest.rho", "--plot", "nearest.svg"]);
    assert!(
        String::from_utf8(place.bytes("nearest.svg")).unwrap().contains("residual variance of the weighted density")
    );
    fit(&place, "plain.rho", &["--q-max", "3"]);
    let shown = place.ok(&["show", "plain.rho"]);
    assert!(!shown.contains("weighting") && !shown.contains("weighted"));
}

#[test]
fn shards_take_the_distances_of_all_frames_and_merge_to_the_whole() {
    let place = Place::new();
    let (_, whole) = fit(&place, "whole.cov", &["--weighting", "nearest"]);
    for (shard, output) in [("1/2", "1.cov"), ("2/2", "2.cov")] {
        let (_, part) = fit(&place, output, &["--weighting", "nearest", "--shard", shard]);
        assert_eq!(numbers(&part), numbers(&whole));
    }
    place.ok(&["merge", "1.cov", "2.cov", "-o", "merged.rho", "--q-max", "3"]);
    fit(&place, "whole.rho", &["--q-max", "3", "--weighting", "nearest"]);
    let residual = |name: &str| {
        let shown = place.ok(&["show", name]);
        shown[shown.find("Residual variance").unwrap()..shown.find("next:").unwrap()].to_string()
    };
    assert_eq!(residual("merged.rho"), residual("whole.rho"));

    fit(&place, "other.cov", &["--shard", "2/2", "--weighting", "1,2.5,7"]);
    place.refused(1, &["merge", "1.cov", "other.cov", "-o", "x.rho"], &["other.cov", "weighting = [1, 2.5, 7]"]);
    fit(&place, "none.cov", &["--shard", "2/2"]);
    place.refused(1, &["merge", "1.cov", "none.cov", "-o", "x.rho"], &["none.cov", "weighting = none"]);
}

#[test]
fn sweeps_and_energies_go_with_a_weighting_and_a_plan_asks_for_data() {
    let place = Place::new();
    let (shown, _) = fit(&place, "nu.rho", &["--q-max", "2", "--nu", "2", "--weighting", "nearest"]);
    assert!(shown.contains("made for") && shown.contains("weighting"));
    let (shown, _) = fit(&place, "pcovr.rho", &["--q-max", "2", "--method", "pcovr", "--weighting", "nearest"]);
    assert!(shown.contains("pcovr with gamma 0.5") && shown.contains("weighting"));
    fit(&place, "all.rho", &["--retain", "1", "--weighting", "nearest"]);
    place.refused(1, &["plan", "all.rho"], &["eigenvalues are those of a weighted density", "give data too"]);
    let planned = place.ok(&["plan", "all.rho", "--data", &silicon(), "--nu", "2", "--retain", "0.9"]);
    assert!(planned.contains("exact"), "{planned}");
}

#[test]
fn a_model_file_weights_by_its_training_frames() {
    let place = Place::new();
    let model = |weighting: &str| {
        format!(
            "[data]\ntrain = \"{}\"\n[basis]\nr_cut = 4.0\nl_max = 2\nn_max = 6\nq_max = 2\n{weighting}\n[model]\n\
             type = \"ridge\"\n",
            silicon()
        )
    };
    let place = place.with("model.toml", model("weighting = \"nearest\"")).with("plain.toml", model(""));
    for (model, output) in [("model.toml", "weighted.rho"), ("plain.toml", "plain.rho")] {
        let of = if model == "model.toml" {
            "of the variance of the weighted density"
        } else {
            "of the variance of the density"
        };
        assert!(place.ok(&["train", model, "-o", output]).contains(of));
    }
    let holds = |name: &str, what: &str| String::from_utf8_lossy(&place.bytes(name)).contains(what);
    assert!(holds("weighted.rho", "weighting") && !holds("weighted.rho", "nearest\\"));
    assert!(!holds("plain.rho", "weighting"));
}

#[test]
fn distances_that_are_not_there_are_refused() {
    let place = Place::of(&[("far.xyz", "2\npbc=\"F F F\"\nSi 0 0 0\nSi 0 0 9\n")]);
    let args = ["fit", "far.xyz", "-o", "far.rho", "--weighting", "nearest"];
    place.refused(1, &args, &["weighting = nearest: no atom has a neighbour within r_cut = 5 Å", "use a larger r_cut"]);
}
