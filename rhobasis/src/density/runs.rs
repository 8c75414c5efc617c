//! All centres of some structures, cut into runs, and these into tasks for the threads.

use std::ops::Range;

use ndarray::ArrayViewMut2;
use rayon::prelude::*;

use super::centers::Centers;
use super::channels::Groups;
use super::finder::{Finder, Source, motions_of_pairs, prepare};
use super::motion::{Adjoint, Gathered, Motion};
use super::run::{CENTERS, Part, Run, cut_rows};
use crate::neighbors::{Search, VerletList};
use crate::structure::{Structure, Vec3};
use crate::threads::{Pool, in_parallel};
use crate::{Error, Result};

/// Structures larger than this are shared by several threads.
const SPLIT_ATOMS: usize = 4 * CENTERS;

/// Sums of structures that exist beside those that are asked for, in numbers: enough to keep the threads busy.
const SUMS_AT_ONCE: usize = 4 << 20;

/// All centres of some structures, cut into runs, and these into tasks for one thread each.
pub(crate) struct Runs<'a> {
    groups: &'a Groups,
    finders: &'a Pool<Finder>,
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
    atom_virials: bool,
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
    pub(super) fn new(
        groups: &'a Groups,
        finders: &'a Pool<Finder>,
        structures: &'a [Structure],
        lists: Option<&'a [VerletList]>,
        motions: Option<&'a [Motion]>,
    ) -> Result<Self> {
        motions.map_or(Ok(()), |motions| Motion::check(structures, motions))?;
        lists.map_or(Ok(()), |lists| check_lists(groups.r_cut, structures, lists))?;
        let n_of = |s: usize| lists.map_or(structures[s].len(), |lists| lists[s].n_centers(&structures[s]));
        let runs = Runs { lists, motions, ..Runs::without_centers(groups, finders, structures, lists.is_none()) };
        Ok(runs.cut(n_of, |s| std::iter::once(0..n_of(s)).collect()))
    }

    /// The same of some centres alone; of all, if none are given.
    ///
    /// # Errors
    /// If the centres are of other structures.
    pub(super) fn around(
        groups: &'a Groups,
        finders: &'a Pool<Finder>,
        structures: &'a [Structure],
        centers: Option<&Centers>,
    ) -> Result<Self> {
        let Some(centers) = centers else { return Runs::new(groups, finders, structures, None, None) };
        centers.check(structures)?;
        let runs = Runs::without_centers(groups, finders, structures, true);
        Ok(runs.cut(|s| centers.n_of(s), |s| centers.of(s).to_vec()))
    }

    fn without_centers(
        groups: &'a Groups,
        finders: &'a Pool<Finder>,
        structures: &'a [Structure],
        search: bool,
    ) -> Self {
        let searches = if search { searches(structures, groups.r_cut) } else { Vec::new() };
        let (parts, runs, tasks) = (Vec::new(), Vec::new(), Vec::new());
        let (lists, motions, n_centers, atom_virials) = (None, None, 0, false);
        Runs { groups, finders, structures, lists, motions, searches, parts, runs, tasks, n_centers, atom_virials }
    }

    /// Cuts the centres of each structure, `n_of` of them, consecutive ones at `ranges_of`.
    fn cut(self, n_of: impl Fn(usize) -> usize, ranges_of: impl Fn(usize) -> Vec<Range<usize>>) -> Self {
        let (structures, mut s, mut all) = (self.structures, 0, self);
        while s < structures.len() {
            let (n, first) = (n_of(s), all.runs.len());
            if n > CENTERS {
                let shares = match all.source(s) {
                    Source::Own => false,
                    Source::Search(_) => true,
                    Source::List(_) => n > SPLIT_ATOMS,
                };
                for parts in parts_of_runs(s, ranges_of(s)) {
                    all.push_run(parts);
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
            let (mut parts, mut total, mut n_atoms) = (Vec::new(), 0, 0);
            while s < structures.len()
                && total + n_of(s) <= CENTERS
                && (parts.is_empty() || n_atoms + structures[s].len() <= SPLIT_ATOMS)
            {
                parts.extend(ranges_of(s).into_iter().map(|atoms| Part { structure: s, atoms }));
                total += n_of(s);
                n_atoms += structures[s].len();
                s += 1;
            }
            all.push_run(parts);
            all.push_task(first, false);
        }
        all
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

    /// The same, of which [`Runs::gather`] gives virials of atoms too, if so.
    #[must_use]
    pub fn with_atom_virials(self, atom_virials: bool) -> Self {
        Runs { atom_virials, ..self }
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
        finder.begin(self.groups, first);
        for k in parts {
            let part = &self.parts[k];
            let (s, structure) = (part.structure, &self.structures[part.structure]);
            let source = self.source(s);
            let is_first = k == 0 || self.parts[k - 1].structure != s;
            if matches!(source, Source::Own) && is_first {
                finder.prepare(structure, self.groups.r_cut).map_err(|e| e.at_frame(s))?;
            }
            finder.add(self.groups, structure, part.clone(), source).map_err(|e| e.at_frame(s))?;
        }
        finder.finish();
        if let Some(motions) = self.motions {
            motions_of_pairs(motions, &mut finder.run);
        }
        Ok(finder)
    }

    /// Calls `job` for all runs, in parallel, with their rows of the arrays `out`, whose rows have these widths, and with buffers
    /// from `pool`.
    pub fn for_each<W: Default + Send, P: Send>(
        &self,
        pool: &Pool<W>,
        mut out: Vec<&mut [P]>,
        widths: &[usize],
        job: impl Fn(&Run, &mut [&mut [P]], &mut W) -> Result<()> + Sync,
    ) -> Result<()> {
        let tasks = self.tasks.iter().map(|task| (task, cut_rows(&mut out, widths, task.n_centers))).collect();
        in_parallel(tasks, |(task, mut rest): (&Task, Vec<&mut [P]>)| {
            self.finders.lend(Finder::default, |finder| {
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

    /// Adds to `out`, `[structure, column]`, what `job` writes for each run into rows of zeros, one for each part of the run. Parts
    /// of a structure are added in the order of runs: the same bits for any number of threads.
    pub fn sum_up<W: Default + Send>(
        &self,
        pool: &Pool<W>,
        mut out: ArrayViewMut2<f64>,
        job: impl Fn(&Run, &mut [f64], &mut W) -> Result<()> + Sync,
    ) -> Result<()> {
        let width = out.ncols();
        let mut first = 0;
        while first < self.tasks.len() {
            let tasks = &self.tasks[first..self.end_of_sums(first, width)];
            let sums = in_parallel(tasks.iter().collect(), |task: &Task| {
                let first = self.structures_of(task).start;
                let mut sums = vec![0.0; self.structures_of(task).len() * width];
                let mut of_run = Vec::new();
                self.finders.lend(Finder::default, |finder| {
                    pool.lend(W::default, |work| {
                        for run in task.runs.clone() {
                            let run = &self.find(run, finder)?.run;
                            of_run.clear();
                            of_run.resize(run.parts.len() * width, 0.0);
                            job(run, &mut of_run, work).map_err(|e| run.locate(e))?;
                            for (k, part) in run.parts.iter().enumerate() {
                                let row = &mut sums[(part.structure - first) * width..][..width];
                                row.iter_mut().zip(&of_run[k * width..]).for_each(|(sum, x)| *sum += x);
                            }
                        }
                        Ok(())
                    })
                })?;
                Ok(sums)
            })?;
            for (task, sums) in tasks.iter().zip(sums) {
                for (k, s) in self.structures_of(task).enumerate() {
                    out.row_mut(s).iter_mut().zip(&sums[k * width..]).for_each(|(sum, x)| *sum += x);
                }
            }
            first += tasks.len();
        }
        Ok(())
    }

    /// The end of the tasks from `first` on whose sums are there at once.
    fn end_of_sums(&self, first: usize, width: usize) -> usize {
        let (mut end, mut held) = (first, 0);
        while end < self.tasks.len() && (held < SUMS_AT_ONCE || end < first + rayon::current_num_threads()) {
            held += self.structures_of(&self.tasks[end]).len() * width;
            end += 1;
        }
        end
    }

    /// The structures that a task has centres of.
    fn structures_of(&self, task: &Task) -> Range<usize> {
        let parts = &self.parts[self.runs[task.runs.start].0.start..self.runs[task.runs.end - 1].0.end];
        match parts {
            [first, .., last] => first.structure..last.structure + 1,
            [only] => only.structure..only.structure + 1,
            [] => 0..0,
        }
    }

    /// Forces and virials of all structures from dE/dr_ji of all pairs, which `job` writes for those of a run; else as
    /// [`Runs::for_each`].
    pub fn gather<W: Default + Send>(
        &self,
        pool: &Pool<W>,
        out: Vec<&mut [f64]>,
        widths: &[usize],
        job: impl Fn(&Run, &mut [&mut [f64]], &mut [Vec3], &mut W) -> Result<()> + Sync,
    ) -> Result<Vec<Adjoint>> {
        let mut adjoints = self.gather_several(1, pool, out, widths, job)?;
        Ok(adjoints.pop().unwrap_or_default())
    }

    /// [`Runs::gather`] of several functions of the same atoms: `job` writes dE/dr_ji of all pairs of the run for the first of them,
    /// then for the next; the adjoints are those of the first, then of the next.
    pub fn gather_several<W: Default + Send>(
        &self,
        n: usize,
        pool: &Pool<W>,
        mut out: Vec<&mut [f64]>,
        widths: &[usize],
        job: impl Fn(&Run, &mut [&mut [f64]], &mut [Vec3], &mut W) -> Result<()> + Sync,
    ) -> Result<Vec<Vec<Adjoint>>> {
        let tasks = self.tasks.iter().map(|task| (task, cut_rows(&mut out, widths, task.n_centers))).collect();
        let done = in_parallel(tasks, |(task, mut rest): (&Task, Vec<&mut [f64]>)| {
            self.finders.lend(Finder::default, |finder| {
                pool.lend(W::default, |work| {
                    let mut gathered: Vec<Gathered> =
                        (0..n).map(|_| Gathered::new(task.shares, self.atom_virials)).collect();
                    for run in task.runs.clone() {
                        let Finder { run, gradient, .. } = self.find(run, finder)?;
                        let n_pairs = run.pairs.vector.len();
                        gradient.clear();
                        gradient.resize(n * n_pairs, [0.0; 3]);
                        let mut rows = cut_rows(&mut rest, widths, run.len());
                        job(run, &mut rows, gradient, work).map_err(|e| run.locate(e))?;
                        for (k, gathered) in gathered.iter_mut().enumerate() {
                            gathered.add(self.structures, run, &gradient[k * n_pairs..(k + 1) * n_pairs]);
                        }
                    }
                    Ok(gathered)
                })
            })
        })?;
        let mut of_function: Vec<Vec<Gathered>> = (0..n).map(|_| Vec::with_capacity(done.len())).collect();
        for task in done {
            of_function.iter_mut().zip(task).for_each(|(tasks, gathered)| tasks.push(gathered));
        }
        Ok(of_function.into_iter().map(|tasks| Gathered::joined(self.structures, tasks)).collect())
    }
}

/// Centres of one structure, of each run of it.
fn parts_of_runs(structure: usize, ranges: Vec<Range<usize>>) -> Vec<Vec<Part>> {
    let (mut runs, mut room): (Vec<Vec<Part>>, usize) = (Vec::new(), 0);
    for mut atoms in ranges {
        while !atoms.is_empty() {
            if room == 0 {
                runs.push(Vec::new());
                room = CENTERS;
            }
            let end = atoms.end.min(atoms.start + room);
            room -= end - atoms.start;
            runs.last_mut().expect("pushed above").push(Part { structure, atoms: atoms.start..end });
            atoms.start = end;
        }
    }
    runs
}

fn check_lists(r_cut: f64, structures: &[Structure], lists: &[VerletList]) -> Result<()> {
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
