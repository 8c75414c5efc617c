//! Residuals of rows that a fit has not seen, from the factor of the fit that has.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::factor::Factor;
use crate::linalg::{cholesky, set_product, solve_lower, solve_upper};

/// What a fit without some rows would say of them.
#[derive(Debug, Clone)]
pub(crate) struct LeftOut {
    /// y − x w of each row, w being fitted to all others.
    pub residuals: Array1<f64>,
    /// x (XᵀX)⁻¹ xᵀ of each row, X being all others.
    pub leverages: Array1<f64>,
}

impl Factor {
    /// Of rows `x` `[row, column]`, weights and regulariser included, with residuals `r` by the fit to all of them, `copies` times
    /// among which these rows are:
    ///
    /// ```text
    /// e = (1 − m H)⁻¹ r,   v = diag H (1 − m H)⁻¹,   H = x (XᵀX)⁻¹ xᵀ
    /// ```
    ///
    /// None where the others do not determine the fit, to rounding.
    pub(crate) fn left_out(&self, x: ArrayView2<f64>, r: ArrayView1<f64>, copies: usize) -> Option<LeftOut> {
        let (n, m) = (x.nrows(), copies as f64);
        let mut z = x.t().to_owned();
        solve_lower(self.r().t(), z.view_mut()); // R⁻ᵀ xᵀ, [column, row]
        let mut h = Array2::zeros((n, n)); // [row, row]
        set_product(h.view_mut(), z.t(), z.view());
        drop(z);
        let mut rest = Array2::eye(n);
        rest.scaled_add(-m, &h);
        cholesky(rest.view_mut()).ok()?;
        let mut residuals = r.to_owned().insert_axis(Axis(1));
        solve_lower(rest.view(), residuals.view_mut());
        solve_upper(rest.t(), residuals.view_mut());
        // H (1 − m H)⁻¹ = H + m H (1 − m H)⁻¹ H, of which no digits are lost where H is small.
        let mut leverages = h.diag().to_owned();
        solve_lower(rest.view(), h.view_mut());
        leverages.zip_mut_with(&h.columns().into_iter().map(|v| m * v.dot(&v)).collect::<Array1<f64>>(), |h, more| {
            *h += more;
        });
        let residuals = residuals.remove_axis(Axis(1));
        residuals.iter().chain(&leverages).all(|x| x.is_finite()).then_some(LeftOut { residuals, leverages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{LeastSquares, Solver};
    use crate::random::Random;

    fn fit(x: &Array2<f64>, y: &Array2<f64>, alpha: f64) -> Factor {
        let mut sums = LeastSquares::new(x.ncols(), 1, Solver::Qr);
        sums.add(x.view(), y.view()).unwrap();
        sums.factor().unwrap().regularised(alpha).unwrap()
    }

    /// The rows that are not in `without`.
    fn others(a: &Array2<f64>, without: std::ops::Range<usize>) -> Array2<f64> {
        a.select(Axis(0), &(0..a.nrows()).filter(|i| !without.contains(i)).collect::<Vec<_>>())
    }

    #[test]
    fn blocks_left_out_in_closed_form_are_those_of_refits() {
        let mut random = Random::new(1);
        let x = Array2::from_shape_simple_fn((60, 12), || random.normal());
        let y = Array2::from_shape_simple_fn((60, 1), || random.normal());
        for alpha in [1e-3, 2.0] {
            let all = fit(&x, &y, alpha);
            let w = all.solve().unwrap();
            for first in [0, 17, 55] {
                let block = first..first + 5;
                let (xb, yb) = (x.slice(ndarray::s![block.clone(), ..]), y.slice(ndarray::s![block.clone(), ..]));
                let r = &yb - &xb.dot(&w);
                let found = all.left_out(xb, r.column(0), 1).unwrap();
                let refit = fit(&others(&x, block.clone()), &others(&y, block), alpha);
                let expected = &yb - &xb.dot(&refit.solve().unwrap());
                let leverages = refit.quadratic(xb).unwrap();
                for k in 0..5 {
                    assert!((found.residuals[k] - expected[[k, 0]]).abs() < 1e-10);
                    assert!((found.leverages[k] - leverages[k]).abs() < 1e-10 * leverages[k]);
                }
            }
        }
    }

    #[test]
    fn rows_that_repeat_are_left_out_together() {
        let mut random = Random::new(2);
        let mut x = Array2::from_shape_simple_fn((30, 6), || random.normal());
        let mut y = Array2::from_shape_simple_fn((30, 1), || random.normal());
        for copy in [10, 20] {
            for k in 0..3 {
                let (row, value) = (x.row(k).to_owned(), y[[k, 0]]);
                x.row_mut(copy + k).assign(&row);
                y[[copy + k, 0]] = value;
            }
        }
        let all = fit(&x, &y, 0.1);
        let block = x.slice(ndarray::s![..3, ..]);
        let r = &y.slice(ndarray::s![..3, ..]) - &block.dot(&all.solve().unwrap());
        let found = all.left_out(block, r.column(0), 3).unwrap();
        let rest: Vec<usize> = (0..30).filter(|k| k % 10 >= 3).collect();
        let refit = fit(&x.select(Axis(0), &rest), &y.select(Axis(0), &rest), 0.1);
        let expected = &y.slice(ndarray::s![..3, ..]) - &block.dot(&refit.solve().unwrap());
        let leverages = refit.quadratic(block).unwrap();
        for k in 0..3 {
            assert!((found.residuals[k] - expected[[k, 0]]).abs() < 1e-10);
            assert!((found.leverages[k] - leverages[k]).abs() < 1e-10);
        }
    }

    #[test]
    fn rows_that_others_do_not_determine_cannot_be_left_out() {
        let x = ndarray::array![[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]];
        let all = fit(&x, &ndarray::array![[1.0], [2.0], [3.0]], 0.0);
        assert!(all.left_out(x.slice(ndarray::s![..1, ..]), Array1::zeros(1).view(), 1).is_none());
    }
}
