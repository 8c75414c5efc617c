//! Passes over the data beside that of a covariance: distances of nearest neighbours, and the sweeps of a basis for order ν.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use rhobasis::density::RadialScaling;
use rhobasis::optimal::{self, CovarianceSettings, NU};

use crate::errors::refuse;
use crate::optimal::{Basis, File, source_files};
use crate::settings::{self, Values};
use crate::structure::Frames;
use crate::threads::detach;

/// Distances of the nearest neighbours of a data set.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct NearestDistances {
    inner: Mutex<optimal::NearestDistances>,
}

#[pymethods]
impl NearestDistances {
    /// From an object like that of `Covariance`.
    #[new]
    fn new(settings: &Bound<'_, PyAny>) -> PyResult<Self> {
        let settings = Values::of(settings)?.read(CovarianceSettings::read)?;
        Ok(NearestDistances { inner: Mutex::new(optimal::NearestDistances::new(settings.expansion.density.r_cut)) })
    }

    /// Adds frames.
    fn add(&self, py: Python<'_>, frames: &Frames) -> PyResult<()> {
        detach(py, || {
            let mut nearest = self.lock();
            let first = nearest.n_structures();
            nearest.add(frames.structures()).map_err(|e| (e, first))
        })
        .map_err(|(e, first)| frames.refuse(e, first))
    }

    /// Rate, scale and exponent of the weighting "nearest".
    fn weighting(&self) -> PyResult<(f64, f64, f64)> {
        let RadialScaling { rate, scale, exponent } = self.lock().weighting().map_err(refuse)?;
        Ok((rate, scale, exponent))
    }
}

impl NearestDistances {
    fn lock(&self) -> MutexGuard<'_, optimal::NearestDistances> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a basis for correlations of order ν, sweep by sweep.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Adaptation {
    /// `None` once the basis was taken.
    inner: Mutex<Option<optimal::Adaptation>>,
}

#[pymethods]
impl Adaptation {
    /// From an object like that of `Covariance`, and ν.
    #[new]
    fn new(settings: &Bound<'_, PyAny>, nu: &Bound<'_, PyAny>) -> PyResult<Self> {
        let truncation = settings::truncation(settings)?;
        let order = NU.read(&|_| Some(settings::given(nu))).map_err(refuse)?;
        let settings = Values::of(settings)?.read(CovarianceSettings::read)?;
        let inner = detach(nu.py(), || optimal::Adaptation::new(&settings, truncation, order)).map_err(refuse)?;
        Ok(Adaptation { inner: Mutex::new(Some(inner)) })
    }

    /// Adds frames to the sweep at work, which has `first` frames already.
    fn add(&self, py: Python<'_>, frames: &Frames, first: usize) -> PyResult<()> {
        detach(py, || self.with(|adaptation| adaptation.add(frames.structures()))).map_err(|e| frames.refuse(e, first))
    }

    /// Ends a sweep; whether it was the last.
    fn finish_sweep(&self, py: Python<'_>) -> PyResult<bool> {
        detach(py, || self.with(optimal::Adaptation::finish_sweep)).map_err(refuse)
    }

    /// The basis, which can be taken once.
    fn basis(&self, py: Python<'_>, files: Vec<File>) -> PyResult<Basis> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let basis = detach(py, || inner.ok_or_else(taken)?.into_basis());
        let mut basis = basis.map_err(refuse)?;
        basis.set_files(source_files(files));
        Ok(Basis { inner: basis })
    }
}

impl Adaptation {
    fn with<T>(&self, job: impl FnOnce(&mut optimal::Adaptation) -> rhobasis::Result<T>) -> rhobasis::Result<T> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        job(inner.as_mut().ok_or_else(taken)?)
    }
}

fn taken() -> rhobasis::Error {
    rhobasis::Error::setting("basis", "taken", "it was made already", "begin again")
}
