//! Files of frames with predictions, beside which each frame keeps its labels.

use std::io::Write;
use std::path::Path;

use rhobasis::extxyz::{Dataset, Writer};
use rhobasis::potential::ClosePair;
use rhobasis::{Result, Structure};

use crate::driver::warn_of_close;
use crate::failure::Outcome;
use crate::input::{Keys, for_each_chunk};
use crate::text::plural;

/// Frames that are predicted at once.
const CHUNK: usize = 64;

/// What is put before the names of labels.
const REFERENCE: &str = "reference_";

/// How far off predictions may be, which is no label of anything.
pub const ENERGY_STD: &str = "energy_std";
pub const FORCES_STD: &str = "forces_std";
pub const EXTRAPOLATION: &str = "extrapolation";
pub const MAX_EXTRAPOLATION: &str = "max_extrapolation";
pub const ENERGY_INTERVAL: &str = "energy_interval";
pub const FORCES_INTERVAL: &str = "forces_interval";
const NO_LABELS: [&str; 6] =
    [ENERGY_STD, FORCES_STD, EXTRAPOLATION, MAX_EXTRAPOLATION, ENERGY_INTERVAL, FORCES_INTERVAL];

/// Writes all frames with what `predict` says of some of them, and what to do next, if they have labels; warns of atoms that are
/// nearer to each other than in training.
pub fn write(
    [model, output]: [&Path; 2],
    specs: &[String],
    predict: impl Fn(&[Structure]) -> Result<Vec<(Structure, Option<ClosePair>)>>,
    out: &mut dyn Write,
) -> Outcome {
    // Labels are carried along, not read: they may be anything.
    let input = Dataset::open(specs, &Keys::none())?;
    let mut writer = Writer::create(output)?;
    let (mut n_frames, mut n_atoms, mut labels) = (0, 0, false);
    let mut close = Vec::new();
    for_each_chunk(input, "predicting", |mut chunk| {
        let structures = std::mem::take(&mut chunk.structures);
        for (k, part) in structures.chunks(CHUNK).enumerate() {
            let predicted = predict(part).map_err(|e| chunk.locate(e, |frame| frame + k * CHUNK))?;
            for (i, (frame, pair)) in predicted.into_iter().enumerate() {
                close.extend(pair.map(|pair| (chunk.named(i + k * CHUNK), pair)));
                n_atoms += frame.len();
                labels |= has_references(&frame);
                writer.write(&frame)?;
            }
        }
        n_frames += structures.len();
        Ok(())
    })?;
    writer.finish()?;
    warn_of_close(&close);
    writeln!(out, "{}, {}", plural(n_frames, "frame"), plural(n_atoms, "atom"))?;
    writeln!(out, "wrote {}", output.display())?;
    if labels {
        writeln!(out, "next: rhobasis evaluate {} {}", model.display(), specs.join(" "))?;
    }
    Ok(())
}

/// Whether a frame has labels that were put aside.
fn has_references(structure: &Structure) -> bool {
    let mut names = structure.info.iter().map(|(key, _)| key).chain(structure.columns.iter().map(|c| &c.name));
    names.any(|name| name.starts_with(REFERENCE))
}

/// Renames what a frame has under names that are written, and removes what an earlier prediction has written there.
pub fn put_labels_aside(structure: &mut Structure, info: &[&str], columns: &[&str]) {
    // A frame that was predicted before has its labels aside already: what it says now is an older prediction.
    let aside = |name: &&str| format!("{REFERENCE}{name}");
    let mut names = info.iter().chain(columns).map(aside);
    let again = names.any(|name| structure.get(&name).is_some() || structure.column(&name).is_some());
    let refer = |name: &mut String, written: &[&str]| match written.contains(&name.as_str()) {
        true if again || NO_LABELS.contains(&name.as_str()) => false,
        true => {
            name.insert_str(0, REFERENCE);
            true
        }
        false => true,
    };
    structure.info.retain_mut(|(key, _)| refer(key, info));
    structure.columns.retain_mut(|column| refer(&mut column.name, columns));
}

#[cfg(test)]
mod tests {
    use rhobasis::structure::Value;

    use super::*;

    #[test]
    fn predictions_of_one_kind_leave_labels_of_another_alone() {
        let mut atom = Structure::molecule(vec![2], vec![[0.0; 3]]);
        for name in ["energy", "dipole"] {
            atom.info.push((name.into(), Value::Real(1.0)));
        }
        let names = |atom: &Structure| atom.info.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        put_labels_aside(&mut atom, &["dipole"], &["born_charges"]);
        assert_eq!(names(&atom), ["energy", "reference_dipole"]);
        atom.info.push(("dipole".into(), Value::Real(2.0)));
        put_labels_aside(&mut atom, &["energy"], &["forces"]); // a label yet, though dipoles were predicted
        assert_eq!(names(&atom), ["reference_energy", "reference_dipole", "dipole"]);
        put_labels_aside(&mut atom, &["dipole"], &["born_charges"]);
        assert_eq!(names(&atom), ["reference_energy", "reference_dipole"]);
    }
}
