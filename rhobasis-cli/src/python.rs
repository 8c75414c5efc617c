//! What is started in a Python: programs of packages that this command comes with, or is told to look for.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use rhobasis::Error;

use crate::failure::Outcome;

/// A program of a Python package.
pub struct Program {
    /// The module that is run.
    pub module: &'static str,
    /// The package as pip knows it.
    pub package: &'static str,
    /// How to have it.
    pub remedy: &'static str,
}

impl Program {
    /// Hands over to the program, with these words and variables; returns only if that cannot be.
    pub fn start(&self, words: Vec<OsString>, variables: &[(&str, String)]) -> Outcome {
        let python = std::env::var_os("RHOBASIS_PYTHON").unwrap_or_else(|| "python3".into());
        let refused = |problem: String| Err(Error::setting("python", python.display(), problem, self.remedy).into());
        let find = format!("import importlib.util as u, sys; sys.exit(u.find_spec('{}') is None)", self.module);
        let found = Command::new(&python).arg("-c").arg(find).stdin(Stdio::null()).stderr(Stdio::null()).status();
        match found {
            Err(e) => return refused(format!("cannot be started: {e}")),
            Ok(status) if !status.success() => return refused(format!("has no package {}", self.package)),
            Ok(_) => {}
        }
        let mut command = Command::new(&python);
        command.arg("-m").arg(self.module).args(words).envs(variables.iter().map(|(name, value)| (name, value)));
        refused(format!("cannot be started: {}", replaced_by(command)))
    }
}

/// Runs the command in place of this one.
#[cfg(unix)]
fn replaced_by(mut command: Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(&mut command)
}

/// As what waits for it, where no process can take the place of another.
#[cfg(not(unix))]
fn replaced_by(mut command: Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(e) => e,
    }
}
