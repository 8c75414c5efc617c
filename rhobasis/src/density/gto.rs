//! Gaussian-type orbitals, orthonormalised symmetrically (Löwdin):
//!
//!     φ_n(x) = N_n x^n e^{-b_n x²},   b_n = 1/(2σ_n²),   σ_n = r_cut max(√n, 1)/n_max,   R_n = Σ_k (S^{-1/2})_nk φ_k
//!
//! S^{-1/2} cannot be formed in doubles beyond 12 functions. On Gauss-Legendre nodes, A_kn = √w_k x_k φ_n(x_k) has
//! AᵀA = S, so that A S^{-1/2}, which holds √w_k x_k R_n(x_k), is the orthogonal factor of the polar decomposition of A:
//! it follows from A without S.

use super::radial::Nodes;
use crate::error::Result;
use crate::linalg;
use crate::special::gauss_legendre::GaussLegendre;
use ndarray::Array2;

/// Node matrix √w_k x_k R_n(x_k) of the orthonormal functions.
pub(super) fn nodes(n_max: usize, r_cut: f64, sigma: f64) -> Result<Nodes> {
    // The single Gaussian of n_max = 1 is as wide as r_cut, all others are at most half of it.
    let length = if n_max == 1 { 9.0 * r_cut } else { 5.0 * r_cut };
    let rule = GaussLegendre::new(Nodes::count(400, length, sigma)?, length);
    let widths = (0..n_max).map(|n| r_cut * (n as f64).sqrt().max(1.0) / n_max as f64).collect::<Vec<_>>();
    let mut a = Array2::from_shape_fn((rule.nodes.len(), n_max), |(k, n)| {
        // x/σ_n √n^-1/2 is of order one, so that no power overflows; the norm is set below.
        let (x, n_) = (rule.nodes[k], n as f64);
        let u = x / widths[n];
        let shape = if n == 0 { -0.5 * u * u } else { n_ * (u / n_.sqrt()).ln() - 0.5 * (u * u - n_) };
        rule.weights[k].sqrt() * x * shape.exp()
    });
    for mut column in a.columns_mut() {
        let norm = column.dot(&column).sqrt();
        column.mapv_inplace(|value| value / norm);
    }
    Ok(Nodes::same_for_all_l(rule, linalg::svd_polar(a.view())))
}
