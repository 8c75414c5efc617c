//! Frames of files, read some at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use rhobasis::extxyz::{self, Shard};
use rhobasis::structure::{ColumnData, Value};
use rhobasis::{Error, Structure};

use crate::atoms::{set_column, set_info};
use crate::errors::refuse;
use crate::optimal::{File, files_of};
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
    /// Opens all `files`, each with an optional slice; gives `at_once` frames at most, without their labels.
    #[staticmethod]
    fn of_files(
        py: Python<'_>,
        files: Vec<String>,
        shard: Option<&Bound<'_, PyAny>>,
        energy_key: Option<String>,
        at_once: usize,
    ) -> PyResult<Self> {
        let shard = settings::shard(shard)?.unwrap_or_default();
        let mut opened = open(py, &files)?.shard(shard).in_chunks_of(at_once).without_labels();
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

fn open(py: Python<'_>, files: &[String]) -> PyResult<extxyz::Dataset> {
    detach(py, || extxyz::Dataset::open(files, &extxyz::Options::default())).map_err(refuse)
}

fn begun() -> PyErr {
    refuse(Error::setting("frames", "begun", "they are being read already", "open them again"))
}

/// All frames of `files`, with all that is in them; labels under the keys that are given must be there, and become `energy`,
/// `forces`, `stress`. `progress` is called with the fraction of the work done.
#[pyfunction]
pub(crate) fn read(
    py: Python<'_>,
    files: Vec<String>,
    keys: [Option<String>; 4],
    progress: &Bound<'_, PyAny>,
) -> PyResult<Frames> {
    let labels = label_options(keys);
    let mut chunks = open(py, &files)?.chunks();
    let (mut all, mut origins) = (Vec::new(), Vec::new());
    while let Some(mut chunk) = detach(py, || chunks.next()).transpose().map_err(refuse)? {
        for (structure, (path, frame)) in chunk.structures.iter_mut().zip(&chunk.places) {
            rename_labels(structure, &labels).map_err(|e| refuse(e.at_frame(*frame).in_file(&**path)))?;
        }
        all.append(&mut chunk.structures);
        origins.append(&mut chunk.places);
        progress.call1((chunk.fraction,))?;
    }
    Ok(Frames::new(all, Some(origins)))
}

/// Frames that something else has read, as `read` gives them: each is checked, and labels under the keys that are given become
/// `energy`, `forces`, `stress`.
#[pyfunction]
pub(crate) fn checked(frames: &Frames, keys: [Option<String>; 4]) -> PyResult<Frames> {
    let renames = keys.iter().any(Option::is_some);
    let options = label_options(keys);
    let mut renamed = if renames { frames.structures().to_vec() } else { Vec::new() };
    for (k, structure) in frames.structures().iter().enumerate() {
        let labels = |()| renamed.get_mut(k).map_or(Ok(()), |structure| rename_labels(structure, &options));
        structure.validate().and_then(labels).map_err(|e| frames.refuse(e.at_frame(k), 0))?;
    }
    Ok(if renames { frames.replaced(renamed) } else { frames.share() })
}

/// The keys of energy, forces, stress and virial, of which those that are not given are not read.
fn label_options(keys: [Option<String>; 4]) -> extxyz::Options {
    let [energy_key, force_key, stress_key, virial_key] = keys.map(Option::unwrap_or_default);
    extxyz::Options { energy_key, force_key, stress_key, virial_key, validate: true }
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
