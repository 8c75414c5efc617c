//! What a proposal rests on: species, distances, labels and how much they vary.

use std::collections::BTreeMap;

use rhobasis::density::species_of;
use rhobasis::extxyz::Labels;
use rhobasis::neighbors::NeighborList;
use rhobasis::potential::{config_type, is_free_atom, of_compositions};
use rhobasis::{Error, Result, Structure};

use crate::labelled::LabelledFrames;

/// Distances are looked at up to this one, in Å: no cutoff that is proposed is larger.
pub const REACH: f64 = 6.0;
/// Width of the classes in which distances are counted, in Å.
const CLASS: f64 = 0.05;
/// Atoms whose distances, and whose density, are looked at: those of frames spread evenly over the data.
const DISTANCES_OF: usize = 20_000;
const DENSITY_OF: usize = 2_000;
/// Of the components of forces and stresses, the part that is not taken for outliers.
const USUAL: f64 = 0.99;

/// What was found in a data set.
pub struct Found {
    pub n_frames: usize,
    pub n_atoms: usize,
    pub species: Vec<u8>,
    /// Frames with an energy, with forces, with a stress.
    pub energies: usize,
    pub forces: usize,
    pub stresses: usize,
    pub distances: Distances,
    /// Whether each species has a frame of one atom alone, with its energy.
    pub free_atoms: bool,
    /// Half of what lies between the 16th and the 84th hundredth of energies per atom, less what compositions explain, in eV.
    pub energy_spread: f64,
    /// Root mean square of a component, without the largest hundredth, in eV/Å and eV/Å³.
    pub force_size: f64,
    pub stress_size: f64,
    /// Frames of each config_type, where there are several.
    pub types: BTreeMap<String, usize>,
    /// Frames spread evenly over the data.
    pub some: Vec<Structure>,
}

/// Distances of atoms, of all species.
pub struct Distances {
    /// Pairs in each class, from both sides.
    counts: Vec<usize>,
    n_atoms: usize,
    /// Median distance of the nearest neighbour, of the species where it is shortest, in Å.
    pub nearest: f64,
    pub nearest_of: u8,
}

impl Distances {
    fn of(frames: &[Structure]) -> Result<Self> {
        let mut counts = vec![0; (REACH / CLASS).round() as usize];
        let mut nearest: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
        for frame in frames {
            let list = NeighborList::new(frame, REACH)?;
            for (i, &z) in frame.species.iter().enumerate() {
                let mut shortest = f64::INFINITY;
                for vector in &list.vector[list.pairs(i)] {
                    let r = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
                    let class = ((r / CLASS) as usize).min(counts.len() - 1);
                    counts[class] += 1;
                    shortest = shortest.min(r);
                }
                if shortest.is_finite() {
                    nearest.entry(z).or_default().push(shortest);
                }
            }
        }
        let medians = nearest.into_iter().map(|(z, mut r)| (quantile(&mut r, 0.5), z));
        let Some((nearest, nearest_of)) = medians.min_by(|a, b| a.0.total_cmp(&b.0)) else {
            let problem = format!("no two atoms are within {REACH} Å of each other, so there is nothing to learn");
            return Err(Error::setting("DATA", "atoms alone", problem, "give frames of several atoms"));
        };
        Ok(Distances { counts, n_atoms: frames.iter().map(Structure::len).sum(), nearest, nearest_of })
    }

    /// Within which distance an atom has so many neighbours on average, in Å, if it is within reach.
    pub fn of_neighbors(&self, n: usize) -> Option<f64> {
        self.end_of(n * self.n_atoms)
    }

    /// Within which distance this part of the pairs lie, in Å.
    pub fn of_pairs(&self, part: f64) -> f64 {
        let all: usize = self.counts.iter().sum();
        self.end_of((part * all as f64).ceil() as usize).unwrap_or(REACH)
    }

    /// How many neighbours an atom has within a distance on average.
    pub fn neighbors_within(&self, r: f64) -> f64 {
        let classes = ((r / CLASS).round() as usize).min(self.counts.len());
        self.counts[..classes].iter().sum::<usize>() as f64 / self.n_atoms.max(1) as f64
    }

    fn end_of(&self, pairs: usize) -> Option<f64> {
        let mut sum = 0;
        let class = self.counts.iter().position(|n| {
            sum += n;
            sum >= pairs
        })?;
        Some((class + 1) as f64 * CLASS)
    }
}

impl Found {
    pub fn of(data: &LabelledFrames) -> Result<Self> {
        let LabelledFrames { frames, labels, .. } = data;
        let species = species_of(frames);
        let has = |what: fn(&Labels) -> bool| labels.iter().filter(|l| what(l)).count();
        let labelled = || frames.iter().zip(labels);
        let alone = |z: u8| {
            let mut of_one = labelled().filter(|(frame, l)| frame.species == [z] && l.energy.is_some());
            of_one.any(|(frame, _)| is_free_atom(frame, REACH))
        };
        let mut types = BTreeMap::new();
        frames.iter().for_each(|frame| *types.entry(config_type(frame).to_string()).or_insert(0) += 1);
        let mut forces: Vec<f64> =
            labels.iter().filter_map(|l| l.forces.as_ref()).flatten().flatten().map(|f| f.abs()).collect();
        let mut stresses: Vec<f64> =
            labels.iter().filter_map(|l| l.stress.as_ref()).flatten().flatten().map(|s| s.abs()).collect();
        Ok(Found {
            n_frames: frames.len(),
            n_atoms: frames.iter().map(Structure::len).sum(),
            energies: has(|l| l.energy.is_some()),
            forces: has(|l| l.forces.is_some()),
            stresses: has(|l| l.stress.is_some()),
            distances: Distances::of(&some_of(frames, DISTANCES_OF)).map_err(|e| data.locate(e))?,
            free_atoms: species.iter().all(|&z| alone(z)),
            energy_spread: energy_spread(labelled(), &species),
            force_size: usual_size(&mut forces),
            stress_size: usual_size(&mut stresses),
            types,
            some: some_of(frames, DENSITY_OF),
            species,
        })
    }
}

/// Frames of two atoms or more, spread evenly, until there are so many atoms.
fn some_of(frames: &[Structure], n_atoms: usize) -> Vec<Structure> {
    let several: Vec<&Structure> = frames.iter().filter(|frame| frame.len() > 1).collect();
    let all: usize = several.iter().map(|frame| frame.len()).sum();
    let step = all.div_ceil(n_atoms).max(1);
    several.into_iter().step_by(step).cloned().collect()
}

/// Half of what lies between the 16th and the 84th hundredth of residuals of energies per atom: a standard deviation that a few
/// frames far off do not change.
fn energy_spread<'a>(data: impl Iterator<Item = (&'a Structure, &'a Labels)>, species: &[u8]) -> f64 {
    let energies: Vec<(&Structure, f64)> =
        data.filter(|(frame, _)| frame.len() > 1).filter_map(|(frame, l)| Some((frame, l.energy?))).collect();
    let of_atom = of_compositions(energies.iter().copied(), species);
    let residual = |(frame, energy): &(&Structure, f64)| {
        (energy - frame.species.iter().map(|z| of_atom[z]).sum::<f64>()) / frame.len() as f64
    };
    let mut residuals: Vec<f64> = energies.iter().map(residual).collect();
    (quantile(&mut residuals, 0.84) - quantile(&mut residuals, 0.16)) / 2.0
}

/// Root mean square of magnitudes without the largest ones.
fn usual_size(magnitudes: &mut [f64]) -> f64 {
    let most = quantile(magnitudes, USUAL);
    let usual = || magnitudes.iter().filter(|x| **x <= most);
    (usual().map(|x| x * x).sum::<f64>() / usual().count().max(1) as f64).sqrt()
}

/// The value below which this part of them lie; zero of none.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let k = ((values.len() - 1) as f64 * part).round() as usize;
    *values.select_nth_unstable_by(k, f64::total_cmp).1
}
