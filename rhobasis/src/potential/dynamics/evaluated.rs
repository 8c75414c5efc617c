//! What a potential says at one moment.

use super::super::model::Prediction;
use crate::structure::{Structure, Vec3};
use crate::{Error, Result};

/// Energy, forces and virial of a structure: what moves atoms and cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// In eV.
    pub energy: f64,
    /// −dE/dr of each atom, in eV/Å.
    pub forces: Vec<Vec3>,
    /// −dE/dε, in eV, symmetric, where it is known: what changes a cell needs it.
    pub virial: Option<[Vec3; 3]>,
}

impl From<(f64, Vec<Vec3>)> for Evaluated {
    fn from((energy, forces): (f64, Vec<Vec3>)) -> Self {
        Evaluated { energy, forces, virial: None }
    }
}

impl From<Prediction> for Evaluated {
    fn from(Prediction { energy, forces, virial, .. }: Prediction) -> Self {
        let virial = std::array::from_fn(|p| std::array::from_fn(|q| virial[[p, q]]));
        Evaluated { energy, forces, virial: Some(virial) }
    }
}

impl Evaluated {
    /// tr(virial), in eV.
    pub(super) fn trace(&self) -> Option<f64> {
        self.virial.map(|w| w[0][0] + w[1][1] + w[2][2])
    }
}

/// What evaluates structures.
pub(super) type Evaluate<'a> = Box<dyn FnMut(&Structure) -> Result<Evaluated> + 'a>;

const REMEDY: &str = "take a smaller time step, a lower temperature, or a potential that knows such structures";

/// Energy and forces; a failure says at which step.
pub(super) fn evaluated(evaluate: &mut Evaluate, structure: &Structure, step: usize) -> Result<Evaluated> {
    let found = evaluate(structure).map_err(|e| match e {
        Error::Structure { mut place, problem, remedy } => {
            place.frame = None;
            Error::Structure { place, problem: format!("at step {step}: {problem}"), remedy }
        }
        e => e,
    })?;
    let Evaluated { energy, forces, .. } = &found;
    if forces.len() != structure.len() {
        let problem = format!("at step {step}: {} forces for {} atoms", forces.len(), structure.len());
        return Err(Error::structure(None, problem, "give one force for each atom"));
    }
    match forces.iter().position(|f| !f.iter().all(|x| x.is_finite())) {
        Some(atom) => {
            let problem = format!("at step {step}: the force {:?} is not finite", forces[atom]);
            Err(Error::structure(Some(atom), problem, REMEDY))
        }
        None if !energy.is_finite() => {
            Err(Error::structure(None, format!("at step {step}: the energy is {energy}"), REMEDY))
        }
        None => Ok(found),
    }
}
