//! The atom density around a centre and its expansion, Eqs. (2)-(5), (8), (13).

mod aligned;
mod batch;
mod cutoff;
mod derivatives;
mod dvr;
mod equivariants;
mod evaluated;
mod expansion;
mod feeds;
pub mod gto;
mod harmonics;
mod kernel;
mod laplacian;
mod primitive;
mod radial;
mod settings;
mod spline;

pub(crate) use aligned::Aligned;
pub use batch::{centers_of, species_of};
pub(crate) use batch::{check_motions, cut_rows};
pub use derivatives::{Adjoint, Jacobian, JacobianCursor, JacobianPart, JacobianRow, Motion, Variable};
pub(crate) use derivatives::{Gradient, Run};
pub use equivariants::{Center, Channel, Equivariants};
pub(crate) use expansion::Scratch;
pub use expansion::{SphericalExpansion, Workspace};
pub(crate) use feeds::{KindOfCenter, RadialSource};
pub use harmonics::SolidHarmonics;
pub(crate) use harmonics::{LANES, Lanes};
pub use primitive::{Primitive, PrimitiveFamily};
pub use radial::RadialIntegrals;
pub use settings::{Density, ExpansionSettings, L_MAX, RadialScaling, Sigma};
pub use spline::{RadialTable, SplineError};
