use super::labels::{is_there, numbers_of, of_forces, of_matrix, of_voigt, present, symmetric};
use crate::structure::Vec3;
use crate::{Error, Result, Structure};

/// Components of a matrix that differ by more than this, relative to the largest, are no rounding of each other.
const ASYMMETRY: f64 = 1e-3;

/// The vector that a frame has under this key, such as a dipole; none if there is none, or its numbers are NaN throughout.
///
/// ```
/// use rhobasis::{Structure, extxyz, structure::Value};
/// let mut atom = Structure::molecule(vec![2], vec![[0.0; 3]]);
/// assert_eq!(extxyz::vector(&atom, "dipole")?, None);
/// atom.info.push(("dipole".to_string(), Value::Reals(vec![0.0, 0.5, 1.0], vec![3])));
/// assert_eq!(extxyz::vector(&atom, "dipole")?, Some([0.0, 0.5, 1.0]));
/// # Ok::<(), rhobasis::Error>(())
/// ```
///
/// # Errors
/// If it is something else than three numbers, or numbers are infinite, beyond 1e100, or NaN in part.
pub fn vector(structure: &Structure, key: &str) -> Result<Option<Vec3>> {
    let Some(value) = present(structure, key) else { return Ok(None) };
    let Ok(vector) = <Vec3>::try_from(numbers_of(value)) else {
        let problem = format!("{key}={value} is no vector of three numbers");
        return Err(Error::structure(None, problem, "give x y z, or name another key"));
    };
    Ok(is_there(&vector, key, |k| (None, of_forces(k).1))?.then_some(vector))
}

/// The symmetric matrix that a frame has under this key, such as a polarisability: of nine numbers, or six in the order xx, yy,
/// zz, yz, xz, xy; none if there is none, or its numbers are NaN throughout.
///
/// # Errors
/// If it is of another shape, numbers are infinite, beyond 1e100, or NaN in part, and if nine numbers are not symmetric up to
/// rounding (10⁻³ of the largest).
pub fn symmetric_matrix(structure: &Structure, key: &str) -> Result<Option<[Vec3; 3]>> {
    let Some(value) = present(structure, key) else { return Ok(None) };
    let x = numbers_of(value);
    if !matches!(x.len(), 6 | 9) {
        let problem = format!("{key}={value} is no matrix of nine or six numbers");
        return Err(Error::structure(None, problem, "give it row by row, or xx yy zz yz xz xy, or name another key"));
    }
    if !is_there(&x, key, if x.len() == 6 { of_voigt } else { of_matrix })? {
        return Ok(None);
    }
    if x.len() == 9 {
        check_symmetry(&x, key)?;
    }
    Ok(Some(symmetric(&x)))
}

fn check_symmetry(x: &[f64], key: &str) -> Result<()> {
    let largest = x.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    for (i, j) in [(1, 3), (2, 6), (5, 7)] {
        if (x[i] - x[j]).abs() > ASYMMETRY * largest {
            let [a, b] = [i, j].map(|k| of_matrix(k).1);
            let problem = format!("{key} is not symmetric: {a} is {}, {b} is {}", x[i], x[j]);
            return Err(Error::structure(None, problem, "give a symmetric matrix, row by row, or name another key"));
        }
    }
    Ok(())
}
