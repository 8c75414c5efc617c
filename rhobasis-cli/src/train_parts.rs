//! `rhobasis train --shard`: rows of a training set that are summed apart.

use std::io::Write;
use std::path::Path;

use rhobasis::Result;
use rhobasis::extxyz::Shard;
use rhobasis::optimal::Method;
use rhobasis::potential::{PartOrigin, TrainSettings, Trainer, TrainingPart};
use serde_json::Value;

use crate::failure::Outcome;
use crate::labelled::LabelledFrames;
use crate::made_by;
use crate::model_file::{BasisPlan, ModelFile};
use crate::text::{count, field, plural, tell};

/// Refuses, before any work, what no part can be made of.
pub fn check(file: &ModelFile, settings: &TrainSettings) -> Result<()> {
    TrainingPart::check(&settings.model)?;
    match &file.basis {
        BasisPlan::Optimal(_, Method::Supervised(_), _) => Err(file.wrong(
            "[basis]: method = \"supervised\" is a fit to the labels of all frames, which no shard makes",
            "make it first, with rhobasis fit --method supervised, and name it: file = \"basis.rho\"",
        )),
        BasisPlan::Optimal(..) => {
            tell(
                "[basis]: each part fits it to all frames; rhobasis fit makes it once, and file = \"basis.rho\" names it",
            );
            Ok(())
        }
        BasisPlan::File(_) | BasisPlan::Primitive(_) => Ok(()),
    }
}

/// Writes the sums of a shard, with all that the others have to agree with: `identity` is that of the fit (JSON).
pub fn write(
    trainer: Trainer,
    file: &ModelFile,
    train: &LabelledFrames,
    (shard, identity): (Shard, String),
    output: &Path,
    out: &mut dyn Write,
) -> Outcome {
    let mut identity: Value = serde_json::from_str(&identity).unwrap_or_default();
    if let Value::Object(entries) = &mut identity {
        entries.remove("files"); // which may lie in another folder on another machine
    }
    let (model_file, model_text) = (file.path().to_path_buf(), file.text().to_string());
    let origin = PartOrigin { shard, files: train.files.clone(), identity, model_file, model_text };
    let part = trainer.into_part(origin).map_err(|e| train.locate(e))?;
    field(out, "rows", format!("{}, for {}", count(part.n_rows()), plural(part.n_parameters(), "parameter")))?;
    part.save_made_by(output, &made_by::this_command())?;
    writeln!(out, "wrote {}", output.display())?;
    writeln!(out, "next: rhobasis merge *.rows -o model.rho, of all {}", plural(shard.of(), "part"))?;
    Ok(())
}
