//! Bases made for a target: supervised, and by the sensitivity of a potential.

use ndarray::{Array1, Array2, Axis, s};
use rhobasis::Structure;
use rhobasis::correlations::Invariants;
use rhobasis::density::BlockKey;
use rhobasis::extxyz::Labels;
use rhobasis::files::Stored;
use rhobasis::linalg;
use rhobasis::models::Solver;
use rhobasis::optimal::{
    Covariance, CovarianceSettings, Method, Mixing, OptimalBasis, SensitivitySettings, SupervisedSettings, Truncation,
};
use rhobasis::potential::{
    Alpha, Baseline, Basis, Errors, FeatureKind, FeatureSettings, ModelSettings, Potential, Quantity, Repulsion,
    TrainSettings, Weights, supervised_basis, train,
};

use super::samples::{expansion, features, frames, optimal, pair_labels};

fn settings(kind: FeatureKind, alpha: f64) -> TrainSettings {
    TrainSettings {
        features: features(kind, false),
        model: ModelSettings::Ridge { alpha: Alpha::Fixed(alpha), solver: Solver::Qr },
        baseline: Baseline::default(),
        // What a core adds to energies is none of the model's weights.
        repulsion: Repulsion::None,
        weights: Weights::default(),
    }
}

fn fit(basis: OptimalBasis, frames: &[Structure], alpha: f64) -> Potential {
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    train(Basis::Optimal(basis), &settings(FeatureKind::PowerSpectrum, alpha), frames, &labels, |_| ()).unwrap()
}

fn span(frames: &[Structure], mixing: Mixing, center_specific: bool, q: usize) -> OptimalBasis {
    let settings = CovarianceSettings { expansion: expansion(8, 2), mixing, center_specific, weighting: None };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(frames, None).unwrap();
    OptimalBasis::from_covariance(&covariance, Truncation::QMax(q)).unwrap()
}

/// Σ of the squares that a fit minimises, but for its regulariser.
fn squares(potential: &Potential, frames: &[Structure]) -> f64 {
    let sigmas = &potential.settings().weights.all;
    let mut sum = 0.0;
    for (frame, said) in frames.iter().zip(potential.predict(frames, true).unwrap()) {
        let labels = pair_labels(frame);
        let of_energy = (said.energy - labels.energy.unwrap()) / sigmas.energy_sigma.unwrap();
        sum += of_energy.powi(2) / frame.len() as f64;
        for (f, g) in said.forces.as_flattened().iter().zip(labels.forces.as_ref().unwrap().as_flattened()) {
            sum += ((f - g) / sigmas.force_sigma.unwrap()).powi(2);
        }
        let Some(stress) = labels.stress else { continue };
        let found = said.stress(frame).unwrap();
        for (i, j) in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)] {
            sum += ((found[[i, j]] - stress[i][j]) / sigmas.stress_sigma.unwrap()).powi(2);
        }
    }
    sum
}

#[test]
fn a_fit_on_a_supervised_basis_has_the_loss_that_was_promised_and_a_smaller_one_than_on_principal_functions() {
    let frames = frames(24, 5);
    for (mixing, center_specific) in [(Mixing::Combined, false), (Mixing::PerSpecies, false), (Mixing::Combined, true)]
    {
        let whole = fit(span(&frames, mixing, center_specific, 6), &frames, 1e-13);
        let principal = fit(span(&frames, mixing, center_specific, 2), &frames, 1e-13);
        let made = whole.supervised(SupervisedSettings { supervised: None, span: 6 }, 2).unwrap();
        let supervised = fit(made.basis.clone(), &frames, 1e-13);
        let [whole, principal, supervised] = [&whole, &principal, &supervised].map(|p| squares(p, &frames));
        // The promise is one of squares and regulariser together.
        let close = |found: f64, promised: f64| (found - whole - promised).abs() < 5e-2 * found;
        assert!(close(supervised, made.excess), "{mixing:?}: {supervised} {whole} {}", made.excess);
        assert!(close(principal, made.excess_of_pca), "{mixing:?}: {principal} {whole} {}", made.excess_of_pca);
        assert!(made.excess < 0.5 * made.excess_of_pca, "{mixing:?}: {} {}", made.excess, made.excess_of_pca);
        for block in made.basis.kinds().iter().flat_map(|kind| &kind.blocks) {
            let u = &block.contraction.u;
            let off = u.dot(&u.t()) - Array2::<f64>::eye(u.nrows());
            assert!(off.iter().all(|x| x.abs() < 1e-12));
        }
    }
}

#[test]
fn as_many_supervised_functions_as_there_are_span_the_same_and_variance_is_shared_out() {
    let frames = frames(12, 6);
    let parent = span(&frames, Mixing::Combined, false, 4);
    let potential = fit(parent.clone(), &frames, 1e-10);
    let made = potential.supervised(SupervisedSettings { supervised: None, span: 4 }, 4).unwrap();
    assert!(made.excess.abs() < 1e-6 * squares(&potential, &frames));
    let one = potential.supervised(SupervisedSettings { supervised: Some(1), span: 4 }, 4).unwrap().basis;
    for ((old, new), one) in
        parent.kinds()[0].blocks.iter().zip(&made.basis.kinds()[0].blocks).zip(&one.kinds()[0].blocks)
    {
        let (old, new, one) = (&old.contraction, &new.contraction, &one.contraction);
        for u in [&new.u, &one.u] {
            let outside = u - &u.dot(&old.u.t()).dot(&old.u);
            assert!(outside.iter().all(|x| x.abs() < 1e-10));
        }
        let totals = [old, new, one].map(|c| c.eigenvalues.iter().sum::<f64>());
        assert!(totals.iter().all(|total| (total - totals[0]).abs() < 1e-12 * totals[0]));
        // Behind the supervised function, principal ones of what it leaves.
        assert!(one.eigenvalues[1..4].windows(2).all(|pair| pair[0] >= pair[1]));
        let rows = one.u.dot(&old.u.t());
        let variances = Array1::from(old.eigenvalues[..4].to_vec());
        let covariance = (&rows * &variances).dot(&rows.t());
        for i in 1..4 {
            assert!((covariance[[i, i]] - one.eigenvalues[i]).abs() < 1e-12 * totals[0]);
            assert!((1..4).filter(|&j| j != i).all(|j| covariance[[i, j]].abs() < 1e-12 * totals[0]));
        }
    }
}

#[test]
fn a_basis_is_the_same_from_a_stored_potential_and_through_its_own_file() {
    let frames = frames(12, 7);
    let potential = fit(span(&frames, Mixing::PerSpecies, false, 5), &frames, 1e-10);
    let settings = SupervisedSettings { supervised: Some(1), span: 5 };
    let made = potential.supervised(settings, 3).unwrap().basis;
    let stored = Potential::from_bytes(&potential.to_bytes()).unwrap();
    assert!(stored.supervised(settings, 3).unwrap().basis.to_bytes() == made.to_bytes());
    let read = OptimalBasis::from_bytes(&made.to_bytes()).unwrap();
    assert_eq!(read.settings().method, Method::Supervised(settings));
    assert_eq!(read.transform(&frames).unwrap().blocks, made.transform(&frames).unwrap().blocks);
    // The whole way in one call.
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let target = self::settings(FeatureKind::Bispectrum, 1e-10);
    let parent = span(&frames, Mixing::PerSpecies, false, 5);
    let whole = supervised_basis(parent, (settings, 3), &target, &frames, &labels, |_| ()).unwrap();
    assert!(whole.basis.to_bytes() == made.to_bytes());
}

#[test]
fn errors_of_other_frames_fall_too() {
    let (training, others) = (frames(60, 8), frames(20, 9));
    let error = |basis: OptimalBasis| {
        let potential = fit(basis, &training, 1e-10);
        let mut errors = Errors::default();
        for (k, said) in potential.predict(&others, true).unwrap().iter().enumerate() {
            errors.add(k, &others[k], &pair_labels(&others[k]), said).unwrap();
        }
        errors.of(Quantity::Force, None).rmse()
    };
    let principal = error(span(&training, Mixing::Combined, false, 2));
    let whole = fit(span(&training, Mixing::Combined, false, 8), &training, 1e-10);
    let made = whole.supervised(SupervisedSettings { supervised: None, span: 8 }, 2).unwrap();
    let supervised = error(made.basis);
    assert!(supervised < 0.8 * principal, "{supervised} {principal}");
}

/// The weights of a potential that is linear in these features, from its energies of atoms alone.
fn weights(potential: &Potential, features: &Invariants, structures: &[Structure], z: u8) -> Array1<f64> {
    let of_atoms = |s: &Structure| s.species.clone();
    let species: Vec<u8> = structures.iter().flat_map(of_atoms).collect();
    let rows: Vec<usize> = (0..species.len()).filter(|&i| species[i] == z).collect();
    let x = features.forward(structures).unwrap().select(Axis(0), &rows);
    let energies: Vec<f64> =
        potential.predict(structures, false).unwrap().into_iter().flat_map(|said| said.energies).collect();
    let y: Array1<f64> = rows.iter().map(|&i| energies[i] - potential.baseline()[&z]).collect();
    let (u, s, vt) = linalg::svd_thin(x.view());
    vt.t().dot(&(u.t().dot(&y) / &Array1::from(s)))
}

#[test]
fn the_sensitivity_of_linear_models_is_what_their_weights_say() {
    let training = frames(30, 10);
    let structures = frames(40, 11);
    // Of one species, so that weights follow from energies of atoms.
    let one = |all: &[Structure]| -> Vec<Structure> {
        all.iter().map(|s| Structure { species: vec![14; 4], ..s.clone() }).collect()
    };
    let (training, structures) = (one(&training), one(&structures));
    let labels: Vec<Labels> = training.iter().map(pair_labels).collect();
    let Basis::Optimal(basis) = optimal(&training, Mixing::Combined, 3, 2) else { unreachable!() };
    let c = basis.transform(&structures).unwrap();
    let n = c.blocks[0].dim().0 as f64;
    let of = |kind| train(Basis::Optimal(basis.clone()), &settings(kind, 1e-8), &training, &labels, |_| ()).unwrap();

    let radial = of(FeatureKind::RadialSpectrum);
    let w = weights(&radial, radial.invariants(), &structures, 14);
    let sensitivity = radial.sensitivity(&structures).unwrap();
    let expected = Array2::from_shape_fn((3, 3), |(i, j)| n * w[i] * w[j]);
    let close = |found: ndarray::ArrayView2<f64>, expected: &Array2<f64>, digits: f64| {
        let largest = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        (&found - expected).iter().all(|x| x.abs() <= digits * largest)
    };
    assert!(close(sensitivity.matrix(0, 0).unwrap(), &expected, 1e-7));
    assert!(sensitivity.matrix(0, 1).unwrap().iter().all(|&x| x == 0.0));
    assert_eq!(sensitivity.n_centers(), 160);

    let power = of(FeatureKind::PowerSpectrum);
    let w = weights(&power, power.invariants(), &structures, 14);
    let sensitivity = power.sensitivity(&structures).unwrap();
    let mut first = 0;
    for l in 0..3 {
        // E = Σ_{αβ} W_αβ Σ_m c_α c_β/√(2l+1): dE/dc_α = 2 Σ_β W_αβ c_β/√(2l+1).
        let mut matrix = Array2::zeros((3, 3));
        for a in 0..3 {
            for b in a..3 {
                let factor = if a == b { 1.0 } else { 2f64.sqrt() / 2.0 };
                (matrix[[a, b]], matrix[[b, a]]) = (factor * w[first], factor * w[first]);
                first += 1;
            }
        }
        let block = &c.blocks[l];
        let flat = block.to_shape((block.len() / 3, 3)).unwrap();
        let g = 2.0 / ((2 * l + 1) as f64).sqrt() * flat.dot(&matrix);
        assert!(close(sensitivity.matrix(0, l).unwrap(), &g.t().dot(&g), 1e-6), "l = {l}");
    }
}

#[test]
fn a_basis_of_the_sensitivity_goes_from_principal_functions_to_what_the_model_sees() {
    let frames = frames(20, 12);
    let parent = span(&frames, Mixing::PerSpecies, true, 4);
    let potential = fit(parent.clone(), &frames, 1e-10);
    let sensitivity = potential.sensitivity(&frames).unwrap();
    let principal = sensitivity.basis(SensitivitySettings { gamma: 1.0 }, 2).unwrap();
    for (kind, turned) in parent.kinds().iter().zip(principal.kinds()) {
        for (old, new) in kind.blocks.iter().zip(&turned.blocks) {
            let difference = &old.contraction.u.slice(s![..2, ..]) - &new.contraction.u;
            assert!(difference.iter().all(|x| x.abs() < 1e-9), "{difference}");
        }
    }
    // Naive: C̃ of one block, its leading eigenvector carried back.
    let gamma = 0.1;
    let made = sensitivity.basis(SensitivitySettings { gamma }, 2).unwrap();
    let l = 1;
    let blocks = || {
        parent.kinds().iter().enumerate().flat_map(|(k, kind)| {
            kind.blocks.iter().enumerate().map(move |(b, block)| (k, b, kind.n_centers as f64, block))
        })
    };
    let (mut of_c, mut of_s) = (0.0, 0.0);
    let root = |n: f64, block: &rhobasis::optimal::ContractionBlock| -> Array1<f64> {
        block.contraction.eigenvalues[..4].iter().map(|e| (n * e).sqrt()).collect()
    };
    for (k, b, n, block) in blocks().filter(|(.., block)| block.key == BlockKey::density(l)) {
        let root = root(n, block);
        let matrix = sensitivity.matrix(k, b).unwrap();
        of_c += root.dot(&root);
        of_s += (0..4).map(|i| root[i] * matrix[[i, i]] * root[i]).sum::<f64>();
    }
    for (k, b, n, block) in blocks().filter(|(.., block)| block.key == BlockKey::density(l)) {
        let (root, matrix) = (root(n, block), sensitivity.matrix(k, b).unwrap());
        let mixed = Array2::from_shape_fn((4, 4), |(i, j)| {
            let c = if i == j { root[i] * root[i] } else { 0.0 };
            gamma * c / of_c + (1.0 - gamma) * root[i] * matrix[[i, j]] * root[j] / of_s
        });
        let vector = linalg::eigh(mixed.view()).1.row(0).to_owned() / &root;
        let expected = (&vector / vector.dot(&vector).sqrt()).dot(&block.contraction.u);
        let found = made.kinds()[k].blocks[b].contraction.u.row(0).to_owned();
        assert!((found.dot(&expected).abs() - 1.0).abs() < 1e-9);
    }
    // A kernel model has one too, and what a basis of it is made from.
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let kernel = TrainSettings {
        features: features(FeatureKind::PowerSpectrum, true),
        model: ModelSettings::KernelRidge { zeta: 2, delta: 1.0 },
        ..settings(FeatureKind::PowerSpectrum, 1.0)
    };
    let kernel = train(Basis::Optimal(parent), &kernel, &frames, &labels, |_| ()).unwrap();
    let made = kernel.sensitivity(&frames).unwrap().basis(SensitivitySettings::default(), 2).unwrap();
    assert_eq!(
        OptimalBasis::from_bytes(&made.to_bytes()).unwrap().settings().method,
        Method::Sensitivity(SensitivitySettings { gamma: 0.1 })
    );
}

#[test]
fn a_sensitivity_has_the_same_bits_however_structures_are_cut_and_for_any_number_of_threads() {
    let frames = frames(70, 13);
    let potential = fit(span(&frames[..20], Mixing::PerSpecies, false, 3), &frames[..20], 1e-10);
    let whole = potential.sensitivity(&frames).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let parts = pool.install(|| {
        let mut parts = rhobasis::potential::Sensitivity::new(&potential).unwrap();
        frames.chunks(9).for_each(|chunk| parts.add(&potential, chunk).unwrap());
        parts
    });
    assert!((0..6).all(|block| whole.matrix(0, block).unwrap() == parts.matrix(0, block).unwrap()));
    assert!(whole.matrix(0, 6).is_none() && whole.matrix(1, 0).is_none());
}

#[test]
fn what_no_basis_can_be_made_of_is_refused() {
    let frames = frames(9, 14);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let parent = || span(&frames, Mixing::Combined, false, 3);
    let refused = |potential: &Potential, supervised, q| {
        potential.supervised(SupervisedSettings { supervised, span: 3 }, q).unwrap_err().to_string()
    };
    let linear = fit(parent(), &frames, 1e-10);
    assert!(refused(&linear, None, 4).contains("q_max = 4: the functions are combinations of 3"));
    assert!(refused(&linear, Some(3), 2).contains("supervised = 3: the basis has 2 functions"));
    let of = |features: FeatureSettings, model: ModelSettings| {
        let settings = TrainSettings { features, model, ..settings(FeatureKind::PowerSpectrum, 1e-10) };
        train(Basis::Optimal(parent()), &settings, &frames, &labels, |_| ()).unwrap()
    };
    let kernel = of(features(FeatureKind::PowerSpectrum, true), ModelSettings::KernelRidge { zeta: 2, delta: 1.0 });
    assert!(refused(&kernel, None, 2).contains("no whole power spectrum as it is"));
    assert!(
        refused(&of(features(FeatureKind::RadialSpectrum, false), ModelSettings::ridge()), None, 2)
            .contains("power spectrum")
    );
    let primitive = Basis::primitive(&expansion(4, 1), &[6, 14]).unwrap();
    let primitive = train(primitive, &settings(FeatureKind::PowerSpectrum, 1e-8), &frames, &labels, |_| ()).unwrap();
    assert!(refused(&primitive, None, 2).contains("train it on an optimal basis"));
    assert!(primitive.sensitivity(&frames).unwrap_err().to_string().contains("primitive"));
    let sensitivity = rhobasis::potential::Sensitivity::new(&linear).unwrap();
    let empty = sensitivity.basis(SensitivitySettings::default(), 2).unwrap_err().to_string();
    assert!(empty.contains("needs at least one atom"), "{empty}");
    let bad = linear.sensitivity(&frames).unwrap().basis(SensitivitySettings { gamma: 0.0 }, 2).unwrap_err();
    assert!(bad.to_string().contains("gamma = 0"));
}

/// What a neighbour at r along z does to the coefficients of an atom of species `center`: `[l][q]`, m = 0.
fn of_a_neighbour(basis: &OptimalBasis, center: u8, neighbour: u8, r: f64) -> Vec<Array1<f64>> {
    let alone = basis.transform(&[Structure::molecule(vec![center], vec![[0.0; 3]])]).unwrap();
    let pair = Structure::molecule(vec![center, neighbour], vec![[0.0; 3], [0.0, 0.0, r]]);
    let pair = basis.transform(&[pair]).unwrap();
    let of_l = |l: usize| &pair.blocks[l].slice(s![0, l, ..]) - &alone.blocks[l].slice(s![0, l, ..]);
    (0..=basis.expansion().l_max()).map(of_l).collect()
}

#[test]
fn how_much_a_neighbour_matters_is_what_it_adds_to_the_coefficients_times_the_sensitivity() {
    let training = frames(20, 14);
    let basis = span(&training, Mixing::Combined, false, 4);
    let potential = fit(basis.clone(), &training, 1e-10);
    let sensitivity = potential.sensitivity(&training).unwrap();
    let distances = [1.6, 2.3, 3.1];
    let found = sensitivity.radial_weight(&distances).unwrap();
    for (r, found) in distances.into_iter().zip(found) {
        let (mut seen, mut there) = (0.0, 0.0);
        for &neighbour in basis.species() {
            let added = of_a_neighbour(&basis, basis.species()[0], neighbour, r);
            for (l, added) in added.iter().enumerate() {
                // Y_l0 along z is √((2l + 1)/4π).
                let i = added / ((2 * l + 1) as f64).sqrt();
                seen += i.dot(&sensitivity.matrix(0, l).unwrap().dot(&i));
                there += ((2 * l + 1) * sensitivity.n_centers()) as f64 * i.dot(&i);
            }
        }
        let expected = (seen / there).sqrt();
        assert!((found - expected).abs() < 1e-6 * expected, "{r}: {found} {expected}");
    }
    assert!(sensitivity.radial_weight(&[0.0]).unwrap_err().to_string().contains("positive distance"));

    // The scaling follows w: where neighbours matter less with distance, it falls.
    let scaling = sensitivity.scaling(&training).unwrap().expect("pair energies fall with the distance");
    assert!(scaling.rate == 1.0 && scaling.scale > 0.5 && scaling.exponent > 0.5, "{scaling:?}");
}
