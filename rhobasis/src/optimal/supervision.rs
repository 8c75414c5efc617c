//! Eq. (14): functions of l = 0 between variance and the energies of structures.

use std::collections::BTreeMap;

use ndarray::{Array1, s};

use super::contraction::{Block, Contract, Contraction};
use super::covariance::Covariance;
use super::energy_regression::EnergyRegression;
use super::settings::{Method, PcovrSettings};
use crate::density::BlockKey;
use crate::linalg::{make_largest_positive, matmul, orthonormal_rows};
use crate::models::mixed_eigenvectors;

/// What γ and the energies say about the functions of l = 0.
#[derive(Debug)]
pub(super) struct Supervision {
    pub settings: PcovrSettings,
    pub r2: f64,
    /// w by kind of centre and neighbour species, scaled to wᵀCw = R².
    weights: BTreeMap<(Option<u8>, u8), Vec<f64>>,
    /// The trace of Σ_i c_i c_iᵀ over all blocks.
    trace: f64,
}

impl Supervision {
    pub fn new(settings: PcovrSettings, covariance: &Covariance, regression: EnergyRegression) -> Self {
        let species = covariance.species();
        let EnergyRegression { r2, weights, .. } = regression;
        let mut supervision = Supervision { settings, r2, weights, trace: 0.0 };
        let mut variance = 0.0; // wᵀ Σ_i c_i c_iᵀ w
        for center in covariance.kinds() {
            for species in covariance.settings.mixing.contracted_together(&species) {
                let sum = covariance.sum(center, 0, species);
                let w = supervision.weights_of(center, species, covariance.n_functions(0));
                variance += w.dot(&sum.dot(&w));
                supervision.trace += sum.diag().sum();
            }
        }
        let scale = if variance > 0.0 { (r2 * supervision.trace / variance).sqrt() } else { 0.0 };
        supervision.weights.values_mut().flatten().for_each(|w| *w *= scale);
        supervision
    }

    /// w over (a, n) of a block; zero where a kind of centre and a species never met.
    fn weights_of(&self, center: Option<u8>, species: &[u8], n: usize) -> Array1<f64> {
        let of = |a: &u8| self.weights.get(&(center, *a)).cloned().unwrap_or_else(|| vec![0.0; n]);
        species.iter().flat_map(of).collect()
    }
}

impl Contract for Supervision {
    fn contract(&self, block: &Block) -> Contraction {
        let found = Contraction::of(&block.covariance);
        let rank = found.n_significant();
        if rank == 0 || block.key != BlockKey::density(0) {
            return found;
        }
        let Contraction { mut eigenvalues, mut u } = found;
        // All in the basis of the eigenvectors of C, which is diagonal there, with s² its share of the trace.
        let share = block.n_centers as f64 / self.trace;
        let s: Vec<f64> = eigenvalues[..rank].iter().map(|e| (share * e).sqrt()).collect();
        let w =
            u.slice(s![..rank, ..]).dot(&self.weights_of(block.center, block.species, u.ncols() / block.species.len()));
        let g = (&w * &Array1::from(s.clone())).insert_axis(ndarray::Axis(1));
        let (_, vectors) = mixed_eigenvectors(self.settings.gamma, &s, g.view());
        let rows = orthonormal_rows(&vectors / &Array1::from(s));
        let variances: Vec<f64> =
            rows.outer_iter().map(|row| row.iter().zip(&eigenvalues).map(|(x, e)| x * x * e).sum()).collect();
        let mut turned = matmul(rows.view(), u.slice(s![..rank, ..]));
        turned.rows_mut().into_iter().for_each(make_largest_positive);
        u.slice_mut(s![..rank, ..]).assign(&turned);
        eigenvalues[..rank].copy_from_slice(&variances);
        Contraction { eigenvalues, u }
    }

    fn method(&self) -> Method {
        Method::Pcovr(self.settings)
    }
}
