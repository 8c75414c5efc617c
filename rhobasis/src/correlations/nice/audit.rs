//! The account of an iteration: what each order holds, and where the rest was lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::recipe::Place;
use crate::Result;
use crate::correlations::clebsch_gordan::{Coupling, clebsch_gordan};
use crate::simd::{LANES, Lanes};

/// Mean squared norms of one order over the sample, after Eqs. (19), (20). Of the equivariants
///
/// ```text
/// |ρ^ν|² = (|ρ¹|²)^ν = inherited + lambda + choice + contraction + kept
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// ν.
    pub nu: usize,
    /// Of everything.
    pub full: f64,
    /// Lost at lower orders: the full norm less |ρ^a|² |ρ^b|² of what is left of the two factors.
    pub inherited: f64,
    /// Lost to λ_max; with the rest, none where no higher order needs the equivariants.
    pub lambda: f64,
    /// Lost with pairs whose products were not looked at.
    pub choice: f64,
    /// Lost with products, or combinations of them, that are not kept.
    pub contraction: f64,
    /// What is left.
    pub kept: f64,
    /// Of all invariants of the factors that are left.
    pub invariants: f64,
    /// Lost of them with pairs that were not looked at.
    pub invariants_choice: f64,
    /// Linear in features of lower orders, and taken out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub invariants_purified: f64,
    /// And with products that are not kept.
    pub invariants_contraction: f64,
    /// What is left of them: of all features of this order.
    pub invariants_kept: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde has it
fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// Sums of squares, for each of eight centres, of all products of two orders.
#[derive(Debug)]
pub(super) struct Norms {
    /// λ of the two blocks; and for each λ up to λ_max the terms of products of two overlaps.
    couplings: BTreeMap<[usize; 2], Vec<Vec<Coupling>>>,
    lambda_max: usize,
}

/// Overlaps Σ_q a_qm a_qm′ of a block, `[m, m′]`.
pub(super) type Overlaps = Vec<Vec<Lanes>>;

impl Norms {
    /// # Errors
    /// If an l is beyond the Clebsch–Gordan coefficients.
    pub fn new(first: &Place, second: &Place, lambda_max: usize) -> Result<Self> {
        let mut couplings = BTreeMap::new();
        for a in first.keys.iter().map(|key| key.lambda) {
            for b in second.keys.iter().map(|key| key.lambda) {
                let of = |lambda| clebsch_gordan(a, b, lambda);
                couplings.insert([a, b], (a.abs_diff(b)..=lambda_max.min(a + b)).map(of).collect::<Result<_>>()?);
            }
        }
        Ok(Norms { couplings, lambda_max })
    }

    /// Whether λ_max cuts anything.
    pub fn cuts(&self) -> bool {
        self.couplings.keys().any(|[a, b]| a + b > self.lambda_max)
    }

    /// Σ |(A ⊗ B)_λ|² over all pairs of channels of the two orders and λ ≤ λ_max.
    pub fn up_to_lambda_max(&self, [first, second]: [&Place; 2], [a, b]: [&Overlaps; 2]) -> Lanes {
        let mut sum = [0.0; LANES];
        for (a, key_a) in a.iter().zip(&first.keys) {
            for (b, key_b) in b.iter().zip(&second.keys) {
                let ls = [key_a.lambda, key_b.lambda];
                for couplings in &self.couplings[&ls] {
                    add_norm(couplings, a, b, ls, &mut sum);
                }
            }
        }
        sum
    }
}

fn add_norm(couplings: &[Coupling], a: &[Lanes], b: &[Lanes], [la, lb]: [usize; 2], sum: &mut Lanes) {
    let (na, nb) = (2 * la + 1, 2 * lb + 1);
    for same in couplings.chunk_by(|x, y| x.mu == y.mu) {
        for x in same {
            for y in same {
                let (a, b, value) = (&a[x.m1 * na + y.m1], &b[x.m2 * nb + y.m2], x.value * y.value);
                for k in 0..LANES {
                    sum[k] += value * a[k] * b[k];
                }
            }
        }
    }
}

/// Σ (A ⊗ B)_00² over all pairs of channels of blocks of the same σ and λ.
pub(super) fn invariant_norm([first, second]: [&Place; 2], [a, b]: [&Overlaps; 2]) -> Lanes {
    let mut sum = [0.0; LANES];
    for (a, key) in a.iter().zip(&first.keys) {
        for (b, _) in b.iter().zip(&second.keys).filter(|(_, other)| *other == key) {
            let weight = 1.0 / key.n_components() as f64;
            for (a, b) in a.iter().zip(b) {
                for k in 0..LANES {
                    sum[k] += weight * a[k] * b[k];
                }
            }
        }
    }
    sum
}

/// Overlaps of all blocks of an order.
pub(super) fn overlaps(place: &Place, state: &[Lanes]) -> Overlaps {
    let of_block = |block: usize| {
        let n_m = place.keys[block].n_components();
        let mut sums = vec![[0.0; LANES]; n_m * n_m];
        for channel in 0..place.counts[block] {
            let a = &state[place.starts[block] + channel * n_m..][..n_m];
            for (i, x) in a.iter().enumerate() {
                for (j, y) in a.iter().enumerate() {
                    let sum = &mut sums[i * n_m + j];
                    for k in 0..LANES {
                        sum[k] += x[k] * y[k];
                    }
                }
            }
        }
        sums
    };
    (0..place.keys.len()).map(of_block).collect()
}

/// |ρ|² of an order: the trace of its overlaps.
pub(super) fn norm(place: &Place, overlaps: &Overlaps) -> Lanes {
    let mut sum = [0.0; LANES];
    for (overlap, key) in overlaps.iter().zip(&place.keys) {
        let n_m = key.n_components();
        for m in 0..n_m {
            for k in 0..LANES {
                sum[k] += overlap[m * n_m + m][k];
            }
        }
    }
    sum
}
