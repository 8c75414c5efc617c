//! Model files: safetensors of kind `equivariant-ridge` with everything inside.
//!
//! Tensors (float64): `basis/…` as in a potential, `nice/…` as in a file of NICE, `weights/l{λ}` `[species, channel]`. Metadata:
//! `settings`, `basis`, `nice`, `species`, `baseline`, `alphas`, `condition_numbers` (JSON).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::model::{EquivariantRidge, Fitted};
use super::settings::EquivariantSettings;
use crate::Result;
use crate::correlations::Nice;
use crate::files::{Archive, Stored, damaged};
use crate::optimal::species_of;
use crate::potential::Basis;

const NICE: &str = "nice";

impl Stored for EquivariantRidge {
    const KIND: &'static str = "equivariant-ridge";

    fn archive(&self) -> Archive {
        let mut archive = Archive::default();
        let note = self.basis.store(&mut archive);
        self.nice.store(&mut archive, NICE);
        for (lambda, weights) in self.settings.target.lambdas().iter().zip(&self.weights) {
            archive.insert(name_of_weights(*lambda), weights);
        }
        archive.note("settings", &self.settings);
        archive.note("basis", &note);
        archive.note("species", &self.species);
        archive.note("baseline", &self.baseline);
        archive.note("alphas", &self.alphas);
        let finite: Vec<Option<f64>> =
            self.condition_numbers.iter().map(|c| Some(*c).filter(|c| c.is_finite())).collect();
        archive.note("condition_numbers", &finite);
        archive
    }

    fn from_archive(mut archive: Archive, path: &Path) -> Result<Self> {
        let settings: EquivariantSettings = archive.json(path, "settings")?;
        settings.validate().map_err(|e| damaged(path, format!("settings that make no model ({e})")))?;
        let species = species_of(&archive, path)?;
        let basis = Basis::restore(&mut archive, path)?;
        let nice = Arc::new(Nice::restore(&archive, path, NICE)?);
        let (expansion, lambdas) = (basis.expansion(), settings.target.lambdas());
        let tensors = nice.tensors(expansion.keys(), expansion.channels(), lambdas).map_err(|e| damaged(path, e))?;
        let of = |(lambda, n): (&usize, usize)| archive.array_of(path, &name_of_weights(*lambda), (species.len(), n));
        let weights = lambdas.iter().zip(tensors.n_channels()).map(of).collect::<Result<Vec<_>>>()?;
        let baseline: BTreeMap<u8, f64> = archive.json(path, "baseline")?;
        let expected = if lambdas[0] == 0 { &species[..] } else { &[] };
        if !baseline.keys().eq(expected) {
            return Err(damaged(path, "the baseline is not that of its species"));
        }
        let alphas: Vec<f64> = archive.json(path, "alphas")?;
        let conditions: Vec<Option<f64>> = archive.json(path, "condition_numbers")?;
        if alphas.len() != lambdas.len() || conditions.len() != lambdas.len() || alphas.iter().any(|a| *a < 0.0) {
            return Err(damaged(path, format!("{} regularisers for {} degrees", alphas.len(), lambdas.len())));
        }
        let condition_numbers = conditions.into_iter().map(|c| c.unwrap_or(f64::INFINITY)).collect();
        let fitted = Fitted { species, baseline, weights, alphas, condition_numbers };
        Ok(EquivariantRidge::new(basis, nice, Arc::new(tensors), settings, fitted))
    }
}

fn name_of_weights(lambda: usize) -> String {
    format!("weights/l{lambda}")
}
