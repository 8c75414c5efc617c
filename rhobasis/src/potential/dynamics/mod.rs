//! Atoms in motion: molecular dynamics, and down to where forces vanish.

/// Cells that breathe: constant pressure.
mod barostat;
/// The slope of what should be constant.
mod drift;
/// Lattice constants, elastic constants, equations of state.
mod elastic;
/// What a potential says at one moment.
mod evaluated;
/// Dynamics that go on later.
mod file;
/// To where forces vanish.
mod relax;
/// Velocity Verlet.
mod run;
/// What keeps temperature and pressure.
mod settings;
/// Dynamics that make no sense any more.
mod watch;

pub use drift::Drift;
pub use elastic::{BirchMurnaghan, ElasticConstants, energies_of_volumes, lattice_constants};
pub use evaluated::Evaluated;
pub use relax::{RelaxCell, RelaxSettings, Relaxed, relax};
pub use run::{Dynamics, DynamicsState};
pub use settings::{AMU_A2_FS2, BOLTZMANN, Barostat, DynamicsSettings, GPA, Thermostat};
