//! Derivatives of the coefficients beyond the adjoint: along a motion, and in full.

use std::ops::Range;

use ndarray::{Array2, Array4};

use super::batch::{cut_rows, in_parallel, prepare_search};
use super::equivariants::Channel;
use super::expansion::{Order, SphericalExpansion, Workspace};
use super::harmonics::{LANES, Lanes};
use super::kernel::{self, Block, PAIRS};
use super::spline::Rows;
use crate::neighbors::{NeighborList, Search};
use crate::structure::{Structure, Vec3};
use crate::{Error, Result};

/// What a gradient with respect to coefficients means for the atoms of one structure.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjoint {
    /// −dE/dr of each atom, in the energy unit per Å.
    pub forces: Vec<Vec3>,
    /// −dE/dε for r → r(1 + ε), cell → cell(1 + ε) with row vectors; the first index goes with r.
    pub virial: Array2<f64>,
}

impl Adjoint {
    pub(crate) fn is_finite(&self) -> bool {
        self.forces.as_flattened().iter().chain(&self.virial).all(|x| x.is_finite())
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

/// A motion of one structure, along which coefficients are differentiated.
#[derive(Debug, Clone, PartialEq)]
pub struct Motion {
    /// dr/dt of each atom, in Å per unit of t.
    pub velocities: Vec<Vec3>,
    /// dε/dt of the whole structure: r → r(1 + ε), cell → cell(1 + ε) with row vectors; the first index goes with r.
    pub strain: [Vec3; 3],
}

impl Motion {
    /// dr_ji/dt = v_j − v_i + r_ji dε/dt of the pairs of a block.
    pub(super) fn fill_block(&self, center: usize, neighbors: &NeighborList, pairs: &[usize], block: &mut Block) {
        for (j, &pair) in pairs.iter().enumerate() {
            let (v_i, v_j) = (self.velocities[center], self.velocities[neighbors.neighbor[pair] as usize]);
            let r = neighbors.vector[pair];
            for d in 0..3 {
                let strained: f64 = (0..3).map(|p| r[p] * self.strain[p][d]).sum();
                block.velocity[d][j / LANES][j % LANES] = v_j[d] - v_i[d] + strained;
            }
        }
        for j in pairs.len()..pairs.len().next_multiple_of(LANES) {
            block.velocity.iter_mut().for_each(|axis| axis[j / LANES][j % LANES] = 0.0);
        }
    }
}

/// What coefficients are differentiated by in a full Jacobian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// The position of each atom: dc_i/dr_j, all images of j together.
    Positions,
    /// Strain: dc/dε_pq for r → r(1 + ε), cell → cell(1 + ε) with row vectors: Σ r_p ∂c/∂r_q over pairs. Not symmetrised.
    Strain,
    /// Lattice vectors in rows, Cartesian positions fixed: dc/dH_pq = Σ S_p ∂c/∂r_q over pairs.
    Cell,
}

impl Variable {
    /// Components of one derivative: 3 (x, y, z), or 9 (p slowest).
    pub fn n_components(self) -> usize {
        if self == Variable::Positions { 3 } else { 9 }
    }
}

/// A row of a Jacobian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JacobianRow {
    /// Index of the structure in the input.
    pub structure: usize,
    /// The atom whose coefficients are differentiated.
    pub center: usize,
    /// The atom that moves: the centre and those with an image within the cutoff, ascending; none for strain and cell.
    pub atom: Option<usize>,
}

/// dc/dr, dc/dε or dc/dH: one block `[row, component, m, channel]` for each l.
#[derive(Debug, Clone, PartialEq)]
pub struct Jacobian {
    /// Block l has shape (rows, 3 or 9, 2l + 1, channels of l); in units of c per Å, or of c for strain.
    pub blocks: Vec<Array4<f64>>,
    /// What the rows are, centres in file order.
    pub rows: Vec<JacobianRow>,
    /// The channels of each l, as those of the coefficients.
    pub channels: Vec<Vec<Channel>>,
}

impl SphericalExpansion {
    /// The full Jacobian of the coefficients of all centres, in memory. For many structures or channels take it in parts,
    /// with a [`JacobianCursor`]; for forces and for derivatives along one motion there are [`SphericalExpansion::backward`]
    /// and [`SphericalExpansion::tangent`], whose cost does not grow with the number of neighbours times channels.
    ///
    /// ```
    /// # use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion, Variable};
    /// # use rhobasis::Structure;
    /// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 1, ..Default::default() };
    /// let dimer = Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 0.7]]);
    /// let jacobian = SphericalExpansion::new(&settings, &[1])?.jacobian(&[dimer], Variable::Positions)?;
    /// assert_eq!(jacobian.blocks[1].dim(), (4, 3, 3, 4)); // rows (centre, atom), xyz, m, channel
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`SphericalExpansion::forward`].
    pub fn jacobian(&self, structures: &[Structure], variable: Variable) -> Result<Jacobian> {
        let mut cursor = JacobianCursor::new(variable, usize::MAX);
        let part = cursor.next_part(self, structures)?.unwrap_or_default();
        let shape = |(l, channels): (usize, &Vec<Channel>)| {
            Array4::zeros((part.rows.len(), variable.n_components(), 2 * l + 1, channels.len()))
        };
        let mut blocks: Vec<Array4<f64>> = self.channels().iter().enumerate().map(shape).collect();
        let mut slices: Vec<&mut [f64]> =
            blocks.iter_mut().map(|b| b.as_slice_mut().expect("blocks are contiguous")).collect();
        part.fill(self, structures, &mut slices)?;
        Ok(Jacobian { blocks, rows: part.rows, channels: self.channels().to_vec() })
    }

    /// Rows of `out` for the centres of a run.
    fn jacobian_of_run(
        &self,
        structure: &Structure,
        variable: Variable,
        run: &Run,
        out: &mut [&mut [f64]],
        work: &mut Workspace,
    ) -> Result<()> {
        for (center, rows) in run.each_center() {
            let target = Target { center, variable, first: rows.start, rows: &run.rows[rows] };
            self.jacobian_of_center(structure, &run.neighbors, target, out, work)?;
        }
        Ok(())
    }

    fn jacobian_of_center(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        target: Target,
        out: &mut [&mut [f64]],
        work: &mut Workspace,
    ) -> Result<()> {
        let (i, n_components) = (target.center.0, target.variable.n_components());
        let feeds = self.feeds_of(structure, i)?;
        self.sort_pairs(structure, neighbors, target.center, feeds, &mut work.order)?;
        if !(feeds.covers && feeds.representative.len() == 1 && self.busy_slots(feeds, &work.order).count() == 1) {
            let all = target.first * n_components..(target.first + target.rows.len()) * n_components;
            all.for_each(|row| self.clear_row(row, out));
        }
        self.each_gradient(structure, neighbors, target.center, target.variable, work, |gradient| {
            let row = target.row_of(gradient.atom) * n_components;
            for component in 0..n_components {
                gradient.store(component, row + component, out);
            }
        })
    }

    /// Calls `sink` with the derivatives of the coefficients of one centre, slot by slot: by the position of each atom within
    /// reach, ascending, and of the centre itself last; or of the centre alone, by strain or cell.
    pub(crate) fn each_gradient(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        center: (usize, usize),
        variable: Variable,
        work: &mut Workspace,
        mut sink: impl FnMut(&Gradient),
    ) -> Result<()> {
        let tools = self.shared.tools();
        let (i, n_components) = (center.0, variable.n_components());
        let feeds = self.feeds_of(structure, i)?;
        self.sort_pairs(structure, neighbors, center, feeds, &mut work.order)?;
        if variable == Variable::Positions {
            let by_atom = |pair: &usize| neighbors.neighbor[*pair];
            let Order { pairs, starts, .. } = &mut work.order;
            starts.windows(2).for_each(|slot| pairs[slot[0]..slot[1]].sort_by_key(by_atom));
        }
        let Workspace { order, block, more_sums: [of_atom, of_center], .. } = work;
        for (slot, rows, pairs) in self.busy_slots(feeds, order) {
            let n_sums = kernel::n_sums(rows);
            let of_slot = OfSlot { expansion: self, starts: &feeds.starts, rows, slot };
            of_center.resize(n_components * n_sums * LANES);
            of_center.fill(0.0);
            of_atom.resize(of_center.len());
            let mut moving = None;
            for pairs in pairs.chunks(PAIRS) {
                self.fill_block(structure, neighbors, pairs, feeds, block);
                kernel::gradient_block(&tools, rows, block);
                for (j, &pair) in pairs.iter().enumerate() {
                    let a = match variable {
                        Variable::Strain => neighbors.vector[pair],
                        Variable::Cell => neighbors.shift[pair].map(f64::from),
                        Variable::Positions => {
                            let atom = neighbors.neighbor[pair] as usize;
                            if atom == i {
                                continue; // images of the centre move with it
                            }
                            if let Some(last) = moving.filter(|&last| last != atom) {
                                sink(&Gradient { of_slot: &of_slot, atom: last, sums: of_atom.lanes() });
                            }
                            kernel::add_pair_gradient(rows, block, j, moving != Some(atom), of_atom, of_center);
                            moving = Some(atom);
                            continue;
                        }
                    };
                    kernel::add_pair_moments(rows, block, j, a, of_center);
                }
            }
            if let Some(last) = moving {
                sink(&Gradient { of_slot: &of_slot, atom: last, sums: of_atom.lanes() });
            }
            sink(&Gradient { of_slot: &of_slot, atom: i, sums: of_center.lanes() });
        }
        Ok(())
    }
}

/// The derivatives of the coefficients of one centre and slot by the position of one atom, or by strain or cell.
pub(crate) struct Gradient<'a> {
    of_slot: &'a OfSlot<'a>,
    /// The atom that moves; the centre, for strain and cell.
    pub atom: usize,
    /// `[component][l][c][m]`, eight channels each.
    sums: &'a [Lanes],
}

struct OfSlot<'a> {
    expansion: &'a SphericalExpansion,
    starts: &'a [Vec<usize>],
    rows: &'a Rows,
    slot: usize,
}

impl Gradient<'_> {
    /// The channels that change, for each l.
    pub fn channels(&self) -> impl Iterator<Item = Range<usize>> {
        let OfSlot { starts, rows, slot, .. } = self.of_slot;
        starts.iter().zip(&rows.counts).map(|(starts, n)| starts[*slot]..starts[*slot] + n)
    }

    /// Copies one component to the channels that change, of one row of all blocks.
    pub fn store(&self, component: usize, row: usize, out: &mut [&mut [f64]]) {
        let OfSlot { expansion, starts, rows, slot } = self.of_slot;
        let n_sums = kernel::n_sums(rows);
        let sums = &self.sums[component * n_sums..][..n_sums];
        expansion.store(sums, rows, starts, *slot, row, out);
    }
}

/// Where the derivatives of one centre go: its rows, the first of which is row `first` of the blocks.
struct Target<'a> {
    /// Its atom, and its place in the neighbour list.
    center: (usize, usize),
    variable: Variable,
    first: usize,
    rows: &'a [(usize, usize)],
}

impl Target<'_> {
    fn row_of(&self, atom: usize) -> usize {
        self.first + self.rows.binary_search_by_key(&atom, |row| row.1).unwrap_or(0)
    }
}

/// Centres whose derivatives one thread computes at a time.
const RUN: usize = 2;

/// A full Jacobian in parts of bounded memory: centres in file order, as many to a part as fit.
///
/// ```
/// # use rhobasis::density::{ExpansionSettings, JacobianCursor, Primitive, SphericalExpansion, Variable};
/// # use rhobasis::Structure;
/// # let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 1, ..Default::default() };
/// # let structures = [Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 0.7]])];
/// # let expansion = SphericalExpansion::new(&settings, &[1])?;
/// let mut cursor = JacobianCursor::new(Variable::Positions, 16_000_000);
/// let mut memory: Vec<Vec<f64>> = vec![Vec::new(); 2]; // one for each l, used again and again
/// while let Some(part) = cursor.next_part(&expansion, &structures)? {
///     memory.iter_mut().enumerate().for_each(|(l, m)| m.resize(part.len_of(&expansion, l), 0.0));
///     let mut blocks: Vec<&mut [f64]> = memory.iter_mut().map(|m| &mut m[..]).collect();
///     part.fill(&expansion, &structures, &mut blocks)?; // [row, component, m, channel]; part.rows tells the rows
/// }
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug)]
pub struct JacobianCursor {
    variable: Variable,
    most_bytes: usize,
    /// The next centre: structure, atom.
    next: (usize, usize),
    /// Of structure `next.0`, if `next.1 > 0`.
    search: Search,
    neighbors: NeighborList,
    order: Order,
    /// Rows per centre of the last run.
    rows_per_center: f64,
    /// Numbers in a component of a row; those of all coefficients if not given.
    row_length: Option<usize>,
}

/// Some centres of a Jacobian: their rows, and what it takes to compute them.
#[derive(Debug, Default)]
pub struct JacobianPart {
    /// What the rows are.
    pub rows: Vec<JacobianRow>,
    runs: Vec<Run>,
    pub(crate) variable: Option<Variable>,
}

/// Some centres of one structure.
#[derive(Debug)]
pub(crate) struct Run {
    structure: usize,
    /// Its number of atoms.
    n_atoms: usize,
    pub centers: Range<usize>,
    pub neighbors: NeighborList,
    /// (centre, atom that moves), in order; strain and cell have one row (centre, centre).
    pub rows: Vec<(usize, usize)>,
}

impl Run {
    /// Each centre with its place in the list of neighbours, and its rows.
    pub fn each_center(&self) -> impl Iterator<Item = ((usize, usize), Range<usize>)> {
        let mut next = 0;
        self.centers.clone().zip(0..).map(move |center| {
            let n = self.rows[next..].iter().take_while(|row| row.0 == center.0).count();
            next += n;
            (center, next - n..next)
        })
    }
}

impl JacobianCursor {
    /// Starts at the first centre. A part holds at most `most_bytes`, or one centre.
    pub fn new(variable: Variable, most_bytes: usize) -> Self {
        JacobianCursor {
            variable,
            most_bytes,
            next: (0, 0),
            search: Search::default(),
            neighbors: NeighborList::default(),
            order: Order::default(),
            rows_per_center: 0.0,
            row_length: None,
        }
    }

    /// For rows of so many numbers in each component.
    pub(crate) fn with_row_length(variable: Variable, most_bytes: usize, row_length: usize) -> Self {
        JacobianCursor { row_length: Some(row_length.max(1)), ..JacobianCursor::new(variable, most_bytes) }
    }

    /// The next part, `None` after the last and after an error.
    ///
    /// # Errors
    /// As for [`SphericalExpansion::forward`].
    pub fn next_part(
        &mut self,
        expansion: &SphericalExpansion,
        structures: &[Structure],
    ) -> Result<Option<JacobianPart>> {
        let part = self.try_next_part(expansion, structures);
        if part.is_err() {
            self.next = (structures.len(), 0);
        }
        part
    }

    fn try_next_part(
        &mut self,
        expansion: &SphericalExpansion,
        structures: &[Structure],
    ) -> Result<Option<JacobianPart>> {
        let row_length = self.row_length.unwrap_or_else(|| row_length(expansion));
        let row_bytes = (8 * self.variable.n_components()).saturating_mul(row_length);
        let mut part = JacobianPart { variable: Some(self.variable), ..JacobianPart::default() };
        while self.next.0 < structures.len() {
            let (s, first) = self.next;
            let structure = &structures[s];
            if first == 0 {
                prepare_search(structure, &mut self.search, expansion.density().r_cut).map_err(|e| e.at_frame(s))?;
            }
            // So many centres more should fit; but a part holds at least one.
            let room = self.most_bytes.saturating_sub(part.rows.len() * row_bytes) / row_bytes;
            let fitting = (room as f64 / self.rows_per_center.max(1.0)) as usize;
            if fitting == 0 && !part.rows.is_empty() {
                break;
            }
            // The first run tells how many rows a centre has.
            let most = if self.rows_per_center == 0.0 && self.most_bytes < usize::MAX { 1 } else { RUN };
            let centers = first..structure.len().min(first + fitting.clamp(1, most));
            let neighbors = &mut self.neighbors;
            neighbors.find(&self.search, structure, centers.clone()).map_err(|e| e.at_frame(s))?;
            for center in centers.clone().zip(0..) {
                let feeds = expansion.feeds_of(structure, center.0);
                let known = feeds.and_then(|f| expansion.sort_pairs(structure, neighbors, center, f, &mut self.order));
                known.map_err(|e| e.at_frame(s))?;
            }
            let mut rows = self.rows_of(centers.clone());
            if !centers.is_empty() {
                self.rows_per_center = rows.len() as f64 / centers.len() as f64;
            }
            // They may have more rows than the centres before, from which their number was guessed.
            let at_least = if part.rows.is_empty() { rows.partition_point(|row| row.0 == first) } else { 0 };
            keep_whole_centers(&mut rows, room.max(at_least));
            if rows.is_empty() && !centers.is_empty() {
                break;
            }
            let centers = first..rows.last().map_or(first, |row| row.0 + 1);
            let atom = |atom| (self.variable == Variable::Positions).then_some(atom);
            part.rows.extend(rows.iter().map(|&(center, moving)| JacobianRow {
                structure: s,
                center,
                atom: atom(moving),
            }));
            self.next = if centers.end == structure.len() { (s + 1, 0) } else { (s, centers.end) };
            let (n_atoms, neighbors) = (structure.len(), self.neighbors.pairs_only());
            part.runs.push(Run { structure: s, n_atoms, centers, neighbors, rows });
        }
        Ok((!part.runs.is_empty()).then_some(part))
    }

    fn rows_of(&self, centers: Range<usize>) -> Vec<(usize, usize)> {
        if self.variable != Variable::Positions {
            return centers.map(|i| (i, i)).collect();
        }
        let mut rows = Vec::new();
        for (row, i) in centers.enumerate() {
            let start = rows.len();
            rows.push((i, i));
            rows.extend(self.neighbors.neighbor[self.neighbors.pairs(row)].iter().map(|&j| (i, j as usize)));
            rows[start..].sort_unstable();
            let mut kept = start;
            for k in start + 1..rows.len() {
                if rows[k] != rows[kept] {
                    kept += 1;
                    rows[kept] = rows[k];
                }
            }
            rows.truncate(kept + 1);
        }
        rows
    }
}

impl JacobianPart {
    /// Numbers in block l: rows × components × (2l + 1) × channels.
    pub fn len_of(&self, expansion: &SphericalExpansion, l: usize) -> usize {
        self.rows.len() * self.n_components() * (2 * l + 1) * expansion.channels()[l].len()
    }

    pub(crate) fn n_components(&self) -> usize {
        self.variable.map_or(0, Variable::n_components)
    }

    /// Computes the blocks `[row, component, m, channel]`, overwriting `out`, in parallel.
    ///
    /// # Errors
    /// If the structures or the expansion are not those that the part was made for, or a block has another length than
    /// [`JacobianPart::len_of`].
    pub fn fill(&self, expansion: &SphericalExpansion, structures: &[Structure], out: &mut [&mut [f64]]) -> Result<()> {
        for l in 0..=expansion.l_max() {
            let (expected, found) = (self.len_of(expansion, l), out.get(l).map(|block| block.len()));
            if found != Some(expected) {
                let found = found.map_or("missing".into(), |found| found.to_string());
                let problem = format!("block l = {l} must have {expected} numbers");
                return Err(Error::setting("out", found, problem, "give one block for each l"));
            }
        }
        let Some(variable) = self.variable else { return Ok(()) };
        let widths: Vec<usize> = (0..=expansion.l_max())
            .map(|l| variable.n_components() * (2 * l + 1) * expansion.channels()[l].len())
            .collect();
        let rest = out.iter_mut().map(|block| &mut **block).collect();
        self.fill_rows(expansion, structures, rest, &widths, |structure, run, out, work| {
            expansion.jacobian_of_run(structure, variable, run, out, work)
        })
    }

    /// Calls `job` for the centres of the part, in parallel and some at a time, with their rows of the arrays `rest`, which
    /// have these widths.
    pub(crate) fn fill_rows(
        &self,
        expansion: &SphericalExpansion,
        structures: &[Structure],
        mut rest: Vec<&mut [f64]>,
        widths: &[usize],
        job: impl Fn(&Structure, &Run, &mut [&mut [f64]], &mut Workspace) -> Result<()> + Sync,
    ) -> Result<()> {
        let of_other = |run: &&Run| structures.get(run.structure).map(Structure::len) != Some(run.n_atoms);
        if let Some(run) = self.runs.iter().find(of_other) {
            let problem = format!("structure {} is not that of this part of a Jacobian", run.structure);
            return Err(Error::setting(
                "structures",
                structures.len(),
                problem,
                "give those that the cursor was given",
            ));
        }
        let tasks: Vec<_> = self.runs.iter().map(|run| (run, cut_rows(&mut rest, widths, run.rows.len()))).collect();
        let of_run = |(run, mut out): (&Run, Vec<&mut [f64]>)| {
            let structure = &structures[run.structure];
            let fill = |work: &mut Workspace| job(structure, run, &mut out, work);
            expansion.with_workspace(fill).map_err(|e| e.at_frame(run.structure))
        };
        in_parallel(tasks, of_run)?;
        Ok(())
    }
}

/// Leaves out the centres that have rows beyond the first `most`.
fn keep_whole_centers(rows: &mut Vec<(usize, usize)>, most: usize) {
    if let Some(&(center, _)) = rows.get(most) {
        rows.truncate(rows.partition_point(|row| row.0 < center));
    }
}

/// Numbers of one row: all l, m and channels.
fn row_length(expansion: &SphericalExpansion) -> usize {
    expansion.channels().iter().enumerate().map(|(l, c)| (2 * l + 1) * c.len()).sum::<usize>().max(1)
}
