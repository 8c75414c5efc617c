//! Hyperparameters of the atom density and of its expansion, each defined once, with unit and default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cutoff::CutoffFunction;
use super::primitive::{Primitive, PrimitiveFamily};
use super::tabulated::Tabulated;
use crate::settings::{Given, Named, Range, Setting, Source, Takes, Value};
use crate::structure::symbol;
use crate::{Error, Result};

/// Largest angular momentum that is supported (and tested against references).
pub const L_MAX: usize = 20;

pub(super) static R_CUT: Setting = Setting::number("r_cut", "Å", Range::Positive, Given::Number(5.0))
    .says("Cutoff radius, in Å: atoms nearer than this are neighbours", "give it in Å, for example 5");
pub(super) static SIGMA: Setting =
    Setting::number("sigma", "Å", Range::NotNegative, Given::Number(0.3)).taking(Takes::NumberOrBySpecies).says(
        "Standard deviation of the Gaussian on each neighbour, in Å, one for all or by species as in H=0.3,C=0.4; 0 is \
               the δ density",
        "give it in Å, one for all or by species as in H=0.3,C=0.4; 0.2 to 0.5 is usual, 0 is the δ density",
    );
static CUTOFF_WIDTH: Setting = Setting::number("cutoff_width", "Å", Range::NotNegative, Given::Number(0.5)).says(
    "Width of the shell below r_cut in which the weight of a neighbour falls to zero, in Å",
    "0.5 to 1 Å is usual",
);
static CUTOFF_FUNCTION: Setting = Setting::word(
    "cutoff_function",
    CutoffFunction::WORDS,
    "cosine",
    "How the weight of a neighbour falls to zero at r_cut",
);
static SCALING: Setting = Setting::number("scaling", "RATE,SCALE,EXPONENT", Range::Finite, Given::Nothing)
    .taking(Takes::Row(&[&RATE, &SCALE, &EXPONENT]))
    .says(
        "Radial scaling u(r) = c/(c + (r/r0)^m) of each neighbour: c, r0 in Å, m, as in 1,2,7; none if not given",
        "give rate, scale in Å, exponent, as in 1,2,7, or leave it out for u = 1",
    );
static RATE: Setting =
    Setting::number("scaling rate", "", Range::Positive, Given::Nothing).says("", "leave the scaling out for u = 1");
static SCALE: Setting =
    Setting::number("scaling scale", "Å", Range::Positive, Given::Nothing).says("", "leave the scaling out for u = 1");
static EXPONENT: Setting = Setting::number("scaling exponent", "", Range::AtLeast(1.0), Given::Nothing)
    .says("", "forces diverge at short distances below 1; leave the scaling out for u = 1");
static CENTER_WEIGHT: Setting = Setting::number("center_weight", "", Range::Finite, Given::Number(1.0))
    .says("Weight of the centre atom in its own density", "1 counts the centre once");
static PRIMITIVE: Setting = Setting::word("primitive", PrimitiveFamily::WORDS, "gto", "Primitive radial basis");
pub(super) static N_MAX: Setting = Setting::count("n_max", Range::Between(1.0, 500.0), Given::Count(20)).says(
    "Number of primitive radial functions per species and l (for laplacian: at l = 0, fewer above)",
    "12 to 30 are usual",
);
pub(super) static LARGEST_L: Setting = Setting::count("l_max", Range::Between(0.0, L_MAX as f64), Given::Count(6))
    .says("Largest angular momentum, included", "use at most 20");
static SPLINE_ACCURACY: Setting =
    Setting::number("spline_accuracy", "", Range::Between(1e-12, 1e-2), Given::Number(1e-8))
        .taking(Takes::NumberOr("exact"))
        .says(
            "Largest error of the splined radial integrals, relative to each channel's largest value; `exact` computes \
               every integral by quadrature, far slower",
            "1e-8 is the default; exact integrals: None in Python, \"exact\" elsewhere",
        );

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
                let problem = format!("no width for {}", symbol(species));
                let remedy = "add this species to sigma, or give one number for all";
                Error::setting("sigma", Given::from(map), problem, remedy)
            }),
        }
    }
}

impl Value for Sigma {
    fn of(given: &Given) -> Option<Self> {
        f64::of(given).map(Sigma::Same).or_else(|| BTreeMap::of(given).map(Sigma::PerSpecies))
    }
}

impl From<&Sigma> for Given {
    fn from(sigma: &Sigma) -> Self {
        match sigma {
            Sigma::Same(sigma) => Given::Number(*sigma),
            Sigma::PerSpecies(map) => Given::from(map),
        }
    }
}

/// Radial scaling (Willatt et al., Phys. Chem. Chem. Phys. 20, 29661 (2018)), 1 at r = 0 and falling beyond `scale`:
///
/// ```text
/// u(r) = c / (c + (r/r0)^m),   c = rate, r0 = scale (Å), m = exponent
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RadialScaling {
    /// c, without unit.
    pub rate: f64,
    /// r0, in Å.
    pub scale: f64,
    /// m, without unit.
    pub exponent: f64,
}

impl Value for RadialScaling {
    fn of(given: &Given) -> Option<Self> {
        let &[rate, scale, exponent] = &Vec::of(given)?[..] else { return None };
        Some(RadialScaling { rate, scale, exponent })
    }
}

impl From<&RadialScaling> for Given {
    fn from(scaling: &RadialScaling) -> Self {
        Given::List([scaling.rate, scaling.scale, scaling.exponent].map(Given::from).to_vec())
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
    /// How a neighbour's contribution falls to 0 at r_cut.
    #[serde(default = "CutoffFunction::cosine", skip_serializing_if = "CutoffFunction::is_cosine")]
    pub cutoff_function: CutoffFunction,
    /// Width of the shell below r_cut in which the cutoff function falls from 1 to 0, in Å; of tanh, the unit of the distance
    /// from r_cut. 0 for a step.
    pub cutoff_width: f64,
    /// Radial scaling u(r) of each neighbour's contribution; none by default.
    pub scaling: Option<RadialScaling>,
    /// Weight of the centre atom in its own density.
    pub center_weight: f64,
}

impl Default for Density {
    fn default() -> Self {
        Density::read(&|_| None).expect("defaults are within their ranges")
    }
}

impl Density {
    /// The density with these settings, the rest being defaults.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source) -> Result<Self> {
        let cutoff_function = CUTOFF_FUNCTION.read(given)?;
        let stepped = cutoff_function == CutoffFunction::Step && given(CUTOFF_WIDTH.name).is_none();
        let density = Density {
            r_cut: R_CUT.read(given)?,
            sigma: SIGMA.read(given)?,
            cutoff_function,
            cutoff_width: if stepped { 0.0 } else { CUTOFF_WIDTH.read(given)? },
            scaling: SCALING.read(given)?,
            center_weight: CENTER_WEIGHT.read(given)?,
        };
        density.validate()?;
        Ok(density)
    }

    /// Settings and values.
    pub fn values(&self) -> Vec<(&'static Setting, Given)> {
        vec![
            (&R_CUT, self.r_cut.into()),
            (&SIGMA, (&self.sigma).into()),
            (&CUTOFF_FUNCTION, self.cutoff_function.into()),
            (&CUTOFF_WIDTH, self.cutoff_width.into()),
            (&SCALING, self.scaling.as_ref().into()),
            (&CENTER_WEIGHT, self.center_weight.into()),
        ]
    }

    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        self.values().into_iter().try_for_each(|(setting, value)| setting.check(value))?;
        let refused =
            |problem: String, remedy: &str| Err(Error::setting(CUTOFF_WIDTH.name, self.cutoff_width, problem, remedy));
        if self.cutoff_width > self.r_cut {
            return refused(format!("must lie between 0 and r_cut = {}", self.r_cut), CUTOFF_WIDTH.advice);
        }
        match self.cutoff_function {
            CutoffFunction::Step if self.cutoff_width > 0.0 => {
                let remedy = "leave it out or give 0, or use \"cosine\", \"polynomial\" or \"tanh\"";
                refused("the cutoff function \"step\" has no shell in which it falls".into(), remedy)
            }
            CutoffFunction::Tanh if self.cutoff_width == 0.0 => {
                let problem = "the cutoff function \"tanh\", tanh³((r_cut − r)/cutoff_width), divides by it";
                refused(problem.into(), "give a width in Å, at most r_cut, or use \"step\"")
            }
            _ => Ok(()),
        }
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
        ExpansionSettings::read(&|_| None).expect("defaults are within their ranges")
    }
}

impl ExpansionSettings {
    /// The expansion with these settings, the rest being defaults.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source) -> Result<Self> {
        Ok(ExpansionSettings {
            density: Density::read(given)?,
            primitive: match given(PRIMITIVE.name) {
                Some(Given::Table(entries)) => Tabulated::read(&entries)?.into(),
                _ => PRIMITIVE.read::<PrimitiveFamily>(given)?.basis(N_MAX.read(given)?),
            },
            l_max: LARGEST_L.read(given)?,
            spline_accuracy: SPLINE_ACCURACY.read(given)?,
        })
    }

    /// Settings and values, those of the density first.
    pub fn values(&self) -> Vec<(&'static Setting, Given)> {
        let mut values = self.density.values();
        values.extend([
            (&PRIMITIVE, self.primitive.given()),
            (&N_MAX, self.primitive.n_max().into()),
            (&LARGEST_L, self.l_max.into()),
            (&SPLINE_ACCURACY, self.spline_accuracy.into()),
        ]);
        values
    }

    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        self.density.validate()?;
        self.values().into_iter().try_for_each(|(setting, value)| setting.check(value))
    }
}
