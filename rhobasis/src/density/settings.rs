//! Hyperparameters of the atom density and of its expansion, each defined once, with unit and default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::primitive::Primitive;
use super::weight::RadialScaling;
use crate::structure::symbol;
use crate::{Error, Result};

/// Largest angular momentum that is supported (and tested against references).
pub const L_MAX: usize = 20;

/// Width of the Gaussian on each neighbour: one for all, or one per neighbour species.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sigma {
    /// The same for every species, in Å.
    Same(f64),
    /// By atomic number of the neighbour, in Å.
    PerSpecies(#[serde(deserialize_with = "by_number")] BTreeMap<u8, f64>),
}

/// Keys of a JSON object are texts; behind an untagged enum, serde does not turn them into numbers by itself.
fn by_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<BTreeMap<u8, f64>, D::Error> {
    let by_text = BTreeMap::<String, f64>::deserialize(deserializer)?;
    by_text.into_iter().map(|(z, sigma)| Ok((z.parse().map_err(serde::de::Error::custom)?, sigma))).collect()
}

impl Sigma {
    /// The width for neighbours of this species, in Å.
    ///
    /// # Errors
    /// If widths are given per species and this one is missing.
    pub fn of(&self, species: u8) -> Result<f64> {
        match self {
            Sigma::Same(sigma) => Ok(*sigma),
            Sigma::PerSpecies(map) => map.get(&species).copied().ok_or_else(|| {
                let known: Vec<String> = map.iter().map(|(&z, s)| format!("{} {s}", symbol(z))).collect();
                Error::setting(
                    "sigma",
                    known.join(", "),
                    format!("no width for {}", symbol(species)),
                    "add this species to sigma, or give one number for all",
                )
            }),
        }
    }
}

/// The atom density around a centre, Eq. (2): what is summed, before any basis is chosen.
///
/// ```text
/// ρ_i^a(x) = Σ_j δ_{a a_j} f(r_ji) g(x − r_ji),   f = f_cut · u,   ∫ g = 1
/// ```
///
/// The centre itself counts once, at r = 0, with weight `center_weight`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Density {
    /// Cutoff radius, in Å: atoms at r < r_cut are neighbours.
    pub r_cut: f64,
    /// Standard deviation of the Gaussian on each neighbour, in Å; 0 is the δ density.
    /// Smaller resolves more and needs a larger n_max.
    pub sigma: Sigma,
    /// Width of the shell below r_cut in which the cutoff function falls from 1 to 0, in Å.
    pub cutoff_width: f64,
    /// Radial scaling u(r) of each neighbour's contribution; none by default.
    pub scaling: Option<RadialScaling>,
    /// Weight of the centre atom in its own density.
    pub center_weight: f64,
}

impl Default for Density {
    fn default() -> Self {
        Density { r_cut: 5.0, sigma: Sigma::Same(0.3), cutoff_width: 0.5, scaling: None, center_weight: 1.0 }
    }
}

impl Density {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        let positive = |name, value: f64| {
            if value.is_finite() && value > 0.0 {
                return Ok(());
            }
            Err(Error::setting(name, value, "must be a positive number", "give it in Å, for example 5.0"))
        };
        positive("r_cut", self.r_cut)?;
        if !(self.cutoff_width.is_finite() && (0.0..=self.r_cut).contains(&self.cutoff_width)) {
            return Err(Error::setting(
                "cutoff_width",
                self.cutoff_width,
                format!("must lie between 0 and r_cut = {}", self.r_cut),
                "0.5 to 1 Å is usual",
            ));
        }
        let widths: Vec<f64> = match &self.sigma {
            Sigma::Same(sigma) => vec![*sigma],
            Sigma::PerSpecies(map) => map.values().copied().collect(),
        };
        for sigma in widths {
            if !(sigma.is_finite() && sigma >= 0.0) {
                return Err(Error::setting(
                    "sigma",
                    sigma,
                    "must be zero or a positive number",
                    "give it in Å; 0.2 to 0.5 is usual, 0 is the δ density",
                ));
            }
        }
        if !self.center_weight.is_finite() {
            return Err(Error::setting(
                "center_weight",
                self.center_weight,
                "must be finite",
                "1 counts the centre once",
            ));
        }
        self.scaling.as_ref().map_or(Ok(()), RadialScaling::validate)
    }
}

/// How the density is expanded, Eqs. (3)-(5): the primitive basis and its size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpansionSettings {
    /// The density.
    pub density: Density,
    /// The primitive radial basis and its number of functions.
    pub primitive: Primitive,
    /// Largest angular momentum, included.
    pub l_max: usize,
    /// Largest error of the splined radial integrals, relative to each channel's largest value;
    /// `None` evaluates the integrals by quadrature for every pair (exact, and far slower).
    pub spline_accuracy: Option<f64>,
}

impl Default for ExpansionSettings {
    fn default() -> Self {
        ExpansionSettings {
            density: Density::default(),
            primitive: Primitive::Gto { n_max: 20 },
            l_max: 6,
            spline_accuracy: Some(1e-8),
        }
    }
}

impl ExpansionSettings {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        self.density.validate()?;
        if self.l_max > L_MAX {
            return Err(Error::setting("l_max", self.l_max, "too large", format!("use at most {L_MAX}")));
        }
        match self.spline_accuracy {
            Some(accuracy) if !(1e-12..=1e-2).contains(&accuracy) => Err(Error::setting(
                "spline_accuracy",
                accuracy,
                "must lie between 1e-12 and 1e-2",
                "1e-8 is the default; exact integrals: None in Python, `exact` on the command line",
            )),
            _ => Ok(()),
        }
    }
}
