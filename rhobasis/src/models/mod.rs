//! Models of matrices `[sample, feature]`: they never see an atom.

/// Principal covariates regression.
mod pcovr;

pub use pcovr::{Pcovr, PcovrSettings};
pub(crate) use pcovr::mixed_eigenvectors;
