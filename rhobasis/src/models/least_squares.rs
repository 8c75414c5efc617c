use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::factor::{Factor, check_finite, columns, joined};
use super::packed::PackedTriangle;
use super::solver::{Solver, check_triangle};
use crate::linalg::{self, MOST_STEPS, add_product, append_rows, solve_lower};
use crate::{Error, Result};

/// Rows of a block: with half as many a triangle in memory is read and written too often, with more nothing is gained.
const BLOCK: usize = 512;

/// Most squares of numbers that Cholesky takes to end in a triangle, its way out for dependent columns included.
const SQUARES_OF_CHOLESKY: usize = 7;

/// Linear least squares min |Xw − y|² of rows that come one after another, in memory that does not grow with them.
///
/// X has axes `[row, column]`, y `[row, target]`; weights are multiplied into both by the caller. Kept are, for
/// [`Solver::Qr`], the triangle R of X = QR with Qᵀy, in half a square of numbers, or, for [`Solver::Cholesky`], XᵀX with Xᵀy,
/// in a whole one, besides a block of 512 rows that wait for their turn: `8 n (n / 2 + 512)` or `8 n (n + 512)` bytes for n
/// columns. Blocks end after the same rows however these are cut into calls, so the result has the same bits for any
/// cut and for any number of threads.
///
/// ```
/// use ndarray::array;
/// use rhobasis::models::{LeastSquares, Solver};
///
/// let mut sums = LeastSquares::new(2, 1, Solver::Qr);
/// sums.add(array![[1.0, 0.0], [1.0, 1.0]].view(), array![[1.0], [3.0]].view())?;
/// sums.add(array![[1.0, 2.0]].view(), array![[5.0]].view())?;
/// let w = sums.factor()?.solve()?; // y = 1 + 2 x
/// assert!((w[[0, 0]] - 1.0).abs() < 1e-14 && (w[[1, 0]] - 2.0).abs() < 1e-14);
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LeastSquares {
    n_columns: usize,
    n_targets: usize,
    n_rows: usize,
    sums: Sums,
    /// Rows `[x | y]` that wait, the first `waiting` of the array.
    block: Array2<f64>,
    waiting: usize,
}

/// What has been made of whole blocks.
#[derive(Debug, Clone)]
enum Sums {
    Qr(PackedTriangle),
    /// Lower triangle of `[x | y]ᵀ[x | y]`.
    Cholesky(Array2<f64>),
}

impl LeastSquares {
    /// No rows yet, of `n_columns` numbers and `n_targets` values.
    pub fn new(n_columns: usize, n_targets: usize, solver: Solver) -> Self {
        let all = n_columns + n_targets;
        let sums = match solver {
            Solver::Qr => Sums::Qr(PackedTriangle::new(n_columns, n_targets)),
            Solver::Cholesky => Sums::Cholesky(Array2::zeros((all, all))),
        };
        let block = Array2::zeros((BLOCK, all));
        LeastSquares { n_columns, n_targets, n_rows: 0, sums, block, waiting: 0 }
    }

    /// Bytes of a problem of so many columns and targets.
    pub(crate) fn memory(n_columns: usize, n_targets: usize, solver: Solver) -> usize {
        let all = n_columns + n_targets;
        let sums = match solver {
            Solver::Qr => PackedTriangle::memory(n_columns, n_targets),
            Solver::Cholesky => 8 * all * all,
        };
        sums + 8 * BLOCK * all
    }

    /// Bytes that are needed besides, where the triangle is made, regularised and turned into a factor.
    pub(crate) fn memory_of_end(n_columns: usize, n_targets: usize, solver: Solver) -> usize {
        let square = 8 * n_columns * (n_columns + n_targets);
        match solver {
            Solver::Qr => {
                let more = PackedTriangle::memory(n_columns, n_targets) + 8 * MOST_STEPS * n_columns;
                square + more + PackedTriangle::memory_of_step(n_columns, n_targets)
            }
            Solver::Cholesky => SQUARES_OF_CHOLESKY * square,
        }
    }

    /// Adds rows, any number of them: `x` `[row, column]`, `y` `[row, target]`.
    ///
    /// # Errors
    /// If a shape does not fit or a number is not finite; no row has been added then.
    pub fn add(&mut self, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<()> {
        self.check(x, y)?;
        let n = self.n_columns;
        for (x, y) in x.rows().into_iter().zip(y.rows()) {
            let mut row = self.block.row_mut(self.waiting);
            row.slice_mut(s![..n]).assign(&x);
            row.slice_mut(s![n..]).assign(&y);
            self.waiting += 1;
            if self.waiting == self.block.nrows() {
                self.work_off();
            }
        }
        self.n_rows += x.nrows();
        Ok(())
    }

    fn check(&self, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<()> {
        let n_targets = self.n_targets;
        if x.ncols() != self.n_columns {
            let problem = format!("the rows before have {} columns", self.n_columns);
            return Err(Error::setting("X", columns(x), problem, "pass the same columns"));
        }
        if y.ncols() != n_targets {
            let problem = format!("there are {n_targets} targets");
            return Err(Error::setting("y", columns(y), problem, "pass one column per target"));
        }
        if y.nrows() != x.nrows() {
            let problem = format!("X has {} rows, y {}", x.nrows(), y.nrows());
            return Err(Error::setting("y", format!("{} rows", y.nrows()), problem, "pass one row of y per row of X"));
        }
        check_finite("X", x, self.n_rows)?;
        check_finite("y", y, self.n_rows)
    }

    /// Rows added so far.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Columns of X.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// Columns of y.
    pub fn n_targets(&self) -> usize {
        self.n_targets
    }

    /// The factorised problem of all rows added so far; more may be added afterwards.
    ///
    /// Columns that depend linearly on others are no error here, but in [`Factor::solve`].
    ///
    /// # Errors
    /// If norms (QR) or their squares (Cholesky) are too large for a number of eight bytes.
    pub fn factor(&self) -> Result<Factor> {
        let block = self.block.slice(s![..self.waiting, ..]).to_owned();
        LeastSquares { sums: self.sums.clone(), block, ..*self }.into_factor()
    }

    /// [`LeastSquares::factor`] in little more memory than the sums take.
    ///
    /// # Errors
    /// As `factor`.
    pub(crate) fn into_factor(mut self) -> Result<Factor> {
        self.work_off();
        let LeastSquares { n_columns, n_rows, sums, block, .. } = self;
        drop(block);
        match sums {
            Sums::Qr(mut triangle) => {
                triangle.n_rows = n_rows;
                check_rows(n_rows, triangle.numbers())?;
                Ok(Factor::of_packed(triangle, Solver::Qr))
            }
            Sums::Cholesky(gram) => {
                let (triangle, left) = triangle_of_gram(gram, n_columns)?;
                check_rows(n_rows, &triangle)?;
                Ok(Factor { solver: Solver::Cholesky, triangle, left, n_rows })
            }
        }
    }

    /// The triangle of all rows, without the zeros of a [`Factor`].
    ///
    /// # Errors
    /// As `factor`.
    pub(crate) fn into_triangle(mut self) -> Result<PackedTriangle> {
        if let Sums::Cholesky(_) = self.sums {
            let Factor { triangle, left, n_rows, .. } = self.into_factor()?;
            return Ok(PackedTriangle::of_square(triangle.view(), left, n_rows).compact());
        }
        self.work_off();
        let Sums::Qr(mut triangle) = self.sums else { unreachable!("looked at above") };
        triangle.n_rows = self.n_rows;
        check_rows(self.n_rows, triangle.numbers())?;
        drop(self.block);
        Ok(triangle.compact())
    }

    /// Adds the rows that wait to the sums.
    fn work_off(&mut self) {
        let mut rows = self.block.slice_mut(s![..self.waiting, ..]);
        match &mut self.sums {
            _ if self.waiting == 0 => {}
            Sums::Qr(triangle) => triangle.append(rows, 0),
            Sums::Cholesky(gram) => linalg::add_gram_in_chunks(gram.view_mut(), rows.view_mut().view()),
        }
        self.waiting = 0;
    }

    /// Everything this holds, as arrays by name, for a checkpoint.
    pub fn to_arrays(&self) -> BTreeMap<String, Array2<f64>> {
        let row = |numbers: &[f64]| Array2::from_shape_fn((1, numbers.len()), |(_, k)| numbers[k]);
        let (sums, left) = match &self.sums {
            Sums::Qr(triangle) => (row(triangle.numbers()), triangle.left.clone().insert_axis(Axis(0))),
            Sums::Cholesky(gram) => (gram.clone(), Array2::zeros((1, self.n_targets))),
        };
        let waiting = self.block.slice(s![..self.waiting, ..]).to_owned();
        let n_rows = Array2::from_elem((1, 1), self.n_rows as f64);
        let named = [("sums", sums), ("left", left), ("waiting", waiting), ("n_rows", n_rows)];
        named.into_iter().map(|(name, array)| (name.to_string(), array)).collect()
    }

    /// Back from [`LeastSquares::to_arrays`]; rows added from here on give the same bits as without the interruption.
    ///
    /// # Errors
    /// If an array is missing, its shape does not fit, or a number is not finite.
    pub fn from_arrays(solver: Solver, arrays: &BTreeMap<String, Array2<f64>>) -> Result<Self> {
        let remedy = "pass the arrays of the same checkpoint, with its solver";
        let array = |name: &'static str| match arrays.get(name) {
            Some(array) => check_finite(name, array.view(), 0).map(|()| array),
            None => Err(Error::setting("arrays", name, "this array is missing", remedy)),
        };
        let (sums, left, waiting, n_rows) = (array("sums")?, array("left")?, array("waiting")?, array("n_rows")?);
        let (n_targets, all) = (left.len(), waiting.ncols());
        let n_columns = all.saturating_sub(n_targets);
        let n_rows = n_rows.first().copied().unwrap_or(-1.0);
        let restored = match solver {
            Solver::Qr if sums.nrows() == 1 => {
                let numbers = sums.iter().copied().collect();
                let left = left.iter().copied().collect();
                let triangle = PackedTriangle::of_numbers(n_columns, numbers, left, n_columns);
                triangle.filter(|triangle| triangle.height() == n_columns).map(Sums::Qr)
            }
            Solver::Cholesky if sums.dim() == (all, all) => Some(Sums::Cholesky(sums.clone())),
            _ => None,
        };
        let fits = left.nrows() == 1 && all >= n_targets && waiting.nrows() < BLOCK && n_rows >= waiting.nrows() as f64;
        let Some(sums) = restored.filter(|_| fits) else {
            let shapes = format!("sums {:?}, left {:?}, waiting {:?}", sums.dim(), left.dim(), waiting.dim());
            return Err(Error::setting("arrays", shapes, "these shapes do not belong together", remedy));
        };
        let mut block = Array2::zeros((BLOCK, all));
        block.slice_mut(s![..waiting.nrows(), ..]).assign(waiting);
        Ok(LeastSquares { n_columns, n_targets, n_rows: n_rows as usize, sums, block, waiting: waiting.nrows() })
    }
}

fn check_rows<'a>(n_rows: usize, triangle: impl IntoIterator<Item = &'a f64>) -> Result<()> {
    check_triangle("X", format!("{n_rows} rows"), triangle)
}

/// `[R | R⁻ᵀXᵀy]` and the squared norms left over, from the lower triangle of `[x | y]ᵀ[x | y]`.
fn triangle_of_gram(mut gram: Array2<f64>, n: usize) -> Result<(Array2<f64>, Array1<f64>)> {
    if let Some(sum) = gram.iter().find(|sum| !sum.is_finite()) {
        return Err(Error::setting(
            "X",
            sum,
            "the normal equations overflow",
            "scale the columns, or use the QR solver",
        ));
    }
    let squares = gram.diag().slice(s![n..]).to_owned();
    let mut z = gram.slice(s![n.., ..n]).t().to_owned();
    let mut corner = gram.slice(s![..n, ..n]).to_owned();
    let r = match linalg::cholesky(corner.view_mut()) {
        Ok(()) => {
            drop(gram);
            solve_lower(corner.view(), z.view_mut());
            corner.reversed_axes()
        }
        Err(_) => {
            // Not positive definite to rounding: √λ Vᵀ of what is positive is a square root too, and QR makes it a triangle.
            for i in 0..n {
                for j in i + 1..n {
                    gram[[i, j]] = gram[[j, i]];
                }
            }
            drop(corner);
            return Ok(triangle_of_eigenvectors(gram.slice(s![..n, ..n]), z, &squares));
        }
    };
    let left = left_of(&squares, &z);
    Ok((joined(&r, &z), left))
}

fn triangle_of_eigenvectors(
    gram: ArrayView2<f64>,
    xty: Array2<f64>,
    squares: &Array1<f64>,
) -> (Array2<f64>, Array1<f64>) {
    let (values, mut vectors) = linalg::eigh(gram);
    // Below, an eigenvalue is rounding of the largest.
    let smallest = values.first().map_or(0.0, |largest| largest * f64::EPSILON * values.len() as f64);
    let mut z = Array2::zeros(xty.dim());
    add_product(z.view_mut(), 1.0, vectors.view(), xty.view());
    for (q, value) in values.iter().enumerate() {
        let root = if *value > smallest { value.sqrt() } else { 0.0 };
        vectors.row_mut(q).iter_mut().for_each(|x| *x *= root);
        z.row_mut(q).iter_mut().for_each(|x| *x = if root > 0.0 { *x / root } else { 0.0 });
    }
    let left = left_of(squares, &z);
    let mut triangle = Array2::zeros((gram.nrows(), gram.nrows() + z.ncols()));
    append_rows(triangle.view_mut(), joined(&vectors, &z).view_mut(), 0);
    (triangle, left)
}

fn left_of(squares: &Array1<f64>, z: &Array2<f64>) -> Array1<f64> {
    let explained = z.columns().into_iter().map(|z| z.iter().map(|x| x * x).sum::<f64>());
    squares.iter().zip(explained).map(|(square, explained)| (square - explained).max(0.0)).collect()
}
