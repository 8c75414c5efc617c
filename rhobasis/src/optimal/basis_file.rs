//! Basis files `*.rho`: safetensors with everything needed to evaluate, inspect and explain a basis.
//!
//! Tensors (float64): `U/l{l}` `[q, (a, n)]` and `eigenvalues/l{l}` when combined, `U/{Z}/l{l}` `[q, n]` and
//! `eigenvalues/{Z}/l{l}` per species; `knots` in Å; `table/{Z}/l{l}` with axes `[knot, (value, derivative), q]`, holding
//! I(r)/r^p with p = l or 0 as metadata `table_power` says. Centre-specific: all but `knots` under `c{Z}/`.
//! Metadata: `kind` = basis, `format_version`, `settings` and `provenance` (JSON), `species`,
//! `n_centers`, `spline_error`, `warnings`.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, Array2, Array3};

use super::basis::{BasisSettings, ContractionBlock, KindOfBasis, OptimalBasis, contracted_expansion};
use super::contraction::Contraction;
use super::covariance::to_json;
use super::settings::Mixing;
use crate::density::{ExpansionSettings, KindOfCenter, RadialIntegrals, RadialSource, RadialTable, SphericalExpansion};
use crate::files::Archive;
use crate::{Error, Result};

/// Version of the `.rho` format that this library writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// `kind` of these files.
const KIND: &str = "basis";

impl OptimalBasis {
    /// Writes the basis file; the same basis gives the same bytes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.archive().write(path)
    }

    /// The bytes of the basis file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.archive().encode(&mut bytes).expect("memory takes what is written to it");
        bytes
    }

    /// What the file holds.
    pub(crate) fn archive(&self) -> Archive {
        let mut archive = Archive::default();
        let mut note = |key: &str, text: String| archive.metadata.insert(key.into(), text);
        note("kind", KIND.into());
        note("format_version", FORMAT.to_string());
        note("settings", to_json(&self.settings));
        note("provenance", to_json(&self.provenance));
        note("species", to_json(&self.species));
        note("warnings", to_json(&self.warnings));
        note("spline_error", to_json(&self.expansion.spline_error()));
        let n_centers: BTreeMap<u8, usize> = self.kinds.iter().map(|k| (k.center.unwrap_or(0), k.n_centers)).collect();
        note("n_centers", to_json(&n_centers));
        let mut powers: BTreeMap<u8, &str> = BTreeMap::new();
        for kind in &self.kinds {
            let prefix = prefix(kind.center);
            for block in &kind.blocks {
                let name = block_name(block.species, block.l);
                let eigenvalues = Array1::from_vec(block.contraction.eigenvalues.clone());
                archive.insert(format!("{prefix}eigenvalues/{name}"), eigenvalues.view().into_dyn());
                archive.insert(format!("{prefix}U/{name}"), block.contraction.u.view().into_dyn());
            }
            for &z in &self.species {
                let Some(table) = self.expansion.table(kind.center, z) else { continue };
                powers.insert(z, if table.is_divided() { "l" } else { "0" });
                archive.insert("knots", Array1::from_vec(table.knots()).view().into_dyn());
                for l in 0..=self.settings.expansion.l_max {
                    archive.insert(format!("{prefix}table/{z}/l{l}"), table.array(l).view().into_dyn());
                }
            }
        }
        archive.metadata.insert("table_power".into(), to_json(&powers));
        archive
    }

    /// Reads a basis file. Evaluation uses the tables stored in it.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another kind, or from a newer format.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_archive(&Archive::read(path, KIND, FORMAT)?, path)
    }

    /// Reads the bytes of a basis file, as [`OptimalBasis::to_bytes`] gives them.
    ///
    /// # Errors
    /// As [`OptimalBasis::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let path = Path::new("basis file in memory");
        Self::from_archive(&Archive::decode(bytes, path, KIND, FORMAT)?, path)
    }

    /// The basis of what a file holds; `path` names it in errors.
    pub(crate) fn from_archive(archive: &Archive, path: &Path) -> Result<Self> {
        let settings: BasisSettings = archive.json(path, "settings")?;
        let species: Vec<u8> = archive.json(path, "species")?;
        let n_centers: BTreeMap<u8, usize> = archive.json(path, "n_centers")?;
        let powers: BTreeMap<u8, String> = archive.json(path, "table_power")?;
        let n_functions = count_functions(&settings, &species)
            .map_err(|e| Error::file(path, format!("settings that make no basis ({e})"), "the file is damaged"))?;
        let mut kinds = Vec::new();
        for (&center, &n_centers) in &n_centers {
            let center = (center > 0).then_some(center);
            if center.is_some() != settings.center_specific {
                let problem = format!("center_specific is {}, its centres are not", settings.center_specific);
                return Err(Error::file(path, problem, "the file is damaged"));
            }
            let prefix = prefix(center);
            let owners: Vec<Option<u8>> = match settings.mixing {
                Mixing::Combined => vec![None],
                Mixing::PerSpecies => species.iter().map(|&z| Some(z)).collect(),
            };
            let mut blocks = Vec::new();
            for owner in owners {
                for (l, n) in n_functions.iter().enumerate() {
                    let n = if owner.is_none() { n * species.len() } else { *n };
                    let name = block_name(owner, l);
                    let eigenvalues: Array1<f64> = archive.array(path, &format!("{prefix}eigenvalues/{name}"))?;
                    let u: Array2<f64> = archive.array(path, &format!("{prefix}U/{name}"))?;
                    if u.ncols() != n || eigenvalues.len() != n || u.nrows() > n {
                        return Err(Error::file(
                            path,
                            format!("U/{name} has shape {:?}", u.dim()),
                            "the file is damaged",
                        ));
                    }
                    let contraction = Contraction { eigenvalues: eigenvalues.to_vec(), u };
                    blocks.push(ContractionBlock { species: owner, l, contraction });
                }
            }
            kinds.push(KindOfBasis { center, n_centers, blocks });
        }
        let expansion = if settings.expansion.spline_accuracy.is_some() {
            stored_expansion(path, archive, &settings, &species, &kinds, &powers)?
        } else {
            contracted_expansion(&settings, &species, &kinds)?
        };
        Ok(OptimalBasis {
            settings,
            species,
            kinds,
            expansion,
            provenance: archive.json(path, "provenance")?,
            warnings: archive.json(path, "warnings")?,
        })
    }
}

/// Primitive functions of each l, per species.
fn count_functions(settings: &BasisSettings, species: &[u8]) -> Result<Vec<usize>> {
    settings.expansion.validate()?;
    let ExpansionSettings { density, primitive, l_max, .. } = &settings.expansion;
    let Some(&first) = species.first() else {
        return Err(Error::setting("species", "none", "a basis has at least one", "fit it again"));
    };
    let integrals = RadialIntegrals::new(primitive, density.r_cut, density.sigma.of(first)?, *l_max)?;
    Ok((0..=*l_max).map(|l| integrals.n_functions(l)).collect())
}

/// The expansion through the tables of the file.
fn stored_expansion(
    path: &Path,
    archive: &Archive,
    settings: &BasisSettings,
    species: &[u8],
    kinds: &[KindOfBasis],
    powers: &BTreeMap<u8, String>,
) -> Result<SphericalExpansion> {
    let knots: Array1<f64> = archive.array(path, "knots")?;
    let r_cut = settings.expansion.density.r_cut;
    let damaged = |problem: String| Error::file(path, problem, "the file is damaged");
    if knots.len() < 2 || (knots[knots.len() - 1] - r_cut).abs() > 1e-9 * r_cut {
        return Err(damaged(format!("{} knots do not span 0 to r_cut = {r_cut}", knots.len())));
    }
    let mut entries = Vec::new();
    for kind in kinds {
        let mut radials = Vec::new();
        for &z in species {
            let divided = match powers.get(&z).map(String::as_str) {
                Some("l") => true,
                Some("0") => false,
                other => return Err(damaged(format!("table_power of species {z} is {other:?}, not l or 0"))),
            };
            let mut arrays: Vec<Array3<f64>> = Vec::new();
            for l in 0..=settings.expansion.l_max {
                let name = format!("{}table/{z}/l{l}", prefix(kind.center));
                let array: Array3<f64> = archive.array(path, &name)?;
                let block = kind.blocks.iter().find(|b| b.l == l && b.species.is_none_or(|a| a == z));
                let q = block.map_or(0, |b| b.contraction.u.nrows());
                if array.dim() != (knots.len(), 2, q) {
                    return Err(damaged(format!("{name} has shape {:?}, not {:?}", array.dim(), (knots.len(), 2, q))));
                }
                arrays.push(array);
            }
            let views: Vec<_> = arrays.iter().map(|a| a.view()).collect();
            radials.push((z, RadialSource::Table(RadialTable::from_arrays(r_cut, &views, divided))));
        }
        entries.push(KindOfCenter { center: kind.center, radials });
    }
    let combined = settings.mixing == Mixing::Combined;
    let expansion = &settings.expansion;
    SphericalExpansion::contracted(
        expansion.density.clone(),
        expansion.l_max,
        expansion.spline_accuracy,
        archive.json(path, "spline_error")?,
        combined,
        entries,
    )
}

fn prefix(center: Option<u8>) -> String {
    center.map_or(String::new(), |z| format!("c{z}/"))
}

fn block_name(species: Option<u8>, l: usize) -> String {
    species.map_or(format!("l{l}"), |z| format!("{z}/l{l}"))
}
