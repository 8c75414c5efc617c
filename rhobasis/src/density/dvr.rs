//! Discrete variable representation on the N Gauss-Legendre nodes x_n, weights w_n of [0, r_cut + 3σ]:
//!
//! ```text
//! x R_n(x) = ℓ_n(x) / √w_n,   ℓ_n the polynomial of degree N − 1 that is 1 at x_n and 0 at the other nodes
//! ```
//!
//! These are orthonormal because the N-point rule integrates ℓ_n ℓ_n' exactly. R_n ~ 1/x at the origin.

use super::nodes::Nodes;
use crate::error::{Error, Result};
use crate::special::gauss_legendre::GaussLegendre;
use ndarray::{Array1, Array2};

/// Node matrix √w_k x_k R_n(x_k), on the DVR nodes themselves (where it is 1) or on a finer rule that integrates exactly.
pub(super) fn nodes(n_max: usize, quadrature: bool, r_cut: f64, sigma: f64) -> Result<Nodes> {
    if sigma == 0.0 {
        return Err(Error::setting(
            "sigma",
            sigma,
            "DVR functions behave as 1/x at the origin, so their integrals with a δ density are unbounded",
            "use sigma > 0, or Gto or LaplacianEigenstates",
        ));
    }
    let length = r_cut + 3.0 * sigma;
    let points = GaussLegendre::new(n_max, length);
    if quadrature {
        return Ok(Nodes::same_for_all_l(points, Array2::eye(n_max)));
    }
    let rule = GaussLegendre::new(n_max + Nodes::count(100, length, sigma)?, length);
    let peaks: Array1<f64> = points.weights.iter().map(|w| 1.0 / w.sqrt()).collect();
    let peaks = Array2::from_diag(&peaks);
    let mut u = Array2::zeros((rule.nodes.len(), n_max));
    for (k, mut row) in u.rows_mut().into_iter().enumerate() {
        let values = points.interpolate(peaks.view(), rule.nodes[k]);
        row.iter_mut().zip(values).for_each(|(u, value)| *u = rule.weights[k].sqrt() * value);
    }
    Ok(Nodes::same_for_all_l(rule, u))
}
