//! Model files: safetensors of kind `potential` with everything inside.
//!
//! Tensors (float64): `basis/…` as in a basis file, or `basis/knots` and `basis/table/{Z}/l{l}` of a primitive basis;
//! `features/{k}/nice/…` of NICE, as in a file of its own; `model/{Z}/weights` `[feature]` of a linear model; `model/{Z}/points` `[m, feature]` and `model/{Z}/weights` `[m]`, or
//! `model/{Z}/quadratic` `[feature, feature]`, of a kernel model; `posterior/r` and, of a sparse model,
//! `posterior/{Z}/projection` `[m, parameter]`; `posterior/{Z}/draws` `[feature or m, draw]`, see `leverage.rs`. Metadata: `settings`,
//! `basis`, `baseline`, `species`, `nearest`, `alpha`, `condition_number`, `warnings`, and, of models with a posterior, `calibration`,
//! `largest_leverages` by species (JSON); and, where the baseline is of free atoms, `alone`: the energy of the model for an
//! atom alone by species, in eV, which is taken off that of each atom. Kernel models then have the features of the centre alone as
//! their last point.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::alone;
use super::calibration::Calibration;
use super::features::Basis;
use super::intervals::Intervals;
use super::leverage::Leverage;
use super::linear::LinearModel;
use super::model::{Model, Potential};
use super::posterior::{Posterior, Uncertainty};
use super::repulsion::{Core, Nearest};
use super::rows::Functions;
use super::settings::{Baseline, ModelSettings, TrainSettings};
use super::sparse::{Kernels, SparseModel};
use crate::Result;
use crate::density::{AroundCenter, ExpansionSettings, RadialSource, SphericalExpansion, SplineError};
use crate::files::{Archive, Stored, damaged};
use crate::models::{Factor, Solver};
use crate::optimal::{OptimalBasis, primitive_functions, species_of, store_table, stored_table};
use crate::structure::symbol;

/// Key of what is taken off the energies of atoms. Potentials of older versions have none, whatever their baseline.
const ALONE: &str = "alone";

/// Key of the smallest distances in training: `[[Z, Z', Å], …]`. Potentials of older versions have none, and no core.
const NEAREST: &str = "nearest";
/// Keys of what uncertainties take. Potentials of older versions have none.
const CALIBRATION: &str = "calibration";
const INTERVALS: &str = "intervals";
const LARGEST: &str = "largest_leverages";

/// The metadata of the basis inside.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BasisNote {
    /// Those of its own file.
    Optimal(BTreeMap<String, String>),
    Primitive {
        settings: ExpansionSettings,
        species: Vec<u8>,
        spline_error: Option<SplineError>,
        /// Whether tables hold I(r)/r^l.
        divided: BTreeMap<u8, bool>,
    },
}

impl Stored for Potential {
    const KIND: &'static str = "potential";

    fn archive(&self) -> Archive {
        let mut archive = Archive::default();
        let note = self.basis.store(&mut archive);
        self.settings.features.store(&mut archive);
        match &self.model {
            Model::Linear(LinearModel { weights, .. }) => {
                weights.iter().for_each(|(z, w)| archive.insert(format!("model/{z}/weights"), w));
            }
            Model::Sparse(SparseModel { of_species, .. }) => {
                for (z, kernels) in of_species {
                    match kernels {
                        Kernels::Points { points, weights } => {
                            archive.insert(format!("model/{z}/points"), points);
                            archive.insert(format!("model/{z}/weights"), weights);
                        }
                        Kernels::Quadratic(a) => archive.insert(format!("model/{z}/quadratic"), a),
                    }
                }
            }
        }
        if let Some(Posterior { functions, factor }) = &self.posterior {
            archive.insert("posterior/r", factor.r());
            if let Functions::Sparse { projections, .. } = functions {
                projections.iter().for_each(|(z, p)| archive.insert(format!("posterior/{z}/projection"), p));
            }
        }
        if let Some(Uncertainty { calibration, intervals, leverage }) = &self.uncertainty {
            archive.note(CALIBRATION, calibration);
            archive.note(INTERVALS, intervals);
            archive.note(LARGEST, &leverage.largest);
            leverage.draws.iter().for_each(|(z, draws)| archive.insert(format!("posterior/{z}/draws"), draws));
        }
        archive.note("settings", &self.settings);
        archive.note("basis", &note);
        archive.note("baseline", &self.baseline);
        if !self.alone.is_empty() {
            archive.note(ALONE, &self.alone);
        }
        archive.note("species", &self.species);
        if let Some(nearest) = self.nearest() {
            archive.note(NEAREST, &nearest.rows());
        }
        archive.note("alpha", &self.alpha);
        archive.note("warnings", &self.warnings);
        archive.note("condition_number", &Some(self.condition_number).filter(|c| c.is_finite()));
        archive
    }

    fn from_archive(mut archive: Archive, path: &Path) -> Result<Self> {
        let mut settings: TrainSettings = archive.json(path, "settings")?;
        let valid = settings.model.validate().and_then(|()| settings.weights.validate());
        valid.map_err(|e| damaged(path, format!("settings that make no potential ({e})")))?;
        let species = species_of(&archive, path)?;
        let basis = Basis::restore(&mut archive, path)?;
        settings.features.restore(&archive, path)?;
        let (invariants, combinations) = settings.invariants(&basis).map_err(|e| damaged(path, e))?;
        let n_features = invariants.n_features();
        let alone: BTreeMap<u8, f64> = match archive.metadata.contains_key(ALONE) {
            true => archive.json(path, ALONE)?,
            false => BTreeMap::new(),
        };
        if !alone.is_empty() && !alone.keys().eq(&species) {
            return Err(damaged(path, "the energies of atoms alone are not those of its species"));
        }
        if alone.is_empty() && matches!(&settings.baseline, Baseline::Given(e) if e.values().all(|e| *e == 0.0)) {
            settings.baseline = Baseline::None; // which older versions wrote so
        }
        let lone = if alone.is_empty() { BTreeMap::new() } else { alone::features(&invariants, &species, &[])? };
        let weights = |z: u8, n: usize| archive.array_of(path, &format!("model/{z}/weights"), n);
        let mut points_of = BTreeMap::new();
        let model = match settings.model {
            ModelSettings::Ridge { .. } => {
                let of = |&z: &u8| Ok((z, weights(z, n_features)?));
                let weights = species.iter().map(of).collect::<Result<_>>()?;
                Model::Linear(LinearModel::new(&invariants, weights))
            }
            ModelSettings::Gap { zeta, .. } | ModelSettings::KernelRidge { zeta, .. } => {
                let mut of_species = BTreeMap::new();
                for &z in &species {
                    let (quadratic, points) = (format!("model/{z}/quadratic"), format!("model/{z}/points"));
                    if archive.tensors.contains_key(&quadratic) {
                        let a = archive.array_of(path, &quadratic, (n_features, n_features))?;
                        of_species.insert(z, Kernels::Quadratic(a));
                    } else if let Some(stored) = archive.tensors.get(&points) {
                        let n = stored.shape().first().copied().unwrap_or(0);
                        let points = archive.array_of(path, &points, (n, n_features))?;
                        let weights = weights(z, n)?;
                        points_of.insert(z, points.clone());
                        of_species.insert(z, Kernels::Points { points, weights });
                    }
                }
                Model::Sparse(SparseModel { zeta, of_species })
            }
        };
        let posterior = match archive.tensors.contains_key("posterior/r") {
            false => None,
            true => {
                let functions = match settings.model {
                    ModelSettings::Ridge { .. } => {
                        let (species, alone) = (species.clone(), BTreeMap::new());
                        Functions::Linear { n_features, species, combinations, alone }
                    }
                    ModelSettings::Gap { zeta, .. } | ModelSettings::KernelRidge { zeta, .. } => {
                        let of = |(&z, points): (&u8, &Array2<f64>)| {
                            let projection: Array2<f64> = archive.array(path, &format!("posterior/{z}/projection"))?;
                            match projection.nrows() == points.nrows() {
                                true => Ok((z, projection)),
                                false => Err(damaged(path, format!("the projection of {} misses points", symbol(z)))),
                            }
                        };
                        let projections = points_of.iter().map(of).collect::<Result<_>>()?;
                        Functions::Sparse { zeta, points: points_of, projections, alone: BTreeMap::new() }
                    }
                };
                let functions = functions.less_alone(lone);
                let r: Array2<f64> = archive.array(path, "posterior/r")?;
                if r.ncols() != functions.n_parameters() {
                    return Err(damaged(path, format!("array 'posterior/r' has {} columns", r.ncols())));
                }
                let none = Array2::zeros((r.nrows(), 0));
                let factor = Factor::from_r(r.view(), none.view(), &[], 0, Solver::Qr).map_err(|e| damaged(path, e))?;
                Some(Posterior { functions, factor })
            }
        };
        let uncertainty =
            posterior.as_ref().map(|posterior| restored(&archive, path, &posterior.functions)).transpose()?;
        let condition_number: Option<f64> = archive.json(path, "condition_number")?;
        let alpha: Option<f64> = archive.json(path, "alpha")?;
        if let Some(alpha) = alpha.filter(|alpha| *alpha < 0.0) {
            return Err(damaged(path, format!("alpha is {alpha}, which is no regularisation")));
        }
        let core = match archive.metadata.contains_key(NEAREST) {
            true => {
                settings.repulsion.validate().map_err(|e| damaged(path, e))?;
                let nearest = Nearest::from_rows(&archive.json::<Vec<(u8, u8, f64)>>(path, NEAREST)?);
                let r_cut = basis.expansion().density().r_cut;
                Some(Core::new(settings.repulsion, nearest, &species, r_cut))
            }
            false => None,
        };
        Ok(Potential {
            core,
            baseline: archive.json(path, "baseline")?,
            alone,
            alpha,
            warnings: archive.json(path, "warnings")?,
            condition_number: condition_number.unwrap_or(f64::NAN),
            basis,
            settings,
            invariants,
            species,
            model,
            posterior,
            uncertainty: uncertainty.flatten(),
        })
    }
}

/// What is known of a fit besides its posterior; none of files of older versions.
fn restored(archive: &Archive, path: &Path, functions: &Functions) -> Result<Option<Uncertainty>> {
    if !archive.metadata.contains_key(CALIBRATION) {
        return Ok(None);
    }
    let calibration: Calibration = archive.json(path, CALIBRATION)?;
    let intervals = match archive.metadata.contains_key(INTERVALS) {
        true => archive.json(path, INTERVALS)?,
        false => Intervals::default(), // of older versions
    };
    let largest: BTreeMap<u8, f64> = archive.json(path, LARGEST)?;
    let possible =
        calibration.is_possible() && intervals.are_possible() && largest.values().all(|h| h.is_finite() && *h >= 0.0);
    let species = functions.blocks();
    if !possible || !largest.keys().eq(species.iter().map(|(z, _)| z)) {
        return Err(damaged(path, "factors of uncertainties, or largest leverages, that cannot be"));
    }
    let mut draws = BTreeMap::new();
    for (z, columns) in species {
        let of_z: Array2<f64> = archive.array(path, &format!("posterior/{z}/draws"))?;
        if of_z.nrows() != columns.len() {
            return Err(damaged(
                path,
                format!("draws from the posterior of {} functions of {}", of_z.nrows(), symbol(z)),
            ));
        }
        draws.insert(z, of_z);
    }
    Ok(Some(Uncertainty { calibration, intervals, leverage: Leverage::new(functions, draws, largest) }))
}

impl Basis {
    /// Adds the tensors of the basis; its metadata.
    pub(crate) fn store(&self, archive: &mut Archive) -> BasisNote {
        let mut inner = Archive::default();
        let note = match self {
            Basis::Optimal(basis) => {
                inner = basis.archive();
                BasisNote::Optimal(std::mem::take(&mut inner.metadata))
            }
            Basis::Primitive { settings, expansion } => {
                let species = expansion.species().to_vec();
                let mut divided = BTreeMap::new();
                for &z in &species {
                    let Some(table) = expansion.table(None, z) else { continue };
                    divided.insert(z, table.is_divided());
                    store_table(&mut inner, "", z, table, settings.l_max);
                }
                BasisNote::Primitive {
                    settings: settings.clone(),
                    species,
                    spline_error: expansion.spline_error(),
                    divided,
                }
            }
        };
        archive.tensors.extend(inner.tensors.into_iter().map(|(name, array)| (format!("basis/{name}"), array)));
        note
    }

    /// The basis of a model file; evaluation uses the tables stored in it.
    pub(crate) fn restore(archive: &mut Archive, path: &Path) -> Result<Self> {
        let note: BasisNote = archive.json(path, "basis")?;
        let names: Vec<String> = archive.tensors.keys().filter(|name| name.starts_with("basis/")).cloned().collect();
        let mut inner = Archive::default();
        for name in names {
            let Some(array) = archive.tensors.remove(&name) else { continue };
            inner.tensors.insert(name["basis/".len()..].to_string(), array);
        }
        match note {
            BasisNote::Optimal(metadata) => {
                inner.metadata = metadata;
                Ok(Basis::Optimal(OptimalBasis::from_archive(inner, path)?))
            }
            BasisNote::Primitive { settings, species, spline_error, divided } => {
                let counts = primitive_functions(&settings, &species)
                    .map_err(|e| damaged(path, format!("settings that make no basis ({e})")))?;
                if settings.spline_accuracy.is_none() {
                    return Basis::primitive(&settings, &species);
                }
                let mut radials = Vec::new();
                for &z in &species {
                    let divided = *divided.get(&z).ok_or_else(|| damaged(path, "its tables are of an unknown kind"))?;
                    let table = stored_table(&inner, path, "", z, settings.density.r_cut, &counts, divided)?;
                    radials.push(RadialSource::Table(table));
                }
                let expansion = SphericalExpansion::contracted(
                    settings.density.clone(),
                    settings.spline_accuracy,
                    spline_error,
                    false,
                    &species,
                    vec![AroundCenter { center: None, radials }],
                )?;
                Ok(Basis::Primitive { settings, expansion })
            }
        }
    }
}
