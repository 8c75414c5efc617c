//! Files that count before they are complete, as trajectories do: `liquid.unfinished-PROCESS-COUNT.xyz` for `liquid.xyz`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::target::{Target, target_of};
use super::temporary::{Temporary, folder_of, is_tag, lock_of_abandoned, remove_abandoned};

/// What lies between the name and the numbers.
const UNFINISHED: &str = ".unfinished-";

/// Files that processes which live no more have left of this output. They are for the user to remove.
pub fn unfinished(path: &Path) -> Vec<PathBuf> {
    let Ok(Target::File(place)) = target_of(path) else { return Vec::new() };
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let files = fs::read_dir(folder_of(&place)).into_iter().flatten().flatten();
    let files = files.filter_map(|entry| entry.file_name().into_string().ok()).filter(|file| is_of(file, &name));
    let mut paths: Vec<PathBuf> = files.map(|file| path.with_file_name(file)).collect();
    paths.retain(|path| lock_of_abandoned(path).is_some());
    paths.sort();
    paths
}

impl Temporary {
    /// A new file beside `place` under a name that shows, and that stays with what the file holds unless it gets another.
    pub fn lasting(place: &Path) -> io::Result<(Self, File)> {
        remove_abandoned(place);
        remove_empty(place);
        Temporary::open(place, true, name_of)
    }
}

/// Removes those of this output that hold nothing.
fn remove_empty(place: &Path) {
    for path in unfinished(place).iter().filter(|path| fs::metadata(path).is_ok_and(|data| data.len() == 0)) {
        if let Some(_lock) = lock_of_abandoned(path) {
            let _ = fs::remove_file(path); // it is only in the way
        }
    }
}

/// The name while a file is not complete; its ending stays, by which programs go.
fn name_of(name: &str, tag: &str) -> String {
    let (stem, ending) = parts(name);
    format!("{stem}{UNFINISHED}{tag}{ending}")
}

fn is_of(file: &str, name: &str) -> bool {
    let (stem, ending) = parts(name);
    let rest = file.strip_prefix(stem).and_then(|rest| rest.strip_prefix(UNFINISHED));
    rest.and_then(|rest| rest.strip_suffix(ending)).is_some_and(is_tag)
}

/// What comes before the ending, and the ending: of `liquid.xyz.gz`, `liquid` and `.xyz.gz`.
fn parts(name: &str) -> (&str, &str) {
    let packing = [".gz", ".zst", ".xz"].into_iter().find(|packing| name.ends_with(packing)).unwrap_or("");
    let unpacked = &name[..name.len() - packing.len()];
    let end = unpacked.rfind('.').filter(|&dot| dot > 0).unwrap_or(unpacked.len());
    name.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_stays_behind() {
        for (name, unfinished) in [
            ("liquid.xyz", "liquid.unfinished-17-0.xyz"),
            ("si.300K.xyz.gz", "si.300K.unfinished-17-0.xyz.gz"),
            ("liquid", "liquid.unfinished-17-0"),
            (".xyz", ".xyz.unfinished-17-0"),
            ("a.xz", "a.unfinished-17-0.xz"),
        ] {
            assert_eq!(name_of(name, "17-0"), unfinished);
            assert!(is_of(unfinished, name), "{name}");
        }
        for other in ["liquid.unfinished-17.xyz", "liquid.unfinished-17-0.xyz.gz", "liquid.unfinished-a-0.xyz", "l.xyz"]
        {
            assert!(!is_of(other, "liquid.xyz"), "{other}");
        }
    }
}
