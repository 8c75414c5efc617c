//! Gram matrices of coefficients, Eqs. (6) and (11), kept by kind of centre, block and groups of channels.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};

use crate::density::{BlockKey, Group};
use crate::linalg::add_gram;
use crate::stream::Sum;

/// Which part of all Gram matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GramKey {
    /// Species of the centres; 0 for all together.
    pub center: u8,
    pub block: BlockKey,
    /// Species a ≤ a′ of the groups that meet.
    pub groups: (u8, u8),
}

/// Sums over centres i; divided by their number, Eqs. (6) (a = a′) and (11).
///
/// ```text
/// G[an, a'n'] = Σ_i Σ_m c_i[m, an] c_i[m, a'n']
/// ```
#[derive(Debug, Clone, Default)]
pub(super) struct Gram {
    /// By species of the centres, 0 for all together.
    pub n_centers: BTreeMap<u8, usize>,
    /// `[n, n′]`, those of a = a′ symmetric; none where a and a′ never met.
    pub blocks: BTreeMap<GramKey, Array2<f64>>,
}

impl Gram {
    /// Adds centres: `c` has axes `[(i, m), channel]`, its channels are those of `groups`, and every `together` groups (one, or
    /// all) are contracted together. `buffer` is overwritten.
    pub fn add(
        &mut self,
        center: u8,
        block: BlockKey,
        c: &[f64],
        groups: &[Group],
        together: usize,
        buffer: &mut Vec<f64>,
    ) {
        let n_channels = groups.last().map_or(0, |group| group.channels.end);
        for groups in groups.chunks(together) {
            let first = groups[0].channels.start;
            let gram = gram_of(c, n_channels, first..groups[groups.len() - 1].channels.end, buffer);
            let of = |group: &Group| group.channels.start - first..group.channels.end - first;
            for (k, a) in groups.iter().enumerate() {
                for b in &groups[k..] {
                    let sum = gram.slice(s![of(a), of(b)]);
                    let key = GramKey { center, block, groups: (a.species, b.species) };
                    *self.blocks.entry(key).or_insert_with(|| Array2::zeros(sum.dim())) += &sum;
                }
            }
        }
    }

    /// Neighbour species (0 for all together) whose channels are there.
    pub fn species(&self) -> BTreeSet<u8> {
        self.blocks.keys().map(|key| key.groups.0).collect()
    }

    /// Adds the matrix over the channels of these species, `n` for each: `[(a, n), (a′, n′)]`.
    pub fn add_matrix(&self, center: u8, block: BlockKey, species: &[u8], n: usize, sum: &mut Array2<f64>) {
        for (i, &a) in species.iter().enumerate() {
            for (j, &b) in species.iter().enumerate().skip(i) {
                let Some(part) = self.blocks.get(&GramKey { center, block, groups: (a, b) }) else { continue };
                let (rows, columns) = (i * n..(i + 1) * n, j * n..(j + 1) * n);
                let mut upper = sum.slice_mut(s![rows.clone(), columns.clone()]);
                upper += part;
                if i != j {
                    let mut lower = sum.slice_mut(s![columns, rows]);
                    lower += &part.t();
                }
            }
        }
    }
}

impl Sum for Gram {
    fn add(&mut self, next: Self) {
        for (center, n) in next.n_centers {
            *self.n_centers.entry(center).or_default() += n;
        }
        for (key, part) in next.blocks {
            match self.blocks.get_mut(&key) {
                Some(sum) => *sum += &part,
                None => drop(self.blocks.insert(key, part)),
            }
        }
    }
}

/// XᵀX of some of the columns of X.
fn gram_of<'g>(x: &[f64], n_columns: usize, columns: Range<usize>, buffer: &'g mut Vec<f64>) -> ArrayView2<'g, f64> {
    let n = columns.len();
    buffer.clear();
    buffer.resize(n * n, 0.0);
    if n > 0 {
        add_gram(&x[columns.start..], x.len() / n_columns, n, n_columns, buffer);
    }
    for i in 0..n {
        for j in 0..i {
            buffer[j * n + i] = buffer[i * n + j]; // only the lower triangle was there
        }
    }
    ArrayView2::from_shape((n, n), &buffer[..]).expect("n × n")
}

/// No sum of products of coefficients comes near.
const LARGEST: f64 = 1e150;
/// By which sums of products may exceed what the sums of squares allow, added in another order.
const ROUNDING: f64 = 1e-6;

/// A finite number that no sum of products of coefficients is; of coefficients with themselves, if these are `squares`.
pub(super) fn impossible(sum: &Array2<f64>, squares: bool) -> Option<f64> {
    let is_odd = |x: &f64| x.abs() >= LARGEST;
    if !squares {
        return sum.iter().copied().find(is_odd);
    }
    if let Some(x) = sum.diag().iter().copied().find(|x| *x < 0.0 || is_odd(x)) {
        return Some(x);
    }
    let root = sum.diag().mapv(f64::sqrt);
    let exceeds = |&((i, j), x): &((usize, usize), &f64)| x.abs() > (1.0 + ROUNDING) * root[i] * root[j];
    sum.indexed_iter().find(exceeds).map(|(_, x)| *x)
}
