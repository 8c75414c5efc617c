//! Eqs. (18)-(21) by brute force, on the naive correlations and coefficients of real molecules.

mod naive;

use std::collections::BTreeMap;

use naive::correlations::{Feature, bispectrum, equivariants, first, invariants, power_spectrum, times};
use naive::{Random, eigen};
use ndarray::{Array2, Axis, s};
use rhobasis::Structure;
use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma, SphericalExpansion, species_of};

const L_MAX: usize = 2;

/// Water and hydrogen peroxide: the coefficients of each atom, of size 1 or so.
fn environments(n_max: usize) -> Vec<Vec<Array2<f64>>> {
    let water =
        Structure::molecule(vec![8, 1, 1], vec![[0.0, 0.0, 0.119], [0.0, 0.763, -0.477], [0.0, -0.763, -0.477]]);
    let peroxide = Structure::molecule(
        vec![8, 8, 1, 1],
        vec![[0.0, 0.734, -0.053], [0.0, -0.734, -0.053], [0.839, 0.881, 0.422], [-0.839, -0.881, 0.422]],
    );
    let structures = [water, peroxide];
    let density = Density { r_cut: 3.0, sigma: Sigma::Same(0.4), ..Density::default() };
    let settings =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max }, l_max: L_MAX, spline_accuracy: None };
    let c = SphericalExpansion::new(&settings, &species_of(&structures)).unwrap().forward(&structures).unwrap();
    (0..c.centers.len()).map(|i| c.blocks.iter().map(|b| b.index_axis(Axis(0), i).to_owned()).collect()).collect()
}

/// An orthogonal matrix for each l: eigenvectors, in rows, of a random symmetric one.
fn rotations(c: &[Array2<f64>], seed: u64) -> Vec<Array2<f64>> {
    let mut random = Random::new(seed);
    let mut rotation = |n| {
        let a = Array2::from_shape_fn((n, n), |_| random.next() - 0.5);
        eigen(&(&a + &a.t())).1
    };
    c.iter().map(|c| rotation(c.ncols())).collect()
}

fn contracted(c: &[Array2<f64>], u: &[Array2<f64>]) -> Vec<Array2<f64>> {
    c.iter().zip(u).map(|(c, u)| c.dot(&u.t())).collect()
}

fn truncated(u: &[Array2<f64>], q: usize) -> Vec<Array2<f64>> {
    u.iter().map(|u| u.slice(s![..q, ..]).to_owned()).collect()
}

fn square(c: &[Array2<f64>]) -> f64 {
    c.iter().flatten().map(|x| x * x).sum()
}

fn total(features: &[Feature]) -> f64 {
    features.iter().map(Feature::square).sum()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[track_caller]
fn assert_close(found: f64, expected: f64, scale: f64) {
    assert!(scale > 0.0 && (found - expected).abs() <= 1e-12 * scale, "{found} instead of {expected}");
}

#[test]
fn eq18_the_multispectrum_of_contracted_coefficients_is_the_contracted_multispectrum() {
    for (nu, atom) in [(2, 0), (2, 4), (3, 1)] {
        let c = &environments(2)[atom];
        let u = truncated(&rotations(c, 1), 2);
        let mut primitive: BTreeMap<_, Vec<&Feature>> = BTreeMap::new();
        let full = equivariants(c, nu);
        full.iter().for_each(|f| primitive.entry((&f.l, &f.lambda)).or_default().push(f));
        let scale = square(c).powi(nu as i32).sqrt();
        for f in equivariants(&contracted(c, &u), nu) {
            let mut expected = vec![0.0; f.values.len()];
            for p in &primitive[&(&f.l, &f.lambda)] {
                assert_eq!(f.sigma, p.sigma);
                let factor: f64 = (0..nu).map(|k| u[f.l[k]][[f.q[k], p.q[k]]]).product();
                expected.iter_mut().zip(&p.values).for_each(|(e, p)| *e += factor * p);
            }
            f.values.iter().zip(expected).for_each(|(&f, e)| assert_close(f, e, scale));
        }
    }
}

#[test]
fn eq19_an_orthogonal_change_of_basis_keeps_each_sum_over_q() {
    let c = &environments(3)[3];
    let turned = contracted(c, &rotations(c, 2));
    for nu in [1, 2] {
        let before = equivariants(c, nu).into_iter().step_by(7).collect::<Vec<_>>(); // some Q
        let sums = |c: &[Array2<f64>]| {
            let mut sums: BTreeMap<_, f64> = BTreeMap::new();
            for f in times(c, &before) {
                for (mu, x) in f.values.iter().enumerate() {
                    *sums.entry((f.l.clone(), f.lambda.clone(), f.q[..nu].to_vec(), mu)).or_default() += x * x;
                }
            }
            sums
        };
        let (primitive, optimal) = (sums(c), sums(&turned));
        assert_eq!(primitive.len(), optimal.len());
        for (key, &expected) in &primitive {
            assert_close(optimal[key], expected, square(c).powi(nu as i32 + 1));
        }
    }
}

#[test]
fn eq20_the_norm_of_the_multispectrum_is_the_power_of_that_of_the_density() {
    for (n_max, nu, atoms) in [(3, 2, 0..7), (2, 3, 0..4)] {
        for c in &environments(n_max)[atoms] {
            let u = rotations(c, 3);
            for q in [2 * n_max, n_max, 1] {
                let projected = contracted(c, &truncated(&u, q));
                let expected = square(&projected).powi(nu);
                assert_close(total(&equivariants(&projected, nu as usize)), expected, expected);
            }
            let expected = square(c).powi(nu);
            assert_close(total(&equivariants(c, nu as usize)), expected, expected);
        }
    }
}

#[test]
fn both_lines_of_eq21_agree() {
    let environments = environments(2);
    for nu in [1, 2] {
        let features: Vec<_> = environments.iter().map(|c| equivariants(c, nu)).collect();
        let labels = |f: &Feature| (f.l.clone(), f.q.clone(), f.lambda.clone());
        for pick in (0..features[0].len()).step_by(if nu == 1 { 1 } else { 23 }) {
            let k = features[0][pick].order();
            for l in 0..=L_MAX {
                let n = environments[0][l].ncols();
                let (mut first_line, mut second_line) = (Array2::<f64>::zeros((n, n)), Array2::<f64>::zeros((n, n)));
                for (c, features) in environments.iter().zip(&features) {
                    let f = &features[pick];
                    assert_eq!(labels(f), labels(&features[pick]));
                    assert_eq!(f.order(), k);
                    let mut by_lambda: BTreeMap<usize, Vec<Vec<f64>>> = BTreeMap::new();
                    for t in times(c, std::slice::from_ref(f)).into_iter().filter(|t| t.l[nu] == l) {
                        by_lambda.entry(t.order()).or_default().push(t.values);
                    }
                    for p in 0..n {
                        for q in 0..n {
                            first_line[[p, q]] += by_lambda.values().map(|v| dot(&v[p], &v[q])).sum::<f64>();
                            let density: f64 = (0..2 * l + 1).map(|m| c[l][[m, p]] * c[l][[m, q]]).sum();
                            second_line[[p, q]] += density * f.square();
                        }
                    }
                }
                let scale = (0..n).map(|p| second_line[[p, p]]).fold(0.0, f64::max);
                if scale > 0.0 {
                    first_line.iter().zip(&second_line).for_each(|(&a, &b)| assert_close(a, b, scale));
                }
            }
        }
    }
}

#[test]
fn columns_without_redundant_orders_keep_every_dot_product_of_the_invariants() {
    let environments = environments(2);
    let two: Vec<_> = environments.iter().map(|c| (power_spectrum(c), invariants(c, 2))).collect();
    let three = environments.iter().step_by(2).map(|c| {
        let b: Vec<f64> = bispectrum(c).iter().map(|(_, value)| *value).collect();
        (b, invariants(c, 3))
    });
    for sets in [two, three.collect()] {
        for (short_a, full_a) in &sets {
            assert!(short_a.len() < full_a.len());
            for (short_b, full_b) in &sets {
                let scale = (dot(full_a, full_a) * dot(full_b, full_b)).sqrt();
                assert_close(dot(short_a, short_b), dot(full_a, full_b), scale);
            }
        }
    }
}

#[test]
fn sigma_is_the_parity_times_that_of_lambda() {
    let c = &environments(2)[3];
    let mut inverted = c.clone();
    inverted.iter_mut().skip(1).step_by(2).for_each(|c| c.mapv_inplace(|x| -x));
    let scale = square(c).powf(1.5);
    assert!(equivariants(c, 3).iter().any(|f| f.sigma == -1 && f.square() > 1e-6 * scale * scale));
    for (before, after) in equivariants(c, 3).iter().zip(equivariants(&inverted, 3)) {
        let parity = f64::from(before.sigma) * if before.order() % 2 == 0 { 1.0 } else { -1.0 };
        before.values.iter().zip(&after.values).for_each(|(b, &a)| assert_close(a, parity * b, scale));
    }
    assert_eq!(first(c).len(), c.iter().map(|c| c.ncols()).sum::<usize>());
}
