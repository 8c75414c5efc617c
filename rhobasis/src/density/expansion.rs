//! The one sum over neighbours, Eqs. (4), (8), (13), and its adjoint.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayView3, ArrayViewMut3, Axis};

use super::aligned::Aligned;
use super::batch::contiguous;
use super::derivatives::Motion;
use super::equivariants::Channel;
use super::evaluated::Radial;
use super::feeds::{Feeds, Shared};
use super::harmonics::{LANES, Lanes};
use super::kernel::{self, Block, CenterGradient, PAIRS};
use super::settings::Density;
use super::spline::{RadialTable, Rows, SplineError};
use crate::neighbors::{NeighborList, Search};
use crate::structure::{Structure, Vec3, symbol};
use crate::{Error, Result};

/// Y_00.
const Y00: f64 = 0.282_094_791_773_878_14;

/// Density coefficients as a sum over neighbours, in a primitive or a contracted basis.
///
/// ```text
/// ⟨anlm|ρ_i⟩ = Σ_j δ_{a a_j} f(r_ji) ⟨anl|r_ji; g⟩ Y_lm(r̂_ji)          Eqs. (4), (8)
/// ⟨qlm|ρ_i⟩  = Σ_j f(r_ji) ⟨a_j ql|r_ji; g⟩ Y_lm(r̂_ji)                 Eq. (13), combined
/// ```
///
/// plus the centre itself at r = 0, in the channel (or through the functions) of its own species.
///
/// ```
/// use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
/// use rhobasis::Structure;
///
/// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 2, ..Default::default() };
/// let water = Structure::molecule(vec![8, 1, 1], vec![[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]]);
/// let expansion = SphericalExpansion::new(&settings, &[1, 8])?;
/// let c = expansion.forward(&[water])?;
/// assert_eq!(c.blocks[2].dim(), (3, 5, 8)); // centers, m, channels (a, n)
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SphericalExpansion {
    pub(super) shared: Arc<Shared>,
    /// Neighbour species, ascending.
    pub(super) species: Vec<u8>,
    /// One, or one for each centre species.
    pub(super) kinds: Vec<Feeds>,
    /// Atomic number of the centre to index in `kinds`.
    pub(super) kind_of: Vec<Option<usize>>,
    pub(super) channels: Vec<Vec<Channel>>,
}

impl SphericalExpansion {
    /// The density that is expanded.
    pub fn density(&self) -> &Density {
        &self.shared.density
    }

    /// Largest angular momentum, included.
    pub fn l_max(&self) -> usize {
        self.shared.l_max
    }

    /// Neighbour species, ascending.
    pub fn species(&self) -> &[u8] {
        &self.species
    }

    /// Channels of each l.
    pub fn channels(&self) -> &[Vec<Channel>] {
        &self.channels
    }

    /// Largest errors of the splines; `None` if the integrals are exact.
    pub fn spline_error(&self) -> Option<SplineError> {
        self.shared.spline_error
    }

    /// The table through which neighbours of `species` feed centres of kind `center`; `None` without splines, or where
    /// there is no such centre or neighbour.
    pub fn table(&self, center: Option<u8>, species: u8) -> Option<&RadialTable> {
        let kind = self.kind_of[center.unwrap_or(0) as usize]?;
        let (radial, _) = self.kinds[kind].of_species[species as usize]?;
        match &self.shared.radials[radial] {
            Radial::Splined(table) => Some(table),
            Radial::Exact(..) => None,
        }
    }

    /// Coefficients of the centres of one structure, given its neighbours; overwrites `out`.
    ///
    /// `out[l]` has axes `[center, m, channel]`.
    ///
    /// # Errors
    /// If a species of the structure is unknown, the list belongs to another structure, or the blocks have another shape or
    /// are not contiguous.
    ///
    /// # Panics
    /// If `work` was made for an expansion with fewer functions.
    pub fn forward_into(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        out: &mut [ArrayViewMut3<f64>],
        work: &mut Workspace,
    ) -> Result<()> {
        if neighbors.start.len() != structure.len() + 1 {
            return Err(Error::setting(
                "neighbors",
                neighbors.start.len().saturating_sub(1),
                format!("the list must be of this structure, which has {} atoms", structure.len()),
                "update it with the structure",
            ));
        }
        let shapes: Vec<_> = out.iter().map(|block| block.dim()).collect();
        self.check_shape("out", structure.len(), &shapes)?;
        let mut slices = contiguous(out)?;
        self.forward_centers(structure, neighbors, 0..structure.len(), None, &mut slices, work)
    }

    /// Coefficients of some centres, whose pairs `neighbors` holds, or their derivative along a motion; overwrites `out`.
    pub(crate) fn forward_centers(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        centers: Range<usize>,
        motion: Option<&Motion>,
        out: &mut [&mut [f64]],
        work: &mut Workspace,
    ) -> Result<()> {
        let tools = self.shared.tools();
        for (row, i) in centers.enumerate() {
            let feeds = self.feeds_of(structure, i)?;
            self.sort_pairs(structure, neighbors, (i, row), feeds, &mut work.order)?;
            if !(feeds.covers && self.busy_slots(feeds, &work.order).count() == feeds.representative.len()) {
                self.clear_row(row, out);
            }
            for (slot, rows, pairs) in self.busy_slots(feeds, &work.order) {
                let sums = &mut work.sums.lanes_mut()[..kernel::n_sums(rows)];
                sums.fill([0.0; LANES]);
                for pairs in pairs.chunks(PAIRS) {
                    self.fill_block(structure, neighbors, pairs, feeds, &mut work.block);
                    match motion {
                        None => kernel::forward_block(&tools, rows, &mut work.block, sums),
                        Some(motion) => {
                            motion.fill_block(i, neighbors, pairs, &mut work.block);
                            kernel::tangent_block(&tools, rows, &mut work.block, sums);
                        }
                    }
                }
                self.store(sums, rows, &feeds.starts, slot, row, out);
            }
            if motion.is_none() {
                let (radial, slot) = feeds.of_species[structure.species[i] as usize].expect("checked with the pairs");
                let weight = self.density().center_weight * Y00;
                let start = row * self.channels[0].len() + feeds.starts[0][slot];
                for (c, value) in out[0][start..].iter_mut().zip(&self.shared.at_origin[radial]) {
                    *c += weight * value;
                }
            }
        }
        Ok(())
    }

    /// Zeros for one row of all blocks.
    pub(super) fn clear_row(&self, row: usize, out: &mut [&mut [f64]]) {
        for (l, (out, channels)) in out.iter_mut().zip(&self.channels).enumerate() {
            let width = (2 * l + 1) * channels.len();
            out[row * width..(row + 1) * width].fill(0.0);
        }
    }

    /// Slots that have pairs and channels: index, layout of their rows, pairs.
    pub(super) fn busy_slots<'a>(
        &'a self,
        feeds: &'a Feeds,
        order: &'a Order,
    ) -> impl Iterator<Item = (usize, &'a Rows, &'a [usize])> {
        feeds
            .representative
            .iter()
            .enumerate()
            .map(|(slot, &radial)| (slot, self.shared.radials[radial].rows(), order.slot(slot)))
            .filter(|(_, rows, pairs)| rows.len() > 0 && !pairs.is_empty())
    }

    /// Copies the padded sums of one slot to its channels of one row.
    pub(super) fn store(
        &self,
        sums: &[Lanes],
        rows: &Rows,
        starts: &[Vec<usize>],
        slot: usize,
        row: usize,
        out: &mut [&mut [f64]],
    ) {
        let mut sums = sums.iter();
        for (l, out) in out.iter_mut().enumerate() {
            let (n_m, width, start) = (2 * l + 1, self.channels[l].len(), starts[l][slot]);
            for done in (0..rows.counts[l]).step_by(LANES) {
                let take = LANES.min(rows.counts[l] - done);
                for m in 0..n_m {
                    let sum = sums.next().expect("a sum for each (l, chunk, m)");
                    let to = &mut out[(row * n_m + m) * width + start + done..][..take];
                    match <&mut Lanes>::try_from(&mut *to) {
                        Ok(to) => *to = *sum,
                        Err(_) => to.copy_from_slice(&sum[..take]),
                    }
                }
            }
        }
    }

    /// dE/dr_ji of every pair of some centres, given dE/dc: rows `first…` of the blocks of `gradient`.
    pub(crate) fn backward_centers(
        &self,
        structure: &Structure,
        centers: Range<usize>,
        gradient: &[ArrayView3<f64>],
        first: usize,
        work: &mut Workspace,
    ) -> Result<()> {
        let tools = self.shared.tools();
        let Workspace { neighbors, order, block, sums, gradient: of_center, pair_gradients, .. } = work;
        pair_gradients.clear();
        pair_gradients.resize(neighbors.len(), [0.0; 3]);
        let mut of_block = [[0.0; 3]; PAIRS];
        for (row, i) in centers.enumerate() {
            let feeds = self.feeds_of(structure, i)?;
            self.sort_pairs(structure, neighbors, (i, row), feeds, order)?;
            for (slot, rows, pairs) in self.busy_slots(feeds, order) {
                self.load(gradient, first + row, rows, &feeds.starts, slot, sums.lanes_mut(), of_center);
                for pairs in pairs.chunks(PAIRS) {
                    self.fill_block(structure, neighbors, pairs, feeds, block);
                    kernel::backward_block(&tools, rows, block, of_center, &mut of_block);
                    for (&pair, g) in pairs.iter().zip(&of_block) {
                        pair_gradients[pair] = *g;
                    }
                }
            }
        }
        Ok(())
    }

    /// dE/dc of one centre and slot, and the ladder of [`CenterGradient`] made from it.
    #[allow(clippy::too_many_arguments)]
    fn load(
        &self,
        gradient: &[ArrayView3<f64>],
        row: usize,
        rows: &Rows,
        starts: &[Vec<usize>],
        slot: usize,
        lanes: &mut [Lanes],
        out: &mut CenterGradient,
    ) {
        out.constant.clear();
        out.ladder.resize(kernel::n_ladder(rows));
        out.ladder.fill(0.0);
        let mut start = 0;
        for l in 0..=rows.l_max() {
            let block = gradient[l].index_axis(Axis(0), row);
            for done in (0..rows.counts[l]).step_by(LANES) {
                let take = LANES.min(rows.counts[l] - done);
                let channels = starts[l][slot] + done..starts[l][slot] + done + take;
                let lanes = &mut lanes[..2 * l + 1];
                for (to, from) in lanes.iter_mut().zip(block.outer_iter()) {
                    *to = [0.0; LANES];
                    match from.as_slice() {
                        Some(from) => to[..take].copy_from_slice(&from[channels.clone()]),
                        None => to.iter_mut().zip(channels.clone()).for_each(|(to, q)| *to = from[q]),
                    }
                }
                if l == 0 {
                    out.constant.push(lanes[0].map(|g| g * Y00));
                    continue;
                }
                let ladder = &mut out.ladder_mut()[start..start + 2 * l - 1];
                start += 2 * l - 1;
                kernel::add_ladder(self.shared.ladder_of(l), l, lanes, ladder);
            }
        }
    }

    pub(super) fn fill_block(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        pairs: &[usize],
        feeds: &Feeds,
        block: &mut Block,
    ) {
        block.n = pairs.len();
        for (j, &pair) in pairs.iter().enumerate() {
            let species = structure.species[neighbors.neighbor[pair] as usize];
            let radial = feeds.of_species[species as usize].expect("checked with the pairs").0;
            block.set(j, neighbors.vector[pair], radial as u32);
        }
        for j in pairs.len()..pairs.len().next_multiple_of(LANES) {
            block.set(j, [0.0; 3], 0);
        }
    }

    pub(super) fn feeds_of(&self, structure: &Structure, center: usize) -> Result<&Feeds> {
        let z = structure.species[center];
        let kind = self.kind_of[z as usize].ok_or_else(|| self.unknown_species(center, z))?;
        Ok(&self.kinds[kind])
    }

    /// Orders the pairs of a centre, which has row `row` of the list, by slot, keeping their order within each.
    pub(super) fn sort_pairs(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        (center, row): (usize, usize),
        feeds: &Feeds,
        order: &mut Order,
    ) -> Result<()> {
        let slot_of = |atom: usize| {
            let z = structure.species[atom];
            feeds.of_species[z as usize].map(|(_, slot)| slot).ok_or_else(|| self.unknown_species(atom, z))
        };
        slot_of(center)?;
        let pairs = neighbors.pairs(row);
        let n_slots = feeds.representative.len();
        order.starts.clear();
        order.starts.resize(n_slots + 1, 0);
        order.slots.clear();
        for &atom in &neighbors.neighbor[pairs.clone()] {
            let slot = slot_of(atom as usize)?;
            order.slots.push(slot);
            order.starts[slot + 1] += 1;
        }
        order.pairs.clear();
        if n_slots == 1 {
            order.pairs.extend(pairs);
            return Ok(());
        }
        for slot in 0..n_slots {
            order.starts[slot + 1] += order.starts[slot];
        }
        order.pairs.resize(pairs.len(), 0);
        order.next.clear();
        order.next.extend_from_slice(&order.starts[..n_slots]);
        for (pair, &slot) in pairs.zip(&order.slots) {
            order.pairs[order.next[slot]] = pair;
            order.next[slot] += 1;
        }
        Ok(())
    }

    /// Runs a job with buffers that earlier jobs have left. Nobody waits for them: in a forked process, whoever held the lock
    /// may not exist.
    pub(crate) fn with_workspace<T>(&self, job: impl FnOnce(&mut Workspace) -> T) -> T {
        let left = self.shared.idle.try_lock().ok().and_then(|mut idle| idle.pop());
        let mut work = left.unwrap_or_else(|| Workspace::new(self));
        let result = job(&mut work);
        if let Ok(mut idle) = self.shared.idle.try_lock() {
            idle.push(work);
        }
        result
    }

    fn unknown_species(&self, atom: usize, z: u8) -> Error {
        let known: Vec<&str> = self.species.iter().map(|&z| symbol(z)).collect();
        Error::structure(
            Some(atom),
            format!("{} is not among the species of this basis ({})", symbol(z), known.join(", ")),
            "fit the basis on a set that contains it, or leave the frame out",
        )
    }
}

/// Buffers that one thread reuses from centre to centre.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Pairs of the centres in work.
    pub(crate) neighbors: NeighborList,
    pub(super) search: Search,
    pub(super) order: Order,
    pub(super) block: Block,
    pub(super) sums: Aligned,
    gradient: CenterGradient,
    /// dE/dr_ji of each pair of the list.
    pub(super) pair_gradients: Vec<Vec3>,
    /// Sums of several kinds, for Jacobians.
    pub(super) more_sums: [Aligned; 2],
    /// For what is made of the coefficients.
    pub(crate) scratch: Scratch,
}

impl Workspace {
    /// Buffers large enough for this expansion.
    pub fn new(expansion: &SphericalExpansion) -> Self {
        let radials = &expansion.shared.radials;
        let longest_row = radials.iter().map(|r| r.rows().len()).max().unwrap_or(0);
        let l_max = expansion.l_max();
        let most_sums = radials.iter().map(|r| kernel::n_sums(r.rows())).max().unwrap_or(0);
        Workspace {
            block: Block::new(l_max, longest_row),
            sums: Aligned::zeros(LANES * most_sums.max(2 * l_max + 1)),
            ..Workspace::default()
        }
    }
}

/// Coefficients of some centres and what is made of them, as their users like it.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub rows: [Aligned; 2],
    pub lanes: [Aligned; 4],
    pub moving: Aligned,
    /// Features of some centres, and what an energy changes with them.
    pub features: [Aligned; 2],
    /// Memory of a model of the features.
    pub of_model: Vec<f64>,
}

/// Pairs of one centre, sorted by slot.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub pairs: Vec<usize>,
    /// Slot s holds pairs[starts[s]..starts[s + 1]].
    pub starts: Vec<usize>,
    slots: Vec<usize>,
    next: Vec<usize>,
}

impl Order {
    fn slot(&self, slot: usize) -> &[usize] {
        &self.pairs[self.starts[slot]..self.starts[slot + 1]]
    }
}
