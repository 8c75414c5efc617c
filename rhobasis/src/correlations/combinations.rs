//! Linear combinations of what a correlation makes, which then are the features.

use std::ops::Range;

use multiversion::multiversion;
use multiversion::target::selected_target;
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
    /// B, if x = z V − y B is to be made of it, y being the features just before.
    pub lower: Option<Matrix>,
}

impl Block {
    /// So many numbers as they are.
    pub fn plain(n: usize) -> Self {
        Block { n, v: None, lower: None }
    }

    fn n_out(&self) -> usize {
        self.v.as_ref().map_or(self.n, Matrix::n_out)
    }
}

impl Combinations {
    /// None if nothing is combined.
    pub fn new(blocks: Vec<Block>) -> Option<Self> {
        blocks.iter().any(|block| block.v.is_some() || block.lower.is_some()).then_some(Combinations(blocks))
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
            let (z, mut own) = (z.slice(s![.., from]), x.slice_mut(s![.., to.clone()]));
            match &block.v {
                None => own.assign(&z),
                Some(v) => v.forward.of_rows(z, own),
            }
            if let Some(b) = &block.lower {
                let lower = x.slice(s![.., to.start - b.n_in()..to.start]);
                let mut explained = Array2::zeros((x.nrows(), to.len()));
                b.forward.of_rows(lower, explained.view_mut());
                let mut own = x.slice_mut(s![.., to]);
                own -= &explained;
            }
        }
    }

    /// dE/dz, given dE/dx.
    pub fn backward(&self, grad_x: ArrayView2<f64>, mut grad_z: ArrayViewMut2<f64>) {
        let purified = self.before_purification(grad_x);
        let grad_x = purified.as_ref().map_or(grad_x, |grad_x| grad_x.view());
        for (block, to, from) in self.places() {
            let (grad_x, mut grad_z) = (grad_x.slice(s![.., from]), grad_z.slice_mut(s![.., to]));
            match &block.v {
                None => grad_z.assign(&grad_x),
                Some(v) => v.backward.of_rows(grad_x, grad_z),
            }
        }
    }

    /// dE/d(z V), given dE/dx, if anything is subtracted from z V.
    fn before_purification(&self, grad_x: ArrayView2<f64>) -> Option<Array2<f64>> {
        self.0.iter().any(|block| block.lower.is_some()).then(|| {
            let mut grad = grad_x.to_owned();
            let places: Vec<_> = self.places().collect();
            for (block, _, own) in places.into_iter().rev() {
                let Some(b) = &block.lower else { continue };
                let mut of_lower = Array2::zeros((grad.nrows(), b.n_in()));
                b.backward.of_rows(grad.slice(s![.., own.clone()]), of_lower.view_mut());
                let mut lower = grad.slice_mut(s![.., own.start - b.n_in()..own.start]);
                lower -= &of_lower;
            }
            grad
        })
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

    pub fn n_in(&self) -> usize {
        self.forward.n_in
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

/// Rows that are multiplied together: they share what is read of the matrix, and their sums stay in registers.
const ROWS: usize = 8;

/// How many sums of [`LANES`] numbers stay in the registers of the target that a function is compiled for: 8 where one
/// register holds such a sum, which is as many as two units of four cycles are busy with; else 4.
macro_rules! sums_in_registers {
    () => {
        if matches!(selected_target!().suggested_simd_width::<f64>(), Some(LANES)) { 8 } else { 4 }
    };
}

impl Panels {
    fn new(v: ArrayView2<f64>) -> Self {
        let of_panel = |first: usize| {
            (0..v.nrows()).map(move |k| std::array::from_fn(|j| v.get((k, first + j)).copied().unwrap_or(0.0)))
        };
        let numbers = (0..v.ncols()).step_by(LANES).flat_map(of_panel).collect();
        Panels { n_in: v.nrows(), n_out: v.ncols(), numbers }
    }

    /// out = rows times the matrix. The bits of a row do not depend on the others.
    fn of_rows(&self, rows: ArrayView2<f64>, mut out: ArrayViewMut2<f64>) {
        if self.n_in == 0 {
            return out.fill(0.0);
        }
        let n = rows.nrows();
        let number = |first: usize, k: usize, r: usize| rows.get((first + r, k)).copied().unwrap_or(0.0);
        let tile = |first: usize| (0..self.n_in).map(move |k| std::array::from_fn(|r| number(first, k, r)));
        let tiles: Vec<[f64; ROWS]> = (0..n).step_by(ROWS).flat_map(tile).collect();
        // As slices: views of the parts would take as long as the multiplication.
        let rows_out = out.outer_iter_mut().map(|row| row.into_slice().expect("a row lies in one piece"));
        let mut out: Vec<&mut [f64]> = rows_out.collect();
        for (p, panel) in self.numbers.chunks_exact(self.n_in.max(1)).enumerate() {
            let columns = p * LANES..self.n_out.min((p + 1) * LANES);
            for (out, tile) in out.chunks_mut(ROWS).zip(tiles.chunks_exact(self.n_in)) {
                for (out, sum) in out.iter_mut().zip(some_rows(panel, tile)) {
                    let out = &mut out[columns.clone()];
                    match <&mut Lanes>::try_from(&mut *out) {
                        Ok(out) => *out = sum,
                        Err(_) => out.copy_from_slice(&sum[..columns.len()]),
                    }
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
fn some_rows(panel: &[Lanes], tile: &[[f64; ROWS]]) -> [Lanes; ROWS] {
    const PART: usize = sums_in_registers!();
    let mut sums = [[0.0; LANES]; ROWS];
    for (part, sums) in sums.as_chunks_mut::<PART>().0.iter_mut().enumerate() {
        for (v, z) in panel.iter().zip(tile) {
            for r in 0..PART {
                add_scaled(&mut sums[r], z[part * PART + r], v);
            }
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
    const PART: usize = sums_in_registers!();
    let to = &mut to[..panels.n_out];
    if panels.n_in == 0 {
        return to.fill([0.0; LANES]);
    }
    for (to, panel) in to.chunks_mut(LANES).zip(panels.numbers.chunks_exact(panels.n_in.max(1))) {
        for (part, to) in to.chunks_mut(PART).enumerate() {
            let mut sums = [[0.0; LANES]; PART];
            for (v, z) in panel.iter().zip(from) {
                for j in 0..PART {
                    add_scaled(&mut sums[j], v[(part * PART + j) % LANES], z);
                }
            }
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
        }
    }
}
