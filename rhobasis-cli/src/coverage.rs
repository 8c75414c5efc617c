//! Whether predictions are off by as much as a potential says: coverage of its intervals, and reliability.

use std::io::{self, Write};

use rhobasis::extxyz::Labels;
use rhobasis::potential::{Coverage, Potential, Prediction, Quantity};
use rhobasis::{Result, Structure};

use crate::text::{Table, count};

/// Forces of so many frames are looked at, then of every second of as many more, of every fourth of twice as many, and so on: their
/// deviations take tens of times as long as they do.
const FRAMES: usize = 32;

/// What is found frame by frame.
pub struct Reliability<'a> {
    /// None of models that do not know how far off they are.
    potential: Option<&'a Potential>,
    coverage: Coverage,
}

impl<'a> Reliability<'a> {
    pub fn new(potential: &'a Potential) -> Self {
        let known = potential.calibration().is_some_and(|calibration| calibration.is_known());
        Reliability { potential: known.then_some(potential), coverage: Coverage::default() }
    }

    /// Adds frames, the first of which is called `first`.
    pub fn add(
        &mut self,
        first: usize,
        frames: &[Structure],
        labels: &[Labels],
        predictions: &[Prediction],
    ) -> Result<()> {
        let Some(potential) = self.potential else { return Ok(()) };
        let variances = potential.energy_variances(frames)?;
        for (k, (labels, prediction)) in labels.iter().zip(predictions).enumerate() {
            if let Some(energy) = labels.energy {
                let deviation = variances[k].max(0.0).sqrt();
                self.coverage.add(Quantity::Energy, prediction.energy - energy, deviation);
            }
            let Some(forces) = labels.forces.as_ref().filter(|_| is_looked_at(first + k)) else { continue };
            let deviations = potential.force_deviations(&frames[k..=k])?;
            let components = forces.as_flattened().iter().zip(prediction.forces.as_flattened());
            for ((label, predicted), deviation) in components.zip(deviations.iter().flatten().flatten()) {
                self.coverage.add(Quantity::Force, predicted - label, *deviation);
            }
        }
        Ok(())
    }

    /// For programs; an empty list of a potential without.
    pub fn json(&self) -> serde_json::Value {
        let of = |quantity: Quantity| {
            serde_json::json!({
                "quantity": quantity.name(),
                "count": self.coverage.count(quantity),
                "within_68": self.coverage.within(quantity, 0.68),
                "within_90": self.coverage.within(quantity, 0.9),
                "error_over_deviation_by_fifths": self.coverage.reliability(quantity),
            })
        };
        let quantities = [Quantity::Energy, Quantity::Force].into_iter();
        quantities.filter(|&quantity| self.coverage.count(quantity) > 0).map(of).collect()
    }

    /// Nothing of a potential without.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let quantities = [Quantity::Energy, Quantity::Force];
        let found = quantities.into_iter().filter(|&quantity| self.coverage.count(quantity) > 0);
        let mut table = Table::new(["within its interval of", "count", "68 %", "90 %", "error / deviation, by fifths"]);
        let mut any = false;
        for quantity in found {
            any = true;
            let part = |part: f64| format!("{:.1} %", 100.0 * self.coverage.within(quantity, part).unwrap_or(0.0));
            let fifths = self.coverage.reliability(quantity).into_iter().map(|ratio| format!("{ratio:.2}"));
            let fifths: Vec<String> = fifths.collect();
            let n = count(self.coverage.count(quantity));
            table.row([quantity.name().to_string(), n, part(0.68), part(0.9), fifths.join(" ")]);
        }
        if any {
            writeln!(out)?;
            table.write(out)?;
        }
        Ok(())
    }
}

/// Whether forces of this frame are.
fn is_looked_at(frame: usize) -> bool {
    frame.is_multiple_of((frame / FRAMES).max(1).next_power_of_two())
}

#[cfg(test)]
mod tests {
    use super::is_looked_at;

    #[test]
    fn few_of_many_frames_are_looked_at() {
        let n = |frames: usize| (0..frames).filter(|&k| is_looked_at(k)).count();
        assert_eq!(n(64), 64);
        assert!(n(1000) < 200 && n(100_000) < 400, "{} {}", n(1000), n(100_000));
    }
}
