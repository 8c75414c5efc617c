//! Eigenstates of the Laplacian in the sphere of radius r_cut:
//!
//! ```text
//! R_nl(x) = N_nl j_l(z_ln x / r_cut) for x < r_cut, else 0,   j_l(z_ln) = 0,   N_nl² = 2 / (r_cut³ j_{l+1}(z_ln)²)
//! ```
//!
//! kept while z_ln ≤ z_{0, n_max−1} = π n_max, which leaves fewer functions for larger l.

use super::nodes::Nodes;
use crate::error::{Error, Result};
use crate::special::bessel;
use crate::special::gauss_legendre::GaussLegendre;
use ndarray::Array2;
use std::f64::consts::PI;

/// One eigenstate: its wave number k = z_ln / r_cut and norm N_nl.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eigenstate {
    wave_number: f64,
    norm: f64,
}

impl Eigenstate {
    /// R/r^l and its derivative, (j_l/z^l)' = −z j_{l+1}/z^{l+1}: finite at r = 0.
    pub(super) fn over_power(self, l: usize, r: f64) -> (f64, f64) {
        let Eigenstate { wave_number: k, norm } = self;
        let scale = norm * k.powi(l as i32);
        let z = k * r;
        (scale * bessel::j_over_power(l, z), -scale * k * z * bessel::j_over_power(l + 1, z))
    }
}

/// Node matrix √w_k x_k R_nl(x_k) for each l, with the eigenstates themselves.
pub(super) fn nodes(n_max: usize, r_cut: f64, sigma: f64, l_max: usize) -> Result<(Nodes, Vec<Vec<Eigenstate>>)> {
    let zeros = bessel::j_zeros(l_max, PI * n_max as f64);
    if let Some(l) = zeros.iter().position(Vec::is_empty) {
        return Err(Error::setting(
            "l_max",
            l_max,
            format!("no Laplacian eigenstate of l = {l} lies below the limit set by n_max = {n_max}"),
            format!("use l_max <= {}, or a larger n_max", l - 1),
        ));
    }
    let states: Vec<Vec<_>> = zeros
        .iter()
        .enumerate()
        .map(|(l, zeros)| {
            let norm = |z: f64| (2.0 / r_cut.powi(3)).sqrt() / bessel::j(l + 1, z).abs();
            zeros.iter().map(|&z| Eigenstate { wave_number: z / r_cut, norm: norm(z) }).collect()
        })
        .collect();
    let rule = GaussLegendre::new(2 * n_max + Nodes::count(100, r_cut, sigma)?, r_cut);
    let u = states
        .iter()
        .enumerate()
        .map(|(l, states)| {
            Array2::from_shape_fn((rule.nodes.len(), states.len()), |(k, n)| {
                let (x, state) = (rule.nodes[k], states[n]);
                rule.weights[k].sqrt() * x * state.norm * bessel::j(l, state.wave_number * x)
            })
        })
        .collect();
    Ok((Nodes { rule, u }, states))
}
