//! The contraction as a stage, Eqs. (7), (12), against plain loops, direct evaluation and difference quotients.

mod naive;

use naive::{Random, eq7, eq12, largest_difference};
use ndarray::Array2;
use rhobasis::Structure;
use rhobasis::density::{
    BlockKey, Center, Channel, ChannelContraction, ContractionMatrix, Density, Equivariants, ExpansionSettings,
    Primitive, Sigma, SphericalExpansion,
};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};

const ALL: [(Mixing, bool); 4] =
    [(Mixing::PerSpecies, false), (Mixing::PerSpecies, true), (Mixing::Combined, false), (Mixing::Combined, true)];
const SPECIES: [u8; 3] = [1, 6, 8];
const L_MAX: usize = 3;
const N: usize = 4;

fn channels() -> Vec<Vec<Channel>> {
    let of_l = || SPECIES.iter().flat_map(|&species| (0..N).map(move |n| Channel { species, n })).collect();
    (0..=L_MAX).map(|_| of_l()).collect()
}

fn keys() -> Vec<BlockKey> {
    (0..=L_MAX).map(BlockKey::density).collect()
}

/// Random coefficients around seven atoms.
fn random(channels: &[Vec<Channel>], random: &mut Random) -> Equivariants {
    let species = [8, 1, 1, 6, 6, 1, 8];
    let centers = species.iter().enumerate().map(|(atom, &species)| Center { structure: 0, atom, species });
    let mut c = Equivariants::zeros(centers.collect(), keys(), channels.to_vec());
    c.blocks.iter_mut().flatten().for_each(|c| *c = random.next() - 0.5);
    c
}

fn random_like(like: &[Array2<f64>], random: &mut Random) -> Vec<Array2<f64>> {
    like.iter().map(|u| u.mapv(|_| random.next() - 0.5)).collect()
}

/// Matrices with other numbers of channels for each block, species and kind of centre.
fn matrices(mixing: Mixing, center_specific: bool, random: &mut Random) -> Vec<ContractionMatrix> {
    let centers: Vec<Option<u8>> =
        if center_specific { SPECIES.iter().map(|&z| Some(z)).collect() } else { vec![None] };
    let owners: Vec<Option<u8>> =
        if mixing == Mixing::Combined { vec![None] } else { SPECIES.iter().map(|&z| Some(z)).collect() };
    let mut matrices = Vec::new();
    for (i, &center) in centers.iter().enumerate() {
        for (j, &species) in owners.iter().enumerate() {
            for l in 0..=L_MAX {
                let n = if species.is_none() { N * SPECIES.len() } else { N };
                let u = Array2::from_shape_fn(((i + 2 * j + l) % 4, n), |_| random.next() - 0.5);
                matrices.push(ContractionMatrix { center, species, block: BlockKey::density(l), u });
            }
        }
    }
    matrices
}

fn with_u(contraction: &ChannelContraction, change: impl Fn(usize, &mut Array2<f64>)) -> ChannelContraction {
    let mut matrices = contraction.matrices().to_vec();
    matrices.iter_mut().enumerate().for_each(|(k, matrix)| change(k, &mut matrix.u));
    ChannelContraction::new(&keys(), &channels(), matrices).unwrap()
}

fn dot(a: &Equivariants, b: &Equivariants) -> f64 {
    a.blocks.iter().flatten().zip(b.blocks.iter().flatten()).map(|(a, b)| a * b).sum()
}

/// Σ sin(c + place mod 7): a function of the contracted coefficients that is linear in none of them, and its gradient.
fn energy(c: &Equivariants) -> (f64, Equivariants) {
    let (mut sum, mut grad_c) = (0.0, c.clone());
    for (k, (c, grad)) in c.blocks.iter().flatten().zip(grad_c.blocks.iter_mut().flatten()).enumerate() {
        let phase = (k % 7) as f64;
        sum += (c + phase).sin();
        *grad = (c + phase).cos();
    }
    (sum, grad_c)
}

fn cases() -> impl Iterator<Item = (String, ChannelContraction, Random)> {
    ALL.into_iter().enumerate().map(|(k, (mixing, center_specific))| {
        let mut random = Random::new(k as u64 + 1);
        let contraction = ChannelContraction::new(&keys(), &channels(), matrices(mixing, center_specific, &mut random));
        (format!("{mixing:?}, center_specific {center_specific}"), contraction.unwrap(), random)
    })
}

#[test]
fn eq7_and_eq12_match_the_double_loop() {
    for (name, contraction, mut numbers) in cases() {
        let c = random(&channels(), &mut numbers);
        let found = contraction.forward(&c).unwrap();
        let mut expected = Equivariants::zeros(c.centers.clone(), c.keys.clone(), contraction.channels().to_vec());
        for matrix in contraction.matrices() {
            let l = matrix.block.lambda;
            let around = |center: &&(usize, &Center)| matrix.center.is_none_or(|z| z == center.1.species);
            for (i, _) in c.centers.iter().enumerate().collect::<Vec<_>>().iter().filter(around) {
                let rows = match matrix.species {
                    None => eq12(&c, l, *i, &matrix.u),
                    Some(a) => eq7(&c, l, *i, a, &matrix.u),
                };
                for ((m, q), value) in rows.indexed_iter() {
                    let channel = Channel { species: matrix.species.unwrap_or(0), n: q };
                    let place = found.channels[l].iter().position(|c| *c == channel).expect("one for each row of U");
                    expected.blocks[l][[*i, m, place]] = *value;
                }
            }
        }
        assert!(largest_difference(&found, &expected) < 1e-13, "{name}");
    }
}

#[test]
fn the_matrices_of_a_basis_give_what_it_evaluates_directly() {
    let species: [&[u8]; 3] = [&[6, 1, 8, 1], &[8, 1, 1], &[6, 6, 1]];
    let structures: Vec<Structure> = (0..9).map(|k| naive::random_molecule(species[k % 3], k as u64)).collect();
    let density = Density { r_cut: 3.5, sigma: Sigma::Same(0.4), ..Density::default() };
    for primitive in [Primitive::Gto { n_max: 6 }, Primitive::LaplacianEigenstates { n_max: 5 }] {
        let expansion =
            ExpansionSettings { density: density.clone(), primitive, l_max: 5, spline_accuracy: Some(1e-8) };
        let primitive = SphericalExpansion::new(&expansion, &SPECIES).unwrap().forward(&structures).unwrap();
        for (mixing, center_specific) in ALL {
            let mut covariance = Covariance::new(&CovarianceSettings {
                expansion: expansion.clone(),
                mixing,
                center_specific,
                weighting: None,
            })
            .unwrap();
            covariance.add(&structures, None).unwrap();
            for truncation in [Truncation::QMax(2), Truncation::Retain(0.99)] {
                let basis = OptimalBasis::from_covariance(&covariance, truncation).unwrap();
                let (found, direct) =
                    (basis.contraction().forward(&primitive).unwrap(), basis.transform(&structures).unwrap());
                assert_eq!(found.channels, direct.channels);
                assert!(largest_difference(&found, &direct) < 1e-7, "{mixing:?}, {center_specific}, {truncation:?}");
            }
        }
    }
}

#[test]
fn derivatives_by_coefficients_and_by_u_match_difference_quotients() {
    let h = 1e-5;
    for (name, contraction, mut numbers) in cases() {
        let c = random(&channels(), &mut numbers);
        let value = |contraction: &ChannelContraction, c: &Equivariants| energy(&contraction.forward(c).unwrap()).0;
        let (_, grad) = energy(&contraction.forward(&c).unwrap());
        let grad_c = contraction.backward(&grad).unwrap();
        for (l, block) in grad_c.blocks.iter().enumerate() {
            for (at, found) in block.indexed_iter().step_by(17) {
                let moved = |step: f64| {
                    let mut c = c.clone();
                    c.blocks[l][at] += step;
                    value(&contraction, &c)
                };
                let quotient = (moved(h) - moved(-h)) / (2.0 * h);
                assert!((found - quotient).abs() < 1e-8, "{name}, dE/dc: {found} {quotient}");
            }
        }
        let grad_u = contraction.backward_to_u(&c, &grad).unwrap();
        for (k, matrix) in grad_u.iter().enumerate() {
            for (at, found) in matrix.indexed_iter().step_by(5) {
                let moved = |step: f64| {
                    let moved = with_u(&contraction, |j, u| {
                        if j == k {
                            u[at] += step;
                        }
                    });
                    value(&moved, &c)
                };
                let quotient = (moved(h) - moved(-h)) / (2.0 * h);
                assert!((found - quotient).abs() < 1e-8, "{name}, dE/dU: {found} {quotient}");
            }
        }
    }
}

#[test]
fn backward_is_the_adjoint_of_tangent() {
    for (name, contraction, mut numbers) in cases() {
        let c = random(&channels(), &mut numbers);
        let c_dot = random(&channels(), &mut numbers);
        let u: Vec<Array2<f64>> = contraction.matrices().iter().map(|matrix| matrix.u.clone()).collect();
        let u_dot = random_like(&u, &mut numbers);
        let grad = random(contraction.channels(), &mut numbers);
        let along = dot(&grad, &contraction.tangent(&c, &c_dot, &u_dot).unwrap());
        let by_u = contraction.backward_to_u(&c, &grad).unwrap();
        let back = dot(&contraction.backward(&grad).unwrap(), &c_dot)
            + by_u.iter().zip(&u_dot).map(|(grad, u_dot)| (grad * u_dot).sum()).sum::<f64>();
        assert!((along - back).abs() < 1e-13 * along.abs().max(1.0), "{name}: {along} {back}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let u = |center, species, l, shape| ContractionMatrix {
        center,
        species,
        block: BlockKey::density(l),
        u: Array2::ones(shape),
    };
    let message = |matrices| ChannelContraction::new(&keys(), &channels(), matrices).unwrap_err().to_string();
    assert!(message(vec![u(None, Some(1), 0, (2, 5))]).contains("5 columns for 4 channels"));
    assert!(message(vec![u(None, None, 1, (2, 4))]).contains("4 columns for 12 channels"));
    assert!(message(vec![u(None, Some(7), 0, (2, 4))]).contains("of N neighbours"));
    assert!(message(vec![u(None, None, 4, (2, 12))]).contains("λ = 4"));
    let twice = [u(None, Some(1), 0, (2, 4)), u(Some(8), Some(1), 0, (2, 4))];
    assert!(message(twice.to_vec()).contains("too"));
    assert!(message(vec![u(None, Some(1), 0, (2, 4)), u(None, None, 0, (2, 12))]).contains("too"));

    let contraction = ChannelContraction::new(&keys(), &channels(), vec![u(Some(8), None, 0, (2, 12))]).unwrap();
    let c = random(&channels(), &mut Random::new(1));
    let error = contraction.forward(&c).unwrap_err().to_string();
    assert!(error.contains("frame 0, atom 1") && error.contains("around H"), "{error}");
    let contraction = ChannelContraction::new(&keys(), &channels(), vec![u(None, None, 0, (2, 12))]).unwrap();
    let contracted = contraction.forward(&c).unwrap();
    assert!(contraction.forward(&contracted).unwrap_err().to_string().contains("channels"));
    assert!(contraction.tangent(&c, &c, &[]).unwrap_err().to_string().contains("u_dot"));
}
