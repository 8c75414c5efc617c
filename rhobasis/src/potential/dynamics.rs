//! Molecular dynamics: velocity Verlet, with or without a thermostat, and the energy that it conserves.
//!
//! Units: Å, fs, amu, eV.

use crate::random::Random;
use crate::structure::{Structure, Vec3, dot, mass, symbol};
use crate::{Error, Result};

/// 1 amu Å²/fs² in eV, from the atomic mass constant and the elementary charge (CODATA 2018).
pub const AMU_A2_FS2: f64 = 1.660_539_066_60e-27 * 1e10 / 1.602_176_634e-19;
/// Boltzmann's constant in eV/K.
pub const BOLTZMANN: f64 = 1.380_649e-23 / 1.602_176_634e-19;

/// What keeps the temperature.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Thermostat {
    /// Nothing: constant energy.
    #[default]
    None,
    /// Canonical sampling through velocity rescaling (G. Bussi, D. Donadio, M. Parrinello, J. Chem. Phys. 126, 014101 (2007)).
    /// After each step all velocities are multiplied by α, Eqs. (A7), (A8) there:
    ///
    /// ```text
    /// α² = c + (1 − c) K̄/(n K) Σ_{k=1}^n R_k² + 2 R_1 √(c (1 − c) K̄/(n K)),   c = exp(−dt/τ)
    /// ```
    ///
    /// with K the kinetic energy, K̄ = n k_B T/2 its mean, n the number of degrees of freedom, R_k normal random numbers; α has
    /// the sign of R_1 + √(c n K / ((1 − c) K̄)).
    Rescaling {
        /// Temperature, in K.
        temperature: f64,
        /// Relaxation time, in fs.
        tau: f64,
    },
}

/// How a trajectory is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DynamicsSettings {
    /// Time step, in fs.
    pub dt: f64,
    /// What keeps the temperature.
    pub thermostat: Thermostat,
    /// Seed of start velocities and thermostat.
    pub seed: u64,
}

impl DynamicsSettings {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value outside its range.
    pub fn validate(&self) -> Result<()> {
        let positive = |name, value: f64, remedy: &str| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(Error::setting(name, value, "must be a positive number", remedy)),
        };
        positive("dt", self.dt, "give it in fs; 0.5 to 2 is usual")?;
        let Thermostat::Rescaling { temperature, tau } = self.thermostat else { return Ok(()) };
        check_temperature(temperature)?;
        positive("tau", tau, "give it in fs; 100 is usual")
    }
}

fn check_temperature(temperature: f64) -> Result<()> {
    match temperature.is_finite() && temperature >= 0.0 {
        true => Ok(()),
        false => Err(Error::setting("temperature", temperature, "must be zero or a positive number", "give it in K")),
    }
}

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
    /// Potential and kinetic energy, less what the thermostat has added, in eV: constant but for the error of finite steps.
    pub conserved: f64,
}

/// Atoms in motion under forces that `evaluate` gives: energy in eV, and −dE/dr of each atom in eV/Å.
///
/// One step, of second order in dt, reversible, and exact in momentum and phase-space volume:
///
/// ```text
/// v ← v + ½ dt F(r)/m,   r ← r + dt v,   v ← v + ½ dt F(r)/m
/// ```
///
/// The centre of mass rests: there are n = 3N − 3 degrees of freedom. Positions are not wrapped.
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
/// let settings = DynamicsSettings { dt: 0.1, thermostat: Thermostat::None, seed: 1 };
/// let mut dynamics = Dynamics::new(molecule, &settings, spring)?;
/// let before = dynamics.state().conserved;
/// for _ in 0..1000 {
///     dynamics.step()?;
/// }
/// assert!((dynamics.state().conserved - before).abs() < 1e-3);
/// # Ok(())
/// # }
/// ```
pub struct Dynamics<F> {
    structure: Structure,
    velocities: Vec<Vec3>,
    forces: Vec<Vec3>,
    /// In eV fs²/Å².
    masses: Vec<f64>,
    potential: f64,
    settings: DynamicsSettings,
    random: Random,
    exchanged: f64,
    step: usize,
    evaluate: F,
}

impl<F: FnMut(&Structure) -> Result<(f64, Vec<Vec3>)>> Dynamics<F> {
    /// Atoms at rest, with the standard atomic weights of their elements.
    ///
    /// # Errors
    /// If the settings make no sense, the structure is invalid or empty, or `evaluate` refuses it.
    pub fn new(structure: Structure, settings: &DynamicsSettings, mut evaluate: F) -> Result<Self> {
        settings.validate()?;
        structure.validate()?;
        if structure.is_empty() {
            return Err(Error::structure(None, "there are no atoms", "give a structure with one atom or more"));
        }
        let mass = |(i, &z): (usize, &u8)| {
            let none = || Error::structure(Some(i), format!("{} has no mass", symbol(z)), "use elements from 1 to 118");
            Ok(mass(z).ok_or_else(none)? * AMU_A2_FS2)
        };
        let masses = structure.species.iter().enumerate().map(mass).collect::<Result<Vec<f64>>>()?;
        let (potential, forces) = evaluated(&mut evaluate, &structure, 0)?;
        Ok(Dynamics {
            velocities: vec![[0.0; 3]; structure.len()],
            structure,
            forces,
            masses,
            potential,
            settings: *settings,
            random: Random::new(settings.seed),
            exchanged: 0.0,
            step: 0,
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
        let (momentum, mass) = (self.momentum(), self.masses.iter().sum::<f64>());
        self.velocities.iter_mut().for_each(|v| *v = std::array::from_fn(|k| v[k] - momentum[k] / mass));
        let found = self.temperature(self.kinetic());
        if found > 0.0 {
            self.rescale((temperature / found).sqrt());
        }
        Ok(())
    }

    /// Sets all velocities, in Å/fs.
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

    /// One step of velocity Verlet, and one of the thermostat.
    ///
    /// # Errors
    /// If the forces cannot be had or are not finite; the step is named.
    pub fn step(&mut self) -> Result<()> {
        let dt = self.settings.dt;
        self.kick(0.5 * dt);
        for (r, v) in self.structure.positions.iter_mut().zip(&self.velocities) {
            *r = std::array::from_fn(|k| r[k] + dt * v[k]);
        }
        self.step += 1;
        (self.potential, self.forces) = evaluated(&mut self.evaluate, &self.structure, self.step)?;
        self.kick(0.5 * dt);
        if let Thermostat::Rescaling { temperature, tau } = self.settings.thermostat {
            self.exchange_heat(temperature, tau);
        }
        Ok(())
    }

    fn kick(&mut self, dt: f64) {
        for ((v, f), mass) in self.velocities.iter_mut().zip(&self.forces).zip(&self.masses) {
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

    /// Time, energies and temperature.
    pub fn state(&self) -> DynamicsState {
        let kinetic = self.kinetic();
        DynamicsState {
            step: self.step,
            time: self.step as f64 * self.settings.dt,
            potential: self.potential,
            kinetic,
            temperature: self.temperature(kinetic),
            conserved: self.potential + kinetic - self.exchanged,
        }
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
        &self.forces
    }
}

/// Energy and forces; a failure says at which step.
fn evaluated<F>(evaluate: &mut F, structure: &Structure, step: usize) -> Result<(f64, Vec<Vec3>)>
where
    F: FnMut(&Structure) -> Result<(f64, Vec<Vec3>)>,
{
    let remedy = "take a smaller time step, a lower temperature, or a potential that knows such structures";
    let (energy, forces) = evaluate(structure).map_err(|e| match e {
        Error::Structure { mut place, problem, remedy: then } => {
            place.frame = None;
            Error::Structure { place, problem: format!("at step {step}: {problem}"), remedy: then }
        }
        e => e,
    })?;
    if forces.len() != structure.len() {
        let problem = format!("at step {step}: {} forces for {} atoms", forces.len(), structure.len());
        return Err(Error::structure(None, problem, "give one force for each atom"));
    }
    match forces.iter().position(|f| !f.iter().all(|x| x.is_finite())) {
        Some(atom) => {
            let problem = format!("at step {step}: the force {:?} is not finite", forces[atom]);
            Err(Error::structure(Some(atom), problem, remedy))
        }
        None if !energy.is_finite() => {
            Err(Error::structure(None, format!("at step {step}: the energy is {energy}"), remedy))
        }
        None => Ok((energy, forces)),
    }
}

/// A straight line through a series, by least squares, added up value by value: the drift of a conserved energy.
///
/// ```
/// use rhobasis::potential::Drift;
/// let mut drift = Drift::default();
/// (0..10).for_each(|t| drift.add(f64::from(t), 3.0 - 0.5 * f64::from(t)));
/// assert!((drift.slope() + 0.5).abs() < 1e-12 && drift.fluctuation() < 1e-7);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Drift {
    n: f64,
    mean_t: f64,
    mean_y: f64,
    tt: f64,
    ty: f64,
    yy: f64,
}

impl Drift {
    /// One more point.
    pub fn add(&mut self, t: f64, y: f64) {
        self.n += 1.0;
        let (dt, dy) = (t - self.mean_t, y - self.mean_y);
        self.mean_t += dt / self.n;
        self.mean_y += dy / self.n;
        self.tt += dt * (t - self.mean_t);
        self.yy += dy * (y - self.mean_y);
        self.ty += dt * (y - self.mean_y);
    }

    /// Mean of the values; 0 of none.
    pub fn mean(&self) -> f64 {
        self.mean_y
    }

    /// Of the line; 0 with fewer than two points.
    pub fn slope(&self) -> f64 {
        if self.tt > 0.0 { self.ty / self.tt } else { 0.0 }
    }

    /// Standard deviation of the points about the line; 0 with fewer than three points.
    pub fn fluctuation(&self) -> f64 {
        if self.n < 3.0 {
            return 0.0;
        }
        ((self.yy - self.slope() * self.ty).max(0.0) / (self.n - 2.0)).sqrt()
    }

    /// Standard deviation of the slope, were the points independent of each other: that of a trajectory is larger.
    pub fn slope_error(&self) -> f64 {
        if self.tt > 0.0 { self.fluctuation() / self.tt.sqrt() } else { 0.0 }
    }
}
