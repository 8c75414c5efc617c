//! What truncations retain of the ν-spectrum.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{IntoPyArray, PyArray2};
use pyo3::prelude::*;
use rhobasis::correlations::{self, Kept, Plan, Target, leading_channels};

use crate::errors::refuse;
use crate::expansion::Expansion;
use crate::optimal::Basis;
use crate::structure::Frames;
use crate::threads::detach;

/// Sums of the squared norms of ν-spectra.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct SpectrumNorms {
    inner: Mutex<correlations::SpectrumNorms>,
}

#[derive(FromPyObject)]
enum Evaluator<'py> {
    Expansion(PyRef<'py, Expansion>),
    Basis(PyRef<'py, Basis>),
}

#[pymethods]
impl SpectrumNorms {
    #[staticmethod]
    fn of_evaluator(py: Python<'_>, evaluator: Evaluator<'_>, nu: Vec<usize>, invariant: bool) -> PyResult<Self> {
        let expansion = match &evaluator {
            Evaluator::Expansion(expansion) => &expansion.inner,
            Evaluator::Basis(basis) => basis.inner.expansion(),
        };
        Self::of(detach(py, || correlations::SpectrumNorms::of_expansion(expansion, &nu, invariant)))
    }

    /// A row for each number of leading channels of each block, and one for all channels.
    #[staticmethod]
    fn of_leading(py: Python<'_>, basis: &Basis, q: Vec<usize>, nu: Vec<usize>, invariant: bool) -> PyResult<Self> {
        let mut truncations: Vec<Kept> = q.iter().map(|&q| leading_channels(&basis.inner, q)).collect();
        truncations.push(correlations::everything(&basis.inner));
        Self::of(detach(py, || correlations::SpectrumNorms::of_truncations(&basis.inner, &truncations, &nu, invariant)))
    }

    fn add(&self, py: Python<'_>, frames: &Frames) -> PyResult<()> {
        detach(py, || {
            let mut norms = self.lock();
            let first = norms.n_structures();
            norms.add(frames.structures()).map_err(|e| (e, first))
        })
        .map_err(|(e, first)| frames.refuse(e, first))
    }

    /// `[truncation, ν]`, of the invariant part if that was asked for.
    fn sums<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        let norms = self.lock();
        norms.invariant().unwrap_or_else(|| norms.equivariant()).into_pyarray(py)
    }
}

impl SpectrumNorms {
    fn of(made: rhobasis::Result<correlations::SpectrumNorms>) -> PyResult<Self> {
        made.map(|inner| SpectrumNorms { inner: Mutex::new(inner) }).map_err(refuse)
    }

    fn lock(&self) -> MutexGuard<'_, correlations::SpectrumNorms> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Retain, channels, channels of each block of each kind, and fractions: exact, invariant, approximate.
type Row = (f64, usize, Kept, Vec<f64>, Vec<f64>, Vec<f64>);

/// The truncations that were tried, which of them is the answer, and whether fractions are exact.
#[pyfunction]
pub(crate) fn plan(
    py: Python<'_>,
    basis: &Basis,
    frames: Option<&Frames>,
    nu: usize,
    retain: f64,
    invariant: bool,
) -> PyResult<(Vec<Row>, usize, bool)> {
    let target = Target { nu, retain, invariant };
    let plan = match frames {
        None => Plan::approximate(&basis.inner, target).map_err(refuse),
        Some(frames) => detach(py, || Plan::exact(&basis.inner, target, |norms| norms.add(frames.structures())))
            .map_err(|e| frames.refuse(e, 0)),
    }?;
    let row = |r: correlations::PlanRow| (r.retain, r.channels, r.kept, r.equivariant, r.invariant, r.approximate);
    Ok((plan.rows.into_iter().map(row).collect(), plan.chosen, plan.exact))
}
