//! Neighbour list: who is within `r_cut` of whom, periodic images included.
//!
//! Atoms are wrapped into a compact cell, their images within `r_cut` of it are added explicitly, and all of them are
//! sorted into boxes, so that the search itself knows no periodicity:
//!
//! ```text
//!     reduce the cell -> wrap -> add images -> sort into boxes -> per centre: rows of boxes -> f32 filter -> f64 decision
//! ```

use std::ops::Range;

use multiversion::multiversion;

use crate::structure::{Vec3, dot, norm};
use crate::{Error, Result, Structure};
use frame::{Frame, combine};

mod frame;
mod verlet;

pub use verlet::VerletList;

/// Two atoms nearer than this, in Å, are taken for a mistake in the input.
const TOO_CLOSE: f64 = 1e-3;
/// More neighbours of one centre than this mean that the cell or `r_cut` is in the wrong unit.
const MAX_NEIGHBORS: f64 = 1e7;
/// Up to this many atoms without periodicity are searched by the plain double loop.
const SMALL: usize = 40;
/// Lanes of the single-precision filter.
const LANES: usize = 8;

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
        let result = search.update(structure, r_cut).and_then(|()| self.find(&search, structure, 0..structure.len()));
        self.search = search;
        if result.is_err() {
            self.clear();
        }
        result
    }

    /// Replaces the list by that of some centres of a structure, for which `search` was made; centre `centers.start` is
    /// then number 0 of the list. The pairs are those of the whole list, in the same order.
    pub(crate) fn find(&mut self, search: &Search, structure: &Structure, centers: Range<usize>) -> Result<()> {
        self.clear();
        match search.small {
            true => self.double_loop(&structure.positions, search.r_cut, centers),
            false => sweep(self, search, centers),
        }
    }

    /// The same pairs, without the buffers that finding them took.
    pub(crate) fn pairs_only(&self) -> Self {
        NeighborList {
            start: self.start.clone(),
            neighbor: self.neighbor.clone(),
            vector: self.vector.clone(),
            shift: self.shift.clone(),
            ..NeighborList::default()
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

    fn clear(&mut self) {
        self.start.clear();
        self.start.push(0);
        self.neighbor.clear();
        self.vector.clear();
        self.shift.clear();
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
fn overlap(i: usize, others: impl Iterator<Item = (usize, Vec3, [i32; 3])>) -> Error {
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

/// An atom or an image of one, as the search sees it: r_ji = (wrapped_j - wrapped_i) + image, S = shift_j - shift_i.
#[derive(Debug, Clone, Copy, Default)]
struct Site {
    wrapped: Vec3,
    image: Vec3,
    shift: [i32; 3],
    atom: u32,
}

/// A centre: its wrapped position, how it was shifted there, its place among the boxes and in the filter.
#[derive(Debug, Clone, Copy)]
struct Center {
    wrapped: Vec3,
    shift: [i32; 3],
    boxes: Vec3,
    filter: [f32; 3],
}

/// The boxes: how many along each axis, how thick, and how the heights of a vector bound its length.
#[derive(Debug, Clone, Copy, Default)]
struct Boxes {
    n: [usize; 3],
    thickness: Vec3,
    /// 1 / thickness
    per_length: Vec3,
    /// λ ≥ Σ_k h_k² / |x|² for the heights h_k of any x above the three faces; 1 in an orthogonal cell.
    skew: f64,
    /// Cutoff with room for the rounding of box coordinates, in Å.
    reach: f64,
    /// Square of the filter's cutoff, in units of r_cut².
    filter: f32,
}

/// A structure prepared for finding the neighbours of any of its centres, from several threads if need be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search {
    r_cut: f64,
    /// A molecule that needs no boxes.
    small: bool,
    boxes: Boxes,
    centers: Vec<Center>,
    /// Sites in order of creation, and their boxes.
    made: Vec<Site>,
    made_filter: Vec<[f32; 3]>,
    made_box: Vec<u32>,
    /// Sites in order of their boxes; box b holds `sites[box_start[b]..box_start[b + 1]]`.
    sites: Vec<Site>,
    box_start: Vec<u32>,
    /// Coordinates of `sites` for the filter, in units of r_cut, with `LANES` entries of padding.
    filter: [Vec<f32>; 3],
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

// ---- The search ----

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

/// Sites that may be within r_cut of the centre, written to the front of `hits`; returns their number.
#[inline(always)]
fn candidates(
    boxes: &Boxes,
    center: &Center,
    box_start: &[u32],
    filter: [&[f32]; 3],
    hits: &mut [u32],
    distances: &mut [f32],
) -> usize {
    let [n0, n1, n2] = boxes.n;
    let u = center.boxes;
    // Boxes within `height` of the centre along axis k, and the distance of the centre from the layer b of boxes.
    let range = |k: usize, height: f64| {
        let width = height * boxes.per_length[k];
        ((u[k] - width).max(0.0) as u32, ((u[k] + width) as u32).min(boxes.n[k] as u32 - 1))
    };
    let gap = |k: usize, b: u32| (f64::from(b) - u[k]).max(u[k] - f64::from(b + 1)).max(0.0) * boxes.thickness[k];
    let reach2 = boxes.skew * boxes.reach * boxes.reach;
    debug_assert!(box_start.len() == n0 * n1 * n2 + 1);
    let mut n = 0;
    let (first2, last2) = range(2, boxes.reach);
    let (first1, last1) = range(1, boxes.reach);
    for b2 in first2..=last2 {
        let left2 = reach2 - gap(2, b2) * gap(2, b2);
        for b1 in first1..=last1 {
            let left1 = left2 - gap(1, b1) * gap(1, b1);
            if left1 <= 0.0 {
                continue;
            }
            let (first0, last0) = range(0, left1.sqrt().min(boxes.reach));
            let row = (b2 as usize * n1 + b1 as usize) * n0;
            let (first, last) = (box_start[row + first0 as usize], box_start[row + last0 as usize + 1]);
            n = measure_row(center.filter, filter, first as usize..last as usize, (hits, distances), n);
        }
    }
    let mut n_hits = 0;
    let (hits, distances) = (&mut hits[..n], &distances[..n]);
    for (k, &r2) in distances.iter().enumerate() {
        hits[n_hits] = hits[k];
        n_hits += usize::from(r2 < boxes.filter);
    }
    n_hits
}

/// Appends a row of sites and their squared filter distances to `near[..n]`; returns the new n.
#[inline(always)]
fn measure_row(
    c: [f32; 3],
    xyz: [&[f32]; 3],
    row: Range<usize>,
    near: (&mut [u32], &mut [f32]),
    mut n: usize,
) -> usize {
    for first in row.clone().step_by(LANES) {
        let lanes = |k: usize| xyz[k].get(first..).and_then(<[f32]>::first_chunk::<LANES>);
        let (Some(x), Some(y), Some(z)) = (lanes(0), lanes(1), lanes(2)) else { break };
        let index = near.0.get_mut(n..).and_then(<[u32]>::first_chunk_mut::<LANES>);
        let r2 = near.1.get_mut(n..).and_then(<[f32]>::first_chunk_mut::<LANES>);
        let (Some(index), Some(r2)) = (index, r2) else { break };
        let (mut lane_r2, mut lane_index) = ([0f32; LANES], [0u32; LANES]);
        for k in 0..LANES {
            let d = [x[k] - c[0], y[k] - c[1], z[k] - c[2]];
            lane_r2[k] = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
            lane_index[k] = first as u32 + k as u32;
        }
        (*r2, *index) = (lane_r2, lane_index);
        n += LANES.min(row.end - first); // what lies beyond the row is overwritten by the next one
    }
    n
}

// ---- Setting up: wrap, add images, sort into boxes ----

impl Search {
    /// Wraps, adds images, sorts into boxes; see the top of the file.
    pub(crate) fn update(&mut self, structure: &Structure, r_cut: f64) -> Result<()> {
        if !(r_cut.is_finite() && r_cut > 0.0) {
            return Err(Error::setting("r_cut", r_cut, "not a length", "give a positive number of Å"));
        }
        let n_atoms = structure.positions.len();
        if u32::try_from(n_atoms).is_err() {
            return Err(Error::structure(None, format!("{n_atoms} atoms"), "split structures above 4 billion atoms"));
        }
        self.r_cut = r_cut;
        self.small = n_atoms <= SMALL && structure.pbc == [false; 3];
        if self.small { Ok(()) } else { self.fill(structure, r_cut) }
    }

    fn fill(&mut self, structure: &Structure, r_cut: f64) -> Result<()> {
        let positions = &structure.positions;
        let frame = Frame::new(structure)?;
        self.centers.clear();
        let (mut low, mut high, mut far) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3], 0.0f64);
        for (i, &r) in positions.iter().enumerate() {
            let (center, height) = frame.wrap(i, r)?;
            for k in 0..3 {
                low[k] = low[k].min(center.boxes[k]);
                high[k] = high[k].max(center.boxes[k]);
            }
            far = far.max(height);
            self.centers.push(center);
        }
        let reach = r_cut * (1.0 + 1e-6) + 16.0 * f64::EPSILON * far;
        let padding = frame.padding(positions.len(), reach)?;

        // Along open directions, empty stretches longer than the cutoff are cut out of the box and filter coordinates.
        let mut gaps = false;
        for k in 0..3 {
            if frame.periodic[k] {
                (low[k], high[k]) = (-padding[k], 1.0 + padding[k]);
            } else if high[k] - low[k] > 100.0 * reach {
                (low[k], high[k]) = close_gaps(&mut self.centers, k, 1.01 * reach);
                gaps = true;
            }
        }
        let cut_out = |c: &Center| -> Vec3 {
            let cut = |k: usize| if frame.periodic[k] { 0.0 } else { dot(c.wrapped, frame.dual[k]) - c.boxes[k] };
            if gaps { combine([cut(0), cut(1), cut(2)], &frame.vectors) } else { [0.0; 3] }
        };
        let middle: Vec3 = combine(std::array::from_fn(|k| 0.5 * (low[k] + high[k])), &frame.vectors);

        // Boxes: half a cutoff thick, thinner along the rows, and not more of them than sites.
        let n_sites = (0..3).fold(positions.len() as f64, |n, k| n * (1.0 + 2.0 * padding[k]));
        let mut edge = [0.34 * r_cut, 0.5 * r_cut, 0.5 * r_cut];
        let n = loop {
            let n: Vec3 = std::array::from_fn(|k| ((high[k] - low[k]) * frame.width[k] / edge[k]).floor().max(1.0));
            if n[0] * n[1] * n[2] <= 2.0 * n_sites + 8.0 {
                break n;
            }
            edge = edge.map(|e| 1.25 * e);
        };
        let scale: Vec3 = std::array::from_fn(|k| n[k] / (high[k] - low[k]).max(1e-300));
        self.boxes = Boxes {
            n: n.map(|x| x as usize),
            thickness: std::array::from_fn(|k| frame.width[k] / scale[k]),
            per_length: std::array::from_fn(|k| scale[k] / frame.width[k]),
            skew: frame.skew(),
            reach,
            filter: 0.0,
        };

        self.made.clear();
        self.made_filter.clear();
        self.made_box.clear();
        let mut extent = 0.0f64;
        let images = |k: usize, f: f64| match frame.periodic[k] {
            true => ((low[k] - f).ceil() as i32, (high[k] - f).floor() as i32),
            false => (0, 0),
        };
        for (i, center) in self.centers.iter_mut().enumerate() {
            let f = center.boxes;
            let cut = cut_out(center);
            let (range0, range1, range2) = (images(0, f[0]), images(1, f[1]), images(2, f[2]));
            for (g2, g1) in (range2.0..=range2.1).flat_map(|g2| (range1.0..=range1.1).map(move |g1| (g2, g1))) {
                for g0 in range0.0..=range0.1 {
                    let g = [g0, g1, g2].map(f64::from);
                    let image = if [g0, g1, g2] == [0; 3] { [0.0; 3] } else { combine(g, &frame.vectors) };
                    let shift = frame.original([g0, g1, g2].map(i64::from));
                    let shift = std::array::from_fn(|k| center.shift[k] + shift[k] as i32);
                    let b: [usize; 3] = std::array::from_fn(|k| {
                        (((f[k] + g[k] - low[k]) * scale[k]) as usize).min(self.boxes.n[k] - 1)
                    });
                    let x: Vec3 =
                        std::array::from_fn(|k| ((center.wrapped[k] - cut[k] - middle[k]) + image[k]) / r_cut);
                    extent = x.iter().fold(extent, |e, x| e.max(x.abs()));
                    let site = Site { wrapped: center.wrapped, image, shift, atom: i as u32 };
                    if [g0, g1, g2] == [0; 3] {
                        center.filter = x.map(|x| x as f32);
                    }
                    self.made.push(site);
                    self.made_filter.push(x.map(|x| x as f32));
                    self.made_box.push(((b[2] * self.boxes.n[1] + b[1]) * self.boxes.n[0] + b[0]) as u32);
                }
            }
            center.boxes = std::array::from_fn(|k| (f[k] - low[k]) * scale[k]);
        }
        if extent.is_nan() || extent > 1e12 {
            return Err(Error::structure(
                None,
                format!("the cell is {extent:.1e} times as wide as r_cut = {r_cut} Å"),
                "check the length unit of the cell and of r_cut",
            ));
        }
        let filter = 1.0 + 1e-5 + 4e-7 * extent + 32.0 * f64::EPSILON * far / r_cut;
        self.boxes.filter = (filter * filter) as f32;
        self.sort_into_boxes();
        Ok(())
    }

    /// Counting sort of the sites by box; within a box the order of creation stays.
    fn sort_into_boxes(&mut self) {
        let n_boxes: usize = self.boxes.n.iter().product();
        self.box_start.clear();
        self.box_start.resize(n_boxes + 1, 0);
        for &b in &self.made_box {
            self.box_start[b as usize] += 1;
        }
        for b in 0..n_boxes {
            self.box_start[b + 1] += self.box_start[b]; // now the end of box b
        }
        let n_sites = self.made.len();
        self.sites.resize(n_sites, Site::default());
        for x in &mut self.filter {
            x.resize(n_sites + LANES, 0.0);
        }
        // Fill each box from its end, so that the offsets are starts again afterwards.
        for (index, &b) in self.made_box.iter().enumerate().rev() {
            let end = &mut self.box_start[b as usize];
            *end -= 1;
            let place = *end as usize;
            self.sites[place] = self.made[index];
            for k in 0..3 {
                self.filter[k][place] = self.made_filter[index][k];
            }
        }
    }
}

/// Cuts stretches without atoms down to `longest` along axis k of the box coordinates; returns the new range.
fn close_gaps(centers: &mut [Center], k: usize, longest: f64) -> (f64, f64) {
    let mut order: Vec<usize> = (0..centers.len()).collect();
    order.sort_unstable_by(|&a, &b| centers[a].boxes[k].total_cmp(&centers[b].boxes[k]));
    let (mut previous, mut height) = (f64::INFINITY, 0.0);
    for i in order {
        let next = centers[i].boxes[k];
        height += (next - previous).clamp(0.0, longest);
        previous = next;
        centers[i].boxes[k] = height;
    }
    (0.0, height)
}

fn sub(a: Vec3, b: Vec3) -> Vec3 {
    std::array::from_fn(|k| a[k] - b[k])
}
