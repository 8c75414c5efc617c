//! rhobasis
pub mod density;
pub mod error;
pub mod linalg;
pub mod special;
pub mod structure;

pub use error::{Error, Place, Result};
pub use structure::Structure;
