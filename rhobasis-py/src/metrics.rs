//! Reconstruction measures and errors of predictions.

use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rhobasis::metrics::{self, Split};

use crate::refuse;
use crate::threads::detach;

type Folds = (Vec<usize>, Vec<usize>);

/// GFRE ("error"), GFRD ("distortion"), or LFRE ("local", with the number of neighbours and folds of them).
#[pyfunction]
#[allow(clippy::too_many_arguments)] // as many as the measures have parameters
pub(crate) fn reconstruction(
    py: Python<'_>,
    kind: &str,
    x: PyReadonlyArray2<'_, f64>,
    y: PyReadonlyArray2<'_, f64>,
    rows: (Vec<usize>, Vec<usize>),
    folds: Folds,
    n_neighbors: usize,
    local_folds: Folds,
) -> PyResult<f64> {
    let (x, y) = (x.as_array(), y.as_array());
    let split = Split { train: &rows.0, test: &rows.1, folds: [&folds.0, &folds.1] };
    detach(py, || match kind {
        "local" => metrics::lfre(x, y, n_neighbors, split, [&local_folds.0, &local_folds.1]),
        "distortion" => metrics::gfrd(x, y, split),
        _ => metrics::gfre(x, y, split),
    })
    .map_err(refuse)
}

/// 1 − ‖kept‖²/‖all‖².
#[pyfunction]
pub(crate) fn residual_variance(all: PyReadonlyArray2<'_, f64>, kept: PyReadonlyArray2<'_, f64>) -> PyResult<f64> {
    metrics::residual_variance(all.as_array(), kept.as_array()).map_err(refuse)
}

/// "rmse", "mae", "r2" or "percent_rmse" of contiguous numbers.
#[pyfunction]
pub(crate) fn prediction_error(
    kind: &str,
    target: PyReadonlyArray1<'_, f64>,
    predicted: PyReadonlyArray1<'_, f64>,
) -> PyResult<f64> {
    let measure = match kind {
        "mae" => metrics::mae,
        "r2" => metrics::r2,
        "percent_rmse" => metrics::percent_rmse,
        _ => metrics::rmse,
    };
    measure(target.as_slice()?, predicted.as_slice()?).map_err(refuse)
}
