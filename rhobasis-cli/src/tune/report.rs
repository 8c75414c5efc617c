//! What came out of the trials.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::point::Point;
use super::record::Record;
use super::rewrite::rewritten;
use super::search::{best, chosen};
use super::trial::{Trial, mean_and_error};
use crate::errors_table::short;
use crate::failure::Outcome;
use crate::labelled::LabelledFrames;
use crate::output::{folder_of, write_text};
use crate::plot::{self, Panel, Series};
use crate::text::{Table, count, field, plural, warn};

/// How a tuned file begins.
pub const BEGINNING: &str = "# Tuned by 'rhobasis tune'";

/// What is read and written.
pub struct Paths {
    pub model: PathBuf,
    pub output: PathBuf,
    pub trials: PathBuf,
    pub picture: Option<PathBuf>,
}

/// All that is told at the end.
pub struct Report<'a> {
    pub paths: &'a Paths,
    pub folds: usize,
    pub record: &'a Record,
    pub data: &'a LabelledFrames,
    /// Whether the search came to its end.
    pub complete: bool,
    pub minutes: f64,
}

impl Report<'_> {
    /// Table, picture, model file.
    pub fn write(&self, first: &Point, out: &mut dyn Write) -> Outcome {
        let trials = &self.record.trials;
        let (Some(taken), Some(best)) = (chosen(trials), best(trials)) else {
            warn("no trial was made: give a larger --budget");
            return Ok(());
        };
        let Paths { model, output, trials: record, picture } = self.paths;
        field(out, "model", model.display())?;
        field(out, "tuned on", format!("{}, {} folds", plural(self.data.len(), "frame"), self.folds))?;
        let end = if self.complete {
            "nothing more to change"
        } else {
            "the budget ended the search; the same command goes on"
        };
        field(out, "trials", format!("{}, {:.1} minutes; {end}", trials.len(), self.minutes))?;
        writeln!(out)?;
        self.table([taken, best]).write(out)?;
        writeln!(out, "\n* taken: the cheapest of those within one standard error of the best (+)")?;
        let head = self.head(first, &trials[taken]);
        let text = rewritten(model, [first, &trials[taken].point], &head, in_other_folder(model, output))?;
        if let Some(picture) = picture {
            write_picture(picture, trials, taken)?;
            writeln!(out, "wrote {} (errors over the time of an evaluation)", picture.display())?;
        }
        write_text(output, &text)?;
        writeln!(out, "wrote {} (all trials)", record.display())?;
        writeln!(out, "wrote {}", output.display())?;
        writeln!(out, "next: rhobasis train {} -o POTENTIAL.rho", output.display())?;
        Ok(())
    }

    fn table(&self, [taken, best]: [usize; 2]) -> Table {
        let header =
            ["", "functions", "q_max", "l_max", "r_cut", "sigma", "scaling", "features", "meV/atom", "eV/Å", "µs/atom"];
        let mut table = Table::new(header);
        for (k, trial) in self.record.trials.iter().enumerate() {
            let mark = [(taken, "*"), (best, "+")]
                .iter()
                .filter(|(of, _)| *of == k)
                .map(|(_, mark)| *mark)
                .collect::<String>();
            let point = &trial.point;
            let cells = [
                format!("{}{mark}", k + 1),
                point.functions.name().into(),
                point.q_max.to_string(),
                point.l_max.to_string(),
                point.r_cut.to_string(),
                point.sigma.map_or("as given".into(), |sigma| sigma.to_string()),
                scaling_of(point),
                count(trial.n_features),
                with_error(trial.energy, &trial.energy_of_folds),
                with_error(trial.force, &trial.force_of_folds),
                short(trial.cost),
            ];
            table.row(cells);
        }
        table
    }

    /// What the tuned file says before all.
    fn head(&self, first: &Point, taken: &Trial) -> String {
        let trials = &self.record.trials;
        let name = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
        let before = trials.iter().find(|trial| trial.point == *first);
        let lines = [
            format!(
                "{BEGINNING} from {}: the best of {}, {} folds of {}.",
                name(&self.paths.model),
                plural(trials.len(), "trial"),
                self.folds,
                plural(self.data.len(), "frame")
            ),
            format!("# RMSE of held-out frames, and time on one thread: {}", errors_of(taken)),
            before.map_or(String::new(), |before| format!("# Before: {}", errors_of(before))),
            format!("# All trials are in {}.", name(&self.paths.trials)),
        ];
        lines.into_iter().filter(|line| !line.is_empty()).map(|line| line + "\n").collect()
    }
}

/// A trial in one line.
pub fn line_of(trial: &Trial) -> String {
    format!("{}: {}", settings_of(&trial.point), errors_of(trial))
}

/// Its settings.
pub fn settings_of(point: &Point) -> String {
    let sigma = point.sigma.map_or(String::new(), |sigma| format!(", sigma {sigma}"));
    let Point { r_cut, l_max, q_max, functions, .. } = point;
    format!("{}, q_max {q_max}, l_max {l_max}, r_cut {r_cut}{sigma}, scaling {}", functions.name(), scaling_of(point))
}

fn scaling_of(point: &Point) -> String {
    point.scaling.as_ref().map_or("none".into(), |u| format!("{}, {}, {}", u.rate, u.scale, u.exponent))
}

fn errors_of(trial: &Trial) -> String {
    let energy = trial.energy.map(|_| format!("energy {} meV/atom", with_error(trial.energy, &trial.energy_of_folds)));
    let force = trial.force.map(|_| format!("force {} eV/Å", with_error(trial.force, &trial.force_of_folds)));
    let cost = Some(format!("{} µs/atom", short(trial.cost)));
    [energy, force, cost].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// An error over all frames, and the standard error that the folds show.
fn with_error(all: Option<f64>, of_folds: &[f64]) -> String {
    let Some(all) = all else { return "".into() };
    let (_, error) = mean_and_error(of_folds);
    let digits = (2.0 - all.abs().max(1e-9).log10().floor()).clamp(0.0, 8.0) as usize;
    format!("{all:.digits$} ± {error:.digits$}")
}

/// Errors over the time of an evaluation.
fn write_picture(path: &Path, trials: &[Trial], taken: usize) -> rhobasis::Result<()> {
    let panel = |title: &str, y: &str, error: fn(&Trial) -> Option<f64>| {
        let point = |trial: &Trial| Some((trial.cost, error(trial)?));
        let points: Vec<(f64, f64)> = trials.iter().filter_map(point).collect();
        let (first, taken) = (*points.first()?, point(&trials[taken])?);
        let panel = Panel::new(title, "µs per atom, one thread", y).series(Series::points("tried", points));
        Some(panel.series(Series::points("begun with", vec![first])).series(Series::points("taken", vec![taken])))
    };
    let panels =
        [panel("energy", "RMSE, meV/atom", |trial| trial.energy), panel("force", "RMSE, eV/Å", |trial| trial.force)];
    let panels: Vec<Panel> = panels.into_iter().flatten().collect();
    plot::write(path, &panels, 2)
}

/// Whether two files lie in different folders.
fn in_other_folder(a: &Path, b: &Path) -> bool {
    let folder = |path: &Path| folder_of(path).canonicalize().ok();
    folder(a) != folder(b)
}
