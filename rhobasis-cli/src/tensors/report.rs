//! Errors of tensors: a table, a picture, a file of numbers.

use std::io::{self, Write};
use std::path::Path;

use rhobasis::Result;
use rhobasis::equivariant::{EquivariantRidge, Target, TensorErrorRow, TensorErrors};

use super::frames::TensorFrames;
use crate::errors_table::short;
use crate::input::frames_bar;
use crate::plot::{self, Panel, Series};
use crate::text::{Table, count};

/// Frames that are predicted at once.
pub const CHUNK: usize = 64;
/// Most points of one set in a picture.
const POINTS: usize = 3000;

/// Errors on the frames of a set that have a label.
pub fn errors(model: &EquivariantRidge, set: &TensorFrames, doing: &str) -> Result<TensorErrors> {
    let mut errors = TensorErrors::new(model.target());
    let bar = frames_bar(set.data.len(), doing);
    for (k, (frames, labels)) in set.data.frames.chunks(CHUNK).zip(set.tensors.chunks(CHUNK)).enumerate() {
        let moved = |mut e: rhobasis::Error| {
            if let rhobasis::Error::Structure { place, .. } = &mut e {
                place.frame = place.frame.map(|frame| frame + k * CHUNK);
            }
            set.data.locate(e)
        };
        let predictions = model.predict(frames, false).map_err(moved)?;
        for (prediction, label) in predictions.iter().zip(labels) {
            label.iter().for_each(|label| errors.add(&prediction.value, label));
        }
        bar.inc(frames.len() as u64);
    }
    bar.finish_and_clear();
    Ok(errors)
}

/// A name and, where it is known, the unit.
pub fn title(target: Target) -> String {
    match target.unit() {
        "" => target.key().to_string(),
        unit => format!("{}, {unit}", target.key()),
    }
}

/// A row for each component; beside the errors those of the mean label.
pub fn write(target: Target, sets: &[(&str, &TensorErrors)], out: &mut dyn Write) -> io::Result<()> {
    let sets: Vec<_> = sets.iter().filter(|(_, errors)| !errors.is_empty()).collect();
    let columns =
        |(name, _): &&(&str, &TensorErrors)| [*name, "RMSE", "MAE", "of the mean: RMSE", "MAE"].map(String::from);
    let mut table = Table::new(std::iter::once(title(target)).chain(sets.iter().flat_map(columns)));
    let rows: Vec<_> = sets.iter().map(|(_, errors)| errors.rows()).collect();
    for k in 0..rows.first().map_or(0, Vec::len) {
        let mut cells = vec![rows[0][k].component.to_string()];
        for rows in &rows {
            let row = &rows[k];
            cells.push(count(row.count));
            cells.extend([row.rmse, row.mae, row.rmse_of_mean, row.mae_of_mean].map(short));
        }
        table.row(cells);
    }
    table.write(out)
}

/// The same as comma-separated values, all digits.
pub fn csv(errors: &TensorErrors) -> String {
    let mut text = "component,count,rmse,mae,rmse_of_mean,mae_of_mean\n".to_string();
    for row in errors.rows() {
        let numbers = [row.rmse, row.mae, row.rmse_of_mean, row.mae_of_mean].map(|x| format!("{x:?}")).join(",");
        text += &format!("{},{},{numbers}\n", row.component, row.count);
    }
    text
}

/// The same for programs: an object for each component.
pub fn json(errors: &TensorErrors) -> serde_json::Value {
    let object = |row: TensorErrorRow| {
        serde_json::json!({
            "component": row.component.to_string(),
            "count": row.count,
            "rmse": row.rmse,
            "mae": row.mae,
            "rmse_of_mean": row.rmse_of_mean,
            "mae_of_mean": row.mae_of_mean,
        })
    };
    errors.rows().into_iter().map(object).collect()
}

/// Predictions over labels.
pub fn draw(path: &Path, target: Target, sets: &[(&str, &TensorErrors)]) -> Result<()> {
    let unit = if target.unit().is_empty() { String::new() } else { format!(", {}", target.unit()) };
    let title = format!("{} component", target.key());
    let mut panel = Panel::new(title, format!("label{unit}"), format!("prediction{unit}")).diagonal();
    for (name, errors) in sets.iter().filter(|(_, errors)| !errors.is_empty()) {
        let every = errors.points().count().div_ceil(POINTS).max(1);
        let points = errors.points().step_by(every).map(|(predicted, label)| (label, predicted)).collect();
        panel = panel.series(Series::dots(*name, points));
    }
    plot::write(path, &[panel], 1)
}
