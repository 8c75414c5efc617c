//! What is told of the keys of labels: a named one that is nowhere, others that look like labels, labels that are left out.

use std::path::{Path, PathBuf};

use rhobasis::extxyz::{LabelSurvey, Likely, SourceFile};
use rhobasis::{Error, Result};

use crate::text::warn;

/// Where the user names keys.
pub enum Named<'a> {
    /// In the section `[data]` of a model file.
    InModelFile(&'a Path),
    /// By flags, for these files.
    ByFlags(&'a [SourceFile]),
}

impl Named<'_> {
    /// Refuses labels of which none is there, or one that is named and not there; says on standard error what is left out,
    /// and which keys may hold what is missing.
    pub fn check(&self, survey: &LabelSurvey) -> Result<()> {
        self.check_named(survey)?;
        warn_of_omissions(survey);
        let likely = survey.likely();
        if survey.is_empty() {
            return Err(Error::file(self.path(), self.nothing(survey), self.remedy(&likely)));
        }
        if !likely.is_empty() {
            let kinds: Vec<&str> = likely.iter().map(|l| l.kind.name()).collect();
            warn(format!("nothing is under the usual keys of {}; {}", kinds.join(", "), self.remedy(&likely)));
        }
        Ok(())
    }

    /// Refuses a key that is named and that no frame has.
    pub fn check_named(&self, survey: &LabelSurvey) -> Result<()> {
        survey.check_named().map_err(|e| self.located(e))
    }

    /// Says on standard error what frames that are only tested lack.
    pub fn warn_of_test(&self, survey: &LabelSurvey) {
        if let Err(e) = self.check_named(survey) {
            warn(format!("among the test frames, {e}"));
        } else if survey.is_empty() {
            warn(format!("no test frame has a label under {}", survey.keys().join(", ")));
        }
        warn_of_omissions(survey);
    }

    fn path(&self) -> PathBuf {
        match self {
            Named::InModelFile(path) => path.to_path_buf(),
            Named::ByFlags(files) => files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>().join(", ").into(),
        }
    }

    fn nothing(&self, survey: &LabelSurvey) -> String {
        let keys = survey.keys().join(", ");
        let which = if matches!(self, Named::InModelFile(_)) { "training frame" } else { "frame" };
        format!("no {which} has a label under {keys}")
    }

    /// How to name keys: those that look like labels, if there are any.
    fn remedy(&self, likely: &[Likely]) -> String {
        match (self, likely.is_empty()) {
            (Named::InModelFile(_), true) => "name the keys in [data], as in energy_key = \"dft_energy\"".into(),
            (Named::InModelFile(_), false) => format!("add to [data] what is meant of\n{}", settings(likely)),
            (Named::ByFlags(_), true) => {
                "name the keys with --energy-key, --force-key, --stress-key, --virial-key".into()
            }
            (Named::ByFlags(_), false) => format!("add what is meant of\n  {}", flags(likely)),
        }
    }

    fn located(&self, e: Error) -> Error {
        match e {
            Error::Setting { name, value, problem, remedy } => {
                let named = match self {
                    Named::InModelFile(_) => format!("[data]: {name} = \"{value}\""),
                    Named::ByFlags(_) => format!("--{} {value}", name.replace('_', "-")),
                };
                Error::file(self.path(), format!("{named}: {problem}"), remedy)
            }
            other => other,
        }
    }
}

/// Says which labels are left out, and why.
fn warn_of_omissions(survey: &LabelSurvey) {
    survey.omissions().iter().for_each(warn);
}

/// Lines for a model file, other candidates behind each.
pub fn settings(likely: &[Likely]) -> String {
    let line = |l: &Likely| {
        let others: Vec<String> = l.keys.iter().skip(1).map(|key| format!("\"{key}\"")).collect();
        let or = if others.is_empty() { String::new() } else { format!("    # or {}", others.join(", ")) };
        format!("  {}{or}", l.setting())
    };
    likely.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Flags for a command.
pub fn flags(likely: &[Likely]) -> String {
    likely.iter().map(Likely::flag).collect::<Vec<_>>().join(" ")
}
