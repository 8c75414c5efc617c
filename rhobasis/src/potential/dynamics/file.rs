//! Dynamics that go on later, with the same bits: files of kind `dynamics`.
//!
//! Tensors: `positions`, `velocities`, `forces` `[atom, 3]`, `cell` and, if known, `virial` `[3, 3]`; `energy`, `exchanged` `[1]`;
//! `spare` `[1]` of a random number that is still to be used; `watch` `[4]`. Metadata: `step`, `random` (JSON).

use std::path::Path;

use ndarray::{Array1, Array2, ArrayView1};

use super::evaluated::{Evaluate, Evaluated};
use super::run::Dynamics;
use super::settings::DynamicsSettings;
use super::watch::Watch;
use crate::Result;
use crate::files::{Archive, count, damaged};
use crate::random::Random;
use crate::structure::{Structure, Vec3};

impl<'a> Dynamics<'a> {
    /// Everything that the next steps depend on, but settings, species, periodicity, and what `evaluate` knows.
    pub fn archive(&self) -> Archive {
        let mut archive = Archive::default();
        let rows =
            |rows: &[Vec3]| Array2::from_shape_vec((rows.len(), 3), rows.concat()).expect("three numbers in each row");
        let Structure { positions, cell, .. } = &self.structure;
        for (name, of) in
            [("positions", &positions[..]), ("velocities", &self.velocities), ("forces", &self.here.forces)]
        {
            archive.insert(name, &rows(of));
        }
        archive.insert("cell", &rows(cell));
        if let Some(virial) = &self.here.virial {
            archive.insert("virial", &rows(virial));
        }
        let mut numbers = |name: &str, numbers: &[f64]| archive.insert(name, ArrayView1::from(numbers));
        numbers("energy", &[self.here.energy]);
        numbers("exchanged", &[self.exchanged]);
        let (state, spare) = self.random.state();
        if let Some(spare) = spare {
            numbers("spare", &[spare]);
        }
        if let Some(Watch { temperature, volume, since, conserved }) = self.watch {
            numbers("watch", &[temperature, volume, since as f64, conserved]);
        }
        archive.note("step", &self.step);
        archive.note("random", &state);
        archive
    }

    /// Dynamics of these atoms, wherever they are, from where [`Dynamics::archive`] was taken: with the same settings, and an
    /// `evaluate` that gives the same bits, they go on with the same bits.
    ///
    /// # Errors
    /// As [`Dynamics::new`], and if the archive is not of such a structure; `path` names it.
    pub fn resumed<R: Into<Evaluated>>(
        mut structure: Structure,
        settings: &DynamicsSettings,
        archive: &Archive,
        path: &Path,
        mut evaluate: impl FnMut(&Structure) -> Result<R> + 'a,
    ) -> Result<Self> {
        settings.validate()?;
        let evaluate: Evaluate<'a> = Box::new(move |structure| evaluate(structure).map(Into::into));
        let rows = |name: &str, n: usize| -> Result<Vec<Vec3>> {
            let array: Array2<f64> = archive.array_of(path, name, (n, 3))?;
            Ok(array.rows().into_iter().map(|row| [row[0], row[1], row[2]]).collect())
        };
        let square = |name: &str| -> Result<[Vec3; 3]> { Ok(rows(name, 3)?.try_into().expect("three rows")) };
        let number = |name: &str| -> Result<f64> { Ok(archive.array_of::<_>(path, name, 1)?[0]) };
        let n = structure.len();
        let virial = archive.tensors.contains_key("virial").then(|| square("virial")).transpose()?;
        let here = Evaluated { energy: number("energy")?, forces: rows("forces", n)?, virial };
        if settings.barostat.is_some() && here.virial.is_none() {
            return Err(damaged(path, "it has no virial, which a barostat needs"));
        }
        (structure.positions, structure.cell) = (rows("positions", n)?, square("cell")?);
        structure.validate().map_err(|e| damaged(path, e))?;
        let mut dynamics = Dynamics::at_rest(structure, settings, here, evaluate)?;
        dynamics.velocities = rows("velocities", n)?;
        dynamics.exchanged = number("exchanged")?;
        dynamics.step = count(path, "step", archive.json(path, "step")?)?;
        let spare = archive.tensors.contains_key("spare").then(|| number("spare")).transpose()?;
        dynamics.random = Random::of_state(archive.json(path, "random")?, spare);
        if archive.tensors.contains_key("watch") {
            let watch: Array1<f64> = archive.array_of(path, "watch", 4)?;
            let since = count(path, "watch", watch[2])?.min(dynamics.step);
            dynamics.watch = Some(Watch { temperature: watch[0], volume: watch[1], since, conserved: watch[3] });
        }
        Ok(dynamics)
    }
}
