//! Full neighbour lists: who is within `r_cut` of whom, periodic images included.

use std::ops::Range;

use multiversion::multiversion;

use super::frame::{Center, TOO_CLOSE};
use super::search::{LANES, SMALL, Search, Site, candidates};
use crate::structure::{Vec3, dot, norm};
use crate::{Error, Result, Structure};

/// Full neighbour list: for each centre i every pair (j, S) with
///
/// ```text
///     |r_ji| < r_cut,    r_ji = r_j - r_i + S·H    (strictly; H has the lattice vectors in its rows)
/// ```
///
/// Images of the centre count, the centre itself (j = i, S = 0) does not. S refers to the positions as given, also for
/// atoms outside the cell. Pairs (i, j, S) and (j, i, -S) carry exactly opposite vectors. Pairs are grouped by centre;
/// within a centre they come in the order of the search boxes, which depends on nothing but structure and `r_cut`.
///
/// ```
/// use rhobasis::{Structure, neighbors::NeighborList};
/// let chain = Structure::crystal(vec![14], vec![[0.0; 3]], [[2.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]);
/// let list = NeighborList::new(&chain, 5.0)?;
/// assert_eq!(list.pairs(0), 0..4); // the atom's own images at -4, -2, 2 and 4 Å
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct NeighborList {
    /// `n_atoms + 1` offsets: the pairs of centre i are `start[i]..start[i + 1]`.
    pub start: Vec<usize>,
    /// Atom j of each pair.
    pub neighbor: Vec<u32>,
    /// r_ji = r_j - r_i + S·H of each pair, in Å.
    pub vector: Vec<Vec3>,
    /// S of each pair.
    pub shift: Vec<[i32; 3]>,
    search: Search,
    scratch: Scratch,
}

/// Buffers of one centre: sites that passed the filter, then the pairs.
#[derive(Debug, Clone, Default)]
struct Scratch {
    hits: Vec<u32>,
    distances: Vec<f32>,
    atoms: Vec<u32>,
    vectors: Vec<Vec3>,
    shifts: Vec<[i32; 3]>,
}

impl NeighborList {
    /// The neighbour list of `structure` with cutoff `r_cut` in Å.
    ///
    /// # Errors
    /// `r_cut` not positive, a cell without volume or far too small, atoms on top of each other.
    pub fn new(structure: &Structure, r_cut: f64) -> Result<Self> {
        let mut list = NeighborList::default();
        list.update(structure, r_cut)?;
        Ok(list)
    }

    /// Replaces the list by that of another structure, reusing all memory. After an error the list is empty.
    ///
    /// # Errors
    /// As [`NeighborList::new`].
    pub fn update(&mut self, structure: &Structure, r_cut: f64) -> Result<()> {
        let mut search = std::mem::take(&mut self.search);
        self.clear();
        let result = search.update(structure, r_cut).and_then(|()| self.find(&search, structure, 0..structure.len()));
        self.search = search;
        if result.is_err() {
            self.clear();
        }
        result
    }

    /// Appends some centres of a structure, for which `search` was made. Their pairs are those of the whole list, in the same
    /// order.
    pub(crate) fn find(&mut self, search: &Search, structure: &Structure, centers: Range<usize>) -> Result<()> {
        match search.small {
            true => self.double_loop(&structure.positions, search.r_cut, centers),
            false => sweep(self, search, centers),
        }
    }

    /// Number of pairs, each direction counted.
    pub fn len(&self) -> usize {
        self.neighbor.len()
    }

    /// Whether no atom has a neighbour.
    pub fn is_empty(&self) -> bool {
        self.neighbor.is_empty()
    }

    /// Where the pairs of a centre are in [`neighbor`](Self::neighbor), [`vector`](Self::vector) and [`shift`](Self::shift).
    pub fn pairs(&self, center: usize) -> Range<usize> {
        self.start[center]..self.start[center + 1]
    }

    /// Empties the list, keeping its memory.
    pub(crate) fn clear(&mut self) {
        self.start.clear();
        self.start.push(0);
        self.neighbor.clear();
        self.vector.clear();
        self.shift.clear();
    }

    /// Drops pairs with other neighbours than these, of the centres from `first` on.
    pub(crate) fn retain(&mut self, first: usize, keep: impl Fn(usize) -> bool) {
        let (mut from, mut kept) = (self.start[first], self.start[first]);
        for end in &mut self.start[first + 1..] {
            for pair in from..*end {
                if keep(self.neighbor[pair] as usize) {
                    self.neighbor[kept] = self.neighbor[pair];
                    self.vector[kept] = self.vector[pair];
                    self.shift[kept] = self.shift[pair];
                    kept += 1;
                }
            }
            (from, *end) = (*end, kept);
        }
        self.neighbor.truncate(kept);
        self.vector.truncate(kept);
        self.shift.truncate(kept);
    }

    /// Pairs of a small molecule.
    fn double_loop(&mut self, positions: &[Vec3], r_cut: f64, centers: Range<usize>) -> Result<()> {
        let (mut atoms, mut vectors) = ([0u32; SMALL], [[0.0; 3]; SMALL]);
        for i in centers {
            let r_i = &positions[i];
            let (mut n, mut n_close) = (0, 0);
            for (j, r_j) in positions.iter().enumerate() {
                let r_ji = [r_j[0] - r_i[0], r_j[1] - r_i[1], r_j[2] - r_i[2]];
                let r2 = dot(r_ji, r_ji);
                (atoms[n], vectors[n]) = (j as u32, r_ji);
                n_close += usize::from(r2 < TOO_CLOSE * TOO_CLOSE);
                n += usize::from(r2 < r_cut * r_cut && r2 >= TOO_CLOSE * TOO_CLOSE);
            }
            if n_close != 1 {
                let others = positions.iter().enumerate().map(|(j, r_j)| (j, sub(*r_j, *r_i), [0; 3]));
                return Err(overlap(i, others));
            }
            self.neighbor.extend_from_slice(&atoms[..n]);
            self.vector.extend_from_slice(&vectors[..n]);
            self.start.push(self.neighbor.len());
        }
        self.shift.resize(self.neighbor.len(), [0; 3]);
        Ok(())
    }
}

/// The error for a centre that does not have exactly itself within [`TOO_CLOSE`]; `others` yields (j, r_ji, S).
pub(super) fn overlap(i: usize, others: impl Iterator<Item = (usize, Vec3, [i32; 3])>) -> Error {
    let mut close = others.filter(|&(j, v, s)| norm(v) < TOO_CLOSE && !(j == i && s == [0; 3]));
    match close.next() {
        Some((j, v, s)) => Error::structure(
            Some(i),
            format!("atoms {i} and {j} (shift {s:?}) are only {:.3e} Å apart", norm(v)),
            "remove the duplicate atom, or check the cell and the length unit",
        ),
        None => Error::structure(Some(i), "position is not finite", "repair its coordinates"),
    }
}

/// Goes through the centres: filter the rows of boxes within reach in single precision, decide in double.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma+bmi1+bmi2", "x86_64+avx2+fma+bmi1+bmi2"))]
fn sweep(list: &mut NeighborList, search: &Search, range: Range<usize>) -> Result<()> {
    let Search { r_cut, boxes, centers, sites, box_start, filter, .. } = search;
    let Scratch { hits, distances, atoms, vectors, shifts } = &mut list.scratch;
    hits.resize(sites.len() + LANES, 0);
    distances.resize(sites.len() + LANES, 0.0);
    let (sites, box_start, filter) = (&sites[..], &box_start[..], [&filter[0][..], &filter[1][..], &filter[2][..]]);
    let (r_cut, boxes, hits, distances) = (*r_cut, *boxes, &mut hits[..], &mut distances[..]);
    for i in range {
        let center = &centers[i];
        let n_hits = candidates(&boxes, center, box_start, filter, hits, distances);
        if atoms.len() < n_hits {
            atoms.resize(n_hits, 0);
            vectors.resize(n_hits, [0.0; 3]);
            shifts.resize(n_hits, [0; 3]);
        }
        let (atoms, vectors, shifts) = (&mut atoms[..n_hits], &mut vectors[..n_hits], &mut shifts[..n_hits]);
        let (mut n, mut n_close) = (0, 0);
        for &hit in &hits[..n_hits] {
            let site = &sites[hit as usize];
            let r_ji = pair_vector(site, center);
            let r2 = dot(r_ji, r_ji);
            atoms[n] = site.atom;
            vectors[n] = r_ji;
            shifts[n] = pair_shift(site, center);
            n_close += usize::from(r2 < TOO_CLOSE * TOO_CLOSE);
            n += usize::from((r2 < r_cut * r_cut) & (r2 >= TOO_CLOSE * TOO_CLOSE));
        }
        if n_close != 1 {
            let others = sites.iter().map(|s| (s.atom as usize, pair_vector(s, center), pair_shift(s, center)));
            return Err(overlap(i, others));
        }
        if list.neighbor.try_reserve(n).and(list.vector.try_reserve(n)).and(list.shift.try_reserve(n)).is_err() {
            let problem = format!("{} neighbour pairs up to here do not fit into memory", list.neighbor.len() + n);
            return Err(Error::structure(Some(i), problem, "use a smaller r_cut or a smaller structure"));
        }
        list.neighbor.extend_from_slice(&atoms[..n]);
        list.vector.extend_from_slice(&vectors[..n]);
        list.shift.extend_from_slice(&shifts[..n]);
        list.start.push(list.neighbor.len());
    }
    Ok(())
}

/// r_j - r_i + S·H, arranged so that exchanging i and j only changes the sign.
#[inline(always)]
fn pair_vector(site: &Site, center: &Center) -> Vec3 {
    std::array::from_fn(|k| (site.wrapped[k] - center.wrapped[k]) + site.image[k])
}

#[inline(always)]
fn pair_shift(site: &Site, center: &Center) -> [i32; 3] {
    std::array::from_fn(|k| site.shift[k] - center.shift[k])
}

fn sub(a: Vec3, b: Vec3) -> Vec3 {
    std::array::from_fn(|k| a[k] - b[k])
}
