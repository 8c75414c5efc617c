//! What is told of whole frames beside their features: numbers of atoms, energies, the species there are.

use rhobasis::density::check_centers_occur;
use rhobasis::extxyz::{Chunk, LabelKeys, LabelSurvey, Options, SourceFile};
use rhobasis::structure::symbol;
use rhobasis::{Error, Result};

use crate::label_keys::Named;
use crate::labelled::labels_of;
use crate::npy::Array;
use crate::text::{count, warn};

/// Of all frames that were read, in order.
pub struct OfFrames {
    options: Options,
    survey: LabelSurvey,
    n_atoms: Vec<i64>,
    /// In eV; NaN where a frame has none.
    energies: Vec<f64>,
    species: [bool; 256],
}

impl OfFrames {
    /// With energies under this key, or the usual one; an empty one leaves them out.
    pub fn new(energy_key: Option<&str>) -> Self {
        let none = Some(String::new());
        let energy_key = energy_key.map(str::to_string);
        let keys = LabelKeys { energy_key, force_key: none.clone(), stress_key: none.clone(), virial_key: none };
        OfFrames {
            options: keys.options(true),
            survey: LabelSurvey::new(&keys),
            n_atoms: Vec::new(),
            energies: Vec::new(),
            species: [false; 256],
        }
    }

    pub fn add(&mut self, chunk: &Chunk) -> Result<()> {
        let labels = labels_of(chunk, &self.options, &mut self.survey).map_err(|e| match e {
            Error::Structure { place, problem, remedy } => {
                Error::Structure { place, problem, remedy: remedy + "; --energy-key \"\" leaves energies out" }
            }
            e => e,
        })?;
        self.energies.extend(labels.iter().map(|said| said.energy.unwrap_or(f64::NAN)));
        for structure in &chunk.structures {
            self.n_atoms.push(structure.len() as i64);
            structure.species.iter().for_each(|&z| self.species[usize::from(z)] = true);
        }
        Ok(())
    }

    /// Refuses a key that is named and nowhere, and centres of which there are none; says what is missing in part.
    pub fn check(&self, centers: Option<&[u8]>, files: &[SourceFile]) -> Result<()> {
        Named::ByFlags(files).check_named(&self.survey)?;
        let without = self.energies.iter().filter(|energy| energy.is_nan()).count();
        if self.has_energies() && without > 0 {
            warn(format!("{} of {} frames have no energy: NaN", count(without), count(self.energies.len())));
        }
        let Some(centers) = centers else { return Ok(()) };
        let occurring: Vec<u8> = (0..=255).filter(|&z| self.species[usize::from(z)]).collect();
        if !centers.iter().any(|z| occurring.contains(z)) {
            return check_centers_occur(centers, &occurring);
        }
        for &z in centers.iter().filter(|z| !occurring.contains(z)) {
            warn(format!("--centers: no atom is {}", symbol(z)));
        }
        Ok(())
    }

    fn has_energies(&self) -> bool {
        self.energies.iter().any(|energy| !energy.is_nan())
    }

    /// `n_atoms`, unless rows say it, and `energy`, if there is one: numbers of frames.
    pub fn arrays(&self, rows_are_frames: bool) -> Vec<Array> {
        let n_atoms = (!rows_are_frames).then(|| Array::integers("n_atoms", None, &self.n_atoms));
        let energy = self.has_energies().then(|| Array::reals("energy", &self.energies));
        n_atoms.into_iter().chain(energy).collect()
    }
}
