//! Quadrature nodes, on which each basis of radial functions is a matrix.

use crate::error::{Error, Result};
use crate::special::gauss_legendre::GaussLegendre;
use ndarray::Array2;

/// The most quadrature nodes worth computing.
pub(super) const LARGEST_COUNT: f64 = 10_000.0;

/// Quadrature nodes with the functions on them: `u[l][k, n]` = √w_k x_k R_nl(x_k), orthonormal columns.
#[derive(Debug, Clone)]
pub(super) struct Nodes {
    pub(super) rule: GaussLegendre,
    pub(super) u: Vec<Array2<f64>>,
}

impl Nodes {
    /// Functions that do not depend on l; [`RadialIntegrals::new`](super::RadialIntegrals::new) repeats them.
    pub(super) fn same_for_all_l(rule: GaussLegendre, u: Array2<f64>) -> Self {
        Nodes { rule, u: vec![u] }
    }

    /// Number of nodes on [0, `length`], at least `least`, that brings the widest spacing, π length/(2 count), below 0.6 sigma:
    /// the rule then integrates a Gaussian to rounding.
    pub(super) fn count(least: usize, length: f64, sigma: f64) -> Result<usize> {
        let count = if sigma > 0.0 { (2.62 * length / sigma).ceil() } else { 0.0 };
        if count > LARGEST_COUNT {
            return Err(Error::setting(
                "sigma",
                sigma,
                format!("so narrow a Gaussian needs {count} quadrature nodes on [0, {length}] Å"),
                format!("use sigma >= {:.1e}, or sigma = 0", 2.63 * length / LARGEST_COUNT),
            ));
        }
        Ok(least.max(count as usize))
    }

    /// R_nl(x_k).
    pub(super) fn functions(&self, l: usize) -> Array2<f64> {
        let GaussLegendre { nodes, weights, .. } = &self.rule;
        Array2::from_shape_fn(self.u[l].dim(), |(k, n)| self.u[l][[k, n]] / (weights[k].sqrt() * nodes[k]))
    }
}
