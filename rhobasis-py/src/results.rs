//! Results of a calculator of ASE, and of which atoms they are.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};
use rhobasis::Structure;

use crate::atoms::from_atoms;

/// What a calculator holds.
pub(crate) enum Results<'py> {
    /// Nothing, or there is no calculator.
    None,
    /// Of the atoms at hand, by name.
    OfThese(Vec<(String, Bound<'py, PyAny>)>),
    /// Of others: what is there, and in what they differ.
    OfOthers { names: Vec<String>, changes: String },
}

/// What the calculator of `atoms` holds, whose species, positions and cell are those of `structure`; nothing is calculated. A
/// calculator that serves several structures holds the results of the last one.
pub(crate) fn results<'py>(atoms: &Bound<'py, PyAny>, structure: &Structure) -> PyResult<Results<'py>> {
    let py = atoms.py();
    let calculator = atoms.getattr(intern!(py, "calc"))?;
    let Ok(held) = calculator.getattr(intern!(py, "results")) else { return Ok(Results::None) };
    let Ok(held) = held.cast_into::<PyMapping>() else { return Ok(Results::None) };
    if held.is_empty()? {
        return Ok(Results::None);
    }
    let items = held.items()?.extract::<Vec<(String, Bound<'py, PyAny>)>>()?;
    let of = calculator.getattr(intern!(py, "atoms"));
    let of = of.ok().filter(|of| of.hasattr(intern!(py, "arrays")).unwrap_or(false));
    if of.as_ref().is_some_and(|of| same(of, atoms, structure)) {
        return Ok(Results::OfThese(items));
    }
    let changes = changes(&calculator, of.as_ref(), atoms)?;
    if changes.is_empty() {
        return Ok(Results::OfThese(items));
    }
    let names = items.into_iter().map(|(name, _)| name).collect();
    Ok(Results::OfOthers { names, changes: changes.join(" and ") })
}

/// Whether atoms are the same to the last bit, and plain: seen a hundred times sooner than by ASE.
fn same(of: &Bound<'_, PyAny>, atoms: &Bound<'_, PyAny>, structure: &Structure) -> bool {
    let plain = |atoms: &Bound<'_, PyAny>| {
        let arrays = atoms.getattr(intern!(atoms.py(), "arrays"));
        let has = |name| arrays.as_ref().is_ok_and(|arrays| arrays.contains(name).unwrap_or(true));
        !has("initial_charges") && !has("initial_magmoms")
    };
    let equal = |of: Structure| {
        of.species == structure.species
            && of.positions == structure.positions
            && of.cell == structure.cell
            && of.pbc == structure.pbc
    };
    plain(of) && plain(atoms) && from_atoms(of, None).is_ok_and(equal)
}

/// In what `atoms` differ from those of the results, `of`, by ASE's own comparison.
fn changes(
    calculator: &Bound<'_, PyAny>,
    of: Option<&Bound<'_, PyAny>>,
    atoms: &Bound<'_, PyAny>,
) -> PyResult<Vec<String>> {
    let py = atoms.py();
    if let Ok(changes) = calculator.call_method1(intern!(py, "check_state"), (atoms,))
        && changes.len().is_ok_and(|n| n == 0)
    {
        return Ok(Vec::new());
    }
    // Some calculators call any state another one, or have no `check_state`.
    let Some(of) = of else {
        return Ok(vec!["structures, or does not say of which".to_string()]);
    };
    let ignored = PyDict::new(py);
    if let Ok(names) = calculator.getattr(intern!(py, "ignored_changes")) {
        ignored.set_item("excluded_properties", names)?;
    }
    let compare = py.import("ase.calculators.calculator")?.getattr("compare_atoms")?;
    let mut changes = Vec::new();
    for change in compare.call((of, atoms), Some(&ignored))?.try_iter()? {
        changes.push(change?.cast_into::<PyString>()?.to_string());
    }
    changes.sort();
    Ok(changes)
}
