//! Rotationally invariant covariance of the density coefficients, Eqs. (6), (11), accumulated over structures.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::density::{ExpansionSettings, Sigma, SphericalExpansion, Workspace, prepare_neighbors, species_of};
use crate::linalg::add_gram;
use crate::structure::{Structure, symbol};
use crate::{Error, Result};

/// Structures whose sums are added one after the other before they are added to the total (by absolute index, so that
/// neither threads nor chunks change a bit).
const BLOCK: usize = 64;

/// Which channels are contracted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mixing {
    /// n for each neighbour species apart, Eq. (6).
    #[serde(rename = "per-species")]
    PerSpecies,
    /// (a, n) of all neighbour species together, Eq. (11).
    #[serde(rename = "combined")]
    Combined,
}

/// What is accumulated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CovarianceSettings {
    /// The density and its primitive basis.
    pub expansion: ExpansionSettings,
    /// Whether neighbour species are kept apart.
    pub mixing: Mixing,
    /// Whether each species of centre has a covariance of its own.
    pub center_specific: bool,
}

/// Σ_i Σ_m c_i\[m, (a, n)\] c_i\[m, (a′, n′)\] over centres, for each l; divided by N it is Eq. (11), its diagonal blocks
/// (a = a′) Eq. (6).
///
/// ```text
/// C^l[an, a'n'] = 1/N Σ_i w_i Σ_m ⟨anlm|ρ_i⟩ ⟨a'n'lm|ρ_i⟩
/// ```
///
/// N counts all centres (of that species, if centre-specific), neighbours or not; w_i = 1 unless weights are given
/// (Eq. 21). Not centred, not divided by 2l + 1; the density of the centre itself is included. Species may appear at any
/// time: the set need not be known beforehand.
#[derive(Debug)]
pub struct Covariance {
    pub(super) settings: CovarianceSettings,
    /// Expansion that knows every species `sigma` allows; cut down to those of each structure.
    pub(super) template: SphericalExpansion,
    pub(super) total: Sums,
    /// The block of [`BLOCK`] structures that is not complete yet.
    open: Sums,
    pub(super) n_structures: usize,
}

/// Sums by kind of centre: 0 for all, else the atomic number.
pub(super) type Sums = BTreeMap<u8, KindSums>;

#[derive(Debug, Clone, Default)]
pub(super) struct KindSums {
    pub n_centers: usize,
    /// For each pair a ≤ a′ of neighbour species, for each l: `[n, n′]`.
    pub pairs: BTreeMap<(u8, u8), Vec<Array2<f64>>>,
}

impl Covariance {
    /// An empty accumulator.
    ///
    /// # Errors
    /// For settings outside their range.
    pub fn new(settings: &CovarianceSettings) -> Result<Self> {
        let species: Vec<u8> = match &settings.expansion.density.sigma {
            Sigma::Same(_) => (1..=118).collect(),
            Sigma::PerSpecies(map) => map.keys().copied().collect(),
        };
        let template = SphericalExpansion::new(&settings.expansion, &species)?;
        Ok(Covariance { settings: settings.clone(), template, total: Sums::new(), open: Sums::new(), n_structures: 0 })
    }

    /// The settings.
    pub fn settings(&self) -> &CovarianceSettings {
        &self.settings
    }

    /// Structures added so far.
    pub fn n_structures(&self) -> usize {
        self.n_structures
    }

    /// Kinds of centre seen: `None` for all together, else their species, ascending.
    pub fn kinds(&self) -> Vec<Option<u8>> {
        let kinds: BTreeSet<u8> = self.parts().flat_map(|sums| sums.keys().copied()).collect();
        kinds.into_iter().map(|z| (z > 0).then_some(z)).collect()
    }

    /// Centres of a kind.
    pub fn n_centers(&self, kind: Option<u8>) -> usize {
        self.parts().filter_map(|sums| sums.get(&kind.unwrap_or(0))).map(|k| k.n_centers).sum()
    }

    /// Neighbour species seen, ascending.
    pub fn species(&self) -> Vec<u8> {
        let kinds = self.parts().flat_map(|sums| sums.values());
        let species: BTreeSet<u8> = kinds.flat_map(|k| k.pairs.keys().map(|&(a, _)| a)).collect();
        species.into_iter().collect()
    }

    /// Complete blocks and the open one.
    fn parts(&self) -> impl Iterator<Item = &Sums> {
        [&self.total, &self.open].into_iter()
    }

    /// Primitive functions per species at this l.
    pub fn n_functions(&self, l: usize) -> usize {
        self.template.channels()[l].iter().filter(|c| c.species == self.template.species()[0]).count()
    }

    /// Adds structures, in parallel; `weights` holds one non-negative number for each centre (Eq. 21).
    ///
    /// # Errors
    /// For the first structure that is refused, named by its index since the accumulator was made; nothing of this call is
    /// then added.
    pub fn add(&mut self, structures: &[Structure], weights: Option<&[f64]>) -> Result<()> {
        let n_centers: usize = structures.iter().map(Structure::len).sum();
        if let Some(weights) = weights {
            if weights.len() != n_centers {
                let problem = format!("one weight per centre is needed, and there are {n_centers} centres");
                return Err(Error::setting("weights", weights.len(), problem, "give them in file order"));
            }
            if let Some(bad) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
                return Err(Error::setting("weights", bad, "must be finite and not negative", "check the weights"));
            }
        }
        let before = self.n_structures;
        let mut pieces = Vec::new();
        let (mut s, mut center) = (0, 0);
        while s < structures.len() {
            let end = structures.len().min(s + BLOCK - (before + s) % BLOCK);
            let n: usize = structures[s..end].iter().map(Structure::len).sum();
            let weights = weights.map(|w| &w[center..center + n]);
            pieces.push(Piece { first: before + s, structures: &structures[s..end], weights });
            (s, center) = (end, center + n);
        }
        // The first block goes on where the call before left it open.
        let start = |k: usize| if k == 0 { self.open.clone() } else { Sums::new() };
        let blocks: Vec<Result<Sums>> = if pieces.len() >= 2 * rayon::current_num_threads() {
            let work = || Workspace::new(&self.template);
            let block = |work: &mut Workspace, (k, piece): (usize, Piece)| {
                let mut sums = start(k);
                piece.structures().try_for_each(|one| self.add_one(one, &mut sums, work))?;
                Ok(sums)
            };
            pieces.into_par_iter().enumerate().map_init(work, block).collect()
        } else {
            // Too few blocks for the threads: structures in parallel, added one by one all the same.
            pieces.into_iter().enumerate().map(|(k, piece)| self.add_block(piece, start(k))).collect()
        };
        let blocks: Vec<Sums> = blocks.into_iter().collect::<Result<_>>()?;
        let n_blocks = blocks.len();
        for (k, sums) in blocks.into_iter().enumerate() {
            self.open = sums;
            let complete = k + 1 < n_blocks || (before + structures.len()).is_multiple_of(BLOCK);
            if complete {
                add_sums(&mut self.total, &std::mem::take(&mut self.open));
            }
        }
        self.n_structures += structures.len();
        Ok(())
    }

    /// A block whose structures are expanded in parallel; the same bits as adding them one after the other.
    fn add_block(&self, piece: Piece, mut sums: Sums) -> Result<Sums> {
        let structures: Vec<_> = piece.structures().collect();
        let work = || Workspace::new(&self.template);
        let alone = |work: &mut Workspace, one: &One| {
            let mut sums = Sums::new();
            self.add_one(*one, &mut sums, work).map(|()| sums)
        };
        let parts: Vec<Result<Sums>> = structures.par_iter().map_init(work, alone).collect();
        for part in parts {
            add_sums(&mut sums, &part?);
        }
        Ok(sums)
    }

    fn add_one(&self, one: One, sums: &mut Sums, work: &mut Workspace) -> Result<()> {
        self.add_structure(one.structure, one.weights, sums, work).map_err(|e| e.at_frame(one.frame))
    }

    fn add_structure(
        &self,
        structure: &Structure,
        weights: Option<&[f64]>,
        sums: &mut Sums,
        work: &mut Workspace,
    ) -> Result<()> {
        let mut neighbors = std::mem::take(&mut work.neighbors);
        prepare_neighbors(structure, &mut neighbors, self.template.density().r_cut)?;
        let species = species_of(std::slice::from_ref(structure));
        let Some(expansion) = self.template.for_species(&species) else {
            let atom = structure.species.iter().position(|z| !self.template.species().contains(z));
            let missing = symbol(atom.map_or(0, |i| structure.species[i]));
            return Err(Error::structure(
                atom,
                format!("sigma has no width for {missing} (only for {})", symbols(self.template.species())),
                "add this species to sigma, or give one number for all",
            ));
        };
        let n_atoms = structure.len();
        let mut blocks: Vec<ndarray::Array3<f64>> = expansion
            .channels()
            .iter()
            .enumerate()
            .map(|(l, c)| ndarray::Array3::zeros((n_atoms, 2 * l + 1, c.len())))
            .collect();
        let mut views: Vec<_> = blocks.iter_mut().map(|b| b.view_mut()).collect();
        expansion.forward_into(structure, &neighbors, &mut views, work)?;
        work.neighbors = neighbors;
        if let Some(weights) = weights {
            for block in &mut blocks {
                for (mut rows, weight) in block.outer_iter_mut().zip(weights) {
                    rows *= weight.sqrt();
                }
            }
        }
        if !self.settings.center_specific {
            let kind = sums.entry(0).or_default();
            kind.n_centers += n_atoms;
            for (l, block) in blocks.iter().enumerate() {
                self.add_rows(l, block.as_slice().expect("contiguous"), &species, kind);
            }
            return Ok(());
        }
        for &z in &species {
            let atoms: Vec<usize> = (0..n_atoms).filter(|&i| structure.species[i] == z).collect();
            let kind = sums.entry(z).or_default();
            kind.n_centers += atoms.len();
            for (l, block) in blocks.iter().enumerate() {
                let rows = block.select(ndarray::Axis(0), &atoms);
                self.add_rows(l, rows.as_slice().expect("contiguous"), &species, kind);
            }
        }
        Ok(())
    }

    /// Adds XᵀX of rows `[(i, m), (a, n)]` over the species of one structure.
    fn add_rows(&self, l: usize, x: &[f64], species: &[u8], kind: &mut KindSums) {
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
            let mut gram = vec![0.0; width * width];
            add_gram(x, rows, width, width, &mut gram);
            for (i, &a) in species.iter().enumerate() {
                for (j, &b) in species.iter().enumerate().skip(i) {
                    pair((a, b), &gram, width, (i * n, j * n));
                }
            }
            return;
        }
        for (i, &a) in species.iter().enumerate() {
            let mut gram = vec![0.0; n * n];
            add_gram(&x[i * n..], rows, n, width, &mut gram);
            pair((a, a), &gram, n, (0, 0));
        }
    }

    /// The covariance of one kind of centre and one l, Eq. (11): `[(a, n), (a′, n′)]` over `species`, ascending, n fastest.
    /// With [`Mixing::PerSpecies`], only the diagonal blocks (Eq. 6) are filled.
    pub fn matrix(&self, kind: Option<u8>, l: usize, species: &[u8]) -> Array2<f64> {
        let mut c = self.sum(kind, l, species);
        c /= self.n_centers(kind).max(1) as f64;
        c
    }

    /// N times [`Covariance::matrix`].
    pub(super) fn sum(&self, kind: Option<u8>, l: usize, species: &[u8]) -> Array2<f64> {
        let n = self.n_functions(l);
        let mut c = Array2::zeros((n * species.len(), n * species.len()));
        for kind in self.parts().filter_map(|sums| sums.get(&kind.unwrap_or(0))) {
            for (i, &a) in species.iter().enumerate() {
                for (j, &b) in species.iter().enumerate().skip(i) {
                    let Some(blocks) = kind.pairs.get(&(a, b)) else { continue };
                    let mut upper = c.slice_mut(s![i * n..(i + 1) * n, j * n..(j + 1) * n]);
                    upper += &blocks[l];
                    if i != j {
                        let mut lower = c.slice_mut(s![j * n..(j + 1) * n, i * n..(i + 1) * n]);
                        lower += &blocks[l].t();
                    }
                }
            }
        }
        c
    }
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

fn add_sums(total: &mut Sums, part: &Sums) {
    for (z, part) in part {
        let kind = total.entry(*z).or_default();
        kind.n_centers += part.n_centers;
        for (pair, blocks) in &part.pairs {
            match kind.pairs.get_mut(pair) {
                None => {
                    kind.pairs.insert(*pair, blocks.clone());
                }
                Some(sums) => sums.iter_mut().zip(blocks).for_each(|(sum, block)| *sum += block),
            }
        }
    }
}

/// Serialises settings, which hold nothing that JSON cannot.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("settings are plain numbers and names")
}

/// A list of symbols for messages.
pub(crate) fn symbols(species: &[u8]) -> String {
    species.iter().map(|&z| symbol(z)).collect::<Vec<_>>().join(" ")
}
