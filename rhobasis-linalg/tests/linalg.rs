//! Factorisations against their definitions.

use ndarray::{Array1, Array2};
use rhobasis_linalg as linalg;

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
fn a_solution_gives_the_right_hand_sides_back() {
    for n in [1, 3, 70, 200] {
        let mut a = any_matrix(n, n);
        a[[0, 0]] = 0.0; // no pivot without exchanging rows
        if n == 1 {
            a[[0, 0]] = -2.0;
        }
        let b = any_matrix(n, 3);
        let x = linalg::solve(a.view(), b.view());
        assert!(largest(&(linalg::matmul(a.view(), x.view()) - &b)) < 1e-9 * largest(&x).max(1.0), "{n}");
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

/// An upper triangle and its rows from the diagonal on.
fn triangle(n: usize, number: impl Fn(usize, usize) -> f64) -> (Array2<f64>, Vec<Vec<f64>>) {
    let a = Array2::from_shape_fn((n, n), |(i, j)| if i <= j { number(i, j) } else { 0.0 });
    let rows = (0..n).map(|i| a.slice(ndarray::s![i, i..]).to_vec()).collect();
    (a, rows)
}

fn upper(rows: &[Vec<f64>]) -> linalg::Upper<'_> {
    linalg::Upper::new(rows.iter().map(Vec::as_slice).collect())
}

#[test]
fn the_ends_of_the_spectrum_of_a_triangle_are_those_of_its_singular_values() {
    let sizes = |n: usize, decades: f64| move |j: usize| 10f64.powf(-decades * j as f64 / n as f64);
    type Numbers = Box<dyn Fn(usize, usize) -> f64>;
    for n in [2, 3, 17, 120, 300] {
        let (falling, graded) = (sizes(n, 6.0), sizes(n, 3.0));
        let off = 0.5 / (n as f64).sqrt();
        let noise = move |i: usize, j: usize| {
            let x = (((i + 1) * (j * j + 2)) as f64).sin();
            if i == j { 1.5 + 0.5 * x } else { off * x }
        };
        let cases: [(&str, Numbers); 7] = [
            ("noise", Box::new(noise)),
            ("columns over six decades", Box::new(move |i, j| falling(j) * noise(i, j))),
            ("the unit matrix", Box::new(|i, j| f64::from(u8::from(i == j)))),
            ("two values", Box::new(|i, j| if i == j { 1.0 + (i % 2) as f64 } else { 0.0 })),
            ("values over three decades", Box::new(move |i, j| if i == j { graded(i) } else { 0.0 })),
            ("values that nearly agree", Box::new(|i, j| if i == j { 1.0 - 1e-9 * i as f64 } else { 0.0 })),
            ("huge numbers", Box::new(move |i, j| 1e250 * noise(i, j))),
        ];
        for (name, numbers) in cases {
            let (a, rows) = triangle(n, numbers);
            let (_, values, _) = linalg::svd_thin(a.view());
            let largest = upper(&rows).largest_singular_value() / values[0] - 1.0;
            assert!(largest.abs() < 1e-12, "{name}, {n}: largest off by {largest:e}");
            let expected = values[0] / values[n - 1];
            let condition = upper(&rows).condition_number() / expected - 1.0;
            assert!(condition.abs() < 1e-6, "{name}, {n}: condition {expected:e} off by {condition:e}");
            let estimate = upper(&rows).condition_estimate() / expected;
            assert!((0.8..1.01).contains(&estimate), "{name}, {n}: estimate {estimate}");
        }
    }
}

#[test]
fn the_condition_of_singular_and_nearly_singular_triangles_is_infinite_or_huge() {
    assert_eq!((upper(&[]).largest_singular_value(), upper(&[]).condition_number()), (0.0, 1.0));
    for x in [-3.0, 1e-300] {
        let one = [vec![x]];
        assert_eq!((upper(&one).largest_singular_value(), upper(&one).condition_number()), (f64::abs(x), 1.0));
    }
    let zeros = [vec![0.0, 0.0], vec![0.0]];
    assert_eq!((upper(&zeros).largest_singular_value(), upper(&zeros).condition_number()), (0.0, f64::INFINITY));
    let missing = [vec![1.0, 2.0, 3.0], vec![0.0, 1.0], vec![1.0]];
    assert_eq!(upper(&missing).condition_number(), f64::INFINITY);
    // The classical matrix that looks harmless: ones on the diagonal, −1 above it; the condition grows as 2^n.
    for n in [80, 200, 2000] {
        let (_, rows) = triangle(n, |i, j| if i == j { 1.0 } else { -1.0 });
        let condition = upper(&rows).condition_number();
        assert!(condition > 1e20, "{n}: {condition:e}");
    }
}

#[test]
fn products_with_a_triangle_and_its_inverse_have_the_same_bits_for_any_number_of_threads() {
    let (a, rows) = triangle(700, |i, j| ((i * 7 + j * j) as f64).sin() + if i == j { 30.0 } else { 0.0 });
    let x: Vec<f64> = (0..700).map(|i| (i as f64).cos()).collect();
    let naive = a.dot(&Array1::from(x.clone()));
    let found = upper(&rows).times(&x);
    assert!(found.iter().zip(&naive).all(|(found, naive)| (found - naive).abs() < 1e-11));
    assert!(upper(&rows).solve(found).iter().zip(&x).all(|(found, x)| (found - x).abs() < 1e-12));
    let numbers = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| [upper(&rows).largest_singular_value(), upper(&rows).condition_number()].map(f64::to_bits))
    };
    assert!(numbers(1) == numbers(2) && numbers(1) == numbers(3));
}
