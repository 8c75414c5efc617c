//! Principal covariates regression of matrices, against scikit-matter (reference/pcovr).

mod common;
mod naive;

use naive::largest_matrix_difference;
use ndarray::{Array1, Array2, Axis};
use rhobasis::models::{Pcovr, PcovrSettings as Matrices};

#[test]
fn projectors_are_those_of_scikit_matter() {
    let values = common::reference("pcovr");
    let matrix = |name: &str| {
        let (shape, values) = &values[name];
        Array2::from_shape_vec((shape[0], shape[1]), values.clone()).unwrap()
    };
    for gamma in ["1", "0.5", "0.1", "0.001", "1e-08"] {
        let settings = Matrices { gamma: gamma.parse().unwrap(), n_components: Some(4), ..Default::default() };
        let found = Pcovr::fit(matrix("X").view(), matrix("Y").view(), settings).unwrap();
        let [pxt, ptx, pty] = ["pxt", "ptx", "pty"].map(|name| matrix(&format!("{gamma}/{name}")));
        let signs = (&found.pxt * &pxt).sum_axis(Axis(0)).mapv(f64::signum);
        // Two square roots of rounding are in scikit-matter's C̃ where γ is small.
        let bound = if gamma == "1e-08" { 1e-4 } else { 1e-8 };
        assert!(largest_matrix_difference(&found.pxt, &(&pxt * &signs)) < bound, "{gamma}");
        let signs = signs.insert_axis(Axis(1));
        assert!(largest_matrix_difference(&found.ptx, &(&ptx * &signs)) < bound, "{gamma}");
        assert!(largest_matrix_difference(&found.pty, &(&pty * &signs)) < bound, "{gamma}");
        let expected = &values[&format!("{gamma}/eigenvalues")].1;
        assert!(found.eigenvalues.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-10), "{gamma}");
    }
    for gamma in ["1", "0.5", "0.1", "0.001"] {
        let settings = Matrices { gamma: gamma.parse().unwrap(), n_components: Some(3), ..Default::default() };
        let (x, y) = (matrix("random/X_scaled"), matrix("random/y_scaled"));
        let found = Pcovr::fit(x.view(), y.view(), settings).unwrap();
        let expected = matrix(&format!("random/pcovr_mixing_{gamma}_projector"));
        // Both have their largest component positive.
        assert!(largest_matrix_difference(&found.pxt, &expected) < 1e-8, "{gamma}");
    }
}

#[test]
fn matrices_of_all_shapes_keep_what_principal_covariates_are() {
    let mut random = naive::Random::new(5);
    for (rows, columns, targets) in [(50, 6, 2), (6, 50, 2), (7, 7, 9), (3, 1, 1), (1, 3, 1)] {
        let x = Array2::from_shape_fn((rows, columns), |_| random.next() - 0.5);
        let y = Array2::from_shape_fn((rows, targets), |_| random.next() - 0.5);
        let settings = Matrices { gamma: 0.3, ..Matrices::default() };
        let found = Pcovr::fit(x.view(), y.view(), settings).unwrap();
        let rank = rows.min(columns);
        assert_eq!(found.pxt.dim(), (columns, rank));
        let t = found.transform(x.view());
        let lambda = Array2::from_diag(&Array1::from(found.eigenvalues.clone()));
        assert!(largest_matrix_difference(&t.t().dot(&t), &lambda) < 1e-11);
        assert!(largest_matrix_difference(&found.ptx.dot(&found.pxt), &Array2::eye(rank)) < 1e-9);
        assert!(largest_matrix_difference(&t.dot(&found.ptx), &x) < 1e-9);
        // With all components, the regression is that of all features.
        let naive = t.dot(&found.pty);
        assert!(largest_matrix_difference(&found.predict(x.view()), &naive) < 1e-12);
        if rows > columns {
            let gradient = x.t().dot(&(&y - &naive));
            assert!(gradient.iter().all(|g| g.abs() < 1e-9));
        }
    }
}

#[test]
fn one_component_of_regression_is_the_regression_and_gamma_1_is_pca() {
    let mut random = naive::Random::new(9);
    let x = Array2::from_shape_fn((40, 5), |(_, j)| (random.next() - 0.5) / (1 + j * j) as f64);
    let y = Array2::from_shape_fn((40, 1), |(i, _)| x[[i, 4]] + 0.1 * (random.next() - 0.5));
    let fit =
        |gamma, n| Pcovr::fit(x.view(), y.view(), Matrices { gamma, n_components: n, alpha: 0.0, tol: 1e-12 }).unwrap();
    let all = fit(0.5, None);
    let weights = all.pxt.dot(&all.pty);
    for gamma in [0.0, 1e-10] {
        let one = fit(gamma, Some(1));
        let (w, weights) = (one.pxt.column(0), weights.column(0));
        let cosine = w.dot(&weights).abs() / (w.dot(&w) * weights.dot(&weights)).sqrt();
        assert!((cosine - 1.0).abs() < 1e-12, "{gamma}: {cosine}");
        assert!(largest_matrix_difference(&one.predict(x.view()), &all.predict(x.view())) < 1e-7, "{gamma}");
    }
    assert_eq!(fit(0.0, None).eigenvalues.len(), 1, "a target has one direction");
    let pca = fit(1.0, None);
    let (values, vectors) = rhobasis::linalg::eigh(x.t().dot(&x).view());
    for (k, value) in values.iter().enumerate() {
        assert!((pca.eigenvalues[k] - value).abs() < 1e-12);
        let overlap = pca.pxt.column(k).dot(&vectors.row(k));
        assert!((overlap.abs() - 1.0).abs() < 1e-10);
    }
}

#[test]
fn matrices_that_make_no_sense_are_refused_by_name() {
    let (x, y) = (Array2::<f64>::eye(3), Array2::<f64>::ones((3, 1)));
    let fit = |x: &Array2<f64>, y: &Array2<f64>, settings| Pcovr::fit(x.view(), y.view(), settings);
    let default = Matrices::default();
    let cases = [
        (fit(&x, &Array2::ones((2, 1)), default), "rows of Y = 2"),
        (fit(&(&x * f64::NAN), &y, default), "X = NaN"),
        (fit(&x, &(&y * f64::INFINITY), default), "Y = inf"),
        (fit(&(&x * 0.0), &y, default), "all numbers are zero"),
        (fit(&(&x * 1e-200), &y, default), "X = numbers up to 1e-200: its squares are too large or too small"),
        (fit(&(&x * 1e200), &y, default), "X = numbers up to 1e200: its squares are too large or too small"),
        (fit(&x, &(&y * 1e200), default), "Y = numbers up to 1e200: its squares are too large or too small"),
        (fit(&x, &y, Matrices { gamma: 1.5, ..default }), "gamma = 1.5"),
        (fit(&x, &y, Matrices { gamma: f64::NAN, ..default }), "gamma = NaN"),
        (fit(&x, &y, Matrices { alpha: -1.0, ..default }), "alpha = -1"),
        (fit(&x, &y, Matrices { tol: 1.0, ..default }), "tol = 1"),
        (fit(&x, &y, Matrices { n_components: Some(4), ..default }), "n_components = 4"),
        (fit(&x, &y, Matrices { n_components: Some(0), ..default }), "n_components = 0"),
    ];
    for (found, words) in cases {
        let message = found.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}
