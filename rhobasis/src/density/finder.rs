//! Pairs in: the neighbours of the centres of a run, whoever finds them.
//!
//! ```text
//! our search, structure by structure           ─┐
//! one search for the threads of a large one    ─┤   Run { species, centres, pairs } of at most 64 centres,
//! a Verlet list                                ─┼─> pairs sorted by (centre, group of channels)
//! a list from outside, with ghosts             ─┘
//! ```

use super::channels::Groups;
use super::motion::Motion;
use super::run::{Pairs, Part, Run};
use crate::Result;
use crate::neighbors::{NeighborList, Search, VerletList};
use crate::structure::{Structure, Vec3};

/// Finds the pairs of one run after the other, with memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Finder {
    search: Search,
    found: NeighborList,
    /// Of each pair that was found: group, and place in the table.
    group: Vec<u32>,
    place: Vec<usize>,
    next: Vec<usize>,
    pub run: Run,
    /// dE/dr_ji of each pair of the run, for adjoints.
    pub gradient: Vec<Vec3>,
}

impl Finder {
    /// Prepares our own search of a structure.
    pub fn prepare(&mut self, structure: &Structure, r_cut: f64) -> Result<()> {
        prepare(structure, &mut self.search, r_cut)
    }

    pub fn begin(&mut self, groups: &Groups, first: usize) {
        let Run { parts, species, pairs, first: before } = &mut self.run;
        parts.clear();
        species.clear();
        let Pairs { start, n_groups, atom, vector, shift, radial, velocity } = pairs;
        start.clear();
        atom.clear();
        vector.clear();
        shift.clear();
        radial.clear();
        velocity.clear();
        (*before, *n_groups) = (first, groups.n().max(1));
        start.push(0);
        self.found.clear();
    }

    /// Adds some atoms of a structure as centres.
    pub fn add(&mut self, groups: &Groups, structure: &Structure, part: Part, source: Source) -> Result<()> {
        let (centers, before) = (part.atoms.clone(), self.found.len());
        match source {
            Source::Own => self.found.find(&self.search, structure, centers.clone())?,
            Source::Search(search) => self.found.find(search, structure, centers.clone())?,
            Source::List(list) => list.fill(structure, centers.clone(), &mut self.found)?,
        }
        if groups.ignores_unknown {
            let first = self.run.species.len();
            self.found.retain(first, |j| groups.of(structure.species[j]).is_some());
        }
        let Run { species, parts, pairs, .. } = &mut self.run;
        let (row, n_groups) = (species.len(), pairs.n_groups);
        self.group.clear();
        for (k, i) in centers.clone().enumerate() {
            let unknown = |atom: usize| groups.unknown_species(atom, structure.species[atom]);
            let around = groups.around(structure.species[i]).ok_or_else(|| unknown(i))?;
            groups.of(structure.species[i]).ok_or_else(|| unknown(i))?;
            let found = self.found.pairs(row + k);
            let first = pairs.start[pairs.start.len() - 1];
            pairs.start.resize(pairs.start.len() + n_groups, 0);
            let starts = pairs.start.len() - n_groups;
            for &j in &self.found.neighbor[found.clone()] {
                let z = structure.species[j as usize];
                let radial = around.radial(z).ok_or_else(|| unknown(j as usize))?;
                pairs.radial.push(radial);
                if n_groups > 1 {
                    let group = groups.of(z).ok_or_else(|| unknown(j as usize))?;
                    self.group.push(group as u32);
                    pairs.start[starts + group] += 1;
                }
            }
            if n_groups == 1 {
                pairs.start[starts] = first + found.len();
                continue;
            }
            let mut end = first;
            for n in &mut pairs.start[starts..] {
                end += *n;
                *n = end;
            }
        }
        species.extend_from_slice(&structure.species[centers]);
        parts.push(part);
        if n_groups > 1 {
            self.sort(row, before);
        }
        Ok(())
    }

    /// Sorts the pairs found since `before`, of the centres from `row` on, by group; else they stay as they were found.
    fn sort(&mut self, row: usize, before: usize) {
        let (pairs, found) = (&mut self.run.pairs, &self.found);
        let n_groups = pairs.n_groups;
        self.next.clear();
        self.next.extend_from_slice(&pairs.start[row * n_groups..]);
        self.place.clear();
        self.place.resize(found.len() - before, 0);
        for k in row..self.run.species.len() {
            for pair in found.pairs(k) {
                let next = &mut self.next[(k - row) * n_groups + self.group[pair - before] as usize];
                self.place[*next - before] = pair;
                *next += 1;
            }
        }
        pairs.atom.extend(self.place.iter().map(|&pair| found.neighbor[pair]));
        pairs.vector.extend(self.place.iter().map(|&pair| found.vector[pair]));
        pairs.shift.extend(self.place.iter().map(|&pair| found.shift[pair]));
        self.place.iter_mut().for_each(|pair| *pair = pairs.radial[*pair] as usize);
        pairs.radial.truncate(before);
        pairs.radial.extend(self.place.iter().map(|&radial| radial as u32));
    }

    /// The run whose parts were added.
    pub fn finish(&mut self) {
        let (pairs, found) = (&mut self.run.pairs, &mut self.found);
        if pairs.atom.len() < pairs.radial.len() {
            // One group: the order is that of the list.
            std::mem::swap(&mut pairs.atom, &mut found.neighbor);
            std::mem::swap(&mut pairs.vector, &mut found.vector);
            std::mem::swap(&mut pairs.shift, &mut found.shift);
        }
    }

    /// A run of some atoms of one structure.
    pub fn find(&mut self, groups: &Groups, structure: &Structure, part: Part, source: Source) -> Result<&mut Run> {
        self.begin(groups, 0);
        self.add(groups, structure, part, source)?;
        self.finish();
        Ok(&mut self.run)
    }
}

/// Where the pairs of a structure come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// The search that [`Finder::prepare`] has prepared.
    Own,
    /// A search that threads share.
    Search(&'a Search),
    /// A list from earlier, or from outside.
    List(&'a VerletList),
}

pub(super) fn prepare(structure: &Structure, search: &mut Search, r_cut: f64) -> Result<()> {
    structure.validate()?;
    search.update(structure, r_cut)
}

/// dr_ji/dt = v_j − v_i + r_ji dε/dt of all pairs.
pub(super) fn motions_of_pairs(motions: &[Motion], run: &mut Run) {
    let mut k = 0;
    for part in &run.parts {
        let Motion { velocities, strain } = &motions[part.structure];
        for i in part.atoms.clone() {
            for pair in run.pairs.of_center(k) {
                let (v_i, v_j, r) = (velocities[i], velocities[run.pairs.atom[pair] as usize], run.pairs.vector[pair]);
                run.pairs.velocity.push(std::array::from_fn(|d| {
                    let strained: f64 = (0..3).map(|p| r[p] * strain[p][d]).sum();
                    v_j[d] - v_i[d] + strained
                }));
            }
            k += 1;
        }
    }
}
