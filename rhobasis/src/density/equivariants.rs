//! Coefficients of many environments, and the two plain tables that say what their rows and columns are.

use std::ops::Range;

use ndarray::{Array3, ArrayView3, ArrayViewMut3};

/// A centre: which atom of which structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Center {
    /// Index of the structure in the input.
    pub structure: usize,
    /// Index of the atom in its structure.
    pub atom: usize,
    /// Atomic number.
    pub species: u8,
}

/// A channel: the radial function n of neighbour species a, or the combined function q of all species.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// Atomic number of the neighbours, 0 if combined.
    pub species: u8,
    /// Index of the function: n, or q after contraction; from 0.
    pub n: usize,
}

/// Consecutive channels of one neighbour species, or of all together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// Atomic number of the neighbours; 0 for channels of all species together.
    pub species: u8,
    pub channels: Range<usize>,
}

/// The groups of the channels of a block.
pub(crate) fn groups(channels: &[Channel]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for of_group in channels.chunk_by(|a, b| a.species == b.species) {
        let first = groups.last().map_or(0, |group| group.channels.end);
        groups.push(Group { species: of_group[0].species, channels: first..first + of_group.len() });
    }
    groups
}

/// Which block of equivariants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockKey {
    /// Behaviour under inversion beyond (−1)^λ, +1 or −1, Eq. (16).
    pub sigma: i8,
    /// Angular momentum λ.
    pub lambda: usize,
}

impl BlockKey {
    /// The block of ⟨anlm|ρ_i⟩: σ = +1, λ = l.
    pub const fn density(l: usize) -> Self {
        BlockKey { sigma: 1, lambda: l }
    }
}

/// ⟨anlm|ρ_i⟩ for all centres: one block `[center, m, channel]` for each l.
#[derive(Debug, Clone, PartialEq)]
pub struct Equivariants {
    /// Block l has shape (centers, 2l + 1, channels of l).
    pub blocks: Vec<Array3<f64>>,
    /// The centres, in file order.
    pub centers: Vec<Center>,
    /// The channels of each l: species ascending, n fastest.
    pub channels: Vec<Vec<Channel>>,
}

impl Equivariants {
    /// Zeros of the shape that `centers` and `channels` ask for.
    pub fn zeros(centers: Vec<Center>, channels: Vec<Vec<Channel>>) -> Self {
        let blocks =
            channels.iter().enumerate().map(|(l, c)| Array3::zeros((centers.len(), 2 * l + 1, c.len()))).collect();
        Equivariants { blocks, centers, channels }
    }

    /// Views of the blocks, as `backward` takes them.
    pub fn views(&self) -> Vec<ArrayView3<'_, f64>> {
        self.blocks.iter().map(|block| block.view()).collect()
    }

    pub(crate) fn views_mut(&mut self) -> Vec<ArrayViewMut3<'_, f64>> {
        self.blocks.iter_mut().map(|block| block.view_mut()).collect()
    }

    /// Largest angular momentum.
    pub fn l_max(&self) -> usize {
        self.blocks.len().saturating_sub(1)
    }

    /// Sum of the squares of all coefficients.
    pub fn squared_norm(&self) -> f64 {
        self.blocks.iter().flatten().map(|c| c * c).sum()
    }
}
