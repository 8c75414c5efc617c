//! Bispectrum: the invariants of three neighbours, Eq. (16) for ν = 3 and λ = 0.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use multiversion::multiversion;
use ndarray::{Array2, ArrayView1};

use super::clebsch_gordan::{Coupling, L_MAX_COUPLED, clebsch_gordan};
use super::correlation::{ChannelField, Correlation};
use super::couplings::{Buffer, Couplings};
use super::lanes::{Layout, for_l};
use super::sum_of_features::SumOfFeatures;
use super::weighted_sum::WeightedSum;
use crate::density::{BlockKey, Channel};
use crate::simd::{Aligned, LANES, Lanes, add_product};
use crate::{Error, Result};

/// Products of three coefficients that turn into a number, for l1 + l2 + l3 even (they do not change under inversion):
///
/// ```text
/// B = (2 l3 + 1)^(−1/2) Σ_{m1 m2 m3} ⟨l1 m1; l2 m2|l3 m3⟩ c_{α1 l1 m1} c_{α2 l2 m2} c_{α3 l3 m3}
/// ```
///
/// for (l1, α1) ≤ (l2, α2) ≤ (l3, α3), times the root of the number of different orders of these three (1, √3, √6): B changes
/// at most its sign with the order, so that Σ B B′ is that of all orders.
#[derive(Debug, Clone)]
pub(crate) struct Bispectrum {
    layout: Layout,
    triples: Arc<[Triple]>,
    /// The root of the number of different orders, for each column.
    multiplicity: Arc<[f64]>,
}

/// One l1 ≤ l2 ≤ l3, with (2 l3 + 1)^(−1/2) ⟨l1 m1; l2 m2|l3 m3⟩ as sums for each m1, m2 and m3.
#[derive(Debug)]
struct Triple {
    l: [usize; 3],
    /// Σ over m2 and m3.
    to_first: Couplings,
    /// Σ over m1 and m3.
    to_second: Couplings,
    /// Σ over m1 and m2.
    to_third: Couplings,
}

impl Bispectrum {
    /// # Errors
    /// If l_max is beyond the Clebsch–Gordan coefficients.
    pub fn new(keys: &[BlockKey], channels: &[Vec<Channel>]) -> Result<Self> {
        let layout = Layout::new(keys, channels);
        let l_max = layout.counts.len() - 1;
        if l_max > L_MAX_COUPLED {
            let remedy = format!("use at most {L_MAX_COUPLED}");
            return Err(Error::setting("l_max", l_max, "the bispectrum needs Clebsch-Gordan coefficients", remedy));
        }
        let mut triples = Vec::new();
        for l1 in 0..=l_max {
            for l2 in l1..=l_max {
                for l3 in (l2..=l_max.min(l1 + l2)).filter(|l3| (l1 + l2 + l3) % 2 == 0) {
                    let scale = 1.0 / ((2 * l3 + 1) as f64).sqrt();
                    let mut couplings = clebsch_gordan(l1, l2, l3)?;
                    couplings.iter_mut().for_each(|c| c.value *= scale);
                    triples.push(Triple::new([l1, l2, l3], &couplings));
                }
            }
        }
        let multiplicity = triples.iter().flat_map(|triple| triple.multiplicities(&layout)).collect();
        Ok(Bispectrum { layout, triples: triples.into(), multiplicity })
    }
}

impl Triple {
    fn new(l: [usize; 3], couplings: &[Coupling]) -> Self {
        let n_m = l.map(|l| 2 * l + 1);
        Triple {
            l,
            to_first: Couplings::new(couplings, n_m[0], |c| [c.m2, c.mu, c.m1]),
            to_second: Couplings::new(couplings, n_m[1], |c| [c.m1, c.mu, c.m2]),
            to_third: Couplings::new(couplings, n_m[2], |c| [c.m1, c.m2, c.mu]),
        }
    }

    /// α1, α2, and all α3, in the order of the columns.
    fn orders(&self, layout: &Layout) -> impl Iterator<Item = (usize, usize, Range<usize>)> {
        let second = |a1| self.second(layout, a1).map(move |a2| (a1, a2));
        (0..layout.counts[self.l[0]]).flat_map(second).map(|(a1, a2)| (a1, a2, self.third(layout, a2)))
    }

    fn second(&self, layout: &Layout, a1: usize) -> Range<usize> {
        let [l1, l2, _] = self.l;
        let first = if l2 == l1 { a1 } else { 0 };
        first..layout.counts[l2]
    }

    fn third(&self, layout: &Layout, a2: usize) -> Range<usize> {
        let [_, l2, l3] = self.l;
        let first = if l3 == l2 { a2 } else { 0 };
        first..layout.counts[l3]
    }

    fn multiplicities(&self, layout: &Layout) -> Vec<f64> {
        let of = |(a1, a2, third): (usize, usize, Range<usize>)| third.map(move |a3| [a1, a2, a3]);
        self.orders(layout).flat_map(of).map(|alpha| self.multiplicity(alpha)).collect()
    }

    /// The root of the number of different orders of three channels.
    fn multiplicity(&self, alpha: [usize; 3]) -> f64 {
        let same = |i: usize, j: usize| (self.l[i], alpha[i]) == (self.l[j], alpha[j]);
        match (same(0, 1), same(1, 2)) {
            (true, true) => 1.0,
            (false, false) => 6f64.sqrt(),
            _ => 3f64.sqrt(),
        }
    }
}

impl Correlation for Bispectrum {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn n_features(&self) -> usize {
        self.multiplicity.len()
    }

    /// `[l1, l2, l3, α1, α2, α3]`.
    fn columns(&self) -> Array2<usize> {
        let mut columns = Vec::with_capacity(6 * self.n_features());
        for triple in self.triples.iter() {
            let [l1, l2, l3] = triple.l;
            for (a1, a2, third) in triple.orders(&self.layout) {
                third.for_each(|a3| columns.extend([l1, l2, l3, a1, a2, a3]));
            }
        }
        Array2::from_shape_vec((self.n_features(), 6), columns).expect("six to a row")
    }

    fn channel_fields(&self) -> &'static [ChannelField] {
        &[ChannelField { channel: 3, l: 0 }, ChannelField { channel: 4, l: 1 }, ChannelField { channel: 5, l: 2 }]
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

    fn weighted_sum(&self, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Option<Arc<dyn WeightedSum>> {
        Some(Arc::new(SumOfFeatures::homogeneous(3, Arc::new(self.clone()), weights)))
    }
}

/// The coefficients of α1 and of all α2, for one l1, l2, l3.
struct Pairs {
    first: Range<usize>,
    second: Range<usize>,
    /// α2, of which there are any.
    channels: Range<usize>,
}

impl Triple {
    /// For each α1 with all its α2.
    fn pairs(&self, layout: &Layout) -> impl Iterator<Item = Pairs> {
        let [l1, l2, _] = self.l;
        (0..layout.counts[l1])
            .map(move |a1| (a1, self.second(layout, a1)))
            .filter(|(_, second)| !second.is_empty())
            .map(move |(a1, channels)| Pairs {
                first: of_channels(layout, l1, a1..a1 + 1),
                second: of_channels(layout, l2, channels.clone()),
                channels,
            })
    }

    /// The coefficients of all α3 of an α2, and their columns, the first of them being `column`, which goes on.
    fn third_of(&self, layout: &Layout, a2: usize, column: &mut usize) -> (Range<usize>, Range<usize>) {
        let channels = self.third(layout, a2);
        let columns = *column..*column + channels.len();
        *column = columns.end;
        (of_channels(layout, self.l[2], channels), columns)
    }
}

/// The coefficients of channels that follow each other.
fn of_channels(layout: &Layout, l: usize, channels: Range<usize>) -> Range<usize> {
    layout.of_channel(l, channels.start)..layout.of_channel(l, channels.end)
}

impl Bispectrum {
    /// Memory for the sums over m1 and m2, for each m3, of a channel α1 with all α2.
    fn coupled(&self) -> Aligned {
        let most = self.triples.iter().map(|triple| self.layout.counts[triple.l[1]] * (2 * triple.l[2] + 1)).max();
        Aligned::zeros(LANES * most.unwrap_or(0))
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn forward(spectrum: &Bispectrum, c: &[Lanes], x: &mut [Lanes]) {
    let Bispectrum { layout, triples, multiplicity, .. } = spectrum;
    let (mut t, mut buffer, mut column) = (spectrum.coupled(), Buffer::new(), 0);
    for triple in triples.iter() {
        let n_m = 2 * triple.l[2] + 1;
        for Pairs { first, second, channels } in triple.pairs(layout) {
            let n = channels.len();
            let t = &mut t.lanes_mut()[..n * n_m];
            t.fill([0.0; LANES]);
            triple.to_third.add_products(&c[first], &c[second], t, n, &mut buffer);
            for (t, a2) in t.chunks_exact(n_m).zip(channels) {
                let (third, columns) = triple.third_of(layout, a2, &mut column);
                for_l!(triple.l[2], products, (t, &c[third], &multiplicity[columns.clone()], &mut x[columns]));
            }
        }
    }
}

/// x = Σ_m t_m c_m of each of some channels.
#[inline(always)]
fn products<const M: usize>(t: &[Lanes], c: &[Lanes], multiplicity: &[f64], x: &mut [Lanes]) {
    let n_m = if M > 0 { M } else { t.len() };
    let t = &t[..n_m];
    for ((c, multiplicity), x) in c.chunks_exact(n_m).zip(multiplicity).zip(x) {
        *x = dot(t, c, [0.0; LANES]).map(|sum| sum * multiplicity);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn tangent(spectrum: &Bispectrum, c: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
    let Bispectrum { layout, triples, multiplicity, .. } = spectrum;
    let (mut t, mut t_dot, mut buffer, mut column) = (spectrum.coupled(), spectrum.coupled(), Buffer::new(), 0);
    for triple in triples.iter() {
        let n_m = 2 * triple.l[2] + 1;
        for Pairs { first, second, channels } in triple.pairs(layout) {
            let n = channels.len();
            let (t, t_dot) = (&mut t.lanes_mut()[..n * n_m], &mut t_dot.lanes_mut()[..n * n_m]);
            t.fill([0.0; LANES]);
            t_dot.fill([0.0; LANES]);
            triple.to_third.add_products(&c[first.clone()], &c[second.clone()], t, n, &mut buffer);
            triple.to_third.add_products(&c_dot[first.clone()], &c[second.clone()], t_dot, n, &mut buffer);
            triple.to_third.add_products(&c[first], &c_dot[second], t_dot, n, &mut buffer);
            for ((t, t_dot), a2) in t.chunks_exact(n_m).zip(t_dot.chunks_exact(n_m)).zip(channels) {
                let (third, columns) = triple.third_of(layout, a2, &mut column);
                let (t, c) = ([t, t_dot], [&c[third.clone()], &c_dot[third]]);
                for_l!(triple.l[2], tangent_products, (t, c, &multiplicity[columns.clone()], &mut x_dot[columns]));
            }
        }
    }
}

/// x_dot = Σ_m dt_m c_m + t_m dc_m of each of some channels.
#[inline(always)]
fn tangent_products<const M: usize>(
    [t, t_dot]: [&[Lanes]; 2],
    [c, c_dot]: [&[Lanes]; 2],
    multiplicity: &[f64],
    x_dot: &mut [Lanes],
) {
    let n_m = if M > 0 { M } else { t.len() };
    let (t, t_dot) = (&t[..n_m], &t_dot[..n_m]);
    let channels = c.chunks_exact(n_m).zip(c_dot.chunks_exact(n_m));
    for (((c, c_dot), multiplicity), x_dot) in channels.zip(multiplicity).zip(x_dot) {
        let sum = dot(t, c_dot, dot(t_dot, c, [0.0; LANES]));
        *x_dot = sum.map(|sum| sum * multiplicity);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn backward(spectrum: &Bispectrum, c: &[Lanes], g: &[Lanes], grad_c: &mut [Lanes]) {
    grad_c.fill([0.0; LANES]);
    let Bispectrum { layout, triples, multiplicity, .. } = spectrum;
    let (mut t, mut grad_t, mut buffer, mut column) = (spectrum.coupled(), spectrum.coupled(), Buffer::new(), 0);
    for triple in triples.iter() {
        let n_m = 2 * triple.l[2] + 1;
        for Pairs { first, second, channels } in triple.pairs(layout) {
            let n = channels.len();
            let (t, grad_t) = (&mut t.lanes_mut()[..n * n_m], &mut grad_t.lanes_mut()[..n * n_m]);
            t.fill([0.0; LANES]);
            triple.to_third.add_products(&c[first.clone()], &c[second.clone()], t, n, &mut buffer);
            for ((t, grad_t), a2) in t.chunks_exact(n_m).zip(grad_t.chunks_exact_mut(n_m)).zip(channels) {
                let (third, columns) = triple.third_of(layout, a2, &mut column);
                let (c, grad_c) = (&c[third.clone()], &mut grad_c[third]);
                let g = (&multiplicity[columns.clone()], &g[columns]);
                for_l!(triple.l[2], backward_products, ((t, c), g, grad_t, grad_c));
            }
            triple.to_second.add_products(&c[first.clone()], grad_t, &mut grad_c[second.clone()], n, &mut buffer);
            triple.to_first.add_sum_of_products(&c[second], grad_t, &mut grad_c[first], n, &mut buffer);
        }
    }
}

/// dE/dt_m = Σ g c_m and dE/dc_m += g t_m over some channels.
#[inline(always)]
fn backward_products<const M: usize>(
    (t, c): (&[Lanes], &[Lanes]),
    (multiplicity, g): (&[f64], &[Lanes]),
    grad_t: &mut [Lanes],
    grad_c: &mut [Lanes],
) {
    let n_m = if M > 0 { M } else { t.len() };
    grad_t.fill([0.0; LANES]);
    // In registers, where it is known how many there are.
    let mut few = [[0.0; LANES]; M];
    let (t, sum) = (&t[..n_m], if M > 0 { &mut few[..] } else { &mut *grad_t });
    let channels = c.chunks_exact(n_m).zip(grad_c.chunks_exact_mut(n_m));
    for (((c, grad_c), multiplicity), g) in channels.zip(multiplicity).zip(g) {
        let g = g.map(|g| g * multiplicity);
        for m in 0..n_m {
            add_product(&mut sum[m], &g, &c[m]);
            add_product(&mut grad_c[m], &g, &t[m]);
        }
    }
    grad_t[..M].copy_from_slice(&few);
}

/// sum + Σ_m a_m b_m.
#[inline(always)]
fn dot(a: &[Lanes], b: &[Lanes], mut sum: Lanes) -> Lanes {
    for (a, b) in a.iter().zip(b) {
        add_product(&mut sum, a, b);
    }
    sum
}
