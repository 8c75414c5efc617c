//! Linear models: E_i = w_{a_i} · X_i.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array1, ArrayView2, ArrayViewMut2};

use super::site::{SiteFunction, no_function};
use crate::Result;
use crate::correlations::{Invariants, WeightedSum};

/// Weights of the features for each species of centre.
#[derive(Debug, Clone)]
pub(super) struct LinearModel {
    pub weights: BTreeMap<u8, Array1<f64>>,
    /// The same as a function of the coefficients, where features need not be made.
    sum: Option<Arc<dyn WeightedSum>>,
}

impl LinearModel {
    pub fn new(invariants: &Invariants, weights: BTreeMap<u8, Array1<f64>>) -> Self {
        let views: BTreeMap<u8, _> = weights.iter().map(|(&z, w)| (z, w.view())).collect();
        let sum = invariants.weighted_sum(&views);
        LinearModel { weights, sum }
    }
}

impl SiteFunction for LinearModel {
    fn evaluate(
        &self,
        species: &[u8],
        x: ArrayView2<f64>,
        energies: &mut [f64],
        mut grad_x: Option<ArrayViewMut2<f64>>,
        _: &mut Vec<f64>,
    ) -> Result<()> {
        for (i, (z, x)) in species.iter().zip(x.rows()).enumerate() {
            let w = self.weights.get(z).ok_or_else(|| no_function(i, *z))?;
            energies[i] = w.dot(&x);
            if let Some(grad_x) = &mut grad_x {
                grad_x.row_mut(i).assign(w);
            }
        }
        Ok(())
    }

    fn weighted_sum(&self) -> Option<&dyn WeightedSum> {
        self.sum.as_deref()
    }
}
