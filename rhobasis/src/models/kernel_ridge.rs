use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::factor::{check_alpha, check_finite};
use crate::linalg::{add_product, cholesky, solve_lower, solve_upper};
use crate::{Error, Result};

/// Rows of a kernel that one thread computes: a constant, so that the bits do not depend on the threads.
const ROWS: usize = 256;

/// Settings of a [`KernelRidge`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KernelRidgeSettings {
    /// Regularisation, added to the diagonal of the kernel.
    pub alpha: f64,
    /// Power of the dot product, 1 or more.
    pub zeta: u32,
    /// Whether rows are divided by their norm, so that the kernel of a row with itself is 1; zeros stay zeros.
    pub normalize: bool,
}

impl Default for KernelRidgeSettings {
    fn default() -> Self {
        KernelRidgeSettings { alpha: 1.0, zeta: 2, normalize: false }
    }
}

/// Kernel `[row of x, row of y]` of rows, k(x, x′) = (x · x′)^zeta.
///
/// # Errors
/// If zeta is 0, the columns differ, or a number or the result is not finite.
pub fn polynomial_kernel(x: ArrayView2<f64>, y: ArrayView2<f64>, zeta: u32) -> Result<Array2<f64>> {
    check_zeta(zeta)?;
    check_columns(y, x.ncols())?;
    check_finite("X", x, 0)?;
    check_finite("Y", y, 0)?;
    let mut kernel = Array2::zeros((x.nrows(), y.nrows()));
    let rows: Vec<_> = kernel.axis_chunks_iter_mut(Axis(0), ROWS).zip(x.axis_chunks_iter(Axis(0), ROWS)).collect();
    rows.into_par_iter().for_each(|(kernel, x)| powers_of_products(kernel, x, y, zeta));
    check_finite("kernel", kernel.view(), 0)?;
    Ok(kernel)
}

fn powers_of_products(mut kernel: ArrayViewMut2<f64>, x: ArrayView2<f64>, y: ArrayView2<f64>, zeta: u32) {
    add_product(kernel.view_mut(), 1.0, x, y.t());
    if zeta > 1 {
        kernel.iter_mut().for_each(|k| *k = k.powi(zeta as i32));
    }
}

/// Exact kernel ridge regression with the kernel k(x, x′) = (x · x′)^zeta, of one or several targets:
///
/// ```text
/// y(x) = Σ_i k(x, x_i) w_i,   w = (K + alpha)⁻¹ y
/// ```
///
/// Solved by Cholesky factorisation in `8 n²` bytes for n rows; there is no constant.
///
/// ```
/// use ndarray::array;
/// use rhobasis::models::{KernelRidge, KernelRidgeSettings};
///
/// let (x, y) = (array![[1.0], [2.0]], array![[1.0], [4.0]]);
/// let settings = KernelRidgeSettings { alpha: 1e-9, zeta: 2, normalize: false };
/// let model = KernelRidge::fit(x.view(), y.view(), settings)?;
/// assert!((model.predict(array![[3.0]].view())?[[0, 0]] - 9.0).abs() < 1e-6); // y = x²
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct KernelRidge {
    settings: KernelRidgeSettings,
    x: Array2<f64>,
    weights: Array2<f64>,
}

impl KernelRidge {
    /// Fits rows `x` `[row, feature]` to `y` `[row, target]`.
    ///
    /// # Errors
    /// If a setting is out of its range, a shape does not fit, a number is not finite, or K + alpha is singular to rounding.
    pub fn fit(x: ArrayView2<f64>, y: ArrayView2<f64>, settings: KernelRidgeSettings) -> Result<Self> {
        check_alpha(settings.alpha)?;
        check_zeta(settings.zeta)?;
        if x.nrows() != y.nrows() {
            let problem = format!("y has {} rows", y.nrows());
            return Err(Error::setting("rows of X", x.nrows(), problem, "pass one row of y per row of X"));
        }
        check_finite("X", x, 0)?;
        check_finite("y", y, 0)?;
        let x = if settings.normalize { normalized(x) } else { x.to_owned() };
        let mut kernel = Array2::zeros((x.nrows(), x.nrows()));
        let rows: Vec<_> = kernel.axis_chunks_iter_mut(Axis(0), ROWS).enumerate().collect();
        rows.into_par_iter().for_each(|(chunk, mut rows)| {
            let (first, end) = (chunk * ROWS, chunk * ROWS + rows.nrows());
            let lower = rows.slice_mut(s![.., ..end]);
            powers_of_products(lower, x.slice(s![first..end, ..]), x.slice(s![..end, ..]), settings.zeta);
        });
        // No kernel is larger than the largest on the diagonal.
        if let Some(i) = kernel.diag().iter().position(|k| !k.is_finite()) {
            let problem = format!("the kernel of row {i} with itself overflows");
            return Err(Error::setting("zeta", settings.zeta, problem, "use a smaller zeta, or normalize the rows"));
        }
        kernel.diag_mut().iter_mut().for_each(|k| *k += settings.alpha);
        let scale = kernel.diag().iter().fold(0.0, |m: f64, &k| m.max(k));
        let singular = |pivot: usize, found: String| {
            let problem = format!("K + alpha is singular to rounding: {found} at row {pivot}");
            let remedy = format!("use an alpha above {:.0e}", scale * f64::EPSILON * x.nrows() as f64);
            Error::setting("alpha", settings.alpha, problem, remedy)
        };
        cholesky(kernel.view_mut()).map_err(|pivot| singular(pivot, "a pivot that is not positive".to_string()))?;
        let smallest = f64::EPSILON * scale * x.nrows() as f64;
        if let Some((i, l)) = kernel.diag().iter().enumerate().find(|(_, l)| **l * **l <= smallest) {
            return Err(singular(i, format!("pivot {:.1e}", l * l)));
        }
        let mut weights = y.to_owned();
        solve_lower(kernel.view(), weights.view_mut());
        solve_upper(kernel.t(), weights.view_mut());
        Ok(KernelRidge { settings, x, weights })
    }

    /// A model from its rows and weights, as they were stored.
    ///
    /// # Errors
    /// If a shape does not fit, or a number is not finite.
    pub fn from_parts(x: Array2<f64>, weights: Array2<f64>, settings: KernelRidgeSettings) -> Result<Self> {
        check_alpha(settings.alpha)?;
        check_zeta(settings.zeta)?;
        if x.nrows() != weights.nrows() {
            let problem = format!("there are weights for {}", weights.nrows());
            return Err(Error::setting("rows of X", x.nrows(), problem, "pass one row of weights per row of X"));
        }
        check_finite("X", x.view(), 0)?;
        check_finite("weights", weights.view(), 0)?;
        Ok(KernelRidge { settings, x, weights })
    }

    /// Predictions `[row, target]` for rows `x` `[row, feature]`, in blocks of rows.
    ///
    /// # Errors
    /// If the columns differ or a number is not finite.
    pub fn predict(&self, x: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_columns(x, self.x.ncols())?;
        check_finite("X", x, 0)?;
        let mut y = Array2::zeros((x.nrows(), self.weights.ncols()));
        let blocks: Vec<_> = y.axis_chunks_iter_mut(Axis(0), ROWS).zip(x.axis_chunks_iter(Axis(0), ROWS)).collect();
        blocks.into_par_iter().for_each(|(y, x)| {
            let x = if self.settings.normalize { normalized(x) } else { x.to_owned() };
            let mut kernel = Array2::zeros((x.nrows(), self.x.nrows()));
            powers_of_products(kernel.view_mut(), x.view(), self.x.view(), self.settings.zeta);
            add_product(y, 1.0, kernel.view(), self.weights.view());
        });
        Ok(y)
    }

    /// Rows that were fitted, divided by their norms if so set.
    pub fn x(&self) -> ArrayView2<'_, f64> {
        self.x.view()
    }

    /// Weights `[row, target]`.
    pub fn weights(&self) -> ArrayView2<'_, f64> {
        self.weights.view()
    }
}

fn normalized(x: ArrayView2<f64>) -> Array2<f64> {
    let mut x = x.to_owned();
    for mut row in x.rows_mut() {
        // Scaled first, so that no square overflows or vanishes.
        let largest = row.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        if largest > 0.0 {
            row.iter_mut().for_each(|x| *x /= largest);
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter_mut().for_each(|x| *x /= norm);
        }
    }
    x
}

fn check_zeta(zeta: u32) -> Result<()> {
    if (1..=i32::MAX as u32).contains(&zeta) {
        return Ok(());
    }
    Err(Error::setting("zeta", zeta, "the power of the dot product is 1 or more", "use 1, 2, …"))
}

fn check_columns(x: ArrayView2<f64>, columns: usize) -> Result<()> {
    if x.ncols() == columns {
        return Ok(());
    }
    let (value, problem) = (format!("{} columns", x.ncols()), format!("{columns} were expected"));
    Err(Error::setting("X", value, problem, "pass the same features"))
}
