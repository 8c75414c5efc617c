//! Stochastic cell rescaling: how λ = √V moves, see [`Barostat`].

use super::settings::{BOLTZMANN, Barostat, GPA};

/// One change of the volume, at a temperature and over a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Breath {
    /// k_B T, in eV.
    kt: f64,
    /// P_0, in eV/Å³.
    pressure: f64,
    /// D Δt, in Å³.
    diffusion: f64,
}

impl Breath {
    pub fn new(barostat: Barostat, temperature: f64, time: f64) -> Self {
        let kt = BOLTZMANN * temperature;
        let compressibility = barostat.compressibility / GPA;
        Breath { kt, pressure: barostat.pressure * GPA, diffusion: kt * compressibility / (4.0 * barostat.tau) * time }
    }

    /// f(λ) = d ln p/dλ at a volume (Å³) and an internal pressure (eV/Å³).
    fn slope(&self, volume: f64, internal: f64) -> f64 {
        2.0 * volume.sqrt() / self.kt * (internal - self.pressure + 1.5 * self.kt / volume)
    }

    /// The next volume, from a normal random number; none where it would leave what one step may do.
    pub fn volume(&self, volume: f64, internal: f64, normal: f64) -> Option<f64> {
        let step = self.diffusion * self.slope(volume, internal) + (2.0 * self.diffusion).sqrt() * normal;
        let next = volume.sqrt() + step;
        let change = next * next / volume;
        (next > 0.0 && (0.8..1.25).contains(&change)).then_some(next * next)
    }

    /// By how much a step misses detailed balance, in eV: zero for steps that are short enough. It is
    ///
    /// ```text
    /// ΔG + k_B T (½ Δλ (f + f') + ¼ D Δt (f'² − f²)),   G = K + U + P_0 V − (3/2) k_B T ln V
    /// ```
    ///
    /// from `[V, P, K + U]` before and after.
    pub fn error(&self, before: [f64; 3], after: [f64; 3]) -> f64 {
        let free = |[volume, _, energy]: [f64; 3]| energy + self.pressure * volume - 1.5 * self.kt * libm::log(volume);
        let [f, g] = [before, after].map(|[volume, internal, _]| self.slope(volume, internal));
        let moved = after[0].sqrt() - before[0].sqrt();
        let balance = 0.5 * moved * (f + g) + 0.25 * self.diffusion * (g * g - f * f);
        free(after) - free(before) + self.kt * balance
    }
}
