//! Sums of quadratic forms of few combinations of channels, against a naive twin, difference quotients and identities.

use ndarray::{Array1, Array2, Axis, concatenate, s};
use rhobasis::linalg::{complement, orthonormal_rows};
use rhobasis::models::{Factor, Form, LeastSquares, QuadraticForms, Solver};

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn matrix(&mut self, rows: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |_| self.next())
    }
}

/// Two forms over three sets: of the channels of sets 0 and 1, and of set 2 with two channels between that belong to none.
/// Samples are sums over a few vectors; channels have falling variance.
struct Problem {
    forms: Vec<Form>,
    deviations: Vec<Array1<f64>>,
    /// Channels of each form: `[sample, vector, channel]`, flat over the first two.
    c: Vec<Array2<f64>>,
    y: Array1<f64>,
    factor: Factor,
}

const VECTORS: usize = 3;
const SIZES: [usize; 3] = [4, 3, 5];

fn problem(n: usize, seed: u64, noise_of_y: f64) -> Problem {
    let mut noise = Noise(seed);
    let forms = vec![
        Form { first: 0, n_channels: 7, sets: vec![(0, 0), (1, 4)] },
        Form { first: 28, n_channels: 7, sets: vec![(2, 2)] },
    ];
    let deviations: Vec<Array1<f64>> = SIZES.iter().map(|&m| (0..m).map(|k| 0.6f64.powi(k as i32)).collect()).collect();
    let spread = |form: &Form| {
        let mut spread = Array1::from_elem(form.n_channels, 0.3);
        for &(set, first) in &form.sets {
            spread.slice_mut(s![first..first + SIZES[set]]).assign(&deviations[set]);
        }
        spread
    };
    let c: Vec<Array2<f64>> =
        forms.iter().map(|form| noise.matrix(n * VECTORS, form.n_channels) * &spread(form)).collect();
    let hidden: Vec<Array2<f64>> = forms.iter().map(|form| noise.matrix(form.n_channels, form.n_channels)).collect();
    let rows: Vec<Array2<f64>> = c.iter().map(products).collect();
    let x = concatenate(Axis(1), &[rows[0].view(), rows[1].view()]).unwrap();
    let mut y = Array1::zeros(n);
    for (c, w) in c.iter().zip(&hidden) {
        for (k, row) in c.dot(w).outer_iter().enumerate() {
            y[k / VECTORS] += row.dot(&c.row(k));
        }
    }
    y.mapv_inplace(|y| y + noise_of_y * noise.next());
    let mut sums = LeastSquares::new(x.ncols(), 1, Solver::Qr);
    sums.add(x.view(), y.view().insert_axis(Axis(1))).unwrap();
    let factor = sums.factor().unwrap();
    Problem { forms, deviations, c, y, factor }
}

/// Σ over vectors of c_α c_β, α ≤ β, times √2 off the diagonal.
fn products(c: &Array2<f64>) -> Array2<f64> {
    let n = c.ncols();
    let mut x = Array2::zeros((c.nrows() / VECTORS, n * (n + 1) / 2));
    for (k, c) in c.outer_iter().enumerate() {
        let mut column = 0;
        for a in 0..n {
            for b in a..n {
                let factor = if a == b { 1.0 } else { 2f64.sqrt() };
                x[[k / VECTORS, column]] += factor * c[a] * c[b];
                column += 1;
            }
        }
    }
    x
}

fn combinations(noise: &mut Noise, counts: [usize; 3]) -> Vec<Array2<f64>> {
    SIZES.iter().zip(counts).map(|(&m, q)| orthonormal_rows(noise.matrix(q, m))).collect()
}

/// min |Xw − y|² with X made of the combinations themselves, less what all channels leave.
fn naive_loss(problem: &Problem, rows: &[Array2<f64>]) -> f64 {
    let seen = |(form, c): (&Form, &Array2<f64>)| {
        let parts: Vec<Array2<f64>> = form
            .sets
            .iter()
            .map(|&(set, first)| c.slice(s![.., first..first + SIZES[set]]).dot(&rows[set].t()))
            .collect();
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        products(&concatenate(Axis(1), &views).unwrap())
    };
    let parts: Vec<Array2<f64>> = problem.forms.iter().zip(&problem.c).map(seen).collect();
    let x = concatenate(Axis(1), &[parts[0].view(), parts[1].view()]).unwrap();
    let mut sums = LeastSquares::new(x.ncols(), 1, Solver::Qr);
    sums.add(x.view(), problem.y.view().insert_axis(Axis(1))).unwrap();
    sums.factor().unwrap().left()[0] - problem.factor.left()[0]
}

fn of(problem: &Problem) -> QuadraticForms<'_> {
    QuadraticForms::new(&problem.factor, &problem.forms, &problem.deviations).unwrap()
}

#[test]
fn the_loss_is_that_of_a_fit_to_the_combinations_themselves() {
    let problem = problem(200, 1, 0.5);
    let mut noise = Noise(2);
    for counts in [[1, 1, 1], [2, 1, 3], [4, 3, 5]] {
        let rows = combinations(&mut noise, counts);
        let (loss, _) = of(&problem).loss_and_gradient(&rows).unwrap();
        let naive = naive_loss(&problem, &rows);
        assert!((loss - naive).abs() < 1e-9 * naive.max(1.0), "{counts:?}: {loss} {naive}");
    }
}

#[test]
fn its_gradient_is_that_of_difference_quotients() {
    let problem = problem(150, 3, 0.5);
    let mut noise = Noise(4);
    let rows = combinations(&mut noise, [2, 1, 2]);
    let forms = of(&problem);
    let (_, gradient) = forms.loss_and_gradient(&rows).unwrap();
    let largest = gradient.iter().flatten().fold(0.0_f64, |most, x| most.max(x.abs()));
    for (set, u) in rows.iter().enumerate() {
        let directions = complement(u);
        for (a, p) in (0..u.nrows()).flat_map(|a| directions.outer_iter().map(move |p| (a, p))) {
            let loss = |h: f64| {
                let mut moved = rows.clone();
                moved[set].row_mut(a).scaled_add(h, &p);
                moved[set] = orthonormal_rows(moved[set].clone());
                forms.loss_and_gradient(&moved).unwrap().0
            };
            let h = 1e-3;
            let quotient = (8.0 * (loss(h) - loss(-h)) - (loss(2.0 * h) - loss(-2.0 * h))) / (12.0 * h);
            let slope = gradient[set].row(a).dot(&p);
            assert!((quotient - slope).abs() < 1e-6 * largest, "set {set}, row {a}: {quotient} {slope}");
        }
        // Along the manifold: nothing in the space of the rows themselves.
        assert!(gradient[set].dot(&u.t()).iter().all(|x| x.abs() < 1e-10 * largest));
    }
}

#[test]
fn a_search_never_ends_above_its_start_and_beats_leading_and_random_combinations() {
    let problem = problem(250, 5, 0.2);
    let forms = of(&problem);
    let found = forms.contract(&[1, 1, 2]).unwrap();
    assert!(found.loss < 0.7 * found.leading, "{} {}", found.loss, found.leading);
    let mut noise = Noise(6);
    for _ in 0..5 {
        let start = combinations(&mut noise, [1, 1, 2]);
        let before = forms.loss_and_gradient(&start).unwrap().0;
        let (loss, rows) = forms.minimum(&start).unwrap();
        assert!(loss <= before && found.loss <= 1.001 * loss, "{before} {loss} {}", found.loss);
        let again = forms.loss_and_gradient(&rows).unwrap().0;
        assert!((again - loss).abs() < 1e-8 * loss, "ordered rows have the same loss");
    }
    let (_, gradient) = forms.loss_and_gradient(&found.rows).unwrap();
    let slope = gradient.iter().flatten().map(|x| x * x).sum::<f64>().sqrt();
    assert!(slope < 1e-2 * found.loss, "{slope} {}", found.loss);
}

#[test]
fn the_minimum_depends_on_the_space_of_the_start_alone() {
    let problem = problem(250, 7, 0.2);
    let mut noise = Noise(8);
    let start = combinations(&mut noise, [2, 1, 2]);
    let (loss, rows) = of(&problem).minimum(&start).unwrap();
    let turned: Vec<Array2<f64>> =
        start.iter().map(|u| orthonormal_rows(noise.matrix(u.nrows(), u.nrows())).dot(u)).collect();
    let (again, others) = of(&problem).minimum(&turned).unwrap();
    assert!((again - loss).abs() < 1e-9 * loss, "{loss} {again}");
    for (u, v) in rows.iter().zip(&others) {
        let outside = v - &v.dot(&u.t()).dot(u);
        assert!(outside.iter().all(|x| x.abs() < 1e-6), "{outside}");
    }
}

#[test]
fn all_channels_give_the_whole_model_and_what_is_hidden_is_found() {
    let problem = problem(200, 9, 0.3);
    let found = of(&problem).contract(&[4, 3, 5]).unwrap();
    // The two channels of no set are missed, whatever is combined.
    let identities: Vec<Array2<f64>> = SIZES.iter().map(|&m| Array2::eye(m)).collect();
    let whole = of(&problem).loss_and_gradient(&identities).unwrap().0;
    assert!((found.loss - whole).abs() < 1e-9 * whole.max(1.0));

    // A model that sees two combinations of six channels.
    let mut noise = Noise(10);
    let c = noise.matrix(300 * VECTORS, 6);
    let hidden = orthonormal_rows(noise.matrix(2, 6));
    let seen = c.dot(&hidden.t());
    let y: Array1<f64> = (0..300)
        .map(|k| {
            (0..VECTORS).map(|v| seen[[VECTORS * k + v, 0]].powi(2) - 0.4 * seen[[VECTORS * k + v, 1]].powi(2)).sum()
        })
        .collect();
    let x = products(&c);
    let mut sums = LeastSquares::new(x.ncols(), 1, Solver::Qr);
    sums.add(x.view(), y.view().insert_axis(Axis(1))).unwrap();
    let factor = sums.factor().unwrap();
    let forms = [Form { first: 0, n_channels: 6, sets: vec![(0, 0)] }];
    let deviations = [Array1::ones(6)];
    let found = QuadraticForms::new(&factor, &forms, &deviations).unwrap().contract(&[2]).unwrap();
    // By falling magnitude of their weights: the first of them is the first that was hidden.
    for (u, v) in found.rows[0].outer_iter().zip(hidden.outer_iter()) {
        assert!((u.dot(&v).abs() - 1.0).abs() < 1e-6, "{}", u.dot(&v));
    }
}

#[test]
fn the_result_has_the_same_bits_for_any_number_of_threads() {
    let problem = problem(200, 11, 0.2);
    let found = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| of(&problem).contract(&[2, 1, 2]).unwrap().rows)
    };
    assert_eq!(found(1), found(3));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let problem = problem(100, 13, 0.2);
    let refused = |forms: &[Form], deviations: &[Array1<f64>]| {
        QuadraticForms::new(&problem.factor, forms, deviations).unwrap_err().to_string()
    };
    assert!(refused(&problem.forms[..1], &problem.deviations).contains("they have 28 columns, and the factor has 56"));
    assert!(refused(&problem.forms, &problem.deviations[..2]).contains("names sets that it cannot hold"));
    let wrong = [Array2::eye(3), Array2::eye(3), Array2::eye(5)];
    assert!(of(&problem).loss_and_gradient(&wrong).unwrap_err().to_string().contains("one matrix"));
}

#[test]
fn a_nearly_singular_fit_has_the_loss_of_its_triangle() {
    // Channels whose products differ by nine orders of magnitude: their squares, by eighteen, are lost in a normal matrix.
    let mut problem = problem(200, 31, 0.5);
    for c in &mut problem.c {
        let mut last = c.column_mut(3);
        last *= 3e-5;
    }
    let rows: Vec<Array2<f64>> = problem.c.iter().map(products).collect();
    let x = concatenate(Axis(1), &[rows[0].view(), rows[1].view()]).unwrap();
    let mut sums = LeastSquares::new(x.ncols(), 1, Solver::Qr);
    sums.add(x.view(), problem.y.view().insert_axis(Axis(1))).unwrap();
    problem.factor = sums.factor().unwrap();
    assert!(problem.factor.condition_number() > 1e8);
    let mut noise = Noise(32);
    for counts in [[2, 2, 3], [4, 3, 5]] {
        let rows = match counts {
            [4, 3, 5] => SIZES.iter().map(|&m| Array2::eye(m)).collect(),
            _ => combinations(&mut noise, counts),
        };
        let (loss, _) = of(&problem).loss_and_gradient(&rows).unwrap();
        let naive = naive_loss(&problem, &rows);
        assert!((loss - naive).abs() < 1e-7 * naive.max(problem.factor.left()[0]), "{counts:?}: {loss} {naive}");
    }
}
