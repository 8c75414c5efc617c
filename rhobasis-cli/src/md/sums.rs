//! What is averaged over a run.

use std::io::{self, Write};

use ndarray::Array2;
use rhobasis::potential::{Drift, DynamicsState};

use crate::text::field;

/// Sums over all steps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    /// Of the conserved energy per atom, over ns.
    drift: Drift,
    /// Of the temperature, in K.
    heat: Drift,
    /// Of the volume, in Å³.
    volume: Drift,
    /// Of the pressure, in GPa.
    pressure: Drift,
}

impl Sums {
    pub const N: usize = 4;

    pub fn from_drifts([drift, heat, volume, pressure]: [Drift; Self::N]) -> Self {
        Sums { drift, heat, volume, pressure }
    }

    /// For a file.
    pub fn to_array(self) -> Array2<f64> {
        let rows = [self.drift, self.heat, self.volume, self.pressure].map(|drift| drift.to_array());
        Array2::from_shape_fn((Self::N, 6), |(k, i)| rows[k][i])
    }

    /// Adds a step.
    pub fn add(&mut self, state: &DynamicsState, n_atoms: usize, volume: f64) {
        self.drift.add(state.time * 1e-6, state.conserved / n_atoms as f64);
        self.heat.add(state.time, state.temperature);
        self.volume.add(state.time, volume);
        self.pressure.add(state.time, state.pressure.unwrap_or(0.0));
    }

    /// Means and, after two steps, the drift.
    pub fn report(&self, state: &DynamicsState, with_cell: bool, out: &mut dyn Write) -> io::Result<()> {
        field(out, "temperature", format!("{:.1} K on average", self.heat.mean()))?;
        if with_cell {
            let (volume, spread) = (self.volume.mean(), self.volume.fluctuation());
            field(
                out,
                "volume",
                format!("{volume:.2} Å³ on average, ± {spread:.2} about a line (standard deviation)"),
            )?;
            field(out, "pressure", format!("{:.3} GPa on average", self.pressure.mean()))?;
        }
        if state.step < 2 {
            return Ok(());
        }
        let (slope, error) = (self.drift.slope(), self.drift.slope_error());
        let what = format!("the slope of a line through the conserved energy per atom over {} fs", state.time);
        field(out, "drift", format!("{slope:.3e} eV/atom/ns ± {error:.1e}, {what}"))?;
        let spread = self.drift.fluctuation();
        field(out, "fluctuation", format!("{spread:.3e} eV/atom about that line (standard deviation)"))
    }
}
