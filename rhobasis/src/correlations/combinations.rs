//! Linear combinations of what a correlation makes, which then are the features.

use std::ops::Range;

use multiversion::multiversion;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};

use crate::simd::{LANES, Lanes, add_scaled};

/// x = z V of rows z, block by block: numbers as they are, or combined with a matrix V.
///
/// A linear model needs none of it but as a prior: w·x = (V w)·z.
#[derive(Debug, Clone)]
pub(crate) struct Combinations(Vec<Block>);

/// Numbers that follow each other, and how they are combined, if they are.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub n: usize,
    pub v: Option<Matrix>,
}

impl Block {
    fn n_out(&self) -> usize {
        self.v.as_ref().map_or(self.n, Matrix::n_out)
    }
}

impl Combinations {
    /// None if nothing is combined.
    pub fn new(blocks: Vec<Block>) -> Option<Self> {
        blocks.iter().any(|block| block.v.is_some()).then_some(Combinations(blocks))
    }

    pub fn n_in(&self) -> usize {
        self.0.iter().map(|block| block.n).sum()
    }

    pub fn n_out(&self) -> usize {
        self.0.iter().map(Block::n_out).sum()
    }

    /// Each block with its places in z and x.
    fn places(&self) -> impl Iterator<Item = (&Block, Range<usize>, Range<usize>)> {
        let (mut z, mut x) = (0, 0);
        self.0.iter().map(move |block| {
            let (first_z, first_x) = (z, x);
            (z, x) = (z + block.n, x + block.n_out());
            (block, first_z..z, first_x..x)
        })
    }

    /// x of rows z. The bits of a row do not depend on the others.
    pub fn forward(&self, z: ArrayView2<f64>, mut x: ArrayViewMut2<f64>) {
        for (block, from, to) in self.places() {
            let (z, mut x) = (z.slice(s![.., from]), x.slice_mut(s![.., to]));
            match &block.v {
                None => x.assign(&z),
                Some(v) => v.forward.of_rows(z, x),
            }
        }
    }

    /// dE/dz, given dE/dx.
    pub fn backward(&self, grad_x: ArrayView2<f64>, mut grad_z: ArrayViewMut2<f64>) {
        for (block, to, from) in self.places() {
            let (grad_x, mut grad_z) = (grad_x.slice(s![.., from]), grad_z.slice_mut(s![.., to]));
            match &block.v {
                None => grad_z.assign(&grad_x),
                Some(v) => v.backward.of_rows(grad_x, grad_z),
            }
        }
    }

    /// V w: weights of z that do what weights w of x do.
    pub fn weights(&self, w: ArrayView1<f64>) -> Array1<f64> {
        let mut of_z = Array2::zeros((1, self.n_in()));
        self.backward(w.insert_axis(Axis(0)), of_z.view_mut());
        of_z.row(0).to_owned()
    }

    /// What the features are, given what the numbers are that they are made of: of each block as many as there are.
    pub fn columns(&self, columns: ArrayView2<usize>) -> Array2<usize> {
        let mut out = Array2::zeros((self.n_out(), columns.ncols()));
        for (_, from, to) in self.places() {
            let first = columns.slice(s![from.start..from.start + to.len(), ..]);
            out.slice_mut(s![to, ..]).assign(&first);
        }
        out
    }
}

/// A matrix `[z, x]` to be multiplied with, from either side.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    forward: Panels,
    backward: Panels,
}

impl Matrix {
    pub fn new(v: ArrayView2<f64>) -> Self {
        Matrix { forward: Panels::new(v), backward: Panels::new(v.t()) }
    }

    pub fn n_out(&self) -> usize {
        self.forward.n_out
    }

    /// x of z, of eight centres.
    pub fn forward_lanes(&self, z: &[Lanes], x: &mut [Lanes]) {
        of_lanes(&self.forward, z, x);
    }

    /// dE/dz, given dE/dx.
    pub fn backward_lanes(&self, grad_x: &[Lanes], grad_z: &mut [Lanes]) {
        of_lanes(&self.backward, grad_x, grad_z);
    }
}

/// A matrix in panels of eight columns, zeros completing the last: `[panel, row, column]`.
#[derive(Debug, Clone)]
struct Panels {
    n_in: usize,
    n_out: usize,
    numbers: Vec<Lanes>,
}

/// Rows that are multiplied together: they share what is read of the matrix.
const ROWS: usize = 8;

impl Panels {
    fn new(v: ArrayView2<f64>) -> Self {
        let of_panel = |first: usize| {
            (0..v.nrows()).map(move |k| std::array::from_fn(|j| v.get((k, first + j)).copied().unwrap_or(0.0)))
        };
        let numbers = (0..v.ncols()).step_by(LANES).flat_map(of_panel).collect();
        Panels { n_in: v.nrows(), n_out: v.ncols(), numbers }
    }

    /// out = rows times the matrix; rows must be contiguous each.
    fn of_rows(&self, rows: ArrayView2<f64>, mut out: ArrayViewMut2<f64>) {
        let n = rows.nrows();
        for (p, panel) in self.numbers.chunks_exact(self.n_in.max(1)).enumerate() {
            let columns = p * LANES..self.n_out.min((p + 1) * LANES);
            for first in (0..n).step_by(ROWS) {
                let row = |k: usize| rows.row((first + k).min(n - 1)).to_slice().expect("rows are contiguous");
                let sums = eight_rows(panel, std::array::from_fn(row));
                for (k, sum) in sums.iter().enumerate().take(n - first) {
                    let mut out = out.slice_mut(s![first + k, columns.clone()]);
                    out.iter_mut().zip(sum).for_each(|(out, sum)| *out = *sum);
                }
            }
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn eight_rows(panel: &[Lanes], rows: [&[f64]; ROWS]) -> [Lanes; ROWS] {
    let mut sums = [[0.0; LANES]; ROWS];
    let rows = rows.map(|row| &row[..panel.len()]);
    for (k, v) in panel.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(&rows) {
            add_scaled(sum, row[k], v);
        }
    }
    sums
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn of_lanes(panels: &Panels, from: &[Lanes], to: &mut [Lanes]) {
    let to = &mut to[..panels.n_out];
    for (to, panel) in to.chunks_mut(LANES).zip(panels.numbers.chunks_exact(panels.n_in.max(1))) {
        let mut sums = [[0.0; LANES]; LANES];
        for (v, z) in panel.iter().zip(from) {
            for (sum, v) in sums.iter_mut().zip(v) {
                add_scaled(sum, *v, z);
            }
        }
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
    }
}
