//! Real Clebsch–Gordan coefficients: how two equivariants are coupled to a third, Eq. (16).

use std::f64::consts::FRAC_1_SQRT_2;

use crate::{Error, Result};

/// Largest l of the two factors.
pub const L_MAX_COUPLED: usize = 12;

/// One coefficient ⟨l1 m1; l2 m2|λμ⟩ that is not zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coupling {
    /// l1 + m1, from 0: the place of m1 in a block.
    pub m1: usize,
    /// l2 + m2.
    pub m2: usize,
    /// λ + μ.
    pub mu: usize,
    /// The coefficient.
    pub value: f64,
}

/// Real, orthonormal Clebsch–Gordan coefficients that are not zero, by μ, then m1, then m2:
///
/// ```text
/// (A ⊗ B)_λμ = Σ_{m1 m2} ⟨l1 m1; l2 m2|λμ⟩ A_{l1 m1} B_{l2 m2},      Σ_{λμ} |(A ⊗ B)_λμ|² = |A|² |B|²
/// ```
///
/// for A and B that turn like real harmonics (docs/conventions.md). Made from exact complex coefficients. Where l1 + l2 + λ is
/// odd, the sign is such that 1 ⊗ 1 → 1 is +(a × b)/√2. None if the triangle is not closed.
///
/// ```
/// use rhobasis::correlations::clebsch_gordan;
/// let dot = clebsch_gordan(1, 1, 0)?; // −a·b/√3
/// assert_eq!(dot.len(), 3);
/// assert!(dot.iter().all(|c| c.m1 == c.m2 && (c.value + 3f64.sqrt().recip()).abs() < 1e-15));
/// # Ok::<(), rhobasis::Error>(())
/// ```
///
/// # Errors
/// If l1 or l2 is above [`L_MAX_COUPLED`].
pub fn clebsch_gordan(l1: usize, l2: usize, lambda: usize) -> Result<Vec<Coupling>> {
    for (name, l) in [("l1", l1), ("l2", l2)] {
        if l > L_MAX_COUPLED {
            let remedy = format!("use at most {L_MAX_COUPLED}");
            return Err(Error::setting(name, l, "Clebsch-Gordan coefficients end before", remedy));
        }
    }
    let mut couplings = Vec::new();
    if lambda < l1.abs_diff(l2) || lambda > l1 + l2 {
        return Ok(couplings);
    }
    let (signed1, signed2, signed3) = (l1 as i32, l2 as i32, lambda as i32);
    let odd = (l1 + l2 + lambda) % 2 == 1;
    for mu in -signed3..=signed3 {
        for m1 in -signed1..=signed1 {
            for m2 in -signed2..=signed2 {
                if m1.abs() + m2.abs() != mu.abs() && (m1.abs() - m2.abs()).abs() != mu.abs() {
                    continue;
                }
                // U3 CG U1* U2*: real for even l1 + l2 + λ, imaginary for odd.
                let mut sum = Complex::default();
                for (k1, u1) in of_real(m1).into_iter().flatten() {
                    for (k2, u2) in of_real(m2).into_iter().flatten() {
                        for (k3, u3) in of_real(mu).into_iter().flatten() {
                            if k1 + k2 == k3 {
                                let cg = wigners::clebsch_gordan(l1 as u32, k1, l2 as u32, k2, lambda as u32, k3);
                                sum = sum.plus(u3.times(u1.conjugate()).times(u2.conjugate()), cg);
                            }
                        }
                    }
                }
                let value = if odd { sum.im } else { sum.re };
                if value.abs() > NOTHING {
                    let place = |l: i32, m: i32| (l + m) as usize;
                    let (m1, m2, mu) = (place(signed1, m1), place(signed2, m2), place(signed3, mu));
                    couplings.push(Coupling { m1, m2, mu, value });
                }
            }
        }
    }
    Ok(couplings)
}

/// Sums that ought to be zero are below this, the smallest coefficients (1e-7) above.
const NOTHING: f64 = 1e-12;

/// Y_m = Σ_k U_mk 𝒴_k: the real harmonic in complex ones, which have the Condon–Shortley phase.
fn of_real(m: i32) -> [Option<(i32, Complex)>; 2] {
    let phase = if m % 2 == 0 { FRAC_1_SQRT_2 } else { -FRAC_1_SQRT_2 };
    match m {
        0 => [Some((0, Complex { re: 1.0, im: 0.0 })), None],
        1.. => [Some((m, Complex { re: phase, im: 0.0 })), Some((-m, Complex { re: FRAC_1_SQRT_2, im: 0.0 }))],
        _ => [Some((-m, Complex { re: 0.0, im: -phase })), Some((m, Complex { re: 0.0, im: FRAC_1_SQRT_2 }))],
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    fn times(self, other: Complex) -> Complex {
        Complex { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }

    fn conjugate(self) -> Complex {
        Complex { re: self.re, im: -self.im }
    }

    fn plus(self, other: Complex, factor: f64) -> Complex {
        Complex { re: self.re + factor * other.re, im: self.im + factor * other.im }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn dense(l1: usize, l2: usize, lambda: usize) -> Array3<f64> {
        let mut dense = Array3::zeros((2 * l1 + 1, 2 * l2 + 1, 2 * lambda + 1));
        for c in clebsch_gordan(l1, l2, lambda).unwrap() {
            dense[[c.m1, c.m2, c.mu]] = c.value;
        }
        dense
    }

    #[test]
    fn one_and_one_make_the_cross_product() {
        // m = −1, 0, 1 are y, z, x.
        let (a, b) = ([0.3, -0.7, 0.2], [0.5, 0.1, -0.9]);
        let [y, z, x] = [0, 1, 2];
        let cross = [a[z] * b[x] - a[x] * b[z], a[x] * b[y] - a[y] * b[x], a[y] * b[z] - a[z] * b[y]];
        let coupled = dense(1, 1, 1);
        for (mu, component) in cross.into_iter().enumerate() {
            let sum: f64 = coupled.indexed_iter().filter(|(k, _)| k.2 == mu).map(|(k, v)| v * a[k.0] * b[k.1]).sum();
            assert!((sum - component * FRAC_1_SQRT_2).abs() < 1e-15, "{mu}");
        }
    }

    #[test]
    fn coefficients_are_orthonormal_both_ways() {
        for (l1, l2) in [(0, 3), (1, 1), (2, 3), (4, 4), (6, 5), (12, 12)] {
            let mut of_pair = Array3::<f64>::zeros((2 * l1 + 1, 2 * l2 + 1, 1));
            for lambda in l1.abs_diff(l2)..=l1 + l2 {
                let c = dense(l1, l2, lambda);
                for mu in 0..=2 * lambda {
                    let norm: f64 = c.index_axis(ndarray::Axis(2), mu).iter().map(|v| v * v).sum();
                    assert!((norm - 1.0).abs() < 1e-13, "{l1} {l2} {lambda} {mu}");
                }
                of_pair.indexed_iter_mut().for_each(|((m1, m2, _), sum)| {
                    *sum += (0..=2 * lambda).map(|mu| c[[m1, m2, mu]].powi(2)).sum::<f64>();
                });
            }
            assert!(of_pair.iter().all(|sum| (sum - 1.0).abs() < 1e-13));
        }
    }

    #[test]
    fn equal_l_coupled_to_zero_is_the_dot_product() {
        for l in 0..=6 {
            let sign = dense(l, l, 0)[[0, 0, 0]].signum();
            for c in clebsch_gordan(l, l, 0).unwrap() {
                assert_eq!(c.m1, c.m2);
                assert!((c.value - sign / ((2 * l + 1) as f64).sqrt()).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn an_l_beyond_the_tables_is_refused() {
        assert!(clebsch_gordan(13, 2, 11).unwrap_err().to_string().contains("at most 12"));
        assert!(clebsch_gordan(2, 2, 7).unwrap().is_empty());
    }
}
