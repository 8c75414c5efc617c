use std::collections::BTreeMap;

use ndarray::{Array2, Array3, ArrayView2, Axis, concatenate, s};
use serde::{Deserialize, Serialize};

use super::factor::{check_alpha, check_finite};
use super::relative_alpha::at_end;
use super::{Factor, LeastSquares, Solver};
use crate::linalg::norm;
use crate::{Error, Result};

/// Settings of a [`RidgeRegression`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RidgeSettings {
    /// Whether a constant, which is not regularised, is fitted besides: as if the mean were taken from X and y.
    pub fit_intercept: bool,
    /// Number of parts of the rows, each of which is predicted from the others; 1: none is.
    pub folds: usize,
    /// How the least squares problem is solved.
    pub solver: Solver,
}

impl Default for RidgeSettings {
    fn default() -> Self {
        RidgeSettings { fit_intercept: true, folds: 1, solver: Solver::Qr }
    }
}

/// Ridge regression of rows that come one after another:
///
/// ```text
/// min |Xw + b − y|² + alpha |w|²
/// ```
///
/// X has axes `[row, feature]`, y `[row, target]`. One pass over the rows serves all alphas and all errors by
/// cross-validation: each fold keeps its own triangle R_k (see [`LeastSquares`], also for the memory, per fold), that of the
/// training rows of fold k is the triangle of all others on top of each other, and the error of weights w on the rows of
/// fold k is |R_k w − Qᵀy_k|² plus what no weights explain. The constant b is the weight of a first column of ones,
/// whose reflection takes the mean from all other columns.
///
/// ```
/// use ndarray::array;
/// use rhobasis::models::{RidgeRegression, RidgeSettings};
///
/// let (x, y) = (array![[0.0], [1.0], [2.0], [3.0]], array![[1.0], [3.0], [5.0], [7.0]]);
/// let mut ridge = RidgeRegression::new(1, 1, RidgeSettings { folds: 2, ..Default::default() })?;
/// ridge.add(x.view(), y.view(), &[0, 0, 1, 1])?;
/// let fit = ridge.fit(&[1e-8, 1.0, 100.0])?;
/// assert_eq!(fit.best, 0); // y = 1 + 2x, exactly
/// assert!((fit.coefficients[[0, 0, 0]] - 2.0).abs() < 1e-7 && (fit.intercepts[[0, 0]] - 1.0).abs() < 1e-7);
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RidgeRegression {
    settings: RidgeSettings,
    n_features: usize,
    folds: Vec<LeastSquares>,
}

/// Ridge regression for each alpha.
#[derive(Debug, Clone)]
pub struct RidgeFit {
    /// Weights `[alpha, feature, target]`.
    pub coefficients: Array3<f64>,
    /// Constants `[alpha, target]`; zero without intercept.
    pub intercepts: Array2<f64>,
    /// Mean squared errors `[alpha, fold]` of each fold predicted from the others, over its rows and all targets; no
    /// columns without folds.
    pub errors: Array2<f64>,
    /// Index of the alpha with the smallest squared error over all rows (of equals the first); 0 without folds.
    pub best: usize,
    /// What the user should know: that the best alpha stands at an end of the list.
    pub warnings: Vec<String>,
    /// Condition number of X (its mean taken out where an intercept is fitted).
    pub condition_number: f64,
}

/// Sizes of numbers whose squares are numbers of eight bytes, with digits to spare.
const SQUARES: std::ops::Range<f64> = 1e-140..1e140;

impl RidgeRegression {
    /// No rows yet.
    ///
    /// # Errors
    /// If the number of folds is 0.
    pub fn new(n_features: usize, n_targets: usize, settings: RidgeSettings) -> Result<Self> {
        if settings.folds == 0 {
            return Err(Error::setting(
                "folds",
                0,
                "the rows are in at least one part",
                "use 1, or 2 or more to validate",
            ));
        }
        let columns = n_features + usize::from(settings.fit_intercept);
        let folds = vec![LeastSquares::new(columns, n_targets, settings.solver); settings.folds];
        Ok(RidgeRegression { settings, n_features, folds })
    }

    /// Adds rows: `x` `[row, feature]`, `y` `[row, target]`, and the fold of each row. Rows that are not independent, as
    /// the atoms of a structure or its copies, belong into one fold.
    ///
    /// # Errors
    /// If a shape does not fit, a fold does not exist, a number is not finite, or squares that the Cholesky solver needs vanish;
    /// no row has been added then.
    pub fn add(&mut self, x: ArrayView2<f64>, y: ArrayView2<f64>, folds: &[usize]) -> Result<()> {
        self.check(x, y, folds)?;
        let mut start = 0;
        for run in folds.chunk_by(|a, b| a == b) {
            // Rows of one fold, as many at a time as need little memory once more.
            for first in (start..start + run.len()).step_by(512) {
                let rows = first..(start + run.len()).min(first + 512);
                let (x, y) = (x.slice(s![rows.clone(), ..]), y.slice(s![rows, ..]));
                let x = self.with_ones(x);
                self.folds[run[0]].add(x.view(), y)?;
            }
            start += run.len();
        }
        Ok(())
    }

    fn with_ones(&self, x: ArrayView2<f64>) -> Array2<f64> {
        let ones = Array2::ones((x.nrows(), usize::from(self.settings.fit_intercept)));
        concatenate(Axis(1), &[ones.view(), x]).expect("as many ones as rows")
    }

    fn check(&self, x: ArrayView2<f64>, y: ArrayView2<f64>, folds: &[usize]) -> Result<()> {
        if x.ncols() != self.n_features {
            let (value, problem) = (format!("{} columns", x.ncols()), format!("{} were expected", self.n_features));
            return Err(Error::setting("X", value, problem, "pass the same features"));
        }
        if y.ncols() != self.folds[0].n_targets() {
            let problem = format!("there are {} targets", self.folds[0].n_targets());
            return Err(Error::setting("y", format!("{} columns", y.ncols()), problem, "pass one column per target"));
        }
        if let Some(fold) = folds.iter().find(|&&fold| fold >= self.folds.len()) {
            let problem = format!("there are {} folds", self.folds.len());
            return Err(Error::setting("folds", fold, problem, "count them from 0"));
        }
        if folds.len() != x.nrows() || y.nrows() != x.nrows() {
            let (value, problem) = (x.nrows(), format!("y has {} rows, folds {}", y.nrows(), folds.len()));
            return Err(Error::setting("rows of X", value, problem, "pass a row of y and a fold for each row of X"));
        }
        check_finite("X", x, self.n_rows())?;
        check_finite("y", y, self.n_rows())?;
        let largest = x.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        if self.settings.solver == Solver::Cholesky && largest > 0.0 && largest < SQUARES.start {
            let value = format!("numbers up to {largest:e}");
            return Err(Error::setting(
                "X",
                value,
                "the normal equations vanish",
                "scale the columns, or use the QR solver",
            ));
        }
        Ok(())
    }

    /// Rows added so far.
    pub fn n_rows(&self) -> usize {
        self.folds.iter().map(LeastSquares::n_rows).sum()
    }

    /// Weights, constants and errors for each alpha; rows may be added afterwards.
    ///
    /// One alpha is solved from the triangle (see [`Factor::ridge`]), several from its singular values ([`Factor::path`]).
    ///
    /// # Errors
    /// If there are no rows at all or none in a fold, squared errors of folds overflow or vanish, an alpha is negative or not finite, there is no alpha, or the columns
    /// depend linearly on one another and the one alpha is 0.
    pub fn fit(&self, alphas: &[f64]) -> Result<RidgeFit> {
        alphas.iter().try_for_each(|&alpha| check_alpha(alpha))?;
        if alphas.is_empty() {
            return Err(Error::setting("alpha", "[]", "there is no regularisation to fit with", "pass at least one"));
        }
        if let Some(empty) = self.folds.iter().position(|fold| fold.n_rows() == 0) {
            let problem = format!("fold {empty} has no rows ({} in all)", self.n_rows());
            return Err(Error::setting("folds", self.folds.len(), problem, "use fewer folds, or add rows to it"));
        }
        let factors = self.folds.iter().map(LeastSquares::factor).collect::<Result<Vec<_>>>()?;
        let of_others = |without: Option<usize>| {
            let mut others = factors.iter().enumerate().filter(|(k, _)| Some(*k) != without).map(|(_, factor)| factor);
            let first = others.next().cloned().unwrap_or_else(|| factors[0].clone());
            others.try_fold(first, |merged, other| merged.merged(other))
        };
        let whole = of_others(None)?;
        let (weights, condition_number) = self.solve(&whole, alphas)?;
        let n_errors = if factors.len() > 1 { factors.len() } else { 0 };
        let size = norm(whole.qty());
        if n_errors > 0 && size > 0.0 && !SQUARES.contains(&size) {
            let problem = "squared errors of the folds are too large or too small for numbers of eight bytes";
            return Err(Error::setting("y", format!("norm {size:e}"), problem, "divide y by its largest number"));
        }
        drop(whole);
        let mut errors = Array2::zeros((alphas.len(), n_errors));
        let mut squares = vec![0.0; alphas.len()];
        for (k, mut errors) in errors.columns_mut().into_iter().enumerate() {
            let (weights, _) = self.solve(&of_others(Some(k))?, alphas)?;
            for (a, weights) in weights.outer_iter().enumerate() {
                let sum = factors[k].squared_residual(weights)?.sum();
                squares[a] += sum;
                errors[a] = sum / (factors[k].n_rows() * factors[k].left().len().max(1)) as f64;
            }
        }
        let best = (0..alphas.len()).reduce(|best, a| if squares[a] < squares[best] { a } else { best }).unwrap_or(0);
        let skip = usize::from(self.settings.fit_intercept);
        let intercepts = match skip {
            0 => Array2::zeros((weights.dim().0, weights.dim().2)),
            _ => weights.index_axis(Axis(1), 0).to_owned(),
        };
        let coefficients = weights.slice(s![.., skip.., ..]).to_owned();
        let warnings = at_end(alphas, alphas[best]).into_iter().filter(|_| n_errors > 0).collect();
        Ok(RidgeFit { coefficients, intercepts, errors, best, warnings, condition_number })
    }

    /// Weights `[alpha, column, target]`, the constant being that of the first column, and the condition number.
    fn solve(&self, factor: &Factor, alphas: &[f64]) -> Result<(Array3<f64>, f64)> {
        let path = |factor: &Factor| -> Result<Array3<f64>> {
            match alphas {
                [alpha] => factor.ridge(*alpha).map(|w| w.insert_axis(Axis(0))),
                _ => factor.path(alphas),
            }
        };
        if !self.settings.fit_intercept {
            return Ok((path(factor)?, factor.condition_number()));
        }
        let (centred, row) = factor.split_first();
        let w = path(&centred)?;
        let mut constants = Array2::zeros((w.dim().0, w.dim().2));
        let n = centred.r().ncols();
        for ((a, t), b) in constants.indexed_iter_mut() {
            let means: f64 = w.slice(s![a, .., t]).iter().zip(row.slice(s![1..=n]).iter()).map(|(w, r)| w * r).sum();
            *b = (row[1 + n + t] - means) / row[0];
        }
        let weights = concatenate(Axis(1), &[constants.insert_axis(Axis(1)).view(), w.view()]).expect("shapes of w");
        Ok((weights, centred.condition_number()))
    }

    /// Everything this holds, as arrays by name (`0/sums` for fold 0, and so on), for a checkpoint.
    pub fn to_arrays(&self) -> BTreeMap<String, Array2<f64>> {
        let folds = self.folds.iter().enumerate();
        folds
            .flat_map(|(k, fold)| fold.to_arrays().into_iter().map(move |(name, a)| (format!("{k}/{name}"), a)))
            .collect()
    }

    /// Back from [`RidgeRegression::to_arrays`], with the same settings.
    ///
    /// # Errors
    /// If an array is missing or does not fit.
    pub fn from_arrays(settings: RidgeSettings, arrays: &BTreeMap<String, Array2<f64>>) -> Result<Self> {
        let mut state = RidgeRegression::new(0, 0, settings)?;
        for (k, fold) in state.folds.iter_mut().enumerate() {
            let prefix = format!("{k}/");
            let own = arrays.iter().filter_map(|(name, a)| Some((name.strip_prefix(&prefix)?.to_string(), a.clone())));
            *fold = LeastSquares::from_arrays(settings.solver, &own.collect())?;
        }
        state.n_features = state.folds[0].n_columns().saturating_sub(usize::from(settings.fit_intercept));
        Ok(state)
    }
}
