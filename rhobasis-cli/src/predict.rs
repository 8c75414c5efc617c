//! `rhobasis predict`: energies, forces and stress of structures.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rhobasis::potential::{Potential, Prediction};
use rhobasis::structure::{Column, ColumnData, Value};
use rhobasis::{Result, Structure};

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::load;
use crate::predicted::{self, put_labels_aside};
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
    /// Add 'energy_std', the standard deviation of the energy by the posterior of the model, in eV
    #[arg(long)]
    uncertainty: bool,
    /// Of a model of a tensor, add its derivatives by the positions as a column: 'born_charges', ∂μ_α/∂r_β of dipoles in e, nine
    /// numbers for each atom, α slowest; 'polarizability_derivatives', 27 numbers
    #[arg(long)]
    derivatives: bool,
}

const EXAMPLE: &str = "\
Example:
  rhobasis predict silicon.rho new.xyz -o predicted.xyz --uncertainty
Example: from a file of any program that ASE reads
  ase convert relax.traj relax.xyz && rhobasis predict silicon.rho relax.xyz -o predicted.xyz";

/// Keys and columns that are written, and those that would contradict them.
const INFO: [&str; 5] = ["energy", "free_energy", "stress", "virial", "energy_std"];
const COLUMNS: [&str; 3] = ["forces", "force", "energies"];

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
        let predict = |part: &[Structure]| {
            let predictions = potential.predict(part, true)?;
            let variances = match self.uncertainty {
                true => potential.energy_variances(part)?.into_iter().map(Some).collect(),
                false => vec![None; part.len()],
            };
            let frames = part.iter().zip(predictions).zip(variances);
            frames
                .map(|((structure, prediction), variance)| {
                    let close = prediction.close;
                    Ok((labelled(structure.clone(), prediction, variance)?, close))
                })
                .collect()
        };
        predicted::write([&self.model, &self.output], &self.data, predict, out)
    }
}

/// A frame with what is predicted, its own labels under other names.
fn labelled(mut structure: Structure, prediction: Prediction, variance: Option<f64>) -> Result<Structure> {
    put_labels_aside(&mut structure, &INFO, &COLUMNS);
    structure.info.push(("energy".into(), Value::Real(prediction.energy)));
    if let Some(variance) = variance {
        structure.info.push(("energy_std".into(), Value::Real(variance.max(0.0).sqrt())));
    }
    if structure.pbc == [true; 3] {
        let stress = prediction.stress(&structure)?;
        structure.info.push(("stress".into(), Value::Reals(stress.iter().copied().collect(), vec![3, 3])));
    }
    let column = |name: &str, width, data| Column { name: name.into(), width, data: ColumnData::Reals(data) };
    if !structure.is_empty() {
        structure.columns.push(column("forces", 3, prediction.forces.concat()));
        structure.columns.push(column("energies", 1, prediction.energies));
    }
    Ok(structure)
}
