//! What a truncation retains of the ν-spectrum and of its invariant part, against tensors built by loops; Eqs. (18)-(20).

mod naive;

use ndarray::{Array2, Axis};
use rhobasis::correlations::{Kept, Plan, SpectrumNorms, Target, clebsch_gordan, everything, leading_channels};
use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use rhobasis::{Error, Structure};

const NUS: [usize; 4] = [1, 2, 3, 4];

fn molecules(n: u64) -> Vec<Structure> {
    (0..n).map(|k| naive::random_molecule(&[1, 8, 1][..2 + (k % 2) as usize], k)).collect()
}

fn fitted(n_max: usize, mixing: Mixing, center_specific: bool, truncation: Truncation) -> OptimalBasis {
    let density = Density { r_cut: 3.5, sigma: Sigma::Same(0.4), ..Density::default() };
    let primitive = Primitive::Gto { n_max };
    let expansion = ExpansionSettings { density, primitive, l_max: 2, ..ExpansionSettings::default() };
    let mut covariance =
        Covariance::new(&CovarianceSettings { expansion, mixing, center_specific, weighting: None }).unwrap();
    covariance.add(&molecules(6), None).unwrap();
    OptimalBasis::from_covariance(&covariance, truncation).unwrap()
}

/// Coefficients `[m, q]` for each l of all centres; those that a truncation drops are zero.
fn coefficients(basis: &OptimalBasis, structures: &[Structure], kept: &Kept) -> Vec<Vec<Array2<f64>>> {
    let c = basis.transform(structures).unwrap();
    let of_center = |(i, center): (usize, &rhobasis::density::Center)| {
        let k = basis.kinds().iter().position(|k| k.center.is_none_or(|z| z == center.species)).unwrap();
        let mut blocks: Vec<Array2<f64>> = c.blocks.iter().map(|b| b.index_axis(Axis(0), i).to_owned()).collect();
        for (block, &count) in basis.kinds()[k].blocks.iter().zip(&kept[k]) {
            for (q, channel) in c.channels[block.key.lambda].iter().enumerate() {
                if block.species.unwrap_or(0) == channel.species && channel.n >= count {
                    blocks[block.key.lambda].column_mut(q).fill(0.0);
                }
            }
        }
        blocks
    };
    c.centers.iter().enumerate().map(of_center).collect()
}

/// Every product of coefficients of two densities coupled to every k: (k, whether parity is natural, the 2k + 1 components).
fn coupled(c: &[Array2<f64>]) -> Vec<(usize, bool, Vec<f64>)> {
    let mut all = Vec::new();
    for (l1, a) in c.iter().enumerate() {
        for (l2, b) in c.iter().enumerate() {
            for k in l1.abs_diff(l2)..=l1 + l2 {
                for (q1, q2) in (0..a.ncols()).flat_map(|q1| (0..b.ncols()).map(move |q2| (q1, q2))) {
                    let mut sums = vec![0.0; 2 * k + 1];
                    for g in clebsch_gordan(l1, l2, k).unwrap() {
                        sums[g.mu] += g.value * a[[g.m1, q1]] * b[[g.m2, q2]];
                    }
                    all.push((k, (l1 + l2 + k).is_multiple_of(2), sums));
                }
            }
        }
    }
    all
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Squared norms of the invariant part, for ν = 1 … 4, by Clebsch-Gordan coupling of every product.
fn invariants_by_loops(c: &[Array2<f64>]) -> [f64; 4] {
    let pairs = coupled(c);
    let of_one = c[0].iter().map(|c| c * c).sum();
    let of_two = pairs.iter().filter(|p| p.0 == 0 && p.1).map(|p| dot(&p.2, &p.2)).sum();
    let mut of_three = 0.0;
    for (k, _, pair) in pairs.iter().filter(|p| p.1 && p.0 < c.len()) {
        for third in c[*k].columns() {
            of_three += dot(pair, &third.to_vec()).powi(2) / (2 * k + 1) as f64;
        }
    }
    let mut of_four = 0.0;
    for (k, natural, p) in &pairs {
        for (_, _, q) in pairs.iter().filter(|q| (q.0, q.1) == (*k, *natural)) {
            of_four += dot(p, q).powi(2) / (2 * k + 1) as f64;
        }
    }
    [of_one, of_two, of_three, of_four]
}

/// Σ over all entries of ρ ⊗ … ⊗ ρ of their squares.
fn tensor_norm(c: &[Array2<f64>], nu: usize) -> f64 {
    let all: Vec<f64> = c.iter().flatten().copied().collect();
    let mut tensor = vec![1.0];
    for _ in 0..nu {
        tensor = tensor.iter().flat_map(|t| all.iter().map(move |c| t * c)).collect();
    }
    tensor.iter().map(|t| t * t).sum()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 * expected.abs()
}

#[test]
fn eq20_norms_before_and_after_truncation_are_those_of_the_tensors() {
    for (mixing, center_specific) in [(Mixing::PerSpecies, false), (Mixing::Combined, false), (Mixing::Combined, true)]
    {
        let basis = fitted(2, mixing, center_specific, Truncation::Retain(1.0));
        let truncations = vec![leading_channels(&basis, 1), everything(&basis)];
        let structures = molecules(2);
        let mut norms = SpectrumNorms::of_truncations(&basis, &truncations, &NUS, true).unwrap();
        norms.add(&structures).unwrap();
        let (equivariant, invariant) = (norms.equivariant(), norms.invariant().unwrap());
        for (t, kept) in truncations.iter().enumerate() {
            let centers = coefficients(&basis, &structures, kept);
            for nu in [1, 2, 3] {
                let expected: f64 = centers.iter().map(|c| tensor_norm(c, nu)).sum();
                assert!(close(equivariant[[t, nu - 1]], expected), "ν = {nu}: {equivariant} {expected}");
            }
            for nu in NUS {
                let expected: f64 = centers.iter().map(|c| invariants_by_loops(c)[nu - 1]).sum();
                assert!(close(invariant[[t, nu - 1]], expected), "ν = {nu}: {invariant} {expected}");
            }
        }
        // The test would not see a truncation that keeps all.
        assert!(equivariant[[0, 0]] < (1.0 - 1e-6) * equivariant[[1, 0]]);
    }
}

#[test]
fn eqs18_19_coupling_two_densities_keeps_the_norm_before_and_after_truncation() {
    let basis = fitted(2, Mixing::Combined, false, Truncation::Retain(1.0));
    for kept in [leading_channels(&basis, 1), everything(&basis)] {
        for c in coefficients(&basis, &molecules(2), &kept) {
            let coupled: f64 = coupled(&c).iter().map(|p| dot(&p.2, &p.2)).sum();
            assert!(close(coupled, tensor_norm(&c, 2)));
        }
    }
}

#[test]
fn a_primitive_basis_has_the_norms_of_its_full_optimal_one() {
    let basis = fitted(4, Mixing::PerSpecies, false, Truncation::Retain(1.0));
    let settings = &basis.settings().expansion;
    let primitive = rhobasis::density::SphericalExpansion::new(settings, basis.species()).unwrap();
    let mut of_primitive = SpectrumNorms::of_expansion(&primitive, &NUS, true).unwrap();
    let mut of_optimal = SpectrumNorms::of_expansion(basis.expansion(), &NUS, true).unwrap();
    of_primitive.add(&molecules(5)).unwrap();
    of_optimal.add(&molecules(5)).unwrap();
    let pairs = [
        (of_primitive.equivariant(), of_optimal.equivariant()),
        (of_primitive.invariant().unwrap(), of_optimal.invariant().unwrap()),
    ];
    for (a, b) in pairs {
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6 * b), "{a} {b}");
    }
}

#[test]
fn the_same_bits_for_any_threads_and_calls() {
    let basis = fitted(3, Mixing::Combined, true, Truncation::Retain(1.0));
    let truncations: Vec<Kept> = (1..=3).map(|q| leading_channels(&basis, q)).collect();
    let structures = molecules(70);
    let sums = |threads: usize, step: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut norms = SpectrumNorms::of_truncations(&basis, &truncations, &[1, 3], true).unwrap();
            structures.chunks(step).for_each(|chunk| norms.add(chunk).unwrap());
            (norms.equivariant(), norms.invariant())
        })
    };
    let first = sums(1, 70);
    for (threads, step) in [(2, 70), (1, 7), (2, 33)] {
        assert_eq!(sums(threads, step), first, "{threads} threads, {step} at once");
    }
}

#[test]
fn more_bodies_retain_less_and_a_plan_keeps_its_promise() {
    let basis = fitted(6, Mixing::PerSpecies, true, Truncation::Retain(1.0));
    let structures = molecules(6);
    for invariant in [false, true] {
        let target = Target { nu: 3, retain: 0.99, invariant };
        let plan = Plan::exact(&basis, target, |norms| norms.add(&structures)).unwrap();
        for row in &plan.rows {
            assert!(row.equivariant.is_sorted_by(|a, b| a >= b), "{row:?}");
            assert!(row.approximate.is_sorted_by(|a, b| a >= b), "{row:?}");
        }
        let answer = plan.answer();
        assert!(target.retained(answer) >= 0.99);
        assert!(target.retained(&plan.rows[plan.chosen - 1]) < 0.99);
        // One step less is what was tried before, and the answer can be acted on.
        assert_eq!(everything(&fitted(6, Mixing::PerSpecies, true, Truncation::Retain(answer.retain))), answer.kept);
        let all = |kept: &Kept| kept.iter().flatten().sum::<usize>();
        assert!(all(&plan.rows[plan.chosen - 1].kept) + basis.kinds().len() >= all(&answer.kept));
        // By other means.
        let mut norms =
            SpectrumNorms::of_truncations(&basis, &[answer.kept.clone(), everything(&basis)], &[3], true).unwrap();
        norms.add(&structures).unwrap();
        let sums = if invariant { norms.invariant().unwrap() } else { norms.equivariant() };
        assert!(close(sums[[0, 0]] / sums[[1, 0]], target.retained(answer)));
    }
}

#[test]
fn eigenvalues_alone_give_the_dotted_law() {
    let basis = fitted(6, Mixing::Combined, false, Truncation::Retain(1.0));
    let target = Target { nu: 4, retain: 0.999, invariant: false };
    let plan = Plan::approximate(&basis, target).unwrap();
    let answer = plan.answer();
    assert!(answer.approximate[3] >= 0.999 && plan.rows[plan.chosen - 1].approximate[3] < 0.999);
    let cut = fitted(6, Mixing::Combined, false, Truncation::Retain(answer.retain));
    assert!((answer.approximate[3] - (1.0 - cut.discarded_variance()).powi(4)).abs() < 1e-12);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let basis = fitted(3, Mixing::Combined, false, Truncation::Retain(1.0));
    let refused = |target: Target| Plan::exact(&basis, target, |_| Ok(())).unwrap_err().to_string();
    assert!(refused(Target { nu: 0, retain: 0.9, invariant: false }).contains("nu = 0"));
    assert!(refused(Target { nu: 13, retain: 0.9, invariant: false }).contains("between 1 and 12"));
    assert!(refused(Target { nu: 2, retain: 1.5, invariant: false }).contains("retain = 1.5"));
    assert!(refused(Target { nu: 2, retain: 0.9, invariant: false }).contains("no variance"));
    let mut norms = SpectrumNorms::of_expansion(basis.expansion(), &[2], false).unwrap();
    norms.add(&molecules(2)).unwrap();
    let strange = Structure::molecule(vec![79], vec![[0.0; 3]]);
    let Err(Error::Structure { place, .. }) = norms.add(&[molecules(1).remove(0), strange]) else { panic!("refused") };
    assert_eq!(place.frame, Some(3));
    assert_eq!(norms.n_structures(), 2);
}
