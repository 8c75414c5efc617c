//! What posterior standard deviations are multiplied by, so that they tell how far predictions are off.
//!
//! The posterior of a fit is right about which structures are uncertain, and by far too small, since it takes the error of the model
//! itself for noise that many rows average out. One factor for each quantity makes up for that: where residuals r of numbers that were
//! left out of the fit have posterior standard deviations s, it is a quantile of |r| / s over that of a normal distribution.

use serde::{Deserialize, Serialize};

use super::held_out::{AllHeldOut, HeldOut};

/// Fewest frames that a factor is found of.
const FEWEST: usize = 8;

/// A deviation this far below their root mean square is rounding: the symmetry of the structure fixes the number.
pub(super) const ROUNDING: f64 = 1e-3;

/// Parts of a normal distribution, and within how many standard deviations of its mean they are.
pub(super) const NORMAL: [(f64, f64); 2] = [(0.68, 0.994_457_883_209_753), (0.9, 1.644_853_626_951_472_2)];

/// Factors that take standard deviations of the posterior of a fit to those of its errors; none where the frames that were left out
/// are fewer than eight. For a quantity without a factor, that of the other is taken.
///
/// [`energy`](Calibration::energy) is of whole frames, [`force`](Calibration::force) of components. Beside them stand the errors of what was
/// left out: what a cross-validation would find of the same features, without one. The basis and the regulariser have seen these frames.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// For energies.
    pub energy: Option<f64>,
    /// For components of forces.
    pub force: Option<f64>,
    /// Root mean square error of energies that were left out, in eV per atom.
    #[serde(default)]
    pub energy_rmse: Option<f64>,
    /// Of components of forces, in eV/Å.
    #[serde(default)]
    pub force_rmse: Option<f64>,
    /// Frames that were left out.
    pub frames: usize,
}

impl Calibration {
    /// By what numbers were that had been left out.
    pub(super) fn of(held_out: &AllHeldOut) -> Self {
        let frames = held_out.frames;
        let factor = |numbers: &[HeldOut]| factor(numbers).filter(|_| frames >= FEWEST);
        let per_atom = held_out.energies.iter().zip(&held_out.n_atoms).map(|(e, &n)| e.residual / n.max(1) as f64);
        Calibration {
            energy: factor(&held_out.energies),
            force: factor(&held_out.forces),
            energy_rmse: rms(per_atom),
            force_rmse: rms(held_out.forces.iter().map(|f| f.residual)),
            frames,
        }
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

/// Root of the mean square; none of nothing.
fn rms(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = numbers.fold((0, 0.0), |(n, sum), x| (n + 1, sum + x * x));
    (n > 0).then(|| (sum / f64::from(n)).sqrt()).filter(|x| x.is_finite())
}

/// The geometric mean of the factors that make 68 and 90 per cent of the residuals lie within as many standard deviations as those of a
/// normal distribution: single outliers do not matter, and neither part is right at the expense of the other.
fn factor(numbers: &[HeldOut]) -> Option<f64> {
    let z = ratios(numbers);
    let last = z.len().checked_sub(1)?;
    let at = |part: f64| z[(part * last as f64).round() as usize];
    let factor = NORMAL.iter().map(|&(part, within)| at(part) / within).product::<f64>().sqrt();
    (factor.is_finite() && factor > 0.0).then_some(factor)
}

/// Sizes of residuals over deviations, ascending, but for numbers that symmetry fixes.
pub(super) fn ratios(numbers: &[HeldOut]) -> Vec<f64> {
    let mean = numbers.iter().map(|n| n.variance).sum::<f64>() / numbers.len().max(1) as f64;
    let possible = numbers.iter().filter(|n| n.variance > ROUNDING * ROUNDING * mean);
    let mut ratios: Vec<f64> = possible.map(|n| n.residual.abs() / n.variance.sqrt()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

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
        let none = AllHeldOut::default();
        let all = |frames| AllHeldOut { forces: numbers.clone(), frames, ..none.clone() };
        assert!(!Calibration::of(&all(7)).is_known());
        let found = Calibration::of(&all(8));
        assert!(found.energy.is_none() && found.of_energies() == found.of_forces() && found.is_known());
        assert_eq!((found.energy_rmse, found.force_rmse), (None, Some(1.0)));
        let two = vec![HeldOut { residual: 3.0, variance: 1.0 }, HeldOut { residual: 8.0, variance: 1.0 }];
        let of_two = AllHeldOut { energies: two, n_atoms: vec![1, 2], frames: 2, ..none.clone() };
        assert_eq!(Calibration::of(&of_two).energy_rmse, Some(12.5_f64.sqrt()), "per atom");
    }
}
