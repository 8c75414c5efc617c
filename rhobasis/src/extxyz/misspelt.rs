use super::layout::Layout;
use crate::structure::Value;
use crate::{Error, Result, Structure};

/// Keys of the comment line that say what a frame is.
const KEYS: [&str; 3] = ["Lattice", "Properties", "pbc"];

/// The key among `Lattice`, `Properties` and `pbc` that a name equals up to case, and not to the letter.
///
/// ```
/// use rhobasis::extxyz::misspelt;
/// assert_eq!([misspelt("lattice"), misspelt("Lattice"), misspelt("energy")], [Some("Lattice"), None, None]);
/// ```
pub fn misspelt(name: &str) -> Option<&'static str> {
    KEYS.into_iter().find(|key| name.eq_ignore_ascii_case(key) && name != *key)
}

/// Refuses a frame that would lose its cell, its periodicity or its columns because their key is misspelt; a key that only
/// looks so (`lattice=fcc`) is like any other. `given` says which keys are there to the letter.
pub(super) fn refuse_misspelt(structure: &Structure, given: impl Fn(&str) -> bool) -> Result<()> {
    for (name, value) in &structure.info {
        let Some(key) = misspelt(name).filter(|key| !given(key)) else { continue };
        let lost = match (key, value) {
            ("Lattice", Value::Reals(x, _)) if x.len() == 9 => Some("the frame would have no cell"),
            ("Lattice", Value::Ints(x, _)) if x.len() == 9 => Some("the frame would have no cell"),
            ("pbc", value) if flags(value).is_some_and(|pbc| pbc != structure.pbc) => {
                Some("the frame would have another periodicity")
            }
            ("Properties", Value::Text(text)) if Layout::new(text, true).is_ok() => {
                Some("the columns would not be read")
            }
            _ => None,
        };
        if let Some(lost) = lost {
            let problem = format!("the key '{name}' differs from {key} in upper and lower case, and {lost}");
            return Err(Error::structure(None, problem, format!("write {key}, or rename it if it is something else")));
        }
    }
    Ok(())
}

/// Three of true and false, or one for all.
fn flags(value: &Value) -> Option<[bool; 3]> {
    match value {
        Value::Bool(all) => Some([*all; 3]),
        Value::Bools(x, _) => x[..].try_into().ok(),
        Value::Ints(x, _) if x.iter().all(|i| matches!(i, 0 | 1)) => {
            Some(<[i64; 3]>::try_from(&x[..]).ok()?.map(|i| i == 1))
        }
        _ => None,
    }
}
