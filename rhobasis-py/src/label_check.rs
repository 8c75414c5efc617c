//! Suspicions about labels.

use pyo3::prelude::*;
use rhobasis::label_check::{LabelReport, check_labels as check};

use crate::errors::refuse;
use crate::labels::Labels;
use crate::structure::Frames;
use crate::threads::detach;

/// Label, suspicion, sureness, factor, evidence, remedy, frames.
type Finding = (&'static str, String, &'static str, f64, String, String, Vec<usize>);

/// What was found, what was tested, what could not be.
#[pyfunction]
pub(crate) fn check_labels(
    py: Python<'_>,
    frames: &Frames,
    labels: &Labels,
) -> PyResult<(Vec<Finding>, Vec<String>, Vec<String>)> {
    let LabelReport { findings, tested, untested } =
        detach(py, || check(frames.structures(), &labels.inner)).map_err(refuse)?;
    let plain = |f: rhobasis::label_check::Finding| {
        (f.label.name(), f.suspicion, f.sureness.words(), f.factor, f.evidence, f.remedy, f.frames)
    };
    Ok((findings.into_iter().map(plain).collect(), tested, untested))
}
