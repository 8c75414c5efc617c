//! Frames of the same geometry with different labels.

use std::collections::BTreeMap;

use super::compare::{distance, median, size, stated};
use super::report::{Finding, Label, Sureness};
use crate::extxyz::Labels;
use crate::potential::repeated;
use crate::structure::Structure;

/// Labels that differ by more than this part of what is usual are different.
const DIFFERENT: f64 = 0.01;

/// Groups of repeated frames whose labels contradict each other; `energy_spread` is that of an atom.
pub(super) fn contradictions(frames: &[Structure], labels: &[Labels], energy_spread: f64) -> Vec<Finding> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    repeated(frames).into_iter().enumerate().for_each(|(k, group)| members.entry(group).or_default().push(k));
    members.retain(|_, frames| frames.len() > 1);
    let contradictory = |label: Label| {
        let usual = usual_size(frames, labels, label, energy_spread);
        let differ = |group: &&Vec<usize>| largest_difference(frames, labels, label, group) > DIFFERENT * usual;
        let groups: Vec<&Vec<usize>> = members.values().filter(differ).collect();
        let first = groups.first()?;
        Some(Finding {
            label,
            suspicion: format!("{} of repeated frames differs", label.name()),
            sureness: Sureness::Certain,
            factor: largest_difference(frames, labels, label, first) / usual,
            evidence: format!(
                "{} geometries occur more than once with different labels, the first in frames {first:?} of the input",
                groups.len()
            ),
            remedy: "keep one of each, or find out which was computed well".into(),
            frames: groups.iter().flat_map(|g| g.iter().copied()).collect(),
        })
    };
    Label::ALL.into_iter().filter_map(contradictory).collect()
}

/// How much a label varies: energies per atom at equal composition; forces and stress by their size.
fn usual_size(frames: &[Structure], labels: &[Labels], label: Label, energy_spread: f64) -> f64 {
    match label {
        Label::Energy => energy_spread,
        label => {
            let sizes: Vec<f64> = labels.iter().filter_map(|l| stated(l, label)).map(|x| size(&x)).collect();
            median(&sizes).max(1e-9 * frames.len().min(1) as f64)
        }
    }
}

/// The largest distance of a label from that of the first frame that has it; energies per atom.
fn largest_difference(frames: &[Structure], labels: &[Labels], label: Label, group: &[usize]) -> f64 {
    let known: Vec<Vec<f64>> = group.iter().filter_map(|&k| stated(&labels[k], label)).collect();
    let per = if label == Label::Energy { frames[group[0]].len().max(1) as f64 } else { 1.0 };
    known.iter().skip(1).map(|x| distance(x, &known[0]) / per).fold(0.0, f64::max)
}
