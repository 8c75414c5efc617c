//! Norm of the invariant part of a body-ordered density, as an average over rotations and inversion.
//!
//! ```text
//! |inv_ν(c)|² = ∫_O(3) dR k(R)^ν,    k(R) = Σ_l tr(D^l(R) G_l),    G_l[m, m′] = Σ_q c_qlm c_qlm′
//! ```
//!
//! The average of R ⊗ … ⊗ R is the projector on what no rotation changes, and k is the overlap of c with c turned.

use ndarray::{Array2, ArrayView2};
use std::f64::consts::PI;

use super::clebsch_gordan::clebsch_gordan;
use crate::linalg::matmul;
use crate::special::gauss_legendre::GaussLegendre;
use crate::{Error, Result};

/// Rotations and weights that average polynomials of degree ν l_max in D¹ exactly.
///
/// α and γ are uniform with more than ν l_max points, β is Gauss-Legendre in cos β. G is symmetric: of R and R⁻¹ one is kept,
/// and of D the symmetric part. The inversion multiplies the odd l by −1.
#[derive(Debug, Clone)]
pub struct RotationAverage {
    weights: Vec<f64>,
    /// Symmetric parts of D^l, m ≤ m′: `[R, (l, m, m′)]` for even l, and for odd.
    by_parity: [Array2<f64>; 2],
    l_max: usize,
}

/// Largest table of rotations.
const MOST_BYTES: f64 = 2e9;

impl RotationAverage {
    /// The quadrature for products of up to `nu` densities to `l_max`.
    ///
    /// # Errors
    /// If `l_max` is above [`L_MAX_COUPLED`](super::L_MAX_COUPLED) + 1.
    pub fn new(l_max: usize, nu: usize) -> Result<Self> {
        let degree = nu * l_max;
        let n = 2 * (degree / 2 + 1); // even, so that R⁻¹ is on the grid too
        let entries: usize = (0..=l_max).map(|l| (2 * l + 1) * (l + 1)).sum();
        let bytes = 8.0 * (n * n / 2 * (degree / 2 + 1) * entries) as f64;
        if bytes > MOST_BYTES {
            let problem = format!("invariants to l_max = {l_max} need rotations that take {:.0} GB", bytes / 1e9);
            return Err(Error::setting("nu", nu, problem, "use a smaller nu or l_max"));
        }
        let beta = GaussLegendre::new(degree / 2 + 1, 2.0);
        let mut steps = Vec::new();
        for l in 1..=l_max {
            steps.push(clebsch_gordan(l - 1, 1, l)?);
        }
        let (mut weights, mut rows) = (Vec::new(), [Vec::new(), Vec::new()]);
        for (t, w) in beta.nodes.iter().zip(&beta.weights) {
            let cos_beta = t - 1.0;
            for j in 0..n {
                for k in 0..n {
                    // The inverse of (α, β, γ) is (π − γ, β, π − α).
                    let inverse = ((n + n / 2 - k) % n, (n + n / 2 - j) % n);
                    if inverse < (j, k) {
                        continue;
                    }
                    let twice = if inverse == (j, k) { 1.0 } else { 2.0 };
                    weights.push(twice * w / (2.0 * (n * n) as f64));
                    let angle = |j: usize| 2.0 * PI * j as f64 / n as f64;
                    let mut d = Array2::ones((1, 1));
                    let d1 = rotation(angle(j), cos_beta, angle(k));
                    pack(d.view(), &mut rows[0]);
                    for (l, step) in (1..).zip(&steps) {
                        let mut next = Array2::zeros((2 * l + 1, 2 * l + 1));
                        for a in step {
                            for b in step {
                                next[[a.mu, b.mu]] += a.value * b.value * d[[a.m1, b.m1]] * d1[a.m2][b.m2];
                            }
                        }
                        d = next;
                        pack(d.view(), &mut rows[l % 2]);
                    }
                }
            }
        }
        let shaped = |values: Vec<f64>| {
            let shape = (weights.len(), values.len() / weights.len());
            Array2::from_shape_vec(shape, values).expect("a row for each rotation")
        };
        let by_parity = rows.map(shaped);
        Ok(RotationAverage { weights, by_parity, l_max })
    }

    /// Rotations that are summed.
    pub fn n_rotations(&self) -> usize {
        self.weights.len()
    }

    /// Numbers in the packed self-kernels of even and odd l.
    pub(super) fn widths(&self) -> [usize; 2] {
        [self.by_parity[0].ncols(), self.by_parity[1].ncols()]
    }

    /// |inv_ν(c)|² of one centre for each ν, from blocks `[m, channel]` for each l.
    ///
    /// # Panics
    /// If there are not l_max + 1 blocks of 2l + 1 rows.
    pub fn norms(&self, blocks: &[ArrayView2<f64>], nus: &[usize]) -> Vec<f64> {
        assert_eq!(blocks.len(), self.l_max + 1, "a block for each l");
        let mut packed = [Vec::new(), Vec::new()];
        for (l, block) in blocks.iter().enumerate() {
            pack_kernel(*block, 0..block.ncols(), &mut packed[l % 2]);
        }
        self.norms_of_kernels(&packed, 1, nus).into_raw_vec_and_offset().0
    }

    /// |inv_ν|² `[column, ν]` of `n` self-kernels, packed one after the other.
    pub(super) fn norms_of_kernels(&self, packed: &[Vec<f64>; 2], n: usize, nus: &[usize]) -> Array2<f64> {
        let [even, odd] = [0, 1].map(|parity| {
            let d = &self.by_parity[parity];
            if d.ncols() == 0 {
                return Array2::zeros((d.nrows(), n));
            }
            let g = ArrayView2::from_shape((n, d.ncols()), &packed[parity]).expect("a row for each self-kernel");
            matmul(d.view(), g.t())
        });
        let mut norms = Array2::zeros((n, nus.len()));
        for ((even, odd), weight) in even.rows().into_iter().zip(odd.rows()).zip(&self.weights) {
            for ((e, o), mut norms) in even.iter().zip(odd).zip(norms.rows_mut()) {
                for (norm, &nu) in norms.iter_mut().zip(nus) {
                    *norm += 0.5 * weight * ((e + o).powi(nu as i32) + (e - o).powi(nu as i32));
                }
            }
        }
        norms
    }
}

/// Appends G_l[m, m′] = Σ_q c[m, q] c[m′, q], m ≤ m′, over some channels, doubled off the diagonal.
pub(super) fn pack_kernel(c: ArrayView2<f64>, channels: impl Iterator<Item = usize> + Clone, packed: &mut Vec<f64>) {
    for m in 0..c.nrows() {
        for k in m..c.nrows() {
            let sum: f64 = channels.clone().map(|q| c[[m, q]] * c[[k, q]]).sum();
            packed.push(if m == k { sum } else { 2.0 * sum });
        }
    }
}

/// Appends (D[m, m′] + D[m′, m])/2, m ≤ m′.
fn pack(d: ArrayView2<f64>, row: &mut Vec<f64>) {
    for m in 0..d.nrows() {
        row.extend((m..d.nrows()).map(|k| 0.5 * (d[[m, k]] + d[[k, m]])));
    }
}

/// D¹ = Z(α) Y(β) Z(γ), its rows and columns y, z, x.
fn rotation(alpha: f64, cos_beta: f64, gamma: f64) -> [[f64; 3]; 3] {
    let ((sa, ca), (sg, cg)) = (alpha.sin_cos(), gamma.sin_cos());
    let (cb, sb) = (cos_beta, (1.0 - cos_beta * cos_beta).max(0.0).sqrt());
    [
        [-sa * cb * sg + ca * cg, sa * sb, sa * cb * cg + ca * sg],
        [sb * sg, cb, -sb * cg],
        [-ca * cb * sg - sa * cg, ca * sb, ca * cb * cg - sa * sg],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_densities_give_the_power_spectrum() {
        let block = |l: usize| Array2::from_shape_fn((2 * l + 1, 3), |(m, q)| ((7 * l + 3 * m + 5 * q) as f64).sin());
        let blocks: Vec<Array2<f64>> = (0..=4).map(block).collect();
        let views: Vec<_> = blocks.iter().map(|b| b.view()).collect();
        let norms = RotationAverage::new(4, 2).unwrap().norms(&views, &[1, 2]);
        let of_one: f64 = blocks[0].iter().map(|c| c * c).sum();
        let power = |b: &Array2<f64>| b.t().dot(b).iter().map(|p| p * p).sum::<f64>() / b.nrows() as f64;
        let of_two: f64 = blocks.iter().map(power).sum();
        assert!((norms[0] - of_one).abs() < 1e-12 * of_one, "{norms:?} {of_one}");
        assert!((norms[1] - of_two).abs() < 1e-12 * of_two, "{norms:?} {of_two}");
    }
}
