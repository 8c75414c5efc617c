//! From frames with tensors to a model of them.
//!
//! A frame adds, for each λ of the target, 2λ + 1 rows to a least-squares problem, Σ_i V^λ_{i,k,μ} in the columns of the species
//! of centre i; rows are reduced to a triangle as they come.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, s};

use super::model::{EquivariantRidge, Fitted};
use super::settings::EquivariantSettings;
use crate::correlations::{Nice, NiceTensors};
use crate::density::{Workspace, species_of};
use crate::models::{LeastSquares, regularised};
use crate::potential::{Alpha, Basis, folds, of_atoms, of_compositions};
use crate::simd::Aligned;
use crate::structure::Structure;
use crate::threads::Pool;
use crate::{Error, Result};

/// Folds of the cross-validation that chooses alpha.
const FOLDS: usize = 5;
/// Bytes of equivariants that exist at a time, unless one frame has more.
const AT_ONCE: usize = 1 << 25;

/// A fit in progress: frames are worked through some at a time, so that it can be watched and interrupted.
#[derive(Debug)]
pub struct EquivariantTrainer<'a> {
    frames: &'a [Structure],
    /// Spherical components of each label, less the baseline.
    values: Vec<Option<Vec<f64>>>,
    settings: EquivariantSettings,
    basis: Basis,
    nice: Arc<Nice>,
    tensors: Arc<NiceTensors>,
    species: Vec<u8>,
    baseline: BTreeMap<u8, f64>,
    /// For each λ one problem, or one for each fold.
    problems: Vec<Vec<LeastSquares>>,
    /// Fold of each frame.
    folds: Vec<usize>,
    done: usize,
    pool: Pool<Work>,
}

/// Buffers of a run.
#[derive(Debug, Default)]
struct Work {
    density: Workspace,
    c: Aligned,
}

impl<'a> EquivariantTrainer<'a> {
    /// Fits the baseline of λ = 0; rows come with [`EquivariantTrainer::advance`].
    ///
    /// `labels` holds the Cartesian components of each frame's tensor, as [`super::Target::label`] gives them; frames without are
    /// not learned from. `nice` must keep equivariants of all orders.
    ///
    /// # Errors
    /// If no frame has a label, for labels and settings that cannot be used, if NICE was fitted to another basis, and if there are
    /// too few frames to choose alpha by folds.
    pub fn new(
        basis: Basis,
        nice: Arc<Nice>,
        settings: &EquivariantSettings,
        frames: &'a [Structure],
        labels: &[Option<Vec<f64>>],
    ) -> Result<Self> {
        settings.validate()?;
        let target = settings.target;
        if labels.len() != frames.len() {
            let problem = format!("there are {} frames", frames.len());
            return Err(Error::setting("labels", labels.len(), problem, "give one, or none, for each frame"));
        }
        let expansion = basis.expansion();
        let tensors = Arc::new(nice.tensors(expansion.keys(), expansion.channels(), target.lambdas())?);
        let spherical = |(k, label): (usize, &Option<Vec<f64>>)| {
            let Some(label) = label else { return Ok(None) };
            target.check(label).map_err(|e| e.at_frame(k))?;
            Ok(Some(target.spherical(label)))
        };
        let mut values = labels.iter().enumerate().map(spherical).collect::<Result<Vec<_>>>()?;
        let labelled = labelled(frames, &values);
        if labelled.is_empty() {
            let problem = format!("none of {} has a {}", frames.len(), target.key());
            let remedy = format!("name the key of the labels by {}", target.key_setting());
            return Err(Error::setting("frames", frames.len(), problem, remedy));
        }
        let species = species_of(&labelled);
        let mut baseline = BTreeMap::new();
        if target.lambdas()[0] == 0 {
            let traces = frames.iter().zip(&values).filter_map(|(frame, value)| Some((frame, value.as_ref()?[0])));
            baseline = of_compositions(traces, &species);
            for (frame, value) in frames.iter().zip(&mut values) {
                value.iter_mut().for_each(|value| value[0] -= of_atoms(&baseline, &frame.species));
            }
        }
        let folds = folds_of(&settings.alpha, &labelled, &values)?;
        let n_folds = folds.iter().max().map_or(1, |last| last + 1);
        let problem = |n: &usize| vec![LeastSquares::new(n * species.len(), 1, settings.solver); n_folds];
        let problems = tensors.n_channels().iter().map(problem).collect();
        Ok(EquivariantTrainer {
            frames,
            values,
            settings: settings.clone(),
            nice,
            tensors,
            species,
            baseline,
            problems,
            folds,
            done: 0,
            basis,
            pool: Pool::default(),
        })
    }

    /// Bytes that the fit will take at most, besides frames and labels.
    pub fn memory(&self) -> usize {
        let largest = self.frames.iter().map(Structure::len).max().unwrap_or(0);
        let (solver, channels) = (self.settings.solver, self.tensors.n_channels());
        let columns = || channels.iter().map(|n| n * self.species.len());
        let problems: usize =
            columns().zip(&self.problems).map(|(n, folds)| folds.len() * LeastSquares::memory(n, 1, solver)).sum();
        // One λ after the other.
        let ending = columns().map(|n| LeastSquares::memory_of_end(n, 1, solver)).max().unwrap_or(0);
        problems + ending.max(AT_ONCE.max(8 * largest * self.tensors.n_numbers()))
    }

    /// Frames with a label.
    pub fn n_labelled(&self) -> usize {
        self.values.iter().flatten().count()
    }

    /// Numbers that are learned from: components of all labels.
    pub fn n_rows(&self) -> usize {
        self.n_labelled() * self.tensors.n_components()
    }

    /// Weights that are fitted, of all λ.
    pub fn n_parameters(&self) -> usize {
        self.species.len() * self.tensors.n_channels().iter().sum::<usize>()
    }

    /// Frames whose rows are done.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Adds the rows of the next `n` frames, in parallel. The result does not depend on how frames are cut into calls.
    ///
    /// # Errors
    /// If a frame cannot be used.
    pub fn advance(&mut self, n: usize) -> Result<()> {
        let end = self.frames.len().min(self.done.saturating_add(n));
        while self.done < end {
            if self.values[self.done].is_none() {
                self.done += 1;
                continue;
            }
            let here = self.next_frames(end);
            let rows = self.rows(here.clone()).map_err(|e| e.after_frames(here.start))?;
            let mut first = 0;
            for frame in here {
                let n = self.frames[frame].len() * self.tensors.n_numbers();
                self.add(frame, &rows[first..first + n])?;
                first += n;
                self.done = frame + 1;
            }
        }
        Ok(())
    }

    /// The next frames with a label, as many as fit into memory.
    fn next_frames(&self, end: usize) -> Range<usize> {
        let most = AT_ONCE / (8 * self.tensors.n_numbers());
        let (mut last, mut n) = (self.done, 0);
        while last < end && self.values[last].is_some() {
            n += self.frames[last].len();
            if n > most && last > self.done {
                break;
            }
            last += 1;
        }
        self.done..last
    }

    /// V of all centres of some frames, `[center, (λ, μ, channel)]`.
    fn rows(&self, frames: Range<usize>) -> Result<Vec<f64>> {
        let (expansion, layout) = (self.basis.expansion(), self.tensors.layout());
        let runs = expansion.runs(&self.frames[frames], None, None)?;
        let width = self.tensors.n_numbers();
        let mut rows = vec![0.0; runs.n_centers() * width];
        runs.for_each(&self.pool, vec![&mut rows], &[width], |run, rows, Work { density, c }| {
            c.resize(run.len() * layout.len());
            expansion.forward_run(run, false, &mut layout.cut(c, run.len()), density);
            self.tensors.rows(run.len(), c, rows[0]);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Adds a frame, given V of its centres.
    fn add(&mut self, frame: usize, rows: &[f64]) -> Result<()> {
        let Some(value) = &self.values[frame] else { return Ok(()) };
        let (mut first, mut component) = (0, 0);
        let width = self.tensors.n_numbers();
        let (lambdas, channels) = (self.settings.target.lambdas(), self.tensors.n_channels());
        for ((lambda, n), problems) in lambdas.iter().zip(channels).zip(&mut self.problems) {
            let n_m = 2 * lambda + 1;
            let mut x = Array2::<f64>::zeros((n_m, n * self.species.len()));
            for (z, row) in self.frames[frame].species.iter().zip(rows.chunks_exact(width)) {
                let of_species = n * self.species.binary_search(z).expect("species of the labelled frames");
                for (mut x, v) in x.rows_mut().into_iter().zip(row[first..first + n_m * n].chunks_exact(n)) {
                    let mut here = x.slice_mut(s![of_species..of_species + n]);
                    here.iter_mut().zip(v).for_each(|(sum, v)| *sum += v);
                }
            }
            let y = Array2::from_shape_fn((n_m, 1), |(mu, _)| value[component + mu]);
            problems[self.folds[frame]].add(x.view(), y.view())?;
            first += n_m * n;
            component += n_m;
        }
        Ok(())
    }

    /// Solves for the weights; all frames must be done.
    ///
    /// # Errors
    /// If frames are left, or the rows do not determine the model.
    pub fn finish(mut self) -> Result<EquivariantRidge> {
        if self.done < self.frames.len() {
            let problem = format!("{} of {} frames are done", self.done, self.frames.len());
            return Err(Error::setting("frames", self.done, problem, "advance to the last frame first"));
        }
        let alphas = self.settings.alpha.values();
        let (species, baseline) = (self.species, self.baseline);
        let mut fitted =
            Fitted { species, baseline, weights: Vec::new(), alphas: Vec::new(), condition_numbers: Vec::new() };
        for (problems, n) in std::mem::take(&mut self.problems).into_iter().zip(self.tensors.n_channels()) {
            let folds = problems.into_iter().map(LeastSquares::into_triangle).collect::<Result<_>>()?;
            let (factor, alpha) = regularised(folds, alphas, self.settings.solver)?;
            let weights = factor.solve()?.into_shape_with_order((fitted.species.len(), n));
            fitted.weights.push(weights.expect("channels of each species"));
            fitted.alphas.push(alpha);
            fitted.condition_numbers.push(factor.condition_number());
        }
        Ok(EquivariantRidge::new(self.basis, self.nice, self.tensors, self.settings, fitted))
    }
}

/// The frames that have a label.
fn labelled(frames: &[Structure], values: &[Option<Vec<f64>>]) -> Vec<Structure> {
    let bare = |frame: &Structure| Structure { info: Vec::new(), columns: Vec::new(), ..frame.clone() };
    frames.iter().zip(values).filter(|(_, value)| value.is_some()).map(|(frame, _)| bare(frame)).collect()
}

/// Fold of each frame: all in one, where there is nothing to choose.
fn folds_of(alpha: &Alpha, labelled: &[Structure], values: &[Option<Vec<f64>>]) -> Result<Vec<usize>> {
    let Alpha::Best(alphas) = alpha else { return Ok(vec![0; values.len()]) };
    if alphas.len() == 1 {
        return Ok(vec![0; values.len()]);
    }
    let of_labelled = folds(labelled, FOLDS, 0).map_err(|_| {
        let problem = format!("choosing takes {FOLDS} different frames with a label, and there are fewer");
        Error::setting("alpha", crate::settings::Given::from(alpha), problem, "give one number, or more frames")
    })?;
    let mut next = of_labelled.into_iter();
    Ok(values.iter().map(|value| value.as_ref().and_then(|_| next.next()).unwrap_or(0)).collect())
}
