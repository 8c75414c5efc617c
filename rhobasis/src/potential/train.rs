//! From frames with energies, forces and stresses to a potential.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::features::{Basis, FeatureSettings};
use super::model::Potential;
use super::settings::{Baseline, ModelSettings, Weights};
use super::targets::TargetCounts;
use crate::Result;
use crate::extxyz::Labels;
use crate::structure::Structure;

/// Everything that makes a fit, but its basis and data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// Features of an atom.
    pub features: FeatureSettings,
    /// The model of them.
    pub model: ModelSettings,
    /// Energies of free atoms.
    pub baseline: Baseline,
    /// How much each quantity counts.
    pub weights: Weights,
}

/// A fit in progress: frames are worked through some at a time, so that it can be watched, interrupted and continued.
///
/// Nothing that it holds is proportional to centres times features; see [`Trainer::memory`].
#[derive(Debug)]
pub struct Trainer<'a> {
    frames: &'a [Structure],
}

impl<'a> Trainer<'a> {
    /// Fits the baseline and, for sparse models, chooses sparse points; rows come with [`Trainer::advance`].
    ///
    /// `labels` holds what each frame says, see [`crate::extxyz::labels`].
    ///
    /// # Errors
    /// For settings that make no sense, frames that cannot be used, and quantities with a weight that no frame has.
    pub fn new(basis: Basis, settings: &TrainSettings, frames: &'a [Structure], labels: &'a [Labels]) -> Result<Self> {
        let _ = (basis, settings, labels, frames);
        todo!()
    }

    /// Bytes that the fit will take at most, besides frames and labels.
    pub fn memory(&self) -> usize {
        todo!()
    }

    /// How many numbers are trained on.
    pub fn counts(&self) -> TargetCounts {
        todo!()
    }

    /// Frames whose rows are done.
    pub fn done(&self) -> usize {
        self.frames.len()
    }

    /// Adds the rows of the next `n` frames, in parallel. The result does not depend on how frames are cut into calls.
    ///
    /// # Errors
    /// If a frame cannot be used.
    pub fn advance(&mut self, n: usize) -> Result<()> {
        let _ = n;
        todo!()
    }

    /// Writes the state of the fit; `identity` names settings and data (any text), for `resume` to compare.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_checkpoint(&self, path: &Path, identity: &str) -> Result<()> {
        let _ = (path, identity);
        todo!()
    }

    /// Continues from a checkpoint if the file is there; whether it was.
    ///
    /// # Errors
    /// If it is of other settings or data, or damaged.
    pub fn resume(&mut self, path: &Path, identity: &str) -> Result<bool> {
        let _ = (path, identity);
        todo!()
    }

    /// Solves for the weights; all frames must be done.
    ///
    /// # Errors
    /// If the rows do not determine the model.
    pub fn finish(self) -> Result<Potential> {
        todo!()
    }
}
