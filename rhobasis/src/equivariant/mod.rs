//! Tensors of structures, such as dipoles and polarisabilities: linear models of equivariants, trained, saved, loaded.

/// Errors beside labels.
mod evaluate;
/// Model files.
mod file;
/// The tensors of some frames, and where else they may be.
mod labels;
/// The model and its predictions.
mod model;
/// How it is trained.
mod settings;
/// Which tensor.
mod target;
/// Cartesian tensors and their spherical components.
mod tensors;
/// From frames to a model.
mod train;

pub use evaluate::{TensorErrorRow, TensorErrors};
pub use labels::TensorSurvey;
pub use model::{EquivariantRidge, TensorPrediction};
pub use settings::EquivariantSettings;
pub use target::Target;
pub use tensors::{dipole_of, spherical_of_dipole, spherical_of_symmetric, symmetric_of};
pub use train::EquivariantTrainer;
