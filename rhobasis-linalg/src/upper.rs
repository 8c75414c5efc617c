use std::borrow::Cow;

use rayon::prelude::*;

use super::lanczos::largest_eigenvalue;
use super::scale::safe_factor;
use super::vectors::{add_multiple, dot};

/// Rows, or columns, that one thread works on: a constant, so that the bits do not depend on the threads.
const CHUNK: usize = 256;

/// An upper triangular matrix R as what multiplies vectors: row i as its numbers from the diagonal on, whoever holds them.
///
/// Of the matrix no more than the half that is not zero is read, once for each product: the memory sets the time.
#[derive(Debug)]
pub struct Upper<'a> {
    rows: Vec<Cow<'a, [f64]>>,
    /// The power of two that the rows have been multiplied by.
    factor: f64,
}

impl<'a> Upper<'a> {
    /// From rows, of which row i of n holds the n − i numbers from the diagonal on.
    pub fn new(rows: Vec<&'a [f64]>) -> Self {
        let factor = safe_factor(rows.iter().copied().flatten());
        let scaled = |row: &'a [f64]| match factor {
            1.0 => Cow::Borrowed(row),
            _ => Cow::Owned(row.iter().map(|x| factor * x).collect()),
        };
        Upper { rows: rows.into_iter().map(scaled).collect(), factor }
    }

    /// Largest singular value, to 1e-12 of it: the root of the largest eigenvalue of RᵀR.
    pub fn largest_singular_value(&self) -> f64 {
        self.largest(1e-12) / self.factor
    }

    /// Largest over smallest singular value, to 1e-6 of it where it is below 1e10, and a large number where rounding of R is
    /// larger than the smallest; infinite where that is zero.
    pub fn condition_number(&self) -> f64 {
        self.condition(1e-12, 1e-6)
    }

    /// The same to a tenth, in less time.
    pub fn condition_estimate(&self) -> f64 {
        self.condition(0.1, 0.1)
    }

    fn condition(&self, of_largest: f64, of_smallest: f64) -> f64 {
        if self.rows.iter().any(|row| row[0] == 0.0) {
            return f64::INFINITY;
        }
        if self.rows.len() <= 1 {
            return 1.0;
        }
        let inverse =
            largest_eigenvalue(self.rows.len(), of_smallest, |x| self.solve(self.solve_transposed(x.to_vec())));
        self.largest(of_largest) * inverse.sqrt()
    }

    fn largest(&self, tolerance: f64) -> f64 {
        match self.rows.len() {
            0 => 0.0,
            n => largest_eigenvalue(n, tolerance, |x| self.transposed_times(&self.times(x))).sqrt(),
        }
    }

    /// R x.
    pub fn times(&self, x: &[f64]) -> Vec<f64> {
        let of = |(i, row): (usize, &Cow<[f64]>)| dot(row, &x[i..]);
        self.rows.par_iter().enumerate().with_min_len(CHUNK).map(of).collect()
    }

    /// Rᵀ y.
    fn transposed_times(&self, y: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; y.len()];
        x.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, x)| {
            let (first, end) = (CHUNK * chunk, CHUNK * chunk + x.len());
            for (i, row) in self.rows[..end].iter().enumerate() {
                let from = first.max(i);
                add_multiple(&mut x[from - first..], y[i], &row[from - i..end - i]);
            }
        });
        x
    }

    /// R⁻¹ x.
    pub fn solve(&self, mut x: Vec<f64>) -> Vec<f64> {
        for (i, row) in self.rows.iter().enumerate().rev() {
            x[i] = (x[i] - dot(&row[1..], &x[i + 1..])) / row[0];
        }
        x
    }

    /// R⁻ᵀ x.
    fn solve_transposed(&self, mut x: Vec<f64>) -> Vec<f64> {
        for (i, row) in self.rows.iter().enumerate() {
            x[i] /= row[0];
            let solved = x[i];
            add_multiple(&mut x[i + 1..], -solved, &row[1..]);
        }
        x
    }
}
