//! Checkpoints: an accumulator that is not finished, to go on from with the same bits.
//!
//! Unlike an accumulator file, a checkpoint keeps the total of the complete blocks apart from the block that is open: only so
//! are later structures added in the order in which an uninterrupted run adds them.
//!
//! Tensors (float64), under `total/` and `open/`: `c{Z}/n_centers`, and for each pair a ≤ a′ of neighbour species seen
//! `c{Z}/{a}-{a′}` = sums `[l][n, n′]`, one after the other; Z = 0 for all centres together.

use std::path::Path;

use ndarray::{Array1, Array2, arr1};
use serde::{Deserialize, Serialize};

use super::covariance::Covariance;
use super::gram::{Gram, GramKey, impossible};
use crate::density::BlockKey;
use crate::extxyz::{Shard, SourceFile};
use crate::files::{Archive, count, remove_with_drafts};
use crate::{Error, Result};

const KIND: &str = "checkpoint";

/// What a run adds up: a checkpoint is continued by the same task only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Files and the SHA-256 of their content; the number of frames is not compared.
    pub files: Vec<SourceFile>,
    /// Part of their frames.
    pub shard: Option<Shard>,
}

impl Task {
    /// What differs from the task of a checkpoint, and what to do.
    pub(crate) fn difference(&self, before: &Task) -> Option<(String, String)> {
        let shard = |task: &Task| task.shard.map_or("all frames".into(), |s| format!("shard {s}"));
        if self.shard != before.shard {
            let problem = format!("it is a checkpoint of {}, not of {}", shard(before), shard(self));
            return Some((problem, "give each shard a checkpoint of its own".into()));
        }
        let paths = |task: &Task| task.files.iter().map(|f| f.path.clone()).collect::<Vec<_>>().join(", ");
        if paths(self) != paths(before) {
            let problem = format!("it is a checkpoint of {}, not of {}", paths(before), paths(self));
            return Some((problem, "name the same files in the same order".into()));
        }
        let changed = self.files.iter().zip(&before.files).find(|(now, then)| now.sha256 != then.sha256)?.0;
        let problem = format!("the content of {} has changed since it was written", changed.path);
        Some((problem, "restore that file".into()))
    }
}

/// Removes a checkpoint, and what a run that was killed while writing has left of it.
///
/// # Errors
/// If the file system refuses.
pub fn remove_checkpoint(path: &Path) -> Result<()> {
    remove_with_drafts(path, KIND)
}

impl Covariance {
    /// Writes what is needed to go on after frame `next` of the files of `task` with the same bits.
    ///
    /// # Errors
    /// If the file cannot be written; an older checkpoint is then still there.
    pub fn save_checkpoint(&self, path: &Path, task: &Task, next: usize) -> Result<()> {
        let mut archive = Archive::default();
        archive.note("settings", &self.settings);
        archive.note("task", task);
        archive.note("next", &next);
        archive.note("n_structures", &self.sums.n_structures);
        for (name, sum) in [("total", &self.sums.total), ("open", &self.sums.open)] {
            for (z, n) in &sum.n_centers {
                archive.insert(format!("{name}/c{z}/n_centers"), &arr1(&[*n as f64]));
            }
            for key in sum.blocks.keys().filter(|key| key.block == BlockKey::density(0)) {
                let block = |l| sum.blocks.get(&GramKey { block: BlockKey::density(l), ..*key });
                let flat: Array1<f64> = (0..=self.template.l_max()).filter_map(block).flatten().copied().collect();
                let (z, (a, b)) = (key.center, key.groups);
                archive.insert(format!("{name}/c{z}/{a}-{b}"), &flat);
            }
        }
        archive.write(path, KIND)
    }

    /// Continues from a checkpoint: this accumulator then holds what that one did. Returns the frame that comes next, or
    /// `None` if there is no such file.
    ///
    /// # Errors
    /// If settings or task differ from those of the checkpoint, naming what does; if the file is damaged or of another kind.
    pub fn resume(&mut self, path: &Path, task: &Task) -> Result<Option<usize>> {
        if !path.exists() {
            return Ok(None);
        }
        let archive = Archive::read(path, KIND)?;
        let start_anew = |problem: String, remedy: &str| {
            Error::file(path, problem, format!("{remedy}, or remove the checkpoint to start anew"))
        };
        if let Some((name, now, then)) = self.settings.difference(&archive.json(path, "settings")?) {
            let problem = format!("it was made with {name} = {then}, and this run has {name} = {now}");
            return Err(start_anew(problem, "give the same settings"));
        }
        if let Some((problem, remedy)) = task.difference(&archive.json(path, "task")?) {
            return Err(start_anew(problem, &remedy));
        }
        let (mut total, mut open) = (Gram::default(), Gram::default());
        for (name, values) in &archive.tensors {
            let damaged = || start_anew(format!("array '{name}' does not belong in it"), "restore the file");
            let parts: Vec<&str> = name.split('/').collect();
            let &[sums, center, what] = &parts[..] else { return Err(damaged()) };
            let z: u8 = center.strip_prefix('c').and_then(|z| z.parse().ok()).ok_or_else(damaged)?;
            let values: Vec<f64> = values.iter().copied().collect();
            let sum = match sums {
                "total" => &mut total,
                "open" => &mut open,
                _ => return Err(damaged()),
            };
            if what == "n_centers" {
                sum.n_centers.insert(z, count(path, name, *values.first().ok_or_else(damaged)?)?);
            } else {
                let blocks = self.pair(z, what, &values).ok_or_else(damaged)?;
                if let Some(x) = blocks.iter().find_map(|(key, sum)| impossible(sum, key.groups.0 == key.groups.1)) {
                    return Err(start_anew(
                        format!("array '{name}' holds {x}, no sum of squares and products"),
                        "restore the file",
                    ));
                }
                sum.blocks.extend(blocks);
            }
        }
        (self.sums.total, self.sums.open) = (total, open);
        self.sums.n_structures = count(path, "n_structures", archive.json(path, "n_structures")?)?;
        Ok(Some(count(path, "next", archive.json(path, "next")?)?))
    }

    /// The sums of each l of the pair `a-b`; `None` if there are more or fewer numbers than that.
    fn pair(&self, center: u8, name: &str, mut values: &[f64]) -> Option<Vec<(GramKey, Array2<f64>)>> {
        let (a, b) = name.split_once('-')?;
        let groups = (a.parse().ok()?, b.parse().ok()?);
        let mut blocks = Vec::new();
        for l in 0..=self.template.l_max() {
            let n = self.n_functions(l);
            let (block, rest) = values.split_at_checked(n * n)?;
            let key = GramKey { center, block: BlockKey::density(l), groups };
            blocks.push((key, Array2::from_shape_vec((n, n), block.to_vec()).ok()?));
            values = rest;
        }
        values.is_empty().then_some(blocks)
    }
}
