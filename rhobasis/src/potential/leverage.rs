//! How far an atom lies outside of what a fit has seen: its leverage, over the largest of the training set.
//!
//! ```text
//! h_i = |R⁻ᵀ φ(X_i)|,   RᵀR = rows and regulariser of the fit,   extrapolation = h_i / max h_j over training atoms of the species
//! ```
//!
//! h_i² is the posterior variance of the energy of the atom but for its calibration. Of more than [`DRAWS`] parameters it is the mean
//! square of w · φ(X_i) over that many draws w = R⁻¹g / √K from the posterior, g normal with a fixed seed: within 1/√(2K), nine per
//! cent, of h_i, and one short product for an atom instead of a triangular system of all parameters.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::chain::numbers;
use super::rows::Functions;
use crate::Result;
use crate::correlations::Invariants;
use crate::linalg::{set_product, solve_upper};
use crate::models::Factor;
use crate::random::Random;
use crate::structure::Structure;

/// Draws from the posterior.
pub(super) const DRAWS: usize = 64;

/// Frames that are looked at together.
const CHUNK: usize = 64;

/// Leverages of atoms of a fit.
#[derive(Debug, Clone)]
pub(super) struct Leverage {
    /// Weights of functions of each species, `[function, draw]`.
    pub draws: BTreeMap<u8, Array2<f64>>,
    /// The largest leverage of training atoms of each species.
    pub largest: BTreeMap<u8, f64>,
    /// w · φ of the centre alone, `[draw]`, where it is taken off.
    alone: BTreeMap<u8, Array1<f64>>,
}

impl Leverage {
    /// Of a fit, before the largest of training atoms are known.
    pub fn of_fit(functions: &Functions, factor: &Factor) -> Self {
        let n = functions.n_parameters();
        let mut w = match n <= DRAWS {
            true => Array2::eye(n),
            false => {
                let mut random = Random::new(0);
                Array2::from_shape_simple_fn((n, DRAWS), || random.normal() / (DRAWS as f64).sqrt())
            }
        };
        solve_upper(factor.r(), w.view_mut());
        let columns = functions.parameters().into_iter();
        let draws = columns.map(|(z, columns)| (z, functions.weights(z, w.slice(s![columns, ..])))).collect();
        Leverage::new(functions, draws, BTreeMap::new())
    }

    pub fn new(functions: &Functions, draws: BTreeMap<u8, Array2<f64>>, largest: BTreeMap<u8, f64>) -> Self {
        let of = |(z, draws): (&u8, &Array2<f64>)| Some((*z, draws.t().dot(functions.alone().get(z)?)));
        let alone = draws.iter().filter_map(of).collect();
        Leverage { draws, largest, alone }
    }

    /// The largest of all centres of some frames, by species.
    ///
    /// # Errors
    /// If a frame cannot be used.
    pub fn largest_of(
        &self,
        invariants: &Invariants,
        functions: &Functions,
        frames: &[Structure],
    ) -> Result<BTreeMap<u8, f64>> {
        let mut largest: BTreeMap<u8, f64> = self.draws.keys().map(|&z| (z, 0.0)).collect();
        for (k, part) in frames.chunks(CHUNK).enumerate() {
            let all = numbers(invariants, part, |species, x, out| self.of_features(functions, species, x, out));
            let all = all.map_err(|e| e.after_frames(k * CHUNK))?;
            for (z, h) in part.iter().flat_map(|frame| &frame.species).zip(all) {
                largest.entry(*z).and_modify(|largest| *largest = largest.max(h));
            }
        }
        Ok(largest)
    }

    /// Leverages of centres of these species from functions `phi` of each, `[center, function]`; over the largest in training where
    /// that is known, and infinite where it is zero.
    pub fn of_functions(&self, z: u8, phi: ArrayView2<f64>, mut write: impl FnMut(usize, f64)) {
        let Some(draws) = self.draws.get(&z) else { return };
        let largest = self.largest.get(&z).copied().unwrap_or(1.0);
        let mut products = Array2::zeros((phi.nrows(), draws.ncols()));
        set_product(products.view_mut(), phi, draws.view());
        if let Some(alone) = self.alone.get(&z) {
            products -= alone;
        }
        for (k, row) in products.rows().into_iter().enumerate() {
            let h = row.dot(&row).sqrt();
            write(k, if h == 0.0 { 0.0 } else { h / largest });
        }
    }

    /// The same from features `x` of centres of any species, `[center, feature]`.
    pub fn of_features(&self, functions: &Functions, species: &[u8], x: ArrayView2<f64>, out: &mut [f64]) {
        for &z in self.draws.keys() {
            let rows: Vec<usize> = (0..species.len()).filter(|&i| species[i] == z).collect();
            if rows.is_empty() {
                continue;
            }
            let own = (rows.len() < species.len()).then(|| x.select(Axis(0), &rows));
            let x = own.as_ref().map_or(x, |x| x.view());
            let write = |k: usize, h: f64| out[rows[k]] = h;
            match functions.kernels(z, x) {
                Some(phi) => self.of_functions(z, phi.view(), write),
                None => self.of_functions(z, x, write),
            }
        }
    }
}
