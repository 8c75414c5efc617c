//! What is accumulated, how contraction coefficients are found, and how many are kept: hyperparameters, each declared once.

use serde::{Deserialize, Serialize};

use super::weighting::{NearestDistances, WEIGHTING, Weighting};
use crate::density::{ExpansionSettings, RadialScaling};
use crate::settings::{Given, Named, Range, Setting, Source, Takes, named};
use crate::{Error, Result};

static MIXING: Setting = Setting::word(
    "mixing",
    Mixing::WORDS,
    "per-species",
    "Contract each neighbour species apart, Eq. (7), or all together, Eq. (12): fewer channels where there are \
               several",
);
static CENTER_SPECIFIC: Setting = Setting::flag("center_specific", Given::Flag(false))
    .says("Give each species of centre a basis of its own", "false makes one basis for all centres");
static METHOD: Setting = Setting::word(
    "method",
    MethodName::WORDS,
    "pca",
    "How the functions are found: as principal components; those of l = 0 by regression on energies too, Eq. (14); or for \
               every l as what a model of energies and forces needs",
);
static GAMMA: Setting = Setting::number("gamma", "", Range::Fraction, Given::Number(0.5)).says(
    "Mixing of --method pcovr and, where 0.1 is the default, of sensitivity: 1 is pca, towards 0 regression",
    "1 is principal components, towards 0 regression; use 0.1, or 1e-6 for all but pure regression",
);
static SUPERVISED: Setting =
    Setting::count("supervised", Range::AtLeast(1.0), Given::Nothing).taking(Takes::CountOr("all")).says(
        "Functions of each l that --method supervised makes for the target; principal functions follow them up to q_max",
        "all is for linear models, 1 for kernels",
    );
static SPAN: Setting = Setting::count("span", Range::AtLeast(1.0), Given::Count(12)).says(
    "Leading principal functions that --method supervised combines",
    "12 is enough as a rule; the linear fit takes time and memory as its square",
);
static Q_MAX: Setting = Setting::count("q_max", Range::AtLeast(1.0), Given::Nothing).says(
    "Channels to keep of each species and l; of each l with --mixing combined",
    "it counts the channels to keep of each species and l",
);
static RETAIN: Setting = Setting::number("retain", "", Range::Fraction, Given::Number(0.9999)).says(
    "Keep the fewest channels that hold this fraction of the variance",
    "it is the retained fraction of the variance; 0.9999 is a good start",
);

/// Order ν of correlations; at most 12, as the rotation average of their invariants sums about (ν l_max)³/4 rotations.
pub static NU: Setting = Setting::count("nu", Range::Between(1.0, 12.0), Given::Count(1)).says(
    "Order of the correlations that the basis is for: above 1, sweeps over DATA weight each environment by \
               |P c|^(2(ν−1)), Eq. (21), until Σ |P c|^(2ν) grows no more",
    "1 is the density itself, 2 the power spectrum",
);

named! {
    /// Which channels are contracted together.
    pub enum Mixing {
        /// n for each neighbour species apart, Eq. (6)
        PerSpecies = "per-species",
        /// (a, n) of all neighbour species together, Eq. (11)
        Combined = "combined",
    }
}

/// What is accumulated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CovarianceSettings {
    /// The density and its primitive basis.
    pub expansion: ExpansionSettings,
    /// Whether neighbour species are kept apart.
    pub mixing: Mixing,
    /// Whether each species of centre has a covariance of its own.
    pub center_specific: bool,
    /// What the density is weighted by while the covariance is taken; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighting: Option<Weighting>,
}

impl Default for CovarianceSettings {
    fn default() -> Self {
        CovarianceSettings::read(&|_| None).expect("defaults are within their ranges")
    }
}

impl CovarianceSettings {
    /// The accumulation with these settings, the rest being defaults.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source) -> Result<Self> {
        let expansion = ExpansionSettings::read(given)?;
        let (mixing, center_specific) = (MIXING.read(given)?, CENTER_SPECIFIC.read(given)?);
        Ok(CovarianceSettings { expansion, mixing, center_specific, weighting: Weighting::read(given)? })
    }

    /// Settings and values, those of the expansion first.
    pub fn values(&self) -> Vec<(&'static Setting, Given)> {
        let mut values = self.expansion.values();
        values.extend([
            (&MIXING, self.mixing.into()),
            (&CENTER_SPECIFIC, self.center_specific.into()),
            (&WEIGHTING, self.weighting.as_ref().into()),
        ]);
        values
    }

    /// The numbers of the weighting, if there is one.
    ///
    /// # Errors
    /// If they are yet to be found, or out of range.
    pub(super) fn weighting_numbers(&self) -> Result<Option<&RadialScaling>> {
        WEIGHTING.check(self.weighting.as_ref())?;
        self.weighting.as_ref().map(Weighting::numbers).transpose()
    }

    /// These settings with numbers for [`Weighting::Nearest`], if that is asked for: `add_data` adds all the data to the
    /// distances of nearest neighbours.
    ///
    /// # Errors
    /// Those of `add_data`, and as [`NearestDistances::weighting`].
    pub fn resolved(&self, add_data: impl FnOnce(&mut NearestDistances) -> Result<()>) -> Result<Self> {
        let mut settings = self.clone();
        if settings.weighting == Some(Weighting::Nearest) {
            let mut nearest = NearestDistances::new(self.expansion.density.r_cut);
            add_data(&mut nearest)?;
            settings.weighting = Some(Weighting::By(nearest.weighting()?));
        }
        Ok(settings)
    }

    /// The first setting that differs: its name, its value here, its value there.
    pub fn difference(&self, other: &CovarianceSettings) -> Option<(&'static str, String, String)> {
        let mut both = self.values().into_iter().zip(other.values());
        let ((setting, mine), (_, theirs)) = both.find(|((_, mine), (_, theirs))| mine != theirs)?;
        Some((setting.name, mine.to_text(), theirs.to_text()))
    }
}

named! {
    /// The ways to find contraction coefficients, by name.
    pub enum MethodName {
        /// Principal components
        Pca = "pca",
        /// Principal covariates regression: l = 0 knows the energies
        Pcovr = "pcovr",
        /// What a linear model of the power spectrum needs, for every l
        Supervised = "supervised",
        /// Variance and what a given potential depends on, for every l
        Sensitivity = "sensitivity",
    }
}

/// How contraction coefficients are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum Method {
    /// Principal components of the covariance, Eqs. (7), (12).
    #[default]
    #[serde(rename = "pca")]
    Pca,
    /// Principal covariates regression on energies for l = 0, Eq. (14); principal components for l > 0.
    #[serde(rename = "pcovr")]
    Pcovr(PcovrSettings),
    /// Combinations of principal functions that a linear model of the power spectrum needs, for every l: see
    /// [`Potential::supervised`](crate::potential::Potential::supervised).
    #[serde(rename = "supervised")]
    Supervised(SupervisedSettings),
    /// Variance mixed with what a model depends on, for every l: see [`Sensitivity`](crate::potential::Sensitivity).
    #[serde(rename = "sensitivity")]
    Sensitivity(SensitivitySettings),
    /// Matrices that were given, see [`OptimalBasis::from_contraction`](super::OptimalBasis::from_contraction).
    #[serde(rename = "given")]
    Given,
}

impl Method {
    /// Settings of all methods.
    pub const SETTINGS: [&'static Setting; 4] = [&METHOD, &GAMMA, &SUPERVISED, &SPAN];

    /// The method that is given.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source) -> Result<Self> {
        match METHOD.read(given)? {
            MethodName::Pca => Ok(Method::Pca),
            MethodName::Pcovr => PcovrSettings::read(given).map(Method::Pcovr),
            MethodName::Supervised => SupervisedSettings::read(given).map(Method::Supervised),
            MethodName::Sensitivity => SensitivitySettings::read(given).map(Method::Sensitivity),
        }
    }
}

/// How a basis of Eq. (14) weighs variance against the target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PcovrSettings {
    /// γ: 1 is principal component analysis, towards 0 regression.
    pub gamma: f64,
}

impl Default for PcovrSettings {
    fn default() -> Self {
        PcovrSettings::read(&|_| None).expect("the default is within its range")
    }
}

impl PcovrSettings {
    /// The mixing that is given.
    ///
    /// # Errors
    /// As [`PcovrSettings::validate`].
    pub fn read(given: Source) -> Result<Self> {
        Ok(PcovrSettings { gamma: GAMMA.read(given)? })
    }

    /// # Errors
    /// Unless 0 < γ ≤ 1.
    pub fn validate(&self) -> Result<()> {
        GAMMA.check(self.gamma)
    }
}

/// How many functions a supervised basis makes for the target, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SupervisedSettings {
    /// Functions of each block that are made for the target; all of the basis if none.
    pub supervised: Option<usize>,
    /// Leading principal functions of each block that they are combinations of, where there are so many.
    pub span: usize,
}

impl Default for SupervisedSettings {
    fn default() -> Self {
        SupervisedSettings::read(&|_| None).expect("defaults are within their ranges")
    }
}

impl SupervisedSettings {
    /// The settings that are given.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source) -> Result<Self> {
        Ok(SupervisedSettings { supervised: SUPERVISED.read(given)?, span: SPAN.read(given)? })
    }

    /// Functions of each block that are made for the target, of `q_max`.
    ///
    /// # Errors
    /// If these are more than `q_max`.
    pub fn of(&self, q_max: usize) -> Result<usize> {
        match self.supervised {
            Some(n) if n > q_max => {
                let problem = format!("the basis has {q_max} functions of each l");
                Err(Error::setting(SUPERVISED.name, n, problem, "use at most q_max, or \"all\""))
            }
            n => Ok(n.unwrap_or(q_max)),
        }
    }

    /// # Errors
    /// Unless both numbers are 1 or more.
    pub fn validate(&self) -> Result<()> {
        self.supervised.map_or(Ok(()), |n| SUPERVISED.check(n))?;
        SPAN.check(self.span)
    }
}

/// How a basis weighs variance against what a model depends on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SensitivitySettings {
    /// γ: 1 is principal component analysis, towards 0 the sensitivity alone.
    pub gamma: f64,
}

impl Default for SensitivitySettings {
    fn default() -> Self {
        SensitivitySettings { gamma: 0.1 }
    }
}

impl SensitivitySettings {
    /// The mixing that is given, or 0.1.
    ///
    /// # Errors
    /// As [`SensitivitySettings::validate`].
    pub fn read(given: Source) -> Result<Self> {
        match given(GAMMA.name) {
            Some(_) => Ok(SensitivitySettings { gamma: GAMMA.read(given)? }),
            None => Ok(SensitivitySettings::default()),
        }
    }

    /// # Errors
    /// Unless 0 < γ ≤ 1.
    pub fn validate(&self) -> Result<()> {
        GAMMA.check(self.gamma)
    }
}

/// How many channels to keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Truncation {
    /// The same number for each (a, l), or for each l when combined.
    #[serde(rename = "q_max")]
    QMax(usize),
    /// The fewest channels over all (a, l) that keep this fraction of the variance: the largest eigenvalues of all blocks
    /// together, down to one common level (for each kind of centre, where each has its own). Where variances do not fall
    /// with q, a block is kept up to its last function above that level.
    #[serde(rename = "retain")]
    Retain(f64),
}

impl Truncation {
    /// Settings of both ways to truncate, of which one is given.
    pub const SETTINGS: [&'static Setting; 2] = [&Q_MAX, &RETAIN];

    /// How many channels are to be kept.
    ///
    /// # Errors
    /// For a value that cannot be used, and if both ways are given.
    pub fn read(given: Source) -> Result<Self> {
        match (Q_MAX.read::<Option<usize>>(given)?, given(RETAIN.name)) {
            (Some(_), Some(retain)) => {
                let problem = "q_max and retain both say how many channels to keep";
                Err(Error::setting(RETAIN.name, retain, problem, "give one of the two"))
            }
            (Some(q), None) => Ok(Truncation::QMax(q)),
            (None, _) => Ok(Truncation::Retain(RETAIN.read(given)?)),
        }
    }

    /// Refuses counts and fractions that make no sense; `n_max` is the size of the largest block, `what` says of what.
    ///
    /// # Errors
    /// Unless 1 ≤ q_max ≤ n_max, or 0 < retain ≤ 1.
    pub fn validate(self, n_max: usize, what: &str) -> Result<()> {
        match self {
            Truncation::QMax(q) if q == 0 || q > n_max => Err(Error::setting(
                Q_MAX.name,
                q,
                format!("a basis contracted from {n_max} primitive functions {what} has 1 to {n_max} channels"),
                format!("use at most {n_max}, or a larger n_max"),
            )),
            Truncation::QMax(_) => Ok(()),
            Truncation::Retain(fraction) => RETAIN.check(fraction),
        }
    }

    /// The number of channels, for bases whose functions do not stand in the order of their variance.
    ///
    /// # Errors
    /// If a variance is to be retained instead.
    pub fn q_max(self) -> Result<usize> {
        match self {
            Truncation::QMax(q) => Ok(q),
            Truncation::Retain(_) => {
                let problem = "functions made for a target do not stand in the order of their variance";
                Err(Error::setting(Q_MAX.name, "none", problem, "say how many are kept; 2 to 4 are enough as a rule"))
            }
        }
    }
}
