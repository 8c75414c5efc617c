//! Sums over structures in one order of addition, for any number of threads and any cut into calls.
//!
//! ```text
//! structures -> parts of at most so many centres -> one by one into a block of 64 structures -> total
//! ```
//!
//! Parts and blocks are fixed by absolute index, and threads only decide who computes them.

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use crate::Result;
use crate::structure::Structure;
use crate::threads::Pool;

/// Structures whose sums are added one after the other before they are added to the total.
pub(crate) const BLOCK: usize = 64;

/// Sums that wait for their turn to be added, per thread.
pub(crate) const WAITING: usize = 4;

/// What is added up.
pub(crate) trait Sum: Clone + Send + Sync {
    /// Adds the sum of what comes next.
    fn add(&mut self, next: Self);

    /// Adds the sum of a complete block.
    fn add_block(&mut self, block: Self) {
        self.add(block);
    }
}

impl Sum for Array2<f64> {
    fn add(&mut self, next: Self) {
        *self += &next;
    }
}

/// A sum over structures that come in any number of calls.
#[derive(Debug, Clone)]
pub(crate) struct Stream<S> {
    /// The sum of nothing.
    zero: S,
    /// Of complete blocks.
    pub total: S,
    /// Of the block of structures that is not complete yet.
    pub open: S,
    pub n_structures: usize,
}

/// Some centres of one structure, which are computed at once.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    /// Structures before its own since the sum was begun.
    pub index: usize,
    pub structure: &'a Structure,
    pub centers: Range<usize>,
    /// Those of this call, in file order, that its centres are.
    pub rows: Range<usize>,
}

impl<S: Sum> Stream<S> {
    pub fn new(zero: S) -> Self {
        Stream { total: zero.clone(), open: zero.clone(), zero, n_structures: 0 }
    }

    /// Adds structures in parallel, by parts of at most `most` centres: `job` adds a part to a sum, with buffers that `new` makes
    /// for each thread.
    ///
    /// # Errors
    /// That of the first structure whose job fails, named by its index; nothing of this call is then added.
    pub fn add<W: Send>(
        &mut self,
        structures: &[Structure],
        most: usize,
        new: impl Fn() -> W + Sync,
        job: impl Fn(&Part, &mut S, &mut W) -> Result<()> + Sync,
    ) -> Result<()> {
        let before = (self.total.clone(), self.open.clone());
        let (pool, zero) = (Pool::default(), self.zero.clone());
        let sum_of = |parts: &Vec<Part>| {
            let mut sum = zero.clone();
            let mut add = |part: &Part, work: &mut W| job(part, &mut sum, work).map_err(|e| e.after_frames(part.index));
            pool.lend(&new, |work| parts.iter().try_for_each(|part| add(part, work))).map(|()| sum)
        };
        let done = self.units(structures, most).chunks(WAITING * rayon::current_num_threads()).try_for_each(|units| {
            let sums: Vec<Result<S>> = units.par_iter().map(sum_of).collect();
            units.iter().zip(sums).try_for_each(|(parts, sum)| sum.map(|sum| self.add_unit(parts, sum)))
        });
        match done {
            Ok(()) => self.n_structures += structures.len(),
            Err(_) => (self.total, self.open) = before,
        }
        done
    }

    /// What one thread adds up: whole blocks, or single parts where blocks are too few for the threads or begun already.
    fn units<'a>(&self, structures: &'a [Structure], most: usize) -> Vec<Vec<Part<'a>>> {
        let (first, end) = (self.n_structures, self.n_structures + structures.len());
        let threads = rayon::current_num_threads();
        let few = threads > 1 && end.div_ceil(BLOCK) - first / BLOCK < 2 * threads;
        let begun = first.next_multiple_of(BLOCK);
        let (mut units, mut row): (Vec<Vec<Part>>, usize) = (Vec::new(), 0);
        for (index, structure) in (first..).zip(structures) {
            for part in parts(index, structure, row, most) {
                let goes_on = !few && index >= begun && (index % BLOCK > 0 || part.centers.start > 0);
                match units.last_mut().filter(|_| goes_on) {
                    Some(unit) => unit.push(part),
                    None => units.push(vec![part]),
                }
            }
            row += structure.len();
        }
        units
    }

    /// Adds a unit to the open block, and that to the total if this was its end.
    fn add_unit(&mut self, parts: &[Part], sum: S) {
        self.open.add(sum);
        let ends = |part: &Part| part.centers.end == part.structure.len() && (part.index + 1).is_multiple_of(BLOCK);
        if parts.last().is_some_and(ends) {
            self.total.add_block(std::mem::replace(&mut self.open, self.zero.clone()));
        }
    }

    /// Adds a sum over other structures.
    pub fn merge(&mut self, other: &Self) {
        let open = std::mem::replace(&mut self.open, self.zero.clone());
        [open, other.total.clone(), other.open.clone()].into_iter().for_each(|sum| self.total.add(sum));
        self.n_structures += other.n_structures;
    }

    /// The sum of all.
    pub fn sum(&self) -> S {
        let mut sum = self.total.clone();
        sum.add(self.open.clone());
        sum
    }
}

/// A structure in parts of at most `most` centres (one without any, if it has none); `first_row` is the place of its first
/// centre among those of the call.
pub(crate) fn parts(
    index: usize,
    structure: &Structure,
    first_row: usize,
    most: usize,
) -> impl Iterator<Item = Part<'_>> {
    let n = structure.len();
    (0..n.max(1)).step_by(most).map(move |first| {
        let centers = first..n.min(first.saturating_add(most));
        Part { index, structure, rows: first_row + centers.start..first_row + centers.end, centers }
    })
}
