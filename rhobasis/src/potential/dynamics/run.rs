//! Molecular dynamics: velocity Verlet, with or without a thermostat and a barostat, and the energy that it conserves.
//!
//! Units: Å, fs, amu, eV.

use super::barostat::Breath;
use super::evaluated::{Evaluate, Evaluated, evaluated};
use super::settings::{AMU_A2_FS2, BOLTZMANN, Barostat, DynamicsSettings, GPA, Thermostat, check_temperature};
use super::watch::{Now, Watch};
use crate::random::Random;
use crate::structure::{Structure, Vec3, dot, mass, symbol};
use crate::{Error, Result};

/// Where a trajectory stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DynamicsState {
    /// Steps since the start.
    pub step: usize,
    /// Time since the start, in fs.
    pub time: f64,
    /// Potential energy, in eV.
    pub potential: f64,
    /// Kinetic energy, in eV.
    pub kinetic: f64,
    /// 2 K / (n k_B), in K; 0 without degrees of freedom.
    pub temperature: f64,
    /// Potential and kinetic energy, less what the thermostat has added, in eV: constant but for the error of finite steps. With a
    /// barostat, the enthalpy K + U + P_0 V, less what both have added.
    pub conserved: f64,
    /// (2 K + tr(virial))/(3 V), in GPa; of structures that are periodic in all three directions, if the virial is known.
    pub pressure: Option<f64>,
}

/// Atoms in motion under what `evaluate` gives: energy in eV and −dE/dr of each atom in eV/Å as a pair, a
/// [`Prediction`](crate::potential::Prediction), or [`Evaluated`].
///
/// One step, of second order in dt, reversible, and exact in momentum and phase-space volume:
///
/// ```text
/// v ← v + ½ dt F(r)/m,   r ← r + dt v,   v ← v + ½ dt F(r)/m
/// ```
///
/// The centre of mass rests: there are n = 3N − 3 degrees of freedom. Positions are not wrapped. See [`Thermostat`] and
/// [`Barostat`] for what follows each step.
///
/// ```
/// # fn main() -> rhobasis::Result<()> {
/// use rhobasis::Structure;
/// use rhobasis::potential::{Dynamics, DynamicsSettings, Thermostat};
/// // Two hydrogen atoms on a spring of 30 eV/Å².
/// let spring = |s: &Structure| {
///     let d: [f64; 3] = std::array::from_fn(|k| s.positions[1][k] - s.positions[0][k]);
///     let r = d.iter().map(|x| x * x).sum::<f64>().sqrt();
///     let f = d.map(|x| 30.0 * (r - 0.74) * x / r);
///     Ok((15.0 * (r - 0.74) * (r - 0.74), vec![f, f.map(|x| -x)]))
/// };
/// let molecule = Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.8, 0.0, 0.0]]);
/// let settings = DynamicsSettings { dt: 0.1, thermostat: Thermostat::None, barostat: None, seed: 1 };
/// let mut dynamics = Dynamics::new(molecule, &settings, spring)?;
/// let before = dynamics.state().conserved;
/// for _ in 0..1000 {
///     dynamics.step()?;
/// }
/// assert!((dynamics.state().conserved - before).abs() < 1e-3);
/// # Ok(())
/// # }
/// ```
pub struct Dynamics<'a> {
    pub(super) structure: Structure,
    pub(super) velocities: Vec<Vec3>,
    /// In eV fs²/Å².
    masses: Vec<f64>,
    pub(super) here: Evaluated,
    settings: DynamicsSettings,
    pub(super) random: Random,
    pub(super) exchanged: f64,
    pub(super) step: usize,
    /// From the first step on.
    pub(super) watch: Option<Watch>,
    before: Vec<[Vec3; 2]>,
    evaluate: Evaluate<'a>,
}

impl<'a> Dynamics<'a> {
    /// Atoms at rest, with the standard atomic weights of their elements.
    ///
    /// # Errors
    /// If the settings make no sense, the structure is invalid or empty, or `evaluate` refuses it; with a barostat, unless it is
    /// periodic in all three directions and `evaluate` gives a virial.
    pub fn new<R: Into<Evaluated>>(
        structure: Structure,
        settings: &DynamicsSettings,
        mut evaluate: impl FnMut(&Structure) -> Result<R> + 'a,
    ) -> Result<Self> {
        let mut evaluate: Evaluate<'a> = Box::new(move |structure| evaluate(structure).map(Into::into));
        settings.validate()?;
        structure.validate()?;
        if structure.is_empty() {
            return Err(Error::structure(None, "there are no atoms", "give a structure with one atom or more"));
        }
        if settings.barostat.is_some() && structure.pbc != [true; 3] {
            let problem = "a cell that is not periodic in all three directions has no pressure to keep";
            return Err(Error::structure(None, problem, "leave the barostat out, or give a crystal or a liquid"));
        }
        let here = evaluated(&mut evaluate, &structure, 0)?;
        if settings.barostat.is_some() && here.virial.is_none() {
            let problem = "there is no virial, which a barostat needs";
            return Err(Error::structure(None, problem, "give it with energy and forces"));
        }
        Self::at_rest(structure, settings, here, evaluate)
    }

    /// Atoms at rest, of which energy and forces are known.
    pub(super) fn at_rest(
        structure: Structure,
        settings: &DynamicsSettings,
        here: Evaluated,
        evaluate: Evaluate<'a>,
    ) -> Result<Self> {
        let mass = |(i, &z): (usize, &u8)| {
            let none = || Error::structure(Some(i), format!("{} has no mass", symbol(z)), "use elements from 1 to 118");
            Ok(mass(z).ok_or_else(none)? * AMU_A2_FS2)
        };
        let masses = structure.species.iter().enumerate().map(mass).collect::<Result<Vec<f64>>>()?;
        Ok(Dynamics {
            velocities: vec![[0.0; 3]; structure.len()],
            structure,
            masses,
            here,
            settings: *settings,
            random: Random::new(settings.seed),
            exchanged: 0.0,
            step: 0,
            watch: None,
            before: Vec::new(),
            evaluate,
        })
    }

    /// Draws velocities from the Maxwell–Boltzmann distribution, takes out the motion of the centre of mass, and scales them to
    /// exactly this temperature, in K.
    ///
    /// # Errors
    /// For a temperature that is negative or not finite.
    pub fn thermalize(&mut self, temperature: f64) -> Result<()> {
        check_temperature(temperature)?;
        for (v, mass) in self.velocities.iter_mut().zip(&self.masses) {
            let width = (BOLTZMANN * temperature / mass).sqrt();
            *v = std::array::from_fn(|_| width * self.random.normal());
        }
        self.rest();
        let found = self.temperature(self.kinetic());
        if found > 0.0 {
            self.rescale((temperature / found).sqrt());
        }
        Ok(())
    }

    /// Velocity of the centre of mass, in Å/fs.
    pub fn centre_velocity(&self) -> Vec3 {
        let mass = self.masses.iter().sum::<f64>();
        self.momentum().map(|p| p / mass)
    }

    /// Takes out the motion of the centre of mass; returns its velocity, in Å/fs.
    pub fn rest(&mut self) -> Vec3 {
        let drift = self.centre_velocity();
        self.velocities.iter_mut().for_each(|v| *v = std::array::from_fn(|k| v[k] - drift[k]));
        drift
    }

    /// Sets all velocities, in Å/fs. The centre of mass should rest, see [`Dynamics::rest`].
    ///
    /// # Errors
    /// Unless there is one for each atom, all finite.
    pub fn set_velocities(&mut self, velocities: Vec<Vec3>) -> Result<()> {
        if velocities.len() != self.structure.len() || !velocities.iter().flatten().all(|x| x.is_finite()) {
            let problem = format!("{} atoms need as many finite velocities", self.structure.len());
            return Err(Error::setting("velocities", velocities.len(), problem, "give one for each atom, in Å/fs"));
        }
        self.velocities = velocities;
        Ok(())
    }

    /// One step of velocity Verlet, one of the thermostat and, now and then, one of the barostat.
    ///
    /// # Errors
    /// If the forces cannot be had or are not finite, and if the run makes no sense any more: the temperature is ten times what was
    /// asked for (30,000 K at least, more of a few atoms), the conserved energy has changed by 0.2 eV and k_B T per atom within
    /// 1000 steps, the volume by a factor of ten. The step is named; where forces cannot be had, atoms are where they were before
    /// it.
    pub fn step(&mut self) -> Result<()> {
        let mut watch = self.watch.unwrap_or_else(|| self.first_watch());
        self.verlet()?;
        if let Thermostat::Rescaling { temperature, tau } = self.settings.thermostat {
            self.exchange_heat(temperature, tau);
            if let Some(barostat) = self.settings.barostat.filter(|_| self.step.is_multiple_of(Barostat::EVERY)) {
                self.breathe(barostat, temperature)?;
            }
        }
        let problem = watch.problem(&self.now());
        self.watch = Some(watch);
        problem.map_or(Ok(()), |problem| Err(self.runaway(&problem)))
    }

    fn verlet(&mut self) -> Result<()> {
        let dt = self.settings.dt;
        self.before.clear();
        self.before.extend(self.structure.positions.iter().zip(&self.velocities).map(|(r, v)| [*r, *v]));
        self.kick(0.5 * dt);
        for (r, v) in self.structure.positions.iter_mut().zip(&self.velocities) {
            *r = std::array::from_fn(|k| r[k] + dt * v[k]);
        }
        match evaluated(&mut self.evaluate, &self.structure, self.step + 1) {
            Ok(here) => self.here = here,
            Err(e) => {
                let now = self.structure.positions.iter_mut().zip(&mut self.velocities);
                now.zip(&self.before).for_each(|((r, v), before)| [*r, *v] = *before);
                return Err(e);
            }
        }
        self.step += 1;
        self.kick(0.5 * dt);
        Ok(())
    }

    fn first_watch(&self) -> Watch {
        let target = match self.settings.thermostat {
            Thermostat::None => 0.0,
            Thermostat::Rescaling { temperature, .. } => temperature,
        };
        let Now { step, temperature, conserved, volume, .. } = self.now();
        Watch { temperature: target.max(temperature), volume, since: step, conserved }
    }

    fn now(&self) -> Now {
        let DynamicsState { step, temperature, conserved, .. } = self.state();
        let n_atoms = self.structure.len() as f64;
        let (degrees_of_freedom, volume) = (self.degrees_of_freedom(), self.structure.volume());
        Now { step, temperature, degrees_of_freedom, conserved: conserved / n_atoms, volume }
    }

    /// The error for a run that has come to nothing; it names the fastest atom.
    fn runaway(&self, problem: &str) -> Error {
        let energy = |i: &usize| self.masses[*i] * dot(self.velocities[*i], self.velocities[*i]);
        let fastest = (0..self.masses.len()).max_by(|i, j| energy(i).total_cmp(&energy(j)));
        let advice = format!(
            "its atoms fly away: take a smaller time step than {} fs, look at the last frames for atoms that are too close or for \
             what the potential was not trained on, and train on such structures",
            self.settings.dt
        );
        Error::structure(fastest, format!("at step {}: {problem}", self.step), advice)
    }

    fn kick(&mut self, dt: f64) {
        for ((v, f), mass) in self.velocities.iter_mut().zip(&self.here.forces).zip(&self.masses) {
            *v = std::array::from_fn(|k| v[k] + dt * f[k] / mass);
        }
    }

    /// Stochastic rescaling of the velocities, see [`Thermostat::Rescaling`].
    fn exchange_heat(&mut self, temperature: f64, tau: f64) {
        let (n, before) = (self.degrees_of_freedom() as f64, self.kinetic());
        if n == 0.0 || before == 0.0 {
            return; // nothing moves, nothing to scale
        }
        let c = libm::exp(-self.settings.dt / tau);
        // Mean kinetic energy per degree of freedom, over the present kinetic energy.
        let ratio = 0.5 * BOLTZMANN * temperature / before;
        let first = self.random.normal();
        let others = if n > 1.0 { 2.0 * self.random.gamma(0.5 * (n - 1.0)) } else { 0.0 };
        let squared =
            c + (1.0 - c) * ratio * (first * first + others) + 2.0 * first * (c * (1.0 - c) * ratio).max(0.0).sqrt();
        // The sign of R_1 + √(c / ((1 − c) ratio)), without the division.
        let sign = if first * ((1.0 - c) * ratio).sqrt() + c.sqrt() < 0.0 { -1.0 } else { 1.0 };
        self.rescale(sign * squared.max(0.0).sqrt());
        self.exchanged += self.kinetic() - before;
    }

    fn rescale(&mut self, factor: f64) {
        self.velocities.iter_mut().for_each(|v| *v = v.map(|x| factor * x));
    }

    fn kinetic(&self) -> f64 {
        self.velocities.iter().zip(&self.masses).map(|(&v, mass)| 0.5 * mass * dot(v, v)).sum()
    }

    /// Σ m v, in eV fs/Å.
    pub fn momentum(&self) -> Vec3 {
        let of = |k: usize| self.velocities.iter().zip(&self.masses).map(|(v, mass)| mass * v[k]).sum();
        std::array::from_fn(of)
    }

    /// 3N − 3.
    pub fn degrees_of_freedom(&self) -> usize {
        3 * (self.structure.len() - 1)
    }

    fn temperature(&self, kinetic: f64) -> f64 {
        match self.degrees_of_freedom() {
            0 => 0.0,
            n => 2.0 * kinetic / (n as f64 * BOLTZMANN),
        }
    }

    /// Time, energies, temperature and pressure.
    pub fn state(&self) -> DynamicsState {
        let kinetic = self.kinetic();
        let enthalpy = self.here.energy + kinetic + self.work();
        DynamicsState {
            step: self.step,
            time: self.step as f64 * self.settings.dt,
            potential: self.here.energy,
            kinetic,
            temperature: self.temperature(kinetic),
            conserved: enthalpy - self.exchanged,
            pressure: self.pressure(kinetic).map(|pressure| pressure / GPA),
        }
    }

    /// P_0 V, in eV; 0 without a barostat.
    fn work(&self) -> f64 {
        self.settings.barostat.map_or(0.0, |barostat| barostat.pressure * GPA * self.structure.volume())
    }

    /// (2 K + tr(virial))/(3 V), in eV/Å³.
    fn pressure(&self, kinetic: f64) -> Option<f64> {
        let trace = self.here.trace().filter(|_| self.structure.pbc == [true; 3])?;
        Some((2.0 * kinetic + trace) / (3.0 * self.structure.volume()))
    }

    /// Stochastic rescaling of the cell, see [`Barostat`].
    fn breathe(&mut self, barostat: Barostat, temperature: f64) -> Result<()> {
        let breath = Breath::new(barostat, temperature, self.settings.dt * Barostat::EVERY as f64);
        let standing = |dynamics: &Self| {
            let kinetic = dynamics.kinetic();
            let pressure = dynamics.pressure(kinetic).expect("a virial, and full periodicity");
            [dynamics.structure.volume(), pressure, kinetic + dynamics.here.energy]
        };
        let before = standing(self);
        let Some(volume) = breath.volume(before[0], before[1], self.random.normal()) else {
            let problem = format!("at step {}: the pressure is {:.1} GPa, and", self.step, before[1] / GPA);
            let problem = format!("{problem} the volume would change by more than a fifth at once");
            let remedy = "take a longer tau_p, a smaller compressibility, or a start that is nearer to this pressure";
            return Err(Error::structure(None, problem, remedy));
        };
        let old_work = self.work();
        let scale = libm::cbrt(volume / before[0]);
        let (cell, positions) = (self.structure.cell, self.structure.positions.clone());
        self.structure.cell = cell.map(|a| a.map(|x| scale * x));
        self.structure.positions.iter_mut().for_each(|r| *r = r.map(|x| scale * x));
        match evaluated(&mut self.evaluate, &self.structure, self.step) {
            Ok(here) => self.here = here,
            Err(e) => {
                (self.structure.cell, self.structure.positions) = (cell, positions);
                return Err(e);
            }
        }
        self.rescale(1.0 / scale);
        let after = standing(self);
        let enthalpy = after[2] - before[2] + self.work() - old_work;
        self.exchanged += enthalpy - breath.error(before, after);
        Ok(())
    }

    /// The atoms where they are.
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// Velocity of each atom, in Å/fs.
    pub fn velocities(&self) -> &[Vec3] {
        &self.velocities
    }

    /// Force on each atom, in eV/Å.
    pub fn forces(&self) -> &[Vec3] {
        &self.here.forces
    }

    /// Energy, forces and virial of the atoms where they are.
    pub fn evaluated(&self) -> &Evaluated {
        &self.here
    }

    /// What it runs by.
    pub fn settings(&self) -> &DynamicsSettings {
        &self.settings
    }
}
