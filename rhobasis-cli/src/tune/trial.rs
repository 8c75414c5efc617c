//! One choice of settings, tried: errors of each fold, and what an evaluation costs.

use std::time::Instant;

use clap::ValueEnum;
use rhobasis::extxyz::Labels;
use rhobasis::potential::{Errors, Potential, Progress, Quantity, Sigmas, TrainSettings, cross_validate};
use rhobasis::{Result, Structure};
use serde::{Deserialize, Serialize};

use super::point::{Point, Tuned};
use crate::evaluate::progress;
use crate::labelled::LabelledFrames;
use crate::make_basis::make_basis;

/// Atoms that an evaluation is timed with; those of a part, which is timed alone; and how often each is.
const TIMED_ATOMS: usize = 2000;
const ATOMS_OF_PART: usize = 200;
const TIMES: usize = 5;

/// What came out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trial {
    #[serde(flatten)]
    pub point: Point,
    /// RMSE of energies over all held-out frames, in meV/atom; none without energies.
    pub energy: Option<f64>,
    /// RMSE of force components, in eV/Å; none without forces.
    pub force: Option<f64>,
    /// The same of each fold.
    pub energy_of_folds: Vec<f64>,
    pub force_of_folds: Vec<f64>,
    /// Logarithm of the error that is to fall, of each fold.
    pub scores: Vec<f64>,
    /// µs for each atom: energies, forces and stress, neighbours searched for, on one thread.
    pub cost: f64,
    pub n_features: usize,
    /// That the trial took.
    pub seconds: f64,
}

/// Frames, how they are cut into folds, and how models are fitted to them.
pub struct Task<'a> {
    pub data: &'a LabelledFrames,
    pub folds: &'a [usize],
    pub settings: &'a TrainSettings,
    pub target: Target,
}

/// Errors to bring down.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The geometric mean of those of energies and forces, as far as the model is trained on them
    Both,
    /// Those of energies
    Energy,
    /// Those of forces
    Forces,
}

impl Target {
    /// Logarithms of the errors of each fold.
    fn scores(self, energy: &[f64], force: &[f64]) -> Vec<f64> {
        let kinds: Vec<&[f64]> = match self {
            Target::Both => [energy, force].into_iter().filter(|errors| !errors.is_empty()).collect(),
            Target::Energy => vec![energy],
            Target::Forces => vec![force],
        };
        let folds = kinds.iter().map(|errors| errors.len()).min().unwrap_or(0);
        let of_fold = |fold: usize| {
            let logs = kinds.iter().map(|errors| errors[fold].max(f64::MIN_POSITIVE).ln());
            logs.sum::<f64>() / kinds.len() as f64
        };
        (0..folds).map(of_fold).collect()
    }
}

impl Trial {
    /// Cross-validation of a point.
    pub fn run(task: &Task, tuned: &Tuned, point: &Point, number: usize) -> Result<Self> {
        let start = Instant::now();
        let plan = tuned.plan(point);
        let Task { data, folds, settings, target } = task;
        let mut make =
            |frames: &[Structure], labels: &[Labels]| make_basis(&plan, Some(settings), frames, labels, &data.files);
        let timed = Timed::new(data, settings);
        let (mut cost, mut n_features) = (None, 0);
        let mut bar = progress(format!("trial {number}, "));
        let mut watch = |progress: Progress| {
            if let (true, Some(potential)) = (cost.is_none(), progress.potential) {
                cost = Some(timed.cost(potential));
                n_features = potential.n_features();
            }
            bar(progress);
        };
        let done = cross_validate(&mut make, settings, &data.frames, &data.labels, folds, &mut watch)
            .map_err(|e| data.locate(e))?;
        let all = |quantity| Some(done.errors.of(quantity, None)).filter(|sum| sum.count > 0).map(|sum| sum.rmse());
        let each = |quantity| -> Vec<f64> {
            let rmse =
                |errors: &Errors| Some(errors.of(quantity, None)).filter(|sum| sum.count > 0).map(|sum| sum.rmse());
            done.by_fold.iter().filter_map(rmse).collect()
        };
        let weights = &settings.weights;
        let trained_on = |sigma: fn(&Sigmas) -> Option<f64>| {
            std::iter::once(&weights.all).chain(weights.by_type.values()).any(|sigmas| sigma(sigmas).is_some())
        };
        let (energy_of_folds, force_of_folds) = (each(Quantity::EnergyPerAtom), each(Quantity::Force));
        Ok(Trial {
            point: point.clone(),
            energy: all(Quantity::EnergyPerAtom),
            force: all(Quantity::Force),
            scores: target.scores(
                if trained_on(|sigmas| sigmas.energy_sigma) { &energy_of_folds } else { &[] },
                if trained_on(|sigmas| sigmas.force_sigma) { &force_of_folds } else { &[] },
            ),
            energy_of_folds,
            force_of_folds,
            cost: cost.transpose()?.unwrap_or_default(),
            n_features,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// The mean of the scores.
    pub fn score(&self) -> f64 {
        mean_and_error(&self.scores).0
    }

    /// By how much the score is above that of another, and the standard error of that: by the differences fold by fold.
    pub fn worse_than(&self, other: &Trial) -> (f64, f64) {
        let differences: Vec<f64> = self.scores.iter().zip(&other.scores).map(|(a, b)| a - b).collect();
        mean_and_error(&differences)
    }
}

/// The mean, and its standard error.
pub fn mean_and_error(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

/// Frames that evaluations are timed with.
struct Timed {
    frames: Vec<Structure>,
    forces: bool,
}

impl Timed {
    fn new(data: &LabelledFrames, settings: &TrainSettings) -> Self {
        let sigmas = &settings.weights.all;
        let mut atoms = 0;
        let fits = |frame: &&Structure| {
            atoms += frame.len();
            atoms <= TIMED_ATOMS
        };
        let mut frames: Vec<Structure> = data.frames.iter().take_while(fits).cloned().collect();
        if frames.is_empty() {
            frames.extend(data.frames.first().cloned());
        }
        Timed { frames, forces: sigmas.force_sigma.is_some() || sigmas.stress_sigma.is_some() }
    }

    /// The shortest time of some evaluations, part by part: what else the machine does disturbs a short one less.
    fn cost(&self, potential: &Potential) -> Result<f64> {
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let one = one.map_err(|e| rhobasis::Error::setting("threads", 1, e.to_string(), "free some resources"))?;
        let atoms = |frames: &[Structure]| frames.iter().map(Structure::len).sum::<usize>();
        let frames_of_part = (ATOMS_OF_PART * self.frames.len() / atoms(&self.frames).max(1)).max(1);
        let mut seconds = 0.0;
        for part in self.frames.chunks(frames_of_part) {
            let mut shortest = f64::INFINITY;
            for _ in 0..TIMES {
                let start = Instant::now();
                one.install(|| potential.predict(part, self.forces))?;
                shortest = shortest.min(start.elapsed().as_secs_f64());
            }
            seconds += shortest;
        }
        Ok(1e6 * seconds / atoms(&self.frames).max(1) as f64)
    }
}
