//! Results of a calculator of ASE, and of which atoms they are.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};

/// What a calculator holds.
pub(crate) enum Results<'py> {
    /// Nothing, or there is no calculator.
    None,
    /// Of the atoms at hand, by name.
    OfThese(Vec<(String, Bound<'py, PyAny>)>),
    /// Of others: what is there, and in what they differ.
    OfOthers { names: Vec<String>, changes: String },
}

/// What the calculator of `atoms` holds; nothing is calculated. A calculator that serves several structures holds the results
/// of the last one.
pub(crate) fn results<'py>(atoms: &Bound<'py, PyAny>) -> PyResult<Results<'py>> {
    let py = atoms.py();
    let calculator = atoms.getattr(intern!(py, "calc"))?;
    let Ok(held) = calculator.getattr(intern!(py, "results")) else { return Ok(Results::None) };
    let Ok(held) = held.cast_into::<PyMapping>() else { return Ok(Results::None) };
    if held.is_empty()? {
        return Ok(Results::None);
    }
    let items = held.items()?.extract::<Vec<(String, Bound<'py, PyAny>)>>()?;
    let changes = changes(&calculator, atoms)?;
    if changes.is_empty() {
        return Ok(Results::OfThese(items));
    }
    let names = items.into_iter().map(|(name, _)| name).collect();
    Ok(Results::OfOthers { names, changes: changes.join(" and ") })
}

/// In what `atoms` differ from those of the results, by ASE's own comparison.
fn changes(calculator: &Bound<'_, PyAny>, atoms: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let py = atoms.py();
    if let Ok(changes) = calculator.call_method1(intern!(py, "check_state"), (atoms,))
        && changes.len().is_ok_and(|n| n == 0)
    {
        return Ok(Vec::new());
    }
    // Some calculators call any state another one, or have no `check_state`.
    let of = calculator.getattr(intern!(py, "atoms"));
    let Some(of) = of.ok().filter(|of| of.hasattr("arrays").unwrap_or(false)) else {
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
