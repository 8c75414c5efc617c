//! The hot loops: sums over neighbours of one centre and their adjoint, channels in vector lanes.
//!
//! Each function is compiled for several instruction sets and the best is chosen once per call.

use multiversion::multiversion;

use super::block::{Block, GradientTerm, PAIRS, Tools};
use super::table::{M_PART, Part, Rows};
use crate::simd::{Aligned, LANES, Lanes, add_product, add_scaled};
use crate::structure::Vec3;

/// Number of sums `[l][c][m]`, each of eight channels 8c … 8c + 7.
pub(crate) fn n_sums(rows: &Rows) -> usize {
    (0..=rows.l_max()).map(|l| (2 * l + 1) * (rows.offsets[l + 1] - rows.offsets[l]) / LANES).sum()
}

/// Calls a function that is compiled for the number M of components m whose sums stay in registers.
macro_rules! in_registers {
    ($n_m:expr, $function:ident, $arguments:tt) => {
        in_registers!(@ $n_m, $function, $arguments, 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $n_m:expr, $function:ident, $arguments:tt, $($m:literal)*) => {
        match $n_m {
            $($m => $function::<$m> $arguments,)*
            more => unreachable!("{more} components, where parts have at most {M_PART}"),
        }
    };
}

/// Eq. (8) for one block: `sums[l][c][m] += Σ_j f(r_j) I_l(r_j)/r_j^l · r_j^l Y_lm(r_j)`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn forward_block(tools: &Tools, rows: &Rows, block: &mut Block, sums: &mut [Lanes]) {
    block.prepare(tools);
    block.fill_values(tools.radials, rows.len());
    for part in &rows.parts {
        let terms = Terms {
            values: &block.values,
            harmonics: block.harmonics.lanes(),
            part,
            row: rows.len(),
            n_lm: block.n_lm,
            n: block.n,
        };
        in_registers!(part.n_m, accumulate, (terms, sums));
    }
}

/// The derivative of [`forward_block`] along the velocities u of its pairs:
/// `sums[l][c][m] += Σ_j s̃ u·∂(r^l Y_lm) + ã (u·r) r^l Y_lm`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn tangent_block(tools: &Tools, rows: &Rows, block: &mut Block, sums: &mut [Lanes]) {
    let row = rows.len();
    block.prepare(tools);
    block.fill_slopes(tools.radials, row);
    block.fill_gradients_along_velocity(tools.gradient_terms);
    for j in 0..block.n {
        let (batch, lane) = (j / LANES, j % LANES);
        let along: f64 = (0..3).map(|d| block.velocity[d][batch][lane] * block.vector[d][batch][lane]).sum();
        block.slopes[j * row..][..row].iter_mut().for_each(|slope| *slope *= along);
    }
    for (values, harmonics) in [(&block.values, &block.gradients), (&block.slopes, &block.harmonics)] {
        for part in &rows.parts {
            let terms = Terms { values, harmonics: harmonics.lanes(), part, row, n_lm: block.n_lm, n: block.n };
            in_registers!(part.n_m, accumulate, (terms, sums));
        }
    }
}

/// Values and harmonics of n neighbours, and which of them are multiplied.
#[derive(Clone, Copy)]
struct Terms<'a> {
    values: &'a [f64],
    harmonics: &'a [Lanes],
    part: &'a Part,
    /// Length of the row of one neighbour.
    row: usize,
    n_lm: usize,
    n: usize,
}

/// `sums[m] += Σ_j values[j] · Y[m](j)` for eight channels of one l, with the M sums in registers.
#[inline(always)]
fn accumulate<const M: usize>(terms: Terms, sums: &mut [Lanes]) {
    let Part { offset, lm, sum, .. } = *terms.part;
    let (values, harmonics, sums) = (&terms.values[offset..], &terms.harmonics[lm..], &mut sums[sum..][..M]);
    let mut acc: [Lanes; M] = std::array::from_fn(|m| sums[m]);
    for j in 0..terms.n {
        let value: &Lanes = values[j * terms.row..][..LANES].try_into().expect("a row is padded");
        let y: &[Lanes; M] = harmonics[j / LANES * terms.n_lm..][..M].try_into().expect("M harmonics");
        for m in 0..M {
            let y = y[m][j % LANES];
            for k in 0..LANES {
                acc[m][k] = y.mul_add(value[k], acc[m][k]);
            }
        }
    }
    sums.copy_from_slice(&acc);
}

/// dE/dc of one centre, in the layout of the sums, and what the gradient of the harmonics turns it into.
#[derive(Debug, Clone, Default)]
pub(crate) struct CenterGradient {
    /// dE/dc_0 · Y_00, by vector of channels.
    pub constant: Vec<Lanes>,
    /// Σ_m dE/dc_lm ∂(r^l Y_lm) as coefficients of the harmonics of l − 1: `[l ≥ 1][c][m′][direction]`.
    pub lowered: Aligned,
}

impl CenterGradient {
    /// Coefficients along x, y and z: `[l ≥ 1][c][m′]`.
    #[inline(always)]
    pub fn lowered(&self) -> &[[Lanes; 3]] {
        self.lowered.lanes().as_chunks().0
    }

    /// As [`CenterGradient::lowered`].
    pub fn lowered_mut(&mut self) -> &mut [[Lanes; 3]] {
        self.lowered.lanes_mut().as_chunks_mut().0
    }
}

/// Adds dE/dc_lm of one l and eight channels (`[m]`) to what the gradient of the harmonics turns it into (`[m′]`).
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn add_lowered(terms: &[GradientTerm], l: usize, of_m: &[Lanes], lowered: &mut [[Lanes; 3]]) {
    for term in terms {
        let (from, to) = (&of_m[term.lm - l * l], &mut lowered[term.below - (l - 1) * (l - 1)][term.direction]);
        add_scaled(to, term.coefficient, from);
    }
}

/// Length of [`CenterGradient::lowered`], in numbers of eight.
pub(crate) fn n_lowered(rows: &Rows) -> usize {
    (1..=rows.l_max()).map(|l| 3 * (2 * l - 1) * (rows.offsets[l + 1] - rows.offsets[l])).sum()
}

/// Neighbours whose sums are in registers together.
const GROUP: usize = 2;

/// dE/dr_ji of each pair of a block, given dE/dc of the centre: the adjoint of [`forward_block`].
///
/// With v = Σ_m g_m r^l Y_lm, a homogeneous polynomial of degree l (so r·∂v = l v):
///
/// ```text
/// dE/dr = Σ s̃ ∂v + r Σ ã v,   s̃ = f I/r^l,  ã = (1/r) d(f I/r^l)/dr
/// ```
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn backward_block(
    tools: &Tools,
    rows: &Rows,
    block: &mut Block,
    gradient: &CenterGradient,
    out: &mut [Vec3; PAIRS],
) {
    block.prepare(tools);
    block.fill_slopes(tools.radials, rows.len());
    let mut lanes = [[[0.0; LANES]; 3]; PAIRS];
    for first in (0..block.n).step_by(GROUP) {
        backward_group(rows, block, gradient, first, &mut lanes[first..first + GROUP]);
    }
    sum_lanes(&lanes[..block.n], out);
}

/// Sums over channels. Apart from the loop that fills the lanes: seeing both, compilers spread each sum over the loop.
#[inline(never)]
fn sum_lanes(lanes: &[[Lanes; 3]], out: &mut [Vec3; PAIRS]) {
    for (out, lanes) in out.iter_mut().zip(lanes) {
        for (out, lanes) in out.iter_mut().zip(lanes) {
            let four: [f64; 4] = std::array::from_fn(|k| lanes[k] + lanes[k + 4]);
            *out = (four[0] + four[2]) + (four[1] + four[3]);
        }
    }
}

#[inline(always)]
fn backward_group(rows: &Rows, block: &Block, gradient: &CenterGradient, first: usize, out: &mut [[Lanes; 3]]) {
    let row = rows.len();
    let (batch, lane) = (first / LANES, first % LANES);
    let (mut one, mut two) = (PairSum::new(block, first), PairSum::new(block, first + 1));
    let of = |numbers: &[f64], p: usize, offset: usize| -> Lanes {
        numbers[(first + p) * row + offset..][..LANES].try_into().expect("a row is padded")
    };
    for (vector, g) in gradient.constant.iter().enumerate() {
        add_product(&mut one.along, &of(&block.slopes, 0, vector * LANES), g);
        add_product(&mut two.along, &of(&block.slopes, 1, vector * LANES), g);
    }
    let mut lowered = gradient.lowered();
    for l in 1..=rows.l_max() {
        let y = &block.harmonics.lanes()[batch * block.n_lm + (l - 1) * (l - 1)..][..2 * l - 1];
        let inverse_l = 1.0 / l as f64;
        for offset in (rows.offsets[l]..rows.offsets[l + 1]).step_by(LANES) {
            let (g, rest) = lowered.split_at(y.len());
            lowered = rest;
            let (v, w) = (contract_all(y, lane, g), contract_all(y, lane + 1, g));
            one.add(v, of(&block.values, 0, offset), of(&block.slopes, 0, offset), inverse_l);
            two.add(w, of(&block.values, 1, offset), of(&block.slopes, 1, offset), inverse_l);
        }
    }
    out[0] = one.gradient();
    out[1] = two.gradient();
}

/// Σ s̃ ∂v and Σ ã v of one neighbour, channels in lanes.
struct PairSum {
    r: Vec3,
    across: [Lanes; 3],
    along: Lanes,
}

impl PairSum {
    #[inline(always)]
    fn new(block: &Block, j: usize) -> Self {
        PairSum { r: block.r(j), across: [[0.0; LANES]; 3], along: [0.0; LANES] }
    }

    /// Adds eight channels of one l, given ∂v.
    #[inline(always)]
    fn add(&mut self, v: [Lanes; 3], s: Lanes, ds: Lanes, inverse_l: f64) {
        let mut dot = [0.0; LANES];
        add_scaled(&mut dot, self.r[0] * inverse_l, &v[0]);
        add_scaled(&mut dot, self.r[1] * inverse_l, &v[1]);
        add_scaled(&mut dot, self.r[2] * inverse_l, &v[2]);
        add_product(&mut self.along, &ds, &dot);
        add_product(&mut self.across[0], &s, &v[0]);
        add_product(&mut self.across[1], &s, &v[1]);
        add_product(&mut self.across[2], &s, &v[2]);
    }

    #[inline(always)]
    fn gradient(self) -> [Lanes; 3] {
        let mut across = self.across;
        add_scaled(&mut across[0], self.r[0], &self.along);
        add_scaled(&mut across[1], self.r[1], &self.along);
        add_scaled(&mut across[2], self.r[2], &self.along);
        across
    }
}

/// Σ_m′ Y_{l−1,m′} g[m′] along x, y, z for the neighbour of one lane.
#[inline(always)]
fn contract_all(y: &[Lanes], lane: usize, g: &[[Lanes; 3]]) -> [Lanes; 3] {
    match y.len() {
        1 => contract::<1>(y, lane, g),
        3 => contract::<3>(y, lane, g),
        5 => contract::<5>(y, lane, g),
        7 => contract::<7>(y, lane, g),
        9 => contract::<9>(y, lane, g),
        11 => contract::<11>(y, lane, g),
        _ => {
            let mut sum = [[0.0; LANES]; 3];
            for (y, g) in y.iter().zip(g) {
                add_scaled(&mut sum[0], y[lane], &g[0]);
                add_scaled(&mut sum[1], y[lane], &g[1]);
                add_scaled(&mut sum[2], y[lane], &g[2]);
            }
            sum
        }
    }
}

#[inline(always)]
fn contract<const M: usize>(y: &[Lanes], lane: usize, g: &[[Lanes; 3]]) -> [Lanes; 3] {
    let (y, g): (&[Lanes; M], &[[Lanes; 3]; M]) = (y.try_into().expect("M harmonics"), g.try_into().expect("as many"));
    let mut sum = [[0.0; LANES]; 3];
    for m in 0..M {
        add_scaled(&mut sum[0], y[m][lane], &g[m][0]);
        add_scaled(&mut sum[1], y[m][lane], &g[m][1]);
        add_scaled(&mut sum[2], y[m][lane], &g[m][2]);
    }
    sum
}
