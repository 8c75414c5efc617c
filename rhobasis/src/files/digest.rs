//! SHA-256 of files and of what is in them.

use std::fs::File;
use std::io::Read;
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

/// SHA-256 of the bytes of a file, in hexadecimal.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let io = |e| Error::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let mut digest = Digest::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => return Ok(digest.hex()),
            n => digest.update(&buffer[..n]),
        }
    }
}
