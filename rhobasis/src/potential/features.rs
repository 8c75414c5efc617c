//! From structures to features: a basis, and the invariants made of its coefficients.

use serde::{Deserialize, Serialize};

use super::settings::FeatureKind;
use crate::Result;
use crate::correlations::Invariants;
use crate::density::{ExpansionSettings, SphericalExpansion};
use crate::optimal::OptimalBasis;

/// The radial basis below a potential.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // there is one below a potential, not many in a list
pub enum Basis {
    /// A contracted one.
    Optimal(OptimalBasis),
    /// A primitive one, made for some species.
    Primitive {
        /// How it was made.
        settings: ExpansionSettings,
        /// The evaluator.
        expansion: SphericalExpansion,
    },
}

impl Basis {
    /// A primitive basis for these species.
    ///
    /// # Errors
    /// As [`SphericalExpansion::new`].
    pub fn primitive(settings: &ExpansionSettings, species: &[u8]) -> Result<Self> {
        let expansion = SphericalExpansion::new(settings, species)?;
        Ok(Basis::Primitive { settings: settings.clone(), expansion })
    }

    /// The evaluator of the coefficients.
    pub fn expansion(&self) -> &SphericalExpansion {
        match self {
            Basis::Optimal(basis) => basis.expansion(),
            Basis::Primitive { expansion, .. } => expansion,
        }
    }
}

/// What is made of the coefficients.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FeatureSettings {
    /// Which invariants.
    pub kind: FeatureKind,
    /// Whether each row is divided by its norm: default for kernels, not for linear models.
    pub normalize: bool,
    /// Components `[l, α, β]` of a power spectrum; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<[usize; 3]>>,
}

impl FeatureSettings {
    /// The features of this basis.
    ///
    /// # Errors
    /// If a column does not exist.
    pub fn invariants(&self, basis: &Basis) -> Result<Invariants> {
        let expansion = basis.expansion();
        match self.kind {
            FeatureKind::RadialSpectrum => Ok(Invariants::radial_spectrum(expansion, self.normalize)),
            FeatureKind::PowerSpectrum => {
                Invariants::power_spectrum(expansion, self.columns.as_deref(), self.normalize)
            }
            FeatureKind::Bispectrum => Invariants::bispectrum(expansion, self.normalize),
        }
    }
}
