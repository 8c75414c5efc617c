//! Down to where forces vanish: FIRE, of atoms and cells.

use super::evaluated::{Evaluate, Evaluated, evaluated};
use super::settings::GPA;
use crate::structure::{Structure, Vec3, norm};
use crate::{Error, Result};

/// When atoms, and the cell, are at rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RelaxSettings {
    /// Largest force that may be left on an atom, in eV/Å.
    pub fmax: f64,
    /// Whether the cell relaxes too, to which pressure.
    pub cell: Option<RelaxCell>,
    /// Steps after which it is given up.
    pub max_steps: usize,
}

/// A cell that relaxes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RelaxCell {
    /// In GPa.
    pub pressure: f64,
    /// Largest component of stress + pressure that may be left, in GPa.
    pub smax: f64,
}

impl Default for RelaxSettings {
    fn default() -> Self {
        RelaxSettings { fmax: 0.01, cell: None, max_steps: 2000 }
    }
}

impl RelaxSettings {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        let positive = |name, value: f64, remedy: &str| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(Error::setting(name, value, "must be a positive number", remedy)),
        };
        positive("fmax", self.fmax, "give it in eV/Å; 0.01 is usual")?;
        let Some(RelaxCell { pressure, smax }) = self.cell else { return Ok(()) };
        positive("smax", smax, "give it in GPa; 0.01 is usual")?;
        match pressure.is_finite() {
            true => Ok(()),
            false => Err(Error::setting("pressure", pressure, "must be a number", "give it in GPa")),
        }
    }
}

/// A structure at rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Relaxed {
    /// The atoms, and the cell, where they came to rest.
    pub structure: Structure,
    /// Energy, forces and virial there.
    pub evaluated: Evaluated,
    /// Steps that it took.
    pub steps: usize,
    /// The largest force that is left, in eV/Å.
    pub fmax: f64,
    /// The largest component of stress + pressure that is left, in GPa, if the cell was relaxed.
    pub smax: Option<f64>,
}

/// Moves atoms, and the cell if asked to, to where the energy is least, or the enthalpy U + P V: FIRE (E. Bitzek et al., Phys. Rev.
/// Lett. 97, 170201 (2006)), with the numbers of ASE. The cell is three more atoms, whose positions are N ε and forces
/// −V (σ + P)/N; atoms move with it.
///
/// ```
/// # fn main() -> rhobasis::Result<()> {
/// use rhobasis::Structure;
/// use rhobasis::potential::{RelaxSettings, relax};
/// let spring = |s: &Structure| {
///     let d = s.positions[1][0] - s.positions[0][0];
///     let f = [30.0 * (d - 0.74), 0.0, 0.0];
///     Ok((15.0 * (d - 0.74) * (d - 0.74), vec![f, f.map(|x| -x)]))
/// };
/// let start = Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.9, 0.0, 0.0]]);
/// let relaxed = relax(start, &RelaxSettings { fmax: 1e-4, ..Default::default() }, spring)?;
/// assert!((relaxed.structure.positions[1][0] - relaxed.structure.positions[0][0] - 0.74).abs() < 1e-5);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the settings make no sense, the structure is invalid, `evaluate` refuses it or, with a cell, gives no virial; if atoms or cell
/// run away, or are not at rest after the last step.
pub fn relax<R: Into<Evaluated>>(
    structure: Structure,
    settings: &RelaxSettings,
    mut evaluate: impl FnMut(&Structure) -> Result<R>,
) -> Result<Relaxed> {
    settings.validate()?;
    structure.validate()?;
    if settings.cell.is_some() && structure.pbc != [true; 3] {
        let problem = "a cell that is not periodic in all three directions cannot be relaxed";
        return Err(Error::structure(None, problem, "relax the atoms alone, or give a crystal"));
    }
    let mut evaluate: Evaluate = Box::new(move |structure| evaluate(structure).map(Into::into));
    let start_volume = structure.volume();
    let mut descent = Descent::new(structure.len());
    let (mut structure, mut step) = (structure, 0);
    loop {
        let here = evaluated(&mut evaluate, &structure, step)?;
        let strain = settings.cell.map(|cell| residual(&structure, &here, cell)).transpose()?;
        let (fmax, atom) = largest(&here.forces);
        let smax = strain.map(|s| s.as_flattened().iter().fold(0.0, |most: f64, x| most.max(x.abs())) / GPA);
        let at_rest = fmax < settings.fmax && smax.zip(settings.cell).is_none_or(|(smax, cell)| smax < cell.smax);
        if at_rest {
            return Ok(Relaxed { structure, evaluated: here, steps: step, fmax, smax });
        }
        if step == settings.max_steps {
            let left = smax.map_or(String::new(), |smax| format!(", of stress + pressure {smax:.3e} GPa"));
            let problem = format!("after {step} steps the largest force is {fmax:.3e} eV/Å{left}");
            return Err(Error::structure(atom, problem, "take more steps, or larger limits"));
        }
        check_volume(&structure, start_volume, step)?;
        let volume = structure.volume();
        let n = structure.len() as f64;
        let on_cell = strain.map(|s| s.map(|row| row.map(|x| -x * volume / n)));
        let moves = descent.moves(&here.forces, on_cell);
        apply(&mut structure, &moves);
        step += 1;
    }
}

/// σ + P, in eV/Å³.
fn residual(structure: &Structure, here: &Evaluated, cell: RelaxCell) -> Result<[Vec3; 3]> {
    let Some(virial) = here.virial else {
        let problem = "there is no virial, which cells are relaxed by";
        return Err(Error::structure(None, problem, "give it with energy and forces"));
    };
    let volume = structure.volume();
    let pressure = |p: usize, q: usize| if p == q { cell.pressure * GPA } else { 0.0 };
    Ok(std::array::from_fn(|p| std::array::from_fn(|q| pressure(p, q) - virial[p][q] / volume)))
}

/// The largest force, and on which atom.
fn largest(forces: &[Vec3]) -> (f64, Option<usize>) {
    let lengths = forces.iter().map(|f| norm(*f)).enumerate();
    lengths.max_by(|a, b| a.1.total_cmp(&b.1)).map_or((0.0, None), |(atom, f)| (f, Some(atom)))
}

/// A crystal that is three times as large or small as it was is none any more.
fn check_volume(structure: &Structure, start: f64, step: usize) -> Result<()> {
    let growth = structure.volume() / start;
    if structure.pbc != [true; 3] || (1.0 / 3.0..=3.0).contains(&growth) {
        return Ok(());
    }
    let problem = format!("at step {step} the cell has {growth:.2} times the volume that it began with");
    let remedy = "it runs away: look at the pressure, at the start, and whether the potential knows such structures";
    Err(Error::structure(None, problem, remedy))
}

/// Moves atoms and, by the rows behind them, the cell with all that is in it: r ← r (1 + ε) + Δ.
fn apply(structure: &mut Structure, moves: &[Vec3]) {
    let n = structure.len();
    if let [a, b, c] = moves[n..] {
        let strain = [a, b, c].map(|row| row.map(|x| x / n as f64));
        let strained = |r: Vec3| std::array::from_fn(|d| r[d] + (0..3).map(|k| r[k] * strain[k][d]).sum::<f64>());
        structure.cell = structure.cell.map(strained);
        structure.positions.iter_mut().for_each(|r| *r = strained(*r));
    }
    for (r, moved) in structure.positions.iter_mut().zip(moves) {
        *r = std::array::from_fn(|d| r[d] + moved[d]);
    }
}

/// The state of FIRE, of unit masses.
struct Descent {
    velocities: Vec<Vec3>,
    dt: f64,
    mixing: f64,
    downhill: usize,
    begun: bool,
}

impl Descent {
    const FIRST_MIXING: f64 = 0.1;
    /// Longest way of an atom in a step, in Å.
    const LONGEST: f64 = 0.2;

    fn new(n_atoms: usize) -> Self {
        let velocities = vec![[0.0; 3]; n_atoms + 3];
        Descent { velocities, dt: 0.1, mixing: Self::FIRST_MIXING, downhill: 0, begun: false }
    }

    /// How far each atom goes, and behind them the rows of the cell, if forces act on it.
    fn moves(&mut self, forces: &[Vec3], on_cell: Option<[Vec3; 3]>) -> Vec<Vec3> {
        let forces: Vec<Vec3> = forces.iter().chain(on_cell.iter().flatten()).copied().collect();
        self.velocities.truncate(forces.len());
        let sum = |a: &[Vec3], b: &[Vec3]| a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| x * y).sum::<f64>();
        let power = sum(&self.velocities, &forces);
        if power > 0.0 {
            let (v, f) = (sum(&self.velocities, &self.velocities).sqrt(), sum(&forces, &forces).sqrt());
            let along = self.mixing * v / f;
            for (v, f) in self.velocities.iter_mut().zip(&forces) {
                *v = std::array::from_fn(|d| (1.0 - self.mixing) * v[d] + along * f[d]);
            }
            if self.downhill > 5 {
                self.dt = (1.1 * self.dt).min(1.0);
                self.mixing *= 0.99;
            }
            self.downhill += 1;
        } else if self.begun {
            self.velocities.fill([0.0; 3]);
            (self.mixing, self.dt, self.downhill) = (Self::FIRST_MIXING, 0.5 * self.dt, 0);
        }
        self.begun = true;
        for (v, f) in self.velocities.iter_mut().zip(&forces) {
            *v = std::array::from_fn(|d| v[d] + self.dt * f[d]);
        }
        let longest = self.velocities.iter().map(|v| self.dt * norm(*v)).fold(0.0, f64::max);
        let scale = self.dt * (Self::LONGEST / longest.max(Self::LONGEST));
        self.velocities.iter().map(|v| v.map(|x| scale * x)).collect()
    }
}
