//! Whether nuclei repel each other where the model knows nothing, and where that begins.

use serde::{Deserialize, Serialize};

use crate::settings::{Given, Range, Setting, Source, named};
use crate::{Error, Result};

static REPULSION: Setting = Setting::word(
    "repulsion",
    RepulsionType::WORDS,
    "zbl",
    "What acts between atoms that are nearer to each other than in all training frames",
);
static INNER: Setting = Setting::number("inner", "", Range::Between(0.0, 0.999), Given::Number(0.7))
    .says("The core is whole within this fraction of where it begins", "0.7 is usual");
static OUTER: Setting = Setting::number("outer", "", Range::Fraction, Given::Number(1.0)).says(
    "The core is zero beyond this fraction of the smallest distance of two species in training, or of 0.9 times the sum of their \
     covalent radii where that is smaller",
    "1 is usual, and beyond it the core would act in training",
);

use crate::settings::Named as _;

named! {
    /// The kinds of core, by name.
    pub enum RepulsionType {
        /// The screened repulsion of nuclei of Ziegler, Biersack and Littmark
        Zbl = "zbl",
        /// None: the model alone
        None = "none",
    }
}

/// A core between atoms that are nearer to each other than in all training frames, where the model knows nothing and its forces may
/// vanish, or pull.
///
/// It is zero at all distances of the training set, so that it changes neither the fit nor what follows from it there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Repulsion {
    /// S(r) V(r), with the universal potential V of nuclei (J. F. Ziegler, J. P. Biersack, U. Littmark, 1985) and S falling from 1 to
    /// 0 between `inner` and `outer`, which are fractions of the smallest distance of the two species in training, or of 0.9 times
    /// the sum of their covalent radii where that is smaller: a bond that training lacks is not pushed apart.
    ///
    /// ```text
    /// V(r) = Z_1 Z_2 e²/(4πε_0 r) φ(r/a),   a = 0.46850 Å/(Z_1^0.23 + Z_2^0.23)
    /// φ(x) = 0.18175 e^(−3.19980 x) + 0.50986 e^(−0.94229 x) + 0.28022 e^(−0.40290 x) + 0.02817 e^(−0.20162 x)
    /// S = 1 − 10 t³ + 15 t⁴ − 6 t⁵,   t = (r − r_inner)/(r_outer − r_inner), with two continuous derivatives
    /// ```
    Zbl {
        /// Within it the core is whole.
        inner: f64,
        /// Beyond it there is none; at most 1.
        outer: f64,
    },
    /// The model alone.
    None,
}

impl Default for Repulsion {
    fn default() -> Self {
        Self::read(&|_| None).expect("defaults are within their ranges")
    }
}

impl Repulsion {
    /// That of potentials which know of none.
    pub(crate) fn none() -> Self {
        Repulsion::None
    }

    /// The core with these settings, the rest being defaults.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source) -> Result<Self> {
        let repulsion = match REPULSION.read(given)? {
            RepulsionType::Zbl => Repulsion::Zbl { inner: INNER.read(given)?, outer: OUTER.read(given)? },
            RepulsionType::None => Repulsion::None,
        };
        repulsion.validate()?;
        Ok(repulsion)
    }

    /// Settings and values.
    pub fn values(&self) -> Vec<(&'static Setting, Given)> {
        match self {
            Repulsion::Zbl { inner, outer } => vec![(&INNER, (*inner).into()), (&OUTER, (*outer).into())],
            Repulsion::None => Vec::new(),
        }
    }

    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        self.values().into_iter().try_for_each(|(setting, value)| setting.check(value))?;
        match self {
            Repulsion::Zbl { inner, outer } if inner >= outer => Err(Error::setting(
                "inner",
                inner,
                format!("must be below outer, which is {outer}"),
                "0.7 and 1 are usual",
            )),
            _ => Ok(()),
        }
    }
}
