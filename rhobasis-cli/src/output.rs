//! Where results go: checked before the work starts, written under a temporary name, renamed when complete.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

use rhobasis::{Error, Result, files};

use crate::failure::{Failure, Outcome};

/// Refuses, before any work, an output that could not be written at its end or whose extension says nothing.
pub fn check(path: &Path, extensions: &[&str]) -> Outcome {
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
    if path.is_dir() {
        return Err(Error::file(path, "is a directory", "name a file in it").into());
    }
    check_folder(folder_of(path))?;
    Ok(())
}

/// Refuses a folder that does not exist or cannot be written to.
pub fn check_folder(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Err(Error::file(folder, "no such folder", "make it first, or write elsewhere"));
    }
    let probe = folder.join(format!(".rhobasis.{}.part", std::process::id()));
    match File::create(&probe) {
        // Another machine's process of the same number may have removed it.
        Ok(_) => match fs::remove_file(&probe) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(&probe, e)),
            _ => Ok(()),
        },
        Err(e) => {
            Err(Error::file(folder, format!("the folder cannot be written to ({e})"), "choose another output folder"))
        }
    }
}

/// The folder of a file, `.` where the name has none.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// [`files::write_atomically`] for writers that can also fail with a library error.
pub fn write(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
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
    eprintln!("memory: about {} {of_what}", size(bytes));
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
