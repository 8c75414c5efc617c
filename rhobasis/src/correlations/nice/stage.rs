//! NICE features as a stage: from coefficients to invariants of all orders, forth and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1};

use super::buffers::{Buffers, with_buffers};
use super::dots::Dots;
use super::recipe::Recipe;
use super::sum::NiceSum;
use crate::correlations::WeightedSum;
use crate::correlations::combinations::Matrix;
use crate::correlations::correlation::{ChannelField, Correlation};
use crate::correlations::lanes::Layout;
use crate::correlations::weighted_sum::BySpecies;
use crate::simd::{Aligned, LANES, Lanes};

/// Invariants of order 1, …, ν_max, one after the other.
#[derive(Debug)]
pub(in crate::correlations) struct NiceFeatures {
    recipe: Arc<Recipe>,
    /// Channels of l = 0.
    n_first: usize,
    /// By order from 2 on.
    n_of_order: Vec<usize>,
}

impl NiceFeatures {
    pub(super) fn new(recipe: Recipe) -> Self {
        let n_of_order =
            |(dots, rotation): (&Dots, &Option<Matrix>)| rotation.as_ref().map_or(dots.len(), Matrix::n_out);
        let n_of_order = recipe.dots.iter().zip(&recipe.rotations).map(n_of_order).collect();
        NiceFeatures {
            n_first: recipe.layout.counts.first().copied().unwrap_or(0),
            n_of_order,
            recipe: Arc::new(recipe),
        }
    }
}

impl Correlation for NiceFeatures {
    fn layout(&self) -> &Layout {
        &self.recipe.layout
    }

    fn n_features(&self) -> usize {
        self.n_first + self.n_of_order.iter().sum::<usize>()
    }

    /// `[ν, k]`.
    fn columns(&self) -> Array2<usize> {
        let counts = std::iter::once(self.n_first).chain(self.n_of_order.iter().copied());
        let of_order = |(order, n): (usize, usize)| (0..n).flat_map(move |k| [order + 1, k]);
        let columns = counts.enumerate().flat_map(of_order).collect();
        Array2::from_shape_vec((self.n_features(), 2), columns).expect("two to a row")
    }

    fn channel_fields(&self) -> &'static [ChannelField] {
        &[]
    }

    fn forward(&self, c: &[Lanes], x: &mut [Lanes], _: &mut [Lanes]) {
        with_buffers(|Buffers { state, z, scratch, .. }| {
            let state = self.recipe.fill(c, state, scratch);
            x[..self.n_first].copy_from_slice(&state[..self.n_first]);
            self.each_order(x, z, |order, z| self.recipe.dots[order].values(state, z));
        });
    }

    fn backward(&self, c: &[Lanes], _: &[Lanes], _: &[Lanes], g: &mut [Lanes], grad_c: &mut [Lanes]) {
        with_buffers(|Buffers { state, moving, z, scratch }| {
            let state = self.recipe.fill(c, state, scratch);
            moving.resize(state.len() * LANES);
            let grads = moving.lanes_mut();
            grads.fill([0.0; LANES]);
            grads[..self.n_first].copy_from_slice(&g[..self.n_first]);
            let mut first = self.n_first;
            for (order, dots) in self.recipe.dots.iter().enumerate() {
                let of_order = &g[first..first + self.n_of_order[order]];
                match &self.recipe.rotations[order] {
                    None => dots.pull_back(state, of_order, grads),
                    Some(rotation) => {
                        z.resize(dots.len() * LANES);
                        rotation.backward_lanes(of_order, z.lanes_mut());
                        dots.pull_back(state, z.lanes(), grads);
                    }
                }
                first += self.n_of_order[order];
            }
            self.recipe.pull_back(state, grads, grad_c, scratch);
        });
    }

    fn tangent(&self, c: &[Lanes], _: &[Lanes], _: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
        with_buffers(|Buffers { state, moving, z, scratch }| {
            let state = self.recipe.fill(c, state, scratch);
            let rates = self.recipe.rates(state, c_dot, moving, scratch);
            x_dot[..self.n_first].copy_from_slice(&rates[..self.n_first]);
            self.each_order(x_dot, z, |order, z| self.recipe.dots[order].rates(state, rates, z));
        });
    }

    fn weighted_sum(&self, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Option<Arc<dyn WeightedSum>> {
        let combined = self.recipe.rotations.iter().any(Option::is_some);
        let weights = BySpecies::new(weights, |weights| weights.to_vec());
        (!combined).then(|| -> Arc<dyn WeightedSum> {
            Arc::new(NiceSum { recipe: self.recipe.clone(), n_first: self.n_first, weights })
        })
    }
}

impl NiceFeatures {
    /// Makes the invariants of each order from 2 on, and combines them.
    fn each_order(&self, x: &mut [Lanes], z: &mut Aligned, make: impl Fn(usize, &mut [Lanes])) {
        let mut first = self.n_first;
        for (order, &n) in self.n_of_order.iter().enumerate() {
            let x = &mut x[first..first + n];
            match &self.recipe.rotations[order] {
                None => make(order, x),
                Some(rotation) => {
                    z.resize(self.recipe.dots[order].len() * LANES);
                    make(order, z.lanes_mut());
                    rotation.forward_lanes(z.lanes(), x);
                }
            }
            first += n;
        }
    }
}
