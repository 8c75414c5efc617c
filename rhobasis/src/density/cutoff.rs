//! Weight f = f_cut · u of a neighbour by its distance: shifted cosine and radial scaling.

use serde::{Deserialize, Serialize};

use super::settings::Density;
use crate::{Error, Result};

/// Radial scaling (Willatt et al., Phys. Chem. Chem. Phys. 20, 29661 (2018)), 1 at r = 0 and falling beyond `scale`:
///
/// ```text
/// u(r) = c / (c + (r/r0)^m),   c = rate, r0 = scale (Å), m = exponent
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RadialScaling {
    /// c, without unit.
    pub rate: f64,
    /// r0, in Å.
    pub scale: f64,
    /// m, without unit.
    pub exponent: f64,
}

impl RadialScaling {
    pub(crate) fn validate(&self) -> Result<()> {
        let positive = |name, value: f64| {
            if value.is_finite() && value > 0.0 {
                return Ok(());
            }
            Err(Error::setting(name, value, "must be a positive number", "leave the scaling out for u = 1"))
        };
        positive("scaling rate", self.rate)?;
        positive("scaling scale", self.scale)?;
        if !(self.exponent.is_finite() && self.exponent >= 1.0) {
            return Err(Error::setting(
                "scaling exponent",
                self.exponent,
                "must be at least 1, or forces diverge at short distances",
                "leave the scaling out for u = 1",
            ));
        }
        Ok(())
    }

    /// u(r) and du/dr.
    fn evaluate(&self, r: f64) -> (f64, f64) {
        let x = r / self.scale;
        let x_m1 = if self.exponent.fract() == 0.0 && self.exponent <= 32.0 {
            x.powi(self.exponent as i32 - 1)
        } else {
            x.powf(self.exponent - 1.0)
        };
        let u = self.rate / (self.rate + x_m1 * x);
        if u == 0.0 {
            return (0.0, 0.0); // so steep that (r/r0)^m overflows
        }
        (u, -u * u * self.exponent * x_m1 / (self.rate * self.scale))
    }
}

impl Density {
    /// The weight f(r) = f_cut(r) u(r) of a neighbour at r, and df/dr in 1/Å.
    ///
    /// With w = `cutoff_width`, f_cut is 1 up to r_cut − w, ½[1 + cos(π(r − r_cut + w)/w)] from there to r_cut, 0 beyond.
    pub fn weight(&self, r: f64) -> (f64, f64) {
        let (cut, cut_slope) = self.cutoff(r);
        match &self.scaling {
            None => (cut, cut_slope),
            Some(scaling) => {
                let (u, u_slope) = scaling.evaluate(r);
                (cut * u, cut_slope * u + cut * u_slope)
            }
        }
    }

    fn cutoff(&self, r: f64) -> (f64, f64) {
        let inside = self.r_cut - self.cutoff_width;
        if r <= inside && r < self.r_cut {
            return (1.0, 0.0);
        }
        if r >= self.r_cut {
            return (0.0, 0.0);
        }
        let k = std::f64::consts::PI / self.cutoff_width;
        let (sin, cos) = (k * (r - inside)).sin_cos();
        (0.5 * (1.0 + cos), -0.5 * k * sin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_the_weight_is_its_difference_quotient() {
        for scaling in [None, Some(RadialScaling { rate: 1.0, scale: 2.0, exponent: 7.0 })] {
            let density = Density { r_cut: 5.0, cutoff_width: 0.7, scaling, ..Density::default() };
            for r in [0.01, 1.0, 2.3, 4.29, 4.5, 4.99] {
                let h = 1e-6;
                let quotient = (density.weight(r + h).0 - density.weight(r - h).0) / (2.0 * h);
                assert!((density.weight(r).1 - quotient).abs() < 1e-8, "r = {r}");
            }
        }
    }

    #[test]
    fn a_scaling_so_steep_that_it_overflows_has_no_slope() {
        let scaling = Some(RadialScaling { rate: 1.0, scale: 0.5, exponent: 400.0 });
        assert_eq!(Density { r_cut: 6.0, scaling, ..Density::default() }.weight(5.0), (0.0, 0.0));
    }

    #[test]
    fn the_weight_is_one_at_the_centre_and_zero_at_the_cutoff() {
        let scaling = Some(RadialScaling { rate: 2.0, scale: 1.0, exponent: 1.5 });
        let density = Density { r_cut: 4.0, cutoff_width: 0.0, scaling, ..Density::default() };
        assert_eq!(density.weight(0.0).0, 1.0);
        assert_eq!(density.weight(4.0).0, 0.0);
        assert!(density.weight(3.999_999).0 > 0.0);
    }
}
