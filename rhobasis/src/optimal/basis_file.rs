//! Basis files `*.rho`: safetensors with everything needed to evaluate, inspect and explain a basis.
//!
//! Tensors (float64): `U/l{l}` `[q, (a, n)]` and `eigenvalues/l{l}` when combined, `U/{Z}/l{l}` `[q, n]` and
//! `eigenvalues/{Z}/l{l}` per species; `knots` in Å; `table/{Z}/l{l}` with axes `[knot, (value, derivative), q]`, holding
//! I(r)/r^p with p = l or 0 as metadata `table_power` says. Centre-specific: all but `knots` under `c{Z}/`.
//! Metadata (JSON): `settings`, `provenance`, `species`, `n_centers`, `spline_error`, `table_power`, `warnings`.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, Array2, Array3, ArrayView1};

use super::basis::{ContractionBlock, KindOfBasis, OptimalBasis, contracted_expansion};
use super::contraction::Contraction;
use super::given::{ORTHONORMAL, from_orthonormal};
use super::provenance::BasisSettings;
use super::settings::{Method, Mixing};
use super::weighting::WEIGHTING;
use crate::density::{
    AroundCenter, BlockKey, ExpansionSettings, RadialIntegrals, RadialSource, RadialTable, SphericalExpansion,
};
use crate::files::{Archive, Stored, count, damaged};
use crate::{Error, Result};

impl Stored for OptimalBasis {
    const KIND: &'static str = "basis";

    fn archive(&self) -> Archive {
        let mut archive = Archive::default();
        archive.note("settings", &self.settings);
        archive.note("provenance", &self.provenance);
        archive.note("species", &self.species);
        archive.note("warnings", &self.warnings);
        archive.note("spline_error", &self.expansion.spline_error());
        let n_centers: BTreeMap<u8, usize> = self.kinds.iter().map(|k| (k.center.unwrap_or(0), k.n_centers)).collect();
        archive.note("n_centers", &n_centers);
        let mut powers: BTreeMap<u8, &str> = BTreeMap::new();
        for kind in &self.kinds {
            let prefix = prefix(kind.center);
            for block in &kind.blocks {
                let name = block_name(block.species, block.key.lambda);
                archive.insert(format!("{prefix}eigenvalues/{name}"), ArrayView1::from(&block.contraction.eigenvalues));
                archive.insert(format!("{prefix}U/{name}"), &block.contraction.u);
            }
            for &z in &self.species {
                let Some(table) = self.expansion.table(kind.center, z) else { continue };
                powers.insert(z, if table.is_divided() { "l" } else { "0" });
                store_table(&mut archive, &prefix, z, table, self.settings.expansion.l_max);
            }
        }
        archive.note("table_power", &powers);
        archive
    }

    /// Evaluation uses the tables stored in the file.
    fn from_archive(archive: Archive, path: &Path) -> Result<Self> {
        let settings: BasisSettings = archive.json(path, "settings")?;
        let species = species_of(&archive, path)?;
        let n_centers: BTreeMap<u8, f64> = archive.json(path, "n_centers")?;
        let n_functions = settings.n_functions(&species);
        let n_functions = n_functions.map_err(|e| damaged(path, format!("settings that make no basis ({e})")))?;
        let mut kinds = Vec::new();
        for (&center, &n_centers) in &n_centers {
            let fits = if settings.center_specific { species.contains(&center) } else { center == 0 };
            if !fits {
                let problem = format!("center_specific is {}, its centres are not", settings.center_specific);
                return Err(damaged(path, problem));
            }
            let center = (center > 0).then_some(center);
            let owners: Vec<Option<u8>> = match settings.mixing {
                Mixing::Combined => vec![None],
                Mixing::PerSpecies => species.iter().map(|&z| Some(z)).collect(),
            };
            let mut blocks = Vec::new();
            for owner in owners {
                for (l, n) in n_functions.iter().enumerate() {
                    let n = if owner.is_none() { n * species.len() } else { *n };
                    let name = |what: &str| format!("{}{what}/{}", prefix(center), block_name(owner, l));
                    let contraction = contraction(&archive, path, [name("eigenvalues"), name("U")], n)?;
                    blocks.push(ContractionBlock { species: owner, key: BlockKey::density(l), contraction });
                }
            }
            kinds.push(KindOfBasis { center, n_centers: count(path, "n_centers", n_centers)?, blocks });
        }
        if kinds.is_empty() {
            return Err(damaged(path, "it is for no kind of centre"));
        }
        let expansion = if settings.expansion.spline_accuracy.is_some() {
            stored_expansion(path, &archive, &settings, &species, &kinds)?
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

impl BasisSettings {
    /// Primitive functions of each l, per species, if the settings can make a basis of these species.
    fn n_functions(&self, species: &[u8]) -> Result<Vec<usize>> {
        let n_functions = primitive_functions(&self.expansion, species)?;
        let n_max = n_functions.iter().copied().max().unwrap_or(0);
        match self.mixing {
            Mixing::PerSpecies => self.truncation.validate(n_max, "per species")?,
            Mixing::Combined => self.truncation.validate(n_max * species.len(), "of all species together")?,
        }
        WEIGHTING.check(self.weighting.as_ref())?;
        match self.method {
            Method::Pca | Method::Given => {}
            Method::Pcovr(pcovr) => pcovr.validate()?,
            Method::Supervised(supervised) => supervised.validate()?,
            Method::Sensitivity(sensitivity) => sensitivity.validate()?,
        }
        match self.nu {
            1..=12 => Ok(n_functions),
            nu => Err(Error::setting("nu", nu, "the order of correlation is from 1 to 12", "fit it again")),
        }
    }
}

/// Primitive functions of each l, per species.
pub(crate) fn primitive_functions(settings: &ExpansionSettings, species: &[u8]) -> Result<Vec<usize>> {
    settings.validate()?;
    let ExpansionSettings { density, primitive, l_max, .. } = settings;
    let Some(&first) = species.first() else {
        return Err(Error::setting("species", "none", "a basis has at least one", "fit it again"));
    };
    let integrals = RadialIntegrals::new(primitive, density.r_cut, density.sigma.of(first)?, *l_max)?;
    Ok((0..=*l_max).map(|l| integrals.n_functions(l)).collect())
}

/// The species of a file: atomic numbers, ascending.
pub(crate) fn species_of(archive: &Archive, path: &Path) -> Result<Vec<u8>> {
    let species: Vec<u8> = archive.json(path, "species")?;
    match species.is_sorted_by(|a, b| a < b) && species.iter().all(|z| (1..=118).contains(z)) {
        true => Ok(species),
        false => Err(damaged(path, format!("species {species:?} are not ascending atomic numbers"))),
    }
}

/// The arrays with the eigenvalues and U of a block of `n` functions.
fn contraction(archive: &Archive, path: &Path, [eigenvalues, u]: [String; 2], n: usize) -> Result<Contraction> {
    let (of_values, of_u) = (eigenvalues, u);
    let eigenvalues: Array1<f64> = archive.array_of(path, &of_values, n)?;
    let u: Array2<f64> = archive.array(path, &of_u)?;
    if u.ncols() != n || u.nrows() > n {
        return Err(damaged(path, format!("array '{of_u}' has shape {:?} for {n} functions", u.dim())));
    }
    if let Some(negative) = eigenvalues.iter().find(|e| **e < 0.0) {
        return Err(damaged(path, format!("array '{of_values}' holds {negative}, which is no variance")));
    }
    let error = from_orthonormal(&u);
    if error > ORTHONORMAL {
        return Err(damaged(
            path,
            format!("the rows of array '{of_u}' are not orthonormal: they miss it by {error:.1e}"),
        ));
    }
    Ok(Contraction { eigenvalues: eigenvalues.to_vec(), u })
}

/// The expansion through the tables of the file.
fn stored_expansion(
    path: &Path,
    archive: &Archive,
    settings: &BasisSettings,
    species: &[u8],
    kinds: &[KindOfBasis],
) -> Result<SphericalExpansion> {
    let powers: BTreeMap<u8, String> = archive.json(path, "table_power")?;
    let expansion = &settings.expansion;
    let mut entries = Vec::new();
    for kind in kinds {
        let mut radials = Vec::new();
        for &z in species {
            let divided = match powers.get(&z).map(String::as_str) {
                Some("l") => true,
                Some("0") => false,
                other => {
                    let power = other.unwrap_or("missing");
                    return Err(damaged(path, format!("table_power of species {z} is {power}, not l or 0")));
                }
            };
            let of_z = kind.blocks.iter().filter(|b| b.species.is_none_or(|a| a == z));
            let counts: Vec<usize> = of_z.map(|b| b.contraction.u.nrows()).collect();
            let prefix = prefix(kind.center);
            let table = stored_table(archive, path, &prefix, z, expansion.density.r_cut, &counts, divided)?;
            radials.push(RadialSource::Table(table));
        }
        entries.push(AroundCenter { center: kind.center, radials });
    }
    SphericalExpansion::contracted(
        expansion.density.clone(),
        expansion.spline_accuracy,
        archive.json(path, "spline_error")?,
        settings.mixing == Mixing::Combined,
        species,
        entries,
    )
}

/// Adds the table of neighbours of species `z`, and its knots.
pub(crate) fn store_table(archive: &mut Archive, prefix: &str, z: u8, table: &RadialTable, l_max: usize) {
    archive.insert("knots", ArrayView1::from(&table.knots()));
    for l in 0..=l_max {
        archive.insert(format!("{prefix}table/{z}/l{l}"), &table.array(l));
    }
}

/// The table of neighbours of species `z`, with this number of functions for each l.
pub(crate) fn stored_table(
    archive: &Archive,
    path: &Path,
    prefix: &str,
    z: u8,
    r_cut: f64,
    counts: &[usize],
    divided: bool,
) -> Result<RadialTable> {
    let knots: Array1<f64> = archive.array(path, "knots")?;
    let step = r_cut / (knots.len().max(2) - 1) as f64;
    let apart = |(k, knot): &(usize, &f64)| (*knot - step * *k as f64).abs() > 1e-9 * r_cut;
    if knots.len() < 2 || knots.iter().enumerate().any(|knot| apart(&knot)) {
        let n = knots.len();
        return Err(damaged(path, format!("{n} knots do not lie equally spaced from 0 to r_cut = {r_cut}")));
    }
    let of_l = |(l, q): (usize, &usize)| -> Result<Array3<f64>> {
        archive.array_of(path, &format!("{prefix}table/{z}/l{l}"), (knots.len(), 2, *q))
    };
    let arrays = counts.iter().enumerate().map(of_l).collect::<Result<Vec<_>>>()?;
    let views: Vec<_> = arrays.iter().map(|a| a.view()).collect();
    Ok(RadialTable::from_arrays(r_cut, &views, divided))
}

fn prefix(center: Option<u8>) -> String {
    center.map_or(String::new(), |z| format!("c{z}/"))
}

fn block_name(species: Option<u8>, l: usize) -> String {
    species.map_or(format!("l{l}"), |z| format!("{z}/l{l}"))
}
