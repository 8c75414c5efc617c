//! Power spectrum, Eq. (15).

use std::ops::Range;

use multiversion::multiversion;
use ndarray::Array2;

use super::invariants::Correlation;
use super::lanes::Layout;
use crate::density::{Channel, L_MAX, LANES, Lanes};
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
    pub(super) layout: Layout,
    /// `[l, α, β]` of each column.
    columns: Vec<[usize; 3]>,
    /// Whether these are all there are, in their own order.
    whole: bool,
    /// Consecutive columns of one l and α, with ascending β.
    runs: Vec<Run>,
    /// Where channel β of each column stands among lanes.
    second: Vec<u32>,
    /// (2l + 1)^(−1/2), times √2 for α ≠ β.
    factor: Vec<f64>,
}

#[derive(Debug)]
struct Run {
    l: usize,
    alpha: usize,
    columns: Range<usize>,
}

impl PowerSpectrum {
    /// The components `[l, α, β]` asked for, or all of them: l slowest, then α, then β ≥ α.
    ///
    /// # Errors
    /// If a component does not exist, or is asked for twice.
    pub fn new(channels: &[Vec<Channel>], columns: Option<&[[usize; 3]]>) -> Result<Self> {
        let layout = Layout::new(channels);
        let all = |(l, &n): (usize, &usize)| (0..n).flat_map(move |a| (a..n).map(move |b| [l, a, b]));
        let whole = columns.is_none();
        let columns = match columns {
            None => layout.counts.iter().enumerate().flat_map(all).collect(),
            Some(columns) => checked(&layout, columns)?,
        };
        let mut runs: Vec<Run> = Vec::new();
        for (k, &[l, alpha, beta]) in columns.iter().enumerate() {
            match runs.last_mut() {
                Some(run) if run.l == l && run.alpha == alpha && columns[k - 1][2] < beta => run.columns.end = k + 1,
                _ => runs.push(Run { l, alpha, columns: k..k + 1 }),
            }
        }
        let second = columns.iter().map(|&[l, _, beta]| layout.of_channel(l, beta) as u32).collect();
        let factor = columns.iter().map(|&[l, alpha, beta]| {
            let multiplicity = if alpha == beta { 1.0 } else { 2.0 };
            (multiplicity / (2 * l + 1) as f64).sqrt()
        });
        Ok(PowerSpectrum { factor: factor.collect(), layout, columns, whole, runs, second })
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

    fn forward(&self, c: &[Lanes], p: &mut [Lanes]) {
        forward(self, c, p);
    }

    fn backward(&self, c: &[Lanes], g: &[Lanes], dc: &mut [Lanes]) {
        backward(self, c, g, dc);
    }

    fn tangent(&self, c: &[Lanes], dc: &[Lanes], dp: &mut [Lanes]) {
        tangent(self, c, dc, dp);
    }

    fn tangent_of_one(&self, c: &[f64], dc: &[Lanes], active: &[Range<usize>], dp: &mut [Lanes]) {
        tangent_of_one(self, c, dc, active, dp);
    }

    fn whole_power_spectrum(&self) -> Option<&PowerSpectrum> {
        if self.whole { Some(self) } else { None }
    }

    fn touched(&self, active: &[Range<usize>]) -> Vec<Range<usize>> {
        let mut touched: Vec<Range<usize>> = Vec::new();
        for run in &self.runs {
            let [_, within, _] = self.split(run, &active[run.l]);
            let columns = if active[run.l].contains(&run.alpha) { run.columns.clone() } else { within };
            match touched.last_mut() {
                Some(last) if last.end == columns.start => last.end = columns.end,
                _ if columns.is_empty() => {}
                _ => touched.push(columns),
            }
        }
        touched
    }
}

impl PowerSpectrum {
    /// The columns of a run whose β lies before, within and after some channels.
    fn split(&self, run: &Run, active: &Range<usize>) -> [Range<usize>; 3] {
        let Range { start, end } = run.columns;
        let betas = &self.columns[run.columns.clone()];
        let below = |bound: usize| start + betas.partition_point(|column| column[2] < bound);
        let (first, last) = (below(active.start), below(active.end));
        [start..first, first..last, last..end]
    }
}

/// Calls a function that is compiled for the number M of m of each small l; M = 0 stands for larger l.
macro_rules! for_l {
    ($l:expr, $function:ident, ($($argument:expr),*)) => {
        match $l {
            0 => $function::<1>($($argument),*),
            1 => $function::<3>($($argument),*),
            2 => $function::<5>($($argument),*),
            3 => $function::<7>($($argument),*),
            4 => $function::<9>($($argument),*),
            5 => $function::<11>($($argument),*),
            6 => $function::<13>($($argument),*),
            _ => $function::<0>($($argument),*),
        }
    };
}
pub(super) use for_l;

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn forward(spectrum: &PowerSpectrum, c: &[Lanes], p: &mut [Lanes]) {
    for run in &spectrum.runs {
        for_l!(run.l, forward_run, (spectrum, run, c, p));
    }
}

/// p = Σ_m a_m b_m for the columns of a run.
#[inline(always)]
fn forward_run<const M: usize>(spectrum: &PowerSpectrum, run: &Run, c: &[Lanes], p: &mut [Lanes]) {
    let n_m = if M > 0 { M } else { 2 * run.l + 1 };
    let a = &c[spectrum.layout.of_channel(run.l, run.alpha)..][..n_m];
    let columns = run.columns.clone();
    let (second, factor) = (&spectrum.second[columns.clone()], &spectrum.factor[columns.clone()]);
    for ((p, &second), factor) in p[columns].iter_mut().zip(second).zip(factor) {
        let b = &c[second as usize..][..n_m];
        let mut sum = [0.0; LANES];
        for m in 0..n_m {
            for k in 0..LANES {
                sum[k] = a[m][k].mul_add(b[m][k], sum[k]);
            }
        }
        *p = sum.map(|x| x * factor);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn backward(spectrum: &PowerSpectrum, c: &[Lanes], g: &[Lanes], dc: &mut [Lanes]) {
    dc.fill([0.0; LANES]);
    for run in &spectrum.runs {
        for_l!(run.l, backward_run, (spectrum, run, c, g, dc));
    }
}

/// dE/da_m += Σ g b_m and dE/db_m += g a_m over the columns of a run.
#[inline(always)]
fn backward_run<const M: usize>(spectrum: &PowerSpectrum, run: &Run, c: &[Lanes], g: &[Lanes], dc: &mut [Lanes]) {
    let n_m = if M > 0 { M } else { 2 * run.l + 1 };
    let first = spectrum.layout.of_channel(run.l, run.alpha);
    let a = &c[first..][..n_m];
    // Of the largest l there is: 2 L_MAX + 1.
    let mut of_a = [[0.0; LANES]; 2 * L_MAX + 1];
    let of_a = &mut of_a[..n_m];
    let columns = run.columns.clone();
    let (second, factor) = (&spectrum.second[columns.clone()], &spectrum.factor[columns.clone()]);
    for ((g, &second), factor) in g[columns].iter().zip(second).zip(factor) {
        let g = g.map(|x| x * factor);
        let (b, of_b) = (&c[second as usize..][..n_m], &mut dc[second as usize..][..n_m]);
        for m in 0..n_m {
            for k in 0..LANES {
                of_a[m][k] = g[k].mul_add(b[m][k], of_a[m][k]);
                of_b[m][k] = g[k].mul_add(a[m][k], of_b[m][k]);
            }
        }
    }
    for (dc, of_a) in dc[first..].iter_mut().zip(of_a) {
        for k in 0..LANES {
            dc[k] += of_a[k];
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn tangent(spectrum: &PowerSpectrum, c: &[Lanes], dc: &[Lanes], dp: &mut [Lanes]) {
    for run in &spectrum.runs {
        let columns = run.columns.clone();
        for_l!(run.l, tangent_run, (spectrum, run, columns, c, dc, dp));
    }
}

/// dp = Σ_m da_m b_m + a_m db_m for the columns of a run.
#[inline(always)]
fn tangent_run<const M: usize>(
    spectrum: &PowerSpectrum,
    run: &Run,
    columns: Range<usize>,
    c: &[Lanes],
    dc: &[Lanes],
    dp: &mut [Lanes],
) {
    let n_m = if M > 0 { M } else { 2 * run.l + 1 };
    let first = spectrum.layout.of_channel(run.l, run.alpha);
    let (a, da) = (&c[first..][..n_m], &dc[first..][..n_m]);
    let (second, factor) = (&spectrum.second[columns.clone()], &spectrum.factor[columns.clone()]);
    for ((dp, &second), factor) in dp[columns].iter_mut().zip(second).zip(factor) {
        let (b, db) = (&c[second as usize..][..n_m], &dc[second as usize..][..n_m]);
        let mut sum = [0.0; LANES];
        for m in 0..n_m {
            for k in 0..LANES {
                sum[k] = da[m][k].mul_add(b[m][k], sum[k]);
                sum[k] = a[m][k].mul_add(db[m][k], sum[k]);
            }
        }
        *dp = sum.map(|x| x * factor);
    }
}

/// The columns of a run along directions in which the channels `active` alone change, around one centre.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn tangent_of_one(spectrum: &PowerSpectrum, c: &[f64], dc: &[Lanes], active: &[Range<usize>], dp: &mut [Lanes]) {
    for run in &spectrum.runs {
        let first = active[run.l].contains(&run.alpha);
        let [before, within, after] = spectrum.split(run, &active[run.l]);
        if first {
            for_l!(run.l, first_changes, (spectrum, run, before, c, dc, dp));
            for_l!(run.l, both_change, (spectrum, run, within, c, dc, dp));
            for_l!(run.l, first_changes, (spectrum, run, after, c, dc, dp));
        } else {
            for_l!(run.l, second_changes, (spectrum, run, within, c, dc, dp));
        }
    }
}

/// dp = Σ_m da_m b_m + a_m db_m for some columns of a run, of one centre; without the terms that are zero.
#[inline(always)]
fn tangent_run_of_one<const M: usize, const FIRST: bool, const SECOND: bool>(
    spectrum: &PowerSpectrum,
    run: &Run,
    columns: Range<usize>,
    c: &[f64],
    dc: &[Lanes],
    dp: &mut [Lanes],
) {
    let n_m = if M > 0 { M } else { 2 * run.l + 1 };
    let first = spectrum.layout.of_channel(run.l, run.alpha);
    let (a, da) = (&c[first..][..n_m], &dc[first..][..n_m]);
    let (second, factor) = (&spectrum.second[columns.clone()], &spectrum.factor[columns.clone()]);
    for ((dp, &second), factor) in dp[columns].iter_mut().zip(second).zip(factor) {
        let (b, db) = (&c[second as usize..][..n_m], &dc[second as usize..][..n_m]);
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
        *dp = sum.map(|x| x * factor);
    }
}

#[inline(always)]
fn first_changes<const M: usize>(
    s: &PowerSpectrum,
    run: &Run,
    columns: Range<usize>,
    c: &[f64],
    dc: &[Lanes],
    dp: &mut [Lanes],
) {
    tangent_run_of_one::<M, true, false>(s, run, columns, c, dc, dp);
}

#[inline(always)]
fn second_changes<const M: usize>(
    s: &PowerSpectrum,
    run: &Run,
    columns: Range<usize>,
    c: &[f64],
    dc: &[Lanes],
    dp: &mut [Lanes],
) {
    tangent_run_of_one::<M, false, true>(s, run, columns, c, dc, dp);
}

#[inline(always)]
fn both_change<const M: usize>(
    s: &PowerSpectrum,
    run: &Run,
    columns: Range<usize>,
    c: &[f64],
    dc: &[Lanes],
    dp: &mut [Lanes],
) {
    tangent_run_of_one::<M, true, true>(s, run, columns, c, dc, dp);
}
