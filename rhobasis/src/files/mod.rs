//! Numbers in files: safetensors with text metadata and a digest, and writing that never leaves half a file.

mod archive;
mod digest;
mod draft;
mod format;
mod stored;

pub use archive::{Archive, kind_of, note_on};
pub(crate) use archive::{count, damaged};
pub use digest::{Digest, sha256};
pub use draft::{Draft, write_atomically};
pub use format::Format;
pub use stored::Stored;
pub(crate) use stored::remove_with_drafts;
