//! Selection of columns and rows.

use ndarray::ArrayView2;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rhobasis::selection::{self, Axis, CurSettings, Selection};

use crate::errors::refuse;
use crate::threads::detach;

type Chosen<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<f64>>);

/// Indices and scores by CUR, of columns, of rows, or (axis "gram") of either from the Gram matrix.
#[pyfunction]
pub(crate) fn cur<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    n: usize,
    k: usize,
    recompute_every: usize,
    axis: &str,
) -> PyResult<Chosen<'py>> {
    let settings = CurSettings { k, recompute_every };
    choose(py, x.as_array(), axis, |x, axis| match axis {
        Some(axis) => selection::cur(x, n, axis, settings),
        None => selection::cur_gram(x, n, settings),
    })
}

/// Indices and squared distances by farthest point sampling; axes as in `cur`.
#[pyfunction]
pub(crate) fn fps<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    n: usize,
    start: usize,
    axis: &str,
) -> PyResult<Chosen<'py>> {
    choose(py, x.as_array(), axis, |x, axis| match axis {
        Some(axis) => selection::fps(x, n, axis, start),
        None => selection::fps_gram(x, n, start),
    })
}

fn choose<'py>(
    py: Python<'py>,
    x: ArrayView2<f64>,
    axis: &str,
    run: impl FnOnce(ArrayView2<f64>, Option<Axis>) -> rhobasis::Result<Selection> + Send,
) -> PyResult<Chosen<'py>> {
    let axis = match axis {
        "features" => Some(Axis::Features),
        "samples" => Some(Axis::Samples),
        "gram" => None,
        _ => {
            let problem = "what is chosen is features or samples";
            return Err(refuse(rhobasis::Error::setting("axis", axis, problem, "use one of these words")));
        }
    };
    let chosen = detach(py, || run(x, axis)).map_err(refuse)?;
    let indices: Vec<i64> = chosen.indices.into_iter().map(|i| i as i64).collect();
    Ok((indices.into_pyarray(py), chosen.scores.into_pyarray(py)))
}
