//! What an `ase.Atoms` holds beside its geometry: info, arrays, constraints, results of a calculator.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rhobasis::Structure;
use rhobasis::structure::Value;

use crate::atoms::{column, from_python, geometry, set_column, set_info};
use crate::constraints::move_mask;
use crate::left_out::LeftOut;
use crate::results::{Results, results};

/// The frame of which `Frames.parts` made these.
pub(crate) fn from_parts(parts: &Bound<'_, PyTuple>, index: usize) -> PyResult<Structure> {
    let get = |i| parts.get_item(i);
    let mut structure = geometry(&get(0)?, &get(1)?, &get(2)?, Some(index))?;
    structure.pbc = get(3)?.extract()?;
    let mut kept = |_: &str, _: String, _: &'static str| {}; // all of it was
    add_info(&mut structure, &get(4)?, &mut kept)?;
    add_columns(&mut structure, &get(5)?, &mut kept)?;
    Ok(structure)
}

/// info, arrays, constraints, and the results of a calculator, as ASE writes them; what cannot be kept goes to `left_out`.
pub(crate) fn add_labels(
    structure: &mut Structure,
    atoms: &Bound<'_, PyAny>,
    index: usize,
    left_out: &mut Vec<LeftOut>,
) -> PyResult<()> {
    let mut leave_out = |name: &str, problem: String, remedy: &'static str| {
        left_out.push(LeftOut { frame: index, names: vec![name.to_string()], problem, remedy });
    };
    add_info(structure, &atoms.getattr("info")?, &mut leave_out)?;
    add_columns(structure, &atoms.getattr("arrays")?, &mut leave_out)?;
    let mut others = Vec::new();
    if let Some((width, data)) = move_mask(atoms, structure.len(), &mut others)? {
        set_column(structure, "move_mask", width, data);
    }
    for name in others {
        leave_out("", format!("the constraint {name} has no place in a file"), "FixAtoms and FixCartesian have");
    }
    match results(atoms, structure)? {
        Results::None => {}
        Results::OfThese(results) => add_results(structure, &results)?,
        Results::OfOthers { names, changes } => left_out.push(LeftOut {
            frame: index,
            names,
            problem: format!("its calculator holds results of other {changes}"),
            remedy: "give each frame a calculator of its own, and run it after the last change (ase's \
                     SinglePointCalculator keeps results)",
        }),
    }
    Ok(())
}

/// Results of a calculator, as ASE's writer places them: a value of the frame, or a row for each atom.
fn add_results(structure: &mut Structure, results: &[(String, Bound<'_, PyAny>)]) -> PyResult<()> {
    const OF_FRAMES: [&str; 5] = ["stress", "dipole", "polarization", "polarizability", "dielectric_tensor"];
    let n_atoms = structure.len();
    for (name, value) in results {
        let of_frame = OF_FRAMES.contains(&name.as_str());
        match from_python(value) {
            Some(value @ (Value::Real(_) | Value::Int(_))) => set_info(structure, name, value),
            Some(Value::Reals(_, shape)) if !of_frame && shape.first() == Some(&n_atoms) => {
                if let Some((width, data)) = column(value, n_atoms) {
                    set_column(structure, name, width, data);
                }
            }
            Some(value @ Value::Reals(..)) => set_info(structure, name, value),
            _ => {} // what ASE's writer passes over too
        }
    }
    Ok(())
}

/// A value or row of each atom that is not kept: its key, what it is, and what to do.
type LeaveOut<'a> = &'a mut dyn FnMut(&str, String, &'static str);

fn add_info(structure: &mut Structure, info: &Bound<'_, PyAny>, leave_out: LeaveOut<'_>) -> PyResult<()> {
    for (key, value) in info.cast::<PyDict>().map_err(PyErr::from)?.iter() {
        let Ok(key) = key.extract::<String>() else {
            leave_out("", format!("the key {} of info is no text", key.repr()?), "use text as keys");
            continue;
        };
        match from_python(&value) {
            Some(value) => set_info(structure, &key, value),
            // What is None is no label either.
            None if value.is_none() => leave_out("", format!("info['{key}'] is None"), VALUES),
            None => leave_out(&key, format!("info['{key}'] is of the type {}", value.get_type().name()?), VALUES),
        }
    }
    Ok(())
}

fn add_columns(structure: &mut Structure, arrays: &Bound<'_, PyAny>, leave_out: LeaveOut<'_>) -> PyResult<()> {
    let n_atoms = structure.len();
    for (name, value) in arrays.cast::<PyDict>().map_err(PyErr::from)?.iter() {
        let name: String = name.extract()?;
        if name != "numbers" && name != "positions" {
            match column(&value, n_atoms) {
                Some((width, data)) => set_column(structure, &name, width, data),
                None => leave_out(&name, format!("arrays['{name}'] {}", described(&value)?), COLUMNS),
            }
        }
    }
    Ok(())
}

const VALUES: &str = "a number, a logical, text, or an array of these is kept";
const COLUMNS: &str = "an array of numbers, logicals or text with a row for each atom is kept";

/// Type and shape of what is no column.
fn described(value: &Bound<'_, PyAny>) -> PyResult<String> {
    match (value.getattr("dtype"), value.getattr("shape")) {
        (Ok(dtype), Ok(shape)) => Ok(format!("has the dtype {} and the shape {}", dtype.str()?, shape.str()?)),
        _ => Ok(format!("is of the type {}", value.get_type().name()?)),
    }
}
