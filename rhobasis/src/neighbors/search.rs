//! The boxes of the neighbour search: atoms are wrapped into a compact cell, their images within `r_cut` of it are added
//! explicitly, and all of them are sorted into boxes, so that finding neighbours itself knows no periodicity:
//!
//! ```text
//!     reduce the cell -> wrap -> add images -> sort into boxes -> per centre: rows of boxes -> f32 filter -> f64 decision
//! ```

use std::ops::Range;

use super::frame::{Center, Frame, combine};
use crate::structure::{Vec3, dot};
use crate::{Error, Result, Structure};

/// Up to this many atoms without periodicity need no boxes.
pub(super) const SMALL: usize = 40;
/// Lanes of the single-precision filter.
pub(super) const LANES: usize = 8;

/// An atom or an image of one, as the search sees it: r_ji = (wrapped_j - wrapped_i) + image, S = shift_j - shift_i.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Site {
    pub wrapped: Vec3,
    pub image: Vec3,
    pub shift: [i32; 3],
    pub atom: u32,
}

/// The boxes: how many along each axis, how thick, and how the heights of a vector bound its length.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Boxes {
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
    pub(super) r_cut: f64,
    /// A molecule that needs no boxes.
    pub(super) small: bool,
    pub(super) boxes: Boxes,
    pub(super) centers: Vec<Center>,
    /// Sites in order of creation, and their boxes.
    made: Vec<Site>,
    made_filter: Vec<[f32; 3]>,
    made_box: Vec<u32>,
    /// Sites in order of their boxes; box b holds `sites[box_start[b]..box_start[b + 1]]`.
    pub(super) sites: Vec<Site>,
    pub(super) box_start: Vec<u32>,
    /// Coordinates of `sites` for the filter, in units of r_cut, with `LANES` entries of padding.
    pub(super) filter: [Vec<f32>; 3],
}

/// Sites that may be within r_cut of the centre, written to the front of `hits`; returns their number.
#[inline(always)]
pub(super) fn candidates(
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
