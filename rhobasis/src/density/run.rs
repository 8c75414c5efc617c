//! A run: some centres at a time, and the table of their pairs.

use std::ops::Range;

use super::equivariants::Center;
use crate::Error;
use crate::structure::Vec3;

/// Most centres of a run: eight vectors of eight, and few enough that all that is made of them stays in the cache.
pub(crate) const CENTERS: usize = 64;
/// Consecutive atoms of one structure that are centres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Index of the structure in the input.
    pub structure: usize,
    pub atoms: Range<usize>,
}

/// Some centres, of one or of several structures, and their pairs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// The centres, in file order.
    pub parts: Vec<Part>,
    /// Atomic number of each centre.
    pub species: Vec<u8>,
    /// Number of centres in the runs before.
    pub first: usize,
    pub pairs: Pairs,
}

/// The pairs of a run as a table, sorted by (centre, group of channels).
#[derive(Debug, Clone, Default)]
pub(crate) struct Pairs {
    /// Pairs of centre k and group g: from entry k·groups + g to the next.
    pub start: Vec<usize>,
    pub n_groups: usize,
    /// Atom j, in the structure of the centre.
    pub atom: Vec<u32>,
    /// r_ji, in Å.
    pub vector: Vec<Vec3>,
    /// Cell shift S.
    pub shift: Vec<[i32; 3]>,
    /// Which radial integrals.
    pub radial: Vec<u32>,
    /// dr_ji/dt along a motion; empty without one.
    pub velocity: Vec<Vec3>,
}

impl Run {
    /// Number of centres.
    pub fn len(&self) -> usize {
        self.species.len()
    }

    /// Centre k: structure, atom, species.
    pub fn center(&self, k: usize) -> Center {
        let mut first = 0;
        for Part { structure, atoms } in &self.parts {
            if k - first < atoms.len() {
                return Center { structure: *structure, atom: atoms.start + k - first, species: self.species[k] };
            }
            first += atoms.len();
        }
        unreachable!("center {k} of a run of {first}")
    }

    /// Names structure and atom of an error of centre k of the run.
    pub fn locate(&self, mut error: Error) -> Error {
        if let Error::Structure { place, .. } = &mut error
            && place.frame.is_none()
            && let Some(k) = place.atom
        {
            let center = self.center(k);
            (place.frame, place.atom) = (Some(center.structure), Some(center.atom));
        }
        error
    }

    /// Drops all but the first centres; their pairs stay.
    pub fn truncate(&mut self, n: usize) {
        self.species.truncate(n);
        let mut left = n;
        for part in &mut self.parts {
            part.atoms.end = part.atoms.end.min(part.atoms.start + left);
            left -= part.atoms.len();
        }
        self.parts.retain(|part| !part.atoms.is_empty());
    }
}

impl Pairs {
    /// The pairs of a centre.
    pub fn of_center(&self, k: usize) -> Range<usize> {
        self.start[k * self.n_groups]..self.start[(k + 1) * self.n_groups]
    }

    /// The groups of a centre that have pairs, and these.
    #[inline(always)]
    pub fn groups_of(&self, k: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let starts = &self.start[k * self.n_groups..=(k + 1) * self.n_groups];
        starts.windows(2).map(|w| w[0]..w[1]).enumerate().filter(|(_, pairs)| !pairs.is_empty())
    }
}

/// Cuts `n` rows off the front of each block, whose rows have these widths.
pub(crate) fn cut_rows<'a, P>(rest: &mut [&'a mut [P]], widths: &[usize], n: usize) -> Vec<&'a mut [P]> {
    rest.iter_mut()
        .zip(widths)
        .map(|(rest, width)| {
            let (mine, others) = std::mem::take(rest).split_at_mut(n * width);
            *rest = others;
            mine
        })
        .collect()
}
