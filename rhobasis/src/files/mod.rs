//! Numbers in files: safetensors with text metadata and a digest, and writing that never leaves half a file.

mod archive;
mod content;
mod digest;
mod draft;
mod format;
mod growing;
mod header;
mod stored;
mod target;
mod temporary;

pub use archive::Archive;
pub(crate) use archive::{count, damaged};
pub use content::{Content, is_same_file};
pub use digest::{Digest, sha256};
pub use draft::{Draft, write_atomically};
pub use format::Format;
pub use growing::{Existing, Growing};
pub use header::{command_of, kind_of, note_on};
pub use stored::Stored;
pub(crate) use stored::remove_with_drafts;
pub use target::{is_standard_output, is_stream};
pub use temporary::abandon_drafts;
