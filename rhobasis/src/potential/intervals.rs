//! Intervals that hold a stated part of the errors, whatever the distribution of these: conformal ones.
//!
//! Of n numbers that were left out of the fit, with residuals r and posterior standard deviations s, the ⌈(n + 1) p⌉-th smallest |r|/s is
//! what as large a part p of further ones does not exceed, if these come from where the others come from: |error| ≤ q_p s (Papadopoulos
//! et al., ECML 2002; Lei et al., J. Am. Stat. Assoc. 113, 1094 (2018)). Numbers of one frame are not independent, so that of forces the part
//! is one on average only.

use serde::{Deserialize, Serialize};

use super::calibration::ratios;
use super::held_out::{AllHeldOut, HeldOut};

/// q_p of p = 1, 2 … per cent, as far as there are enough numbers for it, up to 99.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intervals {
    pub energies: Vec<f64>,
    pub forces: Vec<f64>,
}

impl Intervals {
    pub fn of(held_out: &AllHeldOut) -> Self {
        Intervals { energies: quantiles(&held_out.energies), forces: quantiles(&held_out.forces) }
    }

    pub fn are_possible(&self) -> bool {
        let possible = |q: &[f64]| q.len() < 100 && q.is_sorted() && q.iter().all(|x| x.is_finite() && *x >= 0.0);
        possible(&self.energies) && possible(&self.forces)
    }
}

fn quantiles(numbers: &[HeldOut]) -> Vec<f64> {
    let ratios = ratios(numbers);
    let rank = |percent: usize| ((ratios.len() + 1) * percent).div_ceil(100);
    (1..100).map_while(|percent| ratios.get(rank(percent) - 1).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_that_few_numbers_allow() {
        let numbers = |n: usize| -> Vec<HeldOut> {
            let of = |k: usize| HeldOut { residual: k as f64, variance: 1.0 };
            (1..=n).rev().map(of).collect()
        };
        assert_eq!(quantiles(&numbers(99)), (1..100).map(f64::from).collect::<Vec<_>>());
        // Of nine, each is of a tenth; more than nine tenths nobody knows.
        let of_nine = quantiles(&numbers(9));
        assert_eq!((of_nine.len(), of_nine[0], of_nine[9], of_nine[10], of_nine[89]), (90, 1.0, 1.0, 2.0, 9.0));
        assert!(quantiles(&[]).is_empty());
        let known = Intervals { energies: of_nine, forces: Vec::new() };
        assert!(known.are_possible());
        assert!(!Intervals { energies: vec![2.0, 1.0], ..known }.are_possible());
    }
}
