//! The optimal basis, Eqs. (6)-(14), (22).

mod basis;
mod basis_file;
mod contraction;
mod covariance;
mod covariance_file;
mod export;

pub use basis::{BasisSettings, ContractionBlock, KindOfBasis, OptimalBasis, Provenance, SourceFile};
pub use contraction::{Contraction, Truncation};
pub use covariance::{Covariance, CovarianceSettings, Mixing};
pub use export::FeatomicHypers;
