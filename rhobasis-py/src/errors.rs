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
