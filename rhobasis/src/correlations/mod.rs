//! Correlations of the density with itself, Eqs. (15)-(21).

mod clebsch_gordan;

pub use clebsch_gordan::{Coupling, L_MAX_COUPLED, clebsch_gordan};
