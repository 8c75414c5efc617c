//! Linear models: E_i = w_{a_i} · X_i.

use std::collections::BTreeMap;

use ndarray::{Array1, ArrayView2, ArrayViewMut2};

use crate::Result;
use crate::correlations::{Invariants, QuadraticForm, SiteFunction, no_function};

/// Weights of the features for each species of centre.
#[derive(Debug, Clone)]
pub(super) struct LinearModel {
    pub weights: BTreeMap<u8, Array1<f64>>,
    /// The same as a quadratic form of the coefficients, for a whole power spectrum that is not normalised.
    form: Option<QuadraticForm>,
}

impl LinearModel {
    pub fn new(invariants: &Invariants, weights: BTreeMap<u8, Array1<f64>>) -> Self {
        let views: BTreeMap<u8, _> = weights.iter().map(|(&z, w)| (z, w.view())).collect();
        let form = invariants
            .is_whole_power_spectrum()
            .then(|| QuadraticForm::new(invariants.expansion().channels(), invariants.columns().view(), &views));
        LinearModel { weights, form }
    }
}

impl SiteFunction for LinearModel {
    fn site_energies(
        &self,
        species: &[u8],
        features: ArrayView2<f64>,
        energies: &mut [f64],
        mut gradient: Option<ArrayViewMut2<f64>>,
        _: &mut Vec<f64>,
    ) -> Result<()> {
        for (i, (z, x)) in species.iter().zip(features.rows()).enumerate() {
            let w = self.weights.get(z).ok_or_else(|| no_function(i, *z))?;
            energies[i] = w.dot(&x);
            if let Some(gradient) = &mut gradient {
                gradient.row_mut(i).assign(w);
            }
        }
        Ok(())
    }

    fn quadratic_form(&self) -> Option<&QuadraticForm> {
        self.form.as_ref()
    }
}
