use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::lu::partial_pivoting::{factor, solve as lu};
use faer::{Mat, Par};
use ndarray::{Array2, ArrayView2};

/// The solution x of `a x = b` for a square matrix and right-hand sides in columns, by Gaussian elimination with partial pivoting.
///
/// A singular matrix gives numbers that are not finite, not an error.
///
/// # Panics
/// If the shapes do not fit.
pub fn solve(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    let (n, columns) = b.dim();
    assert_eq!(a.dim(), (n, n), "a square matrix of as many rows as the right-hand sides");
    let (mut matrix, mut x) = (super::to_faer(a), super::to_faer(b));
    let (mut forward, mut inverse) = (vec![0_usize; n], vec![0_usize; n]);
    let scratch = factor::lu_in_place_scratch::<usize, f64>(n, n, Par::Seq, Default::default())
        .or(lu::solve_in_place_scratch::<usize, f64>(n, columns, Par::Seq));
    let stack = &mut MemBuffer::new(scratch);
    let stack = MemStack::new(stack);
    let (matrix_mut, parameters) = (matrix.as_mut(), Default::default());
    let (_, order) = factor::lu_in_place(matrix_mut, &mut forward, &mut inverse, Par::Seq, stack, parameters);
    let matrix: &Mat<f64> = &matrix;
    lu::solve_in_place(matrix.as_ref(), matrix.as_ref(), order, x.as_mut(), Par::Seq, stack);
    Array2::from_shape_fn((n, columns), |(i, j)| x[(i, j)])
}
