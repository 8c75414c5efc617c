//! Frames with labels of a known potential, and one potential of each kind.

use std::sync::LazyLock;

use rhobasis::correlations::{NiceSettings, Sequence};
use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma};
use rhobasis::extxyz::Labels;
use rhobasis::neighbors::NeighborList;
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use rhobasis::potential::{
    Baseline, Basis, FeatureKind, FeatureSettings, Member, ModelSettings, Potential, SparseMethod, TrainSettings,
    Trainer, Weights,
};
use rhobasis::structure::Vec3;
use rhobasis::{Result, Structure};

/// Uniform numbers in [-1, 1) from a seed.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Rattled crystals of two species in a skewed cell smaller than the cutoff, and molecules.
pub fn frames(n: usize, seed: u64) -> Vec<Structure> {
    let mut noise = Noise(seed);
    let mut all = Vec::new();
    for k in 0..n {
        let stretch = 1.0 + 0.05 * noise.next();
        let mut cell = [[3.4, 0.3, 0.0], [-0.2, 3.6, 0.4], [0.5, 0.1, 3.9]];
        cell.iter_mut().flatten().for_each(|x| *x *= stretch);
        let fractions = [[0.02, 0.0, 0.0], [0.5, 0.5, 0.03], [0.5, 0.0, 1.52], [-0.04, 0.5, 0.5]];
        let positions: Vec<Vec3> = fractions
            .iter()
            .map(|f| std::array::from_fn(|d| (0..3).map(|p| f[p] * cell[p][d]).sum::<f64>() + 0.15 * noise.next()))
            .collect();
        let species = vec![14, 14, 6, 14];
        all.push(match k % 3 {
            2 => Structure::molecule(species, positions),
            _ => Structure::crystal(species, positions, cell),
        });
    }
    all
}

/// Energy, forces and stress of a smooth pair potential that ends at 4.5 Å; the species have energies of their own.
pub fn pair_labels(structure: &Structure) -> Labels {
    let list = NeighborList::new(structure, 4.5).unwrap();
    let mut energy: f64 = structure.species.iter().map(|&z| if z == 14 { -100.0 } else { -150.0 }).sum();
    let mut forces = vec![[0.0; 3]; structure.len()];
    let mut strain = [[0.0; 3]; 3];
    for i in 0..structure.len() {
        for pair in list.pairs(i) {
            let (v, j) = (list.vector[pair], list.neighbor[pair] as usize);
            let r = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let depth = if structure.species[i] == structure.species[j] { 1.0 } else { 1.4 };
            let (s, t) = ((-1.2 * (r - 2.2)).exp(), 1.0 - (r / 4.5).powi(2));
            let (f, df) = (t.powi(3), -6.0 * r / 4.5_f64.powi(2) * t.powi(2));
            let (e, de) = (depth * (s * s - 2.0 * s), depth * (-2.4 * s * s + 2.4 * s));
            energy += 0.5 * e * f;
            let slope = 0.5 * (de * f + e * df) / r;
            for d in 0..3 {
                forces[i][d] += slope * v[d];
                forces[j][d] -= slope * v[d];
                for p in 0..3 {
                    strain[p][d] += slope * v[p] * v[d];
                }
            }
        }
    }
    let stress = (structure.pbc == [true; 3]).then(|| strain.map(|row| row.map(|x| x / structure.volume())));
    Labels { energy: Some(energy), forces: Some(forces), stress }
}

pub fn density() -> Density {
    Density { r_cut: 4.0, sigma: Sigma::Same(0.4), cutoff_width: 1.0, ..Density::default() }
}

pub fn expansion(n_max: usize, l_max: usize) -> ExpansionSettings {
    ExpansionSettings { density: density(), primitive: Primitive::Gto { n_max }, l_max, spline_accuracy: Some(1e-11) }
}

pub fn optimal(frames: &[Structure], mixing: Mixing, q_max: usize, l_max: usize) -> Basis {
    let settings =
        CovarianceSettings { expansion: expansion(8, l_max), mixing, center_specific: false, weighting: None };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(frames, None).unwrap();
    Basis::Optimal(OptimalBasis::from_covariance(&covariance, Truncation::QMax(q_max)).unwrap())
}

pub fn features(kind: FeatureKind, normalize: bool) -> FeatureSettings {
    Member::new(kind, normalize).into()
}

/// The power spectrum, and the bispectrum of the leading channels, which counts less.
pub fn two_kinds(normalize: bool) -> FeatureSettings {
    let triples =
        Member { q_max: Some(2), l_max: Some(2), weight: 0.5, ..Member::new(FeatureKind::Bispectrum, normalize) };
    FeatureSettings { members: vec![Member::new(FeatureKind::PowerSpectrum, normalize), triples] }
}

/// Few products of up to four neighbours, of the leading channels, beside the power spectrum where `mixed`.
pub fn nice(normalize: bool, mixed: bool) -> FeatureSettings {
    let settings = NiceSettings {
        nu_max: 4,
        n_candidates: 40,
        n_equivariants: 8,
        n_invariant_candidates: 30,
        n_invariants: 10,
        ..NiceSettings::default()
    };
    let nice = Member { q_max: Some(2), nice: Some(settings), ..Member::new(FeatureKind::Nice, normalize) };
    let pairs = mixed.then(|| Member::new(FeatureKind::PowerSpectrum, normalize));
    FeatureSettings { members: pairs.into_iter().chain([nice]).collect() }
}

/// The same, purified, and other products for each species of centre.
pub fn nice_per_species(normalize: bool, mixed: bool) -> FeatureSettings {
    let mut features = nice(normalize, mixed);
    for settings in features.members.iter_mut().filter_map(|member| member.nice.as_mut()) {
        (settings.sequence, settings.purify) = (Sequence::PerSpecies, true);
    }
    features
}

pub fn train(
    basis: Basis,
    features: FeatureSettings,
    model: ModelSettings,
    frames: &[Structure],
    labels: &[Labels],
) -> Result<Potential> {
    let settings = TrainSettings {
        features,
        model,
        baseline: Baseline::default(),
        repulsion: Default::default(),
        weights: Weights::default(),
    };
    let mut trainer = Trainer::new(basis, &settings, frames, labels)?;
    trainer.advance(frames.len())?;
    trainer.finish()
}

/// One potential of each kind, with its training frames; made once for all tests.
pub fn potentials() -> &'static [(&'static str, Potential, Vec<Structure>)] {
    static ALL: LazyLock<Vec<(&str, Potential, Vec<Structure>)>> = LazyLock::new(one_of_each_kind);
    &ALL
}

pub fn one_of_each_kind() -> Vec<(&'static str, Potential, Vec<Structure>)> {
    let frames = frames(12, 1);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    // A large jitter keeps weights small, and with them the rounding of energies that difference quotients see.
    let gap =
        |zeta| ModelSettings::Gap { n_sparse: 24, zeta, sparse_method: SparseMethod::Fps, delta: 1.0, jitter: 1e-6 };
    let kernel = |zeta| ModelSettings::KernelRidge { zeta, delta: 1.0 };
    let primitive = || Basis::primitive(&expansion(4, 2), &[6, 14]).unwrap();
    let combined = || optimal(&frames, Mixing::Combined, 5, 3);
    let per_species = || optimal(&frames, Mixing::PerSpecies, 3, 3);
    let soap = |normalize| features(FeatureKind::PowerSpectrum, normalize);
    let columns = vec![[0, 0, 0], [2, 1, 3], [1, 0, 1], [1, 1, 1]];
    let some = Member { columns: Some(columns), ..Member::new(FeatureKind::PowerSpectrum, false) }.into();
    let kinds: Vec<(&str, Basis, FeatureSettings, ModelSettings)> = vec![
        ("linear power spectrum, combined", combined(), soap(false), ModelSettings::ridge()),
        ("linear power spectrum, per species", per_species(), soap(false), ModelSettings::ridge()),
        ("linear power spectrum, primitive", primitive(), soap(false), ModelSettings::ridge()),
        ("linear power spectrum, normalised", combined(), soap(true), ModelSettings::ridge()),
        ("linear power spectrum, some columns", combined(), some, ModelSettings::ridge()),
        ("linear radial spectrum", primitive(), features(FeatureKind::RadialSpectrum, false), ModelSettings::ridge()),
        (
            "linear bispectrum",
            optimal(&frames, Mixing::Combined, 2, 2),
            features(FeatureKind::Bispectrum, false),
            ModelSettings::ridge(),
        ),
        ("linear, two kinds", combined(), two_kinds(false), ModelSettings::ridge()),
        ("linear, two kinds, normalised", per_species(), two_kinds(true), ModelSettings::ridge()),
        ("sparse, two kinds", per_species(), two_kinds(true), gap(2)),
        ("kernel ridge, two kinds", combined(), two_kinds(true), kernel(2)),
        ("linear, nice", combined(), nice(false, false), ModelSettings::ridge()),
        ("linear, nice and power spectrum", per_species(), nice(false, true), ModelSettings::ridge()),
        ("linear, nice, normalised", combined(), nice(true, false), ModelSettings::ridge()),
        ("sparse, nice", combined(), nice(true, true), gap(2)),
        ("linear, nice per species", combined(), nice_per_species(false, false), ModelSettings::ridge()),
        ("sparse, nice per species and pairs", combined(), nice_per_species(true, true), gap(2)),
        ("kernel ridge, nice, as it is", combined(), nice(false, false), kernel(1)),
        ("sparse, zeta 4", combined(), soap(true), gap(4)),
        ("sparse, zeta 1", per_species(), soap(false), gap(1)),
        ("sparse, zeta 2, radial spectrum", primitive(), features(FeatureKind::RadialSpectrum, true), gap(2)),
        ("kernel ridge, zeta 2", combined(), soap(true), kernel(2)),
        ("kernel ridge, zeta 3", per_species(), soap(true), kernel(3)),
    ];
    let make = |(name, basis, features, model)| {
        let potential = train(basis, features, model, &frames, &labels).unwrap_or_else(|e| panic!("{name}: {e}"));
        (name, potential, frames.clone())
    };
    kinds.into_iter().map(make).collect()
}

pub fn energy(potential: &Potential, structure: &Structure) -> f64 {
    let baseline: f64 = structure.species.iter().map(|z| potential.baseline()[z]).sum();
    potential.predict(std::slice::from_ref(structure), false).unwrap()[0].energy - baseline
}
