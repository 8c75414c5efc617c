use std::collections::BTreeMap;

use super::target::Target;
use crate::structure::{Structure, Value};
use crate::{Error, Result};

/// Keys of these shapes that are other things.
const OTHERS: [&str; 8] = ["lattice", "cell", "virial", "stress", "pbc", "quadrupole", "dielectric_tensor", "box"];

/// The tensors of frames that come one after the other, and how many have none.
///
/// ```
/// use rhobasis::equivariant::{Target, TensorSurvey};
/// use rhobasis::{Structure, structure::Value};
/// let mut atom = Structure::molecule(vec![2], vec![[0.0; 3]]);
/// atom.info.push(("mu".to_string(), Value::Reals(vec![0.0, 0.5, 1.0], vec![3])));
///
/// let mut survey = TensorSurvey::new(Target::Dipole, None);
/// assert_eq!(survey.label(&atom)?, None);
/// assert!(survey.check().unwrap_err().to_string().contains("'mu' may be it: dipole_key = \"mu\""));
///
/// let mut survey = TensorSurvey::new(Target::Dipole, Some("mu"));
/// assert_eq!(survey.label(&atom)?, Some(vec![0.0, 0.5, 1.0]));
/// survey.check()?;
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TensorSurvey {
    target: Target,
    key: String,
    frames: usize,
    found: usize,
    /// Frames whose label is NaN throughout.
    nan: usize,
    /// Keys whose values have the shape of a label, and in how many frames.
    likely: BTreeMap<String, usize>,
}

impl TensorSurvey {
    /// Of labels under this key, or the usual one.
    pub fn new(target: Target, key: Option<&str>) -> Self {
        let key = key.unwrap_or(target.key()).to_string();
        TensorSurvey { target, key, frames: 0, found: 0, nan: 0, likely: BTreeMap::new() }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The label of the next frame: Cartesian components as [`Target::components`] has them.
    ///
    /// # Errors
    /// As [`Target::label`].
    pub fn label(&mut self, structure: &Structure) -> Result<Option<Vec<f64>>> {
        let label = self.target.label(structure, &self.key)?;
        self.frames += 1;
        self.found += usize::from(label.is_some());
        if label.is_none() {
            self.nan += usize::from(structure.get(&self.key).is_some());
            let likely = structure.info.iter().filter(|(name, value)| self.is_likely(name, value));
            let names: Vec<String> = likely.map(|(name, _)| name.clone()).collect();
            names.into_iter().for_each(|name| *self.likely.entry(name).or_default() += 1);
        }
        Ok(label)
    }

    fn is_likely(&self, name: &str, value: &Value) -> bool {
        let n = match value {
            Value::Reals(x, _) => x.len(),
            Value::Ints(x, _) => x.len(),
            _ => 0,
        };
        let has_shape = match self.target {
            Target::Dipole => n == 3,
            Target::Polarizability => matches!(n, 6 | 9),
        };
        let lower = name.to_lowercase();
        has_shape && name != self.key && !OTHERS.iter().any(|other| lower.contains(other))
    }

    /// Frames that have a label.
    pub fn found(&self) -> usize {
        self.found
    }

    /// Refuses frames of which none has a label, and names keys that may hold it.
    ///
    /// # Errors
    /// If there is none.
    pub fn check(&self) -> Result<()> {
        if self.found > 0 {
            return Ok(());
        }
        let (what, setting) = (self.target.key(), self.target.key_setting());
        let but = if self.nan > 0 { " that is not NaN" } else { "" };
        let problem = format!("no frame has a {what}{but} under this key ({} frames)", self.frames);
        let remedy = match self.likely.iter().max_by_key(|(_, n)| **n) {
            Some((name, _)) => format!("'{name}' may be it: {setting} = \"{name}\""),
            None => format!("name the key of the labels by {setting}"),
        };
        Err(Error::setting(setting, &self.key, problem, remedy))
    }

    /// That some frames have no label, if so.
    pub fn omission(&self) -> Option<String> {
        let without = self.frames - self.found;
        let nan = if self.nan > 0 { format!(" ({} of them NaN)", self.nan) } else { String::new() };
        let what = self.target.key();
        (without > 0 && self.found > 0)
            .then(|| format!("{without} of {} frames have no {what}{nan}, and are left out", self.frames))
    }
}
