//! A potential that moves atoms: one structure after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::Array3;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray3};
use pyo3::prelude::*;
use rhobasis::Structure;
use rhobasis::neighbors::VerletPool;
use rhobasis::potential::{Beside, Prediction};

use crate::atoms::from_atoms;
use crate::errors::{refuse, warn_of_close};
use crate::labels::vectors;
use crate::potential::Potential;
use crate::settings;
use crate::threads::detach;

/// Evaluates one structure after the other, with neighbour lists that are reused while atoms move little.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Driver {
    potential: Arc<rhobasis::potential::Potential>,
    lists: Mutex<VerletPool>,
    /// Whether atoms that are too near were warned of.
    warned: AtomicBool,
}

/// Energy; energies of the atoms; forces; virial; stress of a structure that is periodic in all three directions.
type Evaluation<'py> = (
    f64,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray2<f64>>,
    Option<Bound<'py, PyArray2<f64>>>,
);

/// That, virials of atoms and their extrapolation.
type More<'py> = (Evaluation<'py>, Bound<'py, PyArray3<f64>>, Bound<'py, PyArray1<f64>>);

#[pymethods]
impl Driver {
    #[new]
    fn new(potential: &Potential, skin: &Bound<'_, PyAny>) -> PyResult<Self> {
        let skin = settings::number("skin", skin)?;
        let lists = VerletPool::new(potential.inner.r_cut(), skin).map_err(refuse)?;
        Ok(Driver { potential: potential.inner.clone(), lists: Mutex::new(lists), warned: AtomicBool::new(false) })
    }

    /// Of an `ase.Atoms`.
    fn evaluate<'py>(&self, py: Python<'py>, atoms: &Bound<'py, PyAny>) -> PyResult<Evaluation<'py>> {
        let structure = from_atoms(atoms, None)?;
        let prediction = detach(py, || {
            let mut lists = self.lists();
            self.potential.evaluate(&structure, lists.list(&structure)?)
        });
        self.evaluation(py, &structure, prediction.map_err(refuse)?)
    }

    /// The same, with the virials of atoms `[atom, 3, 3]`, symmetric parts, and their extrapolation, where they are asked for.
    fn evaluate_with<'py>(
        &self,
        py: Python<'py>,
        atoms: &Bound<'py, PyAny>,
        virials: bool,
        extrapolation: bool,
    ) -> PyResult<More<'py>> {
        let structure = from_atoms(atoms, None)?;
        let beside = Beside { virials, extrapolation };
        let prediction = detach(py, || {
            let mut lists = self.lists();
            self.potential.evaluate_with(&structure, lists.list(&structure)?, beside)
        });
        let mut prediction = prediction.map_err(refuse)?;
        let extrapolation = std::mem::take(&mut prediction.extrapolation).into_pyarray(py);
        let virials = std::mem::take(&mut prediction.virials);
        let symmetric = |(j, p, q): (usize, usize, usize)| (virials[j][p][q] + virials[j][q][p]) / 2.0;
        let virials = Array3::from_shape_fn((virials.len(), 3, 3), symmetric).into_pyarray(py);
        Ok((self.evaluation(py, &structure, prediction)?, virials, extrapolation))
    }

    /// Standard deviation of the energy, in eV.
    fn energy_deviation(&self, py: Python<'_>, atoms: &Bound<'_, PyAny>) -> PyResult<f64> {
        let structure = from_atoms(atoms, None)?;
        let variances = detach(py, || self.potential.energy_variances(&[structure])).map_err(refuse)?;
        Ok(variances[0].max(0.0).sqrt())
    }

    /// Standard deviations of the components of the forces, in eV/Å.
    fn force_deviations<'py>(&self, py: Python<'py>, atoms: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let structure = from_atoms(atoms, None)?;
        let deviations = detach(py, || self.potential.force_deviations(&[structure])).map_err(refuse)?;
        Ok(vectors(&deviations[0]).into_pyarray(py))
    }

    /// How many neighbour lists were made until now.
    fn lists_made(&self) -> u64 {
        self.lists().made()
    }
}

impl Driver {
    fn lists(&self) -> MutexGuard<'_, VerletPool> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn evaluation<'py>(
        &self,
        py: Python<'py>,
        structure: &Structure,
        prediction: Prediction,
    ) -> PyResult<Evaluation<'py>> {
        let stress = prediction.stress(structure).ok().map(|stress| stress.into_pyarray(py));
        let Prediction { energy, energies, forces, virial, close, .. } = prediction;
        let (forces, virial) = (vectors(&forces).into_pyarray(py), virial.into_pyarray(py));
        if let Some(close) = close
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            warn_of_close(py, vec![(0, close)], |_| String::new(), 1)?;
        }
        Ok((energy, energies.into_pyarray(py), forces, virial, stress))
    }
}
