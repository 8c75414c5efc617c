//! Principal covariates regression.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use rhobasis::models::{Pcovr, PcovrSettings};

use crate::errors::refuse;
use crate::threads::detach;

type Matrix<'py> = Bound<'py, PyArray2<f64>>;

/// P_XT, P_TX, P_TY and the eigenvalues of principal covariates regression.
#[pyfunction]
pub(crate) fn pcovr<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    y: PyReadonlyArray2<'py, f64>,
    gamma: f64,
    n_components: Option<usize>,
    alpha: f64,
    tol: f64,
) -> PyResult<(Matrix<'py>, Matrix<'py>, Matrix<'py>, Bound<'py, PyArray1<f64>>)> {
    let settings = PcovrSettings { gamma, n_components, alpha, tol };
    let (x, y) = (x.as_array(), y.as_array());
    let Pcovr { pxt, ptx, pty, eigenvalues } = detach(py, || Pcovr::fit(x, y, settings)).map_err(refuse)?;
    Ok((pxt.into_pyarray(py), ptx.into_pyarray(py), pty.into_pyarray(py), eigenvalues.into_pyarray(py)))
}
