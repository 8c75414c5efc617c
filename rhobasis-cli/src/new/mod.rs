//! `rhobasis new`: a model file for a data set, to begin with.

/// What the data set holds.
mod data;
/// Settings and their reasons.
mod proposal;
/// The file.
mod text;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rhobasis::extxyz::{LabelKeys, LabelKind, path_of};
use rhobasis::files::is_stream;
use rhobasis::{Error, Result};

use crate::failure::Outcome;
use crate::files::{Files, Holds};
use crate::input::Keys;
use crate::label_keys::Named;
use crate::labelled::LabelledFrames;
use crate::output;
use crate::text::{count, field, tell};
use data::Found;
use proposal::Proposal;
use text::Source;

/// Propose a model file for labelled data, with the reason for each value beside it
///
/// Cutoff and width come from the distances of atoms, the number of functions from the variance of their density, the model
/// from the kinds of labels and the number of species, weights from how much the labels vary. Nothing is trained: the file is
/// where to begin, for 'rhobasis train' as it is, and for 'rhobasis tune', which tries other values.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct New {
    /// Extended XYZ files to train on, plain or packed, each with an optional slice: data.xyz@:1000
    #[arg(required = true)]
    data: Vec<String>,
    /// The model file to write, *.toml
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    keys: Keys,
}

const EXAMPLE: &str = "\
Example:
  rhobasis new silicon.xyz.xz -o model.toml
  rhobasis train model.toml -o silicon.rho
Example: labels under keys of their own, which are otherwise found by their names
  rhobasis new data.xyz -o model.toml --energy-key dft_energy --force-key dft_forces";

/// Settings of keys that were found by their names, and what else may be meant.
type Guessed = Vec<(&'static str, Vec<String>)>;

impl New {
    pub fn files(&self) -> Files {
        Files::default().and_data(&self.data).writing("--output", Holds::ModelFile, [&self.output])
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        output::check(&self.output, &["toml"])?;
        if let Some(pipe) = self.data.iter().map(|spec| path_of(spec)).find(|path| is_stream(path)) {
            let problem = "is a pipe, which cannot be read again for training";
            return Err(Error::file(&pipe, problem, "write the frames to a file first").into());
        }
        let (data, keys, guessed) = self.read()?;
        let found = Found::of(&data)?;
        let proposal = Proposal::of(&found)?;
        let source = Source { data: &self.data, output: &self.output, keys: &keys, guessed: &guessed };
        output::write_text(&self.output, &text::text(&found, &proposal, &source)?)?;
        field(out, "data", format!("{} frames, {} atoms", count(found.n_frames), count(found.n_atoms)))?;
        field(out, "cutoff", format!("{} Å", proposal.r_cut.value))?;
        field(out, "model", &proposal.model.why)?;
        writeln!(out, "wrote {}", self.output.display())?;
        let stem = self.output.with_extension("rho");
        writeln!(out, "next: rhobasis train {} -o {}", self.output.display(), stem.display())?;
        Ok(())
    }

    /// The frames with their labels, under keys that were named, are usual, or look like them.
    fn read(&self) -> Result<(LabelledFrames, LabelKeys, Guessed)> {
        let mut keys = self.keys.named();
        let data = LabelledFrames::read(&self.data, &keys)?;
        let mut guessed: Guessed = Vec::new();
        for likely in data.survey.likely() {
            let key = match likely.kind {
                LabelKind::Energy => &mut keys.energy_key,
                LabelKind::Forces => &mut keys.force_key,
                LabelKind::Stress => &mut keys.stress_key,
                // One of the two is enough.
                LabelKind::Virial if keys.stress_key.is_none() => &mut keys.virial_key,
                LabelKind::Virial => continue,
            };
            *key = Some(likely.keys[0].clone());
            tell(format!("note: taking '{}' for the {}, by its name", likely.keys[0], likely.kind.name()));
            guessed.push((likely.kind.setting(), likely.keys[1..].to_vec()));
        }
        let data = if guessed.is_empty() { data } else { LabelledFrames::read(&self.data, &keys)? };
        Named::ByFlags(&data.files).check(&data.survey)?;
        Ok((data, keys, guessed))
    }
}
