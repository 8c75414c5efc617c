//! The hot loops: up to [`PAIRS`] neighbours of one centre at a time, channels in vector lanes.
//!
//! Each function is compiled for several instruction sets and the best is chosen once per call.

use multiversion::multiversion;

use super::aligned::Aligned;
use super::evaluated::Radial;
use super::harmonics::{LANES, Lanes, SolidHarmonics};
use super::settings::Density;
use super::spline::Rows;
use crate::structure::Vec3;

/// Neighbours handled together: their harmonics and radial rows stay in the first-level cache.
pub(crate) const PAIRS: usize = 32;

/// Batches of eight in a block.
const BATCHES: usize = PAIRS / LANES;

/// Most components m whose sums are kept in registers at once.
const M_PART: usize = 13;

/// Up to [`PAIRS`] neighbours that feed the same channels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    /// Number of neighbours filled in.
    pub n: usize,
    /// r_ji, in Å, eight neighbours to a vector.
    pub vector: [[Lanes; BATCHES]; 3],
    /// The rate at which r_ji changes, for tangents.
    pub velocity: [[Lanes; BATCHES]; 3],
    /// Which radial integrals.
    pub radial: [u32; PAIRS],
    /// |r_ji|, in Å.
    distance: [Lanes; BATCHES],
    /// f(r) and df/dr.
    weight: [[Lanes; BATCHES]; 2],
    /// r^l Y_lm: `[batch of eight][lm][neighbour of the batch]`
    harmonics: Aligned,
    /// ∂(r^l Y_lm) along x, y, z: `[batch][direction][lm][neighbour]`; or along the velocity, without direction.
    gradients: Aligned,
    /// f s, and where derivatives are wanted (f′ s + f s′)/r: `[neighbour][row]`
    values: Aligned,
    slopes: Aligned,
    /// dc/dr_ji of one neighbour: `[direction][l][c][m]`
    of_pair: Aligned,
    n_lm: usize,
}

impl Block {
    pub fn new(l_max: usize, longest_row: usize) -> Self {
        let n_lm = (l_max + 1) * (l_max + 1);
        let zero = [0.0; LANES];
        Block {
            n: 0,
            vector: [[zero; BATCHES]; 3],
            velocity: [[zero; BATCHES]; 3],
            radial: [0; PAIRS],
            distance: [zero; BATCHES],
            weight: [[zero; BATCHES]; 2],
            harmonics: Aligned::zeros(LANES * BATCHES * n_lm),
            gradients: Aligned::default(),
            values: Aligned::zeros(PAIRS * longest_row),
            slopes: Aligned::default(),
            of_pair: Aligned::default(),
            n_lm,
        }
    }

    /// Places neighbour j.
    #[inline(always)]
    pub fn set(&mut self, j: usize, r: Vec3, radial: u32) {
        for (axis, x) in self.vector.iter_mut().zip(r) {
            axis[j / LANES][j % LANES] = x;
        }
        self.radial[j] = radial;
    }

    /// r_ji of neighbour j.
    #[inline(always)]
    fn r(&self, j: usize) -> Vec3 {
        std::array::from_fn(|d| self.vector[d][j / LANES][j % LANES])
    }

    fn n_batches(&self) -> usize {
        self.n.div_ceil(LANES)
    }

    /// Distances, weights, harmonics. What stands beyond the last neighbour is finite and not used.
    #[inline(always)]
    fn prepare(&mut self, density: &Density, harmonics: &SolidHarmonics) {
        let [x, y, z] = &self.vector;
        for (batch, out) in
            self.harmonics.lanes_mut().chunks_exact_mut(self.n_lm).take(self.n.div_ceil(LANES)).enumerate()
        {
            let (x, y, z) = (&x[batch], &y[batch], &z[batch]);
            let r = &mut self.distance[batch];
            *r = std::array::from_fn(|k| (x[k] * x[k] + y[k] * y[k] + z[k] * z[k]).sqrt());
            (self.weight[0][batch], self.weight[1][batch]) = density.weights(r);
            harmonics.evaluate_lanes(x, y, z, out);
        }
    }

    #[inline(always)]
    fn fill_values(&mut self, radials: &[Radial], row: usize) {
        for (j, values) in self.values.chunks_exact_mut(row).take(self.n).enumerate() {
            let (batch, lane) = (j / LANES, j % LANES);
            radials[self.radial[j] as usize].values(self.distance[batch][lane], self.weight[0][batch][lane], values);
        }
    }

    #[inline(always)]
    fn fill_slopes(&mut self, radials: &[Radial], row: usize) {
        self.slopes.resize(self.values.len());
        let rows = self.values.chunks_exact_mut(row).zip(self.slopes.chunks_exact_mut(row));
        for (j, (values, slopes)) in rows.take(self.n).enumerate() {
            let (batch, lane) = (j / LANES, j % LANES);
            let weight = (self.weight[0][batch][lane], self.weight[1][batch][lane]);
            radials[self.radial[j] as usize].slopes(self.distance[batch][lane], weight, values, slopes);
        }
    }

    /// ∂(r^l Y_lm) of every batch, along x, y and z.
    #[inline(always)]
    fn fill_gradients(&mut self, ladder: &[LadderTerm]) {
        let n_lm = self.n_lm;
        self.gradients.resize(LANES * 3 * BATCHES * n_lm);
        for batch in 0..self.n_batches() {
            let y = &self.harmonics.lanes()[batch * n_lm..][..n_lm];
            let out = &mut self.gradients.lanes_mut()[3 * batch * n_lm..][..3 * n_lm];
            out.fill([0.0; LANES]);
            for term in ladder {
                add_scaled(&mut out[term.direction * n_lm + term.lm], term.coefficient, &y[term.below]);
            }
        }
    }

    /// u·∂(r^l Y_lm) of every batch, u being the velocities.
    #[inline(always)]
    fn fill_gradients_along_velocity(&mut self, ladder: &[LadderTerm]) {
        let n_lm = self.n_lm;
        self.gradients.resize(LANES * 3 * BATCHES * n_lm);
        for batch in 0..self.n_batches() {
            let y = &self.harmonics.lanes()[batch * n_lm..][..n_lm];
            let out = &mut self.gradients.lanes_mut()[batch * n_lm..][..n_lm];
            out.fill([0.0; LANES]);
            for term in ladder {
                let (u, to, y) = (&self.velocity[term.direction][batch], &mut out[term.lm], &y[term.below]);
                for k in 0..LANES {
                    to[k] = (term.coefficient * u[k]).mul_add(y[k], to[k]);
                }
            }
        }
    }
}

/// A term of ∂(r^l Y_lm) = Σ coefficient · r^{l−1} Y_{l−1,m′}, with lm and `below` = (l−1, m′) as flat indices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LadderTerm {
    pub direction: usize,
    pub lm: usize,
    pub below: usize,
    pub coefficient: f64,
}

/// Number of sums `[l][c][m]`, each of eight channels 8c … 8c + 7.
pub(crate) fn n_sums(rows: &Rows) -> usize {
    (0..=rows.l_max()).map(|l| (2 * l + 1) * (rows.offsets[l + 1] - rows.offsets[l]) / LANES).sum()
}

/// What all blocks of an expansion share.
pub(crate) struct Tools<'a> {
    pub density: &'a Density,
    pub harmonics: &'a SolidHarmonics,
    pub radials: &'a [Radial],
    pub ladder: &'a [LadderTerm],
}

/// Eq. (8) for one block: `sums[l][c][m] += Σ_j f(r_j) I_l(r_j)/r_j^l · r_j^l Y_lm(r_j)`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn forward_block(tools: &Tools, rows: &Rows, block: &mut Block, sums: &mut [Lanes]) {
    block.prepare(tools.density, tools.harmonics);
    block.fill_values(tools.radials, rows.len());
    accumulate_all(rows, &block.values, block.harmonics.lanes(), block.n, block.n_lm, sums);
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
    block.prepare(tools.density, tools.harmonics);
    block.fill_slopes(tools.radials, row);
    block.fill_gradients_along_velocity(tools.ladder);
    for j in 0..block.n {
        let (batch, lane) = (j / LANES, j % LANES);
        let along: f64 = (0..3).map(|d| block.velocity[d][batch][lane] * block.vector[d][batch][lane]).sum();
        block.slopes[j * row..][..row].iter_mut().for_each(|slope| *slope *= along);
    }
    accumulate_all(rows, &block.values, block.gradients.lanes(), block.n, block.n_lm, sums);
    accumulate_all(rows, &block.slopes, block.harmonics.lanes(), block.n, block.n_lm, sums);
}

#[inline(always)]
fn accumulate_all(rows: &Rows, values: &[f64], harmonics: &[Lanes], n: usize, n_lm: usize, sums: &mut [Lanes]) {
    let mut start = 0;
    for l in 0..=rows.l_max() {
        for offset in (rows.offsets[l]..rows.offsets[l + 1]).step_by(LANES) {
            for m in (0..2 * l + 1).step_by(M_PART) {
                let part = M_PART.min(2 * l + 1 - m);
                let terms =
                    Terms { values: &values[offset..], row: rows.len(), harmonics: &harmonics[l * l + m..], n_lm, n };
                accumulate_part(part, terms, &mut sums[start + m..start + m + part]);
            }
            start += 2 * l + 1;
        }
    }
}

/// Values from one vector of channels on, and harmonics from one lm on, of n neighbours.
#[derive(Clone, Copy)]
struct Terms<'a> {
    values: &'a [f64],
    row: usize,
    harmonics: &'a [Lanes],
    n_lm: usize,
    n: usize,
}

#[inline(always)]
fn accumulate_part(part: usize, terms: Terms, sums: &mut [Lanes]) {
    match part {
        1 => accumulate::<1>(terms, sums),
        2 => accumulate::<2>(terms, sums),
        3 => accumulate::<3>(terms, sums),
        4 => accumulate::<4>(terms, sums),
        5 => accumulate::<5>(terms, sums),
        6 => accumulate::<6>(terms, sums),
        7 => accumulate::<7>(terms, sums),
        8 => accumulate::<8>(terms, sums),
        9 => accumulate::<9>(terms, sums),
        10 => accumulate::<10>(terms, sums),
        11 => accumulate::<11>(terms, sums),
        12 => accumulate::<12>(terms, sums),
        _ => accumulate::<M_PART>(terms, sums),
    }
}

/// `sums[m] += Σ_j values[j] · Y[m](j)` with the M sums in registers.
#[inline(always)]
fn accumulate<const M: usize>(terms: Terms, sums: &mut [Lanes]) {
    let mut acc: [Lanes; M] = std::array::from_fn(|m| sums[m]);
    for j in 0..terms.n {
        let value: &Lanes = terms.values[j * terms.row..][..LANES].try_into().expect("a row is padded");
        let y: &[Lanes; M] = terms.harmonics[j / LANES * terms.n_lm..][..M].try_into().expect("M harmonics");
        for m in 0..M {
            let y = y[m][j % LANES];
            for k in 0..LANES {
                acc[m][k] = y.mul_add(value[k], acc[m][k]);
            }
        }
    }
    sums[..M].copy_from_slice(&acc);
}

/// dE/dc of one centre, in the layout of the sums, and what the gradient of the harmonics turns it into.
#[derive(Debug, Clone, Default)]
pub(crate) struct CenterGradient {
    /// dE/dc_0 · Y_00, by chunk.
    pub constant: Vec<Lanes>,
    /// Σ_m dE/dc_lm ∂(r^l Y_lm) as coefficients of the harmonics of l − 1: `[l ≥ 1][c][m′][direction]`.
    pub ladder: Aligned,
}

impl CenterGradient {
    /// Coefficients along x, y and z: `[l ≥ 1][c][m′]`.
    #[inline(always)]
    pub fn ladder(&self) -> &[[Lanes; 3]] {
        self.ladder.lanes().as_chunks().0
    }

    /// As [`CenterGradient::ladder`].
    pub fn ladder_mut(&mut self) -> &mut [[Lanes; 3]] {
        self.ladder.lanes_mut().as_chunks_mut().0
    }
}

/// Adds dE/dc_lm of one l and eight channels (`[m]`) to what the gradient of the harmonics turns it into (`[m′]`).
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn add_ladder(terms: &[LadderTerm], l: usize, of_m: &[Lanes], ladder: &mut [[Lanes; 3]]) {
    for term in terms {
        let (from, to) = (&of_m[term.lm - l * l], &mut ladder[term.below - (l - 1) * (l - 1)][term.direction]);
        add_scaled(to, term.coefficient, from);
    }
}

/// Length of the ladder of [`CenterGradient`].
pub(crate) fn n_ladder(rows: &Rows) -> usize {
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
    block.prepare(tools.density, tools.harmonics);
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
    for (chunk, g) in gradient.constant.iter().enumerate() {
        add_product(&mut one.along, &of(&block.slopes, 0, chunk * LANES), g);
        add_product(&mut two.along, &of(&block.slopes, 1, chunk * LANES), g);
    }
    let mut ladder = gradient.ladder();
    for l in 1..=rows.l_max() {
        let y = &block.harmonics.lanes()[batch * block.n_lm + (l - 1) * (l - 1)..][..2 * l - 1];
        let inverse_l = 1.0 / l as f64;
        for offset in (rows.offsets[l]..rows.offsets[l + 1]).step_by(LANES) {
            let (g, rest) = ladder.split_at(y.len());
            ladder = rest;
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

/// Rows and harmonics of a block, ready for [`add_pair_gradient`] and [`add_pair_moments`].
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn gradient_block(tools: &Tools, rows: &Rows, block: &mut Block) {
    block.prepare(tools.density, tools.harmonics);
    block.fill_slopes(tools.radials, rows.len());
    block.fill_gradients(tools.ladder);
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

#[inline(always)]
fn add_product(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for k in 0..LANES {
        sum[k] = a[k].mul_add(b[k], sum[k]);
    }
}

#[inline(always)]
fn add_scaled(sum: &mut Lanes, a: f64, b: &Lanes) {
    for k in 0..LANES {
        sum[k] = a.mul_add(b[k], sum[k]);
    }
}
