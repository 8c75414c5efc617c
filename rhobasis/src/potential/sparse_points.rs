//! Which training environments a sparse model is built on.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis};

use super::alone;
use super::settings::SparseMethod;
use crate::correlations::Invariants;
use crate::linalg::{eigh, set_product};
use crate::selection::{Axis as SelectionAxis, fps};
use crate::structure::Structure;
use crate::{Error, Result};

/// Environments that sparse points are chosen from, for each of them; of more, every nth is taken.
const CANDIDATES_PER_POINT: usize = 20;
/// But no fewer than so many candidates in all.
const FEWEST_CANDIDATES: usize = 10_000;
/// Structures whose features are computed together.
const CHUNK: usize = 64;

/// Sparse points of each species of centre, `[m, feature]`: `n_sparse` in all, in proportion to the numbers of centres. Those
/// of structures marked in `left_out` do not count.
///
/// # Errors
/// If a structure cannot be used, or features vanish everywhere.
pub(super) fn choose(
    invariants: &Invariants,
    structures: &[Structure],
    left_out: &[bool],
    n_sparse: usize,
    method: SparseMethod,
) -> Result<BTreeMap<u8, Array2<f64>>> {
    let counts = counts(structures.iter().zip(left_out).filter(|(_, out)| !**out).map(|(structure, _)| structure));
    let shares = shares(&counts, n_sparse);
    let strides: BTreeMap<u8, usize> = counts
        .iter()
        .map(|(&z, &n)| {
            let most = (CANDIDATES_PER_POINT * shares[&z]).max(FEWEST_CANDIDATES * shares[&z] / n_sparse.max(1));
            (z, n.div_ceil(most.max(1)).max(1))
        })
        .collect();
    let mut candidates = candidates(invariants, structures, left_out, &strides)?;
    let mut points = BTreeMap::new();
    while let Some((z, x)) = candidates.pop_first() {
        let n = shares[&z].min(x.nrows());
        let chosen = match method {
            SparseMethod::Fps => fps(x.view(), n, SelectionAxis::Samples, 0)?.indices,
            SparseMethod::Cur => largest_leverage(&x, n),
        };
        points.insert(z, x.select(Axis(0), &chosen));
    }
    Ok(points)
}

/// Bytes that [`choose`] takes.
pub(super) fn memory(structures: &[Structure], n_features: usize, n_sparse: usize) -> usize {
    let n_centers: usize = structures.iter().map(Structure::len).sum();
    let most = n_centers.min(CANDIDATES_PER_POINT * n_sparse.max(FEWEST_CANDIDATES / CANDIDATES_PER_POINT));
    2 * 8 * n_features * most
}

/// Centres of each species.
pub(super) fn counts<'a>(structures: impl IntoIterator<Item = &'a Structure>) -> BTreeMap<u8, usize> {
    let mut counts = BTreeMap::new();
    structures.into_iter().flat_map(|s| &s.species).for_each(|&z| *counts.entry(z).or_insert(0) += 1);
    counts
}

/// `n` in proportion to the counts; each species at least one, and at most what it has.
fn shares(counts: &BTreeMap<u8, usize>, n: usize) -> BTreeMap<u8, usize> {
    let total: usize = counts.values().sum();
    let share = |count: usize| ((n * count) as f64 / total.max(1) as f64).round() as usize;
    counts.iter().map(|(&z, &count)| (z, share(count).clamp(1, count))).collect()
}

/// Every nth environment of each species.
fn candidates(
    invariants: &Invariants,
    structures: &[Structure],
    left_out: &[bool],
    strides: &BTreeMap<u8, usize>,
) -> Result<BTreeMap<u8, Array2<f64>>> {
    let n_features = invariants.n_features();
    let mut rows: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
    let mut seen: BTreeMap<u8, usize> = BTreeMap::new();
    for (chunk, structures) in structures.chunks(CHUNK).enumerate() {
        let x = invariants.forward(structures).map_err(|e| e.after_frames(chunk * CHUNK))?;
        let out = structures.iter().zip(&left_out[chunk * CHUNK..]).flat_map(|(s, &out)| vec![out; s.len()]);
        let centers = structures.iter().flat_map(|s| &s.species).zip(out);
        for (row, (z, _)) in x.rows().into_iter().zip(centers).filter(|(_, (_, out))| !out) {
            let seen = seen.entry(*z).or_insert(0);
            if seen.is_multiple_of(strides[z]) {
                rows.entry(*z).or_default().extend(row);
            }
            *seen += 1;
        }
    }
    let matrix = |(z, rows): (u8, Vec<f64>)| {
        let shape = (rows.len() / n_features.max(1), n_features);
        (z, Array2::from_shape_vec(shape, rows).expect("whole rows"))
    };
    Ok(rows.into_iter().map(matrix).collect())
}

/// The rows of largest leverage |Σ^−1 Vᵀ x|² over the singular vectors above rounding: CUR of samples, all at once (Mahoney and
/// Drineas, PNAS 106, 697 (2009)).
fn largest_leverage(x: &Array2<f64>, n: usize) -> Vec<usize> {
    let mut gram = Array2::zeros((x.ncols(), x.ncols()));
    set_product(gram.view_mut(), x.t(), x.view());
    let (values, vectors) = eigh(gram.view());
    let kept = values.iter().filter(|&&v| v > 1e-12 * values[0]).count();
    let mut along = Array2::zeros((x.nrows(), vectors.nrows()));
    set_product(along.view_mut(), x.view(), vectors.t());
    let leverage = |row: usize| -> f64 { (0..kept).map(|k| along[[row, k]].powi(2) / values[k]).sum() };
    let leverages: Vec<f64> = (0..x.nrows()).map(leverage).collect();
    let mut order: Vec<usize> = (0..x.nrows()).collect();
    order.sort_by(|&a, &b| leverages[b].total_cmp(&leverages[a]).then(a.cmp(&b)));
    order.truncate(n);
    order
}

/// The kernel (T · Tᵀ)^ζ of the sparse points, and the combinations U Λ^(−1/2) of their functions that are independent and of
/// unit norm: `[m, parameter]`, for eigenvalues above `jitter` times the largest.
///
/// With `less_alone`, the last point is the centre alone, and the kernel is that of differences from it.
pub(super) fn projection(points: &Array2<f64>, zeta: u32, jitter: f64, less_alone: bool) -> Result<Array2<f64>> {
    let mut kernel = Array2::zeros((points.nrows(), points.nrows()));
    set_product(kernel.view_mut(), points.view(), points.t());
    kernel.mapv_inplace(|k| k.powi(zeta as i32));
    if !kernel.iter().all(|k| k.is_finite()) || (!less_alone && kernel.iter().all(|&k| k == 0.0)) {
        return Err(Error::setting(
            "features",
            kernel[[0, 0]],
            format!("their products to the power zeta = {zeta} are zero or not finite"),
            "normalise the features",
        ));
    }
    if !less_alone {
        return Ok(independent(&kernel, jitter, 0.0));
    }
    // What is left of a difference may be its rounding.
    let rounding = kernel.iter().fold(0.0, |m: f64, k| m.max(k.abs())) * f64::EPSILON * kernel.nrows() as f64;
    Ok(alone::of_differences(independent(&alone::difference(kernel.view()), jitter, rounding).view()))
}

/// U Λ^(−1/2) of a kernel = U Λ Uᵀ, of eigenvalues above `jitter` times the largest and above `rounding`: `[m, parameter]`.
fn independent(kernel: &Array2<f64>, jitter: f64, rounding: f64) -> Array2<f64> {
    if kernel.is_empty() {
        return Array2::zeros((0, 0));
    }
    let (values, vectors) = eigh(kernel.view());
    let kept = values.iter().filter(|&&v| v > jitter * values[0] && v > rounding).count();
    Array2::from_shape_fn((kernel.nrows(), kept), |(m, k)| vectors[[k, m]] / values[k].sqrt())
}
