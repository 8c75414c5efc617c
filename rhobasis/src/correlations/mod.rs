//! Correlations of the density with itself, Eqs. (15)-(21).

mod bispectrum;
mod clebsch_gordan;
mod invariants;
mod invariants_jacobian;
mod kinds;
mod lanes;
mod power_spectrum;
mod power_spectrum_rows;
mod quadratic;
mod radial_spectrum;
mod rotation_average;
mod site_energies;
mod spectrum_norms;
mod truncation;

pub use clebsch_gordan::{Coupling, L_MAX_COUPLED, clebsch_gordan};
pub use invariants::Invariants;
pub use invariants_jacobian::InvariantsJacobian;
pub use kinds::FeatureKind;
pub(crate) use quadratic::QuadraticForm;
pub use rotation_average::RotationAverage;
pub(crate) use site_energies::{SiteFunction, no_function};
pub use spectrum_norms::{Kept, SpectrumNorms};
pub use truncation::{Plan, PlanRow, Target, everything, leading_channels};
