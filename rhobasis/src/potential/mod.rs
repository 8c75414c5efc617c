//! Potentials: structure → energy, forces, stress; trained, saved, loaded.

/// The centre alone, whose energy is known.
mod alone;
/// Energies of free atoms.
mod baseline;
/// What posterior deviations are multiplied by.
mod calibration;
/// From atoms to energies, forces and virial.
mod chain;
/// How often predictions are off by no more than they say.
mod coverage;
/// Deviations and extrapolation of predictions.
mod deviations;
/// Molecular dynamics, relaxations, elastic constants.
mod dynamics;
/// Errors, cross-validation, learning curves.
mod evaluate;
/// Exact kernel ridge regression.
mod exact;
/// From structures to features: a basis and what is made of it.
mod features;
/// Model files.
mod file;
/// Sums of rows, fold by fold.
mod fold_sums;
/// Frames that repeat each other, folds, splits.
mod folds;
/// A model of another code.
#[cfg(test)]
mod golden;
/// Residuals of frames that a fit has not seen.
mod held_out;
/// Intervals that hold a part of the errors.
mod intervals;
/// Which frames to label next.
mod label_next;
/// How far an atom lies outside of a training set.
mod leverage;
/// Linear models.
mod linear;
/// The potential and its predictions.
mod model;
/// Rows of shards of a training set.
mod part;
/// What a fit knows of its own error.
mod posterior;
/// How much neighbours at a distance matter to a potential.
mod radial_weight;
/// What should be known before a fit.
mod remarks;
/// Where no training frame has been: atoms that are too near each other.
mod repulsion;
/// Rows of the least-squares problem of a fit.
mod rows;
/// What a fitted model looks at, and bases made for it.
mod sensitivity;
/// Hyperparameters.
mod settings;
/// The energy of an atom.
mod site;
/// Sparse kernel models.
mod sparse;
/// The environments that they are built on.
mod sparse_points;
/// Bases for linear models of power spectra.
mod supervised;
/// Which quantities of a frame are trained on.
mod targets;
/// From frames to a potential.
mod train;

pub use crate::correlations::{FeatureKind, Member};
pub use baseline::is_free_atom;
pub(crate) use baseline::of_atoms;
pub use baseline::of_compositions;
pub use calibration::Calibration;
pub use coverage::Coverage;
pub use dynamics::{
    AMU_A2_FS2, BOLTZMANN, Barostat, BirchMurnaghan, Drift, Dynamics, DynamicsSettings, DynamicsState,
    ElasticConstants, Evaluated, GPA, RelaxCell, RelaxSettings, Relaxed, Thermostat, energies_of_volumes,
    lattice_constants, relax,
};
pub use evaluate::{
    CrossValidation, ErrorRow, ErrorSum, Errors, MakeBasis, Progress, Quantity, check_species, cross_validate,
    learning_curve, pairs, train,
};
pub use features::{Basis, FeatureSettings};
pub use folds::{folds, repeated, split};
pub use label_next::{Candidates, Choice};
pub use model::{Beside, Potential, Prediction};
pub use part::{PartOrigin, TrainingPart};
pub use remarks::Remark;
pub use repulsion::{ClosePair, Nearest, Repulsion};
pub use sensitivity::Sensitivity;
pub(crate) use settings::SOLVER;
pub use settings::{
    Alpha, Baseline, ModelSettings, ModelType, Sigmas, SparseMethod, TrainSettings, Weights, config_type,
};
pub(crate) use site::no_function;
pub use supervised::{SUPERVISING_ALPHAS, Supervised, supervised_basis, supervising_model};
pub use targets::TargetCounts;
pub use train::Trainer;
