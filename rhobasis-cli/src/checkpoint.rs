//! `--checkpoint`: what is accumulated frame by frame is written from time to time, and continued from.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rhobasis::Result;
use rhobasis::correlations::NiceSample;
use rhobasis::extxyz::Dataset;
use rhobasis::optimal::{Covariance, Task};

use crate::files::{Files, Holds};
use crate::input::note_on;
use crate::text::{count, plural, tell};
use crate::{interrupt, output};

#[derive(Args, Clone)]
pub struct CheckpointFlags {
    /// Write what is accumulated so far to FILE from time to time, and continue from it if it is there: same settings, same
    /// data, same result to the last bit. Removed when the output is written
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Time between two checkpoints, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, requires = "checkpoint")]
    checkpoint_every: Duration,
}

pub fn seconds(text: &str) -> std::result::Result<Duration, String> {
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
        files.going_on("--checkpoint", Holds::Checkpoint, &self.checkpoint)
    }

    /// Whether there is to be one.
    pub fn is_given(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// The file, and the time between two writings.
    pub fn file(&self) -> Option<(&Path, Duration)> {
        self.checkpoint.as_deref().map(|path| (path, self.checkpoint_every))
    }

    /// The same, with another file, or none.
    pub fn at(&self, path: Option<PathBuf>) -> Self {
        CheckpointFlags { checkpoint: path, checkpoint_every: self.checkpoint_every }
    }

    /// Continues where an earlier run over files was interrupted, if it was.
    pub fn start(
        &self,
        sums: &mut impl Accumulator,
        mut input: Dataset,
        task: impl FnOnce(&mut Dataset) -> Result<Task>,
    ) -> Result<(Dataset, Option<Checkpoint>)> {
        if !self.is_given() {
            return Ok((input, None));
        }
        let task = task(&mut input)?;
        let checkpoint = self.begin(sums, || task)?;
        if let Some(checkpoint) = checkpoint.as_ref().filter(|checkpoint| checkpoint.next > 0) {
            input = input.after(checkpoint.next);
        }
        Ok((input, checkpoint))
    }

    /// Takes what an earlier run has kept, if it has.
    pub fn begin(&self, sums: &mut impl Accumulator, task: impl FnOnce() -> Task) -> Result<Option<Checkpoint>> {
        let Some(mut checkpoint) = self.of(task) else { return Ok(None) };
        if let Some(next) = sums.resume(&checkpoint.path, &checkpoint.task)? {
            note_on(&checkpoint.path);
            tell(format!(
                "continuing from {}: {} done, frame {} comes next",
                checkpoint.path.display(),
                plural(sums.n_structures(), "frame"),
                count(next)
            ));
            keeps(&checkpoint.path, sums.n_structures());
            checkpoint.next = next;
        }
        Ok(Some(checkpoint))
    }

    /// One of a task of which nothing is done.
    pub fn of(&self, task: impl FnOnce() -> Task) -> Option<Checkpoint> {
        let path = self.checkpoint.clone()?;
        Some(Checkpoint { path, every: self.checkpoint_every, last: Instant::now(), task: task(), next: 0 })
    }
}

/// Notes what an interrupted run leaves.
pub fn keeps(checkpoint: &Path, frames: usize) {
    let kept = format!("{} are in {}; the same command goes on", plural(frames, "frame"), checkpoint.display());
    interrupt::keeps(kept);
}

/// What is accumulated frame by frame, and can be written before the last.
pub trait Accumulator {
    /// See [`Covariance::resume`].
    fn resume(&mut self, path: &Path, task: &Task) -> Result<Option<usize>>;

    /// See [`Covariance::save_checkpoint`].
    fn save_checkpoint(&self, path: &Path, task: &Task, next: usize) -> Result<()>;

    /// Frames that are done.
    fn n_structures(&self) -> usize;
}

impl Accumulator for Covariance {
    fn resume(&mut self, path: &Path, task: &Task) -> Result<Option<usize>> {
        self.resume(path, task)
    }

    fn save_checkpoint(&self, path: &Path, task: &Task, next: usize) -> Result<()> {
        self.save_checkpoint(path, task, next)
    }

    fn n_structures(&self) -> usize {
        self.n_structures()
    }
}

impl Accumulator for NiceSample {
    fn resume(&mut self, path: &Path, task: &Task) -> Result<Option<usize>> {
        self.resume(path, task)
    }

    fn save_checkpoint(&self, path: &Path, task: &Task, next: usize) -> Result<()> {
        self.save_checkpoint(path, task, next)
    }

    fn n_structures(&self) -> usize {
        self.n_structures()
    }
}

/// Where, how often and of what checkpoints are written.
pub struct Checkpoint {
    pub path: PathBuf,
    every: Duration,
    last: Instant,
    pub task: Task,
    /// The frame that comes after those that are done.
    pub next: usize,
}

impl Checkpoint {
    /// Writes a checkpoint if the last one is old enough, or the last thing to do; frame `next` has not been added yet.
    pub fn write(&mut self, sums: &impl Accumulator, next: usize) -> Result<()> {
        self.next = next;
        let ends = interrupt::pending();
        if !ends && self.last.elapsed() < self.every {
            return Ok(());
        }
        self.write_now(sums)?;
        if ends {
            interrupt::end();
        }
        Ok(())
    }

    /// Writes one whatever the time.
    pub fn write_now(&mut self, sums: &impl Accumulator) -> Result<()> {
        sums.save_checkpoint(&self.path, &self.task, self.next)?;
        keeps(&self.path, sums.n_structures());
        self.last = Instant::now();
        Ok(())
    }
}
