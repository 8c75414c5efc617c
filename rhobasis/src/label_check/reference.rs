//! The small models that labels are compared with: a linear one on the power spectrum of a compact basis.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::compare::{Predicted, quantile, size};
use crate::Result;
use crate::density::{Density, ExpansionSettings, Primitive, species_of};
use crate::extxyz::Labels;
use crate::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use crate::potential::{
    Alpha, Baseline, Basis, FeatureSettings, ModelSettings, Potential, Sigmas, TrainSettings, Trainer, Weights,
    config_type, is_free_atom,
};
use crate::structure::Structure;

/// Cutoff of the basis, in Å.
const R_CUT: f64 = 5.0;
/// Energies are learned from this many frames and atoms at most, forces and stresses from fewer: their rows cost more.
const MOST_FRAMES: usize = 1200;
const MOST_ATOMS: usize = 30_000;
const MOST_ATOMS_WITH_FORCES: usize = 4_000;
/// With more species than this, the basis is smaller.
const MANY_SPECIES: usize = 8;

/// Frames that the models are fitted to, spread evenly over all.
pub(super) struct Sample {
    /// Which frames these are, ascending.
    pub index: Vec<usize>,
    pub frames: Vec<Structure>,
    /// Whether forces and stress are learned from a frame too.
    pub with_forces: Vec<bool>,
}

impl Sample {
    /// Of the frames that can be used.
    pub fn of(frames: &[Structure], labels: &[Labels]) -> Self {
        let usable = |k: &usize| is_usable(&frames[*k]) && labels[*k] != Labels::default();
        let index = spread_evenly(frames, (0..frames.len()).filter(usable).collect(), MOST_ATOMS, MOST_FRAMES);
        let forces = |k: &usize| labels[*k].forces.is_some() || labels[*k].stress.is_some();
        let candidates = index.iter().copied().filter(forces).collect();
        let with_forces = spread_evenly(frames, candidates, MOST_ATOMS_WITH_FORCES, MOST_FRAMES);
        let with_forces = index.iter().map(|k| with_forces.binary_search(k).is_ok()).collect();
        let structure = |&k: &usize| Structure {
            info: frames[k].info.iter().filter(|(key, _)| key == "config_type").cloned().collect(),
            columns: Vec::new(),
            ..frames[k].clone()
        };
        Sample { frames: index.iter().map(structure).collect(), index, with_forces }
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }
}

/// Whether a frame can be predicted. Free atoms are left out: they are of no use to a model without a baseline of their own.
pub(super) fn is_usable(structure: &Structure) -> bool {
    !structure.is_empty() && !is_free_atom(structure, R_CUT) && structure.validate().is_ok()
}

/// A part of the frames, every kind in its proportion, within so many atoms and frames.
fn spread_evenly(frames: &[Structure], index: Vec<usize>, atoms: usize, most: usize) -> Vec<usize> {
    let n_atoms: usize = index.iter().map(|&k| frames[k].len()).sum();
    let share = (atoms as f64 / n_atoms.max(1) as f64).min(most as f64 / index.len().max(1) as f64);
    if share >= 1.0 {
        return index;
    }
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    index.into_iter().for_each(|k| kinds.entry(config_type(&frames[k])).or_default().push(k));
    let chosen = |of_kind: Vec<usize>| {
        let n = ((of_kind.len() as f64 * share).ceil() as usize).clamp(1, of_kind.len());
        (0..n).map(|j| of_kind[j * of_kind.len() / n]).collect::<Vec<_>>()
    };
    let mut all: Vec<usize> = kinds.into_values().flat_map(chosen).collect();
    all.sort_unstable();
    all
}

/// Fits and predicts.
pub(super) struct Reference<'a> {
    sample: &'a Sample,
    basis: OptimalBasis,
    energy_sigma: f64,
}

impl<'a> Reference<'a> {
    /// `energy_spread` is that of the energies per atom at equal composition.
    pub fn new(sample: &'a Sample, energy_spread: f64) -> Result<Self> {
        let (l_max, q_max) = match species_of(&sample.frames).len() {
            1 => (3, 6),
            2..=MANY_SPECIES => (2, 8),
            _ => (2, 3),
        };
        let density = Density { r_cut: R_CUT, ..Density::default() };
        let expansion = ExpansionSettings {
            density,
            primitive: Primitive::Gto { n_max: 8 },
            l_max,
            ..ExpansionSettings::default()
        };
        let settings = CovarianceSettings { expansion, mixing: Mixing::Combined, ..CovarianceSettings::default() };
        let mut covariance = Covariance::new(&settings)?;
        covariance.add(&sample.frames, None)?;
        let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(q_max))?;
        let atoms: usize = sample.frames.iter().map(Structure::len).sum();
        let atoms_of_a_frame = atoms as f64 / sample.len().max(1) as f64;
        Ok(Reference { sample, basis, energy_sigma: positive(0.02 * energy_spread * atoms_of_a_frame.sqrt()) })
    }

    /// A model of the labels of the sample. Residuals count in proportion to how much the labels vary, so that units do not matter.
    pub fn fit(&self, labels: &[Labels]) -> Result<Potential> {
        let forces = labels.iter().filter_map(|l| l.forces.as_ref());
        let forces: Vec<f64> = forces.map(|f| size(f.as_flattened())).collect();
        let stresses: Vec<f64> =
            labels.iter().filter_map(|l| l.stress.as_ref()).map(|s| size(s.as_flattened())).collect();
        let energies_alone = forces.is_empty() && stresses.is_empty();
        let sigma = |sizes: &[f64]| positive(0.1 * quantile(sizes, 0.9));
        let alpha = match energies_alone {
            true => Alpha::Best(vec![1e-12, 1e-10, 1e-8, 1e-6, 1e-4]),
            false => Alpha::Fixed(1e-10),
        };
        let ModelSettings::Ridge { solver, .. } = ModelSettings::ridge() else {
            unreachable!("it is what it is called")
        };
        let settings = TrainSettings {
            features: FeatureSettings::default(),
            model: ModelSettings::Ridge { alpha, solver },
            baseline: Baseline::LeastSquares,
            weights: Weights {
                all: Sigmas {
                    energy_sigma: Some(self.energy_sigma),
                    force_sigma: Some(sigma(&forces)),
                    stress_sigma: Some(sigma(&stresses)),
                },
                by_type: BTreeMap::new(),
            },
        };
        let mut trainer = Trainer::new(Basis::Optimal(self.basis.clone()), &settings, &self.sample.frames, labels)?;
        trainer.advance(self.sample.len())?;
        trainer.finish()
    }
}

fn positive(x: f64) -> f64 {
    if x > 0.0 && x.is_finite() { x } else { 1e-6 }
}

/// Predictions for these frames; none where a frame cannot be predicted, as one of a species that the model does not know.
pub(super) fn predict<'s>(
    potential: &Potential,
    frames: impl IntoParallelIterator<Item = (&'s Structure, bool), Iter: IndexedParallelIterator>,
) -> Vec<Option<Predicted>> {
    let of_frame = |(structure, forces): (&Structure, bool)| {
        if !is_usable(structure) {
            return None;
        }
        let prediction = potential.predict(std::slice::from_ref(structure), forces).ok()?.pop()?;
        let stress = (forces && structure.pbc == [true; 3]).then(|| prediction.stress(structure).ok()).flatten();
        let voigt = |s: ndarray::Array2<f64>| [s[[0, 0]], s[[1, 1]], s[[2, 2]], s[[1, 2]], s[[0, 2]], s[[0, 1]]];
        Some(Predicted {
            energy: prediction.energy,
            forces: prediction.forces.into_flattened(),
            stress: stress.map(voigt),
        })
    };
    frames.into_par_iter().map(of_frame).collect()
}
