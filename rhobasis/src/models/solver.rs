use crate::settings::named;
use crate::{Error, Result};

named! {
    /// How a least squares problem is solved.
    pub enum Solver {
        /// QR factorisation of the rows: no digits are lost that the problem has
        Qr = "qr",
        /// Cholesky factorisation of the normal equations XᵀX: half the work, but the condition number is squared
        Cholesky = "cholesky",
    }
}

impl Solver {
    /// Singular values of a triangle of `n` columns this far below the largest are rounding: of R by QR, or of its square.
    pub(super) fn rounding(self, n: usize) -> f64 {
        let rounding = f64::EPSILON * n.max(1) as f64;
        match self {
            Solver::Qr => rounding,
            Solver::Cholesky => rounding.sqrt(),
        }
    }

    /// Whether columns with this condition number depend linearly on one another to rounding.
    pub(super) fn is_singular(self, condition: f64, n: usize) -> bool {
        !condition.is_finite() || condition * self.rounding(n) >= 1.0
    }
}

/// Refuses a triangle that the rows were too large for.
pub(super) fn check_triangle<'a>(
    name: &'static str,
    value: impl std::fmt::Display,
    triangle: impl IntoIterator<Item = &'a f64>,
) -> Result<()> {
    if triangle.into_iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    let problem = "norms or squares are too large for double precision";
    Err(Error::setting(name, value, problem, "scale the rows, their weights and the regulariser to sensible units"))
}
