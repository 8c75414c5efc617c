//! The model file, a line for each setting and behind it why.

use std::path::Path;

use rhobasis::extxyz::{LabelKeys, path_of};
use rhobasis::{Error, Result};
use toml_edit::Value;

use super::data::Found;
use super::proposal::{Choice, Model, Proposal};
use crate::output::folder_of;
use crate::text::{count, plural};

/// How a proposed file begins.
pub const BEGINNING: &str = "# Proposed by 'rhobasis new'";
/// Where comments begin, and lines end.
const COMMENTS: usize = 36;
const END: usize = 130;
/// Characters before a comment, at most.
const MOST_BEFORE: usize = 60;

/// What the file says of its data.
pub struct Source<'a> {
    pub data: &'a [String],
    pub output: &'a Path,
    pub keys: &'a LabelKeys,
    /// Keys that were found by their names, and others that may be meant.
    pub guessed: &'a [(&'static str, Vec<String>)],
}

/// The whole file.
pub fn text(found: &Found, proposal: &Proposal, source: &Source) -> Result<String> {
    let mut file = Lines(String::new());
    let Proposal { model, .. } = proposal;
    file.line(&format!("{BEGINNING} for {}.", source.data.join(" ")));
    file.comment(&format!(
        "{}, {} atoms. Values follow from rules, which stand behind them; none was tried. Next:",
        plural(found.n_frames, "frame"),
        count(found.n_atoms)
    ));
    let name = source.output.display();
    let stem = source.output.file_stem().unwrap_or_default().to_string_lossy();
    file.line(&format!("#\n#   rhobasis train {name} -o {stem}.rho"));
    file.line(&format!("#   rhobasis tune {name} -o {stem}-tuned.toml      tries others by cross-validation"));
    file.line(
        "#\n# All keys are explained in examples/model-silicon.toml. Paths are relative to the folder of this file.\n",
    );
    data(&mut file, found, proposal, source)?;
    basis(&mut file, proposal);
    features(&mut file, proposal);
    match model.value {
        Model::Linear { .. } => {
            file.section("model");
            file.set("type", "\"ridge\"", &model.why);
            file.set(
                "alpha",
                "[1e-16, 1e-14, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8]",
                "regulariser: the best by cross-validation",
            );
        }
        Model::Kernel => {
            file.section("model");
            file.set("type", "\"kernel-ridge\"", &model.why);
            file.set("zeta", "2", "exponent of the kernel: 2 makes pairs of what the features say");
            file.set(
                "delta",
                "1.0",
                "eV, how much the energy of an atom varies; what counts is energy_sigma beside it",
            );
        }
    }
    file.section("baseline");
    let of = if proposal.isolated_atoms.value { "\"isolated-atoms\"" } else { "\"least-squares\"" };
    file.set("type", of, &proposal.isolated_atoms.why);
    weights(&mut file, found, proposal);
    Ok(file.0)
}

fn data(file: &mut Lines, found: &Found, proposal: &Proposal, source: &Source) -> Result<()> {
    file.section("data");
    let paths =
        source.data.iter().map(|spec| Ok(quoted(&seen_from(source.output, spec)?))).collect::<Result<Vec<_>>>()?;
    let train = if let [one] = &paths[..] { one.clone() } else { format!("[{}]", paths.join(", ")) };
    let mut has = Vec::new();
    for (n, what) in [(found.energies, "energies"), (found.forces, "forces"), (found.stresses, "stresses")] {
        if n > 0 {
            let of = if n == found.n_frames { "all".into() } else { count(n) };
            has.push(format!("{what} of {of}"));
        }
    }
    file.set("train", &train, &format!("what to learn from: {} frames", has.join(", ")));
    match proposal.test_fraction.value {
        Some(fraction) => file.set("test_fraction", &fraction.to_string(), &proposal.test_fraction.why),
        None => file.unset("test_fraction", "0.2", &proposal.test_fraction.why),
    }
    let LabelKeys { energy_key, force_key, stress_key, virial_key } = source.keys;
    let keys =
        [("energy_key", energy_key), ("force_key", force_key), ("stress_key", stress_key), ("virial_key", virial_key)];
    for (name, key) in keys {
        let Some(key) = key else { continue };
        let why = match source.guessed.iter().find(|(guessed, _)| *guessed == name) {
            Some((_, others)) if others.is_empty() => "found by its name".into(),
            Some((_, others)) => {
                let others: Vec<String> = others.iter().map(|other| quoted(other)).collect();
                format!("found by its name; or is it {}?", others.join(", "))
            }
            None if key.is_empty() => "left out, as you said".into(),
            None => "as you said".to_string(),
        };
        file.set(name, &quoted(key), &why);
    }
    Ok(())
}

fn basis(file: &mut Lines, proposal: &Proposal) {
    fn set<T: std::fmt::Display>(file: &mut Lines, key: &str, choice: &Choice<T>) {
        file.set(key, &choice.value.to_string(), &choice.why);
    }
    let real = |choice: &Choice<f64>| Choice { value: format!("{:?}", choice.value), why: choice.why.clone() };
    file.section("basis");
    set(file, "r_cut", &real(&proposal.r_cut));
    set(file, "sigma", &real(&proposal.sigma));
    set(file, "cutoff_width", &real(&proposal.cutoff_width()));
    let scaling = format!("[1, {}, {}]", proposal.scaling.value, proposal.exponent());
    file.set("scaling", &scaling, &proposal.scaling.why);
    set(file, "n_max", &proposal.n_max);
    set(file, "l_max", &proposal.l_max);
    set(file, "q_max", &proposal.q_max);
    if proposal.supervised.value {
        file.set("method", "\"supervised\"", &proposal.supervised.why);
    }
    if proposal.combined.value {
        file.set("mixing", "\"combined\"", &proposal.combined.why);
    }
}

fn features(file: &mut Lines, proposal: &Proposal) {
    file.section("features");
    match proposal.model.value {
        Model::Linear { triples: true } => {
            let (q, l) = proposal.of_triples();
            let why = "pairs of neighbours, and triples of them, which a linear model cannot make of pairs";
            file.set("kind", "[\"power-spectrum\", \"bispectrum\"]", why);
            let many = "all functions for pairs; few for triples, of which there are many more";
            file.set("q_max", &format!("[{}, {q}]", proposal.q_max.value), many);
            file.set("l_max", &format!("[{}, {l}]", proposal.l_max.value), "and small l");
        }
        Model::Linear { triples: false } => {
            let why = "pairs of neighbours; there are too few labels, or too many species, for triples too";
            file.set("kind", "\"power-spectrum\"", why);
        }
        Model::Kernel => file.set("kind", "\"power-spectrum\"", "pairs of neighbours; the kernel makes more of them"),
    }
}

fn weights(file: &mut Lines, found: &Found, proposal: &Proposal) {
    file.section("weights");
    file.comment("Residuals are divided by these: smaller ones count more.");
    let Proposal { energy_sigma, force_sigma, stress_sigma, model, .. } = proposal;
    let all = [
        ("energy_sigma", energy_sigma, found.energies),
        ("force_sigma", force_sigma, found.forces),
        ("stress_sigma", stress_sigma, found.stresses),
    ];
    for (name, sigma, n) in all {
        match sigma.value {
            Some(x) => file.set(name, &x.to_string(), &sigma.why),
            // Training asks whether energies or forces are left out on purpose.
            None if model.value != Model::Kernel && (n > 0 || name != "stress_sigma") => {
                file.set(name, "\"none\"", &sigma.why);
            }
            None => file.unset(name, "\"none\"", &sigma.why),
        }
    }
    if found.types.len() > 1 {
        let types: Vec<String> =
            found.types.iter().map(|(name, n)| format!("{} ({})", quoted(name), count(*n))).collect();
        const MOST: usize = 12;
        let more = if types.len() > MOST { format!(" and {} more", types.len() - MOST) } else { String::new() };
        let types = types[..types.len().min(MOST)].join(", ");
        file.line("");
        file.comment(&format!(
            "Frames have a config_type: {types}{more}. One of them can have sigmas of its own, as in [weights.{}].",
            quoted(found.types.keys().find(|name| !name.is_empty()).map_or("liquid", String::as_str))
        ));
    }
}

/// A path, with its slice, as a file in the folder of `output` names it.
fn seen_from(output: &Path, spec: &str) -> Result<String> {
    let path = path_of(spec);
    let here = |folder: &Path| folder.canonicalize().map_err(|e| Error::io(folder, e));
    if path.is_absolute() || here(folder_of(output))? == here(Path::new("."))? {
        return Ok(spec.to_string());
    }
    let slice = spec.strip_prefix(&*path.to_string_lossy()).unwrap_or("");
    Ok(format!("{}{slice}", here(&path)?.display()))
}

/// As TOML has it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Lines of the file.
struct Lines(String);

impl Lines {
    fn line(&mut self, text: &str) {
        self.0 += text;
        self.0.push('\n');
    }

    fn section(&mut self, name: &str) {
        self.line(&format!("\n[{name}]"));
    }

    fn set(&mut self, key: &str, value: &str, why: &str) {
        self.with_comment(&format!("{key} = {value}"), why);
    }

    /// A setting that is left out, as it would stand.
    fn unset(&mut self, key: &str, value: &str, why: &str) {
        self.with_comment(&format!("# {key} = {value}"), why);
    }

    /// Comments that are too long go on below, where they began; they stand above a line that leaves no room.
    fn with_comment(&mut self, start: &str, why: &str) {
        let begin = COMMENTS.max(start.chars().count() + 2);
        if begin > MOST_BEFORE {
            self.comment(why);
            return self.line(start);
        }
        let room = END - begin - 2;
        let mut first = true;
        for part in wrapped(why, room) {
            let before = if first { start } else { "#" };
            let gap = if first { begin } else { COMMENTS + 2 };
            let mark = if first { "# " } else { "" };
            self.line(format!("{before:<gap$}{mark}{part}").trim_end());
            first = false;
        }
    }

    fn comment(&mut self, text: &str) {
        wrapped(text, END - 2).iter().for_each(|part| self.line(&format!("# {part}")));
    }
}

/// Cut between words into lines of at most so many characters.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is one");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > room {
            lines.push(word.to_string());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_comments_go_on_below_and_are_comments_there() {
        let mut lines = Lines(String::new());
        lines.set("r_cut", "5.0", &"a reason of some length ".repeat(9));
        let read: toml_edit::DocumentMut = lines.0.parse().unwrap();
        assert_eq!(read["r_cut"].as_float(), Some(5.0));
        assert_eq!(read.iter().count(), 1);
        assert!(lines.0.lines().count() > 1 && lines.0.lines().all(|line| line.chars().count() <= END), "{}", lines.0);
        assert!(lines.0.lines().skip(1).all(|line| line.starts_with('#')));
        let mut lines = Lines(String::new());
        lines.set("train", &format!("\"{}\"", "folder/".repeat(12)), "what to learn from");
        assert!(lines.0.starts_with("# what to learn from\ntrain = "), "{}", lines.0);
    }
}
