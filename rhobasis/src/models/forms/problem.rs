use std::ops::Range;

use ndarray::{Array1, Array2, Axis, s};

use super::form::{Form, Lift};
use super::gram::Gram;
use super::lifts::{places, stacked, symmetric, weights_to_products};
use crate::linalg::{add_product, append_rows, cholesky, set_product, solve_lower, solve_upper};
use crate::models::factor::Factor;
use crate::{Error, Result};

/// Most corrections of a solution of the seminormal equations.
const CORRECTIONS: usize = 5;
/// They end where the loss falls by less than this fraction of it.
const SETTLED: f64 = 1e-13;

/// A least squares problem whose columns are products of channels, as a function of the combinations of channels that its model
/// may see.
#[derive(Debug)]
pub struct QuadraticForms<'a> {
    pub(super) factor: &'a Factor,
    pub(super) forms: &'a [Form],
    /// Standard deviations of the channels of each set: only where the search starts depends on them.
    pub(super) deviations: &'a [Array1<f64>],
    pub(super) gram: Gram,
}

/// The best model for some combinations.
#[derive(Debug, Clone)]
pub(super) struct Best {
    /// T(U) of each form.
    pub lifts: Vec<Lift>,
    /// L of TᵀRᵀRT = L Lᵀ.
    pub triangle: Array2<f64>,
    /// w of each form.
    pub weights: Vec<Array2<f64>>,
    /// The loss there.
    pub at: Slope,
}

/// |R v − Qᵀy|² of some weights v of the products, and half its slope, Rᵀ(R v − Qᵀy).
#[derive(Debug, Clone)]
pub(super) struct Slope {
    pub loss: f64,
    pub half: Array1<f64>,
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
        let gram = Gram::new(factor.r(), forms);
        Ok(QuadraticForms { factor, forms, deviations, gram })
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
        Ok((best.at.loss, self.gradient(rows, &best)))
    }

    pub(super) fn check(&self, rows: &[Array2<f64>]) -> Result<()> {
        if rows.iter().map(Array2::ncols).eq(self.sizes()) {
            return Ok(());
        }
        let problem = "one matrix [combination, channel] is needed for each set";
        Err(Error::setting("rows", rows.len(), problem, "pass one for each set of channels"))
    }

    /// The loss is that of R itself, however near singular RᵀR is: seminormal equations, corrected (Björck, Linear Algebra Appl.
    /// 88, 31 (1987)).
    pub(super) fn best(&self, rows: &[Array2<f64>]) -> Best {
        let lifts = weights_to_products(self.forms, rows);
        let triangle = self.triangle(&lifts);
        let mut w = Array1::zeros(triangle.nrows());
        let mut at = self.slope(&lifts, &w);
        for _ in 0..CORRECTIONS {
            let mut step = Array2::zeros((w.len(), 1));
            for (form, lift) in self.forms.iter().zip(&lifts) {
                let own = lift.matrix.t().dot(&at.half.slice(s![form.columns()]));
                step.slice_mut(s![parameters(lift), 0]).assign(&own);
            }
            solve_lower(triangle.view(), step.view_mut());
            solve_upper(triangle.t(), step.view_mut());
            let next = &w - &step.column(0);
            let there = self.slope(&lifts, &next);
            let gain = at.loss - there.loss;
            // Rounding, where it gains nothing.
            if gain.is_nan() || gain <= 0.0 {
                break;
            }
            (w, at) = (next, there);
            if gain <= SETTLED * at.loss {
                break;
            }
        }
        let unpacked = |(form, lift): (&Form, &Lift)| {
            let q = form.sets.iter().map(|&(set, _)| rows[set].nrows()).sum();
            symmetric(w.slice(s![parameters(lift)]), q)
        };
        let weights = self.forms.iter().zip(&lifts).map(unpacked).collect();
        Best { lifts, triangle, weights, at }
    }

    /// L of TᵀRᵀRT = L Lᵀ: by Cholesky factorisation, and by QR factorisation of R T where rounding leaves no positive matrix.
    fn triangle(&self, lifts: &[Lift]) -> Array2<f64> {
        let n_parameters = lifts.iter().map(|lift| lift.matrix.ncols()).sum();
        let mut triangle = self.gram.of(lifts, n_parameters);
        if cholesky(triangle.view_mut()).is_ok() {
            return triangle;
        }
        let r = self.factor.r();
        let mut matrix = Array2::zeros((r.nrows(), n_parameters));
        for (form, lift) in self.forms.iter().zip(lifts) {
            let columns = form.columns();
            let part = matrix.slice_mut(s![..columns.end, parameters(lift)]);
            set_product(part, r.slice(s![..columns.end, columns]), lift.matrix.view());
        }
        let mut triangle = Array2::zeros((n_parameters, n_parameters));
        append_rows(triangle.view_mut(), matrix.view_mut(), 0);
        triangle.reversed_axes()
    }

    fn slope(&self, lifts: &[Lift], w: &Array1<f64>) -> Slope {
        let r = self.factor.r();
        let mut residual = -&self.factor.qty();
        for (form, lift) in self.forms.iter().zip(lifts) {
            let columns = form.columns();
            let v = lift.matrix.dot(&w.slice(s![parameters(lift)])).insert_axis(Axis(1));
            let part = residual.slice_mut(s![..columns.end, ..]);
            add_product(part, 1.0, r.slice(s![..columns.end, columns]), v.view());
        }
        let mut half = Array2::zeros((r.ncols(), 1));
        for form in self.forms {
            let columns = form.columns();
            let (own, part) = (r.slice(s![..columns.end, columns.clone()]), residual.slice(s![..columns.end, ..]));
            set_product(half.slice_mut(s![columns, ..]), own.t(), part);
        }
        Slope { loss: residual.iter().map(|x| x * x).sum(), half: half.column(0).to_owned() }
    }

    pub(super) fn gradient(&self, rows: &[Array2<f64>], best: &Best) -> Vec<Array2<f64>> {
        let mut gradient: Vec<Array2<f64>> = rows.iter().map(|u| Array2::zeros(u.dim())).collect();
        for (form, w) in self.forms.iter().zip(&best.weights) {
            let g = symmetric(best.at.half.slice(s![form.columns()]), form.n_channels);
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
}

/// The parameters that the columns of T of a form stand for.
fn parameters(lift: &Lift) -> Range<usize> {
    let (columns, first) = &lift.goes[0];
    *first..first + columns.len()
}
