//! Named arrays and texts in one file, sealed by a digest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use ndarray::{ArrayD, ArrayViewD, IntoDimension, IxDyn};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::draft::write_atomically;
use crate::{Error, Result};

/// Version of the format that this library writes, and the newest it reads. Files of format 1 have no digest.
const FORMAT: u32 = 2;

/// Keys of the metadata that every file has.
const KIND: &str = "kind";
const VERSION: &str = "format_version";
const DIGEST: &str = "digest";

/// Named float64 arrays and text metadata: what a `.rho`, a `.cov` or a checkpoint holds (all are safetensors).
///
/// In a file the metadata also have its `kind`, the `format_version`, and the `digest`, which [`Archive::read`] checks:
/// the SHA-256, in hexadecimal, of
///
/// ```text
/// the number of other metadata entries; for each, by key: key, text
/// for each array, by name: name, number of axes, length of each axis, float64 values in C order
/// ```
///
/// where numbers are eight bytes, little-endian, and keys, texts and names come after their length in bytes.
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
    /// If the file system refuses.
    pub fn write(&self, path: &Path, kind: &str) -> Result<()> {
        write_atomically(path, |file| self.encode(kind, file))
    }

    /// Writes the bytes of the file that [`Archive::write`] makes.
    ///
    /// # Errors
    /// If `sink` refuses.
    pub fn encode(&self, kind: &str, sink: &mut impl Write) -> std::io::Result<()> {
        let mut metadata = self.metadata.clone();
        metadata.insert(KIND.into(), kind.into());
        metadata.insert(VERSION.into(), FORMAT.to_string());
        let mut seal = Seal::new(&metadata);
        for (name, array) in &self.tensors {
            seal.array(name, array.shape());
            for_each_block(array.view(), |bytes| {
                seal.0.update(bytes);
                Ok(())
            })?;
        }
        metadata.insert(DIGEST.into(), seal.0.hex());
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
        self.tensors.values().try_for_each(|array| for_each_block(array.view(), |bytes| sink.write_all(bytes)))
    }

    /// Reads an archive of this `kind`, and checks its digest.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another kind, or from a newer version.
    pub fn read(path: &Path, kind: &str) -> Result<Self> {
        let bytes = fs::read(path).map_err(|e| match e.kind() {
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
        let not_ours = |problem: String| Error::file(path, problem, format!("give a rhobasis {kind} file"));
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|e| not_ours(format!("not a safetensors file ({e})")))?;
        let mut metadata: BTreeMap<String, String> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
        let found = metadata.get(KIND).map_or("unknown", String::as_str);
        if found != kind {
            return Err(not_ours(format!("the file is of kind '{found}', not '{kind}'")));
        }
        let version = metadata.get(VERSION).map_or("missing", String::as_str);
        let (problem, newest) = (format!("format version {version}, but this rhobasis reads up to {FORMAT}"), FORMAT);
        let version: u32 = version.parse().ok().filter(|v| (1..=newest).contains(v)).ok_or_else(|| {
            let remedy = "install a newer rhobasis";
            Error::file(path, problem, remedy)
        })?;
        let views =
            SafeTensors::deserialize(bytes).map_err(|e| damaged(path, format!("its arrays do not fit ({e})")))?;
        let digest = metadata.remove(DIGEST);
        let mut seal = Seal::new(&metadata);
        let views: BTreeMap<String, _> = views.tensors().into_iter().collect();
        let mut tensors = BTreeMap::new();
        for (name, view) in views {
            if view.dtype() != Dtype::F64 {
                return Err(damaged(path, format!("array '{name}' is {:?}, not F64", view.dtype())));
            }
            seal.array(&name, view.shape());
            seal.0.update(view.data());
            let values: Vec<f64> =
                view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes"))).collect();
            if let Some(value) = values.iter().find(|x| !x.is_finite()) {
                return Err(damaged(path, format!("array '{name}' holds {value}")));
            }
            let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values);
            tensors.insert(name.clone(), array.map_err(|e| damaged(path, format!("array '{name}': {e}")))?);
        }
        match digest {
            Some(digest) if digest != seal.0.hex() => {
                return Err(damaged(path, "its content is not what was written (the digest differs)"));
            }
            None if version > 1 => return Err(damaged(path, "it has no digest")),
            _ => {}
        }
        metadata.retain(|key, _| key != KIND && key != VERSION);
        Ok(Archive { metadata, tensors })
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

/// The digest of an archive as it grows.
struct Seal(Digest);

impl Seal {
    fn new(metadata: &BTreeMap<String, String>) -> Self {
        let mut seal = Seal(Digest::default());
        seal.number(metadata.len());
        metadata.iter().for_each(|(key, text)| {
            seal.text(key);
            seal.text(text);
        });
        seal
    }

    fn array(&mut self, name: &str, shape: &[usize]) {
        self.text(name);
        self.number(shape.len());
        shape.iter().for_each(|n| self.number(*n));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text);
    }

    fn number(&mut self, n: usize) {
        self.0.update((n as u64).to_le_bytes());
    }
}

/// Calls `take` with the little-endian bytes of an array, some at a time.
fn for_each_block(array: ArrayViewD<f64>, mut take: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    const AT_ONCE: usize = 1 << 13; // numbers: more than this does not make the digest faster
    let mut bytes = Vec::with_capacity(8 * AT_ONCE.min(array.len()));
    for value in &array {
        bytes.extend_from_slice(&value.to_le_bytes());
        if bytes.len() == 8 * AT_ONCE {
            take(&bytes)?;
            bytes.clear();
        }
    }
    take(&bytes)
}

/// The kind of a file, from its header alone; `None` for what is no file of ours.
pub fn kind_of(path: &Path) -> Option<String> {
    Some(metadata_of(path)?.remove(KIND)?)
}

/// What the user should know of a file, from its header alone: one of the older format has no digest.
pub fn note_on(path: &Path) -> Option<String> {
    let metadata = metadata_of(path)?;
    (metadata.contains_key(KIND) && metadata.get(VERSION)? == "1" && !metadata.contains_key(DIGEST)).then(|| {
        let path = path.display();
        format!(
            "{path}: written by an older rhobasis, without a digest: damage to it would go unnoticed; save it again"
        )
    })
}

fn metadata_of(path: &Path) -> Option<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__")]
        metadata: BTreeMap<String, String>,
    }
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let mut header = Vec::new();
    (length < file.metadata().ok()?.len()).then_some(())?;
    file.take(length).read_to_end(&mut header).ok()?;
    serde_json::from_slice::<Header>(&header).ok().map(|header| header.metadata)
}

/// The error for a file that holds what it cannot hold.
pub(crate) fn damaged(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::file(path, problem.to_string(), "the file is damaged: restore a copy, or make it again")
}

/// A count that is stored as a number.
pub(crate) fn count(path: &Path, name: &str, value: f64) -> Result<usize> {
    const MOST: f64 = (1_u64 << 53) as f64; // above it not all whole numbers are float64
    if value < 0.0 || value.fract() != 0.0 || value > MOST {
        return Err(damaged(path, format!("{name} is {value}, which is no count")));
    }
    Ok(value as usize)
}
