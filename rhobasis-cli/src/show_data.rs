//! `rhobasis show` of what comes before and after a basis: sums over a data set, features; and lines that they share with it.

use std::io::{self, Write};
use std::path::Path;

use rhobasis::density::{ExpansionSettings, RadialScaling};
use rhobasis::extxyz::SourceFile;
use rhobasis::optimal::{Covariance, Mixing, Weighting};
use rhobasis::potential::TrainingPart;
use rhobasis::settings::Given;
use rhobasis::structure::symbol;

use crate::failure::Outcome;
use crate::made_by;
use crate::matrix::meta_path;
use crate::npy_read::{names, shape_of, text_of};
use crate::show_potential::{cutoff_text, primitive_text};
use crate::text::{count, field, plural};

/// What the density is, and in which functions it is expanded.
pub fn expansion(expansion: &ExpansionSettings, out: &mut dyn Write) -> io::Result<()> {
    let density = &expansion.density;
    let scaling = density.scaling.as_ref().map_or("none".into(), scaling_text);
    let sigma = Given::from(&density.sigma);
    field(out, "density", format!("r_cut {} Å, sigma {sigma} Å, {}", density.r_cut, cutoff_text(density)))?;
    field(out, "", format!("radial scaling {scaling}, centre weight {}", density.center_weight))?;
    field(out, "primitive", format!("{}, l_max {}", primitive_text(&expansion.primitive), expansion.l_max))
}

pub fn scaling_text(u: &RadialScaling) -> String {
    format!("{0}/({0} + (r/{1} Å)^{2})", u.rate, u.scale, u.exponent)
}

/// Where the data came from.
pub fn files(files: &[SourceFile], out: &mut dyn Write) -> io::Result<()> {
    files.iter().try_for_each(|SourceFile { path, frames, sha256 }| {
        let beginning = sha256.get(..16).unwrap_or("");
        field(out, "from", format!("{path} ({}, sha256 {beginning}…)", plural(*frames, "frame")))
    })
}

/// Of a covariance: what was added up.
pub fn covariance(covariance: &Covariance, path: &Path, out: &mut dyn Write) -> io::Result<()> {
    let settings = covariance.settings();
    expansion(&settings.expansion, out)?;
    let mixing = match settings.mixing {
        Mixing::PerSpecies => "each neighbour species apart",
        Mixing::Combined => "neighbour species combined",
    };
    field(out, "covariance", mixing)?;
    if let Some(Weighting::By(u)) = &settings.weighting {
        field(out, "weighting", format!("by {}", scaling_text(u)))?;
    }
    let species: Vec<&str> = covariance.species().into_iter().map(symbol).collect();
    field(out, "species", species.join(" "))?;
    field(out, "structures", count(covariance.n_structures()))?;
    for kind in covariance.kinds() {
        let around = kind.map_or(String::new(), |z| format!("around {}: ", symbol(z)));
        field(out, "centres", format!("{around}{}", count(covariance.n_centers(kind))))?;
    }
    files(covariance.files(), out)?;
    if let Some(shard) = covariance.shard() {
        field(out, "shard", shard)?;
    }
    made_by::say(path, out)?;
    let next = path.with_extension("rho");
    writeln!(out, "next: rhobasis merge {} -o {}", path.display(), next.display())
}

/// Of rows of a training set: what was summed.
pub fn rows(part: &TrainingPart, path: &Path, out: &mut dyn Write) -> io::Result<()> {
    let origin = part.origin();
    field(
        out,
        "rows",
        format!("of {}, for the model of {}", plural(part.n_frames(), "frame"), origin.model_file.display()),
    )?;
    field(out, "", format!("{}, summed for {} parameters", count(part.n_rows()), count(part.n_parameters())))?;
    if part.n_folds() > 1 {
        field(out, "", format!("in {} folds, by which alpha will be chosen", part.n_folds()))?;
    }
    files(&origin.files, out)?;
    field(out, "shard", origin.shard)?;
    made_by::say(path, out)?;
    writeln!(out, "next: rhobasis merge *.rows -o model.rho, of all {}", plural(origin.shard.of(), "part"))
}

/// Of files of arrays: their shapes, and the command that made them, which stands beside a matrix.
pub fn arrays(path: &Path, out: &mut dyn Write) -> Outcome {
    let is_matrix = path.extension().is_some_and(|e| e == "npy");
    let (described, beside) = (if is_matrix { meta_path(path) } else { path.into() }, Path::new(path));
    if is_matrix {
        let shape = shape_of(beside, "")?.unwrap_or_default();
        field(out, "matrix", shape_text(&shape))?;
        if !described.exists() {
            return Ok(());
        }
        field(out, "described in", described.display())?;
    }
    for name in names(&described)? {
        if let Some(shape) = shape_of(&described, &name)?.filter(|shape| !shape.is_empty()) {
            field(out, &name, shape_text(&shape))?;
        }
    }
    let settings = text_of(&described, "settings")?.unwrap_or_default();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap_or_default();
    if let (Some(command), Some(version)) = (settings["command"].as_str(), settings["rhobasis"].as_str()) {
        field(out, "made by", made_by::in_words(command, version))?;
    }
    Ok(())
}

fn shape_text(shape: &[usize]) -> String {
    shape.iter().map(|&n| count(n)).collect::<Vec<_>>().join(" × ")
}
