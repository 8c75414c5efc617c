//! What a basis was made from, and how: what its file says about it.

use serde::{Deserialize, Serialize};

use super::settings::{Method, Mixing, Truncation};
use crate::density::{ExpansionSettings, RadialScaling};
use crate::extxyz::SourceFile;

/// What an optimal basis was made from and how: enough to make it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BasisSettings {
    /// The density, its primitive basis, and the accuracy of the splines.
    pub expansion: ExpansionSettings,
    /// Whether neighbour species are contracted together.
    pub mixing: Mixing,
    /// Whether each species of centre has a basis of its own.
    pub center_specific: bool,
    /// What the density was weighted by while its covariance was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighting: Option<RadialScaling>,
    /// How many channels were asked for.
    pub truncation: Truncation,
    /// The order of correlations that the basis is for, see [`Adaptation`](super::Adaptation).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub nu: usize,
    /// How the functions of l = 0 were found.
    #[serde(default, skip_serializing_if = "is_pca")]
    pub method: Method,
}

fn is_pca(method: &Method) -> bool {
    *method == Method::Pca
}

fn one() -> usize {
    1
}

fn is_one(nu: &usize) -> bool {
    *nu == 1
}

/// Where the covariance came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of this library.
    pub rhobasis: String,
    /// Structures in the covariance.
    pub n_structures: usize,
    /// Files they were read from.
    pub files: Vec<SourceFile>,
    /// Σ_i |P c_i|^{2ν} / Σ_i |c_i|^{2ν} after each sweep, of a basis for ν > 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retained: Vec<f64>,
    /// R² of the regression of energies that a basis of Eq. (14) was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_r2: Option<f64>,
}
