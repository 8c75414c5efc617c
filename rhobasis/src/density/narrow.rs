//! The hot loops for few functions of each l: neighbours in vector lanes, where [`kernel`](super::kernel) has channels.
//!
//! With one or two functions of each l, most of a vector of channels is empty. Eight neighbours fill it: each function takes one
//! product for eight of them. Sums over neighbours stay spread over the lanes until all neighbours of the centre are in.

use multiversion::multiversion;
use ndarray::ArrayView3;

use super::block::{Block, GradientTerm, PAIRS, Tools};
use super::harmonics::Y00;
use super::table::Rows;
use crate::simd::{LANES, Lanes, add_product, add_scaled};
use crate::structure::Vec3;

/// Sums `[l][q][m]` of a centre, neighbours in lanes.
pub(super) fn n_sums(rows: &Rows) -> usize {
    rows.counts.iter().enumerate().map(|(l, count)| (2 * l + 1) * count).sum()
}

/// Eq. (8) for one block: `sums[l][q][m][lane] += Σ_j f(r_j) I_q(r_j)/r_j^l · r_j^l Y_lm(r_j)` over every eighth neighbour.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(super) fn forward_block(tools: &Tools, rows: &Rows, block: &mut Block, sums: &mut [Lanes]) {
    block.prepare(tools);
    block.fill_values_in_lanes(tools.radials, rows.in_lanes());
    match block.n.div_ceil(LANES) {
        1 => accumulate::<1>(rows, block, sums),
        2 => accumulate::<2>(rows, block, sums),
        3 => accumulate::<3>(rows, block, sums),
        _ => accumulate::<4>(rows, block, sums),
    }
}

/// The sums of B batches of eight neighbours.
#[inline(always)]
fn accumulate<const B: usize>(rows: &Rows, block: &Block, sums: &mut [Lanes]) {
    let (row, n_lm) = (rows.in_lanes(), block.n_lm);
    let (values, harmonics) = (&block.values.lanes()[..B * row], &block.harmonics.lanes()[..B * n_lm]);
    let (mut k, mut sums) = (0, sums.iter_mut());
    for (l, &count) in rows.counts.iter().enumerate() {
        for _ in 0..count {
            let value: [Lanes; B] = std::array::from_fn(|batch| values[batch * row + k]);
            for (lm, sum) in (l * l..(l + 1) * (l + 1)).zip(&mut sums) {
                for batch in 0..B {
                    add_product(sum, &value[batch], &harmonics[batch * n_lm + lm]);
                }
            }
            k += 1;
        }
    }
}

/// The sum over lanes.
#[inline(always)]
pub(super) fn over_lanes(lanes: &Lanes) -> f64 {
    let four: [f64; 4] = std::array::from_fn(|k| lanes[k] + lanes[k + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// dE/dc of one centre and group, and what the gradient of the harmonics turns it into.
#[derive(Debug, Clone, Default)]
pub(crate) struct NarrowGradient {
    /// dE/dc_0 · Y_00 of each function.
    constant: Vec<f64>,
    /// Σ_m dE/dc_lm ∂(r^l Y_lm) as coefficients of the harmonics of l − 1: `[l ≥ 1][q][m′][direction]`.
    lowered: Vec<Vec3>,
}

impl NarrowGradient {
    /// Takes dE/dc, blocks `[center, m, channel]`, of a centre and of the channels that begin at `starts`.
    pub fn load<'t>(
        &mut self,
        gradient: &[ArrayView3<f64>],
        center: usize,
        rows: &Rows,
        starts: impl Fn(usize) -> usize,
        terms_of: impl Fn(usize) -> &'t [GradientTerm],
    ) {
        self.constant.clear();
        self.lowered.clear();
        for (l, &count) in rows.counts.iter().enumerate() {
            for q in starts(l)..starts(l) + count {
                if l == 0 {
                    self.constant.push(Y00 * gradient[0][[center, 0, q]]);
                    continue;
                }
                let first = self.lowered.len();
                self.lowered.resize(first + 2 * l - 1, [0.0; 3]);
                for term in terms_of(l) {
                    let of_m = gradient[l][[center, term.lm - l * l, q]];
                    self.lowered[first + term.below - (l - 1) * (l - 1)][term.direction] += term.coefficient * of_m;
                }
            }
        }
    }
}

/// dE/dr_ji of each pair of a block, given dE/dc of the centre: the adjoint of [`forward_block`], by the formula of
/// [`kernel::backward_block`](super::kernel::backward_block).
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(super) fn backward_block(
    tools: &Tools,
    rows: &Rows,
    block: &mut Block,
    gradient: &NarrowGradient,
    out: &mut [Vec3; PAIRS],
) {
    let row = rows.in_lanes();
    block.prepare(tools);
    block.fill_slopes_in_lanes(tools.radials, row);
    for (batch, out) in out.chunks_exact_mut(LANES).take(block.n.div_ceil(LANES)).enumerate() {
        let (values, slopes) = (&block.values.lanes()[batch * row..], &block.slopes.lanes()[batch * row..]);
        let r: [&Lanes; 3] = std::array::from_fn(|d| &block.vector[d][batch]);
        let (mut across, mut along) = ([[0.0; LANES]; 3], [0.0; LANES]);
        for (slope, g) in slopes.iter().zip(&gradient.constant) {
            add_scaled(&mut along, *g, slope);
        }
        let (mut k, mut lowered) = (rows.counts[0], &gradient.lowered[..]);
        for (l, &count) in rows.counts.iter().enumerate().skip(1) {
            let y = &block.harmonics.lanes()[batch * block.n_lm + (l - 1) * (l - 1)..][..2 * l - 1];
            let inverse_l = 1.0 / l as f64;
            for _ in 0..count {
                let (g, rest) = lowered.split_at(y.len());
                lowered = rest;
                let [x, y, z] = contract_all(y, g); // ∂v
                let mut dot = [0.0; LANES];
                add_product(&mut dot, r[0], &x);
                add_product(&mut dot, r[1], &y);
                add_product(&mut dot, r[2], &z);
                add_product(&mut along, &slopes[k].map(|slope| slope * inverse_l), &dot);
                add_product(&mut across[0], &values[k], &x);
                add_product(&mut across[1], &values[k], &y);
                add_product(&mut across[2], &values[k], &z);
                k += 1;
            }
        }
        for d in 0..3 {
            add_product(&mut across[d], r[d], &along);
            out.iter_mut().zip(across[d]).for_each(|(out, g)| out[d] = g);
        }
    }
}

/// Σ_m′ Y_{l−1,m′} g[m′] along x, y, z for eight neighbours.
#[inline(always)]
fn contract_all(y: &[Lanes], g: &[Vec3]) -> [Lanes; 3] {
    match y.len() {
        1 => contract::<1>(y, g),
        3 => contract::<3>(y, g),
        5 => contract::<5>(y, g),
        7 => contract::<7>(y, g),
        9 => contract::<9>(y, g),
        11 => contract::<11>(y, g),
        _ => {
            let mut sum = [[0.0; LANES]; 3];
            for (y, g) in y.iter().zip(g) {
                add_scaled(&mut sum[0], g[0], y);
                add_scaled(&mut sum[1], g[1], y);
                add_scaled(&mut sum[2], g[2], y);
            }
            sum
        }
    }
}

#[inline(always)]
fn contract<const M: usize>(y: &[Lanes], g: &[Vec3]) -> [Lanes; 3] {
    let (y, g): (&[Lanes; M], &[Vec3; M]) = (y.try_into().expect("M harmonics"), g.try_into().expect("as many"));
    let mut sum = [[0.0; LANES]; 3];
    for m in 0..M {
        add_scaled(&mut sum[0], g[m][0], &y[m]);
        add_scaled(&mut sum[1], g[m][1], &y[m]);
        add_scaled(&mut sum[2], g[m][2], &y[m]);
    }
    sum
}
