//! What a file holds, judged by its beginning, and whether it may be replaced.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::format::Format;
use super::header::kind_of;
use crate::error::shortened;
use crate::{Error, Result};

/// Bytes by which a file is judged.
const HEAD: usize = 4096;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Empty,
    /// One of ours, of this kind: `basis`, `potential`, …
    Archive(String),
    /// A NumPy array, `.npy`.
    Npy,
    /// A zip archive, as `.npz` is.
    Zip,
    /// Packed with gzip, Zstandard or xz.
    Packed,
    /// Text that begins with a number of atoms.
    Xyz,
    /// A picture.
    Svg,
    /// JSON.
    Json,
    /// A format of others, such as structures of another program.
    Other(Format),
    /// Other text.
    Text,
    /// Anything else.
    Unknown,
}

impl Content {
    /// The content of a file, judged by its beginning.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(path: &Path) -> io::Result<Content> {
        let mut head = Vec::new();
        File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
        Ok(match &head[..] {
            [] => Content::Empty,
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Content::Npy,
            [b'P', b'K', 3, 4, ..] => Content::Zip,
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Content::Packed,
            _ => match (kind_of(path), Content::of_text(&head)) {
                (Some(kind), _) => Content::Archive(kind),
                (None, plain @ (Content::Text | Content::Unknown)) => Format::of(&head).map_or(plain, Content::Other),
                (None, known) => known,
            },
        })
    }

    /// The content of a text, judged by its first bytes.
    pub fn of_text(head: &[u8]) -> Content {
        let text = match std::str::from_utf8(head) {
            Ok(text) => text,
            // A letter of several bytes may be cut.
            Err(e) if e.error_len().is_none() => std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default(),
            Err(_) => return Content::Unknown,
        };
        match text.trim_start().lines().next() {
            _ if text.contains('\0') => Content::Unknown,
            Some(first) if first.trim().parse::<usize>().is_ok() => Content::Xyz,
            Some(_) if text.contains("<svg") => Content::Svg,
            Some(first) if first.starts_with(['{', '[']) => Content::Json,
            _ => Content::Text,
        }
    }

    /// Refuses to replace a file that holds something else than this.
    ///
    /// # Errors
    /// If there is such a file, or it cannot be read.
    pub fn check_replaces(&self, path: &Path) -> Result<()> {
        if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
            return Ok(()); // nothing, or what is written to as it is
        }
        let found = Content::of(path).map_err(|e| Error::io(path, e))?;
        if found == Content::Empty || found == *self {
            return Ok(());
        }
        Err(self.refuse_to_replace(path, &found))
    }

    /// The error for a file that holds something else than this.
    pub fn refuse_to_replace(&self, path: &Path, found: &Content) -> Error {
        let problem = format!("is {found}, which would be replaced by {self}");
        Error::file(path, problem, "write under another name, or remove the file first")
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Content::Empty => "an empty file",
            Content::Archive(kind) => return write!(f, "a rhobasis file of kind '{}'", shortened(kind, 40)),
            Content::Npy => "a NumPy array",
            Content::Zip => "a zip archive, such as *.npz",
            Content::Packed => "a packed file",
            Content::Xyz => "a file of structures (XYZ)",
            Content::Svg => "a picture (SVG)",
            Content::Json => "a JSON file",
            Content::Other(format) => format.name(),
            Content::Text => "a text",
            Content::Unknown => "a file of another kind",
        })
    }
}

/// Whether two names lead to one file, by device and number; pipes and devices are not looked at.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    let (Ok(found), Ok(other)) = (fs::metadata(a), fs::metadata(b)) else { return false };
    if !(found.is_file() && other.is_file()) {
        return false;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (found.dev(), found.ino()) == (other.dev(), other.ino())
    }
    #[cfg(not(unix))]
    {
        let place = |path: &Path| fs::canonicalize(path).ok();
        place(a).is_some() && place(a) == place(b)
    }
}
