//! The atom density: primitive radial bases and the integrals of Gaussians with them.

/// Discrete variable representation.
pub mod dvr;
/// Gaussian-type orbitals.
pub mod gto;
/// Eigenstates of the Laplacian.
pub mod laplacian;
/// The choice of a primitive basis.
pub mod primitive;
/// Radial functions and integrals, Eqs. (5), (9), (10).
pub mod radial;

pub use primitive::Primitive;
pub use radial::RadialIntegrals;
