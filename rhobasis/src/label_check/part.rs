//! Parts of a stress, by which some faults are told.

/// What of a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// All of it.
    All,
    /// A stress less its pressure, which an incomplete basis set shifts, and which small models know least of.
    Deviator,
    /// yz, xz, xy.
    Shears,
}

impl Part {
    /// This part of a label; the last two are parts of a stress.
    pub fn of(self, x: &[f64]) -> Vec<f64> {
        match self {
            Part::All => x.to_vec(),
            Part::Deviator => {
                let mean = (x[0] + x[1] + x[2]) / 3.0;
                x.iter().enumerate().map(|(k, x)| if k < 3 { x - mean } else { *x }).collect()
            }
            Part::Shears => x[3..].to_vec(),
        }
    }
}
