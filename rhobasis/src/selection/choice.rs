//! What is chosen, columns or rows, and checks of what is asked for.

use crate::{Error, Result};

/// What is chosen: columns or rows of a matrix `[sample, feature]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Columns.
    Features,
    /// Rows.
    Samples,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Indices in the order of their choice; fewer than asked for where the rest depends linearly on them (CUR) or repeats
    /// them (FPS).
    pub indices: Vec<usize>,
    /// One score each, as it was when chosen: CUR the leverage, FPS the squared distance to the nearest chosen before
    /// (infinite for the first).
    pub scores: Vec<f64>,
}

impl Selection {
    pub(super) fn with_scores(mut self, of: impl Fn(f64) -> f64) -> Self {
        self.scores.iter_mut().for_each(|score| *score = of(*score));
        self
    }
}

/// The first index, of those not `chosen`, whose score is the largest to within rounding; none if all are chosen.
pub(super) fn first_largest(scores: &[f64], chosen: &[bool]) -> Option<usize> {
    let left = || scores.iter().zip(chosen).filter(|(_, chosen)| !**chosen).map(|(score, _)| *score);
    let largest = left().fold(f64::NEG_INFINITY, f64::max);
    (0..scores.len()).find(|&j| !chosen[j] && scores[j] >= largest * (1.0 - 1e-11))
}

pub(super) fn check_count(n: usize, available: usize, what: &str) -> Result<()> {
    if n == 0 || n > available {
        return Err(Error::setting("n", n, format!("there are {available} {what}"), format!("use 1 to {available}")));
    }
    Ok(())
}

pub(super) fn check_finite(mut values: impl Iterator<Item = f64>) -> Result<()> {
    match values.find(|x| !x.is_finite()) {
        Some(x) => {
            Err(Error::setting("X", x, "the matrix holds a number that is not finite", "remove its row or column"))
        }
        None => Ok(()),
    }
}

pub(super) fn check_square((rows, columns): (usize, usize)) -> Result<()> {
    if rows != columns {
        let shape = format!("{rows} × {columns}");
        return Err(Error::setting("gram", shape, "a Gram matrix is square", "pass XᵀX for features, XXᵀ for samples"));
    }
    Ok(())
}
