//! Frames of files, read some at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use rhobasis::extxyz::{self, LabelKeys, LabelSurvey, Shard};
use rhobasis::settings::by_nearness;
use rhobasis::structure::{ColumnData, Value};
use rhobasis::{Error, Structure};

use crate::atoms::{set_column, set_info};
use crate::errors::{refuse, warn};
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

/// All frames of `files`, with all that is in them; labels under the keys that are given become `energy`, `forces`, `stress`,
/// and some frame must have each. `progress` is called with the fraction of the work done.
#[pyfunction]
pub(crate) fn read(
    py: Python<'_>,
    files: Vec<String>,
    keys: [Option<String>; 4],
    progress: &Bound<'_, PyAny>,
) -> PyResult<Frames> {
    let mut renaming = Renaming::new(keys);
    let mut chunks = open(py, &files)?.chunks();
    let (mut all, mut origins) = (Vec::new(), Vec::new());
    while let Some(mut chunk) = detach(py, || chunks.next()).transpose().map_err(refuse)? {
        for (structure, (path, frame)) in chunk.structures.iter_mut().zip(&chunk.places) {
            let named = || format!("{}, frame {frame}", path.display());
            renaming.rename(structure, named).map_err(|e| refuse(e.at_frame(*frame).in_file(&**path)))?;
        }
        all.append(&mut chunk.structures);
        origins.append(&mut chunk.places);
        progress.call1((chunk.fraction,))?;
    }
    renaming.finish(py)?;
    Ok(Frames::new(all, Some(origins)))
}

/// Frames that something else has read, as `read` gives them: each is checked, and labels under the keys that are given become
/// `energy`, `forces`, `stress`.
#[pyfunction]
pub(crate) fn checked(py: Python<'_>, frames: &Frames, keys: [Option<String>; 4]) -> PyResult<Frames> {
    let renames = keys.iter().any(Option::is_some);
    let mut renaming = Renaming::new(keys);
    let mut renamed = if renames { frames.structures().to_vec() } else { Vec::new() };
    for (k, structure) in frames.structures().iter().enumerate() {
        let rename = |()| renamed.get_mut(k).map_or(Ok(()), |one| renaming.rename(one, || frames.named(k)));
        structure.validate().and_then(rename).map_err(|e| frames.refuse(e.at_frame(k), 0))?;
    }
    renaming.finish(py)?;
    Ok(if renames { frames.replaced(renamed) } else { frames.share() })
}

/// Labels under the keys that are given, on their way to `energy`, `forces` and `stress`.
struct Renaming {
    options: extxyz::Options,
    survey: LabelSurvey,
}

impl Renaming {
    /// Under the keys of energy, forces, stress and virial, of which those that are not given are not read.
    fn new(keys: [Option<String>; 4]) -> Self {
        let [energy_key, force_key, stress_key, virial_key] = keys.map(|key| Some(key.unwrap_or_default()));
        let keys = LabelKeys { energy_key, force_key, stress_key, virial_key };
        Renaming { options: keys.options(true), survey: LabelSurvey::new(&keys) }
    }

    /// Stores the labels of a frame; where it has none, nothing else stays under these names.
    fn rename(&mut self, structure: &mut Structure, named: impl Fn() -> String) -> rhobasis::Result<()> {
        let extxyz::Options { energy_key, force_key, stress_key, virial_key, .. } = &self.options;
        refuse_others(structure, &[energy_key], &["energy"], false)?;
        let other_forces: &[&str] = if force_key == "forces" { &[] } else { &["forces", "force"] };
        refuse_others(structure, &[force_key], other_forces, true)?;
        refuse_others(structure, &[stress_key, virial_key], &["stress", "virial"], false)?;
        let (labels, omitted) = extxyz::labels_and_omissions(structure, &self.options)?;
        self.survey.add(structure, &labels, &omitted, named);
        let extxyz::Labels { energy, forces, stress } = labels;
        match energy {
            Some(energy) => set_info(structure, "energy", Value::Real(energy)),
            None if energy_key.is_empty() => {}
            None => structure.info.retain(|(key, _)| key != "energy" || key == energy_key),
        }
        match forces {
            Some(forces) => set_column(structure, "forces", 3, ColumnData::Reals(forces.into_flattened())),
            None if force_key.is_empty() => {}
            None => structure.columns.retain(|column| column.name != "forces" || column.name == *force_key),
        }
        match stress {
            Some(stress) => set_info(structure, "stress", Value::Reals(stress.as_flattened().to_vec(), vec![3, 3])),
            None if stress_key.is_empty() && virial_key.is_empty() => {}
            None => structure.info.retain(|(key, _)| key != "stress" || key == stress_key),
        }
        Ok(())
    }

    /// Refuses a key that no frame has, and warns of what was left out.
    fn finish(self, py: Python<'_>) -> PyResult<()> {
        self.survey.check_named().map_err(refuse)?;
        self.survey.omissions().iter().try_for_each(|text| warn(py, text))
    }
}

/// Refuses a frame that has none of the `keys` that are named, and a label of another origin under one of the `usual` ones.
fn refuse_others(structure: &Structure, keys: &[&String], usual: &[&str], columns: bool) -> rhobasis::Result<()> {
    let has = |name: &str| if columns { structure.column(name).is_some() } else { structure.get(name).is_some() };
    let Some(key) = keys.iter().find(|key| !key.is_empty()) else { return Ok(()) };
    if keys.iter().any(|key| has(key)) || !usual.iter().any(|name| has(name)) {
        return Ok(());
    }
    let names: Vec<&str> = match columns {
        true => structure.columns.iter().map(|column| column.name.as_str()).collect(),
        false => structure.info.iter().map(|(name, _)| name.as_str()).collect(),
    };
    let known = by_nearness(key, names).join(" ");
    let remedy = format!("the frame has {known}; name one of these, or leave the key or the frame out");
    Err(Error::structure(None, format!("there is no '{key}'"), remedy))
}
