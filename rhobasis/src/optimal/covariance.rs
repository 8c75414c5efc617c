//! Rotationally invariant covariance of the density coefficients, Eqs. (6), (11), accumulated over structures.

use std::collections::BTreeSet;

use ndarray::Array2;

use super::accumulate::{Buffers, CENTERS};
use super::gram::Gram;
use super::settings::{CovarianceSettings, Mixing, Truncation};
use crate::density::{BlockKey, Sigma, SphericalExpansion};
use crate::extxyz::{Shard, SourceFile};
use crate::stream::{Stream, parts};
use crate::structure::Structure;
use crate::{Error, Result};

impl Mixing {
    /// Species whose channels are contracted together, of these.
    pub(super) fn contracted_together(self, species: &[u8]) -> std::slice::Chunks<'_, u8> {
        species.chunks(if self == Mixing::Combined { species.len().max(1) } else { 1 })
    }

    /// Whose name a block of channels of these species bears; `None` when combined.
    pub(super) fn owner(self, species: &[u8]) -> Option<u8> {
        species.first().copied().filter(|_| self == Mixing::PerSpecies)
    }
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
    /// Expansion, weighted where that is asked for, that knows every species `sigma` allows; cut down to those of each structure.
    pub(super) template: SphericalExpansion,
    pub(super) sums: Stream<Gram>,
    pub(super) files: Vec<SourceFile>,
    pub(super) shard: Option<Shard>,
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
        let mut template = SphericalExpansion::new(&settings.expansion, &species)?;
        if let Some(u) = settings.weighting_numbers()? {
            template = template.weighted_by(u);
        }
        Ok(Covariance::with_template(settings.clone(), template))
    }

    /// An empty accumulator with the settings of this one.
    pub(super) fn empty(&self) -> Self {
        Covariance::with_template(self.settings.clone(), self.template.clone())
    }

    fn with_template(settings: CovarianceSettings, template: SphericalExpansion) -> Self {
        Covariance { settings, template, sums: Stream::new(Gram::default()), files: Vec::new(), shard: None }
    }

    /// Adds structures, in parallel; `weights` holds one non-negative number for each centre (Eq. 21).
    ///
    /// # Errors
    /// For the first structure that is refused, named by its index since the accumulator was made; nothing of this call is
    /// then added.
    pub fn add(&mut self, structures: &[Structure], weights: Option<&[f64]>) -> Result<()> {
        check_weights(structures, weights)?;
        let Covariance { settings, template, sums, .. } = self;
        sums.add(
            structures,
            CENTERS,
            || Buffers::new(template),
            |part, sum, buffers| {
                buffers.add_part(settings, template, part, weights.map(|weights| &weights[part.rows.clone()]), sum)
            },
        )
    }

    /// Adds the first centres of a structure only, at most `n`.
    ///
    /// # Errors
    /// As [`Covariance::add`].
    pub(super) fn add_some_centers(&mut self, structure: &Structure, n: usize) -> Result<()> {
        let mut buffers = Buffers::new(&self.template);
        let mut parts = parts(self.sums.n_structures, structure, 0, CENTERS).take_while(|part| part.centers.end <= n);
        parts.try_for_each(|part| buffers.add_part(&self.settings, &self.template, &part, None, &mut self.sums.total))
    }

    /// The settings.
    pub fn settings(&self) -> &CovarianceSettings {
        &self.settings
    }

    /// Structures added so far.
    pub fn n_structures(&self) -> usize {
        self.sums.n_structures
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
        let centers: BTreeSet<u8> = self.grams().into_iter().flat_map(|gram| gram.n_centers.keys().copied()).collect();
        centers.into_iter().map(|z| (z > 0).then_some(z)).collect()
    }

    /// Centres of a kind.
    pub fn n_centers(&self, center: Option<u8>) -> usize {
        self.grams().into_iter().filter_map(|gram| gram.n_centers.get(&center.unwrap_or(0))).sum()
    }

    /// Neighbour species seen, ascending.
    pub fn species(&self) -> Vec<u8> {
        let species: BTreeSet<u8> = self.grams().into_iter().flat_map(Gram::species).collect();
        species.into_iter().collect()
    }

    /// Of complete blocks of structures, and of the open one.
    fn grams(&self) -> [&Gram; 2] {
        [&self.sums.total, &self.sums.open]
    }

    /// Refuses a truncation that no basis of this accumulator can have, as far as the species are known.
    ///
    /// # Errors
    /// As [`Truncation::validate`].
    pub fn check_truncation(&self, truncation: Truncation) -> Result<()> {
        let n_max = (0..=self.template.l_max()).map(|l| self.n_functions(l)).max().unwrap_or(0);
        let species = self.species().len();
        match (self.settings.mixing, species) {
            (Mixing::PerSpecies, _) => truncation.validate(n_max, "per species"),
            // More may come: what no set of species allows.
            (Mixing::Combined, 0) => truncation.validate(n_max * 118, "of all elements together"),
            (Mixing::Combined, n) => truncation.validate(n_max * n, "of all species together"),
        }
    }

    /// The leading functions of each block, as many as are asked for or there are.
    pub fn leading(&self, q: usize) -> Truncation {
        let n_max = (0..=self.template.l_max()).map(|l| self.n_functions(l)).max().unwrap_or(0);
        let of_block = if self.settings.mixing == Mixing::Combined { self.species().len() } else { 1 };
        Truncation::QMax(q.min(n_max * of_block))
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
        self.sums.merge(&other.sums);
        Ok(())
    }

    /// Primitive functions per species at this l.
    pub fn n_functions(&self, l: usize) -> usize {
        self.template.channels()[l].iter().filter(|c| c.species == self.template.species()[0]).count()
    }

    /// The covariance of one kind of centre and one l, Eq. (11): `[(a, n), (a′, n′)]` over `species`, ascending, n fastest.
    /// With [`Mixing::PerSpecies`], only the diagonal blocks (Eq. 6) are filled.
    pub fn matrix(&self, center: Option<u8>, l: usize, species: &[u8]) -> Array2<f64> {
        let mut c = self.sum(center, l, species);
        c /= self.n_centers(center).max(1) as f64;
        c
    }

    /// The blocks that are contracted, around one kind of centre: neighbour species (`None` when combined), l, and
    /// [`Covariance::matrix`], species slowest.
    pub fn blocks(&self, center: Option<u8>) -> Vec<(Option<u8>, usize, Array2<f64>)> {
        let all = self.species();
        let of = |species| (0..=self.settings.expansion.l_max).map(move |l| (species, l));
        let blocks = self.settings.mixing.contracted_together(&all).flat_map(of);
        blocks.map(|(z, l)| (self.settings.mixing.owner(z), l, self.matrix(center, l, z))).collect()
    }

    /// N times [`Covariance::matrix`].
    pub(super) fn sum(&self, center: Option<u8>, l: usize, species: &[u8]) -> Array2<f64> {
        let n = self.n_functions(l);
        let mut sum = Array2::zeros((n * species.len(), n * species.len()));
        for gram in self.grams() {
            gram.add_matrix(center.unwrap_or(0), BlockKey::density(l), species, n, &mut sum);
        }
        sum
    }
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
