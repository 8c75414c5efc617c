//! Models of tensors on the command line: trained as a file says, predicted with, compared with labels, shown.

mod evaluate;
mod frames;
mod model_file;
mod predict;
mod report;
mod show;
mod train;

use std::path::Path;

use rhobasis::equivariant::EquivariantRidge;
use rhobasis::files::{Stored, kind_of};

pub use evaluate::{TensorKeys, compare};
pub use model_file::is_of_tensors;
pub use predict::predict;
pub use show::show;
pub use train::train;

/// Whether a file holds such a model.
pub fn is_model(path: &Path) -> bool {
    kind_of(path).as_deref() == Some(EquivariantRidge::KIND)
}
