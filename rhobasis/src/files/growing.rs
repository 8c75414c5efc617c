//! Files that grow: what is written to them is there at once, whatever becomes of the process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::target::{Target, target_of};
use crate::{Error, Result};

/// What is done with a file that is there already, and is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is refused.
    Refused,
    /// It is replaced.
    Replaced,
    /// It is continued after so many bytes; what follows them is cut off.
    Continued(u64),
}

/// A file to which is added, piece by piece.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Growing {
    /// Opens the file, or the pipe or device that the name leads to. Two processes do not write to one file.
    ///
    /// # Errors
    /// If there is a file that must not be replaced, or that is shorter than what is to be continued, if another process writes to it,
    /// or if the file system refuses.
    pub fn open(path: &Path, existing: Existing) -> Result<Self> {
        let io = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => Error::file(path, "its folder does not exist", "make the folder first"),
            _ => Error::io(path, e),
        };
        let place = match target_of(path).map_err(io)? {
            Target::File(place) => place,
            #[cfg(unix)]
            Target::Descriptor(number) => {
                let file = super::target::duplicate(number).map_err(io)?;
                return Ok(Growing { path: path.into(), file, bytes: 0 });
            }
            Target::Special(place) => {
                let file = OpenOptions::new().write(true).open(place).map_err(io)?;
                return Ok(Growing { path: path.into(), file, bytes: 0 });
            }
        };
        let found = fs::metadata(&place).map_or(0, |data| data.len());
        let bytes = match existing {
            Existing::Refused if found > 0 => {
                let remedy = "give another name, or use --force to replace it";
                return Err(Error::file(path, "is there already, and would be replaced", remedy));
            }
            Existing::Refused | Existing::Replaced => 0,
            Existing::Continued(bytes) if bytes > found => {
                let problem = format!("has {found} bytes, and {bytes} of them were written before");
                return Err(Error::file(
                    path,
                    problem,
                    "give it back its content, or begin anew without the checkpoint",
                ));
            }
            Existing::Continued(bytes) => bytes,
        };
        let options = OpenOptions::new().write(true).create(true).truncate(false).open(&place);
        let mut file = options.map_err(io)?;
        if !is_ours(&file) {
            return Err(Error::file(path, "is written to by another process", "wait for it, or give another name"));
        }
        file.set_len(bytes).and_then(|()| io::Seek::seek(&mut file, io::SeekFrom::Start(bytes))).map_err(io)?;
        Ok(Growing { path: path.into(), file, bytes })
    }

    /// Adds bytes, and hands them to the system.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| Error::io(&self.path, e))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// What it holds, in bytes.
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

/// Locks the file until it is closed; a file system without locks cannot tell.
#[cfg(unix)]
fn is_ours(file: &File) -> bool {
    let locked = rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    !matches!(locked, Err(rustix::io::Errno::WOULDBLOCK))
}

#[cfg(not(unix))]
fn is_ours(_: &File) -> bool {
    true
}
