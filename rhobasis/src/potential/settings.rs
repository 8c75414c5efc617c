//! What a potential is made of and how it is trained: every hyperparameter, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::features::{Basis, FeatureSettings};
use super::repulsion::Repulsion;
use crate::correlations::{Combinations, Invariants};
use crate::extxyz::{LARGEST, Labels};
use crate::models::Solver;
use crate::settings::{Given, Named, Range, Setting, Source, Takes, Value, named};
use crate::structure::{self, SYMBOLS, Structure, atomic_number, isotope_remedy};
use crate::{Error, Result};

/// Standard deviations: beyond these no one means them, and sums of squares of what they weight lose their digits.
const REGULAR: Range = Range::PositiveWithin(1e-30, 1e30);

static MODEL: Setting =
    Setting::word("model", ModelType::WORDS, "ridge", "The model from features to the energy of an atom");
static ALPHA: Setting = Setting::number("alpha", "", Range::PositiveWithin(1e-100, 1e100), Given::Number(1e-12))
    .taking(Takes::Numbers)
    .says(
        "Regulariser of a linear model, relative to the largest singular value squared; of a list, the best by \
               cross-validation",
        "1e-14 to 1e-8 are usual; leave it out for the default",
    );
pub(crate) static SOLVER: Setting =
    Setting::word("solver", Solver::WORDS, "qr", "How the least squares problem of a linear model is solved");
static N_SPARSE: Setting = Setting::count("n_sparse", Range::AtLeast(1.0), Given::Count(1000)).says(
    "Number of sparse points, over all species of centre in the proportion of their atoms",
    "a sparse model needs sparse points; use 1000",
);
/// Of a sparse model.
static ZETA: Setting = exponent(4);
/// Of an exact model.
static ZETA_EXACT: Setting = exponent(2);
static SPARSE_METHOD: Setting = Setting::word(
    "sparse_method",
    SparseMethod::WORDS,
    "fps",
    "How sparse points are chosen among the training environments",
);
static DELTA: Setting = Setting::number("delta", "eV", REGULAR, Given::Number(1.0))
    .says("Prior standard deviation of the energy of an atom, in eV", "give it in eV, or leave it out for the default");
static JITTER: Setting = Setting::number("jitter", "", Range::PositiveWithin(1e-30, 0.5), Given::Number(1e-12)).says(
    "Eigenvalues of the kernel of the sparse points below this times the largest are dropped",
    "leave it out for the default",
);
static BASELINE: Setting =
    Setting::word("baseline", BaselineType::WORDS, "least-squares", "Where the energies of free atoms come from");
static ENERGIES: Setting =
    Setting::number("energies", "eV", Range::Between(-LARGEST, LARGEST), Given::Nothing).taking(Takes::BySpecies).says(
        "Energies of free atoms by species, in eV",
        "give energies of free atoms in eV by species, as in { Si = -107.1 }",
    );
const SMALLER_COUNTS_MORE: &str = "smaller counts more; leave the quantity out with None (Python), or \"none\" (TOML)";
static ENERGY_SIGMA: Setting = Setting::number("energy_sigma", "eV", REGULAR, Given::Number(0.002))
    .taking(Takes::NumberOr("none"))
    .says("Residuals of the energy of a frame with N atoms are divided by this times √N, in eV", SMALLER_COUNTS_MORE);
static FORCE_SIGMA: Setting = Setting::number("force_sigma", "eV/Å", REGULAR, Given::Number(0.05))
    .taking(Takes::NumberOr("none"))
    .says("Residuals of the components of forces are divided by this, in eV/Å", SMALLER_COUNTS_MORE);
static STRESS_SIGMA: Setting = Setting::number("stress_sigma", "eV/Å³", REGULAR, Given::Number(0.002))
    .taking(Takes::NumberOr("none"))
    .says("Residuals of the components of the stress are divided by this, in eV/Å³", SMALLER_COUNTS_MORE);

const fn exponent(default: i64) -> Setting {
    let zeta = Setting::count("zeta", Range::Between(1.0, 16.0), Given::Count(default));
    zeta.says("Exponent of the kernel", "2 and 4 are usual")
}

named! {
    /// The ways to come by the energies of free atoms.
    pub enum BaselineType {
        /// Least squares of the training energies on the numbers of atoms of each species
        LeastSquares = "least-squares",
        /// The energies of the frames with one atom and no neighbours
        IsolatedAtoms = "isolated-atoms",
        /// Energies by species
        Given = "given",
        /// None: the model learns whole energies, those of free atoms included
        None = "none",
    }
}

/// Where the energies of free atoms come from, which a model does not learn: E = Σ_i e(a_i) + model.
///
/// Where they are those of atoms alone, see [`Baseline::is_of_free_atoms`], the model is the difference of a function of the atom
/// from the same function of the atom alone: E of an atom alone is e, and its force zero, whatever was learned.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// Least squares of the training energies on the numbers of atoms of each species; where compositions do not tell species
    /// apart, the solution of smallest norm.
    #[default]
    LeastSquares,
    /// The energies of the frames with one atom and no neighbours, which each species must have; they are not trained on.
    IsolatedAtoms,
    /// Zero, and the model is not bound to it: it learns whole energies.
    None,
    /// Energies of free atoms by atomic number, in eV.
    #[serde(untagged, deserialize_with = "by_species")]
    Given(BTreeMap<u8, f64>),
}

/// Keys are atomic numbers or symbols; in JSON and TOML they are text, which an untagged variant does not read as numbers.
fn by_species<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<BTreeMap<u8, f64>, D::Error> {
    let of = |(key, energy): (String, f64)| {
        let z = key.parse::<u8>().ok().or_else(|| atomic_number(&key));
        let z = z.filter(|&z| z > 0 && usize::from(z) < SYMBOLS.len());
        z.map(|z| (z, energy)).ok_or_else(|| {
            let remedy = isotope_remedy(&key).map(|remedy| format!("; {remedy}")).unwrap_or_default();
            serde::de::Error::custom(format!("'{key}' is no element{remedy}"))
        })
    };
    BTreeMap::<String, f64>::deserialize(deserializer)?.into_iter().map(of).collect()
}

impl Baseline {
    /// Whether e is the energy of an atom alone, which the model then keeps exactly; a fit to compositions is not.
    pub fn is_of_free_atoms(&self) -> bool {
        match self {
            Baseline::IsolatedAtoms | Baseline::Given(_) => true,
            Baseline::LeastSquares | Baseline::None => false,
        }
    }

    /// The baseline that is given, or least squares.
    ///
    /// # Errors
    /// For the first value that cannot be used, and if energies are needed and missing.
    pub fn read(given: Source) -> Result<Self> {
        match BASELINE.read(given)? {
            BaselineType::LeastSquares => Ok(Baseline::LeastSquares),
            BaselineType::IsolatedAtoms => Ok(Baseline::IsolatedAtoms),
            BaselineType::None => Ok(Baseline::None),
            BaselineType::Given => match ENERGIES.read(given)? {
                Some(energies) => Ok(Baseline::Given(energies)),
                None => Err(Error::setting(ENERGIES.name, "none", "they are missing", ENERGIES.advice)),
            },
        }
    }
}

named! {
    /// How sparse points are chosen among the training environments, for each species of centre.
    pub enum SparseMethod {
        /// Farthest point sampling of the features
        Fps = "fps",
        /// Deterministic CUR of the features, all at once (leverage of the leading singular vectors)
        Cur = "cur",
    }
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

impl Alpha {
    /// What is tried.
    pub(crate) fn values(&self) -> &[f64] {
        match self {
            Alpha::Fixed(alpha) => std::slice::from_ref(alpha),
            Alpha::Best(alphas) => alphas,
        }
    }
}

impl Value for Alpha {
    fn of(given: &Given) -> Option<Self> {
        f64::of(given).map(Alpha::Fixed).or_else(|| Vec::of(given).map(Alpha::Best))
    }
}

impl From<&Alpha> for Given {
    fn from(alpha: &Alpha) -> Self {
        match alpha {
            Alpha::Fixed(alpha) => Given::Number(*alpha),
            Alpha::Best(alphas) => Given::List(alphas.iter().copied().map(Given::from).collect()),
        }
    }
}

named! {
    /// The types of model, by name.
    pub enum ModelType {
        /// Ridge regression: linear in the features
        Ridge = "ridge",
        /// A sparse kernel model
        Gap = "gap",
        /// Kernel ridge regression, exact: energies only
        KernelRidge = "kernel-ridge",
    }
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
        Self::standard(ModelType::Ridge)
    }

    /// A sparse kernel model with the defaults.
    pub fn gap() -> Self {
        Self::standard(ModelType::Gap)
    }

    /// Kernel ridge regression with the defaults.
    pub fn kernel_ridge() -> Self {
        Self::standard(ModelType::KernelRidge)
    }

    fn standard(model: ModelType) -> Self {
        let given = |name: &str| (name == MODEL.name).then(|| model.into());
        Self::read(&given).expect("defaults are within their ranges")
    }

    /// The model with these settings, the rest being defaults.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source) -> Result<Self> {
        Ok(match MODEL.read(given)? {
            ModelType::Ridge => ModelSettings::Ridge { alpha: ALPHA.read(given)?, solver: SOLVER.read(given)? },
            ModelType::Gap => ModelSettings::Gap {
                n_sparse: N_SPARSE.read(given)?,
                zeta: ZETA.read::<usize>(given)? as u32,
                sparse_method: SPARSE_METHOD.read(given)?,
                delta: DELTA.read(given)?,
                jitter: JITTER.read(given)?,
            },
            ModelType::KernelRidge => {
                ModelSettings::KernelRidge { zeta: ZETA_EXACT.read::<usize>(given)? as u32, delta: DELTA.read(given)? }
            }
        })
    }

    /// Settings and values.
    pub fn values(&self) -> Vec<(&'static Setting, Given)> {
        match self {
            ModelSettings::Ridge { alpha, solver } => vec![(&ALPHA, alpha.into()), (&SOLVER, (*solver).into())],
            ModelSettings::Gap { n_sparse, zeta, sparse_method, delta, jitter } => vec![
                (&N_SPARSE, (*n_sparse).into()),
                (&ZETA, (*zeta as usize).into()),
                (&SPARSE_METHOD, (*sparse_method).into()),
                (&DELTA, (*delta).into()),
                (&JITTER, (*jitter).into()),
            ],
            ModelSettings::KernelRidge { zeta, delta } => {
                vec![(&ZETA_EXACT, (*zeta as usize).into()), (&DELTA, (*delta).into())]
            }
        }
    }

    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        self.values().into_iter().try_for_each(|(setting, value)| setting.check(value))
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
        let default = |setting: &Setting| setting.read(&|_| None).expect("defaults are within their ranges");
        Sigmas {
            energy_sigma: default(&ENERGY_SIGMA),
            force_sigma: default(&FORCE_SIGMA),
            stress_sigma: default(&STRESS_SIGMA),
        }
    }
}

impl Sigmas {
    /// Defaults of what some frame has a label of, none of the others.
    pub fn of_labels(labels: &[Labels]) -> Self {
        let standard = Sigmas::default();
        let has = |what: fn(&Labels) -> bool| labels.iter().any(what);
        Sigmas {
            energy_sigma: standard.energy_sigma.filter(|_| has(|l| l.energy.is_some())),
            force_sigma: standard.force_sigma.filter(|_| has(|l| l.forces.is_some())),
            stress_sigma: standard.stress_sigma.filter(|_| has(|l| l.stress.is_some())),
        }
    }

    /// What is given, the rest being that of `others`.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source, others: &Sigmas) -> Result<Self> {
        let one = |setting: &Setting, other| match given(setting.name) {
            Some(_) => setting.read(given),
            None => Ok(other),
        };
        Ok(Sigmas {
            energy_sigma: one(&ENERGY_SIGMA, others.energy_sigma)?,
            force_sigma: one(&FORCE_SIGMA, others.force_sigma)?,
            stress_sigma: one(&STRESS_SIGMA, others.stress_sigma)?,
        })
    }

    /// Settings and values.
    pub fn values(&self) -> [(&'static Setting, Given); 3] {
        [
            (&ENERGY_SIGMA, self.energy_sigma.into()),
            (&FORCE_SIGMA, self.force_sigma.into()),
            (&STRESS_SIGMA, self.stress_sigma.into()),
        ]
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
    /// [`Error::Setting`] for the first that is not positive.
    pub fn validate(&self) -> Result<()> {
        let sigmas = std::iter::once(&self.all).chain(self.by_type.values());
        sigmas.flat_map(Sigmas::values).try_for_each(|(setting, value)| setting.check(value))
    }
}

/// Everything that makes a fit, but its basis and data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// Features of an atom.
    pub features: FeatureSettings,
    /// The model of them.
    pub model: ModelSettings,
    /// Energies of free atoms.
    pub baseline: Baseline,
    /// What acts between atoms that are nearer than in training.
    #[serde(default = "Repulsion::none")]
    pub repulsion: Repulsion,
    /// How much each quantity counts.
    pub weights: Weights,
}

impl TrainSettings {
    /// The features that the model sees. A linear model sees what they are combinations of, and these as its prior.
    pub(super) fn invariants(&self, basis: &Basis) -> Result<(Invariants, Option<Arc<Combinations>>)> {
        let invariants = self.features.invariants(basis)?;
        Ok(match self.model {
            ModelSettings::Ridge { .. } => invariants.uncombined(),
            _ => (invariants, None),
        })
    }
}

/// The `config_type` of a frame; empty if it has none.
pub fn config_type(structure: &Structure) -> &str {
    match structure.get("config_type") {
        Some(structure::Value::Text(text)) => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_are_read_as_they_were_written_and_by_symbol() {
        let given = Baseline::Given(BTreeMap::from([(14, -107.25), (8, 0.0)]));
        for baseline in [given.clone(), Baseline::LeastSquares, Baseline::IsolatedAtoms, Baseline::None] {
            let text = serde_json::to_string(&baseline).unwrap();
            assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), baseline, "{text}");
        }
        assert_eq!(serde_json::from_str::<Baseline>(r#"{"Si": -107.25, "O": 0.0}"#).unwrap(), given);
        serde_json::from_str::<Baseline>(r#"{"Xx": 1.0}"#).unwrap_err();
    }
}
