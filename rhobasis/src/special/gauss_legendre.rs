//! Gauss-Legendre quadrature on [0, L], and the polynomial through values given on its nodes.

use ndarray::ArrayView2;
use std::f64::consts::PI;

/// Nodes and weights on [0, `length`]: ∫_0^L f dx = Σ_k w_k f(x_k), exact for polynomials of degree 2N − 1.
#[derive(Debug, Clone)]
pub struct GaussLegendre {
    /// Nodes, ascending.
    pub nodes: Vec<f64>,
    /// Weights.
    pub weights: Vec<f64>,
    /// End of the interval.
    pub length: f64,
    /// Barycentric weights, up to a common factor.
    barycentric: Vec<f64>,
}

impl GaussLegendre {
    /// The rule of `count` ≥ 1 nodes on [0, `length`].
    pub fn new(count: usize, length: f64) -> Self {
        let ratios: Vec<f64> = (0..count).map(|k| k as f64 / (k + 1) as f64).collect();
        let mut rule =
            GaussLegendre { nodes: vec![0.0; count], weights: vec![0.0; count], length, barycentric: vec![0.0; count] };
        for k in 0..count.div_ceil(2) {
            // Newton's method in θ, t = cos θ: near the ends of the interval 1 − t keeps all its digits.
            let mut theta = PI * (k as f64 + 0.75) / (count as f64 + 0.5);
            let mut slope = 1.0;
            for _ in 0..10 {
                let (p, dp) = legendre(&ratios, theta);
                slope = dp;
                theta -= p / dp;
                if (p / dp).abs() < 1e-9 / count as f64 {
                    // The last step still turns the slope: at a root d²P/dθ² = −cot θ dP/dθ.
                    slope += p / theta.tan();
                    break;
                }
            }
            let weight = length / (slope * slope); // 2/(dP/dθ)² on [-1, 1]
            let barycentric = theta.sin() * weight.sqrt() * if k % 2 == 0 { 1.0 } else { -1.0 };
            let mirror = count - 1 - k;
            rule.nodes[mirror] = length * (0.5 * theta).cos().powi(2);
            rule.nodes[k] = length * (0.5 * theta).sin().powi(2);
            rule.weights[mirror] = weight;
            rule.weights[k] = weight;
            rule.barycentric[mirror] = if mirror % 2 == k % 2 { barycentric } else { -barycentric };
            rule.barycentric[k] = barycentric;
        }
        rule
    }

    /// Values at `x` of the polynomials through `values[k, n]` on the nodes.
    pub fn interpolate(&self, values: ArrayView2<f64>, x: f64) -> Vec<f64> {
        let mut result = vec![0.0; values.ncols()];
        let mut total = 0.0;
        for (k, &node) in self.nodes.iter().enumerate() {
            if x == node {
                return values.row(k).to_vec();
            }
            let weight = self.barycentric[k] / (x - node);
            total += weight;
            for (sum, value) in result.iter_mut().zip(values.row(k)) {
                *sum += weight * value;
            }
        }
        result.iter_mut().for_each(|sum| *sum /= total);
        result
    }

    /// The matrix D[k, k'] that takes values on the nodes to derivatives on the nodes.
    pub fn differentiation(&self) -> ndarray::Array2<f64> {
        let count = self.nodes.len();
        let mut d = ndarray::Array2::zeros((count, count));
        for k in 0..count {
            let mut diagonal = 0.0;
            for j in (0..count).filter(|&j| j != k) {
                let entry = self.barycentric[j] / self.barycentric[k] / (self.nodes[k] - self.nodes[j]);
                d[[k, j]] = entry;
                diagonal -= entry; // the derivative of a constant is zero
            }
            d[[k, k]] = diagonal;
        }
        d
    }
}

/// P_n(cos θ) and its derivative to θ; `ratios[k]` = k/(k + 1), n of them.
fn legendre(ratios: &[f64], theta: f64) -> (f64, f64) {
    let (sin, cos) = theta.sin_cos();
    let (mut below, mut p) = (0.0, 1.0);
    for ratio in ratios {
        let step = cos * p;
        (below, p) = (p, step + ratio * (step - below));
    }
    (p, -(ratios.len() as f64) * (below - cos * p) / sin)
}
