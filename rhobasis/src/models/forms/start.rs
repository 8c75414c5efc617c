use ndarray::{Array1, Array2, Axis, s};

use super::lifts::places;
use super::problem::QuadraticForms;
use crate::linalg::{eigh, make_largest_positive, matmul, orthonormal_rows};

impl QuadraticForms<'_> {
    /// All channels of each set.
    pub(super) fn identities(&self) -> Vec<Array2<f64>> {
        self.sizes().map(Array2::eye).collect()
    }

    /// The leading channels.
    pub(super) fn leading(&self, counts: &[usize]) -> Vec<Array2<f64>> {
        let of = |(&q, m): (&usize, usize)| Array2::eye(m).slice(s![..q, ..]).to_owned();
        counts.iter().zip(self.sizes()).map(of).collect()
    }

    /// Of combinations with weights w, the fewer that carry most of what the model varies by: with C the covariance of the
    /// channels, the eigenvectors V of the largest eigenvalues of Σ_f (C^½ w_f C^½)² give Vᵀ C^(−½).
    pub(super) fn closed_form(
        &self,
        rows: &[Array2<f64>],
        weights: &[Array2<f64>],
        counts: &[usize],
    ) -> Vec<Array2<f64>> {
        let roots: Vec<_> = rows.iter().zip(self.deviations).map(|(u, s)| root(u, s)).collect();
        let mut sums: Vec<Array2<f64>> = rows.iter().map(|u| Array2::zeros((u.nrows(), u.nrows()))).collect();
        for (form, w) in self.forms.iter().zip(weights) {
            for (set, combinations, _) in places(form, rows) {
                let own = w.slice(s![combinations.clone(), combinations]);
                let here = roots[set].0.dot(&own).dot(&roots[set].0);
                sums[set] += &here.dot(&here);
            }
        }
        let of = |(set, &q): (usize, &usize)| {
            let leading = eigh(sums[set].view()).1.slice(s![..q, ..]).to_owned();
            orthonormal_rows(leading.dot(&roots[set].1).dot(&rows[set]))
        };
        counts.iter().enumerate().map(of).collect()
    }

    /// Rows by falling magnitude of the eigenvalues of w; of several forms, of Σ_f w_f².
    pub(super) fn in_order(&self, rows: Vec<Array2<f64>>, weights: &[Array2<f64>]) -> Vec<Array2<f64>> {
        let mut sums: Vec<Array2<f64>> = rows.iter().map(|u| Array2::zeros((u.nrows(), u.nrows()))).collect();
        for (form, w) in self.forms.iter().zip(weights) {
            for (set, combinations, _) in places(form, &rows) {
                let own = w.slice(s![combinations.clone(), combinations]);
                sums[set] += &matmul(own, own);
            }
        }
        let turn = |(u, sum): (Array2<f64>, Array2<f64>)| {
            let mut rows = orthonormal_rows(eigh(sum.view()).1.dot(&u));
            rows.rows_mut().into_iter().for_each(make_largest_positive);
            rows
        };
        rows.into_iter().zip(sums).map(turn).collect()
    }
}

/// The same space by rows that depend on nothing but it: those in which the places of channels in their order are
/// uncorrelated. Where a search goes depends on the rows that it moves; this makes it depend on the space alone.
pub(super) fn turned(u: Array2<f64>) -> Array2<f64> {
    let place = Array1::from_iter((0..u.ncols()).map(|k| 1.0 / (1.0 + k as f64)));
    let (_, turn) = eigh((&u * &place).dot(&u.t()).view());
    let mut rows = turn.dot(&u);
    rows.rows_mut().into_iter().for_each(make_largest_positive);
    rows
}

/// (U C Uᵀ)^½ and its inverse, for C = diag(s²); deviations below rounding of the largest count as that rounding.
fn root(u: &Array2<f64>, deviations: &Array1<f64>) -> (Array2<f64>, Array2<f64>) {
    let scaled = u * deviations;
    let (values, vectors) = eigh(scaled.dot(&scaled.t()).view());
    let values = Array1::from(values).mapv(|value| value.max(0.0).sqrt());
    let least = 1e-9 * values.first().copied().filter(|&largest| largest > 0.0).unwrap_or(1e9);
    let inverse = values.mapv(|s| 1.0 / s.max(least));
    let with = |d: Array1<f64>| vectors.t().dot(&(&vectors * &d.insert_axis(Axis(1))));
    (with(values), with(inverse))
}
