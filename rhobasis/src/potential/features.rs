//! From structures to features: a basis, and the invariants made of its coefficients.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::correlations::{FeatureKind, Invariants};
use crate::density::{ExpansionSettings, SphericalExpansion};
use crate::optimal::OptimalBasis;
use crate::settings::{Given, Named, Setting, Source};

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

    /// Which fraction of the variance of the density an optimal basis keeps, and by what, as in `q_max 6`; none of others.
    pub fn kept_variance(&self) -> Option<(f64, String)> {
        let Basis::Optimal(basis) = self else { return None };
        let blocks = basis.kinds().iter().flat_map(|kind| &kind.blocks);
        let counts = || blocks.clone().map(|block| block.contraction.u.nrows());
        let channels = match (counts().min()?, counts().max()?) {
            (least, most) if least == most => format!("q_max {most}"),
            (least, most) => format!("a basis of {least} to {most} channels"),
        };
        Some((1.0 - basis.discarded_variance(), channels))
    }

    /// The evaluator of the coefficients.
    pub fn expansion(&self) -> &SphericalExpansion {
        match self {
            Basis::Optimal(basis) => basis.expansion(),
            Basis::Primitive { expansion, .. } => expansion,
        }
    }
}

static KIND: Setting =
    Setting::word("kind", FeatureKind::WORDS, "power-spectrum", "Which invariants are made of the coefficients");
static NORMALIZE: Setting = Setting::flag("normalize", Given::Nothing).says(
    "Whether the features of each atom are divided by their norm: by default for kernels, not for linear models",
    "leave it out for the default of the model",
);

/// What is made of the coefficients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureSettings {
    /// Which invariants.
    pub kind: FeatureKind,
    /// Whether each row is divided by its norm: default for kernels, not for linear models.
    pub normalize: bool,
    /// Components `[l, α, β]` of a power spectrum; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<[usize; 3]>>,
}

impl Default for FeatureSettings {
    fn default() -> Self {
        FeatureSettings::read(&|_| None, false).expect("defaults are known words")
    }
}

impl FeatureSettings {
    /// The features with these settings and all columns, `normalize` being what holds if nothing is said about it.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source, normalize: bool) -> Result<Self> {
        let normalize = NORMALIZE.read::<Option<bool>>(given)?.unwrap_or(normalize);
        Ok(FeatureSettings { kind: KIND.read(given)?, normalize, columns: None })
    }

    /// The features of this basis.
    ///
    /// # Errors
    /// As [`Invariants::of_kind`].
    pub fn invariants(&self, basis: &Basis) -> Result<Invariants> {
        Invariants::of_kind(self.kind, basis.expansion(), self.columns.as_deref(), self.normalize)
    }
}
