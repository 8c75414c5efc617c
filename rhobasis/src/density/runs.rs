//! Pairs in: some centres at a time with their neighbours, whoever finds these.
//!
//! ```text
//! our search, structure by structure           ─┐
//! one search for the threads of a large one    ─┤   Run { species, centres, pairs } of at most 64 centres,
//! a Verlet list                                ─┼─> pairs sorted by (centre, group of channels)
//! a list from outside, with ghosts             ─┘
//! ```

use std::ops::Range;

use rayon::prelude::*;

use super::channels::Groups;
use super::equivariants::Center;
use super::expansion::SphericalExpansion;
use super::motion::{Adjoint, Gathered, Motion};
use crate::neighbors::{NeighborList, Search, VerletList};
use crate::structure::{Structure, Vec3};
use crate::threads::{Pool, in_parallel};
use crate::{Error, Result};

/// Most centres of a run: eight vectors of eight, and few enough that all that is made of them stays in the cache.
pub(crate) const CENTERS: usize = 64;
/// Structures larger than this are shared by several threads.
const SPLIT_ATOMS: usize = 4 * CENTERS;

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
    start: Vec<usize>,
    n_groups: usize,
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

/// Finds the pairs of one run after the other, with memory that is used again.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    search: Search,
    found: NeighborList,
    /// Of each pair that was found: group, and place in the table.
    group: Vec<u32>,
    place: Vec<usize>,
    next: Vec<usize>,
    run: Run,
    /// dE/dr_ji of each pair of the run, for adjoints.
    gradient: Vec<Vec3>,
}

impl Finder {
    /// Prepares our own search of a structure.
    pub fn prepare(&mut self, structure: &Structure, r_cut: f64) -> Result<()> {
        prepare(structure, &mut self.search, r_cut)
    }

    fn begin(&mut self, groups: &Groups, first: usize) {
        let Run { parts, species, pairs, first: before } = &mut self.run;
        (parts.clear(), species.clear());
        let Pairs { start, n_groups, atom, vector, shift, radial, velocity } = pairs;
        (start.clear(), atom.clear(), vector.clear(), shift.clear(), radial.clear(), velocity.clear());
        (*before, *n_groups) = (first, groups.n().max(1));
        start.push(0);
        self.found.clear();
    }

    /// Adds some atoms of a structure as centres.
    fn add(&mut self, expansion: &SphericalExpansion, structure: &Structure, part: Part, source: Source) -> Result<()> {
        let groups = &expansion.groups;
        let (centers, before) = (part.atoms.clone(), self.found.len());
        match source {
            Source::Own => self.found.find(&self.search, structure, centers.clone())?,
            Source::Search(search) => self.found.find(search, structure, centers.clone())?,
            Source::List(list) => list.fill(structure, centers.clone(), &mut self.found)?,
        }
        let Run { species, parts, pairs, .. } = &mut self.run;
        let (row, n_groups) = (species.len(), pairs.n_groups);
        self.group.clear();
        for (k, i) in centers.clone().enumerate() {
            let unknown = |atom: usize| expansion.unknown_species(atom, structure.species[atom]);
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
    fn finish(&mut self) {
        let (pairs, found) = (&mut self.run.pairs, &mut self.found);
        if pairs.atom.len() < pairs.radial.len() {
            // One group: the order is that of the list.
            std::mem::swap(&mut pairs.atom, &mut found.neighbor);
            std::mem::swap(&mut pairs.vector, &mut found.vector);
            std::mem::swap(&mut pairs.shift, &mut found.shift);
        }
    }

    /// A run of some atoms of one structure.
    pub fn find(
        &mut self,
        expansion: &SphericalExpansion,
        structure: &Structure,
        part: Part,
        source: Source,
    ) -> Result<&mut Run> {
        self.begin(&expansion.groups, 0);
        self.add(expansion, structure, part, source)?;
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

/// All centres of some structures, cut into runs, and these into tasks for one thread each.
pub(crate) struct Runs<'a> {
    expansion: &'a SphericalExpansion,
    structures: &'a [Structure],
    lists: Option<&'a [VerletList]>,
    motions: Option<&'a [Motion]>,
    /// Of structures that several threads share.
    searches: Vec<Option<Search>>,
    parts: Vec<Part>,
    /// Parts of each run, and the number of centres before.
    runs: Vec<(Range<usize>, usize)>,
    tasks: Vec<Task>,
    n_centers: usize,
}

/// Consecutive runs.
struct Task {
    runs: Range<usize>,
    n_centers: usize,
    /// Whether other tasks have centres of the same structure.
    shares: bool,
}

impl<'a> Runs<'a> {
    /// Small structures share a run, so that vectors of eight centres are full; a large one has runs of its own.
    ///
    /// # Errors
    /// If lists or motions do not belong to the structures. A search that fails is left to its turn, for the error to name the
    /// first frame.
    pub fn new(
        expansion: &'a SphericalExpansion,
        structures: &'a [Structure],
        lists: Option<&'a [VerletList]>,
        motions: Option<&'a [Motion]>,
    ) -> Result<Self> {
        motions.map_or(Ok(()), |motions| Motion::check(structures, motions))?;
        lists.map_or(Ok(()), |lists| check_lists(expansion, structures, lists))?;
        let searches = if lists.is_some() { Vec::new() } else { searches(structures, expansion.density().r_cut) };
        let (parts, runs, tasks, n_centers) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut all = Runs { expansion, structures, lists, motions, searches, parts, runs, tasks, n_centers };
        let n_of = |s: usize| lists.map_or(structures[s].len(), |lists| lists[s].n_centers(&structures[s]));
        let mut s = 0;
        while s < structures.len() {
            let (n, first) = (n_of(s), all.runs.len());
            if n > CENTERS {
                let shares = match all.source(s) {
                    Source::Own => false,
                    Source::Search(_) => true,
                    Source::List(_) => n > SPLIT_ATOMS,
                };
                for start in (0..n).step_by(CENTERS) {
                    let part = Part { structure: s, atoms: start..n.min(start + CENTERS) };
                    all.push_run(vec![part]);
                    if shares {
                        all.push_task(all.runs.len() - 1, true);
                    }
                }
                if !shares {
                    all.push_task(first, false);
                }
                s += 1;
                continue;
            }
            let (mut parts, mut total) = (Vec::new(), 0);
            while s < structures.len() && total + n_of(s) <= CENTERS {
                parts.push(Part { structure: s, atoms: 0..n_of(s) });
                total += n_of(s);
                s += 1;
            }
            all.push_run(parts);
            all.push_task(first, false);
        }
        Ok(all)
    }

    fn push_run(&mut self, parts: Vec<Part>) {
        let first = self.parts.len();
        let n: usize = parts.iter().map(|part| part.atoms.len()).sum();
        self.parts.extend(parts);
        self.runs.push((first..self.parts.len(), self.n_centers));
        self.n_centers += n;
    }

    /// The runs from `first` on.
    fn push_task(&mut self, first: usize, shares: bool) {
        let n_centers = self.n_centers - self.runs[first].1;
        self.tasks.push(Task { runs: first..self.runs.len(), n_centers, shares });
    }

    /// Number of centres.
    pub fn n_centers(&self) -> usize {
        self.n_centers
    }

    fn source(&self, s: usize) -> Source<'_> {
        match self.lists {
            Some(lists) => Source::List(&lists[s]),
            None => self.searches.get(s).and_then(Option::as_ref).map_or(Source::Own, Source::Search),
        }
    }

    /// The pairs of a run.
    fn find<'f>(&self, run: usize, finder: &'f mut Finder) -> Result<&'f mut Finder> {
        let (parts, first) = self.runs[run].clone();
        finder.begin(&self.expansion.groups, first);
        for part in &self.parts[parts] {
            let (s, structure) = (part.structure, &self.structures[part.structure]);
            let source = self.source(s);
            if matches!(source, Source::Own) && part.atoms.start == 0 {
                finder.prepare(structure, self.expansion.density().r_cut).map_err(|e| e.at_frame(s))?;
            }
            finder.add(self.expansion, structure, part.clone(), source).map_err(|e| e.at_frame(s))?;
        }
        finder.finish();
        if let Some(motions) = self.motions {
            motions_of_pairs(motions, &mut finder.run);
        }
        Ok(finder)
    }

    /// Calls `job` for all runs, in parallel, with their rows of the arrays `out`, whose rows have these widths, and with buffers
    /// from `pool`.
    pub fn for_each<W: Default + Send>(
        &self,
        pool: &Pool<W>,
        mut out: Vec<&mut [f64]>,
        widths: &[usize],
        job: impl Fn(&Run, &mut [&mut [f64]], &mut W) -> Result<()> + Sync,
    ) -> Result<()> {
        let tasks = self.tasks.iter().map(|task| (task, cut_rows(&mut out, widths, task.n_centers))).collect();
        in_parallel(tasks, |(task, mut rest): (&Task, Vec<&mut [f64]>)| {
            self.expansion.shared.finders.lend(Finder::default, |finder| {
                pool.lend(W::default, |work| {
                    for run in task.runs.clone() {
                        let run = &self.find(run, finder)?.run;
                        job(run, &mut cut_rows(&mut rest, widths, run.len()), work).map_err(|e| run.locate(e))?;
                    }
                    Ok(())
                })
            })
        })?;
        Ok(())
    }

    /// Forces and virials of all structures from dE/dr_ji of all pairs, which `job` writes for those of a run; else as
    /// [`Runs::for_each`].
    pub fn gather<W: Default + Send>(
        &self,
        pool: &Pool<W>,
        mut out: Vec<&mut [f64]>,
        widths: &[usize],
        job: impl Fn(&Run, &mut [&mut [f64]], &mut [Vec3], &mut W) -> Result<()> + Sync,
    ) -> Result<Vec<Adjoint>> {
        let tasks = self.tasks.iter().map(|task| (task, cut_rows(&mut out, widths, task.n_centers))).collect();
        let done = in_parallel(tasks, |(task, mut rest): (&Task, Vec<&mut [f64]>)| {
            self.expansion.shared.finders.lend(Finder::default, |finder| {
                pool.lend(W::default, |work| {
                    let mut gathered = Gathered::new(task.shares);
                    for run in task.runs.clone() {
                        let Finder { run, gradient, .. } = self.find(run, finder)?;
                        gradient.clear();
                        gradient.resize(run.pairs.vector.len(), [0.0; 3]);
                        let mut rows = cut_rows(&mut rest, widths, run.len());
                        job(run, &mut rows, gradient, work).map_err(|e| run.locate(e))?;
                        gathered.add(self.structures, run, gradient);
                    }
                    Ok(gathered)
                })
            })
        })?;
        Ok(Gathered::joined(self.structures, done))
    }
}

fn check_lists(expansion: &SphericalExpansion, structures: &[Structure], lists: &[VerletList]) -> Result<()> {
    let r_cut = expansion.density().r_cut;
    let serves = |(list, s): (&VerletList, &Structure)| list.r_cut() == r_cut && list.serves(s);
    match lists.len() == structures.len() && lists.iter().zip(structures).all(serves) {
        true => Ok(()),
        false => {
            let problem = "the lists do not belong to these structures and this cutoff";
            Err(Error::setting("lists", lists.len(), problem, "update them before each use"))
        }
    }
}

/// A search for each structure that several threads share, if there is one.
fn searches(structures: &[Structure], r_cut: f64) -> Vec<Option<Search>> {
    let threads = rayon::current_num_threads();
    let large = |structure: &Structure| structure.len() > SPLIT_ATOMS && structures.len() < 4 * threads;
    if !structures.iter().any(large) {
        return Vec::new(); // frames enough to keep all threads busy
    }
    let search = |structure: &Structure| {
        let mut search = Search::default();
        (large(structure) && prepare(structure, &mut search, r_cut).is_ok()).then_some(search)
    };
    structures.par_iter().map(search).collect()
}

fn prepare(structure: &Structure, search: &mut Search, r_cut: f64) -> Result<()> {
    structure.validate()?;
    search.update(structure, r_cut)
}

/// dr_ji/dt = v_j − v_i + r_ji dε/dt of all pairs.
fn motions_of_pairs(motions: &[Motion], run: &mut Run) {
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

/// Cuts `n` rows off the front of each block, whose rows have these widths.
pub(crate) fn cut_rows<'a>(rest: &mut [&'a mut [f64]], widths: &[usize], n: usize) -> Vec<&'a mut [f64]> {
    rest.iter_mut()
        .zip(widths)
        .map(|(rest, width)| {
            let (mine, others) = std::mem::take(rest).split_at_mut(n * width);
            *rest = others;
            mine
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
