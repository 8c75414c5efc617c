//! Faults of whole groups of frames: labels that go with a model once a fault is undone, and do not as they are.

use super::compare::{Pair, median, mismatch, size};
use super::faults::{Fault, Undo};
use super::report::Sureness;

/// Frames at least, and for a finding to be certain.
const FEWEST: usize = 4;
const MANY: usize = 20;
/// Labels and predictions with less in common than this (see [`mismatch`]) judge nothing.
const UNLIKE: f64 = 0.35;
/// Mismatch must fall by this factor, in this share of the frames.
const BETTER: f64 = 2.0;
const SHARE: f64 = 0.9;
/// A fault is of no matter for a label that it changes by less than this.
const CHANGES: f64 = 0.1;
/// A frame says nothing if its prediction is smaller than this part of what is usual in the whole set.
const SIGNAL: f64 = 0.3;

/// A fault that the frames of a group have in common.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub fault: &'static Fault,
    /// How many times nearer labels and predictions are without it.
    pub factor: f64,
    /// Frames that are nearer, of those that it matters for.
    pub better: usize,
    pub of: usize,
    /// Mismatch that remains.
    left: f64,
}

impl Verdict {
    pub fn sureness(&self) -> Sureness {
        match (self.of, self.factor) {
            (of, factor) if of >= MANY && factor > 2.0 => Sureness::Certain,
            (_, factor) if factor > 2.0 => Sureness::Likely,
            _ => Sureness::WorthALook,
        }
    }
}

/// The fault that explains the labels of some of these frames best, if they need one.
pub(super) fn common_fault(
    pairs: &[Pair],
    of_group: impl Fn(usize) -> bool,
    faults: impl Iterator<Item = &'static Fault>,
) -> Option<Verdict> {
    let verdicts = faults.filter_map(|fault| verdict(pairs, &of_group, fault));
    // What explains all components goes before what explains the shears alone.
    let rank = |v: &Verdict| (v.fault.touches_shears_alone(), v.left);
    verdicts.min_by(|a, b| rank(a).0.cmp(&rank(b).0).then(rank(a).1.total_cmp(&rank(b).1)))
}

fn verdict(pairs: &[Pair], of_group: impl Fn(usize) -> bool, fault: &'static Fault) -> Option<Verdict> {
    let first = if fault.touches_shears_alone() { 3 } else { 0 };
    let part = |x: &[f64]| x[first..].to_vec();
    let sizes: Vec<f64> = pairs.iter().map(|p| size(&p.predicted[first..])).collect();
    // Scales are told where labels are large. Components are told in small ones too.
    let usual = if let Undo::Order(_) | Undo::Shears = fault.undo { median(&sizes) } else { size(&sizes) };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for pair in pairs.iter().filter(|p| of_group(p.frame)) {
        let (stated, undone, predicted) = (part(&pair.stated), part(&pair.undone(fault)), part(&pair.predicted));
        if mismatch(&stated, &undone) > CHANGES && size(&predicted) > SIGNAL * usual {
            before.push(mismatch(&stated, &predicted));
            after.push(mismatch(&undone, &predicted));
        }
    }
    let better = before.iter().zip(&after).filter(|(before, after)| after < before).count();
    let (of, before, after) = (before.len(), median(&before), median(&after));
    let factor = (before / after).sqrt();
    let explains = after < UNLIKE && before > BETTER * after && better as f64 >= SHARE * of as f64;
    (of >= FEWEST && explains).then_some(Verdict { fault, factor, better, of, left: after })
}

/// How alike labels and predictions are: the median mismatch of frames that say something; NaN if there are none.
pub(super) fn typical_mismatch(pairs: &[Pair]) -> f64 {
    let usual = size(&pairs.iter().map(|p| size(&p.predicted)).collect::<Vec<_>>());
    let telling = pairs.iter().filter(|p| size(&p.predicted) > SIGNAL * usual);
    median(&telling.map(|p| mismatch(&p.stated, &p.predicted)).collect::<Vec<_>>())
}

/// Whether a typical mismatch is small enough for anything to be said.
pub(super) fn is_telling(mismatch: f64) -> bool {
    mismatch < UNLIKE
}

#[cfg(test)]
mod tests {
    use super::super::faults::faults_of;
    use super::super::report::Label;
    use super::*;
    use crate::random::Random;

    fn pairs(spoil: impl Fn(&mut Vec<f64>)) -> Vec<Pair> {
        let mut random = Random::new(3);
        let pair = |frame| {
            let stated: Vec<f64> = (0..6).map(|_| random.uniform() - 0.5).collect();
            let predicted = stated.iter().map(|x| x + 0.05 * (random.uniform() - 0.5)).collect();
            let mut stated = stated;
            spoil(&mut stated);
            Pair { frame, n_atoms: 8, volume: 150.0 + frame as f64, stated, predicted }
        };
        (0..30).map(pair).collect()
    }

    #[test]
    fn what_happened_to_a_stress_is_named_and_nothing_where_nothing_happened() {
        let found = |spoil: &dyn Fn(&mut Vec<f64>)| {
            common_fault(&pairs(spoil), |_| true, faults_of(Label::Stress).iter()).map(|v| v.fault.name)
        };
        assert_eq!(found(&|_| ()), None);
        assert_eq!(found(&|s| s.swap(3, 4)), Some("stress components yz and xz exchanged"));
        assert!(found(&|s| s.iter_mut().for_each(|x| *x *= -1602.18)).unwrap().contains("kbar"));
        assert_eq!(found(&|s| s[3..].iter_mut().for_each(|x| *x = -*x)), Some("shears of the wrong sign"));
    }
}
