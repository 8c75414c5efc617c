//! Both checks, step by step.

use std::collections::BTreeMap;

use super::compare::{Pair, Predicted, forget, mismatch, restate, size, stated};
use super::composition::{Composition, EnergiesAlone, energies_alone};
use super::faults::{Fault, Undo, energies_by_forces, faults_of};
use super::groups::{Verdict, common_exchange, common_fault, contradicts, fault_of_kind, is_telling, typical_mismatch};
use super::outliers::{Outlier, findings, outliers, predicted_size};
use super::reference::{Fitted, Reference, Sample, is_usable, predict};
use super::repeats::contradictions;
use super::report::{Finding, Label, LabelReport};
use super::stiffness::repulsion;
use crate::extxyz::Labels;
use crate::potential::{Potential, Prediction, config_type, folds};
use crate::structure::Structure;
use crate::{Error, Result};

/// Frames at least.
const FEWEST: usize = 12;
/// If more than this share of a kind of frames is off, it is the models that are off.
const UNLIKE: f64 = 0.2;
/// Parts of the sample, each predicted by a model of the others.
const FOLDS: usize = 3;
/// Forces and stresses that are larger than nine tenths of the others by more than this factor are not learned from.
const DISTRUSTED: f64 = 20.0;
/// Energies that are missed by so many times what is usual, per atom, are not asked for slopes.
const FAR: f64 = 15.0;

/// Checks the labels of frames by nothing but these frames.
///
/// # Errors
/// If there are not as many labels as frames.
///
/// ```
/// use rhobasis::extxyz::Labels;
/// use rhobasis::label_check::check_labels;
/// use rhobasis::Structure;
/// // Morse dimers whose forces are gradients.
/// let dimer = |r: f64| Structure::molecule(vec![6, 8], vec![[0.0; 3], [0.0, 0.0, r]]);
/// let frames: Vec<Structure> = (0..40).map(|k| dimer(1.0 + 0.01 * k as f64)).collect();
/// let label = |k: usize| {
///     let x = (-2.0 * (0.01 * k as f64 - 0.2)).exp();
///     let gradient = 2.0 * 11.0 * (1.0 - x) * 2.0 * x;
///     let forces = Some(vec![[0.0, 0.0, -gradient], [0.0, 0.0, gradient]]);
///     Labels { energy: Some(11.0 * (1.0 - x).powi(2)), forces, stress: None }
/// };
/// let labels: Vec<Labels> = (0..40).map(label).collect();
/// let report = check_labels(&frames, &labels)?;
/// assert!(report.findings[0].suspicion.contains("forces of the wrong sign"));
/// # Ok::<(), rhobasis::Error>(())
/// ```
pub fn check_labels(frames: &[Structure], labels: &[Labels]) -> Result<LabelReport> {
    Check::new(frames, labels)?.run()
}

/// Checks labels against what a potential says of all frames, with forces where there are any labels of forces or stress.
///
/// # Errors
/// If there are not as many labels and predictions as frames.
pub fn check_against(
    potential: &Potential,
    frames: &[Structure],
    labels: &[Labels],
    predictions: Vec<Prediction>,
) -> Result<LabelReport> {
    let mut check = Check::new(frames, labels)?;
    if predictions.len() != frames.len() {
        let problem = format!("there are {} frames", frames.len());
        return Err(Error::setting("predictions", predictions.len(), problem, "predict each frame"));
    }
    let predicted = predictions.into_iter().zip(frames);
    let predicted: Vec<Option<Predicted>> =
        predicted.map(|(p, frame)| is_usable(frame).then(|| Predicted::new(frame, p))).collect();
    let baseline = potential.baseline().clone();
    for label in [Label::Forces, Label::Stress] {
        let pairs = pairs_of(frames, labels, &predicted, label);
        check.judge_groups(label, &pairs, "the potential");
    }
    check.judge_frames(&predicted, &baseline);
    check.finish(&predicted, "the potential")
}

/// Energies that a model misses by far, though it was fitted to them, bend its slopes. Whether there were any.
fn forget_energies_far_from(parts: &[Potential], sample: &Sample, learned: &mut [Labels]) -> bool {
    let predicted = predict(parts, sample.frames.iter().map(|frame| (frame, false)).collect::<Vec<_>>());
    let miss = |((l, p), frame): ((&Labels, &Option<Predicted>), &Structure)| {
        let miss = l.energy.zip(p.as_ref()).map(|(said, p)| (said - p.energy).abs() / frame.len() as f64);
        miss.unwrap_or(f64::NAN)
    };
    let misses: Vec<f64> = learned.iter().zip(&predicted).zip(&sample.frames).map(miss).collect();
    let limit = FAR * super::compare::median(&misses);
    let far = |(_, miss): &(&mut Labels, &f64)| **miss > limit;
    let forgotten = learned.iter_mut().zip(&misses).filter(far).map(|(l, _)| forget(l, Label::Energy));
    forgotten.count() > 0
}

/// A check in progress.
struct Check<'a> {
    frames: &'a [Structure],
    labels: &'a [Labels],
    /// Frames by `config_type`.
    groups: BTreeMap<&'a str, Vec<usize>>,
    /// The fault of each group and label, to be undone before anything else is concluded.
    common: BTreeMap<(Label, &'a str), &'static Fault>,
    report: LabelReport,
}

impl<'a> Check<'a> {
    fn new(frames: &'a [Structure], labels: &'a [Labels]) -> Result<Self> {
        if frames.len() != labels.len() {
            let problem = format!("there are {} frames", frames.len());
            return Err(Error::setting("labels", labels.len(), problem, "give labels for each frame"));
        }
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        frames.iter().enumerate().for_each(|(k, frame)| groups.entry(config_type(frame)).or_default().push(k));
        Ok(Check { frames, labels, groups, common: BTreeMap::new(), report: LabelReport::default() })
    }

    fn run(mut self) -> Result<LabelReport> {
        let alone = energies_alone(self.frames, self.labels)?;
        let sample = Sample::of(self.frames, self.labels);
        if sample.len() < FEWEST {
            let why = format!("{} frames with labels that can be compared; {FEWEST} are needed", sample.len());
            self.report.untested.push(format!("everything but repeated frames: {why}"));
            self.report.findings.extend(contradictions(self.frames, self.labels, 1.0));
            return Ok(self.report);
        }
        let EnergiesAlone { composition, findings, per_atom, untested } = alone.unwrap_or_default();
        self.report.findings.extend(contradictions(self.frames, self.labels, composition.spread));
        self.report.findings.extend(findings);
        self.report.untested.extend(untested);
        if per_atom {
            let fault = faults_of(Label::Energy).iter().find(|f| f.undo == Undo::TimesAtoms);
            self.blame_all(Label::Energy, fault.expect("it is among them"));
        }
        let reference = Reference::new(&sample, composition.spread)?;
        self.judge_forces(&reference, &sample, &composition)?;
        self.judge_stress(&reference, &sample, &composition)?;
        let predicted = self.judge_by_folds(&reference, &sample, &composition)?;
        self.finish(&predicted, "a model of the other frames")
    }

    /// Forces against the slopes of the energies.
    fn judge_forces(&mut self, reference: &Reference, sample: &Sample, composition: &Composition) -> Result<()> {
        let mut learned = self.learned(sample, composition);
        let energies = learned.iter().filter(|l| l.energy.is_some()).count();
        if energies < FEWEST || !self.labels.iter().any(|l| l.forces.is_some()) {
            let why = if energies < FEWEST { "energies" } else { "forces" };
            self.report.untested.push(format!("unit and sign of the forces against those of the energies: no {why}"));
            return Ok(());
        }
        learned.iter_mut().for_each(|l| [Label::Forces, Label::Stress].into_iter().for_each(|label| forget(l, label)));
        // Pair potentials alone know the slopes of energies of several species best, and any model some others.
        let mut fitted = reference.fit(&learned)?;
        if forget_energies_far_from(fitted.parts(), sample, &mut learned) {
            fitted = reference.fit(&learned)?;
        }
        let both = || faults_of(Label::Forces).iter().chain(energies_by_forces());
        for parts in 1..=fitted.parts().len() {
            let pairs = self.sample_pairs(sample, &fitted.parts()[..parts], Label::Forces);
            // A part of a model may be too steep or too flat.
            let faults = both().filter(|fault| parts == fitted.parts().len() || fault.is_gross());
            if let Some(verdict) = common_fault(&pairs, |_| true, faults) {
                self.blame_forces_or_energies(&verdict);
                return Ok(());
            }
        }
        let pairs = self.sample_pairs(sample, fitted.parts(), Label::Forces);
        self.judge_groups(Label::Forces, &pairs, "the slopes of the energies");
        Ok(())
    }

    /// Which of the two is wrong, where they contradict each other in the whole set.
    fn blame_forces_or_energies(&mut self, verdict: &Verdict) {
        let by_energy = faults_of(Label::Energy).iter().find(|f| f.name == verdict.fault.name);
        let reversed = verdict.fault.undo == Undo::Factor(-1.0);
        let (label, fault) = match by_energy {
            Some(fault) => (Label::Energy, fault),
            None if reversed && repulsion(self.frames, self.labels).is_some_and(|r| r < 0.0) => {
                (Label::Energy, &faults_of(Label::Energy)[0])
            }
            None => (Label::Forces, verdict.fault),
        };
        self.blame_all(label, fault);
        let frames = (0..self.frames.len()).filter(|&k| stated(&self.labels[k], label).is_some()).collect();
        self.report.findings.push(finding(label, fault, verdict, "forces and the slopes of the energies", frames));
    }

    /// Stresses against a model of energies and forces.
    fn judge_stress(&mut self, reference: &Reference, sample: &Sample, composition: &Composition) -> Result<()> {
        if !self.labels.iter().any(|l| l.stress.is_some()) {
            self.report.untested.push("stress: there is none".into());
            return Ok(());
        }
        let mut learned = self.learned(sample, composition);
        learned.iter_mut().for_each(|l| forget(l, Label::Stress));
        if learned.iter().all(|l| *l == Labels::default()) {
            self.report.untested.push("stress: neither energies nor forces tell what it must be".into());
            return Ok(());
        }
        let pairs = self.sample_pairs(sample, reference.fit(&learned)?.parts(), Label::Stress);
        self.judge_groups(Label::Stress, &pairs, "a model of energies and forces");
        Ok(())
    }

    /// Every frame against models that have not seen it, first to know which labels not to learn from.
    fn judge_by_folds(
        &mut self,
        reference: &Reference,
        sample: &Sample,
        composition: &Composition,
    ) -> Result<Vec<Option<Predicted>>> {
        let mut learned = self.learned(sample, composition);
        let fold = folds(&sample.frames, FOLDS, 0)?;
        let potentials = |learned: &[Labels]| -> Result<Vec<Fitted>> {
            let without = |left_out: usize| {
                let keep = |(l, &f): (&Labels, &usize)| if f == left_out { Labels::default() } else { l.clone() };
                reference.fit(&learned.iter().zip(&fold).map(keep).collect::<Vec<_>>())
            };
            (0..FOLDS).map(without).collect()
        };
        let slopes = |k: usize| self.labels[k].forces.is_some() || self.labels[k].stress.is_some();
        let predict_sample = |potentials: &[Fitted], all_slopes: bool| {
            let mut predicted = vec![None; self.frames.len()];
            for (k, potential) in potentials.iter().enumerate() {
                let here: Vec<usize> = (0..sample.len()).filter(|&s| fold[s] == k).collect();
                let wanted = |s: usize| sample.with_forces[s] || (all_slopes && slopes(sample.index[s]));
                let of = here.iter().map(|&s| (&sample.frames[s], wanted(s))).collect::<Vec<_>>();
                here.iter().zip(predict(potential.parts(), of)).for_each(|(&s, p)| predicted[sample.index[s]] = p);
            }
            predicted
        };
        let first = potentials(&learned)?;
        let off = self.outliers(&predict_sample(&first, false), &composition.energies);
        let mut distrusted = false;
        for (label, off) in &off {
            for outlier in off {
                if let Ok(s) = sample.index.binary_search(&outlier.frame) {
                    forget(&mut learned[s], *label);
                    distrusted = true;
                }
            }
        }
        let second = if distrusted { potentials(&learned)? } else { first };
        let mut predicted = predict_sample(&second, true);
        let rest: Vec<usize> = (0..self.frames.len()).filter(|k| sample.index.binary_search(k).is_err()).collect();
        let of = rest.iter().map(|&k| (&self.frames[k], slopes(k))).collect::<Vec<_>>();
        for (&k, p) in rest.iter().zip(predict(second[0].parts(), of)) {
            predicted[k] = p;
        }
        self.judge_frames(&predicted, &composition.energies);
        Ok(predicted)
    }

    /// The labels of the sample that models may be fitted to: faults of groups undone, gross errors left out.
    fn learned(&self, sample: &Sample, composition: &Composition) -> Vec<Labels> {
        let mut labels: Vec<Labels> = sample.index.iter().map(|&k| self.undone(k)).collect();
        for ((l, k), with_forces) in labels.iter_mut().zip(&sample.index).zip(&sample.with_forces) {
            if composition.gross.binary_search(k).is_ok() {
                l.energy = None;
            }
            if !with_forces {
                forget(l, Label::Forces);
                forget(l, Label::Stress);
            }
        }
        self.distrust(&mut labels);
        labels
    }

    /// Forces and stresses of another order of magnitude than all others are not learned from.
    fn distrust(&self, labels: &mut [Labels]) {
        for label in [Label::Forces, Label::Stress] {
            let sizes: Vec<f64> = labels.iter().map(|l| stated(l, label).map_or(f64::NAN, |x| size(&x))).collect();
            let limit = DISTRUSTED * super::compare::quantile(&sizes, 0.9);
            labels.iter_mut().zip(&sizes).filter(|(_, s)| **s > limit).for_each(|(l, _)| forget(l, label));
        }
    }

    /// Labels of a frame, the faults of its group undone.
    fn undone(&self, k: usize) -> Labels {
        let mut labels = self.labels[k].clone();
        let structure = &self.frames[k];
        for label in Label::ALL {
            if let (Some(fault), Some(said)) = (self.fault_of(label, k), stated(&self.labels[k], label)) {
                restate(&mut labels, label, &fault.undone(&said, structure.len(), structure.volume()));
            }
        }
        labels
    }

    fn fault_of(&self, label: Label, k: usize) -> Option<&'static Fault> {
        self.common.get(&(label, config_type(&self.frames[k]))).copied()
    }

    fn blame_all(&mut self, label: Label, fault: &'static Fault) {
        self.groups.keys().for_each(|group| {
            self.common.insert((label, group), fault);
        });
    }

    /// Frames of the sample: those that forces were learned from, and of stresses all.
    fn sample_pairs(&self, sample: &Sample, parts: &[Potential], label: Label) -> Vec<Pair> {
        let compared = |&s: &usize| {
            sample.with_forces[s] || (label == Label::Stress && self.labels[sample.index[s]].stress.is_some())
        };
        let with = (0..sample.len()).filter(compared).collect::<Vec<_>>();
        let predicted = predict(parts, with.iter().map(|&s| (&sample.frames[s], true)).collect::<Vec<_>>());
        let pair = |(&s, predicted): (&usize, Option<Predicted>)| {
            let k = sample.index[s];
            Pair::new(k, &self.frames[k], &self.undone(k), &predicted?, label)
        };
        with.iter().zip(predicted).filter_map(pair).collect()
    }

    /// Looks for a fault that all frames or those of a group have in common, and remembers to undo it.
    fn judge_groups(&mut self, label: Label, pairs: &[Pair], against: &str) {
        let between = format!("labels and {against}");
        if let Some(verdict) = common_fault(pairs, |_| true, faults_of(label).iter()) {
            return self.blame_set(label, &verdict, &between);
        }
        let groups: Vec<(&'a str, Vec<usize>)> = self.groups.iter().map(|(g, k)| (*g, k.clone())).collect();
        let here = |members: &[usize], k: usize| members.binary_search(&k).is_ok();
        let mut blamed: BTreeMap<&str, (Verdict, Vec<usize>, Vec<&str>)> = BTreeMap::new();
        for (group, members) in groups.clone() {
            let Some(verdict) = fault_of_kind(pairs, |k| here(&members, k), faults_of(label).iter()) else {
                continue;
            };
            self.common.insert((label, group), verdict.fault);
            let concerned = members.into_iter().filter(|&k| self.concerns(verdict.fault, label, k));
            match blamed.get_mut(verdict.fault.name) {
                Some((all, frames, names)) => {
                    all.better += verdict.better;
                    all.of += verdict.of;
                    all.factor = all.factor.min(verdict.factor);
                    frames.extend(concerned);
                    names.push(group);
                }
                None => {
                    let frames = concerned.collect();
                    blamed.insert(verdict.fault.name, (verdict, frames, vec![group]));
                }
            }
        }
        // What most frames have, or many together tell, and no kind of them contradicts, the others have too, of which the model
        // knows too little.
        let most =
            blamed.values().max_by_key(|(_, frames, _)| frames.len()).map(|(v, frames, _)| (v.clone(), frames.len()));
        let told = common_exchange(pairs, faults_of(label).iter())
            .filter(|told| most.as_ref().is_none_or(|(most, _)| most.fault == told.fault))
            .or(most.filter(|(_, n)| 2 * n > self.frames.len()).map(|(most, _)| most));
        let right = |fault, members: &[usize]| contradicts(pairs, |k| here(members, k), fault);
        if let Some(told) = told.filter(|told| !groups.iter().any(|(_, members)| right(told.fault, members))) {
            return self.blame_set(label, &told, &between);
        }
        for (verdict, mut frames, names) in blamed.into_values() {
            frames.sort_unstable();
            let between = format!("{between} (config_type {})", names.join(", "));
            self.report.findings.push(finding(label, verdict.fault, &verdict, &between, frames));
        }
    }

    /// A fault of the whole set.
    fn blame_set(&mut self, label: Label, verdict: &Verdict, between: &str) {
        self.blame_all(label, verdict.fault);
        let concerned = (0..self.frames.len()).filter(|&k| self.concerns(verdict.fault, label, k)).collect();
        self.report.findings.push(finding(label, verdict.fault, verdict, between, concerned));
    }

    /// Whether undoing the fault changes the label of a frame.
    fn concerns(&self, fault: &Fault, label: Label, k: usize) -> bool {
        let structure = &self.frames[k];
        let said = stated(&self.labels[k], label);
        said.is_some_and(|said| mismatch(&fault.undone(&said, structure.len(), structure.volume()), &said) > 1e-9)
    }

    fn outliers(&self, predicted: &[Option<Predicted>], energies: &BTreeMap<u8, f64>) -> BTreeMap<Label, Vec<Outlier>> {
        let of_atoms =
            |k: usize| -> f64 { self.frames[k].species.iter().map(|z| energies.get(z).copied().unwrap_or(0.0)).sum() };
        let kind = |pair: &Pair| config_type(&self.frames[pair.frame]);
        let excess = |pair: &Pair| (pair.predicted[0] - of_atoms(pair.frame)).abs() / pair.n_atoms.max(1) as f64;
        let of = |label: Label| {
            let pair = |(k, p): (usize, &Option<Predicted>)| {
                Pair::new(k, &self.frames[k], &self.undone(k), p.as_ref()?, label)
            };
            let pairs: Vec<Pair> = predicted.iter().enumerate().filter_map(pair).collect();
            let found = match label {
                Label::Energy => outliers(label, &pairs, kind, |pair, _| excess(pair)),
                _ => outliers(label, &pairs, kind, predicted_size),
            };
            (label, found)
        };
        Label::ALL.into_iter().map(of).collect()
    }

    /// Single frames. One of a group with a fault that has not got it is taken out of the finding instead.
    fn judge_frames(&mut self, predicted: &[Option<Predicted>], energies: &BTreeMap<u8, f64>) {
        for (label, mut off) in self.outliers(predicted, energies) {
            off.retain(|outlier| {
                let k = outlier.frame;
                let (Some(common), Some((fault, _))) = (self.fault_of(label, k), outlier.fault) else { return true };
                let (now, was) = (stated(&self.undone(k), label), stated(&self.labels[k], label));
                let (Some(now), Some(was)) = (now, was) else { return true };
                let back = fault.undone(&now, self.frames[k].len(), self.frames[k].volume());
                let right = mismatch(&back, &was) < 1e-9;
                if right {
                    let of_group = self.report.findings.iter_mut().filter(|f| f.suspicion.starts_with(common.name));
                    of_group.for_each(|f| f.frames.retain(|&frame| frame != k));
                }
                !right
            });
            self.set_unlike_apart(label, &mut off);
            self.report.findings.extend(findings(label, &off));
        }
    }

    /// Kinds of frames that the models miss altogether are unlike the others: nothing can be said of their labels.
    fn set_unlike_apart(&mut self, label: Label, off: &mut Vec<Outlier>) {
        for (group, members) in &self.groups {
            let here = |o: &Outlier| o.fault.is_none() && members.binary_search(&o.frame).is_ok();
            let missed = off.iter().filter(|o| here(o)).count();
            if missed > 1 && missed as f64 > UNLIKE * members.len() as f64 {
                off.retain(|o| !here(o));
                let why = format!("{missed} of {} are unlike all others", members.len());
                self.report.untested.push(format!("{} of frames of config_type '{group}': {why}", label.name()));
            }
        }
    }

    /// Says how sharp the test was.
    fn finish(mut self, predicted: &[Option<Predicted>], against: &str) -> Result<LabelReport> {
        for label in Label::ALL {
            let pair = |(k, p): (usize, &Option<Predicted>)| {
                Pair::new(k, &self.frames[k], &self.undone(k), p.as_ref()?, label)
            };
            let pairs: Vec<Pair> = predicted.iter().enumerate().filter_map(pair).collect();
            if pairs.len() < FEWEST {
                continue;
            }
            let residual = |p: &Pair| super::compare::distance(&p.stated, &p.predicted) / per(label, p);
            let typical = super::compare::median(&pairs.iter().map(residual).collect::<Vec<_>>());
            let unit = ["eV/atom", "eV/Å", "eV/Å³"][label as usize];
            let line =
                format!("{} of {} frames against {against}: {typical:.2e} {unit} apart", label.name(), pairs.len());
            if label == Label::Energy || is_telling(typical_mismatch(&pairs)) {
                self.report.tested.push(line);
            } else {
                self.report.untested.push(format!("{line}, too far for units and signs to be told"));
            }
        }
        self.report.sort();
        Ok(self.report)
    }
}

fn per(label: Label, pair: &Pair) -> f64 {
    if label == Label::Energy { pair.n_atoms.max(1) as f64 } else { 1.0 }
}

fn finding(label: Label, fault: &Fault, verdict: &Verdict, between: &str, frames: Vec<usize>) -> Finding {
    let or: String = verdict.or.iter().map(|or| format!(", or {}", or.name)).collect();
    Finding {
        label,
        suspicion: format!("{}{or}", fault.name),
        sureness: verdict.sureness(),
        factor: verdict.factor,
        evidence: format!(
            "{between} are {:.1} times nearer this way; nearer in {} of {} frames compared",
            verdict.factor, verdict.better, verdict.of
        ),
        remedy: fault.remedy.into(),
        frames,
    }
}

fn pairs_of(frames: &[Structure], labels: &[Labels], predicted: &[Option<Predicted>], label: Label) -> Vec<Pair> {
    let pair = |(k, p): (usize, &Option<Predicted>)| Pair::new(k, &frames[k], &labels[k], p.as_ref()?, label);
    predicted.iter().enumerate().filter_map(pair).collect()
}
