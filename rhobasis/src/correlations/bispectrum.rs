//! Bispectrum: the invariants of three neighbours, Eq. (16) for ν = 3 and λ = 0.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use multiversion::multiversion;
use ndarray::{Array2, ArrayView1};

use super::clebsch_gordan::{Coupling, L_MAX_COUPLED, clebsch_gordan};
use super::correlation::{ChannelField, Correlation};
use super::lanes::Layout;
use super::weighted_sum::{SumOfFeatures, WeightedSum};
use crate::density::{BlockKey, Channel, L_MAX};
use crate::simd::{LANES, Lanes};
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
    n_features: usize,
}

/// One l1 ≤ l2 ≤ l3.
#[derive(Debug)]
struct Triple {
    l: [usize; 3],
    /// (2 l3 + 1)^(−1/2) ⟨l1 m1; l2 m2|l3 m3⟩.
    couplings: Vec<Coupling>,
    first_column: usize,
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
        let (mut triples, mut n_features) = (Vec::new(), 0);
        for l1 in 0..=l_max {
            for l2 in l1..=l_max {
                for l3 in (l2..=l_max.min(l1 + l2)).filter(|l3| (l1 + l2 + l3) % 2 == 0) {
                    let scale = 1.0 / ((2 * l3 + 1) as f64).sqrt();
                    let mut couplings = clebsch_gordan(l1, l2, l3)?;
                    couplings.iter_mut().for_each(|c| c.value *= scale);
                    let triple = Triple { l: [l1, l2, l3], couplings, first_column: n_features };
                    n_features += triple.orders(&layout).map(|(_, _, third)| third.len()).sum::<usize>();
                    triples.push(triple);
                }
            }
        }
        Ok(Bispectrum { layout, triples: triples.into(), n_features })
    }
}

impl Triple {
    /// α1, α2, and all α3, in the order of the columns.
    fn orders(&self, layout: &Layout) -> impl Iterator<Item = (usize, usize, Range<usize>)> + use<> {
        let [l1, l2, l3] = self.l;
        let [n1, n2, n3] = self.l.map(|l| layout.counts[l]);
        let second = move |a1| (if l2 == l1 { a1 } else { 0 }..n2).map(move |a2| (a1, a2));
        (0..n1).flat_map(second).map(move |(a1, a2)| (a1, a2, if l3 == l2 { a2 } else { 0 }..n3))
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
        self.n_features
    }

    /// `[l1, l2, l3, α1, α2, α3]`.
    fn columns(&self) -> Array2<usize> {
        let mut columns = Vec::with_capacity(6 * self.n_features);
        for triple in self.triples.iter() {
            let [l1, l2, l3] = triple.l;
            for (a1, a2, third) in triple.orders(&self.layout) {
                third.for_each(|a3| columns.extend([l1, l2, l3, a1, a2, a3]));
            }
        }
        Array2::from_shape_vec((self.n_features, 6), columns).expect("six to a row")
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

/// Σ over m1 and m2, for each m3, of two coefficients.
type Coupled = [Lanes; 2 * L_MAX + 1];

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn forward(spectrum: &Bispectrum, c: &[Lanes], x: &mut [Lanes]) {
    let layout = &spectrum.layout;
    let mut t: Coupled = [[0.0; LANES]; 2 * L_MAX + 1];
    for triple in spectrum.triples.iter() {
        let ([l1, l2, l3], n_m) = (triple.l, 2 * triple.l[2] + 1);
        let mut x = x[triple.first_column..].iter_mut();
        for (a1, a2, third) in triple.orders(layout) {
            t[..n_m].fill([0.0; LANES]);
            add_coupled(triple, &c[layout.of_channel(l1, a1)..], &c[layout.of_channel(l2, a2)..], &mut t);
            for a3 in third {
                let sum = dot(&t[..n_m], &c[layout.of_channel(l3, a3)..][..n_m], [0.0; LANES]);
                let multiplicity = triple.multiplicity([a1, a2, a3]);
                *x.next().expect("a column for each order") = sum.map(|sum| sum * multiplicity);
            }
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn tangent(spectrum: &Bispectrum, c: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
    let layout = &spectrum.layout;
    let [mut t, mut t_dot]: [Coupled; 2] = [[[0.0; LANES]; 2 * L_MAX + 1]; 2];
    for triple in spectrum.triples.iter() {
        let ([l1, l2, l3], n_m) = (triple.l, 2 * triple.l[2] + 1);
        let mut x_dot = x_dot[triple.first_column..].iter_mut();
        for (a1, a2, third) in triple.orders(layout) {
            let (first, second) = (layout.of_channel(l1, a1), layout.of_channel(l2, a2));
            t[..n_m].fill([0.0; LANES]);
            t_dot[..n_m].fill([0.0; LANES]);
            add_coupled(triple, &c[first..], &c[second..], &mut t);
            add_coupled(triple, &c_dot[first..], &c[second..], &mut t_dot);
            add_coupled(triple, &c[first..], &c_dot[second..], &mut t_dot);
            for a3 in third {
                let third = layout.of_channel(l3, a3);
                let sum = dot(&t_dot[..n_m], &c[third..][..n_m], [0.0; LANES]);
                let sum = dot(&t[..n_m], &c_dot[third..][..n_m], sum);
                let multiplicity = triple.multiplicity([a1, a2, a3]);
                *x_dot.next().expect("a column for each order") = sum.map(|x| x * multiplicity);
            }
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn backward(spectrum: &Bispectrum, c: &[Lanes], g: &[Lanes], grad_c: &mut [Lanes]) {
    grad_c.fill([0.0; LANES]);
    let layout = &spectrum.layout;
    let [mut t, mut grad_t]: [Coupled; 2] = [[[0.0; LANES]; 2 * L_MAX + 1]; 2];
    for triple in spectrum.triples.iter() {
        let ([l1, l2, l3], n_m) = (triple.l, 2 * triple.l[2] + 1);
        let mut g = g[triple.first_column..].iter();
        for (a1, a2, third) in triple.orders(layout) {
            let (first, second) = (layout.of_channel(l1, a1), layout.of_channel(l2, a2));
            t[..n_m].fill([0.0; LANES]);
            grad_t[..n_m].fill([0.0; LANES]);
            add_coupled(triple, &c[first..], &c[second..], &mut t);
            for a3 in third {
                let multiplicity = triple.multiplicity([a1, a2, a3]);
                let g = g.next().expect("a column for each order").map(|x| x * multiplicity);
                let third = layout.of_channel(l3, a3);
                let (c, grad_c) = (&c[third..][..n_m], &mut grad_c[third..][..n_m]);
                for m in 0..n_m {
                    for k in 0..LANES {
                        grad_t[m][k] = g[k].mul_add(c[m][k], grad_t[m][k]);
                        grad_c[m][k] = g[k].mul_add(t[m][k], grad_c[m][k]);
                    }
                }
            }
            for coupling in &triple.couplings {
                let (i, j, grad_t) = (first + coupling.m1, second + coupling.m2, &grad_t[coupling.mu]);
                let (a, b) = (c[i], c[j]);
                for k in 0..LANES {
                    let g = coupling.value * grad_t[k];
                    grad_c[i][k] = g.mul_add(b[k], grad_c[i][k]);
                    grad_c[j][k] = g.mul_add(a[k], grad_c[j][k]);
                }
            }
        }
    }
}

/// t_m3 += Σ ⟨l1 m1; l2 m2|l3 m3⟩ a_m1 b_m2.
#[inline(always)]
fn add_coupled(triple: &Triple, a: &[Lanes], b: &[Lanes], t: &mut Coupled) {
    for coupling in &triple.couplings {
        let (a, b, t) = (&a[coupling.m1], &b[coupling.m2], &mut t[coupling.mu]);
        for k in 0..LANES {
            t[k] = (coupling.value * a[k]).mul_add(b[k], t[k]);
        }
    }
}

/// sum + Σ_m a_m b_m.
#[inline(always)]
fn dot(a: &[Lanes], b: &[Lanes], mut sum: Lanes) -> Lanes {
    for (a, b) in a.iter().zip(b) {
        for k in 0..LANES {
            sum[k] = a[k].mul_add(b[k], sum[k]);
        }
    }
    sum
}
