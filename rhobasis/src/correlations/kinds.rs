//! The kinds of invariant features, by name, and what can be said of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bispectrum::Bispectrum;
use super::by_center::ByCenter;
use super::combinations::{Block, Combinations};
use super::correlation::Correlation;
use super::invariants::Invariants;
use super::leading::{OfPart, Part};
use super::mixed::Mixed;
use super::nice::{Nice, NiceSample, NiceSettings};
use super::normalize::Normalized;
use super::power_spectrum::PowerSpectrum;
use super::radial_spectrum::RadialSpectrum;
use super::weighted::Weighted;
use crate::density::{BlockKey, Channel, SphericalExpansion};
use crate::settings::{Given, Named, Range, Setting, Source, named};
use crate::structure::Structure;
use crate::{Error, Result};

named! {
    /// Which invariants are made of the coefficients.
    pub enum FeatureKind {
        /// Coefficients of l = 0
        RadialSpectrum = "radial-spectrum",
        /// Invariants of pairs of coefficients, Eq. (15)
        PowerSpectrum = "power-spectrum",
        /// Invariants of three coefficients, Eq. (16); there are many of them
        Bispectrum = "bispectrum",
        /// Invariants of one to ν neighbours at a time, Eq. (16), of which a fit chooses
        Nice = "nice",
    }
}

static KIND: Setting =
    Setting::word("kind", FeatureKind::WORDS, "power-spectrum", "Which invariants are made of the coefficients");
static NORMALIZE: Setting = Setting::flag("normalize", Given::Nothing).says(
    "Whether the features of each atom are divided by their norm: by default for kernels, not for linear models",
    "leave it out for the default of the model",
);
static Q_MAX: Setting = Setting::count("q_max", Range::AtLeast(1.0), Given::Nothing).says(
    "Channels of each species and l of the basis that the features are made of, the leading ones; all by default",
    "leave it out for all channels of the basis",
);
static L_MAX: Setting = Setting::count("l_max", Range::NotNegative, Given::Nothing).says(
    "Largest l of the basis that the features are made of; that of the basis by default",
    "leave it out for all of the basis",
);
static WEIGHT: Setting = Setting::number("weight", "", Range::PositiveWithin(1e-60, 1e60), Given::Number(1.0)).says(
    "What the features are multiplied by: more lets them count more beside features of other kinds",
    "1 is the default",
);

/// Features of one kind: what they are made of, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Which invariants.
    pub kind: FeatureKind,
    /// Whether each row is divided by its norm: default for kernels, not for linear models.
    pub normalize: bool,
    /// Components `[l, α, β]` of a power spectrum; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<[usize; 3]>>,
    /// How many of the channels of each species and l they are made of, the leading ones; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q_max: Option<usize>,
    /// The largest l that they are made of; that of the basis if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l_max: Option<usize>,
    /// What they are multiplied by, after normalisation.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f64,
    /// How NICE is built; of other kinds, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<NiceSettings>,
    /// What it was fitted to be, if it was. Files hold it apart.
    #[serde(skip)]
    pub fitted: Option<Arc<Nice>>,
}

/// Structures whose coefficients are there at once while a sample is taken.
const AT_ONCE: usize = 64;

fn one() -> f64 {
    1.0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde has it
fn is_one(weight: &f64) -> bool {
    *weight == 1.0
}

impl Member {
    /// Of everything, times one.
    pub fn new(kind: FeatureKind, normalize: bool) -> Self {
        let nice = (kind == FeatureKind::Nice).then(NiceSettings::default);
        Member { kind, normalize, columns: None, q_max: None, l_max: None, weight: 1.0, nice, fitted: None }
    }

    /// What is given of it, with all columns, `normalize` being what holds if nothing is said about it.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn read(given: Source, normalize: bool) -> Result<Self> {
        let kind = KIND.read(given)?;
        Ok(Member {
            kind,
            normalize: NORMALIZE.read::<Option<bool>>(given)?.unwrap_or(normalize),
            columns: None,
            q_max: Q_MAX.read(given)?,
            l_max: L_MAX.read(given)?,
            weight: WEIGHT.read(given)?,
            nice: (kind == FeatureKind::Nice).then(|| NiceSettings::read(given)).transpose()?,
            fitted: None,
        })
    }

    /// Fits NICE to structures, unless that was done; nothing of other kinds.
    ///
    /// # Errors
    /// As [`NiceSample::add`] and [`Nice::fit`].
    pub fn fit(&mut self, expansion: &SphericalExpansion, structures: &[Structure]) -> Result<()> {
        let Some(settings) = self.nice.as_ref().filter(|_| self.fitted.is_none()) else { return Ok(()) };
        let mut sample = NiceSample::for_fit(expansion, settings)?;
        structures.chunks(AT_ONCE).try_for_each(|structures| sample.add(structures))?;
        self.fit_to(&sample)
    }

    /// Fits NICE to a sample.
    ///
    /// # Errors
    /// As [`Nice::fit`].
    pub fn fit_to(&mut self, sample: &NiceSample) -> Result<()> {
        if let Some(settings) = &self.nice {
            self.fitted = Some(Arc::new(Nice::fit_to_part(settings, sample, self.q_max, self.l_max)?));
        }
        Ok(())
    }

    /// The settings that are read of it, columns apart.
    pub fn settings() -> [&'static Setting; 5] {
        [&KIND, &NORMALIZE, &Q_MAX, &L_MAX, &WEIGHT]
    }

    /// The stage from coefficients to what these features are combinations of, and the blocks of these.
    /// Around centres of a species, if what is made differs with it.
    fn correlation(
        &self,
        expansion: &SphericalExpansion,
        center: Option<u8>,
    ) -> Result<(Arc<dyn Correlation>, Vec<Block>)> {
        WEIGHT.check(self.weight)?;
        if let Some(columns) = &self.columns
            && self.kind != FeatureKind::PowerSpectrum
        {
            let problem = "only of a power spectrum some components can be computed without the rest";
            let value = format!("{} rows", columns.len());
            return Err(Error::setting("columns", value, problem, "use power-spectrum, or leave columns out"));
        }
        let (keys, channels) = (expansion.keys(), expansion.channels());
        let Some(part) = Part::new(keys, channels, self.q_max, self.l_max)? else {
            return self.scaled(self.stage(keys, channels, self.columns.as_deref(), center)?);
        };
        let columns = self.columns.as_deref().map(|columns| part.components(columns)).transpose()?;
        let (of, blocks) = self.scaled(self.stage(part.keys(), part.channels(), columns.as_deref(), center)?)?;
        Ok((Arc::new(OfPart { part, of }), blocks))
    }

    /// The stage of this kind, of coefficients in these blocks; `columns` are components of a power spectrum.
    fn stage(
        &self,
        keys: &[BlockKey],
        channels: &[Vec<Channel>],
        columns: Option<&[[usize; 3]]>,
        center: Option<u8>,
    ) -> Result<Arc<dyn Correlation>> {
        Ok(match self.kind {
            FeatureKind::RadialSpectrum => Arc::new(RadialSpectrum::new(keys, channels)),
            FeatureKind::PowerSpectrum => Arc::new(PowerSpectrum::new(keys, channels, columns)?),
            FeatureKind::Bispectrum => Arc::new(Bispectrum::new(keys, channels)?),
            FeatureKind::Nice => match &self.fitted {
                Some(nice) => {
                    if let Some((name, before, now)) = self.nice.as_ref().and_then(|s| nice.settings().difference(s)) {
                        let problem = format!("the products were chosen with {before}");
                        return Err(Error::setting(name, now, problem, "fit anew, or leave it as it was"));
                    }
                    nice.features(keys, channels, center, self.normalize)?
                }
                None => {
                    let problem = "its products are chosen by data, and it was not fitted to any";
                    return Err(Error::setting("kind", "nice", problem, "fit it first"));
                }
            },
        })
    }

    /// Normalised or weighted, with the blocks of what is combined; norms are of combined features.
    fn scaled(&self, of: Arc<dyn Correlation>) -> Result<(Arc<dyn Correlation>, Vec<Block>)> {
        let blocks = match &self.fitted {
            Some(nice) if !self.normalize => nice.combinations(),
            _ => vec![Block::plain(of.n_features())],
        };
        let scaled: Arc<dyn Correlation> = match (self.normalize, self.weight) {
            (true, norm) => Arc::new(Normalized { of, norm }),
            (false, 1.0) => of,
            (false, factor) => Arc::new(Weighted { of, factor }),
        };
        Ok((scaled, blocks))
    }
}

impl Invariants {
    /// Features of one kind, or of several beside each other, which then are made of the same coefficients: columns
    /// `[member, …]`, members counted from 0, with the fields of each, and zeros up to the length of the longest.
    ///
    /// ```
    /// use rhobasis::correlations::{FeatureKind, Invariants, Member};
    /// use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
    ///
    /// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 4, ..Default::default() };
    /// let expansion = SphericalExpansion::new(&settings, &[14])?;
    /// let pairs = Member::new(FeatureKind::PowerSpectrum, false);
    /// let triples = Member { q_max: Some(2), l_max: Some(2), ..Member::new(FeatureKind::Bispectrum, false) };
    /// let both = Invariants::of_members(&expansion, &[pairs, triples.clone()])?;
    /// let n_triples = Invariants::of_members(&expansion, &[triples])?.n_features();
    /// assert_eq!(both.n_features(), 5 * 10 + n_triples);
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no member; if one asks for more than the basis has, for columns that do not exist, or for columns of a kind that
    /// has them only all.
    pub fn of_members(expansion: &SphericalExpansion, members: &[Member]) -> Result<Self> {
        let differ = members.iter().filter_map(|member| member.fitted.as_ref()).any(|nice| nice.is_per_species());
        let (correlation, combinations) = if differ {
            let around = |&z: &u8| Ok((z, made(expansion, members, Some(z))?));
            let of: BTreeMap<u8, _> = expansion.species().iter().map(around).collect::<Result<_>>()?;
            let combinations = of.values().next().and_then(|(_, combinations)| combinations.clone());
            let of = of.into_iter().map(|(z, (correlation, _))| (z, correlation)).collect();
            let of = ByCenter::differing(of).ok_or_else(|| {
                Error::setting("species", "[]", "the basis knows no species of centres", "fit it to some structures")
            })?;
            (of, combinations)
        } else {
            let (correlation, combinations) = made(expansion, members, None)?;
            (ByCenter::alike(correlation), combinations)
        };
        let combinations = combinations.map(Arc::new);
        Ok(Invariants { expansion: expansion.clone(), correlation, combinations, pool: Arc::default() })
    }

    /// NICE, ν = 1 … ν_max: invariants of each order, after those of the order before. Columns `[ν, k]`.
    ///
    /// ```text
    /// z = s (2l + 1)^(−1/2) Σ_m A_lm B_lm,      x = Vᵀ z
    /// ```
    ///
    /// A and B are equivariants of lower orders, s and V what the fit has chosen; V is left out where nothing is.
    ///
    /// # Errors
    /// If it was fitted to coefficients of another basis.
    pub fn nice(expansion: &SphericalExpansion, nice: &Nice, normalize: bool) -> Result<Self> {
        let member = Member {
            nice: Some(nice.settings().clone()),
            fitted: Some(Arc::new(nice.clone())),
            ..Member::new(FeatureKind::Nice, normalize)
        };
        Invariants::of_members(expansion, &[member])
    }
}

/// What features of members beside each other are made of, around centres of a species if they differ with it, and how they are
/// combined of that, which does not.
fn made(
    expansion: &SphericalExpansion,
    members: &[Member],
    center: Option<u8>,
) -> Result<(Arc<dyn Correlation>, Option<Combinations>)> {
    let made = members.iter().map(|member| member.correlation(expansion, center)).collect::<Result<Vec<_>>>()?;
    let (mut correlations, blocks): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    let correlation = match correlations.len() {
        0 => return Err(Error::setting("kind", "[]", "there are no features", "give one kind or more")),
        1 => correlations.swap_remove(0),
        _ => Arc::new(Mixed::new(correlations)),
    };
    Ok((correlation, Combinations::new(blocks.concat())))
}
