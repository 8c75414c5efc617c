//! Faults of whole groups of frames: labels that go with a model once a fault is undone, and do not as they are.

use super::compare::{Pair, median, mismatch, size};
use super::faults::{Fault, Undo};
use super::part::Part;
use super::report::Sureness;

/// Frames at least, and for a finding to be certain.
const FEWEST: usize = 4;
const MANY: usize = 20;
/// Labels and predictions with less in common than this (see [`mismatch`]) judge nothing.
const UNLIKE: f64 = 0.35;
/// Mismatch must fall by this factor, in this share of the frames.
const BETTER: f64 = 2.0;
/// Labels and predictions must come nearer by this factor for more than a look.
const CLEAR: f64 = 2.0;
const SHARE: f64 = 0.9;
/// A frame in which labels and predictions are further apart than this, with the fault and without, tells nothing.
const UNRELATED: f64 = 0.6;
/// Where nothing but the fault can be the reason, a smaller fall in fewer frames will do if there are many of them: standard
/// errors of the mean fall, and share of the frames.
const STANDARD_ERRORS: f64 = 6.0;
/// Small models are off by so much in scale at times.
const SCALE: f64 = 1.1;
/// What explains deviators must leave so many times less than what explains whole stresses.
const DEVIATORS: f64 = 3.0;
/// Two faults differ if one leaves less by so many standard errors.
const DIFFERENT: f64 = 3.0;
const SHARE_OF_MANY: f64 = 0.7;
/// A fault is of no matter for a label that it changes by less than this.
const CHANGES: f64 = 0.1;
/// A frame says nothing if its prediction, or its label with the fault undone, is smaller than this part of what is usual in the
/// whole set.
const SIGNAL: f64 = 0.3;

/// A fault that the frames of a group have in common.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub fault: &'static Fault,
    /// Other scales that cannot be told from this one.
    pub or: Vec<&'static Fault>,
    /// How many times nearer labels and predictions are without it.
    pub factor: f64,
    /// Frames that are nearer, of those that it matters for.
    pub better: usize,
    pub of: usize,
    part: Part,
    /// Whether it is the number of frames that tells.
    by_many: bool,
    /// Mismatch that remains, in the mean: a few frames of another volume tell a virial from a unit.
    left: f64,
    remaining: Vec<f64>,
    /// Slopes of the labels on the predictions and the other way, the fault undone: what is right lies between them.
    slopes: (f64, f64),
}

impl Verdict {
    pub fn sureness(&self) -> Sureness {
        match (self.of, self.factor) {
            _ if self.by_many => Sureness::Likely,
            (of, factor) if of >= MANY && factor > CLEAR => Sureness::Certain,
            (_, factor) if factor > CLEAR => Sureness::Likely,
            _ => Sureness::WorthALook,
        }
    }

    /// What explains all components goes before what explains the shears alone.
    fn of_shears_alone(&self) -> bool {
        self.part == Part::Shears
    }

    /// And before what explains the deviators, unless they are explained far better: a pressure that is off makes another scale look
    /// right.
    fn cost(&self) -> f64 {
        if self.part == Part::Deviator { DEVIATORS * self.left } else { self.left }
    }

    /// Whether this scale cannot be told from a better one: both are between the slopes, and no volumes speak against it.
    fn is_as_good_as(&self, better: &Verdict) -> bool {
        let is_scale = |v: &Verdict| matches!(v.fault.undo, Undo::Factor(_) | Undo::ByVolume(_));
        let by_volume = |v: &Verdict| matches!(v.fault.undo, Undo::ByVolume(_));
        let fits = self.slopes.0 <= SCALE && 1.0 <= self.slopes.1 * SCALE;
        let pairs = Mismatches { before: self.remaining.clone(), after: better.remaining.clone() };
        let differ = (by_volume(self) || by_volume(better)) && pairs.significance() > DIFFERENT;
        self.part == better.part && is_scale(self) && is_scale(better) && fits && !differ
    }
}

/// The fault that explains the labels of some of these frames best, if they need one.
pub(super) fn common_fault(
    pairs: &[Pair],
    of_group: impl Fn(usize) -> bool,
    faults: impl Iterator<Item = &'static Fault>,
) -> Option<Verdict> {
    best(pairs, of_group, faults, strict)
}

/// As [`common_fault`], for a kind of frames among others: of the gross faults, one that leaves little.
pub(super) fn fault_of_kind(
    pairs: &[Pair],
    of_group: impl Fn(usize) -> bool,
    faults: impl Iterator<Item = &'static Fault>,
) -> Option<Verdict> {
    common_fault(pairs, of_group, faults.filter(|fault| fault.is_gross())).filter(|v| v.factor > CLEAR)
}

/// Whether labels of a group are right as they are, and would not be if a fault were undone.
pub(super) fn contradicts(pairs: &[Pair], of_group: impl Fn(usize) -> bool, fault: &'static Fault) -> bool {
    let told_by = pairs.first().map_or(&[][..], |pair| fault.told_by(pair.label));
    let right = |found: &Mismatches| {
        let (before, after) = (median(&found.before), median(&found.after));
        found.before.len() >= FEWEST && before < UNLIKE && after > BETTER * before
    };
    told_by.iter().any(|&part| right(&mismatches(pairs, &of_group, fault, part).0))
}

/// The order of the shears that explains the labels of all frames best, be predictions ever so poor.
pub(super) fn common_exchange(pairs: &[Pair], faults: impl Iterator<Item = &'static Fault>) -> Option<Verdict> {
    best(pairs, |_| true, faults.filter(|fault| fault.exchanges_shears()), by_many)
}

fn best(
    pairs: &[Pair],
    of_group: impl Fn(usize) -> bool,
    faults: impl Iterator<Item = &'static Fault>,
    judge: fn(&Mismatches) -> bool,
) -> Option<Verdict> {
    let of_fault = |fault: &'static Fault| {
        let told_by = pairs.first().map_or(&[][..], |pair| fault.told_by(pair.label));
        told_by.iter().find_map(|&part| verdict(pairs, &of_group, fault, part, judge))
    };
    let mut verdicts: Vec<Verdict> = faults.filter_map(of_fault).collect();
    verdicts.sort_by(|a, b| a.of_shears_alone().cmp(&b.of_shears_alone()).then(a.cost().total_cmp(&b.cost())));
    let or = verdicts.iter().skip(1).filter(|v| v.is_as_good_as(&verdicts[0])).map(|v| v.fault).collect();
    verdicts.into_iter().next().map(|verdict| Verdict { or, ..verdict })
}

/// Mismatches of frames with their predictions, as they are and with a fault undone.
struct Mismatches {
    before: Vec<f64>,
    after: Vec<f64>,
}

impl Mismatches {
    /// Those of frames in which labels and predictions have something in common, one way or the other.
    fn telling(&self) -> Mismatches {
        let telling = |(before, after): &(&f64, &f64)| before.min(**after) < UNRELATED;
        let (before, after) = self.before.iter().zip(&self.after).filter(telling).unzip();
        Mismatches { before, after }
    }

    fn better(&self) -> usize {
        self.before.iter().zip(&self.after).filter(|(before, after)| after < before).count()
    }

    fn share(&self) -> f64 {
        self.better() as f64 / self.before.len().max(1) as f64
    }

    /// Standard errors by which the mean fall differs from 0.
    fn significance(&self) -> f64 {
        let falls: Vec<f64> = self.before.iter().zip(&self.after).map(|(before, after)| before - after).collect();
        let n = falls.len() as f64;
        let mean = falls.iter().sum::<f64>() / n;
        let variance = falls.iter().map(|fall| (fall - mean).powi(2)).sum::<f64>() / (n - 1.0);
        mean / (variance / n).sqrt()
    }
}

fn strict(found: &Mismatches) -> bool {
    let (before, after) = (median(&found.before), median(&found.after));
    let telling = found.telling();
    telling.before.len() >= FEWEST && after < UNLIKE && before > BETTER * after && telling.share() >= SHARE
}

fn by_many(found: &Mismatches) -> bool {
    let telling = found.telling();
    let falls = median(&telling.after) < median(&telling.before) && telling.share() >= SHARE_OF_MANY;
    telling.before.len() >= MANY && falls && found.significance() > STANDARD_ERRORS
}

fn verdict(
    pairs: &[Pair],
    of_group: impl Fn(usize) -> bool,
    fault: &'static Fault,
    part: Part,
    judge: fn(&Mismatches) -> bool,
) -> Option<Verdict> {
    let (found, slopes) = mismatches(pairs, of_group, fault, part);
    judge(&found).then(|| Verdict {
        fault,
        or: Vec::new(),
        factor: (median(&found.before) / median(&found.after)).sqrt(),
        better: found.telling().better(),
        of: found.telling().before.len(),
        part,
        by_many: !strict(&found),
        left: found.after.iter().sum::<f64>() / found.after.len() as f64,
        remaining: found.after,
        slopes,
    })
}

/// Mismatches in frames that say something, and median slopes of labels on predictions and the other way, the fault undone.
fn mismatches(
    pairs: &[Pair],
    of_group: impl Fn(usize) -> bool,
    fault: &'static Fault,
    part: Part,
) -> (Mismatches, (f64, f64)) {
    let sizes: Vec<f64> = pairs.iter().map(|p| size(&part.of(&p.predicted))).collect();
    // Scales are told where labels are large. Components are told in small ones too.
    let usual = if let Undo::Order(_) | Undo::Shears = fault.undo { median(&sizes) } else { size(&sizes) };
    let mut found = Mismatches { before: Vec::new(), after: Vec::new() };
    let mut slopes = (Vec::new(), Vec::new());
    for pair in pairs.iter().filter(|p| of_group(p.frame)) {
        let (stated, undone, predicted) =
            (part.of(&pair.stated), part.of(&pair.undone(fault)), part.of(&pair.predicted));
        if mismatch(&stated, &undone) > CHANGES && size(&predicted).min(size(&undone)) > SIGNAL * usual {
            found.before.push(mismatch(&stated, &predicted));
            found.after.push(mismatch(&undone, &predicted));
            slopes.0.push(dot(&undone, &predicted) / dot(&predicted, &predicted));
            slopes.1.push(dot(&undone, &undone) / dot(&undone, &predicted));
        }
    }
    (found, (median(&slopes.0), median(&slopes.1)))
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
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
        noisy_pairs(30, 0.05, spoil)
    }

    fn noisy_pairs(n: usize, noise: f64, spoil: impl Fn(&mut Vec<f64>)) -> Vec<Pair> {
        let mut random = Random::new(3);
        let pair = |frame| {
            let stated: Vec<f64> = (0..6).map(|_| random.uniform() - 0.5).collect();
            let predicted = stated.iter().map(|x| x + noise * (random.uniform() - 0.5)).collect();
            let mut stated = stated;
            spoil(&mut stated);
            Pair { label: Label::Stress, frame, n_atoms: 8, volume: 150.0 + frame as f64, stated, predicted }
        };
        (0..n).map(pair).collect()
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

    #[test]
    fn an_exchange_is_told_by_many_frames_where_predictions_are_poor() {
        let faults = || faults_of(Label::Stress).iter();
        let exchanged = noisy_pairs(200, 1.2, |s| s.swap(3, 4));
        assert!(common_fault(&exchanged, |_| true, faults()).is_none());
        let found = common_exchange(&exchanged, faults()).unwrap();
        assert_eq!(found.fault.name, "stress components yz and xz exchanged");
        assert!(common_exchange(&noisy_pairs(200, 1.2, |_| ()), faults()).is_none());
        // Nor where predictions have nothing to do with the labels.
        assert!(common_exchange(&noisy_pairs(200, 100.0, |_| ()), faults()).is_none());
    }

    #[test]
    fn a_pressure_that_is_off_hides_no_unit() {
        let mut pairs = pairs(|s| s.iter_mut().for_each(|x| *x *= -1602.18));
        pairs.iter_mut().for_each(|p| (0..3).for_each(|k| p.predicted[k] += 2.0));
        let found = common_fault(&pairs, |_| true, faults_of(Label::Stress).iter()).unwrap();
        assert!(found.fault.name.contains("pressure tensor in kbar"), "{found:?}");
    }

    #[test]
    fn scales_that_cannot_be_told_apart_are_all_named() {
        let scaled = |noise: f64| {
            let mut pairs = noisy_pairs(200, noise, |s| s.iter_mut().for_each(|x| *x *= 23.06));
            pairs.iter_mut().for_each(|p| p.label = Label::Forces);
            let faults = faults_of(Label::Forces).iter().chain(crate::label_check::faults::energies_by_forces());
            let found = common_fault(&pairs, |_| true, faults).unwrap();
            (found.fault.name, found.or.iter().map(|f| f.name).collect::<Vec<_>>())
        };
        assert_eq!(scaled(0.05), ("forces in kcal/mol/Å", vec![]));
        let (first, mut names) = scaled(0.8);
        names.push(first);
        assert!(names.contains(&"forces in kcal/mol/Å") && names.len() > 1, "{names:?}");
    }
}
