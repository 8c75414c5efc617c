//! Trials that are done, in a file: one line for each, so that a run that was interrupted goes on.

use std::path::{Path, PathBuf};

use rhobasis::density::RadialScaling;
use rhobasis::{Error, Result};
use serde::{Deserialize, Serialize};

use super::trial::Trial;
use crate::output;

/// What a run has found so far.
pub struct Record {
    path: PathBuf,
    task: serde_json::Value,
    /// The scaling that a linear model asks for, if it does; none as long as it has not been looked for.
    pub scaling: Option<Option<RadialScaling>>,
    pub trials: Vec<Trial>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Task(serde_json::Value),
    Scaling(Option<RadialScaling>),
    Trial(Trial),
}

impl Record {
    /// What an earlier run of the same task has left, or nothing.
    ///
    /// # Errors
    /// If the file cannot be read, or is of a run with other settings or data.
    pub fn open(path: &Path, task: serde_json::Value) -> Result<Self> {
        let mut record = Record { path: path.to_path_buf(), task, scaling: None, trials: Vec::new() };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(record),
            Err(e) => return Err(Error::io(path, e)),
        };
        let other = |problem: String| Error::file(path, problem, "give another output, or remove this file");
        for (k, line) in text.lines().enumerate() {
            match (k, serde_json::from_str(line)) {
                (0, Ok(Line::Task(task))) if task == record.task => {}
                (0, Ok(Line::Task(_))) => {
                    let problem = "holds trials with another model file, other data, flags or another version";
                    return Err(other(problem.into()));
                }
                (1.., Ok(Line::Scaling(scaling))) => record.scaling = Some(scaling),
                (1.., Ok(Line::Trial(trial))) => record.trials.push(trial),
                (_, Err(e)) => return Err(other(format!("line {} is no trial of 'rhobasis tune' ({e})", k + 1))),
                (_, Ok(_)) => return Err(other(format!("line {} is out of place", k + 1))),
            }
        }
        Ok(record)
    }

    /// Writes all there is.
    pub fn save(&self) -> Result<()> {
        let lines = std::iter::once(Line::Task(self.task.clone()))
            .chain(self.scaling.clone().map(Line::Scaling))
            .chain(self.trials.iter().cloned().map(Line::Trial));
        let mut text = String::new();
        for line in lines {
            text += &serde_json::to_string(&line).map_err(|e| Error::io(&self.path, e.into()))?;
            text.push('\n');
        }
        output::write_text(&self.path, &text)
    }
}
