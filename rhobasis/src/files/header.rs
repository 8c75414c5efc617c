//! What a file of ours says of itself before its arrays.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

/// Keys of the metadata that every file has.
pub(super) const KIND: &str = "kind";
pub(super) const VERSION: &str = "format_version";
pub(super) const DIGEST: &str = "digest";
/// Keys of the metadata of what a command has made.
pub(super) const COMMAND: &str = "command";
pub(super) const PROGRAM: &str = "rhobasis";

/// Most bytes of a header, as safetensors has it.
const LONGEST: u64 = 100_000_000;
/// Bytes that are read of whatever is given.
const BEGINNING: u64 = 1 << 14;

/// The kind of a file, from its header alone; `None` for what is no file of ours.
pub fn kind_of(path: &Path) -> Option<String> {
    metadata_of(path)?.remove(KIND)
}

/// The command that made a file, and the version of rhobasis, from its header alone; `None` where it does not say.
///
/// ```
/// use rhobasis::files::{Stored, command_of};
/// use rhobasis::optimal::{Covariance, CovarianceSettings};
///
/// let path = std::env::temp_dir().join("command_of.cov");
/// let covariance = Covariance::new(&CovarianceSettings::default())?;
/// covariance.save_made_by(&path, "rhobasis fit data.xyz")?;
/// assert_eq!(command_of(&path).unwrap().0, "rhobasis fit data.xyz");
/// covariance.save(&path)?;
/// assert!(command_of(&path).is_none());
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), rhobasis::Error>(())
/// ```
pub fn command_of(path: &Path) -> Option<(String, String)> {
    let mut metadata = metadata_of(path)?;
    Some((metadata.remove(COMMAND)?, metadata.remove(PROGRAM)?))
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
    (length <= LONGEST && length < file.metadata().ok()?.len()).then_some(())?;
    file.take(length).read_to_end(&mut header).ok()?;
    serde_json::from_slice::<Header>(&header).ok().map(|header| header.metadata)
}

/// The bytes of an archive: as many as its header says, and one more, so that others are noticed. Of what has no such header,
/// the beginning, by which it is known.
pub(super) fn contents(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    let mut read = |up_to: u64, bytes: &mut Vec<u8>| {
        let more = up_to.saturating_sub(bytes.len() as u64);
        (&mut file).take(more).read_to_end(bytes)
    };
    read(BEGINNING, &mut bytes)?;
    let Some(header) = bytes.first_chunk().map(|length| u64::from_le_bytes(*length)) else { return Ok(bytes) };
    if header > LONGEST || bytes.get(8) != Some(&b'{') {
        return Ok(bytes);
    }
    read(8 + header, &mut bytes)?;
    let arrays = bytes.get(8..8 + header as usize).and_then(bytes_of_arrays).unwrap_or(0);
    read((8 + header).saturating_add(arrays).saturating_add(1), &mut bytes)?;
    Ok(bytes)
}

/// Where the last array ends, as a header says.
fn bytes_of_arrays(header: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        data_offsets: (u64, u64),
    }
    let entries: BTreeMap<String, Entry> = serde_json::from_slice(header).ok()?;
    entries.values().map(|entry| entry.data_offsets.1).max()
}
