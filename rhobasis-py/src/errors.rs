//! Errors of the library as exceptions of Python.

use std::ffi::CString;

use pyo3::exceptions::{PyTypeError, PyUserWarning, PyValueError};
use pyo3::prelude::*;

pyo3::create_exception!(
    rhobasis,
    RhobasisError,
    PyValueError,
    "Input that cannot be used: the message names the place, the value found, and the remedy."
);

/// The words of the library, unchanged.
pub(crate) fn refuse(error: rhobasis::Error) -> PyErr {
    match error {
        rhobasis::Error::Type { .. } => PyTypeError::new_err(error.to_string()),
        _ => RhobasisError::new_err(error.to_string()),
    }
}

/// Warns the caller of the Python function that has called.
pub(crate) fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &CString::new(text.replace('\0', " "))?, 2)
}

/// Warns once of atoms that are nearer to each other than in training, with the frame of the first; `level` is how far up the caller is.
pub(crate) fn warn_of_close(
    py: Python<'_>,
    close: Vec<(usize, rhobasis::potential::ClosePair)>,
    place: impl Fn(usize) -> String,
    level: i32,
) -> PyResult<()> {
    let Some((frame, first)) = close.first() else { return Ok(()) };
    let others = match close.len() - 1 {
        0 => String::new(),
        n => format!(" (and so in {n} other frames)"),
    };
    let text = format!("{}{first}, so that what is said of them is a guess{others}", place(*frame));
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &CString::new(text)?, level)
}
