//! Real solid harmonics r^l Y_lm, eight points at a time, and their gradients as harmonics one degree lower.
//!
//! Real, orthonormal on the sphere, no Condon–Shortley phase, m = −l…l ascending; index lm = l² + l + m.
//! Being polynomials in x, y, z they need no division by r: the origin and the z axis are points like any other.

use crate::simd::{LANES, Lanes};

/// Y_00 = (4π)^(−1/2).
pub(super) const Y00: f64 = 0.282_094_791_773_878_14;
use crate::structure::Vec3;

/// Coefficients of the recursions, once per l_max.
///
/// With w = x + iy and Π the normalised associated Legendre part, r^l Y_{l,±m} = Π_lm(z, r²) {Re, Im} w^m and
///
/// ```text
/// Π_mm    constant,   Π_lm = a_lm z Π_{l−1,m} − b_lm r² Π_{l−2,m}
/// ```
#[derive(Debug, Clone)]
pub struct SolidHarmonics {
    l_max: usize,
    /// Π_mm, with the √2 of the real harmonics for m > 0.
    diagonal: Vec<f64>,
    /// (a_lm, b_lm), ordered as the recursion runs: m slowest, l = m + 1 … l_max.
    recursion: Vec<(f64, f64)>,
}

impl SolidHarmonics {
    /// Prepares harmonics up to and including `l_max`.
    pub fn new(l_max: usize) -> Self {
        let mut diagonal = vec![1.0 / (4.0 * std::f64::consts::PI).sqrt()];
        for m in 1..=l_max {
            let previous = diagonal[m - 1];
            let factor = (2 * m + 1) as f64 / (2 * m) as f64;
            diagonal.push(previous * factor.sqrt() * if m == 1 { std::f64::consts::SQRT_2 } else { 1.0 });
        }
        let mut recursion = Vec::new();
        for m in 0..=l_max {
            for l in m + 1..=l_max {
                let (l, m) = (l as f64, m as f64);
                let a = ((4.0 * l * l - 1.0) / (l * l - m * m)).sqrt();
                let before = (l - 1.0) * (l - 1.0);
                let b = (((before - m * m) * (4.0 * l * l - 1.0)) / ((4.0 * before - 1.0) * (l * l - m * m))).sqrt();
                recursion.push((a, if l - m < 1.5 { 0.0 } else { b }));
            }
        }
        SolidHarmonics { l_max, diagonal, recursion }
    }

    /// Largest l, included.
    pub fn l_max(&self) -> usize {
        self.l_max
    }

    /// r^l Y_lm of eight points: `out[lm][point]`. To be inlined into a function compiled for the machine's vectors.
    #[inline(always)]
    pub(crate) fn evaluate_lanes(&self, x: &Lanes, y: &Lanes, z: &Lanes, out: &mut [Lanes]) {
        let r2: Lanes = std::array::from_fn(|k| x[k].mul_add(x[k], y[k].mul_add(y[k], z[k] * z[k])));
        let (mut re, mut im): (Lanes, Lanes) = ([1.0; LANES], [0.0; LANES]); // w^m
        let mut steps = self.recursion.iter();
        for (m, &diagonal) in self.diagonal.iter().enumerate() {
            if m > 0 {
                let (re_1, im_1) = (re, im);
                for k in 0..LANES {
                    re[k] = x[k].mul_add(re_1[k], -(y[k] * im_1[k]));
                    im[k] = x[k].mul_add(im_1[k], y[k] * re_1[k]);
                }
            }
            let (mut before, mut last): (Lanes, Lanes) = ([0.0; LANES], [diagonal; LANES]);
            for l in m..=self.l_max {
                if l > m {
                    let &(a, b) = steps.next().expect("one coefficient pair for each l > m");
                    let next: Lanes = std::array::from_fn(|k| (a * z[k]).mul_add(last[k], -(b * r2[k]) * before[k]));
                    (before, last) = (last, next);
                }
                let lm = l * l + l;
                for k in 0..LANES {
                    out[lm + m][k] = last[k] * re[k];
                }
                if m > 0 {
                    for k in 0..LANES {
                        out[lm - m][k] = last[k] * im[k];
                    }
                }
            }
        }
    }

    /// r^l Y_lm at one point in Å, in the order lm = l² + l + m; unit Å^l.
    ///
    /// ```
    /// # use rhobasis::density::SolidHarmonics;
    /// let y = SolidHarmonics::new(1).evaluate([0.1, 0.2, 0.3]);
    /// let c = (3.0 / (4.0 * std::f64::consts::PI)).sqrt();
    /// assert!((y[1] - c * 0.2).abs() < 1e-15 && (y[2] - c * 0.3).abs() < 1e-15 && (y[3] - c * 0.1).abs() < 1e-15);
    /// ```
    pub fn evaluate(&self, r: Vec3) -> Vec<f64> {
        let mut out = vec![[0.0; LANES]; (self.l_max + 1).pow(2)];
        let [x, y, z] = r.map(|c| [c; LANES]);
        self.evaluate_lanes(&x, &y, &z, &mut out);
        out.iter().map(|lanes| lanes[0]).collect()
    }
}

/// ∇(r^l Y_lm) as a combination of r^{l−1} Y_{l−1,m′}: at most two m′ for each Cartesian direction.
///
/// With F_lm = Π_lm w^m (no √2), A = √[(2l+1)/(2l−1)·(l+m)(l+m−1)] and B = √[(2l+1)/(2l−1)·(l−m)(l−m−1)]:
///
/// ```text
/// (∂x − i∂y) F_lm = A F_{l−1,m−1},   (∂x + i∂y) F_lm = −B F_{l−1,m+1},   ∂z F_lm = √[(2l+1)/(2l−1)·(l²−m²)] F_{l−1,m}
/// ```
///
/// Calls `term(direction, m, m′, coefficient)` for each non-zero coefficient, with m and m′ of the real harmonics.
pub(crate) fn gradient_terms(l: usize, mut term: impl FnMut(usize, i64, i64, f64)) {
    if l == 0 {
        return;
    }
    let below = l as i64 - 1;
    let ratio = (2 * l + 1) as f64 / (2 * l - 1) as f64;
    let sqrt2 = std::f64::consts::SQRT_2;
    // Real harmonics are Re F_m and Im F_m times √2, but F_0 itself: the factor that turns F_0 into the others.
    let scale = |m: i64| if m == 0 { 1.0 } else { sqrt2 };
    for m in 0..=l as i64 {
        let (lf, mf) = (l as f64, m as f64);
        let lower = 0.5 * (ratio * (lf + mf) * (lf + mf - 1.0)).sqrt();
        let upper = 0.5 * (ratio * (lf - mf) * (lf - mf - 1.0)).max(0.0).sqrt();
        let along = (ratio * (lf * lf - mf * mf)).sqrt();
        if m <= below {
            term(2, m, m, along);
            if m > 0 {
                term(2, -m, -m, along);
            }
        }
        if m == 0 {
            // F_l0 is real: both of its derivatives come from F_{l−1,1}.
            if below >= 1 {
                term(0, 0, 1, -2.0 * upper / sqrt2);
                term(1, 0, -1, -2.0 * upper / sqrt2);
            }
            continue;
        }
        let down = lower * scale(m) / scale(m - 1);
        term(0, m, m - 1, down);
        term(1, -m, m - 1, down);
        if m > 1 {
            term(0, -m, -(m - 1), down);
            term(1, m, -(m - 1), -down);
        }
        if m < below {
            term(0, m, m + 1, -upper);
            term(0, -m, -(m + 1), -upper);
            term(1, m, -(m + 1), -upper);
            term(1, -m, m + 1, upper);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: [Vec3; 4] = [[0.3, -0.7, 1.1], [0.0, 0.0, 1.3], [0.0, 0.0, 0.0], [-1.0, 0.4, 0.0]];

    #[test]
    fn degree_two_matches_the_textbook_polynomials() {
        let c = (15.0 / (4.0 * std::f64::consts::PI)).sqrt();
        let d = (5.0 / (16.0 * std::f64::consts::PI)).sqrt();
        for [x, y, z] in POINTS {
            let expected =
                [c * x * y, c * y * z, d * (2.0 * z * z - x * x - y * y), c * x * z, 0.5 * c * (x * x - y * y)];
            let found = SolidHarmonics::new(2).evaluate([x, y, z]);
            for m in 0..5 {
                assert!((found[4 + m] - expected[m]).abs() < 1e-14, "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn the_addition_theorem_holds_up_to_degree_20() {
        let r: Vec3 = [0.48, -0.6, 0.64]; // unit length
        let y = SolidHarmonics::new(20).evaluate(r);
        for l in 0..=20 {
            let sum: f64 = y[l * l..(l + 1) * (l + 1)].iter().map(|v| v * v).sum();
            let expected = (2 * l + 1) as f64 / (4.0 * std::f64::consts::PI);
            assert!((sum / expected - 1.0).abs() < 1e-13, "l = {l}");
        }
    }

    #[test]
    fn gradients_are_difference_quotients_at_poles_and_origin_too() {
        let harmonics = SolidHarmonics::new(6);
        let h = 1e-5;
        for r in POINTS {
            let y = harmonics.evaluate(r);
            let mut gradient = vec![[0.0; 3]; 49];
            for l in 0..=6_usize {
                gradient_terms(l, |direction, m, m1, coefficient| {
                    let lm = (l * l + l) as i64 + m;
                    let lm1 = (l * l - l) as i64 + m1; // (l−1)² + (l−1)
                    gradient[lm as usize][direction] += coefficient * y[lm1 as usize];
                });
            }
            for direction in 0..3 {
                let (mut up, mut down) = (r, r);
                up[direction] += h;
                down[direction] -= h;
                let (up, down) = (harmonics.evaluate(up), harmonics.evaluate(down));
                for lm in 0..49 {
                    let quotient = (up[lm] - down[lm]) / (2.0 * h);
                    assert!((gradient[lm][direction] - quotient).abs() < 1e-7, "lm {lm}, direction {direction}");
                }
            }
        }
    }
}
