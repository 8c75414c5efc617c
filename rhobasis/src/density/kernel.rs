//! The hot loops: up to [`PAIRS`] neighbours of one centre at a time, channels in vector lanes.
//!
//! Each function is compiled for several instruction sets and the best is chosen once per call.

use multiversion::multiversion;

use super::harmonics::{LANES, Lanes, SolidHarmonics};
use super::radial::RadialIntegrals;
use super::spline::{RadialTable, Rows};

/// Neighbours handled together: their harmonics and radial rows stay in the first-level cache.
pub(crate) const PAIRS: usize = 32;

/// Most components m whose sums are kept in registers at once.
const M_PART: usize = 13;

/// Radial integrals of one neighbour species, ready to evaluate.
#[derive(Debug, Clone)]
pub(crate) enum Radial {
    /// From a table, Eq. (8).
    Splined(RadialTable),
    /// By quadrature for each pair, Eq. (5).
    Exact(RadialIntegrals, Rows),
}

impl Radial {
    pub fn rows(&self) -> &Rows {
        match self {
            Radial::Splined(table) => &table.rows,
            Radial::Exact(_, rows) => rows,
        }
    }

    fn divided(&self) -> bool {
        match self {
            Radial::Splined(table) => table.divided,
            Radial::Exact(integrals, _) => integrals.divided_by_r_to_the_l(),
        }
    }

    #[inline(always)]
    fn values(&self, r: f64, weight: f64, values: &mut [f64]) {
        match self {
            Radial::Splined(table) => table.values(r, weight, values),
            Radial::Exact(integrals, rows) => {
                exact_rows(integrals, rows, r, values, None);
                values.iter_mut().for_each(|v| *v *= weight);
            }
        }
        if !self.divided() {
            divide(self.rows(), r, values, None);
        }
    }

    #[inline(always)]
    fn values_and_derivatives(&self, r: f64, values: &mut [f64], derivatives: &mut [f64]) {
        match self {
            Radial::Splined(table) => table.values_and_derivatives(r, values, derivatives),
            Radial::Exact(integrals, rows) => exact_rows(integrals, rows, r, values, Some(derivatives)),
        }
        if !self.divided() {
            divide(self.rows(), r, values, Some(derivatives));
        }
    }

    /// I_q0(0), which the centre itself feeds.
    pub fn at_origin(&self) -> Vec<f64> {
        let rows = self.rows();
        let mut values = vec![0.0; rows.len()];
        match self {
            Radial::Splined(table) => table.values(0.0, 1.0, &mut values),
            Radial::Exact(integrals, rows) => exact_rows(integrals, rows, 0.0, &mut values, None),
        }
        values.truncate(rows.counts[0]);
        values
    }
}

#[inline(never)]
fn exact_rows(integrals: &RadialIntegrals, rows: &Rows, r: f64, values: &mut [f64], derivatives: Option<&mut [f64]>) {
    let n = integrals.offset(integrals.l_max() + 1);
    let (mut v, mut d) = (vec![0.0; n], vec![0.0; n]);
    integrals.integrals(r, &mut v, &mut d);
    rows.pad(&v, values);
    if let Some(derivatives) = derivatives {
        rows.pad(&d, derivatives);
    }
}

/// I/r^l and its derivative from I and dI/dr.
#[inline(never)]
fn divide(rows: &Rows, r: f64, values: &mut [f64], mut derivatives: Option<&mut [f64]>) {
    for l in 1..=rows.l_max() {
        let inverse = r.powi(-(l as i32));
        for q in rows.offsets[l]..rows.offsets[l + 1] {
            values[q] *= inverse;
            if let Some(d) = &mut derivatives {
                d[q] = d[q] * inverse - l as f64 / r * values[q];
            }
        }
    }
}

/// Up to [`PAIRS`] neighbours that feed the same channels.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Number of neighbours filled in.
    pub n: usize,
    /// r_ji, in Å, eight neighbours to a vector; zero where there is none.
    pub vector: [[Lanes; PAIRS / LANES]; 3],
    /// |r_ji|, in Å.
    pub distance: [f64; PAIRS],
    /// f(r) and df/dr.
    pub weight: [(f64, f64); PAIRS],
    /// Which radial integrals.
    pub radial: [usize; PAIRS],
    /// `[batch of eight][lm][neighbour of the batch]`
    harmonics: Vec<Lanes>,
    /// `[neighbour][row]`
    values: Vec<f64>,
    derivatives: Vec<f64>,
    n_lm: usize,
}

impl Block {
    pub fn new(l_max: usize, longest_row: usize) -> Self {
        let n_lm = (l_max + 1) * (l_max + 1);
        Block {
            n: 0,
            vector: [[[0.0; LANES]; PAIRS / LANES]; 3],
            distance: [0.0; PAIRS],
            weight: [(0.0, 0.0); PAIRS],
            radial: [0; PAIRS],
            harmonics: vec![[0.0; LANES]; PAIRS / LANES * n_lm],
            values: vec![0.0; PAIRS * longest_row],
            derivatives: vec![0.0; longest_row],
            n_lm,
        }
    }

    #[inline(always)]
    fn fill_harmonics(&mut self, harmonics: &SolidHarmonics) {
        for (batch, out) in self.harmonics.chunks_exact_mut(self.n_lm).take(self.n.div_ceil(LANES)).enumerate() {
            let [x, y, z] = &self.vector;
            harmonics.evaluate_lanes(&x[batch], &y[batch], &z[batch], out);
        }
    }
}

/// Where the sums of (l, channels 8c … 8c + 7) start: `[l][c][m]`, each entry eight channels.
pub(crate) fn sums_start(rows: &Rows, l: usize, chunk: usize) -> usize {
    let before: usize = (0..l).map(|k| (2 * k + 1) * chunks(rows, k)).sum();
    before + chunk * (2 * l + 1)
}

/// Vectors of channels at this l.
pub(crate) fn chunks(rows: &Rows, l: usize) -> usize {
    (rows.offsets[l + 1] - rows.offsets[l]) / LANES
}

/// Eq. (8) for one block: `sums[l][c][m] += Σ_j f(r_j) I_l(r_j)/r_j^l · r_j^l Y_lm(r_j)`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn forward_block(
    harmonics: &SolidHarmonics,
    radials: &[Radial],
    rows: &Rows,
    block: &mut Block,
    sums: &mut [Lanes],
) {
    let row = rows.len();
    block.fill_harmonics(harmonics);
    for (j, values) in block.values.chunks_exact_mut(row).take(block.n).enumerate() {
        radials[block.radial[j]].values(block.distance[j], block.weight[j].0, values);
    }
    let mut start = 0;
    for l in 0..=rows.l_max() {
        for offset in (rows.offsets[l]..rows.offsets[l + 1]).step_by(LANES) {
            for m in (0..2 * l + 1).step_by(M_PART) {
                let part = M_PART.min(2 * l + 1 - m);
                accumulate_part(part, block, l * l + m, row, offset, &mut sums[start + m..start + m + part]);
            }
            start += 2 * l + 1;
        }
    }
}

#[inline(always)]
fn accumulate_part(part: usize, block: &Block, lm: usize, row: usize, offset: usize, sums: &mut [Lanes]) {
    match part {
        1 => accumulate::<1>(block, lm, row, offset, sums),
        2 => accumulate::<2>(block, lm, row, offset, sums),
        3 => accumulate::<3>(block, lm, row, offset, sums),
        4 => accumulate::<4>(block, lm, row, offset, sums),
        5 => accumulate::<5>(block, lm, row, offset, sums),
        6 => accumulate::<6>(block, lm, row, offset, sums),
        7 => accumulate::<7>(block, lm, row, offset, sums),
        8 => accumulate::<8>(block, lm, row, offset, sums),
        9 => accumulate::<9>(block, lm, row, offset, sums),
        10 => accumulate::<10>(block, lm, row, offset, sums),
        11 => accumulate::<11>(block, lm, row, offset, sums),
        12 => accumulate::<12>(block, lm, row, offset, sums),
        _ => accumulate::<M_PART>(block, lm, row, offset, sums),
    }
}

/// `sums[m] += Σ_j values[j][offset..offset + 8] · Y[lm + m](j)` with the M sums in registers.
#[inline(always)]
fn accumulate<const M: usize>(block: &Block, lm: usize, row: usize, offset: usize, sums: &mut [Lanes]) {
    let mut acc: [Lanes; M] = std::array::from_fn(|m| sums[m]);
    for j in 0..block.n {
        let value: &Lanes = block.values[j * row + offset..][..LANES].try_into().expect("a row is padded");
        let y: &[Lanes; M] = block.harmonics[j / LANES * block.n_lm + lm..][..M].try_into().expect("M harmonics");
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
    /// For each direction: Σ_m dE/dc_lm ∂(r^l Y_lm) as coefficients of the harmonics of l − 1: `[l ≥ 1][c][m′]`.
    pub ladder: [Vec<Lanes>; 3],
}

/// dE/dr_ji of each pair of a block, given dE/dc of the centre: the adjoint of [`forward_block`].
///
/// With s = I_l/r^l and v = Σ_m g_m r^l Y_lm, a homogeneous polynomial of degree l (so r·∇v = l v):
///
/// ```text
/// dE/dr = f Σ s ∇v + (f′ Σ s v + f Σ s′ v) r/|r|
/// ```
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn backward_block(
    harmonics: &SolidHarmonics,
    radials: &[Radial],
    rows: &Rows,
    block: &mut Block,
    gradient: &CenterGradient,
    out: &mut [[f64; 3]],
) {
    let row = rows.len();
    block.fill_harmonics(harmonics);
    for (j, out) in out.iter_mut().enumerate().take(block.n) {
        let (values, derivatives) = (&mut block.values[..row], &mut block.derivatives[..row]);
        radials[block.radial[j]].values_and_derivatives(block.distance[j], values, derivatives);
        let r: [f64; 3] = std::array::from_fn(|d| block.vector[d][j / LANES][j % LANES]);
        let y = &block.harmonics[j / LANES * block.n_lm..][..block.n_lm];
        let lane = j % LANES;
        let zero = [0.0; LANES];
        let (mut s_grad, mut s_v, mut ds_v) = ([zero; 3], zero, zero);
        for (chunk, g) in gradient.constant.iter().enumerate() {
            let of_chunk =
                |row: &[f64]| -> Lanes { row[chunk * LANES..][..LANES].try_into().expect("a row is padded") };
            add_product(&mut s_v, &of_chunk(values), g);
            add_product(&mut ds_v, &of_chunk(derivatives), g);
        }
        let mut start = 0;
        for l in 1..=rows.l_max() {
            let below = (l - 1) * (l - 1);
            let y = &y[below..below + 2 * l - 1];
            let inverse_l = 1.0 / l as f64;
            for offset in (rows.offsets[l]..rows.offsets[l + 1]).step_by(LANES) {
                let v: [Lanes; 3] =
                    std::array::from_fn(|d| contract(y, lane, &gradient.ladder[d][start..start + y.len()]));
                let s: &Lanes = values[offset..][..LANES].try_into().expect("a row is padded");
                let ds: &Lanes = derivatives[offset..][..LANES].try_into().expect("a row is padded");
                let dot: Lanes =
                    std::array::from_fn(|k| inverse_l * r[0].mul_add(v[0][k], r[1].mul_add(v[1][k], r[2] * v[2][k])));
                for d in 0..3 {
                    add_product(&mut s_grad[d], s, &v[d]);
                }
                add_product(&mut s_v, s, &dot);
                add_product(&mut ds_v, ds, &dot);
                start += y.len();
            }
        }
        let (f, df) = block.weight[j];
        let radial = (df * sum(&s_v) + f * sum(&ds_v)) / block.distance[j];
        *out = std::array::from_fn(|d| f * sum(&s_grad[d]) + radial * r[d]);
    }
}

/// Σ_m Y_m(point of this lane) g_m.
#[inline(always)]
fn contract(y: &[Lanes], lane: usize, g: &[Lanes]) -> Lanes {
    let mut v = [0.0; LANES];
    for (y, g) in y.iter().zip(g) {
        let y = y[lane];
        for k in 0..LANES {
            v[k] = y.mul_add(g[k], v[k]);
        }
    }
    v
}

#[inline(always)]
fn add_product(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for k in 0..LANES {
        sum[k] = a[k].mul_add(b[k], sum[k]);
    }
}

#[inline(always)]
fn sum(lanes: &Lanes) -> f64 {
    let [a, b, c, d, e, f, g, h] = *lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
