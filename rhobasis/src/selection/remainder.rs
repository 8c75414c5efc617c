//! What is left of a matrix A after columns are projected out, in coordinates in which that is cheap to go on with.
//!
//! AᵀA = V Λ Vᵀ gives W = Λ^½ Vᵀ, whose columns have the scalar products of those of A. What is left is P W, with P = 1 − Σ_c q_c q_cᵀ
//! of the columns chosen so far, and its left singular vectors are eigenvectors of P Λ P: a diagonal matrix and as many vectors as
//! columns were chosen, so that products with it, and with its inverse, cost little.
//!
//! Of a square AᵀA only half of the digits can be seen. Where what is left has become so small that they matter, or the q_c so many that
//! they cost more than they save, all is made anew from A with the chosen columns projected out, which has all digits.

use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2, concatenate, s};
use rayon::prelude::*;

use crate::linalg::{self, add_multiple, dot};

/// Rows whose sums are formed together, and then added in order: the result does not depend on the threads.
const BLOCK: usize = 128;
/// Up to so many coordinates, or for this share of them in columns projected out, it is made anew.
const SMALL: usize = 48;
const SHARE: usize = 8;
/// Eigenvalues below this part of the largest are too near to what rounding leaves of the largest.
const FALLEN: f64 = 1e-8;
/// Relative rounding of Λ.
pub(super) const ROUNDING: f64 = 1e-15;

pub(super) struct Remainder<'a> {
    /// A, or what stands for it where AᵀA is given.
    a: CowArray<'a, f64, Ix2>,
    /// The columns chosen so far, orthonormal, `[c, row of A]`.
    chosen: Array2<f64>,
    /// Λ, descending.
    squares: Vec<f64>,
    /// W `[i, column]`
    w: Array2<f64>,
    /// The q_c `[c, i]`, orthonormal, of the columns chosen since W was made.
    q: Array2<f64>,
    /// Squared norms of columns that are rounding.
    floor: f64,
}

impl<'a> Remainder<'a> {
    pub fn of_matrix(a: ArrayView2<'a, f64>) -> Self {
        match linalg::scaled(a) {
            Some((a, _)) => Remainder::of(a.into(), 1e-24),
            None => Remainder::of(a.into(), 1e-24),
        }
    }

    /// Of AᵀA, of which only the lower triangle is read.
    pub fn of_gram(gram: ArrayView2<f64>) -> Self {
        let (values, mut w) = eigh(of_unit_size(gram));
        scale_rows(&mut w, values.iter().map(|value| value.max(0.0).sqrt()));
        Remainder::of(w.into(), 1e-15 * (gram.nrows() as f64).max(10.0))
    }

    /// `noise`: squared norms that are rounding, in parts of the largest.
    fn of(a: CowArray<'a, f64, Ix2>, noise: f64) -> Self {
        let chosen = Array2::zeros((0, a.nrows()));
        let (squares, w) = coordinates(a.view());
        let mut norms = vec![0.0; a.ncols()];
        a.rows().into_iter().for_each(|row| norms.iter_mut().zip(row).for_each(|(norm, x)| *norm += x * x));
        let largest = norms.into_iter().fold(0.0, f64::max);
        Remainder { q: Array2::zeros((0, squares.len())), a, chosen, squares, w, floor: noise * largest }
    }

    /// Number of coordinates.
    pub fn n(&self) -> usize {
        self.squares.len()
    }

    pub fn n_columns(&self) -> usize {
        self.a.ncols()
    }

    /// The largest of Λ.
    pub fn largest(&self) -> f64 {
        self.squares.first().copied().unwrap_or(0.0)
    }

    /// Whether eigenvalues as small as this are better found anew.
    pub fn is_too_small(&self, value: f64) -> bool {
        self.q.nrows() > 0 && value < FALLEN * self.largest()
    }

    /// Whether there is nothing left of A but rounding, if this is the largest eigenvalue of what is left.
    pub fn is_nothing(&self, value: f64) -> bool {
        value <= self.floor
    }

    /// Λ, where no column has been projected out since it was made, with unit vectors as eigenvectors.
    pub fn eigenvalues(&self) -> Option<&[f64]> {
        (self.q.nrows() == 0).then_some(&self.squares)
    }

    /// Whether so much was projected out that it is better made anew.
    pub fn is_worn(&self) -> bool {
        let projected = self.q.nrows();
        projected > 0 && (self.n() <= SMALL || projected * SHARE > self.n())
    }

    /// Makes Λ and W anew from A.
    pub fn renew(&mut self) {
        let mut rest = self.a.to_owned();
        // Twice: of a column that lies in those chosen to rounding the first leaves this rounding.
        for _ in 0..2 {
            let along = linalg::matmul(self.chosen.view(), rest.view());
            linalg::add_product(rest.view_mut(), -1.0, self.chosen.t(), along.view());
        }
        (self.squares, self.w) = coordinates(rest.view());
        self.q = Array2::zeros((0, self.squares.len()));
    }

    /// Projects the q_c out of a vector, but for rounding of what goes.
    pub fn project(&self, x: &mut [f64]) {
        project(&self.q, x);
    }

    /// P Λ x for a vector x = P x.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut product: Vec<f64> = x.iter().zip(&self.squares).map(|(x, s)| x * s).collect();
        self.project(&mut product);
        product
    }

    /// (P Λ P − θ)⁻¹ x in the space of P, for vectors x = P x: with D = Λ − θ and Q of the q_c,
    ///
    /// ```text
    /// D⁻¹ (x − Qᵀ y),   (Q D⁻¹ Qᵀ) y = Q D⁻¹ x
    /// ```
    pub fn solve(&self, theta: f64, vectors: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let least = ROUNDING * self.largest();
        let inverse = |s: &f64| 1.0 / if (s - theta).abs() < least { least } else { s - theta };
        let d: Vec<f64> = self.squares.iter().map(inverse).collect();
        let mut scaled = self.q.clone();
        scaled.rows_mut().into_iter().for_each(|mut row| row.iter_mut().zip(&d).for_each(|(q, d)| *q *= d));
        let mut x = Array2::from_shape_fn((self.n(), vectors.len()), |(i, k)| vectors[k][i]);
        let between = linalg::matmul(scaled.view(), self.q.t());
        let y = linalg::solve(between.view(), linalg::matmul(scaled.view(), x.view()).view());
        linalg::add_product(x.view_mut(), -1.0, self.q.t(), y.view());
        x.columns().into_iter().map(|x| x.iter().zip(&d).map(|(x, d)| x * d).collect()).collect()
    }

    /// Leverage of each column, π_j = Σ_k v_kj², of the right singular vectors v_k = Wᵀu_k/λ_k^½ of some u_k and λ_k; directions without
    /// any length do not count.
    pub fn leverage<'v>(&self, vectors: impl Iterator<Item = (&'v [f64], f64)>) -> Vec<f64> {
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

    /// Projects column j out of all; whether there was something left of it to do so.
    pub fn project_out(&mut self, j: usize) -> bool {
        // Twice: only then is the rest orthogonal to rounding.
        let mut column = self.a.column(j).to_vec();
        (0..2).for_each(|_| project(&self.chosen, &mut column));
        let squared = dot(&column, &column);
        if squared <= self.floor {
            return false;
        }
        let mut coordinates = self.w.column(j).to_vec();
        (0..2).for_each(|_| self.project(&mut coordinates));
        append(&mut self.chosen, column);
        append(&mut self.q, coordinates);
        true
    }
}

/// Λ, descending, and W, with WᵀW = AᵀA and WWᵀ = Λ; as many as there are rows or columns, whichever are fewer.
fn coordinates(a: ArrayView2<f64>) -> (Vec<f64>, Array2<f64>) {
    let (rows, columns) = a.dim();
    let mut gram = Array2::zeros((rows.min(columns), rows.min(columns)));
    if columns <= rows {
        linalg::add_gram_in_chunks(gram.view_mut(), a);
    } else {
        linalg::add_gram_in_chunks(gram.view_mut(), a.t());
    }
    let (squares, vectors) = eigh(gram);
    let rank = squares.iter().filter(|&&square| square > 0.0).count();
    let mut w = vectors.slice_move(s![..rank, ..]);
    if columns <= rows {
        scale_rows(&mut w, squares.iter().map(|square| square.sqrt()));
    } else {
        w = linalg::matmul(w.view(), a);
    }
    (squares[..rank].to_vec(), w)
}

/// Eigenvalues and eigenvectors, of which no bit changes with the unit.
fn eigh(gram: Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let factor = unit_factor(gram.view());
    let (values, vectors) = linalg::eigh((factor * gram).view());
    (values.into_iter().map(|value| value / factor).collect(), vectors)
}

fn of_unit_size(a: ArrayView2<f64>) -> Array2<f64> {
    unit_factor(a) * &a
}

/// The power of two that brings the largest number to between 1 and 2.
fn unit_factor(a: ArrayView2<f64>) -> f64 {
    let largest = a.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let exponent = -largest.max(f64::MIN_POSITIVE).log2().floor();
    2f64.powi(exponent.clamp(-1022.0, 1023.0) as i32)
}

fn scale_rows(w: &mut Array2<f64>, factors: impl Iterator<Item = f64>) {
    w.rows_mut().into_iter().zip(factors).for_each(|(mut row, factor)| row *= factor);
}

/// Projects orthonormal rows out of a vector.
fn project(rows: &Array2<f64>, x: &mut [f64]) {
    for q in rows.rows() {
        let q = q.to_slice().expect("rows are contiguous");
        add_multiple(x, -dot(q, x), q);
    }
}

/// Appends a vector, normalised, as a row.
fn append(rows: &mut Array2<f64>, mut x: Vec<f64>) {
    let norm = dot(&x, &x).sqrt();
    x.iter_mut().for_each(|x| *x /= norm);
    let row = ArrayView2::from_shape((1, x.len()), &x).expect("one row");
    *rows = concatenate![Axis(0), *rows, row];
}
