//! Potentials: derivatives, symmetries, files; fits against dense problems.

mod derivatives;
mod fits;
mod samples;
