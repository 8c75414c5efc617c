//! What a potential is made of and how it is trained: every hyperparameter, once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::models::Solver;
use crate::structure::{SYMBOLS, Structure, Value, atomic_number, symbol};
use crate::{Error, Result};

/// Which invariant features a model sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureKind {
    /// ν = 1: c_{n00}.
    RadialSpectrum,
    /// ν = 2, Eq. (15).
    #[default]
    PowerSpectrum,
    /// ν = 3.
    Bispectrum,
}

/// Where the energies of free atoms come from, which a model does not learn: E = Σ_i e(a_i) + model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// Least squares of the training energies on the numbers of atoms of each species; where compositions do not tell species
    /// apart, the solution of smallest norm.
    #[default]
    LeastSquares,
    /// The energies of the frames with one atom and no neighbours, which each species must have; they are not trained on.
    IsolatedAtoms,
    /// Energies by atomic number, in eV.
    #[serde(untagged, deserialize_with = "by_species")]
    Given(BTreeMap<u8, f64>),
}

/// Keys are atomic numbers or symbols; in JSON and TOML they are text, which an untagged variant does not read as numbers.
fn by_species<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<BTreeMap<u8, f64>, D::Error> {
    let of = |(key, energy): (String, f64)| {
        let z = key.parse::<u8>().ok().or_else(|| atomic_number(&key));
        let z = z.filter(|&z| z > 0 && usize::from(z) < SYMBOLS.len());
        z.map(|z| (z, energy)).ok_or_else(|| serde::de::Error::custom(format!("'{key}' is no element")))
    };
    BTreeMap::<String, f64>::deserialize(deserializer)?.into_iter().map(of).collect()
}

/// How sparse points are chosen among the training environments, for each species of centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SparseMethod {
    /// Farthest point sampling of the features.
    #[default]
    Fps,
    /// Deterministic CUR of the features, all at once (leverage of the leading singular vectors).
    Cur,
}

/// The regulariser of a linear model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Alpha {
    /// One value.
    Fixed(f64),
    /// The one of these with the smallest error of cross-validation on the training frames.
    Best(Vec<f64>),
}

/// The model from features to the energy of an atom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ModelSettings {
    /// E_i = w_{a_i} · X_i, weights for each species of centre.
    Ridge {
        /// λ = alpha · (largest singular value of the weighted rows)² in min |W(Xw − y)|² + λ |w|².
        alpha: Alpha,
        /// QR of the rows, or Cholesky of their Gram matrix.
        solver: Solver,
    },
    /// E_i = Σ_m w_m (X_i · T_m)^ζ over sparse points T_m of the species of the centre.
    Gap {
        /// Number of sparse points, over all species of centre in the proportion of their atoms (but as many as there are).
        n_sparse: usize,
        /// Exponent of the kernel.
        zeta: u32,
        /// How the sparse points are chosen.
        sparse_method: SparseMethod,
        /// Prior standard deviation of the energy of an atom, in eV.
        delta: f64,
        /// Eigenvalues of the kernel of the sparse points below jitter · largest are dropped.
        jitter: f64,
    },
    /// As `Gap` with all training environments as sparse points, exact: energies only.
    KernelRidge {
        /// Exponent of the kernel.
        zeta: u32,
        /// Prior standard deviation of the energy of an atom, in eV.
        delta: f64,
    },
}

impl ModelSettings {
    /// Ridge regression with the defaults.
    pub fn ridge() -> Self {
        ModelSettings::Ridge { alpha: Alpha::Fixed(1e-12), solver: Solver::Qr }
    }

    /// A sparse kernel model with the defaults.
    pub fn gap() -> Self {
        ModelSettings::Gap { n_sparse: 1000, zeta: 4, sparse_method: SparseMethod::Fps, delta: 1.0, jitter: 1e-12 }
    }

    /// Kernel ridge regression with the defaults.
    pub fn kernel_ridge() -> Self {
        ModelSettings::KernelRidge { zeta: 2, delta: 1.0 }
    }

    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        let positive = |name, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(Error::setting(name, value, "must be a positive number", "leave it out for the default")),
        };
        let exponent = |zeta: u32| match (1..=16).contains(&zeta) {
            true => Ok(()),
            false => Err(Error::setting("zeta", zeta, "must lie between 1 and 16", "2 and 4 are usual")),
        };
        match self {
            ModelSettings::Ridge { alpha: Alpha::Fixed(alpha), .. } => positive("alpha", *alpha),
            ModelSettings::Ridge { alpha: Alpha::Best(alphas), .. } => {
                if alphas.is_empty() {
                    return Err(Error::setting("alpha", "[]", "there is none to choose from", "give one or more"));
                }
                alphas.iter().try_for_each(|&alpha| positive("alpha", alpha))
            }
            ModelSettings::Gap { n_sparse, zeta, delta, jitter, .. } => {
                if *n_sparse == 0 {
                    return Err(Error::setting("n_sparse", 0, "a sparse model needs sparse points", "use 1000"));
                }
                exponent(*zeta)?;
                positive("delta", *delta)?;
                positive("jitter", *jitter)
            }
            ModelSettings::KernelRidge { zeta, delta } => {
                exponent(*zeta)?;
                positive("delta", *delta)
            }
        }
    }
}

/// How much each quantity counts: residuals are divided by these. `None` leaves a quantity out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sigmas {
    /// Of the energy of a frame with N atoms: energy_sigma · √N, in eV.
    pub energy_sigma: Option<f64>,
    /// Of a component of a force, in eV/Å.
    pub force_sigma: Option<f64>,
    /// Of a component of the stress, in eV/Å³.
    pub stress_sigma: Option<f64>,
}

impl Default for Sigmas {
    fn default() -> Self {
        Sigmas { energy_sigma: Some(0.002), force_sigma: Some(0.05), stress_sigma: Some(0.002) }
    }
}

/// Weights of a fit, with exceptions by the `config_type` of a frame.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Weights {
    /// Of all other frames.
    #[serde(flatten)]
    pub all: Sigmas,
    /// By configuration type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_type: BTreeMap<String, Sigmas>,
}

impl Weights {
    /// Those of one frame.
    pub fn of(&self, structure: &Structure) -> &Sigmas {
        self.by_type.get(config_type(structure)).unwrap_or(&self.all)
    }

    /// Refuses weights that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first that is not positive, or if all are `None`.
    pub fn validate(&self) -> Result<()> {
        for sigmas in std::iter::once(&self.all).chain(self.by_type.values()) {
            let named = [
                ("energy_sigma", sigmas.energy_sigma),
                ("force_sigma", sigmas.force_sigma),
                ("stress_sigma", sigmas.stress_sigma),
            ];
            for (name, sigma) in named {
                if let Some(sigma) = sigma.filter(|s| !(s.is_finite() && *s > 0.0)) {
                    let remedy = "smaller counts more; leave the quantity out with None (Python), or \"none\" (TOML)";
                    return Err(Error::setting(name, sigma, "must be a positive number", remedy));
                }
            }
        }
        Ok(())
    }
}

/// The `config_type` of a frame; empty if it has none.
pub fn config_type(structure: &Structure) -> &str {
    match structure.get("config_type") {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

/// A baseline as a person reads it: `Si −107.1 eV, O …`.
#[allow(dead_code)]
pub(super) fn baseline_text(energies: &BTreeMap<u8, f64>) -> String {
    energies.iter().map(|(&z, e)| format!("{} {e:.6}", symbol(z))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_are_read_as_they_were_written_and_by_symbol() {
        let given = Baseline::Given(BTreeMap::from([(14, -107.25), (8, 0.0)]));
        for baseline in [given.clone(), Baseline::LeastSquares, Baseline::IsolatedAtoms] {
            let text = serde_json::to_string(&baseline).unwrap();
            assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), baseline, "{text}");
        }
        assert_eq!(serde_json::from_str::<Baseline>(r#"{"Si": -107.25, "O": 0.0}"#).unwrap(), given);
        serde_json::from_str::<Baseline>(r#"{"Xx": 1.0}"#).unwrap_err();
    }
}
