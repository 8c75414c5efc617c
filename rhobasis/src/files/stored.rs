//! What every kind of file has in common: to be saved and loaded.

use std::fs;
use std::path::Path;

use super::archive::Archive;
use super::header::kind_of;
use super::temporary::remove_abandoned;
use crate::{Error, Result};

/// What is kept in a file of its own: a basis, an accumulator, a potential.
///
/// ```
/// use rhobasis::files::Stored;
/// use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing};
///
/// let settings = CovarianceSettings { mixing: Mixing::Combined, ..Default::default() };
/// let bytes = Covariance::new(&settings)?.to_bytes();
/// assert_eq!(Covariance::from_bytes(&bytes)?.settings(), &settings);
///
/// let mut damaged = bytes.clone();
/// let at = bytes.windows(5).position(|word| word == b"l_max").unwrap();
/// damaged[at] ^= 1;
/// assert!(Covariance::from_bytes(&damaged).unwrap_err().to_string().contains("the file is damaged"));
/// # Ok::<(), rhobasis::Error>(())
/// ```
pub trait Stored: Sized {
    /// The kind of file, as its metadata says.
    const KIND: &'static str;

    /// What the file holds.
    fn archive(&self) -> Archive;

    /// From what a file holds; `path` names it in errors.
    ///
    /// # Errors
    /// If something is missing, or has a shape or a value that cannot be.
    fn from_archive(archive: Archive, path: &Path) -> Result<Self>;

    /// Writes the file; the same content gives the same bytes.
    ///
    /// # Errors
    /// If the file cannot be written.
    fn save(&self, path: &Path) -> Result<()> {
        self.archive().write(path, Self::KIND)
    }

    /// Writes the file with the command that made it, and the version of this library, among its metadata: see
    /// [`command_of`](super::command_of). Reading does not look at them.
    ///
    /// # Errors
    /// If the file cannot be written.
    fn save_made_by(&self, path: &Path, command: &str) -> Result<()> {
        self.archive().write_made_by(path, Self::KIND, command)
    }

    /// The bytes of the file.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.archive().encode(Self::KIND, &mut bytes).expect("memory takes what is written to it");
        bytes
    }

    /// Reads what [`Stored::save`] has written.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another kind, or from a newer format.
    fn load(path: &Path) -> Result<Self> {
        Self::from_archive(Archive::read(path, Self::KIND)?, path)
    }

    /// Reads what [`Stored::to_bytes`] gave.
    ///
    /// # Errors
    /// As [`Stored::load`].
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let path = format!("{} in memory", Self::KIND);
        let path = Path::new(&path);
        Self::from_archive(Archive::decode(bytes, path, Self::KIND)?, path)
    }
}

/// Removes an archive of this kind, and what a process that was killed while writing has left of it.
///
/// # Errors
/// If the file system refuses.
pub fn remove_with_drafts(path: &Path, kind: &str) -> Result<()> {
    remove_abandoned(path);
    // Another file may bear the name, written in another way: it stays.
    match kind_of(path).as_deref() == Some(kind) {
        true => fs::remove_file(path).map_err(|e| Error::io(path, e)),
        false => Ok(()),
    }
}
