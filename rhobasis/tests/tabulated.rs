//! Radial functions from a table, against those that it was made of.

use std::f64::consts::PI;

use ndarray::Array2;
use rhobasis::Structure;
use rhobasis::density::{
    Density, ExpansionSettings, Primitive, RadialIntegrals, Sigma, SphericalExpansion, Tabulated, species_of,
};
use rhobasis::files::Stored;
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};

const R_CUT: f64 = 4.0;

fn grid(end: f64, count: usize) -> Vec<f64> {
    (0..count).map(|k| end * k as f64 / (count - 1) as f64).collect()
}

/// The first `n_max` functions of each l < `n_l`, at these radii.
fn table_of(radial: &RadialIntegrals, r: Vec<f64>, n_l: usize, n_max: usize) -> Tabulated {
    let of_l = |l: usize| {
        let rows: Vec<Vec<f64>> = r.iter().map(|&x| radial.functions(l, x)).collect();
        (0..n_max).map(|n| rows.iter().map(|row| row[n]).collect()).collect()
    };
    Tabulated { functions: (0..n_l).map(of_l).collect(), r }
}

/// I_nl(r) and dI_nl/dr, `[l][n]`.
fn integrals(radial: &RadialIntegrals, r: f64) -> Vec<Vec<[f64; 2]>> {
    let total = radial.offset(radial.l_max() + 1);
    let (mut values, mut slopes) = (vec![0.0; total], vec![0.0; total]);
    radial.integrals(r, &mut values, &mut slopes);
    let of = |l: usize, q: usize| match radial.divided_by_r_to_the_l() {
        true if l > 0 => {
            let (power, below) = (r.powi(l as i32), l as f64 * r.powi(l as i32 - 1));
            [values[q] * power, slopes[q] * power + below * values[q]]
        }
        _ => [values[q], slopes[q]],
    };
    let of_l = |l: usize| (radial.offset(l)..radial.offset(l + 1)).map(|q| of(l, q)).collect();
    (0..=radial.l_max()).map(of_l).collect()
}

/// Largest differences of integrals and of their slopes up to r_cut, relative to the largest; `expected` may have more n.
fn difference(found: &RadialIntegrals, expected: &RadialIntegrals) -> [f64; 2] {
    let (mut worst, mut largest) = ([0.0_f64; 2], [0.0_f64; 2]);
    for r in (1..=400).map(|k| R_CUT * f64::from(k) / 400.0) {
        for (found, expected) in integrals(found, r).iter().zip(integrals(expected, r)) {
            for (part, (x, y)) in found.iter().zip(&expected).flat_map(|(x, y)| [(0, (x[0], y[0])), (1, (x[1], y[1]))])
            {
                worst[part] = worst[part].max((x - y).abs());
                largest[part] = largest[part].max(y.abs());
            }
        }
    }
    [worst[0] / largest[0], worst[1] / largest[1]]
}

fn of_table(table: Tabulated, sigma: f64, l_max: usize) -> RadialIntegrals {
    RadialIntegrals::new(&table.into(), R_CUT, sigma, l_max).unwrap()
}

#[test]
fn gtos_as_a_table_have_the_integrals_of_gtos() {
    for sigma in [0.0, 0.2, 0.5] {
        let gto = RadialIntegrals::new(&Primitive::Gto { n_max: 8 }, R_CUT, sigma, 5).unwrap();
        // One table serves all l. GTOs reach beyond r_cut: 5e-7 of their norm are left at 3 r_cut, nothing at 5.
        let mut before = f64::INFINITY;
        for count in [401, 801] {
            let table = of_table(table_of(&gto, grid(5.0 * R_CUT, count), 1, 8), sigma, 5);
            let [value, slope] = difference(&table, &gto);
            println!("sigma {sigma}, {count} radii: {value:.1e}, slopes {slope:.1e}");
            let bounds = match (sigma == 0.0, count) {
                (true, 401) => [1e-6, 1e-5], // a spline itself, and its slopes
                (true, _) => [1e-8, 2e-7],
                (false, 401) => [5e-9, 1e-8], // smeared
                (false, _) => [1e-10, 2e-10],
            };
            assert!(value < bounds[0] && slope < bounds[1], "sigma {sigma}, {count} radii: {value:e}, {slope:e}");
            assert!(value < before / 20.0, "{value:e} after {before:e}");
            before = value;
            for l in [0, 5] {
                let error = (table.gram(l) - Array2::<f64>::eye(8)).iter().fold(0.0_f64, |m, x| m.max(x.abs()));
                assert!(error < 1e-13, "{error:e}");
            }
        }
    }
}

#[test]
fn powers_times_gaussians_are_orthonormalised_to_gtos() {
    let n_max = 6;
    let r = grid(5.0 * R_CUT, 1001);
    let phi = |n: usize, x: f64| {
        let width = R_CUT * (n as f64).sqrt().max(1.0) / n_max as f64;
        1e3 * 7.0_f64.powi(n as i32) * x.powi(n as i32) * (-0.5 * (x / width).powi(2)).exp()
    };
    let functions = vec![(0..n_max).map(|n| r.iter().map(|&x| phi(n, x)).collect()).collect()];
    let gto = RadialIntegrals::new(&Primitive::Gto { n_max }, R_CUT, 0.3, 4).unwrap();
    let [value, slope] = difference(&of_table(Tabulated { r, functions }, 0.3, 4), &gto);
    assert!(value < 1e-7 && slope < 1e-6, "{value:e}, {slope:e}");
}

#[test]
fn eigenstates_of_the_laplacian_as_a_table_for_each_l_have_their_integrals() {
    for sigma in [0.0, 0.4] {
        let laplacian = RadialIntegrals::new(&Primitive::LaplacianEigenstates { n_max: 8 }, R_CUT, sigma, 4).unwrap();
        let table = of_table(table_of(&laplacian, grid(R_CUT, 257), 5, 5), sigma, 4);
        assert_eq!((0..=4).map(|l| table.n_functions(l)).collect::<Vec<_>>(), [5; 5]);
        let [value, slope] = difference(&table, &laplacian);
        println!("sigma {sigma}: {value:.1e}, slopes {slope:.1e}");
        let bounds = if sigma == 0.0 { [1e-9, 1e-7] } else { [5e-12, 5e-12] };
        assert!(value < bounds[0] && slope < bounds[1], "sigma {sigma}: {value:e}, {slope:e}");
        for x in [0.0, 0.1, 2.0, 3.99] {
            for l in 0..=4 {
                for (found, expected) in table.functions(l, x).iter().zip(laplacian.functions(l, x)) {
                    assert!((found - expected).abs() < 1e-6, "l = {l}, x = {x}: {found}, {expected}");
                }
            }
        }
        assert_eq!(table.functions(1, R_CUT + 1e-9), [0.0; 5]);
    }
}

fn frames() -> Vec<Structure> {
    let rattled = |k: usize| {
        let shift = |i: usize, d: usize| 0.2 * ((17 * k + 5 * i + 3 * d) as f64).sin();
        let places = [[0.0, 0.0, 0.0], [1.6, 0.2, 1.5], [0.3, 1.7, 1.6], [1.5, 1.6, 0.1], [3.1, 2.2, 2.4]];
        let positions = places.iter().enumerate().map(|(i, x)| std::array::from_fn(|d| x[d] + shift(i, d))).collect();
        let cell = [[4.1, 0.3, 0.0], [0.0, 4.3, -0.2], [0.1, 0.0, 4.4]];
        match k % 2 {
            0 => Structure::crystal(vec![14; 5], positions, cell),
            _ => Structure::molecule(vec![14; 5], positions),
        }
    };
    (0..8).map(rattled).collect()
}

fn covariance(primitive: Primitive, l_max: usize) -> Covariance {
    let density = Density { r_cut: R_CUT, sigma: Sigma::Same(0.4), ..Density::default() };
    let expansion = ExpansionSettings { density, primitive, l_max, spline_accuracy: Some(1e-10) };
    let settings =
        CovarianceSettings { expansion, mixing: Mixing::PerSpecies, center_specific: false, weighting: None };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(&frames(), None).unwrap();
    covariance
}

#[test]
fn the_functions_of_an_optimal_basis_as_a_table_are_their_own_optimal_basis() {
    let of_gto = covariance(Primitive::Gto { n_max: 8 }, 3);
    let optimal = OptimalBasis::from_covariance(&of_gto, Truncation::QMax(4)).unwrap();
    let functions = optimal.radial_integrals(None, 14).unwrap();
    let table = table_of(&functions, grid(5.0 * R_CUT, 1001), 4, 4);
    let again = OptimalBasis::from_covariance(&covariance(table.into(), 3), Truncation::QMax(4)).unwrap();
    for (block, twice) in optimal.kinds()[0].blocks.iter().zip(&again.kinds()[0].blocks) {
        for q in 0..4 {
            let (one, other) = (block.contraction.eigenvalues[q], twice.contraction.eigenvalues[q]);
            assert!((one / other - 1.0).abs() < 1e-6, "{one} {other}");
        }
    }
    let (c, d) = (optimal.transform(&frames()).unwrap(), again.transform(&frames()).unwrap());
    for (l, (c, d)) in c.blocks.iter().zip(&d.blocks).enumerate() {
        let largest = c.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        // Each channel up to its sign: of its vector in the new functions, the largest component is positive.
        for (c, d) in c.axis_iter(ndarray::Axis(2)).zip(d.axis_iter(ndarray::Axis(2))) {
            let same = c.iter().zip(&d).fold(0.0_f64, |m, (x, y)| m.max((x - y).abs()));
            let turned = c.iter().zip(&d).fold(0.0_f64, |m, (x, y)| m.max((x + y).abs()));
            assert!(same.min(turned) < 1e-5 * largest, "l = {l}: {same:e} {turned:e} of {largest}");
        }
    }
}

/// √2 sin(nπx/L)/x, orthonormal for x < L.
fn sines(n_max: usize, r: Vec<f64>) -> Tabulated {
    let end = r[r.len() - 1];
    let value = |n: usize, x: f64| {
        let k = (n + 1) as f64 * PI / end;
        (2.0 / end).sqrt() * if x == 0.0 { k } else { (k * x).sin() / x }
    };
    Tabulated { functions: vec![(0..n_max).map(|n| r.iter().map(|&x| value(n, x)).collect()).collect()], r }
}

#[test]
fn a_basis_of_a_table_is_stored_whole() {
    let basis =
        OptimalBasis::from_covariance(&covariance(sines(6, grid(R_CUT, 129)).into(), 2), Truncation::QMax(3)).unwrap();
    let bytes = basis.to_bytes();
    let loaded = OptimalBasis::from_bytes(&bytes).unwrap();
    assert_eq!(loaded.settings(), basis.settings());
    assert_eq!(loaded.to_bytes(), bytes);
    let exact = loaded.radial_integrals(None, 14).unwrap();
    assert_eq!(integrals(&exact, 1.3), integrals(&basis.radial_integrals(None, 14).unwrap(), 1.3));
    assert_eq!(loaded.transform(&frames()).unwrap().blocks, basis.transform(&frames()).unwrap().blocks);
}

#[test]
fn two_tables_of_one_size_are_two_settings() {
    let settings = |n: usize| covariance(sines(4, grid(R_CUT + n as f64, 65)).into(), 1).settings().clone();
    let (name, mine, theirs) = settings(0).difference(&settings(1)).unwrap();
    assert_eq!(name, "primitive");
    assert!(mine.starts_with("tabulated (4 functions at 65 radii up to 4 Å, ") && mine != theirs, "{mine}, {theirs}");
    let mut turned = settings(0);
    let Primitive::Tabulated(table) = &mut turned.expansion.primitive else { panic!("no table") };
    table.functions[0][2][30] += 1e-9;
    assert_eq!(settings(0).difference(&turned).unwrap().0, "primitive");
    assert_eq!(settings(0).difference(&settings(0)), None);
}

#[test]
fn tables_that_make_no_functions_are_refused_in_words() {
    let good = || sines(4, grid(R_CUT, 33));
    let refused = |change: &dyn Fn(&mut Tabulated), sigma: f64, l_max: usize| {
        let mut table = good();
        change(&mut table);
        RadialIntegrals::new(&table.into(), R_CUT, sigma, l_max).unwrap_err().to_string()
    };
    let says = |message: String, parts: &[&str]| {
        for part in parts {
            assert!(message.contains(part), "'{part}' is missing in: {message}");
        }
    };
    says(
        refused(&|t| t.r[7] = t.r[6], 0.3, 2),
        &["r = 0.75, 0.75: radius 7 is not above the one before it; give radii"],
    );
    says(refused(&|t| t.r[0] = 0.01, 0.3, 2), &["r = 0.01, …: the first radius is not 0"]);
    says(refused(&|t| t.r[32] = f64::NAN, 0.3, 2), &["r = 3.875, NaN: radius 32"]);
    says(
        refused(&|t| t.functions[0][2][0] = f64::NAN, 0.3, 2),
        &["R = NaN", "function n = 2 of l = 0 at r = 0 Å", "the limit"],
    );
    says(refused(&|t| t.functions[0][2].truncate(9), 0.3, 2), &["9 values of function n = 2 of l = 0, but 33 radii"]);
    says(refused(&|t| t.functions[0][1].fill(0.0), 0.3, 2), &["function n = 1 of l = 0 is 0 everywhere; leave it out"]);
    says(refused(&|t| t.functions.clear(), 0.3, 2), &["n_max = 0: must lie between 1 and 500"]);
    let few = |t: &mut Tabulated| *t = sines(2, grid(R_CUT, 5));
    says(refused(&few, 0.3, 2), &["r = 5 radii: too few radii for a spline of fifth degree, which takes 6"]);
    let dependent = |t: &mut Tabulated| t.functions[0][3] = t.functions[0][1].iter().map(|x| -2.0 * x).collect();
    says(refused(&dependent, 0.3, 2), &["R = 4 functions: they are linearly dependent: smallest singular value"]);
    let by_l = |t: &mut Tabulated| t.functions = vec![t.functions[0].clone(); 3];
    says(refused(&by_l, 0.3, 3), &["l_max = 3: the table of primitive functions ends with l = 2; use l_max <= 2"]);
    let dependent_at_2 = |t: &mut Tabulated| {
        by_l(t);
        t.functions[2][0] = t.functions[2][1].clone();
    };
    says(refused(&dependent_at_2, 0.3, 2), &["R = 4 functions of l = 2: they are linearly dependent"]);
    let uneven = |t: &mut Tabulated| {
        by_l(t);
        t.functions[1].pop();
    };
    says(refused(&uneven, 0.3, 2), &["3 functions for l = 1, 4 for l = 0"]);
    let short = |t: &mut Tabulated| *t = sines(4, grid(3.0, 33));
    says(refused(&short, 0.0, 2), &["sigma = 0", "their table ends at 3 Å", "tabulate up to r_cut = 4"]);
    let far = |t: &mut Tabulated| t.r[32] = 1e300;
    says(refused(&far, 0.3, 2), &["r = …, 1", "the last radius must lie between 0.001 and 1e6 Å"]);
    let near = |t: &mut Tabulated| t.r[16] = t.r[15] + 1e-7;
    says(refused(&near, 0.3, 2), &["quadrature nodes", "use fewer radii"]);
    assert!(RadialIntegrals::new(&sines(4, grid(3.0, 33)).into(), R_CUT, 0.3, 2).is_ok());
    // Functions have no unit of their own.
    let in_units = |factor: f64| {
        let mut table = good();
        table.functions[0][1].iter_mut().for_each(|x| *x *= factor);
        integrals(&of_table(table, 0.3, 2), 1.7)[1][1][0]
    };
    let usual = in_units(1.0);
    assert!([1e-300, 1e300].iter().all(|&factor| (in_units(factor) / usual - 1.0).abs() < 1e-12));
}

#[test]
fn an_expansion_in_a_table_is_that_in_its_functions() {
    let with = |primitive, sigma| {
        let density = Density { r_cut: R_CUT, sigma: Sigma::Same(sigma), ..Density::default() };
        let settings = ExpansionSettings { density, primitive, l_max: 3, spline_accuracy: Some(1e-9) };
        SphericalExpansion::new(&settings, &species_of(&frames())).unwrap().forward(&frames()).unwrap()
    };
    for sigma in [0.0, 0.3] {
        let gto = Primitive::Gto { n_max: 5 };
        let functions = RadialIntegrals::new(&gto, R_CUT, sigma, 0).unwrap();
        let table = table_of(&functions, grid(5.0 * R_CUT, 801), 1, 5);
        let (c, d) = (with(gto, sigma), with(table.into(), sigma));
        assert_eq!(c.channels, d.channels);
        for (c, d) in c.blocks.iter().zip(&d.blocks) {
            let largest = c.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            let worst = c.iter().zip(d).fold(0.0_f64, |m, (x, y)| m.max((x - y).abs()));
            assert!(worst < 1e-7 * largest, "sigma {sigma}: {worst:e} of {largest}");
        }
    }
}
