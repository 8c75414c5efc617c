//! Accumulator files `*.cov`: sums over centres, as safetensors.
//!
//! Tensors (float64): `sum/l{l}` = N·C^l `[(a, n), (a′, n′)]` when combined, `sum/{Z}/l{l}` `[n, n′]` for each neighbour species
//! kept apart; `n_centers`. Centre-specific: under `c{Z}/` for each species of centre.
//! Metadata (JSON): `settings`, `species`, `centers`, `n_structures`, and of the data `files` (path, frames, sha256) and
//! `shard`.

use std::path::Path;

use ndarray::{Array2, ArrayView2, arr1, s};

use super::basis_file::species_of;
use super::covariance::Covariance;
use super::gram::{GramKey, impossible};
use super::settings::{CovarianceSettings, Mixing};
use crate::Result;
use crate::density::BlockKey;
use crate::extxyz::{Shard, SourceFile};
use crate::files::{Archive, Stored, count, damaged};

impl Stored for Covariance {
    const KIND: &'static str = "covariance";

    fn archive(&self) -> Archive {
        let species = self.species();
        let centers: Vec<u8> = self.kinds().iter().map(|kind| kind.unwrap_or(0)).collect();
        let mut archive = Archive::default();
        archive.note("settings", &self.settings);
        archive.note("species", &species);
        archive.note("centers", &centers);
        archive.note("n_structures", &self.sums.n_structures);
        archive.note("files", &self.files);
        archive.note("shard", &self.shard);
        for kind in self.kinds() {
            let prefix = prefix(kind.unwrap_or(0));
            archive.insert(format!("{prefix}n_centers"), &arr1(&[self.n_centers(kind) as f64]));
            for l in 0..=self.template.l_max() {
                let sum = self.sum(kind, l, &species);
                if self.settings.mixing == Mixing::Combined {
                    archive.insert(format!("{prefix}sum/l{l}"), &sum);
                    continue;
                }
                let n = self.n_functions(l);
                for (i, z) in species.iter().enumerate() {
                    let block = sum.slice(s![i * n..(i + 1) * n, i * n..(i + 1) * n]);
                    archive.insert(format!("{prefix}sum/{z}/l{l}"), block);
                }
            }
        }
        archive
    }

    fn from_archive(archive: Archive, path: &Path) -> Result<Self> {
        let settings: CovarianceSettings = archive.json(path, "settings")?;
        let species = species_of(&archive, path)?;
        let centers: Vec<u8> = archive.json(path, "centers")?;
        let damaged = |problem: String| damaged(path, problem);
        let mut covariance =
            Covariance::new(&settings).map_err(|e| damaged(format!("settings that make no basis ({e})")))?;
        covariance.sums.n_structures = count(path, "n_structures", archive.json(path, "n_structures")?)?;
        covariance.set_files(archive.json(path, "files")?, archive.json(path, "shard")?);
        let fits = |z: &u8| if settings.center_specific { species.contains(z) } else { *z == 0 };
        if !centers.iter().all(fits) {
            return Err(damaged(format!("species {species:?} and centres {centers:?} do not fit the settings")));
        }
        let n_functions: Vec<usize> = (0..=settings.expansion.l_max).map(|l| covariance.n_functions(l)).collect();
        for z in centers {
            let prefix = prefix(z);
            let n_centers = format!("{prefix}n_centers");
            let n_centers = count(path, &n_centers, archive.array_of(path, &n_centers, 1)?[0])?;
            let sum = &mut covariance.sums.total;
            sum.n_centers.insert(z, n_centers);
            for (l, &n) in n_functions.iter().enumerate() {
                let mut keep = |groups: (u8, u8), block: ArrayView2<f64>| {
                    sum.blocks.insert(GramKey { center: z, block: BlockKey::density(l), groups }, block.to_owned());
                };
                let read = |name: String, size: usize| -> Result<Array2<f64>> {
                    let sum: Array2<f64> = archive.array_of(path, &name, (size, size))?;
                    match impossible(&sum, true) {
                        Some(x) => {
                            Err(damaged(format!("array '{name}' holds {x}, which is no sum of squares and products")))
                        }
                        None => Ok(sum),
                    }
                };
                if settings.mixing == Mixing::Combined {
                    let sum = read(format!("{prefix}sum/l{l}"), n * species.len())?;
                    for (i, &a) in species.iter().enumerate() {
                        for (j, &b) in species.iter().enumerate().skip(i) {
                            let block = sum.slice(s![i * n..(i + 1) * n, j * n..(j + 1) * n]);
                            keep((a, b), block);
                        }
                    }
                    continue;
                }
                for &a in &species {
                    keep((a, a), read(format!("{prefix}sum/{a}/l{l}"), n)?.view());
                }
            }
        }
        Ok(covariance)
    }
}

impl Covariance {
    /// Settings, files and shard of an accumulator file.
    pub(super) fn origin(path: &Path) -> Result<(CovarianceSettings, Vec<SourceFile>, Option<Shard>)> {
        let archive = Archive::read(path, Self::KIND)?;
        Ok((archive.json(path, "settings")?, archive.json(path, "files")?, archive.json(path, "shard")?))
    }
}

fn prefix(center: u8) -> String {
    if center > 0 { format!("c{center}/") } else { String::new() }
}
