//! Radial spectrum: the coefficients of l = 0, invariants of two bodies.

use std::ops::Range;

use ndarray::Array2;

use super::invariants::Correlation;
use super::lanes::Layout;
use crate::density::{Channel, Lanes};

/// ⟨n|ρ_i^{⊗1}⟩ = c_{n00}.
#[derive(Debug)]
pub(crate) struct RadialSpectrum(Layout);

impl RadialSpectrum {
    pub fn new(channels: &[Vec<Channel>]) -> Self {
        RadialSpectrum(Layout::new(channels))
    }
}

impl Correlation for RadialSpectrum {
    fn layout(&self) -> &Layout {
        &self.0
    }

    fn n_features(&self) -> usize {
        self.0.counts[0]
    }

    /// `[0, channel]`.
    fn columns(&self) -> Array2<usize> {
        Array2::from_shape_fn((self.n_features(), 2), |(channel, field)| field * channel)
    }

    fn forward(&self, c: &[Lanes], p: &mut [Lanes]) {
        p.copy_from_slice(&c[..p.len()]);
    }

    fn backward(&self, _: &[Lanes], g: &[Lanes], dc: &mut [Lanes]) {
        let (of_zero, others) = dc.split_at_mut(g.len());
        of_zero.copy_from_slice(g);
        others.fill([0.0; 8]);
    }

    fn tangent(&self, _: &[Lanes], dc: &[Lanes], dp: &mut [Lanes]) {
        dp.copy_from_slice(&dc[..dp.len()]);
    }

    fn tangent_of_one(&self, _: &[f64], dc: &[Lanes], active: &[Range<usize>], dp: &mut [Lanes]) {
        dp[active[0].clone()].copy_from_slice(&dc[active[0].clone()]);
    }

    fn touched(&self, active: &[Range<usize>]) -> Vec<Range<usize>> {
        vec![active[0].clone()]
    }
}
