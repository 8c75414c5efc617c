//! Extended XYZ: streaming reader and writer, as ASE understands the format.
//!
//! Files are read in blocks; gzip, Zstandard and xz are recognised by content and unpacked as a stream.
//! A file name may carry a slice of frames after `@`, as in ASE: `data.xyz@:1000`, `data.xyz@::10`, `data.xyz@-1`.
//!
//! Where we differ from ASE on purpose: an unterminated quote, a ragged row and blank lines between frames are not
//! passed over in silence, `key=""` is an empty text, and Fortran exponents (`1.0D-3`) are numbers.

/// Frames that are there as soon as they are written.
mod append;
/// The comment line: key-value pairs, and the text of a value.
mod comment;
/// The frames of some files, or a shard of them, read ahead.
mod dataset;
/// Memory of unpacking.
mod dictionary;
/// One frame: atom count, comment line, rows of atoms.
mod frame;
/// The frames of one file, one after the other.
mod frames;
/// Which keys hold labels.
mod keys;
/// Energies, forces and stresses under the names a file uses.
mod labels;
/// What the columns of the rows are.
mod layout;
/// Kinds of labels, and the names and shapes by which one is recognised.
mod likely;
/// Keys that are misspelt.
mod misspelt;
/// Which frames of which files.
mod provenance;
/// The iterator over frames.
mod read;
/// The rows of atoms.
mod rows;
/// `file@start:stop:step`.
mod slice;
/// Bytes of a file, unpacked.
mod source;
/// Whether a file has changed.
mod stamp;
/// Vectors and symmetric matrices under the names a file uses.
mod tensors;
/// The writer.
mod write;
/// Unpacking xz.
mod xz;
/// Unpacking Zstandard.
mod zstandard;

pub use append::Appender;
pub use dataset::{Chunk, Chunks, Dataset};
pub use keys::{LabelKeys, LabelSurvey, Likely};
pub(crate) use labels::LARGEST;
pub use labels::{Labels, Omission, is_there, labels, labels_and_omissions, of_forces, of_matrix, required_energy};
pub use likely::LabelKind;
pub use misspelt::misspelt;
pub use provenance::{Shard, SourceFile};
pub use read::{Options, Reader, read};
pub use slice::path_of;
pub use tensors::{symmetric_matrix, vector};
pub use write::{Writer, check_replaceable, write};
