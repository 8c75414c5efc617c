//! Extended XYZ: streaming reader and writer, as ASE understands the format.
//!
//! Plain files are memory-mapped; gzip, Zstandard and xz are recognised by content and unpacked as a stream.
//! A file name may carry a slice of frames after `@`, as in ASE: `data.xyz@:1000`, `data.xyz@::10`, `data.xyz@-1`.
//!
//! Where we differ from ASE on purpose: an unterminated quote, a ragged row and blank lines between frames are not
//! passed over in silence, `key=""` is an empty text, and Fortran exponents (`1.0D-3`) are numbers.

/// The comment line: key-value pairs, and the text of a value.
mod comment;
/// The frames of some files, or a shard of them, read ahead.
mod dataset;
/// Memory of unpacking.
mod dictionary;
/// One frame: atom count, comment line, rows of atoms.
mod frame;
/// Energies, forces and stresses under the names a file uses.
mod labels;
/// What the columns of the rows are.
mod layout;
/// Which frames of which files.
mod provenance;
/// The iterator over frames.
mod read;
/// The rows of atoms.
mod rows;
/// `file@start:stop:step`.
mod slice;
/// Bytes of a file, mapped or unpacked.
mod source;
/// The writer.
mod write;

pub use dataset::{Chunk, Chunks, Dataset};
pub use labels::{Labels, labels, required_energy};
pub use provenance::{Shard, SourceFile};
pub use read::{Options, Reader, read};
pub use slice::path_of;
pub use write::{Writer, check_replaceable, write};
