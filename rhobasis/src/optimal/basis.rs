//! The optimal basis: contraction coefficients, what they keep, and their direct evaluation, Eqs. (7)-(10), (12), (13), (22).

use ndarray::{Array2, s};

use super::contraction::{Block, Contract, Contraction, PrincipalComponents};
use super::covariance::Covariance;
use super::provenance::{BasisSettings, Provenance};
use super::settings::{CovarianceSettings, Mixing, Truncation};
use crate::density::{
    AroundCenter, BlockKey, Channel, ChannelContraction, ContractionMatrix, Equivariants, ExpansionSettings,
    RadialIntegrals, RadialSource, SphericalExpansion,
};
use crate::extxyz::SourceFile;
use crate::structure::{Structure, symbol, symbols};
use crate::{Error, Result};

/// The contraction of one block of coefficients for one neighbour species, or for all species together.
#[derive(Debug, Clone, PartialEq)]
pub struct ContractionBlock {
    /// Neighbour species; `None` when combined.
    pub species: Option<u8>,
    /// Which block of coefficients.
    pub key: BlockKey,
    /// All eigenvalues, and the rows of U that are kept.
    pub contraction: Contraction,
}

/// The basis around one kind of centre.
#[derive(Debug, Clone, PartialEq)]
pub struct KindOfBasis {
    /// Species of the centre; `None` for all.
    pub center: Option<u8>,
    /// Centres in its covariance.
    pub n_centers: usize,
    /// Species slowest, then l.
    pub blocks: Vec<ContractionBlock>,
}

/// The basis that describes the atom density of a data set in the fewest numbers.
///
/// ```
/// use rhobasis::density::{ExpansionSettings, Primitive};
/// use rhobasis::optimal::{Covariance, CovarianceSettings, OptimalBasis, Truncation};
/// use rhobasis::Structure;
///
/// let expansion = ExpansionSettings { primitive: Primitive::Gto { n_max: 8 }, l_max: 2, ..Default::default() };
/// let settings = CovarianceSettings { expansion, ..Default::default() };
/// let dimer = |d: f64| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]]);
/// let mut covariance = Covariance::new(&settings)?;
/// covariance.add(&[dimer(2.0), dimer(2.3), dimer(2.6)], None)?;
/// let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(2))?;
/// assert!(basis.residual_variance(None)[2] < 0.01); // two functions keep 99 % of the density
/// let c = basis.transform(&[dimer(2.4)])?;
/// assert_eq!(c.blocks[1].dim(), (2, 3, 2)); // centers, m, channels
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct OptimalBasis {
    pub(super) settings: BasisSettings,
    pub(super) species: Vec<u8>,
    pub(super) kinds: Vec<KindOfBasis>,
    pub(super) expansion: SphericalExpansion,
    pub(super) provenance: Provenance,
    pub(super) warnings: Vec<String>,
}

impl OptimalBasis {
    /// Diagonalises a covariance, keeps the channels asked for, and tabulates their radial integrals.
    ///
    /// # Errors
    /// If nothing was accumulated, or more channels are asked for than there are primitive functions.
    pub fn from_covariance(covariance: &Covariance, truncation: Truncation) -> Result<Self> {
        Self::contracted(covariance, truncation, &PrincipalComponents)
    }

    /// As [`OptimalBasis::from_covariance`], with functions found in another way.
    pub(super) fn contracted(covariance: &Covariance, truncation: Truncation, method: &impl Contract) -> Result<Self> {
        Self::with_counts(covariance, truncation, method, |_, blocks| {
            truncation.counts(&blocks.iter().map(|b| &b.contraction).collect::<Vec<_>>())
        })
    }

    /// As many channels of each block as another basis of the same data has.
    pub(super) fn with_counts_of(covariance: &Covariance, other: &OptimalBasis) -> Result<Self> {
        Self::with_counts(covariance, other.settings.truncation, &PrincipalComponents, |center, blocks| {
            let same = other.kinds.iter().find(|k| k.center == center);
            let counts = same.into_iter().flat_map(|k| &k.blocks).map(|block| block.contraction.u.nrows());
            counts.zip(blocks).map(|(count, block)| count.min(block.contraction.n_significant())).collect()
        })
    }

    /// As many channels of each block as `counts_of` says of its kind of centre and what it found.
    pub(super) fn with_counts(
        covariance: &Covariance,
        truncation: Truncation,
        method: &impl Contract,
        counts_of: impl Fn(Option<u8>, &[ContractionBlock]) -> Vec<usize>,
    ) -> Result<Self> {
        let CovarianceSettings { expansion, mixing, center_specific, .. } = covariance.settings().clone();
        let weighting = covariance.settings().weighting_numbers()?.cloned();
        let species = covariance.species();
        if species.is_empty() {
            return Err(Error::setting(
                "structures",
                0,
                "a basis needs at least one structure with at least one atom",
                "give some structures first",
            ));
        }
        covariance.check_truncation(truncation)?;
        let mut warnings = Vec::new();
        let mut kinds = Vec::new();
        for center in covariance.kinds() {
            let mut blocks = contract_blocks(covariance, center, method)?;
            let counts = counts_of(center, &blocks);
            for (block, count) in blocks.iter_mut().zip(counts) {
                if let Truncation::QMax(q) = truncation {
                    let possible = q.min(block.contraction.u.nrows());
                    if count < possible {
                        warnings.push(noise_warning(center, block, count, possible));
                    }
                }
                block.contraction.truncate(count);
            }
            kinds.push(KindOfBasis { center, n_centers: covariance.n_centers(center), blocks });
        }
        if kinds.iter().flat_map(|k| &k.blocks).all(|b| b.contraction.u.nrows() == 0) {
            return Err(Error::setting(
                "structures",
                covariance.n_structures(),
                "their density has no variance at all",
                "check weights and center_weight, or add structures whose atoms have neighbours",
            ));
        }
        let method = method.method();
        let settings = BasisSettings { expansion, mixing, center_specific, weighting, truncation, nu: 1, method };
        let expansion = contracted_expansion(&settings, &species, &kinds)?;
        let provenance = Provenance {
            rhobasis: env!("CARGO_PKG_VERSION").into(),
            n_structures: covariance.n_structures(),
            files: covariance.files().to_vec(),
            retained: Vec::new(),
            energy_r2: None,
        };
        Ok(OptimalBasis { settings, species, kinds, expansion, provenance, warnings })
    }

    /// This basis, marked as one for correlations of order ν.
    pub(super) fn adapted_to(mut self, nu: usize, retained: Vec<f64>) -> Self {
        (self.settings.nu, self.provenance.retained) = (nu, retained);
        self
    }

    /// Notes the files that the structures came from.
    pub fn set_files(&mut self, files: Vec<SourceFile>) {
        self.provenance.files = files;
    }

    /// Mean of Σ c² over centres and the channels that are kept.
    pub(super) fn mean_kept_norm(&self) -> f64 {
        let (mut sum, mut n_centers) = (0.0, 0);
        for kind in &self.kinds {
            for ContractionBlock { contraction, .. } in &kind.blocks {
                sum += kind.n_centers as f64 * contraction.eigenvalues[..contraction.u.nrows()].iter().sum::<f64>();
            }
            n_centers += kind.n_centers;
        }
        sum / n_centers.max(1) as f64
    }

    /// How the basis was made.
    pub fn settings(&self) -> &BasisSettings {
        &self.settings
    }

    /// Where its covariance came from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Neighbour species, ascending.
    pub fn species(&self) -> &[u8] {
        &self.species
    }

    /// One entry, or one for each species of centre.
    pub fn kinds(&self) -> &[KindOfBasis] {
        &self.kinds
    }

    /// What the user should know: channels that were asked for but are noise.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The evaluator of Eqs. (8) and (13): `forward`, `backward`.
    pub fn expansion(&self) -> &SphericalExpansion {
        &self.expansion
    }

    /// Coefficients in this basis, summed over neighbours directly, Eqs. (8), (13).
    ///
    /// # Errors
    /// As [`SphericalExpansion::forward`].
    pub fn transform(&self, structures: &[Structure]) -> Result<Equivariants> {
        self.expansion.forward(structures)
    }

    /// The contraction of coefficients in its primitive basis, Eqs. (7), (12), with derivatives by them and by U.
    ///
    /// ```
    /// # use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
    /// # use rhobasis::optimal::{Covariance, CovarianceSettings, OptimalBasis, Truncation};
    /// # use rhobasis::Structure;
    /// # let expansion = ExpansionSettings { primitive: Primitive::Gto { n_max: 8 }, l_max: 1, ..Default::default() };
    /// # let settings = CovarianceSettings { expansion, ..Default::default() };
    /// # let frames = [2.0, 2.3].map(|d| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]]));
    /// # let mut covariance = Covariance::new(&settings)?;
    /// # covariance.add(&frames, None)?;
    /// # let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(2))?;
    /// let primitive = SphericalExpansion::new(&settings.expansion, basis.species())?.forward(&frames)?;
    /// let contracted = basis.contraction().forward(&primitive)?;
    /// let directly = basis.transform(&frames)?; // Eq. (8), to the accuracy of the splines
    /// assert!((&contracted.blocks[1] - &directly.blocks[1]).iter().all(|difference| difference.abs() < 1e-7));
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    pub fn contraction(&self) -> ChannelContraction {
        let (mut channels, mut matrices) = (vec![Vec::new(); self.settings.expansion.l_max + 1], Vec::new());
        for (k, kind) in self.kinds.iter().enumerate() {
            for ContractionBlock { species, key, contraction: Contraction { u, .. } } in &kind.blocks {
                if k == 0 {
                    let of = species.as_ref().map_or(&self.species[..], std::slice::from_ref);
                    let n = u.ncols() / of.len();
                    channels[key.lambda]
                        .extend(of.iter().flat_map(|&z| (0..n).map(move |n| Channel { species: z, n })));
                }
                if u.ncols() > 0 {
                    let matrix =
                        ContractionMatrix { center: kind.center, species: *species, block: *key, u: u.clone() };
                    matrices.push(matrix);
                }
            }
        }
        let keys: Vec<BlockKey> = (0..channels.len()).map(BlockKey::density).collect();
        ChannelContraction::new(&keys, &channels, matrices).expect("one matrix for each block of the basis")
    }

    /// The basis around this kind of centre (`None` unless centre-specific).
    ///
    /// # Errors
    /// If there is none, naming those there are.
    pub fn kind(&self, center: Option<u8>) -> Result<&KindOfBasis> {
        self.kinds.iter().find(|k| k.center == center).ok_or_else(|| {
            let known: Vec<u8> = self.kinds.iter().filter_map(|k| k.center).collect();
            let remedy = if known.is_empty() {
                "this basis is the same for all centres: name none".to_string()
            } else {
                format!("name one of {}", symbols(&known))
            };
            Error::setting("center", center.map_or("none", symbol), "there is no basis for such centres", remedy)
        })
    }

    /// Residual variance, Eq. (22), when q channels are kept of each (a, l), or of each l when combined: entry q of the
    /// result, q = 0 … n.
    ///
    /// ```text
    /// RV(q) = 1 − Σ_{a,l} Σ_{q′ ≤ q} λ_q′ / Σ_{a,l} Σ_q′ λ_q′
    /// ```
    ///
    /// with λ_q the variance that function q keeps, an eigenvalue of the covariance or, of Eq. (14), (U C Uᵀ)_qq. Of a basis
    /// made with a [`Weighting`](super::Weighting), it is the variance of the weighted density, not of the one that features
    /// are made of.
    ///
    /// Centre-specific bases: `center` names one kind, or `None` averages over all centres. Empty if there is no such kind.
    pub fn residual_variance(&self, center: Option<u8>) -> Vec<f64> {
        let kinds = self.kinds.iter().filter(|k| center.is_none() || k.center == center);
        let mut by_q: Vec<f64> = Vec::new();
        if !self.kinds.iter().any(|k| center.is_none() || k.center == center) {
            return by_q;
        }
        for kind in kinds {
            for block in &kind.blocks {
                let eigenvalues = &block.contraction.eigenvalues;
                by_q.resize(by_q.len().max(eigenvalues.len()), 0.0);
                by_q.iter_mut().zip(eigenvalues).for_each(|(sum, e)| *sum += e * kind.n_centers as f64);
            }
        }
        // Summed from the smallest up: what is left is not the difference of two large numbers.
        let mut left = vec![0.0; by_q.len() + 1];
        for q in (0..by_q.len()).rev() {
            left[q] = left[q + 1] + by_q[q];
        }
        let total = if left[0] > 0.0 { left[0] } else { 1.0 };
        left.iter().map(|rest| rest / total).collect()
    }

    /// Of what the variances are: the density, or the weighted density.
    pub fn density_of_variances(&self) -> &'static str {
        if self.settings.weighting.is_some() { "weighted density" } else { "density" }
    }

    /// Fraction of the variance that the channels of this basis leave out, over all centres; of the weighted density, as
    /// [`OptimalBasis::residual_variance`].
    pub fn discarded_variance(&self) -> f64 {
        let (mut left, mut total) = (0.0, 0.0);
        for kind in &self.kinds {
            for ContractionBlock { contraction, .. } in &kind.blocks {
                let n = kind.n_centers as f64;
                total += n * contraction.eigenvalues.iter().sum::<f64>();
                left += n * contraction.eigenvalues[contraction.u.nrows()..].iter().sum::<f64>();
            }
        }
        if total > 0.0 { left / total } else { 0.0 }
    }

    /// Radial functions and integrals of neighbours of `species` around this kind of centre, Eqs. (9), (10).
    ///
    /// # Errors
    /// If there is no such centre or neighbour species.
    pub fn radial_integrals(&self, center: Option<u8>, species: u8) -> Result<RadialIntegrals> {
        let kind = self.kind(center)?;
        contracted_integrals(&self.settings, &self.species, kind, species)
    }

    /// Radial functions ⟨x|aql; opt⟩ of one neighbour species and l, Eq. (10): `[x, q]`, in Å^(−3/2).
    ///
    /// # Errors
    /// As [`OptimalBasis::radial_integrals`].
    pub fn radial_functions(&self, center: Option<u8>, species: u8, l: usize, x: &[f64]) -> Result<Array2<f64>> {
        let integrals = self.radial_integrals(center, species)?;
        if l > integrals.l_max() {
            let problem = format!("this basis ends at l_max = {}", integrals.l_max());
            return Err(Error::setting("l", l, problem, "use a smaller l"));
        }
        let rows: Vec<f64> = x.iter().flat_map(|&x| integrals.functions(l, x)).collect();
        Ok(Array2::from_shape_vec((x.len(), integrals.n_functions(l)), rows).expect("one row for each x"))
    }
}

/// U of each block around one kind of centre.
fn contract_blocks(
    covariance: &Covariance,
    center: Option<u8>,
    method: &impl Contract,
) -> Result<Vec<ContractionBlock>> {
    let all = covariance.species();
    let n_centers = covariance.n_centers(center);
    let mut blocks = Vec::new();
    for species in covariance.settings().mixing.contracted_together(&all) {
        for l in 0..=covariance.settings().expansion.l_max {
            let key = BlockKey::density(l);
            let owner = covariance.settings().mixing.owner(species);
            let matrix = covariance.matrix(center, l, species);
            let block = Block { center, n_centers, key, species, owner, covariance: matrix };
            if block.covariance.iter().any(|x| !x.is_finite()) {
                return Err(Error::setting(
                    "covariance",
                    format!("l = {l}"),
                    "a sum of squares has overflowed",
                    "scale the weights or center_weight down",
                ));
            }
            blocks.push(ContractionBlock { species: owner, key, contraction: method.contract(&block) });
        }
    }
    Ok(blocks)
}

/// Channels over all blocks and kinds of centre that a truncation keeps of a covariance.
pub(super) fn channel_counts(covariance: &Covariance, truncation: Truncation) -> Result<usize> {
    let mut n = 0;
    for center in covariance.kinds() {
        let blocks = contract_blocks(covariance, center, &PrincipalComponents)?;
        n += truncation.counts(&blocks.iter().map(|b| &b.contraction).collect::<Vec<_>>()).iter().sum::<usize>();
    }
    Ok(n)
}

/// The direct evaluation of Eqs. (8), (13) for these contractions.
pub(super) fn contracted_expansion(
    settings: &BasisSettings,
    species: &[u8],
    kinds: &[KindOfBasis],
) -> Result<SphericalExpansion> {
    let kinds = kinds
        .iter()
        .map(|kind| {
            let radials = species
                .iter()
                .map(|&z| Ok(RadialSource::Integrals(contracted_integrals(settings, species, kind, z)?)))
                .collect::<Result<_>>()?;
            Ok(AroundCenter { center: kind.center, radials })
        })
        .collect::<Result<_>>()?;
    let ExpansionSettings { density, spline_accuracy, .. } = &settings.expansion;
    let combined = settings.mixing == Mixing::Combined;
    SphericalExpansion::contracted(density.clone(), *spline_accuracy, None, combined, species, kinds)
}

/// Eq. (9) for neighbours of species z: Σ_n U_{q;zn} ⟨nl|r; g⟩.
fn contracted_integrals(
    settings: &BasisSettings,
    species: &[u8],
    kind: &KindOfBasis,
    z: u8,
) -> Result<RadialIntegrals> {
    let place = species.iter().position(|&a| a == z).ok_or_else(|| {
        let problem = format!("not among the species of this basis ({})", symbols(species));
        Error::setting("species", symbol(z), problem, "name one of these")
    })?;
    let ExpansionSettings { density, primitive, l_max, .. } = &settings.expansion;
    let integrals = RadialIntegrals::new(primitive, density.r_cut, density.sigma.of(z)?, *l_max)?;
    let u: Vec<Array2<f64>> = (0..=*l_max)
        .map(|l| {
            let block = kind
                .blocks
                .iter()
                .find(|b| b.key == BlockKey::density(l) && (b.species.is_none() || b.species == Some(z)))
                .expect("a block for each species and l");
            let n = integrals.n_functions(l);
            match block.species {
                Some(_) => block.contraction.u.clone(),
                None => block.contraction.u.slice(s![.., place * n..(place + 1) * n]).to_owned(),
            }
        })
        .collect();
    Ok(integrals.contract(&u))
}

fn noise_warning(center: Option<u8>, block: &ContractionBlock, count: usize, asked: usize) -> String {
    let around = center.map_or(String::new(), |z| format!(" around {}", symbol(z)));
    let of = block.species.map_or(String::new(), |z| format!(" of {} neighbours", symbol(z)));
    format!(
        "l = {}{of}{around}: {count} of {asked} channels kept, the other eigenvalues are noise (below 1e-14 of the largest)",
        block.key.lambda
    )
}
