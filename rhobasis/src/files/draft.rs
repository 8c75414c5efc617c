//! Files that appear complete or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::target::{Target, target_of};
use super::temporary::Temporary;
use crate::{Error, Result};

/// Bytes that are collected before they are written.
const BUFFER: usize = 1 << 18;

/// Writes a file through a temporary name in the same folder, renamed when complete.
///
/// # Errors
/// If the file system refuses; nothing is left behind.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut Draft) -> io::Result<()>) -> Result<()> {
    let mut draft = Draft::new(path)?;
    write(&mut draft).map_err(|e| Error::io(path, e))?;
    draft.finish()
}

/// A file under a temporary name in its folder, until it is complete; removed if dropped before.
///
/// A link stays, and the file it leads to is replaced, which keeps its permissions. What is no file (a pipe, a device) is
/// written to as it is.
pub struct Draft {
    path: PathBuf,
    file: BufWriter<File>,
    /// What will have the name; none where bytes go to their place at once.
    temporary: Option<(Temporary, PathBuf)>,
}

impl Draft {
    /// An empty file that will be `path`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn new(path: &Path) -> Result<Self> {
        let (temporary, file) = Self::begin(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::file(path, "its folder does not exist", "make the folder first"),
            _ => Error::io(path, e),
        })?;
        Ok(Draft { path: path.to_path_buf(), temporary, file: BufWriter::with_capacity(BUFFER, file) })
    }

    fn begin(path: &Path) -> io::Result<(Option<(Temporary, PathBuf)>, File)> {
        let place = match target_of(path)? {
            Target::File(place) => place,
            #[cfg(unix)]
            Target::Descriptor(number) => return Ok((None, super::target::duplicate(number)?)),
            Target::Special(place) => return Ok((None, OpenOptions::new().write(true).open(place)?)),
        };
        let (temporary, file) = Temporary::new(&place)?;
        if let Ok(old) = fs::metadata(&place) {
            file.set_permissions(old.permissions())?;
        }
        Ok((Some((temporary, place)), file))
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// If the file system refuses; nothing is left behind.
    pub fn finish(mut self) -> Result<()> {
        let mut attempt = || {
            self.file.flush()?;
            match self.temporary.take() {
                Some((temporary, place)) => {
                    self.file.get_ref().sync_all()?;
                    temporary.rename(&place)
                }
                None => Ok(()),
            }
        };
        attempt().map_err(|e| Error::io(&self.path, e))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Draft {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}
