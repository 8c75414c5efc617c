//! Potentials with each cutoff function: forces are derivatives, energies are as smooth as it is, files hold it.

use rhobasis::Structure;
use rhobasis::density::{CutoffFunction, Density, ExpansionSettings, Primitive};
use rhobasis::extxyz::Labels;
use rhobasis::files::Stored;
use rhobasis::potential::{Basis, FeatureKind, ModelSettings, Potential};
use rhobasis::settings::Named;

use super::derivatives::error_of_forces;
use super::samples::{density, energy, features, frames, pair_labels, train};

fn with(cutoff_function: CutoffFunction, cutoff_width: f64) -> Potential {
    let density = Density { cutoff_function, cutoff_width, ..density() };
    let primitive = Primitive::Gto { n_max: 4 };
    let expansion = ExpansionSettings { density, primitive, l_max: 2, spline_accuracy: Some(1e-11) };
    let frames = frames(12, 1);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let basis = Basis::primitive(&expansion, &[6, 14]).unwrap();
    train(basis, features(FeatureKind::PowerSpectrum, false), ModelSettings::ridge(), &frames, &labels).unwrap()
}

/// One of each; tanh as others have it too, with a width of r_cut.
fn all() -> Vec<Potential> {
    let width = |function| match function {
        CutoffFunction::Cosine | CutoffFunction::Polynomial => 1.0,
        CutoffFunction::Tanh => 4.0,
        CutoffFunction::Step => 0.0,
    };
    CutoffFunction::VALUES.iter().map(|&function| with(function, width(function))).collect()
}

fn name(potential: &Potential) -> &'static str {
    potential.basis().expansion().density().cutoff_function.name()
}

#[test]
fn forces_are_derivatives_with_each_cutoff_function() {
    for potential in all() {
        let error = error_of_forces(&potential, &frames(3, 1)[0]);
        assert!(error < 1e-8, "{}: {error:e} of the largest force", name(&potential));
    }
}

#[test]
fn a_pair_that_parts_leaves_with_a_jump_only_if_the_cutoff_function_is_a_step() {
    for potential in all() {
        let pair = |r: f64| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.6 * r, 0.8 * r]]);
        let force = |r: f64| {
            let f = potential.predict(&[pair(r)], true).unwrap()[0].forces[1];
            f.iter().map(|x| x * x).sum::<f64>().sqrt()
        };
        let inside = (energy(&potential, &pair(3.5)) - energy(&potential, &pair(5.0))).abs();
        let jump = (energy(&potential, &pair(4.0 - 1e-7)) - energy(&potential, &pair(4.0))).abs();
        let step = name(&potential) == "step";
        assert_eq!(jump > 1e-3 * inside, step, "{}: {jump:e} of {inside:e}", name(&potential));
        // Forces fall as the slope of f: with d = 4 Å − r, d for the cosine, d² for polynomial and tanh.
        let (near, nearer) = (force(4.0 - 1e-3), force(4.0 - 1e-4));
        let fall = match potential.basis().expansion().density().cutoff_function {
            CutoffFunction::Cosine => 10.0,
            CutoffFunction::Polynomial | CutoffFunction::Tanh => 100.0,
            CutoffFunction::Step => 1.0,
        };
        assert!((near / nearer / fall - 1.0).abs() < 0.05, "{}: {near:e}, {nearer:e}", name(&potential));
        assert_eq!(force(4.0), 0.0);
    }
}

#[test]
fn a_file_holds_the_cutoff_function() {
    for potential in all() {
        let bytes = potential.to_bytes();
        let loaded = Potential::from_bytes(&bytes).unwrap();
        assert_eq!(loaded.basis().expansion().density(), potential.basis().expansion().density());
        assert_eq!(energy(&loaded, &frames(3, 1)[0]), energy(&potential, &frames(3, 1)[0]));
        assert_eq!(loaded.to_bytes(), bytes);
        let mentioned = bytes.windows(15).any(|text| text == b"cutoff_function");
        assert_eq!(mentioned, name(&potential) != "cosine");
    }
}
