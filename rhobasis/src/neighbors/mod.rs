//! Who is within `r_cut` of whom, periodic images included.

/// The axes of the search: a compact cell.
mod frame;
/// Lists made for one structure.
mod list;
/// Lists of several copies of a structure.
mod pool;
/// The boxes that atoms and images are sorted into.
mod search;
/// Lists that are used again.
mod verlet;

pub use list::NeighborList;
pub use pool::{PooledList, VerletPool};
pub(crate) use search::Search;
pub use verlet::VerletList;
