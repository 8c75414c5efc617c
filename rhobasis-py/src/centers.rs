//! Atoms that are centres, as Python chooses them.

use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use rhobasis::density::{self, Center, check_centers_occur, species_of};

use crate::errors::refuse;
use crate::settings;
use crate::structure::Frames;

/// Some atoms of some frames; the others are neighbours only.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Centers {
    pub(crate) inner: density::Centers,
}

#[pymethods]
impl Centers {
    /// The atoms of these species, which must all occur.
    #[staticmethod]
    fn of_species(frames: &Frames, species: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        let species = species.iter().map(|z| settings::species("centers", z)).collect::<PyResult<Vec<_>>>()?;
        let structures = frames.structures();
        check_centers_occur(&species, &species_of(structures)).map_err(refuse)?;
        Ok(Centers { inner: density::Centers::of_species(structures, &species) })
    }

    /// The atoms of these indices, a list for each frame.
    #[staticmethod]
    fn of_atoms(frames: &Frames, atoms: Vec<Vec<i64>>) -> PyResult<Self> {
        density::Centers::of_atoms(frames.structures(), &atoms).map(|inner| Centers { inner }).map_err(refuse)
    }

    /// The atoms that a mask over those of all frames marks.
    #[staticmethod]
    fn of_mask(frames: &Frames, mask: Vec<bool>) -> PyResult<Self> {
        density::Centers::of_mask(frames.structures(), &mask).map(|inner| Centers { inner }).map_err(refuse)
    }

    /// Those of `n` frames from `start` on.
    fn slice(&self, start: usize, n: usize) -> Self {
        Centers { inner: self.inner.slice(start..start + n) }
    }

    /// Structure, atom and species of each, in the order of the atoms.
    fn table<'py>(&self, py: Python<'py>, frames: &Frames) -> PyResult<Bound<'py, PyArray2<i64>>> {
        center_table(py, &self.inner.table(frames.structures()))
    }
}

/// Structure, atom and species of each centre.
pub(crate) fn center_table<'py>(py: Python<'py>, centers: &[Center]) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let row = |c: &Center| [c.structure as i64, c.atom as i64, i64::from(c.species)];
    table(py, centers.iter().flat_map(row).collect(), 3)
}

/// Rows of so many integers.
pub(crate) fn table(py: Python<'_>, numbers: Vec<i64>, width: usize) -> PyResult<Bound<'_, PyArray2<i64>>> {
    let rows = numbers.len() / width;
    numbers.into_pyarray(py).reshape([rows, width])
}
