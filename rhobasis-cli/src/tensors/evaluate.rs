//! `rhobasis evaluate` of a model of a tensor.

use std::io::Write;
use std::path::{Path, PathBuf};

use rhobasis::Error;
use rhobasis::equivariant::{EquivariantRidge, Target, TensorErrors, TensorSurvey};
use rhobasis::extxyz::Dataset;

use super::report::{self, CHUNK};
use crate::errors_table::short;
use crate::failure::{Failure, Outcome};
use crate::input::{Keys, for_each_chunk, load};
use crate::output;
use crate::text::{field, plural, warn};

/// Under which keys DATA keeps its tensors.
#[derive(clap::Args, Debug)]
pub struct TensorKeys {
    /// Key of the dipole of a frame, three numbers [default: dipole]
    #[arg(long, value_name = "KEY")]
    dipole_key: Option<String>,
    /// Key of the polarisability of a frame, nine numbers or six [default: polarizability]
    #[arg(long, value_name = "KEY")]
    polarizability_key: Option<String>,
}

impl TensorKeys {
    /// Refuses a key where no model of that tensor is asked.
    pub fn check(&self, target: Option<Target>) -> Outcome<Option<&str>> {
        let given = [(Target::Dipole, &self.dipole_key), (Target::Polarizability, &self.polarizability_key)];
        for (of, key) in given {
            if key.is_some() && target != Some(of) {
                let flag = of.key_setting().replace('_', "-");
                return Err(Failure::usage(format!("--{flag}: this is no model of a {}: leave it out", of.key())));
            }
        }
        let key = given.into_iter().find(|(of, _)| target == Some(*of)).and_then(|(_, key)| key.as_deref());
        Ok(key)
    }
}

/// Predictions against labels, frame by frame.
pub fn compare(
    path: &Path,
    specs: &[String],
    keys: &TensorKeys,
    [plot, csv]: [&Option<PathBuf>; 2],
    as_json: bool,
    out: &mut dyn Write,
) -> Outcome {
    let model: EquivariantRidge = load(path)?;
    let target = model.target();
    let mut survey = TensorSurvey::new(target, keys.check(Some(target))?);
    let mut errors = TensorErrors::new(target);
    let mut places = Vec::new();
    for_each_chunk(Dataset::open(specs, &Keys::none())?, "predicting", |chunk| {
        for (k, part) in chunk.structures.chunks(CHUNK).enumerate() {
            let first = k * CHUNK;
            let located = |e| chunk.locate(e, |frame| frame + first);
            let mut labels = Vec::with_capacity(part.len());
            for (j, structure) in part.iter().enumerate() {
                labels.push(survey.label(structure).map_err(|e| located(e.at_frame(j)))?);
            }
            if labels.iter().all(Option::is_none) {
                continue;
            }
            for (j, (prediction, label)) in model.predict(part, false).map_err(located)?.iter().zip(&labels).enumerate()
            {
                if let Some(label) = label {
                    errors.add(&prediction.value, label);
                    places.push(chunk.places[first + j].clone());
                }
            }
        }
        Ok(())
    })?;
    survey.check().map_err(|e| by_flag(target, e))?;
    survey.omission().into_iter().for_each(warn);
    if let Some(path) = plot {
        report::draw(path, target, &[("test", &errors)])?;
    }
    if let Some(path) = csv {
        output::write_text(path, &report::csv(&errors))?;
    }
    if as_json {
        let object = serde_json::json!({
            "model": path,
            "frames": errors.len(),
            "target": target.key(),
            "unit": target.unit(),
            "errors": report::json(&errors),
        });
        return Ok(writeln!(out, "{object:#}")?);
    }
    field(out, "model", path.display())?;
    field(out, "data", plural(errors.len(), "frame"))?;
    writeln!(out)?;
    report::write(target, &[("count", &errors)], out)?;
    if let Some((frame, error)) = errors.largest() {
        let unit = if target.unit().is_empty() { String::new() } else { format!(" {}", target.unit()) };
        let (path, k) = &places[frame];
        let several = places.iter().any(|(other, _)| other != path);
        let file = if several { format!("{}, ", path.display()) } else { String::new() };
        field(out, "largest", format!("{}{unit} in {file}frame {k}", short(error)))?;
    }
    for path in [plot, csv].into_iter().flatten() {
        writeln!(out, "wrote {}", path.display())?;
    }
    Ok(())
}

/// An error about a key of labels, as one about a flag.
fn by_flag(target: Target, error: Error) -> Error {
    let setting = target.key_setting();
    match error {
        Error::Setting { name, value, problem, remedy } => {
            let flag = format!("--{}", setting.replace('_', "-"));
            let remedy = remedy.replace(&format!("{setting} = "), &format!("{flag} ")).replace(setting, &flag);
            Error::Setting { name, value, problem, remedy }
        }
        other => other,
    }
}
