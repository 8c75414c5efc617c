//! A sparse model of librascal, evaluated here: features, energies and forces of another code.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};

use super::features::{Basis, FeatureSettings};
use super::model::{Model, Potential};
use super::settings::{Baseline, ModelSettings, TrainSettings, Weights};
use super::sparse::{Kernels, SparseModel};
use crate::Structure;
use crate::correlations::{FeatureKind, Member};
use crate::density::{Density, ExpansionSettings, Primitive, RadialScaling, Sigma};

#[path = "../../tests/common/mod.rs"]
mod common;

/// From `[row, pair, l]` to our columns, l slowest.
fn columns(x: &(Vec<usize>, Vec<f64>)) -> Array2<f64> {
    let [rows, pairs, n_l] = x.0[..] else { panic!("three axes") };
    Array2::from_shape_fn((rows, pairs * n_l), |(row, column)| {
        let (l, pair) = (column / pairs, column % pairs);
        x.1[(row * pairs + pair) * n_l + l]
    })
}

#[test]
fn a_model_of_librascal_gives_its_energies_and_forces() {
    let Some((arrays, settings)) = common::golden("gap_model") else { return };
    let number = |key: &str| settings[key].as_f64().expect("a number");
    let scaling = &settings["radial_scaling"];
    let of_scaling = |key: &str| scaling[key].as_f64().expect("a number");
    let density = Density {
        r_cut: number("r_cut"),
        sigma: Sigma::Same(number("sigma")),
        cutoff_width: number("cutoff_width"),
        scaling: Some(RadialScaling {
            rate: of_scaling("rate"),
            scale: of_scaling("scale"),
            exponent: of_scaling("exponent"),
        }),
        center_weight: 1.0,
        ..Density::default()
    };
    let expansion =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max: 4 }, l_max: 2, spline_accuracy: Some(1e-11) };
    let basis = Basis::primitive(&expansion, &[1, 6]).unwrap();
    let features = FeatureSettings::from(Member::new(FeatureKind::PowerSpectrum, true));
    let invariants = features.invariants(&basis).unwrap();
    let mut of_species = BTreeMap::new();
    for (z, name) in [(1, "H"), (6, "C")] {
        let points = columns(&arrays[&format!("sparse_points_{name}")]);
        let weights = Array1::from_vec(arrays[&format!("weights_{name}")].1.clone());
        of_species.insert(z, Kernels::Points { points, weights });
    }
    let settings = TrainSettings {
        features,
        model: ModelSettings::gap(),
        baseline: Baseline::default(),
        repulsion: Default::default(),
        weights: Weights::default(),
    };
    let model = Model::Sparse(SparseModel { zeta: 2, of_species });
    let potential =
        Potential::new(basis, settings, invariants, BTreeMap::new(), vec![1, 6], model, None, None, Vec::new());
    for k in 0..3 {
        let of = |name: &str| &arrays[&format!("structure{k}_{name}")].1;
        let vectors = |name: &str| of(name).chunks_exact(3).map(|r| [r[0], r[1], r[2]]).collect::<Vec<_>>();
        let cell = vectors("cell");
        let structure = Structure {
            species: of("numbers").iter().map(|&z| z as u8).collect(),
            positions: vectors("positions"),
            cell: [cell[0], cell[1], cell[2]],
            pbc: std::array::from_fn(|d| of("pbc")[d] != 0.0),
            ..Structure::default()
        };
        let x = potential.invariants().forward(std::slice::from_ref(&structure)).unwrap();
        let expected = columns(&arrays[&format!("structure{k}_features")]);
        assert!((&x - &expected).iter().all(|d| d.abs() < 1e-9), "features of structure {k}");
        let found = &potential.predict(&[structure], true).unwrap()[0];
        let energy = arrays["energies"].1[k];
        assert!((found.energy - energy).abs() < 1e-8, "{} eV, librascal {energy}", found.energy);
        let of_atoms = common::relative_difference(&found.energies, of("atomic_energies"));
        let of_forces = common::relative_difference(found.forces.as_flattened(), of("forces"));
        assert!(of_atoms < 1e-7 && of_forces < 1e-6, "structure {k}: {of_atoms:e}, {of_forces:e}");
    }
}
