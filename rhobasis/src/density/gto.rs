//! Gaussian-type orbitals, orthonormalised symmetrically (Löwdin):
//!
//! ```text
//! φ_n(x) = N_n x^n e^{-b_n x²},   b_n = 1/(2σ_n²),   σ_n = r_cut max(√n, 1)/n_max,   R_n = Σ_k (S^{-1/2})_nk φ_k
//! ```
//!
//! S^{-1/2} cannot be formed in doubles beyond 12 functions. On Gauss-Legendre nodes, A_kn = √w_k x_k φ_n(x_k) has
//! AᵀA = S, so that A S^{-1/2}, which holds √w_k x_k R_n(x_k), is the orthogonal factor of the polar decomposition of A:
//! it follows from A without S. In doubles it is orthonormal, but not these R_n (8e-6 off at n_max = 30, 4e-10 at 20, from
//! rounding the φ_n alone); in numbers of 32 digits it is both.

use super::nodes::Nodes;
use crate::error::{Error, Result};
use crate::special::double_double::{self, DoubleDouble};
use crate::special::gauss_legendre::GaussLegendre;
use crate::special::hyp1f1;

/// The most functions that 32 digits keep apart, for any r_cut, since the φ_n scale with it. The smallest singular value of A
/// is 9e-17 there and falls by 0.4 with each further function.
const LARGEST_N_MAX: usize = 44;

/// Node matrix √w_k x_k R_n(x_k) of the orthonormal functions.
pub(super) fn nodes(n_max: usize, r_cut: f64, sigma: f64) -> Result<Nodes> {
    if n_max > LARGEST_N_MAX {
        let smallest = 9e-17 * 0.4_f64.powi((n_max - LARGEST_N_MAX) as i32);
        return Err(Error::setting(
            "n_max",
            n_max,
            format!("the radial functions are linearly dependent: smallest singular value about {smallest:.0e}"),
            format!("use at most n_max = {LARGEST_N_MAX}, or Dvr or LaplacianEigenstates"),
        ));
    }
    // The single Gaussian of n_max = 1 is as wide as r_cut, all others are at most half of it.
    let length = if n_max == 1 { 9.0 * r_cut } else { 5.0 * r_cut };
    let rule = GaussLegendre::new(Nodes::count(400, length, sigma)?, length);
    let columns = (0..n_max).map(|n| {
        let at_node = |(&x, &w): (&f64, &f64)| shape(n, n_max, x / r_cut) * DoubleDouble::new(w.sqrt() * x);
        normalised(rule.nodes.iter().zip(&rule.weights).map(at_node).collect())
    });
    let u = double_double::polar(columns.collect());
    Ok(Nodes::same_for_all_l(rule, u))
}

/// φ_n up to its norm, at x in units of r_cut: for n > 0, b_n x² = n t²/2 with t = n_max x/n, so that t^n e^{n(1 − t²)/2}
/// peaks at 1 where t = 1. Exact in the double x: its rounding is the same for all n and shifts a node, no function.
fn shape(n: usize, n_max: usize, x: f64) -> DoubleDouble {
    let n_or_1 = DoubleDouble::new(n.max(1) as f64);
    let t = DoubleDouble::new(x) * DoubleDouble::new(n_max as f64) * n_or_1.recip();
    let exponent = DoubleDouble::new(0.5) * (DoubleDouble::new(n as f64) - n_or_1 * t * t);
    t.powi(n) * exponent.exp()
}

fn normalised(mut column: Vec<DoubleDouble>) -> Vec<DoubleDouble> {
    let squared = column.iter().fold(DoubleDouble::new(0.0), |sum, &value| sum + value * value);
    let inverse = squared.sqrt().recip();
    column.iter_mut().for_each(|value| *value = *value * inverse);
    column
}

/// Closed form of Eq. (5) for one primitive x^n e^{-βx²}, not normalised, and its derivative to r; for σ > 0, with α = 1/2σ²,
///
/// ```text
/// I_nl(r) = (2σ²)^{-3/2} (α+β)^{-A} (αr)^l e^{-αβr²/(α+β)} H_nl(z),   z = α²r²/(α+β),   A = (n + l + 3)/2
/// ```
///
/// where H is [`hyp1f1::scaled`]. It judges the quadrature of [`RadialIntegrals`](super::RadialIntegrals), which has none of the
/// cancellation that S^{-1/2} brings to sums of these.
pub fn primitive_integral(n: usize, l: usize, beta: f64, sigma: f64, r: f64) -> (f64, f64) {
    let (n, l) = (n as i32, l as i32);
    let alpha = 0.5 / (sigma * sigma);
    let total = alpha + beta;
    let z = alpha * alpha * r * r / total;
    let scale = (alpha / total).powf(1.5) * total.powf(-0.5 * f64::from(n + l)) * (-alpha * beta * r * r / total).exp();
    let (power, power_slope) =
        ((alpha * r).powi(l), if l == 0 { 0.0 } else { f64::from(l) * alpha * (alpha * r).powi(l - 1) });
    let h = hyp1f1::scaled(n, l, z);
    let h_slope = 0.5 * f64::from(n - l) * hyp1f1::scaled(n - 1, l + 1, z);
    let slope = power_slope * h + power * 2.0 * r * alpha / total * (alpha * h_slope - beta * h);
    (scale * power * h, scale * slope)
}
