//! The products of `--kind nice`: read from a file, or chosen by the atoms of a sample.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rhobasis::correlations::{Nice, NiceSample, NiceSettings, remove_nice_checkpoint};
use rhobasis::extxyz::{Dataset, Options, Shard, SourceFile, path_of};
use rhobasis::files::{Stored, is_stream, sha256};
use rhobasis::optimal::{OptimalBasis, Task};
use rhobasis::{Error, Result};

use crate::checkpoint::{Checkpoint, CheckpointFlags};
use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::load;
use crate::interrupt;
use crate::made_by;
use crate::nice::{self, NiceFlags};
use crate::nice_fit;
use crate::output;
use crate::text::warn;

/// Where products come from, and what is kept of them.
#[derive(Args)]
pub struct NiceArgs {
    #[command(flatten)]
    settings: NiceFlags,
    /// Features of --kind nice with the products that this file holds
    #[arg(long, value_name = "FILE.nice")]
    pub nice: Option<PathBuf>,
    /// Write the products of --kind nice, which are chosen by the atoms of DATA, to this file
    #[arg(long, value_name = "FILE.nice", conflicts_with = "nice")]
    save_nice: Option<PathBuf>,
    /// Choose the products of --kind nice by the atoms of this sample instead of those of DATA
    #[arg(long, value_name = "FILE.sample", conflicts_with = "nice")]
    sample: Option<PathBuf>,
    /// Write the atoms of DATA by which products are chosen to this file; nothing else is done without --output and --save-nice
    #[arg(long, value_name = "FILE.sample", conflicts_with_all = ["nice", "sample"])]
    save_sample: Option<PathBuf>,
    /// Sample only part I of N of the frames: those with index mod N = I − 1, counted over all DATA; `rhobasis merge` puts the samples
    /// together
    #[arg(long, value_name = "I/N", requires = "save_sample", conflicts_with_all = ["save_nice", "output"])]
    shard: Option<Shard>,
    #[command(flatten)]
    checkpoint: CheckpointFlags,
}

/// What products are chosen by, and for.
pub struct Choice<'a> {
    pub data: &'a [String],
    pub basis: &'a OptimalBasis,
    /// How many channels and which l of it; all if not given.
    pub part: [Option<usize>; 2],
    /// Whether features are made of them.
    pub are_used: bool,
}

impl NiceArgs {
    /// Adds what is read and written.
    pub fn among(&self, files: Files) -> Files {
        let files = files.and_read(self.nice.iter().chain(&self.sample));
        let files = files.writing("--save-nice", Holds::Archive(Nice::KIND), &self.save_nice);
        self.checkpoint.among(files.writing("--save-sample", Holds::Archive(NiceSample::KIND), &self.save_sample))
    }

    /// A flag that is given, and means something for --kind nice alone.
    pub fn given(&self) -> Option<String> {
        let setting = NiceSettings::SETTINGS.into_iter().find(|setting| self.settings.is_given(setting.name));
        let setting = setting.map(|setting| format!("--{}", setting.name.replace('_', "-")));
        let files = [
            ("--save-nice", self.save_nice.is_some()),
            ("--save-sample", self.save_sample.is_some()),
            ("--sample", self.sample.is_some()),
            ("--checkpoint", self.checkpoint.is_given()),
            ("--nice", self.nice.is_some()),
        ];
        setting.or_else(|| files.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag.to_string()))
    }

    /// Refuses arguments of --kind nice that do not fit together.
    pub fn check(&self, choice: [bool; 3]) -> Outcome {
        let [has_data, makes_features, takes_part] = choice;
        if self.nice.is_some() {
            return match self.given().filter(|flag| flag != "--nice") {
                Some(flag) => Err(Failure::usage(format!("{flag}: the file of --nice says it; leave one of them out"))),
                None if !has_data => Err(Failure::usage("DATA: name the files whose features are to be made")),
                None => Ok(()),
            };
        }
        if let Some(path) = &self.save_sample {
            output::check(path, &["sample"])?;
        }
        if self.sample.is_some() && has_data != makes_features {
            let problem = if has_data { "are not read, since the sample is there" } else { "are needed for --output" };
            return Err(Failure::usage(format!("DATA: structures {problem}; give both --output and DATA, or neither")));
        }
        if self.is_sample_only(makes_features) {
            let other =
                NiceSettings::SETTINGS.into_iter().filter(|setting| !["n_centers", "sequence"].contains(&setting.name));
            let other = other.map(|setting| setting.name).find(|name| self.settings.is_given(name));
            let other = other.map(|name| format!("--{}", name.replace('_', "-")));
            if let Some(flag) = other.or(takes_part.then(|| "--use-q-max, --use-l-max".into())) {
                let problem = "a sample is the same whatever it is; give it where products are chosen, with --sample";
                return Err(Failure::usage(format!("{flag}: {problem}")));
            }
        }
        Ok(self.checkpoint.check()?)
    }

    /// Whether only a sample is wanted.
    fn is_sample_only(&self, makes_features: bool) -> bool {
        !makes_features && self.save_nice.is_none()
    }

    /// The products; none where only a sample was wanted.
    pub fn choose(&self, choice: &Choice, out: &mut dyn Write) -> Outcome<Option<Arc<Nice>>> {
        if let Some(path) = &self.nice {
            return Ok(Some(Arc::new(load(path)?)));
        }
        let mut settings = self.settings.read(NiceSettings::read)?;
        let (sample, checkpoint) = self.sample(&settings, choice)?;
        if let Some(path) = &self.save_sample {
            nice_fit::write_sample(&sample, path, out)?;
        }
        if self.is_sample_only(choice.are_used) {
            return Ok(None);
        }
        if self.sample.is_some() {
            if !self.settings.is_given("n_centers") {
                settings.n_centers = sample.n_max();
            }
            if !self.settings.is_given("sequence") {
                settings.sequence = sample.sequence();
            }
        }
        let fitted = nice_fit::orders(&settings, &sample, choice.part, checkpoint.as_ref())?;
        if !self.checkpoint.is_given() {
            interrupt::keeps_files();
        }
        nice::account(&fitted, out)?;
        match &self.save_nice {
            Some(path) => {
                made_by::save(&fitted, path)?;
                writeln!(out, "wrote {}", path.display())?;
            }
            None => {
                warn("the products are kept nowhere: other data will have other features; use --save-nice");
            }
        }
        Ok(Some(Arc::new(fitted)))
    }

    /// The atoms by which products are chosen: those of a file, or of the data.
    fn sample(&self, settings: &NiceSettings, choice: &Choice) -> Result<(NiceSample, Option<Checkpoint>)> {
        if let Some(path) = &self.sample {
            let sample: NiceSample = load(path)?;
            sample.check_basis(choice.basis.expansion()).map_err(|e| {
                Error::file(path, format!("does not go with this basis: {e}"), "give the basis it was taken with")
            })?;
            let file = SourceFile { path: path.display().to_string(), frames: 0, sha256: sha256(path)? };
            return Ok((sample, self.checkpoint.of(|| Task { files: vec![file], shard: None })));
        }
        if choice.are_used || self.checkpoint.is_given() {
            refuse_pipes(choice.data)?;
        }
        let input = Dataset::open(choice.data, &Options::default())?;
        nice_fit::sample(settings, choice.basis.expansion(), input, self.shard, &self.checkpoint)
    }

    /// The result is there: nothing is left to continue.
    pub fn remove_checkpoint(&self) -> Result<()> {
        self.checkpoint.file().map_or(Ok(()), |(path, _)| remove_nice_checkpoint(path))
    }

    /// The sample that products are chosen by, where it is a file.
    pub fn sample_file(&self) -> Option<&Path> {
        self.sample.as_deref()
    }
}

fn refuse_pipes(data: &[String]) -> Result<()> {
    match data.iter().find(|data| is_stream(&path_of(data))) {
        Some(pipe) => {
            let problem = "is a pipe, and data are read twice where products are chosen by them";
            Err(Error::file(pipe, problem, "give a file, or products with --nice"))
        }
        None => Ok(()),
    }
}
