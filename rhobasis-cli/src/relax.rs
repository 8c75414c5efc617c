//! `rhobasis relax`: atoms, and cells, where forces vanish.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rhobasis::extxyz::Reader;
use rhobasis::potential::{RelaxCell, RelaxSettings, Relaxed, relax};
use rhobasis::structure::{Column, ColumnData, Value};
use rhobasis::{Error, Structure};

use crate::driver::{Driver, note_ignored};
use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::Keys;
use crate::predicted::put_labels_aside;
use crate::text::{count, plural};
use crate::trajectory::Trajectory;
use crate::{interrupt, output};

/// Move the atoms of each frame to where forces vanish, and with --cell the cell to where the stress does
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Relax {
    /// File of a potential, *.rho, as 'rhobasis train' writes it
    model: PathBuf,
    /// Extended XYZ file, with an optional slice: data.xyz@0
    data: String,
    /// Extended XYZ file for the relaxed frames: 'energy' in eV, 'forces' in eV/Å, 'stress' in eV/Å³
    #[arg(short, long)]
    output: PathBuf,
    /// Relax the cell too, all of its shape
    #[arg(long)]
    cell: bool,
    /// Pressure to which the cell relaxes, in GPa [default: 0]
    #[arg(long, value_name = "GPA", allow_negative_numbers = true)]
    pressure: Option<f64>,
    #[command(flatten)]
    limits: Limits,
}

/// When atoms and cells are at rest.
#[derive(Args)]
pub struct Limits {
    /// Largest force that may be left on an atom, in eV/Å
    #[arg(long, value_name = "EV/Å", default_value_t = 0.001)]
    fmax: f64,
    /// Largest component of stress + pressure that may be left, in GPa
    #[arg(long, value_name = "GPA", default_value_t = 0.001)]
    smax: f64,
    /// Steps of FIRE after which it is given up
    #[arg(long, value_name = "N", default_value_t = 2000)]
    max_steps: usize,
}

impl Limits {
    /// Of atoms in a cell that is fixed, or relaxes to a pressure in GPa.
    pub fn settings(&self, cell: Option<f64>) -> rhobasis::Result<RelaxSettings> {
        let cell = cell.map(|pressure| RelaxCell { pressure, smax: self.smax });
        let settings = RelaxSettings { fmax: self.fmax, cell, max_steps: self.max_steps };
        settings.validate()?;
        Ok(settings)
    }
}

const EXAMPLE: &str = "\
Example:
  rhobasis relax silicon.rho silicon.xyz@0 --cell -o relaxed.xyz
Example: under pressure
  rhobasis relax silicon.rho silicon.xyz@0 --cell --pressure 10 -o dense.xyz";

/// Keys and columns that are written, and those that would contradict them.
const INFO: [&str; 4] = ["energy", "free_energy", "stress", "virial"];
const COLUMNS: [&str; 5] = ["forces", "force", "energies", "velocities", "momenta"];

impl Relax {
    pub fn files(&self) -> Files {
        Files::reading([&self.model]).and_data([&self.data]).writing("--output", Holds::Frames, [&self.output])
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        if self.pressure.is_some() && !self.cell {
            return Err(Failure::usage("--pressure: the cell is fixed; add --cell, or leave it out"));
        }
        output::check_place(&self.output)?;
        let settings = self.limits.settings(self.cell.then_some(self.pressure.unwrap_or(0.0)))?;
        let driver = Driver::load(&self.model)?;
        let mut reader = Reader::open(&self.data, &Keys::none())?;
        let mut relaxed = Trajectory::begin(&self.output)?;
        let _hold = interrupt::hold();
        while let Some(frame) = reader.next().transpose()? {
            let index = reader.frame_index().unwrap_or(0);
            let file = reader.path().map_or(PathBuf::from(&self.data), PathBuf::from);
            let place = format!("{}, frame {index}", file.display());
            note_ignored(&frame, &place);
            let located = |e: Error| e.at_frame(index).in_file(&file);
            let found = relax(frame, &settings, |structure| match interrupt::pending() {
                true => Err(Error::structure(None, "interrupted", "give the command again")),
                false => driver.evaluate(structure),
            });
            driver.warn(|| place);
            if found.is_err() && interrupt::pending() {
                let frames = plural(relaxed.end().frames, "frame");
                return Err(Failure::Interrupted(format!("{frames} are in {}", self.output.display())));
            }
            let found = found.map_err(located)?;
            if relaxed.end().frames == 0 {
                writeln!(out, "{HEADER}")?;
            }
            writeln!(out, "{}", line(index, &found))?;
            out.flush()?;
            relaxed.add(&labelled(found))?;
        }
        writeln!(out, "wrote {} ({})", self.output.display(), plural(relaxed.end().frames, "frame"))?;
        Ok(())
    }
}

const HEADER: &str = "   frame   steps      energy eV     volume Å³  largest force eV/Å  stress + pressure GPa";

fn line(index: usize, found: &Relaxed) -> String {
    let volume = match found.structure.pbc {
        [true, true, true] => format!("{:.4}", found.structure.volume()),
        _ => "-".into(),
    };
    let smax = found.smax.map_or("-".into(), |smax| format!("{smax:.2e}"));
    let (steps, energy, fmax) = (count(found.steps), found.evaluated.energy, found.fmax);
    format!("{:>8}  {steps:>6}  {energy:>13.6}  {volume:>12}  {fmax:>18.2e}  {smax:>21}", count(index))
}

/// The frame at rest, with what the potential says of it, its own labels under other names.
fn labelled(found: Relaxed) -> Structure {
    let Relaxed { mut structure, evaluated, .. } = found;
    put_labels_aside(&mut structure, &INFO, &COLUMNS);
    structure.info.push(("energy".into(), Value::Real(evaluated.energy)));
    if let Some(virial) = evaluated.virial.filter(|_| structure.pbc == [true; 3]) {
        let stress = virial.as_flattened().iter().map(|w| -w / structure.volume()).collect();
        structure.info.push(("stress".into(), Value::Reals(stress, vec![3, 3])));
    }
    if !structure.is_empty() {
        let data = ColumnData::Reals(evaluated.forces.concat());
        structure.columns.push(Column { name: "forces".into(), width: 3, data });
    }
    structure
}
