//! Baselines of free atoms: the energy of an atom alone is e, its force zero, and atoms far apart have the sum.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ndarray::{Array1, Array2};
use rhobasis::extxyz::Labels;
use rhobasis::files::{Archive, Stored};
use rhobasis::linalg;
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use rhobasis::potential::{
    Alpha, Baseline, Basis, FeatureKind, FeatureSettings, ModelSettings, Potential, Quantity, Sigmas, SparseMethod,
    TrainSettings, Trainer, Weights, cross_validate, learning_curve,
};
use rhobasis::{Result, Structure};

use super::samples::{expansion, features, frames, optimal, pair_labels};

/// eV.
const ENERGIES: [(u8, f64); 2] = [(6, -148.25), (14, -98.5)];

fn atom(z: u8) -> Structure {
    Structure::molecule(vec![z], vec![[0.3, -0.1, 0.2]])
}

/// In a cell that is larger than the cutoff.
fn boxed(z: u8) -> Structure {
    Structure::crystal(vec![z], vec![[1.0; 3]], [[9.0, 0.0, 0.0], [0.5, 9.0, 0.0], [0.0, 0.0, 9.0]])
}

fn with_atoms(n: usize, seed: u64) -> (Vec<Structure>, Vec<Labels>) {
    let mut all = frames(n, seed);
    let mut labels: Vec<Labels> = all.iter().map(pair_labels).collect();
    for (z, e) in ENERGIES {
        all.push(if z == 6 { atom(z) } else { boxed(z) });
        labels.push(Labels { energy: Some(e), forces: Some(vec![[0.0; 3]]), stress: None });
    }
    (all, labels)
}

fn fit(settings: &TrainSettings, basis: Basis, frames: &[Structure], labels: &[Labels]) -> Result<Potential> {
    let mut trainer = Trainer::new(basis, settings, frames, labels)?;
    trainer.advance(frames.len())?;
    trainer.finish()
}

fn settings(features: FeatureSettings, model: ModelSettings, baseline: Baseline) -> TrainSettings {
    TrainSettings { features, model, baseline, repulsion: Default::default(), weights: Weights::default() }
}

fn gap(zeta: u32) -> ModelSettings {
    ModelSettings::Gap { n_sparse: 24, zeta, sparse_method: SparseMethod::Fps, delta: 1.0, jitter: 1e-6 }
}

type Kind = (&'static str, Basis, FeatureSettings, ModelSettings);

/// Every model with every feature, for the frames of both tests.
fn kinds() -> &'static [Kind] {
    static ALL: LazyLock<Vec<Kind>> = LazyLock::new(|| kinds_for(&with_atoms(12, 1).0));
    &ALL
}

fn kinds_for(frames: &[Structure]) -> Vec<Kind> {
    let kernel = |zeta| ModelSettings::KernelRidge { zeta, delta: 1.0 };
    let ridge = ModelSettings::ridge;
    let primitive = Basis::primitive(&expansion(4, 2), &[6, 14]).unwrap();
    let primitive = || primitive.clone();
    let combined = optimal(frames, Mixing::Combined, 4, 2);
    let combined = || combined.clone();
    let specific = || {
        let settings = CovarianceSettings {
            expansion: expansion(8, 2),
            mixing: Mixing::Combined,
            center_specific: true,
            weighting: None,
        };
        let mut covariance = Covariance::new(&settings).unwrap();
        covariance.add(frames, None).unwrap();
        Basis::Optimal(OptimalBasis::from_covariance(&covariance, Truncation::QMax(3)).unwrap())
    };
    let soap = |normalize| features(FeatureKind::PowerSpectrum, normalize);
    let radial = |normalize| features(FeatureKind::RadialSpectrum, normalize);
    let bispectrum = |normalize| features(FeatureKind::Bispectrum, normalize);
    let cholesky = ModelSettings::Ridge {
        alpha: Alpha::Best(vec![1e-10, 1e-8, 1e-6]),
        solver: rhobasis::models::Solver::Cholesky,
    };
    vec![
        ("quadratic form", combined(), soap(false), ridge()),
        ("quadratic form, per species", optimal(frames, Mixing::PerSpecies, 3, 2), soap(false), ridge()),
        ("quadratic form, centre-specific", specific(), soap(false), cholesky),
        ("linear, normalised", combined(), soap(true), ridge()),
        ("linear, radial", primitive(), radial(false), ridge()),
        ("linear, radial, normalised", primitive(), radial(true), ridge()),
        ("linear, bispectrum", optimal(frames, Mixing::Combined, 2, 2), bispectrum(false), ridge()),
        ("sparse, zeta 1", combined(), soap(false), gap(1)),
        ("sparse, zeta 2, radial", primitive(), radial(true), gap(2)),
        ("sparse, zeta 4", specific(), soap(true), gap(4)),
        ("sparse, zeta 2, bispectrum", optimal(frames, Mixing::Combined, 2, 2), bispectrum(true), gap(2)),
        ("kernel ridge, zeta 2", combined(), soap(true), kernel(2)),
        ("kernel ridge, zeta 2, quadratic", optimal(frames, Mixing::Combined, 2, 2), soap(true), kernel(2)),
        ("kernel ridge, zeta 3", optimal(frames, Mixing::PerSpecies, 3, 2), soap(false), kernel(3)),
    ]
}

#[test]
fn atoms_alone_have_their_energy_and_no_force_whatever_was_learned() {
    let (frames, labels) = with_atoms(12, 1);
    let given: BTreeMap<u8, f64> = ENERGIES.into();
    for (name, basis, features, model) in kinds() {
        for baseline in [Baseline::IsolatedAtoms, Baseline::Given(given.clone())] {
            let settings = settings(features.clone(), model.clone(), baseline);
            let potential = fit(&settings, basis.clone(), &frames, &labels).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(potential.baseline(), &given);
            for (z, e) in ENERGIES {
                for structure in [atom(z), boxed(z)] {
                    let found = &potential.predict(&[structure], true).unwrap()[0];
                    assert!((found.energy - e).abs() < 1e-9, "{name}: {} of {e}", found.energy);
                    assert!(found.forces[0].iter().chain(&found.virial).all(|f| f.abs() < 1e-12), "{name}");
                }
            }
            // Dissociation: atoms of both species, 8 Å and more apart.
            let far = (0..7).map(|k| [8.0 * f64::from(k), f64::from(k % 2), 9.0 * f64::from(k % 3)]).collect();
            let far = Structure::molecule(vec![14, 6, 6, 14, 14, 6, 14], far);
            let sum: f64 = far.species.iter().map(|z| given[z]).sum();
            let found = &potential.predict(std::slice::from_ref(&far), true).unwrap()[0];
            assert!((found.energy - sum).abs() < 1e-8, "{name}: {} of {sum}", found.energy);
            found.energies.iter().zip(&far.species).for_each(|(e, z)| assert!((e - given[z]).abs() < 1e-9, "{name}"));
            assert!(found.forces.as_flattened().iter().all(|f| f.abs() < 1e-10), "{name}");
            // It learned something.
            let error = |k: usize| {
                let found = potential.predict(&frames[k..=k], false).unwrap()[0].energy;
                (found - labels[k].energy.unwrap()).abs() / frames[k].len() as f64
            };
            let worst = (0..12).map(error).fold(0.0, f64::max);
            assert!(worst < 0.3, "{name}: {worst} eV/atom");
            let again = Potential::from_bytes(&potential.to_bytes()).unwrap();
            assert_eq!(again.predict(&frames, true).unwrap(), potential.predict(&frames, true).unwrap(), "{name}");
            assert_eq!(again.to_bytes(), potential.to_bytes(), "{name}");
            if let Ok(variances) = potential.energy_variances(&[atom(6), far, frames[0].clone()]) {
                assert!(variances[0] < 1e-12 && variances[1] < 1e-10 && variances[2] > 1e-9, "{name}: {variances:?}");
                assert_eq!(again.energy_variances(&frames).unwrap(), potential.energy_variances(&frames).unwrap());
            }
        }
    }
}

#[test]
fn forces_and_stress_are_derivatives_where_the_atom_alone_is_taken_off() {
    let (frames, labels) = with_atoms(12, 1);
    for (name, basis, features, model) in kinds() {
        let settings = settings(features.clone(), model.clone(), Baseline::IsolatedAtoms);
        let potential = fit(&settings, basis.clone(), &frames, &labels).unwrap();
        let energy = |s: &Structure| potential.predict(std::slice::from_ref(s), false).unwrap()[0].energy;
        let structure = &frames[1];
        let found = &potential.predict(std::slice::from_ref(structure), true).unwrap()[0];
        let quotient = |moved: &dyn Fn(f64) -> Structure| {
            let at = |h: f64| (energy(&moved(h)) - energy(&moved(-h))) / (2.0 * h);
            (4.0 * at(3e-4) - at(6e-4)) / 3.0
        };
        let scale = found.forces.as_flattened().iter().chain(&found.virial).fold(0.0_f64, |m, f| m.max(f.abs()));
        for (atom, d) in [(0, 0), (2, 1), (3, 2)] {
            let moved = |x: f64| {
                let mut s = structure.clone();
                s.positions[atom][d] += x;
                s
            };
            let error = (quotient(&moved) + found.forces[atom][d]).abs();
            assert!(error < 1e-6 * scale, "{name}: atom {atom}: {error:e} of {scale}");
        }
        for (p, q) in [(0, 0), (1, 2)] {
            let strained = |x: f64| {
                let map = |r: &[f64; 3]| {
                    let mut out = *r;
                    out[q] += 0.5 * x * r[p];
                    out[p] += 0.5 * x * r[q];
                    out
                };
                let mut s = structure.clone();
                s.positions = s.positions.iter().map(map).collect();
                s.cell = std::array::from_fn(|k| map(&s.cell[k]));
                s
            };
            let error = (quotient(&strained) + found.virial[[p, q]]).abs();
            assert!(error < 1e-6 * scale, "{name}: strain {p}{q}: {error:e} of {scale}");
        }
    }
}

/// k(X, X') − k(X, X₀) − k(X₀, X') + k(X₀, X₀) summed over the atoms of two structures, by loops.
fn naive_kernel(x: &[(u8, Array1<f64>)], y: &[(u8, Array1<f64>)], alone: &BTreeMap<u8, Array1<f64>>, zeta: i32) -> f64 {
    let mut sum = 0.0;
    for (a, x) in x {
        for (b, y) in y.iter().filter(|(b, _)| a == b) {
            let k = |p: &Array1<f64>, q: &Array1<f64>| p.dot(q).powi(zeta);
            sum += k(x, y) - k(x, &alone[a]) - k(&alone[b], y) + k(&alone[a], &alone[a]);
        }
    }
    sum
}

#[test]
fn kernel_models_are_the_gaussian_process_of_the_difference() {
    let (all, labels) = with_atoms(12, 1);
    let given: BTreeMap<u8, f64> = ENERGIES.into();
    let stage = features(FeatureKind::PowerSpectrum, true);
    let basis = optimal(&all, Mixing::Combined, 3, 2);
    let invariants = stage.invariants(&basis).unwrap();
    let atoms_of = |s: &Structure| -> Vec<(u8, Array1<f64>)> {
        let x = invariants.forward(std::slice::from_ref(s)).unwrap();
        s.species.iter().copied().zip(x.rows().into_iter().map(|row| row.to_owned())).collect()
    };
    let alone: BTreeMap<u8, _> = [6, 14].map(|z| atoms_of(&atom(z)).remove(0)).into();
    let (zeta, delta, sigma) = (3, 0.7, 0.01);
    let training: Vec<_> = all[..12].iter().map(atoms_of).collect();
    let mut kernel = Array2::from_shape_fn((12, 12), |(a, b)| {
        delta * delta * naive_kernel(&training[a], &training[b], &alone, zeta)
    });
    let free = |s: &Structure| s.species.iter().map(|z| given[z]).sum::<f64>();
    let y: Vec<f64> = (0..12).map(|k| labels[k].energy.unwrap() - free(&all[k])).collect();
    (0..12).for_each(|k| kernel[[k, k]] += sigma * sigma * all[k].len() as f64);
    linalg::cholesky(kernel.view_mut()).unwrap();
    let mut w = Array2::from_shape_vec((12, 1), y).unwrap();
    linalg::solve_lower(kernel.view(), w.view_mut());
    linalg::solve_upper(kernel.t(), w.view_mut());
    let weights = Weights {
        all: Sigmas { energy_sigma: Some(sigma), force_sigma: None, stress_sigma: None },
        ..Weights::default()
    };
    let energies_only: Vec<Labels> = labels.iter().map(|l| Labels { energy: l.energy, ..Labels::default() }).collect();
    let exact = ModelSettings::KernelRidge { zeta: 3, delta };
    // All environments as sparse points: the sparse model is the exact one then.
    let sparse = ModelSettings::Gap { n_sparse: 48, zeta: 3, sparse_method: SparseMethod::Cur, delta, jitter: 1e-15 };
    for (model, tolerance) in [(exact, 1e-8), (sparse, 1e-4)] {
        let settings = TrainSettings {
            features: stage.clone(),
            model,
            baseline: Baseline::IsolatedAtoms,
            repulsion: Default::default(),
            weights: weights.clone(),
        };
        let potential = fit(&settings, basis.clone(), &all, &energies_only).unwrap();
        for s in frames(4, 77) {
            let x = atoms_of(&s);
            let kernels = training.iter().zip(&w).map(|(y, w)| w * delta * delta * naive_kernel(&x, y, &alone, zeta));
            let expected = free(&s) + kernels.sum::<f64>();
            let found = potential.predict(&[s], false).unwrap()[0].energy;
            assert!((found - expected).abs() < tolerance, "{found} {expected}, {:?}", settings.model);
        }
    }
}

#[test]
fn a_few_cells_do_not_hide_a_free_atom() {
    let lattice = |z: u8, a: f64| {
        let h = 0.5 * a;
        Structure::crystal(vec![z], vec![[0.0; 3]], [[0.0, h, h], [h, 0.0, h], [h, h, 0.0]])
    };
    for (z, e, a0, n) in [(13, 0.5, 4.05, 4), (29, 3.5, 3.6, 20)] {
        let mut frames: Vec<Structure> = (0..n).map(|k| lattice(z, a0 * (0.97 + 0.003 * f64::from(k)))).collect();
        let curve = |s: &Structure| -3.4 + 2.0 * (s.volume().cbrt() - 2.5).powi(2);
        let mut labels: Vec<Labels> =
            frames.iter().map(|s| Labels { energy: Some(curve(s)), ..Labels::default() }).collect();
        frames.push(atom(z));
        labels.push(Labels { energy: Some(e), ..Labels::default() });
        let basis = Basis::primitive(&expansion(6, 3), &[z]).unwrap();
        for (normalize, model) in
            [(false, ModelSettings::ridge()), (true, ModelSettings::gap()), (true, ModelSettings::kernel_ridge())]
        {
            let settings = settings(features(FeatureKind::PowerSpectrum, normalize), model, Baseline::IsolatedAtoms);
            let potential = fit(&settings, basis.clone(), &frames, &labels).unwrap();
            let found = potential.predict(&[atom(z), frames[1].clone()], false).unwrap();
            assert!((found[0].energy - e).abs() < 1e-9, "{}", found[0].energy);
            assert!((found[1].energy - curve(&frames[1])).abs() < 0.02, "{:?}: {}", settings.model, found[1].energy);
        }
    }
}

#[test]
fn free_atoms_are_not_counted_and_those_that_disagree_are_refused() {
    let (mut frames, mut labels) = with_atoms(6, 2);
    let basis = optimal(&frames, Mixing::Combined, 3, 2);
    let of = |baseline| settings(features(FeatureKind::PowerSpectrum, false), ModelSettings::ridge(), baseline);
    let count = |baseline: Baseline, frames: &[Structure], labels: &[Labels]| {
        let settings = of(baseline);
        let trainer = Trainer::new(basis.clone(), &settings, frames, labels).unwrap();
        (trainer.counts().energies, trainer.free_atoms().iter().filter(|free| **free).count())
    };
    assert_eq!(count(Baseline::IsolatedAtoms, &frames, &labels), (6, 2));
    assert_eq!(count(Baseline::Given(ENERGIES.into()), &frames, &labels), (6, 2));
    assert_eq!(count(Baseline::LeastSquares, &frames, &labels), (8, 0));
    assert_eq!(count(Baseline::None, &frames, &labels), (8, 0));
    // The same within what codes agree to.
    frames.push(boxed(14));
    labels.push(Labels { energy: Some(-98.5004), ..Labels::default() });
    assert_eq!(count(Baseline::IsolatedAtoms, &frames, &labels), (6, 3));
    labels[8].energy = Some(-97.5);
    let error = Trainer::new(basis.clone(), &of(Baseline::IsolatedAtoms), &frames, &labels).unwrap_err().to_string();
    for part in ["frame 8", "Si atom alone", "-97.5 eV", "-98.5 eV"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(count(Baseline::LeastSquares, &frames, &labels).0, 9);
    // A species that the basis does not know is found where it is.
    frames[4].species[2] = 8;
    let given = Baseline::Given([(6, 0.0), (8, 0.0), (14, 0.0)].into());
    let error = Trainer::new(basis.clone(), &of(given), &frames, &labels).unwrap_err().to_string();
    assert!(error.starts_with("frame 4, atom 2"), "{error}");
}

#[test]
fn folds_and_curves_keep_free_atoms_in_every_fit_and_test_none() {
    let (frames, labels) = with_atoms(9, 4);
    let mut make = |frames: &[Structure], _: &[Labels]| Ok(optimal(frames, Mixing::Combined, 3, 2));
    let settings =
        settings(features(FeatureKind::PowerSpectrum, false), ModelSettings::ridge(), Baseline::IsolatedAtoms);
    let folds: Vec<usize> = (0..frames.len()).map(|k| k % 3).collect();
    let done = cross_validate(&mut make, &settings, &frames, &labels, &folds, &mut |_| ()).unwrap();
    assert_eq!(done.errors.of(Quantity::Energy, None).count, 9);
    assert!(done.predictions[9].is_none() && done.predictions[10].is_none() && done.predictions[8].is_some());
    let (train, test): (Vec<usize>, Vec<usize>) = (0..frames.len()).partition(|k| k % 4 != 0);
    let curve =
        learning_curve(&mut make, &settings, &frames, &labels, [&train, &test], &[3, 6], 0, &mut |_| ()).unwrap();
    assert!(curve.iter().all(|(_, errors)| errors.of(Quantity::Energy, None).count == 3));
}

#[test]
fn without_a_baseline_whole_energies_are_learned() {
    let (frames, labels) = with_atoms(9, 5);
    let basis = optimal(&frames, Mixing::Combined, 4, 2);
    let settings = settings(features(FeatureKind::PowerSpectrum, false), ModelSettings::ridge(), Baseline::None);
    let potential = fit(&settings, basis, &frames, &labels).unwrap();
    assert_eq!(potential.baseline(), &[(6, 0.0), (14, 0.0)].into());
    let found = potential.predict(&[atom(14)], false).unwrap()[0].energy;
    assert!((found + 98.5).abs() < 1.0, "{found}");
}

#[test]
fn files_of_older_versions_give_what_they_gave() {
    let (frames, labels) = with_atoms(9, 6);
    let basis = optimal(&frames, Mixing::Combined, 3, 2);
    let older = |potential: &Potential, more: &dyn Fn(&mut Archive)| {
        let mut archive = Archive::decode(&potential.to_bytes(), "m.rho".as_ref(), Potential::KIND).unwrap();
        let alone: BTreeMap<u8, f64> = serde_json::from_str(&archive.metadata.remove("alone").unwrap()).unwrap();
        more(&mut archive);
        let mut bytes = Vec::new();
        archive.encode(Potential::KIND, &mut bytes).unwrap();
        (Potential::from_bytes(&bytes).unwrap(), alone)
    };
    for model in [ModelSettings::ridge(), gap(2)] {
        let settings = settings(features(FeatureKind::PowerSpectrum, true), model, Baseline::IsolatedAtoms);
        let potential = fit(&settings, basis.clone(), &frames, &labels).unwrap();
        let (old, alone) = older(&potential, &|_| ());
        let [now, then] = [&potential, &old].map(|p| p.predict(&frames[..1], true).unwrap().remove(0));
        let constant: f64 = frames[0].species.iter().map(|z| alone[z]).sum();
        assert!((then.energy - now.energy - constant).abs() < 1e-9 && constant != 0.0);
        assert_eq!((then.forces, old.settings()), (now.forces, potential.settings()));
        let again = Potential::from_bytes(&old.to_bytes()).unwrap();
        assert_eq!(again.predict(&frames, false).unwrap(), old.predict(&frames, false).unwrap());
        // Zeros were given where there was to be no baseline.
        let (zero, _) = older(&potential, &|archive| {
            let text = archive.metadata["settings"].replace(r#""isolated-atoms""#, r#"{"6":0.0,"14":0.0}"#);
            archive.metadata.insert("settings".into(), text);
        });
        assert_eq!(zero.settings().baseline, Baseline::None);
    }
}

#[test]
fn the_difference_has_the_same_bits_for_any_threads_and_after_a_checkpoint() {
    let (frames, labels) = with_atoms(9, 7);
    let basis = optimal(&frames, Mixing::Combined, 3, 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fit.checkpoint");
    for model in [ModelSettings::ridge(), gap(4), ModelSettings::kernel_ridge()] {
        let settings = settings(features(FeatureKind::PowerSpectrum, true), model, Baseline::IsolatedAtoms);
        let start = || Trainer::new(basis.clone(), &settings, &frames, &labels).unwrap();
        let bytes = |threads: usize, cut: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trainer = start();
                while trainer.done() < frames.len() {
                    trainer.advance(cut).unwrap();
                }
                trainer.finish().unwrap().to_bytes()
            })
        };
        let whole = bytes(1, frames.len());
        assert!(bytes(3, 4) == whole, "{settings:?}");
        let mut first = start();
        first.advance(5).unwrap();
        first.save_checkpoint(&path, "this").unwrap();
        let mut second = start();
        assert!(second.resume(&path, "this").unwrap());
        second.advance(frames.len()).unwrap();
        assert!(second.finish().unwrap().to_bytes() == whole, "{settings:?}");
        // One of a fit that does not take the atom alone off is not of this one.
        let learned = TrainSettings { baseline: Baseline::None, ..settings.clone() };
        let mut other = Trainer::new(basis.clone(), &learned, &frames, &labels).unwrap();
        let resumed = other.resume(&path, "this");
        assert!(resumed.is_err() || matches!(settings.model, ModelSettings::KernelRidge { .. }));
    }
}
