//! Accumulator files `*.cov`: sums over centres, as safetensors.
//!
//! Tensors (float64): `sum/l{l}` = N·C^l `[(a, n), (a′, n′)]` when combined, `sum/{Z}/l{l}` `[n, n′]` for each neighbour species
//! kept apart; `n_centers`. Centre-specific: under `c{Z}/` for each species of centre.
//! Metadata: `kind` = covariance, `format_version`, `settings` (JSON), `species`, `centers`, `n_structures`, and of the data
//! `files` (path, frames, sha256) and `shard`.

use std::path::Path;

use ndarray::{Array1, Array2, s};

use super::basis::SourceFile;
use super::covariance::{Covariance, KindSums, to_json};
use super::settings::{CovarianceSettings, Mixing};
use super::shards::Shard;
use crate::files::Archive;
use crate::{Error, Result};

const KIND: &str = "covariance";

/// Version of the `.cov` format that this library writes, and the newest it reads.
const FORMAT: u32 = 1;

impl Covariance {
    /// Writes the accumulator; the same sums give the same bytes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.archive().write(path)
    }

    /// The bytes of the accumulator file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.archive().encode(&mut bytes).expect("memory takes what is written to it");
        bytes
    }

    fn archive(&self) -> Archive {
        let species = self.species();
        let centers: Vec<u8> = self.kinds().iter().map(|kind| kind.unwrap_or(0)).collect();
        let mut archive = Archive::default();
        let mut note = |key: &str, text: String| archive.metadata.insert(key.into(), text);
        note("kind", KIND.into());
        note("format_version", FORMAT.to_string());
        note("settings", to_json(&self.settings));
        note("species", to_json(&species));
        note("centers", to_json(&centers));
        note("n_structures", self.n_structures.to_string());
        note("files", to_json(&self.files));
        note("shard", to_json(&self.shard));
        for kind in self.kinds() {
            let prefix = prefix(kind.unwrap_or(0));
            let n_centers = Array1::from_vec(vec![self.n_centers(kind) as f64]);
            archive.insert(format!("{prefix}n_centers"), n_centers.view().into_dyn());
            for l in 0..=self.template.l_max() {
                let sum = self.sum(kind, l, &species);
                if self.settings.mixing == Mixing::Combined {
                    archive.insert(format!("{prefix}sum/l{l}"), sum.view().into_dyn());
                    continue;
                }
                let n = self.n_functions(l);
                for (i, z) in species.iter().enumerate() {
                    let block = sum.slice(s![i * n..(i + 1) * n, i * n..(i + 1) * n]);
                    archive.insert(format!("{prefix}sum/{z}/l{l}"), block.into_dyn());
                }
            }
        }
        archive
    }

    /// Reads an accumulator, to make a basis of it or to add more structures.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another kind, or from a newer format.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_archive(&Archive::read(path, KIND, FORMAT)?, path)
    }

    /// Reads the bytes of an accumulator file, as [`Covariance::to_bytes`] gives them.
    ///
    /// # Errors
    /// As [`Covariance::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let path = Path::new("accumulator in memory");
        Self::from_archive(&Archive::decode(bytes, path, KIND, FORMAT)?, path)
    }

    /// Settings, files and shard of an accumulator file.
    pub(super) fn origin(path: &Path) -> Result<(CovarianceSettings, Vec<SourceFile>, Option<Shard>)> {
        let archive = Archive::read(path, KIND, FORMAT)?;
        Ok((archive.json(path, "settings")?, archive.json(path, "files")?, archive.json(path, "shard")?))
    }

    fn from_archive(archive: &Archive, path: &Path) -> Result<Self> {
        let settings: CovarianceSettings = archive.json(path, "settings")?;
        let species: Vec<u8> = archive.json(path, "species")?;
        let centers: Vec<u8> = archive.json(path, "centers")?;
        let damaged = |problem: String| Error::file(path, problem, "the file is damaged");
        let mut covariance =
            Covariance::new(&settings).map_err(|e| damaged(format!("settings that make no basis ({e})")))?;
        covariance.n_structures = archive.json(path, "n_structures")?;
        covariance.set_files(archive.json(path, "files")?, archive.json(path, "shard")?);
        if centers.iter().any(|&z| (z > 0) != settings.center_specific) || !species.is_sorted_by(|a, b| a < b) {
            return Err(damaged(format!("species {species:?} and centres {centers:?} do not fit the settings")));
        }
        for z in centers {
            let prefix = prefix(z);
            let n_centers: Array1<f64> = archive.array(path, &format!("{prefix}n_centers"))?;
            let [n_centers] = n_centers.to_vec()[..] else {
                return Err(damaged(format!("{prefix}n_centers is not one number")));
            };
            let mut kind = KindSums { n_centers: n_centers as usize, ..KindSums::default() };
            for l in 0..=settings.expansion.l_max {
                let n = covariance.n_functions(l);
                let read = |name: String, size: usize| -> Result<Array2<f64>> {
                    let sum: Array2<f64> = archive.array(path, &name)?;
                    if sum.dim() != (size, size) {
                        return Err(damaged(format!("{name} has shape {:?}, not {:?}", sum.dim(), (size, size))));
                    }
                    Ok(sum)
                };
                if settings.mixing == Mixing::Combined {
                    let sum = read(format!("{prefix}sum/l{l}"), n * species.len())?;
                    for (i, &a) in species.iter().enumerate() {
                        for (j, &b) in species.iter().enumerate().skip(i) {
                            let block = sum.slice(s![i * n..(i + 1) * n, j * n..(j + 1) * n]);
                            kind.pairs.entry((a, b)).or_default().push(block.to_owned());
                        }
                    }
                    continue;
                }
                for &a in &species {
                    kind.pairs.entry((a, a)).or_default().push(read(format!("{prefix}sum/{a}/l{l}"), n)?);
                }
            }
            covariance.total.insert(z, kind);
        }
        Ok(covariance)
    }
}

fn prefix(center: u8) -> String {
    if center > 0 { format!("c{center}/") } else { String::new() }
}
