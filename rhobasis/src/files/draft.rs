//! Files that appear complete or not at all.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

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

/// Whether a file is a half-written one of this name: .NAME.PROCESS-COUNT.part
pub(super) fn is_draft(file: &str, name: &str) -> bool {
    let rest = file.strip_prefix('.').and_then(|rest| rest.strip_prefix(name)).and_then(|rest| rest.strip_prefix('.'));
    let numbers = rest.and_then(|rest| rest.strip_suffix(".part")).and_then(|numbers| numbers.split_once('-'));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, count)| digits(process) && digits(count))
}
