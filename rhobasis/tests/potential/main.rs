//! Potentials: derivatives, symmetries, files; fits against dense problems.

mod chosen_alpha;
#[path = "../common/mod.rs"]
mod common;
mod cutoffs;
mod derivatives;
mod fits;
mod free_atoms;
mod ghosts;
mod remarks;
mod samples;
mod short_range;
mod tables;
mod targets;
mod uncertainty;
