//! What happens where no training frame has been: atoms that are nearer to each other than any of them were.

/// The core beside a model.
mod core;
/// Smallest distances of a data set.
mod nearest;
/// Hyperparameters.
mod settings;
/// The universal repulsion of nuclei.
mod zbl;

pub(super) use core::{Core, Found};
pub use nearest::{ClosePair, Nearest};
pub use settings::Repulsion;
