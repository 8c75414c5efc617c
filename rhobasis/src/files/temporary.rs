//! Temporary names of files that are being written: `.NAME.PROCESS-COUNT.part`, locked as long as their process lives.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A file under a temporary name; removed if dropped before it has another.
pub(super) struct Temporary {
    path: PathBuf,
}

/// The temporary files of this process, and what became of others.
#[derive(Default)]
struct Ledger {
    open: Vec<PathBuf>,
    last_finished: Option<PathBuf>,
}

static LEDGER: Mutex<Ledger> = Mutex::new(Ledger { open: Vec::new(), last_finished: None });

fn ledger() -> MutexGuard<'static, Ledger> {
    LEDGER.lock().unwrap_or_else(PoisonError::into_inner) // a list of names is whole at any time
}

impl Temporary {
    /// A new file beside `place`, open for reading and writing. What a killed process has left there is removed.
    pub fn new(place: &Path) -> io::Result<(Self, File)> {
        remove_abandoned(place);
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut ledger = ledger();
        loop {
            let unique = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = place.with_file_name(format!(".{name}.{}-{unique}.part", std::process::id()));
            let file = match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            if keep_locked(&file) {
                ledger.open.push(path.clone());
                return Ok((Temporary { path }, file));
            }
        }
    }

    /// Gives the file its name.
    pub fn rename(self, place: &Path) -> io::Result<()> {
        let mut ledger = ledger();
        fs::rename(&self.path, place)?;
        ledger.last_finished = Some(place.to_path_buf());
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let mut ledger = ledger();
        if let Some(k) = ledger.open.iter().position(|path| *path == self.path) {
            ledger.open.swap_remove(k);
        }
        let _ = fs::remove_file(&self.path); // it has its own name by now, if it was finished
    }
}

/// For a process that is about to end at once: removes the files that it is writing, and lets no thread begin or finish another.
/// Returns the last file that was completed.
pub fn abandon_drafts() -> Option<PathBuf> {
    let mut ledger = ledger();
    for path in ledger.open.drain(..) {
        let _ = fs::remove_file(path); // the next run removes it then
    }
    let last = ledger.last_finished.take();
    std::mem::forget(ledger); // never unlocked
    last
}

/// Removes temporary files of this output that no living process writes.
pub(super) fn remove_abandoned(place: &Path) {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    for file in temporaries_beside(place) {
        if is_temporary_of(&file, &name) {
            let path = place.with_file_name(file);
            if let Some(_lock) = lock_of_abandoned(&path) {
                let _ = fs::remove_file(path); // it is only in the way
            }
        }
    }
}

/// The folder of a file, `.` where the name has none.
fn folder_of(place: &Path) -> &Path {
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Temporary files by folder, and when they were looked for.
type Seen = HashMap<PathBuf, (Instant, Vec<String>)>;

/// All temporary files in the folder of an output. A folder that was looked at just now is not read again: a thousand files that
/// are written into it would be read a million times.
fn temporaries_beside(place: &Path) -> Vec<String> {
    const FRESH: Duration = Duration::from_secs(5);
    static SEEN: LazyLock<Mutex<Seen>> = LazyLock::new(Mutex::default);
    let folder = folder_of(place);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.retain(|_, (when, _)| when.elapsed() < FRESH);
    let (_, names) = seen.entry(folder.to_path_buf()).or_insert_with(|| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        (Instant::now(), names.filter(|name| name.starts_with('.') && name.ends_with(".part")).collect())
    });
    names.clone()
}

/// Whether a file is a temporary one of this name: .NAME.PROCESS-COUNT.part
fn is_temporary_of(file: &str, name: &str) -> bool {
    let rest = file.strip_prefix('.').and_then(|rest| rest.strip_prefix(name)).and_then(|rest| rest.strip_prefix('.'));
    rest.and_then(|rest| rest.strip_suffix(".part")).is_some_and(is_tag)
}

/// Whether a text is PROCESS-COUNT.
fn is_tag(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(process, count)| digits(process) && digits(count))
}

/// Locks a file of ours until it is closed; false if another process has taken it for abandoned in between.
#[cfg(unix)]
fn keep_locked(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    // A file system without locks gives none: then nobody can have taken it either.
    let _ = rustix::fs::flock(file, rustix::fs::FlockOperation::LockExclusive);
    file.metadata().is_ok_and(|data| data.nlink() > 0)
}

/// The lock of a file that no living process writes; none if one does, or the file system cannot tell.
#[cfg(unix)]
fn lock_of_abandoned(path: &Path) -> Option<File> {
    let file = File::options().read(true).write(true).open(path).ok()?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}

#[cfg(not(unix))]
fn keep_locked(_: &File) -> bool {
    true
}

/// Without locks nobody can tell.
#[cfg(not(unix))]
fn lock_of_abandoned(_: &Path) -> Option<File> {
    None
}
