//! `fit --checkpoint`: an accumulator that is written from time to time, and continued from.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rhobasis::extxyz::Dataset;
use rhobasis::optimal::{Covariance, Task, remove_checkpoint};
use rhobasis::{Error, Result};

use crate::failure::{Failure, Outcome};
use crate::input::note_on;
use crate::output;
use crate::text::{count, plural};

#[derive(Args)]
pub struct CheckpointFlags {
    /// Write what is accumulated so far to FILE from time to time, and continue from it if it is there: same settings, same
    /// data, same result to the last bit. Removed when the output is written
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Time between two checkpoints, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, requires = "checkpoint")]
    checkpoint_every: Duration,
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "give a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "give a number of seconds that is not negative".into())
}

impl CheckpointFlags {
    /// Refuses, before any work, a checkpoint that could not be written.
    pub fn check(&self, output: &Path) -> Outcome {
        let Some(path) = &self.checkpoint else { return Ok(()) };
        if path == output {
            return Err(Failure::usage(
                "--checkpoint and --output name the same file: give the checkpoint another name",
            ));
        }
        if path.is_dir() {
            return Err(Error::file(path, "is a directory", "name a file in it").into());
        }
        Ok(output::check_folder(output::folder_of(path))?)
    }

    /// Whether there is to be one.
    pub fn is_given(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// The file, and the time between two writings.
    pub fn file(&self) -> Option<(&Path, Duration)> {
        self.checkpoint.as_deref().map(|path| (path, self.checkpoint_every))
    }

    /// Continues where an earlier run was interrupted, if it was.
    pub fn start(
        &self,
        covariance: &mut Covariance,
        mut input: Dataset,
        task: impl FnOnce(&mut Dataset) -> Result<Task>,
    ) -> Result<(Dataset, Option<Checkpoint>)> {
        let Some(path) = self.checkpoint.clone() else { return Ok((input, None)) };
        let task = task(&mut input)?;
        if let Some(next) = covariance.resume(&path, &task)? {
            note_on(&path);
            eprintln!(
                "continuing from {}: {} done, frame {} comes next",
                path.display(),
                plural(covariance.n_structures(), "frame"),
                count(next)
            );
            input = input.after(next);
        }
        Ok((input, Some(Checkpoint { path, every: self.checkpoint_every, last: Instant::now(), task })))
    }
}

/// Where, how often and of what checkpoints are written.
pub struct Checkpoint {
    path: PathBuf,
    every: Duration,
    last: Instant,
    task: Task,
}

impl Checkpoint {
    /// Writes a checkpoint if the last one is old enough; frame `next` has not been added yet.
    pub fn write(&mut self, covariance: &Covariance, next: usize) -> Result<()> {
        if self.last.elapsed() < self.every {
            return Ok(());
        }
        covariance.save_checkpoint(&self.path, &self.task, next)?;
        self.last = Instant::now();
        Ok(())
    }

    /// The result is there: nothing is left to continue.
    pub fn remove(self) -> Result<()> {
        remove_checkpoint(&self.path)
    }
}
