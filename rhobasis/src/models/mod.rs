//! Linear and kernel models of plain matrices: nothing here knows an atom.
//!
//! Rows are samples, columns features or targets. All results have the same bits for any number of threads.

/// What least squares problems come down to, and their solutions.
mod factor;
/// Sums of quadratic forms of few combinations of channels.
mod forms;
/// Kernel ridge regression.
mod kernel_ridge;
/// Least squares of rows that come one after another.
mod least_squares;
/// Residuals of rows that a fit has not seen.
mod left_out;
/// Triangles without the half that is zero.
mod packed;
/// Principal covariates regression.
mod pcovr;
/// A regulariser that is relative to the data, chosen by folds.
mod relative_alpha;
/// Ridge regression, its path and its errors by cross-validation.
mod ridge;
/// Ways to solve least squares problems, and what rounding leaves of them.
mod solver;

pub use factor::Factor;
pub use forms::{Contracted, Form, QuadraticForms};
pub use kernel_ridge::{KernelRidge, KernelRidgeSettings, polynomial_kernel};
pub use least_squares::LeastSquares;
pub(crate) use packed::PackedTriangle;
pub(crate) use pcovr::mixed_eigenvectors;
pub use pcovr::{Pcovr, PcovrSettings};
pub(crate) use relative_alpha::{at_end, regularised};
pub use ridge::{RidgeFit, RidgeRegression, RidgeSettings};
pub use solver::Solver;
