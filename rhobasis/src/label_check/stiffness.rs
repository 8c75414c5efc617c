//! Whether neighbours that are nearer than usual push each other apart, which tells the sign of forces without any model.

use std::collections::BTreeMap;

use super::reference::is_usable;
use crate::extxyz::Labels;
use crate::neighbors::NeighborList;
use crate::structure::{Structure, dot, norm};

/// Nearest neighbours are looked for up to this distance, in Å.
const REACH: f64 = 4.0;
/// Pairs at least.
const FEWEST: usize = 60;

/// Correlation of the distance r of nearest neighbours with the force (F_j − F_i)·r_ji/r that drives them apart, over pairs of
/// equal species: negative where forces are forces. None if there are too few of them, or the sign is not clear.
pub(super) fn repulsion(frames: &[Structure], labels: &[Labels]) -> Option<f64> {
    let mut pairs: BTreeMap<(u8, u8), Vec<(f64, f64)>> = BTreeMap::new();
    for (structure, labels) in frames.iter().zip(labels) {
        let Some(forces) = labels.forces.as_ref().filter(|_| is_usable(structure)) else { continue };
        let Ok(list) = NeighborList::new(structure, REACH) else { continue };
        for i in 0..structure.len() {
            let distance = |&pair: &usize| norm(list.vector[pair]);
            let Some(nearest) = list.pairs(i).min_by(|a, b| distance(a).total_cmp(&distance(b))) else { continue };
            let (j, vector) = (list.neighbor[nearest] as usize, list.vector[nearest]);
            if j == i {
                continue; // an image feels the same force
            }
            let apart = dot(std::array::from_fn(|k| forces[j][k] - forces[i][k]), vector) / norm(vector);
            let (a, b) = (structure.species[i], structure.species[j]);
            pairs.entry((a.min(b), a.max(b))).or_default().push((norm(vector), apart));
        }
    }
    correlation(pairs.into_values().filter(|p| p.len() >= FEWEST).map(|p| centred(&p)).collect::<Vec<_>>().concat())
}

fn centred(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / n, sum.1 + p.1 / n));
    points.iter().map(|p| (p.0 - x, p.1 - y)).collect()
}

fn correlation(points: Vec<(f64, f64)>) -> Option<f64> {
    let sum = |f: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>();
    let r = sum(&|p| p.0 * p.1) / (sum(&|p| p.0 * p.0) * sum(&|p| p.1 * p.1)).sqrt();
    (points.len() >= FEWEST && r.abs() > 0.2).then_some(r)
}
