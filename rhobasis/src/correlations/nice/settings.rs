//! How the iteration over body orders is built.

use serde::{Deserialize, Serialize};

use crate::correlations::L_MAX_COUPLED;
use crate::settings::{Given, Named, Range, Setting, Source, named};
use crate::{Error, Result};

/// Most orders of correlation.
const NU_MAX: usize = 8;

static NU: Setting = Setting::count("nu_max", Range::Between(2.0, NU_MAX as f64), Given::Count(3)).says(
    "Largest order of correlation ν: features of 1 to ν neighbours at a time",
    "3 is where the bispectrum is; 4 tells apart what 3 cannot",
);
static LAMBDA: Setting = Setting::count("lambda_max", Range::Between(0.0, L_MAX_COUPLED as f64), Given::Nothing)
    .says("Largest λ of equivariants that are kept; l_max of the density by default", "use at most 12");
static CANDIDATES: Setting = Setting::count("n_candidates", Range::AtLeast(1.0), Given::Count(1000)).says(
    "Pairs of equivariants of the orders before whose products are looked at, for each order and parity",
    "more cost time of the fit only",
);
static EQUIVARIANTS: Setting = Setting::count("n_equivariants", Range::AtLeast(1.0), Given::Count(100))
    .says("Equivariants kept of each order, σ and λ", "what an evaluation costs is proportional to it");
static INVARIANT_CANDIDATES: Setting =
    Setting::count("n_invariant_candidates", Range::AtLeast(1.0), Given::Count(5000))
        .says("Invariant products that are looked at, for each order", "their covariance is of this size squared");
static INVARIANTS: Setting = Setting::count("n_invariants", Range::AtLeast(1.0), Given::Count(500))
    .says("Invariants kept of each order above 1", "a model has as many weights, times orders and species");
static CHOICE: Setting =
    Setting::word("choice", Choice::WORDS, "variance", "By what pairs are ranked before their products are looked at");
static SELECTION: Setting =
    Setting::word("selection", NiceSelection::WORDS, "cholesky", "What is kept of the products that are looked at");
static SPLIT: Setting =
    Setting::word("split", Split::WORDS, "density", "Of which two orders the products of order ν are made");
static CENTERS: Setting = Setting::count("n_centers", Range::AtLeast(1.0), Given::Count(10_000)).says(
    "Atoms (of each species, if per-species) from which it is fitted: a sample of the data, the same for any order and any cut into files",
    "10000 is ample for molecules; all atoms are taken if there are fewer",
);
static SEQUENCE: Setting = Setting::word("sequence", Sequence::WORDS, "shared", "Which centres have the same products");
static PURIFY: Setting = Setting::flag("purify", Given::Flag(false)).says(
    "Whether what is linear in features of lower orders is taken out of the features of each order",
    "true for models in which it would count twice",
);
static ROTATE: Setting = Setting::flag("rotate", Given::Flag(true)).says(
    "Whether the invariants that are chosen are combined so that their covariance is diagonal",
    "false makes features in a sixth of the time; ridge regression is as accurate with them",
);
static UNIT: Setting = Setting::flag("unit_density", Given::Flag(true)).says(
    "Whether coefficients are divided by the root of their mean squared norm, so that all orders are of one size",
    "false leaves the density as it is",
);

static ALL: Setting = Setting::flag("all_equivariants", Given::Flag(false)).says(
    "Whether equivariants of every order are kept, the last one too: no feature needs them, models of tensors do",
    "true for dipoles and polarisabilities, false for energies",
);

named! {
    /// By what pairs of equivariants are ranked.
    pub enum Choice {
        /// The product of the variances of the two
        Variance = "variance",
        /// The same, each variance as a fraction of that of its σ and λ, so that all λ count alike
        PerChannel = "per-channel",
        /// Lowest sum of all n and l first: needs no data, and nothing is rotated
        Degree = "degree",
    }
}

named! {
    /// What is kept of the products that are looked at.
    pub enum NiceSelection {
        /// Some of the products themselves, chosen by a pivoted Cholesky factorisation of their covariance
        Cholesky = "cholesky",
        /// Principal components: linear combinations of all of them, several times slower
        Pca = "pca",
    }
}

named! {
    /// Of which two orders the products of order ν are made.
    pub enum Split {
        /// ν − 1 and 1, Eq. (16)
        Density = "density",
        /// Halves, ⌈ν/2⌉ and ⌊ν/2⌋: fewer equivariants are needed on the way
        Balanced = "balanced",
    }
}

named! {
    /// Which centres have the same products.
    pub enum Sequence {
        /// All centres
        Shared = "shared",
        /// Those of one species: chosen by n_centers atoms of it alone
        PerSpecies = "per-species",
    }
}

fn shared() -> Sequence {
    Sequence::Shared
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde has it
fn is_shared(sequence: &Sequence) -> bool {
    *sequence == Sequence::Shared
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde has it
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How the iteration is built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NiceSettings {
    /// Largest order ν.
    pub nu_max: usize,
    /// Largest λ kept; that of the density if not given.
    pub lambda_max: Option<usize>,
    /// Pairs looked at, for each order and parity.
    pub n_candidates: usize,
    /// Equivariants kept of each order and (σ, λ).
    pub n_equivariants: usize,
    /// Invariant products looked at, for each order.
    pub n_invariant_candidates: usize,
    /// Invariants kept of each order.
    pub n_invariants: usize,
    /// How pairs are ranked.
    pub choice: Choice,
    /// What is kept of the products.
    pub selection: NiceSelection,
    /// Which orders are multiplied.
    pub split: Split,
    /// Which centres have the same products.
    #[serde(default = "shared", skip_serializing_if = "is_shared")]
    pub sequence: Sequence,
    /// Whether features are made uncorrelated with those of lower orders.
    #[serde(default, skip_serializing_if = "is_false")]
    pub purify: bool,
    /// Whether chosen invariants are combined to what are nearly the principal components of all.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub rotate: bool,
    /// Centres of the sample, of each species if these have sequences of their own.
    pub n_centers: usize,
    /// Whether coefficients are divided by the root of their mean squared norm.
    pub unit_density: bool,
    /// Whether equivariants of every order are kept, or those that higher orders are made of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")] // files of older versions do not have it
    pub all_equivariants: bool,
}

impl Default for NiceSettings {
    fn default() -> Self {
        NiceSettings::read(&|_| None).expect("defaults are within their ranges")
    }
}

impl NiceSettings {
    /// All settings.
    pub const SETTINGS: [&'static Setting; 15] = [
        &NU,
        &LAMBDA,
        &CANDIDATES,
        &EQUIVARIANTS,
        &INVARIANT_CANDIDATES,
        &INVARIANTS,
        &CHOICE,
        &SELECTION,
        &SPLIT,
        &SEQUENCE,
        &PURIFY,
        &ROTATE,
        &CENTERS,
        &UNIT,
        &ALL,
    ];

    /// The iteration with these settings, the rest being defaults.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source) -> Result<Self> {
        let settings = NiceSettings {
            nu_max: NU.read(given)?,
            lambda_max: LAMBDA.read(given)?,
            n_candidates: CANDIDATES.read(given)?,
            n_equivariants: EQUIVARIANTS.read(given)?,
            n_invariant_candidates: INVARIANT_CANDIDATES.read(given)?,
            n_invariants: INVARIANTS.read(given)?,
            choice: CHOICE.read(given)?,
            selection: SELECTION.read(given)?,
            split: SPLIT.read(given)?,
            sequence: SEQUENCE.read(given)?,
            purify: PURIFY.read(given)?,
            rotate: ROTATE.read(given)?,
            n_centers: CENTERS.read(given)?,
            unit_density: UNIT.read(given)?,
            all_equivariants: ALL.read(given)?,
        };
        match (settings.selection, settings.rotate) {
            (NiceSelection::Pca, false) => {
                let problem = "principal components are combinations of all products";
                Err(Error::setting("rotate", false, problem, "leave it true, or use selection = \"cholesky\""))
            }
            _ => Ok(settings),
        }
    }

    /// Settings and values.
    pub fn values(&self) -> Vec<(&'static Setting, Given)> {
        let values = [
            self.nu_max.into(),
            self.lambda_max.into(),
            self.n_candidates.into(),
            self.n_equivariants.into(),
            self.n_invariant_candidates.into(),
            self.n_invariants.into(),
            self.choice.into(),
            self.selection.into(),
            self.split.into(),
            self.sequence.into(),
            self.purify.into(),
            self.rotate.into(),
            self.n_centers.into(),
            self.unit_density.into(),
            self.all_equivariants.into(),
        ];
        Self::SETTINGS.into_iter().zip(values).collect()
    }

    /// The first setting that differs: its name, its value here, its value there.
    pub fn difference(&self, other: &NiceSettings) -> Option<(&'static str, String, String)> {
        let mut both = self.values().into_iter().zip(other.values());
        let ((setting, mine), (_, theirs)) = both.find(|((_, mine), (_, theirs))| mine != theirs)?;
        Some((setting.name, mine.to_text(), theirs.to_text()))
    }

    /// # Errors
    /// For the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        let values: Vec<(&str, Given)> = self.values().into_iter().map(|(s, value)| (s.name, value)).collect();
        NiceSettings::read(&|name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()))
            .map(|_| ())
    }

    /// The orders whose products make order ν.
    pub(super) fn factors(&self, nu: usize) -> [usize; 2] {
        match self.split {
            Split::Density => [nu - 1, 1],
            Split::Balanced => [nu.div_ceil(2), nu / 2],
        }
    }

    /// Whether equivariants of this order are factors of higher ones.
    fn is_factor(&self, nu: usize) -> bool {
        nu == 1 || (nu + 1..=self.nu_max).any(|higher| self.factors(higher).contains(&nu))
    }

    /// Whether equivariants of this order are kept.
    pub(super) fn keeps_equivariants(&self, nu: usize) -> bool {
        self.all_equivariants || self.is_factor(nu)
    }

    /// λ_max, given that of the density.
    ///
    /// # Errors
    /// If l_max is beyond the Clebsch–Gordan coefficients.
    pub(super) fn largest_lambda(&self, l_max: usize) -> Result<usize> {
        if l_max > L_MAX_COUPLED {
            let remedy = format!("use at most {L_MAX_COUPLED}");
            return Err(Error::setting("l_max", l_max, "products need Clebsch-Gordan coefficients", remedy));
        }
        Ok(self.lambda_max.unwrap_or(l_max))
    }
}
