//! Are the labels right? Units, signs, components of the stress, single frames, and frames that contradict each other.
//!
//! Energy, forces and stress are derivatives of one function, so each of them judges the others. [`check_labels`] needs nothing
//! but the data: a small linear model on a compact basis is fitted to energies and says what forces must be; fitted to both, what
//! stresses must be; and at last frames are predicted by models that have not seen them. [`check_against`] takes the predictions
//! of a potential that is there. Neither changes anything.

/// Both checks, step by step.
mod check;
/// Stated and predicted numbers side by side.
mod compare;
/// Energies and compositions.
mod composition;
/// What labels can suffer, and how it is undone.
mod faults;
/// Faults of whole groups of frames.
mod groups;
/// Faults of single frames.
mod outliers;
/// Parts of a stress, by which some faults are told.
mod part;
/// The small models that labels are compared with.
mod reference;
/// Frames of the same geometry with different labels.
mod repeats;
/// What was found.
mod report;
/// Whether atoms that are too near push each other apart.
mod stiffness;

pub use check::{check_against, check_labels};
pub use report::{Finding, Label, LabelReport, Sureness};
