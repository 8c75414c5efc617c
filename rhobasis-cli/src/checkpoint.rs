//! `fit --checkpoint`: an accumulator that is written from time to time, and continued from.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rhobasis::Result;
use rhobasis::extxyz::Dataset;
use rhobasis::optimal::{Covariance, Task, remove_checkpoint};

use crate::files::{Files, Holds};
use crate::input::note_on;
use crate::text::{count, plural, tell};
use crate::{interrupt, output};

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
    pub fn check(&self) -> Result<()> {
        match &self.checkpoint {
            Some(path) => output::check_place(path),
            None => {
                interrupt::keeps("nothing was written; with --checkpoint FILE, the same command goes on");
                Ok(())
            }
        }
    }

    /// Adds the checkpoint to what is written.
    pub fn among(&self, files: Files) -> Files {
        files.writing("--checkpoint", Holds::Checkpoint, &self.checkpoint)
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
            tell(format!(
                "continuing from {}: {} done, frame {} comes next",
                path.display(),
                plural(covariance.n_structures(), "frame"),
                count(next)
            ));
            keeps(&path, covariance.n_structures());
            input = input.after(next);
        }
        Ok((input, Some(Checkpoint { path, every: self.checkpoint_every, last: Instant::now(), task })))
    }
}

/// Notes what an interrupted run leaves.
pub fn keeps(checkpoint: &Path, frames: usize) {
    let kept = format!("{} are in {}; the same command goes on", plural(frames, "frame"), checkpoint.display());
    interrupt::keeps(kept);
}

/// Where, how often and of what checkpoints are written.
pub struct Checkpoint {
    path: PathBuf,
    every: Duration,
    last: Instant,
    task: Task,
}

impl Checkpoint {
    /// Writes a checkpoint if the last one is old enough, or the last thing to do; frame `next` has not been added yet.
    pub fn write(&mut self, covariance: &Covariance, next: usize) -> Result<()> {
        let ends = interrupt::pending();
        if !ends && self.last.elapsed() < self.every {
            return Ok(());
        }
        covariance.save_checkpoint(&self.path, &self.task, next)?;
        keeps(&self.path, covariance.n_structures());
        if ends {
            interrupt::end();
        }
        self.last = Instant::now();
        Ok(())
    }

    /// The result is there: nothing is left to continue.
    pub fn remove(self) -> Result<()> {
        remove_checkpoint(&self.path)
    }
}
