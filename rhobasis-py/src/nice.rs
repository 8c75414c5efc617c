//! The atoms that NICE is fitted to, and the fit.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rhobasis::correlations::{self, NiceFit, NiceSettings};
use rhobasis::density::SphericalExpansion;
use rhobasis::files::Stored;
use rhobasis::optimal::Task;
use rhobasis::settings::Named;

use crate::correlations::member;
use crate::errors::refuse;
use crate::expansion::Expansion;
use crate::optimal::{Basis, File, files_of, source_files};
use crate::settings;
use crate::structure::Frames;
use crate::threads::detach;

/// The atoms with the smallest keys.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct NiceSample {
    inner: Mutex<correlations::NiceSample>,
}

/// A checkpoint: its path, the files and the shard that it is of, and the frame that comes next.
type Kept<'py> = (PathBuf, Vec<File>, Option<Bound<'py, PyAny>>, usize);

#[pymethods]
impl NiceSample {
    /// Of the atoms that a fit with the settings `of` looks at.
    #[new]
    fn new(evaluator: &Bound<'_, PyAny>, of: &Bound<'_, PyDict>) -> PyResult<Self> {
        let (py, settings) = (evaluator.py(), settings_of(of)?);
        with_expansion(evaluator, |expansion| detach(py, || correlations::NiceSample::for_fit(expansion, &settings)))?
            .map(NiceSample::from)
            .map_err(refuse)
    }

    /// Adds frames.
    fn add(&self, py: Python<'_>, frames: &Frames) -> PyResult<()> {
        detach(py, || {
            let mut sample = self.lock();
            let first = sample.n_structures();
            sample.add(frames.structures()).map_err(|e| (e, first))
        })
        .map_err(|(e, first)| frames.refuse(e, first))
    }

    /// Refuses a basis that it is not a sample of.
    fn check_basis(&self, evaluator: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = evaluator.py();
        with_expansion(evaluator, |expansion| detach(py, || self.lock().check_basis(expansion)))?.map_err(refuse)
    }

    /// Frames added, atoms that are there, and how many it may hold.
    fn counts(&self) -> (usize, usize, usize) {
        let sample = self.lock();
        (sample.n_structures(), sample.n_atoms(), sample.n_max())
    }

    /// Whether all centres have so many atoms, or those of each species.
    fn sequence(&self) -> &'static str {
        self.lock().sequence().name()
    }

    /// Notes the (path, frames, sha256) of the files, and the shard (i, n) that was taken of them.
    fn set_files(&self, files: Vec<File>, shard: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let shard = settings::shard(shard)?;
        self.lock().set_files(source_files(files), shard);
        Ok(())
    }

    /// The (path, frames, sha256) of the files.
    fn files(&self) -> Vec<File> {
        files_of(self.lock().files())
    }

    /// Adds what another sample has seen.
    fn merge(&self, py: Python<'_>, other: &NiceSample) -> PyResult<()> {
        detach(py, || {
            let other = other.lock().clone(); // one lock at a time
            self.lock().merge(other)
        })
        .map_err(refuse)
    }

    /// The union of sample files.
    #[staticmethod]
    fn merge_files(py: Python<'_>, paths: Vec<PathBuf>) -> PyResult<Self> {
        detach(py, || correlations::NiceSample::merge_files(&paths)).map(NiceSample::from).map_err(refuse)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detach(py, || self.lock().save(&path)).map_err(refuse)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &detach(py, || self.lock().to_bytes()))
    }

    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        correlations::NiceSample::from_bytes(bytes).map(NiceSample::from).map_err(refuse)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        Ok((slf.getattr("from_bytes")?, (slf.get().to_bytes(slf.py()),)))
    }

    /// Writes a checkpoint; frame `next` of the files comes next.
    fn save_checkpoint(
        &self,
        py: Python<'_>,
        path: PathBuf,
        files: Vec<File>,
        shard: Option<&Bound<'_, PyAny>>,
        next: usize,
    ) -> PyResult<()> {
        let task = Task { files: source_files(files), shard: settings::shard(shard)? };
        detach(py, || self.lock().save_checkpoint(&path, &task, next)).map_err(refuse)
    }

    /// Continues from a checkpoint, if there is one: the frame that comes next.
    fn resume(
        &self,
        py: Python<'_>,
        path: PathBuf,
        files: Vec<File>,
        shard: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<usize>> {
        let task = Task { files: source_files(files), shard: settings::shard(shard)? };
        detach(py, || self.lock().resume(&path, &task)).map_err(refuse)
    }

    /// Fits NICE to the sample; `of` as for `Invariants`. Each order is kept in a checkpoint, if there is to be one.
    #[pyo3(signature = (of, kept=None))]
    fn fit(
        &self,
        py: Python<'_>,
        of: &Bound<'_, PyDict>,
        kept: Option<Kept<'_>>,
    ) -> PyResult<crate::correlations::Nice> {
        let (member, settings) = (member(of)?, settings_of(of)?);
        let kept = match kept {
            Some((path, files, shard, next)) => {
                let task = Task { files: source_files(files), shard: settings::shard(shard.as_ref())? };
                Some((path, task, next))
            }
            None => None,
        };
        let sample = detach(py, || self.lock().clone());
        let begin = || {
            let mut fit = NiceFit::new(&settings, &sample, member.q_max, member.l_max)?;
            if let Some((path, task, _)) = &kept {
                fit.resume(path, task)?;
            }
            Ok(fit)
        };
        let mut fit = detach(py, begin).map_err(refuse)?;
        while fit.done() < settings.nu_max {
            py.check_signals()?;
            let mut next = || {
                fit.next_order()?;
                kept.as_ref().map_or(Ok(()), |(path, task, next)| fit.save_checkpoint(path, task, *next))
            };
            detach(py, &mut next).map_err(refuse)?;
        }
        fit.finish().map(crate::correlations::Nice::from).map_err(refuse)
    }
}

impl NiceSample {
    fn lock(&self) -> MutexGuard<'_, correlations::NiceSample> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<correlations::NiceSample> for NiceSample {
    fn from(sample: correlations::NiceSample) -> Self {
        NiceSample { inner: Mutex::new(sample) }
    }
}

fn settings_of(of: &Bound<'_, PyDict>) -> PyResult<NiceSettings> {
    member(of)?.nice.ok_or_else(|| PyTypeError::new_err("these are no settings of NICE"))
}

fn with_expansion<T>(evaluator: &Bound<'_, PyAny>, job: impl FnOnce(&SphericalExpansion) -> T) -> PyResult<T> {
    match evaluator.cast::<Basis>() {
        Ok(basis) => Ok(job(basis.get().expansion())),
        Err(_) => Ok(job(evaluator.cast::<Expansion>()?.get().expansion())),
    }
}

/// Removes a checkpoint, and what a run that was killed while writing has left of it.
#[pyfunction]
pub(crate) fn remove_nice_checkpoint(path: PathBuf) -> PyResult<()> {
    correlations::remove_nice_checkpoint(&path).map_err(refuse)
}
