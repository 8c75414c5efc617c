//! The smallest distances of pairs of species, and pairs that are below them.

use std::collections::BTreeMap;
use std::fmt;

use rayon::prelude::*;

use crate::Result;
use crate::neighbors::NeighborList;
use crate::structure::{Structure, norm, symbol};

/// The smallest distance of two atoms of each pair of species, in Å: of those that are within the cutoff of each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Nearest {
    /// By atomic numbers, the smaller first.
    of_pair: BTreeMap<[u8; 2], f64>,
}

/// Distances are smaller if they are by this fraction: those of training are found anew with other rounding.
const ROUNDING: f64 = 1e-6;

impl Nearest {
    /// Of all pairs within `r_cut` (Å) of each other in some frames, images included.
    ///
    /// # Errors
    /// As [`NeighborList::new`], with the frame.
    pub fn of(frames: &[Structure], r_cut: f64) -> Result<Self> {
        let of_frame = |(k, frame): (usize, &Structure)| Self::of_one(frame, r_cut).map_err(|e| e.at_frame(k));
        let parts: Vec<Result<Nearest>> = frames.par_iter().enumerate().map(of_frame).collect();
        let mut all = Nearest::default();
        for part in parts {
            part?.of_pair.into_iter().for_each(|(pair, r)| all.add(pair, r));
        }
        Ok(all)
    }

    fn of_one(frame: &Structure, r_cut: f64) -> Result<Self> {
        let list = NeighborList::new(frame, r_cut)?;
        let mut nearest = Nearest::default();
        for i in 0..frame.len() {
            for pair in list.pairs(i) {
                let j = list.neighbor[pair] as usize;
                nearest.add(sorted(frame.species[i], frame.species[j]), norm(list.vector[pair]));
            }
        }
        Ok(nearest)
    }

    fn add(&mut self, pair: [u8; 2], r: f64) {
        let least = self.of_pair.entry(pair).or_insert(r);
        *least = least.min(r);
    }

    /// Of known distances in Å, by two atomic numbers.
    pub(crate) fn from_rows(rows: &[(u8, u8, f64)]) -> Self {
        let mut nearest = Nearest::default();
        rows.iter().for_each(|&(a, b, r)| nearest.add(sorted(a, b), r));
        nearest
    }

    /// Pairs of atomic numbers, the smaller first, and their distances in Å.
    pub fn rows(&self) -> Vec<(u8, u8, f64)> {
        self.of_pair.iter().map(|(&[a, b], &r)| (a, b, r)).collect()
    }

    /// Of two species; none if they were not within the cutoff of each other.
    pub fn get(&self, a: u8, b: u8) -> Option<f64> {
        self.of_pair.get(&sorted(a, b)).copied()
    }

    /// What a distance is of the smallest one, if it is below it: of two species that were not within the cutoff of each other, of the
    /// cutoff.
    pub(super) fn fraction(&self, a: u8, b: u8, r: f64, r_cut: f64) -> Option<f64> {
        let fraction = r / self.get(a, b).unwrap_or(r_cut);
        (fraction < 1.0 - ROUNDING).then_some(fraction)
    }
}

fn sorted(a: u8, b: u8) -> [u8; 2] {
    [a.min(b), a.max(b)]
}

/// Two atoms that are nearer to each other than any of their species were in training: what a potential says of them is a guess.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClosePair {
    /// Which atoms of the structure, of one and its own image the same.
    pub atoms: [usize; 2],
    /// Their atomic numbers.
    pub species: [u8; 2],
    /// In Å.
    pub distance: f64,
    /// The smallest distance in training, in Å; none if no training frame had such a pair within the cutoff.
    pub smallest: Option<f64>,
    /// What the distance is of the smallest one, or else of the cutoff.
    pub(super) fraction: f64,
}

impl ClosePair {
    /// Whether this one is further from what was seen than another; of two that are as far, the first.
    pub(super) fn is_worse_than(&self, other: &ClosePair) -> bool {
        (self.fraction, self.atoms) < (other.fraction, other.atoms)
    }
}

impl fmt::Display for ClosePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([i, j], [a, b]) = (self.atoms, self.species.map(symbol));
        write!(f, "atoms {i} ({a}) and {j} ({b}) are {:.3} Å apart; ", self.distance)?;
        match self.smallest {
            Some(smallest) => write!(f, "the smallest distance in training is {smallest:.3} Å"),
            None => f.write_str("no training frame had these species within the cutoff of each other"),
        }
    }
}
