//! The stage from features (or coefficients) of an atom to its energy.

use std::fmt::Debug;

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::correlations::WeightedSum;
use crate::structure::symbol;
use crate::{Error, Result};

/// The energy of an atom as a function of its features and its species; it never sees a position.
pub(super) trait SiteFunction: Debug + Send + Sync {
    /// Energies of centres of these species, from features `[center, feature]`; and, if `grad_x` is given, dE/dX in the same
    /// layout, overwriting it. `scratch` is memory that is reused.
    ///
    /// # Errors
    /// For a species without a function, naming the first such center.
    fn evaluate(
        &self,
        species: &[u8],
        x: ArrayView2<f64>,
        energies: &mut [f64],
        grad_x: Option<ArrayViewMut2<f64>>,
        scratch: &mut Vec<f64>,
    ) -> Result<()>;

    /// The same as a function of the coefficients, if it is a weighted sum of features that there is a way to without them.
    fn weighted_sum(&self) -> Option<&dyn WeightedSum> {
        None
    }
}

/// The error for a centre of a species that a model has no function for; `center` counts those at hand.
pub(crate) fn no_function(center: usize, z: u8) -> Error {
    Error::structure(
        Some(center),
        format!("{} was no centre in the training set of this model", symbol(z)),
        "train it on frames that contain this species, or leave the frame out",
    )
}
