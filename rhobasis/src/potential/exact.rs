//! Kernel ridge regression of the energies of structures, all training environments being sparse points.
//!
//! ```text
//! k(A, B) = Σ_{i∈A, j∈B, a_i = a_j} (X_i · X_j)^ζ,   α = (δ² K + Σ)⁻¹ y,   E_i = δ² Σ_B α_B Σ_{j∈B} (X_i · X_j)^ζ
//! ```
//!
//! Σ holds the variances energy_sigma² N of the energies. The kernel is that of differences from the centre alone where the baseline is
//! of free atoms (see `alone.rs`), which makes the features of that one more environment of each species.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, array, s};
use rayon::prelude::*;

use super::sparse::{Kernels, SparseModel};
use crate::correlations::Invariants;
use crate::linalg::{cholesky, set_product, solve_lower, solve_upper};
use crate::structure::Structure;
use crate::{Error, Result};

/// Structures whose features are computed together, and kernels.
const CHUNK: usize = 64;

/// The model of structures with energies (baseline removed) and their standard deviations; `alone` are the features of the
/// centre alone of each species, if differences from it are learned.
///
/// # Errors
/// If a structure cannot be used, or the kernel with its variances is not positive definite.
pub(super) fn fit(
    invariants: &Invariants,
    training: Vec<(&Structure, f64, f64)>,
    zeta: u32,
    delta: f64,
    alone: &BTreeMap<u8, Array1<f64>>,
) -> Result<SparseModel> {
    let structures: Vec<&Structure> = training.iter().map(|(structure, _, _)| *structure).collect();
    let environments = Environments::new(invariants, &structures, zeta, alone)?;
    let mut kernel = environments.kernel(zeta);
    kernel *= delta * delta;
    for (k, (_, _, sigma)) in training.iter().enumerate() {
        kernel[[k, k]] += sigma * sigma;
    }
    cholesky(kernel.view_mut()).map_err(|_| {
        Error::setting(
            "energy_sigma",
            training.iter().map(|t| t.2).fold(f64::INFINITY, f64::min),
            "the kernel of the training structures with these variances is not positive definite in double precision",
            "use a larger energy_sigma, or a smaller delta",
        )
    })?;
    let mut alpha: Array2<f64> = Array2::from_shape_fn((training.len(), 1), |(k, _)| training[k].1);
    solve_lower(kernel.view(), alpha.view_mut());
    solve_upper(kernel.t(), alpha.view_mut());
    let weights: Vec<f64> = alpha.iter().map(|alpha| delta * delta * alpha).collect();
    let mut of_species = BTreeMap::new();
    for (z, Of { mut x, of_structure, .. }) in environments.of_species {
        let mut w = Array1::zeros(x.nrows());
        for (rows, weight) in of_structure.into_iter().zip(&weights) {
            w.slice_mut(s![rows]).fill(*weight);
        }
        if let Some(alone) = alone.get(&z) {
            x.push_row(alone.view()).expect("a row of features");
            w.append(Axis(0), array![-w.sum()].view()).expect("one more weight");
        }
        of_species.insert(z, Kernels::cheapest(zeta, x, w));
    }
    for (&z, x) in alone {
        // Of species that are seen as free atoms only, the difference is zero.
        let nothing = || Kernels::cheapest(zeta, x.clone().insert_axis(Axis(0)), Array1::zeros(1));
        of_species.entry(z).or_insert_with(nothing);
    }
    Ok(SparseModel { zeta, of_species })
}

/// The environments of many structures, by species of centre.
struct Environments {
    n_structures: usize,
    of_species: BTreeMap<u8, Of>,
}

/// Those of one species: features `[environment, feature]`, and which belong to each structure.
struct Of {
    x: Array2<f64>,
    of_structure: Vec<Range<usize>>,
    /// k(X, X₀) of each environment, and k(X₀, X₀), if differences from the centre alone are learned.
    with_alone: Option<(Array1<f64>, f64)>,
}

impl Environments {
    fn new(
        invariants: &Invariants,
        structures: &[&Structure],
        zeta: u32,
        alone: &BTreeMap<u8, Array1<f64>>,
    ) -> Result<Self> {
        let n_features = invariants.n_features();
        let mut rows: BTreeMap<u8, (Vec<f64>, Vec<Range<usize>>)> = BTreeMap::new();
        let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
        structures.iter().flat_map(|s| &s.species).for_each(|&z| *counts.entry(z).or_insert(0) += 1);
        for (&z, &n) in &counts {
            rows.insert(z, (Vec::with_capacity((n + 1) * n_features), Vec::with_capacity(structures.len())));
        }
        for (chunk, some) in structures.chunks(CHUNK).enumerate() {
            let owned: Vec<Structure> = some
                .iter()
                .map(|s| Structure {
                    species: s.species.clone(),
                    positions: s.positions.clone(),
                    cell: s.cell,
                    pbc: s.pbc,
                    ..Structure::default()
                })
                .collect();
            let x = invariants.forward(&owned).map_err(|e| e.after_frames(chunk * CHUNK))?;
            let mut row = 0;
            for structure in some {
                for (z, (data, of_structure)) in &mut rows {
                    let first = data.len() / n_features.max(1);
                    for i in (0..structure.len()).filter(|&i| structure.species[i] == *z) {
                        data.extend(x.row(row + i));
                    }
                    of_structure.push(first..data.len() / n_features.max(1));
                }
                row += structure.len();
            }
        }
        let matrix = |(z, (data, of_structure)): (u8, (Vec<f64>, _))| {
            let shape = (data.len() / n_features.max(1), n_features);
            let x = Array2::from_shape_vec(shape, data).expect("whole rows");
            let power = |k: f64| k.powi(zeta as i32);
            let with_alone = alone.get(&z).map(|alone| (x.dot(alone).mapv(power), power(alone.dot(alone))));
            (z, Of { x, of_structure, with_alone })
        };
        Ok(Environments { n_structures: structures.len(), of_species: rows.into_iter().map(matrix).collect() })
    }

    /// k(A, B) of all structures, both triangles.
    fn kernel(&self, zeta: u32) -> Array2<f64> {
        let n = self.n_structures;
        let chunks: Vec<Range<usize>> = (0..n).step_by(CHUNK).map(|first| first..n.min(first + CHUNK)).collect();
        let pairs: Vec<(usize, usize)> = (0..chunks.len()).flat_map(|a| (0..=a).map(move |b| (a, b))).collect();
        let tile = |&(a, b): &(usize, usize)| self.tile(zeta, chunks[a].clone(), chunks[b].clone());
        let mut kernel = Array2::zeros((n, n));
        // Some tiles at a time: they are small beside the features.
        for pairs in pairs.chunks(16 * rayon::current_num_threads()) {
            let tiles: Vec<Array2<f64>> = pairs.par_iter().map(tile).collect();
            for (&(a, b), tile) in pairs.iter().zip(&tiles) {
                kernel.slice_mut(s![chunks[a].clone(), chunks[b].clone()]).assign(tile);
                kernel.slice_mut(s![chunks[b].clone(), chunks[a].clone()]).assign(&tile.t());
            }
        }
        kernel
    }

    fn tile(&self, zeta: u32, a: Range<usize>, b: Range<usize>) -> Array2<f64> {
        let mut tile = Array2::zeros((a.len(), b.len()));
        for Of { x, of_structure, with_alone } in self.of_species.values() {
            let rows = |of: &Range<usize>| of_structure[of.start].start..of_structure[of.end - 1].end;
            let (rows_a, rows_b) = (rows(&a), rows(&b));
            if rows_a.is_empty() || rows_b.is_empty() {
                continue;
            }
            let mut products = Array2::zeros((rows_a.len(), rows_b.len()));
            let view = |rows: &Range<usize>| -> ArrayView2<f64> { x.slice(s![rows.clone(), ..]) };
            set_product(products.view_mut(), view(&rows_a), view(&rows_b).t());
            products.mapv_inplace(|k| k.powi(zeta as i32));
            if let Some((k, of_alone)) = with_alone {
                let (k_a, k_b) = (&k.as_slice().expect("contiguous")[rows_a.clone()], k.slice(s![rows_b.clone()]));
                for (mut row, k_a) in products.rows_mut().into_iter().zip(k_a) {
                    row.zip_mut_with(&k_b, |k, k_b| *k += of_alone - k_a - k_b);
                }
            }
            for (p, of_a) in a.clone().enumerate() {
                let here_a = of_structure[of_a].start - rows_a.start..of_structure[of_a].end - rows_a.start;
                for (q, of_b) in b.clone().enumerate() {
                    let here_b = of_structure[of_b].start - rows_b.start..of_structure[of_b].end - rows_b.start;
                    tile[[p, q]] += products.slice(s![here_a.clone(), here_b]).sum();
                }
            }
        }
        tile
    }
}
