//! Linear combinations of invariants, for eight centres at a time.

use multiversion::multiversion;
use ndarray::{Array1, ArrayView1, ArrayView2};

use crate::simd::{LANES, Lanes, add_scaled};

/// x = Vᵀ z.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    n: [usize; 2],
    /// V and Vᵀ in panels: eight of the numbers to be made, all that they are made of.
    forward: Vec<Lanes>,
    backward: Vec<Lanes>,
}

impl Rotation {
    /// V is `[z, x]`.
    pub fn new(v: ArrayView2<f64>) -> Self {
        let panels = |v: ArrayView2<f64>| {
            let of_panel = |first: usize| {
                (0..v.nrows()).map(move |k| std::array::from_fn(|j| v.get((k, first + j)).copied().unwrap_or(0.0)))
            };
            (0..v.ncols()).step_by(LANES).flat_map(of_panel).collect::<Vec<Lanes>>()
        };
        Rotation { n: [v.nrows(), v.ncols()], forward: panels(v), backward: panels(v.t()) }
    }

    /// Numbers of x.
    pub fn n_out(&self) -> usize {
        self.n[1]
    }

    pub fn forward(&self, z: &[Lanes], x: &mut [Lanes]) {
        combine(&self.forward, &z[..self.n[0]], &mut x[..self.n[1]]);
    }

    /// dE/dz, given dE/dx.
    pub fn backward(&self, grad_x: &[Lanes], grad_z: &mut [Lanes]) {
        combine(&self.backward, &grad_x[..self.n[1]], &mut grad_z[..self.n[0]]);
    }

    /// V w.
    pub fn weights(&self, w: ArrayView1<f64>) -> Array1<f64> {
        let v = |k: usize, j: usize| self.forward[j / LANES * self.n[0] + k][j % LANES];
        Array1::from_shape_fn(self.n[0], |k| (0..self.n[1]).map(|j| v(k, j) * w[j]).sum())
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn combine(panels: &[Lanes], from: &[Lanes], to: &mut [Lanes]) {
    for (to, panel) in to.chunks_mut(LANES).zip(panels.chunks_exact(from.len().max(1))) {
        let mut sums = [[0.0; LANES]; LANES];
        for (v, z) in panel.iter().zip(from) {
            for (sum, v) in sums.iter_mut().zip(v) {
                add_scaled(sum, *v, z);
            }
        }
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
    }
}
