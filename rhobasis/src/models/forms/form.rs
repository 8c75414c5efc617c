use std::ops::Range;

use ndarray::Array2;

/// One quadratic form: which columns of the fit hold its products, and which of its channels belong to which set.
///
/// Columns are the upper triangle of c cᵀ, row by row: c_α c_β for α ≤ β, times √2 for α ≠ β.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// The first of its columns.
    pub first: usize,
    /// Number of channels c.
    pub n_channels: usize,
    /// Sets of channels that are combined alike wherever they occur: which set, and its first channel here. Channels of no set
    /// are left out.
    pub sets: Vec<(usize, usize)>,
}

impl Form {
    /// Its columns.
    pub(super) fn columns(&self) -> Range<usize> {
        self.first..self.first + n_pairs(self.n_channels)
    }
}

/// Columns of a problem made of those of one form of the fit.
#[derive(Debug, Clone)]
pub(super) struct Lift {
    /// `[column of the form, column]`.
    pub matrix: Array2<f64>,
    /// Which of its columns are which of the problem's, from which on. Those of several forms that are the same are added.
    pub goes: Vec<(Range<usize>, usize)>,
}

/// Number of pairs (α, β), α ≤ β.
pub(super) fn n_pairs(n: usize) -> usize {
    n * (n + 1) / 2
}
