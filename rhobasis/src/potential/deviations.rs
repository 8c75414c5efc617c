//! How far predictions may be off, and how far atoms lie outside of what was trained on.

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use super::calibration::Calibration;
use super::chain::numbers;
use super::evaluate::Quantity;
use super::model::Potential;
use super::posterior::Posterior;
use super::rows::{energy_row, force_rows};
use crate::structure::{Structure, Vec3};
use crate::{Error, Result};

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

    /// How many of its standard deviations, as [`Potential::energy_variances`] and [`Potential::force_deviations`] give them, to either side of
    /// a prediction hold `part` of the errors, rounded up to whole per cent:
    ///
    /// ```text
    /// q_p / f,   q_p the ⌈(n + 1) p⌉-th smallest |r|/s of n numbers left out of the fit, f the factor of calibration
    /// ```
    ///
    /// That of [`Quantity::Energy`] serves energies per atom too. No distribution is assumed, but that further structures are like those of
    /// the training set.
    ///
    /// ```
    /// # fn main() -> rhobasis::Result<()> {
    /// # use rhobasis::{extxyz, potential::*, density::*};
    /// # let options = extxyz::Options::default();
    /// # let data = format!("{}/../examples/data/silicon.xyz.xz@:24", env!("CARGO_MANIFEST_DIR"));
    /// # let frames = extxyz::read(data, &options)?;
    /// # let labels = frames.iter().map(|f| extxyz::labels(f, &options)).collect::<rhobasis::Result<Vec<_>>>()?;
    /// # let density = Density { r_cut: 4.0, sigma: Sigma::Same(0.5), cutoff_width: 1.0, ..Density::default() };
    /// # let primitive = Primitive::Gto { n_max: 3 };
    /// # let expansion = ExpansionSettings { density, primitive, l_max: 2, ..ExpansionSettings::default() };
    /// # let settings = TrainSettings { features: FeatureSettings::default(), model: ModelSettings::ridge(),
    /// #     baseline: Baseline::default(), repulsion: Default::default(), weights: Weights::default() };
    /// # let mut trainer = Trainer::new(Basis::primitive(&expansion, &[14])?, &settings, &frames, &labels)?;
    /// # trainer.advance(frames.len())?;
    /// # let potential = trainer.finish()?;
    /// let [half, most] = [0.5, 0.9].map(|part| potential.interval(Quantity::Force, part));
    /// assert!(half? < most?);
    /// assert!(potential.interval(Quantity::Force, 1.5).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Unless `part` is between 0 and 1, if there are too few numbers that were left out for it, for stresses, and for potentials that have
    /// no calibrated deviations.
    pub fn interval(&self, quantity: Quantity, part: f64) -> Result<f64> {
        if !(part > 0.0 && part < 1.0) {
            let problem = "is no part of the errors";
            return Err(Error::setting("interval", part, problem, "give a number between 0 and 1, as 0.9"));
        }
        let known = self.uncertainty.as_ref().filter(|u| u.calibration.is_known()).ok_or_else(|| {
            let problem = "this potential has no calibrated deviations";
            Error::setting("interval", part, problem, "train a linear or a sparse model, on eight frames or more")
        })?;
        let (quantiles, factor) = match quantity {
            Quantity::Energy | Quantity::EnergyPerAtom => (&known.intervals.energies, known.calibration.of_energies()),
            Quantity::Force => (&known.intervals.forces, known.calibration.of_forces()),
            Quantity::Stress => {
                let problem = "stresses have no standard deviation";
                return Err(Error::setting("interval", part, problem, "ask for energies or forces"));
            }
        };
        if quantiles.is_empty() {
            let problem =
                format!("this potential holds none for {}: no such labels, or an older version", quantity.name());
            return Err(Error::setting("interval", part, problem, "train it anew, with these labels"));
        }
        let percent = (100.0 * part - 1e-9).ceil().max(1.0) as usize;
        let quantile = quantiles.get(percent - 1).ok_or_else(|| {
            let problem = format!(
                "of {}, {} % can be told at most from what was left out of the fit",
                quantity.name(),
                quantiles.len()
            );
            Error::setting("interval", part, problem, "give less, or train on more frames that have it")
        })?;
        Ok(quantile / factor)
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
