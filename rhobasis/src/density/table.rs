//! Radial integrals as cubic Hermite splines with a guaranteed largest error.

use multiversion::multiversion;
use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;

use super::radial::RadialIntegrals;
use crate::simd::{Aligned, LANES, Lanes};
use crate::{Error, Result};

/// Knots beyond which tabulating is given up.
const MAX_KNOTS: usize = 20_000;

/// Where the functions of each l stand in a row: contiguous, each l padded to whole vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Functions per l.
    pub counts: Vec<usize>,
    /// First number of each l, a multiple of [`LANES`]; the last entry is the length of a row.
    pub offsets: Vec<usize>,
    /// What is summed over neighbours together.
    pub parts: Vec<Part>,
    /// Length of a row without padding between l, where functions are so few that neighbours are in lanes; else 0.
    in_lanes: usize,
}

/// Eight channels of one l, and some of its components m.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// First channel in a row.
    pub offset: usize,
    /// First component among the harmonics.
    pub lm: usize,
    /// First component among the sums `[l][c][m]`.
    pub sum: usize,
    /// Number of components.
    pub n_m: usize,
}

/// Functions of each l up to which vectors hold neighbours rather than channels.
pub(crate) const FEW: usize = 2;

/// Most components m of a [`Part`]: there are 32 vector registers for their sums, a value and what else is needed.
pub(crate) const M_PART: usize = 13;

impl Rows {
    pub fn new(counts: Vec<usize>) -> Self {
        let mut offsets = vec![0];
        for count in &counts {
            offsets.push(offsets[offsets.len() - 1] + count.next_multiple_of(LANES));
        }
        let (mut parts, mut sum) = (Vec::new(), 0);
        for l in 0..counts.len() {
            for offset in (offsets[l]..offsets[l + 1]).step_by(LANES) {
                for m in (0..2 * l + 1).step_by(M_PART) {
                    parts.push(Part { offset, lm: l * l + m, sum: sum + m, n_m: M_PART.min(2 * l + 1 - m) });
                }
                sum += 2 * l + 1;
            }
        }
        Rows { counts, offsets, parts, in_lanes: 0 }
    }

    /// The same for a table, of which few functions are summed with neighbours in lanes.
    fn of_table(counts: Vec<usize>, divided: bool) -> Self {
        let few = divided && counts.iter().all(|&count| count <= FEW);
        let in_lanes = if few { counts.iter().sum::<usize>().next_multiple_of(LANES) } else { 0 };
        Rows { in_lanes, ..Rows::new(counts) }
    }

    /// Length of a row without padding between l; 0 unless neighbours are in lanes.
    #[inline(always)]
    pub fn in_lanes(&self) -> usize {
        self.in_lanes
    }

    pub fn of(integrals: &RadialIntegrals) -> Self {
        Rows::new((0..=integrals.l_max()).map(|l| integrals.n_functions(l)).collect())
    }

    /// Numbers per row, padding included.
    pub fn len(&self) -> usize {
        self.offsets[self.offsets.len() - 1]
    }

    pub fn l_max(&self) -> usize {
        self.counts.len() - 1
    }

    /// Spreads numbers in the flat order (l, n) of [`RadialIntegrals`] over a padded row.
    pub fn pad(&self, flat: &[f64], row: &mut [f64]) {
        let mut start = 0;
        for (&count, place) in self.counts.iter().zip(self.offsets.windows(2)) {
            row[place[0]..place[0] + count].copy_from_slice(&flat[start..start + count]);
            row[place[0] + count..place[1]].fill(0.0);
            start += count;
        }
    }
}

/// Largest errors of a table, found on a grid 8 times finer than its knots.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SplineError {
    /// Of I, relative to the largest |I| of its channel on \[0, r_cut\], beyond the rounding of the integrals themselves
    /// (1e-14 of the largest of all channels).
    pub value: f64,
    /// Of dI/dr, times r_cut, relative to the same.
    pub derivative: f64,
}

/// One neighbour species' radial integrals on uniform knots over \[0, r_cut\].
///
/// Stored is I_nl(r)/r^l, which is smooth at the origin and goes with solid harmonics (`divided`), or I_nl itself
/// for the δ density in a basis whose functions do not vanish as r^l. Between knots k and k+1, with
/// t = (r − r_k)/h:
///
/// ```text
/// S(t) = (2t³ − 3t² + 1) v_k + (t³ − 2t² + t) h v′_k + (3t² − 2t³) v_{k+1} + (t³ − t²) h v′_{k+1}
/// ```
#[derive(Debug, Clone)]
pub struct RadialTable {
    pub(crate) rows: Rows,
    pub(crate) divided: bool,
    n_knots: usize,
    step: f64,
    /// `[knot][value, derivative][row]`
    data: Aligned,
    /// The same without padding between l, where neighbours are in lanes.
    compact: Aligned,
}

impl RadialTable {
    /// Builds the table from exact integrals at `n_knots` uniform knots.
    fn sample(integrals: &RadialIntegrals, r_cut: f64, n_knots: usize) -> Self {
        let divided = integrals.divided_by_r_to_the_l();
        let rows = Rows::of_table(Rows::of(integrals).counts, divided);
        let step = r_cut / (n_knots - 1) as f64;
        let row = rows.len();
        let mut data = Aligned::zeros(n_knots * 2 * row);
        data.par_chunks_mut((2 * row).max(1)).enumerate().for_each(|(k, knot)| {
            // Rounding must not put the last knot beyond r_cut, where Laplacian eigenstates have ended.
            let (values, derivatives) = exact(integrals, (step * k as f64).min(r_cut));
            let (v, d) = knot.split_at_mut(row);
            rows.pad(&values, v);
            rows.pad(&derivatives, d);
        });
        RadialTable { compact: compact(&rows, &data), rows, divided, n_knots, step, data }
    }

    /// The table as arrays `[knot, (value, derivative), q]`, one for each l; derivatives in 1/Å.
    pub fn array(&self, l: usize) -> Array3<f64> {
        let (offset, row) = (self.rows.offsets[l], self.rows.len());
        Array3::from_shape_fn((self.n_knots(), 2, self.rows.counts[l]), |(k, d, q)| {
            self.data[(2 * k + d) * row + offset + q]
        })
    }

    /// The inverse of [`RadialTable::array`].
    pub fn from_arrays(r_cut: f64, arrays: &[ArrayView3<f64>], divided: bool) -> Self {
        let rows = Rows::of_table(arrays.iter().map(|a| a.dim().2).collect(), divided);
        let n_knots = arrays[0].dim().0;
        let step = r_cut / (n_knots - 1) as f64;
        let row = rows.len();
        let mut data = Aligned::zeros(n_knots * 2 * row);
        for (l, array) in arrays.iter().enumerate() {
            for ((k, d, q), value) in array.indexed_iter() {
                data[(2 * k + d) * row + rows.offsets[l] + q] = *value;
            }
        }
        RadialTable { compact: compact(&rows, &data), rows, divided, n_knots, step, data }
    }

    /// Whether I_nl(r)/r^l is stored, rather than I_nl(r).
    pub fn is_divided(&self) -> bool {
        self.divided
    }

    /// Number of knots.
    pub fn n_knots(&self) -> usize {
        self.n_knots
    }

    /// Uniform knots in Å, from 0 to r_cut.
    pub fn knots(&self) -> Vec<f64> {
        (0..self.n_knots()).map(|k| self.step * k as f64).collect()
    }

    /// The four rows around r (value, slope, value, slope) and the place t between them.
    #[inline(always)]
    fn bracket(&self, r: f64) -> (&[f64], f64) {
        self.bracket_in(&self.data, self.rows.len(), r)
    }

    #[inline(always)]
    fn bracket_in<'a>(&self, data: &'a [f64], row: usize, r: f64) -> (&'a [f64], f64) {
        let x = r / self.step;
        let k = (x as usize).min(self.n_knots - 2);
        (&data[2 * k * row..(2 * k + 4) * row], x - k as f64)
    }

    /// [`RadialTable::values`] without padding between l.
    #[inline(always)]
    pub(crate) fn compact_values(&self, r: f64, weight: f64, out: &mut [f64]) {
        let (rows, t) = self.bracket_in(&self.compact, self.rows.in_lanes, r);
        combine(rows, self.rows.in_lanes, hermite(t, self.step).map(|h| h * weight), out);
    }

    /// [`RadialTable::slopes`] without padding between l.
    #[inline(always)]
    pub(crate) fn compact_slopes(&self, r: f64, [f, of_value, of_slope]: [f64; 3], [values, slopes]: [&mut [f64]; 2]) {
        let row = self.rows.in_lanes;
        let (rows, t) = self.bracket_in(&self.compact, row, r);
        let (h, dh) = (hermite(t, self.step), hermite_slope(t, self.step));
        combine(rows, row, h.map(|h| h * f), values);
        combine(rows, row, std::array::from_fn(|k| of_value.mul_add(h[k], of_slope * dh[k])), slopes);
    }

    /// `weight` · S(r), for a whole row.
    #[inline(always)]
    pub(crate) fn values(&self, r: f64, weight: f64, out: &mut [f64]) {
        let (rows, t) = self.bracket(r);
        combine(rows, self.rows.len(), hermite(t, self.step).map(|h| h * weight), out);
    }

    /// S(r) and dS/dr, for a whole row.
    #[inline(always)]
    pub(crate) fn values_and_derivatives(&self, r: f64, values: &mut [f64], derivatives: &mut [f64]) {
        let (rows, t) = self.bracket(r);
        combine(rows, self.rows.len(), hermite(t, self.step), values);
        combine(rows, self.rows.len(), hermite_slope(t, self.step), derivatives);
    }

    /// `of_value` · S(r) + `of_derivative` · dS/dr beside `weight` · S(r).
    #[inline(always)]
    pub(crate) fn slopes(
        &self,
        r: f64,
        weight: f64,
        of_value: f64,
        of_derivative: f64,
        values: &mut [f64],
        slopes: &mut [f64],
    ) {
        let (rows, t) = self.bracket(r);
        let (h, dh) = (hermite(t, self.step), hermite_slope(t, self.step));
        combine(rows, self.rows.len(), h.map(|h| h * weight), values);
        let weights = std::array::from_fn(|k| of_value.mul_add(h[k], of_derivative * dh[k]));
        combine(rows, self.rows.len(), weights, slopes);
    }

    /// Largest errors against the exact integrals on a grid 8 times finer than the knots. See [`SplineError`].
    fn error(&self, integrals: &RadialIntegrals, r_cut: f64) -> SplineError {
        let row = self.rows.len();
        let n = 8 * (self.n_knots() - 1);
        // Per channel: largest |I|, largest error of I and of dI/dr; joined by maximum, which has no order.
        let none = || vec![[0.0_f64; 3]; row];
        let worst = (0..=n)
            .into_par_iter()
            .fold(none, |mut worst, point| {
                let r = (r_cut * point as f64 / n as f64).min(r_cut);
                let (values, derivatives) = exact(integrals, r);
                let (mut v, mut d) = (vec![0.0; row], vec![0.0; row]);
                self.rows.pad(&values, &mut v);
                self.rows.pad(&derivatives, &mut d);
                let (mut s, mut ds) = (vec![0.0; row], vec![0.0; row]);
                at(self, r, &mut s, &mut ds);
                for l in 0..=self.rows.l_max() {
                    let power = if self.divided { l as i32 } else { 0 };
                    let r_l = r.powi(power);
                    let slope_of_r_l = if power == 0 { 0.0 } else { power as f64 * r.powi(power - 1) };
                    for q in self.rows.offsets[l]..self.rows.offsets[l] + self.rows.counts[l] {
                        let slope_error = (ds[q] - d[q]) * r_l + (s[q] - v[q]) * slope_of_r_l;
                        let here = [(v[q] * r_l).abs(), ((s[q] - v[q]) * r_l).abs(), slope_error.abs()];
                        worst[q] = std::array::from_fn(|k| worst[q][k].max(here[k]));
                    }
                }
                worst
            })
            .reduce(none, |mut a, b| {
                a.iter_mut().zip(b).for_each(|(x, y)| *x = std::array::from_fn(|k| x[k].max(y[k])));
                a
            });
        // Integrals are sums with rounding of their own: a channel far below the largest is known no better than this.
        let rounding = 1e-14 * worst.iter().map(|w| w[0]).fold(0.0, f64::max);
        let largest_ratio = |k: usize, unit: f64| {
            worst.iter().filter(|w| w[0] > 0.0).map(|w| (w[k] - rounding).max(0.0) * unit / w[0]).fold(0.0, f64::max)
        };
        SplineError { value: largest_ratio(1, 1.0), derivative: largest_ratio(2, r_cut) }
    }
}

/// Tables on common knots, fine enough that no integral is off by more than `accuracy` of its channel's largest value.
///
/// The error of a cubic Hermite spline falls as h⁴, which tells the next number of knots to try.
///
/// # Errors
/// If 20,000 knots do not suffice.
pub fn tabulate(integrals: &[RadialIntegrals], r_cut: f64, accuracy: f64) -> Result<(Vec<RadialTable>, SplineError)> {
    let mut n_knots = 65;
    loop {
        let tables: Vec<RadialTable> = integrals.iter().map(|i| RadialTable::sample(i, r_cut, n_knots)).collect();
        let mut error = SplineError { value: 0.0, derivative: 0.0 };
        for (table, exact) in tables.iter().zip(integrals) {
            let here = table.error(exact, r_cut);
            error.value = error.value.max(here.value);
            error.derivative = error.derivative.max(here.derivative);
        }
        if let Some(table) = tables.iter().find(|t| t.data.iter().any(|x| !x.is_finite())) {
            return Err(Error::setting(
                "r_cut",
                r_cut,
                format!("a radial integral of {} functions is not finite", table.rows.counts.iter().sum::<usize>()),
                "use a larger sigma, or a smaller l_max",
            ));
        }
        if error.value <= accuracy {
            return Ok((tables, error));
        }
        let predicted = (error.value / accuracy).powf(0.25) * 1.03;
        n_knots = (((n_knots - 1) as f64 * predicted.clamp(1.05, 16.0)).ceil()) as usize + 1;
        if n_knots > MAX_KNOTS {
            return Err(Error::setting(
                "spline_accuracy",
                accuracy,
                format!("not reached: error {:.1e} with {} knots", error.value, tables[0].n_knots()),
                "use a larger value, or a larger sigma",
            ));
        }
    }
}

/// Rows `[knot][value, derivative]` without padding between l, where neighbours are in lanes; else nothing.
fn compact(rows: &Rows, data: &[f64]) -> Aligned {
    let (from, to) = (rows.len(), rows.in_lanes);
    if to == 0 {
        return Aligned::default();
    }
    let mut compact = Aligned::zeros(data.len() / from * to);
    for (from, to) in data.chunks_exact(from).zip(compact.chunks_exact_mut(to)) {
        let functions = rows.counts.iter().zip(&rows.offsets).flat_map(|(&count, &offset)| offset..offset + count);
        to.iter_mut().zip(functions).for_each(|(to, place)| *to = from[place]);
    }
    compact
}

/// [`RadialTable::values_and_derivatives`] for callers that are not compiled for the processor themselves: a fused
/// multiplication and addition that the processor is not known to have is a call of a function.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn at(table: &RadialTable, r: f64, values: &mut [f64], derivatives: &mut [f64]) {
    table.values_and_derivatives(r, values, derivatives);
}

fn exact(integrals: &RadialIntegrals, r: f64) -> (Vec<f64>, Vec<f64>) {
    let n = integrals.offset(integrals.l_max() + 1);
    let (mut values, mut derivatives) = (vec![0.0; n], vec![0.0; n]);
    integrals.integrals(r, &mut values, &mut derivatives);
    (values, derivatives)
}

/// Weights of v_k, v′_k, v_{k+1}, v′_{k+1} in S(t), knots h apart.
#[inline(always)]
fn hermite(t: f64, h: f64) -> [f64; 4] {
    let (t2, t3) = (t * t, t * t * t);
    let h01 = 3.0 * t2 - 2.0 * t3;
    [1.0 - h01, h * (t3 - 2.0 * t2 + t), h01, h * (t3 - t2)]
}

/// The same in dS/dr.
#[inline(always)]
fn hermite_slope(t: f64, h: f64) -> [f64; 4] {
    let h01 = 6.0 * (t - t * t) / h;
    [-h01, 3.0 * t * t - 4.0 * t + 1.0, h01, 3.0 * t * t - 2.0 * t]
}

/// out = Σ_k h_k rows_k, over rows of `row` numbers, a multiple of [`LANES`].
#[inline(always)]
fn combine(rows: &[f64], row: usize, h: [f64; 4], out: &mut [f64]) {
    let (v0, rest) = rows.split_at(row);
    let (d0, rest) = rest.split_at(row);
    let (v1, d1) = rest.split_at(row);
    let (d1, out) = (&d1[..row], &mut out[..row]);
    for q in (0..row).step_by(LANES) {
        let lanes = |x: &[f64]| -> Lanes { x[q..q + LANES].try_into().expect("a row is padded") };
        let (v0, d0, v1, d1) = (lanes(v0), lanes(d0), lanes(v1), lanes(d1));
        let sum: Lanes =
            std::array::from_fn(|k| h[0].mul_add(v0[k], h[1].mul_add(d0[k], h[2].mul_add(v1[k], h[3] * d1[k]))));
        out[q..q + LANES].copy_from_slice(&sum);
    }
}
