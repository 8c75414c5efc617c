//! Models of tensors: linear in equivariants, turned and inverted with the atoms, with exact derivatives, the same after a file.

mod common;
mod naive;

use std::sync::Arc;

use ndarray::{Array1, Array2, s};
use rhobasis::correlations::{Nice, NiceSample, NiceSelection, NiceSettings, Split, clebsch_gordan};
use rhobasis::density::{ExpansionSettings, Primitive};
use rhobasis::equivariant::{
    EquivariantRidge, EquivariantSettings, EquivariantTrainer, Target, spherical_of_dipole, spherical_of_symmetric,
    symmetric_of,
};
use rhobasis::extxyz;
use rhobasis::files::Stored;
use rhobasis::linalg;
use rhobasis::models::Solver;
use rhobasis::potential::{Alpha, Basis};
use rhobasis::structure::Value;
use rhobasis::{Error, Structure};

use naive::{Random, harmonics, random_molecule};

const SPECIES: [u8; 2] = [1, 8];
type Matrix = [[f64; 3]; 3];

fn basis() -> Basis {
    let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 3 }, l_max: 3, ..Default::default() };
    Basis::primitive(&settings, &SPECIES).unwrap()
}

fn molecules(n: u64) -> Vec<Structure> {
    (0..n).map(|seed| random_molecule(&[[1, 8, 1, 1, 8, 1], [8, 1, 1, 8, 8, 1]][seed as usize % 2], seed)).collect()
}

/// Few of many products.
fn few() -> NiceSettings {
    NiceSettings {
        nu_max: 3,
        lambda_max: Some(2),
        n_candidates: 80,
        n_equivariants: 8,
        n_invariant_candidates: 20,
        n_invariants: 10,
        all_equivariants: true,
        ..NiceSettings::default()
    }
}

fn nice(settings: &NiceSettings, basis: &Basis, frames: &[Structure]) -> Arc<Nice> {
    let mut sample = NiceSample::new(basis.expansion(), settings.n_centers).unwrap();
    sample.add(frames).unwrap();
    Arc::new(Nice::fit(settings, &sample).unwrap())
}

/// A dipole and a polarisability that know the molecule, and turn with it: charges and dyads of neighbours.
fn label(target: Target, frame: &Structure) -> Vec<f64> {
    let charge = |z: u8| if z == 1 { 0.3 } else { -0.4 };
    let mut vector = [0.0; 3];
    let mut matrix = [[0.0; 3]; 3];
    for (i, (zi, ri)) in frame.species.iter().zip(&frame.positions).enumerate() {
        for (j, (zj, rj)) in frame.species.iter().zip(&frame.positions).enumerate().filter(|(j, _)| *j != i) {
            let r: [f64; 3] = std::array::from_fn(|d| rj[d] - ri[d]);
            let decay = (-r.iter().map(|x| x * x).sum::<f64>() / 4.0).exp();
            let weight = decay * charge(*zj) * (1.0 + 0.1 * f64::from(*zi)) * if i < j { 1.0 } else { 1.1 };
            for a in 0..3 {
                vector[a] += weight * r[a];
                matrix[a][a] += 0.5 + 0.1 * f64::from(*zi);
                (0..3).for_each(|b| matrix[a][b] += weight.abs() * r[a] * r[b]);
            }
        }
    }
    match target {
        Target::Dipole => vector.to_vec(),
        Target::Polarizability => matrix.as_flattened().to_vec(),
    }
}

fn labels(target: Target, frames: &[Structure]) -> Vec<Option<Vec<f64>>> {
    frames.iter().map(|frame| Some(label(target, frame))).collect()
}

fn settings(target: Target) -> EquivariantSettings {
    EquivariantSettings { target, alpha: Alpha::Fixed(1e-6), solver: Solver::Qr }
}

fn fit(settings: &EquivariantSettings, frames: &[Structure], chunk: usize) -> EquivariantRidge {
    let basis = basis();
    let nice = nice(&few(), &basis, frames);
    let labels = labels(settings.target, frames);
    let mut trainer = EquivariantTrainer::new(basis, nice, settings, frames, &labels).unwrap();
    while trainer.done() < frames.len() {
        trainer.advance(chunk).unwrap();
    }
    trainer.finish().unwrap()
}

fn values(model: &EquivariantRidge, frames: &[Structure]) -> Vec<Vec<f64>> {
    model.predict(frames, false).unwrap().into_iter().map(|p| p.value).collect()
}

fn rotation(seed: u64) -> Matrix {
    let mut random = Random::new(seed);
    let q: [f64; 4] = std::array::from_fn(|_| random.next() - 0.5);
    let norm = q.iter().map(|x| x * x).sum::<f64>().sqrt();
    let [w, x, y, z] = q.map(|c| c / norm);
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

fn times(m: &Matrix, v: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|a| (0..3).map(|b| m[a][b] * v[b]).sum())
}

/// R T, or R T Rᵀ.
fn turned(target: Target, r: &Matrix, t: &[f64]) -> Vec<f64> {
    match target {
        Target::Dipole => times(r, [t[0], t[1], t[2]]).to_vec(),
        Target::Polarizability => {
            let rows: Vec<[f64; 3]> = t.chunks(3).map(|row| times(r, [row[0], row[1], row[2]])).collect(); // T Rᵀ
            let of = |a: usize, b: usize| (0..3).map(|c| r[a][c] * rows[c][b]).sum::<f64>();
            (0..9).map(|k| of(k / 3, k % 3)).collect()
        }
    }
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| f64::max(largest, (a - b).abs()))
}

#[test]
fn spherical_components_turn_as_harmonics_do() {
    let a = [[1.3, 0.2, -0.7], [0.2, -0.4, 0.5], [-0.7, 0.5, 2.0]];
    let r = rotation(3);
    let b = turned(Target::Polarizability, &r, a.as_flattened());
    let b: Matrix = std::array::from_fn(|i| [b[3 * i], b[3 * i + 1], b[3 * i + 2]]);
    let (before, after) = (spherical_of_symmetric(a), spherical_of_symmetric(b));
    let (v, w) = (spherical_of_dipole([0.3, -0.8, 0.5]), spherical_of_dipole(times(&r, [0.3, -0.8, 0.5])));
    // Wigner matrices from harmonics at as many points as there are m: Y(R p) = D Y(p).
    let points: Vec<[f64; 3]> = (0..5).map(|k| times(&rotation(20 + k), [0.0, 0.6, 0.8])).collect();
    for (l, before, after) in [(0, &before[..1], &after[..1]), (1, &v[..], &w[..]), (2, &before[1..], &after[1..])] {
        let n = 2 * l + 1;
        let table = |turn: bool| {
            let point = |k: usize| if turn { times(&r, points[k]) } else { points[k] };
            Array2::from_shape_fn((n, n), |(m, k)| harmonics(l, point(k))[l * l + m])
        };
        let (y, turned) = (table(false), table(true));
        let (u, s, vt) = linalg::svd_thin(y.view());
        let inverse = vt.t().dot(&Array2::from_diag(&Array1::from(s).mapv(f64::recip))).dot(&u.t());
        let found = turned.dot(&inverse).dot(&Array1::from(before.to_vec()));
        assert!(largest(found.as_slice().unwrap(), after) < 1e-12, "{l}: {found} {after:?}");
    }
}

#[test]
fn spherical_components_are_those_of_the_coupling_of_vectors() {
    let (a, b) = ([0.3, -0.7, 0.2], [0.5, 0.1, -0.9]);
    let dyad: Matrix = std::array::from_fn(|i| std::array::from_fn(|j| a[i] * b[j]));
    let spherical = spherical_of_symmetric(dyad);
    let mut coupled = [0.0; 6];
    for (lambda, first) in [(0, 0), (2, 1)] {
        for c in clebsch_gordan(1, 1, lambda).unwrap() {
            coupled[first + c.mu] += c.value * spherical_of_dipole(a)[c.m1] * spherical_of_dipole(b)[c.m2];
        }
    }
    coupled[0] *= -1.0; // 1 ⊗ 1 → 0 is −a·b/√3
    assert!(largest(&spherical, &coupled) < 1e-14);
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
    let symmetric = symmetric_of(spherical);
    assert!((norm(&spherical) - norm(symmetric.as_flattened())).abs() < 1e-14);
    assert!((symmetric[0][1] - 0.5 * (dyad[0][1] + dyad[1][0])).abs() < 1e-15);
}

/// min |Xw − y|² + λ |w|² of sums of what `Nice::equivariants` gives, with λ = alpha · (largest singular value)².
#[test]
fn a_dense_ridge_of_summed_equivariants_gives_the_same() {
    let (train, test) = (molecules(30), molecules(36)[30..].to_vec());
    for selection in [NiceSelection::Cholesky, NiceSelection::Pca] {
        for (target, split) in [(Target::Dipole, Split::Density), (Target::Polarizability, Split::Balanced)] {
            let basis = basis();
            let nice = nice(&NiceSettings { selection, split, ..few() }, &basis, &train);
            let labels = labels(target, &train);
            let mut trainer =
                EquivariantTrainer::new(basis.clone(), nice.clone(), &settings(target), &train, &labels).unwrap();
            trainer.advance(usize::MAX).unwrap();
            let model = trainer.finish().unwrap();
            let baseline = model.baseline().clone();
            let of_atoms =
                |frame: &Structure| frame.species.iter().map(|z| baseline.get(z).unwrap_or(&0.0)).sum::<f64>();
            let mut naive = vec![Vec::new(); test.len()];
            let mut component = 0;
            for &lambda in target.lambdas() {
                let n_m = 2 * lambda + 1;
                let x = design(&nice, &basis, lambda, &train);
                let mut y = Array1::zeros(x.nrows());
                for (k, (frame, label)) in train.iter().zip(&labels).enumerate() {
                    let spherical = target.spherical(label.as_ref().unwrap());
                    for mu in 0..n_m {
                        y[k * n_m + mu] = spherical[component + mu] - if lambda == 0 { of_atoms(frame) } else { 0.0 };
                    }
                }
                let (u, s, vt) = linalg::svd_thin(x.view());
                let regulariser = 1e-6 * s[0] * s[0];
                let shrunk = Array1::from(s.iter().map(|s| s / (s * s + regulariser)).collect::<Vec<_>>());
                let w = vt.t().dot(&(u.t().dot(&y) * shrunk));
                let predicted = design(&nice, &basis, lambda, &test).dot(&w);
                for (k, frame) in test.iter().enumerate() {
                    let mut own = predicted.slice(s![k * n_m..(k + 1) * n_m]).to_vec();
                    own[0] += if lambda == 0 { of_atoms(frame) } else { 0.0 };
                    naive[k].extend(own);
                }
                component += n_m;
            }
            for (found, naive) in values(&model, &test).iter().zip(&naive) {
                assert!(largest(found, &target.cartesian(naive)) < 1e-8, "{found:?} {naive:?}");
            }
        }
    }
}

/// Σ_i V, `[(frame, μ), (species, order, channel)]`.
fn design(nice: &Nice, basis: &Basis, lambda: usize, frames: &[Structure]) -> Array2<f64> {
    let n_m = 2 * lambda + 1;
    let mut columns: Vec<Array1<f64>> = Vec::new();
    for species in SPECIES {
        for nu in 1..=3 {
            let v = nice.equivariants(basis.expansion(), nu, frames).unwrap();
            let Some(block) = v.keys.iter().position(|key| key.sigma == 1 && key.lambda == lambda) else { continue };
            let block = &v.blocks[block];
            for channel in 0..block.dim().2 {
                let mut column = Array1::zeros(frames.len() * n_m);
                for (i, center) in v.centers.iter().enumerate().filter(|(_, center)| center.species == species) {
                    for mu in 0..n_m {
                        column[center.structure * n_m + mu] += block[[i, mu, channel]];
                    }
                }
                columns.push(column);
            }
        }
    }
    Array2::from_shape_fn((frames.len() * n_m, columns.len()), |(row, column)| columns[column][row])
}

#[test]
fn predictions_turn_and_are_inverted_with_the_molecule_and_stay_where_it_moves() {
    let frames = molecules(30);
    for target in Target::ALL {
        let model = fit(&settings(target), &frames, 7);
        let before = values(&model, &frames[..5]);
        let moved = |r: &Matrix| -> Vec<Structure> {
            let move_one = |frame: &Structure| {
                let mut frame = frame.clone();
                frame.positions.iter_mut().for_each(|p| *p = times(r, *p).map(|x| x + 1.7));
                frame
            };
            frames[..5].iter().map(move_one).collect()
        };
        let inversion = [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]];
        for r in [rotation(5), rotation(6), inversion] {
            for (before, after) in before.iter().zip(values(&model, &moved(&r))) {
                assert!(largest(&turned(target, &r, before), &after) < 1e-10);
            }
        }
    }
}

#[test]
fn what_is_linear_in_equivariants_is_learned() {
    let (train, test) = (molecules(120), molecules(150)[120..].to_vec());
    for target in Target::ALL {
        let chosen = EquivariantSettings { alpha: EquivariantSettings::default().alpha, ..settings(target) };
        let model = fit(&chosen, &train, 1000);
        assert!(model.alphas().iter().all(|alpha| (1e-12..=1e-4).contains(alpha)));
        let mut errors = rhobasis::equivariant::TensorErrors::new(target);
        for (found, frame) in values(&model, &test).iter().zip(&test) {
            errors.add(found, &label(target, frame));
        }
        let all = errors.rows().pop().unwrap();
        assert!(all.mae < 0.25 * all.mae_of_mean, "{target:?} {all:?}");
    }
}

#[test]
fn derivatives_are_difference_quotients_and_add_up_to_nothing() {
    let frames = molecules(30);
    for target in Target::ALL {
        let model = fit(&settings(target), &frames, 1000);
        let predicted = &model.predict(&frames[2..4], true).unwrap()[1];
        let frame = &frames[3];
        let n = target.components().len();
        assert_eq!(predicted.derivatives.dim(), (frame.len(), n, 3));
        let h = 1e-4;
        let mut worst: f64 = 0.0;
        for atom in 0..frame.len() {
            for d in 0..3 {
                // Of fourth order: what is left is rounding.
                let at = |steps: f64| {
                    let mut moved = frame.clone();
                    moved.positions[atom][d] += steps * h;
                    values(&model, &[moved]).remove(0)
                };
                let [a, b, c, e] = [-2.0, -1.0, 1.0, 2.0].map(at);
                for k in 0..n {
                    let quotient = (a[k] - 8.0 * b[k] + 8.0 * c[k] - e[k]) / (12.0 * h);
                    worst = worst.max((quotient - predicted.derivatives[[atom, k, d]]).abs());
                }
            }
        }
        assert!(worst < 1e-7, "{target:?} {worst}");
        for k in 0..n {
            for d in 0..3 {
                let sum = predicted.derivatives.slice(s![.., k, d]).sum();
                assert!(sum.abs() < 1e-10, "{target:?} {k} {d} {sum}");
            }
        }
    }
}

#[test]
fn periodic_and_large_structures_have_derivatives_too() {
    let mut cell = random_molecule(&[1, 8, 1, 1, 8, 1], 4);
    (cell.cell, cell.pbc) = ([[6.0, 0.0, 0.0], [0.5, 5.5, 0.0], [0.0, -0.4, 6.5]], [true; 3]);
    let mut large = cell.repeated([4, 4, 4]).unwrap(); // several runs of centres
    large.pbc = [true, true, false];
    let frames: Vec<Structure> = molecules(20);
    let model = fit(&settings(Target::Dipole), &frames, 1000);
    let one = &model.predict(&[cell.clone()], true).unwrap()[0];
    let many = &model.predict(&[cell.repeated([2, 1, 1]).unwrap()], true).unwrap()[0];
    for (two, one) in many.value.iter().zip(&one.value) {
        assert!((two - 2.0 * one).abs() < 1e-10);
    }
    let predicted = &model.predict(&[large.clone()], true).unwrap()[0];
    let at = |step: f64| {
        let mut moved = large.clone();
        moved.positions[300][1] += step;
        values(&model, &[moved]).remove(0)
    };
    let (up, down) = (at(1e-4), at(-1e-4));
    for k in 0..3 {
        assert!(((up[k] - down[k]) / 2e-4 - predicted.derivatives[[300, k, 1]]).abs() < 1e-6);
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads_and_any_cut() {
    let frames = molecules(40);
    let run = |threads: usize, chunk: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let chosen =
                EquivariantSettings { alpha: Alpha::Best(vec![1e-8, 1e-4]), ..settings(Target::Polarizability) };
            let model = fit(&chosen, &frames, chunk);
            (model.to_bytes(), model.predict(&frames[..9], true).unwrap())
        })
    };
    let expected = run(1, 1000);
    assert!(run(3, 1) == expected);
    assert!(run(2, 13) == expected);
}

#[test]
fn a_file_holds_everything() {
    let frames = molecules(30);
    for target in Target::ALL {
        let model = fit(&settings(target), &frames, 1000);
        let bytes = model.to_bytes();
        let loaded = EquivariantRidge::from_bytes(&bytes).unwrap();
        assert_eq!(loaded.to_bytes(), bytes);
        assert_eq!(loaded.predict(&frames, true).unwrap(), model.predict(&frames, true).unwrap());
        assert_eq!(loaded.settings(), model.settings());
    }
}

#[test]
fn frames_without_a_label_are_not_learned_from() {
    let frames = molecules(40);
    let basis = basis();
    let nice = nice(&few(), &basis, &frames);
    let mut some = labels(Target::Dipole, &frames);
    (0..40).filter(|k| k % 3 == 1).for_each(|k| some[k] = None);
    let train = |frames: &[Structure], labels: &[Option<Vec<f64>>]| {
        let mut trainer =
            EquivariantTrainer::new(basis.clone(), nice.clone(), &settings(Target::Dipole), frames, labels).unwrap();
        trainer.advance(frames.len()).unwrap();
        assert_eq!(trainer.n_labelled(), 27);
        trainer.finish().unwrap().to_bytes()
    };
    let kept: Vec<usize> = (0..40).filter(|k| k % 3 != 1).collect();
    let only: Vec<Structure> = kept.iter().map(|&k| frames[k].clone()).collect();
    let own: Vec<Option<Vec<f64>>> = kept.iter().map(|&k| some[k].clone()).collect();
    assert!(train(&frames, &some) == train(&only, &own));
}

#[test]
fn what_makes_no_model_is_refused_with_a_remedy() {
    let frames = molecules(12);
    let basis = basis();
    let few_nice = nice(&few(), &basis, &frames);
    let refused = |nice: &Arc<Nice>, target: Target, labels: &[Option<Vec<f64>>], alpha: Alpha| -> String {
        let settings = EquivariantSettings { alpha, ..settings(target) };
        EquivariantTrainer::new(basis.clone(), nice.clone(), &settings, &frames, labels).unwrap_err().to_string()
    };
    let one = || Alpha::Fixed(1e-8);
    let none = vec![None; 12];
    let said = refused(&few_nice, Target::Dipole, &none, one());
    assert!(said.contains("none of 12 has a dipole; name the key of the labels by dipole_key"), "{said}");
    let mut bad = labels(Target::Dipole, &frames);
    bad[7].as_mut().unwrap()[1] = f64::INFINITY;
    let said = refused(&few_nice, Target::Dipole, &bad, one());
    assert!(said.contains("frame 7") && said.contains("component y of its dipole is inf"), "{said}");
    let said = refused(&few_nice, Target::Polarizability, &labels(Target::Dipole, &frames), one());
    assert!(said.contains("frame 0: a label of 3 numbers, and a polarizability has 9"), "{said}");
    let invariants = nice(&NiceSettings { all_equivariants: false, ..few() }, &basis, &frames);
    let said = refused(&invariants, Target::Dipole, &labels(Target::Dipole, &frames), one());
    assert!(said.contains("of order 3 only invariants are kept") && said.contains("all_equivariants = true"), "{said}");
    let mut few_labels = none.clone();
    (0..3).for_each(|k| few_labels[k] = Some(vec![0.0; 3]));
    let said = refused(&few_nice, Target::Dipole, &few_labels, Alpha::Best(vec![1e-8, 1e-4]));
    assert!(said.contains("alpha = [") && said.contains("5 different frames"), "{said}");
    let said = refused(&few_nice, Target::Dipole, &few_labels, Alpha::Fixed(-1.0));
    assert!(said.contains("alpha = -1"), "{said}");
    let flat = ExpansionSettings { primitive: Primitive::Gto { n_max: 3 }, l_max: 1, ..Default::default() };
    let flat = Basis::primitive(&flat, &SPECIES).unwrap();
    let own = nice(&NiceSettings { lambda_max: Some(1), ..few() }, &flat, &frames);
    let labels = labels(Target::Polarizability, &frames);
    let said = EquivariantTrainer::new(flat, own, &settings(Target::Polarizability), &frames, &labels).unwrap_err();
    assert!(said.to_string().contains("l_max = 1: there is no equivariant of λ = 2"), "{said}");
    let model = fit(&settings(Target::Dipole), &molecules(30), 100);
    let hydrogen = Structure::molecule(vec![1, 7], vec![[0.0; 3], [0.0, 0.0, 1.0]]);
    let said = model.predict(&[frames[0].clone(), hydrogen], false).unwrap_err();
    assert!(matches!(&said, Error::Structure { place, .. } if place.frame == Some(1)), "{said}");
}

#[test]
fn labels_are_read_with_the_care_of_energies() {
    let frame = |key: &str, value: Value| {
        let mut frame = Structure::molecule(vec![2], vec![[0.0; 3]]);
        frame.info.push((key.into(), value));
        frame
    };
    let reals = |x: &[f64]| Value::Reals(x.to_vec(), vec![x.len()]);
    let dipole = |value| Target::Dipole.label(&frame("dipole", value), "dipole");
    assert_eq!(dipole(reals(&[1.0, 2.0, 3.0])).unwrap(), Some(vec![1.0, 2.0, 3.0]));
    assert_eq!(dipole(Value::Ints(vec![0, 0, 1], vec![3])).unwrap(), Some(vec![0.0, 0.0, 1.0]));
    assert_eq!(dipole(reals(&[f64::NAN; 3])).unwrap(), None);
    assert_eq!(extxyz::vector(&frame("mu", reals(&[1.0; 3])), "dipole").unwrap(), None);
    for (value, expected) in [
        (reals(&[1.0, 2.0]), "dipole=[1, 2] is no vector of three numbers; give x y z"),
        (Value::Real(1.5), "dipole=1.5 is no vector of three numbers"),
        (reals(&[1.0, f64::NAN, 0.0]), "component y of dipole is NaN"),
        (reals(&[1.0, f64::INFINITY, 0.0]), "component y of dipole is inf"),
        (reals(&[1.0, 1e101, 0.0]), "component y of dipole is 1e101"),
    ] {
        let said = dipole(value).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
    let matrix = |x: &[f64]| Target::Polarizability.label(&frame("polarizability", reals(x)), "polarizability");
    let voigt = matrix(&[1.0, 2.0, 3.0, 0.4, 0.5, 0.6]).unwrap().unwrap();
    assert_eq!(voigt, vec![1.0, 0.6, 0.5, 0.6, 2.0, 0.4, 0.5, 0.4, 3.0]);
    let rounded = matrix(&[1.0, 0.6, 0.5, 0.6001, 2.0, 0.4, 0.5, 0.4, 3.0]).unwrap().unwrap();
    assert!((rounded[1] - 0.60005).abs() < 1e-12 && rounded[1] == rounded[3]);
    assert_eq!(matrix(&[f64::NAN; 6]).unwrap(), None);
    for (x, expected) in [
        (&[1.0, 0.6, 0.5, 0.7, 2.0, 0.4, 0.5, 0.4, 3.0][..], "polarizability is not symmetric: xy is 0.6, yx is 0.7"),
        (&[1.0, 2.0, 3.0], "is no matrix of nine or six numbers"),
        (&[1.0, 2.0, 3.0, 0.4, f64::NAN, 0.6], "component xz of polarizability is NaN"),
    ] {
        let said = matrix(x).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
}
