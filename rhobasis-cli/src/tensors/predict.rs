//! `rhobasis predict` with a model of a tensor.

use std::io::Write;
use std::path::Path;

use rhobasis::Structure;
use rhobasis::equivariant::{EquivariantRidge, Target, TensorPrediction};
use rhobasis::extxyz::{Dataset, Writer};
use rhobasis::structure::{Column, ColumnData, Value};

use super::report::CHUNK;
use crate::failure::Outcome;
use crate::input::{Keys, for_each_chunk, load};
use crate::references::{has_references, put_labels_aside};
use crate::text::plural;

/// The column of derivatives.
fn column_of(target: Target) -> &'static str {
    match target {
        Target::Dipole => "born_charges",
        Target::Polarizability => "polarizability_derivatives",
    }
}

/// Writes the frames with their tensors; with `derivatives`, with those by the positions of each atom.
pub fn predict(model: &Path, specs: &[String], output: &Path, derivatives: bool, out: &mut dyn Write) -> Outcome {
    let fitted: EquivariantRidge = load(model)?;
    let input = Dataset::open(specs, &Keys::none())?;
    let mut writer = Writer::create(output)?;
    let (mut n_frames, mut n_atoms, mut labels) = (0, 0, false);
    for_each_chunk(input, "predicting", |mut chunk| {
        let structures = std::mem::take(&mut chunk.structures);
        let mut first = 0;
        for part in structures.chunks(CHUNK) {
            let predictions = fitted.predict(part, derivatives).map_err(|e| chunk.locate(e, |frame| frame + first))?;
            for (structure, prediction) in part.iter().zip(predictions) {
                n_atoms += structure.len();
                let frame = labelled(structure.clone(), fitted.target(), prediction);
                labels |= has_references(&frame);
                writer.write(&frame)?;
            }
            first += part.len();
        }
        n_frames += structures.len();
        Ok(())
    })?;
    writer.finish()?;
    writeln!(out, "{}, {}", plural(n_frames, "frame"), plural(n_atoms, "atom"))?;
    writeln!(out, "wrote {}", output.display())?;
    if labels {
        writeln!(out, "next: rhobasis evaluate {} {}", model.display(), specs.join(" "))?;
    }
    Ok(())
}

/// A frame with what is predicted, its own label under another name.
fn labelled(mut structure: Structure, target: Target, prediction: TensorPrediction) -> Structure {
    let (key, column) = (target.key(), column_of(target));
    put_labels_aside(&mut structure, &[key], &[column]);
    let shape = match target {
        Target::Dipole => vec![3],
        Target::Polarizability => vec![3, 3],
    };
    structure.info.push((key.into(), Value::Reals(prediction.value, shape)));
    let derivatives = prediction.derivatives;
    if !derivatives.is_empty() {
        let width = derivatives.len() / structure.len();
        let data = ColumnData::Reals(derivatives.iter().copied().collect());
        structure.columns.push(Column { name: column.into(), width, data });
    }
    structure
}
