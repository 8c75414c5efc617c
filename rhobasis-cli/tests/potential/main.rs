//! From labelled structures to a potential, and what it says of others: train, predict, evaluate, md, relax, elastic.

mod checkpoints;
#[path = "../common/mod.rs"]
mod common;
mod fits;
mod keys;
mod motion;
mod outputs;
mod refusals;
mod shards;
mod targets;
mod tune;

use common::{Place, bundled, says};
use rhobasis::Structure;
use rhobasis::extxyz::{Labels, Options, labels};

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
