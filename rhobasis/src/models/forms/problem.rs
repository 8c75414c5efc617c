use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, s};

use crate::linalg::{add_product, append_rows, set_product, solve_upper};
use crate::models::factor::Factor;
use crate::{Error, Result};

/// One quadratic form: which columns of the fit hold its products, and which of its channels belong to which set.
///
/// Columns are the upper triangle of c cᵀ, row by row: c_α c_β for α ≤ β, times √2 for α ≠ β.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// The first of its columns.
    pub first: usize,
    /// Number of channels c.
    pub n_channels: usize,
    /// Sets of channels that are combined alike wherever they occur: which set, and its first channel here. Channels of no set
    /// are left out.
    pub sets: Vec<(usize, usize)>,
}

impl Form {
    /// Its columns.
    pub(super) fn columns(&self) -> Range<usize> {
        self.first..self.first + n_pairs(self.n_channels)
    }
}

/// A least squares problem whose columns are products of channels, as a function of the combinations of channels that its model
/// may see.
#[derive(Debug)]
pub struct QuadraticForms<'a> {
    pub(super) factor: &'a Factor,
    pub(super) forms: &'a [Form],
    /// Standard deviations of the channels of each set: only where the search starts depends on them.
    pub(super) deviations: &'a [Array1<f64>],
}

/// The best model for some combinations.
#[derive(Debug, Clone)]
pub(super) struct Best {
    /// R T(U) `[row, parameter]`.
    pub matrix: Array2<f64>,
    /// Its triangle.
    pub triangle: Array2<f64>,
    /// w of each form.
    pub weights: Vec<Array2<f64>>,
    /// R T(U) w − Qᵀy.
    pub residual: Array1<f64>,
    /// Its squared norm.
    pub loss: f64,
}

impl<'a> QuadraticForms<'a> {
    /// `factor` holds the fit of one target with its regulariser; `deviations` the standard deviations of the channels of each
    /// set, in falling order of importance.
    ///
    /// # Errors
    /// If forms and factor do not belong together, or there is not one target.
    pub fn new(factor: &'a Factor, forms: &'a [Form], deviations: &'a [Array1<f64>]) -> Result<Self> {
        let (n, n_targets) = factor.qty().dim();
        let wrong =
            |problem: String| Error::setting("forms", forms.len(), problem, "describe each column of the factor");
        if n_targets != 1 {
            return Err(wrong(format!("the factor has {n_targets} targets instead of one")));
        }
        let mut end = 0;
        for form in forms {
            let fits = |&(set, first): &(usize, usize)| {
                deviations.get(set).is_some_and(|of| first + of.len() <= form.n_channels)
            };
            if form.first != end || !form.sets.iter().all(fits) {
                return Err(wrong(format!("{form:?} does not follow column {end}, or names sets that it cannot hold")));
            }
            end = form.columns().end;
        }
        if end != n {
            return Err(wrong(format!("they have {end} columns, and the factor has {n}")));
        }
        Ok(QuadraticForms { factor, forms, deviations })
    }

    /// Channels of each set.
    pub(super) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.deviations.iter().map(Array1::len)
    }

    /// min_w |R T(U) w − Qᵀy|² for combinations U `[combination, channel]` of each set, rows orthonormal, and its gradient by
    /// U along the manifold: orthogonal to the rows of U.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn loss_and_gradient(&self, rows: &[Array2<f64>]) -> Result<(f64, Vec<Array2<f64>>)> {
        self.check(rows)?;
        let best = self.best(rows);
        Ok((best.loss, self.gradient(rows, &best)))
    }

    pub(super) fn check(&self, rows: &[Array2<f64>]) -> Result<()> {
        if rows.iter().map(Array2::ncols).eq(self.sizes()) {
            return Ok(());
        }
        let problem = "one matrix [combination, channel] is needed for each set";
        Err(Error::setting("rows", rows.len(), problem, "pass one for each set of channels"))
    }

    pub(super) fn best(&self, rows: &[Array2<f64>]) -> Best {
        let n = self.factor.qty().nrows();
        let combined: Vec<_> = self.forms.iter().map(|form| stacked(form, rows)).collect();
        let counts: Vec<usize> = combined.iter().map(|v| n_pairs(v.nrows())).collect();
        let n_parameters = counts.iter().sum();
        let mut matrix = Array2::zeros((n, n_parameters + 1));
        let mut first = 0;
        for ((form, v), count) in self.forms.iter().zip(&combined).zip(&counts) {
            let columns = form.columns();
            // R is zero below its diagonal.
            let part = matrix.slice_mut(s![..columns.end, first..first + count]);
            set_product(part, self.factor.r().slice(s![..columns.end, columns]), lifts(v).view());
            first += count;
        }
        matrix.column_mut(n_parameters).assign(&self.factor.qty().column(0));
        let mut triangle = Array2::zeros((n_parameters, n_parameters + 1));
        append_rows(triangle.view_mut(), matrix.clone().view_mut(), 0);
        let mut w = triangle.slice(s![.., n_parameters..]).to_owned();
        let triangle = triangle.slice(s![.., ..n_parameters]).to_owned();
        solve_upper(triangle.view(), w.view_mut());
        let mut residual = Array2::zeros((n, 1));
        let matrix_of_weights = matrix.slice(s![.., ..n_parameters]);
        set_product(residual.view_mut(), matrix_of_weights, w.view());
        residual -= &self.factor.qty();
        let mut first = 0;
        let unpacked = |(v, count): (&Array2<f64>, &usize)| {
            first += count;
            symmetric(w.slice(s![first - count..first, 0]), v.nrows())
        };
        let weights = combined.iter().zip(&counts).map(unpacked).collect();
        let residual = residual.column(0).to_owned();
        let loss = residual.dot(&residual);
        Best { matrix: matrix_of_weights.to_owned(), triangle, weights, residual, loss }
    }

    pub(super) fn gradient(&self, rows: &[Array2<f64>], best: &Best) -> Vec<Array2<f64>> {
        let g = self.factor.r().t().dot(&best.residual);
        let mut gradient: Vec<Array2<f64>> = rows.iter().map(|u| Array2::zeros(u.dim())).collect();
        for (form, w) in self.forms.iter().zip(&best.weights) {
            let g = symmetric(g.slice(s![form.columns()]), form.n_channels);
            let whole = 4.0 * w.dot(&stacked(form, rows)).dot(&g);
            for (set, combinations, channels) in places(form, rows) {
                gradient[set] += &whole.slice(s![combinations, channels]);
            }
        }
        for (gradient, u) in gradient.iter_mut().zip(rows) {
            *gradient = &*gradient - &gradient.dot(&u.t()).dot(u);
        }
        gradient
    }

    /// d(R v)/dz of the weights v of the products for motions z of each combination of each set along each of `directions`
    /// `[direction, channel]`, w held: `[row, (set, combination, direction)]`.
    pub(super) fn motions(
        &self,
        rows: &[Array2<f64>],
        directions: &[Array2<f64>],
        weights: &[Array2<f64>],
    ) -> Array2<f64> {
        let starts = consecutive(rows.iter().zip(directions).map(|(u, p)| u.nrows() * p.nrows()));
        let n = self.factor.qty().nrows();
        let mut out = Array2::zeros((n, starts.last().map_or(0, |range| range.end)));
        for (form, w) in self.forms.iter().zip(weights) {
            let seen = w.dot(&stacked(form, rows)); // dE/d(U c), as a form of c
            let columns = form.columns();
            let r = self.factor.r();
            let r = r.slice(s![..columns.end, columns.clone()]);
            for (set, combinations, channels) in places(form, rows) {
                let directions = &directions[set];
                let mut lifted = Array2::zeros((columns.len(), combinations.len() * directions.nrows()));
                let mut p = Array1::zeros(form.n_channels);
                for (k, mut column) in lifted.columns_mut().into_iter().enumerate() {
                    p.slice_mut(s![channels.clone()]).assign(&directions.row(k % directions.nrows()));
                    let z = seen.row(combinations.start + k / directions.nrows());
                    pack_product(z, p.view(), 2.0, |i, x| column[i] = x);
                }
                add_product(out.slice_mut(s![..columns.end, starts[set].clone()]), 1.0, r, lifted.view());
            }
        }
        out
    }
}

/// Number of pairs (α, β), α ≤ β.
fn n_pairs(n: usize) -> usize {
    n * (n + 1) / 2
}

pub(super) fn consecutive(lengths: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut end = 0;
    lengths
        .map(|n| {
            end += n;
            end - n..end
        })
        .collect()
}

/// Which set, which of the combinations of the form, and which of its channels.
pub(super) fn places(form: &Form, rows: &[Array2<f64>]) -> Vec<(usize, Range<usize>, Range<usize>)> {
    let combinations = consecutive(form.sets.iter().map(|&(set, _)| rows[set].nrows()));
    let place = |(&(set, first), combinations): (&(usize, usize), Range<usize>)| {
        (set, combinations, first..first + rows[set].ncols())
    };
    form.sets.iter().zip(combinations).map(place).collect()
}

/// U of all channels of a form: `[combination, channel]`.
pub(super) fn stacked(form: &Form, rows: &[Array2<f64>]) -> Array2<f64> {
    let places = places(form, rows);
    let mut all = Array2::zeros((places.last().map_or(0, |(_, combinations, _)| combinations.end), form.n_channels));
    for (set, combinations, channels) in places {
        all.slice_mut(s![combinations, channels]).assign(&rows[set]);
    }
    all
}

/// T(U) of a form: `[pair of channels, pair of combinations]`. Its columns are orthonormal where the rows of U are.
fn lifts(v: &Array2<f64>) -> Array2<f64> {
    let q = v.nrows();
    let mut lifts = Array2::zeros((n_pairs(v.ncols()), n_pairs(q)));
    let mut k = 0;
    for a in 0..q {
        for b in a..q {
            let factor = if a == b { 1.0 } else { std::f64::consts::SQRT_2 };
            let mut column = lifts.column_mut(k);
            pack_product(v.row(a), v.row(b), factor, |i, x| column[i] = x);
            k += 1;
        }
    }
    lifts
}

/// The upper triangle of factor · (a bᵀ + b aᵀ)/2, row by row, times √2 off the diagonal.
fn pack_product(a: ArrayView1<f64>, b: ArrayView1<f64>, factor: f64, mut put: impl FnMut(usize, f64)) {
    let mut k = 0;
    for i in 0..a.len() {
        put(k, factor * a[i] * b[i]);
        for j in i + 1..a.len() {
            put(k + j - i, factor * (a[i] * b[j] + a[j] * b[i]) * std::f64::consts::FRAC_1_SQRT_2);
        }
        k += a.len() - i;
    }
}

/// The symmetric matrix of such a triangle.
pub(super) fn symmetric(packed: ArrayView1<f64>, n: usize) -> Array2<f64> {
    let mut matrix = Array2::zeros((n, n));
    let mut k = 0;
    for i in 0..n {
        for j in i..n {
            let x = if i == j { packed[k] } else { packed[k] * std::f64::consts::FRAC_1_SQRT_2 };
            (matrix[[i, j]], matrix[[j, i]]) = (x, x);
            k += 1;
        }
    }
    matrix
}
