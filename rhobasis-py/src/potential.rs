//! Potentials: from frames with labels to energies, forces and stress.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{Array1, Array3};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray3};
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rhobasis::files::{Digest, Stored};
use rhobasis::optimal::{ContractionBlock, KindOfBasis, SensitivitySettings, SupervisedSettings, Truncation};
use rhobasis::potential::{
    self, Baseline, FeatureSettings, ModelSettings, Quantity, Repulsion, Sigmas, TrainSettings, Trainer, Weights,
};
use rhobasis::settings::{Given, unknown_key};
use rhobasis::{Error, Structure};

use crate::correlations;
use crate::errors::{RhobasisError, refuse, warn_of_close};
use crate::expansion::Expansion;
use crate::labels::{Labels, vectors};
use crate::optimal::{Basis, to_json};
use crate::settings::{self, Values, item};
use crate::structure::Frames;
use crate::threads::detach;

/// Frames worked through between two looks at the clock and at the keyboard.
const FRAMES: usize = 64;

/// A fitted potential.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Potential {
    pub(crate) inner: Arc<potential::Potential>,
}

/// Energies; energies of the atoms of each frame; forces of each frame, virials, stresses (NaN without full periodicity).
type Predictions<'py> = (
    Bound<'py, PyArray1<f64>>,
    Vec<Bound<'py, PyArray1<f64>>>,
    Option<(Vec<Bound<'py, PyArray2<f64>>>, Bound<'py, PyArray3<f64>>, Bound<'py, PyArray3<f64>>)>,
);

#[pymethods]
impl Potential {
    /// Fits to the labels. `watch` is called with frames that are done, all frames, and the most bytes that the fit takes.
    #[staticmethod]
    #[pyo3(signature = (settings, evaluator, frames, labels, watch=None, checkpoint=None, checkpoint_every=60.0))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn fit(
        py: Python<'_>,
        settings: &Bound<'_, PyDict>,
        evaluator: &Bound<'_, PyAny>,
        frames: &Frames,
        labels: &Labels,
        watch: Option<&Bound<'_, PyAny>>,
        checkpoint: Option<PathBuf>,
        checkpoint_every: f64,
    ) -> PyResult<Self> {
        let settings = train_settings(settings)?;
        let basis = basis_of(evaluator)?;
        let (structures, labels) = (frames.structures(), &labels.inner[..]);
        let refuse = |e| frames.refuse(e, 0);
        let identity = match checkpoint {
            Some(_) => Some(detach(py, || identity(&basis, &settings, structures, labels)).map_err(refuse)?),
            None => None,
        };
        let mut trainer = detach(py, || Trainer::new(basis, &settings, structures, labels)).map_err(refuse)?;
        warn(py, frames, trainer.remarks())?;
        let checkpoint = checkpoint.as_deref().zip(identity.as_deref());
        if let Some((path, identity)) = checkpoint {
            detach(py, || trainer.resume(path, identity)).map_err(refuse)?;
        }
        let every = Duration::try_from_secs_f64(checkpoint_every).unwrap_or(Duration::MAX);
        let mut last = Instant::now();
        loop {
            if let Some(watch) = watch {
                watch.call1((trainer.done(), structures.len(), trainer.memory()))?;
            }
            if trainer.done() >= structures.len() {
                break;
            }
            py.check_signals()?;
            detach(py, || trainer.advance(FRAMES)).map_err(refuse)?;
            if let Some((path, identity)) = checkpoint.filter(|_| last.elapsed() >= every) {
                detach(py, || trainer.save_checkpoint(path, identity)).map_err(refuse)?;
                last = Instant::now();
            }
        }
        let potential = detach(py, || trainer.finish()).map_err(refuse)?;
        if let Some((path, _)) = checkpoint {
            detach(py, || Trainer::remove_checkpoint(path)).map_err(refuse)?;
        }
        Ok(Potential::from(potential))
    }

    fn predict<'py>(&self, py: Python<'py>, frames: &Frames, forces: bool) -> PyResult<Predictions<'py>> {
        let structures = frames.structures();
        let all = detach(py, || self.inner.predict(structures, forces)).map_err(|e| frames.refuse(e, 0))?;
        let close = all.iter().enumerate().filter_map(|(k, prediction)| Some((k, prediction.close?)));
        warn_of_close(py, close.collect(), |frame| format!("{}: ", frames.named(frame)), 2)?;
        let energies: Array1<f64> = all.iter().map(|p| p.energy).collect();
        let adjoints = forces.then(|| {
            let mut virials = Array3::zeros((all.len(), 3, 3));
            let mut stresses = Array3::from_elem((all.len(), 3, 3), f64::NAN);
            for (k, (prediction, structure)) in all.iter().zip(structures).enumerate() {
                virials.index_axis_mut(ndarray::Axis(0), k).assign(&prediction.virial);
                if let Ok(stress) = prediction.stress(structure) {
                    stresses.index_axis_mut(ndarray::Axis(0), k).assign(&stress);
                }
            }
            let forces = all.iter().map(|p| vectors(&p.forces).into_pyarray(py)).collect();
            (forces, virials.into_pyarray(py), stresses.into_pyarray(py))
        });
        let of_atoms = all.into_iter().map(|p| p.energies.into_pyarray(py)).collect();
        Ok((energies.into_pyarray(py), of_atoms, adjoints))
    }

    /// Variance of each energy, in eV².
    fn energy_variances<'py>(&self, py: Python<'py>, frames: &Frames) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let variances = detach(py, || self.inner.energy_variances(frames.structures()));
        Ok(variances.map_err(|e| frames.refuse(e, 0))?.into_pyarray(py))
    }

    /// Standard deviation of each component of the force on each atom of each frame, in eV/Å.
    fn force_deviations<'py>(&self, py: Python<'py>, frames: &Frames) -> PyResult<Vec<Bound<'py, PyArray2<f64>>>> {
        let deviations = detach(py, || self.inner.force_deviations(frames.structures()));
        let deviations = deviations.map_err(|e| frames.refuse(e, 0))?;
        Ok(deviations.iter().map(|of_frame| vectors(of_frame).into_pyarray(py)).collect())
    }

    /// How far each atom of each frame lies outside of the training set.
    fn extrapolation<'py>(&self, py: Python<'py>, frames: &Frames) -> PyResult<Vec<Bound<'py, PyArray1<f64>>>> {
        let all = detach(py, || self.inner.extrapolation(frames.structures())).map_err(|e| frames.refuse(e, 0))?;
        Ok(all.into_iter().map(|of_frame| of_frame.into_pyarray(py)).collect())
    }

    /// Factors of deviations of energies and forces, and errors of the frames that they were found of; none of older files.
    fn calibration(&self) -> Option<[Option<f64>; 4]> {
        self.inner.calibration().map(|c| [c.energy, c.force, c.energy_rmse, c.force_rmse])
    }

    /// How many standard deviations of energies, and of components of forces, hold `part` of the errors; none where it is not known.
    fn interval(&self, part: f64) -> PyResult<(Option<f64>, Option<f64>)> {
        let energy = self.inner.interval(Quantity::Energy, part);
        let force = self.inner.interval(Quantity::Force, part);
        match (energy, force) {
            (Err(e), Err(_)) => Err(refuse(e)),
            (energy, force) => Ok((energy.ok(), force.ok())),
        }
    }

    /// The basis made for a linear model, for `q_max`, `supervised` and `span` of `settings`, and by how much the sum of squares of
    /// the fit exceeds that with all functions; with as many principal functions.
    fn supervised(&self, py: Python<'_>, settings: &Bound<'_, PyDict>) -> PyResult<(Basis, f64, f64)> {
        let values = Values::of_dict(settings)?;
        let (settings, truncation) = (values.read(SupervisedSettings::read)?, values.read(Truncation::read)?);
        let made = detach(py, || self.inner.supervised(settings, truncation.q_max()?)).map_err(refuse)?;
        Ok((Basis { inner: made.basis }, made.excess, made.excess_of_pca))
    }

    /// What its energies depend on, of no frame yet.
    fn sensitivity(&self) -> PyResult<Sensitivity> {
        let inner = potential::Sensitivity::new(&self.inner).map_err(refuse)?;
        Ok(Sensitivity { potential: self.inner.clone(), inner: Mutex::new(inner) })
    }

    /// Energies of free atoms, by atomic number.
    fn baseline(&self) -> BTreeMap<u16, f64> {
        self.inner.baseline().iter().map(|(&z, &energy)| (z.into(), energy)).collect()
    }

    /// Smallest distances in training, by two atomic numbers, the smaller first.
    fn nearest(&self) -> Option<BTreeMap<(u16, u16), f64>> {
        Some(self.inner.nearest()?.rows().into_iter().map(|(a, b, r)| ((a.into(), b.into()), r)).collect())
    }

    /// Species of atoms that it knows, ascending.
    fn species(&self) -> Vec<u16> {
        self.inner.species().iter().map(|&z| z.into()).collect()
    }

    /// The settings as in the file (JSON).
    fn settings(&self) -> PyResult<String> {
        to_json(self.inner.settings())
    }

    /// What NICE was fitted to be, of features of number k; none for other kinds.
    fn nice(&self, k: usize) -> Option<correlations::Nice> {
        let fitted = self.inner.settings().features.members.get(k)?.fitted.clone();
        fitted.map(|inner| correlations::Nice { inner })
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

    fn n_features(&self) -> usize {
        self.inner.n_features()
    }

    fn n_parameters(&self) -> usize {
        self.inner.n_parameters()
    }

    /// The regulariser of a linear model.
    fn alpha(&self) -> Option<f64> {
        self.inner.alpha()
    }

    fn condition_number(&self) -> f64 {
        self.inner.condition_number()
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.warnings().to_vec()
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        detach(py, || potential::Potential::load(&path)).map(Potential::from).map_err(refuse)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detach(py, || self.inner.save(&path)).map_err(refuse)
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        detach(py, || potential::Potential::from_bytes(bytes)).map(Potential::from).map_err(refuse)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &detach(py, || self.inner.to_bytes()))
    }
}

/// What the energies of a potential depend on, over frames that are added.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Sensitivity {
    potential: Arc<potential::Potential>,
    inner: Mutex<potential::Sensitivity>,
}

#[pymethods]
impl Sensitivity {
    /// Adds frames.
    fn add(&self, py: Python<'_>, frames: &Frames) -> PyResult<()> {
        detach(py, || self.lock().add(&self.potential, frames.structures())).map_err(|e| frames.refuse(e, 0))
    }

    fn n_centers(&self) -> usize {
        self.lock().n_centers()
    }

    /// By kind of centre: species of neighbours (none of all) and l of each block, and S.
    fn matrices<'py>(&self, py: Python<'py>) -> Vec<(Option<u16>, Vec<Matrix<'py>>)> {
        let inner = self.lock();
        let of_kind = |(k, kind): (usize, &KindOfBasis)| {
            let block = |(b, block): (usize, &ContractionBlock)| {
                let sum = inner.matrix(k, b).expect("one for each block").to_owned();
                (block.species.map(u16::from), block.key.lambda, sum.into_pyarray(py))
            };
            (kind.center.map(u16::from), kind.blocks.iter().enumerate().map(block).collect())
        };
        inner.of().kinds().iter().enumerate().map(of_kind).collect()
    }

    /// How much a neighbour at each distance matters.
    fn radial_weight(&self, r: Vec<f64>) -> PyResult<Vec<f64>> {
        self.lock().radial_weight(&r).map_err(refuse)
    }

    /// Rate, scale in Å and exponent of the scaling of the density that follows it.
    fn scaling(&self, py: Python<'_>, frames: &Frames) -> PyResult<Option<(f64, f64, f64)>> {
        let found = detach(py, || self.lock().scaling(frames.structures())).map_err(|e| frames.refuse(e, 0))?;
        Ok(found.map(|u| (u.rate, u.scale, u.exponent)))
    }

    /// The basis for `gamma` and `q_max` of `settings`.
    fn basis(&self, py: Python<'_>, settings: &Bound<'_, PyDict>) -> PyResult<Basis> {
        let values = Values::of_dict(settings)?;
        let (settings, truncation) = (values.read(SensitivitySettings::read)?, values.read(Truncation::read)?);
        detach(py, || self.lock().basis(settings, truncation.q_max()?)).map(|inner| Basis { inner }).map_err(refuse)
    }
}

impl Sensitivity {
    fn lock(&self) -> MutexGuard<'_, potential::Sensitivity> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Species of neighbours, l, and S `[q, q′]`.
type Matrix<'py> = (Option<u16>, usize, Bound<'py, PyArray2<f64>>);

impl From<potential::Potential> for Potential {
    fn from(inner: potential::Potential) -> Self {
        Potential { inner: Arc::new(inner) }
    }
}

/// Warns of what should be known before the fit: at the line that calls `Potential.fit`.
fn warn(py: Python<'_>, frames: &Frames, remarks: Vec<potential::Remark>) -> PyResult<()> {
    let category = py.get_type::<PyUserWarning>();
    for remark in remarks {
        let place = remark.frame.map_or(String::new(), |frame| format!("{}: ", frames.named(frame)));
        let text = CString::new(format!("{place}{}", remark.text))?;
        PyErr::warn(py, &category, &text, 2)?;
    }
    Ok(())
}

/// The settings of a primitive basis (JSON), and its species; none of an optimal one.
pub(crate) fn primitive_of(basis: &potential::Basis) -> PyResult<Option<(String, Vec<u16>)>> {
    match basis {
        potential::Basis::Optimal(_) => Ok(None),
        potential::Basis::Primitive { settings, expansion } => {
            Ok(Some((to_json(settings)?, expansion.species().iter().map(|&z| z.into()).collect())))
        }
    }
}

pub(crate) fn basis_of(evaluator: &Bound<'_, PyAny>) -> PyResult<potential::Basis> {
    if let Ok(basis) = evaluator.cast::<Basis>() {
        return Ok(potential::Basis::Optimal(basis.get().inner.clone()));
    }
    let expansion = evaluator.cast::<Expansion>()?.get();
    Ok(potential::Basis::Primitive { settings: expansion.settings.clone(), expansion: expansion.inner.clone() })
}

/// What a checkpoint is of: settings, basis, structures and labels.
fn identity(
    basis: &potential::Basis,
    settings: &TrainSettings,
    structures: &[Structure],
    labels: &[rhobasis::extxyz::Labels],
) -> rhobasis::Result<String> {
    let text = |value: serde_json::Result<String>| {
        value.map_err(|e| Error::setting("checkpoint", "settings", e.to_string(), "leave the checkpoint out"))
    };
    let mut hash = Digest::default();
    hash.update(text(serde_json::to_string(settings))?);
    match basis {
        potential::Basis::Optimal(basis) => hash.update(basis.to_bytes()),
        potential::Basis::Primitive { settings, expansion } => {
            hash.update(text(serde_json::to_string(settings))?);
            hash.update(expansion.species());
        }
    }
    for (structure, labels) in structures.iter().zip(labels) {
        hash.structure(structure);
        hash.update(potential::config_type(structure));
        let stress = labels.stress.iter().flatten().flatten();
        let forces = labels.forces.iter().flatten().flatten();
        hash.update([labels.energy.is_some(), labels.forces.is_some(), labels.stress.is_some()].map(u8::from));
        hash.numbers(labels.energy.iter().chain(forces).chain(stress));
    }
    Ok(hash.hex())
}

/// From dicts of the fields of [`TrainSettings`], of the features a list of them.
fn train_settings(of: &Bound<'_, PyDict>) -> PyResult<TrainSettings> {
    let dict = |name| -> PyResult<Bound<'_, PyDict>> { Ok(item(of, name)?.cast_into::<PyDict>()?) };
    let members = item(of, "features")?;
    let member = |of: PyResult<Bound<'_, PyAny>>| correlations::member(&of?.cast_into::<PyDict>()?);
    Ok(TrainSettings {
        features: FeatureSettings { members: members.try_iter()?.map(member).collect::<PyResult<_>>()? },
        model: Values::of_dict(&dict("model")?)?.read(ModelSettings::read)?,
        baseline: baseline(&item(of, "baseline")?)?,
        repulsion: repulsion(&item(of, "repulsion")?)?,
        weights: weights(&dict("weights")?)?,
    })
}

/// A word, or energies by species.
fn baseline(value: &Bound<'_, PyAny>) -> PyResult<Baseline> {
    let mut values = Values::default();
    match settings::given(value) {
        energies @ Given::Table(_) => {
            values.set("baseline", "given".into());
            values.set("energies", energies);
        }
        word => values.set("baseline", word),
    }
    values.read(Baseline::read)
}

/// A word, or numbers of the core.
fn repulsion(value: &Bound<'_, PyAny>) -> PyResult<Repulsion> {
    let Ok(numbers) = value.cast::<PyDict>() else {
        let mut values = Values::default();
        values.set("repulsion", settings::given(value));
        return values.read(Repulsion::read);
    };
    let (values, known) = (Values::of_dict(numbers)?, Repulsion::default().values());
    let names = || known.iter().map(|(setting, _)| setting.name);
    if let Some(key) = values.names().find(|key| !names().any(|name| name == *key)) {
        let (problem, remedy) = unknown_key(key, names());
        return Err(RhobasisError::new_err(format!("repulsion: {problem}; {remedy}")));
    }
    values.read(Repulsion::read)
}

fn weights(of: &Bound<'_, PyDict>) -> PyResult<Weights> {
    let all = Values::of_dict(of)?.read(|given| Sigmas::read(given, &Sigmas::default()))?;
    let known = all.values().map(|(setting, _)| setting.name);
    let mut by_type = BTreeMap::new();
    for (name, of) in item(of, "by_type")?.cast_into::<PyDict>()?.iter() {
        let (name, values) = (name.extract::<String>()?, Values::of_dict(&of.cast_into::<PyDict>()?)?);
        if let Some(key) = values.names().find(|key| !known.contains(key)) {
            let (problem, remedy) = unknown_key(key, known);
            return Err(RhobasisError::new_err(format!("weights['{name}']: {problem}; {remedy}")));
        }
        by_type.insert(name, values.read(|given| Sigmas::read(given, &all))?);
    }
    Ok(Weights { all, by_type })
}
