//! Sparse kernel models: E_i = Σ_m w_m (X_i · T_m)^ζ over the sparse points of the species of the centre.

use std::collections::BTreeMap;

use multiversion::multiversion;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis};

use super::site::{SiteFunction, no_function};
use crate::Result;
use crate::linalg::set_product;
use crate::simd::LANES;

/// The function of the environments of one species.
#[derive(Debug, Clone)]
pub(super) enum Kernels {
    /// Σ_m w_m (X · T_m)^ζ; T is `[m, feature]`.
    Points { points: Array2<f64>, weights: Array1<f64> },
    /// Xᵀ A X, which Σ_m w_m (X · T_m)² is with A = Σ_m w_m T_m T_mᵀ: cheaper where there are more points than features.
    Quadratic(Array2<f64>),
}

/// Kernels for each species of centre.
#[derive(Debug, Clone)]
pub(super) struct SparseModel {
    pub zeta: u32,
    pub of_species: BTreeMap<u8, Kernels>,
}

impl Kernels {
    /// The cheaper of the two forms.
    pub fn cheapest(zeta: u32, points: Array2<f64>, weights: Array1<f64>) -> Self {
        if zeta != 2 || points.nrows() <= points.ncols() {
            return Kernels::Points { points, weights };
        }
        let weighted = &points * &weights.view().insert_axis(Axis(1));
        let mut a = Array2::zeros((points.ncols(), points.ncols()));
        set_product(a.view_mut(), points.t(), weighted.view());
        let symmetric = (&a + &a.t()) * 0.5;
        Kernels::Quadratic(symmetric)
    }
}

impl SiteFunction for SparseModel {
    fn evaluate(
        &self,
        species: &[u8],
        x: ArrayView2<f64>,
        energies: &mut [f64],
        mut grad_x: Option<ArrayViewMut2<f64>>,
        scratch: &mut Vec<f64>,
    ) -> Result<()> {
        if let Some(i) = species.iter().position(|z| !self.of_species.contains_key(z)) {
            return Err(no_function(i, species[i]));
        }
        for (&z, kernels) in &self.of_species {
            let rows: Vec<usize> = (0..species.len()).filter(|&i| species[i] == z).collect();
            if rows.len() == species.len() {
                kernels.evaluate(self.zeta, x, energies, grad_x, scratch);
                return Ok(());
            }
            if rows.is_empty() {
                continue;
            }
            let of_z = x.select(Axis(0), &rows);
            let mut of_rows = vec![0.0; rows.len()];
            let mut grad_of_z = grad_x.as_ref().map(|_| Array2::zeros(of_z.dim()));
            let view = grad_of_z.as_mut().map(|grad| grad.view_mut());
            kernels.evaluate(self.zeta, of_z.view(), &mut of_rows, view, scratch);
            for (k, &i) in rows.iter().enumerate() {
                energies[i] = of_rows[k];
                if let (Some(grad_x), Some(grad_of_z)) = (&mut grad_x, &grad_of_z) {
                    grad_x.row_mut(i).assign(&grad_of_z.row(k));
                }
            }
        }
        Ok(())
    }
}

impl Kernels {
    /// Energies of these environments and, if asked for, dE/dX: two matrix products.
    fn evaluate(
        &self,
        zeta: u32,
        x: ArrayView2<f64>,
        energies: &mut [f64],
        gradient: Option<ArrayViewMut2<f64>>,
        scratch: &mut Vec<f64>,
    ) {
        let n_columns = match self {
            Kernels::Points { points, .. } => points.nrows(),
            Kernels::Quadratic(a) => a.ncols(),
        };
        scratch.resize((x.nrows() * n_columns).max(scratch.len()), 0.0);
        let products = &mut scratch[..x.nrows() * n_columns];
        let mut k = ArrayViewMut2::from_shape((x.nrows(), n_columns), products).expect("as long as the shape says");
        match self {
            Kernels::Points { points, weights } => {
                set_product(k.view_mut(), x, points.t());
                let weights = weights.as_slice().expect("a vector is contiguous");
                for (row, energy) in k.rows_mut().into_iter().zip(energies) {
                    *energy = powers(zeta, weights, row.into_slice().expect("contiguous by rows"));
                }
                if let Some(gradient) = gradient {
                    set_product(gradient, k.view(), points.view());
                }
            }
            Kernels::Quadratic(a) => {
                set_product(k.view_mut(), x, a.view());
                for ((x, ax), energy) in x.rows().into_iter().zip(k.rows()).zip(energies) {
                    *energy = x.dot(&ax);
                }
                if let Some(mut gradient) = gradient {
                    gradient.assign(&k);
                    gradient *= 2.0;
                }
            }
        }
    }
}

/// Σ_m w_m k_m^ζ, and k_m ← ζ w_m k_m^(ζ−1).
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn powers(zeta: u32, weights: &[f64], k: &mut [f64]) -> f64 {
    let factor = f64::from(zeta);
    let (weights, last_weights) = weights.as_chunks::<LANES>();
    let (k, last_k) = k.as_chunks_mut::<LANES>();
    let mut sum = [0.0; LANES];
    for (w, k) in weights.iter().zip(k) {
        let mut power = [1.0; LANES];
        for _ in 1..zeta {
            (0..LANES).for_each(|lane| power[lane] *= k[lane]);
        }
        for lane in 0..LANES {
            let weighted = w[lane] * power[lane];
            sum[lane] = weighted.mul_add(k[lane], sum[lane]);
            k[lane] = factor * weighted;
        }
    }
    let mut total: f64 = sum.iter().sum();
    for (w, k) in last_weights.iter().zip(last_k) {
        let weighted = w * k.powi(zeta as i32 - 1);
        total += weighted * *k;
        *k = factor * weighted;
    }
    total
}
