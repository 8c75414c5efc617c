//! One structure from and to Python: an `ase.Atoms`, or the arrays that make one.

use ndarray::ArrayViewD;
use numpy::{PyArrayDyn, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use pyo3::{IntoPyObjectExt, intern};
use rhobasis::structure::{Column, ColumnData, Value};
use rhobasis::{Error, Structure};

use crate::errors::refuse;
use crate::settings::wrong_type;

pub(crate) fn set_info(structure: &mut Structure, key: &str, value: Value) {
    match structure.info.iter_mut().find(|(k, _)| k == key) {
        Some((_, old)) => *old = value,
        None => structure.info.push((key.to_string(), value)),
    }
}

pub(crate) fn set_column(structure: &mut Structure, name: &str, width: usize, data: ColumnData) {
    structure.columns.retain(|c| c.name != name);
    structure.columns.push(Column { name: name.to_string(), width, data });
}

/// Species, positions, cell and periodicity of an `ase.Atoms`, one of a list if it has an index: the path of every calculation,
/// so few look-ups.
pub(crate) fn from_atoms(atoms: &Bound<'_, PyAny>, index: Option<usize>) -> PyResult<Structure> {
    let py = atoms.py();
    let none = || wrong_type(&named(index), "an ase.Atoms", atoms);
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
        structure.validate().map_err(|e| refuse(placed(e, index)))?;
    }
    Ok(structure)
}

/// The `ase.Atoms` in messages.
fn named(index: Option<usize>) -> String {
    index.map_or_else(|| "atoms".to_string(), |index| format!("frames[{index}]"))
}

fn placed(error: Error, index: Option<usize>) -> Error {
    match index {
        Some(index) => error.at_frame(index),
        None => error,
    }
}

/// Species, positions and cell.
pub(crate) fn geometry(
    numbers: &Bound<'_, PyAny>,
    positions: &Bound<'_, PyAny>,
    cell: &Bound<'_, PyAny>,
    index: Option<usize>,
) -> PyResult<Structure> {
    let mut structure = Structure { species: atomic_numbers(numbers, index)?, ..Structure::default() };
    let name = |array: &str| format!("{}.{array}", named(index));
    matrix(
        positions,
        || name("positions"),
        |x| {
            structure.positions = x.rows().into_iter().map(|r| [r[0], r[1], r[2]]).collect();
        },
    )?;
    matrix(
        cell,
        || name("cell"),
        |x| {
            x.rows().into_iter().zip(&mut structure.cell).for_each(|(from, to)| *to = [from[0], from[1], from[2]]);
        },
    )?;
    Ok(structure)
}

fn atomic_numbers(numbers: &Bound<'_, PyAny>, index: Option<usize>) -> PyResult<Vec<u8>> {
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
            refuse(placed(Error::structure(Some(atom), problem, "use atomic numbers from 1 to 118"), index))
        })
    });
    small.collect()
}

/// Calls `take` with a `[n, 3]` view of any array-like, whatever its layout and type.
fn matrix(
    from: &Bound<'_, PyAny>,
    name: impl Fn() -> String,
    take: impl FnOnce(ndarray::ArrayView2<'_, f64>),
) -> PyResult<()> {
    const SHAPE: &str = "an (n, 3) array of numbers";
    let converted;
    let array = match from.extract::<PyReadonlyArray2<'_, f64>>() {
        Ok(array) => array,
        Err(_) => {
            converted = as_array(from, "float64").map_err(|_| wrong_type(&name(), SHAPE, from))?;
            converted.extract::<PyReadonlyArray2<'_, f64>>().map_err(|_| wrong_type(&name(), SHAPE, from))?
        }
    };
    let view = array.as_array();
    if view.ncols() != 3 {
        return Err(wrong_type(&name(), SHAPE, from));
    }
    take(view);
    Ok(())
}

/// `numpy.asarray(value, dtype)`.
pub(crate) fn as_array<'py>(value: &Bound<'py, PyAny>, dtype: &str) -> PyResult<Bound<'py, PyAny>> {
    value.py().import(intern!(value.py(), "numpy"))?.call_method1(intern!(value.py(), "asarray"), (value, dtype))
}

pub(crate) fn from_python(value: &Bound<'_, PyAny>) -> Option<Value> {
    let py = value.py();
    let numpy = py.import(intern!(py, "numpy")).ok()?;
    let array = numpy.call_method1(intern!(py, "asarray"), (value,)).ok()?;
    let shape: Vec<usize> = array.getattr("shape").ok()?.extract().ok()?;
    let kind: String = array.getattr("dtype").and_then(|d| d.getattr("kind")).ok()?.extract().ok()?;
    let scalar = shape.is_empty();
    match kind.as_str() {
        "b" => {
            let x: Vec<bool> = list(&array)?;
            if scalar { x.first().map(|&x| Value::Bool(x)) } else { Some(Value::Bools(x, shape)) }
        }
        "i" | "u" => {
            let x: Vec<i64> = list(&array)?;
            if scalar { x.first().map(|&x| Value::Int(x)) } else { Some(Value::Ints(x, shape)) }
        }
        "f" => {
            let x: Vec<f64> = list(&array.call_method1("astype", ("float64",)).ok()?)?;
            if scalar { x.first().map(|&x| Value::Real(x)) } else { Some(Value::Reals(x, shape)) }
        }
        "U" => {
            // NumPy makes text of the numbers beside a text: not of objects.
            let mut x: Vec<String> = list(&numpy.call_method1("asarray", (value, "object")).ok()?)?;
            if scalar { x.pop().map(Value::Text) } else { Some(Value::Texts(x, shape)) }
        }
        _ => None,
    }
}

fn list<T>(array: &Bound<'_, PyAny>) -> Option<Vec<T>>
where
    T: for<'a, 'py> FromPyObject<'a, 'py>,
{
    array.call_method0("ravel").ok()?.call_method0("tolist").ok()?.extract().ok()
}

/// A per-atom array as a column: one axis beyond the atoms at most, or several merged.
pub(crate) fn column(value: &Bound<'_, PyAny>, n_atoms: usize) -> Option<(usize, ColumnData)> {
    let (data, shape) = match from_python(value)? {
        Value::Bools(x, shape) => (ColumnData::Bools(x), shape),
        Value::Ints(x, shape) => (ColumnData::Ints(x), shape),
        Value::Reals(x, shape) => (ColumnData::Reals(x), shape),
        Value::Texts(x, shape) => (ColumnData::Texts(x), shape),
        _ => return None,
    };
    (shape[0] == n_atoms).then(|| (shape[1..].iter().product(), data))
}

pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
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

pub(crate) fn array<'py, T: numpy::Element + Clone>(
    py: Python<'py>,
    x: &[T],
    shape: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    let view = ArrayViewD::from_shape(shape, x).map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))?;
    Ok(PyArrayDyn::from_array(py, &view).into_any())
}

pub(crate) fn texts<'py>(py: Python<'py>, x: &[String], shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
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
    if view.is_empty() {
        return Ok(ndarray::Array::zeros(view.raw_dim())); // strides of an empty slice are no layout to copy
    }
    Ok(view.as_standard_layout().into_owned())
}
