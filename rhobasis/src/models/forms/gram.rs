use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::form::{Form, Lift};
use crate::linalg::set_product;

/// RᵀR of the triangle R of a fit: of each form, its columns, from its own first row on. The other half is their transpose.
#[derive(Debug)]
pub(super) struct Gram {
    parts: Vec<Array2<f64>>,
}

impl Gram {
    pub(super) fn new(r: ArrayView2<f64>, forms: &[Form]) -> Self {
        let part = |form: &Form| {
            let columns = form.columns();
            // R is zero below its diagonal.
            let (own, rest) =
                (r.slice(s![..columns.end, columns.clone()]), r.slice(s![..columns.end, columns.start..]));
            product(rest.t(), own)
        };
        Gram { parts: forms.par_iter().map(part).collect() }
    }

    /// XᵀRᵀRX of a matrix X of `n` columns, given by what it has of each form.
    pub(super) fn of(&self, lifts: &[Lift], n: usize) -> Array2<f64> {
        let blocks = |g: usize| -> Vec<Array2<f64>> {
            let own = product(self.parts[g].view(), lifts[g].matrix.view());
            let mut first = 0;
            let with = |lift: &Lift| {
                first += lift.matrix.nrows();
                product(lift.matrix.t(), own.slice(s![first - lift.matrix.nrows()..first, ..]))
            };
            lifts[g..].iter().map(with).collect()
        };
        let blocks: Vec<_> = (0..lifts.len()).into_par_iter().map(blocks).collect();
        let mut gram = Array2::zeros((n, n));
        for (g, column) in blocks.iter().enumerate() {
            for (block, f) in column.iter().zip(g..) {
                for (rows, to) in &lifts[f].goes {
                    for (columns, along) in &lifts[g].goes {
                        let part = block.slice(s![rows.clone(), columns.clone()]);
                        let (to, along) = (*to..to + rows.len(), *along..along + columns.len());
                        if f != g {
                            let mut transposed = gram.slice_mut(s![along.clone(), to.clone()]);
                            transposed += &part.t();
                        }
                        let mut there = gram.slice_mut(s![to, along]);
                        there += &part;
                    }
                }
            }
        }
        gram
    }
}

fn product(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    let mut c = Array2::zeros((a.nrows(), b.ncols()));
    set_product(c.view_mut(), a, b);
    c
}
