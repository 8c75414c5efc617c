//! Invariants less what is linear in those of lower orders: by least squares over the sample, and as a stage.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, s};

use super::choose::Kept;
use crate::correlations::combinations::Matrix;
use crate::correlations::correlation::{ChannelField, Correlation};
use crate::correlations::lanes::Layout;
use crate::linalg::{eigh, set_product};
use crate::simd::{LANES, Lanes};

/// Directions of the lower features whose variance is below this fraction of the largest, each feature being scaled to variance one,
/// are rounding.
const NOTHING: f64 = 1e-12;
/// Products of whose variance no more than this fraction is left are linear in lower features, up to rounding.
const EXPLAINED: f64 = 1e-8;

/// The least-squares fit of products z by lower features y: z − Rᵀy is uncorrelated with y.
///
/// ```text
/// R = G_yy⁺ G_yz,      G_zz − G_yzᵀ R = covariance of z − Rᵀy
/// ```
///
/// Covariances are not centred.
pub(super) struct Regression {
    /// `[lower, product]`.
    r: Array2<f64>,
    /// Covariance of what is left, zeros of products that are explained.
    pub residual: Array2<f64>,
}

impl Regression {
    /// From the covariance of y, the first `n_lower`, and z together.
    pub fn new(joint: &Array2<f64>, n_lower: usize) -> Self {
        let (y, z) = (..n_lower, n_lower..);
        let [yy, yz] = [joint.slice(s![y, y]), joint.slice(s![y, z.clone()])];
        let inverse = pseudo_inverse(yy);
        let mut r = product(inverse.view(), yz);
        // Once more, for what rounding has left.
        let left = &yz - &product(yy, r.view());
        r += &product(inverse.view(), left.view());
        let explained = product(yz.t(), r.view());
        let zz = joint.slice(s![z.clone(), z]);
        let mut residual = &zz - &((&explained + &explained.t()) * 0.5);
        for k in (0..zz.nrows()).filter(|&k| zz[[k, k]] * EXPLAINED >= residual[[k, k]]).collect::<Vec<_>>() {
            residual.row_mut(k).fill(0.0);
            residual.column_mut(k).fill(0.0);
        }
        Regression { r, residual }
    }

    /// B of features x = Vᵀz − Bᵀy: `[lower, kept]`.
    pub fn of_kept(&self, kept: &Kept) -> Array2<f64> {
        let mut of_products = self.r.select(Axis(1), &kept.products);
        for (mut column, scale) in of_products.axis_iter_mut(Axis(1)).zip(&kept.scales) {
            column *= *scale;
        }
        match &kept.combinations {
            None => of_products,
            Some(v) => product(of_products.view(), v.view()),
        }
    }
}

fn product(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    set_product(out.view_mut(), a, b);
    out
}

/// G⁺ of a covariance, features of no variance and directions that are rounding left out.
fn pseudo_inverse(g: ArrayView2<f64>) -> Array2<f64> {
    let scale = g.diag().mapv(|variance| if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 });
    let scaled = Array2::from_shape_fn(g.dim(), |(i, j)| g[[i, j]] * scale[i] * scale[j]);
    let (values, vectors) = eigh(scaled.view());
    let largest = values.first().copied().unwrap_or(0.0);
    let kept = values.iter().take_while(|value| **value > NOTHING * largest).count();
    let mut half = vectors.slice(s![..kept, ..]).to_owned();
    for (mut vector, value) in half.axis_iter_mut(Axis(0)).zip(&values) {
        vector *= &scale;
        vector /= value.sqrt();
    }
    product(half.t(), half.view())
}

/// x ← x − Bᵀy, of eight centres.
pub(super) fn subtract(b: &Matrix, lower: &[Lanes], own: &mut [Lanes]) {
    let mut explained = vec![[0.0; LANES]; own.len()];
    b.forward_lanes(lower, &mut explained);
    own.iter_mut().zip(&explained).for_each(|(x, y)| (0..LANES).for_each(|k| x[k] -= y[k]));
}

/// Features of another stage, of some of which what is linear in those before them is subtracted.
#[derive(Debug)]
pub(super) struct Purified {
    pub of: Arc<dyn Correlation>,
    /// B, and the features that it is of; ascending.
    pub steps: Vec<(Matrix, Range<usize>)>,
}

impl Purified {
    fn purify(&self, x: &mut [Lanes]) {
        for (b, own) in &self.steps {
            let (lower, x) = x.split_at_mut(own.start);
            subtract(b, lower, &mut x[..own.len()]);
        }
    }
}

impl Correlation for Purified {
    fn layout(&self) -> &Layout {
        self.of.layout()
    }

    fn n_features(&self) -> usize {
        self.of.n_features()
    }

    fn columns(&self) -> Array2<usize> {
        self.of.columns()
    }

    fn channel_fields(&self) -> &'static [ChannelField] {
        self.of.channel_fields()
    }

    fn forward(&self, c: &[Lanes], x: &mut [Lanes], kept: &mut [Lanes]) {
        self.of.forward(c, x, kept);
        self.purify(x);
    }

    fn backward(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], g: &mut [Lanes], grad_c: &mut [Lanes]) {
        for (b, own) in self.steps.iter().rev() {
            let (lower, own) = g[..own.end].split_at_mut(own.start);
            let mut of_lower = vec![[0.0; LANES]; lower.len()];
            b.backward_lanes(own, &mut of_lower);
            lower.iter_mut().zip(&of_lower).for_each(|(g, of)| (0..LANES).for_each(|k| g[k] -= of[k]));
        }
        self.of.backward(c, x, kept, g, grad_c);
    }

    fn tangent(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
        self.of.tangent(c, x, kept, c_dot, x_dot);
        self.purify(x_dot);
    }
}
