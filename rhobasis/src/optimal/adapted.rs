//! A basis for correlations of order ν: the weighted covariance of Eq. (21), and the projector that keeps most of Σ_i |c_i|^{2ν}.

use super::basis::OptimalBasis;
use super::covariance::Covariance;
use super::settings::{CovarianceSettings, NU, Truncation};
use crate::density::SphericalExpansion;
use crate::structure::Structure;
use crate::{Error, Result};

/// Sweeps after which nothing more is gained, if not before.
const MOST_SWEEPS: usize = 30;
/// Relative gain of the objective that is not worth another sweep.
const GAIN: f64 = 1e-6;
/// Atoms whose coefficients are there at once, or one structure.
const ATOMS_AT_ONCE: usize = 4096;

/// Finds the projector P of a basis that keeps the most of the ν-spectrum of a data set, by principal components with
/// weights, Eq. (21):
///
/// ```text
/// maximise Σ_i |P c_i|^{2ν}:   P ← leading eigenvectors of Σ_i w_i c_i c_iᵀ,   w_i = (|P c_i|² / s)^(ν−1)
/// ```
///
/// sweep by sweep, each a pass over the data, beginning with w_i = 1. The number of channels of each block (a, l) is chosen
/// by the first, unweighted sweep and stays. The objective is convex in P and the next P maximises its tangent among
/// projectors of these ranks: no sweep can lower it. s, the mean of |P c_i|² in the first basis, only keeps the numbers
/// small; eigenvalues are those of the weighted covariance. With a [`Weighting`](super::Weighting), all c_i are those of the
/// density that it weights.
///
/// ```
/// # use rhobasis::density::{ExpansionSettings, Primitive};
/// # use rhobasis::optimal::{Adaptation, CovarianceSettings, Truncation};
/// # use rhobasis::Structure;
/// # let expansion = ExpansionSettings { primitive: Primitive::Gto { n_max: 6 }, l_max: 1, ..Default::default() };
/// # let settings = CovarianceSettings { expansion, ..Default::default() };
/// # let dimers: Vec<_> = [2.0, 2.5, 3.0].map(|d| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]])).into();
/// let mut adaptation = Adaptation::new(&settings, Truncation::QMax(1), 3)?;
/// loop {
///     adaptation.add(&dimers)?; // all structures, in any number of calls
///     if adaptation.finish_sweep()? {
///         break;
///     }
/// }
/// let retained = adaptation.retained(); // after each sweep
/// assert!(retained.windows(2).all(|pair| pair[1] >= pair[0] * (1.0 - 1e-12)));
/// let basis = adaptation.into_basis()?;
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug)]
pub struct Adaptation {
    truncation: Truncation,
    nu: usize,
    /// Of the sweep at work.
    covariance: Covariance,
    /// What the last sweep has found.
    found: Option<Found>,
    /// Σ_i (|P c_i|²/s)^ν in its basis, and Σ_i (|c_i|²/s)^ν.
    kept: f64,
    all: f64,
    retained: Vec<f64>,
}

/// What a sweep finds.
#[derive(Debug)]
struct Found {
    basis: OptimalBasis,
    /// That of the basis, of the density that the covariance is of.
    expansion: SphericalExpansion,
    /// s.
    scale: f64,
}

impl Adaptation {
    /// # Errors
    /// For settings outside their range, and ν = 0.
    pub fn new(settings: &CovarianceSettings, truncation: Truncation, nu: usize) -> Result<Self> {
        NU.check(nu)?;
        let covariance = Covariance::new(settings)?;
        covariance.check_truncation(truncation)?;
        Ok(Adaptation { truncation, nu, covariance, found: None, kept: 0.0, all: 0.0, retained: Vec::new() })
    }

    /// Adds structures to the sweep at work. The result has the same bits however they are cut into calls.
    ///
    /// # Errors
    /// For the first structure that is refused, named by its index since the sweep began; nothing of this call is then added.
    pub fn add(&mut self, structures: &[Structure]) -> Result<()> {
        let Some(Found { basis, expansion, scale }) = &self.found else { return self.covariance.add(structures, None) };
        let before = self.covariance.n_structures();
        let kept = squared_norms(expansion, structures, before)?;
        let all = if self.retained.is_empty() {
            let whole = self.covariance.template.for_species(basis.species()).expect("species of the sweep before");
            squared_norms(&whole, structures, before)?
        } else {
            Vec::new()
        };
        let power = self.nu as i32;
        let weights: Vec<f64> = kept.iter().map(|norm| (norm / scale).powi(power - 1)).collect();
        self.covariance.add(structures, Some(&weights))?;
        // One by one: the same bits however structures are cut into calls.
        kept.iter().for_each(|norm| self.kept += (norm / scale).powi(power));
        all.iter().for_each(|norm| self.all += (norm / scale).powi(power));
        Ok(())
    }

    /// Ends a sweep; whether it was the last, after which there is nothing to be added.
    ///
    /// # Errors
    /// As [`OptimalBasis::from_covariance`], and if other structures were added than in the sweep before.
    pub fn finish_sweep(&mut self) -> Result<bool> {
        let next = self.covariance.empty();
        let covariance = std::mem::replace(&mut self.covariance, next);
        let Some(Found { basis, expansion, scale }) = self.found.take() else {
            let basis = OptimalBasis::from_covariance(&covariance, self.truncation)?;
            let scale = basis.mean_kept_norm();
            self.found = Some(Found::new(basis, if scale > 0.0 { scale } else { 1.0 }));
            return Ok(self.nu == 1);
        };
        if covariance.n_structures() != basis.provenance().n_structures {
            let problem = format!("the sweep before had {}", basis.provenance().n_structures);
            return Err(Error::setting("structures", covariance.n_structures(), problem, "add the same in each sweep"));
        }
        let retained = if self.all > 0.0 { self.kept / self.all } else { 1.0 };
        self.kept = 0.0;
        let gained = self.retained.last().is_none_or(|last| retained > last * (1.0 + GAIN));
        self.retained.push(retained);
        if !gained || self.retained.len() > MOST_SWEEPS {
            self.found = Some(Found { basis, expansion, scale });
            return Ok(true);
        }
        self.found = Some(Found::new(OptimalBasis::with_counts_of(&covariance, &basis)?, scale));
        Ok(false)
    }

    /// Σ_i |P c_i|^{2ν} / Σ_i |c_i|^{2ν} of the basis of each sweep, the first being that of ν = 1. Empty for ν = 1.
    pub fn retained(&self) -> &[f64] {
        &self.retained
    }

    /// The basis of the last sweep.
    ///
    /// # Errors
    /// If no sweep was finished.
    pub fn into_basis(self) -> Result<OptimalBasis> {
        match self.found {
            Some(Found { basis, .. }) => Ok(basis.adapted_to(self.nu, self.retained)),
            None => Err(Error::setting("structures", 0, "no sweep over the data was finished", "finish a sweep first")),
        }
    }
}

impl Found {
    fn new(basis: OptimalBasis, scale: f64) -> Self {
        let expansion = match &basis.settings().weighting {
            Some(u) => basis.expansion().weighted_by(u),
            None => basis.expansion().clone(),
        };
        Found { basis, expansion, scale }
    }
}

/// |c_i|² over all (a, l, m, q) of each centre; `before` structures came before these.
fn squared_norms(expansion: &SphericalExpansion, structures: &[Structure], before: usize) -> Result<Vec<f64>> {
    let mut norms = Vec::new();
    let mut first = 0;
    while first < structures.len() {
        let mut atoms = 0;
        let fits = |structure: &&Structure| {
            atoms += structure.len();
            atoms <= ATOMS_AT_ONCE
        };
        let n = structures[first..].iter().take_while(fits).count().max(1);
        let c = expansion.forward(&structures[first..first + n]).map_err(|e| e.after_frames(before + first))?;
        let start = norms.len();
        norms.resize(start + c.centers.len(), 0.0);
        for block in &c.blocks {
            for (norm, of_center) in norms[start..].iter_mut().zip(block.outer_iter()) {
                *norm += of_center.iter().map(|x| x * x).sum::<f64>();
            }
        }
        first += n;
    }
    Ok(norms)
}
