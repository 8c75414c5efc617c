//! Models of matrices `[sample, feature]`: they never see an atom.

/// Principal covariates regression.
mod pcovr;

pub(crate) use pcovr::mixed_eigenvectors;
pub use pcovr::{Pcovr, PcovrSettings};
