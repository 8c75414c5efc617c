//! Rows of shards of a training set, summed apart, and their union: files `*.rows`.
//!
//! Tensors (float64): `{k}/triangle` of fold k, `[R | Qᵀy]` by panels of 64 rows, each from the column of its first row on, and `{k}/left`,
//! the squared norm of y that is left over; `basis/…` and `features/{k}/nice/…` as in a potential. Metadata (JSON): `settings`, `basis`,
//! `origin`, `n_frames`, `n_parameters`, `{k}/n_rows`, and `made`, the digest of the arrays of basis and features.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::features::Basis;
use super::fold_sums::{store_triangles, stored_triangles};
use super::settings::{ModelSettings, TrainSettings};
use crate::extxyz::{Shard, SourceFile};
use crate::files::{Archive, Digest, count, damaged};
use crate::models::PackedTriangle;
use crate::optimal::{Part, union};
use crate::{Error, Result};

/// What a part was made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PartOrigin {
    /// Which of how many shards it is.
    pub shard: Shard,
    /// Files of all frames, of this shard and the others.
    pub files: Vec<SourceFile>,
    /// What has to be the same in all parts: settings, keys, versions, by name.
    pub identity: Value,
    /// The model file, as it was named where the part was made.
    pub model_file: PathBuf,
    /// Its text.
    pub model_text: String,
}

/// The rows of a shard of a training set, as one triangle for each fold: what a linear model is fitted to, without the rows.
///
/// Triangles of shards have that of all rows for their union, which is what makes a potential of them:
///
/// ```text
/// X = [X_1; X_2; …],   X_s = Q_s R_s:      X = Q R,   R from [R_1; R_2; …]
/// ```
///
/// [`Trainer::of_shard`](super::Trainer::of_shard) and [`Trainer::into_part`](super::Trainer::into_part) make a part,
/// [`TrainingPart::merge_files`] adds all of them up, and [`Trainer::take`](super::Trainer::take) goes on with the sum.
///
/// ```
/// use rhobasis::Structure;
/// use rhobasis::density::{ExpansionSettings, Primitive};
/// use rhobasis::extxyz::{Labels, Shard};
/// use rhobasis::potential::{
///     Baseline, Basis, FeatureSettings, ModelSettings, PartOrigin, Repulsion, TrainSettings, Trainer, TrainingPart, Weights,
/// };
///
/// let distances = [1.8, 1.9, 2.0, 2.1, 2.2, 2.4, 2.6, 2.9];
/// let frames = distances.map(|d| Structure::molecule(vec![14, 14], vec![[0.0; 3], [d, 0.0, 0.0]]));
/// let labels = distances.map(|d: f64| Labels { energy: Some(-8.0 + d.powi(-6)), ..Labels::default() });
/// let expansion = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 1, ..Default::default() };
/// let settings = TrainSettings {
///     features: FeatureSettings::default(),
///     model: ModelSettings::ridge(),
///     baseline: Baseline::default(),
///     repulsion: Repulsion::None,
///     weights: Weights::default(),
/// };
/// let trainer = || Trainer::new(Basis::primitive(&expansion, &[14])?, &settings, &frames, &labels);
/// let folder = std::env::temp_dir();
/// let names = [1, 2].map(|i| folder.join(format!("doc-of-training-part-{i}.rows")));
/// for (i, name) in names.iter().enumerate() {
///     let shard = Shard::new(i + 1, 2)?;
///     let mut trainer = trainer()?.of_shard(shard)?;
///     trainer.advance(trainer.n_frames())?;
///     trainer.into_part(PartOrigin { shard, ..PartOrigin::default() })?.save_made_by(name, "an example")?;
/// }
/// let mut all = trainer()?;
/// all.take(TrainingPart::merge_files(&names)?)?;
/// let parts = all.finish()?.predict(&frames, false)?;
///
/// let mut whole = trainer()?;
/// whole.advance(whole.n_frames())?;
/// let whole = whole.finish()?.predict(&frames, false)?;
/// assert!(parts.iter().zip(&whole).all(|(a, b)| (a.energy - b.energy).abs() < 1e-9));
/// # names.iter().for_each(|name| std::fs::remove_file(name).unwrap());
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug)]
pub struct TrainingPart {
    settings: TrainSettings,
    basis: Basis,
    origin: PartOrigin,
    n_frames: usize,
    n_parameters: usize,
    triangles: Vec<PackedTriangle>,
}

impl TrainingPart {
    /// The kind of file, as its metadata says.
    pub const KIND: &'static str = "rows";

    /// Refuses models that are not fitted to rows of frames alone.
    ///
    /// # Errors
    /// For all but linear ones.
    pub fn check(model: &ModelSettings) -> Result<()> {
        let (name, problem) = match model {
            ModelSettings::Ridge { .. } => return Ok(()),
            ModelSettings::Gap { .. } => ("gap", "its sparse points are chosen among the atoms of all frames"),
            ModelSettings::KernelRidge { .. } => ("kernel-ridge", "it takes the features of all frames together"),
        };
        let remedy = "train it in one run, with a checkpoint if it is long, or use a ridge model";
        Err(Error::setting("model", name, format!("{problem}, so that no shard can be fitted alone"), remedy))
    }

    /// The sums of a shard, one triangle for each fold.
    pub(super) fn new(
        settings: TrainSettings,
        basis: Basis,
        origin: PartOrigin,
        n_frames: usize,
        triangles: Vec<PackedTriangle>,
    ) -> Self {
        let n_parameters = triangles.first().map_or(0, PackedTriangle::n_columns);
        TrainingPart { settings, basis, origin, n_frames, n_parameters, triangles }
    }

    /// The settings, with what was fitted of the features.
    pub fn settings(&self) -> &TrainSettings {
        &self.settings
    }

    /// The radial basis.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// What it was made from.
    pub fn origin(&self) -> &PartOrigin {
        &self.origin
    }

    /// Frames whose rows were summed.
    pub fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// Rows: one for each energy, component of a force and component of a stress.
    pub fn n_rows(&self) -> usize {
        self.triangles.iter().map(PackedTriangle::n_rows).sum()
    }

    /// Parameters of the model.
    pub fn n_parameters(&self) -> usize {
        self.n_parameters
    }

    /// Folds by which alpha is chosen; 1 where it is given.
    pub fn n_folds(&self) -> usize {
        self.triangles.len()
    }

    /// Frames, parameters and folds, and the triangles.
    pub(super) fn into_triangles(self) -> ([usize; 3], Vec<PackedTriangle>) {
        ([self.n_frames, self.n_parameters, self.triangles.len()], self.triangles)
    }

    /// Writes the file with the command that made it; the part is taken apart, as there may be no room for it twice.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_made_by(self, path: &Path, command: &str) -> Result<()> {
        let mut archive = Archive::default();
        let note = self.basis.store(&mut archive);
        self.settings.features.store(&mut archive);
        archive.note("made", &digest_of(&archive));
        archive.note("basis", &note);
        archive.note("settings", &self.settings);
        archive.note("origin", &self.origin);
        archive.note("n_frames", &self.n_frames);
        archive.note("n_parameters", &self.n_parameters);
        store_triangles(self.triangles.into_iter(), &mut archive);
        archive.write_made_by(path, Self::KIND, command)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it is missing, damaged, or of another kind.
    pub fn load(path: &Path) -> Result<Self> {
        let mut archive = Archive::read(path, Self::KIND)?;
        let mut settings: TrainSettings = archive.json(path, "settings")?;
        let basis = Basis::restore(&mut archive, path)?;
        settings.features.restore(&archive, path)?;
        let counted = |name: &str| count(path, name, archive.json(path, name)?);
        let (n_frames, n_parameters) = (counted("n_frames")?, counted("n_parameters")?);
        let origin = archive.json(path, "origin")?;
        let triangles = stored_triangles(n_parameters, &mut archive, path)?;
        if triangles.is_empty() {
            return Err(damaged(path, "it holds no sums"));
        }
        Ok(TrainingPart { settings, basis, origin, n_frames, n_parameters, triangles })
    }

    /// The sum of the parts of all shards of one training set, in the order of the shards however they are named. It differs from
    /// that of one run in the last bits, as rows are added in another order. One part is in memory besides the sum.
    ///
    /// # Errors
    /// If a file cannot be read, or parts are missing, repeated, or made of other data or with other settings.
    pub fn merge_files(paths: &[PathBuf]) -> Result<Self> {
        let Some(first) = paths.first() else {
            return Err(Error::setting("parts", 0, "there is nothing to merge", "name the parts (*.rows)"));
        };
        let notes = paths.iter().map(|path| Note::read(path)).collect::<Result<Vec<_>>>()?;
        for (note, path) in notes.iter().zip(paths).skip(1) {
            note.check_settings(&notes[0], path, first)?;
        }
        let part = |(path, note): (_, &Note)| {
            let PartOrigin { files, shard, .. } = note.origin.clone();
            Part { path, files, shard: Some(shard) }
        };
        let parts: Vec<Part> = paths.iter().map(PathBuf::as_path).zip(&notes).map(part).collect();
        let (order, _) = union(&parts, ".rows", "train --shard")?;
        for (note, path) in notes.iter().zip(paths).skip(1) {
            note.check_made(&notes[0], path, first)?;
        }
        let mut sum = TrainingPart::load(order[0])?;
        // A part may lack the last rows of its triangles; the sum is to have them all.
        sum.triangles = sum.triangles.into_iter().map(PackedTriangle::complete).collect();
        for path in &order[1..] {
            let part = TrainingPart::load(path)?;
            if (part.n_parameters, part.triangles.len()) != (sum.n_parameters, sum.triangles.len()) {
                return Err(damaged(path, "its sums have other columns or folds than those of the other parts"));
            }
            for (sum, triangle) in sum.triangles.iter_mut().zip(&part.triangles) {
                sum.merge(triangle)?;
            }
            sum.n_frames += part.n_frames;
        }
        Ok(sum)
    }
}

/// The digest of the arrays of basis and features.
fn digest_of(archive: &Archive) -> String {
    let arrays = Archive { tensors: archive.tensors.clone(), ..Archive::default() };
    let mut digest = Digest::default();
    arrays.encode("made", &mut digest).expect("a digest takes what is written to it");
    digest.hex()
}

/// What a file says of its origin.
struct Note {
    origin: PartOrigin,
    made: String,
}

impl Note {
    fn read(path: &Path) -> Result<Self> {
        let archive = Archive::read(path, TrainingPart::KIND)?;
        Ok(Note { origin: archive.json(path, "origin")?, made: archive.json(path, "made")? })
    }

    /// Refuses a part that was made with other settings than the first.
    fn check_settings(&self, other: &Note, path: &Path, first: &Path) -> Result<()> {
        let Some((name, here, there)) = difference(&self.origin.identity, &other.origin.identity) else {
            return Ok(());
        };
        let problem = format!("made with {name} = {here}, but {} with {name} = {there}", first.display());
        Err(Error::file(path, problem, "make all parts with the same model file and version"))
    }

    /// Refuses a part of which a column is another feature than that of the first.
    fn check_made(&self, other: &Note, path: &Path, first: &Path) -> Result<()> {
        if self.made == other.made {
            return Ok(());
        }
        let problem = format!("its basis, or its features, are not those of {}, to the last bit", first.display());
        let remedy = "processors of different kinds round differently: make the basis once, with rhobasis fit, and name its \
                      file in [basis]; with NICE, make all parts on processors of one kind";
        Err(Error::file(path, problem, remedy))
    }
}

/// The first entry in which two values differ: its name with dots, and both values.
fn difference(a: &Value, b: &Value) -> Option<(String, String, String)> {
    let (Value::Object(mine), Value::Object(theirs)) = (a, b) else {
        return (a != b).then(|| (String::new(), a.to_string(), b.to_string()));
    };
    mine.keys().chain(theirs.keys()).find_map(|key| {
        let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
        let (name, here, there) = difference(&of(mine), &of(theirs))?;
        Some((if name.is_empty() { key.clone() } else { format!("{key}.{name}") }, here, there))
    })
}
