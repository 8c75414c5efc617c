//! Sample files `*.sample`: safetensors of kind `nice-sample`.
//!
//! Tensors (float64): `keys` `[atom, (upper 32 bits, lower 32 bits)]`, ascending (of each species), `species` `[atom]`, `coefficients`
//! `[atom, (block, channel, m)]`, and `probe`, by which the basis is known. Metadata (JSON): `sample` (channels and species of the
//! density, the largest number of atoms, and whether of each species, the number of structures), and of the data `files` (path,
//! frames, sha256) and `shard`.

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};

use super::origin::{ChannelNote, Origin, halves, key_of};
use super::sample::{Atom, NiceSample};
use super::settings::Sequence;
use crate::correlations::L_MAX_COUPLED;
use crate::density::BlockKey;
use crate::extxyz::{Shard, SourceFile};
use crate::files::{Archive, Stored, damaged};
use crate::optimal::{Part, union};
use crate::{Error, Result};

#[derive(Serialize, Deserialize)]
struct Note {
    channels: ChannelNote,
    species: Vec<u8>,
    n_centers: usize,
    sequence: Sequence,
    n_structures: usize,
}

impl Stored for NiceSample {
    const KIND: &'static str = "nice-sample";

    fn archive(&self) -> Archive {
        let mut archive = Archive::default();
        self.store(&mut archive);
        archive
    }

    fn from_archive(archive: Archive, path: &Path) -> Result<Self> {
        NiceSample::restore(&archive, path)
    }
}

impl NiceSample {
    /// Adds it to a file.
    pub(super) fn store(&self, archive: &mut Archive) {
        let atoms = self.chosen();
        let channels = ChannelNote::of(&self.origin.channels);
        let (species, sequence) = (self.origin.species.clone(), self.sequence());
        let note = Note { channels, species, n_centers: self.n_max, sequence, n_structures: self.n_structures };
        archive.note("sample", &note);
        archive.note("files", &self.files);
        archive.note("shard", &self.shard);
        let keys: Vec<[f64; 2]> = atoms.iter().map(|atom| halves(atom.key)).collect();
        archive.insert("keys", &ndarray::arr2(&keys));
        archive.insert("species", &atoms.iter().map(|atom| f64::from(atom.species)).collect::<Array1<f64>>());
        drop(atoms);
        archive.insert("coefficients", &self.coefficients());
        archive.insert("probe", &self.origin.probe);
    }

    /// What [`NiceSample::store`] has added.
    pub(super) fn restore(archive: &Archive, path: &Path) -> Result<Self> {
        let note: Note = archive.json(path, "sample")?;
        let channels = note.channels.channels();
        let keys: Vec<BlockKey> = (0..channels.len()).map(BlockKey::density).collect();
        if note.n_centers == 0 || keys.is_empty() || keys.len() > L_MAX_COUPLED + 1 {
            return Err(damaged(path, "it is a sample of nothing"));
        }
        let probe: Array2<f64> = archive.array(path, "probe")?;
        let origin = Origin { keys, channels, species: note.species, probe };
        let species: Array1<f64> = archive.array(path, "species")?;
        let keys: Array2<f64> = archive.array_of(path, "keys", (species.len(), 2))?;
        let c: Array2<f64> = archive.array_of(path, "coefficients", (species.len(), origin.width()))?;
        let mut atoms = Vec::with_capacity(species.len());
        for ((key, &z), c) in keys.rows().into_iter().zip(&species).zip(c.axis_iter(Axis(0))) {
            let known = (1.0..=118.0).contains(&z) && z.fract() == 0.0;
            let Some(key) = key_of(key[0], key[1]).filter(|_| known) else {
                return Err(damaged(path, format!("{key} of species {z} is the key of no atom")));
            };
            atoms.push(Atom { key, species: z as u8, c: c.to_vec() });
        }
        let n_atoms = atoms.len();
        let size = (note.n_centers, note.sequence == Sequence::PerSpecies);
        let mut sample = NiceSample::of_atoms(origin, size, atoms);
        if sample.atoms.len() < n_atoms {
            return Err(damaged(path, "it holds more atoms than it says"));
        }
        sample.n_structures = note.n_structures;
        sample.set_files(archive.json(path, "files")?, archive.json(path, "shard")?);
        Ok(sample)
    }

    /// The union of sample files: all shards of one data set, or samples of different data, in any order. It is the sample that one
    /// run over all takes, to the last bit.
    ///
    /// # Errors
    /// If a file cannot be read, bases or sizes differ, shards are missing, repeated, or of different data, or the same data is in
    /// two of them.
    pub fn merge_files(paths: &[PathBuf]) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::setting("parts", 0, "there is nothing to merge", "name the sample files (*.sample)"));
        }
        let origin = |path: &PathBuf| -> Result<(Vec<SourceFile>, Option<Shard>)> {
            let archive = Archive::read(path, Self::KIND)?;
            Ok((archive.json(path, "files")?, archive.json(path, "shard")?))
        };
        let part = |path| origin(path).map(|(files, shard)| Part { path, files, shard });
        let parts = paths.iter().map(part).collect::<Result<Vec<_>>>()?;
        let (order, files) = union(&parts, ".sample", "features --save-sample --shard")?;
        let mut all = NiceSample::load(order[0])?;
        for path in &order[1..] {
            let merged = all.merge(NiceSample::load(path)?);
            merged.map_err(|e| {
                Error::file(*path, format!("does not go with {}: {e}", order[0].display()), "leave it out")
            })?;
        }
        all.set_files(files, None);
        Ok(all)
    }
}
