//! Where a run begins, and with which velocities.

use std::path::PathBuf;

use rhobasis::extxyz::Reader;
use rhobasis::potential::{AMU_A2_FS2, Dynamics};
use rhobasis::structure::{ColumnData, Vec3, mass};
use rhobasis::{Error, Result, Structure};

use crate::driver::note_ignored;
use crate::input::Keys;

/// The first frame of the data, repeated.
pub struct Start {
    pub structure: Structure,
    /// Its velocities in Å/fs, and from which column.
    pub velocities: Option<(Vec<Vec3>, &'static str)>,
    /// Whether it is repeated: copies of atoms would move in step.
    pub repeated: bool,
    pub file: PathBuf,
    pub frame: usize,
}

impl Start {
    pub fn read(data: &str, times: [usize; 3]) -> Result<Self> {
        let mut reader = Reader::open(data, &Keys::none())?;
        let Some(frame) = reader.next().transpose()? else {
            return Err(Error::file(data, "no frame is selected", "change the slice after the '@'"));
        };
        let index = reader.frame_index().unwrap_or(0);
        let file = reader.path().map_or(data.into(), PathBuf::from);
        let located = |e: Error| e.at_frame(index).in_file(&file);
        let velocities = velocities(&frame).map_err(located)?;
        let structure = frame.repeated(times).map_err(located)?;
        let start = Start { structure, velocities, repeated: times != [1; 3], frame: index, file };
        note_ignored(&frame, &start.place());
        Ok(start)
    }

    pub fn place(&self) -> String {
        format!("{}, frame {}", self.file.display(), self.frame)
    }

    /// Gives atoms their velocities: those of the frame, unless a temperature is asked for; says which.
    pub fn set_in_motion(&self, dynamics: &mut Dynamics, asked: Option<f64>, usual: f64) -> Result<String> {
        let drawn = asked.unwrap_or(usual);
        let Some((velocities, column)) = self.velocities.as_ref().filter(|_| asked.is_none() && !self.repeated) else {
            dynamics.thermalize(drawn)?;
            let instead = match &self.velocities {
                None => String::new(),
                Some((_, column)) if self.repeated => {
                    format!("; '{column}' of the frame is left out, as copies of atoms would move in step")
                }
                Some((_, column)) => format!("; '{column}' of the frame is left out, as --temperature is given"),
            };
            return Ok(format!("drawn at {drawn} K{instead}"));
        };
        dynamics.set_velocities(velocities.clone())?;
        let kinetic = dynamics.state().kinetic;
        let drift: f64 = dynamics.centre_velocity().iter().map(|v| v * v).sum::<f64>().sqrt();
        let unit = if *column == "momenta" { "momenta of ASE" } else { "in Å/fs" };
        let mut said = format!("'{column}' of the frame ({unit})");
        if drift > 1e-9 {
            dynamics.rest();
            said += &format!(", less the motion of the centre of mass, {drift:.2e} Å/fs");
        }
        let state = dynamics.state();
        if state.kinetic < 0.5 * kinetic {
            said += ", which was most of it";
        }
        Ok(format!("{said}: {:.1} K", state.temperature))
    }
}

/// What a frame says of the motion of its atoms, in Å/fs: `velocities`, which is in Å/fs as we write it, or `momenta` of ASE.
///
/// # Errors
/// If a column is no vectors, or the two contradict each other.
fn velocities(frame: &Structure) -> Result<Option<(Vec<Vec3>, &'static str)>> {
    let (own, of_ase) = (vectors(frame, "velocities")?, vectors(frame, "momenta")?);
    let of_ase = of_ase.map(|momenta| {
        let speed = |(p, z): (&Vec3, &u8)| p.map(|p| p / (mass(*z).unwrap_or(1.0) * AMU_A2_FS2.sqrt()));
        momenta.iter().zip(&frame.species).map(speed).collect::<Vec<_>>()
    });
    if let (Some(own), Some(of_ase)) = (&own, &of_ase) {
        let fastest = own.iter().flatten().fold(0.0_f64, |most, v| most.max(v.abs()));
        let apart = |(a, b): (&Vec3, &Vec3)| (0..3).any(|d| (a[d] - b[d]).abs() > 1e-3 * fastest + 1e-12);
        if let Some(atom) = own.iter().zip(of_ase).position(apart) {
            let problem = "'velocities' (Å/fs) and 'momenta' (of ASE) contradict each other";
            return Err(Error::structure(Some(atom), problem, "remove one of the columns, or give --temperature"));
        }
    }
    Ok(own.map(|own| (own, "velocities")).or(of_ase.map(|of_ase| (of_ase, "momenta"))))
}

fn vectors(frame: &Structure, name: &str) -> Result<Option<Vec<Vec3>>> {
    let Some(column) = frame.column(name) else { return Ok(None) };
    let numbers: Vec<f64> = match &column.data {
        ColumnData::Reals(numbers) => numbers.clone(),
        ColumnData::Ints(numbers) => numbers.iter().map(|&n| n as f64).collect(),
        _ => Vec::new(),
    };
    if column.width != 3 || numbers.len() != 3 * frame.len() || !numbers.iter().all(|x| x.is_finite()) {
        let problem = format!("the column '{name}' is not three finite numbers for each atom");
        return Err(Error::structure(None, problem, "repair it, or remove the column"));
    }
    Ok(Some(numbers.chunks_exact(3).map(|v| [v[0], v[1], v[2]]).collect()))
}
