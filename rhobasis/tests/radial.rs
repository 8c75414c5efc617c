//! Radial functions and integrals, Eqs. (5), (9), (10), against values computed by mpmath with 50 to 80 digits.

mod common;

use common::{reference, relative_difference};
use ndarray::{Array1, Array2};
use rhobasis::density::{Primitive, RadialIntegrals, gto};
use rhobasis::linalg;
use rhobasis::special::gauss_legendre::GaussLegendre;
use rhobasis::special::{bessel, hyp1f1};
use std::f64::consts::PI;

const GTO: fn(usize) -> Primitive = |n_max| Primitive::Gto { n_max };
const DVR: fn(usize) -> Primitive = |n_max| Primitive::Dvr { n_max, quadrature: false };
const LAPLACIAN: fn(usize) -> Primitive = |n_max| Primitive::LaplacianEigenstates { n_max };

/// I_nl/r^l (or I_nl) and its derivative.
fn integrals(radial: &RadialIntegrals, r: f64) -> (Vec<f64>, Vec<f64>) {
    let total = radial.offset(radial.l_max() + 1);
    let (mut values, mut derivatives) = (vec![0.0; total], vec![0.0; total]);
    radial.integrals(r, &mut values, &mut derivatives);
    (values, derivatives)
}

#[test]
fn scaled_bessel_functions_have_all_their_digits_from_1e_minus_200_to_1e6() {
    let golden = reference("radial_integrals");
    let (shape, expected) = &golden["bessel_scaled"];
    let mut worst: f64 = 0.0;
    for (i, &z) in golden["special_z"].1.iter().enumerate() {
        let mut values = [0.0; 21];
        bessel::scaled_i(z, 20, &mut values);
        for l in 0..shape[1] {
            let exact = expected[i * shape[1] + l];
            if exact.abs() > 1e-300 {
                worst = worst.max((values[l] / exact - 1.0).abs());
            }
        }
    }
    println!("largest relative error {worst:.1e}");
    assert!(worst < 1e-13);
}

#[test]
fn scaled_bessel_functions_stay_finite_and_obey_their_recurrence_for_every_argument() {
    let mut worst: f64 = 0.0;
    for step in -40..=480 {
        let z = 10.0_f64.powf(f64::from(step) / 40.0);
        let mut g = [0.0; 23];
        bessel::scaled_i_over_power(z, 22, &mut g);
        assert!(g.iter().all(|&value| value.is_finite() && value > 0.0), "z = {z}");
        for l in 1..22 {
            let (left, right) = (g[l - 1], (2 * l + 1) as f64 * g[l] + z * z * g[l + 1]);
            worst = worst.max((left / right - 1.0).abs());
        }
        // Fewer orders give the same numbers.
        let mut few = [0.0; 4];
        bessel::scaled_i_over_power(z, 3, &mut few);
        (0..4).for_each(|l| worst = worst.max((few[l] / g[l] - 1.0).abs()));
    }
    println!("largest relative error {worst:.1e}");
    assert!(worst < 1e-13);
}

#[test]
fn gauss_legendre_integrates_polynomials_of_degree_2n_minus_1_and_interpolates_their_derivatives() {
    for count in [1, 2, 3, 8, 31, 400, 3000] {
        let rule = GaussLegendre::new(count, 2.5);
        assert!(rule.nodes.windows(2).all(|pair| pair[0] < pair[1]));
        for degree in [0, 1, count, 2 * count - 1] {
            let scaled = |x: f64| (x / 2.5).powi(degree as i32);
            let sum: f64 = rule.nodes.iter().zip(&rule.weights).map(|(&x, w)| w * scaled(x)).sum();
            let exact = 2.5 / (degree + 1) as f64;
            let rounding = 2e-13 + degree as f64 * f64::EPSILON; // of (x/L)^degree
            assert!((sum / exact - 1.0).abs() < rounding, "{count} nodes, degree {degree}: {sum} against {exact}");
        }
        if count >= 31 {
            let values = Array2::from_shape_fn((count, 1), |(k, _)| (3.0 * rule.nodes[k]).sin());
            let slopes = rule.differentiation().dot(&values);
            for x in [0.0, 0.3, rule.nodes[7], 2.5] {
                assert!((rule.interpolate(values.view(), x)[0] - (3.0 * x).sin()).abs() < 1e-13);
                let error = (rule.interpolate(slopes.view(), x)[0] - 3.0 * (3.0 * x).cos()).abs();
                assert!(error < 1e-14 * (count * count) as f64, "{count} nodes, derivative at {x}: {error:e}");
            }
        }
    }
}

#[test]
fn spherical_bessel_functions_vanish_at_their_zeros() {
    // j_1(x) = 0 where tan x = x; tabulated zeros of j_1, j_2 and j_5 (Abramowitz & Stegun, table 10.6).
    let zeros = bessel::j_zeros(20, 60.0);
    assert!((zeros[1][0] - 4.493_409_457_909_064).abs() < 1e-14);
    assert!((zeros[2][0] - 5.763_459).abs() < 1e-6);
    assert!((zeros[5][0] - 9.355_812).abs() < 1e-6);
    for (l, list) in zeros.iter().enumerate() {
        for &z in list {
            assert!(bessel::j(l, z).abs() < 1e-15, "j_{l}({z}) = {:e}", bessel::j(l, z));
        }
    }
    // Σ_l (2l+1) j_l² = 1 tests every branch.
    for x in [1e-6, 0.4, 1.99, 3.1, 6.2, 11.0] {
        let sum: f64 = (0..60).map(|l| (2 * l + 1) as f64 * bessel::j(l, x).powi(2)).sum();
        assert!((sum - 1.0).abs() < 1e-14, "x = {x}: {sum}");
    }
}

#[test]
fn all_primitive_bases_are_orthonormal_with_30_functions() {
    for primitive in [GTO(1), GTO(2), GTO(30), DVR(30), LAPLACIAN(30)] {
        for sigma in [0.5, 0.1] {
            let radial = RadialIntegrals::new(&primitive, 5.0, sigma, 6).unwrap();
            for l in 0..=6 {
                let deviation = &radial.gram(l) - &Array2::<f64>::eye(radial.n_functions(l));
                let largest = deviation.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
                assert!(largest < 1e-12, "{primitive:?}, l = {l}: {largest:e}");
            }
        }
    }
}

#[test]
fn gto_functions_and_integrals_equal_those_in_extended_precision() {
    let golden = reference("radial_integrals");
    for n_max in [8, 20, 30] {
        let (shape, expected) = &golden[&format!("gto{n_max}_integrals")];
        let l_max = shape[2] - 1;
        let radial = RadialIntegrals::new(&GTO(n_max), 5.0, 0.4, l_max).unwrap();
        let mut found = Vec::new();
        for &r in &golden["gto_r"].1 {
            let (values, _) = integrals(&radial, r);
            for n in 0..n_max {
                found.extend((0..=l_max).map(|l| values[radial.offset(l) + n] * r.powi(l as i32)));
            }
        }
        let integral_error = relative_difference(&found, expected);

        let at: Vec<Vec<f64>> = golden["gto_x"].1.iter().map(|&x| radial.functions(0, x)).collect();
        let found: Vec<f64> = (0..n_max).flat_map(|n| at.iter().map(move |values| values[n])).collect();
        let function_error = relative_difference(&found, &golden[&format!("gto{n_max}_functions")].1);
        println!("n_max = {n_max}: integrals {integral_error:.1e}, functions {function_error:.1e}");
        assert!(integral_error < 1e-12 && function_error < 1e-12);
    }
}

#[test]
fn the_confluent_hypergeometric_function_has_all_its_digits() {
    let golden = reference("radial_integrals");
    let (shape, expected) = &golden["hyp1f1_scaled"];
    let mut worst: f64 = 0.0;
    for (i, &n) in golden["hyp1f1_n"].1.iter().enumerate() {
        for (l, row) in expected[i * shape[1] * shape[2]..].chunks(shape[2]).take(shape[1]).enumerate() {
            for (&z, &exact) in golden["special_z"].1.iter().zip(row) {
                worst = worst.max((hyp1f1::scaled(n as i32, l as i32, z) / exact - 1.0).abs());
            }
        }
    }
    println!("largest relative error {worst:.1e}");
    assert!(worst < 1e-13);
}

#[test]
fn eq5_closed_form_for_a_primitive_equals_extended_precision_and_quadrature() {
    let golden = reference("radial_integrals");
    let column = |name: &str| golden[&format!("primitive_{name}")].1.clone();
    let (n, l, sigma, b, r) = (column("n"), column("l"), column("sigma"), column("b"), column("r"));
    let (value, derivative) = (column("value"), column("derivative"));
    let (mut closed, mut quadrature) = ([0.0_f64; 2], 0.0_f64);
    for i in 0..n.len() {
        let (n, l) = (n[i] as usize, l[i] as usize);
        // Largest over r of the same function, estimated on the tabulated radii.
        let scan = (0..60).map(|k| gto::primitive_integral(n, l, b[i], sigma[i], 0.1 * f64::from(k)));
        let (largest, steepest) = scan.fold((0.0_f64, 0.0_f64), |(v, d), now| (v.max(now.0.abs()), d.max(now.1.abs())));
        let found = gto::primitive_integral(n, l, b[i], sigma[i], r[i]);
        closed[0] = closed[0].max((found.0 - value[i]).abs() / largest);
        closed[1] = closed[1].max((found.1 - derivative[i]).abs() / steepest);

        if i % 3 > 0 {
            continue;
        }
        let end = ((n as f64).sqrt() + 9.0) / (2.0 * b[i]).sqrt();
        let rule = GaussLegendre::new(400 + (3.0 * end / sigma[i]) as usize, end);
        let mut bessel = vec![0.0; l + 1];
        let mut sum = 0.0;
        for (&x, &w) in rule.nodes.iter().zip(&rule.weights) {
            bessel::scaled_i(x * r[i] / sigma[i].powi(2), l, &mut bessel);
            let gaussian = (-b[i] * x * x - (x - r[i]).powi(2) / (2.0 * sigma[i].powi(2))).exp();
            sum += w * x.powi(n as i32 + 2) * gaussian * bessel[l];
        }
        let norm = 4.0 * PI * (2.0 * PI * sigma[i] * sigma[i]).powf(-1.5);
        quadrature = quadrature.max((norm * sum - value[i]).abs() / largest);
    }
    println!("closed form: value {:.1e}, derivative {:.1e}; quadrature {quadrature:.1e}", closed[0], closed[1]);
    assert!(closed[0] < 1e-12 && closed[1] < 1e-12 && quadrature < 1e-12);
}

#[test]
fn derivatives_of_the_integrals_equal_difference_quotients_down_to_r_0() {
    let cases = [
        (GTO(8), 0.4),
        (GTO(8), 0.0),
        (GTO(1), 0.3),
        (DVR(8), 0.4),
        (Primitive::Dvr { n_max: 8, quadrature: true }, 0.4),
        (LAPLACIAN(8), 0.4),
        (LAPLACIAN(8), 0.0),
    ];
    for (primitive, sigma) in cases {
        let primitives = RadialIntegrals::new(&primitive, 4.0, sigma, 4).unwrap();
        let mix: Vec<_> = (0..=4).map(|l| mixture(3, primitives.n_functions(l))).collect();
        for radial in [&primitives, &primitives.contract(&mix)] {
            for r in [0.0, 1e-3, 0.31, 1.7, 3.6] {
                // Fourth order; I/r^l is even in r, so that r < 0 stands for |r|, except for the undivided functions.
                let (h, even) = (1e-3, radial.divided_by_r_to_the_l());
                if r < 2.0 * h && !even {
                    continue;
                }
                let at = |shift: f64| integrals(radial, (r + shift * h).abs()).0;
                let (m2, m1, p1, p2) = (at(-2.0), at(-1.0), at(1.0), at(2.0));
                let quotient: Vec<f64> =
                    (0..m1.len()).map(|i| (8.0 * (p1[i] - m1[i]) - (p2[i] - m2[i])) / (12.0 * h)).collect();
                let (values, derivatives) = integrals(radial, r);
                for l in 0..=4 {
                    let here = radial.offset(l)..radial.offset(l + 1);
                    let largest = values[here.clone()].iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                    for i in here {
                        let error = (derivatives[i] - quotient[i]).abs() / largest;
                        assert!(error < 1e-7, "{primitive:?}, sigma {sigma}, l = {l}, r = {r}: {error:e}");
                    }
                }
            }
        }
    }
}

/// Any full matrix with orthonormal rows.
fn mixture(q_max: usize, n_max: usize) -> Array2<f64> {
    let matrix = Array2::from_shape_fn((q_max.min(n_max), n_max), |(q, n)| {
        (1.3 * q as f64 + 0.7 * n as f64).cos() + if q == n { 3.0 } else { 0.0 }
    });
    linalg::svd_polar(matrix.view())
}

#[test]
fn eq9_and_eq10_contract_integrals_and_functions_alike() {
    for (primitive, sigma) in
        [(GTO(10), 0.5), (GTO(10), 0.0), (DVR(10), 0.3), (LAPLACIAN(10), 0.3), (LAPLACIAN(10), 0.0)]
    {
        let primitives = RadialIntegrals::new(&primitive, 5.0, sigma, 3).unwrap();
        let u: Vec<_> = (0..=3).map(|l| mixture(4, primitives.n_functions(l))).collect();
        let v: Vec<_> = (0..=3).map(|_| mixture(2, 4)).collect();
        let (once, twice) = (primitives.contract(&u), primitives.contract(&u).contract(&v));
        assert_eq!(twice.offset(4), 8);
        for r in [0.0, 0.2, 2.9, 4.99] {
            let ((before, before_slope), (after, after_slope)) = (integrals(&primitives, r), integrals(&once, r));
            let after_twice = integrals(&twice, r).0;
            for l in 0..=3 {
                let part = |values: &[f64], radial: &RadialIntegrals| {
                    Array1::from(values[radial.offset(l)..radial.offset(l + 1)].to_vec())
                };
                let close = |found: Array1<f64>, expected: Array1<f64>, scale: f64| {
                    let error = (&found - &expected).iter().fold(0.0_f64, |m, d| m.max(d.abs()));
                    assert!(error <= 1e-12 * scale.max(1.0), "{primitive:?}, l = {l}, r = {r}: {error:e}");
                };
                let (values, slopes) = (part(&before, &primitives), part(&before_slope, &primitives));
                let scale = |a: &Array1<f64>| a.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                close(part(&after, &once), u[l].dot(&values), scale(&values));
                close(part(&after_slope, &once), u[l].dot(&slopes), scale(&slopes));
                close(part(&after_twice, &twice), v[l].dot(&u[l].dot(&values)), scale(&values));
                if r > 0.0 {
                    let functions = Array1::from(primitives.functions(l, r));
                    close(Array1::from(once.functions(l, r)), u[l].dot(&functions), scale(&functions));
                }
            }
        }
    }
}

#[test]
fn a_narrow_gaussian_tends_to_the_delta_density() {
    // ∫g = 1, so <nl|r;g> = R_nl(r) + O(σ²).
    for primitive in [GTO(6), LAPLACIAN(6)] {
        let delta = RadialIntegrals::new(&primitive, 4.0, 0.0, 2).unwrap();
        let radius: f64 = 1.3;
        let error = |sigma: f64| {
            let smooth = RadialIntegrals::new(&primitive, 4.0, sigma, 2).unwrap();
            let values = integrals(&smooth, radius).0;
            let expected: Vec<f64> = (0..=2).flat_map(|l| delta.functions(l, radius)).collect();
            let found: Vec<f64> = (0..=2)
                .flat_map(|l| {
                    values[smooth.offset(l)..smooth.offset(l + 1)].iter().map(move |v| v * radius.powi(l as i32))
                })
                .collect();
            relative_difference(&found, &expected)
        };
        let (wide, narrow) = (error(0.04), error(0.02));
        assert!(narrow < 0.02 && (wide / narrow - 4.0).abs() < 0.1, "{primitive:?}: {wide:e} {narrow:e}");
        // With sigma = 0 the integrals are the functions.
        let power = |l: usize| if delta.divided_by_r_to_the_l() { radius.powi(l as i32) } else { 1.0 };
        let values = integrals(&delta, radius).0;
        for l in 0..=2 {
            for (n, function) in delta.functions(l, radius).into_iter().enumerate() {
                assert!((values[delta.offset(l) + n] * power(l) - function).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn dvr_quadrature_uses_one_node_for_each_function_and_converges_to_the_projection() {
    // I_nl = √w_n x_n K_l(x_n, r): with peak-1 Gaussians, the numbers of an independent NumPy calculation.
    let (r_cut, sigma, r): (f64, f64, f64) = (3.0, 0.3, 1.7);
    let constant = (2.0 * PI * sigma * sigma).powf(-1.5);
    for (quadrature, expected) in [(false, [-0.0118, 0.2041, 0.0773]), (true, [0.0007, 0.2456, 0.0185])] {
        let radial = RadialIntegrals::new(&Primitive::Dvr { n_max: 6, quadrature }, r_cut, sigma, 0).unwrap();
        let found: Vec<f64> = integrals(&radial, r).0.iter().map(|value| value / constant).collect();
        println!("quadrature {quadrature}: {found:?}");
        let near = |e: f64| found.iter().any(|f| (f - e).abs() < 1e-4);
        assert!(expected.into_iter().all(near), "{found:?}");
    }
    let exact = RadialIntegrals::new(&DVR(40), r_cut, sigma, 3).unwrap();
    let rule = RadialIntegrals::new(&Primitive::Dvr { n_max: 40, quadrature: true }, r_cut, sigma, 3).unwrap();
    assert!(relative_difference(&integrals(&rule, r).0, &integrals(&exact, r).0) < 1e-6);
}

#[test]
fn two_complete_bases_expand_the_same_density() {
    // Σ_n I_nl(r) I_nl(r') is the overlap of two Gaussians, whatever the basis, once it is complete: GTO 30 and DVR 40.
    let bases = [GTO(30), DVR(40)].map(|primitive| RadialIntegrals::new(&primitive, 3.0, 0.5, 3).unwrap());
    for l in 0..=3 {
        let overlap = |radial: &RadialIntegrals| {
            let here = radial.offset(l)..radial.offset(l + 1);
            let (a, b) = (integrals(radial, 1.2).0, integrals(radial, 1.9).0);
            a[here.clone()].iter().zip(&b[here]).map(|(a, b)| a * b).sum::<f64>() * (1.2_f64 * 1.9).powi(l as i32)
        };
        // ∫g(x − r)g(x − r') dx = Gaussian of variance 2σ² in |r − r'|: its radial part is 4π (4πσ²)^{-3/2} e^{..} i_l(rr'/2σ²).
        let variance = 2.0 * 0.25_f64;
        let mut bessel = [0.0; 4];
        bessel::scaled_i(1.2 * 1.9 / variance, 3, &mut bessel);
        let exact =
            4.0 * PI * (2.0 * PI * variance).powf(-1.5) * (-(0.7_f64.powi(2)) / (2.0 * variance)).exp() * bessel[l];
        for radial in &bases {
            assert!((overlap(radial) / exact - 1.0).abs() < 1e-5, "l = {l}: {} against {exact}", overlap(radial));
        }
    }
}

#[test]
fn settings_out_of_range_are_refused_with_a_remedy() {
    let message = |primitive: Primitive, r_cut: f64, sigma: f64, l_max: usize| {
        RadialIntegrals::new(&primitive, r_cut, sigma, l_max).unwrap_err().to_string()
    };
    assert!(message(GTO(0), 5.0, 0.5, 3).contains("n_max"));
    assert!(message(GTO(60), 5.0, 0.5, 3).contains("linearly dependent"));
    assert!(message(GTO(60), 5.0, 0.5, 3).contains("use at most n_max = 44"));
    assert!(RadialIntegrals::new(&GTO(44), 5.0, 0.5, 3).is_ok());
    assert!(message(DVR(100_000), 5.0, 0.5, 3).contains("n_max"));
    assert!(message(DVR(6), 5.0, 0.0, 3).contains("LaplacianEigenstates"));
    for r_cut in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(message(GTO(6), r_cut, 0.5, 3).contains("r_cut"));
    }
    for sigma in [-0.1, f64::NAN, f64::INFINITY, 1e-9] {
        assert!(message(GTO(6), 5.0, sigma, 3).contains("sigma"));
    }
    assert!(message(GTO(6), 5.0, 0.5, 21).contains("l_max"));
    assert!(message(LAPLACIAN(2), 5.0, 0.5, 6).contains("use l_max <= 2"), "{}", message(LAPLACIAN(2), 5.0, 0.5, 6));
}

#[test]
fn a_primitive_is_written_with_its_kind() {
    for (primitive, text) in [
        (GTO(8), r#"{"kind":"gto","n_max":8}"#),
        (DVR(8), r#"{"kind":"dvr","n_max":8,"quadrature":false}"#),
        (LAPLACIAN(8), r#"{"kind":"laplacian","n_max":8}"#),
    ] {
        assert_eq!(serde_json::to_string(&primitive).unwrap(), text);
        assert_eq!(serde_json::from_str::<Primitive>(text).unwrap(), primitive);
    }
}
