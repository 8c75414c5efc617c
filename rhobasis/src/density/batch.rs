//! Many structures at once, over threads: whole small structures, or runs of centres of a large one.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array2, ArrayView3, ArrayViewMut3};
use rayon::prelude::*;

use super::derivatives::{Adjoint, Motion};
use super::equivariants::{Center, Equivariants};
use super::expansion::{SphericalExpansion, Workspace};
use crate::neighbors::{Search, VerletList};
use crate::structure::{Structure, Vec3};
use crate::{Error, Result};

/// Centres that one thread takes at a time.
pub(crate) const RUN: usize = 64;
/// Structures larger than this are split over threads by centre.
const SPLIT_ATOMS: usize = 4 * RUN;

impl SphericalExpansion {
    /// Coefficients of all centres of all structures, in file order.
    ///
    /// # Errors
    /// [`Error::Structure`] naming frame and atom: not finite, no volume, atoms that coincide, unknown species.
    pub fn forward(&self, structures: &[Structure]) -> Result<Equivariants> {
        let mut out = Equivariants::zeros(centers_of(structures), self.channels.clone());
        self.forward_to(structures, None, &mut out.views_mut())?;
        Ok(out)
    }

    /// dc/dt of all centres for one [`Motion`] of each structure: the Jacobian times a vector, at two to three times the
    /// cost of [`SphericalExpansion::forward`].
    ///
    /// # Errors
    /// As for `forward`, and if a motion has another number of atoms than its structure, or is not finite.
    pub fn tangent(&self, structures: &[Structure], motions: &[Motion]) -> Result<Equivariants> {
        let mut out = Equivariants::zeros(centers_of(structures), self.channels.clone());
        self.forward_to(structures, Some(motions), &mut out.views_mut())?;
        Ok(out)
    }

    /// [`SphericalExpansion::forward`] (or `tangent`, given motions) into memory of the caller, overwriting it: block l has
    /// axes `[center, m, channel]` over the centres of all structures.
    ///
    /// # Errors
    /// As for `forward`, and if the blocks have another shape or are not contiguous.
    pub fn forward_to(
        &self,
        structures: &[Structure],
        motions: Option<&[Motion]>,
        out: &mut [ArrayViewMut3<f64>],
    ) -> Result<()> {
        let shapes: Vec<_> = out.iter().map(|block| block.dim()).collect();
        self.check_shape("out", structures.iter().map(Structure::len).sum(), &shapes)?;
        if let Some(motions) = motions {
            check_motions(structures, motions)?;
        }
        self.fill_rows(structures, None, contiguous(out)?, &self.widths(), |s, centers, out, work| {
            let (neighbors, motion) = (std::mem::take(&mut work.neighbors), motions.map(|m| &m[s]));
            let done = self.forward_centers(&structures[s], &neighbors, centers, motion, out, work);
            work.neighbors = neighbors;
            done
        })
    }

    /// Calls `job` for all centres, in parallel and some centres of one structure at a time: index of the structure, its
    /// centres, their rows of the arrays `out`, whose rows have these widths. Their pairs are in `work.neighbors`, from `lists`
    /// (one for each structure) where they are given.
    pub(crate) fn fill_rows(
        &self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        mut out: Vec<&mut [f64]>,
        widths: &[usize],
        job: impl Fn(usize, Range<usize>, &mut [&mut [f64]], &mut Workspace) -> Result<()> + Sync,
    ) -> Result<()> {
        let sources = self.sources(structures, lists)?;
        let tasks: Vec<_> = runs(structures, &sources)
            .into_iter()
            .map(|run| (cut_rows(&mut out, widths, run.n_centers(structures)), run))
            .collect();
        let of_run = |(mut rest, run): (Vec<&mut [f64]>, Run)| {
            self.with_workspace(|work| {
                self.each_run(structures, &sources, &run, work, |s, centers, work| {
                    let mut rows = cut_rows(&mut rest, widths, centers.len());
                    job(s, centers, &mut rows, work)
                })
            })
        };
        in_parallel(tasks, of_run)?;
        Ok(())
    }

    /// Forces −dE/dr and virial −dE/dε of each structure, given dE/dc: the adjoint of [`SphericalExpansion::forward`].
    ///
    /// `gradient` has the shape that `forward` gives for the same structures, see [`Equivariants::views`].
    ///
    /// ```
    /// # use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
    /// # use rhobasis::Structure;
    /// # let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 1, ..Default::default() };
    /// # let expansion = SphericalExpansion::new(&settings, &[1])?;
    /// let dimer = [Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 0.7]])];
    /// let c = expansion.forward(&dimer)?; // of E = ½ Σ c², dE/dc is c itself
    /// let adjoint = &expansion.backward(&dimer, &c.views())?[0];
    /// assert!((adjoint.forces[0][2] + adjoint.forces[1][2]).abs() < 1e-12);
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for `forward`, and if the shapes differ or a gradient that is not finite makes such forces.
    pub fn backward(&self, structures: &[Structure], gradient: &[ArrayView3<f64>]) -> Result<Vec<Adjoint>> {
        let shapes: Vec<_> = gradient.iter().map(|block| block.dim()).collect();
        self.check_shape("gradient", structures.iter().map(Structure::len).sum(), &shapes)?;
        let adjoints = self.pull_back(structures, None, Vec::new(), |s, centers, row, _, work| {
            self.backward_centers(&structures[s], centers, gradient, row, work)
        })?;
        match adjoints.iter().all(Adjoint::is_finite) {
            true => Ok(adjoints),
            false => Err(not_finite(gradient)),
        }
    }

    /// Forces and virials of all structures, in parallel, from dE/dr_ji of all pairs: `job` is given the index of a structure,
    /// some of its centres, the row of the first of them among the centres of all structures, and their numbers among `out`
    /// (one for each centre, or none at all); it writes `work.pair_gradients` for the pairs in `work.neighbors`, which come from
    /// `lists` where they are given.
    pub(crate) fn pull_back(
        &self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        mut out: Vec<&mut [f64]>,
        job: impl Fn(usize, Range<usize>, usize, &mut [&mut [f64]], &mut Workspace) -> Result<()> + Sync,
    ) -> Result<Vec<Adjoint>> {
        let sources = self.sources(structures, lists)?;
        let widths = vec![1; out.len()];
        let first_row = offsets(structures);
        let at_rest = |s: &Structure| Adjoint { forces: vec![[0.0; 3]; s.len()], virial: Array2::zeros((3, 3)) };
        let runs = runs(structures, &sources);
        let of_run = |(run, mut rest): (&Run, Vec<&mut [f64]>)| -> Result<(Vec<Adjoint>, Vec<Pulled>)> {
            self.with_workspace(|work| {
                // Whole structures are finished here; parts of a large one wait for the others.
                let whole = if run.centers.is_none() { &structures[run.structures.clone()] } else { &[] };
                let (mut adjoints, mut parts): (Vec<Adjoint>, Vec<Pulled>) =
                    (whole.iter().map(at_rest).collect(), Vec::new());
                self.each_run(structures, &sources, run, work, |s, centers, work| {
                    let mut rows = cut_rows(&mut rest, &widths, centers.len());
                    job(s, centers.clone(), first_row[s] + centers.start, &mut rows, work)?;
                    match adjoints.get_mut(s - run.structures.start) {
                        Some(adjoint) => {
                            let Adjoint { forces, virial } = adjoint;
                            pull_centers(work, &mut forces[centers], virial);
                            pull_neighbors(&work.neighbors.neighbor, &work.pair_gradients, forces);
                        }
                        None => parts.push(Pulled::new(centers, work)),
                    }
                    Ok(())
                })?;
                Ok((adjoints, parts))
            })
        };
        let tasks = runs.iter().map(|run| (run, cut_rows(&mut out, &widths, run.n_centers(structures)))).collect();
        let done = in_parallel(tasks, of_run)?;
        let mut adjoints: Vec<Adjoint> = Vec::with_capacity(structures.len());
        for (run, done) in runs.iter().zip(done) {
            let (whole, parts) = done;
            adjoints.extend(whole);
            let s = run.structures.start;
            if adjoints.len() == s && !parts.is_empty() {
                adjoints.push(at_rest(&structures[s]));
            }
            parts.iter().for_each(|part| part.add_to(&mut adjoints[s]));
        }
        Ok(adjoints)
    }

    /// Calls `job` for the centres of a run, structure by structure and at most [`RUN`] at a time, with their pairs in
    /// `work.neighbors`.
    fn each_run(
        &self,
        structures: &[Structure],
        sources: &[Source],
        run: &Run,
        work: &mut Workspace,
        mut job: impl FnMut(usize, Range<usize>, &mut Workspace) -> Result<()>,
    ) -> Result<()> {
        for s in run.structures.clone() {
            let structure = &structures[s];
            let mut of_structure = |centers: Range<usize>| {
                if let Source::Own = sources[s] {
                    prepare_search(structure, &mut work.search, self.density().r_cut)?;
                }
                for first in centers.clone().step_by(RUN) {
                    let centers = first..centers.end.min(first + RUN);
                    match &sources[s] {
                        Source::Own => work.neighbors.find(&work.search, structure, centers.clone())?,
                        Source::Shared(search) => work.neighbors.find(search, structure, centers.clone())?,
                        Source::Reused(list) => list.fill(structure, centers.clone(), &mut work.neighbors)?,
                    }
                    job(s, centers, work)?;
                }
                Ok(())
            };
            of_structure(run.centers.clone().unwrap_or(0..structure.len())).map_err(|e: Error| e.at_frame(s))?;
        }
        Ok(())
    }

    /// Numbers of one centre in each block.
    pub(crate) fn widths(&self) -> Vec<usize> {
        self.channels.iter().enumerate().map(|(l, c)| (2 * l + 1) * c.len()).collect()
    }

    /// Refuses blocks that do not have axes (centers, m, channels) of this expansion.
    pub(super) fn check_shape(
        &self,
        name: &'static str,
        n_centers: usize,
        blocks: &[(usize, usize, usize)],
    ) -> Result<()> {
        if blocks.len() > self.channels.len() {
            return Err(Error::setting(
                name,
                format!("{} blocks", blocks.len()),
                format!("this expansion has l_max = {}", self.l_max()),
                "give one block for each l",
            ));
        }
        for (l, channels) in self.channels.iter().enumerate() {
            let expected = (n_centers, 2 * l + 1, channels.len());
            let found = blocks.get(l);
            if found != Some(&expected) {
                return Err(Error::setting(
                    name,
                    found.map_or("missing".into(), |found| format!("{found:?}")),
                    format!("block l = {l} must have the shape (centers, m, channels) = {expected:?}"),
                    "give one block for each l, in the layout of the coefficients",
                ));
            }
        }
        Ok(())
    }

    /// Where the pairs of each structure come from. A search that fails is left to its turn, for the error to name the frame.
    fn sources<'a>(&self, structures: &[Structure], lists: Option<&'a [VerletList]>) -> Result<Vec<Source<'a>>> {
        if let Some(lists) = lists {
            let serves = |(list, s): (&VerletList, &Structure)| list.r_cut() == self.density().r_cut && list.serves(s);
            if lists.len() != structures.len() || !lists.iter().zip(structures).all(serves) {
                let problem = "the lists do not belong to these structures and this cutoff";
                return Err(Error::setting("lists", lists.len(), problem, "update them before each use"));
            }
            return Ok(lists.iter().map(Source::Reused).collect());
        }
        let threads = rayon::current_num_threads();
        let large = |structure: &Structure| structure.len() > SPLIT_ATOMS && structures.len() < 4 * threads;
        if !structures.iter().any(large) {
            return Ok(structures.iter().map(|_| Source::Own).collect()); // frames enough to keep all threads busy
        }
        let search = |structure: &Structure| {
            let mut search = Search::default();
            match large(structure) && prepare_search(structure, &mut search, self.density().r_cut).is_ok() {
                true => Source::Shared(Box::new(search)),
                false => Source::Own,
            }
        };
        Ok(structures.par_iter().map(search).collect())
    }
}

/// Where the pairs of a structure come from.
enum Source<'a> {
    /// Found by the thread that has the whole structure.
    Own,
    /// One search for the threads that share the structure.
    Shared(Box<Search>),
    /// A list from earlier.
    Reused(&'a VerletList),
}

impl Source<'_> {
    /// Whether several threads share a structure of so many atoms.
    fn is_shared(&self, n_atoms: usize) -> bool {
        match self {
            Source::Own => false,
            Source::Shared(_) => true,
            Source::Reused(_) => n_atoms > SPLIT_ATOMS,
        }
    }
}

/// Work for one thread: whole structures, or the given centres of one.
struct Run {
    structures: Range<usize>,
    centers: Option<Range<usize>>,
}

impl Run {
    fn n_centers(&self, structures: &[Structure]) -> usize {
        match &self.centers {
            Some(centers) => centers.len(),
            None => structures[self.structures.clone()].iter().map(Structure::len).sum(),
        }
    }
}

/// Cuts the work into runs of whole small structures, or runs of centres of a large one.
fn runs(structures: &[Structure], sources: &[Source]) -> Vec<Run> {
    let shared = |s: usize| sources[s].is_shared(structures[s].len());
    let mut runs = Vec::new();
    let mut s = 0;
    while s < structures.len() {
        if shared(s) {
            let n = structures[s].len();
            let run = |first| Run { structures: s..s + 1, centers: Some(first..n.min(first + RUN)) };
            runs.extend((0..n).step_by(RUN).map(run));
            s += 1;
            continue;
        }
        let (first, mut n) = (s, 0);
        while s < structures.len() && !shared(s) && n < RUN {
            n += structures[s].len();
            s += 1;
        }
        runs.push(Run { structures: first..s, centers: None });
    }
    runs
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

/// The job for each item, results in order; on the calling thread where threads would not help. The error is that of the
/// first item that fails, and jobs after it are left undone.
pub(super) fn in_parallel<T: Send, R: Send>(
    items: Vec<T>,
    job: impl Fn(T) -> Result<R> + Send + Sync,
) -> Result<Vec<R>> {
    if items.len() <= 1 || rayon::current_num_threads() == 1 {
        return items.into_iter().map(job).collect();
    }
    let first_failed = AtomicUsize::new(usize::MAX);
    let unless_failed = |(k, item)| {
        if k > first_failed.load(Ordering::Relaxed) {
            return None;
        }
        let result = job(item);
        if result.is_err() {
            first_failed.fetch_min(k, Ordering::Relaxed);
        }
        Some(result)
    };
    let results: Vec<Option<Result<R>>> = items.into_par_iter().enumerate().map(unless_failed).collect();
    results.into_iter().flatten().collect()
}

pub(super) fn contiguous<'a>(blocks: &'a mut [ArrayViewMut3<f64>]) -> Result<Vec<&'a mut [f64]>> {
    let strided =
        || Error::setting("out", "a strided view", "blocks must be contiguous", "give whole arrays in C order");
    blocks.iter_mut().map(|block| block.as_slice_mut().ok_or_else(strided)).collect()
}

pub(crate) fn check_motions(structures: &[Structure], motions: &[Motion]) -> Result<()> {
    if motions.len() != structures.len() {
        let problem = format!("one motion per structure is needed, and there are {}", structures.len());
        return Err(Error::setting("motions", motions.len(), problem, "give them in the order of the structures"));
    }
    for (s, (structure, motion)) in structures.iter().zip(motions).enumerate() {
        if motion.velocities.len() != structure.len() {
            let problem = format!("{} velocities for {} atoms", motion.velocities.len(), structure.len());
            return Err(Error::structure(None, problem, "give one velocity per atom").at_frame(s));
        }
        if let Some(atom) = motion.velocities.iter().position(|v| !v.iter().all(|x| x.is_finite())) {
            let problem = format!("velocity {:?} is not finite", motion.velocities[atom]);
            return Err(Error::structure(Some(atom), problem, "repair it").at_frame(s));
        }
        if !motion.strain.as_flattened().iter().all(|x| x.is_finite()) {
            let problem = format!("strain {:?} is not finite", motion.strain);
            return Err(Error::structure(None, problem, "repair it").at_frame(s));
        }
    }
    Ok(())
}

/// The error for forces that are not finite.
fn not_finite(gradient: &[ArrayView3<f64>]) -> Error {
    for (l, block) in gradient.iter().enumerate() {
        if let Some(((i, m, q), value)) = block.indexed_iter().find(|(_, x)| !x.is_finite()) {
            let problem = format!("not finite, at l = {l}, center {i}, component {m}, channel {q}");
            return Error::setting("gradient", value, problem, "look for the step of the model that made it");
        }
    }
    Error::setting("gradient", "too large", "forces overflow", "check the unit of the energy")
}

/// What some centres of a large structure contribute to its forces and virial.
struct Pulled {
    centers: Range<usize>,
    of_centers: Vec<Vec3>,
    virial: Array2<f64>,
    /// Atom j and dE/dr_ji of each pair.
    neighbors: Vec<u32>,
    pair_gradients: Vec<Vec3>,
}

impl Pulled {
    fn new(centers: Range<usize>, work: &Workspace) -> Self {
        let (mut of_centers, mut virial) = (vec![[0.0; 3]; centers.len()], Array2::zeros((3, 3)));
        pull_centers(work, &mut of_centers, &mut virial);
        let (neighbors, pair_gradients) = (work.neighbors.neighbor.clone(), work.pair_gradients.clone());
        Pulled { centers, of_centers, virial, neighbors, pair_gradients }
    }

    fn add_to(&self, Adjoint { forces, virial }: &mut Adjoint) {
        for (force, sum) in forces[self.centers.clone()].iter_mut().zip(&self.of_centers) {
            (0..3).for_each(|d| force[d] += sum[d]);
        }
        *virial += &self.virial;
        pull_neighbors(&self.neighbors, &self.pair_gradients, forces);
    }
}

/// Adds Σ_j dE/dr_ji to −dE/dr_i of each centre, and Σ −r_p dE/dr_q to −dE/dε.
fn pull_centers(work: &Workspace, forces: &mut [Vec3], virial: &mut Array2<f64>) {
    let mut moments = [[0.0; 3]; 3];
    for (row, force) in forces.iter_mut().enumerate() {
        let pairs = work.neighbors.pairs(row);
        let mut sum = [0.0; 3];
        for (r, g) in work.neighbors.vector[pairs.clone()].iter().zip(&work.pair_gradients[pairs]) {
            for q in 0..3 {
                sum[q] += g[q];
                for p in 0..3 {
                    moments[p][q] += r[p] * g[q];
                }
            }
        }
        (0..3).for_each(|q| force[q] += sum[q]);
    }
    virial.indexed_iter_mut().for_each(|((p, q), virial)| *virial -= moments[p][q]);
}

/// Adds −dE/dr_ji to −dE/dr_j of each neighbour, in the order of the pairs.
fn pull_neighbors(neighbors: &[u32], pair_gradients: &[Vec3], forces: &mut [Vec3]) {
    for (&j, g) in neighbors.iter().zip(pair_gradients) {
        let force = &mut forces[j as usize];
        (0..3).for_each(|d| force[d] -= g[d]);
    }
}

pub(super) fn prepare_search(structure: &Structure, search: &mut Search, r_cut: f64) -> Result<()> {
    structure.validate()?;
    search.update(structure, r_cut)
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
