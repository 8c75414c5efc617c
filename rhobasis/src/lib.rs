//! rhobasis
pub mod error;
pub mod extxyz;
pub mod structure;

pub use error::{Error, Place, Result};
pub use structure::Structure;
