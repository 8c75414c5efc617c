//! Bases for correlations of higher order: weighted covariances, sweep by sweep.

mod common;

use rhobasis::Structure;
use rhobasis::density::{Density, Equivariants, ExpansionSettings, Primitive, Sigma};
use rhobasis::files::Stored;
use rhobasis::optimal::{Adaptation, Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};

fn settings(mixing: Mixing, center_specific: bool) -> CovarianceSettings {
    let density = Density { r_cut: 4.0, sigma: Sigma::Same(0.4), ..Density::default() };
    let expansion =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max: 6 }, l_max: 2, spline_accuracy: None };
    CovarianceSettings { expansion, mixing, center_specific, weighting: None }
}

/// Many thin molecules, and a few dense ones: environments of very different norms.
fn frames() -> Vec<Structure> {
    let wave = |k: usize| (12.9898 * k as f64).sin();
    (0..30)
        .map(|s| {
            let n = if s % 10 == 0 { 16 } else { 3 };
            let place = |i: usize, d: usize| {
                let grid = [i % 3, i / 3 % 3, i / 9][d] as f64;
                1.3 * grid + 0.25 * wave(100 * s + 3 * i + d)
            };
            let positions = (0..n).map(|i| std::array::from_fn(|d| place(i, d))).collect();
            Structure::molecule((0..n).map(|i| if i % 3 == 0 { 8 } else { 6 }).collect(), positions)
        })
        .collect()
}

fn squared_norms(c: &Equivariants) -> Vec<f64> {
    let of =
        |i: usize| c.blocks.iter().map(move |b| b.index_axis(ndarray::Axis(0), i).iter().map(|x| x * x).sum::<f64>());
    (0..c.centers.len()).map(|i| of(i).sum()).collect()
}

/// Σ_i |P c_i|^{2ν}.
fn kept(basis: &OptimalBasis, frames: &[Structure], nu: i32) -> f64 {
    squared_norms(&basis.transform(frames).unwrap()).iter().map(|norm| norm.powi(nu)).sum()
}

fn adapt(settings: &CovarianceSettings, truncation: Truncation, nu: usize, cut: usize) -> OptimalBasis {
    let mut adaptation = Adaptation::new(settings, truncation, nu).unwrap();
    loop {
        frames().chunks(cut).for_each(|part| adaptation.add(part).unwrap());
        if adaptation.finish_sweep().unwrap() {
            return adaptation.into_basis().unwrap();
        }
    }
}

fn plain(settings: &CovarianceSettings, truncation: Truncation) -> OptimalBasis {
    let mut covariance = Covariance::new(settings).unwrap();
    covariance.add(&frames(), None).unwrap();
    OptimalBasis::from_covariance(&covariance, truncation).unwrap()
}

#[test]
fn no_sweep_lowers_the_objective_and_nu_4_keeps_more_of_the_trispectrum() {
    for (mixing, specific) in [(Mixing::PerSpecies, false), (Mixing::Combined, false), (Mixing::Combined, true)] {
        let settings = settings(mixing, specific);
        for nu in [2, 4] {
            let (first, adapted) =
                (plain(&settings, Truncation::QMax(2)), adapt(&settings, Truncation::QMax(2), nu, 30));
            let retained = &adapted.provenance().retained;
            assert!(retained.len() >= 2 && retained.windows(2).all(|w| w[1] >= w[0] * (1.0 - 1e-12)), "{retained:?}");
            let power = nu as i32;
            let (before, after) = (kept(&first, &frames(), power), kept(&adapted, &frames(), power));
            assert!(after > before * (1.0 + 1e-6), "{mixing:?}, {specific}, {nu}: {before:e}, {after:e}");
            // What is stated is what the definition gives.
            let all = plain(&settings, Truncation::Retain(1.0));
            let whole = kept(&all, &frames(), power);
            assert!((retained[0] - before / whole).abs() < 1e-9);
            assert!((retained[retained.len() - 1] - after / whole).abs() < 1e-9);
            assert_eq!(adapted.settings().nu, nu);
        }
    }
}

#[test]
fn eq21_weights_are_powers_of_the_norm() {
    let settings = settings(Mixing::Combined, false);
    let adapted = adapt(&settings, Truncation::QMax(3), 3, 30);
    // One more sweep by hand from its own projector: a fixed point of P ← eigenvectors of Σ w c cᵀ.
    let norms = squared_norms(&adapted.transform(&frames()).unwrap());
    let weights: Vec<f64> = norms.iter().map(|norm| norm * norm).collect();
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(&frames(), Some(&weights)).unwrap();
    let again = OptimalBasis::from_covariance(&covariance, Truncation::QMax(3)).unwrap();
    let (a, b) = (kept(&adapted, &frames(), 3), kept(&again, &frames(), 3));
    assert!(b >= a * (1.0 - 1e-12) && b < a * (1.0 + 1e-5), "{a:e}, {b:e}");
}

#[test]
fn nu_1_is_the_plain_basis_and_the_cut_into_calls_changes_no_bit() {
    let settings = settings(Mixing::Combined, false);
    let (first, one) = (plain(&settings, Truncation::QMax(2)), adapt(&settings, Truncation::QMax(2), 1, 7));
    assert!(first.to_bytes() == one.to_bytes());
    let (a, b) = (adapt(&settings, Truncation::QMax(2), 4, 30), adapt(&settings, Truncation::QMax(2), 4, 7));
    assert!(a.to_bytes() == b.to_bytes());
    let loaded = OptimalBasis::from_bytes(&a.to_bytes()).unwrap();
    assert_eq!((loaded.settings(), loaded.provenance()), (a.settings(), a.provenance()));
}

#[test]
fn sweeps_of_other_data_and_orders_that_make_no_sense_are_refused() {
    let settings = settings(Mixing::Combined, false);
    assert!(Adaptation::new(&settings, Truncation::QMax(2), 0).unwrap_err().to_string().contains("nu = 0"));
    let mut adaptation = Adaptation::new(&settings, Truncation::QMax(2), 2).unwrap();
    adaptation.add(&frames()).unwrap();
    assert!(!adaptation.finish_sweep().unwrap());
    adaptation.add(&frames()[1..]).unwrap();
    assert!(adaptation.finish_sweep().unwrap_err().to_string().contains("the sweep before had 30"));
}
