//! Models of plain matrices against their definitions.

mod common;

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayD, ArrayView2, Axis, s};
use rhobasis::linalg::{self, matmul};
use rhobasis::models::{
    Factor, KernelRidge, KernelRidgeSettings, LeastSquares, RidgeRegression, RidgeSettings, Solver, polynomial_kernel,
};

const SOLVERS: [Solver; 2] = [Solver::Qr, Solver::Cholesky];

/// Numbers between −1 and 1 without a pattern.
fn any_matrix(rows: usize, cols: usize, seed: u64) -> Array2<f64> {
    let mut state = seed;
    Array2::from_shape_simple_fn((rows, cols), || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}

fn largest(a: &Array2<f64>) -> f64 {
    a.iter().fold(0.0, |m, v| if v.is_nan() { f64::INFINITY } else { v.abs().max(m) })
}

fn all_rows(x: ArrayView2<f64>, y: ArrayView2<f64>, solver: Solver) -> LeastSquares {
    let mut sums = LeastSquares::new(x.ncols(), y.ncols(), solver);
    sums.add(x, y).unwrap();
    sums
}

fn factor(x: &Array2<f64>, y: &Array2<f64>, solver: Solver) -> Factor {
    all_rows(x.view(), y.view(), solver).factor().unwrap()
}

fn bits(factor: &Factor) -> Vec<u64> {
    let numbers = factor.r().iter().chain(factor.qty().iter()).chain(factor.left()).copied().collect::<Vec<_>>();
    numbers.into_iter().map(f64::to_bits).collect()
}

#[test]
fn the_triangle_has_the_gram_matrix_of_the_rows_and_the_residual_is_orthogonal_to_the_columns() {
    for (rows, columns) in [(1300, 150), (700, 3), (40, 40), (2000, 65), (30, 1)] {
        let (x, y) = (any_matrix(rows, columns, 1), any_matrix(rows, 2, 2));
        for solver in SOLVERS {
            let factor = factor(&x, &y, solver);
            let gram = factor.r().t().dot(&factor.r());
            assert!(largest(&(gram - x.t().dot(&x))) < 1e-12 * rows as f64);
            assert!(factor.r().indexed_iter().all(|((i, j), &x)| i <= j || x == 0.0));
            let w = factor.solve().unwrap();
            let rest = x.dot(&w) - &y;
            let digits = if solver == Solver::Qr { 1e-12 } else { 1e-9 } * factor.condition_number();
            assert!(largest(&x.t().dot(&rest)) < digits, "{rows} × {columns} {solver:?}");
            let squares = (&rest * &rest).sum_axis(Axis(0));
            for t in 0..2 {
                assert!((factor.left()[t] - squares[t]).abs() < 1e-10 * rows as f64);
                assert!((factor.squared_residual(w.view()).unwrap()[t] - squares[t]).abs() < 1e-10 * rows as f64);
            }
        }
    }
}

#[test]
fn rows_give_the_same_bits_however_they_are_cut_and_for_any_number_of_threads() {
    let (x, y) = (any_matrix(1500, 330, 3), any_matrix(1500, 2, 4));
    for solver in SOLVERS {
        let whole = bits(&factor(&x, &y, solver));
        for cut in [1, 7, 512] {
            let mut sums = LeastSquares::new(330, 2, solver);
            for (x, y) in x.axis_chunks_iter(Axis(0), cut).zip(y.axis_chunks_iter(Axis(0), cut)) {
                sums.add(x, y).unwrap();
                if sums.n_rows() == 7 * 100 {
                    sums.factor().unwrap(); // looking changes nothing
                }
            }
            assert_eq!(sums.n_rows(), 1500);
            assert!(bits(&sums.factor().unwrap()) == whole, "{solver:?}, {cut} rows at a time");
        }
        let fortran = x.t().as_standard_layout().to_owned();
        assert!(bits(&all_rows(fortran.t(), y.view(), solver).factor().unwrap()) == whole);
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| bits(&factor(&x, &y, solver))) == whole, "{solver:?}, {threads} threads");
        }
    }
}

#[test]
fn a_checkpoint_goes_on_with_the_same_bits() {
    let (x, y) = (any_matrix(1400, 20, 5), any_matrix(1400, 1, 6));
    for solver in SOLVERS {
        let whole = bits(&factor(&x, &y, solver));
        for stop in [0, 300, 512, 900] {
            let arrays = all_rows(x.slice(s![..stop, ..]), y.slice(s![..stop, ..]), solver).to_arrays();
            let mut sums = LeastSquares::from_arrays(solver, &arrays).unwrap();
            sums.add(x.slice(s![stop.., ..]), y.slice(s![stop.., ..])).unwrap();
            assert_eq!(bits(&sums.factor().unwrap()), whole);
        }
    }
    let arrays = all_rows(x.view(), y.view(), Solver::Qr).to_arrays();
    assert!(LeastSquares::from_arrays(Solver::Cholesky, &arrays).is_err());
    assert!(LeastSquares::from_arrays(Solver::Qr, &BTreeMap::new()).unwrap_err().to_string().contains("sums"));
    let stored = factor(&x, &y, Solver::Qr);
    let left = stored.left().to_vec();
    let restored = Factor::from_r(stored.r(), stored.qty(), &left, stored.n_rows(), Solver::Qr).unwrap();
    assert_eq!(bits(&restored), bits(&stored));
    assert_eq!(restored.solve().unwrap(), stored.solve().unwrap());
}

/// Columns 1, x, x², … on [0, 1]: with 13 of them, condition number 1e9.
fn powers(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| (i as f64 / (rows - 1) as f64).powi(j as i32))
}

#[test]
fn qr_keeps_the_digits_that_the_normal_equations_lose() {
    let x = powers(3000, 13);
    let w = Array2::from_shape_fn((13, 1), |(j, _)| 1.0 + j as f64);
    let y = x.dot(&w);
    let qr = factor(&x, &y, Solver::Qr);
    let condition = qr.condition_number();
    assert!((3e8..1e10).contains(&condition), "{condition:e}");
    let error = largest(&(qr.solve().unwrap() - &w)) / largest(&w);
    assert!(error < 1e-6, "{error:e}");
    let refused = factor(&x, &y, Solver::Cholesky).solve().unwrap_err().to_string();
    assert!(refused.contains("condition number about") && refused.contains("QR solver"), "{refused}");
}

#[test]
fn ridge_and_path_solve_the_regularised_normal_equations() {
    let (x, y) = (any_matrix(900, 600, 7), any_matrix(900, 2, 8));
    let alphas = [1e-3, 1.0, 1e2];
    for solver in SOLVERS {
        let factor = factor(&x, &y, solver);
        let path = factor.path(&alphas).unwrap();
        for (a, &alpha) in alphas.iter().enumerate() {
            let w = factor.ridge(alpha).unwrap();
            let gradient = x.t().dot(&(x.dot(&w) - &y)) + alpha * &w;
            assert!(largest(&gradient) < 1e-10, "{solver:?} {alpha}");
            assert!(largest(&(&path.index_axis(Axis(0), a) - &w)) < 1e-9, "{solver:?} {alpha}");
        }
        assert!(largest(&(factor.ridge(0.0).unwrap() - factor.solve().unwrap())) == 0.0);
        assert!(factor.ridge(-1.0).unwrap_err().to_string().contains("alpha = -1"));
        assert!(factor.path(&[f64::NAN]).is_err());
    }
}

#[test]
fn dependent_columns_are_refused_with_their_condition_and_ridge_still_solves_them() {
    let mut x = any_matrix(200, 5, 9);
    let copy = x.column(1).to_owned() * 2.0;
    x.column_mut(3).assign(&copy);
    let few = any_matrix(3, 5, 10);
    let mut empty = any_matrix(200, 5, 11);
    empty.column_mut(2).fill(0.0);
    for x in [x, few, empty] {
        let y = any_matrix(x.nrows(), 1, 12);
        for solver in SOLVERS {
            let factor = factor(&x, &y, solver);
            let refused = factor.solve().unwrap_err().to_string();
            assert!(refused.contains("condition number about") && refused.contains("alpha above 0"), "{refused}");
            assert!(factor.quadratic(x.view()).is_err());
            let w = factor.ridge(0.5).unwrap();
            let gradient = x.t().dot(&(x.dot(&w) - &y)) + 0.5 * &w;
            assert!(largest(&gradient) < 1e-6, "{solver:?}");
            // alpha = 0 in a path: the shortest of the best.
            let shortest = factor.path(&[0.0]).unwrap().index_axis_move(Axis(0), 0);
            assert!(largest(&x.t().dot(&(x.dot(&shortest) - &y))) < 1e-5);
            assert!(largest(&(&shortest - &factor.ridge(1e-9).unwrap())) < 1e-5);
        }
    }
}

#[test]
fn leverage_is_the_quadratic_form_of_the_inverse_gram_matrix() {
    let (x, y) = (any_matrix(600, 70, 13), any_matrix(600, 1, 14));
    for solver in SOLVERS {
        let factor = factor(&x, &y, solver);
        let leverage = factor.quadratic(x.view()).unwrap();
        assert!((leverage.sum() - 70.0).abs() < 1e-9); // trace of the projector
        let gram = x.t().dot(&x);
        let (values, vectors) = linalg::eigh(gram.view());
        let turned = matmul(x.view(), vectors.t());
        for (row, leverage) in turned.rows().into_iter().zip(&leverage) {
            let naive: f64 = row.iter().zip(&values).map(|(x, value)| x * x / value).sum();
            assert!((naive - leverage).abs() < 1e-11);
        }
    }
}

#[test]
fn numbers_that_are_not_finite_and_wrong_shapes_are_refused_where_they_are() {
    let (mut x, y) = (any_matrix(10, 3, 15), any_matrix(10, 1, 16));
    let mut sums = all_rows(x.view(), y.view(), Solver::Qr);
    let before = bits(&sums.factor().unwrap());
    x[[4, 2]] = f64::NAN;
    let refused = sums.add(x.view(), y.view()).unwrap_err().to_string();
    assert!(refused.contains("X = NaN: row 14, column 2"), "{refused}");
    assert!(sums.add(y.view(), y.view()).unwrap_err().to_string().contains("1 columns"));
    assert!(sums.add(y.broadcast((10, 3)).unwrap(), x.view()).is_err());
    assert!(sums.add(any_matrix(4, 3, 1).view(), y.view()).unwrap_err().to_string().contains("4 rows"));
    assert_eq!((sums.n_rows(), bits(&sums.factor().unwrap())), (10, before));
    let large = Array2::from_elem((2, 2), 1e200);
    assert!(
        all_rows(large.view(), large.view(), Solver::Cholesky).factor().unwrap_err().to_string().contains("overflow")
    );
}

#[test]
fn the_cholesky_factor_rebuilds_the_matrix_and_names_the_pivot_that_is_not_positive() {
    for n in [1, 5, 256, 700] {
        let x = any_matrix(n + 20, n, 17);
        let mut a = x.t().dot(&x);
        let whole = a.clone();
        for i in 0..n {
            a.slice_mut(s![i, i + 1..]).fill(f64::NAN); // never read
        }
        let mut again = a.clone();
        linalg::cholesky(a.view_mut()).unwrap();
        assert!(largest(&(a.dot(&a.t()) - &whole)) < 1e-12 * n as f64);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        pool.install(|| linalg::cholesky(again.view_mut())).unwrap();
        assert!(a == again);
    }
    let mut a = Array2::eye(600);
    a[[400, 400]] = -1.0;
    assert_eq!(linalg::cholesky(a.view_mut()), Err(400));
}

fn ridge(x: &Array2<f64>, y: &Array2<f64>, folds: &[usize], settings: RidgeSettings) -> RidgeRegression {
    let mut sums = RidgeRegression::new(x.ncols(), y.ncols(), settings).unwrap();
    sums.add(x.view(), y.view(), folds).unwrap();
    sums
}

/// The arrays of `reference/models`.
fn reference() -> BTreeMap<String, ArrayD<f64>> {
    let arrays = common::reference("models").into_iter();
    arrays.map(|(name, (shape, values))| (name, ArrayD::from_shape_vec(shape, values).unwrap())).collect()
}

fn two(a: &ArrayD<f64>) -> Array2<f64> {
    a.clone().into_dimensionality().unwrap()
}

#[test]
fn ridge_its_path_and_its_errors_are_those_of_scikit_learn() {
    let values = reference();
    let (x, y) = (two(&values["X"]), two(&values["y"]));
    let folds: Vec<usize> = values["folds"].iter().map(|&k| k as usize).collect();
    let alphas: Vec<f64> = values["alphas"].iter().copied().collect();
    for (fit_intercept, word) in [(false, "False"), (true, "True")] {
        for solver in SOLVERS {
            let fit = ridge(&x, &y, &folds, RidgeSettings { fit_intercept, folds: 4, solver }).fit(&alphas).unwrap();
            let near = |found: ArrayD<f64>, name: String| {
                let difference = (found - &values[&name]).iter().fold(0.0, |m: f64, x| m.max(x.abs()));
                assert!(difference < 1e-8, "{name} {solver:?}: {difference:e}");
            };
            near(fit.coefficients.into_dyn(), format!("ridge_{word}"));
            near(fit.intercepts.into_dyn(), format!("ridge_intercept_{word}"));
            let best = (0..alphas.len()).min_by(|&a, &b| weighted(&fit.errors, a).total_cmp(&weighted(&fit.errors, b)));
            assert_eq!(Some(fit.best), best);
            near(fit.errors.into_dyn(), format!("ridge_errors_{word}"));
            for (a, &alpha) in alphas.iter().enumerate() {
                let settings = RidgeSettings { fit_intercept, folds: 1, solver };
                let one = ridge(&x, &y, &[0; 120], settings).fit(&[alpha]).unwrap();
                let all = values[&format!("ridge_{word}")].index_axis(Axis(0), a).into_owned();
                assert!(largest(&(&one.coefficients.index_axis(Axis(0), 0) - &two(&all))) < 1e-8);
                assert_eq!(one.errors.dim(), (1, 0));
            }
        }
    }
}

/// Squared error over all rows: folds of 35, 29, 28 and 28 rows.
fn weighted(errors: &Array2<f64>, alpha: usize) -> f64 {
    errors.row(alpha).iter().zip([35.0, 29.0, 28.0, 28.0]).map(|(error, rows)| error * rows).sum()
}

#[test]
fn errors_by_cross_validation_equal_the_loop_over_folds() {
    let (x, y) = (any_matrix(900, 30, 18) + 3.0, any_matrix(900, 2, 19));
    let folds: Vec<usize> = (0..900).map(|i| (i * i / 5) % 3).collect();
    for fit_intercept in [false, true] {
        for solver in SOLVERS {
            let settings = RidgeSettings { fit_intercept, folds: 3, solver };
            let fit = ridge(&x, &y, &folds, settings).fit(&[0.1, 50.0]).unwrap();
            for k in 0..3 {
                let rows = |held: bool| (0..900).filter(|&i| (folds[i] == k) == held).collect::<Vec<_>>();
                let part = |a: &Array2<f64>, held| a.select(Axis(0), &rows(held));
                let (x_train, y_train) = (part(&x, false), part(&y, false));
                let one_fold = RidgeSettings { folds: 1, ..settings };
                let trained = ridge(&x_train, &y_train, &vec![0; y_train.nrows()], one_fold);
                for (a, alpha) in [0.1, 50.0].into_iter().enumerate() {
                    let model = trained.fit(&[alpha]).unwrap();
                    let predicted = part(&x, true).dot(&model.coefficients.index_axis(Axis(0), 0)) + model.intercepts;
                    let naive = (predicted - part(&y, true)).mapv(|d| d * d).mean().unwrap();
                    assert!((naive - fit.errors[[a, k]]).abs() < 1e-10, "{solver:?}");
                }
            }
        }
    }
}

#[test]
fn ridge_has_the_same_bits_for_any_cut_any_threads_and_after_a_checkpoint() {
    let (x, y) = (any_matrix(1300, 40, 20), any_matrix(1300, 1, 21));
    let folds: Vec<usize> = (0..1300).map(|i| i / 3 % 2).collect();
    let settings = RidgeSettings { folds: 2, ..Default::default() };
    let numbers = |sums: &RidgeRegression| {
        let fit = sums.fit(&[0.1, 1.0]).unwrap();
        let all = fit.coefficients.iter().chain(fit.intercepts.iter()).chain(fit.errors.iter());
        all.map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    let whole = numbers(&ridge(&x, &y, &folds, settings));
    for cut in [1, 7] {
        let mut sums = RidgeRegression::new(40, 1, settings).unwrap();
        for (k, folds) in folds.chunks(cut).enumerate() {
            let rows = s![k * cut..k * cut + folds.len(), ..];
            sums.add(x.slice(rows), y.slice(rows), folds).unwrap();
            if k == 60 {
                sums = RidgeRegression::from_arrays(settings, &sums.to_arrays()).unwrap();
            }
        }
        assert!(numbers(&sums) == whole);
    }
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| numbers(&ridge(&x, &y, &folds, settings))) == whole);
    }
}

#[test]
fn ridge_of_very_large_and_small_numbers_is_that_of_ordinary_ones_or_refused() {
    let (x, y) = (any_matrix(40, 5, 3), any_matrix(40, 2, 4));
    let folds: Vec<usize> = (0..40).map(|i| i % 4).collect();
    let settings = |folds, solver| RidgeSettings { folds, solver, fit_intercept: true };
    for size in [2f64.powi(-660), 2f64.powi(-500), 2f64.powi(500), 2f64.powi(660)] {
        let (a, b) = (&x * size, &y * size);
        for alphas in [&[0.0][..], &[0.0, 0.0]] {
            let one = ridge(&x, &y, &[0; 40], settings(1, Solver::Qr)).fit(alphas).unwrap();
            let other = ridge(&a, &b, &[0; 40], settings(1, Solver::Qr)).fit(alphas).unwrap();
            let off = largest(&(&one.coefficients - &other.coefficients).index_axis_move(Axis(0), 0));
            assert!(off < 1e-13, "{size:e}: {off:e}");
            assert!((one.condition_number / other.condition_number - 1.0).abs() < 1e-12, "{size:e}");
        }
        let refused = ridge(&x, &b, &folds, settings(4, Solver::Qr)).fit(&[0.1, 1.0]);
        assert!(refused.unwrap_err().to_string().contains("squared errors of the folds are too large or too small"));
    }
    let mut small = RidgeRegression::new(5, 2, settings(1, Solver::Cholesky)).unwrap();
    let error = small.add((&x * 1e-200).view(), y.view(), &[0; 40]).unwrap_err().to_string();
    assert!(error.contains("the normal equations vanish"), "{error}");
}

#[test]
fn ridge_refuses_what_it_cannot_use() {
    let (mut x, y) = (any_matrix(12, 3, 22), any_matrix(12, 1, 23));
    let settings = RidgeSettings { folds: 2, ..Default::default() };
    let words = |result: rhobasis::Result<()>| result.unwrap_err().to_string();
    let mut sums = RidgeRegression::new(3, 1, settings).unwrap();
    assert!(words(sums.add(x.view(), y.view(), &[2; 12])).contains("folds = 2: there are 2 folds"));
    assert!(words(sums.add(x.view(), y.view(), &[0; 11])).contains("folds 11"));
    assert!(words(sums.add(y.view(), y.view(), &[0; 12])).contains("3 were expected"));
    assert!(words(sums.add(x.view(), x.view(), &[0; 12])).contains("1 targets"));
    sums.add(x.view(), y.view(), &[0; 12]).unwrap();
    assert!(sums.fit(&[1.0]).unwrap_err().to_string().contains("fold 1 has no rows"));
    x[[5, 1]] = f64::INFINITY;
    assert!(words(sums.add(x.view(), y.view(), &[0; 12])).contains("row 17, column 1"));
    assert!(sums.fit(&[]).is_err() && sums.fit(&[-1.0]).is_err());
    assert!(RidgeRegression::new(3, 1, RidgeSettings { folds: 0, ..settings }).is_err());
    let constant = Array2::ones((12, 1));
    let one = ridge(&constant, &y, &[0; 12], RidgeSettings::default());
    assert!(one.fit(&[0.0]).unwrap_err().to_string().contains("alpha above 0"));
    let fit = one.fit(&[1.0]).unwrap();
    assert!((fit.intercepts[[0, 0]] + fit.coefficients[[0, 0, 0]] - y.mean().unwrap()).abs() < 1e-12);
}

#[test]
fn kernel_ridge_is_that_of_scikit_learn() {
    let values = reference();
    let (x, y) = (two(&values["X"]), two(&values["y"]));
    for (name, normalize) in [("raw", false), ("normalized", true)] {
        for zeta in [1, 2, 4] {
            let settings = KernelRidgeSettings { alpha: 0.1, zeta, normalize };
            let model = KernelRidge::fit(x.slice(s![..80, ..]), y.slice(s![..80, ..]), settings).unwrap();
            let predicted = model.predict(x.slice(s![80.., ..])).unwrap();
            let (name, of_y) = (format!("kernel_{name}_{zeta}"), format!("kernel_{name}_{zeta}_predicted"));
            assert!(largest(&(&model.weights() - &two(&values[&name]))) < 1e-8, "{name}");
            assert!(largest(&(predicted - two(&values[&of_y]))) < 1e-8, "{name}");
        }
    }
}

#[test]
fn kernel_ridge_has_the_same_bits_for_any_threads_and_predicts_row_by_row() {
    let (x, y) = (any_matrix(600, 9, 24), any_matrix(600, 2, 25));
    let settings = KernelRidgeSettings { zeta: 3, normalize: true, ..Default::default() };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let model = KernelRidge::fit(x.view(), y.view(), settings).unwrap();
            (model.predict(x.view()).unwrap(), model)
        })
    };
    let (whole, model) = run(1);
    for threads in [2, 4] {
        assert_eq!(run(threads).0, whole);
    }
    let k = polynomial_kernel(model.x(), model.x(), 3).unwrap();
    let rest = k.dot(&model.weights()) + model.weights() - &y;
    assert!(largest(&rest) < 1e-10); // (K + 1) w = y
    assert!(largest(&(k.dot(&model.weights()) - &whole)) < 1e-10);
    let stored = KernelRidge::from_parts(model.x().to_owned(), model.weights().to_owned(), settings).unwrap();
    assert_eq!(stored.predict(x.view()).unwrap(), whole);
    for (i, x) in x.axis_chunks_iter(Axis(0), 1).enumerate().step_by(50) {
        assert!(largest(&(&model.predict(x).unwrap() - &whole.slice(s![i..=i, ..]))) < 1e-12);
    }
    assert_eq!(polynomial_kernel(x.view(), x.slice(s![..2, ..]), 1).unwrap().dim(), (600, 2));
}

#[test]
fn a_singular_kernel_is_refused_with_an_alpha_that_serves() {
    let x = any_matrix(30, 3, 26); // (x·x′)² has 6 dimensions, so 30 rows are dependent
    let y = any_matrix(30, 1, 27);
    let fit = |alpha, zeta, x: &Array2<f64>| {
        KernelRidge::fit(x.view(), y.view(), KernelRidgeSettings { alpha, zeta, normalize: false })
    };
    let refused = fit(0.0, 2, &x).unwrap_err().to_string();
    assert!(
        refused.contains("alpha = 0: K + alpha is singular") && refused.contains("use an alpha above"),
        "{refused}"
    );
    assert!(fit(1e-6, 2, &x).is_ok());
    assert!(fit(1.0, 0, &x).unwrap_err().to_string().contains("zeta = 0"));
    assert!(fit(f64::NAN, 2, &x).unwrap_err().to_string().contains("alpha"));
    assert!(fit(1.0, 40, &(&x * 1e9)).unwrap_err().to_string().contains("overflows"));
    let model = fit(1.0, 2, &x).unwrap();
    assert!(model.predict(y.view()).unwrap_err().to_string().contains("3 were expected"));
    let mut broken = x.clone();
    broken[[3, 1]] = f64::NAN;
    assert!(fit(1.0, 2, &broken).unwrap_err().to_string().contains("row 3, column 1"));
    assert!(model.predict(broken.view()).is_err());
    let mut zero = x;
    zero.row_mut(4).fill(0.0);
    let settings = KernelRidgeSettings { normalize: true, ..Default::default() };
    let model = KernelRidge::fit(zero.view(), y.view(), settings).unwrap();
    assert_eq!(model.predict(zero.slice(s![4..5, ..])).unwrap()[[0, 0]], 0.0);
}

#[test]
fn rows_and_alphas_that_double_precision_cannot_hold_are_refused() {
    let (x, y) = (any_matrix(12, 3, 5), any_matrix(12, 1, 6));
    for solver in [Solver::Qr, Solver::Cholesky] {
        let size = if solver == Solver::Qr { 1e308 } else { 1e200 };
        let large = all_rows((&x * size).view(), y.view(), solver);
        let error = large.factor().unwrap_err().to_string();
        assert!(error.starts_with("X = "), "{error}");
        let factor = factor(&x, &y, solver);
        assert!(factor.ridge(1.7e308).is_ok_and(|ridge| ridge.iter().all(|w| w.is_finite())));
        assert!(factor.path(&[5e-324, 1.7e308]).unwrap().iter().all(|w| w.is_finite()));
    }
}
