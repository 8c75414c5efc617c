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
        Baseline::None => Ok(species.iter().map(|&z| (z, 0.0)).collect()),
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

/// Singular values of sums of fractions below this times the largest are rounding.
const ROUNDING: f64 = 1e-10;

/// Fractions of the atoms of a frame that are of each species, and its energy per atom.
type Composition = (Vec<f64>, f64);

fn composition(frame: &Structure, energy: f64, species: &[u8]) -> Composition {
    let count = |z: u8| frame.species.iter().filter(|&&a| a == z).count() as f64 / frame.len() as f64;
    (species.iter().map(|&z| count(z)).collect(), energy / frame.len() as f64)
}

/// Of the frames that have an energy.
fn compositions(frames: &[Structure], labels: &[Labels], species: &[u8]) -> Vec<Composition> {
    let frames = frames.iter().zip(labels).filter(|(frame, _)| !frame.is_empty());
    frames.filter_map(|(frame, l)| l.energy.map(|e| composition(frame, e, species))).collect()
}

fn least_squares(frames: &[Structure], labels: &[Labels], species: &[u8]) -> BTreeMap<u8, f64> {
    by_species(&compositions(frames, labels, species), species)
}

/// What an atom of each species contributes to a sum over the atoms of each frame, by least squares: as for energies, of any
/// quantity that grows with the number of atoms.
///
/// ```
/// use rhobasis::Structure;
/// use rhobasis::potential::of_compositions;
///
/// let chain = |n: usize| Structure::molecule(vec![6; n], (0..n).map(|k| [0.0, 0.0, 1.5 * k as f64]).collect());
/// let chains = [chain(2), chain(5)];
/// let of_carbon = of_compositions(chains.iter().zip([-16.0, -40.0]), &[6])[&6];
/// assert!((of_carbon + 8.0).abs() < 1e-12);
/// ```
pub fn of_compositions<'a>(values: impl Iterator<Item = (&'a Structure, f64)>, species: &[u8]) -> BTreeMap<u8, f64> {
    let values = values.filter(|(frame, _)| !frame.is_empty());
    by_species(&values.map(|(frame, value)| composition(frame, value, species)).collect::<Vec<_>>(), species)
}

fn by_species(compositions: &[Composition], species: &[u8]) -> BTreeMap<u8, f64> {
    let weights = vec![1.0; compositions.len()];
    species.iter().copied().zip(solution(compositions, &weights, species.len())).collect()
}

/// min Σ_A w_A (E_A/N_A − Σ_a (N_{Aa}/N_A) e_a)², of smallest norm about the mean energy of an atom.
///
/// The mean goes first, so that species which no composition tells apart share it.
fn solution(compositions: &[Composition], weights: &[f64], n: usize) -> Vec<f64> {
    if compositions.is_empty() {
        return vec![0.0; n];
    }
    let weighted = || compositions.iter().zip(weights);
    let mean = weighted().map(|((_, e), w)| w * e).sum::<f64>() / weights.iter().sum::<f64>();
    // Normal equations: as small as the number of species, and as exact as fractions of atoms need.
    let mut right = vec![0.0; n];
    for ((fractions, energy), w) in weighted() {
        (0..n).for_each(|a| right[a] += w * fractions[a] * (energy - mean));
    }
    let (u, s, v) = svd_thin(gram(compositions, weights, n).view());
    let floor = ROUNDING * s.first().copied().unwrap_or(0.0);
    let mut solution = vec![mean; n];
    for (k, &s) in s.iter().enumerate().filter(|(_, s)| **s > floor) {
        let along: f64 = (0..n).map(|a| u[[a, k]] * right[a]).sum::<f64>() / s;
        (0..n).for_each(|a| solution[a] += along * v[[k, a]]);
    }
    solution
}

/// Σ_A w_A of the products of fractions, `[species, species]`.
fn gram(compositions: &[Composition], weights: &[f64], n: usize) -> Array2<f64> {
    let mut gram = Array2::<f64>::zeros((n, n));
    for ((fractions, _), w) in compositions.iter().zip(weights) {
        gram.indexed_iter_mut().for_each(|((a, b), sum)| *sum += w * fractions[a] * fractions[b]);
    }
    gram
}

/// Species whose energies compositions do not determine, but in sum: those in combinations that no frame changes.
pub(super) fn not_told_apart(frames: &[Structure], labels: &[Labels], species: &[u8]) -> Vec<u8> {
    let compositions = compositions(frames, labels, species);
    if compositions.is_empty() {
        return Vec::new();
    }
    let (_, s, v) = svd_thin(gram(&compositions, &vec![1.0; compositions.len()], species.len()).view());
    let unseen: Vec<usize> = (0..s.len()).filter(|&k| s[k] <= ROUNDING * s[0]).collect();
    let is_in = |a: usize| unseen.iter().any(|&k| v[[k, a]].abs() > 1e-4);
    (0..species.len()).filter(|&a| is_in(a)).map(|a| species[a]).collect()
}

/// E_A/N_A − Σ_a (N_{Aa}/N_A) e_a of frames, in eV, with the least sum of absolute values: a few frames that are far off do not
/// pull the others. By least squares with weights 1/|residual|, again and again.
pub(super) fn robust_residuals(frames: &[&Structure], energies: &[f64], species: &[u8]) -> Vec<f64> {
    let of = |(frame, energy): (&&Structure, &f64)| composition(frame, *energy, species);
    let compositions: Vec<Composition> = frames.iter().zip(energies).map(of).collect();
    let mut residuals = vec![1.0; compositions.len()];
    for _ in 0..100 {
        let weights: Vec<f64> = residuals.iter().map(|r: &f64| 1.0 / r.abs().max(SAME)).collect();
        let e = solution(&compositions, &weights, species.len());
        let of = |(fractions, energy): &Composition| {
            energy - fractions.iter().zip(&e).map(|(fraction, e)| fraction * e).sum::<f64>()
        };
        residuals = compositions.iter().map(of).collect();
    }
    residuals
}

/// Whether a frame is one atom alone, which sees nothing within `r_cut` (Å): without a cell, or in one that is larger.
pub fn is_free_atom(frame: &Structure, r_cut: f64) -> bool {
    frame.len() == 1 && NeighborList::new(frame, r_cut).is_ok_and(|list| list.neighbor.is_empty())
}

/// Energies of a free atom that differ by less are the same, in eV: two codes, or two cells, agree no better.
pub(super) const SAME: f64 = 1e-3;

/// The energies of frames of one atom alone, by species; of several the first.
///
/// # Errors
/// If two differ, and if a species has none.
fn isolated_atoms(frames: &[Structure], labels: &[Labels], species: &[u8], r_cut: f64) -> Result<BTreeMap<u8, f64>> {
    let mut energies = BTreeMap::new();
    for (k, (frame, labels)) in frames.iter().zip(labels).enumerate() {
        let Some(energy) = labels.energy.filter(|_| is_free_atom(frame, r_cut)) else { continue };
        let z = frame.species[0];
        let first = *energies.entry(z).or_insert(energy);
        if (energy - first).abs() > SAME {
            let problem =
                format!("a {} atom alone has the energy {energy} eV here, and {first} eV in a frame before", symbol(z));
            let remedy = "keep one of them, or give its energy with baseline \"given\"";
            return Err(Error::structure(Some(0), problem, remedy).at_frame(k));
        }
    }
    species
        .iter()
        .map(|&z| {
            energies.get(&z).map(|&energy| (z, energy)).ok_or_else(|| {
                let problem =
                    format!("no frame holds a single {} atom, without neighbours, with its energy", symbol(z));
                Error::setting("baseline", "isolated-atoms", problem, "add it, give its energy, or use least-squares")
            })
        })
        .collect()
}

/// Σ_i e(a_i) of atoms; species without an energy count nothing (models refuse them).
pub(crate) fn of_atoms(energies: &BTreeMap<u8, f64>, species: &[u8]) -> f64 {
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
