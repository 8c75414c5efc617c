//! The atom density around a centre and its expansion, Eqs. (2)-(5), (8), (13).

mod cutoff;
mod dvr;
mod equivariants;
mod expansion;
pub mod gto;
mod harmonics;
mod kernel;
mod laplacian;
mod primitive;
mod radial;
mod settings;
mod spline;

pub use cutoff::RadialScaling;
pub use equivariants::{Center, Channel, Equivariants};
pub use expansion::{Adjoint, SphericalExpansion, Workspace, centers_of, species_of};
pub(crate) use expansion::{KindOfCenter, RadialSource, prepare_neighbors};
pub use harmonics::SolidHarmonics;
pub use primitive::Primitive;
pub use radial::RadialIntegrals;
pub use settings::{Density, ExpansionSettings, L_MAX, Sigma};
pub use spline::{RadialTable, SplineError};
