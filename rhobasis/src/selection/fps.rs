//! Farthest point sampling: the column farthest from all that were chosen.

use multiversion::multiversion;
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::choice::{Axis, Selection, check_count, check_finite, check_square, first_largest};
use crate::linalg::scaled;
use crate::{Error, Result};

/// Chooses `n` features or samples of X by farthest point sampling: `start`, then repeatedly the one with the largest
///
/// ```text
/// min_c |x_j − x_c|²        over the c chosen already
/// ```
///
/// Fewer are chosen where all others repeat them. The size of the numbers does not matter for the choice; a score is infinite
/// or zero where the squared distance is too large or too small for a number of eight bytes.
///
/// # Errors
/// If `n` or `start` exceeds what there is, or X is not finite.
///
/// ```
/// use rhobasis::selection::{Axis, fps};
/// let x = ndarray::array![[0.0], [1.0], [5.0], [2.5]];
/// let chosen = fps(x.view(), 3, Axis::Samples, 0)?;
/// assert_eq!(chosen.indices, [0, 2, 3]);
/// assert_eq!(chosen.scores, [f64::INFINITY, 25.0, 6.25]);
/// # Ok::<(), rhobasis::Error>(())
/// ```
pub fn fps(x: ArrayView2<f64>, n: usize, axis: Axis, start: usize) -> Result<Selection> {
    let (available, what) = match axis {
        Axis::Features => (x.ncols(), "features"),
        Axis::Samples => (x.nrows(), "samples"),
    };
    check_count(n, available, what)?;
    check_start(start, available, what)?;
    check_finite(x.iter().copied())?;
    if let Some((x, factor)) = scaled(x) {
        return Ok(fps(x.view(), n, axis, start)?.with_scores(|score| score / factor / factor));
    }
    // What is chosen in rows, which must be contiguous to be read at the speed of memory.
    let rows = if axis == Axis::Features { x.reversed_axes() } else { x };
    let rows = rows.as_standard_layout();
    let scale = rows.rows().into_iter().map(|row| row.fold(0.0, |sum, x| sum + x * x)).fold(0.0, f64::max);
    let mut cells = Cells::new(rows.view());
    Ok(choose(n, available, start, 1e-28 * scale, |j, nearest| cells.add(j, nearest)))
}

/// [`fps`] from the Gram matrix alone, |x_i − x_j|² = G_ii + G_jj − 2 G_ij: XᵀX to choose features, XXᵀ (a kernel) to choose
/// samples. Only the lower triangle is read; distances below 1e-7 of the largest norm count as none.
///
/// # Errors
/// If the matrix is not square, `n` or `start` exceeds its size, or it is not finite.
pub fn fps_gram(gram: ArrayView2<f64>, n: usize, start: usize) -> Result<Selection> {
    check_square(gram.dim())?;
    let size = gram.ncols();
    check_count(n, size, "rows of the Gram matrix")?;
    check_start(start, size, "rows of the Gram matrix")?;
    check_finite(gram.iter().copied())?;
    if let Some((gram, factor)) = scaled(gram) {
        return Ok(fps_gram(gram.view(), n, start)?.with_scores(|score| score / factor));
    }
    let scale = gram.diag().iter().copied().fold(0.0, f64::max);
    let distance = |i: usize, j: usize| gram[[i, i]] + gram[[j, j]] - 2.0 * gram[[i.max(j), i.min(j)]];
    let lower = |j: usize, nearest: &mut [f64]| lower(nearest, (0..size).map(|i| distance(i, j).max(0.0)));
    Ok(choose(n, size, start, 1e-14 * scale, lower))
}

fn check_start(start: usize, available: usize, what: &str) -> Result<()> {
    if start >= available {
        let problem = format!("there are {available} {what}, counted from 0");
        return Err(Error::setting("start", start, problem, format!("use 0 to {}", available - 1)));
    }
    Ok(())
}

fn lower(nearest: &mut [f64], distances: impl IntoIterator<Item = f64>) {
    nearest.iter_mut().zip(distances).for_each(|(nearest, d)| *nearest = nearest.min(d));
}

/// Rows together with the chosen row that each is nearest to.
struct Cells<'a> {
    x: ArrayView2<'a, f64>,
    chosen: Vec<usize>,
    /// Place among the chosen.
    owner: Vec<usize>,
}

/// Rows whose distances are computed by one thread.
const BLOCK: usize = 128;

impl<'a> Cells<'a> {
    fn new(x: ArrayView2<'a, f64>) -> Self {
        Cells { x, chosen: Vec::new(), owner: vec![0; x.nrows()] }
    }

    /// Chooses row j and lowers the squared distances to the nearest chosen row.
    ///
    /// Of most rows the distance to j is not needed: |x_i − x_j| ≥ |x_c − x_j| − |x_i − x_c| ≥ |x_i − x_c| where the nearest
    /// row c chosen so far is at least twice as far from j as from i.
    fn add(&mut self, j: usize, nearest: &mut [f64]) {
        let (x, new) = (self.x, self.chosen.len());
        let row = |i: usize| x.row(i).to_slice().expect("rows are contiguous");
        let distance = |i: usize| squared_distance(row(i), row(j));
        self.chosen.push(j);
        let of_chosen: Vec<f64> = self.chosen.par_iter().with_min_len(BLOCK).map(|&c| distance(c)).collect();
        let blocks = nearest.par_chunks_mut(BLOCK).zip(self.owner.par_chunks_mut(BLOCK)).enumerate();
        blocks.for_each(|(block, (nearest, owner))| {
            for (k, (nearest, owner)) in nearest.iter_mut().zip(owner).enumerate() {
                if of_chosen[*owner] >= 4.0 * (1.0 + 1e-9) * *nearest {
                    continue;
                }
                let d = distance(block * BLOCK + k);
                if d < *nearest {
                    (*nearest, *owner) = (d, new);
                }
            }
        });
    }
}

fn choose(n: usize, available: usize, start: usize, floor: f64, mut lower: impl FnMut(usize, &mut [f64])) -> Selection {
    let mut nearest = vec![f64::INFINITY; available];
    let mut chosen = vec![false; available];
    let (mut indices, mut scores) = (Vec::new(), Vec::new());
    let mut next = Some(start);
    while let Some(j) = next.filter(|&j| nearest[j] > floor) {
        indices.push(j);
        scores.push(nearest[j]);
        chosen[j] = true;
        if indices.len() == n {
            break;
        }
        lower(j, &mut nearest);
        next = first_largest(&nearest, &chosen);
    }
    Selection { indices, scores }
}

/// |a − b|²
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let ((a, last_a), (b, last_b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0.0; 16];
    for (a, b) in a.iter().zip(b) {
        for k in 0..16 {
            sums[k] += (a[k] - b[k]) * (a[k] - b[k]);
        }
    }
    let last: f64 = last_a.iter().zip(last_b).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f64>() + last
}
