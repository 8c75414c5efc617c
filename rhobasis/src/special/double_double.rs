//! Numbers of 32 digits, each the sum of two doubles (Dekker 1971), for the one place where 16 are too few: functions so nearly
//! dependent that rounding them to doubles already changes their orthonormal combinations.

use ndarray::Array2;
use std::ops::{Add, Mul, Sub};

/// The unevaluated sum of two doubles, the second below half a unit in the last place of the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DoubleDouble(f64, f64);

impl DoubleDouble {
    const ZERO: Self = DoubleDouble(0.0, 0.0);
    const LN_2: Self = DoubleDouble(std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);

    /// A double, exactly.
    pub fn new(value: f64) -> Self {
        DoubleDouble(value, 0.0)
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        self.0
    }

    /// High and low part of a sum with |high| ≥ |low|.
    fn normalised(high: f64, low: f64) -> Self {
        let sum = high + low;
        DoubleDouble(sum, low - (sum - high))
    }

    /// 1/self.
    pub fn recip(self) -> Self {
        let first = DoubleDouble::new(1.0 / self.0);
        first + first * (DoubleDouble::new(1.0) - self * first) // one Newton step doubles the digits
    }

    /// √self of a positive number.
    pub fn sqrt(self) -> Self {
        let root = self.0.sqrt();
        DoubleDouble::new(root)
            + (self - DoubleDouble::new(root) * DoubleDouble::new(root)) * DoubleDouble::new(0.5 / root)
    }

    /// self^n.
    pub fn powi(self, n: usize) -> Self {
        (0..n).fold(DoubleDouble::new(1.0), |power, _| power * self)
    }

    /// e^self; 0 below e^{-650}, where the low part would underflow.
    pub fn exp(self) -> Self {
        if self.0 < -650.0 {
            return DoubleDouble::ZERO;
        }
        let twos = (self.0 / std::f64::consts::LN_2).round();
        let halvings = 6;
        let r = (self - DoubleDouble::LN_2 * DoubleDouble::new(twos)) * DoubleDouble::new(0.5_f64.powi(halvings));
        // Taylor series of e^r − 1 for |r| < 0.006, then e^{2r} − 1 = s(2 + s).
        let (mut term, mut s) = (r, r);
        for k in 2..14 {
            term = term * r * DoubleDouble::new(f64::from(k)).recip();
            s = s + term;
        }
        for _ in 0..halvings {
            s = s * (s + DoubleDouble::new(2.0));
        }
        let DoubleDouble(high, low) = s + DoubleDouble::new(1.0);
        let scale = 2.0_f64.powi(twos as i32);
        DoubleDouble(high * scale, low * scale)
    }
}

impl Add for DoubleDouble {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let sum = self.0 + other.0;
        let part = sum - self.0;
        let error = (self.0 - (sum - part)) + (other.0 - part);
        DoubleDouble::normalised(sum, error + (self.1 + other.1))
    }
}

impl Sub for DoubleDouble {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + DoubleDouble(-other.0, -other.1)
    }
}

impl Mul for DoubleDouble {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let product = self.0 * other.0;
        let error = self.0.mul_add(other.0, -product);
        DoubleDouble::normalised(product, error + (self.0 * other.1 + self.1 * other.0))
    }
}

/// Orthogonal factor U Vᵀ of the polar decomposition of the matrix with columns `a[n]`, as `[k, n]`: each entry is correct to
/// the digits of a double as long as the smallest singular value is above 1e-16 of the largest.
///
/// A = QR by Gram-Schmidt; then Newton's iteration X ← (γX + X^{-T}/γ)/2 takes Rᵀ to its own orthogonal factor.
pub fn polar(mut a: Vec<Vec<DoubleDouble>>) -> Array2<f64> {
    let n_cols = a.len();
    let mut x = Vec::with_capacity(n_cols); // Rᵀ
    for j in 0..n_cols {
        let (done, rest) = a.split_at_mut(j);
        let column = &mut rest[0];
        let mut row = vec![DoubleDouble::ZERO; n_cols];
        for (entry, q) in row.iter_mut().zip(&*done) {
            let overlap = dot(q, column);
            *entry = overlap;
            column.iter_mut().zip(q).for_each(|(c, &q)| *c = *c - overlap * q);
        }
        let norm = dot(column, column).sqrt();
        row[j] = norm;
        x.push(row);
        let inverse = norm.recip();
        column.iter_mut().for_each(|c| *c = *c * inverse);
    }
    for _ in 0..60 {
        let inverse = inverse(&x);
        let gamma = (frobenius(&inverse) / frobenius(&x)).sqrt();
        let (grow, shrink) = (DoubleDouble::new(0.5 * gamma), DoubleDouble::new(0.5 / gamma));
        let mut change: f64 = 0.0;
        for i in 0..n_cols {
            for j in 0..n_cols {
                let next = grow * x[i][j] + shrink * inverse[j][i];
                change = change.max((next - x[i][j]).to_f64().abs());
                x[i][j] = next;
            }
        }
        if change < 1e-20 {
            break;
        }
    }
    let n_rows = a.first().map_or(0, Vec::len);
    Array2::from_shape_fn((n_rows, n_cols), |(k, n)| {
        (0..n_cols).fold(DoubleDouble::ZERO, |sum, j| sum + a[j][k] * x[n][j]).to_f64()
    })
}

fn dot(a: &[DoubleDouble], b: &[DoubleDouble]) -> DoubleDouble {
    a.iter().zip(b).fold(DoubleDouble::ZERO, |sum, (&a, &b)| sum + a * b)
}

fn frobenius(x: &[Vec<DoubleDouble>]) -> f64 {
    x.iter().flatten().map(|v| v.0 * v.0).sum::<f64>().sqrt()
}

/// Inverse by Gauss-Jordan elimination with row pivoting.
fn inverse(x: &[Vec<DoubleDouble>]) -> Vec<Vec<DoubleDouble>> {
    let n = x.len();
    let mut left = x.to_vec();
    let mut right = vec![vec![DoubleDouble::ZERO; n]; n];
    (0..n).for_each(|i| right[i][i] = DoubleDouble::new(1.0));
    for j in 0..n {
        let pivot = (j..n).fold(j, |best, i| if left[i][j].0.abs() > left[best][j].0.abs() { i } else { best });
        left.swap(j, pivot);
        right.swap(j, pivot);
        let scale = left[j][j].recip();
        for value in left[j].iter_mut().chain(&mut right[j]) {
            *value = *value * scale;
        }
        let (left_pivot, right_pivot) = (left[j].clone(), right[j].clone());
        for i in (0..n).filter(|&i| i != j) {
            let factor = left[i][j];
            left[i].iter_mut().zip(&left_pivot).for_each(|(v, &p)| *v = *v - factor * p);
            right[i].iter_mut().zip(&right_pivot).for_each(|(v, &p)| *v = *v - factor * p);
        }
    }
    right
}
