//! Correlations of the density with itself, Eqs. (15)-(21).

mod clebsch_gordan;
mod rotation_average;
mod spectrum_norms;
mod truncation;

pub use clebsch_gordan::{Coupling, L_MAX_COUPLED, clebsch_gordan};
pub use rotation_average::RotationAverage;
pub use spectrum_norms::{Kept, SpectrumNorms};
pub use truncation::{Plan, PlanRow, Target, everything, leading_channels};
