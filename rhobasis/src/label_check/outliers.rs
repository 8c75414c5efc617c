//! Faults of single frames: labels that a model which has not seen them misses by far.

use std::collections::BTreeMap;

use super::compare::{Pair, distance, median, mismatch, quantile, size};
use super::faults::{Fault, faults_of};
use super::report::{Finding, Label, Sureness};

/// Frames at least.
const FEWEST: usize = 12;
/// Robust standard deviations beyond which a label is off: as it is, if a fault explains it, and with the fault undone.
const OFF: f64 = 10.0;
const OFF_IF_EXPLAINED: f64 = 5.0;
const FITS: f64 = 3.0;
/// And the residual must fall to less than this part of it, the label being like the prediction; to so small a part in frames that
/// models know little of.
const FALLS_TO: f64 = 0.25;
const FALLS_FAR: f64 = 0.03;
const LIKE: f64 = 0.2;
/// Residuals of some data have long tails. What is off is this far beyond all but 1 % of the frames.
const BEYOND: f64 = 2.0;

/// A frame that is off.
#[derive(Debug, Clone)]
pub(super) struct Outlier {
    pub frame: usize,
    /// Robust standard deviations.
    pub off: f64,
    /// What explains it, and how many times smaller the residual is without it.
    pub fault: Option<(&'static Fault, f64)>,
}

/// Frames whose label is off. `usual` gives the size of what a model must explain in each frame: residuals grow with it.
pub(super) fn outliers(label: Label, pairs: &[Pair], usual: impl Fn(&Pair) -> f64) -> Vec<Outlier> {
    if pairs.len() < FEWEST {
        return Vec::new();
    }
    let residual = |stated: &[f64], pair: &Pair| {
        let per = if label == Label::Energy { pair.n_atoms as f64 } else { 1.0 };
        distance(stated, &pair.predicted) / per
    };
    let residuals: Vec<f64> = pairs.iter().map(|pair| residual(&pair.stated, pair)).collect();
    let sizes: Vec<f64> = pairs.iter().map(&usual).collect();
    let typical = median(&residuals);
    let share = typical / median(&sizes).max(f64::MIN_POSITIVE);
    let width: Vec<f64> = sizes.iter().map(|s| typical.hypot((share * s).min(1e3 * typical))).collect();
    let relative: Vec<f64> = residuals.iter().zip(&width).map(|(r, w)| r / w.max(f64::MIN_POSITIVE)).collect();
    let sigma = 1.4826 * median(&relative);
    let tail = 1.0 - (pairs.len() / 100).max(3) as f64 / pairs.len() as f64;
    let limit = (OFF * sigma).max(BEYOND * quantile(&relative, tail));
    let largest = quantile(&pairs.iter().map(|pair| size(&pair.stated)).collect::<Vec<_>>(), 0.99);
    let judge = |((pair, residual_here), (off, width)): ((&Pair, &f64), (&f64, &f64))| {
        let fits = |fault: &&'static Fault| {
            let undone = pair.undone(fault);
            let left = residual(&undone, pair);
            // A scale alone fits too easily: the label must be larger than what others have, or smaller than can be.
            let (was, is) = (size(&pair.stated), size(&undone));
            let scaled = was > 1.5 * is && was < BEYOND * largest;
            let alike = label == Label::Energy || (!scaled && mismatch(&undone, &pair.predicted) < LIKE);
            let near = left < FITS * sigma * width || left < FALLS_FAR * residual_here;
            alike && near && left < FALLS_TO * residual_here
        };
        let left = |fault: &&'static Fault| residual(&pair.undone(fault), pair);
        let explained = (*off > OFF_IF_EXPLAINED * sigma)
            .then(|| faults_of(label).iter().filter(fits).min_by(|a, b| left(a).total_cmp(&left(b))))
            .flatten();
        let fault = explained.map(|fault| (fault, residual_here / left(&fault).max(f64::MIN_POSITIVE)));
        (fault.is_some() || *off > limit).then_some(Outlier { frame: pair.frame, off: off / sigma, fault })
    };
    pairs.iter().zip(&residuals).zip(relative.iter().zip(&width)).filter_map(judge).collect()
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

/// Size of the predicted forces or stress.
pub(super) fn predicted_size(pair: &Pair) -> f64 {
    size(&pair.predicted)
}
