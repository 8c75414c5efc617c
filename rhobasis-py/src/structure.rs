//! Structures from and to Python: lists of `ase.Atoms`, files, and the arrays that make an `ase.Atoms`.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::ArrayViewD;
use numpy::{IntoPyArray, PyArray1, PyArrayDyn, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArrayDyn};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use pyo3::{IntoPyObjectExt, intern};
use rhobasis::extxyz;
use rhobasis::structure::{Column, ColumnData, Value};
use rhobasis::{Error, Structure};
use sha2::{Digest, Sha256};

use crate::refuse;
use crate::settings::wrong_type;
use crate::threads::detach;

/// File and frame that a structure was read from.
type Origin = (Arc<PathBuf>, usize);

/// Structures in Rust memory; a slice shares them.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Frames {
    all: Arc<Vec<Structure>>,
    /// Of `all`, where they came from files.
    origins: Option<Arc<Vec<Origin>>>,
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
                place.file = Some(file.as_ref().clone());
                place.frame = Some(*frame);
            }
        }
        refuse(error)
    }

    /// The same structures, shared.
    pub(crate) fn share(&self) -> Self {
        Frames { all: self.all.clone(), origins: self.origins.clone(), range: self.range.clone() }
    }

    fn new(all: Vec<Structure>, origins: Option<Vec<Origin>>) -> Self {
        let range = 0..all.len();
        Frames { all: Arc::new(all), origins: origins.map(Arc::new), range }
    }
}

#[pymethods]
impl Frames {
    /// From a sequence of `ase.Atoms`; `everything` takes info, arrays and the results of a calculator along, of which
    /// `lenient` leaves out what no file could hold.
    #[staticmethod]
    #[pyo3(signature = (atoms, everything, lenient=false))]
    fn from_atoms(atoms: &Bound<'_, PyAny>, everything: bool, lenient: bool) -> PyResult<Self> {
        let mut all = Vec::with_capacity(atoms.len().unwrap_or(0));
        for (index, atoms) in atoms.try_iter()?.enumerate() {
            let atoms = atoms?;
            let mut structure = from_atoms(&atoms, index)?;
            if everything {
                add_labels(&mut structure, &atoms, lenient)?;
            }
            all.push(structure);
        }
        Ok(Frames::new(all, None))
    }

    /// Several one after the other.
    #[staticmethod]
    fn join(parts: Vec<PyRef<'_, Frames>>) -> Self {
        if let [one] = &parts[..] {
            return one.share();
        }
        let all = parts.iter().flat_map(|p| p.structures().iter().cloned()).collect();
        let origins = parts.iter().map(|p| p.origins.as_ref().map(|o| &o[p.range.clone()]));
        let origins = origins.collect::<Option<Vec<_>>>().map(|o| o.concat());
        Frames::new(all, origins)
    }

    fn __len__(&self) -> usize {
        self.range.len()
    }

    /// Frames start, start + step, …, `n` of them.
    fn slice(&self, start: usize, step: isize, n: usize) -> PyResult<Self> {
        let index = |k: usize| start.checked_add_signed(k as isize * step).filter(|&i| i < self.range.len());
        if n > 0 && (index(0).is_none() || index(n - 1).is_none()) {
            return Err(PyIndexError::new_err("slice of frames out of range"));
        }
        if step == 1 || n == 0 {
            let start = self.range.start + start.min(self.range.len());
            return Ok(Frames { all: self.all.clone(), origins: self.origins.clone(), range: start..start + n });
        }
        let chosen: Vec<usize> = (0..n).filter_map(index).map(|i| self.range.start + i).collect();
        let origins = self.origins.as_ref().map(|o| chosen.iter().map(|&i| o[i].clone()).collect());
        Ok(Frames::new(chosen.iter().map(|&i| self.all[i].clone()).collect(), origins))
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

    /// Energies of all frames under this key, in eV.
    fn energies<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let mut energies = Vec::with_capacity(self.range.len());
        for (k, structure) in self.structures().iter().enumerate() {
            let energy = extxyz::required_energy(structure, key);
            energies.push(energy.map_err(|e| self.refuse(e.at_frame(k), 0))?);
        }
        Ok(energies.into_pyarray(py))
    }

    /// SHA-256 of species, positions, cells and periodicity.
    fn sha256(&self, py: Python<'_>) -> String {
        detach(py, || {
            let mut hash = Sha256::new();
            self.structures().iter().for_each(|structure| add_to_hash(&mut hash, structure));
            hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }

    /// Writes an extended XYZ file.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detach(py, || extxyz::write(&path, self.structures())).map_err(refuse)
    }
}

/// Species, positions, cell and periodicity.
pub(crate) fn add_to_hash(hash: &mut Sha256, structure: &Structure) {
    hash.update((structure.len() as u64).to_le_bytes());
    hash.update(&structure.species);
    for x in structure.positions.iter().chain(&structure.cell).flatten() {
        hash.update(x.to_le_bytes());
    }
    hash.update(structure.pbc.map(u8::from));
}

/// Frames of a file, some at a time.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Reader {
    inner: Mutex<(extxyz::Reader, Option<Arc<PathBuf>>)>,
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
        Ok(Reader { inner: Mutex::new((reader, None)), labels })
    }

    /// The next `n` frames, or those with `first` frames before them and `step` − 1 between them; fewer at the end, none after
    /// it. With how many frames have gone by.
    #[pyo3(signature = (n, first=0, step=1))]
    fn chunk(&self, py: Python<'_>, n: usize, first: usize, step: usize) -> PyResult<(Frames, usize)> {
        detach(py, || {
            let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let (reader, file) = &mut *guard;
            let (mut all, mut origins) = (Vec::new(), Vec::new());
            let mut gone_by = 0;
            while all.len() < n {
                gone_by += reader.pass(if all.is_empty() { first } else { step.saturating_sub(1) })?;
                let Some(structure) = reader.next() else { break };
                gone_by += 1;
                let mut structure = structure?;
                let (path, frame) = (reader.path().unwrap_or(std::path::Path::new("")), reader.frame_index());
                let frame = frame.unwrap_or_default();
                if let Some(options) = &self.labels {
                    rename_labels(&mut structure, options).map_err(|e| e.at_frame(frame).in_file(path))?;
                }
                if file.as_ref().is_none_or(|file| file.as_path() != path) {
                    *file = Some(Arc::new(path.to_path_buf()));
                }
                let file = file.clone().unwrap_or_default();
                origins.push((file, frame));
                all.push(structure);
            }
            Ok((Frames::new(all, Some(origins)), gone_by))
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

fn set_info(structure: &mut Structure, key: &str, value: Value) {
    match structure.info.iter_mut().find(|(k, _)| k == key) {
        Some((_, old)) => *old = value,
        None => structure.info.push((key.to_string(), value)),
    }
}

fn set_column(structure: &mut Structure, name: &str, width: usize, data: ColumnData) {
    structure.columns.retain(|c| c.name != name);
    structure.columns.push(Column { name: name.to_string(), width, data });
}

/// Species, positions, cell and periodicity of an `ase.Atoms`: the path of every calculation, so few look-ups.
pub(crate) fn from_atoms(atoms: &Bound<'_, PyAny>, index: usize) -> PyResult<Structure> {
    let py = atoms.py();
    let none = || wrong_type(&format!("frames[{index}]"), "an ase.Atoms", atoms);
    let arrays = atoms.getattr(intern!(py, "arrays")).map_err(|_| none())?;
    let arrays = arrays.cast::<PyDict>().map_err(|_| none())?;
    let numbers = arrays.get_item(intern!(py, "numbers"))?.ok_or_else(none)?;
    let positions = arrays.get_item(intern!(py, "positions"))?.ok_or_else(none)?;
    let cell = atoms.getattr(intern!(py, "cell")).and_then(|c| c.getattr(intern!(py, "array"))).map_err(|_| none())?;
    let pbc = atoms.getattr(intern!(py, "pbc")).map_err(|_| none())?;
    let mut structure = geometry(&numbers, &positions, &cell, index)?;
    match pbc.extract::<PyReadonlyArray1<'_, bool>>() {
        Ok(pbc) => pbc.as_array().iter().zip(&mut structure.pbc).for_each(|(from, to)| *to = *from),
        Err(_) => structure.pbc = pbc.extract()?,
    }
    if structure.positions.len() != structure.species.len() {
        structure.validate().map_err(|e| refuse(e.at_frame(index)))?;
    }
    Ok(structure)
}

/// Species, positions and cell.
fn geometry(
    numbers: &Bound<'_, PyAny>,
    positions: &Bound<'_, PyAny>,
    cell: &Bound<'_, PyAny>,
    index: usize,
) -> PyResult<Structure> {
    let mut structure = Structure { species: atomic_numbers(numbers, index)?, ..Structure::default() };
    matrix(positions, "positions", |x| {
        structure.positions = x.rows().into_iter().map(|r| [r[0], r[1], r[2]]).collect();
    })?;
    matrix(cell, "cell", |x| {
        x.rows().into_iter().zip(&mut structure.cell).for_each(|(from, to)| *to = [from[0], from[1], from[2]]);
    })?;
    Ok(structure)
}

/// The frame of which `Frames.parts` made these.
fn from_parts(parts: &Bound<'_, PyTuple>, index: usize) -> PyResult<Structure> {
    let get = |i| parts.get_item(i);
    let mut structure = geometry(&get(0)?, &get(1)?, &get(2)?, index)?;
    structure.pbc = get(3)?.extract()?;
    add_info(&mut structure, &get(4)?, false)?;
    add_columns(&mut structure, &get(5)?, false)?;
    Ok(structure)
}

fn atomic_numbers(numbers: &Bound<'_, PyAny>, index: usize) -> PyResult<Vec<u8>> {
    let converted;
    let numbers = match numbers.extract::<PyReadonlyArray1<'_, i64>>() {
        Ok(numbers) => numbers,
        Err(_) => {
            converted = as_array(numbers, "int64")?;
            converted.extract::<PyReadonlyArray1<'_, i64>>()?
        }
    };
    let numbers = numbers.as_array();
    let small = numbers.iter().enumerate().map(|(atom, &z)| {
        u8::try_from(z).map_err(|_| {
            let problem = format!("atomic number {z} is no element");
            refuse(Error::structure(Some(atom), problem, "use atomic numbers from 1 to 118").at_frame(index))
        })
    });
    small.collect()
}

/// Calls `take` with a `[n, 3]` view of any array-like, whatever its layout and type.
fn matrix(from: &Bound<'_, PyAny>, name: &str, take: impl FnOnce(ndarray::ArrayView2<'_, f64>)) -> PyResult<()> {
    let converted;
    let array = match from.extract::<PyReadonlyArray2<'_, f64>>() {
        Ok(array) => array,
        Err(_) => {
            converted = as_array(from, "float64")?;
            converted.extract::<PyReadonlyArray2<'_, f64>>().map_err(|_| wrong_type(name, "an (n, 3) array", from))?
        }
    };
    let view = array.as_array();
    if view.ncols() != 3 {
        return Err(wrong_type(name, "an (n, 3) array", from));
    }
    take(view);
    Ok(())
}

/// `numpy.asarray(value, dtype)`.
pub(crate) fn as_array<'py>(value: &Bound<'py, PyAny>, dtype: &str) -> PyResult<Bound<'py, PyAny>> {
    value.py().import(intern!(value.py(), "numpy"))?.call_method1(intern!(value.py(), "asarray"), (value, dtype))
}

/// info, arrays, and the results of a calculator, as ASE writes them.
fn add_labels(structure: &mut Structure, atoms: &Bound<'_, PyAny>, lenient: bool) -> PyResult<()> {
    add_info(structure, &atoms.getattr("info")?, lenient)?;
    add_columns(structure, &atoms.getattr("arrays")?, lenient)?;
    let n_atoms = structure.len();
    let calculator = atoms.getattr("calc")?;
    let Ok(results) = calculator.getattr("results") else { return Ok(()) };
    for (name, value) in results.cast::<PyDict>().map_err(PyErr::from)?.iter() {
        let name: String = name.extract()?;
        match from_python(&value) {
            Some(value @ (Value::Real(_) | Value::Int(_))) => set_info(structure, &name, value),
            Some(value) if name == "stress" => set_info(structure, &name, value),
            Some(Value::Reals(_, shape)) if shape.first() == Some(&n_atoms) => {
                if let Some((width, data)) = column(&value, n_atoms) {
                    set_column(structure, &name, width, data);
                }
            }
            _ => {} // what ASE's writer passes over too
        }
    }
    Ok(())
}

fn add_info(structure: &mut Structure, info: &Bound<'_, PyAny>, lenient: bool) -> PyResult<()> {
    for (key, value) in info.cast::<PyDict>().map_err(PyErr::from)?.iter() {
        match (key.extract::<String>(), from_python(&value)) {
            (Ok(key), Some(value)) => set_info(structure, &key, value),
            _ if lenient => {}
            (Ok(key), None) => return Err(wrong_type(&format!("info[{key:?}]"), VALUES, &value)),
            (Err(_), _) => return Err(wrong_type("a key of info", "text", &key)),
        }
    }
    Ok(())
}

fn add_columns(structure: &mut Structure, arrays: &Bound<'_, PyAny>, lenient: bool) -> PyResult<()> {
    let n_atoms = structure.len();
    for (name, value) in arrays.cast::<PyDict>().map_err(PyErr::from)?.iter() {
        let name: String = name.extract()?;
        if name != "numbers" && name != "positions" {
            match column(&value, n_atoms) {
                Some((width, data)) => set_column(structure, &name, width, data),
                None if lenient => {}
                None => {
                    return Err(wrong_type(&format!("arrays[{name:?}]"), "an array with a row for each atom", &value));
                }
            }
        }
    }
    Ok(())
}

const VALUES: &str = "a number, a logical, text, or an array of these";

fn from_python(value: &Bound<'_, PyAny>) -> Option<Value> {
    let array = value.py().import("numpy").ok()?.call_method1("asarray", (value,)).ok()?;
    let shape: Vec<usize> = array.getattr("shape").ok()?.extract().ok()?;
    let flat = |dtype: &str| array.call_method1("astype", (dtype,)).and_then(|a| a.call_method0("ravel"));
    let kind: String = array.getattr("dtype").and_then(|d| d.getattr("kind")).ok()?.extract().ok()?;
    let scalar = shape.is_empty();
    match kind.as_str() {
        "b" => {
            let x: Vec<bool> = list(&flat("bool").ok()?)?;
            if scalar { x.first().map(|&x| Value::Bool(x)) } else { Some(Value::Bools(x, shape)) }
        }
        "i" | "u" => {
            let x: Vec<i64> = list(&flat("int64").ok()?)?;
            if scalar { x.first().map(|&x| Value::Int(x)) } else { Some(Value::Ints(x, shape)) }
        }
        "f" => {
            let x: Vec<f64> = list(&flat("float64").ok()?)?;
            if scalar { x.first().map(|&x| Value::Real(x)) } else { Some(Value::Reals(x, shape)) }
        }
        "U" => {
            let mut x: Vec<String> = list(&flat("object").ok()?)?;
            if scalar { x.pop().map(Value::Text) } else { Some(Value::Texts(x, shape)) }
        }
        _ => None,
    }
}

fn list<T>(array: &Bound<'_, PyAny>) -> Option<Vec<T>>
where
    T: for<'a, 'py> FromPyObject<'a, 'py>,
{
    array.call_method0("tolist").ok()?.extract().ok()
}

/// A per-atom array as a column: one axis beyond the atoms at most, or several merged.
fn column(value: &Bound<'_, PyAny>, n_atoms: usize) -> Option<(usize, ColumnData)> {
    let (data, shape) = match from_python(value)? {
        Value::Bools(x, shape) => (ColumnData::Bools(x), shape),
        Value::Ints(x, shape) => (ColumnData::Ints(x), shape),
        Value::Reals(x, shape) => (ColumnData::Reals(x), shape),
        Value::Texts(x, shape) => (ColumnData::Texts(x), shape),
        _ => return None,
    };
    (shape[0] == n_atoms).then(|| (shape[1..].iter().product(), data))
}

fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Bool(x) => x.into_bound_py_any(py),
        Value::Int(x) => x.into_bound_py_any(py),
        Value::Real(x) => x.into_bound_py_any(py),
        Value::Text(x) => x.into_bound_py_any(py),
        Value::Bools(x, shape) => array(py, x, shape),
        Value::Ints(x, shape) => array(py, x, shape),
        Value::Reals(x, shape) => array(py, x, shape),
        Value::Texts(x, shape) => texts(py, x, shape),
    }
}

fn array<'py, T: numpy::Element + Clone>(py: Python<'py>, x: &[T], shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    let view = ArrayViewD::from_shape(shape, x).map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))?;
    Ok(PyArrayDyn::from_array(py, &view).into_any())
}

fn texts<'py>(py: Python<'py>, x: &[String], shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    let array = py.import("numpy")?.call_method1("array", (PyList::new(py, x)?,))?;
    array.call_method1("reshape", (PyTuple::new(py, shape)?,))
}

/// Copies any array-like to the standard layout.
pub(crate) fn reals<D: ndarray::Dimension>(
    name: &str,
    axes: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<ndarray::Array<f64, D>> {
    // NumPy would drop imaginary parts with no more than a warning.
    let complex =
        value.getattr("dtype").and_then(|d| d.getattr("kind")).is_ok_and(|kind| kind.eq("c").unwrap_or(false));
    if complex {
        return Err(wrong_type(name, &format!("{axes} of real numbers"), value));
    }
    let array = as_array(value, "float64").map_err(|_| wrong_type(name, axes, value))?;
    let array = array.extract::<PyReadonlyArrayDyn<'_, f64>>()?;
    let view = array.as_array().into_dimensionality::<D>().map_err(|_| wrong_type(name, axes, value))?;
    Ok(view.as_standard_layout().into_owned())
}
