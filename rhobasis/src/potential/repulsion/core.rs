//! The core beside a model: pair energies at distances that training never had, and what is said of such pairs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::nearest::{ClosePair, Nearest};
use super::settings::Repulsion;
use super::zbl::Zbl;
use crate::density::Run;
use crate::structure::{Structure, Vec3, covalent_radius, dot};

/// A length below nearly all bonds of two elements, in Å: 0.9 times the sum of their covalent radii.
fn shortest_bond(a: u8, b: u8) -> Option<f64> {
    Some(0.9 * (covalent_radius(a)? + covalent_radius(b)?))
}

/// Of all pairs of species of a potential.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    pub nearest: Nearest,
    r_cut: f64,
    /// Place of each species in `within`.
    index: [u8; 256],
    n_species: usize,
    /// By pair of species: squares of the distances below which there is anything to do, in Å². Most pairs are beyond.
    within: Vec<f64>,
    of_pair: BTreeMap<[u8; 2], Zbl>,
}

impl Core {
    /// Of a potential of these species. A core begins at the smallest distance in training, but no further out than nearly all bonds
    /// are long: a training set may lack a bond that is as good as any.
    pub fn new(repulsion: Repulsion, nearest: Nearest, species: &[u8], r_cut: f64) -> Self {
        let (mut of_pair, mut within, mut index) = (BTreeMap::new(), Vec::new(), [0; 256]);
        for (k, &a) in species.iter().enumerate() {
            index[usize::from(a)] = k as u8;
            for &b in species {
                let known = nearest.get(a, b);
                within.push(known.unwrap_or(r_cut).powi(2));
                let begins = known.unwrap_or(f64::INFINITY).min(shortest_bond(a, b).unwrap_or(f64::INFINITY));
                if let Repulsion::Zbl { inner, outer } = repulsion
                    && begins.is_finite()
                {
                    of_pair.insert([a, b], Zbl::new([a, b], inner * begins, outer * begins));
                }
            }
        }
        Core { nearest, r_cut, index, n_species: species.len(), within, of_pair }
    }

    /// Of a species of the potential, of which all atoms are: others are refused before.
    fn place(&self, z: u8) -> usize {
        usize::from(self.index[usize::from(z)])
    }

    /// Adds the core of a run to the energies of its centres (½ of each pair) and, if they are there, to dE/dr_ji; notes pairs that
    /// are too near.
    pub fn add(
        &self,
        run: &Run,
        structures: &[Structure],
        energies: &mut [f64],
        mut grad_r: Option<&mut [Vec3]>,
        found: &Found,
    ) {
        let mut k = 0;
        for part in &run.parts {
            let structure = &structures[part.structure];
            let mut worst: Option<ClosePair> = None;
            for i in part.atoms.clone() {
                let a = structure.species[i];
                let within = &self.within[self.n_species * self.place(a)..];
                for pair in run.pairs.of_center(k) {
                    let (j, r_ji) = (run.pairs.atom[pair] as usize, run.pairs.vector[pair]);
                    let (b, r2) = (structure.species[j], dot(r_ji, r_ji));
                    if r2 >= within[self.place(b)] {
                        continue;
                    }
                    let r = r2.sqrt();
                    if let Some(fraction) = self.nearest.fraction(a, b, r, self.r_cut) {
                        let smallest = self.nearest.get(a, b);
                        let close = ClosePair { atoms: [i, j], species: [a, b], distance: r, smallest, fraction };
                        worst = Some(worst.filter(|worst| !close.is_worse_than(worst)).unwrap_or(close));
                    }
                    let (energy, slope) = self.of_pair.get(&[a, b]).map_or((0.0, 0.0), |zbl| zbl.energy(r));
                    if energy > 0.0 {
                        energies[k] += 0.5 * energy;
                        if let Some(grad_r) = grad_r.as_deref_mut() {
                            (0..3).for_each(|d| grad_r[pair][d] += 0.5 * slope * r_ji[d] / r);
                        }
                    }
                }
                k += 1;
            }
            if let Some(close) = worst {
                found.add(part.structure, close);
            }
        }
    }
}

/// Pairs that are too near, the worst of each structure.
#[derive(Debug, Default)]
pub(crate) struct Found(Mutex<BTreeMap<usize, ClosePair>>);

impl Found {
    fn add(&self, structure: usize, close: ClosePair) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let worst = all.entry(structure).or_insert(close);
        if close.is_worse_than(worst) {
            *worst = close;
        }
    }

    /// By structure.
    pub fn into_inner(self) -> BTreeMap<usize, ClosePair> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
