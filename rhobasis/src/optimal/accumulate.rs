//! Adding structures to a covariance on many threads, in one order of addition.
//!
//! ```text
//! structures -> runs of at most RUN centres -> their Gram matrices -> one by one into a block of BLOCK structures -> total
//! ```
//!
//! Runs and blocks are fixed by absolute index, so that neither threads nor the size of calls change a bit.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::Array2;
use rayon::prelude::*;

use super::covariance::{Covariance, KindSums, Sums, add_sums, symbols};
use super::settings::Mixing;
use crate::density::{SphericalExpansion, Workspace, species_of};
use crate::linalg::add_gram;
use crate::neighbors::Search;
use crate::structure::{Structure, symbol};
use crate::{Error, Result};

/// Structures whose sums are added one after the other before they are added to the total.
pub(super) const BLOCK: usize = 64;

/// Centres of one structure that are expanded at once: their coefficients are what a thread has to hold.
pub(super) const RUN: usize = 256;

/// Sums that wait for their turn to be added, per thread.
pub(super) const WAITING: usize = 4;

impl Covariance {
    /// Adds structures, in parallel; `weights` holds one non-negative number for each centre (Eq. 21).
    ///
    /// # Errors
    /// For the first structure that is refused, named by its index since the accumulator was made; nothing of this call is
    /// then added.
    pub fn add(&mut self, structures: &[Structure], weights: Option<&[f64]>) -> Result<()> {
        check_weights(structures, weights)?;
        let before = (self.total.clone(), self.open.clone());
        let done = self.add_pieces(&pieces(self.n_structures, structures, weights));
        match done {
            Ok(()) => self.n_structures += structures.len(),
            Err(_) => (self.total, self.open) = before,
        }
        done
    }

    /// Adds the first centres of a structure only, at most `n`.
    ///
    /// # Errors
    /// As [`Covariance::add`].
    pub(super) fn add_some_centers(&mut self, structure: &Structure, n: usize) -> Result<()> {
        let one = One { frame: self.n_structures, structure, weights: None };
        let (mut search, mut sums) = (Search::default(), Sums::new());
        let expansion = self.prepare(&one, &mut search)?;
        let mut work = Work::new(&self.template);
        for run in runs(structure.len()).take_while(|run| run.end <= n) {
            self.add_run(&one, &expansion, &search, run, &mut sums, &mut work)?;
        }
        add_sums(&mut self.total, &sums);
        Ok(())
    }

    fn add_pieces(&mut self, pieces: &[Piece]) -> Result<()> {
        let threads = rayon::current_num_threads();
        let works = Works::default();
        if pieces.len() < 2 * threads {
            // Too few blocks for the threads: they share each one.
            return pieces.iter().try_for_each(|piece| self.add_shared(piece, &works));
        }
        for pieces in pieces.chunks(WAITING * threads) {
            // The first block goes on where the call before left it open.
            let open = std::mem::take(&mut self.open);
            let block = |(k, piece): (usize, &Piece)| {
                let mut sums = if k == 0 { open.clone() } else { Sums::new() };
                let add = |work: &mut Work| piece.structures().try_for_each(|one| self.add_one(&one, &mut sums, work));
                works.lend(&self.template, add).map(|()| sums)
            };
            let blocks: Vec<Result<Sums>> = pieces.par_iter().enumerate().map(block).collect();
            for (piece, sums) in pieces.iter().zip(blocks) {
                self.open = sums?;
                self.close(piece);
            }
        }
        Ok(())
    }

    /// Adds the open block to the total if this piece was its last.
    fn close(&mut self, piece: &Piece) {
        if (piece.first + piece.structures.len()).is_multiple_of(BLOCK) {
            add_sums(&mut self.total, &std::mem::take(&mut self.open));
        }
    }

    /// A block whose runs are expanded in parallel; the same bits as adding them one after the other.
    fn add_shared(&mut self, piece: &Piece, works: &Works) -> Result<()> {
        let at_once = WAITING * rayon::current_num_threads();
        let structures: Vec<One> = piece.structures().collect();
        for structures in structures.chunks(at_once) {
            let prepare = |one| {
                let mut search = Search::default();
                Ok((one, self.prepare(&one, &mut search)?, search))
            };
            let prepared: Vec<Result<(One, SphericalExpansion, Search)>> =
                structures.par_iter().copied().map(prepare).collect();
            let prepared: Vec<_> = prepared.into_iter().collect::<Result<_>>()?;
            let runs: Vec<_> =
                prepared.iter().flat_map(|p| runs(p.0.structure.len()).map(move |run| (p, run))).collect();
            for runs in runs.chunks(at_once) {
                let alone = |((one, expansion, search), run): &(&(One, _, _), Range<usize>)| {
                    let mut sums = Sums::new();
                    let add = |work: &mut Work| self.add_run(one, expansion, search, run.clone(), &mut sums, work);
                    works.lend(&self.template, add).map(|()| sums)
                };
                let parts: Vec<Result<Sums>> = runs.par_iter().map(alone).collect();
                parts.into_iter().try_for_each(|part| part.map(|part| add_sums(&mut self.open, &part)))?;
            }
        }
        self.close(piece);
        Ok(())
    }

    fn add_one(&self, one: &One, sums: &mut Sums, work: &mut Work) -> Result<()> {
        let mut search = std::mem::take(&mut work.search);
        let done = self.prepare(one, &mut search).and_then(|expansion| {
            runs(one.structure.len()).try_for_each(|run| self.add_run(one, &expansion, &search, run, sums, work))
        });
        work.search = search;
        done
    }

    /// The search for the neighbours of a structure, and the expansion cut down to its species.
    fn prepare(&self, one: &One, search: &mut Search) -> Result<SphericalExpansion> {
        let structure = one.structure;
        let valid = structure.validate();
        let prepared = valid.and_then(|()| search.update(structure, self.template.density().r_cut));
        prepared.map_err(|e| e.at_frame(one.frame))?;
        self.template.for_species(&species_of(std::slice::from_ref(structure))).ok_or_else(|| {
            let atom = structure.species.iter().position(|z| !self.template.species().contains(z));
            let missing = symbol(atom.map_or(0, |i| structure.species[i]));
            let error = Error::structure(
                atom,
                format!("sigma has no width for {missing} (only for {})", symbols(self.template.species())),
                "add this species to sigma, or give one number for all",
            );
            error.at_frame(one.frame)
        })
    }

    /// Expands some centres of a structure and adds their Gram matrices.
    fn add_run(
        &self,
        one: &One,
        expansion: &SphericalExpansion,
        search: &Search,
        run: Range<usize>,
        sums: &mut Sums,
        work: &mut Work,
    ) -> Result<()> {
        let lengths = work.expand(expansion, one.structure, search, run.clone()).map_err(|e| e.at_frame(one.frame))?;
        let centers = &one.structure.species[run.clone()];
        let mut start = 0;
        for (l, length) in lengths.into_iter().enumerate() {
            let width = length.per_center;
            let rows = &mut work.rows[start..start + centers.len() * width];
            start += length.total;
            if let Some(weights) = one.weights.filter(|_| width > 0) {
                for (row, weight) in rows.chunks_exact_mut(width).zip(&weights[run.clone()]) {
                    row.iter_mut().for_each(|c| *c *= weight.sqrt());
                }
            }
            if !self.settings.center_specific {
                let kind = sums.entry(0).or_default();
                self.add_rows(l, rows, expansion.species(), kind, &mut work.gram);
                continue;
            }
            for &z in expansion.species() {
                work.of_kind.clear();
                for (row, _) in rows.chunks_exact(width.max(1)).zip(centers).filter(|&(_, &center)| center == z) {
                    work.of_kind.extend_from_slice(row);
                }
                if centers.contains(&z) {
                    let kind = sums.entry(z).or_default();
                    self.add_rows(l, &work.of_kind, expansion.species(), kind, &mut work.gram);
                }
            }
        }
        for &z in centers {
            sums.entry(if self.settings.center_specific { z } else { 0 }).or_default().n_centers += 1;
        }
        Ok(())
    }

    /// Adds XᵀX of rows `[(i, m), (a, n)]` over the species of one structure.
    fn add_rows(&self, l: usize, x: &[f64], species: &[u8], kind: &mut KindSums, gram: &mut Vec<f64>) {
        let n = self.n_functions(l);
        let width = n * species.len();
        if width == 0 {
            return;
        }
        let rows = x.len() / width;
        let l_max = self.template.l_max();
        let mut pair = |(a, b): (u8, u8), gram: &[f64], stride: usize, at: (usize, usize)| {
            let blocks = kind.pairs.entry((a, b)).or_insert_with(|| {
                (0..=l_max).map(|l| Array2::zeros((self.n_functions(l), self.n_functions(l)))).collect()
            });
            // Only the lower triangle is there: block (a, b), a ≤ b, is the transpose of rows b, columns a.
            for ((i, j), value) in blocks[l].indexed_iter_mut() {
                let (row, column) = (at.1 + j, at.0 + i);
                *value += gram[row.max(column) * stride + row.min(column)];
            }
        };
        if self.settings.mixing == Mixing::Combined {
            let gram = gram_of(x, rows, width, width, gram);
            for (i, &a) in species.iter().enumerate() {
                for (j, &b) in species.iter().enumerate().skip(i) {
                    pair((a, b), gram, width, (i * n, j * n));
                }
            }
            return;
        }
        for (i, &a) in species.iter().enumerate() {
            let gram = gram_of(&x[i * n..], rows, n, width, gram);
            pair((a, a), gram, n, (0, 0));
        }
    }
}

/// The lower triangle of XᵀX of some columns, in a buffer.
fn gram_of<'g>(x: &[f64], rows: usize, cols: usize, row_stride: usize, gram: &'g mut Vec<f64>) -> &'g [f64] {
    gram.clear();
    gram.resize(cols * cols, 0.0);
    add_gram(x, rows, cols, row_stride, gram);
    gram
}

/// Runs of centres of a structure, by index.
fn runs(n_atoms: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    (0..n_atoms).step_by(RUN).map(move |first| first..n_atoms.min(first + RUN))
}

fn check_weights(structures: &[Structure], weights: Option<&[f64]>) -> Result<()> {
    let Some(weights) = weights else { return Ok(()) };
    let n_centers: usize = structures.iter().map(Structure::len).sum();
    if weights.len() != n_centers {
        let problem = format!("one weight per centre is needed, and there are {n_centers} centres");
        return Err(Error::setting("weights", weights.len(), problem, "give them in file order"));
    }
    if let Some(bad) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
        return Err(Error::setting("weights", bad, "must be finite and not negative", "check the weights"));
    }
    Ok(())
}

/// Consecutive structures of one block.
struct Piece<'a> {
    /// Index of the first since the accumulator was made.
    first: usize,
    structures: &'a [Structure],
    weights: Option<&'a [f64]>,
}

/// One structure, its index, and the weights of its centres.
#[derive(Clone, Copy)]
struct One<'a> {
    frame: usize,
    structure: &'a Structure,
    weights: Option<&'a [f64]>,
}

fn pieces<'a>(before: usize, structures: &'a [Structure], weights: Option<&'a [f64]>) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let (mut s, mut center) = (0, 0);
    while s < structures.len() {
        let end = structures.len().min(s + BLOCK - (before + s) % BLOCK);
        let n: usize = structures[s..end].iter().map(Structure::len).sum();
        let weights = weights.map(|w| &w[center..center + n]);
        pieces.push(Piece { first: before + s, structures: &structures[s..end], weights });
        (s, center) = (end, center + n);
    }
    pieces
}

impl<'a> Piece<'a> {
    fn structures(&self) -> impl Iterator<Item = One<'a>> + use<'a> {
        let (first, weights) = (self.first, self.weights);
        let mut center = 0;
        self.structures.iter().enumerate().map(move |(s, structure)| {
            let mine = center..center + structure.len();
            center = mine.end;
            One { frame: first + s, structure, weights: weights.map(|w| &w[mine]) }
        })
    }
}

/// Buffers that one thread reuses from run to run.
struct Work {
    expansion: Workspace,
    search: Search,
    /// Coefficients, block after block.
    rows: Vec<f64>,
    /// Those of one kind of centre.
    of_kind: Vec<f64>,
    gram: Vec<f64>,
}

/// Buffers that are not in use: there are never more than threads.
#[derive(Default)]
struct Works(Mutex<Vec<Work>>);

impl Works {
    fn lend<T>(&self, template: &SphericalExpansion, job: impl FnOnce(&mut Work) -> T) -> T {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut work = free.unwrap_or_else(|| Work::new(template));
        let done = job(&mut work);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(work);
        done
    }
}

/// Numbers in the block of one l.
struct Length {
    per_center: usize,
    total: usize,
}

impl Work {
    fn new(template: &SphericalExpansion) -> Self {
        Work {
            expansion: Workspace::new(template),
            search: Search::default(),
            rows: Vec::new(),
            of_kind: Vec::new(),
            gram: Vec::new(),
        }
    }

    /// Writes the coefficients of a run of centres to `rows`.
    fn expand(
        &mut self,
        expansion: &SphericalExpansion,
        structure: &Structure,
        search: &Search,
        run: Range<usize>,
    ) -> Result<Vec<Length>> {
        let length = |(l, channels): (usize, &Vec<_>)| {
            let per_center = (2 * l + 1) * channels.len();
            Length { per_center, total: run.len() * per_center }
        };
        let lengths: Vec<Length> = expansion.channels().iter().enumerate().map(length).collect();
        self.rows.resize(lengths.iter().map(|l| l.total).sum(), 0.0);
        let mut rest = &mut self.rows[..];
        let cut = |length: &Length| rest.split_off_mut(..length.total).expect("as long as all blocks");
        let mut blocks: Vec<&mut [f64]> = lengths.iter().map(cut).collect();
        let mut neighbors = std::mem::take(&mut self.expansion.neighbors);
        let done = neighbors.find(search, structure, run.clone()).and_then(|()| {
            expansion.forward_centers(structure, &neighbors, run, None, &mut blocks, &mut self.expansion)
        });
        self.expansion.neighbors = neighbors;
        done.map(|()| lengths)
    }
}
