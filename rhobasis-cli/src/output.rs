//! Where results go: checked before the work starts, written under a temporary name, renamed when complete.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rhobasis::files::Draft;
use rhobasis::{Error, Result, files};

use crate::failure::{Failure, Outcome};
use crate::text::tell;

/// Refuses, before any work, an output that could not be written at its end or whose extension says nothing.
pub fn check(path: &Path, extensions: &[&str]) -> Outcome {
    if files::is_stream(path) {
        return Ok(()); // a pipe or a device has the name that the system gave it
    }
    let found = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    if !extensions.contains(&found) {
        let expected: Vec<String> = extensions.iter().map(|e| format!(".{e}")).collect();
        return Err(Failure::usage(format!(
            "the output file '{}' ends in '{}'; it must end in {}",
            path.display(),
            if found.is_empty() { "nothing".into() } else { format!(".{found}") },
            expected.join(" or ")
        )));
    }
    Ok(check_place(path)?)
}

/// Refuses a file that could not be written, whatever its name.
pub fn check_place(path: &Path) -> Result<()> {
    if files::is_stream(path) {
        return Ok(());
    }
    if path.is_dir() {
        return Err(Error::file(path, "is a directory", "name a file in it"));
    }
    // The file that a link leads to is replaced in its own folder.
    check_folder(folder_of(&path.canonicalize().unwrap_or_else(|_| path.to_path_buf())))
}

/// Refuses a folder that does not exist or cannot be written to.
pub fn check_folder(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Err(Error::file(folder, "no such folder", "make it first, or write elsewhere"));
    }
    tempfile::tempfile_in(folder).map(|_| ()).map_err(|e| {
        Error::file(folder, format!("the folder cannot be written to ({e})"), "choose another output folder")
    })
}

/// A file without a name on the disk of an output, gone with this process.
pub fn scratch(output: &Path) -> Result<File> {
    let made = match files::is_stream(output) {
        true => tempfile::tempfile(),
        false => tempfile::tempfile_in(folder_of(output)),
    };
    made.map_err(|e| Error::io(output, e))
}

/// The folder of a file, `.` where the name has none.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// [`files::write_atomically`] for writers that can also fail with a library error.
pub fn write(path: &Path, write: impl FnOnce(&mut Draft) -> Result<()>) -> Result<()> {
    let mut refused = None;
    let written = files::write_atomically(path, |file| {
        write(file).map_err(|e| {
            let text = e.to_string();
            refused = Some(e);
            io::Error::other(text)
        })
    });
    match refused {
        Some(e) => Err(e),
        None => written,
    }
}

/// Writes a text file.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    files::write_atomically(path, |file| io::Write::write_all(file, text.as_bytes()))
}

/// Says beforehand what a run needs, in one line on standard error.
pub fn announce_memory(bytes: f64, of_what: &str) {
    tell(format!("memory: about {} {of_what}", size(bytes)));
}

/// What this process holds now, in bytes; a guess where the system does not tell.
pub fn held_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    1024.0 * kilobytes.unwrap_or(12_000.0)
}

/// The most that this process has held, in bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024.0 * line.trim().trim_end_matches(" kB").parse::<f64>().ok()?)
}

/// Gives back what was freed: the allocator keeps it otherwise, beside what the next step needs.
pub fn return_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: a call of the C library that only concerns its own free memory; it may be made at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes in words: `1.2 GB`.
pub fn size(bytes: f64) -> String {
    match bytes {
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.0} MB", b / 1e6),
        b => format!("{:.0} kB", (b / 1e3).max(1.0)),
    }
}
