//! The optimal basis, Eqs. (6)-(14), (22).

mod accumulate;
mod adapted;
mod basis;
mod basis_file;
mod checkpoint;
mod contraction;
mod covariance;
mod covariance_file;
mod export;
mod memory;
mod shards;

pub use adapted::Adaptation;
pub use basis::{BasisSettings, ContractionBlock, KindOfBasis, OptimalBasis, Provenance, SourceFile};
pub use checkpoint::{Task, remove_checkpoint};
pub use contraction::{Contraction, Truncation};
pub use covariance::{Covariance, CovarianceSettings, Mixing};
pub use export::FeatomicHypers;
pub use shards::Shard;
