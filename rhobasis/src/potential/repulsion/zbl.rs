//! The universal repulsion of nuclei, switched off smoothly; see [`super::Repulsion::Zbl`].

/// e²/(4πε_0), in eV Å (CODATA 2018).
const COULOMB: f64 = 14.399_645_478_425_67;
/// 0.8854 Bohr radii, in Å.
const LENGTH: f64 = 0.468_50;
const PHI: [[f64; 2]; 4] = [[0.18175, 3.19980], [0.50986, 0.94229], [0.28022, 0.40290], [0.02817, 0.20162]];

/// Of two species.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zbl {
    /// Z_1 Z_2 e²/(4πε_0), in eV Å.
    charge: f64,
    /// 1/a, in 1/Å.
    per_length: f64,
    inner: f64,
    outer: f64,
}

impl Zbl {
    /// Whole within `inner`, zero from `outer` on, both in Å.
    pub fn new([a, b]: [u8; 2], inner: f64, outer: f64) -> Self {
        let [x, y] = [f64::from(a), f64::from(b)];
        let per_length = (libm::pow(x, 0.23) + libm::pow(y, 0.23)) / LENGTH;
        Zbl { charge: COULOMB * x * y, per_length, inner, outer }
    }

    /// Energy and its derivative by the distance, in eV and eV/Å.
    pub fn energy(&self, r: f64) -> (f64, f64) {
        if r >= self.outer {
            return (0.0, 0.0);
        }
        let (v, dv) = self.whole(r);
        let t = (r - self.inner) / (self.outer - self.inner);
        if t <= 0.0 {
            return (v, dv);
        }
        let s = 1.0 - t * t * t * (10.0 - t * (15.0 - 6.0 * t));
        let ds = -30.0 * t * t * (1.0 - t) * (1.0 - t) / (self.outer - self.inner);
        (s * v, ds * v + s * dv)
    }

    fn whole(&self, r: f64) -> (f64, f64) {
        let (mut phi, mut slope) = (0.0, 0.0);
        for [weight, rate] in PHI {
            let term = weight * libm::exp(-rate * self.per_length * r);
            phi += term;
            slope -= rate * self.per_length * term;
        }
        (self.charge * phi / r, self.charge * (slope - phi / r) / r)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energies_are_those_of_the_universal_potential() {
        // Of Si–Si at 1 Å by hand: a = 0.4685/(2 · 14^0.23) = 0.127663 Å, x = 7.83313, φ = 0.018034, 2822.33 eV times that.
        let (energy, _) = Zbl::new([14, 14], 2.0, 2.1).energy(1.0);
        let x = 2.0 * 14f64.powf(0.23) / 0.4685;
        let phi: f64 = [[0.18175_f64, 3.1998], [0.50986, 0.94229], [0.28022, 0.4029], [0.02817, 0.20162]]
            .iter()
            .map(|[c, d]| c * (-d * x).exp())
            .sum();
        assert!((energy - 196.0 * 14.399_645_478 * phi).abs() < 1e-6 * energy, "{energy}");
    }

    #[test]
    fn it_ends_with_two_derivatives_and_its_slope_is_its_derivative() {
        let zbl = Zbl::new([14, 8], 1.0, 1.5);
        for r in [0.3, 0.9, 1.0, 1.1, 1.3, 1.45] {
            let h = 1e-5;
            let difference = (zbl.energy(r + h).0 - zbl.energy(r - h).0) / (2.0 * h);
            assert!((difference - zbl.energy(r).1).abs() < 1e-5 * zbl.energy(r).1.abs(), "{r}");
            assert!(zbl.energy(r).0 > 0.0 && zbl.energy(r).1 < 0.0);
        }
        assert_eq!(zbl.energy(1.5), (0.0, 0.0));
        let (v, dv) = zbl.energy(1.5 - 1e-4);
        assert!(v < 1e-7 && dv.abs() < 1e-3, "{v} {dv}");
    }
}
