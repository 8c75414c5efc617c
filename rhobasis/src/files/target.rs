//! Where a name leads: to a file that may be replaced, or to what is written to as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Links that are followed before it is a circle.
const LINKS: usize = 40;

/// What a name of an output leads to.
pub(super) enum Target {
    /// A file, there already or not.
    File(PathBuf),
    /// An open file of this process: `/dev/stdout`, `/dev/fd/63`.
    #[cfg(unix)]
    Descriptor(i32),
    /// A pipe or a device.
    Special(PathBuf),
}

/// Follows the links that `path` is, to their end, which need not exist.
pub(super) fn target_of(path: &Path) -> io::Result<Target> {
    let mut place = path.to_path_buf();
    for _ in 0..LINKS {
        #[cfg(unix)]
        if let Some(number) = descriptor(&place) {
            return Ok(Target::Descriptor(number));
        }
        let Ok(found) = fs::symlink_metadata(&place) else { return Ok(Target::File(place)) };
        if !found.is_symlink() {
            return Ok(if found.is_file() || found.is_dir() { Target::File(place) } else { Target::Special(place) });
        }
        // A relative link counts from its own folder.
        place = place.parent().unwrap_or(Path::new("")).join(fs::read_link(&place)?);
    }
    Err(io::Error::other("its symbolic links lead in a circle"))
}

/// Whether this name stands for standard output, which then holds nothing but the file.
pub fn is_standard_output(path: &Path) -> bool {
    #[cfg(unix)]
    return matches!(target_of(path), Ok(Target::Descriptor(1)));
    #[cfg(not(unix))]
    return false;
}

/// Whether bytes go to `path` as they come: it is a pipe or a device, in which nobody can go back.
pub fn is_stream(path: &Path) -> bool {
    !matches!(target_of(path), Ok(Target::File(_)) | Err(_))
}

/// The number of an open file of this process that a name stands for.
#[cfg(unix)]
fn descriptor(path: &Path) -> Option<i32> {
    let folder = path.parent()?.to_str()?;
    let own = format!("/proc/{}/fd", std::process::id());
    let open = folder == "/dev/fd" || folder == "/proc/self/fd" || folder == own;
    path.file_name()?.to_str()?.parse().ok().filter(|_| open)
}

/// Another handle of an open file, with the same position: opening `/dev/stdout` anew would begin at its start.
#[cfg(unix)]
pub(super) fn duplicate(number: i32) -> io::Result<fs::File> {
    // SAFETY: the number is only used for the call that duplicates it, which fails if no file is open under it.
    let open = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    open.try_clone_to_owned().map(fs::File::from)
}
