//! The potential: features and a model of them, with the baseline added.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array2;

use super::features::Basis;
use super::train::TrainSettings;
use crate::Result;
use crate::structure::{Structure, Vec3};

/// Energy of a structure as a sum over its atoms, with all that follows from it.
#[derive(Debug, Clone)]
pub struct Potential {}

/// What a potential says of one structure.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Total energy, baseline included, in eV.
    pub energy: f64,
    /// Energy of each atom, baseline included, in eV.
    pub energies: Vec<f64>,
    /// −dE/dr of each atom, in eV/Å; empty if not asked for.
    pub forces: Vec<Vec3>,
    /// −dE/dε, in eV, symmetric; zeros if forces were not asked for.
    pub virial: Array2<f64>,
    /// Variance of the energy by the model's own posterior, in eV²; if asked for.
    pub energy_variance: Option<f64>,
}

impl Prediction {
    /// Stress +(1/V) dE/dε, in eV/Å³.
    ///
    /// # Errors
    /// Unless the structure is periodic in all three directions.
    pub fn stress(&self, structure: &Structure) -> Result<Array2<f64>> {
        let _ = structure;
        todo!()
    }
}

impl Potential {
    /// Energies of all structures; forces and virials too if `forces`.
    ///
    /// # Errors
    /// [`crate::Error::Structure`] naming frame and atom: not finite, no volume, atoms that coincide, unknown species.
    pub fn predict(&self, structures: &[Structure], forces: bool) -> Result<Vec<Prediction>> {
        let _ = (structures, forces);
        todo!()
    }

    /// Variance of the energy of each structure in eV², by the posterior of the model.
    ///
    /// # Errors
    /// As for `predict`.
    pub fn energy_variances(&self, structures: &[Structure]) -> Result<Vec<f64>> {
        let _ = structures;
        todo!()
    }

    /// Energies of free atoms by atomic number, in eV.
    pub fn baseline(&self) -> &BTreeMap<u8, f64> {
        todo!()
    }

    /// How it was trained.
    pub fn settings(&self) -> &TrainSettings {
        todo!()
    }

    /// Its basis.
    pub fn basis(&self) -> &Basis {
        todo!()
    }

    /// Number of features of an atom.
    pub fn n_features(&self) -> usize {
        todo!()
    }

    /// Number of parameters that were fitted: weights, or sparse points.
    pub fn n_parameters(&self) -> usize {
        todo!()
    }

    /// Condition number of the weighted rows of the fit.
    pub fn condition_number(&self) -> f64 {
        todo!()
    }

    /// What the user should know about the fit.
    pub fn warnings(&self) -> &[String] {
        todo!()
    }

    /// Writes a file with everything inside; the same potential gives the same bytes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!()
    }

    /// Reads what [`Potential::save`] has written.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another kind, or from a newer version.
    pub fn load(path: &Path) -> Result<Self> {
        let _ = path;
        todo!()
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// As [`Potential::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let _ = bytes;
        todo!()
    }
}
