//! Dynamics that make no sense any more: atoms that a bad time step, or a potential far from what it knows, has shot away.
//!
//! What is legitimate gives no alarm: melting, heating by a thermostat and reactions leave the conserved energy as it is, and no
//! chemistry gives atoms more than a few eV each.

use super::settings::BOLTZMANN;

/// What a run is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Watch {
    /// The temperature of the start or of the thermostat, whichever is higher, in K.
    pub temperature: f64,
    /// Volume at the start, in Å³.
    pub volume: f64,
    /// The step since which the conserved energy is followed.
    pub since: usize,
    /// What it was then, in eV per atom.
    pub conserved: f64,
}

/// Where a run stands.
pub(super) struct Now {
    pub step: usize,
    pub temperature: f64,
    pub degrees_of_freedom: usize,
    /// In eV per atom.
    pub conserved: f64,
    /// In Å³.
    pub volume: f64,
}

/// Steps over which the conserved energy is compared: thermostats bear a slow drift for ever.
const WINDOW: usize = 1000;
/// Change of the conserved energy within them that is no rounding any more, in eV per atom, besides k_B T.
const ENERGY: f64 = 0.2;
/// 30,000 K are 4 eV per atom, as much as a bond holds.
const HOTTEST: f64 = 30_000.0;
/// Times the temperature that was asked for.
const HOTTER: f64 = 10.0;
/// Times the volume of the start, or a part of it.
const LARGER: f64 = 10.0;

impl Watch {
    /// What is wrong, if anything.
    pub fn problem(&mut self, now: &Now) -> Option<String> {
        let limit = self.hottest(now.degrees_of_freedom);
        if now.temperature > limit {
            let text = format!("the temperature is {:.3e} K, more than {limit:.0} K", now.temperature);
            return Some(format!("{text}, which no start at {:.0} K leads to", self.temperature));
        }
        let (change, most) = (now.conserved - self.conserved, ENERGY + BOLTZMANN * self.temperature);
        if change.abs() > most {
            return Some(format!(
                "the conserved energy has changed by {change:.3} eV per atom within {} steps",
                now.step - self.since
            ));
        }
        if now.step - self.since >= WINDOW {
            (self.since, self.conserved) = (now.step, now.conserved);
        }
        let growth = now.volume / self.volume;
        (self.volume > 0.0 && !(1.0 / LARGER..=LARGER).contains(&growth))
            .then(|| format!("the volume is {growth:.2} times that of the start"))
    }

    /// The standard deviation of a temperature of n degrees of freedom is √(2/n) of it, which matters for few atoms.
    fn hottest(&self, n: usize) -> f64 {
        (HOTTER * self.temperature).max(HOTTEST) * (1.0 + (20.0 / n.max(1) as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(step: usize, temperature: f64, conserved: f64) -> Now {
        Now { step, temperature, degrees_of_freedom: 3000, conserved, volume: 10.0 }
    }

    #[test]
    fn heating_melting_and_slow_drifts_are_no_alarm() {
        let mut watch = Watch { temperature: 300.0, volume: 10.0, since: 0, conserved: -5.0 };
        for k in 0..200_000 {
            let drifts = -5.0 + 1e-4 * k as f64; // 20 eV in all
            assert_eq!(watch.problem(&now(k, 300.0 + 0.1 * k as f64, drifts)), None);
        }
    }

    #[test]
    fn what_flies_away_is_named() {
        let watch = Watch { temperature: 300.0, volume: 10.0, since: 0, conserved: -5.0 };
        let said = |now: &Now| watch.clone().problem(now).unwrap();
        assert!(said(&now(3, 4e7, -5.0)).contains("4.000e7 K"));
        assert!(said(&now(3, 300.0, -4.0)).contains("changed by 1.000 eV per atom within 3 steps"));
        assert!(said(&Now { volume: 120.0, ..now(3, 300.0, -5.0) }).contains("12.00 times"));
    }
}
