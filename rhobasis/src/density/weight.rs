//! Weight f = f_cut · u of a neighbour by its distance: cutoff function and radial scaling.

use super::cutoff::{self, CutoffFunction};
use super::settings::{Density, RadialScaling};
use crate::simd::{LANES, Lanes};

impl RadialScaling {
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

    /// Multiplies the weights f and slopes df/dr of eight neighbours by u.
    #[inline(always)]
    pub(super) fn multiply(&self, r: &Lanes, f: &mut Lanes, df: &mut Lanes) {
        for k in 0..LANES {
            let (u, du) = self.evaluate(r[k]);
            (f[k], df[k]) = (f[k] * u, df[k] * u + f[k] * du);
        }
    }
}

impl Density {
    /// The weight f(r) = f_cut(r) u(r) of a neighbour at r, and df/dr in 1/Å; f_cut is the [`CutoffFunction`].
    ///
    /// ```
    /// use rhobasis::density::{CutoffFunction, Density};
    ///
    /// let cosine = Density { r_cut: 4.0, cutoff_width: 1.0, ..Density::default() };
    /// let (f, slope) = cosine.weight(3.25);
    /// assert!((f - 0.5 * (1.0 + (0.25 * std::f64::consts::PI).cos())).abs() < 1e-15 && slope < 0.0);
    ///
    /// let tanh = Density { cutoff_function: CutoffFunction::Tanh, ..cosine };
    /// assert!((tanh.weight(3.25).0 - 0.75_f64.tanh().powi(3)).abs() < 1e-15);
    /// ```
    pub fn weight(&self, r: f64) -> (f64, f64) {
        let (f, df) = self.weights(&[r; LANES]);
        (f[0], df[0])
    }

    /// [`Density::weight`] of eight neighbours. To be inlined into a function compiled for the machine's vectors.
    #[inline(always)]
    pub(crate) fn weights(&self, r: &Lanes) -> (Lanes, Lanes) {
        // A step is a cosine of no width.
        let width = if self.cutoff_function == CutoffFunction::Step { 0.0 } else { self.cutoff_width };
        let inside = self.r_cut - width;
        let inverse = if width > 0.0 { 1.0 / width } else { 0.0 };
        // ½(1 + cos πt) = cos² x with x = πt/2: never negative.
        let x = r.map(|r| std::f64::consts::FRAC_PI_2 * ((r - inside) * inverse).clamp(0.0, 1.0));
        let (sin, cos) = sin_cos(&x);
        let (mut f, mut df) = ([0.0; LANES], [0.0; LANES]);
        for k in 0..LANES {
            let full = r[k] <= inside;
            let value = if full { 1.0 } else { cos[k] * cos[k] };
            let slope = if full { 0.0 } else { -std::f64::consts::PI * inverse * sin[k] * cos[k] };
            f[k] = if r[k] < self.r_cut { value } else { 0.0 };
            df[k] = if r[k] < self.r_cut { slope } else { 0.0 };
        }
        if matches!(self.cutoff_function, CutoffFunction::Polynomial | CutoffFunction::Tanh) {
            self.replace_cosine(r, &mut f, &mut df);
        }
        if let Some(scaling) = &self.scaling {
            scaling.multiply(r, &mut f, &mut df);
        }
        (f, df)
    }

    /// f_cut and its slope by another function than the cosine, one neighbour after the other. Out of the loop over neighbours, which
    /// stays as short as it is with the cosine alone; no fused operations, which are calls in code that is compiled for any machine.
    #[inline(never)]
    fn replace_cosine(&self, r: &Lanes, f: &mut Lanes, df: &mut Lanes) {
        let width = self.cutoff_width;
        for k in (0..LANES).filter(|&k| r[k] < self.r_cut) {
            let s = (self.r_cut - r[k]) / width;
            (f[k], df[k]) = match self.cutoff_function {
                CutoffFunction::Tanh => cutoff::tanh(s, width),
                CutoffFunction::Polynomial => cutoff::polynomial(s, width),
                CutoffFunction::Cosine | CutoffFunction::Step => (f[k], df[k]),
            };
        }
    }
}

/// sin x and cos x for |x| ≤ π/2 to rounding, by their series: no branch, so that eight go at once.
#[inline(always)]
fn sin_cos(x: &Lanes) -> (Lanes, Lanes) {
    /// (−1)^k/(2k + 1)! and (−1)^k/(2k)!
    const SERIES: [(f64, f64); 12] = {
        let mut series = [(1.0, 1.0); 12];
        let mut k = 1;
        while k < 12 {
            let cos = -series[k - 1].1 / ((2 * k - 1) * 2 * k) as f64;
            series[k] = (-series[k - 1].0 / (2 * k * (2 * k + 1)) as f64, cos);
            k += 1;
        }
        series
    };
    let (mut sin, mut cos) = ([SERIES[11].0; LANES], [SERIES[11].1; LANES]);
    for (of_sin, of_cos) in SERIES.into_iter().rev().skip(1) {
        for k in 0..LANES {
            sin[k] = sin[k].mul_add(x[k] * x[k], of_sin);
            cos[k] = cos[k].mul_add(x[k] * x[k], of_cos);
        }
    }
    (std::array::from_fn(|k| sin[k] * x[k]), cos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Named;

    #[test]
    fn the_slope_of_the_weight_is_its_difference_quotient() {
        for scaling in [None, Some(RadialScaling { rate: 1.0, scale: 2.0, exponent: 7.0 })] {
            for cutoff_function in CutoffFunction::VALUES {
                let cutoff_function = *cutoff_function;
                let scaling = scaling.clone();
                let density = Density { r_cut: 5.0, cutoff_function, cutoff_width: 0.7, scaling, ..Density::default() };
                for k in 0..250 {
                    let (r, h) = (0.01 + 0.02 * f64::from(k) - 1e-4, 3e-6);
                    let quotient = (density.weight(r + h).0 - density.weight(r - h).0) / (2.0 * h);
                    assert!((density.weight(r).1 - quotient).abs() < 1e-9, "{cutoff_function:?} at r = {r}");
                }
            }
        }
    }

    #[test]
    fn sine_and_cosine_are_right_to_rounding() {
        for k in -1000..=1000 {
            let x = f64::from(k) / 1000.0 * std::f64::consts::FRAC_PI_2;
            let (sin, cos) = sin_cos(&[x; LANES]);
            assert!((sin[3] - x.sin()).abs() < 3e-16 && (cos[3] - x.cos()).abs() < 3e-16, "x = {x}");
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

    #[test]
    fn the_weight_vanishes_at_the_cutoff_as_smoothly_as_its_function_does() {
        let eps = 1e-4;
        for (cutoff_function, below, slope_below) in [
            // ½(1 + cos πt), 1 − p(t) = 10 s³, s³ to leading order in s = eps/w.
            (CutoffFunction::Cosine, 0.25 * (std::f64::consts::PI * eps / 0.5).powi(2), 1e-2),
            (CutoffFunction::Polynomial, 10.0 * (eps / 0.5_f64).powi(3), 1e-5),
            (CutoffFunction::Tanh, (eps / 0.5_f64).powi(3), 1e-6),
            (CutoffFunction::Step, 1.0, 0.0),
        ] {
            let density = Density { r_cut: 4.0, cutoff_function, cutoff_width: 0.5, ..Density::default() };
            let (f, slope) = density.weight(4.0 - eps);
            assert!((f / below - 1.0).abs() < 1e-3, "{cutoff_function:?}: {f}, not {below}");
            assert!(slope <= 0.0 && slope >= -slope_below, "{cutoff_function:?}: {slope}");
            assert_eq!(density.weight(4.0), (0.0, 0.0));
            assert_eq!(density.weight(4.5), (0.0, 0.0));
        }
    }

    #[test]
    fn the_polynomial_has_two_derivatives_where_the_shell_begins() {
        let cutoff_function = CutoffFunction::Polynomial;
        let density = Density { r_cut: 4.0, cutoff_function, cutoff_width: 0.5, ..Density::default() };
        let eps = 1e-4; // 1 − f = 10 t³ + …
        let (f, slope) = density.weight(3.5 + eps);
        let t: f64 = eps / 0.5;
        assert!(
            ((1.0 - f) / (10.0 * t.powi(3)) - 1.0).abs() < 1e-3 && (slope / (-30.0 * t * t / 0.5) - 1.0).abs() < 1e-3
        );
        assert_eq!(density.weight(3.5), (1.0, 0.0));
    }

    #[test]
    fn a_step_is_a_cosine_of_no_width() {
        let scaling = Some(RadialScaling { rate: 1.0, scale: 2.0, exponent: 7.0 });
        let cosine = Density { r_cut: 4.0, cutoff_width: 0.0, scaling, ..Density::default() };
        let step = Density { cutoff_function: CutoffFunction::Step, ..cosine.clone() };
        for r in (0..=410).map(|k| 0.01 * f64::from(k)) {
            assert_eq!(step.weight(r), cosine.weight(r));
        }
    }
}
