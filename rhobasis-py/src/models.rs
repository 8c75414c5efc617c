//! Ridge and kernel ridge regression.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2};
use numpy::{IntoPyArray, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray2, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rhobasis::models::{self, KernelRidgeSettings, RidgeSettings, Solver};
use rhobasis::settings::Named;

use crate::errors::refuse;
use crate::threads::detach;

/// A copy, number by number: an axis of length 0 or 1 may have any stride in NumPy, which ndarray does not take.
fn owned(a: ArrayView2<f64>) -> Array2<f64> {
    Array2::from_shape_fn(a.dim(), |at| a[at])
}

/// Sums of ridge regression over the rows added so far.
#[pyclass(module = "rhobasis._native")]
pub(crate) struct RidgeRegression {
    inner: models::RidgeRegression,
}

fn ridge_settings(fit_intercept: bool, folds: usize, solver: &str) -> PyResult<RidgeSettings> {
    let solver = Solver::parse("solver", solver).map_err(refuse)?;
    Ok(RidgeSettings { fit_intercept, folds, solver })
}

/// Coefficients [alpha, feature, target], intercepts [alpha, target], errors [alpha, fold], best alpha, condition number.
type Fit<'py> =
    (Bound<'py, PyArray3<f64>>, Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>, usize, f64, Vec<String>);

#[pymethods]
impl RidgeRegression {
    #[new]
    fn new(n_features: usize, n_targets: usize, fit_intercept: bool, folds: usize, solver: &str) -> PyResult<Self> {
        let settings = ridge_settings(fit_intercept, folds, solver)?;
        Ok(Self { inner: models::RidgeRegression::new(n_features, n_targets, settings).map_err(refuse)? })
    }

    /// The sums of a checkpoint, with its settings.
    #[staticmethod]
    fn from_arrays(
        fit_intercept: bool,
        folds: usize,
        solver: &str,
        arrays: BTreeMap<String, PyReadonlyArray2<f64>>,
    ) -> PyResult<Self> {
        let settings = ridge_settings(fit_intercept, folds, solver)?;
        let arrays = arrays.into_iter().map(|(name, array)| (name, owned(array.as_array()))).collect();
        Ok(Self { inner: models::RidgeRegression::from_arrays(settings, &arrays).map_err(refuse)? })
    }

    fn to_arrays<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let arrays = PyDict::new(py);
        for (name, array) in self.inner.to_arrays() {
            arrays.set_item(name, array.into_pyarray(py))?;
        }
        Ok(arrays)
    }

    /// Adds rows, each to the fold of its number.
    fn add(
        &mut self,
        py: Python<'_>,
        x: PyReadonlyArray2<'_, f64>,
        y: PyReadonlyArray2<'_, f64>,
        folds: PyReadonlyArray1<'_, i64>,
    ) -> PyResult<()> {
        let (x, y) = (x.as_array(), y.as_array());
        // A negative number is a fold that does not exist.
        let folds: Vec<usize> =
            folds.as_array().iter().map(|&fold| usize::try_from(fold).unwrap_or(usize::MAX)).collect();
        let inner = &mut self.inner;
        detach(py, || inner.add(x, y, &folds)).map_err(refuse)
    }

    #[getter]
    fn n_rows(&self) -> usize {
        self.inner.n_rows()
    }

    fn fit<'py>(&self, py: Python<'py>, alphas: Vec<f64>) -> PyResult<Fit<'py>> {
        let fit = detach(py, || self.inner.fit(&alphas)).map_err(refuse)?;
        Ok((
            fit.coefficients.into_pyarray(py),
            fit.intercepts.into_pyarray(py),
            fit.errors.into_pyarray(py),
            fit.best,
            fit.condition_number,
            fit.warnings,
        ))
    }
}

/// Rows `[row, feature]` and weights `[row, target]`.
type RowsAndWeights<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>);

/// Rows (normalised if so set) and weights of kernel ridge regression.
#[pyfunction]
pub(crate) fn kernel_ridge<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    y: PyReadonlyArray2<'py, f64>,
    alpha: f64,
    zeta: u32,
    normalize: bool,
) -> PyResult<RowsAndWeights<'py>> {
    let (x, y) = (x.as_array(), y.as_array());
    let settings = KernelRidgeSettings { alpha, zeta, normalize };
    let model = detach(py, || models::KernelRidge::fit(x, y, settings)).map_err(refuse)?;
    Ok((model.x().to_pyarray(py), model.weights().to_pyarray(py)))
}

/// Predictions [row, target] of `kernel_ridge`.
#[pyfunction]
pub(crate) fn kernel_ridge_predict<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    fitted: PyReadonlyArray2<'py, f64>,
    weights: PyReadonlyArray2<'py, f64>,
    zeta: u32,
    normalize: bool,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (x, fitted, weights) = (x.as_array(), fitted.as_array(), weights.as_array());
    let settings = KernelRidgeSettings { alpha: 0.0, zeta, normalize };
    let y = detach(py, || models::KernelRidge::from_parts(owned(fitted), owned(weights), settings)?.predict(x));
    Ok(y.map_err(refuse)?.into_pyarray(py))
}

/// Kernel [row of x, row of y], (x · y)^zeta.
#[pyfunction]
pub(crate) fn polynomial_kernel<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    y: PyReadonlyArray2<'py, f64>,
    zeta: u32,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (x, y) = (x.as_array(), y.as_array());
    Ok(detach(py, || models::polynomial_kernel(x, y, zeta)).map_err(refuse)?.into_pyarray(py))
}
