//! Faults of single frames: labels that a model which has not seen them misses by far.

use std::collections::BTreeMap;

use super::compare::{Pair, distance, median, mismatch, quantile, size};
use super::faults::{Fault, faults_of};
use super::part::Part;
use super::report::{Finding, Label, Sureness};

/// Frames at least.
const FEWEST: usize = 12;
/// Robust standard deviations beyond which a label is off, of its kind of frames as it is, and of all frames if a fault explains it
/// and with the fault undone.
const OFF: f64 = 10.0;
const OFF_IF_EXPLAINED: f64 = 5.0;
const FITS: f64 = 3.0;
/// And the residual must fall to less than this part of it, the label being like the prediction; to so small a part in frames that
/// models know little of.
const FALLS_TO: f64 = 0.25;
const FALLS_FAR: f64 = 0.03;
const LIKE: f64 = 0.2;
/// Labels are opposite to predictions if they have so little in common (see [`mismatch`]).
const OPPOSITE: f64 = 1.6;
/// Residuals of some data have long tails. What is off is this far beyond all but 1 % of the frames.
const BEYOND: f64 = 1.5;
/// The label of a frame is larger than usual if it is so many times as large as all but 1 % of the others.
const LARGER: f64 = 2.0;
/// Kinds of frames have widths of their own, as far as so many frames of the whole set do not outweigh theirs.
const PRIOR: f64 = 10.0;
/// And none is more precise than the whole by more than this factor.
const NARROWEST: f64 = 0.1;

/// A frame that is off.
#[derive(Debug, Clone)]
pub(super) struct Outlier {
    pub frame: usize,
    /// Robust standard deviations.
    pub off: f64,
    /// What explains it, and how many times smaller the residual is without it.
    pub fault: Option<(&'static Fault, f64)>,
}

/// Frames whose label is off, in all or in the shears of a stress. `usual` gives the size of what a model must explain in each
/// frame: residuals grow with it.
pub(super) fn outliers<'k>(
    label: Label,
    pairs: &[Pair],
    kind: impl Fn(&Pair) -> &'k str,
    usual: impl Fn(&Pair, Part) -> f64,
) -> Vec<Outlier> {
    if pairs.len() < FEWEST {
        return Vec::new();
    }
    let mut found: BTreeMap<usize, Outlier> = BTreeMap::new();
    if label == Label::Stress {
        let of_shears =
            outliers_of(label, Part::Shears, pairs, &kind, &usual).into_iter().filter(|o| o.fault.is_some());
        found.extend(of_shears.map(|o| (o.frame, o)));
    }
    for outlier in outliers_of(label, Part::All, pairs, &kind, &usual) {
        // What explains all components goes before what explains the shears alone, and either before nothing.
        if outlier.fault.is_some() || !found.contains_key(&outlier.frame) {
            found.insert(outlier.frame, outlier);
        }
    }
    found.into_values().collect()
}

fn outliers_of<'k>(
    label: Label,
    part: Part,
    pairs: &[Pair],
    kind: impl Fn(&Pair) -> &'k str,
    usual: impl Fn(&Pair, Part) -> f64,
) -> Vec<Outlier> {
    let residual = |stated: &[f64], pair: &Pair| {
        let per = if label == Label::Energy { pair.n_atoms as f64 } else { 1.0 };
        distance(&part.of(stated), &part.of(&pair.predicted)) / per
    };
    let residuals: Vec<f64> = pairs.iter().map(|pair| residual(&pair.stated, pair)).collect();
    let sizes: Vec<f64> = pairs.iter().map(|pair| usual(pair, part)).collect();
    let typical = median(&residuals);
    let share = growth(&residuals, &sizes);
    let width: Vec<f64> = sizes.iter().map(|s| typical.hypot((share * s).min(1e3 * typical))).collect();
    let relative: Vec<f64> = residuals.iter().zip(&width).map(|(r, w)| r / w.max(f64::MIN_POSITIVE)).collect();
    let sigma = 1.4826 * median(&relative);
    let limits = limits(&pairs.iter().map(kind).collect::<Vec<_>>(), &relative);
    let largest = quantile(&pairs.iter().map(|pair| size(&part.of(&pair.stated))).collect::<Vec<_>>(), 0.99);
    let judge = |k: usize| {
        let (pair, residual_here, limit) = (&pairs[k], residuals[k], limits[k]);
        let (off, width) = (relative[k], width[k]);
        let fits = |fault: &&'static Fault| {
            let undone = pair.undone(fault);
            let left = residual(&undone, pair);
            // A scale alone fits too easily: the label must be larger than what others have, or smaller than can be.
            let (was, is) = (size(&part.of(&pair.stated)), size(&part.of(&undone)));
            let scaled = was > 1.5 * is && was < LARGER * largest;
            let like = || mismatch(&part.of(&undone), &part.of(&pair.predicted)) < LIKE;
            let alike = label == Label::Energy || (!scaled && like());
            let near = left < FITS * sigma * width || left < FALLS_FAR * residual_here;
            alike && near && left < FALLS_TO * residual_here
        };
        let left = |fault: &&'static Fault| residual(&pair.undone(fault), pair);
        let told_here = |fault: &&'static Fault| part == Part::All || fault.told_by(label).contains(&part);
        let candidates = faults_of(label).iter().filter(told_here);
        // Large forces that are just opposite are off, be they learned ever so roughly.
        let opposite = label == Label::Forces
            && mismatch(&pair.stated, &pair.predicted) > OPPOSITE
            && residual_here > OFF_IF_EXPLAINED * 1.4826 * typical;
        let explained = (off > OFF_IF_EXPLAINED * sigma || opposite)
            .then(|| candidates.filter(fits).min_by(|a, b| left(a).total_cmp(&left(b))))
            .flatten();
        let fault = explained.map(|fault| (fault, residual_here / left(&fault).max(f64::MIN_POSITIVE)));
        (fault.is_some() || off > limit).then_some(Outlier { frame: pair.frame, off: off / sigma, fault })
    };
    (0..pairs.len()).filter_map(judge).collect()
}

/// How residuals grow with sizes: the slope b of the least Σ |r − b s|, the median of r/s with weights s. Frames that have hardly any
/// forces say little of it, be they many.
fn growth(residuals: &[f64], sizes: &[f64]) -> f64 {
    let mut slopes: Vec<(f64, f64)> =
        residuals.iter().zip(sizes).filter(|(_, s)| **s > 0.0).map(|(r, s)| (r / s, *s)).collect();
    slopes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = 0.5 * slopes.iter().map(|(_, s)| s).sum::<f64>();
    let mut sum = 0.0;
    let middle = slopes.iter().find(|(_, s)| {
        sum += s;
        sum >= half
    });
    middle.map_or(0.0, |(slope, _)| *slope)
}

/// Beyond which residuals, relative to what is usual, a frame is off though nothing explains it; for each frame, as its kind is.
fn limits(kinds: &[&str], relative: &[f64]) -> Vec<f64> {
    let of_kinds = widths_of_kinds(kinds, relative);
    let of_kind: Vec<f64> = relative.iter().zip(&of_kinds).map(|(r, width)| r / width).collect();
    let tail = 1.0 - (relative.len() / 100).max(3) as f64 / relative.len() as f64;
    let limit = (OFF * 1.4826 * median(&of_kind)).max(BEYOND * quantile(&of_kind, tail));
    of_kinds.iter().map(|width| limit * width).collect()
}

/// How much wider the residuals of each frame's kind are than those of all, weighed with [`PRIOR`] frames that are like all.
fn widths_of_kinds(kinds: &[&str], relative: &[f64]) -> Vec<f64> {
    let all = median(relative);
    let mut of_kind: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    kinds.iter().zip(relative).for_each(|(kind, r)| of_kind.entry(kind).or_default().push(*r));
    let width = |of_kind: Vec<f64>| {
        let weight = of_kind.len() as f64 / (of_kind.len() as f64 + PRIOR);
        let wider = (median(&of_kind) / all).max(NARROWEST);
        if wider.is_finite() { wider.powf(weight) } else { 1.0 }
    };
    let widths: BTreeMap<&str, f64> = of_kind.into_iter().map(|(kind, of_kind)| (kind, width(of_kind))).collect();
    kinds.iter().map(|kind| widths[kind]).collect()
}

/// Findings from outliers, one for each fault.
pub(super) fn findings(label: Label, outliers: &[Outlier]) -> Vec<Finding> {
    let mut kinds: BTreeMap<&str, Vec<&Outlier>> = BTreeMap::new();
    outliers.iter().for_each(|o| kinds.entry(o.fault.map_or("", |(f, _)| f.name)).or_default().push(o));
    let finding = |of_kind: Vec<&Outlier>| {
        let off: Vec<f64> = of_kind.iter().map(|o| o.off).collect();
        let frames = of_kind.iter().map(|o| o.frame).collect();
        match of_kind[0].fault {
            Some((fault, _)) => {
                let factor = median(&of_kind.iter().filter_map(|o| o.fault).map(|(_, f)| f).collect::<Vec<_>>());
                let sure = factor > 10.0 && median(&off) > OFF;
                Finding {
                    label,
                    suspicion: fault.name.into(),
                    sureness: if sure { Sureness::Certain } else { Sureness::Likely },
                    factor,
                    evidence: format!(
                        "{:.0} robust standard deviations off a model that has not seen the frame; {factor:.0} times nearer this way",
                        median(&off)
                    ),
                    remedy: fault.remedy.into(),
                    frames,
                }
            }
            None => Finding {
                label,
                suspicion: format!("{} far from what similar frames say", label.name()),
                sureness: Sureness::WorthALook,
                factor: median(&off),
                evidence: format!("{:.0} robust standard deviations off", median(&off)),
                remedy: "look at the calculation (converged? the same settings?) and leave the frame out if in doubt"
                    .into(),
                frames,
            },
        }
    };
    kinds.into_values().map(finding).collect()
}

/// Size of the predicted forces or stress, or of a part of it.
pub(super) fn predicted_size(pair: &Pair, part: Part) -> f64 {
    size(&part.of(&pair.predicted))
}
