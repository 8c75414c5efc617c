//! The small models that labels are compared with: a linear one on the power spectrum of a compact basis, and where there are
//! several species, pair potentials before it.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::compare::{Predicted, forget, quantile, restate, size, stated};
use super::report::Label;
use crate::Result;
use crate::density::{Density, ExpansionSettings, Primitive, species_of};
use crate::extxyz::Labels;
use crate::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use crate::potential::{
    Alpha, Baseline, Basis, FeatureKind, Member, ModelSettings, Potential, Sigmas, TrainSettings, Trainer, Weights,
    config_type, is_free_atom,
};
use crate::structure::Structure;

/// Cutoff of the basis, in Å.
const R_CUT: f64 = 5.0;
/// Energies are learned from this many frames and atoms at most, forces and stresses from fewer: their rows cost more.
const MOST_FRAMES: usize = 1200;
const MOST_ATOMS: usize = 30_000;
const MOST_ATOMS_WITH_FORCES: usize = 4_000;
/// With more species than this, the basis is smaller, and there are no pair potentials.
const MANY_SPECIES: usize = 8;
/// Radial functions of a pair potential.
const N_PAIR: usize = 8;
/// Regularisers, as parts of the largest eigenvalue: of all that is fitted, and of what is added to pair potentials, which must
/// not undo what they say where there are few data.
const ALPHA: f64 = 1e-10;
const ALPHA_OF_REST: f64 = 1e-6;

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

/// What is fitted: parts that add up, each but the first fitted to what those before it leave.
pub(super) struct Fitted(Vec<Potential>);

impl Fitted {
    pub fn parts(&self) -> &[Potential] {
        &self.0
    }
}

/// Fits and predicts.
pub(super) struct Reference<'a> {
    sample: &'a Sample,
    /// Pair potentials, where several species share the channels of the compact basis.
    pairs: Option<Basis>,
    basis: Basis,
    energy_sigma: f64,
}

impl<'a> Reference<'a> {
    /// `energy_spread` is that of the energies per atom at equal composition.
    pub fn new(sample: &'a Sample, energy_spread: f64) -> Result<Self> {
        let species = species_of(&sample.frames);
        let (l_max, q_max) = match species.len() {
            1 => (3, 6),
            2..=MANY_SPECIES => (2, 8),
            _ => (2, 3),
        };
        let expansion = |n_max: usize, l_max: usize| ExpansionSettings {
            density: Density { r_cut: R_CUT, ..Density::default() },
            primitive: Primitive::Gto { n_max },
            l_max,
            ..ExpansionSettings::default()
        };
        let several = (2..=MANY_SPECIES).contains(&species.len());
        let pairs = several.then(|| Basis::primitive(&expansion(N_PAIR, 0), &species)).transpose()?;
        let settings = CovarianceSettings {
            expansion: expansion(8, l_max),
            mixing: Mixing::Combined,
            ..CovarianceSettings::default()
        };
        let mut covariance = Covariance::new(&settings)?;
        covariance.add(&sample.frames, None)?;
        let basis = Basis::Optimal(OptimalBasis::from_covariance(&covariance, Truncation::QMax(q_max))?);
        let atoms: usize = sample.frames.iter().map(Structure::len).sum();
        let atoms_of_a_frame = atoms as f64 / sample.len().max(1) as f64;
        let energy_sigma = positive(0.02 * energy_spread * atoms_of_a_frame.sqrt());
        Ok(Reference { sample, pairs, basis, energy_sigma })
    }

    /// A model of the labels of the sample.
    pub fn fit(&self, labels: &[Labels]) -> Result<Fitted> {
        let sigmas = self.sigmas(labels);
        let energies_alone = labels.iter().all(|l| l.forces.is_none() && l.stress.is_none());
        let best = Alpha::Best(vec![1e-12, 1e-10, 1e-8, 1e-6, 1e-4]);
        let alpha = |fixed: f64| if energies_alone { best.clone() } else { Alpha::Fixed(fixed) };
        let Some(pairs) = &self.pairs else {
            return Ok(Fitted(vec![self.train(
                &self.basis,
                FeatureKind::PowerSpectrum,
                alpha(ALPHA),
                sigmas,
                labels,
            )?]));
        };
        let first = self.train(pairs, FeatureKind::RadialSpectrum, alpha(ALPHA), sigmas, labels)?;
        let left = self.left_of(labels, &first);
        let rest = self.train(&self.basis, FeatureKind::PowerSpectrum, alpha(ALPHA_OF_REST), sigmas, &left)?;
        Ok(Fitted(vec![first, rest]))
    }

    /// Residuals count in proportion to how much the labels vary, so that units do not matter.
    fn sigmas(&self, labels: &[Labels]) -> Sigmas {
        let of = |label: Label| {
            let sizes: Vec<f64> = labels.iter().filter_map(|l| stated(l, label)).map(|x| size(&x)).collect();
            Some(positive(0.1 * quantile(&sizes, 0.9)))
        };
        Sigmas {
            energy_sigma: Some(self.energy_sigma),
            force_sigma: of(Label::Forces),
            stress_sigma: of(Label::Stress),
        }
    }

    fn train(
        &self,
        basis: &Basis,
        kind: FeatureKind,
        alpha: Alpha,
        sigmas: Sigmas,
        labels: &[Labels],
    ) -> Result<Potential> {
        let ModelSettings::Ridge { solver, .. } = ModelSettings::ridge() else {
            unreachable!("it is what it is called")
        };
        let settings = TrainSettings {
            features: Member::new(kind, false).into(),
            model: ModelSettings::Ridge { alpha, solver },
            baseline: Baseline::LeastSquares,
            repulsion: Default::default(),
            weights: Weights { all: sigmas, by_type: BTreeMap::new() },
        };
        let mut trainer = Trainer::new(basis.clone(), &settings, &self.sample.frames, labels)?.without_uncertainty();
        trainer.advance(self.sample.len())?;
        trainer.finish()
    }

    /// What a potential leaves of the labels.
    fn left_of(&self, labels: &[Labels], potential: &Potential) -> Vec<Labels> {
        let slopes = |l: &Labels| l.forces.is_some() || l.stress.is_some();
        let of = self.sample.frames.iter().zip(labels).map(|(s, l)| (s, slopes(l))).collect::<Vec<_>>();
        let less = |(l, predicted): (&Labels, Option<Predicted>)| {
            let mut left = l.clone();
            for label in Label::ALL {
                let Some(said) = stated(l, label) else { continue };
                match predicted.as_ref().and_then(|p| p.of(label)) {
                    Some(p) => restate(&mut left, label, &said.iter().zip(p).map(|(x, p)| x - p).collect::<Vec<_>>()),
                    None => forget(&mut left, label),
                }
            }
            left
        };
        labels.iter().zip(predict(std::slice::from_ref(potential), of)).map(less).collect()
    }
}

fn positive(x: f64) -> f64 {
    if x > 0.0 && x.is_finite() { x } else { 1e-6 }
}

/// The sum of what these potentials say of frames; none where a frame cannot be predicted, as one of a species that they do not
/// know.
pub(super) fn predict<'s>(
    potentials: &[Potential],
    frames: impl IntoParallelIterator<Item = (&'s Structure, bool), Iter: IndexedParallelIterator>,
) -> Vec<Option<Predicted>> {
    let of_frame = |(structure, forces): (&Structure, bool)| {
        if !is_usable(structure) {
            return None;
        }
        let mut parts = potentials.iter().map(|potential| predict_one(potential, structure, forces));
        let first = parts.next()??;
        parts.try_fold(first, |sum, part| Some(sum.plus(&part?)))
    };
    frames.into_par_iter().map(of_frame).collect()
}

fn predict_one(potential: &Potential, structure: &Structure, forces: bool) -> Option<Predicted> {
    let prediction = potential.predict(std::slice::from_ref(structure), forces).ok()?.pop()?;
    let stress = (forces && structure.pbc == [true; 3]).then(|| prediction.stress(structure).ok()).flatten();
    let voigt = |s: ndarray::Array2<f64>| [s[[0, 0]], s[[1, 1]], s[[2, 2]], s[[1, 2]], s[[0, 2]], s[[0, 1]]];
    Some(Predicted { energy: prediction.energy, forces: prediction.forces.into_flattened(), stress: stress.map(voigt) })
}
