//! Many structures at once, over threads: whole small structures, or runs of centres of a large one.

use std::ops::Range;

use rayon::prelude::*;

use super::equivariants::{Center, Equivariants};
use super::expansion::{Adjoint, SphericalExpansion, Workspace};
use crate::neighbors::NeighborList;
use crate::structure::Structure;
use crate::{Error, Result};

/// Structures larger than this are split over threads by centre.
const SPLIT_ATOMS: usize = 256;

impl SphericalExpansion {
    /// Coefficients of all centres of all structures, in file order.
    ///
    /// # Errors
    /// [`Error::Structure`] naming frame and atom: not finite, no volume, atoms that coincide, unknown species.
    pub fn forward(&self, structures: &[Structure]) -> Result<Equivariants> {
        let mut out = Equivariants::zeros(centers_of(structures), self.channels.clone());
        let lists = self.lists_of_large(structures)?;
        // Results in order, so that the error is always that of the first frame.
        let done: Vec<Result<()>> = self
            .forward_tasks(structures, &lists, &mut out)
            .into_par_iter()
            .map_init(|| Workspace::new(self), |work, task| self.run_task(structures, &lists, task, work))
            .collect();
        done.into_iter().collect::<Result<()>>()?;
        Ok(out)
    }

    /// Forces −dE/dr and virial −dE/dε of each structure, given dE/dc: the adjoint of [`SphericalExpansion::forward`].
    ///
    /// `gradient` has the shape that `forward` gives for the same structures.
    ///
    /// # Errors
    /// As for `forward`, and if the shapes differ.
    pub fn backward(&self, structures: &[Structure], gradient: &Equivariants) -> Result<Vec<Adjoint>> {
        let shapes: Vec<_> = gradient.blocks.iter().map(|block| block.dim()).collect();
        self.check_shape("gradient", structures.iter().map(Structure::len).sum(), &shapes)?;
        let starts: Vec<usize> = offsets(structures);
        let adjoints: Vec<Result<Adjoint>> = structures
            .par_iter()
            .enumerate()
            .map_init(NeighborList::default, |neighbors, (s, structure)| {
                prepare_neighbors(structure, neighbors, self.density().r_cut)
                    .and_then(|()| self.backward_one(structure, neighbors, gradient, starts[s]))
                    .map_err(|e| e.at_frame(s))
            })
            .collect();
        adjoints.into_iter().collect()
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

    /// Neighbours of the structures that several threads share.
    fn lists_of_large(&self, structures: &[Structure]) -> Result<Vec<Option<NeighborList>>> {
        structures
            .par_iter()
            .enumerate()
            .map(|(s, structure)| {
                if structure.len() <= SPLIT_ATOMS || structures.len() >= 4 * rayon::current_num_threads() {
                    return Ok(None); // frames enough to keep all threads busy
                }
                let mut list = NeighborList::default();
                prepare_neighbors(structure, &mut list, self.density().r_cut).map_err(|e| e.at_frame(s))?;
                Ok(Some(list))
            })
            .collect::<Vec<Result<_>>>()
            .into_iter()
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
