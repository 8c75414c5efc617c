//! Rotationally invariant covariance of the density coefficients, Eqs. (6), (11), accumulated over structures.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, s};
use serde::Serialize;

use super::basis::SourceFile;
use super::contraction::Truncation;
use super::settings::{CovarianceSettings, Mixing};
use super::shards::Shard;
use crate::density::{Sigma, SphericalExpansion};
use crate::structure::symbol;
use crate::{Error, Result};

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
    /// The block of structures that is not complete yet.
    pub(super) open: Sums,
    pub(super) n_structures: usize,
    pub(super) files: Vec<SourceFile>,
    pub(super) shard: Option<Shard>,
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
        Ok(Covariance::with_template(settings.clone(), template))
    }

    /// The expansion whose coefficients are accumulated, for these species, which have been added.
    pub(super) fn expansion_of(&self, species: &[u8]) -> SphericalExpansion {
        self.template.for_species(species).expect("species that were accepted")
    }

    /// An empty accumulator with the settings of this one.
    pub(super) fn empty(&self) -> Self {
        Covariance::with_template(self.settings.clone(), self.template.clone())
    }

    fn with_template(settings: CovarianceSettings, template: SphericalExpansion) -> Self {
        Covariance {
            settings,
            template,
            total: Sums::new(),
            open: Sums::new(),
            n_structures: 0,
            files: Vec::new(),
            shard: None,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &CovarianceSettings {
        &self.settings
    }

    /// Structures added so far.
    pub fn n_structures(&self) -> usize {
        self.n_structures
    }

    /// The files that the structures came from, as far as they are known.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Notes the files that the structures came from, and the shard of their frames that was taken.
    pub fn set_files(&mut self, files: Vec<SourceFile>, shard: Option<Shard>) {
        (self.files, self.shard) = (files, shard);
    }

    /// The shard of its files that this accumulator holds.
    pub fn shard(&self) -> Option<Shard> {
        self.shard
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

    /// Adds the sums of another accumulator of other structures: covariances of parts add up to that of the whole. The
    /// order of the sums differs from that of one accumulator for all, and so do the last bits.
    ///
    /// ```text
    /// N C^l = Σ_parts N_part C^l_part
    /// ```
    ///
    /// # Errors
    /// If the settings differ, naming the first that does.
    pub fn merge(&mut self, other: &Covariance) -> Result<()> {
        if let Some((name, mine, theirs)) = self.settings.difference(&other.settings) {
            let problem = format!("the other accumulator was made with {theirs}");
            return Err(Error::setting(name, mine, problem, "accumulate both with the same settings"));
        }
        let open = std::mem::take(&mut self.open);
        for part in [&open, &other.total, &other.open] {
            add_sums(&mut self.total, part);
        }
        self.n_structures += other.n_structures;
        Ok(())
    }

    /// Primitive functions per species at this l.
    pub fn n_functions(&self, l: usize) -> usize {
        self.template.channels()[l].iter().filter(|c| c.species == self.template.species()[0]).count()
    }

    /// Refuses, before any work, a truncation that makes no sense for any set of species: they are known at the end only.
    ///
    /// # Errors
    /// As [`Truncation::validate`].
    pub fn check_truncation(&self, truncation: Truncation) -> Result<()> {
        let n_max = (0..=self.template.l_max()).map(|l| self.n_functions(l)).max().unwrap_or(0);
        match self.settings.mixing {
            Mixing::PerSpecies => truncation.validate(n_max, "per species"),
            Mixing::Combined => truncation.validate(n_max * 118, "of all elements together"),
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

/// Adds what `part` holds to `total`.
pub(super) fn add_sums(total: &mut Sums, part: &Sums) {
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
