//! Checkpoints of NICE, safetensors of kind `nice-checkpoint`: the sample as far as it goes, as in a sample file, and the orders that
//! are fitted to it, as in a NICE file. Metadata (JSON) besides: `task`, and `next`, the frame that is sampled next.

use std::path::Path;

use super::run::NiceFit;
use super::sample::NiceSample;
use super::{Nice, file};
use crate::files::{Archive, count, damaged, remove_with_drafts};
use crate::optimal::Task;
use crate::{Error, Result};

const KIND: &str = "nice-checkpoint";

/// Removes a checkpoint, and what a run that was killed while writing has left of it.
///
/// # Errors
/// If the file system refuses.
pub fn remove_nice_checkpoint(path: &Path) -> Result<()> {
    remove_with_drafts(path, KIND)
}

/// The checkpoint, if it is there and of this task.
fn read(path: &Path, task: &Task) -> Result<Option<Archive>> {
    if !path.exists() {
        return Ok(None);
    }
    let archive = Archive::read(path, KIND)?;
    match task.difference(&archive.json(path, "task")?) {
        Some((problem, remedy)) => Err(start_anew(path, problem, &remedy)),
        None => Ok(Some(archive)),
    }
}

fn start_anew(path: &Path, problem: impl Into<String>, remedy: &str) -> Error {
    Error::file(path, problem, format!("{remedy}, or remove the checkpoint to start anew"))
}

impl NiceSample {
    fn checkpoint(&self, task: &Task, next: usize) -> Archive {
        let mut archive = Archive::default();
        self.store(&mut archive);
        archive.note("task", task);
        archive.note("next", &next);
        archive
    }

    /// Writes what is needed to go on after frame `next` of the files of `task` with the same bits.
    ///
    /// # Errors
    /// If the file cannot be written; an older checkpoint is then still there.
    pub fn save_checkpoint(&self, path: &Path, task: &Task, next: usize) -> Result<()> {
        self.checkpoint(task, next).write(path, KIND)
    }

    /// Continues from a checkpoint: this sample then holds what that one did. Returns the frame that comes next, or `None` if there is
    /// no such file.
    ///
    /// # Errors
    /// If basis, size or task differ from those of the checkpoint; if the file is damaged or of another kind.
    pub fn resume(&mut self, path: &Path, task: &Task) -> Result<Option<usize>> {
        let Some(archive) = read(path, task)? else { return Ok(None) };
        let before = NiceSample::restore(&archive, path)?;
        let next = count(path, "next", archive.json(path, "next")?)?;
        let mut resumed = self.emptied();
        let merged = resumed.merge(before);
        merged
            .map_err(|e| start_anew(path, format!("it is of another run: {e}"), "give the same basis and settings"))?;
        *self = resumed;
        Ok(Some(next))
    }
}

impl NiceFit<'_> {
    /// Writes the orders that are there, and the sample; `task` and `next` as for the sample.
    ///
    /// # Errors
    /// If the file cannot be written; an older checkpoint is then still there.
    pub fn save_checkpoint(&self, path: &Path, task: &Task, next: usize) -> Result<()> {
        let mut archive = self.sample.checkpoint(task, next);
        self.so_far().store(&mut archive, file::NAME);
        archive.write(path, KIND)
    }

    /// Takes the orders that a checkpoint holds, with the bits that they had; whether there are any.
    ///
    /// # Errors
    /// If settings, sample or task differ from those of the checkpoint; if the file is damaged or of another kind.
    pub fn resume(&mut self, path: &Path, task: &Task) -> Result<bool> {
        let Some(archive) = read(path, task)?.filter(|archive| archive.metadata.contains_key(file::NAME)) else {
            return Ok(false);
        };
        let before = Nice::restore_some(&archive, path, file::NAME)?;
        if let Some((name, now, then)) = self.settings.difference(&before.settings) {
            let problem = format!("orders were fitted with {name} = {then}, and this run has {name} = {now}");
            return Err(start_anew(path, problem, "give the same settings"));
        }
        let own = self.so_far();
        if own.channels != before.channels {
            let problem = "orders were fitted to another part of the channels";
            return Err(start_anew(path, problem, "give the same q_max and l_max"));
        }
        match self.take(&before)? {
            true => Ok(before.sequences().iter().any(|(_, nice)| !nice.orders.is_empty())),
            false => Err(damaged(path, "its orders were fitted to another sample than it holds")),
        }
    }
}
