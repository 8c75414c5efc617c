//! Runs that go on later, to the same bits.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use ndarray::Array2;
use rhobasis::files::Archive;
use rhobasis::potential::{Drift, Dynamics};
use rhobasis::structure::Vec3;
use rhobasis::{Error, Result, Structure};

use super::doubt::{Doubt, DoubtState};
use super::sums::Sums;
use crate::checkpoint::seconds;
use crate::driver::Driver;
use crate::input::note_on;
use crate::trajectory::{End, Trajectory};

/// `kind` of these files.
pub const KIND: &str = "dynamics";

#[derive(Args)]
pub struct MdCheckpoint {
    /// Write the state of the run to FILE from time to time, when it is interrupted and at its end, and go on from it if it is
    /// there: the same command, or one with more --steps, gives the same bits as a run in one piece
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Time between two checkpoints, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, requires = "checkpoint")]
    pub checkpoint_every: Duration,
}

/// What a checkpoint is of: by name, so that what differs can be named.
pub type Identity = serde_json::Map<String, serde_json::Value>;

/// A checkpoint that is written again and again.
pub struct Checkpoint {
    pub path: PathBuf,
    every: Duration,
    last: Instant,
    identity: Identity,
}

/// What a run goes on from.
pub struct Resumed {
    pub archive: Archive,
    pub sums: Sums,
    pub trajectory: Option<End>,
    pub doubt: Option<DoubtState>,
}

impl Checkpoint {
    pub fn of(flags: &MdCheckpoint, identity: Identity) -> Option<Self> {
        let path = flags.checkpoint.clone()?;
        Some(Checkpoint { path, every: flags.checkpoint_every, last: Instant::now(), identity })
    }

    /// Whether it is time for the next one.
    pub fn is_due(&self) -> bool {
        self.last.elapsed() >= self.every
    }

    /// Writes the state of a run between two steps.
    pub fn write(
        &mut self,
        dynamics: &Dynamics,
        driver: &Driver,
        sums: &Sums,
        trajectory: Option<&Trajectory>,
        doubt: Option<&Doubt>,
    ) -> Result<()> {
        let mut archive = dynamics.archive();
        if let Some((positions, cell)) = driver.list_of() {
            archive.insert("list", &rows(&positions));
            archive.insert("list_cell", &rows(&cell));
        }
        archive.insert("sums", &sums.to_array());
        archive.note("trajectory", &trajectory.map(Trajectory::end));
        archive.note("doubt", &doubt.map(Doubt::state));
        archive.note("identity", &self.identity);
        archive.write(&self.path, KIND)?;
        self.last = Instant::now();
        Ok(())
    }

    /// What an earlier run has left, if it has; `start` has its species, and the driver gets its list.
    ///
    /// # Errors
    /// If it is of another run, or damaged.
    pub fn resume(&self, start: &Structure, driver: &Driver) -> Result<Option<Resumed>> {
        let path = &self.path;
        if !path.exists() {
            return Ok(None);
        }
        let archive = Archive::read(path, KIND)?;
        note_on(path);
        let found: Identity = archive.json(path, "identity")?;
        let differs = |name: &&String| found.get(*name) != self.identity.get(*name);
        if let Some(name) = self.identity.keys().chain(found.keys()).find(differs) {
            let shown = |of: &Identity| of.get(name).map_or("none".into(), ToString::to_string);
            let problem = format!("is of a run with another {name} ({}, now {})", shown(&found), shown(&self.identity));
            return Err(Error::file(path, problem, "restore it, or name another file to begin anew"));
        }
        if archive.tensors.contains_key("list") {
            let positions = vectors(&archive.array_of(path, "list", (start.len(), 3))?);
            let cell = vectors(&archive.array_of(path, "list_cell", (3, 3))?);
            let cell = cell.try_into().expect("three rows");
            driver.list_for(&Structure { positions, cell, ..start.clone() })?;
        }
        let sums: Array2<f64> = archive.array_of(path, "sums", (Sums::N, 6))?;
        let of = |k: usize| Drift::from_array(std::array::from_fn(|i| sums[[k, i]]));
        let sums = Sums::from_drifts(std::array::from_fn(of));
        let (trajectory, doubt) = (archive.json(path, "trajectory")?, archive.json(path, "doubt")?);
        Ok(Some(Resumed { archive, sums, trajectory, doubt }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn rows(rows: &[Vec3]) -> Array2<f64> {
    Array2::from_shape_vec((rows.len(), 3), rows.concat()).expect("three numbers in each row")
}

fn vectors(rows: &Array2<f64>) -> Vec<Vec3> {
    rows.rows().into_iter().map(|row| [row[0], row[1], row[2]]).collect()
}
