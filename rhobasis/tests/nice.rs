//! NICE: exact where nothing is chosen away, accounted for where something is, the same for any order of the data.

mod common;
mod naive;

use ndarray::{Array2, Axis, s};
use rhobasis::Structure;
use rhobasis::correlations::{
    Choice, Invariants, Nice, NiceFit, NiceSample, NiceSelection, NiceSettings, Sequence, Split, remove_nice_checkpoint,
};
use rhobasis::density::{BlockKey, Density, ExpansionSettings, Primitive, SphericalExpansion};
use rhobasis::files::Stored;
use rhobasis::optimal::{Shard, SourceFile, Task};

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

fn sample_of(expansion: &SphericalExpansion, n_max: usize, structures: &[Structure]) -> NiceSample {
    let mut sample = NiceSample::new(expansion, n_max).unwrap();
    sample.add(structures).unwrap();
    sample
}

fn source(path: &str, frames: usize) -> SourceFile {
    SourceFile { path: path.into(), frames, sha256: "0".repeat(64) }
}

#[test]
fn samples_of_shards_make_the_sample_of_all_to_the_last_bit() {
    let (expansion, structures) = (expansion(2, 2), molecules(30));
    let folder = tempfile::tempdir().unwrap();
    let part = |index: usize, structures: &[Structure]| {
        let mut sample = sample_of(&expansion, 50, structures);
        sample.set_files(vec![source("all.xyz", structures.len())], Some(Shard::new(index, 3).unwrap()));
        let path = folder.path().join(format!("{index}.sample"));
        sample.save(&path).unwrap();
        path
    };
    let paths: Vec<_> = [3, 1, 2].map(|k| part(k, &structures[10 * k - 10..10 * k])).into();
    let merged = NiceSample::merge_files(&paths).unwrap();
    let mut whole = sample_of(&expansion, 50, &structures);
    whole.set_files(vec![source("all.xyz", 30)], None);
    assert_eq!(merged.to_bytes(), whole.to_bytes());
    let settings = NiceSettings { n_centers: 50, ..some(3, NiceSelection::Cholesky) };
    assert_eq!(Nice::fit(&settings, &merged).unwrap(), Nice::fit(&settings, &whole).unwrap());
    let says = |paths: &[_], part: &str| {
        let message = NiceSample::merge_files(paths).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    says(&paths[..2], "make shard 2/3 with features --save-sample --shard");
    let twice: Vec<_> = paths.iter().chain(&paths[..1]).cloned().collect();
    says(&twice, "its frames would count twice");
}

#[test]
fn samples_of_other_bases_or_sizes_do_not_go_together() {
    let structures = molecules(3);
    let mut sample = sample_of(&expansion(2, 2), 50, &structures);
    let mut refuses = |other: NiceSample, part: &str| {
        let message = sample.merge(other).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refuses(sample_of(&expansion(3, 2), 50, &structures), "the other sample has [6, 6, 6] channels");
    let density = Density { r_cut: 4.0, sigma: rhobasis::density::Sigma::Same(0.4), ..Density::default() };
    let settings =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max: 2 }, l_max: 2, ..Default::default() };
    let wider = SphericalExpansion::new(&settings, &[1, 8]).unwrap();
    refuses(sample_of(&wider, 50, &structures), "other radial functions");
    refuses(sample_of(&expansion(2, 2), 40, &structures), "n_centers = 50: the other sample is one of 40");
    let mut read = NiceSample::from_bytes(&sample.to_bytes()).unwrap();
    let message = read.add(&structures).unwrap_err().to_string();
    assert!(message.contains("does not hold the basis"), "{message}");
    // Fewer atoms of a larger sample are those of a smaller one; more were never there.
    let (large, small) = (sample_of(&expansion(2, 2), 15, &structures), sample_of(&expansion(2, 2), 9, &structures));
    let settings = |n_centers| NiceSettings { n_centers, ..some(3, NiceSelection::Cholesky) };
    assert_eq!(Nice::fit(&settings(9), &large).unwrap(), Nice::fit(&settings(9), &small).unwrap());
    let message = Nice::fit(&settings(16), &large).unwrap_err().to_string();
    assert!(message.contains("cut at 15 atoms"), "{message}");
}

#[test]
fn a_fit_that_goes_on_from_a_checkpoint_has_the_same_bits() {
    let (expansion, structures) = (expansion(2, 2), molecules(40));
    let settings = NiceSettings { n_centers: 100, ..some(4, NiceSelection::Cholesky) };
    let whole = fit(&settings, &expansion, &structures);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    let task = Task { files: vec![source("all.xyz", 0)], shard: None };

    let begun = sample_of(&expansion, 100, &structures[..17]);
    begun.save_checkpoint(&path, &task, 17).unwrap();
    let mut sample = NiceSample::new(&expansion, 100).unwrap();
    assert_eq!(sample.resume(&path, &task).unwrap(), Some(17));
    assert_eq!(sample.n_structures(), 17);
    sample.add(&structures[17..]).unwrap();
    assert_eq!(sample.to_bytes(), sample_of(&expansion, 100, &structures).to_bytes());

    let mut first = NiceFit::new(&settings, &sample, None, None).unwrap();
    assert!(!first.resume(&path, &task).unwrap());
    first.next_order().unwrap();
    for done in [2, 3] {
        first.save_checkpoint(&path, &task, 40).unwrap();
        let mut sample = NiceSample::new(&expansion, 100).unwrap();
        assert_eq!(sample.resume(&path, &task).unwrap(), Some(40));
        let mut second = NiceFit::new(&settings, &sample, None, None).unwrap();
        assert!(second.resume(&path, &task).unwrap());
        assert_eq!(second.done(), done);
        while second.done() < settings.nu_max {
            second.next_order().unwrap();
        }
        assert_eq!(second.finish().unwrap().to_bytes(), whole.to_bytes());
        first.next_order().unwrap();
    }

    let refuses = |outcome: rhobasis::Result<bool>, part: &str| {
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("or remove the checkpoint to start anew"), "{message}");
    };
    let other = NiceSettings { n_invariants: 19, ..settings.clone() };
    let resume =
        |settings: &NiceSettings, q_max| NiceFit::new(settings, &sample, q_max, None).unwrap().resume(&path, &task);
    refuses(resume(&other, None), "n_invariants = 20, and this run has n_invariants = 19");
    refuses(resume(&settings, Some(1)), "another part of the channels");
    let changed = Task { files: vec![SourceFile { sha256: "1".repeat(64), ..source("all.xyz", 0) }], shard: None };
    refuses(sample.resume(&path, &changed).map(|_| false), "the content of all.xyz has changed");
    let mut larger = NiceSample::new(&expansion, 101).unwrap();
    refuses(larger.resume(&path, &task).map(|_| false), "n_centers = 101");
    remove_nice_checkpoint(&path).unwrap();
    assert_eq!(sample.resume(&path, &task).unwrap(), None);
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

/// Features of each order, `[center, feature]`.
fn by_order(
    expansion: &SphericalExpansion,
    nice: &Nice,
    normalize: bool,
    structures: &[Structure],
) -> Vec<Array2<f64>> {
    let invariants = Invariants::nice(expansion, nice, normalize).unwrap();
    let (x, columns) = (invariants.forward(structures).unwrap(), invariants.columns());
    let of_order = |nu: usize| (0..columns.nrows()).filter(|&k| columns[[k, 0]] == nu).collect::<Vec<_>>();
    (1..=nice.settings().nu_max).map(|nu| x.select(Axis(1), &of_order(nu))).collect()
}

/// Columns less their projections on others, which are `of`, by Gram and Schmidt.
fn left_of(columns: &Array2<f64>, of: &Array2<f64>) -> Array2<f64> {
    let mut basis: Vec<ndarray::Array1<f64>> = Vec::new();
    let project = |basis: &[ndarray::Array1<f64>], x: &mut ndarray::Array1<f64>| {
        for _ in 0..2 {
            for e in basis {
                let along = e.dot(x);
                x.scaled_add(-along, e);
            }
        }
    };
    for column in of.columns() {
        let (mut x, size) = (column.to_owned(), column.dot(&column).sqrt());
        project(&basis, &mut x);
        let left = x.dot(&x).sqrt();
        if left > 1e-9 * size {
            basis.push(x / left);
        }
    }
    let mut left = columns.clone();
    for mut column in left.columns_mut() {
        let mut x = column.to_owned();
        project(&basis, &mut x);
        column.assign(&x);
    }
    left
}

#[test]
fn purified_features_are_uncorrelated_with_those_of_lower_orders() {
    let expansion = expansion(2, 3);
    let structures = molecules(60);
    for selection in [NiceSelection::Cholesky, NiceSelection::Pca] {
        for sequence in [Sequence::Shared, Sequence::PerSpecies] {
            let settings = NiceSettings { purify: true, sequence, ..some(4, selection) };
            let nice = fit(&settings, &expansion, &structures);
            let x = by_order(&expansion, &nice, false, &structures);
            let species: Vec<u8> = structures.iter().flat_map(|s| s.species.clone()).collect();
            for (center, own) in nice.sequences() {
                let rows: Vec<usize> = (0..species.len()).filter(|&i| center.is_none_or(|z| species[i] == z)).collect();
                let x: Vec<Array2<f64>> = x.iter().map(|x| x.select(Axis(0), &rows)).collect();
                for (k, x_k) in x.iter().enumerate() {
                    for (lower, y) in x[..k].iter().flat_map(|y| y.columns()).enumerate() {
                        for (column, x) in x_k.columns().into_iter().enumerate() {
                            let size = (x.dot(&x) * y.dot(&y)).sqrt();
                            let what = format!("{selection:?} {center:?} ν = {}: {column} with {lower}", k + 1);
                            assert!(x.dot(&y).abs() <= 1e-6 * size, "{what}: {:e}", x.dot(&y) / size);
                        }
                    }
                }
                for (row, x) in own.audit().iter().zip(&x[1..]) {
                    let features = x.iter().map(|x| x * x).sum::<f64>() / rows.len() as f64;
                    assert!((features - row.invariants_kept).abs() < 1e-7 * row.invariants, "{row:?} {features}");
                    let lost = [row.invariants_choice, row.invariants_purified, row.invariants_contraction];
                    let parts = row.invariants_kept + lost.iter().sum::<f64>();
                    assert!((parts - row.invariants).abs() < 1e-10 * row.invariants && lost[1] > 0.0, "{row:?}");
                }
            }
        }
    }
}

#[test]
fn purification_leaves_the_span_of_the_features_as_it_is() {
    let expansion = expansion(1, 2);
    let structures = molecules(60);
    let settings = NiceSettings { n_equivariants: 6, n_invariants: 500, ..everything(4, Split::Density) };
    let plain = fit(&settings, &expansion, &structures);
    let purified = fit(&NiceSettings { purify: true, ..settings }, &expansion, &structures);
    let [x, y] = [&plain, &purified].map(|nice| by_order(&expansion, nice, false, &structures));
    assert_eq!(x[0], y[0]);
    for k in 1..4 {
        assert_eq!(x[k].dim(), y[k].dim());
        let lower: Vec<_> = x[..k].iter().map(|x| x.view()).collect();
        let lower = ndarray::concatenate(Axis(1), &lower).unwrap();
        let size = x[k].iter().map(|x| x * x).sum::<f64>().sqrt();
        let subtracted = left_of(&(&x[k] - &y[k]), &lower).iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!(subtracted < 1e-6 * size, "ν = {}: {subtracted:e} of {size:e}", k + 1);
        let changed = (&x[k] - &y[k]).iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!(changed > 0.1 * size, "ν = {}: nothing was subtracted", k + 1);
    }
}

#[test]
fn centres_of_a_species_have_the_features_of_its_own_sequence() {
    let expansion = expansion(2, 2);
    let structures = molecules(20);
    let settings = NiceSettings { sequence: Sequence::PerSpecies, n_centers: 50, ..some(3, NiceSelection::Cholesky) };
    let nice = fit(&settings, &expansion, &structures);
    assert_eq!(
        nice.sequences().iter().map(|(z, own)| (*z, own.n_centers())).collect::<Vec<_>>(),
        [(Some(1), 50), (Some(8), 40)]
    );
    assert_eq!(Nice::from_bytes(&nice.to_bytes()).unwrap(), nice);
    let species: Vec<u8> = structures.iter().flat_map(|s| s.species.clone()).collect();
    let of_species = |z: u8| (0..species.len()).filter(|&i| species[i] == z).collect::<Vec<_>>();
    for normalize in [false, true] {
        let x = by_order(&expansion, &nice, normalize, &structures);
        for (z, own) in nice.sequences() {
            let rows = of_species(z.unwrap());
            for (x, y) in x.iter().zip(by_order(&expansion, own, normalize, &structures)) {
                let (x, y) = (x.select(Axis(0), &rows), y.select(Axis(0), &rows));
                let difference = &x.slice(s![.., ..y.ncols()]) - &y;
                assert!(difference.iter().all(|d| d.abs() < 1e-12 * y.iter().fold(0.0_f64, |a, y| a.max(y.abs()))));
                assert!(x.slice(s![.., y.ncols()..]).iter().all(|x| *x == 0.0));
            }
        }
    }
    let made = nice.equivariants(&expansion, 2, &structures).unwrap();
    for (z, own) in nice.sequences() {
        let of_own = own.equivariants(&expansion, 2, &structures).unwrap();
        for (key, block) in of_own.keys.iter().zip(&of_own.blocks) {
            let all = &made.blocks[made.keys.iter().position(|other| other == key).unwrap()];
            for i in of_species(z.unwrap()) {
                let n = block.dim().2;
                assert_eq!(all.slice(s![i, .., ..n]), block.slice(s![i, .., ..]));
                assert!(all.slice(s![i, .., n..]).iter().all(|x| *x == 0.0));
            }
        }
    }
    // The same for any cut, and it needs atoms of each species.
    let mut merged = NiceSample::for_fit(&expansion, &settings).unwrap();
    for part in structures.chunks(3).rev() {
        let mut of_part = NiceSample::for_fit(&expansion, &settings).unwrap();
        of_part.add(part).unwrap();
        merged.merge(NiceSample::from_bytes(&of_part.to_bytes()).unwrap()).unwrap();
    }
    assert_eq!(Nice::fit(&settings, &merged).unwrap().to_bytes(), nice.to_bytes());
    let shared = NiceSettings { sequence: Sequence::Shared, ..settings.clone() };
    let message = Nice::fit(&shared, &merged).unwrap_err().to_string();
    assert!(message.contains("the sample was taken with sequence = per-species"), "{message}");
    let mut hydrogen = NiceSample::for_fit(&expansion, &settings).unwrap();
    hydrogen.add(&[random_molecule(&[1, 1, 1], 3)]).unwrap();
    let message = Nice::fit(&settings, &hydrogen).unwrap_err().to_string();
    assert!(message.contains("there is no atom of O"), "{message}");
}
