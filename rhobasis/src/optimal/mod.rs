//! The optimal basis, Eqs. (6)-(14), (22).

mod accumulate;
mod adapted;
mod basis;
mod basis_file;
mod checkpoint;
mod contraction;
mod covariance;
mod covariance_file;
mod energy_regression;
mod export;
mod given;
mod gram;
mod memory;
mod merge;
mod pcovr;
mod provenance;
mod settings;
mod supervision;
mod turned;
mod weighting;

pub use adapted::Adaptation;
pub use basis::{ContractionBlock, KindOfBasis, OptimalBasis};
pub(crate) use basis_file::{primitive_functions, species_of, store_table, stored_table};
pub use checkpoint::{Task, remove_checkpoint};
pub use contraction::Contraction;
pub(crate) use contraction::ranked;
pub use covariance::Covariance;
pub use energy_regression::EnergyRegression;
pub use export::FeatomicHypers;
pub(crate) use merge::{Part, union};
pub use pcovr::SupervisedCovariance;
pub use provenance::{BasisSettings, Provenance};
pub use settings::{
    CovarianceSettings, Method, MethodName, Mixing, NU, PcovrSettings, SensitivitySettings, SupervisedSettings,
    Truncation,
};
pub use weighting::{NearestDistances, Weighting};

pub use crate::extxyz::{Shard, SourceFile};
