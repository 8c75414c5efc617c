//! Interpolation by splines of fifth degree.

use ndarray::{Array2, ArrayView2};

const DEGREE: usize = 5;

/// Curves through given points, of fifth degree between knots and with four continuous derivatives: Σ_i c_i B_i(x), B_i the
/// B-splines of the knots.
///
/// Knots are the points but for the three at each end (not-a-knot), as in SciPy's `make_interp_spline(x, y, k=5)`. For points a
/// step h apart, the error falls as h⁶.
#[derive(Debug, Clone)]
pub struct Spline {
    knots: Vec<f64>,
    /// c_i, `[i, n]`, of curve n.
    coefficients: Array2<f64>,
}

impl Spline {
    /// The least number of points.
    pub const LEAST: usize = DEGREE + 1;

    /// The curves n through `values[k, n]` at ascending `points`, at least [`Spline::LEAST`].
    pub fn through(points: &[f64], values: ArrayView2<f64>) -> Self {
        let (count, ends) = (points.len(), DEGREE.div_ceil(2));
        let mut knots = vec![points[0]; DEGREE + 1];
        knots.extend(&points[ends..count - ends]);
        knots.extend([points[count - 1]; DEGREE + 1]);
        // Row k holds B_i(x_k) at i − k + DEGREE. The matrix is totally positive: elimination needs no pivots.
        let mut band = vec![[0.0; 2 * DEGREE + 1]; count];
        for (k, row) in band.iter_mut().enumerate() {
            let (first, b) = b_splines(&knots, points[k], DEGREE);
            (0..=DEGREE).for_each(|j| row[first + j + DEGREE - k] = b[j]);
        }
        let mut c = values.to_owned();
        for k in 0..count {
            let pivot_row = band[k];
            for below in k + 1..count.min(k + DEGREE + 1) {
                let factor = band[below][k + DEGREE - below] / pivot_row[DEGREE];
                for column in k..count.min(k + DEGREE + 1) {
                    band[below][column + DEGREE - below] -= factor * pivot_row[column + DEGREE - k];
                }
                for n in 0..c.ncols() {
                    c[[below, n]] -= factor * c[[k, n]];
                }
            }
        }
        for k in (0..count).rev() {
            for n in 0..c.ncols() {
                let known: f64 = (k + 1..count.min(k + DEGREE + 1)).map(|i| band[k][i + DEGREE - k] * c[[i, n]]).sum();
                c[[k, n]] = (c[[k, n]] - known) / band[k][DEGREE];
            }
        }
        Spline { knots, coefficients: c }
    }

    /// Linear combinations of the curves, q = Σ_n u[q, n] n.
    #[must_use]
    pub fn combined(&self, u: ArrayView2<f64>) -> Self {
        Spline { knots: self.knots.clone(), coefficients: self.coefficients.dot(&u.t()) }
    }

    /// Values of all curves at `x`, and their slopes, between the first and the last point.
    pub fn evaluate(&self, x: f64) -> (Vec<f64>, Vec<f64>) {
        let (first, b) = b_splines(&self.knots, x, DEGREE);
        let (_, below) = b_splines(&self.knots, x, DEGREE - 1);
        let mut slope_of = [0.0; DEGREE + 1];
        // B′_i = p (b_i/(t_{i+p} − t_i) − b_{i+1}/(t_{i+p+1} − t_{i+1})), b those of degree p − 1.
        for (j, lower) in below[..DEGREE].iter().enumerate() {
            let i = first + j + 1;
            let part = DEGREE as f64 * lower / (self.knots[i + DEGREE] - self.knots[i]);
            slope_of[j] -= part;
            slope_of[j + 1] += part;
        }
        let sum = |of: &[f64; DEGREE + 1], n: usize| -> f64 {
            (0..=DEGREE).map(|j| of[j] * self.coefficients[[first + j, n]]).sum()
        };
        let n_curves = self.coefficients.ncols();
        ((0..n_curves).map(|n| sum(&b, n)).collect(), (0..n_curves).map(|n| sum(&slope_of, n)).collect())
    }
}

/// Those B-splines of a degree up to [`DEGREE`] that are not zero at x, and the number of the first of them among all of [`DEGREE`]:
/// the recursion of Cox and de Boor.
fn b_splines(knots: &[f64], x: f64, degree: usize) -> (usize, [f64; DEGREE + 1]) {
    let last = knots.len() - DEGREE - 2;
    let span = knots.partition_point(|&knot| knot <= x).saturating_sub(1).clamp(DEGREE, last);
    let mut b = [0.0; DEGREE + 1];
    b[0] = 1.0;
    for p in 1..=degree {
        let mut carried = 0.0;
        for j in 0..p {
            let (left, right) = (knots[span + 1 + j - p], knots[span + 1 + j]);
            let part = b[j] / (right - left);
            b[j] = carried + (right - x) * part;
            carried = (x - left) * part;
        }
        b[p] = carried;
    }
    (span - DEGREE, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_of_fifth_degree_are_met_with_their_slopes() {
        let points: Vec<f64> = (0..14).map(|k| 0.3 * f64::from(k) + 0.02 * f64::from(k * k)).collect();
        let poly = |x: f64| [1.0 - x + 0.3 * x.powi(5) - x.powi(3), x * x, 2.0];
        let slope = |x: f64| [-1.0 + 1.5 * x.powi(4) - 3.0 * x * x, 2.0 * x, 0.0];
        for points in [&points[..], &points[..Spline::LEAST]] {
            let values = Array2::from_shape_fn((points.len(), 3), |(k, n)| poly(points[k])[n]);
            let spline = Spline::through(points, values.view());
            let end = points[points.len() - 1];
            for x in (0..=50).map(|k| (end * f64::from(k) / 50.0).min(end)) {
                let (value, derivative) = spline.evaluate(x);
                for n in 0..3 {
                    let scale = 1.0 + poly(x)[n].abs() + slope(x)[n].abs();
                    assert!((value[n] - poly(x)[n]).abs() < 1e-11 * scale, "{x}: {value:?}");
                    assert!((derivative[n] - slope(x)[n]).abs() < 1e-10 * scale, "{x}: {derivative:?}");
                }
            }
        }
    }

    #[test]
    fn the_error_falls_with_the_sixth_power_of_the_step_and_that_of_slopes_with_the_fifth() {
        let errors = |count: usize| {
            let points: Vec<f64> = (0..count).map(|k| 5.0 * k as f64 / (count - 1) as f64).collect();
            let values = Array2::from_shape_fn((count, 1), |(k, _)| (3.0 * points[k]).sin());
            let spline = Spline::through(&points, values.view());
            let at = |k: usize| {
                let x = 5.0 * k as f64 / 1000.0;
                let (value, slope) = spline.evaluate(x);
                [(value[0] - (3.0 * x).sin()).abs(), (slope[0] - 3.0 * (3.0 * x).cos()).abs()]
            };
            (0..=1000).map(at).fold([0.0_f64; 2], |a, b| [a[0].max(b[0]), a[1].max(b[1])])
        };
        let (coarse, fine) = (errors(41), errors(81));
        assert!(coarse[0] / fine[0] > 50.0 && coarse[1] / fine[1] > 25.0, "{coarse:?} {fine:?}");
        assert!(fine[0] < 1e-6 && fine[1] < 1e-4, "{fine:?}");
    }
}
