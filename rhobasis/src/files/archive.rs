//! Named arrays and texts in one file, sealed by a digest.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use ndarray::{ArrayD, IntoDimension, IxDyn};
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

use super::content::Content;
use super::digest::Digest;
use super::draft::write_atomically;
use super::format::Format;
use super::header::{COMMAND, DIGEST, KIND, PROGRAM, VERSION, contents};
use crate::error::shortened;
use crate::{Error, Result};

/// Version of the format that this library writes, and the newest it reads. Files of format 1 have no digest.
const FORMAT: u32 = 2;

/// Characters of a message that quotes a file.
const LONGEST: usize = 300;

/// Named float64 arrays and text metadata: what a `.rho`, a `.cov` or a checkpoint holds (all are safetensors).
///
/// In a file the metadata also have its `kind`, the `format_version`, and the `digest`, which [`Archive::read`] checks: the
/// SHA-256, in hexadecimal, of the file as it would be without this entry, arrays and keys of the header in order of name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Archive {
    /// Text by key: `settings` (JSON), …
    pub metadata: BTreeMap<String, String>,
    /// Arrays by name.
    pub tensors: BTreeMap<String, ArrayD<f64>>,
}

impl Archive {
    /// Adds an array.
    pub fn insert<'a, D: ndarray::Dimension>(
        &mut self,
        name: impl Into<String>,
        array: impl Into<ndarray::ArrayView<'a, f64, D>>,
    ) {
        self.tensors.insert(name.into(), array.into().to_owned().into_dyn());
    }

    /// Adds metadata, as JSON.
    pub fn note(&mut self, key: &str, value: &impl Serialize) {
        let text = serde_json::to_string(value).expect("settings and counts are plain numbers and names");
        self.metadata.insert(key.into(), text);
    }

    /// Writes the archive to a temporary name beside `path` and renames it. The same content gives the same bytes.
    ///
    /// # Errors
    /// If `path` is a file of another kind, or the file system refuses.
    pub fn write(&self, path: &Path, kind: &str) -> Result<()> {
        Content::Archive(kind.into()).check_replaces(path)?;
        write_atomically(path, |file| self.encode(kind, file))
    }

    /// [`Archive::write`] with the command that made it, and the version of this library, among the metadata.
    ///
    /// # Errors
    /// As `write`.
    pub(crate) fn write_made_by(mut self, path: &Path, kind: &str, command: &str) -> Result<()> {
        self.metadata.insert(COMMAND.into(), command.into());
        self.metadata.insert(PROGRAM.into(), env!("CARGO_PKG_VERSION").into());
        self.write(path, kind)
    }

    /// Writes the bytes of the file that [`Archive::write`] makes.
    ///
    /// # Errors
    /// If `sink` refuses.
    pub fn encode(&self, kind: &str, sink: &mut impl Write) -> std::io::Result<()> {
        let mut metadata = self.metadata.clone();
        metadata.insert(KIND.into(), kind.into());
        metadata.insert(VERSION.into(), FORMAT.to_string());
        metadata.insert(DIGEST.into(), self.digest(&metadata));
        self.put(&metadata, sink)
    }

    /// The digest of a file with these metadata.
    fn digest(&self, metadata: &BTreeMap<String, String>) -> String {
        let mut digest = Digest::default();
        self.put(metadata, &mut digest).expect("a digest takes what is written to it");
        digest.hex()
    }

    /// Writes the length of the header, the header, and the arrays.
    fn put(&self, metadata: &BTreeMap<String, String>, sink: &mut impl Write) -> std::io::Result<()> {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), serde_json::json!(metadata));
        let mut offset = 0;
        for (name, array) in &self.tensors {
            let end = offset + 8 * array.len();
            header.insert(
                name.clone(),
                serde_json::json!({"dtype": "F64", "shape": array.shape(), "data_offsets": [offset, end]}),
            );
            offset = end;
        }
        let mut header = serde_json::Value::Object(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        sink.write_all(&(header.len() as u64).to_le_bytes())?;
        sink.write_all(&header)?;
        let mut bytes = [0; 1 << 12]; // at once: eight at a time would make the digest slower
        for array in self.tensors.values() {
            let mut values = array.iter();
            while values.len() > 0 {
                let n = bytes
                    .chunks_exact_mut(8)
                    .zip(&mut values)
                    .map(|(b, x)| b.copy_from_slice(&x.to_le_bytes()))
                    .count();
                sink.write_all(&bytes[..8 * n])?;
            }
        }
        Ok(())
    }

    /// Reads an archive of this `kind`, and checks its digest.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another kind, or from a newer version.
    pub fn read(path: &Path, kind: &str) -> Result<Self> {
        let bytes = contents(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::file(path, "no such file", "check the path, or make one with rhobasis fit")
            }
            _ => Error::io(path, e),
        })?;
        Self::decode(&bytes, path, kind)
    }

    /// [`Archive::read`] from bytes at hand; `path` names their origin in errors.
    ///
    /// # Errors
    /// If the bytes are damaged, of another kind, or from a newer version.
    pub fn decode(bytes: &[u8], path: &Path, kind: &str) -> Result<Self> {
        let not_ours =
            |problem: String| Error::file(path, shortened(&problem, LONGEST), format!("give a rhobasis {kind} file"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| match Format::of(bytes) {
            Some(format) if !format.is_safetensors() => not_ours(format!("is {}", format.name())),
            _ => not_ours(format!("not a safetensors file ({e})")),
        })?;
        let mut metadata: BTreeMap<String, String> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
        let found = metadata.get(KIND).map_or("unknown", String::as_str);
        if found != kind {
            return Err(not_ours(format!("the file is of kind '{found}', not '{kind}'")));
        }
        let version = metadata.get(VERSION).map_or("missing", String::as_str);
        let version: u32 = version.parse().ok().filter(|v| (1..=FORMAT).contains(v)).ok_or_else(|| {
            let problem = format!("format version {version}, but this rhobasis reads up to {FORMAT}");
            Error::file(path, shortened(&problem, LONGEST), "install a newer rhobasis")
        })?;
        let views =
            SafeTensors::deserialize(bytes).map_err(|e| damaged(path, format!("its arrays do not fit ({e})")))?;
        let mut archive = Archive::default();
        for (name, view) in views.tensors() {
            if view.dtype() != Dtype::F64 {
                return Err(damaged(path, format!("array '{name}' is {:?}, not F64", view.dtype())));
            }
            let values: Vec<f64> =
                view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes"))).collect();
            if let Some(value) = values.iter().find(|x| !x.is_finite()) {
                return Err(damaged(path, format!("array '{name}' holds {value}")));
            }
            let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values);
            archive.tensors.insert(name.clone(), array.map_err(|e| damaged(path, format!("array '{name}': {e}")))?);
        }
        match metadata.remove(DIGEST) {
            Some(digest) if digest != archive.digest(&metadata) => {
                return Err(damaged(path, "its content is not what was written (the digest differs)"));
            }
            None if version > 1 => return Err(damaged(path, "it has no digest")),
            _ => {}
        }
        metadata.retain(|key, _| key != KIND && key != VERSION);
        archive.metadata = metadata;
        Ok(archive)
    }

    /// Array by name, of dimension `D`.
    ///
    /// # Errors
    /// If it is absent or has another number of axes.
    pub fn array<D: ndarray::Dimension>(&self, path: &Path, name: &str) -> Result<ndarray::Array<f64, D>> {
        let array = self.tensors.get(name).and_then(|a| a.clone().into_dimensionality::<D>().ok());
        array.ok_or_else(|| damaged(path, format!("array '{name}' is missing or has the wrong number of axes")))
    }

    /// Array by name, of this shape.
    ///
    /// # Errors
    /// If it is absent or has another shape.
    pub fn array_of<D: ndarray::Dimension>(
        &self,
        path: &Path,
        name: &str,
        shape: impl IntoDimension<Dim = D>,
    ) -> Result<ndarray::Array<f64, D>> {
        let array: ndarray::Array<f64, D> = self.array(path, name)?;
        let shape = shape.into_dimension();
        if array.raw_dim() != shape {
            let shape = shape.slice();
            return Err(damaged(path, format!("array '{name}' has shape {:?}, not {shape:?}", array.shape())));
        }
        Ok(array)
    }

    /// Metadata parsed from JSON.
    ///
    /// # Errors
    /// If the key is absent or does not parse.
    pub fn json<T: serde::de::DeserializeOwned>(&self, path: &Path, key: &str) -> Result<T> {
        let text = self.metadata.get(key).map_or("", String::as_str);
        serde_json::from_str(text).map_err(|e| damaged(path, format!("metadata '{key}' does not parse ({e})")))
    }
}

/// The error for a file that holds what it cannot hold.
pub(crate) fn damaged(path: &Path, problem: impl std::fmt::Display) -> Error {
    let problem = shortened(&problem.to_string(), LONGEST);
    Error::file(path, problem, "the file is damaged: restore a copy, or make it again")
}

/// A count that is stored as a number.
pub(crate) fn count(path: &Path, name: &str, value: f64) -> Result<usize> {
    const MOST: f64 = (1_u64 << 53) as f64; // above it not all whole numbers are float64
    if value < 0.0 || value.fract() != 0.0 || value > MOST {
        return Err(damaged(path, format!("{name} is {value}, which is no count")));
    }
    Ok(value as usize)
}
