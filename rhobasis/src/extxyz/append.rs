use std::io::Write;
use std::path::{Path, PathBuf};

use super::write::{check_replaceable, frame_text};
use crate::files::{Existing, Growing};
use crate::{Error, Result, Structure};

/// Adds frames to an extended XYZ file, each of which is there as soon as it is written: what a process that is killed leaves lacks
/// at most the frame that it was writing.
///
/// The name's ending decides on packing (`.gz`, `.zst`, `.xz`), each frame by itself: such files are ones that all programs read.
///
/// ```
/// # fn main() -> rhobasis::Result<()> {
/// use rhobasis::{Structure, extxyz::{Appender, Options, read}, files::Existing};
/// let path = std::env::temp_dir().join(format!("rhobasis-doc-{}.xyz.gz", std::process::id()));
/// let mut trajectory = Appender::open(&path, Existing::Replaced)?;
/// trajectory.write(&Structure::molecule(vec![2], vec![[0.0; 3]]))?;
/// assert_eq!(read(&path, &Options::default())?.len(), 1);
/// # std::fs::remove_file(&path).ok();
/// # Ok(())
/// # }
/// ```
pub struct Appender {
    path: PathBuf,
    file: Growing,
    text: Vec<u8>,
    packed: Vec<u8>,
}

impl Appender {
    /// Opens the file.
    ///
    /// # Errors
    /// As [`Growing::open`], and if it holds anything else than structures.
    pub fn open(path: impl AsRef<Path>, existing: Existing) -> Result<Self> {
        let path = path.as_ref();
        check_replaceable(path)?;
        let file = Growing::open(path, existing)?;
        Ok(Appender { path: path.into(), file, text: Vec::new(), packed: Vec::new() })
    }

    /// Adds a frame; returns its bytes in the file.
    ///
    /// # Errors
    /// If columns do not fit the atoms, the format cannot hold a text, or the file system refuses.
    pub fn write(&mut self, structure: &Structure) -> Result<&[u8]> {
        self.text.clear();
        frame_text(structure, &mut self.text).map_err(|e| e.in_file(&self.path))?;
        self.packed.clear();
        let bytes = match self.pack().map_err(|e| Error::io(&self.path, e))? {
            true => &self.packed,
            false => &self.text,
        };
        self.file.append(bytes)?;
        Ok(bytes)
    }

    /// Whether the text is packed.
    fn pack(&mut self) -> std::io::Result<bool> {
        let (text, packed) = (&self.text[..], &mut self.packed);
        match self.path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
            "gz" => {
                let mut writer = flate2::write::GzEncoder::new(packed, flate2::Compression::default());
                writer.write_all(text)?;
                writer.finish()?;
            }
            "zst" => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                packed.extend(ruzstd::encoding::compress_to_vec(text, level));
            }
            "xz" => {
                let mut writer = lzma_rust2::XzWriter::new(packed, lzma_rust2::XzOptions::with_preset(6))?;
                writer.write_all(text)?;
                writer.finish()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What the file holds, in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.len()
    }
}
