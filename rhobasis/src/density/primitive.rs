//! The primitive radial bases.

use serde::{Deserialize, Serialize};

use crate::settings::named;

named! {
    /// The families of primitive bases, by the names that choose them.
    pub enum PrimitiveFamily {
        /// Gaussian-type orbitals
        Gto = "gto",
        /// Discrete variable representation, projected exactly
        Dvr = "dvr",
        /// Discrete variable representation with one quadrature node per function, as in librascal
        DvrQuadrature = "dvr-quadrature",
        /// Eigenstates of the Laplacian in a sphere
        Laplacian = "laplacian",
    }
}

impl PrimitiveFamily {
    /// The basis of this many functions.
    pub fn basis(self, n_max: usize) -> Primitive {
        match self {
            PrimitiveFamily::Gto => Primitive::Gto { n_max },
            PrimitiveFamily::Dvr => Primitive::Dvr { n_max, quadrature: false },
            PrimitiveFamily::DvrQuadrature => Primitive::Dvr { n_max, quadrature: true },
            PrimitiveFamily::Laplacian => Primitive::LaplacianEigenstates { n_max },
        }
    }
}

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
    /// The family that it is of.
    pub fn family(&self) -> PrimitiveFamily {
        match self {
            Primitive::Gto { .. } => PrimitiveFamily::Gto,
            Primitive::Dvr { quadrature: false, .. } => PrimitiveFamily::Dvr,
            Primitive::Dvr { quadrature: true, .. } => PrimitiveFamily::DvrQuadrature,
            Primitive::LaplacianEigenstates { .. } => PrimitiveFamily::Laplacian,
        }
    }

    /// Number of functions for l = 0, the most for any l.
    pub fn n_max(&self) -> usize {
        match *self {
            Primitive::Gto { n_max } | Primitive::Dvr { n_max, .. } | Primitive::LaplacianEigenstates { n_max } => {
                n_max
            }
        }
    }
}
