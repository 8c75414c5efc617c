//! The atom density around a centre and its expansion, Eqs. (2)-(5), (8), (13).

mod block;
mod channels;
mod contract;
mod dvr;
mod equivariants;
mod evaluated;
mod expansion;
pub mod gto;
mod harmonics;
mod jacobian;
mod kernel;
mod laplacian;
mod motion;
mod pair_gradient;
mod primitive;
mod radial;
mod runs;
mod settings;
mod table;
mod weight;

pub(crate) use channels::{AroundCenter, RadialSource};
pub use contract::{ChannelContraction, ContractionMatrix};
pub use equivariants::{BlockKey, Center, Channel, Equivariants};
pub(crate) use equivariants::{Group, groups};
pub use expansion::SphericalExpansion;
pub(crate) use expansion::Workspace;
pub use harmonics::SolidHarmonics;
pub(crate) use jacobian::{Gradient, RowsOfRun};
pub use jacobian::{Jacobian, JacobianCursor, JacobianPart, JacobianRow, Variable};
pub use motion::{Adjoint, Motion};
pub use primitive::{Primitive, PrimitiveFamily};
pub use radial::RadialIntegrals;
pub(crate) use runs::{Run, Runs};
pub use runs::{centers_of, species_of};
pub use settings::{Density, ExpansionSettings, L_MAX, RadialScaling, Sigma};
pub use table::{RadialTable, SplineError};
