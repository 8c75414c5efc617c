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

/// The kind of a file, from its header alone; `None` for what is no file of ours.
pub fn kind_of(path: &Path) -> Option<String> {
    metadata_of(path)?.remove(KIND)
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
