//! What a fit will take, from the sizes of its buffers.

use std::collections::BTreeSet;

use super::accumulate::{BLOCK, RUN, WAITING};
use super::basis::channel_counts;
use super::contraction::Truncation;
use super::covariance::Covariance;
use super::settings::Mixing;
use crate::density::species_of;
use crate::neighbors::{NeighborList, Search};
use crate::structure::Structure;

/// Centres from which the number of channels of a basis is foreseen.
const PILOT: usize = 1024;

/// Bytes of a pair in a neighbour list, and half as much again that vectors leave behind as they grow.
const PAIR: f64 = 1.5 * 40.0;

/// Bytes of an atom and its images in the search for neighbours.
const SITE: f64 = 400.0;

/// Quadrature nodes on which contracted functions are kept while their tables are made.
const NODES: f64 = 400.0;

impl Covariance {
    /// Bytes that accumulating structures such as these takes at most, and then, given a truncation, making and writing the
    /// basis; besides what the process holds already.
    pub fn memory(&self, structures: &[Structure], truncation: Option<Truncation>) -> f64 {
        let threads = rayon::current_num_threads() as f64;
        // In the end all pairs may have been seen.
        let n_species = species_of(structures).len();
        let kinds = if self.settings.center_specific { n_species } else { 1 };
        let combined = self.settings.mixing == Mixing::Combined;
        let pairs = if combined { n_species * (n_species + 1) / 2 } else { n_species };
        let sums = self.pair_bytes() * (kinds * pairs) as f64;
        let mut blocks: Vec<usize> = structures.chunks(BLOCK).map(|block| self.pairs(block)).collect();
        blocks.sort_unstable_by(|a, b| b.cmp(a));
        let block = self.pair_bytes() * blocks.first().copied().unwrap_or(0) as f64;
        let at_once = WAITING as f64 * threads;
        let (waiting, lists) = if (blocks.len() as f64) < 2.0 * threads {
            let largest = structures.iter().map(|one| self.pairs(std::slice::from_ref(one))).max().unwrap_or(0);
            let n_runs: usize = structures.iter().map(|one| one.len().div_ceil(RUN)).sum();
            (at_once.min(n_runs as f64) * largest as f64, at_once.min(structures.len() as f64))
        } else {
            (blocks.iter().take(at_once as usize).sum::<usize>() as f64, threads)
        };
        let waiting = self.pair_bytes() * waiting;
        // Twice: a structure that is refused must leave no trace.
        let (work, list) = self.work_bytes(structures);
        let adding = 2.0 * (sums + block) + waiting + threads * work + lists * list;
        let writing = truncation.map_or(2.0 * sums, |truncation| self.basis_bytes(structures, truncation));
        adding.max(sums + writing)
    }

    /// Sums of one pair of species.
    fn pair_bytes(&self) -> f64 {
        (0..=self.template.l_max()).map(|l| 8.0 * (self.n_functions(l) as f64).powi(2)).sum()
    }

    /// Pairs of species (by kind of centre) whose sums these structures fill.
    fn pairs(&self, structures: &[Structure]) -> usize {
        let mut pairs = BTreeSet::new();
        for species in structures.iter().map(|one| species_of(std::slice::from_ref(one))).collect::<BTreeSet<_>>() {
            let kinds = if self.settings.center_specific { &species[..] } else { &[0] };
            for (i, a) in species.iter().enumerate() {
                let others = if self.settings.mixing == Mixing::Combined { &species[i..] } else { &species[i..=i] };
                pairs.extend(others.iter().flat_map(|b| kinds.iter().map(move |kind| (*kind, *a, *b))));
            }
        }
        pairs.len()
    }

    /// Buffers of one thread: coefficients of a run of centres, their Gram matrix and neighbours; and the neighbour list of the
    /// largest structure.
    fn work_bytes(&self, structures: &[Structure]) -> (f64, f64) {
        let size = |one: &&Structure| one.len().min(RUN) * species_of(std::slice::from_ref(one)).len();
        let Some(largest) = structures.iter().max_by_key(size) else { return (0.0, 0.0) };
        let n_species = species_of(std::slice::from_ref(largest)).len() as f64;
        let centers = largest.len().min(RUN) as f64;
        let row = |l: usize| (2 * l + 1) as f64 * self.n_functions(l) as f64 * n_species;
        let l_max = self.template.l_max();
        let rows: f64 = (0..=l_max).map(row).sum();
        let of_kind = if self.settings.center_specific { row(l_max) } else { 0.0 };
        let width = if self.settings.mixing == Mixing::Combined { n_species } else { 1.0 } * self.n_functions(0) as f64;
        let r_cut = self.template.density().r_cut;
        let mut list = NeighborList::default();
        let search = if largest.len() > RUN {
            let mid = largest.len() / 2;
            let part = mid..largest.len().min(mid + RUN);
            let mut search = Search::default();
            // A structure that is refused is reported when its turn comes.
            let found = search.update(largest, r_cut).and_then(|()| list.find(&search, largest, part));
            found.map_or(0.0, |()| SITE * largest.len() as f64)
        } else {
            let _ = list.update(largest, r_cut); // as above
            0.0
        };
        let list = PAIR * list.len() as f64;
        let lists = if search > 0.0 { (list, search) } else { (0.0, list) };
        (8.0 * (centers * (rows + of_kind) + width * width) + lists.0, lists.1)
    }

    /// Contractions, then tables of what is kept and their copy on the way to the file.
    fn basis_bytes(&self, structures: &[Structure], truncation: Truncation) -> f64 {
        let species = species_of(structures);
        let n_species = species.len() as f64;
        let combined = self.settings.mixing == Mixing::Combined;
        let (owners, width) = if combined { (1.0, n_species) } else { (n_species, 1.0) };
        let matrix = |l: usize| 8.0 * (self.n_functions(l) as f64 * width).powi(2);
        let all: f64 = (0..=self.template.l_max()).map(matrix).sum();
        // The matrix, its copy, its eigenvectors in two orders, and the scratch of the solver.
        let diagonalising = owners * all + 5.0 * matrix(0);
        let kept = self.foreseen_channels(structures, truncation);
        let u = 8.0 * kept * self.n_functions(0) as f64 * width;
        // Each function of a combined basis has a table for each species.
        let functions = if combined { kept * n_species } else { kept };
        let knots = species.first().and_then(|&z| self.template.table(None, z)).map_or(0, |t| t.n_knots()) as f64;
        let (tables, on_nodes) = (16.0 * knots * functions, 8.0 * NODES * functions);
        u + diagonalising.max(tables + on_nodes.max(tables))
    }

    /// Channels over all l, owners and kinds of centre, that a basis of these structures would keep.
    fn foreseen_channels(&self, structures: &[Structure], truncation: Truncation) -> f64 {
        let mut centers = 0;
        let enough = structures.iter().take_while(|one| {
            centers += one.len();
            centers <= PILOT
        });
        let few = &structures[..enough.count()];
        let mut pilot = self.empty();
        // A structure that is refused is reported when its turn comes.
        let _ = match few {
            [] => structures.first().map_or(Ok(()), |large| pilot.add_some_centers(large, PILOT)),
            few => pilot.add(few, None),
        };
        channel_counts(&pilot, truncation).unwrap_or(0) as f64
    }
}
