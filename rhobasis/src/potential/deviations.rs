//! How far predictions may be off, and how far atoms lie outside of what was trained on.

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use super::calibration::Calibration;
use super::chain::numbers;
use super::model::Potential;
use super::posterior::Posterior;
use super::rows::{energy_row, force_rows};
use crate::structure::{Structure, Vec3};
use crate::Result;

impl Potential {
    /// Variance of the energy of each structure in eV²:
    ///
    /// ```text
    /// f² |R⁻ᵀ Σ_i φ(X_i)|²,   RᵀR = rows and regulariser of the fit
    /// ```
    ///
    /// f being the factor that makes of posterior deviations those of errors, see [`Potential::calibration`]; one where it is unknown.
    ///
    /// # Errors
    /// As for [`Potential::predict`], and for kernel ridge models, which keep no factor.
    pub fn energy_variances(&self, structures: &[Structure]) -> Result<Vec<f64>> {
        let Posterior { functions, factor } = self.known_posterior()?;
        let scale = self.calibration().unwrap_or_default().of_energies().powi(2);
        let of = |(k, structure): (usize, &Structure)| -> Result<f64> {
            let row = energy_row(&self.invariants, functions, structure).map_err(|e| e.after_frames(k))?;
            Ok(scale * factor.quadratic(row.view().insert_axis(Axis(0)))?[0])
        };
        structures.par_iter().enumerate().map(of).collect()
    }

    /// Standard deviation of each component of the force on each atom in eV/Å, for each structure: as [`Potential::energy_variances`], of
    /// the rows −Σ_i ∂φ(X_i)/∂r. They cost as much as a frame of a fit, tens of times as much as the forces.
    ///
    /// # Errors
    /// As `energy_variances`.
    pub fn force_deviations(&self, structures: &[Structure]) -> Result<Vec<Vec<Vec3>>> {
        let Posterior { functions, factor } = self.known_posterior()?;
        let scale = self.calibration().unwrap_or_default().of_forces();
        let of = |(k, structure): (usize, &Structure)| -> Result<Vec<Vec3>> {
            let rows = force_rows(&self.invariants, functions, structure).map_err(|e| e.after_frames(k))?;
            let variances = factor.quadratic(rows.view())?.to_vec();
            Ok(variances.as_chunks::<3>().0.iter().map(|v| v.map(|v| scale * v.sqrt())).collect())
        };
        structures.par_iter().enumerate().map(of).collect()
    }

    /// What deviations of the posterior are multiplied by; none of models that keep none, and of files of older versions.
    pub fn calibration(&self) -> Option<Calibration> {
        self.uncertainty.as_ref().map(|u| u.calibration)
    }

    /// How far each atom lies outside of what was trained on, for each structure: its leverage h = |R⁻ᵀ φ(X_i)| over the largest of the
    /// training atoms of its species. Above one the model extrapolates. For models of more than 64 parameters h is the root mean square
    /// of as many draws from the posterior, which is within 9 % of it (one standard deviation).
    /// [`Potential::evaluate_with`] gives it with energies and forces, of the same features.
    ///
    /// # Errors
    /// As for [`Potential::predict`]; for kernel ridge models, and for files of older versions, which do not hold the largest.
    pub fn extrapolation(&self, structures: &[Structure]) -> Result<Vec<Vec<f64>>> {
        let (leverage, posterior) = self.known_leverage()?;
        let write = |species: &[u8], x: ArrayView2<f64>, out: &mut [f64]| {
            leverage.of_features(&posterior.functions, species, x, out);
        };
        self.check_species(structures)?;
        let all = numbers(&self.invariants, structures, write)?;
        let mut rest = &all[..];
        let of = |structure: &Structure| rest.split_off(..structure.len()).unwrap_or_default().to_vec();
        Ok(structures.iter().map(of).collect())
    }

    /// Refuses atoms that the model has no function for.
    fn check_species(&self, structures: &[Structure]) -> Result<()> {
        let unknown = |z: &u8| self.species.binary_search(z).is_err();
        let place = |(k, s): (usize, &Structure)| Some((k, s.species.iter().position(unknown)?));
        match structures.iter().enumerate().find_map(place) {
            Some((k, i)) => Err(super::site::no_function(i, structures[k].species[i]).at_frame(k)),
            None => Ok(()),
        }
    }
}
