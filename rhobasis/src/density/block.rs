//! Neighbours of one centre, as many as stay in the first-level cache: distances, weights, harmonics and radial rows.

use std::ops::Range;

use super::evaluated::Radial;
use super::harmonics::SolidHarmonics;
use super::run::Pairs;
use super::settings::{Density, L_MAX, RadialScaling};
use super::table::FEW;
use crate::simd::{Aligned, LANES, Lanes, add_scaled};
use crate::structure::Vec3;

/// Neighbours handled together: their harmonics and radial rows stay in the first-level cache.
pub(crate) const PAIRS: usize = 32;

/// Most numbers of a row whose functions are so few that neighbours are in lanes.
const MOST_IN_LANES: usize = (FEW * (L_MAX + 1)).next_multiple_of(LANES);

/// Batches of eight in a block.
const BATCHES: usize = PAIRS / LANES;

/// Up to [`PAIRS`] neighbours of one centre that contribute to the same channels.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Number of neighbours filled in.
    pub n: usize,
    /// r_ji, in Å, eight neighbours to a vector.
    pub vector: [[Lanes; BATCHES]; 3],
    /// The rate at which r_ji changes, for tangents.
    pub velocity: [[Lanes; BATCHES]; 3],
    /// Which radial integrals.
    pub radial: [u32; PAIRS],
    /// |r_ji|, in Å.
    distance: [Lanes; BATCHES],
    /// f(r) and df/dr.
    weight: [[Lanes; BATCHES]; 2],
    /// r^l Y_lm: `[batch of eight][lm][neighbour of the batch]`
    pub harmonics: Aligned,
    /// ∂(r^l Y_lm) along x, y, z: `[batch][direction][lm][neighbour]`; or along the velocity, without direction.
    pub gradients: Aligned,
    /// f s, and where derivatives are wanted (f′ s + f s′)/r: `[neighbour][row]`
    pub values: Aligned,
    pub slopes: Aligned,
    /// dc/dr_ji of one neighbour: `[direction][l][c][m]`
    pub of_pair: Aligned,
    pub n_lm: usize,
}

impl Block {
    /// Makes room for harmonics up to l_max and radial rows of this length.
    pub fn fit(&mut self, l_max: usize, longest_row: usize) {
        self.n_lm = (l_max + 1) * (l_max + 1);
        self.harmonics.resize(LANES * BATCHES * self.n_lm);
        self.values.resize(PAIRS * longest_row);
    }

    /// Takes some pairs, at most [`PAIRS`]; beyond the last one, vectors of zeros complete a batch.
    #[inline(always)]
    pub fn fill(&mut self, pairs: &Pairs, range: Range<usize>) {
        self.n = range.len();
        self.radial[..range.len()].copy_from_slice(&pairs.radial[range.clone()]);
        set_lanes(&mut self.vector, &pairs.vector[range]);
    }

    /// As [`Block::fill`], of pairs that do not follow each other.
    pub fn fill_some(&mut self, pairs: &Pairs, which: &[usize]) {
        self.n = which.len();
        let mut vectors = [[0.0; 3]; PAIRS];
        for (j, &pair) in which.iter().enumerate() {
            (vectors[j], self.radial[j]) = (pairs.vector[pair], pairs.radial[pair]);
        }
        set_lanes(&mut self.vector, &vectors[..which.len()]);
    }

    /// Takes the velocities of the same pairs.
    #[inline(always)]
    pub fn fill_velocity(&mut self, pairs: &Pairs, range: Range<usize>) {
        set_lanes(&mut self.velocity, &pairs.velocity[range]);
    }

    /// r_ji of neighbour j.
    #[inline(always)]
    pub fn r(&self, j: usize) -> Vec3 {
        std::array::from_fn(|d| self.vector[d][j / LANES][j % LANES])
    }

    fn n_batches(&self) -> usize {
        self.n.div_ceil(LANES)
    }

    /// Distances, weights, harmonics. What stands beyond the last neighbour is finite and not used.
    #[inline(always)]
    pub fn prepare(&mut self, tools: &Tools) {
        let Tools { density, weighting, harmonics, .. } = *tools;
        let [x, y, z] = &self.vector;
        for (batch, out) in
            self.harmonics.lanes_mut().chunks_exact_mut(self.n_lm).take(self.n.div_ceil(LANES)).enumerate()
        {
            let (x, y, z) = (&x[batch], &y[batch], &z[batch]);
            let r = &mut self.distance[batch];
            *r = std::array::from_fn(|k| (x[k] * x[k] + y[k] * y[k] + z[k] * z[k]).sqrt());
            let (mut f, mut df) = density.weights(r);
            if let Some(u) = weighting {
                u.multiply(r, &mut f, &mut df);
            }
            (self.weight[0][batch], self.weight[1][batch]) = (f, df);
            harmonics.evaluate_lanes(x, y, z, out);
        }
    }

    #[inline(always)]
    pub fn fill_values(&mut self, radials: &[Radial], row: usize) {
        for (j, values) in self.values.chunks_exact_mut(row).take(self.n).enumerate() {
            let (batch, lane) = (j / LANES, j % LANES);
            radials[self.radial[j] as usize].values(self.distance[batch][lane], self.weight[0][batch][lane], values);
        }
    }

    #[inline(always)]
    pub fn fill_slopes(&mut self, radials: &[Radial], row: usize) {
        self.slopes.resize(self.values.len());
        let rows = self.values.chunks_exact_mut(row).zip(self.slopes.chunks_exact_mut(row));
        for (j, (values, slopes)) in rows.take(self.n).enumerate() {
            let (batch, lane) = (j / LANES, j % LANES);
            let weight = (self.weight[0][batch][lane], self.weight[1][batch][lane]);
            radials[self.radial[j] as usize].slopes(self.distance[batch][lane], weight, values, slopes);
        }
    }

    /// [`Block::fill_values`] of few functions, as `[batch][function][neighbour]`; zeros beyond the last neighbour.
    #[inline(always)]
    pub fn fill_values_in_lanes(&mut self, radials: &[Radial], row: usize) {
        let mut of_one = [0.0; MOST_IN_LANES];
        let of_one = &mut of_one[..row];
        for (batch, values) in self.values.lanes_mut().chunks_exact_mut(row).take(self.n.div_ceil(LANES)).enumerate() {
            for lane in 0..LANES {
                let j = batch * LANES + lane;
                match j < self.n {
                    true => radials[self.radial[j] as usize].compact_values(
                        self.distance[batch][lane],
                        self.weight[0][batch][lane],
                        of_one,
                    ),
                    false => of_one.fill(0.0),
                }
                values.iter_mut().zip(&*of_one).for_each(|(values, value)| values[lane] = *value);
            }
        }
    }

    /// [`Block::fill_slopes`] of few functions, as `[batch][function][neighbour]`.
    #[inline(always)]
    pub fn fill_slopes_in_lanes(&mut self, radials: &[Radial], row: usize) {
        self.slopes.resize(self.values.len());
        let (mut value, mut slope) = ([0.0; MOST_IN_LANES], [0.0; MOST_IN_LANES]);
        let (value, slope) = (&mut value[..row], &mut slope[..row]);
        let (values, slopes) = (self.values.lanes_mut(), self.slopes.lanes_mut());
        for j in 0..self.n {
            let (batch, lane) = (j / LANES, j % LANES);
            let weight = (self.weight[0][batch][lane], self.weight[1][batch][lane]);
            radials[self.radial[j] as usize].compact_slopes(self.distance[batch][lane], weight, [value, slope]);
            let rows = values[batch * row..][..row].iter_mut().zip(slopes[batch * row..][..row].iter_mut());
            for ((to_value, to_slope), (value, slope)) in rows.zip(value.iter().zip(&*slope)) {
                (to_value[lane], to_slope[lane]) = (*value, *slope);
            }
        }
    }

    /// ∂(r^l Y_lm) of every batch, along x, y and z.
    #[inline(always)]
    pub fn fill_gradients(&mut self, terms: &[GradientTerm]) {
        let n_lm = self.n_lm;
        self.gradients.resize(LANES * 3 * BATCHES * n_lm);
        for batch in 0..self.n_batches() {
            let y = &self.harmonics.lanes()[batch * n_lm..][..n_lm];
            let out = &mut self.gradients.lanes_mut()[3 * batch * n_lm..][..3 * n_lm];
            out.fill([0.0; LANES]);
            for term in terms {
                add_scaled(&mut out[term.direction * n_lm + term.lm], term.coefficient, &y[term.below]);
            }
        }
    }

    /// u·∂(r^l Y_lm) of every batch, u being the velocities.
    #[inline(always)]
    pub fn fill_gradients_along_velocity(&mut self, terms: &[GradientTerm]) {
        let n_lm = self.n_lm;
        self.gradients.resize(LANES * 3 * BATCHES * n_lm);
        for batch in 0..self.n_batches() {
            let y = &self.harmonics.lanes()[batch * n_lm..][..n_lm];
            let out = &mut self.gradients.lanes_mut()[batch * n_lm..][..n_lm];
            out.fill([0.0; LANES]);
            for term in terms {
                let (u, to, y) = (&self.velocity[term.direction][batch], &mut out[term.lm], &y[term.below]);
                for k in 0..LANES {
                    to[k] = (term.coefficient * u[k]).mul_add(y[k], to[k]);
                }
            }
        }
    }
}

/// Vectors of pairs to lanes; zeros complete a batch.
#[inline(always)]
fn set_lanes(to: &mut [[Lanes; BATCHES]; 3], vectors: &[Vec3]) {
    let zeros = vectors.len()..vectors.len().next_multiple_of(LANES);
    let zeros = zeros.zip(std::iter::repeat(&[0.0; 3]));
    for (j, vector) in vectors.iter().enumerate().chain(zeros) {
        for (axis, x) in to.iter_mut().zip(vector) {
            axis[j / LANES][j % LANES] = *x;
        }
    }
}

/// A term of ∂(r^l Y_lm) = Σ coefficient · r^{l−1} Y_{l−1,m′}, with lm and `below` = (l−1, m′) as flat indices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GradientTerm {
    pub direction: usize,
    pub lm: usize,
    pub below: usize,
    pub coefficient: f64,
}

/// What all blocks of an expansion share.
pub(crate) struct Tools<'a> {
    pub density: &'a Density,
    pub weighting: Option<&'a RadialScaling>,
    pub harmonics: &'a SolidHarmonics,
    pub radials: &'a [Radial],
    pub gradient_terms: &'a [GradientTerm],
}
