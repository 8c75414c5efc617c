//! What one set of features knows of another, and how far predictions are off. Matrices only.
//!
//! The reconstruction measures are those of Goscinski, Fraux, Imbalzano and Ceriotti, Mach. Learn.: Sci. Technol. 2, 025028
//! (2021), with the numerical choices of scikit-matter. X and Y have one row for each sample.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::linalg::{matmul, safe_factor, svd_polar, svd_thin};
use crate::{Error, Result};

/// Rows that train and test a reconstruction. Who shuffles them is not our business; the choice is part of the result.
#[derive(Debug, Clone, Copy)]
pub struct Split<'a> {
    /// Rows that are regressed on.
    pub train: &'a [usize],
    /// Rows that the error is of.
    pub test: &'a [usize],
    /// Two parts of the train rows, as places in `train`: each predicts the other to find the best cutoff.
    pub folds: [&'a [usize]; 2],
}

/// Global feature space reconstruction error of Y from X: 0 if X knows all that is linear in Y, 1 if nothing.
///
/// ```text
/// GFRE = sqrt(1/n_test Σ_i |y_i − x_i W|²)
/// ```
///
/// over the test rows. Both matrices are centred by their train mean and divided by the square root of their total train
/// variance (one number for a matrix). W is the least-squares solution on the train rows by singular value decomposition, cut
/// off at one of 20 values between 1e-9 and 0.9 of the largest singular value: that with the smallest error when each fold
/// predicts the other.
///
/// # Errors
/// If the rows do not match, an index is out of range, a set of rows is empty, a number is not finite, or a matrix is the same
/// in all train rows.
///
/// ```
/// use rhobasis::metrics::{Split, gfre};
/// let x = ndarray::Array2::from_shape_fn((8, 1), |(i, _)| i as f64);
/// let y = x.mapv(|x| 1.0 - 3.0 * x);
/// let split = Split { train: &[0, 2, 4, 6], test: &[1, 3, 5, 7], folds: [&[0, 2], &[1, 3]] };
/// assert!(gfre(x.view(), y.view(), split)? < 1e-12);
/// # Ok::<(), rhobasis::Error>(())
/// ```
pub fn gfre(x: ArrayView2<f64>, y: ArrayView2<f64>, split: Split) -> Result<f64> {
    let [x, y] = prepare(x, y, split)?;
    let weights = regress(x.train.view(), y.train.view(), split.folds);
    Ok(root_mean_square_rows((&y.test - &matmul(x.test.view(), weights.view())).view()))
}

/// Global feature space reconstruction distortion: what of the reconstruction of [`gfre`] is no rotation,
///
/// ```text
/// GFRD = sqrt(1/n_test Σ_i |x_i W − x_i Q|²)
/// ```
///
/// with Q orthogonal and closest to it on the train rows, the narrower matrix filled up with columns of zeros. Where XᵀXW has a
/// smaller rank than X has columns, Q is not unique and neither is the result.
///
/// # Errors
/// As [`gfre`].
pub fn gfrd(x: ArrayView2<f64>, y: ArrayView2<f64>, split: Split) -> Result<f64> {
    let [x, y] = prepare(x, y, split)?;
    let weights = regress(x.train.view(), y.train.view(), split.folds);
    let fitted = matmul(x.train.view(), weights.view());
    let rotation = svd_polar(matmul(x.train.t(), fitted.view()).view());
    let rotated = matmul(x.test.view(), rotation.view());
    let mut squared = square_sum((&matmul(x.test.view(), weights.view()) - &rotated).view());
    if weights.nrows() > weights.ncols() {
        // The rest of x_i Q meets the columns of zeros.
        squared += square_sum(x.test.view()) - square_sum(rotated.view());
    }
    Ok((squared / split.test.len() as f64).sqrt())
}

/// Local feature space reconstruction error: as [`gfre`], but each test row is regressed on its `n_neighbors` nearest train
/// rows (in X) alone, each such set centred by its own mean.
///
/// `folds` are two parts of `0..n_neighbors`, the nearest being 0; those of `split` are not used.
///
/// # Errors
/// As [`gfre`], and if `n_neighbors` is below 2 or above the number of train rows.
pub fn lfre(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    n_neighbors: usize,
    split: Split,
    folds: [&[usize]; 2],
) -> Result<f64> {
    if n_neighbors < 2 || n_neighbors > split.train.len() {
        let problem = format!("neighbours are train rows, of which there are {}", split.train.len());
        return Err(Error::setting("n_neighbors", n_neighbors, problem, "use 2 up to that number"));
    }
    check_folds(folds, n_neighbors)?;
    let [x, y] = prepare(x, y, split)?;
    let squared: Vec<f64> = (0..split.test.len())
        .into_par_iter()
        .map(|i| {
            let at = x.test.row(i);
            let near = nearest(x.train.view(), at, n_neighbors);
            let (mut x_near, mut y_near) = (x.train.select(Axis(0), &near), y.train.select(Axis(0), &near));
            let (x_mean, y_mean) = (subtract_mean(&mut x_near), subtract_mean(&mut y_near));
            let weights = regress(x_near.view(), y_near.view(), folds);
            let off = &y.test.row(i) - &y_mean - (&at - &x_mean).dot(&weights);
            off.dot(&off)
        })
        .collect();
    Ok((squared.iter().sum::<f64>() / squared.len() as f64).sqrt())
}

/// Variance that a projection or a selection loses, Eq. (22): `1 − ‖kept‖²/‖all‖²`, each the sum of all squares.
///
/// # Errors
/// If `all` is zero or a number is not finite.
pub fn residual_variance(all: ArrayView2<f64>, kept: ArrayView2<f64>) -> Result<f64> {
    let factor = safe_factor(all);
    let square_sum = |a: ArrayView2<f64>| a.iter().map(|x| (factor * x) * (factor * x)).sum::<f64>();
    let (all, kept) = (square_sum(all), square_sum(kept));
    if all == 0.0 || !all.is_finite() || !kept.is_finite() {
        let problem = "the sum of all squares must be positive and finite";
        return Err(Error::setting("all", all, problem, "pass finite coefficients that are not all zero"));
    }
    Ok(1.0 - kept / all)
}

/// Root mean square error, `sqrt(1/n Σ (ŷ − y)²)`, in the unit of y.
///
/// # Errors
/// If the lengths differ, there are none, or one is not finite.
pub fn rmse(target: &[f64], predicted: &[f64]) -> Result<f64> {
    Ok(root_mean_square(&errors(target, predicted)?))
}

/// Mean absolute error, `1/n Σ |ŷ − y|`, in the unit of y.
///
/// # Errors
/// As [`rmse`].
pub fn mae(target: &[f64], predicted: &[f64]) -> Result<f64> {
    Ok(mean(errors(target, predicted)?.into_iter().map(f64::abs)))
}

/// Coefficient of determination, `1 − Σ (ŷ − y)² / Σ (y − ȳ)²`: 1 for perfect predictions, 0 for those of the mean.
///
/// # Errors
/// As [`rmse`], and if all targets are equal.
pub fn r2(target: &[f64], predicted: &[f64]) -> Result<f64> {
    let (errors, deviations) = (errors(target, predicted)?, deviations(target)?);
    let factor = safe_factor(&deviations);
    let square = |x: f64| (factor * x) * (factor * x);
    Ok(1.0 - mean(errors.into_iter().map(square)) / mean(deviations.into_iter().map(square)))
}

/// Root mean square error in percent of the standard deviation of the targets, `100 RMSE / sqrt(1/n Σ (y − ȳ)²)`.
///
/// # Errors
/// As [`r2`].
pub fn percent_rmse(target: &[f64], predicted: &[f64]) -> Result<f64> {
    Ok(100.0 * rmse(target, predicted)? / root_mean_square(&deviations(target)?))
}

/// Train and test rows of one matrix, scaled.
struct Scaled {
    train: Array2<f64>,
    test: Array2<f64>,
}

/// Checks, and centres and scales both matrices by their train rows.
fn prepare(x: ArrayView2<f64>, y: ArrayView2<f64>, split: Split) -> Result<[Scaled; 2]> {
    if x.nrows() != y.nrows() {
        let problem = format!("X has {} rows", x.nrows());
        return Err(Error::setting("rows of Y", y.nrows(), problem, "pass the same samples in both"));
    }
    for (name, rows) in [("train", split.train), ("test", split.test)] {
        if rows.is_empty() {
            return Err(Error::setting(name, "[]", "no rows are given", "pass at least one row"));
        }
        if let Some(&row) = rows.iter().find(|&&row| row >= x.nrows()) {
            let problem = format!("there are {} rows, counted from 0", x.nrows());
            return Err(Error::setting(name, row, problem, "leave it out"));
        }
    }
    check_folds(split.folds, split.train.len())?;
    Ok([scale("X", x, split)?, scale("Y", y, split)?])
}

fn check_folds(folds: [&[usize]; 2], n: usize) -> Result<()> {
    for fold in folds {
        if fold.is_empty() || fold.iter().any(|&i| i >= n) {
            let problem = format!("each of two folds needs places of the {n} train rows, counted from 0");
            return Err(Error::setting("folds", format!("{fold:?}"), problem, "train on 2 rows at least"));
        }
    }
    Ok(())
}

fn scale(name: &'static str, a: ArrayView2<f64>, split: Split) -> Result<Scaled> {
    if let Some(value) = a.iter().find(|value| !value.is_finite()) {
        return Err(Error::setting(name, value, "the matrix holds a number that is not finite", "remove its row"));
    }
    let (mut train, mut test) = (a.select(Axis(0), split.train), a.select(Axis(0), split.test));
    let factor = safe_factor(&train);
    train *= factor;
    test *= factor;
    let squares = square_sum(train.view());
    let mean = subtract_mean(&mut train);
    test -= &mean;
    let left = square_sum(train.view());
    if left <= 1e-28 * squares {
        let problem = "the matrix is the same in all train rows";
        return Err(Error::setting(name, format!("total variance {left:e}"), problem, "pass rows that differ"));
    }
    let scale = (left / split.train.len() as f64).sqrt();
    train /= scale;
    test /= scale;
    Ok(Scaled { train, test })
}

/// Subtracts the mean of the rows, and returns it.
fn subtract_mean(a: &mut Array2<f64>) -> Array1<f64> {
    let mean = a.sum_axis(Axis(0)) / a.nrows() as f64;
    *a -= &mean;
    mean
}

/// Number of cutoffs that are tried, and their range relative to the largest singular value.
const CUTOFFS: (i32, f64, f64) = (20, 1e-9, 0.9);

/// Weights `[x, y]` of Y ≈ X W, cut off at the singular value that predicts best between the folds.
fn regress(x: ArrayView2<f64>, y: ArrayView2<f64>, folds: [&[usize]; 2]) -> Array2<f64> {
    let parts = folds.map(|fold| Part::new(x.select(Axis(0), fold), y.select(Axis(0), fold)));
    let largest = parts.iter().map(|part| part.s[0]).fold(0.0, f64::max);
    // Below this, singular values are rounding: both matrices have unit variance.
    let rounding = x.nrows().max(x.ncols()) as f64 * f64::EPSILON;
    let (n, first, last) = CUTOFFS;
    let cutoffs: Vec<f64> = (0..n).map(|i| first * (last / first).powf(f64::from(i) / f64::from(n - 1))).collect();
    let absolute: Vec<f64> = cutoffs.iter().map(|cutoff| (cutoff * largest).max(rounding)).collect();
    let [a, b] = &parts;
    let (from_a, from_b) = (a.losses(b, &absolute), b.losses(a, &absolute));
    // The first of equals, the smallest cutoff.
    let loss = |i: usize| from_a[i] + from_b[i];
    let best = (1..absolute.len()).fold(0, |best, i| if loss(i) < loss(best) { i } else { best });
    let whole = Part::new(x.to_owned(), y.to_owned());
    let kept = whole.rank(cutoffs[best] * largest);
    matmul(whole.v.slice(s![..kept, ..]).t(), whole.projected.slice(s![..kept, ..]))
}

/// Some rows of X and Y with X = U diag(s) V, and diag(1/s) UᵀY.
struct Part {
    x: Array2<f64>,
    y: Array2<f64>,
    s: Vec<f64>,
    v: Array2<f64>,
    projected: Array2<f64>,
}

impl Part {
    fn new(x: Array2<f64>, y: Array2<f64>) -> Self {
        let (u, s, v) = svd_thin(x.view());
        let mut projected = matmul(u.t(), y.view());
        for (mut row, s) in projected.rows_mut().into_iter().zip(&s).filter(|(_, s)| **s > 0.0) {
            row /= *s;
        }
        Part { x, y, s, v, projected }
    }

    /// Singular values above a cutoff.
    fn rank(&self, cutoff: f64) -> usize {
        self.s.iter().filter(|s| **s > cutoff).count()
    }

    /// Error of the prediction of `other` for each of these cutoffs, ascending: the mean over columns of the root mean square.
    fn losses(&self, other: &Part, cutoffs: &[f64]) -> Vec<f64> {
        let scores = matmul(other.x.view(), self.v.t());
        let mut left = other.y.clone();
        let (mut done, mut losses) = (0, vec![0.0; cutoffs.len()]);
        for (loss, cutoff) in losses.iter_mut().zip(cutoffs).rev() {
            let rank = self.rank(*cutoff);
            if rank > done {
                left -= &matmul(scores.slice(s![.., done..rank]), self.projected.slice(s![done..rank, ..]));
                done = rank;
            }
            let columns = (&left * &left).sum_axis(Axis(0)) / left.nrows() as f64;
            *loss = columns.mapv(f64::sqrt).sum() / left.ncols() as f64;
        }
        losses
    }
}

/// The `n` rows nearest to a point, nearest first, the first of equals first.
fn nearest(rows: ArrayView2<f64>, at: ArrayView1<f64>, n: usize) -> Vec<usize> {
    let squared = |row: ArrayView1<f64>| row.iter().zip(at).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
    let mut order: Vec<(f64, usize)> = rows.rows().into_iter().map(squared).zip(0..).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    order.into_iter().take(n).map(|(_, i)| i).collect()
}

fn square_sum(a: ArrayView2<f64>) -> f64 {
    a.iter().map(|x| x * x).sum()
}

fn root_mean_square_rows(a: ArrayView2<f64>) -> f64 {
    (square_sum(a) / a.nrows() as f64).sqrt()
}

fn errors(target: &[f64], predicted: &[f64]) -> Result<Vec<f64>> {
    if target.len() != predicted.len() || target.is_empty() {
        let problem = format!("there are {} targets", target.len());
        return Err(Error::setting(
            "predictions",
            predicted.len(),
            problem,
            "pass one for each target, and one at least",
        ));
    }
    if let Some(value) = target.iter().chain(predicted).find(|value| !value.is_finite()) {
        return Err(Error::setting("predictions and targets", value, "a number is not finite", "leave it out"));
    }
    Ok(predicted.iter().zip(target).map(|(predicted, target)| predicted - target).collect())
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

fn root_mean_square(values: &[f64]) -> f64 {
    let factor = safe_factor(values);
    mean(values.iter().map(|x| (factor * x) * (factor * x))).sqrt() / factor
}

/// Differences from the mean.
fn deviations(target: &[f64]) -> Result<Vec<f64>> {
    let center = mean(target.iter().copied());
    let deviations: Vec<f64> = target.iter().map(|y| y - center).collect();
    if deviations.iter().all(|deviation| *deviation == 0.0) {
        let problem = "all targets are equal, so that there is no spread to compare with";
        return Err(Error::setting("targets", center, problem, "use rmse or mae"));
    }
    Ok(deviations)
}
