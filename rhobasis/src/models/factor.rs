use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, concatenate, s};
use rayon::prelude::*;

use super::packed::PackedTriangle;
use super::solver::{Solver, check_triangle};
use crate::linalg::{self, Upper, add_product, append_rows, solve_lower, solve_upper};
use crate::{Error, Result};

/// Rows of a triangle that are appended to another at a time.
const STEP: usize = 512;

/// A factorised least squares problem: R upper triangular with RᵀR = XᵀX, Qᵀy, and the squared norm of y left over.
#[derive(Debug, Clone)]
pub struct Factor {
    pub(super) solver: Solver,
    /// `[R | Qᵀy]`.
    pub(super) triangle: Array2<f64>,
    pub(super) left: Array1<f64>,
    pub(super) n_rows: usize,
}

impl Factor {
    /// From R `[column, column]`, `Qᵀy` `[column, target]` and the squared norm left over of each target, as they were stored.
    /// Only the upper triangle of `r` is read.
    ///
    /// # Errors
    /// If the shapes do not fit or a number is not finite.
    pub fn from_r(
        r: ArrayView2<f64>,
        qty: ArrayView2<f64>,
        left: &[f64],
        n_rows: usize,
        solver: Solver,
    ) -> Result<Self> {
        if r.nrows() != r.ncols() || qty.dim() != (r.nrows(), left.len()) {
            let shapes = format!("R {:?}, qty {:?}, {} squared norms", r.dim(), qty.dim(), left.len());
            return Err(Error::setting("r", shapes, "these shapes do not belong together", "pass those of one factor"));
        }
        check_finite("r", r, 0)?;
        check_finite("qty", qty, 0)?;
        check_finite("left", ArrayView2::from_shape((1, left.len()), left).expect("one row"), 0)?;
        let mut triangle = joined(&r.to_owned(), &qty.to_owned());
        for (i, mut row) in triangle.rows_mut().into_iter().enumerate() {
            row.slice_mut(s![..i]).fill(0.0);
        }
        Ok(Factor { solver, triangle, left: left.to_vec().into(), n_rows })
    }

    /// With the zeros that a packed triangle does without.
    pub(crate) fn of_packed(packed: PackedTriangle, solver: Solver) -> Self {
        Factor { solver, triangle: packed.to_square(), left: packed.left, n_rows: packed.n_rows }
    }

    /// R `[column, column]`, zero below the diagonal; the signs of its rows are as they come.
    pub fn r(&self) -> ArrayView2<'_, f64> {
        self.triangle.slice(s![.., ..self.triangle.nrows()])
    }

    /// `Qᵀy` `[column, target]`.
    pub fn qty(&self) -> ArrayView2<'_, f64> {
        self.triangle.slice(s![.., self.triangle.nrows()..])
    }

    /// Squared norm of each target that no weights explain: min |Xw − y|².
    pub fn left(&self) -> &Array1<f64> {
        &self.left
    }

    /// Rows of X.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Weights `[column, target]` of min |Xw − y|².
    ///
    /// # Errors
    /// If the columns of X depend linearly on one another to rounding; the message gives the condition number.
    pub fn solve(&self) -> Result<Array2<f64>> {
        self.check_rank()?;
        let mut w = self.qty().to_owned();
        solve_upper(self.r(), w.view_mut());
        Ok(w)
    }

    /// Weights `[column, target]` of min |Xw − y|² + alpha |w|²: R gets the rows √alpha · 1.
    ///
    /// # Errors
    /// If `alpha` is negative or not finite, or as [`Factor::solve`] if it is zero or too small to matter.
    pub fn ridge(&self, alpha: f64) -> Result<Array2<f64>> {
        check_alpha(alpha)?;
        if alpha == 0.0 {
            return self.solve();
        }
        self.regularised(alpha)?.solve()
    }

    /// The factor of the rows √alpha · 1 besides those of X: that of min |Xw − y|² + alpha |w|².
    ///
    /// # Errors
    /// If `alpha` is negative, not finite, or so large that sums are.
    pub fn regularised(&self, alpha: f64) -> Result<Self> {
        check_alpha(alpha)?;
        let (n, all) = self.triangle.dim();
        let mut regular = self.clone();
        for first in (0..n).step_by(STEP) {
            let mut rows = Array2::zeros((STEP.min(n - first), all));
            for (i, mut row) in rows.rows_mut().into_iter().enumerate() {
                row[first + i] = alpha.sqrt();
            }
            append(&mut regular.triangle, &mut regular.left, &mut rows, first);
        }
        check_triangle("alpha", alpha, &regular.triangle)?;
        Ok(regular)
    }

    /// Largest singular value of X.
    pub fn largest_singular_value(&self) -> f64 {
        self.upper().largest_singular_value()
    }

    /// Largest singular value of X over the smallest, infinite where that is zero; where it is rounding of the largest, a large
    /// number that says no more than that.
    pub fn condition_number(&self) -> f64 {
        self.upper().condition_number()
    }

    fn upper(&self) -> Upper<'_> {
        let (n, all) = self.triangle.dim();
        let numbers = self.triangle.as_slice().expect("made so, by rows");
        Upper::new((0..n).map(|i| &numbers[i * all + i..i * all + n]).collect())
    }

    /// Weights `[alpha, column, target]` of min |Xw − y|² + alpha |w|² for many alphas, from one singular value
    /// decomposition R = U diag(s) Vᵀ:
    ///
    /// ```text
    /// w = V diag(s / (s² + alpha)) Uᵀ Qᵀy
    /// ```
    ///
    /// Singular values below rounding of the largest count as zero, so alpha = 0 gives the shortest of all solutions.
    ///
    /// # Errors
    /// If an alpha is negative or not finite.
    pub fn path(&self, alphas: &[f64]) -> Result<Array3<f64>> {
        alphas.iter().try_for_each(|&alpha| check_alpha(alpha))?;
        let (n, n_targets) = self.qty().dim();
        let mut path = Array3::zeros((alphas.len(), n, n_targets));
        let (u, values, vt) = linalg::svd_thin(self.r());
        let mut turned = Array2::zeros((n, n_targets));
        add_product(turned.view_mut(), 1.0, u.t(), self.qty());
        drop(u);
        let largest = values.first().copied().unwrap_or(0.0);
        let smallest = self.solver.rounding(n) * largest;
        for (&alpha, w) in alphas.iter().zip(path.outer_iter_mut()) {
            let mut shrunk = turned.clone();
            for (mut row, &s) in shrunk.rows_mut().into_iter().zip(&values) {
                let factor = if s > smallest { 1.0 / (s + alpha / s) } else { 0.0 };
                row.iter_mut().for_each(|x| *x *= factor);
            }
            add_product(w, 1.0, vt.t(), shrunk.view());
        }
        Ok(path)
    }

    /// |R⁻ᵀx|² = xᵀ(XᵀX)⁻¹x of each row of `x` `[row, column]`: the leverage, which times the variance of the noise is the
    /// variance of a prediction.
    ///
    /// # Errors
    /// As [`Factor::solve`], or if `x` has other columns or is not finite.
    pub fn quadratic(&self, x: ArrayView2<f64>) -> Result<Array1<f64>> {
        if x.ncols() != self.r().ncols() {
            let problem = format!("the factor has {} columns", self.r().ncols());
            return Err(Error::setting("X", columns(x), problem, "pass the same columns"));
        }
        check_finite("X", x, 0)?;
        self.check_rank()?;
        let blocks: Vec<_> = x.axis_chunks_iter(Axis(0), 256).collect();
        let parts = blocks.into_par_iter().map(|x| {
            let mut solved = x.t().to_owned();
            solve_lower(self.r().t(), solved.view_mut());
            solved.columns().into_iter().map(|z| z.iter().map(|z| z * z).sum()).collect::<Array1<f64>>()
        });
        let parts: Vec<_> = parts.collect();
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        Ok(if views.is_empty() { Array1::zeros(0) } else { concatenate(Axis(0), &views).expect("vectors join") })
    }

    /// The factor of the rows of both, of the same columns and targets.
    ///
    /// # Errors
    /// If the columns or targets differ, or sums are not finite.
    pub fn merged(&self, other: &Factor) -> Result<Factor> {
        if self.triangle.dim() != other.triangle.dim() {
            let (value, problem) = (format!("{:?}", other.triangle.dim()), "the shape of [R | Qᵀy] differs");
            return Err(Error::setting("other", value, problem, "merge factors of the same columns and targets"));
        }
        let mut merged = self.clone();
        for first in (0..self.triangle.nrows()).step_by(STEP) {
            let end = self.triangle.nrows().min(first + STEP);
            let mut rows = other.triangle.slice(s![first..end, ..]).to_owned();
            append(&mut merged.triangle, &mut merged.left, &mut rows, first);
        }
        merged.left += &other.left;
        merged.n_rows += other.n_rows;
        check_triangle("X", format!("{} rows", merged.n_rows), &merged.triangle)?;
        Ok(merged)
    }

    /// Takes the first column for that of an intercept b: what remains for the others, min |R w − z|² of the columns and
    /// targets with their means taken out, and the row (r_0, r | z_0) that then gives b = (z_0 − r w) / r_0.
    ///
    /// A column that is constant to rounding becomes zero: left as it is, its rounding would be fitted.
    pub(super) fn split_first(&self) -> (Factor, Array1<f64>) {
        let mut triangle = self.triangle.slice(s![1.., 1..]).to_owned();
        let rounding = match self.solver {
            Solver::Qr => 64.0 * f64::EPSILON,
            Solver::Cholesky => (64.0 * f64::EPSILON).sqrt(),
        };
        let means = self.triangle.slice(s![0, 1..self.triangle.nrows()]);
        for (mut column, mean) in triangle.columns_mut().into_iter().zip(means) {
            if linalg::norm(&column) <= rounding * mean.abs() {
                column.fill(0.0);
            }
        }
        (Factor { triangle, left: self.left.clone(), ..*self }, self.triangle.row(0).to_owned())
    }

    /// |Xw − y|² of each target for weights `[column, target]`.
    ///
    /// # Errors
    /// If the shape of `w` does not fit.
    pub fn squared_residual(&self, w: ArrayView2<f64>) -> Result<Array1<f64>> {
        if w.dim() != self.qty().dim() {
            let (value, problem) = (format!("{:?}", w.dim()), format!("the shape is {:?}", self.qty().dim()));
            return Err(Error::setting("w", value, problem, "pass weights [column, target]"));
        }
        let mut rest = self.qty().to_owned();
        add_product(rest.view_mut(), -1.0, self.r(), w);
        let sums = rest.columns().into_iter().map(|rest| rest.iter().map(|x| x * x).sum::<f64>());
        Ok(sums.zip(&self.left).map(|(sum, left)| sum + left).collect())
    }

    fn check_rank(&self) -> Result<()> {
        let (n, rows) = (self.triangle.nrows(), self.n_rows);
        let condition = self.upper().condition_estimate();
        if !self.solver.is_singular(condition, n) {
            return Ok(());
        }
        let problem = format!(
            "the {n} columns of X depend linearly on one another to rounding, with {rows} rows: condition number about \
             {condition:.1e}"
        );
        let remedy = match self.solver {
            Solver::Cholesky => "use the QR solver, an alpha above 0, fewer columns or more rows",
            Solver::Qr => "use an alpha above 0, fewer columns or more rows",
        };
        Err(Error::setting("X", format!("{rows} × {n}"), problem, remedy))
    }
}

pub(super) fn check_alpha(alpha: f64) -> Result<()> {
    if alpha.is_finite() && alpha >= 0.0 {
        return Ok(());
    }
    Err(Error::setting("alpha", alpha, "the regularisation is a number of 0 or more", "use 0 or more"))
}

/// Appends rows to `[R | Qᵀy]` and what they leave to the squared norms.
pub(super) fn append(triangle: &mut Array2<f64>, left: &mut Array1<f64>, rows: &mut Array2<f64>, first: usize) {
    let n = triangle.nrows();
    append_rows(triangle.view_mut(), rows.view_mut(), first);
    for (left, rest) in left.iter_mut().zip(rows.slice(s![.., n..]).columns()) {
        *left += rest.iter().map(|x| x * x).sum::<f64>();
    }
}

pub(super) fn joined(r: &Array2<f64>, z: &Array2<f64>) -> Array2<f64> {
    let mut both = Array2::zeros((r.nrows(), r.ncols() + z.ncols()));
    both.slice_mut(s![.., ..r.ncols()]).assign(r);
    both.slice_mut(s![.., r.ncols()..]).assign(z);
    both
}

pub(super) fn columns(a: ArrayView2<f64>) -> String {
    format!("{} columns", a.ncols())
}

/// Refuses a number that is not finite with its row, counted from `first`, and column.
pub(super) fn check_finite(name: &'static str, a: ArrayView2<f64>, first: usize) -> Result<()> {
    match a.indexed_iter().find(|(_, x)| !x.is_finite()) {
        Some(((i, j), x)) => {
            let problem = format!("row {}, column {j} is not finite", first + i);
            Err(Error::setting(name, x, problem, "remove the row or the column"))
        }
        None => Ok(()),
    }
}
