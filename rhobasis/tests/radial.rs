//! Radial functions and integrals, Eqs. (5), (9), (10), against values computed by mpmath with 50 to 80 digits.

mod common;

use common::{reference, relative_difference};
use ndarray::Array2;
use rhobasis::density::{Primitive, RadialIntegrals};
use rhobasis::special::bessel;
use rhobasis::special::gauss_legendre::GaussLegendre;

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
                assert!((rule.interpolate(slopes.view(), x)[0] - 3.0 * (3.0 * x).cos()).abs() < 1e-9);
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
