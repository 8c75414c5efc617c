//! What posterior standard deviations are multiplied by, so that they tell how far predictions are off.
//!
//! The posterior of a fit is right about which structures are uncertain, and by far too small, since it takes the error of the model
//! itself for noise that many rows average out. One factor for each quantity makes up for that: where residuals r of numbers that were
//! left out of the fit have posterior standard deviations s, it is a quantile of |r| / s over that of a normal distribution.

use serde::{Deserialize, Serialize};

use super::evaluate::Quantity;
use super::held_out::{AllHeldOut, HeldOut};

/// Fewest frames that a factor is found of.
const FEWEST: usize = 8;

/// A deviation this far below their root mean square is rounding: the symmetry of the structure fixes the number.
const ROUNDING: f64 = 1e-3;

/// Parts of a normal distribution, and within how many standard deviations of its mean they are.
const NORMAL: [(f64, f64); 2] = [(0.68, 0.994_457_883_209_753), (0.9, 1.644_853_626_951_472_2)];

/// Factors that take standard deviations of the posterior of a fit to those of its errors; none where the frames that were left out
/// are fewer than eight. For a quantity without a factor, that of the other is taken.
///
/// [`energy`](Calibration::energy) is of whole frames, [`force`](Calibration::force) of components.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// For energies.
    pub energy: Option<f64>,
    /// For components of forces.
    pub force: Option<f64>,
    /// Frames that were left out.
    pub frames: usize,
}

impl Calibration {
    /// By what numbers were that had been left out.
    pub(super) fn of(held_out: &AllHeldOut) -> Self {
        let frames = held_out.frames;
        let factor = |numbers: &[HeldOut]| factor(numbers).filter(|_| frames >= FEWEST);
        Calibration { energy: factor(&held_out.energies), force: factor(&held_out.forces), frames }
    }

    /// What standard deviations of energies are multiplied by.
    pub fn of_energies(&self) -> f64 {
        self.energy.or(self.force).unwrap_or(1.0)
    }

    /// What standard deviations of components of forces are multiplied by.
    pub fn of_forces(&self) -> f64 {
        self.force.or(self.energy).unwrap_or(1.0)
    }

    /// Whether it is any.
    pub fn is_known(&self) -> bool {
        self.energy.or(self.force).is_some()
    }

    pub(super) fn is_possible(&self) -> bool {
        [self.energy, self.force].into_iter().flatten().all(|factor| factor.is_finite() && factor > 0.0)
    }
}

/// The geometric mean of the factors that make 68 and 90 per cent of the residuals lie within as many standard deviations as those of a
/// normal distribution: single outliers do not matter, and neither part is right at the expense of the other.
fn factor(numbers: &[HeldOut]) -> Option<f64> {
    let mean = numbers.iter().map(|n| n.variance).sum::<f64>() / numbers.len().max(1) as f64;
    let possible = numbers.iter().filter(|n| n.variance > ROUNDING * ROUNDING * mean);
    let mut z: Vec<f64> = possible.map(|n| n.residual.abs() / n.variance.sqrt()).collect();
    z.sort_by(f64::total_cmp);
    let last = z.len().checked_sub(1)?;
    let at = |part: f64| z[(part * last as f64).round() as usize];
    let factor = NORMAL.iter().map(|&(part, within)| at(part) / within).product::<f64>().sqrt();
    (factor.is_finite() && factor > 0.0).then_some(factor)
}

/// How many of some numbers lie within their predicted intervals, for energies and components of forces.
///
/// ```
/// use rhobasis::potential::{Coverage, Quantity};
/// let mut coverage = Coverage::default();
/// (0..10).for_each(|k| coverage.add(Quantity::Energy, 0.25 * f64::from(k), 1.0)); // errors of 0 to 2.25 standard deviations
/// assert_eq!(coverage.within(Quantity::Energy, 0.68), Some(0.4));
/// assert_eq!(coverage.within(Quantity::Energy, 0.9), Some(0.7));
/// assert_eq!(coverage.within(Quantity::Force, 0.9), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    energies: Vec<[f64; 2]>,
    forces: Vec<[f64; 2]>,
}

impl Coverage {
    /// Adds the error of a prediction and its standard deviation.
    pub fn add(&mut self, quantity: Quantity, error: f64, deviation: f64) {
        match quantity {
            Quantity::Energy => self.energies.push([error.abs(), deviation]),
            Quantity::Force => self.forces.push([error.abs(), deviation]),
            Quantity::EnergyPerAtom | Quantity::Stress => {}
        }
    }

    /// Errors and deviations, but for numbers that symmetry fixes.
    fn numbers(&self, quantity: Quantity) -> impl Iterator<Item = [f64; 2]> + Clone {
        let all = match quantity {
            Quantity::Force => &self.forces[..],
            Quantity::Energy => &self.energies[..],
            Quantity::EnergyPerAtom | Quantity::Stress => &[],
        };
        let square = all.iter().map(|[_, s]| s * s).sum::<f64>() / all.len().max(1) as f64;
        all.iter().copied().filter(move |[_, s]| *s > ROUNDING * square.sqrt())
    }

    /// Numbers that are counted.
    pub fn count(&self, quantity: Quantity) -> usize {
        self.numbers(quantity).count()
    }

    /// The part of the errors that lies within the interval in which a normal distribution has `part`; none of nothing.
    pub fn within(&self, quantity: Quantity, part: f64) -> Option<f64> {
        let width = normal_width(part);
        let inside = self.numbers(quantity).filter(|[error, s]| *error <= width * s).count();
        let n = self.count(quantity);
        (n > 0).then(|| inside as f64 / n as f64)
    }

    /// Root mean square error over root mean square deviation, of the fifth of the numbers with the smallest deviations and of the next
    /// fifths; nothing of fewer than ten numbers.
    pub fn reliability(&self, quantity: Quantity) -> Vec<f64> {
        let mut numbers: Vec<[f64; 2]> = self.numbers(quantity).collect();
        if numbers.len() < 10 {
            return Vec::new();
        }
        numbers.sort_by(|a, b| a[1].total_cmp(&b[1]));
        let n = numbers.len();
        let square = |part: &[[f64; 2]], k: usize| part.iter().map(|x| x[k] * x[k]).sum::<f64>();
        let fifth = |k: usize| {
            let part = &numbers[k * n / 5..(k + 1) * n / 5];
            (square(part, 0) / square(part, 1)).sqrt()
        };
        (0..5).map(fifth).collect()
    }
}

/// Within how many standard deviations of its mean a normal distribution has this part.
fn normal_width(part: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        match libm::erf(middle / std::f64::consts::SQRT_2) < part {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn intervals_are_those_of_a_normal_distribution() {
        for (part, width) in NORMAL {
            assert!((normal_width(part) - width).abs() < 1e-12, "{part}: {}", normal_width(part));
        }
    }

    #[test]
    fn the_factor_of_normal_residuals_is_theirs_and_outliers_or_fixed_numbers_do_not_matter() {
        let mut random = Random::new(3);
        let mut number = |scale: f64| {
            let deviation = 0.01 + random.uniform();
            HeldOut { residual: scale * deviation * random.normal(), variance: deviation * deviation }
        };
        let mut numbers: Vec<HeldOut> = (0..4000).map(|_| number(17.0)).collect();
        let found = factor(&numbers).unwrap();
        assert!((found / 17.0 - 1.0).abs() < 0.05, "{found}");
        numbers.extend((0..1000).map(|_| HeldOut { residual: 1e-14, variance: 1e-32 }));
        assert_eq!(factor(&numbers).unwrap(), found);
        numbers.extend((0..4).map(|_| number(1e5)));
        assert!((factor(&numbers).unwrap() / found - 1.0).abs() < 0.01);
        assert_eq!(factor(&[]), None);
    }

    #[test]
    fn too_few_frames_give_no_factor() {
        let numbers = vec![HeldOut { residual: 1.0, variance: 1.0 }; 30];
        let all = |frames| AllHeldOut { energies: Vec::new(), forces: numbers.clone(), frames };
        assert!(!Calibration::of(&all(7)).is_known());
        let found = Calibration::of(&all(8));
        assert!(found.energy.is_none() && found.of_energies() == found.of_forces() && found.is_known());
    }
}
