//! Invariant products: (A ⊗ B)_00 of two equivariants of the same λ, and their derivatives.

use std::ops::Range;

use multiversion::multiversion;

use super::products::Pair;
use crate::correlations::lanes::for_l;
use crate::simd::{LANES, Lanes, add_product};

/// Invariants z = scale (2λ + 1)^(−1/2) Σ_μ a_μ b_μ; the sign is that of the power spectrum for every λ.
#[derive(Debug, Clone, Default)]
pub(super) struct Dots {
    /// Pairs; the factor is in their scale.
    pairs: Vec<Pair>,
    /// λ, and the pairs that have it.
    stretches: Vec<(usize, Range<usize>)>,
}

impl Dots {
    /// Of pairs and their λ.
    pub fn new(pairs: impl Iterator<Item = (usize, Pair)>) -> Self {
        let mut dots = Dots::default();
        for (l, mut pair) in pairs {
            pair.scale /= ((2 * l + 1) as f64).sqrt();
            dots.pairs.push(pair);
            let end = dots.pairs.len();
            match dots.stretches.last_mut() {
                Some((last, range)) if *last == l => range.end = end,
                _ => dots.stretches.push((l, end - 1..end)),
            }
        }
        dots
    }

    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn values(&self, state: &[Lanes], z: &mut [Lanes]) {
        values(self, state, z);
    }

    /// dz/dt, given the rates of the state.
    pub fn rates(&self, state: &[Lanes], rates: &[Lanes], z_dot: &mut [Lanes]) {
        rates_of(self, state, rates, z_dot);
    }

    /// Adds dE/d(state), given dE/dz.
    pub fn pull_back(&self, state: &[Lanes], grad_z: &[Lanes], grads: &mut [Lanes]) {
        pull_back(self, state, grad_z, grads);
    }

    /// Σ_k w_k z_k, and its derivatives, which are added.
    pub fn weighted(&self, state: &[Lanes], w: &[Lanes], grads: &mut [Lanes]) -> Lanes {
        weighted(self, state, w, grads)
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn values(dots: &Dots, state: &[Lanes], z: &mut [Lanes]) {
    for (l, range) in &dots.stretches {
        for_l!(*l, values_of, (*l, &dots.pairs[range.clone()], state, &mut z[range.clone()]));
    }
}

#[inline(always)]
fn values_of<const M: usize>(l: usize, pairs: &[Pair], state: &[Lanes], z: &mut [Lanes]) {
    for (pair, z) in pairs.iter().zip(z) {
        *z = dot::<M>(l, &state[pair.first..], &state[pair.second..]).map(|sum| sum * pair.scale);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn rates_of(dots: &Dots, state: &[Lanes], rates: &[Lanes], z_dot: &mut [Lanes]) {
    for (l, range) in &dots.stretches {
        for_l!(*l, rates_of_stretch, (*l, &dots.pairs[range.clone()], state, rates, &mut z_dot[range.clone()]));
    }
}

#[inline(always)]
fn rates_of_stretch<const M: usize>(l: usize, pairs: &[Pair], state: &[Lanes], rates: &[Lanes], z_dot: &mut [Lanes]) {
    for (pair, z_dot) in pairs.iter().zip(z_dot) {
        let first = dot::<M>(l, &rates[pair.first..], &state[pair.second..]);
        let second = dot::<M>(l, &state[pair.first..], &rates[pair.second..]);
        for k in 0..LANES {
            z_dot[k] = (first[k] + second[k]) * pair.scale;
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn pull_back(dots: &Dots, state: &[Lanes], grad_z: &[Lanes], grads: &mut [Lanes]) {
    for (l, range) in &dots.stretches {
        for_l!(*l, pull_back_stretch, (*l, &dots.pairs[range.clone()], state, &grad_z[range.clone()], grads));
    }
}

#[inline(always)]
fn pull_back_stretch<const M: usize>(l: usize, pairs: &[Pair], state: &[Lanes], grad_z: &[Lanes], grads: &mut [Lanes]) {
    for (pair, grad) in pairs.iter().zip(grad_z) {
        spread::<M>(l, pair, state, &grad.map(|grad| grad * pair.scale), grads);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn weighted(dots: &Dots, state: &[Lanes], w: &[Lanes], grads: &mut [Lanes]) -> Lanes {
    let mut sum = [0.0; LANES];
    for (l, range) in &dots.stretches {
        for_l!(*l, weighted_stretch, (*l, &dots.pairs[range.clone()], state, &w[range.clone()], grads, &mut sum));
    }
    sum
}

#[inline(always)]
fn weighted_stretch<const M: usize>(
    l: usize,
    pairs: &[Pair],
    state: &[Lanes],
    w: &[Lanes],
    grads: &mut [Lanes],
    sum: &mut Lanes,
) {
    for (pair, w) in pairs.iter().zip(w) {
        let w = w.map(|w| w * pair.scale);
        let z = spread::<M>(l, pair, state, &w, grads);
        add_product(sum, &w, &z);
    }
}

/// Adds g b to the gradient of a, and g a to that of b; Σ_μ a b.
#[inline(always)]
fn spread<const M: usize>(l: usize, pair: &Pair, state: &[Lanes], g: &Lanes, grads: &mut [Lanes]) -> Lanes {
    let n_m = if M > 0 { M } else { 2 * l + 1 };
    let (a, b) = (&state[pair.first..][..n_m], &state[pair.second..][..n_m]);
    let grad_a = &mut grads[pair.first..][..n_m];
    for m in 0..n_m {
        add_product(&mut grad_a[m], g, &b[m]);
    }
    let grad_b = &mut grads[pair.second..][..n_m];
    let mut sum = [0.0; LANES];
    for m in 0..n_m {
        add_product(&mut grad_b[m], g, &a[m]);
        add_product(&mut sum, &a[m], &b[m]);
    }
    sum
}

#[inline(always)]
fn dot<const M: usize>(l: usize, a: &[Lanes], b: &[Lanes]) -> Lanes {
    let n_m = if M > 0 { M } else { 2 * l + 1 };
    let mut sum = [0.0; LANES];
    for (a, b) in a[..n_m].iter().zip(&b[..n_m]) {
        add_product(&mut sum, a, b);
    }
    sum
}
