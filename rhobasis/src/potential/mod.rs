//! Potentials: structure → energy, forces, stress; trained, saved, loaded.

/// Energies of free atoms.
mod baseline;
/// From structures to features: a basis and what is made of it.
mod features;
/// The potential and its predictions.
mod model;
/// Hyperparameters.
mod settings;
/// Which quantities of a frame are trained on.
mod targets;
/// From frames to a potential.
mod train;

pub use features::{Basis, FeatureSettings};
pub use model::{Potential, Prediction};
pub use settings::{Alpha, Baseline, FeatureKind, ModelSettings, Sigmas, SparseMethod, Weights, config_type};
pub use targets::TargetCounts;
pub use train::{TrainSettings, Trainer};
