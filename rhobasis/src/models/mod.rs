//! Linear and kernel models of plain matrices: nothing here knows an atom.
//!
//! Rows are samples, columns features or targets. All results have the same bits for any number of threads.

/// Least squares of rows that come one after another.
mod least_squares;

pub use least_squares::{Factor, LeastSquares, Solver};
