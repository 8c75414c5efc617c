//! A few columns or rows of a matrix that stand for all of them: CUR and farthest point sampling. Matrices only.
//!
//! Both are deterministic: the same choice for any number of threads, the first of equals where two are equal.

/// What is chosen, and what can be.
mod choice;
/// The matrix whose columns are chosen from, as it is or as a Gram matrix.
mod columns;
/// Deterministic CUR.
mod cur;
/// Farthest point sampling.
mod fps;
/// Leading eigenvectors.
mod leading;

pub use choice::{Axis, Selection};
pub use cur::{CurSettings, cur, cur_gram};
pub use fps::{fps, fps_gram};
