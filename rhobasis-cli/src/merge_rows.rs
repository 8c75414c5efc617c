//! `rhobasis merge` of the parts that `rhobasis train --shard` has made.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rhobasis::Error;
use rhobasis::extxyz::{SourceFile, path_of};
use rhobasis::files::Stored;
use rhobasis::potential::{PartOrigin, Potential, Trainer, TrainingPart, check_species};

use crate::failure::Outcome;
use crate::files::{Files, Holds};
use crate::input::note_on;
use crate::made_by;
use crate::model_file::ModelFile;
use crate::output;
use crate::text::field;
use crate::train::{describe, read, report, say_beforehand};

/// The potential of all parts: what a fit does once its rows are summed. It reads the data again, for what it says of its own errors.
pub fn merge(parts: &[PathBuf], output: &Path, out: &mut dyn Write) -> Outcome {
    let start = Instant::now();
    output::check(output, &["rho"])?;
    let sum = TrainingPart::merge_files(parts)?;
    parts.iter().for_each(|part| note_on(part));
    let PartOrigin { files, identity, model_file, model_text, .. } = sum.origin().clone();
    let version = env!("CARGO_PKG_VERSION");
    if identity["rhobasis"] != version {
        let problem = format!("made by rhobasis {}, and this is {version}", identity["rhobasis"]);
        return Err(Error::file(&parts[0], problem, "merge with the version that made the parts").into());
    }
    let file = ModelFile::of_text(&model_file, &model_text)?;
    file.files()
        .and_read(parts)
        .writing("--output", Holds::Archive(Potential::KIND), [&output.to_path_buf()])
        .check()?;
    if let Some(missing) = file.train.iter().chain(&file.test).map(|spec| path_of(spec)).find(|path| !path.exists()) {
        let problem = format!("no such file; the last steps of the fit of {} read it again", model_file.display());
        return Err(Error::file(missing, problem, "merge in the folder where the parts were made").into());
    }
    let (train, test) = read(&file)?;
    let same = files.len() == train.files.len() && files.iter().zip(&train.files).all(|(a, b)| a.same_data(b));
    if !same {
        let changed = train.files.iter().find(|file| !files.iter().any(|other| other.same_data(file)));
        let path = changed.map_or("data", |SourceFile { path, .. }| path);
        return Err(Error::file(path, "is not the file that the parts were made of", "make all parts anew").into());
    }
    check_species(&train.frames, test.frames.iter().enumerate()).map_err(|e| test.locate(e))?;
    let settings = file.settings(&train.frames, &train.labels)?;
    if serde_json::to_value(&settings).ok().as_ref() != Some(&identity["settings"]) {
        let problem = "with the files that it names as they are now, its settings are not those of the parts";
        return Err(file.wrong(problem, "restore these files, or make all parts anew").into());
    }
    let (basis, features) = (sum.basis().clone(), sum.settings().features.clone());
    let trainer = Trainer::with_features(basis, &settings, &train.frames, &train.labels, |_| Ok(features));
    let mut trainer = trainer.map_err(|e| train.locate(e))?;
    trainer.take(sum)?;
    describe(&file, &settings, &train, &trainer, out)?;
    field(out, "parts", parts.len())?;
    out.flush()?;
    say_beforehand(&file, &train, &trainer);
    let potential = trainer.finish().map_err(|e| train.locate(e))?;
    let trained = Instant::now();
    made_by::save(&potential, output)?;
    report(&potential, [&train, &test], [start, trained], (output, None), out)
}

/// What a merge of parts reads and writes, as far as its arguments say.
pub fn files(parts: &[PathBuf], output: &PathBuf) -> Files {
    Files::reading(parts).writing("--output", Holds::Archive(Potential::KIND), [output])
}
