//! Energies of free atoms, which a model does not learn.

use std::collections::BTreeMap;

use ndarray::Array2;

use super::settings::Baseline;
use crate::extxyz::Labels;
use crate::linalg::svd_thin;
use crate::neighbors::NeighborList;
use crate::settings::Given;
use crate::structure::{Structure, symbol};
use crate::{Error, Result};

/// The energy of each species that occurs, in eV.
///
/// # Errors
/// If a species has none.
pub(super) fn energies_of_atoms(
    baseline: &Baseline,
    frames: &[Structure],
    labels: &[Labels],
    species: &[u8],
    r_cut: f64,
) -> Result<BTreeMap<u8, f64>> {
    match baseline {
        Baseline::LeastSquares => Ok(least_squares(frames, labels, species)),
        Baseline::IsolatedAtoms => isolated_atoms(frames, labels, species, r_cut),
        Baseline::Given(energies) => {
            let missing = |z: &&u8| !energies.contains_key(*z);
            match species.iter().find(missing) {
                Some(&z) => Err(Error::setting(
                    "baseline",
                    Given::from(energies),
                    format!("no energy for {}", symbol(z)),
                    "give one for each species of the training frames, in eV",
                )),
                None => Ok(energies.clone()),
            }
        }
    }
}

/// min Σ_A (E_A/N_A − Σ_a (N_{Aa}/N_A) e_a)², of smallest norm about the mean energy of an atom.
///
/// The mean goes first, so that species which no composition tells apart share it.
fn least_squares(frames: &[Structure], labels: &[Labels], species: &[u8]) -> BTreeMap<u8, f64> {
    let with_energy: Vec<(&Structure, f64)> = frames
        .iter()
        .zip(labels)
        .filter(|(frame, _)| !frame.is_empty())
        .filter_map(|(frame, l)| l.energy.map(|e| (frame, e / frame.len() as f64)))
        .collect();
    if with_energy.is_empty() {
        return species.iter().map(|&z| (z, 0.0)).collect();
    }
    let mean = with_energy.iter().map(|(_, e)| e).sum::<f64>() / with_energy.len() as f64;
    // Normal equations: as small as the number of species, and as exact as fractions of atoms need.
    let n = species.len();
    let (mut gram, mut right) = (Array2::<f64>::zeros((n, n)), vec![0.0; n]);
    for (frame, energy) in &with_energy {
        let count = |z: u8| frame.species.iter().filter(|&&a| a == z).count() as f64 / frame.len() as f64;
        let fractions: Vec<f64> = species.iter().map(|&z| count(z)).collect();
        for a in 0..n {
            right[a] += fractions[a] * (energy - mean);
            for b in 0..n {
                gram[[a, b]] += fractions[a] * fractions[b];
            }
        }
    }
    let (u, s, v) = svd_thin(gram.view());
    let floor = 1e-10 * s.first().copied().unwrap_or(0.0);
    let mut solution = vec![mean; n];
    for (k, &s) in s.iter().enumerate().filter(|(_, s)| **s > floor) {
        let along: f64 = (0..n).map(|a| u[[a, k]] * right[a]).sum::<f64>() / s;
        (0..n).for_each(|a| solution[a] += along * v[[k, a]]);
    }
    species.iter().copied().zip(solution).collect()
}

/// Whether a frame is one atom that nothing can see: without a cell, or in one that is larger than the cutoff.
pub(super) fn is_isolated_atom(frame: &Structure, r_cut: f64) -> bool {
    frame.len() == 1 && NeighborList::new(frame, r_cut).is_ok_and(|list| list.neighbor.is_empty())
}

fn isolated_atoms(frames: &[Structure], labels: &[Labels], species: &[u8], r_cut: f64) -> Result<BTreeMap<u8, f64>> {
    let energy_of = |z: u8| {
        let alone = |(frame, labels): (&Structure, &Labels)| {
            labels.energy.filter(|_| frame.species == [z] && is_isolated_atom(frame, r_cut))
        };
        frames.iter().zip(labels).find_map(alone)
    };
    species
        .iter()
        .map(|&z| {
            energy_of(z).map(|energy| (z, energy)).ok_or_else(|| {
                let problem =
                    format!("no frame holds a single {} atom, without neighbours, with its energy", symbol(z));
                Error::setting("baseline", "isolated-atoms", problem, "add it, give its energy, or use least-squares")
            })
        })
        .collect()
}

/// Σ_i e(a_i) of atoms; species without an energy count nothing (models refuse them).
pub(super) fn of_atoms(energies: &BTreeMap<u8, f64>, species: &[u8]) -> f64 {
    species.iter().map(|z| energies.get(z).copied().unwrap_or(0.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(species: &[u8], energy: f64) -> (Structure, Labels) {
        let positions = (0..species.len()).map(|k| [k as f64, 0.0, 0.0]).collect();
        (Structure::molecule(species.to_vec(), positions), Labels { energy: Some(energy), ..Labels::default() })
    }

    #[test]
    fn compositions_that_are_exact_are_recovered() {
        let (h, o) = (-13.6, -2041.8);
        let all = [frame(&[1, 1, 8], 2.0 * h + o), frame(&[8, 8], 2.0 * o), frame(&[1, 8, 8, 8], h + 3.0 * o)];
        let (frames, labels): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let found = energies_of_atoms(&Baseline::LeastSquares, &frames, &labels, &[1, 8], 4.0).unwrap();
        assert!((found[&1] - h).abs() < 1e-9 && (found[&8] - o).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn species_that_no_composition_tells_apart_share_the_energy() {
        let (frames, labels): (Vec<_>, Vec<_>) =
            [frame(&[14, 6], -20.0), frame(&[14, 6, 14, 6], -44.0)].into_iter().unzip();
        let found = energies_of_atoms(&Baseline::LeastSquares, &frames, &labels, &[6, 14], 4.0).unwrap();
        assert!((found[&6] + 10.5).abs() < 1e-12 && (found[&14] + 10.5).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_missing_isolated_atom_is_named() {
        let (frames, labels): (Vec<_>, Vec<_>) = [frame(&[1], -13.6), frame(&[1, 8], -2000.0)].into_iter().unzip();
        let error =
            energies_of_atoms(&Baseline::IsolatedAtoms, &frames, &labels, &[1, 8], 4.0).unwrap_err().to_string();
        assert!(error.contains("single O atom"), "{error}");
        let found = energies_of_atoms(&Baseline::IsolatedAtoms, &frames, &labels, &[1], 4.0).unwrap();
        assert_eq!(found[&1], -13.6);
    }

    #[test]
    fn a_primitive_cell_is_no_isolated_atom_but_a_large_box_holds_one() {
        let cube = |a: f64| Structure::crystal(vec![29], vec![[0.0; 3]], [[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]]);
        let labels = [-4.0, -1.0].map(|energy| Labels { energy: Some(energy), ..Labels::default() });
        let frames = [cube(2.3), cube(12.0)];
        let found = energies_of_atoms(&Baseline::IsolatedAtoms, &frames, &labels, &[29], 4.0).unwrap();
        assert_eq!(found[&29], -1.0);
        energies_of_atoms(&Baseline::IsolatedAtoms, &frames[..1], &labels[..1], &[29], 4.0).unwrap_err();
    }
}
