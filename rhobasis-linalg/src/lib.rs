//! Dense linear algebra: the few factorisations that physics and models need.
//!
//! Every function here gives the same bits whatever the number of threads: most work on one, and those that say so share out
//! chunks of fixed size.

/// The largest eigenvalue of what multiplies vectors.
mod lanczos;
/// Rows of matrices.
mod rows;
/// Powers of two that keep squares from overflow.
mod scale;
/// Triangular systems, Cholesky and streamed QR factorisation, for least squares.
mod triangle;
/// Products with a triangular matrix and its inverse, and the ends of its spectrum.
mod upper;
/// Sums over the numbers of vectors.
mod vectors;

pub use lanczos::MOST_STEPS;
pub use rows::{complement, make_largest_positive, orthonormal_rows};
pub use scale::{norm, safe_factor, scaled};
pub use triangle::{
    PANEL, add_gram_in_chunks, add_product, append_rows, append_to_panel, cholesky, set_product, solve_lower,
    solve_upper,
};
pub use upper::Upper;
pub use vectors::{add_multiple, dot};

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::lu::partial_pivoting::{factor as lu_factor, solve as lu};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::qr::no_pivoting::factor as qr;
use faer::linalg::{evd, svd};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use ndarray::{Array2, ArrayView2};

/// Eigenvalues and eigenvectors of a symmetric matrix, `a = Σ_q λ_q v_q v_qᵀ`.
///
/// Eigenvalues are descending; the eigenvector of eigenvalue `q` is **row** `q` of the array, its sign as it comes.
/// Only the lower triangle of `a` is read.
///
/// # Panics
/// If `a` is not square or not finite.
pub fn eigh(a: ArrayView2<f64>) -> (Vec<f64>, Array2<f64>) {
    let n = a.nrows();
    assert_eq!(n, a.ncols(), "a symmetric matrix is square");
    if let Some((scaled, factor)) = scaled(a) {
        let (values, vectors) = eigh(scaled.view());
        return (values.into_iter().map(|value| value / factor).collect(), vectors);
    }
    // Rows of zeros (species that never meet) are eigenvectors already, and too many of them keep the iteration from ending.
    let (active, zero): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| a.row(i).iter().any(|&x| x != 0.0));
    let (values, vectors) = eigh_of_active(a, &active);
    let mut order: Vec<usize> = (0..n).collect();
    let value = |k: usize| values.get(k).copied().unwrap_or(0.0);
    order.sort_by(|&p, &q| value(q).total_cmp(&value(p)).then(p.cmp(&q)));
    let mut rows = Array2::zeros((n, n));
    for (mut row, &k) in rows.rows_mut().into_iter().zip(&order) {
        match k.checked_sub(active.len()) {
            Some(k) => row[zero[k]] = 1.0,
            None => active.iter().enumerate().for_each(|(i, &place)| row[place] = vectors[(i, k)]),
        }
    }
    (order.into_iter().map(value).collect(), rows)
}

/// Eigenvalues, descending, and eigenvectors in columns, of the rows and columns named.
fn eigh_of_active(a: ArrayView2<f64>, active: &[usize]) -> (Vec<f64>, Mat<f64>) {
    let n = active.len();
    if n == 0 {
        return (Vec::new(), Mat::new());
    }
    let matrix = Mat::from_fn(n, n, |i, j| a[[active[i], active[j]]]);
    let mut vectors = Mat::zeros(n, n);
    let mut values = faer::diag::Diag::zeros(n);
    let scratch = evd::self_adjoint_evd_scratch::<f64>(n, evd::ComputeEigenvectors::Yes, Par::Seq, Default::default());
    evd::self_adjoint_evd(
        matrix.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .expect("a finite symmetric matrix has eigenvectors");
    let descending = (0..n).map(|q| values[n - 1 - q]).collect();
    (descending, Mat::from_fn(n, n, |i, q| vectors[(i, n - 1 - q)]))
}

/// Thin singular value decomposition, `a = U diag(s) V`: U `[row, k]`, s descending, V `[k, column]` with the right singular
/// vectors in **rows**, signs as they come.
///
/// # Panics
/// If `a` is not finite.
pub fn svd_thin(a: ArrayView2<f64>) -> (Array2<f64>, Vec<f64>, Array2<f64>) {
    let (u, s, v) = svd_of(a);
    let (rows, cols, rank) = (a.nrows(), a.ncols(), s.len());
    let u = Array2::from_shape_fn((rows, rank), |(i, k)| u[(i, k)]);
    (u, s, Array2::from_shape_fn((rank, cols), |(k, j)| v[(j, k)]))
}

/// Orthogonal factor of the polar decomposition, `U Vᵀ` of the thin singular value decomposition `a = U Σ Vᵀ`:
/// the matrix with orthonormal columns (rows, if `a` is wide) closest to `a`.
///
/// # Panics
/// If `a` is not finite.
pub fn svd_polar(a: ArrayView2<f64>) -> Array2<f64> {
    let (u, _, v) = svd_of(a);
    let mut polar = Array2::zeros(a.dim());
    product(&mut polar, u.as_ref(), v.transpose());
    polar
}

/// U and V of `a = U diag(s) Vᵀ`, both with singular vectors in columns.
fn svd_of(a: ArrayView2<f64>) -> (Mat<f64>, Vec<f64>, Mat<f64>) {
    if let Some((scaled, factor)) = scaled(a) {
        let (u, s, v) = svd_of(scaled.view());
        return (u, s.into_iter().map(|s| s / factor).collect(), v);
    }
    let (rows, cols) = a.dim();
    let rank = rows.min(cols);
    let matrix = to_faer(a);
    let (mut u, mut v, mut s) = (Mat::zeros(rows, rank), Mat::zeros(cols, rank), faer::diag::Diag::zeros(rank));
    let vectors = svd::ComputeSvdVectors::Thin;
    let scratch = svd::svd_scratch::<f64>(rows, cols, vectors, vectors, Par::Seq, Default::default());
    svd::svd(
        matrix.as_ref(),
        s.as_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .expect("a finite matrix has singular values");
    (u, (0..rank).map(|k| s[k]).collect(), v)
}

/// The triangular factor of `a = Q R`, Q with orthonormal columns: `[min(rows, columns), column]`, zero below the diagonal.
pub fn qr_r(a: ArrayView2<f64>) -> Array2<f64> {
    if let Some((scaled, factor)) = scaled(a) {
        return qr_r(scaled.view()) / factor;
    }
    let (rows, cols) = a.dim();
    let size = rows.min(cols);
    let mut matrix = to_faer(a);
    let block = qr::recommended_block_size::<f64>(rows, cols);
    let mut coefficients = Mat::zeros(block, size);
    let scratch = qr::qr_in_place_scratch::<f64>(rows, cols, block, Par::Seq, Default::default());
    qr::qr_in_place(
        matrix.as_mut(),
        coefficients.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    Array2::from_shape_fn((size, cols), |(i, j)| if i <= j { matrix[(i, j)] } else { 0.0 })
}

/// The solution x of `a x = b` for a square matrix and right-hand sides in columns, by Gaussian elimination with partial pivoting.
///
/// A singular matrix gives numbers that are not finite, not an error.
///
/// # Panics
/// If the shapes do not fit.
pub fn solve(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    let (n, columns) = b.dim();
    assert_eq!(a.dim(), (n, n), "a square matrix of as many rows as the right-hand sides");
    let (mut matrix, mut x) = (to_faer(a), to_faer(b));
    let (mut forward, mut inverse) = (vec![0_usize; n], vec![0_usize; n]);
    let scratch = lu_factor::lu_in_place_scratch::<usize, f64>(n, n, Par::Seq, Default::default())
        .or(lu::solve_in_place_scratch::<usize, f64>(n, columns, Par::Seq));
    let stack = &mut MemBuffer::new(scratch);
    let stack = MemStack::new(stack);
    let lu_mut = matrix.as_mut();
    let (_, order) = lu_factor::lu_in_place(lu_mut, &mut forward, &mut inverse, Par::Seq, stack, Default::default());
    lu::solve_in_place(matrix.as_ref(), matrix.as_ref(), order, x.as_mut(), Par::Seq, stack);
    Array2::from_shape_fn((n, columns), |(i, j)| x[(i, j)])
}

/// Matrix product `a b`.
///
/// # Panics
/// If the shapes do not fit.
pub fn matmul(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    assert_eq!(a.ncols(), b.nrows(), "columns of a against rows of b");
    let mut c = Array2::zeros((a.nrows(), b.ncols()));
    product(&mut c, to_faer(a).as_ref(), to_faer(b).as_ref());
    c
}

/// Adds a Gram matrix, `c += XᵀX`, **to the lower triangle of `c` only** (`c[i, j]` with `i >= j`; the rest is untouched).
///
/// `x` holds `rows` rows of `cols` numbers, each row `row_stride` after the last; `c` is `cols × cols`, row-major.
///
/// # Panics
/// If a slice is too short for its shape.
pub fn add_gram(x: &[f64], rows: usize, cols: usize, row_stride: usize, c: &mut [f64]) {
    if rows == 0 || cols == 0 {
        return;
    }
    // Row-major X is column-major Xᵀ, and the lower triangle of c is the upper one of its transpose.
    let xt = MatRef::from_column_major_slice_with_stride(x, cols, rows, row_stride);
    let c = MatMut::from_column_major_slice_mut(&mut c[..cols * cols], cols, cols);
    let full = BlockStructure::Rectangular;
    let half = BlockStructure::TriangularUpper;
    triangular::matmul(c, half, Accum::Add, xt, full, xt.transpose(), full, 1.0, Par::Seq);
}

fn product(c: &mut Array2<f64>, a: MatRef<f64>, b: MatRef<f64>) {
    let (rows, cols) = c.dim();
    let c = c.as_slice_mut().expect("a new array is contiguous");
    let c = MatMut::from_row_major_slice_mut(c, rows, cols);
    faer::linalg::matmul::matmul(c, Accum::Replace, a, b, 1.0, Par::Seq);
}

fn to_faer(a: ArrayView2<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[[i, j]])
}
