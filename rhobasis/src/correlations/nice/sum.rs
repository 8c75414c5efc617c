//! Weighted sums of NICE features: energies and their gradients, without the features.

use std::sync::Arc;

use super::buffers::with_buffers;
use super::recipe::Recipe;
use crate::correlations::WeightedSum;
use crate::correlations::lanes::eights;
use crate::correlations::weighted_sum::{BySpecies, Scratch};
use crate::simd::{LANES, Lanes, add_product};

/// E_i = w · X_i = (V w) · z_i: combinations cost nothing.
#[derive(Debug)]
pub(super) struct NiceSum {
    pub recipe: Arc<Recipe>,
    /// Channels of l = 0, which are the features of order 1.
    pub n_first: usize,
    /// Of these, and of the products of each order.
    pub weights: BySpecies,
}

impl WeightedSum for NiceSum {
    fn knows(&self, z: u8) -> bool {
        self.weights.knows(z)
    }

    fn evaluate(
        &self,
        species: &[u8],
        c: &[f64],
        grad_c: &mut [f64],
        energies: &mut [f64],
        scratch: &mut Scratch,
    ) -> Option<()> {
        let (layout, n) = (&self.recipe.layout, species.len());
        let n_weights = self.n_first + self.recipe.dots.iter().map(|dots| dots.len()).sum::<usize>();
        let mut c_lanes = scratch.take(layout.len() * LANES);
        let mut of_c = scratch.take(layout.len() * LANES);
        let mut w = scratch.take(n_weights * LANES);
        let done = eights(n).try_for_each(|eight| {
            layout.to_lanes(c, n, eight.clone(), &mut c_lanes);
            self.weights.to_lanes(&species[eight.clone()], w.lanes_mut())?;
            let sums = self.of_eight(c_lanes.lanes(), w.lanes(), of_c.lanes_mut());
            energies[eight.clone()].iter_mut().zip(sums).for_each(|(energy, sum)| *energy = sum);
            layout.to_rows(of_c.lanes(), n, eight, grad_c);
            Some(())
        });
        [c_lanes, of_c, w].into_iter().for_each(|numbers| scratch.give_back(numbers));
        done
    }
}

impl NiceSum {
    /// Energies and dE/dc.
    fn of_eight(&self, c: &[Lanes], w: &[Lanes], grad_c: &mut [Lanes]) -> Lanes {
        with_buffers(|buffers| {
            let state = self.recipe.fill(c, &mut buffers.state, &mut buffers.scratch);
            buffers.moving.resize(state.len() * LANES);
            let grads = buffers.moving.lanes_mut();
            grads.fill([0.0; LANES]);
            let (of_first, mut rest) = w.split_at(self.n_first);
            grads[..self.n_first].copy_from_slice(of_first);
            let mut sums = [0.0; LANES];
            of_first.iter().zip(state).for_each(|(w, c)| add_product(&mut sums, w, c));
            for dots in &self.recipe.dots {
                let (own, after) = rest.split_at(dots.len());
                let of_order = dots.weighted(state, own, grads);
                (0..LANES).for_each(|k| sums[k] += of_order[k]);
                rest = after;
            }
            self.recipe.pull_back(state, grads, grad_c, &mut buffers.scratch);
            sums
        })
    }
}
