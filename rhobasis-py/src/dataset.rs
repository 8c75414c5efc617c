//! Frames of files, read some at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use rhobasis::extxyz::{self, Shard, SourceFile};
use rhobasis::structure::{ColumnData, Value};
use rhobasis::{Error, Structure};

use crate::atoms::{set_column, set_info};
use crate::optimal::{File, files_of};
use crate::refuse;
use crate::settings;
use crate::structure::Frames;
use crate::threads::detach;

/// Frames that are to be added, those of a shard, some at a time: of files, which are read ahead, or from memory.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Dataset {
    state: Mutex<State>,
    /// Key of the energy that each frame must have.
    energy_key: Option<String>,
}

enum State {
    /// `None` only while reading begins.
    Opened(Option<extxyz::Dataset>),
    Reading(extxyz::Chunks),
    /// Frames before `done` are passed over.
    Memory {
        frames: Frames,
        shard: Shard,
        done: usize,
        at_once: usize,
    },
}

/// Frames, their energies if these were asked for, the frame that comes next, and the fraction of the work done with them.
type Part<Energies> = (Frames, Option<Energies>, usize, f64);

#[pymethods]
impl Dataset {
    /// Opens all `files`, each with an optional slice; gives `at_once` frames at most.
    #[staticmethod]
    fn of_files(
        py: Python<'_>,
        files: Vec<String>,
        shard: Option<&Bound<'_, PyAny>>,
        energy_key: Option<String>,
        at_once: usize,
    ) -> PyResult<Self> {
        let shard = settings::shard(shard)?.unwrap_or_default();
        let opened = detach(py, || extxyz::Dataset::open(&files, &extxyz::Options::default())).map_err(refuse)?;
        let mut opened = opened.shard(shard).in_chunks_of(at_once).without_labels();
        if let Some(key) = &energy_key {
            opened = opened.with_energies(key.clone());
        }
        Ok(Dataset { state: Mutex::new(State::Opened(Some(opened))), energy_key })
    }

    /// Frames in memory.
    #[staticmethod]
    fn of_frames(
        frames: &Frames,
        shard: Option<&Bound<'_, PyAny>>,
        energy_key: Option<String>,
        at_once: usize,
    ) -> PyResult<Self> {
        let shard = settings::shard(shard)?.unwrap_or_default();
        Ok(Dataset { state: Mutex::new(State::Memory { frames: frames.share(), shard, done: 0, at_once }), energy_key })
    }

    /// What tells a checkpoint of these frames from others: (path, 0, sha256) of each file, or of the frames.
    fn identity(&self, py: Python<'_>) -> PyResult<Vec<File>> {
        detach(py, || match &mut *self.lock() {
            State::Opened(Some(opened)) => Ok(files_of(&opened.hash().map_err(refuse)?)),
            State::Memory { frames, .. } => Ok(vec![("frames in memory".into(), 0, frames.sha256())]),
            State::Opened(None) | State::Reading(_) => Err(begun()),
        })
    }

    /// Passes over the frames before `frame`.
    fn skip(&self, frame: usize) -> PyResult<()> {
        match &mut *self.lock() {
            State::Opened(opened) => *opened = opened.take().map(|opened| opened.after(frame)),
            State::Memory { done, .. } => *done = frame,
            State::Reading(_) => return Err(begun()),
        }
        Ok(())
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Part<Bound<'py, PyArray1<f64>>>>> {
        let Some((frames, energies, next, fraction)) = detach(py, || self.lock().next(self.energy_key.as_deref()))?
        else {
            return Ok(None);
        };
        Ok(Some((frames, energies.map(|energies| energies.into_pyarray(py)), next, fraction)))
    }

    /// The (path, frames, sha256) of the files that were read to their end.
    fn files(&self) -> Vec<File> {
        match &*self.lock() {
            State::Reading(chunks) => files_of(chunks.files()),
            State::Opened(_) | State::Memory { .. } => Vec::new(),
        }
    }
}

impl State {
    fn next(&mut self, energy_key: Option<&str>) -> PyResult<Option<Part<Vec<f64>>>> {
        if let State::Opened(opened) = self {
            *self = State::Reading(opened.take().ok_or_else(begun)?.chunks());
        }
        match self {
            State::Opened(_) => Err(begun()),
            State::Reading(chunks) => {
                let Some(chunk) = chunks.next().transpose().map_err(refuse)? else { return Ok(None) };
                let energies = energy_key.map(|_| chunk.energies);
                Ok(Some((Frames::new(chunk.structures, Some(chunk.places)), energies, chunk.next, chunk.fraction)))
            }
            State::Memory { frames, shard, done, at_once } => {
                let (first, end) = (shard.next(*done), frames.structures().len());
                let n = shard.count(first.min(end)..end).min(*at_once);
                if n == 0 {
                    return Ok(None);
                }
                let part = frames.slice(first, shard.of() as isize, n)?;
                *done = first + (n - 1) * shard.of() + 1;
                let energies = energy_key.map(|key| part.energies(key)).transpose()?;
                Ok(Some((part, energies, *done, *done as f64 / end as f64)))
            }
        }
    }
}

impl Dataset {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begun() -> PyErr {
    refuse(Error::setting("frames", "begun", "they are being read already", "open them again"))
}

/// Frames of a file, some at a time.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Reader {
    inner: Mutex<(extxyz::Reader, Arc<Path>)>,
    /// Names of the labels that become `energy`, `forces`, `stress`; empty for none.
    labels: Option<extxyz::Options>,
}

#[pymethods]
impl Reader {
    /// Opens `file` or `file@slice`.
    #[new]
    fn new(
        py: Python<'_>,
        spec: PathBuf,
        energy_key: Option<String>,
        force_key: Option<String>,
        stress_key: Option<String>,
        virial_key: Option<String>,
    ) -> PyResult<Self> {
        let named = [&energy_key, &force_key, &stress_key, &virial_key].iter().any(|k| k.is_some());
        let labels = named.then(|| extxyz::Options {
            energy_key: energy_key.unwrap_or_default(),
            force_key: force_key.unwrap_or_default(),
            stress_key: stress_key.unwrap_or_default(),
            virial_key: virial_key.unwrap_or_default(),
            ..extxyz::Options::default()
        });
        let reader = detach(py, || extxyz::Reader::open(&spec, &extxyz::Options::default())).map_err(refuse)?;
        let file = reader.paths()[0].as_path().into();
        Ok(Reader { inner: Mutex::new((reader, file)), labels })
    }

    /// The next `n` frames, fewer at the end, none after it.
    fn chunk(&self, py: Python<'_>, n: usize) -> PyResult<Frames> {
        detach(py, || {
            let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let (reader, file) = &mut *guard;
            let (mut all, mut origins) = (Vec::new(), Vec::new());
            while all.len() < n {
                let Some(structure) = reader.next() else { break };
                let mut structure = structure?;
                let frame = reader.frame_index().unwrap_or_default();
                if let Some(options) = &self.labels {
                    rename_labels(&mut structure, options).map_err(|e| e.at_frame(frame).in_file(&**file))?;
                }
                origins.push((file.clone(), frame));
                all.push(structure);
            }
            Ok(Frames::new(all, Some(origins)))
        })
        .map_err(refuse)
    }

    /// Passes over the next `n` frames, or all that are left; how many there were.
    #[pyo3(name = "pass_", signature = (n=usize::MAX))]
    fn pass(&self, py: Python<'_>, n: usize) -> PyResult<usize> {
        detach(py, || self.inner.lock().unwrap_or_else(PoisonError::into_inner).0.pass(n)).map_err(refuse)
    }

    /// Fraction of the work done, 0 to 1.
    fn progress(&self) -> f64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0.progress()
    }
}

/// Stores the labels that `options` names as `energy`, `forces` and `stress`.
fn rename_labels(structure: &mut Structure, options: &extxyz::Options) -> rhobasis::Result<()> {
    for key in [&options.energy_key, &options.stress_key, &options.virial_key] {
        if !key.is_empty() && structure.get(key).is_none() {
            return Err(no_label(key, structure.info.iter().map(|(name, _)| name.as_str())));
        }
    }
    let extxyz::Labels { energy, forces, stress } = extxyz::labels(structure, options)?;
    if !options.force_key.is_empty() && forces.is_none() {
        return Err(no_label(&options.force_key, structure.columns.iter().map(|c| c.name.as_str())));
    }
    if let Some(energy) = energy {
        set_info(structure, "energy", Value::Real(energy));
    }
    if let Some(forces) = forces {
        set_column(structure, "forces", 3, ColumnData::Reals(forces.into_flattened()));
    }
    if let Some(stress) = stress {
        set_info(structure, "stress", Value::Reals(stress.as_flattened().to_vec(), vec![3, 3]));
    }
    Ok(())
}

/// The error for a label that is named and not there.
pub(crate) fn no_label<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known = known.collect::<Vec<_>>().join(" ");
    let remedy = if known.is_empty() {
        "the frame has none such; leave the key out, or the frame".to_string()
    } else {
        format!("the frame has {known}; name one of these, or leave the key or the frame out")
    };
    Error::structure(None, format!("there is no '{key}'"), remedy)
}
