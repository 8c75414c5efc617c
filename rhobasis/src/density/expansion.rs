//! The one sum over neighbours, Eqs. (4), (8), (13), and its adjoint.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayViewMut3, Axis};

use super::equivariants::{Channel, Equivariants};
use super::feeds::{Feeds, Shared};
use super::harmonics::{LANES, Lanes};
use super::kernel::{self, Block, CenterGradient, PAIRS, Radial};
use super::settings::Density;
use super::spline::{RadialTable, Rows, SplineError};
use crate::neighbors::NeighborList;
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
        let mut slices = Vec::with_capacity(out.len());
        for block in out {
            let slice = block.as_slice_mut().ok_or_else(|| {
                Error::setting("out", "a strided view", "blocks must be contiguous", "give whole arrays in C order")
            })?;
            slice.fill(0.0);
            slices.push(slice);
        }
        self.forward_centers(structure, neighbors, 0..structure.len(), &mut slices, work)
    }

    pub(super) fn forward_centers(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        centers: Range<usize>,
        out: &mut [&mut [f64]],
        work: &mut Workspace,
    ) -> Result<()> {
        let first = centers.start;
        for i in centers {
            let feeds = self.feeds_of(structure, i)?;
            self.sort_pairs(structure, neighbors, i, feeds, &mut work.order)?;
            for (slot, rows, pairs) in self.busy_slots(feeds, &work.order) {
                let n_sums = kernel::sums_start(rows, self.l_max() + 1, 0);
                let sums = &mut work.sums[..n_sums];
                sums.fill([0.0; LANES]);
                for pairs in pairs.chunks(PAIRS) {
                    self.fill_block(structure, neighbors, pairs, feeds, &mut work.block);
                    kernel::forward_block(&self.shared.harmonics, &self.shared.radials, rows, &mut work.block, sums);
                }
                self.store(sums, rows, &feeds.starts, slot, i - first, out);
            }
            let (radial, slot) = feeds.of_species[structure.species[i] as usize].expect("checked with the pairs");
            let weight = self.density().center_weight * Y00;
            let row = (i - first) * self.channels[0].len() + feeds.starts[0][slot];
            for (c, value) in out[0][row..].iter_mut().zip(&self.shared.at_origin[radial]) {
                *c += weight * value;
            }
        }
        Ok(())
    }

    /// Slots that have pairs and channels: index, layout of their rows, pairs.
    fn busy_slots<'a>(
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

    /// Copies the padded sums of one slot to its channels of one centre.
    fn store(
        &self,
        sums: &[Lanes],
        rows: &Rows,
        starts: &[Vec<usize>],
        slot: usize,
        center: usize,
        out: &mut [&mut [f64]],
    ) {
        let mut sums = sums.iter();
        for (l, out) in out.iter_mut().enumerate() {
            let (n_m, width, start) = (2 * l + 1, self.channels[l].len(), starts[l][slot]);
            for done in (0..rows.counts[l]).step_by(LANES) {
                let take = LANES.min(rows.counts[l] - done);
                for m in 0..n_m {
                    let sum = sums.next().expect("a sum for each (l, chunk, m)");
                    let to = &mut out[(center * n_m + m) * width + start + done..][..take];
                    match <&mut Lanes>::try_from(&mut *to) {
                        Ok(to) => *to = *sum,
                        Err(_) => to.copy_from_slice(&sum[..take]),
                    }
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn backward_centers(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        centers: Range<usize>,
        gradient: &Equivariants,
        first: usize,
        out: &mut [Vec3],
        work: &mut Workspace,
    ) -> Result<()> {
        let first_pair = neighbors.start[centers.start];
        for i in centers {
            let feeds = self.feeds_of(structure, i)?;
            self.sort_pairs(structure, neighbors, i, feeds, &mut work.order)?;
            for (slot, rows, pairs) in self.busy_slots(feeds, &work.order) {
                self.load(gradient, first + i, rows, &feeds.starts, slot, &mut work.sums, &mut work.gradient);
                let mut pair_gradient = [[0.0; 3]; PAIRS];
                for pairs in pairs.chunks(PAIRS) {
                    self.fill_block(structure, neighbors, pairs, feeds, &mut work.block);
                    kernel::backward_block(
                        &self.shared.harmonics,
                        &self.shared.radials,
                        rows,
                        &mut work.block,
                        &work.gradient,
                        &mut pair_gradient,
                    );
                    for (&pair, g) in pairs.iter().zip(&pair_gradient) {
                        out[pair - first_pair] = *g;
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
        gradient: &Equivariants,
        row: usize,
        rows: &Rows,
        starts: &[Vec<usize>],
        slot: usize,
        lanes: &mut [Lanes],
        out: &mut CenterGradient,
    ) {
        out.constant.clear();
        let n_ladder: usize = (1..=rows.l_max()).map(|l| (2 * l - 1) * kernel::chunks(rows, l)).sum();
        for direction in &mut out.ladder {
            direction.clear();
            direction.resize(n_ladder, [0.0; LANES]);
        }
        let mut ladder_start = 0;
        for l in 0..=rows.l_max() {
            let block = gradient.blocks[l].index_axis(Axis(0), row);
            for done in (0..rows.counts[l]).step_by(LANES) {
                let take = LANES.min(rows.counts[l] - done);
                let lanes = &mut lanes[..2 * l + 1];
                for (m, to) in lanes.iter_mut().enumerate() {
                    *to = [0.0; LANES];
                    for (k, to) in to[..take].iter_mut().enumerate() {
                        *to = block[[m, starts[l][slot] + done + k]];
                    }
                }
                if l == 0 {
                    out.constant.push(lanes[0].map(|g| g * Y00));
                    continue;
                }
                for &(direction, m, below, coefficient) in &self.shared.ladder[l] {
                    let to = &mut out.ladder[direction][ladder_start + below];
                    for k in 0..LANES {
                        to[k] += coefficient * lanes[m][k];
                    }
                }
                ladder_start += 2 * l - 1;
            }
        }
    }

    fn fill_block(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        pairs: &[usize],
        feeds: &Feeds,
        block: &mut Block,
    ) {
        block.n = pairs.len();
        for (j, &pair) in pairs.iter().enumerate() {
            let r = neighbors.vector[pair];
            let distance = crate::structure::norm(r);
            for (axis, x) in block.vector.iter_mut().zip(r) {
                axis[j / LANES][j % LANES] = x;
            }
            block.distance[j] = distance;
            block.weight[j] = self.density().weight(distance);
            let species = structure.species[neighbors.neighbor[pair] as usize];
            block.radial[j] = feeds.of_species[species as usize].expect("checked with the pairs").0;
        }
        for j in pairs.len()..pairs.len().next_multiple_of(LANES) {
            for axis in &mut block.vector {
                axis[j / LANES][j % LANES] = 0.0;
            }
        }
    }

    fn feeds_of(&self, structure: &Structure, center: usize) -> Result<&Feeds> {
        let z = structure.species[center];
        let kind = self.kind_of[z as usize].ok_or_else(|| self.unknown_species(center, z))?;
        Ok(&self.kinds[kind])
    }

    /// Orders the pairs of a centre by slot, keeping their order within each.
    fn sort_pairs(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        center: usize,
        feeds: &Feeds,
        order: &mut Order,
    ) -> Result<()> {
        let slot_of = |atom: usize| {
            let z = structure.species[atom];
            feeds.of_species[z as usize].map(|(_, slot)| slot).ok_or_else(|| self.unknown_species(atom, z))
        };
        slot_of(center)?;
        let pairs = neighbors.pairs(center);
        let n_slots = feeds.representative.len();
        order.starts.clear();
        order.starts.resize(n_slots + 1, 0);
        order.slots.clear();
        for pair in pairs.clone() {
            let slot = slot_of(neighbors.neighbor[pair] as usize)?;
            order.slots.push(slot);
            order.starts[slot + 1] += 1;
        }
        for slot in 0..n_slots {
            order.starts[slot + 1] += order.starts[slot];
        }
        order.pairs.clear();
        order.pairs.resize(pairs.len(), 0);
        order.next.clear();
        order.next.extend_from_slice(&order.starts[..n_slots]);
        for (pair, &slot) in pairs.zip(&order.slots) {
            order.pairs[order.next[slot]] = pair;
            order.next[slot] += 1;
        }
        Ok(())
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
#[derive(Debug)]
pub struct Workspace {
    /// Neighbour list, for callers that build one structure after the other.
    pub neighbors: NeighborList,
    order: Order,
    block: Block,
    sums: Vec<Lanes>,
    gradient: CenterGradient,
}

impl Workspace {
    /// Buffers large enough for this expansion.
    pub fn new(expansion: &SphericalExpansion) -> Self {
        let radials = &expansion.shared.radials;
        let longest_row = radials.iter().map(|r| r.rows().len()).max().unwrap_or(0);
        let l_max = expansion.l_max();
        let most_sums = radials.iter().map(|r| kernel::sums_start(r.rows(), l_max + 1, 0)).max().unwrap_or(0);
        Workspace {
            neighbors: NeighborList::default(),
            order: Order::default(),
            block: Block::new(l_max, longest_row),
            sums: vec![[0.0; LANES]; most_sums.max(2 * l_max + 1)],
            gradient: CenterGradient::default(),
        }
    }
}

/// Pairs of one centre, sorted by slot.
#[derive(Debug, Default)]
struct Order {
    pairs: Vec<usize>,
    /// Slot s holds pairs[starts[s]..starts[s + 1]].
    starts: Vec<usize>,
    slots: Vec<usize>,
    next: Vec<usize>,
}

impl Order {
    fn slot(&self, slot: usize) -> &[usize] {
        &self.pairs[self.starts[slot]..self.starts[slot + 1]]
    }
}

/// What a gradient with respect to coefficients means for the atoms of one structure.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjoint {
    /// −dE/dr of each atom, in the energy unit per Å.
    pub forces: Vec<Vec3>,
    /// −dE/dε for r → r(1 + ε), cell → cell(1 + ε) with row vectors; the first index goes with r.
    pub virial: Array2<f64>,
}

impl Adjoint {
    pub(super) fn from_pairs(structure: &Structure, neighbors: &NeighborList, pair_gradients: &[Vec3]) -> Self {
        let mut forces = vec![[0.0; 3]; structure.len()];
        let mut virial = Array2::zeros((3, 3));
        for i in 0..structure.len() {
            for pair in neighbors.pairs(i) {
                let (g, r) = (pair_gradients[pair], neighbors.vector[pair]);
                let j = neighbors.neighbor[pair] as usize;
                for d in 0..3 {
                    forces[i][d] += g[d];
                    forces[j][d] -= g[d];
                    for p in 0..3 {
                        virial[[p, d]] -= r[p] * g[d];
                    }
                }
            }
        }
        Adjoint { forces, virial }
    }

    /// Stress +(1/V) dE/dε in the energy unit per Å³.
    ///
    /// # Errors
    /// Unless the structure is periodic in all three directions.
    pub fn stress(&self, structure: &Structure) -> Result<Array2<f64>> {
        if structure.pbc != [true; 3] {
            return Err(Error::structure(
                None,
                format!("stress needs a volume, but pbc is {:?}", structure.pbc),
                "use the virial, or a cell that is periodic in all three directions",
            ));
        }
        Ok(&self.virial / -structure.volume())
    }
}
