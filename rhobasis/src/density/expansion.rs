//! The one sum over neighbours, Eqs. (4), (8), (13), and its adjoint.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayViewMut3, Axis};
use rayon::prelude::*;

use super::equivariants::{Center, Channel, Equivariants};
use super::harmonics::{LANES, Lanes, SolidHarmonics, gradient_terms};
use super::kernel::{self, Block, CenterGradient, PAIRS, Radial};
use super::radial::RadialIntegrals;
use super::settings::{Density, ExpansionSettings};
use super::spline::{RadialTable, Rows, SplineError, tabulate};
use crate::neighbors::NeighborList;
use crate::structure::{Structure, Vec3, symbol};
use crate::{Error, Result};

/// Structures larger than this are split over threads by centre.
const SPLIT_ATOMS: usize = 256;

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
    shared: Arc<Shared>,
    /// Neighbour species, ascending.
    species: Vec<u8>,
    /// One, or one for each centre species.
    kinds: Vec<Feeds>,
    /// Atomic number of the centre to index in `kinds`.
    kind_of: Vec<Option<usize>>,
    channels: Vec<Vec<Channel>>,
}

/// What does not depend on the set of species.
#[derive(Debug)]
struct Shared {
    density: Density,
    l_max: usize,
    harmonics: SolidHarmonics,
    radials: Vec<Radial>,
    /// I_q0(0) of each entry of `radials`.
    at_origin: Vec<Vec<f64>>,
    /// Terms of ∇(r^l Y_lm), for each l: (direction, index of m, index of m′, coefficient).
    ladder: Vec<Vec<(usize, usize, usize, f64)>>,
    spline_error: Option<SplineError>,
}

/// Which neighbour species feeds which channels through which radial integrals.
#[derive(Debug, Clone)]
struct Feeds {
    /// (index of the radial integrals, slot) by atomic number.
    of_species: Vec<Option<(usize, usize)>>,
    /// First channel of each slot, for each l: `[l][slot]`.
    starts: Vec<Vec<usize>>,
    /// Radial integrals that stand for the layout of each slot.
    representative: Vec<usize>,
}

/// Radial functions of one kind of centre: (neighbour species, integrals), and whether all feed the same channels.
pub(crate) struct KindOfCenter {
    pub center: Option<u8>,
    pub radials: Vec<(u8, RadialSource)>,
}

/// Radial integrals to be tabulated (or not), or a table read from a file.
pub(crate) enum RadialSource {
    Integrals(RadialIntegrals),
    Table(RadialTable),
}

impl SphericalExpansion {
    /// The primitive expansion for these neighbour species.
    ///
    /// # Errors
    /// For settings outside their range, or a species without a `sigma`.
    pub fn new(settings: &ExpansionSettings, species: &[u8]) -> Result<Self> {
        settings.validate()?;
        let mut widths: Vec<f64> = Vec::new();
        let mut radial_of = Vec::new();
        for &z in species {
            let sigma = settings.density.sigma.of(z)?;
            let index = widths.iter().position(|&w| w == sigma).unwrap_or(widths.len());
            if index == widths.len() {
                widths.push(sigma);
            }
            radial_of.push((z, index));
        }
        let integrals = widths
            .iter()
            .map(|&sigma| RadialIntegrals::new(&settings.primitive, settings.density.r_cut, sigma, settings.l_max))
            .collect::<Result<Vec<_>>>()?;
        let (radials, error) = prepare(integrals, &settings.density, settings.spline_accuracy)?;
        let shared = Arc::new(Shared::new(settings.density.clone(), settings.l_max, radials, error));
        Ok(Self::primitive(shared, &radial_of))
    }

    /// The same primitive expansion for other species, all of which have the width of a species given to
    /// [`SphericalExpansion::new`].
    pub(crate) fn for_species(&self, species: &[u8]) -> Option<Self> {
        let feeds = &self.kinds[0];
        let radial_of: Option<Vec<(u8, usize)>> =
            species.iter().map(|&z| feeds.of_species[z as usize].map(|(radial, _)| (z, radial))).collect();
        Some(Self::primitive(self.shared.clone(), &radial_of?))
    }

    fn primitive(shared: Arc<Shared>, radial_of: &[(u8, usize)]) -> Self {
        let mut radial_of = radial_of.to_vec();
        radial_of.sort_unstable();
        radial_of.dedup();
        let kind = Feeds::separate(&shared, &radial_of);
        let channels = separate_channels(&shared, &radial_of);
        let species = radial_of.iter().map(|&(z, _)| z).collect();
        SphericalExpansion { shared, species, kinds: vec![kind], kind_of: vec![Some(0); 256], channels }
    }

    /// A contracted expansion. Kinds of centre may keep different numbers of functions: channels are the union, and
    /// those that a kind does not have stay zero.
    pub(crate) fn contracted(
        density: Density,
        l_max: usize,
        spline_accuracy: Option<f64>,
        combined: bool,
        kinds: Vec<KindOfCenter>,
    ) -> Result<Self> {
        // All radial functions of all kinds go into one list, tabulated on common knots.
        let (mut integrals, mut tables, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for kind in kinds {
            let mut radial_of = Vec::new();
            for (z, source) in kind.radials {
                radial_of.push((z, integrals.len() + tables.len()));
                match source {
                    RadialSource::Integrals(i) => integrals.push(i),
                    RadialSource::Table(t) => tables.push(Radial::Splined(t)),
                }
            }
            entries.push((kind.center, radial_of));
        }
        assert!(integrals.is_empty() || tables.is_empty(), "either all tables come from a file or none");
        let (radials, error) =
            if integrals.is_empty() { (tables, None) } else { prepare(integrals, &density, spline_accuracy)? };
        let shared = Arc::new(Shared::new(density, l_max, radials, error));
        let mut species: Vec<u8> = entries.iter().flat_map(|(_, r)| r.iter().map(|&(z, _)| z)).collect();
        species.sort_unstable();
        species.dedup();
        let channels = if combined {
            combined_channels(&shared, &entries)
        } else {
            union_of_channels(&shared, &species, &entries)
        };
        let mut kind_of = vec![None; 256];
        let mut feeds = Vec::new();
        for (center, radial_of) in &entries {
            match center {
                None => kind_of = vec![Some(feeds.len()); 256],
                Some(z) => kind_of[*z as usize] = Some(feeds.len()),
            }
            feeds.push(if combined {
                Feeds::combined(l_max, radial_of)
            } else {
                Feeds::into_channels(&channels, radial_of)
            });
        }
        Ok(SphericalExpansion { shared, species, kinds: feeds, kind_of, channels })
    }

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

    /// Largest errors of the splines; `None` if the integrals are exact or the tables came from a file.
    pub fn spline_error(&self) -> Option<SplineError> {
        self.shared.spline_error
    }

    /// The table through which neighbours of `species` feed centres of kind `center`; `None` without splines.
    pub fn table(&self, center: Option<u8>, species: u8) -> Option<&RadialTable> {
        let kind = self.kind_of[center.unwrap_or(0) as usize]?;
        let (radial, _) = self.kinds[kind].of_species[species as usize]?;
        match &self.shared.radials[radial] {
            Radial::Splined(table) => Some(table),
            Radial::Exact(..) => None,
        }
    }

    /// Coefficients of all centres of all structures, in file order.
    ///
    /// # Errors
    /// [`Error::Structure`] naming frame and atom: not finite, no volume, atoms that coincide, unknown species.
    pub fn forward(&self, structures: &[Structure]) -> Result<Equivariants> {
        let mut out = Equivariants::zeros(centers_of(structures), self.channels.clone());
        let lists = self.lists_of_large(structures)?;
        self.forward_tasks(structures, &lists, &mut out)
            .into_par_iter()
            .try_for_each_init(|| Workspace::new(self), |work, task| self.run_task(structures, &lists, task, work))?;
        Ok(out)
    }

    /// Coefficients of the centres of one structure, given its neighbours; overwrites `out`.
    ///
    /// `out[l]` has axes `[center, m, channel]`.
    ///
    /// # Errors
    /// If a species of the structure is unknown.
    pub fn forward_into(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        out: &mut [ArrayViewMut3<f64>],
        work: &mut Workspace,
    ) -> Result<()> {
        let mut slices: Vec<&mut [f64]> =
            out.iter_mut().map(|block| block.as_slice_mut().expect("blocks are contiguous")).collect();
        slices.iter_mut().for_each(|s| s.fill(0.0));
        self.forward_centers(structure, neighbors, 0..structure.len(), &mut slices, work)
    }

    fn forward_centers(
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
            for slot in 0..feeds.representative.len() {
                let pairs = work.order.slot(slot);
                if pairs.is_empty() {
                    continue;
                }
                let rows = self.shared.radials[feeds.representative[slot]].rows();
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

    /// Forces −dE/dr and virial −dE/dε of each structure, given dE/dc: the adjoint of [`SphericalExpansion::forward`].
    ///
    /// `gradient` has the shape that `forward` gives for the same structures.
    ///
    /// # Errors
    /// As for `forward`, and if the shapes differ.
    pub fn backward(&self, structures: &[Structure], gradient: &Equivariants) -> Result<Vec<Adjoint>> {
        self.check_shape(structures, gradient)?;
        let starts: Vec<usize> = offsets(structures);
        structures
            .par_iter()
            .enumerate()
            .map_init(
                || Workspace::new(self),
                |work, (s, structure)| {
                    let mut neighbors = std::mem::take(&mut work.neighbors);
                    prepare_neighbors(structure, &mut neighbors, self.density().r_cut).map_err(|e| e.at_frame(s))?;
                    let result = self.backward_one(structure, &neighbors, gradient, starts[s]);
                    work.neighbors = neighbors;
                    result.map_err(|e| e.at_frame(s))
                },
            )
            .collect()
    }

    /// [`SphericalExpansion::backward`] for one structure whose first centre is row `first` of `gradient`.
    fn backward_one(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        gradient: &Equivariants,
        first: usize,
    ) -> Result<Adjoint> {
        let mut pair_gradients = vec![[0.0; 3]; neighbors.len()];
        let mut tasks = Vec::new();
        let mut rest = &mut pair_gradients[..];
        for start in (0..structure.len()).step_by(SPLIT_ATOMS / 4) {
            let centers = start..structure.len().min(start + SPLIT_ATOMS / 4);
            let n = neighbors.start[centers.end] - neighbors.start[centers.start];
            let (mine, others) = rest.split_at_mut(n);
            rest = others;
            tasks.push((centers, mine));
        }
        tasks.into_par_iter().try_for_each_init(
            || Workspace::new(self),
            |work, (centers, out)| self.backward_centers(structure, neighbors, centers, gradient, first, out, work),
        )?;
        Ok(Adjoint::from_pairs(structure, neighbors, &pair_gradients))
    }

    #[allow(clippy::too_many_arguments)]
    fn backward_centers(
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
            for slot in 0..feeds.representative.len() {
                let pairs = work.order.slot(slot);
                if pairs.is_empty() {
                    continue;
                }
                let rows = self.shared.radials[feeds.representative[slot]].rows();
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
            for d in 0..3 {
                block.vector[d][j / LANES][j % LANES] = r[d];
            }
            block.distance[j] = distance;
            block.weight[j] = self.density().weight(distance);
            let species = structure.species[neighbors.neighbor[pair] as usize];
            block.radial[j] = feeds.of_species[species as usize].expect("checked with the pairs").0;
        }
        for j in pairs.len()..pairs.len().next_multiple_of(LANES) {
            for d in 0..3 {
                block.vector[d][j / LANES][j % LANES] = 0.0;
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

    fn check_shape(&self, structures: &[Structure], gradient: &Equivariants) -> Result<()> {
        let n_centers: usize = structures.iter().map(Structure::len).sum();
        for (l, channels) in self.channels.iter().enumerate() {
            let expected = (n_centers, 2 * l + 1, channels.len());
            let found = gradient.blocks.get(l).map(|b| b.dim());
            if found != Some(expected) {
                return Err(Error::setting(
                    "gradient",
                    format!("{found:?}"),
                    format!("block l = {l} must have the shape (centers, m, channels) = {expected:?}"),
                    "give dE/dc in the layout of the coefficients",
                ));
            }
        }
        Ok(())
    }

    /// Neighbours of the structures that several threads share.
    fn lists_of_large(&self, structures: &[Structure]) -> Result<Vec<Option<NeighborList>>> {
        structures
            .par_iter()
            .enumerate()
            .map(|(s, structure)| {
                if structure.len() <= SPLIT_ATOMS {
                    return Ok(None);
                }
                let mut list = NeighborList::default();
                prepare_neighbors(structure, &mut list, self.density().r_cut).map_err(|e| e.at_frame(s))?;
                Ok(Some(list))
            })
            .collect()
    }

    /// Cuts the work into runs of whole small structures, or runs of centres of a large one, with the rows they write.
    fn forward_tasks<'a>(
        &self,
        structures: &[Structure],
        lists: &[Option<NeighborList>],
        out: &'a mut Equivariants,
    ) -> Vec<Task<'a>> {
        let mut rest: Vec<&'a mut [f64]> =
            out.blocks.iter_mut().map(|b| b.as_slice_mut().expect("blocks are contiguous")).collect();
        let widths: Vec<usize> = self.channels.iter().enumerate().map(|(l, c)| (2 * l + 1) * c.len()).collect();
        let mut cut = |n_centers: usize| -> Vec<&'a mut [f64]> {
            rest.iter_mut()
                .zip(&widths)
                .map(|(rest, width)| {
                    let (mine, others) = std::mem::take(rest).split_at_mut(n_centers * width);
                    *rest = others;
                    mine
                })
                .collect()
        };
        let mut tasks = Vec::new();
        let mut s = 0;
        while s < structures.len() {
            if lists[s].is_some() {
                let n = structures[s].len();
                for first in (0..n).step_by(SPLIT_ATOMS / 4) {
                    let centers = first..n.min(first + SPLIT_ATOMS / 4);
                    tasks.push(Task { structures: s..s + 1, out: cut(centers.len()), centers: Some(centers) });
                }
                s += 1;
                continue;
            }
            let (first, mut n) = (s, 0);
            while s < structures.len() && lists[s].is_none() && n < SPLIT_ATOMS / 4 {
                n += structures[s].len();
                s += 1;
            }
            tasks.push(Task { structures: first..s, centers: None, out: cut(n) });
        }
        tasks
    }

    fn run_task(
        &self,
        structures: &[Structure],
        lists: &[Option<NeighborList>],
        mut task: Task,
        work: &mut Workspace,
    ) -> Result<()> {
        if let Some(centers) = task.centers {
            let s = task.structures.start;
            let list = lists[s].as_ref().expect("large structures have their list");
            return self.forward_centers(&structures[s], list, centers, &mut task.out, work).map_err(|e| e.at_frame(s));
        }
        for s in task.structures {
            let structure = &structures[s];
            let mut neighbors = std::mem::take(&mut work.neighbors);
            let result = prepare_neighbors(structure, &mut neighbors, self.density().r_cut)
                .and_then(|()| self.forward_centers(structure, &neighbors, 0..structure.len(), &mut task.out, work));
            work.neighbors = neighbors;
            result.map_err(|e| e.at_frame(s))?;
            for (out, (l, channels)) in task.out.iter_mut().zip(self.channels.iter().enumerate()) {
                let done = structure.len() * (2 * l + 1) * channels.len();
                *out = &mut std::mem::take(out)[done..];
            }
        }
        Ok(())
    }
}

/// Validates a structure and finds its neighbours.
pub(crate) fn prepare_neighbors(structure: &Structure, neighbors: &mut NeighborList, r_cut: f64) -> Result<()> {
    structure.validate()?;
    neighbors.update(structure, r_cut)
}

/// Work for one thread: whole structures, or the given centres of one.
struct Task<'a> {
    structures: Range<usize>,
    centers: Option<Range<usize>>,
    /// For each l, the rows of these centres.
    out: Vec<&'a mut [f64]>,
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

impl Shared {
    fn new(density: Density, l_max: usize, radials: Vec<Radial>, spline_error: Option<SplineError>) -> Self {
        let ladder = (0..=l_max)
            .map(|l| {
                let mut terms = Vec::new();
                gradient_terms(l, |direction, m, below, coefficient| {
                    let (m, below) = ((m + l as i64) as usize, (below + l as i64 - 1) as usize);
                    terms.push((direction, m, below, coefficient));
                });
                terms
            })
            .collect();
        let at_origin = radials.iter().map(Radial::at_origin).collect();
        Shared { density, l_max, harmonics: SolidHarmonics::new(l_max), radials, at_origin, ladder, spline_error }
    }
}

impl Feeds {
    /// Each species has channels of its own, one after the other.
    fn separate(shared: &Shared, radial_of: &[(u8, usize)]) -> Self {
        let mut of_species = vec![None; 256];
        let mut starts = vec![Vec::new(); shared.l_max + 1];
        let mut representative = Vec::new();
        let mut next = vec![0; shared.l_max + 1];
        for (slot, &(z, radial)) in radial_of.iter().enumerate() {
            of_species[z as usize] = Some((radial, slot));
            representative.push(radial);
            for l in 0..=shared.l_max {
                starts[l].push(next[l]);
                next[l] += shared.radials[radial].rows().counts[l];
            }
        }
        Feeds { of_species, starts, representative }
    }

    /// Every species feeds all channels, each through its own radial integrals, Eq. (13).
    fn combined(l_max: usize, radial_of: &[(u8, usize)]) -> Self {
        let mut of_species = vec![None; 256];
        for &(z, radial) in radial_of {
            of_species[z as usize] = Some((radial, 0));
        }
        let representative = radial_of.first().map(|&(_, radial)| radial).into_iter().collect();
        Feeds { of_species, starts: vec![vec![0]; l_max + 1], representative }
    }

    /// As [`Feeds::separate`], into channels that also hold what other kinds of centre keep.
    fn into_channels(channels: &[Vec<Channel>], radial_of: &[(u8, usize)]) -> Self {
        let mut of_species = vec![None; 256];
        let mut starts = vec![Vec::new(); channels.len()];
        let mut representative = Vec::new();
        for (slot, &(z, radial)) in radial_of.iter().enumerate() {
            of_species[z as usize] = Some((radial, slot));
            representative.push(radial);
            for (starts, channels) in starts.iter_mut().zip(channels) {
                starts.push(channels.partition_point(|c| c.species < z));
            }
        }
        Feeds { of_species, starts, representative }
    }
}

fn separate_channels(shared: &Shared, radial_of: &[(u8, usize)]) -> Vec<Vec<Channel>> {
    (0..=shared.l_max)
        .map(|l| {
            let of = |&(species, radial): &(u8, usize)| {
                (0..shared.radials[radial].rows().counts[l]).map(move |n| Channel { species, n })
            };
            radial_of.iter().flat_map(of).collect()
        })
        .collect()
}

type Entries = [(Option<u8>, Vec<(u8, usize)>)];

fn combined_channels(shared: &Shared, entries: &Entries) -> Vec<Vec<Channel>> {
    (0..=shared.l_max)
        .map(|l| {
            let radials = entries.iter().flat_map(|(_, radial_of)| radial_of);
            let count = radials.map(|&(_, radial)| shared.radials[radial].rows().counts[l]).max().unwrap_or(0);
            (0..count).map(|n| Channel { species: 0, n }).collect()
        })
        .collect()
}

fn union_of_channels(shared: &Shared, species: &[u8], entries: &Entries) -> Vec<Vec<Channel>> {
    (0..=shared.l_max)
        .map(|l| {
            let mut channels = Vec::new();
            for &z in species {
                let radials = entries.iter().flat_map(|(_, radial_of)| radial_of).filter(|(a, _)| *a == z);
                let count = radials.map(|&(_, radial)| shared.radials[radial].rows().counts[l]).max().unwrap_or(0);
                channels.extend((0..count).map(|n| Channel { species: z, n }));
            }
            channels
        })
        .collect()
}

fn prepare(
    integrals: Vec<RadialIntegrals>,
    density: &Density,
    spline_accuracy: Option<f64>,
) -> Result<(Vec<Radial>, Option<SplineError>)> {
    match spline_accuracy {
        Some(accuracy) => {
            let (tables, error) = tabulate(&integrals, density.r_cut, accuracy)?;
            Ok((tables.into_iter().map(Radial::Splined).collect(), Some(error)))
        }
        None => {
            let exact = |i: RadialIntegrals| {
                let rows = Rows::of(&i);
                Radial::Exact(i, rows)
            };
            Ok((integrals.into_iter().map(exact).collect(), None))
        }
    }
}

fn offsets(structures: &[Structure]) -> Vec<usize> {
    structures
        .iter()
        .scan(0, |next, s| {
            let start = *next;
            *next += s.len();
            Some(start)
        })
        .collect()
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

/// What a gradient with respect to coefficients means for the atoms of one structure.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjoint {
    /// −dE/dr of each atom, in the energy unit per Å.
    pub forces: Vec<Vec3>,
    /// −dE/dε for r → r(1 + ε), cell → cell(1 + ε) with row vectors; the first index goes with r.
    pub virial: Array2<f64>,
}

impl Adjoint {
    fn from_pairs(structure: &Structure, neighbors: &NeighborList, pair_gradients: &[Vec3]) -> Self {
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
