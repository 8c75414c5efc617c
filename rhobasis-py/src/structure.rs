//! Structures in Rust memory, as Python holds them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use numpy::IntoPyArray;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rhobasis::extxyz;
use rhobasis::files::Digest;
use rhobasis::structure::{Column, ColumnData};
use rhobasis::{Error, Structure};

use crate::atoms::{array, from_atoms, texts, to_python};
use crate::contents::{add_labels, from_parts};
use crate::errors::refuse;
use crate::left_out::AllLeftOut;
use crate::threads::detach;

/// File and frame that a structure was read from.
pub(crate) type Origin = (Arc<Path>, usize);

/// Structures in Rust memory; a slice shares them.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Frames {
    all: Arc<Vec<Structure>>,
    /// Of `all`, where they came from files.
    origins: Option<Arc<Vec<Origin>>>,
    /// Of `all`, where they came from Python.
    left_out: Arc<AllLeftOut>,
    range: Range<usize>,
}

impl Frames {
    pub(crate) fn structures(&self) -> &[Structure] {
        &self.all[self.range.clone()]
    }

    /// The error of the library, with the frame counted from `first`, names the file and its frame where they are known.
    pub(crate) fn refuse(&self, mut error: Error, first: usize) -> PyErr {
        if let (Error::Structure { place, .. }, Some(origins)) = (&mut error, &self.origins) {
            let index = place.frame.and_then(|frame| frame.checked_sub(first));
            if let Some((file, frame)) = index.and_then(|i| origins.get(self.range.start + i)) {
                place.file = Some(file.to_path_buf());
                place.frame = Some(*frame);
            }
        }
        refuse(error)
    }

    /// How a frame is called in messages.
    pub(crate) fn named(&self, frame: usize) -> String {
        match self.origins.as_ref().and_then(|origins| origins.get(self.range.start + frame)) {
            Some((file, frame)) => format!("{}, frame {frame}", file.display()),
            None => format!("frame {frame}"),
        }
    }

    /// The same structures, shared.
    pub(crate) fn share(&self) -> Self {
        self.part(self.range.clone())
    }

    /// Others in the place of all of them.
    pub(crate) fn replaced(&self, all: Vec<Structure>) -> Self {
        let origins = self.origins.as_ref().map(|origins| origins[self.range.clone()].to_vec());
        Frames::new(all, origins)
    }

    fn part(&self, range: Range<usize>) -> Self {
        Frames { all: self.all.clone(), origins: self.origins.clone(), left_out: self.left_out.clone(), range }
    }

    /// The error of a label that frame `index` would have under `key`, had it not been left out.
    pub(crate) fn no_label(&self, index: usize, key: &str) -> Option<PyErr> {
        let left_out = self.left_out.label(self.range.start + index, key)?;
        Some(self.refuse(left_out.error().at_frame(index), 0))
    }

    /// Energies of all frames under this key, in eV.
    pub(crate) fn energies(&self, key: &str) -> PyResult<Vec<f64>> {
        let of = |(k, structure)| {
            let refused = |e: Error| self.no_label(k, key).unwrap_or_else(|| self.refuse(e.at_frame(k), 0));
            extxyz::required_energy(structure, key).map_err(refused)
        };
        self.structures().iter().enumerate().map(of).collect()
    }

    /// SHA-256 of species, positions, cells and periodicity.
    pub(crate) fn sha256(&self) -> String {
        let mut digest = Digest::default();
        self.structures().iter().for_each(|structure| digest.structure(structure));
        digest.hex()
    }

    pub(crate) fn new(all: Vec<Structure>, origins: Option<Vec<Origin>>) -> Self {
        let range = 0..all.len();
        Frames { all: Arc::new(all), origins: origins.map(Arc::new), left_out: Arc::default(), range }
    }
}

#[pymethods]
impl Frames {
    /// From some `ase.Atoms`, one after the other; `everything` takes info, arrays and the results of a calculator along. Where
    /// they are frames of a file, `file` names it, with the index of the first and the step to the next.
    #[staticmethod]
    #[pyo3(signature = (atoms, everything, file=None))]
    fn from_atoms(atoms: &Bound<'_, PyAny>, everything: bool, file: Option<(PathBuf, usize, usize)>) -> PyResult<Self> {
        let mut all = Vec::with_capacity(atoms.len().unwrap_or(0));
        let mut left_out = Vec::new();
        for (index, atoms) in atoms.try_iter()?.enumerate() {
            let atoms = atoms?;
            let mut structure = from_atoms(&atoms, Some(index))?;
            if everything {
                add_labels(&mut structure, &atoms, index, &mut left_out)?;
            }
            all.push(structure);
        }
        let origins = file.map(|(path, first, step)| {
            let path: Arc<Path> = path.into();
            (0..all.len()).map(|k| (path.clone(), first + k * step)).collect()
        });
        Ok(Frames { left_out: Arc::new(AllLeftOut::new(left_out)), ..Frames::new(all, origins) })
    }

    /// What `from_atoms` could not keep, a sentence for each kind.
    fn left_out(&self) -> Vec<String> {
        self.left_out.warnings()
    }

    /// These and then those of the others.
    #[staticmethod]
    fn joined(parts: Vec<PyRef<'_, Frames>>) -> Self {
        let all = parts.iter().flat_map(|part| part.structures().iter().cloned()).collect();
        let origins = parts.iter().map(|part| Some(part.origins.as_ref()?[part.range.clone()].to_vec()));
        Frames::new(all, origins.collect::<Option<Vec<_>>>().map(|origins| origins.concat()))
    }

    fn __len__(&self) -> usize {
        self.range.len()
    }

    /// Frames start, start + step, …, `n` of them.
    pub(crate) fn slice(&self, start: usize, step: isize, n: usize) -> PyResult<Self> {
        let index = |k: usize| start.checked_add_signed(k as isize * step).filter(|&i| i < self.range.len());
        if n > 0 && (index(0).is_none() || index(n - 1).is_none()) {
            return Err(PyIndexError::new_err("slice of frames out of range"));
        }
        if step == 1 || n == 0 {
            let start = self.range.start + start.min(self.range.len());
            return Ok(self.part(start..start + n));
        }
        let chosen: Vec<usize> = (0..n).filter_map(index).map(|i| self.range.start + i).collect();
        let origins = self.origins.as_ref().map(|o| chosen.iter().map(|&i| o[i].clone()).collect());
        let left_out = Arc::new(self.left_out.choose(&chosen));
        Ok(Frames { left_out, ..Frames::new(chosen.iter().map(|&i| self.all[i].clone()).collect(), origins) })
    }

    /// From what `parts` gives of each frame.
    #[staticmethod]
    fn from_parts(parts: Vec<Bound<'_, PyTuple>>) -> PyResult<Self> {
        let structures = parts.iter().enumerate().map(|(index, parts)| from_parts(parts, index));
        Ok(Frames::new(structures.collect::<PyResult<_>>()?, None))
    }

    /// (numbers, positions, cell, pbc, info, arrays) of one frame.
    fn parts<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyTuple>> {
        let structure =
            self.structures().get(index).ok_or_else(|| PyIndexError::new_err(format!("there is no frame {index}")))?;
        let numbers: Vec<i64> = structure.species.iter().map(|&z| z.into()).collect();
        let positions = ndarray::Array2::from_shape_fn((structure.len(), 3), |(i, d)| structure.positions[i][d]);
        let cell = ndarray::arr2(&structure.cell);
        let info = PyDict::new(py);
        for (key, value) in &structure.info {
            info.set_item(key, to_python(py, value)?)?;
        }
        let arrays = PyDict::new(py);
        for Column { name, width, data } in &structure.columns {
            let shape = if *width == 1 { vec![structure.len()] } else { vec![structure.len(), *width] };
            let array = match data {
                ColumnData::Reals(x) => array(py, x, &shape)?,
                ColumnData::Ints(x) => array(py, x, &shape)?,
                ColumnData::Bools(x) => array(py, x, &shape)?,
                ColumnData::Texts(x) => texts(py, x, &shape)?,
            };
            arrays.set_item(name, array)?;
        }
        let (numbers, positions, cell) = (numbers.into_pyarray(py), positions.into_pyarray(py), cell.into_pyarray(py));
        (numbers, positions, cell, structure.pbc, info, arrays).into_pyobject(py)
    }

    /// Atomic numbers that occur, ascending.
    fn species(&self) -> Vec<u16> {
        rhobasis::density::species_of(self.structures()).into_iter().map(u16::from).collect()
    }

    /// Number of atoms of each frame.
    fn n_atoms(&self) -> Vec<usize> {
        self.structures().iter().map(Structure::len).collect()
    }

    /// Writes an extended XYZ file.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detach(py, || extxyz::write(&path, self.structures())).map_err(refuse)
    }
}
