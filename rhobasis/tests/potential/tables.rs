//! Potentials in radial functions of one's own.

use rhobasis::density::{Density, ExpansionSettings, Sigma, Tabulated};
use rhobasis::extxyz::Labels;
use rhobasis::files::Stored;
use rhobasis::potential::{Basis, FeatureKind, ModelSettings, Potential};

use super::derivatives::error_of_forces;
use super::samples::{density, energy, features, frames, pair_labels, train};

/// (1 − x/4)^(n + 2) up to 4 Å, neither normalised nor orthogonal, l + 1 more in the power for each l.
fn table() -> Tabulated {
    let r: Vec<f64> = (0..=128).map(|k| f64::from(k) / 32.0).collect();
    let of = |l: usize, n: usize| r.iter().map(|x| (1.0 - x / 4.0).powi((n + 2 + l) as i32)).collect();
    Tabulated { functions: (0..=2).map(|l| (0..4).map(|n| of(l, n)).collect()).collect(), r }
}

fn potential(sigma: f64, spline_accuracy: Option<f64>) -> Potential {
    let density = Density { sigma: Sigma::Same(sigma), ..density() };
    let primitive = table().into();
    let basis =
        Basis::primitive(&ExpansionSettings { density, primitive, l_max: 2, spline_accuracy }, &[6, 14]).unwrap();
    let frames = frames(12, 1);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    train(basis, features(FeatureKind::PowerSpectrum, false), ModelSettings::ridge(), &frames, &labels).unwrap()
}

#[test]
fn forces_in_functions_of_a_table_are_derivatives() {
    for (sigma, accuracy) in [(0.4, Some(1e-8)), (0.0, Some(1e-8)), (0.4, None), (0.0, None)] {
        let potential = potential(sigma, accuracy);
        let structure = &frames(3, 1)[0];
        let error = error_of_forces(&potential, structure);
        assert!(error < 1e-7, "sigma {sigma}, {accuracy:?}: {error:e} of the largest force");
        let bytes = potential.to_bytes();
        let loaded = Potential::from_bytes(&bytes).unwrap();
        assert_eq!(energy(&loaded, structure), energy(&potential, structure));
        assert_eq!(loaded.to_bytes(), bytes);
    }
}
