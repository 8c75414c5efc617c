//! From frames with energies, forces and stresses to a potential.
//!
//! Rows of frames (see `rows.rs`), divided by their standard deviations, are reduced to a triangle as they come:
//!
//! ```text
//! linear   min |W (X w − y)|² + λ |w|²
//! sparse   min |W (K w − y)|² + wᵀ K_MM w / δ²,   K = Φ Λ^(1/2) Uᵀ,  K_MM = U Λ Uᵀ:   min |W (Φ v − y)|² + |v|² / δ²
//! ```
//!
//! the second of which is the projected-process Gaussian process solved by QR ('RKHS-QR').

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, Array2, s};
use rayon::prelude::*;

use super::alone;
use super::baseline::{energies_of_atoms, is_free_atom, of_atoms};
use super::calibration::Calibration;
use super::exact;
use super::features::{Basis, FeatureSettings};
use super::fold_sums::FoldSums;
use super::held_out::{self, KEPT, KeptRows, Sample};
use super::intervals::Intervals;
use super::leverage::{DRAWS, Leverage};
use super::linear::LinearModel;
use super::model::{Model, Potential};
use super::part::{PartOrigin, TrainingPart};
use super::posterior::{Posterior, Uncertainty};
use super::remarks::{self, Remark};
use super::repulsion::Nearest;
use super::rows::{Functions, rows_of};
use super::settings::{Alpha, ModelSettings, TrainSettings};
use super::sparse::{Kernels, SparseModel};
use super::sparse_points::{self, counts};
use super::targets::{TargetCounts, Targets, targets};
use crate::correlations::Invariants;
use crate::extxyz::{Labels, Shard};
use crate::files::{Archive, count, damaged, remove_with_drafts};
use crate::linalg::set_product;
use crate::models::{Solver, at_end, regularised};
use crate::structure::Structure;
use crate::{Error, Result};

/// Folds of the cross-validation that chooses alpha.
const FOLDS: usize = 5;

/// A fit in progress: frames are worked through some at a time, so that it can be watched, interrupted and continued.
///
/// Nothing that a linear or sparse model makes it hold is proportional to centres times features; see [`Trainer::memory`].
#[derive(Debug)]
pub struct Trainer<'a> {
    frames: &'a [Structure],
    labels: &'a [Labels],
    targets: Vec<Targets>,
    counts: TargetCounts,
    /// Whether each frame is an atom alone whose energy the baseline is.
    free: Vec<bool>,
    settings: TrainSettings,
    basis: Basis,
    invariants: Invariants,
    baseline: BTreeMap<u8, f64>,
    functions: Functions,
    sums: FoldSums,
    done: usize,
    /// Frames that are left out in turn at the end; none where uncertainties are not wanted.
    samples: Vec<Sample>,
    /// Rows of some of them.
    kept: KeptRows,
}

impl<'a> Trainer<'a> {
    /// Fits the baseline and, for sparse models, chooses sparse points; rows come with [`Trainer::advance`].
    ///
    /// `labels` holds what each frame says, see [`crate::extxyz::labels`].
    ///
    /// # Errors
    /// For settings that make no sense, frames that cannot be used, and if no frame has a quantity that has a weight.
    pub fn new(basis: Basis, settings: &TrainSettings, frames: &'a [Structure], labels: &'a [Labels]) -> Result<Self> {
        Trainer::with_features(basis, settings, frames, labels, |basis| settings.features.fitted(basis, frames))
    }

    /// [`Trainer::new`] where `fit` gives the features of the settings, fitted to the frames if they want to be: it is asked when nothing
    /// else is refused.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn with_features(
        basis: Basis,
        settings: &TrainSettings,
        frames: &'a [Structure],
        labels: &'a [Labels],
        fit: impl FnOnce(&Basis) -> Result<FeatureSettings>,
    ) -> Result<Self> {
        settings.model.validate()?;
        settings.weights.validate()?;
        settings.repulsion.validate()?;
        let r_cut = basis.expansion().density().r_cut;
        let of_free_atoms = settings.baseline.is_of_free_atoms();
        let free: Vec<bool> = frames.iter().map(|frame| of_free_atoms && is_free_atom(frame, r_cut)).collect();
        let (targets, counts) = targets(frames, labels, &settings.weights, &free)?;
        if matches!(settings.model, ModelSettings::KernelRidge { .. }) && counts.energies == 0 {
            let problem = "kernel ridge regression learns from energies, and no frame has one that has a weight";
            return Err(Error::setting("frames", frames.len(), problem, "use a sparse model (gap) for forces"));
        }
        let species: Vec<u8> = sparse_points::counts(frames).into_keys().collect();
        let baseline = energies_of_atoms(&settings.baseline, frames, labels, &species, r_cut)?;
        let features = fit(&basis)?;
        let settings = &TrainSettings { features, ..settings.clone() };
        let (invariants, combinations) = settings.invariants(&basis)?;
        let lone = if of_free_atoms { alone::features(&invariants, &species, frames)? } else { BTreeMap::new() };
        let (functions, solver) = match &settings.model {
            ModelSettings::Ridge { solver, .. } => {
                let n_features = invariants.n_features();
                (Functions::Linear { n_features, species, combinations, alone: BTreeMap::new() }, *solver)
            }
            ModelSettings::Gap { n_sparse, zeta, sparse_method, jitter, .. } => {
                let mut points = sparse_points::choose(&invariants, frames, &free, *n_sparse, *sparse_method)?;
                if of_free_atoms {
                    points = alone::as_points(points, &lone);
                }
                let of = |(&z, points): (&u8, &Array2<f64>)| {
                    Ok((z, sparse_points::projection(points, *zeta, *jitter, of_free_atoms)?))
                };
                let projections = points.iter().map(of).collect::<Result<_>>()?;
                (Functions::Sparse { zeta: *zeta, points, projections, alone: BTreeMap::new() }, Solver::Qr)
            }
            ModelSettings::KernelRidge { .. } => {
                let (n_features, species, alone) = (0, Vec::new(), BTreeMap::new());
                (Functions::Linear { n_features, species, combinations: None, alone }, Solver::Qr)
            }
        };
        let functions = functions.less_alone(lone);
        let folds = match &settings.model {
            ModelSettings::Ridge { alpha: Alpha::Best(alphas), .. } if alphas.len() > 1 => {
                super::folds::folds(frames, FOLDS, 0)?
            }
            _ => vec![0; frames.len()],
        };
        let sums = FoldSums::new(functions.n_parameters(), folds, solver);
        let samples = match settings.model {
            ModelSettings::KernelRidge { .. } => Vec::new(),
            _ => held_out::samples(frames, labels, &targets),
        };
        let settings = settings.clone();
        Ok(Trainer {
            frames,
            labels,
            targets,
            counts,
            free,
            settings,
            basis,
            invariants,
            baseline,
            functions,
            sums,
            done: 0,
            samples,
            kept: KeptRows::default(),
        })
    }

    /// The fit of the rows of a shard of the frames alone: [`TrainingPart`](super::TrainingPart) is what becomes of it.
    ///
    /// # Errors
    /// As [`TrainingPart::check`](super::TrainingPart::check).
    pub fn of_shard(mut self, shard: Shard) -> Result<Self> {
        TrainingPart::check(&self.settings.model)?;
        let sums = std::mem::replace(&mut self.sums, FoldSums::new(0, Vec::new(), Solver::Qr));
        self.sums = sums.of_shard(shard);
        Ok(self.without_uncertainty())
    }

    /// The sums of a shard, which must be done.
    ///
    /// # Errors
    /// If frames are left, or sums are too large.
    pub fn into_part(self, origin: PartOrigin) -> Result<TrainingPart> {
        self.check_done()?;
        let n_frames = self.n_frames();
        Ok(TrainingPart::new(self.settings, self.basis, origin, n_frames, self.sums.triangles()?))
    }

    /// Takes the rows of all frames from the parts of all shards, as [`TrainingPart::merge_files`](super::TrainingPart::merge_files)
    /// has added them up.
    ///
    /// # Errors
    /// If it is the sum of other frames, or of other features.
    pub fn take(&mut self, part: TrainingPart) -> Result<()> {
        let (n_frames, n_folds) = (self.frames.len(), self.sums.n_folds());
        let mine = [n_frames, self.functions.n_parameters(), n_folds];
        let (theirs, triangles) = part.into_triangles();
        if mine != theirs {
            let words = |[frames, parameters, folds]: [usize; 3]| {
                format!("{frames} frames in {folds} folds, and {parameters} parameters")
            };
            let problem = format!("the data have {}", words(mine));
            return Err(Error::setting("parts", words(theirs), problem, "merge where the same data are"));
        }
        self.sums.set_triangles(triangles);
        self.done = n_frames;
        Ok(())
    }

    /// Without what uncertainties take at the end of a fit, of potentials that are not asked for any.
    #[must_use]
    pub fn without_uncertainty(mut self) -> Self {
        self.samples = Vec::new();
        self
    }

    /// Bytes that the fit, and writing what comes of it, will take at most, besides frames and labels.
    pub fn memory(&self) -> usize {
        let n_features = self.invariants.n_features();
        let n_energies = self.counts.energies;
        match &self.settings.model {
            ModelSettings::KernelRidge { .. } => {
                let n_centers: usize = self.frames.iter().map(Structure::len).sum();
                8 * (2 * n_centers * n_features + 3 * n_energies * n_energies)
            }
            model => {
                let of_frame = |(frame, targets): (&Structure, &Targets)| {
                    self.functions.memory(n_features, frame.len(), targets.n_rows(frame.len()))
                };
                let largest = self.frames.iter().zip(&self.targets).map(of_frame).max().unwrap_or(0);
                let points = match model {
                    ModelSettings::Gap { n_sparse, .. } => sparse_points::memory(self.frames, n_features, *n_sparse),
                    _ => 0,
                };
                let n_rows = |sample: &Sample| self.targets[sample.frame].n_rows(self.frames[sample.frame].len());
                let n = self.functions.n_parameters();
                let kept: usize = self.samples.iter().map(|sample| 8 * n_rows(sample) * (n + 1)).sum();
                let left_out = self.samples.iter().map(|sample| held_out::memory(n, n_rows(sample))).max();
                let at_end = 8 * n * n + self.at_once() * (largest + left_out.unwrap_or(0));
                let draws = 3 * 8 * n * DRAWS;
                points + draws + kept.min(KEPT) + self.sums.memory(self.at_once() * largest).max(at_end)
            }
        }
    }

    /// Whether each frame is an atom alone whose energy the baseline is: it is not trained on, and predicted exactly.
    pub fn free_atoms(&self) -> &[bool] {
        &self.free
    }

    /// The basis of its features.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// What should be known of basis, labels and weights before the fit.
    pub fn remarks(&self) -> Vec<Remark> {
        let Trainer { frames, labels, targets, free, .. } = self;
        let data = remarks::Data { frames, labels, targets, free };
        remarks::all(&data, &self.basis, &self.settings, &self.baseline)
    }

    /// How many numbers are trained on.
    pub fn counts(&self) -> TargetCounts {
        self.counts
    }

    /// Number of parameters that are fitted: weights, or independent functions of sparse points.
    pub fn n_parameters(&self) -> usize {
        match self.settings.model {
            ModelSettings::KernelRidge { .. } => self.counts.energies,
            _ => self.functions.n_parameters(),
        }
    }

    /// Frames whose rows are summed: all, or those of a shard.
    pub fn n_frames(&self) -> usize {
        self.sums.order().len()
    }

    /// Frames whose rows are done.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Frames whose rows exist at a time.
    fn at_once(&self) -> usize {
        2 * rayon::current_num_threads()
    }

    /// Adds the rows of the next `n` frames, in parallel. The result does not depend on how frames are cut into calls.
    ///
    /// # Errors
    /// If a frame cannot be used.
    pub fn advance(&mut self, n: usize) -> Result<()> {
        let end = self.n_frames().min(self.done + n);
        if let ModelSettings::KernelRidge { .. } = self.settings.model {
            self.done = end; // all at once, at the end
            return Ok(());
        }
        while self.done < end {
            let here = &self.sums.order()[self.done..end.min(self.done + self.at_once())];
            let rows: Vec<Result<(Array2<f64>, Array2<f64>)>> = here.par_iter().map(|&k| self.rows(k)).collect();
            for rows in rows {
                let (x, y) = rows?;
                self.sums.add(self.done, x.view(), y.view())?;
                let frame = self.sums.order()[self.done];
                if self.samples.binary_search_by_key(&frame, |sample| sample.frame).is_ok() {
                    self.kept.offer(frame, (x, y));
                }
                self.done += 1;
            }
        }
        Ok(())
    }

    /// The weighted rows of a frame, and what they should give.
    fn rows(&self, k: usize) -> Result<(Array2<f64>, Array2<f64>)> {
        let free_atoms = of_atoms(&self.baseline, &self.frames[k].species);
        let labelled = (&self.frames[k], &self.labels[k]);
        rows_of(&self.invariants, &self.functions, labelled, free_atoms, &self.targets[k])
            .map_err(|e| e.after_frames(k))
    }

    /// Writes the state of the fit; `identity` names settings and data (any text), for `resume` to compare.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_checkpoint(&mut self, path: &Path, identity: &str) -> Result<()> {
        let mut archive = Archive::default();
        archive.metadata.insert("identity".into(), identity.into());
        archive.note("done", &self.done);
        archive.note("less_alone", &!self.functions.alone().is_empty());
        self.sums.store(&mut archive);
        let written = archive.write(path, CHECKPOINT);
        self.sums.take_back(&mut archive, path)?;
        written
    }

    /// Continues from a checkpoint if the file is there; whether it was.
    ///
    /// # Errors
    /// If it is of other settings or data, or damaged.
    pub fn resume(&mut self, path: &Path, identity: &str) -> Result<bool> {
        if !path.exists() {
            return Ok(false);
        }
        let archive = Archive::read(path, CHECKPOINT)?;
        // Rows of versions that did not know of differences from the centre alone are not of this fit.
        let less_alone = archive.metadata.get("less_alone").is_some_and(|text| text == "true");
        let same = archive.metadata.get("identity").map(String::as_str) == Some(identity);
        if !same || less_alone == self.functions.alone().is_empty() {
            let problem = "it was written by a fit with other settings or data";
            return Err(Error::file(path, problem, "remove it to start anew, or restore settings and data"));
        }
        let done = count(path, "done", archive.json(path, "done")?)?;
        if done > self.n_frames() {
            return Err(damaged(path, format!("{done} of {} frames are done", self.n_frames())));
        }
        // Exact kernel ridge has no rows.
        let rows_of = if let ModelSettings::KernelRidge { .. } = self.settings.model { 0 } else { done };
        self.sums.restore(archive, path, rows_of)?;
        self.done = done;
        Ok(true)
    }

    /// Removes a checkpoint that is no longer needed, and what a run that was killed while writing has left of it.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn remove_checkpoint(path: &Path) -> Result<()> {
        remove_with_drafts(path, CHECKPOINT)
    }

    /// Solves for the weights; all frames must be done.
    ///
    /// # Errors
    /// If frames are left, or the rows do not determine the model.
    pub fn finish(mut self) -> Result<Potential> {
        self.check_done()?;
        if self.n_frames() < self.frames.len() {
            let problem = format!("a shard of {} frames was summed", self.frames.len());
            return Err(Error::setting("frames", self.done, problem, "make a part of it, and merge all parts"));
        }
        let species = counts(self.frames).into_keys().collect();
        let mut warnings = Vec::new();
        let sums = std::mem::replace(&mut self.sums, FoldSums::new(0, Vec::new(), Solver::Qr));
        let (model, posterior, alpha) = match self.settings.model.clone() {
            ModelSettings::Ridge { alpha, .. } => {
                let (model, posterior, chosen) = self.linear(sums, alpha.values())?;
                warnings.extend(at_end(alpha.values(), chosen));
                (model, Some(posterior), Some(chosen))
            }
            ModelSettings::Gap { zeta, delta, .. } => {
                let (model, posterior) = self.sparse(sums, zeta, delta)?;
                (model, Some(posterior), None)
            }
            ModelSettings::KernelRidge { zeta, delta } => {
                let energies = self.frames.iter().zip(self.labels).zip(&self.targets);
                let of = |((frame, labels), targets): ((&'a Structure, &Labels), &Targets)| {
                    let sigma = targets.energy?;
                    Some((frame, labels.energy? - of_atoms(&self.baseline, &frame.species), sigma))
                };
                let training = energies.filter_map(of).collect();
                let model = exact::fit(&self.invariants, training, zeta, delta, self.functions.alone())?;
                (Model::Sparse(model), None, None)
            }
        };
        if let (ModelSettings::Gap { n_sparse, .. }, Functions::Sparse { points, .. }) =
            (&self.settings.model, &self.functions)
        {
            let found = points.values().map(Array2::nrows).sum::<usize>() - self.functions.alone().len();
            if found + points.len() < *n_sparse {
                warnings.push(format!(
                    "{found} sparse points instead of {n_sparse}: there are no more different environments to choose from"
                ));
            }
        }
        let uncertainty = posterior.as_ref().filter(|_| !self.samples.is_empty());
        let uncertainty = uncertainty.map(|posterior| self.uncertainty(posterior)).transpose()?;
        let of_free_atoms = self.settings.baseline.is_of_free_atoms();
        // The core is zero at all of these distances, so the fit has not missed it.
        let nearest = Nearest::of(self.frames, self.basis.expansion().density().r_cut)?;
        let mut potential = Potential::new(
            self.basis,
            self.settings,
            self.invariants,
            self.baseline,
            species,
            model,
            posterior,
            alpha,
            warnings,
        )
        .with_core(nearest);
        potential.uncertainty = uncertainty;
        if of_free_atoms { potential.less_alone() } else { Ok(potential) }
    }

    fn check_done(&self) -> Result<()> {
        if self.done < self.n_frames() {
            let problem = format!("{} of {} frames are done", self.done, self.n_frames());
            return Err(Error::setting("frames", self.done, problem, "advance to the last frame first"));
        }
        Ok(())
    }

    /// What makes uncertainties of a posterior: residuals of frames that are left out, and the leverages of all.
    fn uncertainty(&mut self, posterior: &Posterior) -> Result<Uncertainty> {
        let kept = std::mem::take(&mut self.kept).rows;
        let rows = |frame: usize| kept.get(&frame).map_or_else(|| self.rows(frame), |rows| Ok(rows.clone()));
        let held_out = held_out::held_out(&self.samples, (self.frames, &self.targets), rows, &posterior.factor)?;
        let mut leverage = Leverage::of_fit(&posterior.functions, &posterior.factor);
        leverage.largest = leverage.largest_of(&self.invariants, &posterior.functions, self.frames)?;
        Ok(Uncertainty { calibration: Calibration::of(&held_out), intervals: Intervals::of(&held_out), leverage })
    }

    fn linear(&self, sums: FoldSums, alphas: &[f64]) -> Result<(Model, Posterior, f64)> {
        let solver = sums.solver();
        let (factor, alpha) = regularised(sums.triangles()?, alphas, solver)?;
        let w = factor.solve()?;
        let Functions::Linear { combinations, .. } = &self.functions else { unreachable!("made so by new") };
        let of = |(z, columns): (u8, std::ops::Range<usize>)| {
            let w = w.slice(s![columns, 0]);
            (z, combinations.as_ref().map_or_else(|| w.to_owned(), |combinations| combinations.weights(w)))
        };
        let weights = self.functions.parameters().into_iter().map(of).collect();
        let posterior = Posterior { functions: self.functions.clone(), factor };
        Ok((Model::Linear(LinearModel::new(&self.invariants, weights)), posterior, alpha))
    }

    fn sparse(&self, sums: FoldSums, zeta: u32, delta: f64) -> Result<(Model, Posterior)> {
        let Functions::Sparse { points, projections, .. } = &self.functions else { unreachable!("made so by new") };
        let factor = sums.factor_with(1.0 / (delta * delta))?;
        let v = factor.solve()?;
        let mut of_species = BTreeMap::new();
        for (z, columns) in self.functions.parameters() {
            let mut weights = Array2::zeros((points[&z].nrows(), 1));
            set_product(weights.view_mut(), projections[&z].view(), v.slice(s![columns, ..]));
            let weights: Array1<f64> = weights.column(0).to_owned();
            of_species.insert(z, Kernels::Points { points: points[&z].clone(), weights });
        }
        let posterior = Posterior { functions: self.functions.clone(), factor };
        Ok((Model::Sparse(SparseModel { zeta, of_species }), posterior))
    }
}

/// `kind` of checkpoint files.
const CHECKPOINT: &str = "training";
