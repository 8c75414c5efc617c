//! The basis between variance and the energies of structures, Eq. (14): principal covariates regression for l = 0.

use super::basis::OptimalBasis;
use super::covariance::Covariance;
use super::energy_regression::{EnergyRegression, EnergyRows};
use super::settings::{CovarianceSettings, PcovrSettings, Truncation};
use super::supervision::Supervision;
use crate::density::{ExpansionSettings, SphericalExpansion, species_of};
use crate::extxyz::{LARGEST, SourceFile};
use crate::stream::{BLOCK, Stream, WAITING};
use crate::structure::Structure;
use crate::{Error, Result};

/// Accumulates what a basis of Eq. (14) is made of: the covariance, and the regression of energies on structure sums.
///
/// ```text
/// X_A = Σ_{i∈A} ⟨an00|ρ_i⟩   [(a, n)]              y_A = E_A − Σ_a N_a e_a, e by least squares over all structures
/// w = argmin Σ_A (y_A − X_A w)² + α |w|²           all species together
/// C = Σ_i c_i c_iᵀ / trace,   w ← w √(R² / wᵀCw)   R² = 1 − Σ_A (y_A − X_A w)² / Σ_A y_A²
/// C̃ = γ C + (1 − γ) C^(1/2) w wᵀ C^(1/2) = V Λ Vᵀ,   P = C^(−1/2) V,   U = the rows of Pᵀ, orthogonalised by descending Λ
/// ```
///
/// for l = 0; for l > 0 the coefficients of an environment have no invariant part, and U is that of Eqs. (7), (12). Like both
/// matrices of principal covariates regression, C has a trace of one, and w a variance of R². Where species (or kinds of
/// centre) are kept apart, C has a block for each; trace and wᵀCw are those of all blocks together, and each block is made with
/// its own part of w. Directions of C that are noise (below 1e-14 of the largest) come last.
///
/// The first q rows of U span those of Pᵀ, so that truncation is nested; the first is w for γ → 0, and for γ = 1 they are the
/// eigenvectors. Row q keeps (U C Uᵀ)_qq of the variance, which need not fall with q.
///
/// α is chosen by generalised cross-validation, among 29 strengths from 1 to 1e-14 of the largest eigenvalue of XᵀX: w is a
/// radial function, |w|² its norm, and the choice does not depend on the primitive basis. What is held is the triangular factor
/// of \[N, X, y\], which keeps twice the digits of its square: total energies are large, and their differences small.
///
/// ```
/// use rhobasis::density::{ExpansionSettings, Primitive};
/// use rhobasis::optimal::{CovarianceSettings, PcovrSettings, SupervisedCovariance, Truncation};
/// use rhobasis::Structure;
///
/// let expansion = ExpansionSettings { primitive: Primitive::Gto { n_max: 8 }, l_max: 2, ..Default::default() };
/// let settings = CovarianceSettings { expansion, ..Default::default() };
/// let distances = [1.8, 1.9, 2.0, 2.2, 2.4, 2.7, 3.0, 3.5];
/// let dimers = distances.map(|d| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]]));
/// let energies = distances.map(|d: f64| -8.0 + d.powi(-6));
/// let mut covariance = SupervisedCovariance::new(&settings)?;
/// covariance.add(&dimers, &energies)?;
/// assert!(covariance.regression()?.r2 > 0.9);
/// let basis = covariance.basis(PcovrSettings { gamma: 0.1 }, Truncation::QMax(2))?;
/// assert_eq!(basis.transform(&dimers)?.blocks[0].dim(), (16, 1, 2)); // centers, m, channels
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug)]
pub struct SupervisedCovariance {
    covariance: Covariance,
    /// The expansion of l = 0 alone.
    expansion: SphericalExpansion,
    rows: Stream<EnergyRows>,
}

impl SupervisedCovariance {
    /// An empty accumulator.
    ///
    /// # Errors
    /// For settings outside their range.
    pub fn new(settings: &CovarianceSettings) -> Result<Self> {
        let covariance = Covariance::new(settings)?;
        let alone = ExpansionSettings { l_max: 0, ..settings.expansion.clone() };
        let expansion = SphericalExpansion::new(&alone, covariance.template.species())?;
        let rows = Stream::new(EnergyRows::new());
        Ok(SupervisedCovariance { covariance, expansion, rows })
    }

    /// Adds structures, in parallel, and their total energies, in eV. The result has the same bits however they are cut into
    /// calls, and for any number of threads.
    ///
    /// # Errors
    /// For the first structure that is refused, or whose energy is not finite or beyond 1e100, named by its index since the
    /// accumulator was made; nothing of this call is then added. If there are not as many energies as structures.
    pub fn add(&mut self, structures: &[Structure], energies: &[f64]) -> Result<()> {
        if energies.len() != structures.len() {
            let problem = format!("one energy for each of {} structures is needed", structures.len());
            return Err(Error::setting(
                "energies",
                energies.len(),
                problem,
                "give them in the order of the structures",
            ));
        }
        let first = self.covariance.n_structures();
        if let Some(k) = energies.iter().position(|e| !e.is_finite() || e.abs() > LARGEST) {
            let problem = format!("its energy is {:e}, and finite numbers up to {LARGEST:e} are needed", energies[k]);
            return Err(Error::structure(None, problem, "remove the frame, or correct its energy").at_frame(first + k));
        }
        self.covariance.add(structures, None)?;
        let (expansion, center_specific) = (&self.expansion, self.covariance.settings.center_specific);
        self.rows.add(
            structures,
            usize::MAX,
            || (),
            |part, rows, ()| {
                let structure = std::slice::from_ref(part.structure);
                let expansion =
                    expansion.for_species(&species_of(structure)).expect("species that the covariance accepted");
                rows.push(&expansion.forward(structure)?, center_specific, energies[part.index - first]);
                Ok(())
            },
        )
    }

    /// Bytes that accumulating structures such as these takes at most, and then making and writing the basis; besides what the
    /// process holds already.
    pub fn memory(&self, structures: &[Structure], truncation: Truncation) -> f64 {
        let n_species = species_of(structures).len();
        let kinds = if self.covariance.settings.center_specific { n_species } else { 1 };
        let width = (n_species * (1 + kinds * self.covariance.n_functions(0)) + 1) as f64;
        let block = BLOCK as f64;
        // The rows of a few blocks; the factor with the next block, its copies, and its singular vectors.
        let rows = block * (WAITING * rayon::current_num_threads() + 1) as f64 + 4.0 * (width + block) + 2.0 * width;
        self.covariance.memory(structures, Some(truncation)) + 8.0 * width * rows
    }

    /// The covariance of the structures added so far.
    pub fn covariance(&self) -> &Covariance {
        &self.covariance
    }

    /// Notes the files that the structures came from.
    pub fn set_files(&mut self, files: Vec<SourceFile>) {
        self.covariance.set_files(files, None);
    }

    /// The regression of the energies.
    ///
    /// # Errors
    /// If nothing was added, or the energies are those of the composition: then there is nothing to learn from them.
    pub fn regression(&self) -> Result<EnergyRegression> {
        self.rows.sum().regression()
    }

    /// The basis of Eq. (14).
    ///
    /// # Errors
    /// As [`OptimalBasis::from_covariance`] and [`SupervisedCovariance::regression`], and unless 0 < γ ≤ 1.
    pub fn basis(&self, settings: PcovrSettings, truncation: Truncation) -> Result<OptimalBasis> {
        settings.validate()?;
        if self.covariance.n_structures() == 0 {
            return OptimalBasis::from_covariance(&self.covariance, truncation);
        }
        let supervision = Supervision::new(settings, &self.covariance, self.regression()?);
        let mut basis = OptimalBasis::contracted(&self.covariance, truncation, &supervision)?;
        basis.provenance.energy_r2 = Some(supervision.r2);
        Ok(basis)
    }
}
