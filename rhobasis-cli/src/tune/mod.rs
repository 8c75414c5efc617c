//! `rhobasis tune`: settings of the density and the basis by cross-validation.

/// What is tuned.
mod point;
/// What has been tried.
mod record;
/// Table, picture, model file.
mod report;
/// The model file with other settings.
mod rewrite;
/// Where to go next.
mod search;
/// One choice, tried.
mod trial;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use rhobasis::density::RadialScaling;
use rhobasis::potential::{Basis, FeatureSettings, Potential, TrainSettings, folds, supervising_model, train};
use rhobasis::{Error, Result};

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::{frames_bar, note_on};
use crate::labelled::LabelledFrames;
use crate::make_basis::make_basis;
use crate::model_file::ModelFile;
use crate::text::{plural, tell};
use crate::train::{identity, read};
use crate::{interrupt, output, tensors};
use point::{Point, Tuned};
use record::Record;
use report::Paths;
use search::{AXES, Axis, Way, chosen, step, ways};
use trial::{Target, Task, Trial};

/// Choose cutoff, width, scaling, functions and l of a model file by cross-validation, and write the file that does best
///
/// One setting after the other is changed from the best that is known, and kept where the errors of held-out frames fall, or where
/// they stay the same within their standard error and an evaluation gets cheaper. Errors count as the geometric mean of the RMSE
/// of energies and of forces. The scaling that is tried is read off what a linear model looks at. Test frames of the model file
/// are not looked at.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Tune {
    /// The model file to begin with, *.toml, as for `rhobasis train`
    #[arg(value_name = "MODEL.toml")]
    model: PathBuf,
    /// The tuned model file to write, *.toml; all trials go to *.trials.jsonl beside it, and the same command goes on from them
    #[arg(short, long)]
    output: PathBuf,
    /// Minutes after which no trial is begun
    #[arg(long, value_name = "MINUTES", default_value = "20", value_parser = minutes)]
    budget: Duration,
    /// Parts that the training frames are cut into, each to be predicted by a fit to the others
    #[arg(long, value_name = "K", default_value_t = 5)]
    folds: usize,
    /// Most frames to tune on, spread evenly over the training frames
    #[arg(long, value_name = "N", default_value_t = 500)]
    frames: usize,
    /// Errors to bring down
    #[arg(long = "for", value_name = "WHAT", value_enum, default_value = "both")]
    target: Target,
    /// Seed of the folds; that of MODEL.toml if not given
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Write no picture of errors over the time of an evaluation; otherwise it goes to *.svg beside the output
    #[arg(long)]
    no_plot: bool,
}

const EXAMPLE: &str = "\
Example:
  rhobasis tune examples/model-silicon.toml -o tuned.toml --budget 10
  rhobasis train tuned.toml -o silicon.rho
Example: more time for the same, from where it was
  rhobasis tune examples/model-silicon.toml -o tuned.toml --budget 60";

fn minutes(text: &str) -> std::result::Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "give a number of minutes")?;
    Duration::try_from_secs_f64(60.0 * minutes).map_err(|_| "give a number of minutes that is not negative".into())
}

impl Tune {
    pub fn files(&self) -> Files {
        self.outputs(Files::reading([&self.model]))
    }

    fn outputs(&self, read: Files) -> Files {
        let Paths { output, trials, picture, .. } = self.paths();
        read.writing("--output", Holds::Beginning(report::BEGINNING), [&output])
            .going_on("the trials of --output", Holds::Checkpoint, [&trials])
            .writing("the picture of --output", Holds::Picture, &picture)
    }

    fn paths(&self) -> Paths {
        Paths {
            model: self.model.clone(),
            output: self.output.clone(),
            trials: self.output.with_extension("trials.jsonl"),
            picture: (!self.no_plot).then(|| self.output.with_extension("svg")),
        }
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        let start = Instant::now();
        output::check(&self.output, &["toml"])?;
        if tensors::is_of_tensors(&self.model) {
            return Err(Failure::usage("a model of a tensor is not tuned: give the model file of a potential"));
        }
        let file = ModelFile::read(&self.model)?;
        self.outputs(file.files()).check()?;
        let (tuned, first) = Tuned::of(&file)?;
        let (data, _) = read(&file)?;
        let settings = file.settings(&data.frames, &data.labels)?;
        self.check_labels(&settings)?;
        let data = self.some_of(data);
        let folds = folds(&data.frames, self.folds, self.seed.unwrap_or(file.seed))?;
        let paths = self.paths();
        let mut record = Record::open(&paths.trials, self.identity(&file, &settings, &data, &folds)?)?;
        if !record.trials.is_empty() {
            note_on(&paths.trials);
            tell(format!("continuing from {}: {} done", paths.trials.display(), plural(record.trials.len(), "trial")));
            keeps(&record);
        }
        let task = Task { data: &data, folds: &folds, settings: &settings, target: self.target };
        let mut search =
            Search { tuned: &tuned, task, record: &mut record, impossible: Vec::new(), start, budget: self.budget };
        let complete = search.run(&first)?;
        let minutes = start.elapsed().as_secs_f64() / 60.0;
        let report =
            report::Report { paths: &paths, folds: self.folds, record: &record, data: &data, complete, minutes };
        report.write(&first, out)
    }

    /// As many frames as are asked for, and all of single atoms.
    fn some_of(&self, mut data: LabelledFrames) -> LabelledFrames {
        let n = data.len();
        if self.frames >= n {
            return data;
        }
        let taken = |k: usize| (k + 1) * self.frames / n > k * self.frames / n || data.frames[k].len() == 1;
        let marked: Vec<bool> = (0..n).map(taken).collect();
        let mut some = data.split_off(&marked);
        some.survey = data.survey;
        some
    }

    /// Refuses errors of what the model is not trained on.
    fn check_labels(&self, settings: &TrainSettings) -> Result<()> {
        let sigmas = &settings.weights.all;
        let (there, what) = match self.target {
            Target::Both => (true, ""),
            Target::Energy => (sigmas.energy_sigma.is_some(), "energy"),
            Target::Forces => (sigmas.force_sigma.is_some(), "forces"),
        };
        if there {
            return Ok(());
        }
        Err(Error::setting("for", what, "the model is not trained on them", "leave --for out, or give them a sigma"))
    }

    fn identity(
        &self,
        file: &ModelFile,
        settings: &TrainSettings,
        data: &LabelledFrames,
        folds: &[usize],
    ) -> Result<serde_json::Value> {
        Ok(serde_json::json!({ "model": identity(file, settings, data)?, "for": self.target, "folds": folds }))
    }
}

/// Notes what an interrupted run leaves.
fn keeps(record: &Record) {
    let kept = format!("of the search, {} stay; the same command goes on", plural(record.trials.len(), "trial"));
    interrupt::keeps(kept);
}

/// The way from the first trial to the last.
struct Search<'a> {
    tuned: &'a Tuned,
    task: Task<'a>,
    record: &'a mut Record,
    /// What no basis or model can be made of.
    impossible: Vec<Point>,
    start: Instant,
    budget: Duration,
}

/// That there is no time for another trial.
struct OutOfTime;

impl Search<'_> {
    /// Goes on until nothing changes for the better; whether it came so far.
    fn run(&mut self, first: &Point) -> Result<bool> {
        match self.try_point(first)? {
            Err(OutOfTime) => return Ok(false),
            Ok(false) => {
                let problem = "no model can be made with the settings that the file has";
                return Err(Error::setting("[basis]", "of the file", problem, "try it with 'rhobasis train' first"));
            }
            Ok(true) => {}
        }
        loop {
            let before = self.chosen();
            for axis in AXES {
                if let Err(OutOfTime) = self.along(axis)? {
                    return Ok(false);
                }
            }
            if self.chosen() == before {
                return Ok(true);
            }
        }
    }

    fn chosen(&self) -> Point {
        let trials = &self.record.trials;
        trials[chosen(trials).expect("the first trial is there")].point.clone()
    }

    fn along(&mut self, axis: Axis) -> Result<std::result::Result<(), OutOfTime>> {
        for way in ways(self.tuned, axis, &self.chosen(), || self.scaling())? {
            while let Some(next) = step(self.tuned, axis, &way, &self.chosen()) {
                match self.try_point(&next)? {
                    Err(OutOfTime) => return Ok(Err(OutOfTime)),
                    Ok(true) if self.chosen() == next && !matches!(way, Way::To(_)) => {}
                    Ok(_) => break,
                }
            }
        }
        Ok(Ok(()))
    }

    /// Tries a point, unless that is done already; whether it can be tried.
    fn try_point(&mut self, point: &Point) -> Result<std::result::Result<bool, OutOfTime>> {
        if self.record.trials.iter().any(|trial| trial.point == *point) {
            return Ok(Ok(true));
        }
        if self.impossible.contains(point) {
            return Ok(Ok(false));
        }
        let likely = self.record.trials.last().map_or(0.0, |trial| trial.seconds);
        if self.start.elapsed() + Duration::from_secs_f64(likely) > self.budget && !self.record.trials.is_empty() {
            return Ok(Err(OutOfTime));
        }
        let number = self.record.trials.len() + 1;
        let trial = match Trial::run(&self.task, self.tuned, point, number) {
            Ok(trial) => trial,
            Err(e @ (Error::Setting { .. } | Error::Type { .. })) if number > 1 => {
                tell(format!("left out, as it cannot be made: {} ({e})", report::settings_of(point)));
                self.impossible.push(point.clone());
                return Ok(Ok(false));
            }
            Err(e) => return Err(e),
        };
        tell(format!("trial {number}: {}", report::line_of(&trial)));
        self.record.trials.push(trial);
        self.record.save()?;
        keeps(self.record);
        Ok(Ok(true))
    }

    /// The scaling that a linear model of the density without one asks for.
    fn scaling(&mut self) -> Result<Option<RadialScaling>> {
        if let Some(scaling) = &self.record.scaling {
            return Ok(scaling.clone());
        }
        let Task { data, settings, .. } = &self.task;
        let plan = self.tuned.span(&self.chosen());
        let features = FeatureSettings::default();
        let settings = TrainSettings { features, model: supervising_model(), ..(*settings).clone() };
        let of = |basis: Basis| -> Result<Potential> {
            let bar = frames_bar(data.len(), "what a linear model looks at");
            let potential = train(basis, &settings, &data.frames, &data.labels, |done| bar.set_position(done as u64));
            bar.finish_and_clear();
            potential
        };
        let potential = make_basis(&plan, Some(&settings), &data.frames, &data.labels, &data.files).and_then(of);
        let found = potential.and_then(|potential| potential.sensitivity(&data.frames)?.scaling(&data.frames));
        let found = found.map_err(|e| data.locate(e))?;
        match &found {
            Some(u) => tell(format!("a linear model asks for scaling = [{}, {}, {}]", u.rate, u.scale, u.exponent)),
            None => tell("a linear model asks for no scaling of the density"),
        }
        self.record.scaling = Some(found.clone());
        self.record.save()?;
        Ok(found)
    }
}
