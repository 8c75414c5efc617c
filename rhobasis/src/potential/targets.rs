//! Which quantities of the frames are trained on.

use super::settings::{Sigmas, Weights};
use crate::extxyz::Labels;
use crate::structure::Structure;
use crate::{Error, Result};

/// How many numbers a fit is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TargetCounts {
    /// Frames with an energy.
    pub energies: usize,
    /// Components of forces.
    pub forces: usize,
    /// Components of stresses, six for each frame that has one.
    pub stresses: usize,
}

impl TargetCounts {
    /// Rows of the least-squares problem.
    pub fn n_rows(&self) -> usize {
        self.energies + self.forces + self.stresses
    }
}

/// What one frame adds to a fit: the quantities that it has and that have a weight, with their standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Targets {
    /// energy_sigma √N.
    pub energy: Option<f64>,
    pub forces: Option<f64>,
    pub stress: Option<f64>,
}

impl Targets {
    /// `free`: it is an atom alone, whose energy is the baseline: the model has nothing to learn from it.
    pub fn of(frame: &Structure, labels: &Labels, weights: &Weights, free: bool) -> Self {
        let Sigmas { energy_sigma, force_sigma, stress_sigma } = *weights.of(frame);
        if frame.is_empty() || free {
            return Targets { energy: None, forces: None, stress: None };
        }
        Targets {
            energy: energy_sigma.filter(|_| labels.energy.is_some()).map(|s| s * (frame.len() as f64).sqrt()),
            forces: force_sigma.filter(|_| labels.forces.is_some()),
            stress: stress_sigma.filter(|_| labels.stress.is_some()),
        }
    }

    pub fn n_rows(&self, n_atoms: usize) -> usize {
        let energy = usize::from(self.energy.is_some());
        energy + if self.forces.is_some() { 3 * n_atoms } else { 0 } + if self.stress.is_some() { 6 } else { 0 }
    }
}

/// The targets of all frames, and how many there are of each kind.
///
/// # Errors
/// If there are none at all, and for labels that cannot be used.
pub(super) fn targets(
    frames: &[Structure],
    labels: &[Labels],
    weights: &Weights,
    free: &[bool],
) -> Result<(Vec<Targets>, TargetCounts)> {
    if labels.len() != frames.len() {
        let problem = format!("there are {} frames", frames.len());
        return Err(Error::setting("labels", labels.len(), problem, "give labels for each frame"));
    }
    for (k, (frame, labels)) in frames.iter().zip(labels).enumerate() {
        if labels.forces.as_ref().is_some_and(|f| f.len() != frame.len()) {
            let problem = format!("{} forces for {} atoms", labels.forces.iter().flatten().count(), frame.len());
            return Err(Error::structure(None, problem, "give a force for each atom").at_frame(k));
        }
        labels.validate().map_err(|e| e.at_frame(k))?;
    }
    let of = |((frame, labels), &free)| Targets::of(frame, labels, weights, free);
    let all: Vec<Targets> = frames.iter().zip(labels).zip(free).map(of).collect();
    let mut counts = TargetCounts::default();
    for (targets, frame) in all.iter().zip(frames) {
        counts.energies += usize::from(targets.energy.is_some());
        counts.forces += if targets.forces.is_some() { 3 * frame.len() } else { 0 };
        counts.stresses += if targets.stress.is_some() { 6 } else { 0 };
    }
    if counts.n_rows() == 0 {
        return Err(Error::setting(
            "frames",
            frames.len(),
            "none has an energy, forces or a stress that has a weight",
            "name the keys of the labels (energy_key, force_key, stress_key, virial_key), and give weights",
        ));
    }
    Ok((all, counts))
}
