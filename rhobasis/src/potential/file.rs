//! Model files: safetensors of kind `potential` with everything inside.
//!
//! Tensors (float64): `basis/…` as in a basis file, or `basis/knots` and `basis/table/{Z}/l{l}` of a primitive basis;
//! `model/{Z}/weights` `[feature]` of a linear model; `model/{Z}/points` `[m, feature]` and `model/{Z}/weights` `[m]`, or
//! `model/{Z}/quadratic` `[feature, feature]`, of a kernel model; `posterior/r` and, of a sparse model,
//! `posterior/{Z}/projection` `[m, parameter]`. Metadata: `kind`, `format_version`, `settings`, `basis`, `baseline`, `species`,
//! `alpha`, `condition_number`, `warnings` (JSON).

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, Array2, Array3};
use serde::{Deserialize, Serialize};

use super::features::Basis;
use super::linear::LinearModel;
use super::model::{Model, Posterior, Potential};
use super::rows::Functions;
use super::settings::ModelSettings;
use super::sparse::{Kernels, SparseModel};
use super::train::TrainSettings;
use crate::density::{AroundCenter, ExpansionSettings, RadialSource, RadialTable, SphericalExpansion, SplineError};
use crate::files::Archive;
use crate::models::{Factor, Solver};
use crate::optimal::OptimalBasis;
use crate::structure::symbol;
use crate::{Error, Result};

/// Version of the format that this library writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// `kind` of these files.
const KIND: &str = "potential";

/// The metadata of the basis inside.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum BasisNote {
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

impl Potential {
    /// Writes a file with everything inside; the same potential gives the same bytes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.archive().write(path)
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.archive().encode(&mut bytes).expect("memory takes what is written to it");
        bytes
    }

    /// Reads what [`Potential::save`] has written.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another kind, or from a newer version.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_archive(Archive::read(path, KIND, FORMAT)?, path)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// As [`Potential::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let path = Path::new("model file in memory");
        Self::from_archive(Archive::decode(bytes, path, KIND, FORMAT)?, path)
    }

    fn archive(&self) -> Archive {
        let mut archive = Archive::default();
        let note = self.basis.store(&mut archive);
        let mut add = |name: String, array: ndarray::ArrayViewD<f64>| archive.insert(name, array);
        match &self.model {
            Model::Linear(LinearModel { weights, .. }) => {
                weights.iter().for_each(|(z, w)| add(format!("model/{z}/weights"), w.view().into_dyn()));
            }
            Model::Sparse(SparseModel { of_species, .. }) => {
                for (z, kernels) in of_species {
                    match kernels {
                        Kernels::Points { points, weights } => {
                            add(format!("model/{z}/points"), points.view().into_dyn());
                            add(format!("model/{z}/weights"), weights.view().into_dyn());
                        }
                        Kernels::Quadratic(a) => add(format!("model/{z}/quadratic"), a.view().into_dyn()),
                    }
                }
            }
        }
        if let Some(Posterior { functions, factor }) = &self.posterior {
            add("posterior/r".into(), factor.r().into_dyn());
            if let Functions::Sparse { projections, .. } = functions {
                projections.iter().for_each(|(z, p)| add(format!("posterior/{z}/projection"), p.view().into_dyn()));
            }
        }
        let mut text = |key: &str, value: String| archive.metadata.insert(key.into(), value);
        text("kind", KIND.into());
        text("format_version", FORMAT.to_string());
        text("settings", json(&self.settings));
        text("basis", json(&note));
        text("baseline", json(&self.baseline));
        text("species", json(&self.species));
        text("alpha", json(&self.alpha));
        text("warnings", json(&self.warnings));
        text("condition_number", json(&Some(self.condition_number).filter(|c| c.is_finite())));
        archive
    }

    fn from_archive(mut archive: Archive, path: &Path) -> Result<Self> {
        let settings: TrainSettings = archive.json(path, "settings")?;
        let species: Vec<u8> = archive.json(path, "species")?;
        let basis = Basis::restore(&mut archive, path)?;
        let invariants = settings.features.invariants(&basis).map_err(|e| damaged(path, &e.to_string()))?;
        let n_features = invariants.n_features();
        let matrix = |name: String, columns: usize| -> Result<Array2<f64>> {
            let array: Array2<f64> = archive.array(path, &name)?;
            match array.ncols() == columns {
                true => Ok(array),
                false => Err(damaged(path, &format!("{name} has {} columns, not {columns}", array.ncols()))),
            }
        };
        let vector = |name: String, length: usize| -> Result<Array1<f64>> {
            let array: Array1<f64> = archive.array(path, &name)?;
            match array.len() == length {
                true => Ok(array),
                false => Err(damaged(path, &format!("{name} has {} numbers, not {length}", array.len()))),
            }
        };
        let mut points_of = BTreeMap::new();
        let model = match settings.model {
            ModelSettings::Ridge { .. } => {
                let of = |&z: &u8| Ok((z, vector(format!("model/{z}/weights"), n_features)?));
                let weights = species.iter().map(of).collect::<Result<_>>()?;
                Model::Linear(LinearModel::new(&invariants, weights))
            }
            ModelSettings::Gap { zeta, .. } | ModelSettings::KernelRidge { zeta, .. } => {
                let mut of_species = BTreeMap::new();
                for &z in &species {
                    let quadratic = format!("model/{z}/quadratic");
                    if archive.tensors.contains_key(&quadratic) {
                        let a = matrix(quadratic, n_features)?;
                        if a.nrows() != n_features {
                            return Err(damaged(path, &format!("the model of {} is not square", symbol(z))));
                        }
                        of_species.insert(z, Kernels::Quadratic(a));
                    } else if archive.tensors.contains_key(&format!("model/{z}/points")) {
                        let points = matrix(format!("model/{z}/points"), n_features)?;
                        let weights = vector(format!("model/{z}/weights"), points.nrows())?;
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
                    ModelSettings::Ridge { .. } => Functions::Linear { n_features, species: species.clone() },
                    ModelSettings::Gap { zeta, .. } | ModelSettings::KernelRidge { zeta, .. } => {
                        let of = |(&z, points): (&u8, &Array2<f64>)| {
                            let projection: Array2<f64> = archive.array(path, &format!("posterior/{z}/projection"))?;
                            match projection.nrows() == points.nrows() {
                                true => Ok((z, projection)),
                                false => Err(damaged(path, "points and their projection differ in length")),
                            }
                        };
                        let projections = points_of.iter().map(of).collect::<Result<_>>()?;
                        Functions::Sparse { zeta, points: points_of, projections }
                    }
                };
                let r = matrix("posterior/r".into(), functions.n_parameters())?;
                let none = Array2::zeros((r.nrows(), 0));
                let factor = Factor::from_r(r.view(), none.view(), &[], 0, Solver::Qr)
                    .map_err(|e| damaged(path, &e.to_string()))?;
                Some(Posterior { functions, factor })
            }
        };
        let condition_number: Option<f64> = archive.json(path, "condition_number")?;
        Ok(Potential {
            baseline: archive.json(path, "baseline")?,
            alpha: archive.json(path, "alpha")?,
            warnings: archive.json(path, "warnings")?,
            condition_number: condition_number.unwrap_or(f64::NAN),
            basis,
            settings,
            invariants,
            species,
            model,
            posterior,
        })
    }
}

impl Basis {
    /// Adds the tensors of the basis; its metadata.
    fn store(&self, archive: &mut Archive) -> BasisNote {
        match self {
            Basis::Optimal(basis) => {
                let inner = basis.archive();
                archive.tensors.extend(inner.tensors.into_iter().map(|(name, array)| (format!("basis/{name}"), array)));
                BasisNote::Optimal(inner.metadata)
            }
            Basis::Primitive { settings, expansion } => {
                let species = expansion.species().to_vec();
                let mut divided = BTreeMap::new();
                for &z in &species {
                    let Some(table) = expansion.table(None, z) else { continue };
                    divided.insert(z, table.is_divided());
                    archive.insert("basis/knots", Array1::from_vec(table.knots()).view().into_dyn());
                    for l in 0..=settings.l_max {
                        archive.insert(format!("basis/table/{z}/l{l}"), table.array(l).view().into_dyn());
                    }
                }
                BasisNote::Primitive {
                    settings: settings.clone(),
                    species,
                    spline_error: expansion.spline_error(),
                    divided,
                }
            }
        }
    }

    /// The basis of a model file; evaluation uses the tables stored in it.
    fn restore(archive: &mut Archive, path: &Path) -> Result<Self> {
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
                Ok(Basis::Optimal(OptimalBasis::from_archive(&inner, path)?))
            }
            BasisNote::Primitive { settings, species, spline_error, divided } => {
                settings.validate().map_err(|e| damaged(path, &e.to_string()))?;
                if settings.spline_accuracy.is_none() {
                    return Basis::primitive(&settings, &species);
                }
                let r_cut = settings.density.r_cut;
                let mut radials = Vec::new();
                for &z in &species {
                    let of_l = |l| inner.array(path, &format!("table/{z}/l{l}"));
                    let arrays: Vec<Array3<f64>> = (0..=settings.l_max).map(of_l).collect::<Result<_>>()?;
                    let same = |a: &Array3<f64>| a.dim().0 == arrays[0].dim().0 && a.dim().0 >= 2 && a.dim().1 == 2;
                    if !arrays.iter().all(same) {
                        return Err(damaged(path, &format!("the tables of {} differ in length", symbol(z))));
                    }
                    let views: Vec<_> = arrays.iter().map(|a| a.view()).collect();
                    let divided = divided.get(&z).copied().unwrap_or(true);
                    radials.push(RadialSource::Table(RadialTable::from_arrays(r_cut, &views, divided)));
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

fn damaged(path: &Path, problem: &str) -> Error {
    Error::file(path, problem, "the file is damaged: train the model again, or restore a copy")
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("settings are text and numbers")
}
