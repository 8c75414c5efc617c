//! Division by the norm: a stage around another.

use std::ops::Range;

use ndarray::Array2;

use super::correlation::{Correlation, TangentInTiles};
use super::lanes::Layout;
use super::tiles::{DIRECTIONS, Tiles};
use crate::simd::Lanes;

/// x̂ = x/|x| of the features x of another correlation, zeros where x = 0. With v a derivative of x, or dE/dx̂,
///
/// ```text
/// (v − x̂ (x̂·v)) / |x|
/// ```
///
/// is that of x̂, or dE/dx. What it keeps of `forward` is 1/|x|.
#[derive(Debug)]
pub(crate) struct Normalized<C>(pub C);

impl<C: Correlation> Correlation for Normalized<C> {
    fn layout(&self) -> &Layout {
        self.0.layout()
    }

    fn n_features(&self) -> usize {
        self.0.n_features()
    }

    fn columns(&self) -> Array2<usize> {
        self.0.columns()
    }

    fn forward(&self, c: &[Lanes], x: &mut [Lanes]) -> Lanes {
        self.0.forward(c, x);
        let mut squares = [0.0; 8];
        for x in x.iter() {
            for k in 0..x.len() {
                squares[k] += x[k] * x[k];
            }
        }
        let inverse_norm = squares.map(|s| if s > 0.0 { 1.0 / s.sqrt() } else { 0.0 });
        for x in x {
            for k in 0..x.len() {
                x[k] *= inverse_norm[k];
            }
        }
        inverse_norm
    }

    fn backward(&self, c: &[Lanes], x: &[Lanes], inverse_norm: &Lanes, g: &mut [Lanes], grad_c: &mut [Lanes]) {
        along_sphere(x, inverse_norm, g);
        self.0.backward(c, x, inverse_norm, g, grad_c);
    }

    fn tangent(&self, c: &[Lanes], x: &[Lanes], inverse_norm: &Lanes, c_dot: &[Lanes], x_dot: &mut [Lanes]) {
        self.0.tangent(c, x, inverse_norm, c_dot, x_dot);
        along_sphere(x, inverse_norm, x_dot);
    }

    fn reads_features(&self) -> bool {
        true
    }

    fn tangent_of_one(
        &self,
        c: &[f64],
        x: &[Lanes],
        inverse_norm: &Lanes,
        c_dot: &[Lanes],
        active: &[Range<usize>],
        x_dot: &mut [Lanes],
    ) {
        x_dot.fill([0.0; 8]);
        self.0.tangent_of_one(c, x, inverse_norm, c_dot, active, x_dot);
        along_sphere(x, inverse_norm, x_dot);
    }

    fn in_tiles(&self) -> Option<&dyn TangentInTiles> {
        self.0.in_tiles().map(|_| self as &dyn TangentInTiles)
    }
}

impl<C: Correlation> TangentInTiles for Normalized<C> {
    fn tangent_in_tiles(
        &self,
        x: &[Lanes],
        inverse_norm: &Lanes,
        c: &Tiles,
        c_dot: &[Tiles; DIRECTIONS],
        active: &[Range<usize>],
        x_dot: &mut [f64],
    ) {
        let Some(inner) = self.0.in_tiles() else { return };
        inner.tangent_in_tiles(x, inverse_norm, c, c_dot, active, x_dot);
        for row in x_dot.chunks_exact_mut(x.len().max(1)) {
            let dot: f64 = x.iter().zip(row.iter()).map(|(x, v)| x[0] * v).sum();
            row.iter_mut().zip(x).for_each(|(v, x)| *v = (*v - x[0] * dot) * inverse_norm[0]);
        }
    }
}

/// v ← (v − x̂ (x̂·v)) / |x|.
fn along_sphere(x: &[Lanes], inverse_norm: &Lanes, v: &mut [Lanes]) {
    let mut dot = [0.0; 8];
    for (x, v) in x.iter().zip(v.iter()) {
        for k in 0..x.len() {
            dot[k] += x[k] * v[k];
        }
    }
    for (x, v) in x.iter().zip(v) {
        for k in 0..x.len() {
            v[k] = (v[k] - x[k] * dot[k]) * inverse_norm[k];
        }
    }
}
