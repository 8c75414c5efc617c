//! What a command reads and writes, and whether that is safe: the same check for all of them, before any work.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rhobasis::extxyz::{check_replaceable, path_of};
use rhobasis::files::{Content, Stored, is_same_file, is_standard_output};
use rhobasis::optimal::{Covariance, OptimalBasis};
use rhobasis::{Error, Result};

use crate::failure::{Failure, Outcome};
use crate::output::folder_of;

static FORCE: AtomicBool = AtomicBool::new(false);

/// Whether results that are there already are replaced from now on.
pub fn replace_results(force: bool) {
    FORCE.store(force, Ordering::Relaxed);
}

/// Whether results that are there already are replaced.
pub fn are_replaced() -> bool {
    FORCE.load(Ordering::Relaxed)
}

/// What a command reads and writes, as far as its arguments say.
#[derive(Default)]
pub struct Files {
    read: Vec<PathBuf>,
    written: Vec<Output>,
}

/// A file that is written.
struct Output {
    path: PathBuf,
    /// The flag that names it.
    flag: &'static str,
    holds: Holds,
    /// Whether the command goes on with it where it is there, and with its results.
    goes_on: bool,
}

/// What a file is to hold.
#[derive(Clone, Copy)]
pub enum Holds {
    Archive(&'static str),
    Frames,
    Npy,
    Npz,
    Picture,
    Table,
    Json,
    /// Text that begins so.
    Beginning(&'static str),
    /// A model file.
    ModelFile,
    /// What is read, and refused, before it is written.
    Checkpoint,
}

impl Files {
    /// Data, models, matrices.
    pub fn reading<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Files { read: paths.into_iter().map(Into::into).collect(), written: Vec::new() }
    }

    /// What else is read.
    pub fn and_read<P: Into<PathBuf>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.read.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Files of structures, each with an optional slice.
    pub fn and_data<S: AsRef<str>>(mut self, specs: impl IntoIterator<Item = S>) -> Self {
        self.read.extend(specs.into_iter().map(|spec| path_of(spec.as_ref())));
        self
    }

    /// A result that `flag` names, if it does: one that is there already is replaced only by --force.
    pub fn writing<'a>(self, flag: &'static str, holds: Holds, paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        self.and_written(flag, holds, paths, false)
    }

    /// A file that the command goes on with: a checkpoint, trials. Where it is there, results are those of the same command, and
    /// are replaced.
    pub fn going_on<'a>(self, flag: &'static str, holds: Holds, paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        self.and_written(flag, holds, paths, true)
    }

    fn and_written<'a>(
        mut self,
        flag: &'static str,
        holds: Holds,
        paths: impl IntoIterator<Item = &'a PathBuf>,
        goes_on: bool,
    ) -> Self {
        self.written.extend(paths.into_iter().map(|path| Output { path: path.clone(), flag, holds, goes_on }));
        self
    }

    /// Whether anything is written.
    pub fn are_written(&self) -> bool {
        !self.written.is_empty()
    }

    /// Whether a file goes to standard output, which then holds nothing else.
    pub fn take_standard_output(&self) -> bool {
        self.written.iter().any(|output| is_standard_output(&output.path))
    }

    /// Refuses to write over what is read, over a file of another kind, over a result that is there already, and twice to the same
    /// file.
    pub fn check(&self) -> Outcome {
        for (k, output) in self.written.iter().enumerate() {
            if let Some(other) = self.written[..k].iter().find(|other| is_one_name(&other.path, &output.path)) {
                let (flag, path) = (output.flag, output.path.display());
                let problem = format!("{flag} and {} name the same file, '{path}': give one another name", other.flag);
                return Err(Failure::usage(problem));
            }
            if self.read.iter().any(|read| is_same_file(read, &output.path)) {
                let problem = "is read by this command, and would be overwritten";
                return Err(Error::file(&output.path, problem, "give the output another name").into());
            }
            output.holds.check_replaces(&output.path)?;
        }
        let goes_on = self.written.iter().any(|output| output.goes_on && holds_something(&output.path));
        let there = self.written.iter().find(|output| !output.goes_on && holds_something(&output.path));
        match there.filter(|_| !goes_on && !are_replaced()) {
            Some(output) => Err(is_there(&output.path).into()),
            None => Ok(()),
        }
    }
}

/// The error for a result that is there already.
pub fn is_there(path: &Path) -> Error {
    Error::file(path, "is there already, and would be replaced", "give another name, or use --force to replace it")
}

/// Whether there is a file that is not empty; pipes and devices are none.
pub fn holds_something(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.len() > 0)
}

impl Holds {
    /// An accumulator or a basis, by the ending.
    pub fn basis_or_covariance(path: &Path) -> Self {
        Holds::Archive(if crate::settings::is_covariance(path) { Covariance::KIND } else { OptimalBasis::KIND })
    }

    /// A matrix or an archive of arrays, by the ending.
    pub fn arrays(path: &Path) -> Self {
        if path.extension().is_some_and(|e| e == "npy") { Holds::Npy } else { Holds::Npz }
    }

    /// Refuses to replace a file that holds something else.
    pub fn check_replaces(self, path: &Path) -> Result<()> {
        match self {
            Holds::Archive(kind) => Content::Archive(kind.into()),
            Holds::Frames => return check_replaceable(path),
            Holds::Npy => Content::Npy,
            Holds::Npz => Content::Zip,
            Holds::Picture => Content::Svg,
            Holds::Table => Content::Text,
            Holds::Json => Content::Json,
            Holds::Beginning(text) => return check_beginning(path, text),
            Holds::ModelFile => return check_model_file(path),
            Holds::Checkpoint => return Ok(()),
        }
        .check_replaces(path)
    }
}

/// Refuses to replace what is no model file.
fn check_model_file(path: &Path) -> Result<()> {
    match Content::of(path) {
        Ok(Content::Other(format)) if format.is_toml() => Ok(()),
        _ => Content::Text.check_replaces(path),
    }
}

/// Refuses to replace what somebody has written by hand.
fn check_beginning(path: &Path, text: &str) -> Result<()> {
    let mut found = Vec::new();
    let read = File::open(path).and_then(|file| file.take(text.len() as u64).read_to_end(&mut found));
    match read {
        Ok(bytes) if bytes > 0 && found != text.as_bytes() => {
            let problem = format!("does not begin with '{text}', so it is another file, which would be replaced");
            Err(Error::file(path, problem, "write under another name, or remove the file first"))
        }
        _ => Ok(()),
    }
}

/// Whether two names are one, or lead to one file.
fn is_one_name(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
    a == b || place(a).is_some() && place(a) == place(b) || is_same_file(a, b)
}
