//! Leading singular vectors of what is left of a matrix: inverse iteration in a space that grows, every vector orthogonalised against
//! all.

use ndarray::Array2;

use super::remainder::{ROUNDING, Remainder};
use crate::linalg::{self, add_multiple, dot};

/// Rounds after which the vectors are taken as they are.
const MOST_ROUNDS: usize = 100;
/// Vectors beside the k wanted ones that are kept from one search to the next.
const KEPT: usize = 6;
/// Vectors that a space holds beside as many times k, before it starts anew from the best of them.
const MOST: usize = 30;

/// What one search has found, from which the next goes on: after one column is projected out it is nearly right.
#[derive(Default)]
pub(super) struct Leading {
    found: Vec<Vec<f64>>,
}

/// Some vectors v, their products w with P Λ P, and the matrix of both.
#[derive(Default)]
struct Space {
    v: Vec<Vec<f64>>,
    w: Vec<Vec<f64>>,
    h: Vec<Vec<f64>>,
}

impl Leading {
    /// Leverage of each column, π_j = Σ_k v_kj², over the k leading right singular vectors; `certain(π, e)` says whether these are
    /// good enough if each may be wrong by e. None where nothing but rounding is left.
    pub fn leverage(
        &mut self,
        left: &mut Remainder,
        k: usize,
        certain: impl Fn(&[f64], f64) -> bool,
    ) -> Option<Vec<f64>> {
        if left.is_worn() {
            left.renew();
        }
        let n = left.n();
        let mut space = Space::default();
        // The constructed vector meets singular vectors to which all vectors of the last search are orthogonal.
        let mut next = std::mem::take(&mut self.found);
        next.push((0..n).map(generic).collect());
        for round in 0.. {
            if let Some(values) = left.eigenvalues() {
                let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect();
                self.found = (0..n.min(k + KEPT)).map(unit).collect();
                let any = values.first().is_some_and(|&value| !left.is_nothing(value));
                return any.then(|| left.leverage_of_units(k));
            }
            let complete = !space.extend(left, next);
            if space.v.is_empty() {
                return None;
            }
            let (values, y) = space.eigh();
            let wanted = (k + 1).min(values.len());
            let vectors = combine(&space.v, &y, wanted);
            let sizes = residuals(&combine(&space.w, &y, wanted), &vectors, &values);
            let error = bound(&values, &sizes, k, ROUNDING * left.largest());
            // What products with P Λ P leave of the large directions that P takes away.
            let rounding = ROUNDING * (left.largest() * values[0].max(0.0)).sqrt();
            let last = complete || round == MOST_ROUNDS || error <= 1e-12 || sizes.iter().all(|&size| size <= rounding);
            if (last || error < 1e-6) && left.is_too_small(values[wanted.min(k) - 1]) {
                left.renew();
                next = Vec::new();
                continue;
            }
            if last || error < 1e-8 {
                let pairs = vectors.iter().map(Vec::as_slice).zip(values.iter().copied());
                let pi = left.leverage(pairs.take(k));
                if last || certain(&pi, error) {
                    self.found = combine(&space.v, &y, (k + KEPT).min(values.len()));
                    return Some(pi);
                }
            }
            // The vector that is known worst gives the shift; above the first, nothing larger can be between.
            let worst = (0..wanted.min(k)).max_by(|&i, &j| sizes[i].total_cmp(&sizes[j])).expect("one at least");
            next = left.solve(values[worst] + sizes[worst], &vectors);
            if space.v.len() + wanted > 3 * k + MOST {
                space.restart(&values, &y, (2 * k + KEPT).min(values.len()));
            }
        }
        unreachable!("the last round returns")
    }
}

impl Space {
    /// Adds what is new in these vectors; whether anything was.
    fn extend(&mut self, left: &Remainder, vectors: Vec<Vec<f64>>) -> bool {
        let old = self.v.len();
        for mut vector in vectors {
            let norm = dot(&vector, &vector).sqrt();
            if !(norm > 1e-290 && norm.is_finite()) {
                continue;
            }
            vector.iter_mut().for_each(|x| *x /= norm);
            // Again as long as much of it goes: only then is the rest orthogonal to rounding.
            let mut rest = 1.0;
            for _ in 0..3 {
                left.project(&mut vector);
                for v in &self.v {
                    let along = dot(v, &vector);
                    add_multiple(&mut vector, -along, v);
                }
                let before = rest;
                rest = dot(&vector, &vector).sqrt();
                if rest > 0.5 * before || rest < 1e-12 {
                    break;
                }
            }
            if rest >= 1e-12 {
                vector.iter_mut().for_each(|x| *x /= rest);
                self.v.push(vector);
            }
        }
        self.w.extend(self.v[old..].iter().map(|v| left.apply(v)));
        for i in old..self.v.len() {
            let row = (0..=i).map(|j| dot(&self.v[j], &self.w[i])).collect();
            self.h.push(row);
        }
        self.v.len() > old
    }

    fn eigh(&self) -> (Vec<f64>, Array2<f64>) {
        let m = self.h.len();
        linalg::eigh(Array2::from_shape_fn((m, m), |(i, j)| self.h[i.max(j)][i.min(j)]).view())
    }

    fn restart(&mut self, values: &[f64], y: &Array2<f64>, n: usize) {
        (self.v, self.w) = (combine(&self.v, y, n), combine(&self.w, y, n));
        self.h = (0..n).map(|i| (0..=i).map(|j| if i == j { values[i] } else { 0.0 }).collect()).collect();
    }
}

/// The first `n` combinations Σ_j y[i, j] x_j.
fn combine(x: &[Vec<f64>], y: &Array2<f64>, n: usize) -> Vec<Vec<f64>> {
    let combination = |i: usize| {
        let mut sum = vec![0.0; x[0].len()];
        x.iter().zip(y.row(i)).for_each(|(x, y)| add_multiple(&mut sum, *y, x));
        sum
    };
    (0..n).map(combination).collect()
}

/// |w − λ v| for each vector.
fn residuals(w: &[Vec<f64>], v: &[Vec<f64>], values: &[f64]) -> Vec<f64> {
    let residual = |((w, v), value): ((&Vec<f64>, &Vec<f64>), &f64)| {
        w.iter().zip(v).map(|(w, v)| (w - value * v).powi(2)).sum::<f64>().sqrt()
    };
    w.iter().zip(v).zip(values).map(residual).collect()
}

/// How wrong the space of the first k vectors may be: residuals, and rounding of the matrix, over the gap behind them.
fn bound(values: &[f64], sizes: &[f64], k: usize, rounding: f64) -> f64 {
    let Some(next) = values.get(k) else { return f64::INFINITY };
    let gap = values[k - 1] - next - sizes[k];
    let size = sizes[..k].iter().map(|s| s * s).sum::<f64>().sqrt();
    if gap <= 0.0 { f64::INFINITY } else { (size + rounding) / gap }
}

/// A number between -1 and 1 without pattern, always the same for the same i.
fn generic(i: usize) -> f64 {
    let mut z = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}
