//! What is kept of some products, given their covariance.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::settings::NiceSelection;
use crate::linalg::{eigh, set_product, solve_lower};

/// Products whose variance that is left is below this fraction of the largest are linear combinations of those before.
const NOTHING: f64 = 1e-10;

/// What is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// Candidates that are needed, ascending.
    pub products: Vec<usize>,
    /// What each of them is multiplied with.
    pub scales: Vec<f64>,
    /// Combinations `[product, kept]`, if not the products themselves.
    pub combinations: Option<Array2<f64>>,
    /// Variance of each that is kept.
    pub variances: Vec<f64>,
}

impl Kept {
    /// All of them, as they are.
    pub fn all(covariance: ArrayView2<f64>) -> Self {
        Kept::some((0..covariance.nrows()).collect(), covariance)
    }

    /// Those of which something is left, as they are.
    pub fn not_explained(covariance: ArrayView2<f64>) -> Self {
        Kept::some((0..covariance.nrows()).filter(|&k| covariance[[k, k]] > 0.0).collect(), covariance)
    }

    /// These, as they are.
    pub fn some(mut products: Vec<usize>, covariance: ArrayView2<f64>) -> Self {
        products.sort_unstable();
        let variances = products.iter().map(|&k| covariance[[k, k]]).collect();
        Kept { scales: vec![1.0; products.len()], products, combinations: None, variances }
    }

    /// At most n of them; the covariance is symmetric, all of it filled. With `rotate`, chosen products are combined to what are
    /// nearly the principal components of all.
    pub fn choose(selection: NiceSelection, covariance: ArrayView2<f64>, n: usize, rotate: bool) -> Self {
        if covariance.nrows() <= n {
            return Kept::all(covariance);
        }
        if covariance.diag().iter().all(|variance| *variance <= 0.0) {
            return Kept::some(Vec::new(), covariance);
        }
        match (selection, rotate) {
            (NiceSelection::Pca, _) => Kept::principal(covariance, n),
            (NiceSelection::Cholesky, false) => Kept::scaled(covariance, n),
            (NiceSelection::Cholesky, true) => Kept::rotated(covariance, n),
        }
    }

    /// Principal components.
    fn principal(covariance: ArrayView2<f64>, n: usize) -> Self {
        let (values, vectors) = eigh(covariance);
        let n = values.iter().take(n).take_while(|value| **value > 1e-14 * values[0]).count();
        let mut combinations = vectors.slice(s![..n, ..]).t().to_owned();
        combinations.axis_iter_mut(Axis(1)).for_each(orient);
        Kept {
            products: (0..covariance.nrows()).collect(),
            scales: vec![1.0; covariance.nrows()],
            combinations: Some(combinations),
            variances: values[..n].to_vec(),
        }
    }

    /// Products, each scaled to the variance that it stands for.
    fn scaled(covariance: ArrayView2<f64>, n: usize) -> Self {
        let Pivoted { pivots, l } = Pivoted::of(covariance, n);
        let captured = |k: usize| l.column(k).iter().map(|x| x * x).sum::<f64>();
        let mut kept: Vec<(usize, f64)> = pivots.iter().enumerate().map(|(k, &pivot)| (pivot, captured(k))).collect();
        kept.sort_unstable_by_key(|(pivot, _)| *pivot);
        Kept {
            products: kept.iter().map(|(pivot, _)| *pivot).collect(),
            scales: kept.iter().map(|&(pivot, captured)| (captured / covariance[[pivot, pivot]]).sqrt()).collect(),
            combinations: None,
            variances: kept.iter().map(|(_, captured)| *captured).collect(),
        }
    }

    /// Products, combined with V = L⁻ᵀ W Λ^½, where LᵀL = W Λ Wᵀ: their covariance is Λ.
    fn rotated(covariance: ArrayView2<f64>, n: usize) -> Self {
        let Pivoted { pivots, l } = Pivoted::of(covariance, n);
        let n = pivots.len();
        let mut gram = Array2::zeros((n, n));
        set_product(gram.view_mut(), l.t(), l.view());
        let (values, w) = eigh(gram.view());
        let chosen = l.select(Axis(0), &pivots); // a lower triangle
        let mut v = w.t().to_owned();
        for (mut column, value) in v.axis_iter_mut(Axis(1)).zip(&values) {
            column *= value.max(0.0).sqrt();
        }
        // L⁻ᵀ x: the upper triangle Lᵀ, turned upside down, is a lower one.
        let turned = chosen.slice(s![..;-1, ..;-1]).reversed_axes().to_owned();
        let mut turned_v = v.slice(s![..;-1, ..]).to_owned();
        solve_lower(turned.view(), turned_v.view_mut());
        let v = turned_v.slice(s![..;-1, ..]).to_owned();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_unstable_by_key(|&k| pivots[k]);
        let mut combinations = v.select(Axis(0), &order);
        combinations.axis_iter_mut(Axis(1)).for_each(orient);
        Kept {
            products: order.iter().map(|&k| pivots[k]).collect(),
            scales: vec![1.0; n],
            combinations: Some(combinations),
            variances: values.iter().map(|value| value.max(0.0)).collect(),
        }
    }
}

/// Pivoted Cholesky factorisation G ≈ L Lᵀ.
struct Pivoted {
    /// In the order of their choice.
    pivots: Vec<usize>,
    /// `[candidate, pivot]`.
    l: Array2<f64>,
}

impl Pivoted {
    /// At most n pivots, each the candidate with the largest variance left, the first of equals.
    fn of(g: ArrayView2<f64>, n: usize) -> Self {
        let size = g.nrows();
        let mut left: Array1<f64> = g.diag().to_owned();
        let largest = left.iter().copied().fold(0.0, f64::max);
        let mut pivots: Vec<usize> = Vec::new();
        let mut columns: Array2<f64> = Array2::zeros((n.min(size), size)); // Lᵀ
        for k in 0..n.min(size) {
            let most = left.iter().copied().fold(0.0, f64::max);
            // Equal up to rounding: the first, whatever the order of addition was.
            let Some(pivot) = (0..size).find(|&j| left[j] >= most * (1.0 - 1e-11)).filter(|_| most > NOTHING * largest)
            else {
                break;
            };
            let mut column = g.row(pivot).to_owned();
            for before in 0..k {
                let factor = columns[[before, pivot]];
                column.scaled_add(-factor, &columns.row(before));
            }
            let root = left[pivot].sqrt();
            column /= root;
            pivots.iter().for_each(|&done| column[done] = 0.0);
            column[pivot] = root;
            left.zip_mut_with(&column, |left, x| *left = (*left - x * x).max(0.0));
            left[pivot] = 0.0;
            columns.row_mut(k).assign(&column);
            pivots.push(pivot);
        }
        Pivoted { l: columns.slice(s![..pivots.len(), ..]).t().to_owned(), pivots }
    }
}

/// The sign with which the component of largest magnitude is positive, the first of equals.
fn orient(mut vector: ndarray::ArrayViewMut1<f64>) {
    let largest = vector.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let first = vector.iter().find(|x| x.abs() >= largest * (1.0 - 1e-12)).copied().unwrap_or(0.0);
    if first < 0.0 {
        vector.mapv_inplace(|x| -x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of which one is a combination of two others.
    fn covariance() -> Array2<f64> {
        let x = Array2::from_shape_fn((30, 6), |(i, j)| {
            let of = |j: usize| ((i * (j + 2)) as f64 * 0.7).sin() * (1.0 + j as f64);
            if j == 5 { of(0) - of(3) } else { of(j) }
        });
        x.t().dot(&x) / 30.0
    }

    #[test]
    fn what_is_captured_is_the_trace_that_is_gone() {
        let g = covariance();
        let kept = Kept::scaled(g.view(), 4);
        let l = Pivoted::of(g.view(), 4).l;
        let left: f64 = (&g - &l.dot(&l.t())).diag().sum();
        assert!((kept.variances.iter().sum::<f64>() + left - g.diag().sum()).abs() < 1e-12 * g.diag().sum());
        assert_eq!(Pivoted::of(g.view(), 6).pivots.len(), 5); // the rank
    }

    #[test]
    fn combined_products_have_the_variances_of_principal_components() {
        let g = covariance();
        let kept = Kept::choose(NiceSelection::Cholesky, g.view(), 5, true);
        let v = kept.combinations.unwrap();
        let of_products = g.select(Axis(0), &kept.products).select(Axis(1), &kept.products);
        let of_kept = v.t().dot(&of_products).dot(&v);
        let exact = eigh(g.view()).0;
        for (i, variance) in kept.variances.iter().enumerate() {
            assert!((variance - exact[i]).abs() < 1e-10 * exact[0], "{variance} {}", exact[i]);
            assert!((0..5).all(|j| (of_kept[[i, j]] - if i == j { *variance } else { 0.0 }).abs() < 1e-9 * exact[0]));
        }
    }
}
