//! From labelled structures to a potential, and what it says of others: train, predict, evaluate, md.

mod checkpoints;
mod fits;
mod keys;
mod outputs;
mod refusals;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use rhobasis::Structure;
use rhobasis::extxyz::{Labels, Options, labels, read};
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
