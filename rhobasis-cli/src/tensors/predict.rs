//! `rhobasis predict` with a model of a tensor.

use std::io::Write;
use std::path::Path;

use rhobasis::Structure;
use rhobasis::equivariant::{EquivariantRidge, Target, TensorPrediction};
use rhobasis::structure::{Column, ColumnData, Value};

use crate::failure::Outcome;
use crate::input::load;
use crate::predicted::{self, put_labels_aside};

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
    let predict = |part: &[Structure]| {
        let predictions = fitted.predict(part, derivatives)?;
        let labelled = |(frame, said): (&Structure, _)| (labelled(frame.clone(), fitted.target(), said), None);
        Ok(part.iter().zip(predictions).map(labelled).collect())
    };
    predicted::write([model, output], specs, predict, out)
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
