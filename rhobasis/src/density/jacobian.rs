//! All derivatives of the coefficients, whole or in parts.

use std::ops::Range;

use ndarray::Array4;

use super::block::PAIRS;
use super::equivariants::Channel;
use super::expansion::SphericalExpansion;
use super::finder::{Finder, Source};
use super::kernel;
use super::pair_gradient;
use super::run::{Part, Run, cut_rows};
use super::shared::Workspace;
use super::table::Rows;
use crate::simd::{LANES, Lanes};
use crate::structure::Structure;
use crate::threads::{Pool, in_parallel};
use crate::{Error, Result};

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

    /// The channels that a neighbour of this species changes, for each l.
    pub(crate) fn channels_of_species(&self, species: u8) -> Option<Vec<Range<usize>>> {
        let group = self.groups.of(species)?;
        let of_l = |(starts, channels): (&Vec<usize>, &Vec<Channel>)| {
            starts[group]..starts.get(group + 1).copied().unwrap_or(channels.len())
        };
        Some(self.groups.starts.iter().zip(self.channels()).map(of_l).collect())
    }

    /// Rows of `out` for the centres of some rows.
    fn jacobian_of(&self, rows: &RowsOfRun, variable: Variable, out: &mut [&mut [f64]], work: &mut Workspace) {
        let n_components = variable.n_components();
        for (k, own) in rows.each_center() {
            let around = self.around(rows.run.species[k]);
            if !(around.covers && around.layouts.len() == 1 && self.busy_groups(&rows.run, k, around).count() == 1) {
                let all = own.start * n_components..own.end * n_components;
                all.for_each(|row| self.clear_row(row, out));
            }
            self.each_gradient(&rows.run, k, variable, work, |gradient| {
                let row = own.start + rows.rows[own.clone()].partition_point(|row| row.1 < gradient.atom);
                for component in 0..n_components {
                    gradient.store(component, row * n_components + component, out);
                }
            });
        }
    }

    /// Calls `sink` with the derivatives of the coefficients of centre k of a run, group by group: by the position of each atom
    /// within reach, ascending, and of the centre itself last; or of the centre alone, by strain or cell.
    pub(crate) fn each_gradient(
        &self,
        run: &Run,
        k: usize,
        variable: Variable,
        work: &mut Workspace,
        mut sink: impl FnMut(&Gradient),
    ) {
        self.shared.fit(work);
        let tools = self.shared.tools();
        let (i, n_components) = (run.center(k).atom, variable.n_components());
        let Workspace { block, by_atom, more_sums: [of_atom, of_center], .. } = work;
        for (group, rows, pairs) in self.busy_groups(run, k, self.around(run.species[k])) {
            let n_sums = kernel::n_sums(rows);
            let of_group = OfGroup { expansion: self, rows, group };
            of_center.resize(n_components * n_sums * LANES);
            of_center.fill(0.0);
            of_atom.resize(of_center.len());
            by_atom.clear();
            by_atom.extend(pairs);
            if variable == Variable::Positions {
                by_atom.sort_by_key(|&pair| run.pairs.atom[pair]);
            }
            let mut moving = None;
            for pairs in by_atom.chunks(PAIRS) {
                block.fill_some(&run.pairs, pairs);
                pair_gradient::gradient_block(&tools, rows, block);
                for (j, &pair) in pairs.iter().enumerate() {
                    let a = match variable {
                        Variable::Strain => run.pairs.vector[pair],
                        Variable::Cell => run.pairs.shift[pair].map(f64::from),
                        Variable::Positions => {
                            let atom = run.pairs.atom[pair] as usize;
                            if atom == i {
                                continue; // images of the centre move with it
                            }
                            if let Some(last) = moving.filter(|&last| last != atom) {
                                sink(&Gradient { of_group: &of_group, atom: last, sums: of_atom.lanes() });
                            }
                            let first = moving != Some(atom);
                            pair_gradient::add_pair_gradient(rows, block, j, first, of_atom, of_center);
                            moving = Some(atom);
                            continue;
                        }
                    };
                    pair_gradient::add_pair_moments(rows, block, j, a, of_center);
                }
            }
            if let Some(last) = moving {
                sink(&Gradient { of_group: &of_group, atom: last, sums: of_atom.lanes() });
            }
            sink(&Gradient { of_group: &of_group, atom: i, sums: of_center.lanes() });
        }
    }
}

/// The derivatives of the coefficients of one centre and group by the position of one atom, or by strain or cell.
pub(crate) struct Gradient<'a> {
    of_group: &'a OfGroup<'a>,
    /// The atom that moves; the centre, for strain and cell.
    pub atom: usize,
    /// `[component][l][c][m]`, eight channels each.
    sums: &'a [Lanes],
}

struct OfGroup<'a> {
    expansion: &'a SphericalExpansion,
    rows: &'a Rows,
    group: usize,
}

impl Gradient<'_> {
    /// The channels that change, for each l.
    pub fn channels(&self) -> impl Iterator<Item = Range<usize>> {
        let OfGroup { expansion, rows, group } = self.of_group;
        expansion.groups.starts.iter().zip(&rows.counts).map(|(starts, n)| starts[*group]..starts[*group] + n)
    }

    /// Copies one component to the channels that change, of one row of all blocks.
    pub fn store(&self, component: usize, row: usize, out: &mut [&mut [f64]]) {
        let OfGroup { expansion, rows, group } = self.of_group;
        let n_sums = kernel::n_sums(rows);
        expansion.store(&self.sums[component * n_sums..][..n_sums], rows, *group, row, out);
    }
}

/// Centres whose derivatives one thread computes at a time.
const AT_ONCE: usize = 2;

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
    /// Prepared for structure `next.0`, if `next.1 > 0`.
    finder: Finder,
    /// Rows per centre of those before.
    rows_per_center: f64,
    /// Numbers in a component of a row; those of all coefficients if not given.
    row_length: Option<usize>,
}

/// Some centres of a Jacobian: their rows, and what it takes to compute them.
#[derive(Debug, Default)]
pub struct JacobianPart {
    /// What the rows are.
    pub rows: Vec<JacobianRow>,
    runs: Vec<RowsOfRun>,
    pub(crate) variable: Option<Variable>,
}

/// Some centres of one structure, and their rows.
#[derive(Debug)]
pub(crate) struct RowsOfRun {
    pub run: Run,
    /// The structure, and its number of atoms.
    pub structure: usize,
    n_atoms: usize,
    /// (centre, atom that moves), in order; strain and cell have one row (centre, centre).
    pub rows: Vec<(usize, usize)>,
}

impl RowsOfRun {
    /// Each centre, counted in the run, and its rows.
    pub fn each_center(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let mut next = 0;
        (0..self.run.len()).map(move |k| {
            let n = self.rows[next..].iter().take_while(|row| row.0 == self.run.center(k).atom).count();
            next += n;
            (k, next - n..next)
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
            finder: Finder::default(),
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
                self.finder.prepare(structure, expansion.density().r_cut).map_err(|e| e.at_frame(s))?;
            }
            // So many centres more should fit; but a part holds at least one.
            let room = self.most_bytes.saturating_sub(part.rows.len() * row_bytes) / row_bytes;
            let fitting = (room as f64 / self.rows_per_center.max(1.0)) as usize;
            if fitting == 0 && !part.rows.is_empty() {
                break;
            }
            // The first centre tells how many rows it has.
            let most = if self.rows_per_center == 0.0 && self.most_bytes < usize::MAX { 1 } else { AT_ONCE };
            let atoms = first..structure.len().min(first + fitting.clamp(1, most));
            let part_of = Part { structure: s, atoms: atoms.clone() };
            let found = self.finder.find(&expansion.groups, structure, part_of, Source::Own);
            let run = found.map_err(|e| e.at_frame(s))?;
            let mut rows = rows_of(run, self.variable);
            if !atoms.is_empty() {
                self.rows_per_center = rows.len() as f64 / atoms.len() as f64;
            }
            // They may have more rows than the centres before, from which their number was guessed.
            let at_least = if part.rows.is_empty() { rows.partition_point(|row| row.0 == first) } else { 0 };
            keep_whole_centers(&mut rows, room.max(at_least));
            if rows.is_empty() && !atoms.is_empty() {
                break;
            }
            let end = rows.last().map_or(first, |row| row.0 + 1);
            part.rows.extend(rows.iter().map(|&(center, moving)| JacobianRow {
                structure: s,
                center,
                atom: (self.variable == Variable::Positions).then_some(moving),
            }));
            self.next = if end == structure.len() { (s + 1, 0) } else { (s, end) };
            let mut run = run.clone();
            run.truncate(end - first);
            part.runs.push(RowsOfRun { run, structure: s, n_atoms: structure.len(), rows });
        }
        Ok((!part.runs.is_empty()).then_some(part))
    }
}

fn rows_of(run: &Run, variable: Variable) -> Vec<(usize, usize)> {
    let mut rows = Vec::new();
    for k in 0..run.len() {
        let (i, start) = (run.center(k).atom, rows.len());
        rows.push((i, i));
        if variable == Variable::Positions {
            rows.extend(run.pairs.atom[run.pairs.of_center(k)].iter().map(|&j| (i, j as usize)));
            rows[start..].sort_unstable();
        }
    }
    rows.dedup();
    rows
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
        self.fill_rows(structures, &expansion.shared.workspaces, rest, &widths, |rows, out, work| {
            expansion.jacobian_of(rows, variable, out, work);
        })
    }

    /// Calls `job` for the centres of the part, in parallel and some at a time, with their rows of the arrays `rest`, which
    /// have these widths, and with buffers from `pool`.
    pub(crate) fn fill_rows<W: Default + Send>(
        &self,
        structures: &[Structure],
        pool: &Pool<W>,
        mut rest: Vec<&mut [f64]>,
        widths: &[usize],
        job: impl Fn(&RowsOfRun, &mut [&mut [f64]], &mut W) + Sync,
    ) -> Result<()> {
        let cut = |rows: &RowsOfRun| cut_rows(&mut rest, widths, rows.rows.len());
        self.each_run(structures, pool, cut, |rows, mut out, work| job(rows, &mut out, work))
    }

    /// Calls `job` for the centres of the part, in parallel and some at a time, with what `share` gives for each, one after the
    /// other, and with buffers from `pool`.
    pub(crate) fn each_run<W: Default + Send, T: Send>(
        &self,
        structures: &[Structure],
        pool: &Pool<W>,
        mut share: impl FnMut(&RowsOfRun) -> T,
        job: impl Fn(&RowsOfRun, T, &mut W) + Sync,
    ) -> Result<()> {
        let of_other = |rows: &&RowsOfRun| structures.get(rows.structure).map(Structure::len) != Some(rows.n_atoms);
        if let Some(rows) = self.runs.iter().find(of_other) {
            let problem = format!("structure {} is not that of this part of a Jacobian", rows.structure);
            return Err(Error::setting(
                "structures",
                structures.len(),
                problem,
                "give those that the cursor was given",
            ));
        }
        let tasks = self.runs.iter().map(|rows| (rows, share(rows))).collect();
        in_parallel(tasks, |(rows, share): (&RowsOfRun, T)| {
            pool.lend(W::default, |work| job(rows, share, work));
            Ok(())
        })?;
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
