use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, s};

use super::form::{Form, Lift, n_pairs};

pub(super) fn consecutive(lengths: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut end = 0;
    lengths
        .map(|n| {
            end += n;
            end - n..end
        })
        .collect()
}

/// Which set, which of the combinations of the form, and which of its channels.
pub(super) fn places(form: &Form, rows: &[Array2<f64>]) -> Vec<(usize, Range<usize>, Range<usize>)> {
    let combinations = consecutive(form.sets.iter().map(|&(set, _)| rows[set].nrows()));
    let place = |(&(set, first), combinations): (&(usize, usize), Range<usize>)| {
        (set, combinations, first..first + rows[set].ncols())
    };
    form.sets.iter().zip(combinations).map(place).collect()
}

/// U of all channels of a form: `[combination, channel]`.
pub(super) fn stacked(form: &Form, rows: &[Array2<f64>]) -> Array2<f64> {
    let places = places(form, rows);
    let mut all = Array2::zeros((places.last().map_or(0, |(_, combinations, _)| combinations.end), form.n_channels));
    for (set, combinations, channels) in places {
        all.slice_mut(s![combinations, channels]).assign(&rows[set]);
    }
    all
}

/// T(U) of each form: `[pair of channels, pair of combinations]`. Its columns are orthonormal where the rows of U are.
pub(super) fn weights_to_products(forms: &[Form], rows: &[Array2<f64>]) -> Vec<Lift> {
    let mut first = 0;
    let of = |form: &Form| {
        let matrix = pairs(&stacked(form, rows));
        first += matrix.ncols();
        Lift { goes: vec![(0..matrix.ncols(), first - matrix.ncols())], matrix }
    };
    forms.iter().map(of).collect()
}

fn pairs(v: &Array2<f64>) -> Array2<f64> {
    let q = v.nrows();
    let mut pairs = Array2::zeros((n_pairs(v.ncols()), n_pairs(q)));
    let mut k = 0;
    for a in 0..q {
        for b in a..q {
            let factor = if a == b { 1.0 } else { std::f64::consts::SQRT_2 };
            let mut column = pairs.column_mut(k);
            pack_product(v.row(a), v.row(b), factor, |i, x| column[i] = x);
            k += 1;
        }
    }
    pairs
}

/// dv/dz of the weights v of the products, of each form, for motions z of each combination of each set along each of
/// `directions` `[direction, channel]`, w held: columns (set, combination, direction).
pub(super) fn motions_to_products(
    forms: &[Form],
    rows: &[Array2<f64>],
    directions: &[Array2<f64>],
    weights: &[Array2<f64>],
) -> Vec<Lift> {
    let starts = consecutive(rows.iter().zip(directions).map(|(u, p)| u.nrows() * p.nrows()));
    let of = |(form, w): (&Form, &Array2<f64>)| {
        let seen = w.dot(&stacked(form, rows)); // dE/d(U c), as a form of c
        let places = places(form, rows);
        let own = consecutive(places.iter().map(|&(set, ..)| starts[set].len()));
        let mut matrix = Array2::zeros((n_pairs(form.n_channels), own.last().map_or(0, |range| range.end)));
        for ((set, combinations, channels), columns) in places.iter().zip(&own) {
            let directions = &directions[*set];
            let mut p = Array1::zeros(form.n_channels);
            for k in 0..columns.len() {
                p.slice_mut(s![channels.clone()]).assign(&directions.row(k % directions.nrows()));
                let z = seen.row(combinations.start + k / directions.nrows());
                let mut column = matrix.column_mut(columns.start + k);
                pack_product(z, p.view(), 2.0, |i, x| column[i] = x);
            }
        }
        let goes = places.iter().zip(own).map(|(&(set, ..), columns)| (columns, starts[set].start)).collect();
        Lift { matrix, goes }
    };
    forms.iter().zip(weights).map(of).collect()
}

/// The upper triangle of factor · (a bᵀ + b aᵀ)/2, row by row, times √2 off the diagonal.
fn pack_product(a: ArrayView1<f64>, b: ArrayView1<f64>, factor: f64, mut put: impl FnMut(usize, f64)) {
    let mut k = 0;
    for i in 0..a.len() {
        put(k, factor * a[i] * b[i]);
        for j in i + 1..a.len() {
            put(k + j - i, factor * (a[i] * b[j] + a[j] * b[i]) * std::f64::consts::FRAC_1_SQRT_2);
        }
        k += a.len() - i;
    }
}

/// The symmetric matrix of such a triangle.
pub(super) fn symmetric(packed: ArrayView1<f64>, n: usize) -> Array2<f64> {
    let mut matrix = Array2::zeros((n, n));
    let mut k = 0;
    for i in 0..n {
        for j in i..n {
            let x = if i == j { packed[k] } else { packed[k] * std::f64::consts::FRAC_1_SQRT_2 };
            (matrix[[i, j]], matrix[[j, i]]) = (x, x);
            k += 1;
        }
    }
    matrix
}
