//! Linear functions of a power spectrum, as quadratic forms of the coefficients: no features are made.

use std::collections::BTreeMap;

use multiversion::multiversion;
use ndarray::ArrayView1;

use super::weighted_sum::{Scratch, WeightedSum};
use crate::simd::{LANES, Lanes};

/// E = Σ_l tr(W_l c_lᵀ c_l)/√(2l+1), c_l as `[m, channel]`, W_l symmetric and one for each species of centre: what a weighted sum
/// of all components of Eq. (15) is. With v = c W/√(2l+1), E = Σ c v and dE/dc = 2 v.
#[derive(Debug, Clone)]
pub(crate) struct QuadraticForm {
    /// Channels of each l.
    counts: Vec<usize>,
    /// By atomic number: W_l/√(2l+1) for all l, rows `[α]` of vectors of channels β, padded with zeros.
    of_species: Vec<Option<Vec<Lanes>>>,
}

impl QuadraticForm {
    /// From weights of the columns `[l, α, β]` of a whole power spectrum with so many channels of each l, by species of centre.
    pub fn new(counts: &[usize], columns: &[[usize; 3]], weights: &BTreeMap<u8, ArrayView1<f64>>) -> Self {
        let mut starts = vec![0];
        for (l, &n) in counts.iter().enumerate() {
            starts.push(starts[l] + n * n.div_ceil(LANES));
        }
        let mut of_species = vec![None; 256];
        for (&z, weights) in weights {
            let mut w = vec![[0.0; LANES]; starts[counts.len()]];
            for (&[l, a, b], &weight) in columns.iter().zip(weights) {
                // p holds √2 c_α·c_β for both orders of α ≠ β.
                let multiplicity = if a == b { 1.0 } else { std::f64::consts::FRAC_1_SQRT_2 };
                let value = weight * multiplicity / ((2 * l + 1) as f64).sqrt();
                let n_vectors = counts[l].div_ceil(LANES);
                for (a, b) in [(a, b), (b, a)] {
                    w[starts[l] + a * n_vectors + b / LANES][b % LANES] = value;
                }
            }
            of_species[z as usize] = Some(w);
        }
        QuadraticForm { counts: counts.to_vec(), of_species }
    }
}

impl WeightedSum for QuadraticForm {
    fn knows(&self, z: u8) -> bool {
        self.of_species[z as usize].is_some()
    }

    fn evaluate(
        &self,
        species: &[u8],
        c: &[f64],
        grad_c: &mut [f64],
        energies: &mut [f64],
        _: &mut Scratch,
    ) -> Option<()> {
        energies.fill(0.0);
        let n = species.len();
        let (mut block, mut start) = (0, 0);
        for (l, &n_q) in self.counts.iter().enumerate() {
            let width = (2 * l + 1) * n_q;
            let n_rows = n_q * n_q.div_ceil(LANES);
            for (i, &z) in species.iter().enumerate() {
                let w = &self.of_species[z as usize].as_ref()?[start..start + n_rows];
                let of_center = block + i * width..block + (i + 1) * width;
                energies[i] += weighted_squares(w, n_q, &c[of_center.clone()], &mut grad_c[of_center]);
            }
            block += n * width;
            start += n_rows;
        }
        Some(())
    }
}

/// Σ c v and 2 v of one centre and l; c, v are `[m, q]`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn weighted_squares(w: &[Lanes], n_q: usize, c: &[f64], grad_c: &mut [f64]) -> f64 {
    let n_m = c.len() / n_q.max(1);
    let mut sum = [0.0; LANES];
    let mut m = 0;
    while m < n_m {
        let left = n_m - m;
        let part = if left > 8 { left.div_ceil(left.div_ceil(7)) } else { left };
        let range = m * n_q..(m + part) * n_q;
        let (c, grad_c) = (&c[range.clone()], &mut grad_c[range]);
        match part {
            1 => rows::<1>(w, n_q, c, grad_c, &mut sum),
            2 => rows::<2>(w, n_q, c, grad_c, &mut sum),
            3 => rows::<3>(w, n_q, c, grad_c, &mut sum),
            4 => rows::<4>(w, n_q, c, grad_c, &mut sum),
            5 => rows::<5>(w, n_q, c, grad_c, &mut sum),
            6 => rows::<6>(w, n_q, c, grad_c, &mut sum),
            7 => rows::<7>(w, n_q, c, grad_c, &mut sum),
            _ => rows::<8>(w, n_q, c, grad_c, &mut sum),
        }
        m += part;
    }
    sum.iter().sum()
}

/// M rows of c at a time: the products with one row of W are in registers.
#[inline(always)]
fn rows<const M: usize>(w: &[Lanes], n_q: usize, c: &[f64], grad_c: &mut [f64], sum: &mut Lanes) {
    let n_vectors = n_q.div_ceil(LANES);
    for vector in 0..n_vectors {
        let mut v = [[0.0; LANES]; M];
        for alpha in 0..n_q {
            let w = &w[alpha * n_vectors + vector];
            for m in 0..M {
                let c = c[m * n_q + alpha];
                for k in 0..LANES {
                    v[m][k] = c.mul_add(w[k], v[m][k]);
                }
            }
        }
        let first = vector * LANES;
        let take = LANES.min(n_q - first);
        for m in 0..M {
            let (from, to) = (&c[m * n_q + first..][..take], &mut grad_c[m * n_q + first..][..take]);
            match (<&Lanes>::try_from(from), <&mut Lanes>::try_from(&mut *to)) {
                (Ok(from), Ok(to)) => {
                    for k in 0..LANES {
                        sum[k] = from[k].mul_add(v[m][k], sum[k]);
                        to[k] = 2.0 * v[m][k];
                    }
                }
                _ => {
                    for k in 0..take {
                        sum[k] = from[k].mul_add(v[m][k], sum[k]);
                        to[k] = 2.0 * v[m][k];
                    }
                }
            }
        }
    }
}
