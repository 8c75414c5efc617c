//! The most compact radial basis for atom densities (Goscinski et al., J. Chem. Phys. 155, 104106 (2021)), from a file of
//! structures to density coefficients, invariant features and potentials.
//!
//! | equation | meaning | item |
//! |---|---|---|
//! | (2) | neighbour density, cutoff, scaling | [`Density`](density::Density), [`Density::weight`](density::Density::weight) |
//! | (3) | coefficients on R_nl Y_lm | [`Equivariants`](density::Equivariants), [`SolidHarmonics`](density::SolidHarmonics), [`RadialIntegrals::functions`](density::RadialIntegrals::functions) |
//! | (4) | coefficients as a sum over neighbours | [`SphericalExpansion::forward`](density::SphericalExpansion::forward) |
//! | ∂(4) | forces, along a motion, in full | [`SphericalExpansion::backward`](density::SphericalExpansion::backward), [`tangent`](density::SphericalExpansion::tangent), [`jacobian`](density::SphericalExpansion::jacobian) |
//! | (4), ∂(4) with ghosts | pairs of a list from outside | [`VerletList::given`](neighbors::VerletList::given), [`forward_to`](density::SphericalExpansion::forward_to), [`backward_with`](density::SphericalExpansion::backward_with) |
//! | (5) | radial integrals | [`RadialIntegrals::integrals`](density::RadialIntegrals::integrals) |
//! | (6), (11) | covariance, per species and combined | [`Covariance`](optimal::Covariance) |
//! | (7), (12) | contraction coefficients U; contracted coefficients | [`Contraction`](optimal::Contraction); [`ChannelContraction::forward`](density::ChannelContraction::forward) |
//! | ∂(7), ∂(12) | by the coefficients and by U | [`ChannelContraction::backward`](density::ChannelContraction::backward), [`backward_to_u`](density::ChannelContraction::backward_to_u), [`tangent`](density::ChannelContraction::tangent) |
//! | (8), (13) | contracted coefficients, directly | [`OptimalBasis::transform`](optimal::OptimalBasis::transform) |
//! | (9) | contracted radial integrals, tabulated | [`RadialIntegrals::contract`](density::RadialIntegrals::contract), [`RadialTable`](density::RadialTable) |
//! | (10) | real-space functions | [`OptimalBasis::radial_functions`](optimal::OptimalBasis::radial_functions) |
//! | (14) | basis between variance and a target | [`SupervisedCovariance`](optimal::SupervisedCovariance); of matrices: [`Pcovr`](models::Pcovr) |
//! | (15) | power spectrum | [`Invariants::power_spectrum`](correlations::Invariants::power_spectrum) |
//! | (16) | coupling; invariants of ν = 3 | [`clebsch_gordan`](correlations::clebsch_gordan), [`Invariants::bispectrum`](correlations::Invariants::bispectrum) |
//! | (18)-(20) | norm of the ν-spectrum, truncated | [`SpectrumNorms`](correlations::SpectrumNorms), [`Plan`](correlations::Plan) |
//! | (21) | weight of an environment | [`Covariance::add`](optimal::Covariance::add), [`Adaptation`](optimal::Adaptation) |
//! | (22) | residual variance | [`OptimalBasis::residual_variance`](optimal::OptimalBasis::residual_variance) |
//! | Sec. III C | models of energies, forces and stresses | [`Potential`](potential::Potential), [`Trainer`](potential::Trainer) |
//! | (16) | models of dipoles and polarisabilities, linear in equivariants | [`EquivariantRidge`](equivariant::EquivariantRidge) |
//!
//! Units are Å and whatever the energies are in (eV by convention). Blocks of coefficients have axes `[center, m, channel]`
//! and a key (σ, λ), [`BlockKey`](density::BlockKey).
#![warn(missing_docs)]

pub mod correlations;
pub mod density;
pub mod equivariant;
pub mod error;
pub mod extxyz;
pub mod files;
pub mod label_check;
#[doc(inline)]
pub use rhobasis_linalg as linalg;
pub mod memory;
pub mod metrics;
pub mod models;
pub mod neighbors;
pub mod optimal;
pub mod potential;
mod random;
pub mod selection;
pub mod settings;
mod simd;
pub mod special;
mod stream;
pub mod structure;
mod threads;

pub use error::{Error, Place, Result};
pub use structure::Structure;
pub use threads::on_this_thread;
