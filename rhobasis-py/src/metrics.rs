//! Reconstruction measures and errors of predictions.

use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rhobasis::metrics::{self, Split};

use crate::errors::refuse;
use crate::threads::detach;

type Matrix<'py> = PyReadonlyArray2<'py, f64>;
type Numbers<'py> = PyReadonlyArray1<'py, f64>;
/// Indices in two parts: rows to train on and to test with, or folds.
type Parts = (Vec<usize>, Vec<usize>);

fn split<'a>(rows: &'a Parts, folds: &'a Parts) -> Split<'a> {
    Split { train: &rows.0, test: &rows.1, folds: [&folds.0, &folds.1] }
}

/// Global feature space reconstruction error.
#[pyfunction]
pub(crate) fn gfre(py: Python<'_>, x: Matrix<'_>, y: Matrix<'_>, rows: Parts, folds: Parts) -> PyResult<f64> {
    let (x, y) = (x.as_array(), y.as_array());
    detach(py, || metrics::gfre(x, y, split(&rows, &folds))).map_err(refuse)
}

/// Global feature space reconstruction distortion.
#[pyfunction]
pub(crate) fn gfrd(py: Python<'_>, x: Matrix<'_>, y: Matrix<'_>, rows: Parts, folds: Parts) -> PyResult<f64> {
    let (x, y) = (x.as_array(), y.as_array());
    detach(py, || metrics::gfrd(x, y, split(&rows, &folds))).map_err(refuse)
}

/// Local feature space reconstruction error, with the number of neighbours and folds of them.
#[pyfunction]
pub(crate) fn lfre(
    py: Python<'_>,
    x: Matrix<'_>,
    y: Matrix<'_>,
    rows: Parts,
    folds: Parts,
    n_neighbors: usize,
    local_folds: Parts,
) -> PyResult<f64> {
    let (x, y, local) = (x.as_array(), y.as_array(), [&local_folds.0[..], &local_folds.1]);
    detach(py, || metrics::lfre(x, y, n_neighbors, split(&rows, &folds), local)).map_err(refuse)
}

/// 1 − ‖kept‖²/‖all‖².
#[pyfunction]
pub(crate) fn residual_variance(all: Matrix<'_>, kept: Matrix<'_>) -> PyResult<f64> {
    metrics::residual_variance(all.as_array(), kept.as_array()).map_err(refuse)
}

/// Root mean square error of contiguous numbers.
#[pyfunction]
pub(crate) fn rmse(target: Numbers<'_>, predicted: Numbers<'_>) -> PyResult<f64> {
    metrics::rmse(target.as_slice()?, predicted.as_slice()?).map_err(refuse)
}

/// Mean absolute error of contiguous numbers.
#[pyfunction]
pub(crate) fn mae(target: Numbers<'_>, predicted: Numbers<'_>) -> PyResult<f64> {
    metrics::mae(target.as_slice()?, predicted.as_slice()?).map_err(refuse)
}

/// Coefficient of determination of contiguous numbers.
#[pyfunction]
pub(crate) fn r2(target: Numbers<'_>, predicted: Numbers<'_>) -> PyResult<f64> {
    metrics::r2(target.as_slice()?, predicted.as_slice()?).map_err(refuse)
}

/// Root mean square error of contiguous numbers, in percent of the standard deviation of the targets.
#[pyfunction]
pub(crate) fn percent_rmse(target: Numbers<'_>, predicted: Numbers<'_>) -> PyResult<f64> {
    metrics::percent_rmse(target.as_slice()?, predicted.as_slice()?).map_err(refuse)
}
