use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::Result;
use crate::models::Solver;
use crate::potential::{Alpha, SOLVER};
use crate::settings::{Given, Named, Range, Setting, Source, Takes};

static TARGET: Setting =
    Setting::word("target", Target::WORDS, "dipole", "The tensor of a structure that an equivariant model learns");
static ALPHA: Setting = Setting::number("alpha", "", Range::PositiveWithin(1e-100, 1e100), Given::Nothing)
    .taking(Takes::Numbers)
    .says(
        "Regulariser of an equivariant model, relative to the largest singular value squared, for each λ; of a list, the best by \
         cross-validation; 1e-12, 1e-10, 1e-8, 1e-6 and 1e-4 by default",
        "1e-12 to 1e-4 are usual; leave it out for the default",
    );

/// What is chosen from if nothing is said.
const ALPHAS: [f64; 5] = [1e-12, 1e-10, 1e-8, 1e-6, 1e-4];

/// How a model of a tensor is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EquivariantSettings {
    /// Which tensor.
    pub target: Target,
    /// λ = alpha · (largest singular value of X)² in min |Xw − y|² + λ |w|², chosen for each degree of the tensor.
    pub alpha: Alpha,
    /// QR of the rows, or Cholesky of their Gram matrix.
    pub solver: Solver,
}

impl Default for EquivariantSettings {
    fn default() -> Self {
        EquivariantSettings::read(&|_| None).expect("defaults are within their ranges")
    }
}

impl EquivariantSettings {
    /// The model with these settings, the rest being defaults.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source) -> Result<Self> {
        let alpha: Option<Alpha> = ALPHA.read(given)?;
        Ok(EquivariantSettings {
            target: TARGET.read(given)?,
            alpha: alpha.unwrap_or_else(|| Alpha::Best(ALPHAS.to_vec())),
            solver: SOLVER.read(given)?,
        })
    }

    /// Settings and values.
    pub fn values(&self) -> [(&'static Setting, Given); 3] {
        [(&TARGET, self.target.into()), (&ALPHA, (&self.alpha).into()), (&SOLVER, self.solver.into())]
    }

    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        self.values().into_iter().try_for_each(|(setting, value)| setting.check(value))
    }
}
