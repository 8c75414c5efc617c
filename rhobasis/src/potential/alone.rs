//! The centre alone, of which the energy is known: an atom without neighbours, whose density is its own.
//!
//! Its features are not zero, so that a function of features has a value there. Where the baseline is the energy e of free
//! atoms, the model is therefore a difference, for each species of centre,
//!
//! ```text
//! ε(X) = g(X) − g(X₀),   X₀ features of the centre alone:
//! linear  φ(X) − φ(X₀)          kernel  k(X, X') − k(X, X₀) − k(X₀, X') + k(X₀, X₀)
//! ```
//!
//! the second of which is the covariance of g(X) − g(X₀) if that of g is k. An atom alone then has the energy e and no force, and
//! atoms far apart have the sum of theirs, whatever the fit. As a function of X all of this is the same model with X₀ as one
//! more sparse point, less a number for each species, which a potential holds.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};

use super::rows::Functions;
use crate::correlations::Invariants;
use crate::structure::Structure;
use crate::{Error, Result};

/// An atom without neighbours.
pub(super) fn structure(z: u8) -> Structure {
    Structure::molecule(vec![z], vec![[0.0; 3]])
}

/// X₀ of each species, `[feature]`.
///
/// # Errors
/// If the basis has no such centre, naming the first of `frames` that has one.
pub(super) fn features(
    invariants: &Invariants,
    species: &[u8],
    frames: &[Structure],
) -> Result<BTreeMap<u8, Array1<f64>>> {
    let of = |&z: &u8| {
        let x = invariants.forward(&[structure(z)]).map_err(|e| at_first(e, z, frames))?;
        Ok((z, x.row(0).to_owned()))
    };
    species.iter().map(of).collect()
}

/// The error with the place of the first atom of this species.
fn at_first(mut e: Error, z: u8, frames: &[Structure]) -> Error {
    let atom = |frame: &Structure| frame.species.iter().position(|&a| a == z);
    if let Error::Structure { place, .. } = &mut e {
        let first = frames.iter().enumerate().find_map(|(k, frame)| Some((k, atom(frame)?)));
        (place.frame, place.atom) = first.unzip();
    }
    e
}

/// Sparse points with X₀ as the last, `[m + 1, feature]`, of each species; of X₀ alone for species that have none.
pub(super) fn as_points(
    mut points: BTreeMap<u8, Array2<f64>>,
    alone: &BTreeMap<u8, Array1<f64>>,
) -> BTreeMap<u8, Array2<f64>> {
    let with = |(&z, x): (&u8, &Array1<f64>)| {
        let last = x.view().insert_axis(Axis(0));
        let points = points.remove(&z).unwrap_or_else(|| Array2::zeros((0, x.len())));
        (z, concatenate(Axis(0), &[points.view(), last]).expect("rows of features"))
    };
    alone.iter().map(with).collect()
}

/// The kernel of differences, `[m, m]`, from that of m points and X₀, which is the last row and column of `kernel`.
pub(super) fn difference(kernel: ArrayView2<f64>) -> Array2<f64> {
    let m = kernel.nrows() - 1;
    let of = |(i, j)| kernel[[i, j]] - kernel[[i, m]] - kernel[[m, j]] + kernel[[m, m]];
    Array2::from_shape_fn((m, m), of)
}

/// Weights of m differences k(X, T) − k(X, X₀), in columns, as weights of k(X, T) and k(X, X₀): `[m + 1, column]`.
pub(super) fn of_differences(weights: ArrayView2<f64>) -> Array2<f64> {
    let last = -weights.sum_axis(Axis(0)).insert_axis(Axis(0));
    concatenate(Axis(0), &[weights, last.view()]).expect("the same columns")
}

impl Functions {
    /// The same functions, but for their value at the centre alone, which is taken off.
    pub fn less_alone(mut self, features: BTreeMap<u8, Array1<f64>>) -> Self {
        match &mut self {
            Functions::Linear { alone, .. } => *alone = features,
            Functions::Sparse { zeta, points, alone, .. } => {
                let of = |(&z, x): (&u8, &Array1<f64>)| {
                    let products = points.get(&z)?.dot(x);
                    Some((z, products.mapv(|k| k.powi(*zeta as i32))))
                };
                *alone = features.iter().filter_map(of).collect();
            }
        }
        self
    }
}
