//! Which quantities of the frames are trained on.

/// How many numbers a fit is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TargetCounts {
    /// Frames with an energy.
    pub energies: usize,
    /// Components of forces.
    pub forces: usize,
    /// Components of stresses, six for each frame that has one.
    pub stresses: usize,
}
