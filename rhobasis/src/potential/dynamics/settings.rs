//! What keeps temperature and pressure.

use serde::Serialize;

use crate::{Error, Result};

/// 1 amu Å²/fs² in eV, from the atomic mass constant and the elementary charge (CODATA 2018).
pub const AMU_A2_FS2: f64 = 1.660_539_066_60e-27 * 1e10 / 1.602_176_634e-19;
/// Boltzmann's constant in eV/K.
pub const BOLTZMANN: f64 = 1.380_649e-23 / 1.602_176_634e-19;
/// 1 GPa in eV/Å³.
pub const GPA: f64 = 1e9 * 1e-30 / 1.602_176_634e-19;

/// What keeps the temperature.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
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

/// What keeps the pressure, with a thermostat: stochastic cell rescaling (M. Bernetti, G. Bussi, J. Chem. Phys. 153, 114107 (2020)),
/// isotropic. Cell and positions are scaled, velocities inversely, such that the volume V takes part in the canonical
/// distribution, p ∝ V exp(−(K + U + P_0 V)/(k_B T)); the factor V stands for the centre of mass, which rests.
///
/// λ = √V is moved after each [`Barostat::EVERY`] steps, Δt, in which its diffusion is constant:
///
/// ```text
/// λ' = λ + D f(λ) Δt + √(2 D Δt) R,   D = k_B T β/(4 τ),   f(λ) = (2 λ/(k_B T)) (P − P_0 + 3 k_B T/(2 V))
/// ```
///
/// with P = (2 K + tr(virial))/(3 V) and a normal random number R. Means and fluctuations do not depend on β and τ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Barostat {
    /// P_0, in GPa.
    pub pressure: f64,
    /// τ, in fs: the relaxation time of the volume if the compressibility is that of the material.
    pub tau: f64,
    /// β, in 1/GPa.
    pub compressibility: f64,
}

impl Barostat {
    /// Steps between two changes of the cell: each takes an evaluation and a list of neighbours of its own.
    pub const EVERY: usize = 10;
    /// β that is usual, in 1/GPa: that of silicon, or of copper.
    pub const COMPRESSIBILITY: f64 = 0.01;
    /// τ that is usual, in fs.
    pub const TAU: f64 = 1000.0;
}

/// How a trajectory is made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DynamicsSettings {
    /// Time step, in fs.
    pub dt: f64,
    /// What keeps the temperature.
    pub thermostat: Thermostat,
    /// What keeps the pressure, if anything; it needs a thermostat.
    pub barostat: Option<Barostat>,
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
        if let Thermostat::Rescaling { temperature, tau } = self.thermostat {
            check_temperature(temperature)?;
            positive("tau", tau, "give it in fs; 100 is usual")?;
        }
        let Some(Barostat { pressure, tau, compressibility }) = self.barostat else { return Ok(()) };
        if !pressure.is_finite() {
            return Err(Error::setting("pressure", pressure, "must be a number", "give it in GPa"));
        }
        positive("tau_p", tau, "give it in fs; 1000 is usual")?;
        positive("compressibility", compressibility, "give it in 1/GPa; 0.01 is usual for solids, 0.5 for liquids")?;
        match self.thermostat {
            Thermostat::Rescaling { temperature, .. } if temperature > 0.0 => Ok(()),
            _ => {
                let remedy = "use a thermostat with a temperature above zero";
                Err(Error::setting("pressure", pressure, "a pressure is kept at a temperature", remedy))
            }
        }
    }
}

pub(super) fn check_temperature(temperature: f64) -> Result<()> {
    match temperature.is_finite() && temperature >= 0.0 {
        true => Ok(()),
        false => Err(Error::setting("temperature", temperature, "must be zero or a positive number", "give it in K")),
    }
}
