//! SHA-256 of files and of what is in them.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::{Error, Result, Structure};

/// SHA-256 of bytes that come one after the other.
///
/// ```
/// use rhobasis::files::Digest;
/// let mut digest = Digest::default();
/// digest.update("a");
/// digest.update("bc");
/// assert!(digest.hex().starts_with("ba7816bf8f01cfea")); // that of "abc"
/// ```
#[derive(Debug, Clone, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// Adds numbers, as the eight little-endian bytes of each.
    pub fn numbers<'a>(&mut self, numbers: impl IntoIterator<Item = &'a f64>) {
        numbers.into_iter().for_each(|x| self.update(x.to_le_bytes()));
    }

    /// Adds species, positions, cell and periodicity.
    pub fn structure(&mut self, structure: &Structure) {
        self.update((structure.len() as u64).to_le_bytes());
        self.update(&structure.species);
        self.numbers(structure.positions.iter().chain(&structure.cell).flatten());
        self.update(structure.pbc.map(u8::from));
    }

    /// The digest of all, in hexadecimal.
    pub fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// SHA-256 of the bytes of a file, in hexadecimal.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let mut digest = Digest::default();
    let copied = File::open(path).and_then(|mut file| io::copy(&mut file, &mut digest));
    copied.map_err(|e| Error::io(path, e))?;
    Ok(digest.hex())
}
