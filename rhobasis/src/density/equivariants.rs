//! Coefficients of many environments, and the two plain tables that say what their rows and columns are.

use std::ops::Range;

use ndarray::{Array3, ArrayView3, ArrayViewMut3};

use crate::structure::Structure;

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

/// How a block of coefficients behaves when the structure is turned or inverted, Eq. (16): as spherical harmonics of degree λ,
/// times σ under inversion besides their (−1)^λ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockKey {
    /// +1, or −1 for pseudotensors.
    pub sigma: i8,
    /// Degree λ: a block has 2λ + 1 components μ.
    pub lambda: usize,
}

impl BlockKey {
    /// The key of the density coefficients of one l: σ = +1, λ = l.
    pub const fn density(l: usize) -> Self {
        BlockKey { sigma: 1, lambda: l }
    }

    /// Components μ = −λ … λ.
    pub const fn n_components(self) -> usize {
        2 * self.lambda + 1
    }
}

/// Coefficients of all centres, one block `[center, μ, channel]` for each key (σ, λ): ⟨anlm|ρ_i⟩ of the density has the blocks
/// (+1, l), one for each l, with μ = m.
#[derive(Debug, Clone, PartialEq)]
pub struct Equivariants {
    /// What the blocks are.
    pub keys: Vec<BlockKey>,
    /// Each has shape (centers, 2λ + 1, channels of the key).
    pub blocks: Vec<Array3<f64>>,
    /// The centres, in file order.
    pub centers: Vec<Center>,
    /// The channels of each block: species ascending, n fastest.
    pub channels: Vec<Vec<Channel>>,
}

impl Equivariants {
    /// Zeros of the shapes that `centers`, `keys` and `channels` ask for.
    pub fn zeros(centers: Vec<Center>, keys: Vec<BlockKey>, channels: Vec<Vec<Channel>>) -> Self {
        let of = |(key, channels): (&BlockKey, &Vec<Channel>)| {
            Array3::zeros((centers.len(), key.n_components(), channels.len()))
        };
        let blocks = keys.iter().zip(&channels).map(of).collect();
        Equivariants { keys, blocks, centers, channels }
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
        self.keys.iter().map(|key| key.lambda).max().unwrap_or(0)
    }

    /// Sum of the squares of all coefficients.
    pub fn squared_norm(&self) -> f64 {
        self.blocks.iter().flatten().map(|c| c * c).sum()
    }
}

/// The centres of structures in file order.
pub fn centers_of(structures: &[Structure]) -> Vec<Center> {
    let atoms = |(structure, s): (usize, &Structure)| {
        s.species.clone().into_iter().enumerate().map(move |(atom, species)| Center { structure, atom, species })
    };
    structures.iter().enumerate().flat_map(atoms).collect()
}

/// The species that occur in structures, ascending.
pub fn species_of(structures: &[Structure]) -> Vec<u8> {
    let mut seen = [false; 256];
    structures.iter().flat_map(|s| &s.species).for_each(|&z| seen[z as usize] = true);
    (0..=255).filter(|&z| seen[z as usize]).collect()
}
