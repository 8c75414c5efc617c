//! What a command reads and writes, and whether that is safe: the same check for all of them, before any work.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rhobasis::extxyz::{check_replaceable, path_of};
use rhobasis::files::{Content, Stored, is_same_file, is_standard_output};
use rhobasis::optimal::{Covariance, OptimalBasis};
use rhobasis::{Error, Result};

use crate::failure::{Failure, Outcome};
use crate::output::folder_of;

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
    /// A model file, which is replaced where the user says so.
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

    /// A file that `flag` names, if it does.
    pub fn writing<'a>(
        mut self,
        flag: &'static str,
        holds: Holds,
        paths: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Self {
        self.written.extend(paths.into_iter().map(|path| Output { path: path.clone(), flag, holds }));
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

    /// Refuses to write over what is read, over a file of another kind, and twice to the same file.
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
        Ok(())
    }
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
