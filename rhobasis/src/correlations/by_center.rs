//! Correlations that may differ with the species of the centre, on the rows of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2, Axis};

use super::correlation::Correlation;
use super::lanes::{Eight, Layout};
use super::weighted_sum::WeightedSum;
use crate::simd::{LANES, Lanes};

/// One correlation of all centres, or one for each species of centre; these have the same layout, columns and number of kept
/// numbers.
#[derive(Debug, Clone)]
pub(crate) struct ByCenter {
    first: Arc<dyn Correlation>,
    /// None where centres are alike.
    of: BTreeMap<u8, Arc<dyn Correlation>>,
}

/// Some centres of a run, which are of one species.
struct Alike<'a> {
    correlation: &'a Arc<dyn Correlation>,
    centers: Vec<usize>,
}

impl ByCenter {
    /// The same of all centres.
    pub fn alike(correlation: Arc<dyn Correlation>) -> Self {
        ByCenter { first: correlation, of: BTreeMap::new() }
    }

    /// One for each species that centres may have; none if there are no species.
    pub fn differing(of: BTreeMap<u8, Arc<dyn Correlation>>) -> Option<Self> {
        Some(ByCenter { first: of.values().next()?.clone(), of })
    }

    /// What all have in common may be asked of this one: layout, columns, number of features, whether these are read.
    pub fn first(&self) -> &Arc<dyn Correlation> {
        &self.first
    }

    pub fn layout(&self) -> &Layout {
        self.first.layout()
    }

    pub fn n_features(&self) -> usize {
        self.first.n_features()
    }

    pub fn reads_features(&self) -> bool {
        self.first.reads_features()
    }

    /// That of the centres of a species.
    pub fn around(&self, z: u8) -> &dyn Correlation {
        match self.of.is_empty() {
            true => &*self.first,
            false => &**self.of.get(&z).expect("one for each species that centres may have"),
        }
    }

    /// A weighted sum without making features, if there is a way.
    pub fn weighted_sum(&self, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Option<Arc<dyn WeightedSum>> {
        self.of.is_empty().then(|| self.first.weighted_sum(weights)).flatten()
    }

    /// Centres by species.
    fn parts<'a>(&'a self, species: &[u8]) -> Vec<Alike<'a>> {
        let centers = |z: u8| (0..species.len()).filter(|&k| species[k] == z).collect();
        let part = |(&z, of): (&u8, &'a Arc<dyn Correlation>)| Alike { correlation: of, centers: centers(z) };
        self.of.iter().map(part).filter(|part| !part.centers.is_empty()).collect()
    }

    /// Features of centres of these species, and what `backward_rows` wants to know of them.
    pub fn forward_rows(&self, species: &[u8], c: &[f64], x: &mut [f64], kept: &mut Vec<Lanes>, work: &mut Eight) {
        let n = species.len();
        if self.of.is_empty() {
            return self.first.forward_rows(n, c, x, kept, work);
        }
        kept.clear();
        for Alike { correlation, centers } in self.parts(species) {
            let own_c = self.layout().some_rows(c, n, &centers);
            let (mut own_x, mut own_kept) = (vec![0.0; centers.len() * self.n_features()], Vec::new());
            correlation.forward_rows(centers.len(), &own_c, &mut own_x, &mut own_kept, work);
            set_rows(x, self.n_features(), &centers, &own_x);
            kept.extend(own_kept);
        }
    }

    /// dx/dt, given dc/dt.
    pub fn tangent_rows(&self, species: &[u8], c: &[f64], c_dot: &[f64], x_dot: &mut [f64], work: &mut Eight) {
        let n = species.len();
        if self.of.is_empty() {
            return self.first.tangent_rows(n, c, c_dot, x_dot, work);
        }
        for Alike { correlation, centers } in self.parts(species) {
            let [own_c, own_c_dot] = [c, c_dot].map(|rows| self.layout().some_rows(rows, n, &centers));
            let mut own_x_dot = vec![0.0; centers.len() * self.n_features()];
            correlation.tangent_rows(centers.len(), &own_c, &own_c_dot, &mut own_x_dot, work);
            set_rows(x_dot, self.n_features(), &centers, &own_x_dot);
        }
    }

    /// dE/dc, given dE/dx, the same for all centres if the view is broadcast. `x` and `kept` are those of `forward_rows`, if
    /// features are read.
    pub fn backward_rows(
        &self,
        species: &[u8],
        c: &[f64],
        (x, kept): (&[f64], &[Lanes]),
        grad_x: ArrayView2<f64>,
        grad_c: &mut [f64],
        work: &mut Eight,
    ) {
        let n = species.len();
        if self.of.is_empty() {
            return self.first.backward_rows(c, (x, kept), grad_x, grad_c, work);
        }
        let mut kept = kept;
        for Alike { correlation, centers } in self.parts(species) {
            let own_c = self.layout().some_rows(c, n, &centers);
            let own_x = if self.reads_features() { some_rows(x, self.n_features(), &centers) } else { Vec::new() };
            let (own_kept, others) = kept.split_at(centers.len().div_ceil(LANES) * correlation.n_kept());
            let mut own_grad_c = vec![0.0; own_c.len()];
            let grad_x = grad_x.select(Axis(0), &centers);
            correlation.backward_rows(&own_c, (&own_x, own_kept), grad_x.view(), &mut own_grad_c, work);
            self.layout().set_rows(grad_c, n, &centers, &own_grad_c);
            kept = others;
        }
    }
}

/// Some of the rows of this width.
fn some_rows(rows: &[f64], width: usize, which: &[usize]) -> Vec<f64> {
    which.iter().flat_map(|&k| &rows[k * width..][..width]).copied().collect()
}

/// The inverse of [`some_rows`].
fn set_rows(rows: &mut [f64], width: usize, which: &[usize], some: &[f64]) {
    for (&k, row) in which.iter().zip(some.chunks_exact(width.max(1))) {
        rows[k * width..][..width].copy_from_slice(row);
    }
}
