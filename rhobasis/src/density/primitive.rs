//! The primitive radial bases.

use serde::{Deserialize, Serialize};

use super::tabulated::Tabulated;
use crate::settings::{Given, named};

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
    /// Functions of one's own, as a table: the same for every l, or some for each.
    Tabulated(Box<Tabulated>),
}

impl From<Tabulated> for Primitive {
    fn from(table: Tabulated) -> Self {
        Primitive::Tabulated(Box::new(table))
    }
}

impl Primitive {
    /// The family that it is of; none if its functions are a table.
    pub fn family(&self) -> Option<PrimitiveFamily> {
        match self {
            Primitive::Gto { .. } => Some(PrimitiveFamily::Gto),
            Primitive::Dvr { quadrature: false, .. } => Some(PrimitiveFamily::Dvr),
            Primitive::Dvr { quadrature: true, .. } => Some(PrimitiveFamily::DvrQuadrature),
            Primitive::LaplacianEigenstates { .. } => Some(PrimitiveFamily::Laplacian),
            Primitive::Tabulated(_) => None,
        }
    }

    /// As it is told of: a family, or what a table holds.
    pub(super) fn given(&self) -> Given {
        match self {
            Primitive::Tabulated(table) => Given::Text(format!("tabulated ({table})").into()),
            _ => self.family().into(),
        }
    }

    /// Number of functions for l = 0, the most for any l.
    pub fn n_max(&self) -> usize {
        match *self {
            Primitive::Tabulated(ref table) => table.n_max(),
            Primitive::Gto { n_max } | Primitive::Dvr { n_max, .. } | Primitive::LaplacianEigenstates { n_max } => {
                n_max
            }
        }
    }
}
