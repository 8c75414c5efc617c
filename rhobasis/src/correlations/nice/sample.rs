//! The atoms from which an iteration is fitted: a sample of a data set that does not depend on its order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::origin::Origin;
use super::settings::{NiceSettings, Sequence};
use crate::density::{BlockKey, Channel, Equivariants, SphericalExpansion};
use crate::extxyz::{Shard, SourceFile};
use crate::files::Digest;
use crate::settings::Named;
use crate::simd::{LANES, Lanes};
use crate::structure::Structure;
use crate::{Error, Result};

/// Density coefficients of the n atoms whose keys are the smallest, a key being a digest of structure and index of the atom.
///
/// So the sample is spread evenly over the data, and the same for any order of the structures, any cut into calls, and any cut
/// into parts that are merged.
///
/// ```
/// use rhobasis::correlations::NiceSample;
/// use rhobasis::density::{ExpansionSettings, SphericalExpansion};
/// use rhobasis::Structure;
///
/// let expansion = SphericalExpansion::new(&ExpansionSettings { l_max: 2, ..Default::default() }, &[1])?;
/// let dimers: Vec<_> =
///     (0..9).map(|k| Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 0.6 + 0.1 * k as f64]])).collect();
/// let mut sample = NiceSample::new(&expansion, 5)?;
/// sample.add(&dimers)?;
/// let (mut first, mut second) = (NiceSample::new(&expansion, 5)?, NiceSample::new(&expansion, 5)?);
/// first.add(&dimers[4..])?;
/// second.add(&dimers[..4])?;
/// first.merge(second)?;
/// assert_eq!(sample.coefficients(), first.coefficients());
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct NiceSample {
    /// What new structures are expanded in; none of a sample that was read from a file.
    expansion: Option<SphericalExpansion>,
    pub(super) origin: Origin,
    pub(super) n_max: usize,
    /// Whether there are so many of each species.
    pub(super) per_species: bool,
    pub(super) n_structures: usize,
    /// More than `n_max` until they are asked for.
    pub(super) atoms: Vec<Atom>,
    /// How many there were when the last were left out.
    kept: usize,
    /// Larger keys are of no use; by species, or 0 for all.
    bounds: BTreeMap<u8, u64>,
    pub(super) files: Vec<SourceFile>,
    pub(super) shard: Option<Shard>,
}

/// An atom of a sample.
#[derive(Debug, Clone)]
pub(super) struct Atom {
    pub key: u64,
    pub species: u8,
    /// Coefficients: block slowest, then channel, m fastest.
    pub c: Vec<f64>,
}

impl NiceSample {
    /// An empty sample of at most `n_max` atoms.
    ///
    /// # Errors
    /// If `n_max` is 0.
    pub fn new(expansion: &SphericalExpansion, n_max: usize) -> Result<Self> {
        if n_max == 0 {
            return Err(Error::setting("n_centers", 0, "a sample of no atoms", "use 10000"));
        }
        let mut sample = NiceSample::of_atoms(Origin::of(expansion)?, (n_max, false), Vec::new());
        sample.expansion = Some(expansion.clone());
        Ok(sample)
    }

    /// An empty sample of what these settings are fitted to.
    ///
    /// # Errors
    /// If it is one of no atoms.
    pub fn for_fit(expansion: &SphericalExpansion, settings: &NiceSettings) -> Result<Self> {
        let sample = NiceSample::new(expansion, settings.n_centers)?;
        Ok(NiceSample { per_species: settings.sequence == Sequence::PerSpecies, ..sample })
    }

    /// One to which no structures can be added.
    pub(super) fn of_atoms(origin: Origin, (n_max, per_species): (usize, bool), atoms: Vec<Atom>) -> Self {
        let (expansion, n_structures, kept, bounds) = (None, 0, 0, BTreeMap::new());
        let (files, shard) = (Vec::new(), None);
        let mut sample =
            NiceSample { expansion, origin, n_max, per_species, n_structures, atoms, kept, bounds, files, shard };
        sample.shorten();
        sample
    }

    /// One of the same kind that has seen nothing.
    pub(super) fn emptied(&self) -> Self {
        let empty = NiceSample::of_atoms(self.origin.clone(), (self.n_max, self.per_species), Vec::new());
        NiceSample { expansion: self.expansion.clone(), ..empty }
    }

    /// Adds structures.
    ///
    /// # Errors
    /// As [`SphericalExpansion::forward`], and to a sample that was read from a file; nothing of this call is then added.
    pub fn add(&mut self, structures: &[Structure]) -> Result<()> {
        let Some(expansion) = &self.expansion else {
            let problem = "this sample was read from a file, which does not hold the basis";
            return Err(Error::setting(
                "sample",
                "read",
                problem,
                "sample the new structures apart, and merge the two",
            ));
        };
        let keys: Vec<Vec<u64>> = structures.par_iter().map(keys).collect();
        let is_wanted = |&s: &usize| {
            let mut atoms = keys[s].iter().zip(&structures[s].species);
            atoms.any(|(key, z)| *key <= self.bound(*z))
        };
        let wanted: Vec<usize> = (0..structures.len()).filter(is_wanted).collect();
        let chosen: Vec<Structure> = wanted.iter().map(|&s| structures[s].clone()).collect();
        let before = self.n_structures;
        let c = expansion.forward(&chosen).map_err(|mut e| {
            if let Error::Structure { place, .. } = &mut e {
                place.frame = place.frame.map(|frame| wanted[frame]);
            }
            e.after_frames(before)
        })?;
        for (i, center) in c.centers.iter().enumerate() {
            let key = keys[wanted[center.structure]][center.atom];
            if key <= self.bound(center.species) {
                self.atoms.push(Atom { key, species: center.species, c: row(&c, i) });
            }
        }
        self.n_structures += structures.len();
        if self.atoms.len() >= self.kept + self.n_max {
            self.shorten();
        }
        Ok(())
    }

    /// Adds what another sample has seen.
    ///
    /// # Errors
    /// If it is of another basis or of another size.
    pub fn merge(&mut self, other: NiceSample) -> Result<()> {
        self.origin.same(&other.origin)?;
        if other.n_max != self.n_max {
            let problem = format!("the other sample is one of {}", other.n_max);
            return Err(Error::setting("n_centers", self.n_max, problem, "take both with the same number"));
        }
        if other.per_species != self.per_species {
            let (mine, theirs) = (self.sequence(), other.sequence());
            let problem = format!("the other sample was taken with {}", theirs.name());
            return Err(Error::setting("sequence", mine.name(), problem, "take both with the same"));
        }
        self.atoms.extend(other.atoms);
        self.n_structures += other.n_structures;
        self.shorten();
        Ok(())
    }

    /// Refuses a basis that it is not a sample of.
    ///
    /// # Errors
    /// If it is one.
    pub fn check_basis(&self, expansion: &SphericalExpansion) -> Result<()> {
        self.origin.same(&Origin::of(expansion)?)
    }

    /// Structures added.
    pub fn n_structures(&self) -> usize {
        self.n_structures
    }

    /// The atoms it was to hold, at most.
    pub fn n_max(&self) -> usize {
        self.n_max
    }

    /// The files that the structures came from, as far as they are known.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Notes the files that the structures came from, and the shard of their frames that was taken.
    pub fn set_files(&mut self, files: Vec<SourceFile>, shard: Option<Shard>) {
        (self.files, self.shard) = (files, shard);
    }

    /// The shard of its files that this sample is of.
    pub fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// Atoms that are there.
    pub fn n_atoms(&self) -> usize {
        self.chosen().len()
    }

    /// Which centres have so many atoms.
    pub fn sequence(&self) -> Sequence {
        if self.per_species { Sequence::PerSpecies } else { Sequence::Shared }
    }

    /// Whether atoms were left out, of some species or of all.
    pub(super) fn is_cut(&self) -> bool {
        let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
        self.chosen().iter().for_each(|atom| *counts.entry(self.group(atom.species)).or_default() += 1);
        counts.values().any(|&n| n == self.n_max)
    }

    /// What the coefficients are: (+1, l) for each l.
    pub fn keys(&self) -> &[BlockKey] {
        &self.origin.keys
    }

    /// Channels of each l.
    pub fn channels(&self) -> &[Vec<Channel>] {
        &self.origin.channels
    }

    /// Coefficients of the atoms of the sample, by species if there are so many of each, then by key:
    /// `[atom, (block, channel, m)]`.
    pub fn coefficients(&self) -> Array2<f64> {
        self.rows(&self.chosen())
    }

    /// The same of atoms of a species.
    pub(super) fn coefficients_around(&self, center: Option<u8>) -> Array2<f64> {
        let mut atoms = self.chosen();
        atoms.retain(|atom| center.is_none_or(|z| atom.species == z));
        self.rows(&atoms)
    }

    fn rows(&self, atoms: &[&Atom]) -> Array2<f64> {
        let mut c = Array2::zeros((atoms.len(), self.origin.width()));
        for (mut to, atom) in c.axis_iter_mut(Axis(0)).zip(atoms) {
            to.iter_mut().zip(&atom.c).for_each(|(to, c)| *to = *c);
        }
        c
    }

    /// The atoms of the sample, by species if there are so many of each, then by key.
    pub(super) fn chosen(&self) -> Vec<&Atom> {
        let mut atoms: Vec<&Atom> = self.atoms.iter().collect();
        atoms.sort_by(|a, b| self.order(a, b));
        let mut counts = BTreeMap::new();
        atoms.retain(|atom| self.is_among_first(atom.species, &mut counts));
        atoms
    }

    fn shorten(&mut self) {
        let mut atoms = std::mem::take(&mut self.atoms);
        atoms.sort_by(|a, b| self.order(a, b));
        let mut counts = BTreeMap::new();
        atoms.retain(|atom| self.is_among_first(atom.species, &mut counts));
        self.bounds.clear();
        for atom in &atoms {
            let group = self.group(atom.species);
            if counts[&group] >= self.n_max {
                self.bounds.insert(group, atom.key); // the last is the largest
            }
        }
        (self.kept, self.atoms) = (atoms.len(), atoms);
    }

    /// Species that are counted apart, 0 for all.
    fn group(&self, species: u8) -> u8 {
        if self.per_species { species } else { 0 }
    }

    fn bound(&self, species: u8) -> u64 {
        self.bounds.get(&self.group(species)).copied().unwrap_or(u64::MAX)
    }

    fn order(&self, a: &Atom, b: &Atom) -> Ordering {
        self.group(a.species).cmp(&self.group(b.species)).then_with(|| a.order(b))
    }

    /// Whether the next atom of a species in order is one that counts.
    fn is_among_first(&self, species: u8, counts: &mut BTreeMap<u8, usize>) -> bool {
        let count = counts.entry(self.group(species)).or_default();
        *count += 1;
        *count <= self.n_max
    }
}

impl Atom {
    /// By key; atoms of the same key, those of equal structures, by their numbers.
    fn order(&self, other: &Atom) -> Ordering {
        let numbers = || self.c.iter().zip(&other.c).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
        self.key.cmp(&other.key).then_with(|| numbers().unwrap_or(Ordering::Equal))
    }
}

/// A number for each atom that looks random, and depends on nothing but the structure and the index of the atom.
fn keys(structure: &Structure) -> Vec<u64> {
    let of = |digest: Digest| u64::from_str_radix(&digest.hex()[..16], 16).expect("sixteen hexadecimal digits");
    let mut digest = Digest::default();
    digest.structure(structure);
    let of_atom = |atom: usize| {
        let mut digest = digest.clone();
        digest.update((atom as u64).to_le_bytes());
        of(digest)
    };
    (0..structure.len()).map(of_atom).collect()
}

fn row(c: &Equivariants, i: usize) -> Vec<f64> {
    let channels = |(block, channels): (usize, &Vec<Channel>)| (0..channels.len()).map(move |q| (block, q));
    let channels = c.channels.iter().enumerate().flat_map(channels);
    let components = |(block, q): (usize, usize)| (0..c.keys[block].n_components()).map(move |m| (block, q, m));
    channels.flat_map(components).map(|(block, q, m)| c.blocks[block][[i, m, q]]).collect()
}

/// Rows in lanes, eight at a time; zeros complete the last.
pub(super) fn eights(rows: &Array2<f64>) -> Vec<Vec<Lanes>> {
    let eight = |first: usize| {
        let number = |k: usize, lane: usize| rows.get((first + lane, k)).copied().unwrap_or(0.0);
        (0..rows.ncols()).map(|k| std::array::from_fn(|lane| number(k, lane))).collect()
    };
    (0..rows.nrows()).step_by(LANES).map(eight).collect()
}
