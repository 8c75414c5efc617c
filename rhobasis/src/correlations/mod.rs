//! Correlations of the density with itself, Eqs. (15)-(21).

mod bispectrum;
mod by_center;
mod clebsch_gordan;
mod combinations;
mod correlation;
mod couplings;
mod invariants;
mod jacobian;
mod jacobian_by_species;
mod kinds;
mod lanes;
mod leading;
mod mixed;
mod nice;
mod normalize;
mod per_structure;
mod power_spectrum;
mod quadratic;
mod radial_spectrum;
mod rotation_average;
mod spectrum_norms;
mod stage;
mod sum_of_features;
mod tiles;
mod truncation;
mod weighted;
mod weighted_sum;

pub use clebsch_gordan::{Coupling, L_MAX_COUPLED, clebsch_gordan};
pub(crate) use combinations::Combinations;
pub use invariants::Invariants;
pub(crate) use invariants::Work;
pub use jacobian::InvariantsJacobian;
pub use jacobian_by_species::{JacobianBySpecies, PartOfSpecies};
pub use kinds::{FeatureKind, Member};
pub use nice::{
    AuditRow, Choice, Nice, NiceFit, NiceSample, NiceSelection, NiceSettings, Sequence, Split, remove_nice_checkpoint,
};
pub(crate) use nice::{NiceTensors, TensorSum};
pub use per_structure::{PerStructure, Reduction};
pub use rotation_average::RotationAverage;
pub use spectrum_norms::{Kept, SpectrumNorms};
pub use truncation::{Plan, PlanRow, Target, everything, leading_channels};
pub(crate) use weighted_sum::WeightedSum;
