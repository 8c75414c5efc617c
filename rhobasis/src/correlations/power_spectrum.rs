//! Power spectrum, Eq. (15).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use multiversion::multiversion;
use ndarray::{Array2, ArrayView1};

use super::correlation::{ChannelField, Correlation, TangentInTiles};
use super::lanes::{Layout, for_l};
use super::quadratic::QuadraticForm;
use super::tiles::{DIRECTIONS, Tiles, tangent_rows};
use super::weighted_sum::WeightedSum;
use crate::density::{BlockKey, Channel, L_MAX};
use crate::simd::{LANES, Lanes};
use crate::{Error, Result};

/// Products of two coefficients of equal l, or some of them, Eq. (15):
///
/// ```text
/// p_{αβl} = (2l + 1)^(−1/2) Σ_m c_{αlm} c_{βlm},   α ≤ β,   times √2 for α ≠ β
/// ```
///
/// so that Σ p p′ is that of all pairs (α, β).
#[derive(Debug)]
pub(crate) struct PowerSpectrum {
    layout: Layout,
    /// `[l, α, β]` of each column.
    columns: Vec<[usize; 3]>,
    /// Whether these are all there are, in their own order.
    whole: bool,
    /// The columns in order, with ascending β in each stretch.
    stretches: Vec<Stretch>,
    /// Where channel β of each column stands among lanes.
    second: Vec<u32>,
    /// (2l + 1)^(−1/2), times √2 for α ≠ β.
    factor: Vec<f64>,
}

/// Consecutive columns of one l and α.
#[derive(Debug)]
struct Stretch {
    l: usize,
    alpha: usize,
    columns: Range<usize>,
}

impl PowerSpectrum {
    /// The components `[l, α, β]` asked for, or all of them: l slowest, then α, then β ≥ α.
    ///
    /// # Errors
    /// If a component does not exist, or is asked for twice.
    pub fn new(keys: &[BlockKey], channels: &[Vec<Channel>], columns: Option<&[[usize; 3]]>) -> Result<Self> {
        let layout = Layout::new(keys, channels);
        let all = |(l, &n): (usize, &usize)| (0..n).flat_map(move |a| (a..n).map(move |b| [l, a, b]));
        let whole = columns.is_none();
        let columns = match columns {
            None => layout.counts.iter().enumerate().flat_map(all).collect(),
            Some(columns) => checked(&layout, columns)?,
        };
        let mut stretches: Vec<Stretch> = Vec::new();
        for (k, &[l, alpha, beta]) in columns.iter().enumerate() {
            match stretches.last_mut() {
                Some(last) if last.l == l && last.alpha == alpha && columns[k - 1][2] < beta => {
                    last.columns.end = k + 1
                }
                _ => stretches.push(Stretch { l, alpha, columns: k..k + 1 }),
            }
        }
        let second = columns.iter().map(|&[l, _, beta]| layout.of_channel(l, beta) as u32).collect();
        let factor = columns.iter().map(|&[l, alpha, beta]| {
            let multiplicity = if alpha == beta { 1.0 } else { 2.0 };
            (multiplicity / (2 * l + 1) as f64).sqrt()
        });
        Ok(PowerSpectrum { factor: factor.collect(), layout, columns, whole, stretches, second })
    }
}

fn checked(layout: &Layout, columns: &[[usize; 3]]) -> Result<Vec<[usize; 3]>> {
    let mut seen = std::collections::HashSet::new();
    for (k, &[l, alpha, beta]) in columns.iter().enumerate() {
        let shown = || format!("[{l}, {alpha}, {beta}] (row {k})");
        let Some(&n) = layout.counts.get(l) else {
            let problem = format!("this basis ends at l_max = {}", layout.counts.len() - 1);
            return Err(Error::setting("columns", shown(), problem, "give components [l, alpha, beta] of this basis"));
        };
        if beta >= n {
            let problem = format!("l = {l} has the channels 0 to {}", n as i64 - 1);
            return Err(Error::setting("columns", shown(), problem, "give components [l, alpha, beta] of this basis"));
        }
        if alpha > beta {
            return Err(Error::setting(
                "columns",
                shown(),
                "alpha is above beta",
                format!("give [{l}, {beta}, {alpha}]"),
            ));
        }
        if !seen.insert([l, alpha, beta]) {
            return Err(Error::setting("columns", shown(), "asked for twice", "give each component once"));
        }
    }
    Ok(columns.to_vec())
}

impl Correlation for PowerSpectrum {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn n_features(&self) -> usize {
        self.columns.len()
    }

    fn columns(&self) -> Array2<usize> {
        Array2::from_shape_vec((self.columns.len(), 3), self.columns.as_flattened().to_vec()).expect("three to a row")
    }

    fn channel_fields(&self) -> &'static [ChannelField] {
        &[ChannelField { channel: 1, l: 0 }, ChannelField { channel: 2, l: 0 }]
    }

    fn forward(&self, c: &[Lanes], x: &mut [Lanes], _: &mut [Lanes]) {
        forward(self, c, x);
    }

    fn backward(&self, c: &[Lanes], _: &[Lanes], _: &[Lanes], g: &mut [Lanes], grad_c: &mut [Lanes]) {
        backward(self, c, g, grad_c);
    }

    fn tangent(&self, c: &[Lanes], _: &[Lanes], _: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
        tangent(self, c, c_dot, x_dot);
    }

    fn tangent_of_one(
        &self,
        c: &[f64],
        _: &[Lanes],
        _: &[Lanes],
        c_dot: &[Lanes],
        active: &[Range<usize>],
        x_dot: &mut [Lanes],
    ) {
        tangent_of_one(self, c, c_dot, active, x_dot);
    }

    fn in_tiles(&self) -> Option<&dyn TangentInTiles> {
        self.whole.then_some(self)
    }

    fn weighted_sum(&self, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Option<Arc<dyn WeightedSum>> {
        let form = || QuadraticForm::new(&self.layout.counts, &self.columns, weights);
        self.whole.then(|| Arc::new(form()) as Arc<dyn WeightedSum>)
    }

    fn touched(&self, active: &[Range<usize>]) -> Vec<Range<usize>> {
        let mut touched: Vec<Range<usize>> = Vec::new();
        for stretch in &self.stretches {
            let [_, within, _] = self.split(stretch, &active[stretch.l]);
            let columns = if active[stretch.l].contains(&stretch.alpha) { stretch.columns.clone() } else { within };
            match touched.last_mut() {
                Some(last) if last.end == columns.start => last.end = columns.end,
                _ if columns.is_empty() => {}
                _ => touched.push(columns),
            }
        }
        touched
    }
}

impl TangentInTiles for PowerSpectrum {
    fn tangent_in_tiles(
        &self,
        _: &[Lanes],
        _: &[Lanes],
        c: &Tiles,
        c_dot: &[Tiles; DIRECTIONS],
        active: &[Range<usize>],
        x_dot: &mut [f64],
    ) {
        tangent_rows(&self.layout, c, c_dot, active, x_dot);
    }
}

impl PowerSpectrum {
    /// The columns of a stretch whose β lies before, within and after some channels.
    fn split(&self, stretch: &Stretch, active: &Range<usize>) -> [Range<usize>; 3] {
        let Range { start, end } = stretch.columns;
        let betas = &self.columns[stretch.columns.clone()];
        let below = |bound: usize| start + betas.partition_point(|column| column[2] < bound);
        let (first, last) = (below(active.start), below(active.end));
        [start..first, first..last, last..end]
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn forward(spectrum: &PowerSpectrum, c: &[Lanes], x: &mut [Lanes]) {
    for stretch in &spectrum.stretches {
        for_l!(stretch.l, forward_stretch, (spectrum, stretch, c, x));
    }
}

/// x = Σ_m a_m b_m for the columns of a stretch.
#[inline(always)]
fn forward_stretch<const M: usize>(spectrum: &PowerSpectrum, stretch: &Stretch, c: &[Lanes], x: &mut [Lanes]) {
    let n_m = if M > 0 { M } else { 2 * stretch.l + 1 };
    let a = &c[spectrum.layout.of_channel(stretch.l, stretch.alpha)..][..n_m];
    let columns = stretch.columns.clone();
    let (second, factor) = (&spectrum.second[columns.clone()], &spectrum.factor[columns.clone()]);
    for ((x, &second), factor) in x[columns].iter_mut().zip(second).zip(factor) {
        let b = &c[second as usize..][..n_m];
        let mut sum = [0.0; LANES];
        for m in 0..n_m {
            for k in 0..LANES {
                sum[k] = a[m][k].mul_add(b[m][k], sum[k]);
            }
        }
        *x = sum.map(|sum| sum * factor);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn backward(spectrum: &PowerSpectrum, c: &[Lanes], g: &[Lanes], grad_c: &mut [Lanes]) {
    grad_c.fill([0.0; LANES]);
    for stretch in &spectrum.stretches {
        for_l!(stretch.l, backward_stretch, (spectrum, stretch, c, g, grad_c));
    }
}

/// dE/da_m += Σ g b_m and dE/db_m += g a_m over the columns of a stretch.
#[inline(always)]
fn backward_stretch<const M: usize>(
    spectrum: &PowerSpectrum,
    stretch: &Stretch,
    c: &[Lanes],
    g: &[Lanes],
    grad_c: &mut [Lanes],
) {
    let n_m = if M > 0 { M } else { 2 * stretch.l + 1 };
    let first = spectrum.layout.of_channel(stretch.l, stretch.alpha);
    let a = &c[first..][..n_m];
    // Of the largest l there is: 2 L_MAX + 1.
    let mut of_a = [[0.0; LANES]; 2 * L_MAX + 1];
    let of_a = &mut of_a[..n_m];
    let columns = stretch.columns.clone();
    let (second, factor) = (&spectrum.second[columns.clone()], &spectrum.factor[columns.clone()]);
    for ((g, &second), factor) in g[columns].iter().zip(second).zip(factor) {
        let g = g.map(|x| x * factor);
        let (b, of_b) = (&c[second as usize..][..n_m], &mut grad_c[second as usize..][..n_m]);
        for m in 0..n_m {
            for k in 0..LANES {
                of_a[m][k] = g[k].mul_add(b[m][k], of_a[m][k]);
                of_b[m][k] = g[k].mul_add(a[m][k], of_b[m][k]);
            }
        }
    }
    for (grad_c, of_a) in grad_c[first..].iter_mut().zip(of_a) {
        for k in 0..LANES {
            grad_c[k] += of_a[k];
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn tangent(spectrum: &PowerSpectrum, c: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
    for stretch in &spectrum.stretches {
        let columns = stretch.columns.clone();
        for_l!(stretch.l, tangent_stretch, (spectrum, stretch, columns, c, c_dot, x_dot));
    }
}

/// x_dot = Σ_m da_m b_m + a_m db_m for the columns of a stretch.
#[inline(always)]
fn tangent_stretch<const M: usize>(
    spectrum: &PowerSpectrum,
    stretch: &Stretch,
    columns: Range<usize>,
    c: &[Lanes],
    c_dot: &[Lanes],
    x_dot: &mut [Lanes],
) {
    let n_m = if M > 0 { M } else { 2 * stretch.l + 1 };
    let first = spectrum.layout.of_channel(stretch.l, stretch.alpha);
    let (a, da) = (&c[first..][..n_m], &c_dot[first..][..n_m]);
    let (second, factor) = (&spectrum.second[columns.clone()], &spectrum.factor[columns.clone()]);
    for ((x_dot, &second), factor) in x_dot[columns].iter_mut().zip(second).zip(factor) {
        let (b, db) = (&c[second as usize..][..n_m], &c_dot[second as usize..][..n_m]);
        let mut sum = [0.0; LANES];
        for m in 0..n_m {
            for k in 0..LANES {
                sum[k] = da[m][k].mul_add(b[m][k], sum[k]);
                sum[k] = a[m][k].mul_add(db[m][k], sum[k]);
            }
        }
        *x_dot = sum.map(|x| x * factor);
    }
}

/// The columns of a stretch along directions in which the channels `active` alone change, around one centre.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn tangent_of_one(spectrum: &PowerSpectrum, c: &[f64], c_dot: &[Lanes], active: &[Range<usize>], x_dot: &mut [Lanes]) {
    for stretch in &spectrum.stretches {
        let first = active[stretch.l].contains(&stretch.alpha);
        let [before, within, after] = spectrum.split(stretch, &active[stretch.l]);
        if first {
            for_l!(stretch.l, first_changes, (spectrum, stretch, before, c, c_dot, x_dot));
            for_l!(stretch.l, both_change, (spectrum, stretch, within, c, c_dot, x_dot));
            for_l!(stretch.l, first_changes, (spectrum, stretch, after, c, c_dot, x_dot));
        } else {
            for_l!(stretch.l, second_changes, (spectrum, stretch, within, c, c_dot, x_dot));
        }
    }
}

/// x_dot = Σ_m da_m b_m + a_m db_m for some columns of a stretch, of one centre; without the terms that are zero.
#[inline(always)]
fn tangent_of_stretch<const M: usize, const FIRST: bool, const SECOND: bool>(
    spectrum: &PowerSpectrum,
    stretch: &Stretch,
    columns: Range<usize>,
    c: &[f64],
    c_dot: &[Lanes],
    x_dot: &mut [Lanes],
) {
    let n_m = if M > 0 { M } else { 2 * stretch.l + 1 };
    let first = spectrum.layout.of_channel(stretch.l, stretch.alpha);
    let (a, da) = (&c[first..][..n_m], &c_dot[first..][..n_m]);
    let (second, factor) = (&spectrum.second[columns.clone()], &spectrum.factor[columns.clone()]);
    for ((x_dot, &second), factor) in x_dot[columns].iter_mut().zip(second).zip(factor) {
        let (b, db) = (&c[second as usize..][..n_m], &c_dot[second as usize..][..n_m]);
        let mut sum = [0.0; LANES];
        for m in 0..n_m {
            for k in 0..LANES {
                if FIRST {
                    sum[k] = da[m][k].mul_add(b[m], sum[k]);
                }
                if SECOND {
                    sum[k] = a[m].mul_add(db[m][k], sum[k]);
                }
            }
        }
        *x_dot = sum.map(|x| x * factor);
    }
}

#[inline(always)]
fn first_changes<const M: usize>(
    s: &PowerSpectrum,
    stretch: &Stretch,
    columns: Range<usize>,
    c: &[f64],
    c_dot: &[Lanes],
    x_dot: &mut [Lanes],
) {
    tangent_of_stretch::<M, true, false>(s, stretch, columns, c, c_dot, x_dot);
}

#[inline(always)]
fn second_changes<const M: usize>(
    s: &PowerSpectrum,
    stretch: &Stretch,
    columns: Range<usize>,
    c: &[f64],
    c_dot: &[Lanes],
    x_dot: &mut [Lanes],
) {
    tangent_of_stretch::<M, false, true>(s, stretch, columns, c, c_dot, x_dot);
}

#[inline(always)]
fn both_change<const M: usize>(
    s: &PowerSpectrum,
    stretch: &Stretch,
    columns: Range<usize>,
    c: &[f64],
    c_dot: &[Lanes],
    x_dot: &mut [Lanes],
) {
    tangent_of_stretch::<M, true, true>(s, stretch, columns, c, c_dot, x_dot);
}
