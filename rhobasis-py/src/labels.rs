//! What frames say of themselves: energies, forces, stresses; from the frames, or given beside them.

use ndarray::{Array1, Array2, Array3};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray3};
use pyo3::prelude::*;
use rhobasis::extxyz::{LabelKeys, LabelSurvey, Likely, Omission};
use rhobasis::structure::{Structure, Vec3};
use rhobasis::{Error, extxyz, potential};

use crate::atoms::reals;
use crate::errors::{refuse, warn};
use crate::structure::Frames;
use crate::threads::detach;

/// Energy, forces and stress of each frame, where it has them.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Labels {
    pub(crate) inner: Vec<extxyz::Labels>,
}

#[pymethods]
impl Labels {
    /// Those in the frames, under these keys: none is the usual one, an empty one leaves a quantity out, and any other must be
    /// in some frame.
    #[staticmethod]
    fn of_frames(
        py: Python<'_>,
        frames: &Frames,
        energy_key: Option<String>,
        force_key: Option<String>,
        stress_key: Option<String>,
        virial_key: Option<String>,
    ) -> PyResult<Self> {
        let keys = LabelKeys { energy_key, force_key, stress_key, virial_key };
        let (options, mut survey) = (keys.options(false), LabelSurvey::new(&keys));
        if let Some(error) = left_out(frames, &options) {
            return Err(error);
        }
        let inner = detach(py, || {
            let all = frames.structures().iter().enumerate();
            let one = |(k, structure)| {
                let (labels, omitted) =
                    extxyz::labels_and_omissions(structure, &options).map_err(|e: Error| e.at_frame(k))?;
                survey.add(structure, &labels, &omitted, || frames.named(k));
                Ok(labels)
            };
            all.map(one).collect::<rhobasis::Result<Vec<_>>>()
        });
        let inner = inner.map_err(|e| frames.refuse(e, 0))?;
        survey.check_named().map_err(refuse)?;
        warn_of(py, &survey)?;
        Ok(Labels { inner })
    }

    /// Energies `[frame]`, forces `[atom, 3]` of each frame, stresses `[frame, 3, 3]`; NaN, or none, where there is none.
    #[staticmethod]
    fn given(
        py: Python<'_>,
        frames: &Frames,
        energies: Option<&Bound<'_, PyAny>>,
        forces: Option<Vec<Option<Bound<'_, PyAny>>>>,
        stresses: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let all = frames.structures();
        let mut inner = vec![extxyz::Labels::default(); all.len()];
        let mut survey = LabelSurvey::default();
        let as_many = |name: &'static str, n: usize| match n == all.len() {
            true => Ok(()),
            false => {
                let problem = format!("there are {} frames", all.len());
                Err(refuse(Error::setting(name, n, problem, "give one for each frame, NaN where there is none")))
            }
        };
        let refuse_at = |frame: usize, e: Error| frames.refuse(e.at_frame(frame), 0);
        if let Some(energies) = energies {
            let energies: Array1<f64> = reals("energies", "one number for each frame", energies)?;
            as_many("energies", energies.len())?;
            for (frame, (labels, &energy)) in inner.iter_mut().zip(&energies).enumerate() {
                let there = extxyz::is_there(&[energy], "energy", |_| (None, ""));
                labels.energy = there.map_err(|e| refuse_at(frame, e))?.then_some(energy);
            }
        }
        if let Some(forces) = forces {
            as_many("forces", forces.len())?;
            for (frame, (labels, forces)) in inner.iter_mut().zip(forces).enumerate() {
                let Some(forces) = forces else { continue };
                let forces: Array2<f64> = reals("forces", "an array [atom, 3] for each frame", &forces)?;
                let shape = [all[frame].len(), 3];
                if forces.shape() != shape {
                    let problem = format!("forces have the shape {:?}, and {shape:?} is needed", forces.shape());
                    return Err(refuse_at(
                        frame,
                        Error::structure(None, problem, "give x, y, z for each atom, in eV/Å"),
                    ));
                }
                let rows = forces.rows().into_iter().map(|r| [r[0], r[1], r[2]]).collect::<Vec<Vec3>>();
                let there = extxyz::is_there(rows.as_flattened(), "forces", extxyz::of_forces);
                labels.forces = there.map_err(|e| refuse_at(frame, e))?.then_some(rows);
            }
        }
        if let Some(stresses) = stresses {
            let stresses: Array3<f64> = reals("stresses", "an array [frame, 3, 3]", stresses)?;
            as_many("stresses", stresses.dim().0)?;
            if stresses.shape()[1..] != [3, 3] {
                let shown = format!("{:?}", stresses.shape());
                return Err(refuse(Error::setting("stresses", shown, "[frame, 3, 3] is needed", "see Potential.fit")));
            }
            for (frame, (labels, s)) in inner.iter_mut().zip(stresses.outer_iter()).enumerate() {
                let flat: Vec<f64> = s.iter().copied().collect();
                let there = extxyz::is_there(&flat, "stress", extxyz::of_matrix);
                if !there.map_err(|e| refuse_at(frame, e))? {
                    continue;
                }
                if all[frame].pbc != [true; 3] {
                    survey.omit(Omission::StressWithoutVolume, || frames.named(frame));
                    continue;
                }
                labels.stress = Some([0, 1, 2].map(|a| [0, 1, 2].map(|b| 0.5 * (s[[a, b]] + s[[b, a]]))));
            }
        }
        survey.omissions().iter().try_for_each(|text| warn(py, text))?;
        Ok(Labels { inner })
    }

    /// How many frames have an energy, forces, a stress.
    fn counts(&self) -> (usize, usize, usize) {
        let count = |has: fn(&extxyz::Labels) -> bool| self.inner.iter().filter(|l| has(l)).count();
        (count(|l| l.energy.is_some()), count(|l| l.forces.is_some()), count(|l| l.stress.is_some()))
    }

    /// Energies, NaN where there is none.
    fn energies<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        self.inner.iter().map(|l| l.energy.unwrap_or(f64::NAN)).collect::<Vec<_>>().into_pyarray(py)
    }

    /// Forces of each frame.
    fn forces<'py>(&self, py: Python<'py>) -> Vec<Option<Bound<'py, PyArray2<f64>>>> {
        let forces = self.inner.iter().map(|l| l.forces.as_deref());
        forces.map(|f| f.map(|f| vectors(f).into_pyarray(py))).collect()
    }

    /// Stresses `[frame, 3, 3]`, NaN where there is none.
    fn stresses<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray3<f64>> {
        let mut stresses = Array3::from_elem((self.inner.len(), 3, 3), f64::NAN);
        for (mut to, labels) in stresses.outer_iter_mut().zip(&self.inner) {
            if let Some(stress) = labels.stress {
                to.assign(&ndarray::arr2(&stress));
            }
        }
        stresses.into_pyarray(py)
    }
}

/// Rows `[atom, 3]`.
pub(crate) fn vectors(rows: &[Vec3]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), 3), |(i, d)| rows[i][d])
}

/// Warns of labels that are left out, and names keys that may hold those that are missing.
///
/// # Errors
/// If no frame has a label, and such keys are there.
fn warn_of(py: Python<'_>, survey: &LabelSurvey) -> PyResult<()> {
    survey.omissions().iter().try_for_each(|text| warn(py, text))?;
    let likely = survey.likely();
    let Some(first) = likely.first() else { return Ok(()) };
    let settings = likely.iter().map(Likely::setting).collect::<Vec<_>>().join(", ");
    let remedy = format!("give what is meant of {settings}");
    if survey.is_empty() {
        let problem = format!("no frame has a label under {}", survey.keys().join(", "));
        return Err(refuse(Error::setting(first.kind.setting(), "None", problem, remedy)));
    }
    let kinds = likely.iter().map(|l| l.kind.name()).collect::<Vec<_>>().join(", ");
    warn(py, &format!("nothing is under the usual keys of {kinds}; {remedy}"))
}

/// The first label that is looked for, is not there, and was left out when the frames were taken from Python.
fn left_out(frames: &Frames, options: &extxyz::Options) -> Option<PyErr> {
    let of_frame = |(k, structure): (usize, &Structure)| {
        let has = |key: &String| !key.is_empty() && structure.get(key).is_some();
        let mut info = vec![&options.energy_key];
        if !has(&options.virial_key) {
            info.extend([&options.stress_key, &options.virial_key]);
        }
        let absent = info.into_iter().filter(|key| !has(key));
        let column = Some(&options.force_key).filter(|key| structure.column(key).is_none());
        absent.chain(column).filter(|key| !key.is_empty()).find_map(|key| frames.no_label(k, key))
    };
    frames.structures().iter().enumerate().find_map(of_frame)
}

/// The `config_type` of each frame, empty where it has none.
#[pyfunction]
pub(crate) fn config_types(frames: &Frames) -> Vec<String> {
    frames.structures().iter().map(|s| potential::config_type(s).to_string()).collect()
}
