//! Python bindings: structures and settings come in as Python values, blocks of numbers go out as NumPy arrays.
//!
//! The public face is `python/rhobasis/*.py`; this module holds what it calls.

mod adaptation;
mod atoms;
mod centers;
mod constraints;
mod contents;
mod correlations;
mod dataset;
mod driver;
mod equivariant;
mod errors;
mod expansion;
mod label_check;
mod labels;
mod left_out;
mod memory;
mod metrics;
mod models;
mod nice;
mod optimal;
mod pcovr;
mod potential;
mod results;
mod selection;
mod settings;
mod structure;
mod threads;
mod truncation;

use std::path::PathBuf;

use pyo3::prelude::*;

/// The `rhobasis` command with these arguments, the first being its name; the exit code.
#[pyfunction]
fn main(py: Python<'_>, argv: Vec<std::ffi::OsString>) -> i32 {
    py.detach(|| rhobasis_cli::run(argv))
}

/// The kind of a file, if it is one of ours.
#[pyfunction]
fn kind_of(path: PathBuf) -> Option<String> {
    rhobasis::files::kind_of(&path)
}

/// What the user should know of a file of ours, if anything.
#[pyfunction]
fn note_on(path: PathBuf) -> Option<String> {
    rhobasis::files::note_on(&path)
}

#[pymodule(gil_used = false)]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    threads::import();
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add("RhobasisError", m.py().get_type::<errors::RhobasisError>())?;
    m.add("DEFAULTS", settings::defaults(m.py())?)?;
    m.add("SYMBOLS", rhobasis::structure::SYMBOLS.to_vec())?;
    m.add_function(wrap_pyfunction!(main, m)?)?;
    m.add_function(wrap_pyfunction!(threads::set_threads, m)?)?;
    m.add_function(wrap_pyfunction!(optimal::is_pcovr, m)?)?;
    m.add_function(wrap_pyfunction!(optimal::check_unchanged, m)?)?;
    m.add_function(wrap_pyfunction!(optimal::remove_checkpoint, m)?)?;
    m.add_function(wrap_pyfunction!(selection::cur, m)?)?;
    m.add_function(wrap_pyfunction!(selection::fps, m)?)?;
    m.add_function(wrap_pyfunction!(metrics::gfre, m)?)?;
    m.add_function(wrap_pyfunction!(metrics::gfrd, m)?)?;
    m.add_function(wrap_pyfunction!(metrics::lfre, m)?)?;
    m.add_function(wrap_pyfunction!(metrics::residual_variance, m)?)?;
    m.add_function(wrap_pyfunction!(metrics::rmse, m)?)?;
    m.add_function(wrap_pyfunction!(metrics::mae, m)?)?;
    m.add_function(wrap_pyfunction!(metrics::r2, m)?)?;
    m.add_function(wrap_pyfunction!(metrics::percent_rmse, m)?)?;
    m.add_class::<models::RidgeRegression>()?;
    m.add_function(wrap_pyfunction!(models::kernel_ridge, m)?)?;
    m.add_function(wrap_pyfunction!(models::kernel_ridge_predict, m)?)?;
    m.add_function(wrap_pyfunction!(models::polynomial_kernel, m)?)?;
    m.add_function(wrap_pyfunction!(pcovr::pcovr, m)?)?;
    m.add_class::<structure::Frames>()?;
    m.add_class::<centers::Centers>()?;
    m.add_class::<dataset::Dataset>()?;
    m.add_function(wrap_pyfunction!(dataset::read, m)?)?;
    m.add_function(wrap_pyfunction!(dataset::checked, m)?)?;
    m.add_function(wrap_pyfunction!(kind_of, m)?)?;
    m.add_function(wrap_pyfunction!(note_on, m)?)?;
    m.add_class::<expansion::Expansion>()?;
    m.add_class::<expansion::JacobianParts>()?;
    m.add_class::<optimal::Covariance>()?;
    m.add_class::<optimal::SupervisedCovariance>()?;
    m.add_class::<potential::Sensitivity>()?;
    m.add("SUPERVISING_ALPHAS", rhobasis::potential::SUPERVISING_ALPHAS)?;
    m.add_class::<optimal::Basis>()?;
    m.add_class::<adaptation::Adaptation>()?;
    m.add_class::<adaptation::NearestDistances>()?;
    m.add_class::<correlations::Invariants>()?;
    m.add_class::<correlations::InvariantsJacobianParts>()?;
    m.add_class::<correlations::Nice>()?;
    m.add_class::<nice::NiceSample>()?;
    m.add_function(wrap_pyfunction!(nice::remove_nice_checkpoint, m)?)?;
    m.add_function(wrap_pyfunction!(correlations::clebsch_gordan, m)?)?;
    m.add_class::<equivariant::EquivariantRidge>()?;
    m.add_function(wrap_pyfunction!(equivariant::tensor_labels, m)?)?;
    m.add_class::<labels::Labels>()?;
    m.add_function(wrap_pyfunction!(labels::config_types, m)?)?;
    m.add_function(wrap_pyfunction!(label_check::check_labels, m)?)?;
    m.add_class::<potential::Potential>()?;
    m.add_class::<driver::Driver>()?;
    m.add_class::<truncation::SpectrumNorms>()?;
    m.add_function(wrap_pyfunction!(truncation::plan, m)?)?;
    Ok(())
}
