//! The hot loops of Jacobians: dc/dr_ji of one pair at a time, channels in vector lanes.

use multiversion::multiversion;

use super::block::{Block, Tools};
use super::kernel::n_sums;
use super::table::Rows;
use crate::simd::{LANES, Lanes};
use crate::structure::Vec3;

/// Rows and harmonics of a block, ready for [`add_pair_gradient`] and [`add_pair_moments`].
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn gradient_block(tools: &Tools, rows: &Rows, block: &mut Block) {
    block.prepare(tools);
    block.fill_slopes(tools.radials, rows.len());
    block.fill_gradients(tools.gradient_terms);
}

/// dc/dr_ji of pair j, `[direction][l][c][m]`: added to `neighbor`, or put there if `first`, and subtracted from `center`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn add_pair_gradient(
    rows: &Rows,
    block: &mut Block,
    j: usize,
    first: bool,
    neighbor: &mut [f64],
    center: &mut [f64],
) {
    fill_pair_gradient(rows, block, j);
    let gradient = &block.of_pair[..];
    for (center, gradient) in center.iter_mut().zip(gradient) {
        *center -= gradient;
    }
    if first {
        neighbor.copy_from_slice(gradient);
        return;
    }
    for (neighbor, gradient) in neighbor.iter_mut().zip(gradient) {
        *neighbor += gradient;
    }
}

/// a_p dc_/dr_q of pair j, added to `sums[p][q][l][c][m]`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn add_pair_moments(rows: &Rows, block: &mut Block, j: usize, a: Vec3, sums: &mut [f64]) {
    fill_pair_gradient(rows, block, j);
    let gradient = &block.of_pair[..];
    for (sums, a) in sums.chunks_exact_mut(gradient.len()).zip(a) {
        for (sum, gradient) in sums.iter_mut().zip(gradient) {
            *sum = a.mul_add(*gradient, *sum);
        }
    }
}

/// s̃ ∂(r^l Y_lm) + ã r⃗ r^l Y_lm of pair j: `[direction][l][c][m]`.
#[inline(always)]
fn fill_pair_gradient(rows: &Rows, block: &mut Block, j: usize) {
    let (batch, lane, row, n_lm) = (j / LANES, j % LANES, rows.len(), block.n_lm);
    block.of_pair.resize(LANES * 3 * n_sums(rows));
    let (values, slopes) = (&block.values[j * row..][..row], &block.slopes[j * row..][..row]);
    let y = &block.harmonics.lanes()[batch * n_lm..][..n_lm];
    let mut out = block.of_pair.lanes_mut();
    for direction in 0..3 {
        let r = block.vector[direction][batch][lane];
        let dy = &block.gradients.lanes()[(3 * batch + direction) * n_lm..][..n_lm];
        for l in 0..=rows.l_max() {
            let (y, dy) = (&y[l * l..(l + 1) * (l + 1)], &dy[l * l..(l + 1) * (l + 1)]);
            for offset in (rows.offsets[l]..rows.offsets[l + 1]).step_by(LANES) {
                let s: &Lanes = values[offset..][..LANES].try_into().expect("a row is padded");
                let ds: &Lanes = slopes[offset..][..LANES].try_into().expect("a row is padded");
                let (here, rest) = out.split_at_mut(y.len());
                out = rest;
                let ds = ds.map(|ds| ds * r);
                let parts = here.chunks_mut(4).zip(y.chunks(4)).zip(dy.chunks(4));
                for ((out, y), dy) in parts {
                    match out.len() {
                        4 => combine_terms::<4>(out, (y, dy), lane, s, &ds),
                        3 => combine_terms::<3>(out, (y, dy), lane, s, &ds),
                        _ => combine_terms::<1>(out, (y, dy), lane, s, &ds),
                    }
                }
            }
        }
    }
}

/// `out[m] = dy[m] s + y[m] ds` for M components: a number known to the compiler, which else takes m as its lanes.
#[inline(always)]
fn combine_terms<const M: usize>(out: &mut [Lanes], (y, dy): (&[Lanes], &[Lanes]), lane: usize, s: &Lanes, ds: &Lanes) {
    let out: &mut [Lanes; M] = out.try_into().expect("M components");
    for m in 0..M {
        let (y, dy) = (y[m][lane], dy[m][lane]);
        for k in 0..LANES {
            out[m][k] = dy.mul_add(s[k], y * ds[k]);
        }
    }
}
