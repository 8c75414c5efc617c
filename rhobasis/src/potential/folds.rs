//! Frames that repeat each other, and splits that keep them together.

use std::collections::BTreeMap;

use crate::random::Random;
use crate::structure::{Structure, Vec3, cross, dot, norm};
use crate::{Error, Result};

/// Distance in Å below which two positions, or two lattice vectors, are the same.
const SAME: f64 = 1e-6;

/// Groups of frames that repeat each other: same species, periodicity, cell and positions to 1e-6 Å, whichever periodic image
/// of an atom is given. Returns the group of each frame; groups are counted from 0 in the order of their first frames.
pub fn repeated(structures: &[Structure]) -> Vec<usize> {
    let mut like: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (s, structure) in structures.iter().enumerate() {
        let (key, slack) = smooth_key(structure);
        like.entry((&structure.species, structure.pbc)).or_default().push((key, slack, s));
    }
    let mut first: Vec<usize> = (0..structures.len()).collect();
    for mut frames in like.into_values() {
        frames.sort_by(|a: &(f64, f64, usize), b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)));
        for (k, &(key, slack, s)) in frames.iter().enumerate() {
            let near = frames[..k].iter().rev().take_while(|before| key - before.0 <= slack.max(before.1));
            let twin = near.map(|before| before.2).find(|&other| same(&structures[s], &structures[other]));
            if let Some(other) = twin {
                first[s] = first[other];
            }
        }
    }
    // Sorting by key has lost the order of frames: number the groups anew.
    let mut number = BTreeMap::new();
    let group = |f: usize| {
        let next = number.len();
        *number.entry(f).or_insert(next)
    };
    first.into_iter().map(group).collect()
}

/// A number that changes smoothly with positions and cell and does not see periodic images, and how far two frames that are the
/// same may be apart in it.
fn smooth_key(structure: &Structure) -> (f64, f64) {
    // Weights without a pattern, so that symmetric structures are told apart too.
    let weight = |i: usize| 1.0 + (0.754_877_666 * i as f64).fract();
    let (mut key, mut slope) = (0.0, 0.0);
    for (i, x) in structure.cell.iter().flatten().enumerate() {
        key += weight(i) * x;
        slope += weight(i);
    }
    let duals = duals(structure);
    let longest = duals.map(norm).into_iter().fold(0.0, f64::max);
    for (i, &r) in structure.positions.iter().enumerate() {
        for (k, &dual) in duals.iter().enumerate() {
            let (w, coordinate) = (weight(3 * i + k), dot(r, dual));
            let phase = std::f64::consts::TAU * coordinate;
            // Along an open direction the coordinate itself, which moving along the others does not change.
            key += w * if structure.pbc[k] { phase.cos() + (2.0 * phase).sin() } else { coordinate };
            // |d/dphase| < 3, and a change of the cell by SAME turns the duals.
            slope += w * 20.0 * norm(dual) * (1.0 + 3.0 * norm(r) * longest);
        }
    }
    (key, SAME * slope + 1e-9 * key.abs())
}

/// r · dual_k is the coordinate of r along lattice vector k, or along a unit vector at right angles to the periodic ones where
/// the direction is open.
fn duals(structure: &Structure) -> [Vec3; 3] {
    let cell = completed(structure);
    let volume = dot(cell[0], cross(cell[1], cell[2]));
    if volume == 0.0 || !volume.is_finite() {
        return [[0.0; 3]; 3]; // no valid structure: only equal numbers are the same
    }
    std::array::from_fn(|k| cross(cell[(k + 1) % 3], cell[(k + 2) % 3]).map(|x| x / volume))
}

/// The periodic lattice vectors, completed by unit vectors at right angles to them.
fn completed(structure: &Structure) -> [Vec3; 3] {
    let mut cell = structure.cell;
    let unit = |v: Vec3| v.map(|x| x / norm(v));
    let axis = |axis: usize| -> Vec3 { std::array::from_fn(|k| f64::from(u8::from(k == axis))) };
    let periodic: Vec<usize> = (0..3).filter(|&k| structure.pbc[k]).collect();
    match periodic[..] {
        [] => cell = [axis(0), axis(1), axis(2)],
        [a] => {
            let across = (0..3).min_by(|&p, &q| cell[a][p].abs().total_cmp(&cell[a][q].abs())).unwrap_or(0);
            cell[(a + 1) % 3] = unit(cross(cell[a], axis(across)));
            cell[(a + 2) % 3] = unit(cross(cell[a], cell[(a + 1) % 3]));
        }
        [a, b] => cell[3 - a - b] = unit(cross(cell[a], cell[b])),
        _ => {}
    }
    cell
}

/// Whether two structures of the same species and periodicity have the same cell and atoms in the same places.
fn same(a: &Structure, b: &Structure) -> bool {
    let near = |x: Vec3, y: Vec3| norm(std::array::from_fn(|k| x[k] - y[k])) < SAME;
    let periodic = (0..3).filter(|&k| a.pbc[k]);
    if !periodic.clone().all(|k| near(a.cell[k], b.cell[k])) {
        return false;
    }
    let duals = duals(a);
    a.positions.iter().zip(&b.positions).all(|(&r, &s)| {
        let mut difference: Vec3 = std::array::from_fn(|k| r[k] - s[k]);
        for k in periodic.clone() {
            let turns = dot(difference, duals[k]).round();
            difference = std::array::from_fn(|m| difference[m] - turns * a.cell[k][m]);
        }
        // The cells may differ by SAME, and an atom may be many cells away.
        let far = periodic.clone().map(|k| dot(r, duals[k]).abs().max(dot(s, duals[k]).abs())).sum::<f64>();
        norm(difference) < SAME * (1.0 + far)
    })
}

/// Puts frames into `k` folds of nearly equal size at random, with frames that repeat each other in one; returns the fold of
/// each frame. The same seed gives the same folds.
///
/// # Errors
/// If there are fewer than two folds, or fewer different frames than folds.
///
/// ```
/// use rhobasis::Structure;
/// use rhobasis::potential::folds;
/// let dimer = |r: f64| Structure::molecule(vec![1, 1], vec![[0.0; 3], [r, 0.0, 0.0]]);
/// let folds = folds(&[dimer(0.7), dimer(0.8), dimer(0.7), dimer(0.9)], 3, 0)?;
/// assert_eq!(folds[0], folds[2]);
/// # Ok::<(), rhobasis::Error>(())
/// ```
pub fn folds(structures: &[Structure], k: usize, seed: u64) -> Result<Vec<usize>> {
    if k < 2 {
        return Err(Error::setting("folds", k, "there must be two at least", "5 and 10 are usual"));
    }
    let groups = members(&repeated(structures));
    if groups.len() < k {
        let problem = format!("there are {} different frames", groups.len());
        return Err(Error::setting("folds", k, problem, "use fewer folds, or more frames"));
    }
    let mut fold = vec![0; structures.len()];
    let mut sizes = vec![0; k];
    for group in Random::new(seed).permutation(groups.len()) {
        let smallest = (0..k).min_by_key(|&f| sizes[f]).unwrap_or(0);
        sizes[smallest] += groups[group].len();
        groups[group].iter().for_each(|&frame| fold[frame] = smallest);
    }
    Ok(fold)
}

/// Chooses frames at random that are held out as a test: at least one, and nearly this fraction of all, with frames that repeat
/// each other on one side. Returns whether each frame is held out.
///
/// # Errors
/// Unless 0 < fraction < 1 and there are two different frames.
pub fn split(structures: &[Structure], fraction: f64, seed: u64) -> Result<Vec<bool>> {
    if !(fraction > 0.0 && fraction < 1.0) {
        let problem = "must lie between 0 and 1";
        return Err(Error::setting("test_fraction", fraction, problem, "0.1 is usual"));
    }
    let groups = members(&repeated(structures));
    if groups.len() < 2 {
        let problem = format!("there are {} different frames", groups.len());
        return Err(Error::setting("test_fraction", fraction, problem, "give more frames"));
    }
    let wanted = ((fraction * structures.len() as f64).round() as usize).max(1);
    let (mut test, mut taken) = (vec![false; structures.len()], 0);
    // The last group trains, whatever the fraction.
    for group in Random::new(seed).permutation(groups.len()).into_iter().skip(1) {
        if taken >= wanted {
            break;
        }
        taken += groups[group].len();
        groups[group].iter().for_each(|&frame| test[frame] = true);
    }
    Ok(test)
}

/// Frames of each group.
fn members(group: &[usize]) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); group.iter().max().map_or(0, |g| g + 1)];
    group.iter().enumerate().for_each(|(frame, &g)| members[g].push(frame));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crystal(seed: u64, n: usize) -> Structure {
        let mut random = Random::new(seed);
        let cell = [[5.1, 0.2, 0.0], [0.3, 4.9, 0.1], [-0.2, 0.4, 5.3]];
        Structure::crystal(vec![14; n], (0..n).map(|_| std::array::from_fn(|_| 5.0 * random.uniform())).collect(), cell)
    }

    /// The same, with noise and in other images.
    fn disguised(structure: &Structure, seed: u64) -> Structure {
        let mut random = Random::new(seed);
        let mut other = structure.clone();
        for r in &mut other.positions {
            for k in (0..3).filter(|&k| structure.pbc[k]) {
                let turns = random.below(5) as f64 - 2.0;
                *r = std::array::from_fn(|m| r[m] + turns * structure.cell[k][m]);
            }
            *r = r.map(|x| x + 2e-7 * (random.uniform() - 0.5));
        }
        other.info.push(("energy".into(), crate::structure::Value::Real(random.uniform())));
        other
    }

    #[test]
    fn frames_repeat_whatever_their_images_and_rounding() {
        let mut frames: Vec<Structure> = (0..12).map(|k| crystal(k, 3 + k as usize % 2)).collect();
        frames.push(Structure { pbc: [true, true, false], ..crystal(0, 3) });
        frames.push(Structure { pbc: [false, true, false], ..crystal(0, 3) });
        frames.push(Structure { pbc: [false; 3], ..crystal(0, 3) });
        frames.push(Structure { species: vec![14, 14, 6], ..crystal(0, 3) });
        let n = frames.len();
        let copies: Vec<Structure> = frames.iter().enumerate().map(|(k, s)| disguised(s, 100 + k as u64)).collect();
        frames.extend(copies);
        let groups = repeated(&frames);
        assert_eq!(groups[..n], (0..n).collect::<Vec<_>>());
        assert_eq!(groups[n..], (0..n).collect::<Vec<_>>());
    }

    #[test]
    fn a_moved_atom_or_another_cell_is_another_frame() {
        let base = crystal(1, 4);
        let mut moved = base.clone();
        moved.positions[3][1] += 1e-4;
        let mut strained = base.clone();
        strained.cell[2][0] += 1e-4;
        // An atom beside the face of the cell, and its image at the other face.
        let mut at_face = base.clone();
        at_face.positions[0] = [1e-9, 0.0, 0.0];
        let mut beyond = at_face.clone();
        beyond.positions[0] = [-1e-9 + 5.1, 0.2, 0.0];
        assert_eq!(repeated(&[base.clone(), moved, strained, at_face, beyond, base]), [0, 1, 2, 3, 3, 0]);
    }

    #[test]
    fn folds_are_even_and_keep_repeated_frames_together() {
        let mut frames: Vec<Structure> = (0..40).map(|k| crystal(k, 2)).collect();
        frames.extend((0..10).map(|k| disguised(&frames[2 * k], k as u64)).collect::<Vec<_>>());
        let of = folds(&frames, 5, 3).unwrap();
        assert_eq!(of, folds(&frames, 5, 3).unwrap());
        assert_ne!(of, folds(&frames, 5, 4).unwrap());
        (0..10).for_each(|k| assert_eq!(of[2 * k], of[40 + k]));
        for fold in 0..5 {
            let size = of.iter().filter(|&&f| f == fold).count();
            assert!((9..=11).contains(&size), "{size} of 50 frames in fold {fold}");
        }
        assert!(folds(&frames, 1, 0).unwrap_err().to_string().starts_with("folds = 1"));
        assert!(folds(&frames[..4], 5, 0).unwrap_err().to_string().contains("4 different frames"));
    }

    #[test]
    fn a_split_holds_out_its_fraction_and_no_frame_that_is_trained_on() {
        let mut frames: Vec<Structure> = (0..40).map(|k| crystal(k, 2)).collect();
        frames.extend((0..10).map(|k| disguised(&frames[2 * k], k as u64)).collect::<Vec<_>>());
        let test = split(&frames, 0.2, 1).unwrap();
        let n = test.iter().filter(|t| **t).count();
        assert!((10..=11).contains(&n), "{n}");
        (0..10).for_each(|k| assert_eq!(test[2 * k], test[40 + k]));
        assert_eq!(split(&frames[..2], 0.01, 0).unwrap().iter().filter(|t| **t).count(), 1);
        assert!(split(&frames, 1.0, 0).is_err() && split(&frames, f64::NAN, 0).is_err());
        assert!(split(&[frames[0].clone(), frames[0].clone()], 0.5, 0).is_err());
    }
}
