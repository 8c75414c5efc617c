//! Division by the norm: a stage around another.

use std::ops::Range;
use std::sync::Arc;

use ndarray::Array2;

use super::correlation::{ChannelField, Correlation, TangentInTiles};
use super::lanes::Layout;
use super::tiles::{DIRECTIONS, Tiles};
use crate::simd::Lanes;

/// x̂ = f x/|x| of the features x of another correlation, zeros where x = 0. With v a derivative of x, or dE/dx̂,
///
/// ```text
/// (v − x̂ (x̂·v)/f²) f/|x|
/// ```
///
/// is that of x̂, or dE/dx. What it keeps of `forward` is f/|x|. f is 1 but among other features, beside which these count more or
/// less.
#[derive(Debug)]
pub(crate) struct Normalized {
    pub of: Arc<dyn Correlation>,
    pub norm: f64,
}

impl Correlation for Normalized {
    fn layout(&self) -> &Layout {
        self.of.layout()
    }

    fn n_features(&self) -> usize {
        self.of.n_features()
    }

    fn columns(&self) -> Array2<usize> {
        self.of.columns()
    }

    fn channel_fields(&self) -> &'static [ChannelField] {
        self.of.channel_fields()
    }

    fn n_kept(&self) -> usize {
        1
    }

    fn forward(&self, c: &[Lanes], x: &mut [Lanes], kept: &mut [Lanes]) {
        self.of.forward(c, x, &mut []);
        let mut squares = [0.0; 8];
        for x in x.iter() {
            for k in 0..x.len() {
                squares[k] += x[k] * x[k];
            }
        }
        let scale = squares.map(|s| if s > 0.0 { self.norm / s.sqrt() } else { 0.0 });
        for x in x {
            for k in 0..x.len() {
                x[k] *= scale[k];
            }
        }
        kept[0] = scale;
    }

    fn backward(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], g: &mut [Lanes], grad_c: &mut [Lanes]) {
        self.along_sphere(x, &kept[0], g);
        self.of.backward(c, &[], &[], g, grad_c);
    }

    fn tangent(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
        self.of.tangent(c, &[], &[], c_dot, x_dot);
        self.along_sphere(x, &kept[0], x_dot);
    }

    fn reads_features(&self) -> bool {
        true
    }

    fn tangent_of_one(
        &self,
        c: &[f64],
        x: &[Lanes],
        kept: &[Lanes],
        c_dot: &[Lanes],
        active: &[Range<usize>],
        x_dot: &mut [Lanes],
    ) {
        x_dot.fill([0.0; 8]);
        self.of.tangent_of_one(c, &[], &[], c_dot, active, x_dot);
        self.along_sphere(x, &kept[0], x_dot);
    }

    fn in_tiles(&self) -> Option<&dyn TangentInTiles> {
        self.of.in_tiles().map(|_| self as &dyn TangentInTiles)
    }
}

impl TangentInTiles for Normalized {
    fn tangent_in_tiles(
        &self,
        x: &[Lanes],
        kept: &[Lanes],
        c: &Tiles,
        c_dot: &[Tiles; DIRECTIONS],
        active: &[Range<usize>],
        x_dot: &mut [f64],
    ) {
        let Some(inner) = self.of.in_tiles() else { return };
        inner.tangent_in_tiles(&[], &[], c, c_dot, active, x_dot);
        for row in x_dot.chunks_exact_mut(x.len().max(1)) {
            let dot: f64 = x.iter().zip(row.iter()).map(|(x, v)| x[0] * v).sum();
            let dot = dot / (self.norm * self.norm);
            row.iter_mut().zip(x).for_each(|(v, x)| *v = (*v - x[0] * dot) * kept[0][0]);
        }
    }
}

impl Normalized {
    /// v ← (v − x̂ (x̂·v)/f²) f/|x|.
    fn along_sphere(&self, x: &[Lanes], scale: &Lanes, v: &mut [Lanes]) {
        let mut dot = [0.0; 8];
        for (x, v) in x.iter().zip(v.iter()) {
            for k in 0..x.len() {
                dot[k] += x[k] * v[k];
            }
        }
        let dot = dot.map(|dot| dot / (self.norm * self.norm));
        for (x, v) in x.iter().zip(v) {
            for k in 0..x.len() {
                v[k] = (v[k] - x[k] * dot[k]) * scale[k];
            }
        }
    }
}
