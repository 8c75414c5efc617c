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
mod pcovr;
mod settings;
mod shards;

pub use adapted::Adaptation;
pub use basis::{BasisSettings, ContractionBlock, KindOfBasis, OptimalBasis, Provenance, SourceFile};
pub use checkpoint::{Task, remove_checkpoint};
pub(crate) use contraction::ranked;
pub use contraction::{Contraction, Truncation};
pub use covariance::Covariance;
pub use export::FeatomicHypers;
pub use pcovr::{EnergyRegression, SupervisedCovariance};
pub use settings::{CovarianceSettings, Method, MethodName, Mixing, NU, PcovrSettings};
pub use shards::Shard;
