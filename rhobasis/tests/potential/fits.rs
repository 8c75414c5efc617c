//! Fits against dense problems, bits, checkpoints, refusals.

use ndarray::Array2;
use rhobasis::correlations::Invariants;
use rhobasis::extxyz::Labels;
use rhobasis::files::Stored;
use rhobasis::linalg;
use rhobasis::models::{LeastSquares, Solver};
use rhobasis::neighbors::VerletList;
use rhobasis::optimal::Mixing;
use rhobasis::potential::{
    Alpha, Baseline, Basis, FeatureKind, FeatureSettings, ModelSettings, Potential, Sigmas, SparseMethod,
    TrainSettings, Trainer, Weights,
};
use rhobasis::structure::Vec3;
use rhobasis::{Result, Structure};

use super::samples::{self, energy, expansion, features, frames, optimal, pair_labels, train};

fn settings_of(features: FeatureSettings, model: ModelSettings) -> TrainSettings {
    TrainSettings {
        features,
        model,
        baseline: Baseline::default(),
        repulsion: Default::default(),
        weights: Weights::default(),
    }
}

fn gap(n_sparse: usize, zeta: u32) -> ModelSettings {
    ModelSettings::Gap { n_sparse, zeta, sparse_method: SparseMethod::Fps, delta: 0.7, jitter: 1e-9 }
}

#[test]
fn a_fit_has_the_same_bits_however_frames_are_cut_and_for_any_number_of_threads() {
    let frames = frames(15, 3);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let basis = optimal(&frames, Mixing::Combined, 4, 2);
    let chosen = ModelSettings::Ridge { alpha: Alpha::Best(vec![1e-12, 1e-9, 1e-6]), solver: Solver::Qr };
    let kernel = ModelSettings::KernelRidge { zeta: 2, delta: 1.0 };
    for model in [ModelSettings::ridge(), chosen, gap(20, 4), kernel] {
        let settings = settings_of(features(FeatureKind::PowerSpectrum, true), model);
        let fit = |cut: usize, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trainer = Trainer::new(basis.clone(), &settings, &frames, &labels).unwrap();
                while trainer.done() < frames.len() {
                    trainer.advance(cut).unwrap();
                }
                trainer.finish().unwrap().to_bytes()
            })
        };
        let bytes = fit(frames.len(), 1);
        assert!(fit(1, 2) == bytes && fit(4, 3) == bytes, "{settings:?}");
    }
}

#[test]
fn an_interrupted_fit_continues_to_the_same_bits() {
    let frames = frames(9, 4);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let basis = optimal(&frames, Mixing::PerSpecies, 2, 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fit.checkpoint");
    for model in [ModelSettings::ridge(), gap(12, 2)] {
        let settings = settings_of(features(FeatureKind::PowerSpectrum, false), model);
        let start = || Trainer::new(basis.clone(), &settings, &frames, &labels).unwrap();
        let mut whole = start();
        whole.advance(frames.len()).unwrap();
        let mut first = start();
        assert!(!first.resume(&path, "this").unwrap());
        first.advance(4).unwrap();
        first.save_checkpoint(&path, "this").unwrap();
        let mut second = start();
        assert!(second.resume(&path, "another").unwrap_err().to_string().contains("other settings or data"));
        assert!(second.resume(&path, "this").unwrap());
        assert_eq!(second.done(), 4);
        assert!(second.advance(1).is_ok() && start().finish().is_err());
        second.advance(frames.len()).unwrap();
        assert_eq!(second.finish().unwrap().to_bytes(), whole.finish().unwrap().to_bytes());
        std::fs::remove_file(&path).unwrap();
    }
}

/// The rows of all frames by loops over whole Jacobians, and their targets: what a fit solves, with nothing streamed.
fn naive_rows(
    functions: &dyn Fn(u8, ndarray::ArrayView1<f64>) -> Vec<f64>,
    invariants: &Invariants,
    frames: &[Structure],
    labels: &[Labels],
    baseline: &std::collections::BTreeMap<u8, f64>,
) -> (Array2<f64>, Array2<f64>) {
    let sigmas = Sigmas::default();
    let (mut rows, mut y): (Vec<Vec<f64>>, Vec<f64>) = (Vec::new(), Vec::new());
    for (frame, labels) in frames.iter().zip(labels) {
        let energy = |moved: &Structure| -> Vec<f64> {
            let x = invariants.forward(std::slice::from_ref(moved)).unwrap();
            let mut sum = Vec::new();
            for (z, x) in moved.species.iter().zip(x.rows()) {
                let phi = functions(*z, x);
                sum.resize(phi.len(), 0.0);
                sum.iter_mut().zip(phi).for_each(|(sum, phi)| *sum += phi);
            }
            sum
        };
        let mut add = |row: Vec<f64>, factor: f64, target: f64| {
            rows.push(row.into_iter().map(|x| x * factor).collect());
            y.push(target);
        };
        let sigma = sigmas.energy_sigma.unwrap() * (frame.len() as f64).sqrt();
        let free: f64 = frame.species.iter().map(|z| baseline[z]).sum();
        add(energy(frame), 1.0 / sigma, (labels.energy.unwrap() - free) / sigma);
        let slope = |make: &dyn Fn(f64) -> Structure| -> Vec<f64> {
            let h = 2e-4;
            let at: Vec<Vec<f64>> = [h, -h, 2.0 * h, -2.0 * h].iter().map(|&x| energy(&make(x))).collect();
            let quotient = |k: usize| (8.0 * (at[0][k] - at[1][k]) - (at[2][k] - at[3][k])) / (12.0 * h);
            (0..at[0].len()).map(quotient).collect()
        };
        for atom in 0..frame.len() {
            for d in 0..3 {
                let moved = |x: f64| {
                    let mut s = frame.clone();
                    s.positions[atom][d] += x;
                    s
                };
                let sigma = sigmas.force_sigma.unwrap();
                add(slope(&moved), -1.0 / sigma, labels.forces.as_ref().unwrap()[atom][d] / sigma);
            }
        }
        let Some(stress) = labels.stress else { continue };
        for (p, q) in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)] {
            let strained = |x: f64| {
                let mut s = frame.clone();
                let map = |r: &Vec3| {
                    let mut out = *r;
                    out[q] += 0.5 * x * r[p];
                    out[p] += 0.5 * x * r[q];
                    out
                };
                s.positions = s.positions.iter().map(map).collect();
                s.cell = std::array::from_fn(|k| map(&s.cell[k]));
                s
            };
            let sigma = sigmas.stress_sigma.unwrap();
            add(slope(&strained), 1.0 / (sigma * frame.volume()), stress[p][q] / sigma);
        }
    }
    let n = rows[0].len();
    let y = Array2::from_shape_vec((y.len(), 1), y).unwrap();
    (Array2::from_shape_vec((y.nrows(), n), rows.concat()).unwrap(), y)
}

#[test]
fn a_linear_fit_is_that_of_the_rows_by_difference_quotients() {
    let frames = frames(6, 5);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let basis = optimal(&frames, Mixing::Combined, 2, 2);
    let stage = features(FeatureKind::PowerSpectrum, false);
    let model = ModelSettings::Ridge { alpha: Alpha::Fixed(1e-6), solver: Solver::Qr };
    let potential = train(basis.clone(), stage.clone(), model, &frames, &labels).unwrap();
    let invariants = stage.invariants(&basis).unwrap();
    let n = invariants.n_features();
    let functions = |z: u8, x: ndarray::ArrayView1<f64>| {
        let mut all = vec![0.0; 2 * n];
        let first = if z == 6 { 0 } else { n };
        x.iter().enumerate().for_each(|(k, x)| all[first + k] = *x);
        all
    };
    let (x, y) = naive_rows(&functions, &invariants, &frames, &labels, potential.baseline());
    let mut problem = LeastSquares::new(2 * n, 1, Solver::Qr);
    problem.add(x.view(), y.view()).unwrap();
    let factor = problem.factor().unwrap();
    let lambda = 1e-6 * factor.largest_singular_value().powi(2);
    let w = factor.ridge(lambda).unwrap();
    let row_of = |s: &Structure| {
        let x = invariants.forward(std::slice::from_ref(s)).unwrap();
        let mut row = vec![0.0; 2 * n];
        for (z, x) in s.species.iter().zip(x.rows()) {
            row.iter_mut().zip(functions(*z, x)).for_each(|(sum, x)| *sum += x);
        }
        Array2::from_shape_vec((1, 2 * n), row).unwrap()
    };
    let unseen = samples::frames(3, 77);
    let calibrated = potential.calibration().unwrap().of_energies().powi(2);
    let variances = potential.energy_variances(&unseen).unwrap().into_iter().map(|v| v / calibrated);
    for (s, variance) in unseen.iter().zip(variances) {
        let row = row_of(s);
        let expected = row.dot(&w)[[0, 0]];
        assert!((energy(&potential, s) - expected).abs() < 1e-6 * expected.abs(), "{expected}");
        // xᵀ (XᵀX + λ)⁻¹ x
        let expected = factor.regularised(lambda).unwrap().quadratic(row.view()).unwrap()[0];
        assert!((variance - expected).abs() < 1e-5 * expected && variance > 0.0, "{variance} {expected}");
    }
    // Of forces, the same of rows by difference quotients.
    let scale = potential.calibration().unwrap().of_forces();
    let regular = factor.regularised(lambda).unwrap();
    for (s, deviations) in unseen.iter().zip(potential.force_deviations(&unseen).unwrap()) {
        for (atom, d) in [(0, 0), (1, 2), (3, 1)] {
            let moved = |h: f64| {
                let mut moved = s.clone();
                moved.positions[atom][d] += h;
                row_of(&moved)
            };
            let row = (moved(1e-4) - moved(-1e-4)) / 2e-4;
            let expected = regular.quadratic(row.view()).unwrap()[0].sqrt();
            let found = deviations[atom][d] / scale;
            assert!((found - expected).abs() < 1e-4 * expected, "{found} {expected}");
        }
    }
}

#[test]
fn a_sparse_fit_is_that_of_all_kernels_and_their_prior() {
    let frames = frames(6, 6);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let basis = optimal(&frames, Mixing::Combined, 2, 2);
    let stage = features(FeatureKind::PowerSpectrum, true);
    // As many sparse points as environments: the choice is all of them, in whatever order.
    let n_centers: usize = frames.iter().map(Structure::len).sum();
    let model = ModelSettings::Gap {
        n_sparse: n_centers,
        zeta: 2,
        sparse_method: SparseMethod::Cur,
        delta: 0.7,
        jitter: 1e-13,
    };
    let potential = train(basis.clone(), stage.clone(), model, &frames, &labels).unwrap();
    let invariants = stage.invariants(&basis).unwrap();
    let x = invariants.forward(&frames).unwrap();
    let species: Vec<u8> = frames.iter().flat_map(|f| f.species.clone()).collect();
    let functions = |z: u8, x_i: ndarray::ArrayView1<f64>| -> Vec<f64> {
        let kernel = |(row, a): (ndarray::ArrayView1<f64>, &u8)| if *a == z { row.dot(&x_i).powi(2) } else { 0.0 };
        x.rows().into_iter().zip(&species).map(kernel).collect()
    };
    let (k, y) = naive_rows(&functions, &invariants, &frames, &labels, potential.baseline());
    let mut k_mm = Array2::zeros((n_centers, n_centers));
    for m in 0..n_centers {
        let row = functions(species[m], x.row(m));
        row.iter().enumerate().for_each(|(n, value)| k_mm[[m, n]] = *value);
    }
    // min |K w − y|² + wᵀ K_MM w/δ² with K_MM = L Lᵀ: rows Lᵀ/δ.
    let jitter = 1e-13 * k_mm.diag().iter().sum::<f64>();
    k_mm.diag_mut().iter_mut().for_each(|x| *x += jitter);
    linalg::cholesky(k_mm.view_mut()).unwrap();
    let mut problem = LeastSquares::new(n_centers, 1, Solver::Qr);
    problem.add(k.view(), y.view()).unwrap();
    problem.add((k_mm.t().to_owned() / 0.7).view(), Array2::zeros((n_centers, 1)).view()).unwrap();
    let w = problem.factor().unwrap().solve().unwrap();
    for s in &samples::frames(3, 78) {
        let x = invariants.forward(std::slice::from_ref(s)).unwrap();
        let expected: f64 = s
            .species
            .iter()
            .zip(x.rows())
            .map(|(z, x)| functions(*z, x).iter().zip(&w).map(|(k, w)| k * w).sum::<f64>())
            .sum();
        let found = energy(&potential, s);
        assert!((found - expected).abs() < 1e-5 * expected.abs(), "{found} {expected}");
    }
}

#[test]
fn exact_kernel_ridge_is_the_double_sum_over_environments() {
    let frames = frames(8, 7);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let basis = optimal(&frames, Mixing::Combined, 3, 2);
    let stage = features(FeatureKind::PowerSpectrum, true);
    let invariants = stage.invariants(&basis).unwrap();
    let unseen = samples::frames(3, 79);
    for zeta in [2, 3] {
        let model = ModelSettings::KernelRidge { zeta, delta: 1.3 };
        let potential = train(basis.clone(), stage.clone(), model, &frames, &labels).unwrap();
        let kernel = |a: &Structure, b: &Structure| -> f64 {
            let xa = invariants.forward(std::slice::from_ref(a)).unwrap();
            let xb = invariants.forward(std::slice::from_ref(b)).unwrap();
            let pairs = (0..a.len()).flat_map(|i| (0..b.len()).map(move |j| (i, j)));
            let alike = pairs.filter(|&(i, j)| a.species[i] == b.species[j]);
            alike.map(|(i, j)| xa.row(i).dot(&xb.row(j)).powi(zeta as i32)).sum()
        };
        let n = frames.len();
        let mut k = Array2::from_shape_fn((n, n), |(a, b)| 1.3 * 1.3 * kernel(&frames[a], &frames[b]));
        let sigma = Sigmas::default().energy_sigma.unwrap();
        let free = |s: &Structure| s.species.iter().map(|z| potential.baseline()[z]).sum::<f64>();
        let mut alpha = Array2::from_shape_fn((n, 1), |(a, _)| labels[a].energy.unwrap() - free(&frames[a]));
        (0..n).for_each(|a| k[[a, a]] += sigma * sigma * frames[a].len() as f64);
        linalg::cholesky(k.view_mut()).unwrap();
        linalg::solve_lower(k.view(), alpha.view_mut());
        linalg::solve_upper(k.t(), alpha.view_mut());
        for s in &unseen {
            let expected: f64 = (0..n).map(|b| 1.69 * alpha[[b, 0]] * kernel(s, &frames[b])).sum();
            let found = energy(&potential, s);
            assert!((found - expected).abs() < 1e-8 * expected.abs(), "zeta {zeta}: {found} {expected}");
        }
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let frames = frames(4, 8);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let basis = || Basis::primitive(&expansion(3, 1), &[6, 8, 14]).unwrap();
    let soap = || features(FeatureKind::PowerSpectrum, false);
    let message = |result: Result<Potential>| result.unwrap_err().to_string();
    let none = vec![Labels::default(); frames.len()];
    assert!(message(train(basis(), soap(), ModelSettings::ridge(), &frames, &none)).contains("energy_key"));
    let without: Vec<Labels> = labels.iter().cloned().map(|l| Labels { energy: None, ..l }).collect();
    let kernel = train(basis(), soap(), ModelSettings::kernel_ridge(), &frames, &without);
    assert!(message(kernel).contains("gap"));
    assert!(message(train(basis(), soap(), gap(0, 4), &frames, &labels)).contains("n_sparse"));
    assert!(message(train(basis(), soap(), gap(4, 0), &frames, &labels)).contains("zeta"));
    let mut short = labels.clone();
    short[2].forces.as_mut().unwrap().pop();
    assert!(message(train(basis(), soap(), ModelSettings::ridge(), &frames, &short)).contains("frame 2"));
    assert!(message(train(basis(), soap(), ModelSettings::ridge(), &frames, &labels[1..])).contains("4 frames"));
    let potential = train(basis(), soap(), ModelSettings::ridge(), &frames, &labels).unwrap();
    let mut other = frames[1].clone();
    other.species[3] = 8; // the basis knows it as a neighbour, the model has not seen it as a centre
    let error = potential.predict(&[frames[0].clone(), other.clone()], true).unwrap_err().to_string();
    assert!(error.contains("frame 1, atom 3") && error.contains('O'), "{error}");
    let mut list = VerletList::new(3.0, 0.3).unwrap();
    assert!(potential.evaluate(&frames[0], &mut list).is_err());
    other.species[3] = 26;
    assert!(potential.predict(&[other], false).unwrap_err().to_string().contains("Fe"));
    assert!(Potential::from_bytes(&potential.to_bytes()[..200]).is_err());
}

#[test]
fn a_given_baseline_and_weights_by_configuration_type_are_used() {
    let mut frames = frames(10, 9);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let label = |s: &mut Structure| {
        s.info.push(("config_type".into(), rhobasis::structure::Value::Text("bad".into())));
    };
    label(&mut frames[4]);
    let mut wrong = labels.clone();
    wrong[4].energy = Some(1e4);
    let fit = |labels: &[Labels], weights: Weights| {
        let settings = TrainSettings {
            features: features(FeatureKind::PowerSpectrum, false),
            model: ModelSettings::Ridge { alpha: Alpha::Fixed(1e-8), solver: Solver::Cholesky },
            baseline: Baseline::Given([(6, -150.0), (14, -100.0)].into()),
            repulsion: Default::default(),
            weights,
        };
        let mut trainer = Trainer::new(optimal(&frames, Mixing::Combined, 3, 2), &settings, &frames, labels).unwrap();
        let counts = trainer.counts();
        trainer.advance(frames.len()).unwrap();
        (trainer.finish().unwrap(), counts)
    };
    let without = Sigmas { energy_sigma: None, ..Sigmas::default() };
    let spared = Weights { by_type: [("bad".to_string(), without)].into(), ..Weights::default() };
    let (potential, counts) = fit(&wrong, spared);
    assert_eq!((counts.energies, counts.forces), (9, 120));
    assert_eq!(potential.baseline()[&14], -100.0);
    let error = |p: &Potential| (p.predict(&frames[..1], false).unwrap()[0].energy - labels[0].energy.unwrap()).abs();
    assert!(error(&potential) < 0.1, "{}", error(&potential));
    assert!(error(&fit(&wrong, Weights::default()).0) > 1.0);
}
