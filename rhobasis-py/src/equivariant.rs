//! Models of tensors: from frames with dipoles or polarisabilities to predictions and derivatives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ndarray::{Array2, Array3};
use numpy::{IntoPyArray, PyArray2, PyArray3, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rhobasis::Structure;
use rhobasis::equivariant::{self, EquivariantSettings, EquivariantTrainer, Target, TensorSurvey};
use rhobasis::files::Stored;
use rhobasis::potential;
use rhobasis::settings::Named;

use crate::atoms::reals;
use crate::correlations::Nice;
use crate::errors::{refuse, warn};
use crate::optimal::{Basis, to_json};
use crate::potential::{basis_of, primitive_of};
use crate::settings::Values;
use crate::structure::Frames;
use crate::threads::detach;

/// Frames worked through between two looks at the keyboard.
const FRAMES: usize = 64;

/// Tensors `[frame, component]` in the frames under this key, NaN where there is none; none stands for the usual key.
#[pyfunction]
pub(crate) fn tensor_labels<'py>(
    py: Python<'py>,
    frames: &Frames,
    target: &str,
    key: Option<&str>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let target = Target::parse("target", target).map_err(refuse)?;
    let mut survey = TensorSurvey::new(target, key);
    let n = target.components().len();
    let mut labels = Array2::from_elem((frames.structures().len(), n), f64::NAN);
    for (k, (structure, mut row)) in frames.structures().iter().zip(labels.rows_mut()).enumerate() {
        match survey.label(structure).map_err(|e| frames.refuse(e.at_frame(k), 0))? {
            Some(label) => row.iter_mut().zip(label).for_each(|(to, x)| *to = x),
            None if structure.get(survey.key()).is_none() => {
                if let Some(error) = frames.no_label(k, survey.key()) {
                    return Err(error);
                }
            }
            None => {}
        }
    }
    survey.check().map_err(refuse)?;
    survey.omission().map_or(Ok(()), |text| warn(py, &text))?;
    Ok(labels.into_pyarray(py))
}

/// A fitted model of a tensor.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct EquivariantRidge {
    inner: equivariant::EquivariantRidge,
}

#[pymethods]
impl EquivariantRidge {
    /// Fits to tensors `[frame, component]`, rows of NaN where there is none.
    #[staticmethod]
    fn fit(
        settings: &Bound<'_, PyDict>,
        evaluator: &Bound<'_, PyAny>,
        nice: &Nice,
        frames: &Frames,
        labels: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let py = evaluator.py();
        let settings = Values::of_dict(settings)?.read(EquivariantSettings::read)?;
        let labels: Array2<f64> = reals("tensors", "an array [frame, component]", labels)?;
        let row = |row: ndarray::ArrayView1<f64>| (!row.iter().all(|x| x.is_nan())).then(|| row.to_vec());
        let labels: Vec<Option<Vec<f64>>> = labels.rows().into_iter().map(row).collect();
        let (basis, nice, structures) = (basis_of(evaluator)?, nice.inner.clone(), frames.structures());
        let refuse = |e| frames.refuse(e, 0);
        let mut trainer =
            detach(py, || EquivariantTrainer::new(basis, nice, &settings, structures, &labels)).map_err(refuse)?;
        while trainer.done() < structures.len() {
            py.check_signals()?;
            detach(py, || trainer.advance(FRAMES)).map_err(refuse)?;
        }
        let inner = detach(py, || trainer.finish()).map_err(refuse)?;
        Ok(EquivariantRidge { inner })
    }

    /// Tensors `[frame, component]`.
    fn predict<'py>(&self, py: Python<'py>, frames: &Frames) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let all = self.predictions(py, frames, false)?;
        let n = self.inner.target().components().len();
        Ok(Array2::from_shape_fn((all.len(), n), |(k, component)| all[k].value[component]).into_pyarray(py))
    }

    /// Derivatives by positions `[atom, component, xyz]` of each frame.
    fn derivatives<'py>(&self, py: Python<'py>, frames: &Frames) -> PyResult<Vec<Bound<'py, PyArray3<f64>>>> {
        let n = self.inner.target().components().len();
        let arrays = self.predictions(py, frames, true)?.into_iter().zip(frames.structures());
        let array = |(prediction, structure): (equivariant::TensorPrediction, &Structure)| match structure.is_empty() {
            true => Array3::zeros((0, n, 3)).into_pyarray(py),
            false => prediction.derivatives.into_pyarray(py),
        };
        Ok(arrays.map(array).collect())
    }

    /// What the user should know about the fit.
    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }

    /// The settings as in the file (JSON).
    fn settings(&self) -> PyResult<String> {
        to_json(self.inner.settings())
    }

    fn nice(&self) -> Nice {
        Nice { inner: self.inner.nice().clone() }
    }

    /// The optimal basis below it, if that is what it has.
    fn basis(&self) -> Option<Basis> {
        match self.inner.basis() {
            potential::Basis::Optimal(basis) => Some(Basis { inner: basis.clone() }),
            potential::Basis::Primitive { .. } => None,
        }
    }

    /// The settings of a primitive basis below it (JSON), and its species.
    fn primitive(&self) -> PyResult<Option<(String, Vec<u16>)>> {
        primitive_of(self.inner.basis())
    }

    /// Species of atoms that it knows, ascending.
    fn species(&self) -> Vec<u16> {
        self.inner.species().iter().map(|&z| z.into()).collect()
    }

    fn baseline(&self) -> BTreeMap<u16, f64> {
        self.inner.baseline().iter().map(|(&z, &b)| (z.into(), b)).collect()
    }

    /// Degrees λ; then, for each, the weights `[species, channel]`, the regulariser, the condition number.
    fn parts<'py>(&self, py: Python<'py>) -> Vec<(usize, Bound<'py, PyArray2<f64>>, f64, f64)> {
        let inner = &self.inner;
        let numbers = inner.weights().iter().zip(inner.alphas()).zip(inner.condition_numbers());
        let part = |(&lambda, ((w, &alpha), &condition)): (&usize, ((&Array2<f64>, &f64), &f64))| {
            (lambda, w.to_pyarray(py), alpha, condition)
        };
        inner.target().lambdas().iter().zip(numbers).map(part).collect()
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        detach(py, || equivariant::EquivariantRidge::load(&path)).map(EquivariantRidge::from).map_err(refuse)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detach(py, || self.inner.save(&path)).map_err(refuse)
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        detach(py, || equivariant::EquivariantRidge::from_bytes(bytes)).map(EquivariantRidge::from).map_err(refuse)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &detach(py, || self.inner.to_bytes()))
    }
}

impl EquivariantRidge {
    fn predictions(
        &self,
        py: Python<'_>,
        frames: &Frames,
        derivatives: bool,
    ) -> PyResult<Vec<equivariant::TensorPrediction>> {
        detach(py, || self.inner.predict(frames.structures(), derivatives)).map_err(|e| frames.refuse(e, 0))
    }
}

impl From<equivariant::EquivariantRidge> for EquivariantRidge {
    fn from(inner: equivariant::EquivariantRidge) -> Self {
        EquivariantRidge { inner }
    }
}
