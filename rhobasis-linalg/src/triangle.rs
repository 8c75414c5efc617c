use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor as llt;
use faer::linalg::matmul::triangular::BlockStructure;
use faer::linalg::matmul::{matmul, triangular};
use faer::linalg::triangular_solve;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

/// Columns whose reflections are applied together: a panel.
pub const PANEL: usize = 64;
/// Columns of the panel's innermost step, reflected one by one.
const INNER: usize = 8;
/// Columns (rows of a Gram matrix) that one thread works on: a constant, so that the bits do not depend on the threads.
const CHUNK: usize = 256;

/// Adds a product, `c += factor · a b`, for operands with any strides: transposes are not copied.
///
/// # Panics
/// If the shapes do not fit.
pub fn add_product(mut c: ArrayViewMut2<f64>, factor: f64, a: ArrayView2<f64>, b: ArrayView2<f64>) {
    assert_eq!((a.ncols(), c.dim()), (b.nrows(), (a.nrows(), b.ncols())), "shapes of c += a b");
    matmul(of_view_mut(&mut c), Accum::Add, of_view(a), of_view(b), factor, Par::Seq);
}

/// A product in place of `c`, `c = a b`, for operands with any strides.
///
/// # Panics
/// If the shapes do not fit.
pub fn set_product(mut c: ArrayViewMut2<f64>, a: ArrayView2<f64>, b: ArrayView2<f64>) {
    assert_eq!((a.ncols(), c.dim()), (b.nrows(), (a.nrows(), b.ncols())), "shapes of c = a b");
    matmul(of_view_mut(&mut c), Accum::Replace, of_view(a), of_view(b), 1.0, Par::Seq);
}

/// Adds a Gram matrix, `c += xᵀx`, to the lower triangle of `c` as [`add_gram`](super::add_gram) does, on many threads and
/// with the same bits for any number of them.
///
/// # Panics
/// If `c` is not a square of as many columns as `x` has.
pub fn add_gram_in_chunks(mut c: ArrayViewMut2<f64>, x: ArrayView2<f64>) {
    assert_eq!(c.dim(), (x.ncols(), x.ncols()), "shapes of c += xᵀx");
    let rows: Vec<_> = c.axis_chunks_iter_mut(Axis(0), CHUNK).enumerate().collect();
    rows.into_par_iter().for_each(|(chunk, mut rows)| {
        let (first, end) = (chunk * CHUNK, chunk * CHUNK + rows.nrows());
        let own = x.slice(s![.., first..end]);
        add_product(rows.slice_mut(s![.., ..first]), 1.0, own.t(), x.slice(s![.., ..first]));
        let mut diagonal = rows.slice_mut(s![.., first..end]);
        let (half, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
        let (diagonal, own) = (of_view_mut(&mut diagonal), of_view(own));
        triangular::matmul(diagonal, half, Accum::Add, own.transpose(), full, own, full, 1.0, Par::Seq);
    });
}

/// Cholesky factor of a symmetric positive definite matrix, `a = L Lᵀ`, in place; only the lower triangle of `a` is read,
/// and the upper one is set to zero.
///
/// On many threads, with the same bits for any number of them.
///
/// # Errors
/// The index of the first pivot that is not positive.
///
/// # Panics
/// If `a` is not square.
pub fn cholesky(mut a: ArrayViewMut2<f64>) -> Result<(), usize> {
    let n = a.nrows();
    assert_eq!(n, a.ncols(), "a symmetric matrix is square");
    for first in (0..n).step_by(CHUNK) {
        let size = CHUNK.min(n - first);
        let (mut top, mut below) = a.view_mut().split_at(Axis(0), first + size);
        let mut corner = top.slice_mut(s![first.., first..first + size]);
        factor_corner(&mut corner).map_err(|pivot| first + pivot)?;
        let corner = corner.view();
        let mut rows: Vec<_> = below.axis_chunks_iter_mut(Axis(0), CHUNK).collect();
        // Rows below: x ← x L⁻ᵀ, that is Lᵀ from the right, or L from the left of the transpose.
        rows.par_iter_mut().for_each(|rows| {
            solve_lower(corner, rows.slice_mut(s![.., first..first + size]).reversed_axes());
        });
        drop(rows);
        let panel = below.slice(s![.., first..first + size]).to_owned();
        let rows: Vec<_> = below.axis_chunks_iter_mut(Axis(0), CHUNK).enumerate().collect();
        rows.into_par_iter().for_each(|(chunk, mut rows)| {
            let end = chunk * CHUNK + rows.nrows();
            let own = panel.slice(s![chunk * CHUNK..end, ..]);
            let left = rows.slice_mut(s![.., first + size..first + size + end]);
            add_product(left, -1.0, own, panel.slice(s![..end, ..]).t());
        });
    }
    for i in 0..n {
        a.slice_mut(s![i, i + 1..]).fill(0.0);
    }
    Ok(())
}

fn factor_corner(corner: &mut ArrayViewMut2<f64>) -> Result<(), usize> {
    let n = corner.nrows();
    let mut copy = Mat::from_fn(n, n, |i, j| corner[[i.max(j), i.min(j)]]);
    let scratch = llt::cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default());
    let stack = &mut MemBuffer::new(scratch);
    llt::cholesky_in_place(copy.as_mut(), Default::default(), Par::Seq, MemStack::new(stack), Default::default())
        .map_err(|llt::LltError::NonPositivePivot { index }| index)?;
    for i in 0..n {
        for j in 0..=i {
            corner[[i, j]] = copy[(i, j)];
        }
    }
    Ok(())
}

/// Solves `L x = b` in place of `b`; only the lower triangle of `l` is read.
///
/// A zero on the diagonal gives infinities, not an error. On many threads, with the same bits for any number of them.
///
/// # Panics
/// If the shapes do not fit.
pub fn solve_lower(l: ArrayView2<f64>, mut b: ArrayViewMut2<f64>) {
    let columns: Vec<_> = b.axis_chunks_iter_mut(Axis(1), CHUNK).collect();
    columns.into_par_iter().for_each(|mut b| {
        triangular_solve::solve_lower_triangular_in_place(of_view(l), of_view_mut(&mut b), Par::Seq);
    });
}

/// Solves `R x = b` in place of `b`, as [`solve_lower`] for the upper triangle of `r`.
///
/// # Panics
/// If the shapes do not fit.
pub fn solve_upper(r: ArrayView2<f64>, mut b: ArrayViewMut2<f64>) {
    let columns: Vec<_> = b.axis_chunks_iter_mut(Axis(1), CHUNK).collect();
    columns.into_par_iter().for_each(|mut b| {
        triangular_solve::solve_upper_triangular_in_place(of_view(r), of_view_mut(&mut b), Par::Seq);
    });
}

/// Appends rows to a triangular factor: with X = QR the rows seen so far, R becomes that of `[X; rows]`.
///
/// `triangle` is `[R | Qᵀy]` with axes `[column, (column, target)]`, R upper triangular, all zero before the first rows;
/// `rows` is `[x | y]`, where the columns of x before `first` are zero. What is left in the columns of y afterwards is
/// orthogonal to all columns of x; those of x hold nothing of use. The numbers below the diagonal of R are not touched.
///
/// Householder reflections of `[R; rows]` by panels of columns, each reflection acting on one row of R:
///
/// ```text
/// H_1 ⋯ H_k = 1 − V T Vᵀ,   V = [1; V_rows],   T upper triangular
/// ```
///
/// On many threads, with the same bits for any number of them.
///
/// # Panics
/// If the shapes do not fit.
pub fn append_rows(mut triangle: ArrayViewMut2<f64>, mut rows: ArrayViewMut2<f64>, first: usize) {
    let (n, all) = triangle.dim();
    assert_eq!(all, rows.ncols(), "columns of the triangle against those of the rows");
    for start in (first..n).step_by(PANEL) {
        let end = n.min(start + PANEL);
        append_to_panel(triangle.slice_mut(s![start..end, start..]), rows.slice_mut(s![.., start..]));
    }
}

/// One panel of [`append_rows`]: rows of the triangle, at most [`PANEL`] of them, from the column of the first on, and the same
/// columns of what is appended, of which those of the panel hold nothing of use afterwards.
pub fn append_to_panel(mut panel: ArrayViewMut2<f64>, mut rows: ArrayViewMut2<f64>) {
    if rows.nrows() == 0 {
        return;
    }
    let size = panel.nrows();
    let mut r = Mat::from_fn(size, size, |i, j| if i <= j { panel[[i, j]] } else { 0.0 });
    let mut v = Mat::from_fn(rows.nrows(), size, |i, j| rows[[i, j]]);
    let mut t = Mat::zeros(size, size);
    reflect(r.as_mut(), v.as_mut(), t.as_mut());
    for i in 0..size {
        for j in i..size {
            panel[[i, j]] = r[(i, j)];
        }
    }
    let mut heads = panel.slice_mut(s![.., size..]);
    let mut tails = rows.slice_mut(s![.., size..]);
    let heads = heads.axis_chunks_iter_mut(Axis(1), CHUNK);
    let chunks: Vec<_> = heads.zip(tails.axis_chunks_iter_mut(Axis(1), CHUNK)).collect();
    chunks.into_par_iter().for_each(|(mut head, mut tail)| {
        apply(v.as_ref(), t.as_ref(), of_view_mut(&mut head), of_view_mut(&mut tail));
    });
}

/// Triangle of `[r; v]` into r, the reflections that give it into v, and T.
fn reflect(mut r: MatMut<f64>, mut v: MatMut<f64>, mut t: MatMut<f64>) {
    let n = r.ncols();
    if n <= INNER {
        return reflect_one_by_one(r, v, t);
    }
    let half = (n / 2).next_multiple_of(INNER);
    let (mut v0, mut v1) = v.rb_mut().split_at_col_mut(half);
    let (r00, mut r01, _, r11) = r.rb_mut().split_at_mut(half, half);
    let (mut t00, t01, _, mut t11) = t.rb_mut().split_at_mut(half, half);
    reflect(r00, v0.rb_mut(), t00.rb_mut());
    apply(v0.rb(), t00.rb(), r01.rb_mut(), v1.rb_mut());
    reflect(r11, v1.rb_mut(), t11.rb_mut());
    join(t00.rb(), v0.rb(), v1.rb(), t11.rb(), t01);
}

/// T of two sets of reflections: its upper right part is −T_0 V_0ᵀV_1 T_1.
fn join(t0: MatRef<f64>, v0: MatRef<f64>, v1: MatRef<f64>, t1: MatRef<f64>, mut corner: MatMut<f64>) {
    let mut product = Mat::zeros(v0.ncols(), v1.ncols());
    matmul(product.as_mut(), Accum::Replace, v0.transpose(), v1, 1.0, Par::Seq);
    let mut half = Mat::zeros(v0.ncols(), v1.ncols());
    matmul(half.as_mut(), Accum::Replace, product.as_ref(), t1, 1.0, Par::Seq);
    matmul(corner.rb_mut(), Accum::Replace, t0, half.as_ref(), -1.0, Par::Seq);
}

fn reflect_one_by_one(mut r: MatMut<f64>, mut v: MatMut<f64>, mut t: MatMut<f64>) {
    let n = r.ncols();
    for k in 0..n {
        let tail = v.rb().col(k).norm_l2();
        // A column of zeros is not reflected: H = 1 keeps the row of R where it is, whatever the rank.
        if tail == 0.0 {
            v.rb_mut().col_mut(k).fill(0.0);
            continue;
        }
        let head = r[(k, k)];
        let diagonal = -head.hypot(tail).copysign(head);
        let tau = (diagonal - head) / diagonal;
        r[(k, k)] = diagonal;
        v.rb_mut().col_mut(k).iter_mut().for_each(|x| *x /= head - diagonal);
        let (before, rest) = v.rb_mut().split_at_col_mut(k);
        let (own, mut rest) = rest.split_at_col_mut(1);
        let own = own.rb();
        let mut sums = Mat::zeros(1, n - k - 1);
        matmul(sums.as_mut(), Accum::Replace, own.transpose(), rest.rb(), 1.0, Par::Seq);
        for j in 0..n - k - 1 {
            sums[(0, j)] = -tau * (sums[(0, j)] + r[(k, k + 1 + j)]);
            r[(k, k + 1 + j)] += sums[(0, j)];
        }
        matmul(rest.rb_mut(), Accum::Add, own, sums.as_ref(), 1.0, Par::Seq);
        t[(k, k)] = tau;
        let (t0, corner, _, t1) = t.rb_mut().split_at_mut(k, k);
        join(t0.rb(), before.rb(), own, t1.rb().submatrix(0, 0, 1, 1), corner.subcols_mut(0, 1));
    }
}

/// The reflections, transposed, of `[head; tail]`: w = Tᵀ(head + Vᵀ tail), head −= w, tail −= V w.
fn apply(v: MatRef<f64>, t: MatRef<f64>, mut head: MatMut<f64>, tail: MatMut<f64>) {
    let mut sums = head.rb().to_owned();
    matmul(sums.as_mut(), Accum::Add, v.transpose(), tail.rb(), 1.0, Par::Seq);
    let mut w = Mat::zeros(sums.nrows(), sums.ncols());
    matmul(w.as_mut(), Accum::Replace, t.transpose(), sums.as_ref(), 1.0, Par::Seq);
    head -= &w;
    matmul(tail, Accum::Add, v, w.as_ref(), -1.0, Par::Seq);
}

fn of_view<'a>(a: ArrayView2<'a, f64>) -> MatRef<'a, f64> {
    let (rows, cols) = a.dim();
    // SAFETY: the view borrows, for 'a, the numbers that its shape and strides reach from its pointer.
    unsafe { MatRef::from_raw_parts(a.as_ptr(), rows, cols, a.strides()[0], a.strides()[1]) }
}

fn of_view_mut<'a>(a: &'a mut ArrayViewMut2<f64>) -> MatMut<'a, f64> {
    let (rows, cols) = a.dim();
    let (down, along) = (a.strides()[0], a.strides()[1]);
    // SAFETY: as above, and the view is borrowed mutably for as long as the matrix lives.
    unsafe { MatMut::from_raw_parts_mut(a.as_mut_ptr(), rows, cols, down, along) }
}
