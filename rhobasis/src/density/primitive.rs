//! The primitive radial bases.

use serde::{Deserialize, Serialize};

/// A primitive radial basis R_nl, orthonormal with weight x²: ∫ x² R_nl R_n'l dx = δ_nn'.
///
/// `n_max` counts functions: 20 means n = 0 … 19.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Primitive {
    /// Gaussian-type orbitals x^n e^{-b_n x²}, Löwdin-orthonormalised; the same functions for every l.
    Gto {
        /// Number of functions.
        n_max: usize,
    },
    /// Discrete variable representation: functions peaked at one Gauss-Legendre node each; the same for every l.
    Dvr {
        /// Number of functions.
        n_max: usize,
        /// Integrals by the rule of the `n_max` nodes themselves (as librascal does) instead of exact projection.
        #[serde(default)]
        quadrature: bool,
    },
    /// Eigenstates of the Laplacian in a sphere, j_l(z_ln x / r_cut), all those up to the energy of (n_max − 1, l = 0):
    /// fewer functions for larger l.
    #[serde(rename = "laplacian")]
    LaplacianEigenstates {
        /// Number of functions for l = 0.
        n_max: usize,
    },
}

impl Primitive {
    /// Number of functions for l = 0, the most for any l.
    pub fn n_max(&self) -> usize {
        match *self {
            Primitive::Gto { n_max } | Primitive::Dvr { n_max, .. } | Primitive::LaplacianEigenstates { n_max } => {
                n_max
            }
        }
    }
}
