//! Features times a number: a stage around another.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1};

use super::correlation::{ChannelField, Correlation};
use super::lanes::Layout;
use super::sum_of_features::sum_of;
use super::weighted_sum::WeightedSum;
use crate::simd::Lanes;

/// f x of the features x of another correlation whose derivatives do not read them: beside other features these count f times as
/// much.
#[derive(Debug)]
pub(crate) struct Weighted {
    pub of: Arc<dyn Correlation>,
    pub factor: f64,
}

impl Weighted {
    fn scale(&self, x: &mut [Lanes]) {
        x.as_flattened_mut().iter_mut().for_each(|x| *x *= self.factor);
    }
}

impl Correlation for Weighted {
    fn layout(&self) -> &Layout {
        self.of.layout()
    }

    fn n_features(&self) -> usize {
        self.of.n_features()
    }

    fn columns(&self) -> Array2<usize> {
        self.of.columns()
    }

    fn channel_fields(&self) -> &'static [ChannelField] {
        self.of.channel_fields()
    }

    fn forward(&self, c: &[Lanes], x: &mut [Lanes], kept: &mut [Lanes]) {
        self.of.forward(c, x, kept);
        self.scale(x);
    }

    fn backward(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], g: &mut [Lanes], grad_c: &mut [Lanes]) {
        self.scale(g);
        self.of.backward(c, x, kept, g, grad_c);
    }

    fn tangent(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
        self.of.tangent(c, x, kept, c_dot, x_dot);
        self.scale(x_dot);
    }

    fn tangent_of_one(
        &self,
        c: &[f64],
        x: &[Lanes],
        kept: &[Lanes],
        c_dot: &[Lanes],
        active: &[Range<usize>],
        x_dot: &mut [Lanes],
    ) {
        self.of.tangent_of_one(c, x, kept, c_dot, active, x_dot);
        // Those that are not written hold anything.
        self.of.touched(active).into_iter().for_each(|touched| self.scale(&mut x_dot[touched]));
    }

    fn touched(&self, active: &[Range<usize>]) -> Vec<Range<usize>> {
        self.of.touched(active)
    }

    fn weighted_sum(&self, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Option<Arc<dyn WeightedSum>> {
        let scaled: BTreeMap<u8, Array1<f64>> = weights.iter().map(|(&z, w)| (z, w * self.factor)).collect();
        Some(sum_of(&self.of, &scaled.iter().map(|(&z, w)| (z, w.view())).collect()))
    }
}
