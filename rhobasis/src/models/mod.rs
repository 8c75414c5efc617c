//! Models of matrices: they never see an atom.

/// How a least-squares problem is solved; see `models::least_squares`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Solver {
    /// Orthogonal triangularisation of the rows: keeps all digits.
    #[default]
    Qr,
    /// Cholesky factor of the Gram matrix: half the work, half the digits.
    Cholesky,
}
mod least_squares;
pub use least_squares::{Factor, LeastSquares};
