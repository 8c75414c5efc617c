//! NICE: exact where nothing is chosen away, accounted for where something is, the same for any order of the data.

#[path = "../common/mod.rs"]
mod common;
#[path = "../naive/mod.rs"]
mod naive;
mod parts;
mod variants;

use ndarray::{Array2, Axis, s};
use rhobasis::Structure;
use rhobasis::correlations::{Choice, Invariants, Nice, NiceSample, NiceSelection, NiceSettings, Split};
use rhobasis::density::{BlockKey, Density, ExpansionSettings, Primitive, SphericalExpansion};
use rhobasis::files::Stored;

use naive::{correlations, random_molecule};

fn expansion(n_max: usize, l_max: usize) -> SphericalExpansion {
    let density = Density { r_cut: 4.0, ..Density::default() };
    let settings = ExpansionSettings { density, primitive: Primitive::Gto { n_max }, l_max, ..Default::default() };
    SphericalExpansion::new(&settings, &[1, 8]).unwrap()
}

fn molecules(n: u64) -> Vec<Structure> {
    (0..n).map(|seed| random_molecule(&[1, 8, 1, 1, 8, 1], seed)).collect()
}

fn fit(settings: &NiceSettings, expansion: &SphericalExpansion, structures: &[Structure]) -> Nice {
    let mut sample = NiceSample::for_fit(expansion, settings).unwrap();
    sample.add(structures).unwrap();
    Nice::fit(settings, &sample).unwrap()
}

fn everything(nu_max: usize, split: Split) -> NiceSettings {
    NiceSettings {
        nu_max,
        lambda_max: Some(12),
        n_candidates: usize::MAX >> 1,
        n_equivariants: usize::MAX >> 1,
        n_invariant_candidates: usize::MAX >> 1,
        n_invariants: usize::MAX >> 1,
        split,
        unit_density: false,
        ..NiceSettings::default()
    }
}

/// Few of many.
fn some(nu_max: usize, selection: NiceSelection) -> NiceSettings {
    NiceSettings {
        nu_max,
        lambda_max: Some(2),
        n_candidates: 80,
        n_equivariants: 12,
        n_invariant_candidates: 60,
        n_invariants: 20,
        selection,
        ..NiceSettings::default()
    }
}

fn squared_norms(blocks: &[ndarray::Array3<f64>], center: usize) -> f64 {
    blocks.iter().flat_map(|block| block.index_axis(Axis(0), center).to_owned()).map(|x| x * x).sum()
}

#[test]
fn with_everything_kept_norms_are_powers_of_that_of_the_density() {
    let expansion = expansion(1, 2);
    let structures = molecules(2);
    let rho = expansion.forward(&structures).unwrap();
    for (nu_max, split) in [(4, Split::Density), (5, Split::Balanced)] {
        let nice = fit(&everything(nu_max, split), &expansion, &structures[..1]);
        for nu in (1..nu_max).filter(|nu| split == Split::Density || *nu < 4) {
            let made = nice.equivariants(&expansion, nu, &structures).unwrap();
            for i in 0..rho.centers.len() {
                let (found, expected) = (squared_norms(&made.blocks, i), squared_norms(&rho.blocks, i).powi(nu as i32));
                assert!((found - expected).abs() < 1e-12 * expected, "ν = {nu}: {found} against {expected}");
            }
        }
    }
}

#[test]
fn with_everything_kept_invariants_are_the_power_spectrum_and_the_bispectrum_turned() {
    let expansion = expansion(1, 2);
    let structures = molecules(2);
    let nice = fit(&everything(3, Split::Density), &expansion, &structures);
    let invariants = Invariants::nice(&expansion, &nice, false).unwrap();
    let (x, columns) = (invariants.forward(&structures).unwrap(), invariants.columns());
    let spectra = [
        Invariants::radial_spectrum(&expansion, false),
        Invariants::power_spectrum(&expansion, None, false).unwrap(),
        Invariants::bispectrum(&expansion, false).unwrap(),
    ];
    for (nu, spectrum) in (1..).zip(spectra) {
        let of_order: Vec<usize> = (0..columns.nrows()).filter(|&k| columns[[k, 0]] == nu).collect();
        let x = x.select(Axis(1), &of_order);
        let y = spectrum.forward(&structures).unwrap();
        let difference = &x.dot(&x.t()) - &y.dot(&y.t());
        assert!(difference.iter().all(|d| d.abs() < 1e-12 * y.dot(&y.t())[[0, 0]]), "ν = {nu}");
    }
}

#[test]
fn four_neighbours_at_a_time_are_those_of_brute_force() {
    let expansion = expansion(1, 1);
    let structures = molecules(2);
    let c = expansion.forward(&structures).unwrap();
    let of_center =
        |i: usize| -> Vec<Array2<f64>> { c.blocks.iter().map(|b| b.slice(s![i, .., ..]).to_owned()).collect() };
    let naive: Vec<Vec<f64>> = (0..c.centers.len()).map(|i| correlations::invariants(&of_center(i), 4)).collect();
    for split in [Split::Density, Split::Balanced] {
        let nice = fit(&everything(4, split), &expansion, &structures);
        let invariants = Invariants::nice(&expansion, &nice, false).unwrap();
        let (x, columns) = (invariants.forward(&structures).unwrap(), invariants.columns());
        let of_order: Vec<usize> = (0..columns.nrows()).filter(|&k| columns[[k, 0]] == 4).collect();
        let x = x.select(Axis(1), &of_order);
        for i in 0..naive.len() {
            for j in 0..naive.len() {
                let expected: f64 = naive[i].iter().zip(&naive[j]).map(|(a, b)| a * b).sum();
                let scale = naive[i].iter().chain(&naive[j]).map(|a| a * a).sum::<f64>();
                assert!((x.row(i).dot(&x.row(j)) - expected).abs() < 1e-12 * scale, "{split:?} {i} {j}");
            }
        }
    }
}

#[test]
fn the_account_adds_up_and_is_what_is_there() {
    let expansion = expansion(2, 3);
    let structures = molecules(30);
    for selection in [NiceSelection::Cholesky, NiceSelection::Pca] {
        for choice in [Choice::Variance, Choice::PerChannel] {
            let settings = NiceSettings { choice, ..some(4, selection) };
            let nice = fit(&settings, &expansion, &structures);
            let n = nice.n_centers() as f64;
            let invariants = Invariants::nice(&expansion, &nice, false).unwrap();
            let (x, columns) = (invariants.forward(&structures).unwrap(), invariants.columns());
            for row in nice.audit() {
                let what = format!("{selection:?} {choice:?} ν = {}", row.nu);
                let of_order = |k: &usize| columns[[*k, 0]] == row.nu;
                let features: f64 = (0..columns.nrows()).filter(of_order).map(|k| x.column(k).dot(&x.column(k))).sum();
                assert!((features / n - row.invariants_kept).abs() < 1e-8 * row.invariants_kept, "{what}");
                let parts = row.invariants_kept + row.invariants_choice + row.invariants_contraction;
                assert!((parts - row.invariants).abs() < 1e-10 * row.invariants, "{what}");
                let lost = [row.inherited, row.lambda, row.choice, row.contraction, row.invariants_choice];
                assert!(lost.iter().all(|lost| *lost > -1e-10 * row.full), "{what}: {lost:?}");
                if row.nu == 4 {
                    continue; // no equivariants
                }
                let made = nice.equivariants(&expansion, row.nu, &structures).unwrap();
                let found = made.squared_norm() / n;
                assert!((found - row.kept).abs() < 1e-10 * row.full, "{what}: {found} against {}", row.kept);
                let parts = row.inherited + row.lambda + row.choice + row.contraction + row.kept;
                assert!((parts - row.full).abs() < 1e-10 * row.full, "{what}");
                assert!(
                    row.lambda > 0.01 * row.full && row.contraction > 0.0 && (row.nu == 2 || row.choice > 0.0),
                    "{what}: {row:?}"
                );
            }
        }
    }
}

#[test]
fn equivariants_turn_as_harmonics_do_and_pseudotensors_change_sign() {
    let expansion = expansion(2, 3);
    let structures = molecules(4);
    let nice = fit(&some(4, NiceSelection::Cholesky), &expansion, &structures);
    // A rotation, with and without inversion; its matrices D from harmonics of many directions.
    let (a, b) = (0.7_f64, 1.1_f64);
    let turn = |r: [f64; 3], sign: f64| -> [f64; 3] {
        let [x, y, z] = [a.cos() * r[0] - a.sin() * r[1], a.sin() * r[0] + a.cos() * r[1], r[2]];
        [x, b.cos() * y - b.sin() * z, b.sin() * y + b.cos() * z].map(|x| x * sign)
    };
    let directions: Vec<[f64; 3]> = (0..40).map(|k| [1.0, 2.0, 3.0].map(|f: f64| (f * k as f64 + f).sin())).collect();
    for sign in [1.0, -1.0] {
        let turned: Vec<Structure> = structures
            .iter()
            .map(|s| Structure::molecule(s.species.clone(), s.positions.iter().map(|&r| turn(r, sign)).collect()))
            .collect();
        for nu in 1..4 {
            let (before, after) =
                (nice.equivariants(&expansion, nu, &structures), nice.equivariants(&expansion, nu, &turned));
            let (before, after) = (before.unwrap(), after.unwrap());
            assert!(nu == 1 || before.keys.iter().any(|key| key.sigma == -1));
            for (block, BlockKey { sigma, lambda }) in before.keys.iter().enumerate() {
                let components = lambda * lambda..(lambda + 1) * (lambda + 1);
                let y = |sign: f64| -> Vec<Vec<f64>> {
                    let of = |r: &[f64; 3]| naive::harmonics(*lambda, if sign == 0.0 { *r } else { turn(*r, 1.0) });
                    directions.iter().map(|r| of(r)[components.clone()].to_vec()).collect()
                };
                let parity = if sign < 0.0 { f64::from(*sigma) * (-1.0_f64).powi(*lambda as i32) } else { 1.0 };
                // Σ_μ c_μ Y_μ(r) is a number that turns with the structure: c'·Y(Rr) = c·Y(r).
                for (i, (c, turned)) in
                    before.blocks[block].outer_iter().zip(after.blocks[block].outer_iter()).enumerate()
                {
                    let scale = c.iter().fold(1e-6_f64, |a, x| a.max(x.abs()));
                    for (y, y_turned) in y(0.0).iter().zip(y(1.0)) {
                        for q in 0..c.ncols() {
                            let of = |c: ndarray::ArrayView2<f64>, y: &[f64]| -> f64 {
                                (0..y.len()).map(|m| c[[m, q]] * y[m]).sum()
                            };
                            let difference = of(turned.view(), &y_turned) - parity * of(c.view(), y);
                            assert!(
                                difference.abs() < 1e-10 * scale,
                                "ν {nu} σ {sigma} λ {lambda} center {i}: {difference:e}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_order_of_the_data_the_cut_and_the_threads_do_not_matter() {
    let expansion = expansion(2, 2);
    let structures = molecules(40);
    let settings = NiceSettings { n_centers: 100, ..some(3, NiceSelection::Cholesky) };
    let nice = fit(&settings, &expansion, &structures);
    assert_eq!(nice.n_centers(), 100);
    let mut turned = structures.clone();
    turned.reverse();
    let mut merged = NiceSample::new(&expansion, 100).unwrap();
    for part in turned.chunks(7) {
        let mut of_part = NiceSample::new(&expansion, 100).unwrap();
        of_part.add(part).unwrap();
        merged.merge(of_part).unwrap();
    }
    assert_eq!(merged.n_structures(), 40);
    assert_eq!(Nice::fit(&settings, &merged).unwrap().to_bytes(), nice.to_bytes());
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let other = pool.install(|| fit(&settings, &expansion, &structures));
        assert_eq!(other.to_bytes(), nice.to_bytes());
    }
}

#[test]
fn a_file_gives_back_what_was_saved() {
    let expansion = expansion(2, 2);
    let structures = molecules(6);
    for selection in [NiceSelection::Cholesky, NiceSelection::Pca] {
        let nice = fit(&some(4, selection), &expansion, &structures);
        let back = Nice::from_bytes(&nice.to_bytes()).unwrap();
        assert_eq!(back, nice);
        let x = |nice: &Nice| Invariants::nice(&expansion, nice, false).unwrap().forward(&structures).unwrap();
        assert_eq!(x(&back), x(&nice));
    }
}

#[test]
fn the_fewest_degrees_need_no_variance() {
    let expansion = expansion(3, 2);
    let structures = molecules(6);
    let settings = NiceSettings { choice: Choice::Degree, ..some(3, NiceSelection::Cholesky) };
    let (one, other) = (fit(&settings, &expansion, &structures[..1]), fit(&settings, &expansion, &structures[1..]));
    let features = |nice: &Nice| Invariants::nice(&expansion, nice, false).unwrap().forward(&structures).unwrap();
    let (x, y) = (features(&one), features(&other));
    // The same products, but for the size of the density.
    for (x, y) in x.columns().into_iter().zip(y.columns()) {
        let (xx, xy, yy) = (x.dot(&x), x.dot(&y), y.dot(&y));
        assert!((xy * xy - xx * yy).abs() < 1e-12 * xx * yy);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let fitted = expansion(2, 2);
    let nice = fit(&some(3, NiceSelection::Cholesky), &fitted, &molecules(3));
    let message = Invariants::nice(&expansion(3, 2), &nice, false).unwrap_err().to_string();
    assert!(message.contains("use the basis it was fitted with"), "{message}");
    let message = nice.equivariants(&fitted, 3, &molecules(1)).unwrap_err().to_string();
    assert!(message.contains("use one of [1, 2]"), "{message}");
    let alone = [Structure::molecule(vec![], vec![])];
    let mut sample = NiceSample::new(&fitted, 10).unwrap();
    sample.add(&alone).unwrap();
    let message = Nice::fit(&some(3, NiceSelection::Cholesky), &sample).unwrap_err().to_string();
    assert!(message.contains("no atom to fit NICE to"), "{message}");
}
