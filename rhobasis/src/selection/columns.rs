//! The matrix A whose columns are chosen from, as it is or as AᵀA: products with it, and columns projected out.

use multiversion::multiversion;
use ndarray::{ArrayView1, ArrayView2, Axis as NdAxis};
use rayon::prelude::*;

use super::choice::Axis;
use crate::linalg::{self, add_multiple, dot};

/// Rows whose sums are formed together, and then added in order: the result does not depend on the threads.
const BLOCK: usize = 128;

/// What is left of a matrix after the columns chosen so far are projected out.
pub(super) enum Columns {
    /// A itself, row-major, with so many columns.
    Matrix(Vec<f64>, usize),
    /// AᵀA, all of it.
    Gram(Vec<f64>, usize),
}

impl Columns {
    /// A matrix with the same scalar products of columns as `a`, of no more rows than columns.
    pub fn of_matrix(a: ArrayView2<f64>) -> Self {
        let columns = a.ncols();
        if a.nrows() > columns {
            // R of A = QR: unlike AᵀA it keeps all digits of small directions.
            return Columns::Matrix(linalg::qr_r(a).into_raw_vec_and_offset().0, columns);
        }
        Columns::Matrix(a.iter().copied().collect(), columns)
    }

    /// Takes a Gram matrix; only its lower triangle is read.
    pub fn of_gram(g: ArrayView2<f64>) -> Self {
        let n = g.nrows();
        let mut all = Vec::with_capacity(n * n);
        for i in 0..n {
            all.extend((0..n).map(|j| g[[i.max(j), i.min(j)]]));
        }
        Columns::Gram(all, n)
    }

    pub fn n(&self) -> usize {
        match self {
            Columns::Matrix(_, n) | Columns::Gram(_, n) => *n,
        }
    }

    /// Relative size of squared norms that are rounding.
    pub fn noise(&self) -> f64 {
        match self {
            Columns::Matrix(..) => 1e-24,
            Columns::Gram(_, n) => 1e-15 * (*n as f64).max(10.0),
        }
    }

    /// Squared norms of the columns.
    pub fn squared_norms(&self) -> Vec<f64> {
        match self {
            Columns::Matrix(a, n) => sum_over_blocks(a, *n, *n, |_, row, sum| {
                sum.iter_mut().zip(row).for_each(|(s, x)| *s += x * x);
            }),
            Columns::Gram(g, n) => (0..*n).map(|i| g[i * n + i].max(0.0)).collect(),
        }
    }

    /// AᵀA v for each of these vectors.
    pub fn apply(&self, vectors: &[Vec<f64>]) -> Vec<Vec<f64>> {
        match self {
            Columns::Matrix(a, n) => {
                // Each row is read once for both products.
                let sum = sum_over_blocks(a, *n, n * vectors.len(), |_, row, sum| {
                    for (v, sum) in vectors.iter().zip(sum.chunks_exact_mut(*n)) {
                        add_multiple(sum, dot(row, v), row);
                    }
                });
                sum.chunks_exact(*n).map(<[f64]>::to_vec).collect()
            }
            Columns::Gram(g, n) => {
                let rows: Vec<Vec<f64>> =
                    g.par_chunks_exact(*n).map(|row| vectors.iter().map(|v| dot(row, v)).collect()).collect();
                (0..vectors.len()).map(|k| rows.iter().map(|row| row[k]).collect()).collect()
            }
        }
    }

    /// AᵀA, its lower triangle.
    pub fn gram(&self) -> ndarray::Array2<f64> {
        let n = self.n();
        let mut gram = ndarray::Array2::zeros((n, n));
        match self {
            Columns::Matrix(a, _) => {
                linalg::add_gram(a, a.len() / n.max(1), n, n, gram.as_slice_mut().expect("a new array is contiguous"));
            }
            Columns::Gram(g, _) => {
                let copy = ArrayView2::from_shape((n, n), g).expect("a Gram matrix is square");
                gram.assign(&copy);
            }
        }
        gram
    }

    /// Projects column j out of all: A ← A − q qᵀA with q = A_j/|A_j|; for the Gram matrix G ← G − g_j g_jᵀ/g_jj. Returns g_j, zeros if
    /// there is no such column, and g_jj: AᵀA has become AᵀA − g_j g_jᵀ/g_jj.
    pub fn project_out(&mut self, j: usize) -> (Vec<f64>, f64) {
        match self {
            Columns::Matrix(a, n) => {
                let n = *n;
                let column: Vec<f64> = a.iter().skip(j).step_by(n).copied().collect();
                let squared = dot(&column, &column);
                if squared == 0.0 {
                    return (vec![0.0; n], 1.0);
                }
                let products = sum_over_blocks(a, n, n, |i, row, sum| add_multiple(sum, column[i], row));
                a.par_chunks_exact_mut(n).zip(&column).for_each(|(row, x)| {
                    add_multiple(row, -x / squared, &products);
                    row[j] = 0.0;
                });
                (products, squared)
            }
            Columns::Gram(g, n) => {
                let n = *n;
                let row = g[j * n..(j + 1) * n].to_vec();
                if row[j] <= 0.0 {
                    return (vec![0.0; n], 1.0);
                }
                g.par_chunks_exact_mut(n).enumerate().for_each(|(i, of_i)| {
                    if i == j {
                        of_i.fill(0.0);
                    } else {
                        // The same product on both sides of the diagonal, so that the matrix stays symmetric.
                        of_i.iter_mut().zip(&row).for_each(|(x, y)| *x -= row[i] * y / row[j]);
                        of_i[j] = 0.0;
                    }
                });
                let squared = row[j];
                (row, squared)
            }
        }
    }
}

/// The transpose where samples are chosen: columns are then what is chosen.
pub(super) fn columns_to_choose(x: ArrayView2<f64>, axis: Axis) -> ArrayView2<f64> {
    match axis {
        Axis::Features => x,
        Axis::Samples => x.reversed_axes(),
    }
}

/// Σ over rows, of what `add(row number, row, sum)` adds to a sum of this length.
fn sum_over_blocks(
    a: &[f64],
    columns: usize,
    length: usize,
    add: impl Fn(usize, &[f64], &mut [f64]) + Sync,
) -> Vec<f64> {
    let of_block = |(block, rows): (usize, &[f64])| {
        let mut sum = vec![0.0; length];
        rows.chunks_exact(columns).enumerate().for_each(|(i, row)| add(block * BLOCK + i, row, &mut sum));
        sum
    };
    let sums: Vec<Vec<f64>> = a.par_chunks(BLOCK * columns.max(1)).enumerate().map(of_block).collect();
    let mut total = vec![0.0; length];
    sums.iter().for_each(|sum| add_multiple(&mut total, 1.0, sum));
    total
}

/// Squared distances of all columns of `x` to column j.
pub(super) fn squared_distances(x: ArrayView2<f64>, j: usize) -> Vec<f64> {
    let blocks: Vec<_> = x.axis_chunks_iter(NdAxis(0), BLOCK).collect();
    let of_block = |block: &ArrayView2<f64>| {
        let mut sum = vec![0.0; block.ncols()];
        for row in block.rows() {
            let at = row[j];
            sum.iter_mut().zip(row).for_each(|(s, x)| *s += (x - at) * (x - at));
        }
        sum
    };
    let sums: Vec<Vec<f64>> = blocks.par_iter().map(of_block).collect();
    let mut total = vec![0.0; x.ncols()];
    sums.iter().for_each(|sum| add_multiple(&mut total, 1.0, sum));
    total
}

/// |a − b|² of rows that are contiguous.
pub(super) fn squared_distance(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    match (a.to_slice(), b.to_slice()) {
        (Some(a), Some(b)) => squared_distance_of(a, b),
        _ => a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum(),
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn squared_distance_of(a: &[f64], b: &[f64]) -> f64 {
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
