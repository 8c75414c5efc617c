//! A few columns or rows of a matrix that stand for all of them: CUR and farthest point sampling. Matrices only.
//!
//! Both are deterministic: the same choice for any number of threads, the first of equals where two are equal.

/// What is chosen, and what can be.
mod choice;
/// Deterministic CUR.
mod cur;
/// Farthest point sampling.
mod fps;
/// Leading singular vectors of what is left.
mod leading;
/// What is left of a matrix, or of its Gram matrix, without the columns chosen.
mod remainder;

pub use choice::{Axis, Selection};
pub use cur::{CurSettings, cur, cur_gram};
pub use fps::{fps, fps_gram};
