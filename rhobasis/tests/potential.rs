//! Potentials: derivatives, symmetries, identities, files, and the model of another code.

use std::sync::LazyLock;

use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma};
use rhobasis::extxyz::Labels;
use rhobasis::neighbors::{NeighborList, VerletList};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use rhobasis::potential::{
    Baseline, Basis, FeatureKind, FeatureSettings, ModelSettings, Potential, SparseMethod, TrainSettings, Trainer,
    Weights,
};
use rhobasis::structure::Vec3;
use rhobasis::{Result, Structure};

/// Uniform numbers in [-1, 1) from a seed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Rattled crystals of two species in a skewed cell smaller than the cutoff, and molecules.
fn frames(n: usize, seed: u64) -> Vec<Structure> {
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
fn pair_labels(structure: &Structure) -> Labels {
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

fn density() -> Density {
    Density { r_cut: 4.0, sigma: Sigma::Same(0.4), cutoff_width: 1.0, ..Density::default() }
}

fn expansion(n_max: usize, l_max: usize) -> ExpansionSettings {
    ExpansionSettings { density: density(), primitive: Primitive::Gto { n_max }, l_max, spline_accuracy: Some(1e-11) }
}

fn optimal(frames: &[Structure], mixing: Mixing, q_max: usize, l_max: usize) -> Basis {
    let settings = CovarianceSettings { expansion: expansion(8, l_max), mixing, center_specific: false };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(frames, None).unwrap();
    Basis::Optimal(OptimalBasis::from_covariance(&covariance, Truncation::QMax(q_max)).unwrap())
}

fn features(kind: FeatureKind, normalize: bool) -> FeatureSettings {
    FeatureSettings { kind, normalize, columns: None }
}

fn train(
    basis: Basis,
    features: FeatureSettings,
    model: ModelSettings,
    frames: &[Structure],
    labels: &[Labels],
) -> Result<Potential> {
    let settings = TrainSettings { features, model, baseline: Baseline::default(), weights: Weights::default() };
    let mut trainer = Trainer::new(basis, &settings, frames, labels)?;
    trainer.advance(frames.len())?;
    trainer.finish()
}

/// One potential of each kind, with its training frames; made once for all tests.
fn potentials() -> &'static [(&'static str, Potential, Vec<Structure>)] {
    static ALL: LazyLock<Vec<(&str, Potential, Vec<Structure>)>> = LazyLock::new(one_of_each_kind);
    &ALL
}

fn one_of_each_kind() -> Vec<(&'static str, Potential, Vec<Structure>)> {
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
    let some = FeatureSettings { columns: Some(vec![[0, 0, 0], [2, 1, 3], [1, 0, 1], [1, 1, 1]]), ..soap(false) };
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

fn energy(potential: &Potential, structure: &Structure) -> f64 {
    let baseline: f64 = structure.species.iter().map(|z| potential.baseline()[z]).sum();
    potential.predict(std::slice::from_ref(structure), false).unwrap()[0].energy - baseline
}

/// How far a slope is from difference quotients of fourth order: from the nearest of several steps, since long ones meet the
/// edge of the cutoff, where second derivatives jump, and short ones the rounding of energies.
fn from_difference_quotient(slope: f64, f: impl Fn(f64) -> f64) -> f64 {
    let quotient = |h: f64| (f(h) - f(-h)) / (2.0 * h);
    let richardson = |h: f64| (4.0 * quotient(h) - quotient(2.0 * h)) / 3.0;
    [1e-4, 3e-4, 1e-3].into_iter().map(|h| (slope - richardson(h)).abs()).fold(f64::INFINITY, f64::min)
}

#[test]
fn forces_and_stress_are_derivatives_of_the_energy() {
    for (name, potential, frames) in potentials() {
        for structure in [&frames[0], &frames[2]] {
            let predicted = &potential.predict(std::slice::from_ref(structure), true).unwrap()[0];
            let largest = predicted.forces.as_flattened().iter().fold(0.0_f64, |m, f| m.max(f.abs()));
            for atom in 0..structure.len() {
                for d in 0..3 {
                    let moved = |x: f64| {
                        let mut s = structure.clone();
                        s.positions[atom][d] += x;
                        energy(potential, &s)
                    };
                    let difference = from_difference_quotient(-predicted.forces[atom][d], moved);
                    assert!(difference < 1e-8 * largest, "{name}: atom {atom}, {d}: {difference:e} of {largest}");
                }
            }
            for (p, q) in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)] {
                let strained = |x: f64| {
                    let mut s = structure.clone();
                    let half = if p == q { x } else { 0.5 * x };
                    let map = |r: &Vec3| {
                        let mut r2 = *r;
                        r2[q] += half * r[p];
                        if p != q {
                            r2[p] += half * r[q];
                        }
                        r2
                    };
                    s.positions = s.positions.iter().map(map).collect();
                    s.cell = std::array::from_fn(|k| map(&s.cell[k]));
                    energy(potential, &s)
                };
                let scale = predicted.virial.iter().fold(0.0_f64, |m, f| m.max(f.abs()));
                let difference = from_difference_quotient(-predicted.virial[[p, q]], strained);
                assert!(difference < 1e-8 * scale, "{name}: strain {p}{q}: {difference:e} of {scale}");
                assert_eq!(predicted.virial[[p, q]], predicted.virial[[q, p]]);
            }
            if structure.pbc == [true; 3] {
                let stress = predicted.stress(structure).unwrap();
                assert!((stress[[0, 1]] + predicted.virial[[0, 1]] / structure.volume()).abs() < 1e-15);
            } else {
                assert!(predicted.stress(structure).is_err());
            }
        }
    }
}

fn rotated(structure: &Structure) -> (Structure, impl Fn(&Vec3) -> Vec3 + use<>) {
    let (a, b) = (0.7_f64, 1.1_f64);
    let turn = move |r: &Vec3| {
        let [x, y, z] = [a.cos() * r[0] - a.sin() * r[1], a.sin() * r[0] + a.cos() * r[1], r[2]];
        [x, b.cos() * y - b.sin() * z, b.sin() * y + b.cos() * z]
    };
    let mut s = structure.clone();
    s.positions = s.positions.iter().map(turn).collect();
    s.cell = std::array::from_fn(|k| turn(&s.cell[k]));
    (s, turn)
}

#[test]
fn energies_are_invariant_and_forces_turn_with_the_structure() {
    for (name, potential, frames) in potentials() {
        let structure = &frames[1];
        let (turned, turn) = rotated(structure);
        let both = potential.predict(&[structure.clone(), turned], true).unwrap();
        let scale = energy(potential, structure).abs().max(1.0);
        assert!((both[0].energy - both[1].energy).abs() < 1e-10 * scale, "{name}");
        let largest = both[0].forces.as_flattened().iter().fold(0.0_f64, |m, f| m.max(f.abs()));
        let mut sum = [0.0; 3];
        for (f, g) in both[0].forces.iter().zip(&both[1].forces) {
            let f2 = turn(f);
            (0..3).for_each(|d| assert!((f2[d] - g[d]).abs() < 1e-10 * largest.max(scale), "{name}"));
            (0..3).for_each(|d| sum[d] += f[d]);
        }
        assert!(sum.iter().all(|s| s.abs() < 1e-11 * largest.max(scale)), "{name}: {sum:?}");
        // Permuted atoms and an inverted structure.
        let mut other = structure.clone();
        other.positions.swap(0, 3);
        other.positions.iter_mut().flatten().for_each(|x| *x = -*x);
        other.cell.iter_mut().flatten().for_each(|x| *x = -*x);
        let e = potential.predict(&[other], false).unwrap()[0].energy;
        assert!((e - both[0].energy).abs() < 1e-10 * scale, "{name}: {e} {}", both[0].energy);
    }
}

#[test]
fn doubling_the_cell_doubles_the_energy() {
    for (name, potential, frames) in potentials() {
        let one = &frames[0];
        let mut two = one.clone();
        two.species.extend(&one.species);
        two.positions.extend(one.positions.iter().map(|r| std::array::from_fn(|d| r[d] + one.cell[1][d])));
        two.cell[1] = one.cell[1].map(|x| 2.0 * x);
        let p = potential.predict(&[one.clone(), two], true).unwrap();
        let scale = energy(potential, one).abs().max(1.0);
        assert!((2.0 * p[0].energy - p[1].energy).abs() < 1e-10 * scale, "{name}");
        assert!((p[0].energies.iter().sum::<f64>() - p[0].energy).abs() < 1e-10 * p[0].energy.abs(), "{name}");
        for (f, g) in p[0].forces.iter().chain(&p[0].forces).zip(&p[1].forces) {
            (0..3).for_each(|d| assert!((f[d] - g[d]).abs() < 1e-9 * scale, "{name}"));
        }
    }
}

#[test]
fn a_file_holds_everything() {
    for (name, potential, frames) in potentials() {
        let bytes = potential.to_bytes();
        let loaded = Potential::from_bytes(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(loaded.predict(frames, true).unwrap(), potential.predict(frames, true).unwrap(), "{name}");
        assert_eq!(loaded.to_bytes(), bytes, "{name}");
        assert_eq!(loaded.settings(), potential.settings());
        match potential.energy_variances(frames) {
            Ok(variances) => assert_eq!(loaded.energy_variances(frames).unwrap(), variances, "{name}"),
            Err(_) => assert!(loaded.energy_variances(frames).is_err(), "{name}"),
        }
    }
}

#[test]
fn a_reused_list_gives_the_same_numbers() {
    for (name, potential, frames) in potentials().iter().step_by(3) {
        let mut list = VerletList::new(potential.r_cut(), 0.5).unwrap();
        let mut structure = frames[1].clone();
        let mut noise = Noise(9);
        let mut made = 0;
        for step in 0..20 {
            let found = potential.evaluate(&structure, &mut list).unwrap();
            let expected = &potential.predict(std::slice::from_ref(&structure), true).unwrap()[0];
            let scale = energy(potential, &structure).abs().max(1.0);
            assert!((found.energy - expected.energy).abs() < 1e-11 * scale, "{name}, step {step}");
            for (f, g) in found.forces.iter().zip(&expected.forces) {
                (0..3).for_each(|d| assert!((f[d] - g[d]).abs() < 1e-9 * scale, "{name}, step {step}"));
            }
            structure.positions.iter_mut().flatten().for_each(|x| *x += 0.05 * noise.next());
            made += usize::from(list.clone().update(&structure).unwrap());
        }
        assert!(made > 0 && made < 20, "{made}");
    }
}
