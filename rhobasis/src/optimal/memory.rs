//! What a fit will take, from the sizes of its buffers.

use std::collections::BTreeSet;

use super::accumulate::CENTERS;
use super::basis::channel_counts;
use super::covariance::Covariance;
use super::settings::{Mixing, Truncation};
use crate::density::species_of;
use crate::neighbors::{NeighborList, Search};
use crate::stream::{BLOCK, WAITING};
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
        let sums = pair_bytes(self) * (kinds * pairs) as f64;
        let mut blocks: Vec<usize> = structures.chunks(BLOCK).map(|block| pairs_of(self, block)).collect();
        blocks.sort_unstable_by(|a, b| b.cmp(a));
        let block = pair_bytes(self) * blocks.first().copied().unwrap_or(0) as f64;
        let at_once = WAITING * rayon::current_num_threads();
        let waiting = if blocks.len() < 2 * rayon::current_num_threads() {
            let largest = structures.iter().map(|one| pairs_of(self, std::slice::from_ref(one))).max().unwrap_or(0);
            let n_parts: usize = structures.iter().map(|one| one.len().div_ceil(CENTERS)).sum();
            at_once.min(n_parts) * largest
        } else {
            blocks.iter().take(at_once).sum()
        };
        let waiting = pair_bytes(self) * waiting as f64;
        // Twice: a structure that is refused must leave no trace.
        let (work, list) = work_bytes(self, structures);
        let adding = 2.0 * (sums + block) + waiting + threads * (work + list);
        let writing = truncation.map_or(2.0 * sums, |truncation| basis_bytes(self, structures, truncation));
        adding.max(sums + writing)
    }
}

/// Sums of one pair of species.
fn pair_bytes(covariance: &Covariance) -> f64 {
    (0..=covariance.template.l_max()).map(|l| 8.0 * (covariance.n_functions(l) as f64).powi(2)).sum()
}

/// Pairs of species (by kind of centre) whose sums these structures fill.
fn pairs_of(covariance: &Covariance, structures: &[Structure]) -> usize {
    let mut pairs = BTreeSet::new();
    for species in structures.iter().map(|one| species_of(std::slice::from_ref(one))).collect::<BTreeSet<_>>() {
        let kinds = if covariance.settings.center_specific { &species[..] } else { &[0] };
        for (i, a) in species.iter().enumerate() {
            let others = if covariance.settings.mixing == Mixing::Combined { &species[i..] } else { &species[i..=i] };
            pairs.extend(others.iter().flat_map(|b| kinds.iter().map(move |kind| (*kind, *a, *b))));
        }
    }
    pairs.len()
}

/// Buffers of one thread: coefficients of a run of centres, their Gram matrix and neighbours; and the neighbour list of the
/// largest structure.
fn work_bytes(covariance: &Covariance, structures: &[Structure]) -> (f64, f64) {
    let size = |one: &&Structure| one.len().min(CENTERS) * species_of(std::slice::from_ref(one)).len();
    let Some(largest) = structures.iter().max_by_key(size) else { return (0.0, 0.0) };
    let n_species = species_of(std::slice::from_ref(largest)).len() as f64;
    let centers = largest.len().min(CENTERS) as f64;
    let row = |l: usize| (2 * l + 1) as f64 * covariance.n_functions(l) as f64 * n_species;
    let l_max = covariance.template.l_max();
    let rows: f64 = (0..=l_max).map(row).sum();
    let of_center = if covariance.settings.center_specific { row(l_max) } else { 0.0 };
    let width =
        if covariance.settings.mixing == Mixing::Combined { n_species } else { 1.0 } * covariance.n_functions(0) as f64;
    let r_cut = covariance.template.density().r_cut;
    let mut list = NeighborList::default();
    let search = if largest.len() > CENTERS {
        let mid = largest.len() / 2;
        let part = mid..largest.len().min(mid + CENTERS);
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
    (8.0 * (centers * (rows + of_center) + width * width) + lists.0, lists.1)
}

/// Contractions, then tables of what is kept and their copy on the way to the file.
fn basis_bytes(covariance: &Covariance, structures: &[Structure], truncation: Truncation) -> f64 {
    let species = species_of(structures);
    let n_species = species.len() as f64;
    let combined = covariance.settings.mixing == Mixing::Combined;
    let (owners, width) = if combined { (1.0, n_species) } else { (n_species, 1.0) };
    let matrix = |l: usize| 8.0 * (covariance.n_functions(l) as f64 * width).powi(2);
    let all: f64 = (0..=covariance.template.l_max()).map(matrix).sum();
    // The matrix, its copy, its eigenvectors in two orders, and the scratch of the solver.
    let diagonalising = owners * all + 5.0 * matrix(0);
    let kept = foreseen_channels(covariance, structures, truncation);
    let u = 8.0 * kept * covariance.n_functions(0) as f64 * width;
    // Each function of a combined basis has a table for each species.
    let functions = if combined { kept * n_species } else { kept };
    let knots = species.first().and_then(|&z| covariance.template.table(None, z)).map_or(0, |t| t.n_knots()) as f64;
    let (tables, on_nodes) = (16.0 * knots * functions, 8.0 * NODES * functions);
    u + diagonalising.max(tables + on_nodes.max(tables))
}

/// Channels over all l, owners and kinds of centre, that a basis of these structures would keep.
fn foreseen_channels(covariance: &Covariance, structures: &[Structure], truncation: Truncation) -> f64 {
    let mut centers = 0;
    let enough = structures.iter().take_while(|one| {
        centers += one.len();
        centers <= PILOT
    });
    let few = &structures[..enough.count()];
    let mut pilot = covariance.empty();
    // A structure that is refused is reported when its turn comes.
    let _ = match few {
        [] => structures.first().map_or(Ok(()), |large| pilot.add_some_centers(large, PILOT)),
        few => pilot.add(few, None),
    };
    channel_counts(&pilot, truncation).unwrap_or(0) as f64
}
