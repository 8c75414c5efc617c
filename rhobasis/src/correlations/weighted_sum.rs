//! Weighted sums of features as functions of the coefficients: what a linear model is.

use std::collections::BTreeMap;
use std::fmt::Debug;

use ndarray::ArrayView1;

use super::lanes::Eight;
use crate::simd::{Aligned, LANES, Lanes};

/// E_i = w_{a_i} · X_i with features X_i of coefficients c_i and weights w for each species of centre, as a function of c_i.
pub(crate) trait WeightedSum: Debug + Send + Sync {
    /// Whether centres of this species have weights.
    fn knows(&self, z: u8) -> bool;

    /// E of centres of these species, given their coefficients, blocks `[center, m, channel]` one after the other; and dE/dc, in the
    /// same layout. Both are overwritten. None for a species without weights.
    fn evaluate(
        &self,
        species: &[u8],
        c: &[f64],
        grad_c: &mut [f64],
        energies: &mut [f64],
        scratch: &mut Scratch,
    ) -> Option<()>;
}

/// Memory that sums work in, which is used again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub eight: Eight,
    pub kept: Vec<Lanes>,
    free: Vec<Aligned>,
}

impl Scratch {
    /// So many numbers, of any value; to be given back.
    pub fn take(&mut self, len: usize) -> Aligned {
        let mut numbers = self.free.pop().unwrap_or_default();
        numbers.resize(len);
        numbers
    }

    pub fn give_back(&mut self, numbers: Aligned) {
        self.free.push(numbers);
    }
}

/// Weights by atomic number of the centre.
#[derive(Debug)]
pub(super) struct BySpecies(Vec<Option<Vec<f64>>>);

impl BySpecies {
    /// What `of` makes of the weights of each species.
    pub fn new(weights: &BTreeMap<u8, ArrayView1<f64>>, of: impl Fn(ArrayView1<f64>) -> Vec<f64>) -> Self {
        let mut of_species = vec![None; 256];
        weights.iter().for_each(|(&z, weights)| of_species[usize::from(z)] = Some(of(*weights)));
        BySpecies(of_species)
    }

    pub fn knows(&self, z: u8) -> bool {
        self.0[usize::from(z)].is_some()
    }

    /// Weights of the species of at most eight centres; none if one has none.
    pub fn to_lanes(&self, species: &[u8], lanes: &mut [Lanes]) -> Option<()> {
        let of = |z: u8| self.0[usize::from(z)].as_deref();
        let mut rows = [of(species[0])?; LANES];
        for (row, &z) in rows.iter_mut().zip(species) {
            *row = of(z)?;
        }
        match species.iter().all(|&z| z == species[0]) {
            true => lanes.iter_mut().zip(rows[0]).for_each(|(lanes, &w)| *lanes = [w; LANES]),
            false => lanes.iter_mut().enumerate().for_each(|(k, lanes)| *lanes = rows.map(|row| row[k])),
        }
        Some(())
    }
}
