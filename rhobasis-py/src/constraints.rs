//! Constraints of ASE as the column `move_mask` of extended XYZ, as ASE has it: what may move.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rhobasis::structure::ColumnData;

/// Width and values of `move_mask`: T or F for each atom, or for x, y and z of each; none where all may move. The names of
/// constraints that say more than that are added to `others`.
pub(crate) fn move_mask(
    atoms: &Bound<'_, PyAny>,
    n_atoms: usize,
    others: &mut Vec<String>,
) -> PyResult<Option<(usize, ColumnData)>> {
    // What behaves as an Atoms need not know of constraints.
    let Ok(constraints) = atoms.getattr("constraints") else { return Ok(None) };
    let mut free = vec![[true; 3]; n_atoms];
    for constraint in constraints.try_iter()? {
        let constraint = constraint?;
        let Some(fixed) = fixed(&constraint) else {
            others.push(constraint.get_type().name()?.to_string());
            continue;
        };
        for (atom, fixed) in fixed {
            // ASE counts from the end, too.
            let atom = if atom < 0 { atom + n_atoms as isize } else { atom };
            if let Some(free) = usize::try_from(atom).ok().and_then(|atom| free.get_mut(atom)) {
                (0..3).filter(|&d| fixed[d]).for_each(|d| free[d] = false);
            }
        }
    }
    if free.iter().flatten().all(|&free| free) {
        return Ok(None);
    }
    let of_atoms = free.iter().all(|f| f[0] == f[1] && f[1] == f[2]);
    let (width, mask) =
        if of_atoms { (1, free.iter().map(|f| f[0]).collect()) } else { (3, free.as_flattened().to_vec()) };
    Ok(Some((width, ColumnData::Bools(mask))))
}

/// Which atoms a `FixAtoms` or `FixCartesian` fixes, and along which axes; nothing for other constraints.
fn fixed(constraint: &Bound<'_, PyAny>) -> Option<Vec<(isize, [bool; 3])>> {
    let described = constraint.call_method0("todict").ok()?;
    let described = described.cast_into::<PyDict>().ok()?;
    let name: String = item(&described, "name")?.extract().ok()?;
    let arguments = item(&described, "kwargs")?.cast_into::<PyDict>().ok()?;
    match name.as_str() {
        "FixAtoms" => {
            let indices: Vec<isize> = item(&arguments, "indices")?.extract().ok()?;
            Some(indices.into_iter().map(|atom| (atom, [true; 3])).collect())
        }
        "FixCartesian" => {
            let given = item(&arguments, "a")?;
            let indices = given.extract::<Vec<isize>>().or_else(|_| given.extract().map(|one| vec![one])).ok()?;
            let mask: Vec<bool> = item(&arguments, "mask")?.extract().ok()?;
            let mask: [bool; 3] = mask.try_into().ok()?;
            Some(indices.into_iter().map(|atom| (atom, mask)).collect())
        }
        _ => None,
    }
}

fn item<'py>(of: &Bound<'py, PyDict>, key: &str) -> Option<Bound<'py, PyAny>> {
    of.get_item(key).ok().flatten()
}
