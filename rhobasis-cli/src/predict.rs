//! `rhobasis predict`: energies, forces and stress of structures.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use rhobasis::potential::{Potential, Prediction, Quantity};
use rhobasis::structure::{Column, ColumnData, Value};
use rhobasis::{Result, Structure};

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::load;
use crate::predicted::{
    self, ENERGY_INTERVAL, ENERGY_STD, EXTRAPOLATION, FORCES_INTERVAL, FORCES_STD, MAX_EXTRAPOLATION, put_labels_aside,
};
use crate::text::warn;
use crate::{output, tensors};

/// Predict energies, forces and stress of structures, or their dipoles or polarisabilities, and write them as extended XYZ
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Predict {
    /// File of a potential or of a model of dipoles or polarisabilities, *.rho, as 'rhobasis train' writes it
    model: PathBuf,
    /// Extended XYZ files, plain or packed, each with an optional slice: data.xyz@:1000
    #[arg(required = true)]
    data: Vec<String>,
    /// Extended XYZ file to write; .gz, .zst and .xz are packed. 'energy' in eV, 'forces' in eV/Å, 'energies' of atoms in eV,
    /// and 'stress' in eV/Å³ of frames that are periodic in all directions. What a frame had under such a name is kept as
    /// 'reference_energy', 'reference_forces', …; in a frame that has such names already, older predictions are replaced. With
    /// a model of a tensor, 'dipole' in eÅ, or 'polarizability'
    #[arg(short, long)]
    output: PathBuf,
    /// Add how far off predictions may be: 'energy_std' in eV and the column 'forces_std' in eV/Å, standard deviations by the posterior
    /// of the model, calibrated by frames that were left out of the fit; and the column 'extrapolation', above 1 for atoms outside of what
    /// was trained on, with the largest of each frame as 'max_extrapolation'. It takes tens of times as long as forces
    #[arg(long)]
    uncertainty: bool,
    /// Add half widths of intervals that hold this PART of the errors, whatever their distribution (conformal, by frames that were left
    /// out of the fit): 'energy_interval' in eV, and the column 'forces_interval' in eV/Å
    #[arg(long, value_name = "PART", requires = "uncertainty", value_parser = part)]
    interval: Option<f64>,
    /// Of a model of a tensor, add its derivatives by the positions as a column: 'born_charges', ∂μ_α/∂r_β of dipoles in e, nine
    /// numbers for each atom, α slowest; 'polarizability_derivatives', 27 numbers
    #[arg(long)]
    derivatives: bool,
}

const EXAMPLE: &str = "\
Example:
  rhobasis predict silicon.rho new.xyz -o predicted.xyz
Example: and how far off it may be
  rhobasis predict silicon.rho new.xyz -o predicted.xyz --uncertainty
Example: and within which bounds nine of ten errors lie
  rhobasis predict silicon.rho new.xyz -o predicted.xyz --uncertainty --interval 0.9
Example: from a file of any program that ASE reads
  ase convert relax.traj relax.xyz && rhobasis predict silicon.rho relax.xyz -o predicted.xyz";

/// Keys and columns that are written, and those that would contradict them.
const INFO: [&str; 7] = ["energy", "free_energy", "stress", "virial", ENERGY_STD, ENERGY_INTERVAL, MAX_EXTRAPOLATION];
const COLUMNS: [&str; 6] = ["forces", "force", "energies", FORCES_STD, FORCES_INTERVAL, EXTRAPOLATION];

fn part(text: &str) -> std::result::Result<f64, String> {
    let part = text.parse().ok().filter(|part| (0.0..1.0).contains(part) && *part > 0.0);
    part.ok_or_else(|| "give a number between 0 and 1, as 0.9".into())
}

/// What one frame's predictions may be off by, and its atoms' extrapolation, of potentials that know it.
struct Doubt {
    energy_variance: f64,
    forces: Vec<[f64; 3]>,
    extrapolation: Option<Vec<f64>>,
}

/// How many standard deviations the intervals are wide to either side: of energies, and of forces where the potential knows them.
#[derive(Clone, Copy)]
struct Widths {
    energy: Option<f64>,
    force: Option<f64>,
}

impl Widths {
    /// # Errors
    /// If it knows neither.
    fn of(potential: &Potential, part: f64) -> Result<Self> {
        let energy = potential.interval(Quantity::Energy, part);
        let force = potential.interval(Quantity::Force, part);
        if force.is_err() {
            return energy.map(|energy| Widths { energy: Some(energy), force: None });
        }
        let energy = energy.inspect_err(|e| warn(format!("{e}; energies get no interval")));
        Ok(Widths { energy: energy.ok(), force: force.ok() })
    }
}

impl Predict {
    pub fn files(&self) -> Files {
        Files::reading([&self.model]).and_data(&self.data).writing("--output", Holds::Frames, [&self.output])
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        output::check_place(&self.output)?;
        if tensors::is_model(&self.model) {
            if self.uncertainty {
                return Err(Failure::usage("--uncertainty: a model of a tensor gives none: leave it out"));
            }
            return tensors::predict(&self.model, &self.data, &self.output, self.derivatives, out);
        }
        if self.derivatives {
            return Err(Failure::usage("--derivatives: a potential gives forces and stress in any case: leave it out"));
        }
        let potential: Potential = load(&self.model)?;
        if self.uncertainty {
            warn_if_uncalibrated(&potential, &self.model);
        }
        let widths = self.interval.map(|part| Widths::of(&potential, part)).transpose();
        let widths = widths.map_err(|e| e.in_file(&self.model))?;
        let predict = |part: &[Structure]| {
            let predictions = potential.predict(part, true)?;
            let doubts = match self.uncertainty {
                true => doubts(&potential, part)?.into_iter().map(Some).collect(),
                false => part.iter().map(|_| None).collect::<Vec<_>>(),
            };
            let frames = part.iter().zip(predictions).zip(doubts);
            frames
                .map(|((structure, prediction), doubt)| {
                    let close = prediction.close;
                    Ok((labelled(structure.clone(), prediction, doubt, widths)?, close))
                })
                .collect()
        };
        predicted::write([&self.model, &self.output], &self.data, predict, out)
    }
}

/// Says so where deviations are known to be far too small.
fn warn_if_uncalibrated(potential: &Potential, model: &Path) {
    let why = match potential.calibration() {
        Some(calibration) if calibration.is_known() => return,
        Some(_) => "too few frames could be left out of its fit",
        None => "it was trained by an older version of rhobasis, and has no extrapolation either",
    };
    warn(format!(
        "standard deviations of {} are not calibrated, and far too small: {why}; train it anew",
        model.display()
    ));
}

/// Of some frames.
fn doubts(potential: &Potential, part: &[Structure]) -> Result<Vec<Doubt>> {
    let variances = potential.energy_variances(part)?;
    let forces = potential.force_deviations(part)?;
    let extrapolation = match potential.calibration() {
        Some(_) => potential.extrapolation(part)?.into_iter().map(Some).collect(),
        None => vec![None; part.len()],
    };
    let all = variances.into_iter().zip(forces).zip(extrapolation);
    Ok(all.map(|((energy_variance, forces), extrapolation)| Doubt { energy_variance, forces, extrapolation }).collect())
}

/// A frame with what is predicted, its own labels under other names.
fn labelled(
    mut structure: Structure,
    prediction: Prediction,
    doubt: Option<Doubt>,
    widths: Option<Widths>,
) -> Result<Structure> {
    put_labels_aside(&mut structure, &INFO, &COLUMNS);
    structure.info.push(("energy".into(), Value::Real(prediction.energy)));
    if structure.pbc == [true; 3] {
        let stress = prediction.stress(&structure)?;
        structure.info.push(("stress".into(), Value::Reals(stress.iter().copied().collect(), vec![3, 3])));
    }
    if !structure.is_empty() {
        structure.columns.push(column("forces", 3, prediction.forces.concat()));
        structure.columns.push(column("energies", 1, prediction.energies));
    }
    if let Some(Doubt { energy_variance, forces, extrapolation }) = doubt {
        let (energy, forces) = (energy_variance.max(0.0).sqrt(), forces.concat());
        structure.info.push((ENERGY_STD.into(), Value::Real(energy)));
        if let Some(width) = widths.and_then(|widths| widths.energy) {
            structure.info.push((ENERGY_INTERVAL.into(), Value::Real(width * energy)));
        }
        if !structure.is_empty() {
            if let Some(width) = widths.and_then(|widths| widths.force) {
                let of_components = forces.iter().map(|f| width * f).collect();
                structure.columns.push(column(FORCES_INTERVAL, 3, of_components));
            }
            structure.columns.push(column(FORCES_STD, 3, forces));
        }
        if let Some(extrapolation) = extrapolation.filter(|of_atoms| !of_atoms.is_empty()) {
            let largest = extrapolation.iter().copied().fold(0.0, f64::max);
            structure.info.push((MAX_EXTRAPOLATION.into(), Value::Real(largest)));
            structure.columns.push(column(EXTRAPOLATION, 1, extrapolation));
        }
    }
    Ok(structure)
}

fn column(name: &str, width: usize, data: Vec<f64>) -> Column {
    Column { name: name.into(), width, data: ColumnData::Reals(data) }
}
