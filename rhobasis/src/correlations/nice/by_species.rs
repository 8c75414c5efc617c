//! Sequences of which each is made for the centres of one species.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, s};

use super::needed::needed;
use super::purify::Purified;
use super::recipe::{Order, Products};
use super::{Nice, NiceFeatures};
use crate::Result;
use crate::correlations::combinations::Matrix;
use crate::correlations::correlation::Correlation;
use crate::density::{BlockKey, Channel};

impl Nice {
    /// One of the same settings, made of these.
    pub(super) fn of_sequences(of_species: BTreeMap<u8, Nice>) -> Option<Nice> {
        let first = of_species.values().next()?;
        let (settings, keys, channels) = (first.settings.clone(), first.keys.clone(), first.channels.clone());
        let n_centers = of_species.values().map(|nice| nice.n_centers).sum();
        Some(Nice { settings, keys, channels, unit: 1.0, orders: Vec::new(), audit: Vec::new(), n_centers, of_species })
    }

    /// The stage from these coefficients to features of centres of a species, or, unless `combined`, to what they are combinations of.
    /// Where each species has its own, they are combined, and zeros complete those of each order to the largest number.
    pub(in crate::correlations) fn features(
        &self,
        keys: &[BlockKey],
        channels: &[Vec<Channel>],
        center: Option<u8>,
        combined: bool,
    ) -> Result<Arc<dyn Correlation>> {
        let own = center.map_or(Ok(self), |z| self.around(z))?;
        let mut orders = needed(&own.orders);
        if self.is_per_species() {
            orders = padded(&orders, &self.n_of_orders());
        }
        let mut recipe = own.recipe(keys, channels, &orders)?;
        if !(combined || self.is_per_species()) {
            recipe.rotations.iter_mut().for_each(|rotation| *rotation = None);
            return Ok(Arc::new(NiceFeatures::new(recipe)));
        }
        let (counts, lower) = (recipe.n_of_orders(), std::mem::take(&mut recipe.lower));
        let step = |(k, b): (usize, Option<Matrix>)| {
            let first = counts[..=k].iter().sum();
            b.map(|b| (b, first..first + counts[k + 1]))
        };
        let steps: Vec<_> = lower.into_iter().enumerate().filter_map(step).collect();
        let of: Arc<dyn Correlation> = Arc::new(NiceFeatures::new(recipe));
        Ok(if steps.is_empty() { of } else { Arc::new(Purified { of, steps }) })
    }
}

/// The orders with features that are zero, so that there are as many as `counts` says for each order from 1 on.
fn padded(orders: &[Order], counts: &[usize]) -> Vec<Order> {
    let mut own = vec![counts[0]];
    own.extend(orders.iter().map(|order| order.invariants.n_channels()));
    let firsts = |counts: &[usize]| -> Vec<usize> { (0..counts.len()).map(|k| counts[..k].iter().sum()).collect() };
    let (from, to) = (firsts(&own), firsts(counts));
    let pad = |(k, order): (usize, &Order)| {
        let mut order = order.clone();
        let (n, all) = (own[k + 1], counts[k + 1]);
        order.invariants = with_zeros(order.invariants, all);
        order.lower = order.lower.map(|b| {
            let mut padded = Array2::zeros((to[k + 1], all));
            for before in 0..=k {
                let (to, from, rows) = (to[before], from[before], own[before]);
                padded.slice_mut(s![to..to + rows, ..n]).assign(&b.slice(s![from..from + rows, ..]));
            }
            padded
        });
        order
    };
    orders.iter().enumerate().map(pad).collect()
}

/// So many channels, zeros after those that are there.
fn with_zeros(products: Products, all: usize) -> Products {
    let n = products.n_channels();
    if n == all {
        return products;
    }
    let Products { key, products, combinations, mut variances } = products;
    let v = combinations.unwrap_or_else(|| Array2::eye(n));
    let mut padded = Array2::zeros((v.nrows(), all));
    padded.slice_mut(s![.., ..n]).assign(&v);
    variances.resize(all, 0.0);
    Products { key, products, combinations: Some(padded), variances }
}
