//! Numbers in files: safetensors with text metadata, and writing that never leaves half a file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use safetensors::{Dtype, SafeTensors};

use crate::{Error, Result};

/// Named float64 arrays and text metadata, as stored in `.rho` and `.cov` files (both are safetensors).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Archive {
    /// Text by key: `kind`, `format_version`, `settings` (JSON), …
    pub metadata: BTreeMap<String, String>,
    /// Arrays by name.
    pub tensors: BTreeMap<String, ArrayD<f64>>,
}

impl Archive {
    /// Adds an array.
    pub fn insert<'a>(&mut self, name: impl Into<String>, array: impl Into<ArrayViewD<'a, f64>>) {
        self.tensors.insert(name.into(), array.into().to_owned());
    }

    /// Writes the archive to a temporary name beside `path` and renames it. The same content gives the same bytes.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, |file| self.encode(file))
    }

    /// Writes the bytes of the file that [`Archive::write`] makes.
    ///
    /// # Errors
    /// If `sink` refuses.
    pub fn encode(&self, sink: &mut impl Write) -> std::io::Result<()> {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), serde_json::json!(self.metadata));
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
        for value in self.tensors.values().flatten() {
            sink.write_all(&value.to_le_bytes())?;
        }
        Ok(())
    }

    /// Reads an archive and checks that it is of this `kind` and not newer than `format_version`.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another kind, or from a newer version.
    pub fn read(path: &Path, kind: &str, format_version: u32) -> Result<Self> {
        Self::decode(&read(path)?, path, kind, format_version)
    }

    /// [`Archive::read`] from bytes at hand; `path` names their origin in errors.
    ///
    /// # Errors
    /// If the bytes are damaged, of another kind, or from a newer version.
    pub fn decode(bytes: &[u8], path: &Path, kind: &str, format_version: u32) -> Result<Self> {
        let damaged = |problem: String| Error::file(path, problem, format!("give a rhobasis {kind} file"));
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|e| damaged(format!("not a safetensors file ({e})")))?;
        let metadata: BTreeMap<String, String> = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let found = metadata.get("kind").map_or("unknown", String::as_str);
        if found != kind {
            return Err(damaged(format!("the file is of kind '{found}', not '{kind}'")));
        }
        let version = metadata.get("format_version").and_then(|v| v.parse::<u32>().ok()).unwrap_or(0);
        if version == 0 || version > format_version {
            return Err(Error::file(
                path,
                format!(
                    "format version {}, but this rhobasis reads up to {format_version}",
                    metadata.get("format_version").map_or("missing", String::as_str)
                ),
                "install a newer rhobasis",
            ));
        }
        let views = SafeTensors::deserialize(bytes).map_err(|e| damaged(format!("damaged ({e})")))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in views.tensors() {
            if view.dtype() != Dtype::F64 {
                return Err(damaged(format!("array '{name}' is {:?}, not F64", view.dtype())));
            }
            let values: Vec<f64> =
                view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes"))).collect();
            if let Some(value) = values.iter().find(|x| !x.is_finite()) {
                return Err(damaged(format!("array '{name}' holds {value}")));
            }
            let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values);
            tensors.insert(name.clone(), array.map_err(|e| damaged(format!("array '{name}': {e}")))?);
        }
        Ok(Archive { metadata, tensors })
    }

    /// Array by name, of dimension `D`.
    ///
    /// # Errors
    /// If it is absent or has another number of axes.
    pub fn array<D: ndarray::Dimension>(&self, path: &Path, name: &str) -> Result<ndarray::Array<f64, D>> {
        self.tensors.get(name).and_then(|a| a.clone().into_dimensionality::<D>().ok()).ok_or_else(|| {
            Error::file(path, format!("array '{name}' is missing or has the wrong shape"), "the file is damaged")
        })
    }

    /// Metadata parsed from JSON.
    ///
    /// # Errors
    /// If the key is absent or does not parse.
    pub fn json<T: serde::de::DeserializeOwned>(&self, path: &Path, key: &str) -> Result<T> {
        let text = self.metadata.get(key).map_or("", String::as_str);
        serde_json::from_str(text)
            .map_err(|e| Error::file(path, format!("metadata '{key}' does not parse ({e})"), "the file is damaged"))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::file(path, "no such file", "check the path, or make one with rhobasis fit")
        }
        _ => Error::io(path, e),
    })
}

/// Writes a file through a temporary name in the same folder, renamed when complete.
///
/// # Errors
/// If the file system refuses; nothing is left behind.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<fs::File>) -> std::io::Result<()>,
) -> Result<()> {
    let mut draft = Draft::new(path)?;
    write(draft.file()).map_err(|e| Error::io(path, e))?;
    draft.finish()
}

/// A file under a temporary name in its folder, until it is complete; removed if dropped before.
pub struct Draft {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<fs::File>,
}

impl Draft {
    /// An empty file that will be `path`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn new(path: &Path) -> Result<Self> {
        let temporary = temporary_name(path);
        let file = fs::File::create(&temporary).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::file(path, "its folder does not exist", "make the folder first"),
            _ => Error::io(path, e),
        })?;
        Ok(Draft { path: path.to_path_buf(), temporary, file: BufWriter::new(file) })
    }

    /// Where to write.
    pub fn file(&mut self) -> &mut BufWriter<fs::File> {
        &mut self.file
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// If the file system refuses; nothing is left behind.
    pub fn finish(mut self) -> Result<()> {
        let mut attempt = || {
            self.file.flush()?;
            self.file.get_ref().sync_all()?;
            fs::rename(&self.temporary, &self.path)
        };
        attempt().map_err(|e| Error::io(&self.path, e))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary); // it has its own name by now, if it was finished
    }
}

fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{unique}.part", std::process::id()))
}

/// Removes an archive of this kind, and what a process that was killed while writing has left of it.
///
/// # Errors
/// If the file system refuses.
pub fn remove_with_drafts(path: &Path, kind: &str, format_version: u32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    for found in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let file = found.file_name().unwrap_or_default().to_string_lossy();
        // Another file may bear the same name, written in another way: it stays.
        let ours = file == name && Archive::read(&found, kind, format_version).is_ok();
        if ours || is_draft(&file, &name) {
            fs::remove_file(&found).map_err(|e| Error::io(&found, e))?;
        }
    }
    Ok(())
}

/// Whether a file is a half-written one of this name: .NAME.PROCESS-COUNT.part
fn is_draft(file: &str, name: &str) -> bool {
    let rest = file.strip_prefix('.').and_then(|rest| rest.strip_prefix(name)).and_then(|rest| rest.strip_prefix('.'));
    let numbers = rest.and_then(|rest| rest.strip_suffix(".part")).and_then(|numbers| numbers.split_once('-'));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, count)| digits(process) && digits(count))
}
