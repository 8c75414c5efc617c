//! The one error type: what is wrong, where, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// Result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. Each message carries the offending value, what was expected, and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A structure that cannot be used: the place (file, frame, atom), the problem with its value, the remedy.
    #[error("{place}{}{problem}; {remedy}", if place.is_known() { ": " } else { "" })]
    Structure {
        /// File, frame and atom.
        place: Place,
        /// What is wrong, with the value found.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// A setting or argument outside its range.
    #[error("{name} = {value}: {problem}; {remedy}")]
    Setting {
        /// Name of the setting, as on the command line and in Python.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// A setting of another type than it has.
    #[error("{name} = {value}: {problem}; {remedy}")]
    Type {
        /// Name of the setting, as on the command line and in Python.
        name: &'static str,
        /// The value found.
        value: String,
        /// What is expected instead.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// A file whose content is not what was expected.
    #[error("{}: {problem}; {remedy}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// The operating system could not read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's own message.
        source: std::io::Error,
    },
}

impl Error {
    /// A structure error without a place; the caller that knows the frame adds it with [`Error::at_frame`].
    pub fn structure(atom: Option<usize>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        let place = Place { atom, ..Place::default() };
        Error::Structure { place, problem: problem.into(), remedy: remedy.into() }
    }

    /// A setting outside its range.
    pub fn setting(
        name: &'static str,
        value: impl fmt::Display,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Error::Setting { name, value: value.to_string(), problem: problem.into(), remedy: remedy.into() }
    }

    /// A file with unexpected content.
    pub fn file(path: impl Into<PathBuf>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Error::File { path: path.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// A failed system call on `path`.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { path: path.into(), source }
    }

    /// Adds the frame (counted from 0) to a structure error that does not know it yet.
    #[must_use]
    pub fn at_frame(mut self, frame: usize) -> Self {
        if let Error::Structure { place, .. } = &mut self {
            place.frame.get_or_insert(frame);
        }
        self
    }

    /// Counts the frame of a structure error, of which `first` came before.
    #[must_use]
    pub(crate) fn after_frames(mut self, first: usize) -> Self {
        if let Error::Structure { place, .. } = &mut self {
            place.frame = Some(place.frame.unwrap_or(0) + first);
        }
        self
    }

    /// Adds the file to a structure error that does not know it yet.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        if let Error::Structure { place, .. } = &mut self {
            place.file.get_or_insert_with(|| file.into());
        }
        self
    }
}

/// A text in quotes, single ones around double ones, as it stands in the input but for control characters.
pub(crate) fn in_quotes(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let mark = if text.contains('"') { '\'' } else { '"' };
    format!("{mark}{}{mark}", text.chars().map(shown).collect::<String>())
}

/// At most so many characters of a text.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    let text = text.trim_end();
    match text.char_indices().nth(longest) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_string(),
    }
}

/// Where in the input: file, frame and atom, each counted from 0 as in ASE, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// File the structure was read from.
    pub file: Option<PathBuf>,
    /// Index of the structure in the file or list.
    pub frame: Option<usize>,
    /// Index of the atom in the structure.
    pub atom: Option<usize>,
}

impl Place {
    /// Whether there is anything to say; of the only structure there is, there is not.
    fn is_known(&self) -> bool {
        *self != Place::default()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.file.as_ref().map(|file| file.display().to_string()));
        parts.extend(self.frame.map(|frame| format!("frame {frame}")));
        parts.extend(self.atom.map(|atom| format!("atom {atom}")));
        f.write_str(&parts.join(", "))
    }
}
