//! Radial spectrum: the coefficients of l = 0, invariants of two bodies.

use std::ops::Range;

use ndarray::Array2;

use super::correlation::{ChannelField, Correlation};
use super::lanes::Layout;
use crate::density::{BlockKey, Channel};
use crate::simd::{LANES, Lanes};

/// ⟨n|ρ_i^{⊗1}⟩ = c_{n00}.
#[derive(Debug)]
pub(crate) struct RadialSpectrum(Layout);

impl RadialSpectrum {
    pub fn new(keys: &[BlockKey], channels: &[Vec<Channel>]) -> Self {
        RadialSpectrum(Layout::new(keys, channels))
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

    fn channel_fields(&self) -> &'static [ChannelField] {
        &[ChannelField { channel: 1, l: 0 }]
    }

    fn forward(&self, c: &[Lanes], x: &mut [Lanes], _: &mut [Lanes]) {
        x.copy_from_slice(&c[..x.len()]);
    }

    fn backward(&self, _: &[Lanes], _: &[Lanes], _: &[Lanes], g: &mut [Lanes], grad_c: &mut [Lanes]) {
        let (of_zero, others) = grad_c.split_at_mut(g.len());
        of_zero.copy_from_slice(g);
        others.fill([0.0; LANES]);
    }

    fn tangent(&self, _: &[Lanes], _: &[Lanes], _: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
        x_dot.copy_from_slice(&c_dot[..x_dot.len()]);
    }

    fn tangent_of_one(
        &self,
        _: &[f64],
        _: &[Lanes],
        _: &[Lanes],
        c_dot: &[Lanes],
        active: &[Range<usize>],
        x_dot: &mut [Lanes],
    ) {
        x_dot[active[0].clone()].copy_from_slice(&c_dot[active[0].clone()]);
    }

    fn touched(&self, active: &[Range<usize>]) -> Vec<Range<usize>> {
        vec![active[0].clone()]
    }
}
