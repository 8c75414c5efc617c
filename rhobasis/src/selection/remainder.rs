//! What is left of a matrix A after columns are projected out, in the coordinates of its left singular vectors.
//!
//! With A = U Σ Vᵀ, columns of A become those of W = ΣVᵀ, all scalar products the same. What is left is P W, with
//! P = 1 − Σ_c q_c q_cᵀ of the columns chosen so far, and its left singular vectors are eigenvectors of P Σ² P: a diagonal matrix and
//! as many vectors as columns were chosen, so that products with it, and its inverse, cost little. Where the q_c are so many that they
//! do not, the singular value decomposition is made anew of P W.

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use rayon::prelude::*;

use crate::linalg::{self, add_multiple, dot};

/// Rows whose sums are formed together, and then added in order: the result does not depend on the threads.
const BLOCK: usize = 128;
/// Up to so many rows, or for this share of them in columns projected out, a decomposition is cheaper than what it saves.
const SMALL: usize = 48;
const SHARE: usize = 8;
/// A squared norm that has fallen to this share of itself by differences has lost so many digits, and is formed anew.
const FALLEN: f64 = 1e-6;

pub(super) struct Remainder {
    /// σ_i²
    squares: Vec<f64>,
    /// W = ΣVᵀ `[i, column]`
    w: Array2<f64>,
    /// The q_c `[c, i]`, orthonormal.
    q: Array2<f64>,
    /// Squared norms of the columns of P W, and what each was when it was last formed from the column itself.
    norms: Vec<f64>,
    formed: Vec<f64>,
    /// Relative size of squared norms that are rounding.
    pub noise: f64,
}

impl Remainder {
    /// Of a matrix; a tall one is first replaced by its triangular factor R (A = QR): unlike AᵀA it keeps all digits of small
    /// directions.
    pub fn of_matrix(a: ArrayView2<f64>) -> Self {
        let a = of_unit_size(a);
        let r = if a.nrows() > a.ncols() { linalg::qr_r(a.view()) } else { a };
        Remainder::decomposed(r.view(), 1e-24)
    }

    /// Of AᵀA, of which only the lower triangle is read.
    pub fn of_gram(gram: ArrayView2<f64>) -> Self {
        let (values, vectors) = linalg::eigh(of_unit_size(gram).view());
        let singular = values.iter().map(|value| value.max(0.0).sqrt()).collect();
        Remainder::of_singular(singular, vectors, 1e-15 * (gram.nrows() as f64).max(10.0))
    }

    fn decomposed(a: ArrayView2<f64>, noise: f64) -> Self {
        let (singular, v) = linalg::right_singular(a);
        Remainder::of_singular(singular, v, noise)
    }

    fn of_singular(singular: Vec<f64>, v: Array2<f64>, noise: f64) -> Self {
        let rank = singular.iter().filter(|&&s| s > 0.0).count();
        let mut w = v.slice_move(s![..rank, ..]);
        w.rows_mut().into_iter().zip(&singular).for_each(|(mut row, s)| row *= *s);
        let norms: Vec<f64> = w.mapv(|x| x * x).sum_axis(Axis(0)).to_vec();
        let squares = singular[..rank].iter().map(|s| s * s).collect();
        Remainder { squares, q: Array2::zeros((0, rank)), w, formed: norms.clone(), norms, noise }
    }

    /// Number of coordinates.
    pub fn n(&self) -> usize {
        self.squares.len()
    }

    pub fn n_columns(&self) -> usize {
        self.w.ncols()
    }

    /// Squared norms of the columns of P W.
    pub fn squared_norms(&self) -> &[f64] {
        &self.norms
    }

    /// The largest of the σ_i².
    pub fn largest(&self) -> f64 {
        self.squares.first().copied().unwrap_or(0.0)
    }

    /// The σ_i² where no column is projected out, or few enough that a decomposition can be made anew: eigenvalues, with unit
    /// vectors as eigenvectors.
    pub fn eigenvalues(&mut self) -> Option<&[f64]> {
        let projected = self.q.nrows();
        if projected > 0 && (self.n() <= SMALL || projected * SHARE > self.n()) {
            let mut rest = self.w.clone();
            // Twice: of a column that lies in the q_c to rounding the first leaves this rounding.
            for _ in 0..2 {
                let along = linalg::matmul(self.q.view(), rest.view());
                linalg::add_product(rest.view_mut(), -1.0, self.q.t(), along.view());
            }
            *self = Remainder::decomposed(rest.view(), self.noise);
        }
        (self.q.nrows() == 0).then_some(&self.squares)
    }

    /// Projects the q_c out of a vector. Twice: only then is the rest orthogonal to rounding.
    pub fn project(&self, x: &mut [f64]) {
        for _ in 0..2 {
            for q in self.q.rows() {
                let q = q.to_slice().expect("rows are contiguous");
                add_multiple(x, -dot(q, x), q);
            }
        }
    }

    /// P Σ² x for a vector x = P x.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut product: Vec<f64> = x.iter().zip(&self.squares).map(|(x, s)| x * s).collect();
        self.project(&mut product);
        product
    }

    /// (P Σ² P − θ)⁻¹ x in the space of P, for vectors x = P x: with D = Σ² − θ and Q of the q_c,
    ///
    /// ```text
    /// D⁻¹ (x − Qᵀ y),   (Q D⁻¹ Qᵀ) y = Q D⁻¹ x
    /// ```
    pub fn solve(&self, theta: f64, vectors: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let least = 1e-15 * self.largest();
        let inverse = |s: &f64| 1.0 / if (s - theta).abs() < least { least } else { s - theta };
        let d: Vec<f64> = self.squares.iter().map(inverse).collect();
        let mut scaled = self.q.clone();
        scaled.rows_mut().into_iter().for_each(|mut row| row.iter_mut().zip(&d).for_each(|(q, d)| *q *= d));
        let x = Array2::from_shape_fn((self.n(), vectors.len()), |(i, k)| vectors[k][i]);
        let y = linalg::solve(
            linalg::matmul(scaled.view(), self.q.t()).view(),
            linalg::matmul(scaled.view(), x.view()).view(),
        );
        let mut rest = x;
        linalg::add_product(rest.view_mut(), -1.0, self.q.t(), y.view());
        rest.columns().into_iter().map(|x| x.iter().zip(&d).map(|(x, d)| x * d).collect()).collect()
    }

    /// Wᵀ x: the scalar products of the columns of W with a vector.
    fn products(&self, x: &[f64]) -> Vec<f64> {
        let n = self.n_columns();
        let of_block = |(w, x): (&[f64], &[f64])| {
            let mut sum = vec![0.0; n];
            w.chunks_exact(n).zip(x).for_each(|(row, x)| add_multiple(&mut sum, *x, row));
            sum
        };
        let w = self.w.as_slice().expect("a new array is contiguous");
        let sums: Vec<Vec<f64>> = w.par_chunks(BLOCK * n.max(1)).zip(x.par_chunks(BLOCK)).map(of_block).collect();
        let mut total = vec![0.0; n];
        sums.iter().for_each(|sum| add_multiple(&mut total, 1.0, sum));
        total
    }

    /// Leverage of each column, π_j = Σ_k v_kj², of right singular vectors v_k = Wᵀu_k/σ_k; directions without any length do not count.
    pub fn leverage<'a>(&self, vectors: impl Iterator<Item = (&'a [f64], f64)>) -> Vec<f64> {
        let mut pi = vec![0.0; self.n_columns()];
        let mut first = None;
        for (u, value) in vectors {
            if value > 1e-14 * *first.get_or_insert(value) {
                pi.iter_mut().zip(self.products(u)).for_each(|(pi, v)| *pi += v * v / value);
            }
        }
        pi
    }

    /// The same of the first k unit vectors.
    pub fn leverage_of_units(&self, k: usize) -> Vec<f64> {
        let mut pi = vec![0.0; self.n_columns()];
        for (row, value) in self.w.rows().into_iter().zip(&self.squares).take(k) {
            if *value > 1e-14 * self.largest() {
                pi.iter_mut().zip(row).for_each(|(pi, v)| *pi += v * v / value);
            }
        }
        pi
    }

    /// Projects column j out of all.
    pub fn project_out(&mut self, j: usize) {
        let mut column = self.w.column(j).to_vec();
        self.project(&mut column);
        let norm = dot(&column, &column).sqrt();
        if norm == 0.0 {
            return;
        }
        column.iter_mut().for_each(|x| *x /= norm);
        let products = self.products(&column);
        let row = ArrayView2::from_shape((1, column.len()), &column).expect("one row");
        self.q = concatenate![Axis(0), self.q, row];
        let mut lost = Vec::new();
        for (j, along) in products.iter().enumerate() {
            self.norms[j] -= along * along;
            if self.norms[j] < FALLEN * self.formed[j] {
                lost.push(j);
            }
        }
        for j in lost {
            let mut column = self.w.column(j).to_vec();
            self.project(&mut column);
            (self.norms[j], self.formed[j]) = (dot(&column, &column), dot(&column, &column));
        }
        self.norms[j] = 0.0;
    }
}

/// Times the power of two that brings the largest to between 1 and 2: leverage has no unit, and so not one bit depends on the unit.
fn of_unit_size(a: ArrayView2<f64>) -> Array2<f64> {
    let largest = a.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let exponent = -largest.max(f64::MIN_POSITIVE).log2().floor();
    let factor = 2f64.powi(exponent.clamp(-1022.0, 1023.0) as i32);
    a.mapv(|x| factor * x)
}
