//! What a fit would have said of some of its frames had it not seen them.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::folds::repeated;
use super::targets::Targets;
use crate::Result;
use crate::extxyz::Labels;
use crate::models::Factor;
use crate::structure::Structure;

/// One in so many frames is left out in turn, as far as there are enough.
const ONE_IN: usize = 8;
/// At least so many frames are, and at most.
const FRAMES: [usize; 2] = [96, 500];
/// Most rows of a frame that are left out together: of a larger one some are, spread over its atoms.
const ROWS: usize = 1536;

/// A number that was left out: its residual, and the variance of what the fit to the others says of it, by their posterior.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HeldOut {
    pub residual: f64,
    pub variance: f64,
}

/// Energies in eV, and components of forces in eV/Å.
#[derive(Debug, Clone, Default)]
pub(super) struct AllHeldOut {
    pub energies: Vec<HeldOut>,
    /// Atoms of the frames that energies are of.
    pub n_atoms: Vec<usize>,
    pub forces: Vec<HeldOut>,
    /// Frames that they are of.
    pub frames: usize,
}

/// Bytes of rows that are kept for the end, where their frames are left out; those of others are computed again.
pub(super) const KEPT: usize = 1 << 26;

/// Rows of frames that are left out at the end.
#[derive(Debug, Default)]
pub(super) struct KeptRows {
    pub rows: BTreeMap<usize, (Array2<f64>, Array2<f64>)>,
    pub bytes: usize,
}

impl KeptRows {
    /// Keeps the rows of a frame if there is room.
    pub fn offer(&mut self, frame: usize, (x, y): (Array2<f64>, Array2<f64>)) {
        let bytes = 8 * (x.len() + y.len());
        if self.bytes + bytes <= KEPT {
            self.bytes += bytes;
            self.rows.insert(frame, (x, y));
        }
    }
}

/// A frame that stands for all that are like it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub frame: usize,
    /// How many these are.
    pub copies: usize,
}

/// Leaves out frames in turn, all rows of one together and with those of frames that repeat it: `rows` are the weighted rows of a
/// frame and what they should give.
///
/// # Errors
/// As `rows`, or if the factor determines no weights.
pub(super) fn held_out(
    samples: &[Sample],
    (frames, targets): (&[Structure], &[Targets]),
    rows: impl Fn(usize) -> Result<(Array2<f64>, Array2<f64>)> + Sync,
    factor: &Factor,
) -> Result<AllHeldOut> {
    let weights = factor.solve()?;
    let mut all = AllHeldOut::default();
    // Some at a time, as rows of the fit are.
    for samples in samples.chunks(2 * rayon::current_num_threads()) {
        let of = |sample: &Sample| {
            let (x, y) = rows(sample.frame)?;
            let n_atoms = frames[sample.frame].len();
            Ok(leave_out(factor, weights.view(), (x, y), sample.copies, (&targets[sample.frame], n_atoms)))
        };
        let parts: Vec<Result<Option<AllHeldOut>>> = samples.par_iter().map(of).collect();
        for part in parts {
            let Some(part) = part? else { continue };
            all.frames += 1;
            all.energies.extend(part.energies);
            all.n_atoms.extend(part.n_atoms);
            all.forces.extend(part.forces);
        }
    }
    Ok(all)
}

/// Bytes that one frame of so many rows takes besides them.
pub(super) fn memory(n_parameters: usize, n_rows: usize) -> usize {
    let n = n_rows.min(ROWS);
    8 * n * (2 * n_parameters + 3 * n)
}

/// Frames to leave out, spread over all, one of those that repeat each other.
pub(super) fn samples(frames: &[Structure], labels: &[Labels], targets: &[Targets]) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut known = BTreeMap::new();
    for (frame, group) in alike(frames, labels).into_iter().enumerate() {
        if targets[frame].n_rows(frames[frame].len()) == 0 {
            continue;
        }
        let sample = *known.entry(group).or_insert_with(|| {
            samples.push(Sample { frame, copies: 0 });
            samples.len() - 1
        });
        samples[sample].copies += 1;
    }
    let wanted = (samples.len() / ONE_IN).clamp(FRAMES[0], FRAMES[1]);
    let n = samples.len();
    let is_taken = |k: usize| n <= wanted || (k + 1) * wanted / n > k * wanted / n;
    samples.into_iter().enumerate().filter(|(k, _)| is_taken(*k)).map(|(_, sample)| sample).collect()
}

/// The group of each frame: those that repeat each other, or, turned or mirrored, say the same of as many atoms.
fn alike(frames: &[Structure], labels: &[Labels]) -> Vec<usize> {
    let repeats = repeated(frames);
    let mut first_of = BTreeMap::new();
    let of = |((frame, labels), &group): ((&Structure, &Labels), &usize)| {
        let Some(energy) = labels.energy else { return group };
        let mut species = frame.species.clone();
        species.sort_unstable();
        let squares: f64 = labels.forces.iter().flatten().flatten().map(|f| f * f).sum();
        let rounded = |x: f64| (1e8 * x).round().to_bits();
        *first_of.entry((species, rounded(energy), rounded(1e-3 * squares))).or_insert(group)
    };
    frames.iter().zip(labels).zip(&repeats).map(of).collect()
}

/// Numbers of one frame; none if the others do not determine the fit.
fn leave_out(
    factor: &Factor,
    weights: ArrayView2<f64>,
    (x, y): (Array2<f64>, Array2<f64>),
    copies: usize,
    (targets, n_atoms): (&Targets, usize),
) -> Option<AllHeldOut> {
    let kept: Vec<usize> = match x.nrows() {
        n if n <= ROWS => (0..n).collect(),
        n => (0..ROWS).map(|k| k * n / ROWS).collect(),
    };
    let (x, y) = (x.select(Axis(0), &kept), y.select(Axis(0), &kept));
    let mut r = y.slice(s![.., 0]).to_owned();
    r -= &x.dot(&weights.column(0));
    let mut all = AllHeldOut::default();
    let left = factor.left_out(x.view(), r.view(), copies)?;
    let n_energies = usize::from(targets.energy.is_some());
    let n_forces = if targets.forces.is_some() { 3 * n_atoms } else { 0 };
    for (k, (e, v)) in kept.into_iter().zip(left.residuals.iter().zip(&left.leverages)) {
        let of = |sigma: f64| HeldOut { residual: e * sigma, variance: v * sigma * sigma };
        match (targets.energy, targets.forces) {
            (Some(sigma), _) if k < n_energies => {
                all.energies.push(of(sigma));
                all.n_atoms.push(n_atoms);
            }
            (_, Some(sigma)) if k < n_energies + n_forces => all.forces.push(of(sigma)),
            _ => {}
        }
    }
    Some(all)
}
