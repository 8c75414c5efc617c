//! What is told of predictions: tables of errors, and pictures of predictions over labels.

use std::io::{self, Write};
use std::path::Path;

use rhobasis::extxyz::Labels;
use rhobasis::potential::{ClosePair, ErrorRow, ErrorSum, Errors, Potential, Prediction, Quantity, pairs};
use rhobasis::{Result, Structure};
use serde_json::{Value, json};

use crate::driver::warn_of_close;
use crate::input::frames_bar;
use crate::labelled::LabelledFrames;
use crate::plot::{self, Panel, Series};
use crate::text::{Table, count};

/// Frames that are predicted at once.
const CHUNK: usize = 64;
/// Most points of one kind in a picture.
const POINTS: usize = 1500;

/// Errors on some frames, and points for a picture of them.
#[derive(Default)]
pub struct Comparison {
    pub errors: Errors,
    /// Frames with atoms that are nearer to each other than in training.
    pub close: Vec<(usize, ClosePair)>,
    points: [Points; 3],
}

impl Comparison {
    /// Of what was predicted for the frames of a set, but for those that are left out.
    pub fn of(
        data: &LabelledFrames,
        predictions: &[Prediction],
        left_out: impl Fn(&Structure) -> bool,
    ) -> Result<Self> {
        let mut comparison = Comparison::default();
        let frames = data.frames.iter().zip(&data.labels).zip(predictions).enumerate();
        for (k, ((frame, said), prediction)) in frames.filter(|(_, ((frame, _), _))| !left_out(frame)) {
            comparison.add_one(k, frame, said, prediction).map_err(|e| data.locate(e))?;
        }
        Ok(comparison)
    }

    /// Predicts some frames, the first of which is called `first`, and returns what it adds.
    pub fn add(
        &mut self,
        potential: &Potential,
        first: usize,
        frames: &[Structure],
        labels: &[Labels],
    ) -> Result<Vec<Prediction>> {
        let predictions = predict(potential, first, frames, labels)?;
        for (k, ((structure, said), prediction)) in frames.iter().zip(labels).zip(&predictions).enumerate() {
            self.add_one(first + k, structure, said, prediction)?;
        }
        Ok(predictions)
    }

    /// Warns of atoms that are nearer to each other than in training.
    pub fn warn_of_close(&self, place: impl Fn(usize) -> String) {
        warn_of_close(&self.close.iter().map(|(frame, pair)| (place(*frame), *pair)).collect::<Vec<_>>());
    }

    /// Adds what one frame is predicted to be.
    pub fn add_one(
        &mut self,
        frame: usize,
        structure: &Structure,
        said: &Labels,
        prediction: &Prediction,
    ) -> Result<()> {
        self.errors.add(frame, structure, said, prediction)?;
        self.close.extend(prediction.close.map(|pair| (frame, pair)));
        for (quantity, pairs) in pairs(structure, said, prediction)? {
            let (panel, factor) = match quantity {
                Quantity::EnergyPerAtom => (0, 1e-3), // eV/atom
                Quantity::Energy => continue,
                Quantity::Force => (1, 1.0),
                Quantity::Stress => (2, 1.0),
            };
            pairs.iter().for_each(|[label, predicted]| self.points[panel].add(factor * label, factor * predicted));
        }
        Ok(())
    }
}

/// What a potential says of the frames of a set.
pub fn predict_all(potential: &Potential, data: &LabelledFrames, doing: &str) -> Result<Vec<Prediction>> {
    let bar = frames_bar(data.len(), doing);
    let mut all = Vec::with_capacity(data.len());
    for (frames, labels) in data.frames.chunks(CHUNK).zip(data.labels.chunks(CHUNK)) {
        all.extend(predict(potential, all.len(), frames, labels).map_err(|e| data.locate(e))?);
        bar.set_position(all.len() as u64);
    }
    bar.finish_and_clear();
    Ok(all)
}

/// What a potential says of some frames, the first of which is called `first`; with forces, if labels ask for some.
fn predict(potential: &Potential, first: usize, frames: &[Structure], labels: &[Labels]) -> Result<Vec<Prediction>> {
    let forces = labels.iter().any(|l| l.forces.is_some() || l.stress.is_some());
    potential.predict(frames, forces).map_err(|e| moved(e, first))
}

/// An error whose frames are counted from `first`.
fn moved(mut e: rhobasis::Error, first: usize) -> rhobasis::Error {
    if let rhobasis::Error::Structure { place, .. } = &mut e {
        place.frame = place.frame.map(|frame| frame + first);
    }
    e
}

/// Every n-th of the points that came, n a power of two such that there are not too many.
struct Points {
    kept: Vec<(f64, f64)>,
    came: usize,
    every: usize,
}

impl Default for Points {
    fn default() -> Self {
        Points { kept: Vec::new(), came: 0, every: 1 }
    }
}

impl Points {
    fn add(&mut self, x: f64, y: f64) {
        if self.came.is_multiple_of(self.every) {
            if self.kept.len() == POINTS {
                self.kept = self.kept.iter().copied().step_by(2).collect();
                self.every *= 2;
            }
            if self.came.is_multiple_of(self.every) {
                self.kept.push((x, y));
            }
        }
        self.came += 1;
    }
}

/// Predictions over labels: energies, forces, stress, as far as there are any; whether a picture was written.
pub fn write_parity(path: &Path, sets: &[(&str, &Comparison)]) -> Result<bool> {
    let kinds = [("energy", "eV/atom"), ("force component", "eV/Å"), ("stress component", "meV/Å³")];
    let mut panels = Vec::new();
    for (k, (name, unit)) in kinds.into_iter().enumerate() {
        let every = sets.iter().map(|(_, set)| set.points[k].every).max().unwrap_or(1);
        let title = if every > 1 { format!("{name}, one of {every} shown") } else { name.to_string() };
        let mut panel = Panel::new(title, format!("label, {unit}"), format!("prediction, {unit}")).diagonal();
        let mut empty = true;
        for (set_name, set) in sets {
            if set.points[k].came > 0 {
                empty = false;
                let points = set.points[k].kept.iter().copied().step_by(every / set.points[k].every).collect();
                panel = panel.series(Series::dots(*set_name, points));
            }
        }
        if !empty {
            panels.push(panel);
        }
    }
    if panels.is_empty() {
        return Ok(false);
    }
    let columns = panels.len();
    plot::write(path, &panels, columns)?;
    Ok(true)
}

/// A number with four digits that count.
pub fn short(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        a if (1e-4..1e6).contains(&a) => {
            let digits = (3 - a.log10().floor() as i32).max(0) as usize;
            format!("{x:.digits$}")
        }
        _ => format!("{x:.3e}"),
    }
}

/// Name of a row of a table.
pub fn row_name(quantity: Quantity, config_type: Option<&str>) -> String {
    match config_type {
        None => format!("{}, {}", quantity.name(), quantity.unit()),
        Some("") => "  (no config_type)".into(),
        Some(name) => format!("  {name}"),
    }
}

/// Rows of quantities, with those of configuration types where there are several.
fn rows(sets: &[&Errors]) -> Vec<(Quantity, Option<String>)> {
    let mut rows: Vec<_> =
        sets.iter().flat_map(|errors| errors.rows()).map(|row| (row.quantity, row.config_type)).collect();
    rows.sort();
    rows.dedup();
    let several = |quantity| rows.iter().filter(|(q, kind)| *q == quantity && kind.is_some()).count() > 1;
    rows.iter().filter(|(quantity, kind)| kind.is_none() || several(*quantity)).cloned().collect()
}

/// Errors of training and test side by side; of quantities that were not trained on, it says so.
pub fn write_train_and_test(
    train: &Errors,
    test: &Errors,
    left_out: &[Quantity],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Table::new(["", "train", "RMSE", "MAE", "test", "RMSE", "MAE"]);
    for (quantity, kind) in rows(&[train, test]) {
        let cells = |sum: ErrorSum| match sum.count {
            0 => ["", "", ""].map(String::from),
            n => [count(n), short(sum.rmse()), short(sum.mae())],
        };
        let (a, b) = (train.of(quantity, kind.as_deref()), test.of(quantity, kind.as_deref()));
        let mut name = row_name(quantity, kind.as_deref());
        if kind.is_none() && left_out.contains(&quantity) {
            name += " (not trained on)";
        }
        table.row([vec![name], cells(a).into(), cells(b).into()].concat());
    }
    table.write(out)
}

/// The largest error of each quantity, with its frame; nothing of a set without errors.
pub fn largest(errors: &Errors, place: impl Fn(usize) -> String) -> Vec<(Quantity, String)> {
    let quantities = [Quantity::EnergyPerAtom, Quantity::Force, Quantity::Stress];
    let of = |quantity: Quantity| {
        let sum = errors.of(quantity, None);
        (sum.count > 0)
            .then(|| (quantity, format!("{} {} in {}", short(sum.largest), quantity.unit(), place(sum.frame))))
    };
    quantities.into_iter().filter_map(of).collect()
}

/// Errors of one set; `place` names a frame.
pub fn write_errors(errors: &Errors, place: impl Fn(usize) -> String, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(["", "count", "RMSE", "MAE", "largest", "in"]);
    for (quantity, kind) in rows(&[errors]) {
        let sum = errors.of(quantity, kind.as_deref());
        let numbers = [count(sum.count), short(sum.rmse()), short(sum.mae()), short(sum.largest), place(sum.frame)];
        table.row([vec![row_name(quantity, kind.as_deref())], numbers.into()].concat());
    }
    table.write(out)
}

/// The same as comma-separated values, all rows and digits.
pub fn errors_csv(errors: &Errors, place: impl Fn(usize) -> String) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = "quantity,unit,config_type,count,rmse,mae,largest,frame\n".to_string();
    for row in errors.rows() {
        let (q, sum) = (row.quantity, row.errors);
        let kind = row.config_type.map_or("(all)".into(), |kind| quoted(&kind));
        let [rmse, mae, largest] = [sum.rmse(), sum.mae(), sum.largest];
        let frame = quoted(&place(sum.frame));
        text += &format!("{},{},{kind},{},{rmse:?},{mae:?},{largest:?},{frame}\n", q.name(), q.unit(), sum.count);
    }
    text
}

/// The same for programs: an object for each row.
pub fn errors_json(errors: &Errors, place: impl Fn(usize) -> String) -> Value {
    let object = |row: ErrorRow| {
        let ErrorRow { quantity, config_type, errors: sum } = row;
        json!({
            "quantity": quantity.name(),
            "unit": quantity.unit(),
            "config_type": config_type,
            "count": sum.count,
            "rmse": sum.rmse(),
            "mae": sum.mae(),
            "largest": sum.largest,
            "frame": place(sum.frame),
        })
    };
    errors.rows().into_iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_few_points_of_many() {
        let mut points = Points::default();
        (0..100_000).for_each(|k| points.add(f64::from(k), 0.0));
        assert!(points.kept.len() <= POINTS && points.kept.len() >= POINTS / 2);
        assert!(points.kept.iter().enumerate().all(|(i, p)| p.0 == (i * points.every) as f64));
    }

    #[test]
    fn numbers_have_four_digits() {
        assert_eq!(
            [2.6543, 0.057_312, 123_456.7, 0.0, 1e-7].map(short),
            ["2.654", "0.05731", "123457", "0", "1.000e-7"]
        );
    }
}
