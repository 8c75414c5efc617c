//! A step of a run, in a table and in a file.

use rhobasis::Structure;
use rhobasis::potential::{AMU_A2_FS2, Dynamics, DynamicsState};
use rhobasis::structure::{Column, ColumnData, Value, Vec3, mass};

use crate::predicted::{EXTRAPOLATION, MAX_EXTRAPOLATION};

/// Head of the table.
pub fn header(with_cell: bool, with_extrapolation: bool) -> String {
    let cell = if with_cell { "    volume Å³  pressure GPa" } else { "" };
    let extrapolation = if with_extrapolation { "  extrapolation" } else { "" };
    format!("   time fs     potential eV       kinetic eV  temperature K     conserved eV{cell}{extrapolation}")
}

/// A row of it; of the extrapolations of atoms, if they are known, the largest.
pub fn line(state: &DynamicsState, volume: Option<f64>, extrapolation: &[f64]) -> String {
    let DynamicsState { time, potential, kinetic, temperature, conserved, .. } = state;
    let mut line = format!("{time:>10.2}  {potential:>15.6}  {kinetic:>15.6}  {temperature:>13.2}  {conserved:>15.6}");
    let pressure = state.pressure.unwrap_or(0.0);
    if let Some(volume) = volume {
        line += &format!("  {volume:>11.3}  {pressure:>12.4}");
    }
    if !extrapolation.is_empty() {
        line += &format!("  {:>13.3}", largest(extrapolation));
    }
    line
}

fn largest(of_atoms: &[f64]) -> f64 {
    of_atoms.iter().copied().fold(0.0, f64::max)
}

/// A frame of the trajectory: `velocities` in Å/fs, `momenta` in the unit of ASE, amu Å over √(amu Å²/eV), and the extrapolation of
/// atoms if it is known.
pub fn snapshot(dynamics: &Dynamics, state: &DynamicsState, extrapolation: &[f64]) -> Structure {
    let mut frame = dynamics.structure().clone();
    let momentum = |(v, z): (&Vec3, &u8)| v.map(|v| v * mass(*z).unwrap_or(0.0) * AMU_A2_FS2.sqrt());
    let momenta: Vec<Vec3> = dynamics.velocities().iter().zip(&frame.species).map(momentum).collect();
    let column =
        |name: &str, rows: &[Vec3]| Column { name: name.into(), width: 3, data: ColumnData::Reals(rows.concat()) };
    let here = dynamics.evaluated();
    frame.columns =
        vec![column("velocities", dynamics.velocities()), column("momenta", &momenta), column("forces", &here.forces)];
    let numbers = [
        ("time_fs", state.time),
        ("energy", state.potential),
        ("kinetic_energy", state.kinetic),
        ("temperature", state.temperature),
        ("conserved_energy", state.conserved),
    ];
    frame.info = numbers.map(|(key, x)| (key.to_string(), Value::Real(x))).to_vec();
    if let Some(virial) = here.virial.filter(|_| frame.pbc == [true; 3]) {
        let stress = virial.as_flattened().iter().map(|w| -w / frame.volume()).collect();
        frame.info.push(("stress".into(), Value::Reals(stress, vec![3, 3])));
    }
    if !extrapolation.is_empty() {
        let data = ColumnData::Reals(extrapolation.to_vec());
        frame.columns.push(Column { name: EXTRAPOLATION.into(), width: 1, data });
        frame.info.push((MAX_EXTRAPOLATION.into(), Value::Real(largest(extrapolation))));
    }
    if let Some(pressure) = state.pressure {
        frame.info.push(("pressure_gpa".into(), Value::Real(pressure)));
    }
    frame
}
