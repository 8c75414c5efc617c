//! How often predictions are off by no more than they say.

use super::calibration::ROUNDING;
use super::evaluate::Quantity;

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
        self.inside(quantity, normal_width(part))
    }

    /// The part of the errors that are at most so many standard deviations; none of nothing.
    pub fn inside(&self, quantity: Quantity, width: f64) -> Option<f64> {
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
    use super::super::calibration::NORMAL;
    use super::*;

    #[test]
    fn intervals_are_those_of_a_normal_distribution() {
        for (part, width) in NORMAL {
            assert!((normal_width(part) - width).abs() < 1e-12, "{part}: {}", normal_width(part));
        }
    }
}
