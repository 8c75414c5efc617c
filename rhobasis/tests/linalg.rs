//! Factorisations against their definitions.

use ndarray::{Array1, Array2};
use rhobasis::linalg;

fn any_matrix(rows: usize, cols: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, cols), |(i, j)| (((i + 1) * (j * j + 2)) as f64).sin())
}

fn largest(a: &Array2<f64>) -> f64 {
    a.iter().fold(0.0, |m, v| v.abs().max(m))
}

#[test]
fn eigenvectors_in_rows_rebuild_the_matrix_from_descending_eigenvalues() {
    for n in [1, 2, 7, 60] {
        let x = any_matrix(n + 3, n);
        let a = x.t().dot(&x);
        let (values, vectors) = linalg::eigh(a.view());
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
        let rebuilt = vectors.t().dot(&Array2::from_diag(&Array1::from(values))).dot(&vectors);
        assert!(largest(&(&rebuilt - &a)) < 1e-13 * largest(&a));
        assert!(largest(&(vectors.dot(&vectors.t()) - Array2::<f64>::eye(n))) < 1e-13);
    }
}

#[test]
fn the_polar_factor_is_orthonormal_and_leaves_a_symmetric_positive_matrix() {
    let tall = any_matrix(30, 6);
    let q = linalg::svd_polar(tall.view());
    assert!(largest(&(q.t().dot(&q) - Array2::<f64>::eye(6))) < 1e-14);
    let h = q.t().dot(&tall);
    assert!(largest(&(&h - &h.t())) < 1e-13);
    assert!(linalg::eigh(h.view()).0.iter().all(|&value| value > 0.0));
    assert!(largest(&(linalg::svd_polar(tall.t()) - q.t())) < 1e-13);
}

#[test]
fn products_and_gram_matrices_equal_the_double_sums() {
    let (a, b) = (any_matrix(9, 13), any_matrix(13, 5));
    let naive = Array2::from_shape_fn((9, 5), |(i, j)| (0..13).map(|k| a[[i, k]] * b[[k, j]]).sum::<f64>());
    assert!(largest(&(linalg::matmul(a.view(), b.view()) - &naive)) < 1e-14);
    assert!(largest(&(linalg::matmul(b.t(), a.t()) - naive.t())) < 1e-14);

    // Five rows of three numbers, seven apart.
    let x: Vec<f64> = (0..4 * 7 + 3).map(|i| (i as f64).cos()).collect();
    let mut c = vec![0.5; 9];
    linalg::add_gram(&x, 5, 3, 7, &mut c);
    for i in 0..3 {
        for j in 0..3 {
            let sum: f64 = (0..5).map(|row| x[row * 7 + i] * x[row * 7 + j]).sum();
            let expected = if i >= j { 0.5 + sum } else { 0.5 };
            assert!((c[3 * i + j] - expected).abs() < 1e-15, "c[{i}, {j}]");
        }
    }
}

#[test]
fn a_matrix_of_mostly_zero_rows_has_its_eigenvectors_in_order() {
    // Species that never meet leave rows of zeros in a combined covariance; with many of them the solver did not converge.
    let n = 212;
    let place = [3, 40, 41, 170, 200];
    let mut a = ndarray::Array2::zeros((n, n));
    for (i, &p) in place.iter().enumerate() {
        for (j, &q) in place.iter().enumerate() {
            a[[p, q]] = 1e-3 / (1.0 + (i + j) as f64);
        }
    }
    let (values, vectors) = linalg::eigh(a.view());
    assert!(values.is_sorted_by(|x, y| x >= y) && values[0] > 1e-4);
    let product = vectors.dot(&a).dot(&vectors.t());
    let unit = vectors.dot(&vectors.t());
    for ((p, q), x) in product.indexed_iter() {
        let (value, one) = if p == q { (values[p], 1.0) } else { (0.0, 0.0) };
        assert!((x - value).abs() < 1e-17 && (unit[[p, q]] - one).abs() < 1e-14);
    }
}
