use ndarray::{Array2, aview1};

use super::eigh;
use super::vectors::{add_multiple, dot};

/// Most steps: spectra of which the end is not found by then are so dense there that the value is good to rounding long before.
pub const MOST_STEPS: usize = 256;

/// Largest eigenvalue of a positive semidefinite operator on vectors of `n` numbers, by the method of Lanczos with full
/// reorthogonalisation: that of T = VᵀAV, tridiagonal, on the space V of x, Ax, A²x, …
///
/// Ends where |A v − θ v| ≤ `tolerance` · θ for the largest eigenvalue θ of T and its vector v, so that an eigenvalue of A is
/// that close to θ; θ itself is never too large but for rounding. Infinite if `apply` gives a number that is not finite.
pub fn largest_eigenvalue(n: usize, tolerance: f64, apply: impl Fn(&[f64]) -> Vec<f64>) -> f64 {
    let mut basis = vec![without_pattern(n)];
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    let mut next_look = 1;
    loop {
        let mut v = apply(basis.last().expect("a first vector"));
        diagonal.push(dot(basis.last().expect("a first vector"), &v));
        // Once leaves what cancellation made; twice is enough.
        for old in basis.iter().chain(&basis) {
            let part = dot(old, &v);
            add_multiple(&mut v, -part, old);
        }
        let length = dot(&v, &v).sqrt();
        if !length.is_finite() {
            return f64::INFINITY;
        }
        let steps = diagonal.len();
        let last = steps == n.min(MOST_STEPS);
        if last || steps >= next_look || length == 0.0 {
            let (value, tip) = ritz(&diagonal, &beside);
            if last || length * tip <= tolerance.max(f64::EPSILON) * value {
                return value;
            }
            next_look = steps + (steps / 8).max(2);
        }
        v.iter_mut().for_each(|x| *x /= length);
        beside.push(length);
        basis.push(v);
    }
}

/// Largest eigenvalue of a tridiagonal matrix, and the size of the last component of its eigenvector.
fn ritz(diagonal: &[f64], beside: &[f64]) -> (f64, f64) {
    let n = diagonal.len();
    let mut t = Array2::zeros((n, n));
    t.diag_mut().assign(&aview1(diagonal));
    for (i, &b) in beside.iter().enumerate() {
        t[[i + 1, i]] = b;
    }
    let (values, vectors) = eigh(t.view());
    (values[0], vectors[[0, n - 1]].abs())
}

/// A vector of length 1 without any pattern that a matrix might have.
fn without_pattern(n: usize) -> Vec<f64> {
    let mut v: Vec<f64> = (0..n).map(|i| 1.0 + 0.5 * ((i * i) as f64 + 1.0).sin()).collect();
    let length = dot(&v, &v).sqrt();
    v.iter_mut().for_each(|x| *x /= length);
    v
}
