//! Leading eigenvectors of AᵀA by products with it: block Krylov with restarts, every vector orthogonalised against all.

use ndarray::Array2;

use super::columns::Columns;
use crate::linalg::{self, add_multiple, dot};

/// Up to this size all eigenvectors are found at once.
const SMALL: usize = 48;
/// Rounds after which the vectors are taken as they are.
const MOST_ROUNDS: usize = 500;

/// Rounds after which products that were only corrected are formed anew.
const CORRECTED_ROUNDS: usize = 30;

/// What one search has found, from which the next goes on: after one column is projected out it is nearly right.
#[derive(Default)]
pub(super) struct Leading {
    basis: Basis,
    /// The largest eigenvalue when products with AᵀA were formed; later ones are corrected for what was projected out, with errors
    /// of the size of the rounding of this one.
    largest: f64,
    /// Whether some were corrected.
    is_corrected: bool,
}

/// Some vectors, their products with AᵀA, and the matrix of both.
#[derive(Default)]
struct Basis {
    v: Vec<Vec<f64>>,
    w: Vec<Vec<f64>>,
    h: Vec<Vec<f64>>,
}

impl Leading {
    /// Leverage of each column, π_j = Σ_k v_kj², over the k leading eigenvectors of AᵀA; `certain(π, e)` says whether
    /// these are good enough if each may be wrong by e.
    pub fn leverage(&mut self, columns: &Columns, k: usize, certain: impl Fn(&[f64], f64) -> bool) -> Vec<f64> {
        let n = columns.n();
        let k = k.min(n);
        if n <= SMALL.max(k + 1) {
            let (values, vectors) = linalg::eigh(columns.gram().view());
            return leverage(&values, vectors.rows().into_iter().map(|v| v.to_vec()), k, n);
        }
        let most = (3 * k + 60).min(n);
        // The constructed vector meets eigenvectors to which all vectors of the last search are orthogonal.
        let constructed = || (0..n).map(generic).collect::<Vec<f64>>();
        let mut next = vec![constructed()];
        for round in 0.. {
            let complete = !self.basis.extend(columns, next) && round > 0;
            let (values, y) = self.basis.eigh();
            if self.is_corrected && (values[0] < 0.1 * self.largest || round == CORRECTED_ROUNDS) {
                next = self.basis.combine(&self.basis.v, &y, (k + 5).min(values.len()));
                next.push(constructed());
                *self = Leading::default();
                continue;
            }
            self.largest = self.largest.max(values[0]);
            let wanted = (k + 1).min(values.len());
            let vectors = self.basis.combine(&self.basis.v, &y, wanted);
            let residuals = residuals(&self.basis.combine(&self.basis.w, &y, wanted), &vectors, &values);
            let sizes: Vec<f64> = residuals.iter().map(|r| dot(r, r).sqrt()).collect();
            let pi = leverage(&values, vectors.iter().cloned(), k, n);
            let error = bound(&values, &sizes, k);
            let rounding = sizes.iter().all(|size| *size <= 1e-15 * values[0].abs());
            if complete || rounding || round == MOST_ROUNDS || error <= 1e-12 || certain(&pi, error) {
                return pi;
            }
            if self.basis.v.len() + wanted > most {
                self.basis.restart(&values, &y, (2 * k + 24).min(values.len()));
            }
            next = residuals;
        }
        unreachable!("the last round returns")
    }

    /// Takes along that AᵀA has become AᵀA − g gᵀ/`squared`.
    pub fn project_out(&mut self, g: &[f64], squared: f64) {
        self.basis.project_out(g, squared);
        self.is_corrected = true;
    }
}

impl Basis {
    /// Adds what is new in these vectors; whether anything was.
    fn extend(&mut self, columns: &Columns, vectors: Vec<Vec<f64>>) -> bool {
        let old = self.v.len();
        for mut vector in vectors {
            let norm = dot(&vector, &vector).sqrt();
            if norm < 1e-290 {
                continue;
            }
            vector.iter_mut().for_each(|x| *x /= norm);
            // Again as long as much of it goes: only then is the rest orthogonal to rounding.
            let mut left = 1.0;
            for _ in 0..3 {
                for v in &self.v {
                    let along = dot(v, &vector);
                    add_multiple(&mut vector, -along, v);
                }
                let before = left;
                left = dot(&vector, &vector).sqrt();
                if left > 0.5 * before || left < 1e-12 {
                    break;
                }
            }
            if left >= 1e-12 {
                vector.iter_mut().for_each(|x| *x /= left);
                self.v.push(vector);
            }
        }
        self.w.extend(columns.apply(&self.v[old..]));
        for i in old..self.v.len() {
            let row = (0..=i).map(|j| dot(&self.v[j], &self.w[i])).collect();
            self.h.push(row);
        }
        self.v.len() > old
    }

    fn project_out(&mut self, g: &[f64], squared: f64) {
        let along: Vec<f64> = self.v.iter().map(|v| dot(v, g)).collect();
        for (i, w) in self.w.iter_mut().enumerate() {
            add_multiple(w, -along[i] / squared, g);
            self.h[i].iter_mut().zip(&along).for_each(|(h, other)| *h -= along[i] / squared * other);
        }
    }

    fn eigh(&self) -> (Vec<f64>, Array2<f64>) {
        let m = self.h.len();
        linalg::eigh(Array2::from_shape_fn((m, m), |(i, j)| self.h[i.max(j)][i.min(j)]).view())
    }

    /// The first `n` combinations Σ_j y[i, j] x_j.
    fn combine(&self, x: &[Vec<f64>], y: &Array2<f64>, n: usize) -> Vec<Vec<f64>> {
        let combination = |i: usize| {
            let mut sum = vec![0.0; x[0].len()];
            x.iter().zip(y.row(i)).for_each(|(x, y)| add_multiple(&mut sum, *y, x));
            sum
        };
        (0..n).map(combination).collect()
    }

    fn restart(&mut self, values: &[f64], y: &Array2<f64>, n: usize) {
        (self.v, self.w) = (self.combine(&self.v, y, n), self.combine(&self.w, y, n));
        self.h = (0..n).map(|i| (0..=i).map(|j| if i == j { values[i] } else { 0.0 }).collect()).collect();
    }
}

/// w − λ v for each vector.
fn residuals(w: &[Vec<f64>], v: &[Vec<f64>], values: &[f64]) -> Vec<Vec<f64>> {
    let residual =
        |((w, v), value): ((&Vec<f64>, &Vec<f64>), &f64)| w.iter().zip(v).map(|(w, v)| w - value * v).collect();
    w.iter().zip(v).zip(values).map(residual).collect()
}

/// How wrong the subspace of the first k vectors may be: residuals over the gap behind them.
fn bound(values: &[f64], sizes: &[f64], k: usize) -> f64 {
    let Some(next) = values.get(k) else { return f64::INFINITY };
    let gap = values[k - 1] - next - sizes[k];
    if gap <= 0.0 { f64::INFINITY } else { sizes[..k].iter().map(|s| s * s).sum::<f64>().sqrt() / gap }
}

/// π_j = Σ_k v_kj²; directions without any length do not count.
fn leverage(values: &[f64], vectors: impl Iterator<Item = Vec<f64>>, k: usize, n: usize) -> Vec<f64> {
    let mut pi = vec![0.0; n];
    for (v, _) in vectors.zip(values).take(k).filter(|(_, value)| **value > 1e-14 * values[0]) {
        pi.iter_mut().zip(&v).for_each(|(pi, v)| *pi += v * v);
    }
    pi
}

/// A number between -1 and 1 without pattern, always the same for the same i.
fn generic(i: usize) -> f64 {
    let mut z = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}
