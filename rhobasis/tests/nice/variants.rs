//! One sequence for each species of centre, and features purified of lower orders.

use ndarray::{Array1, Array2, Axis, s};
use rhobasis::Structure;
use rhobasis::correlations::{Invariants, Nice, NiceSample, NiceSelection, NiceSettings, Sequence, Split};
use rhobasis::density::SphericalExpansion;
use rhobasis::files::Stored;

use super::naive::random_molecule;
use super::{everything, expansion, fit, molecules, some};

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
    let mut basis: Vec<Array1<f64>> = Vec::new();
    let project = |basis: &[Array1<f64>], x: &mut Array1<f64>| {
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
        let up_to = |x: &[Array2<f64>]| {
            let views: Vec<_> = x[..=k].iter().map(|x| x.view()).collect();
            ndarray::concatenate(Axis(1), &views).unwrap()
        };
        let norm = |x: &Array2<f64>| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        for (own, other) in [(&x, &y), (&y, &x)] {
            let left = norm(&left_of(&own[k], &up_to(other)));
            assert!(left < 1e-4 * norm(&x[k]), "ν = {}: {left:e} of {:e}", k + 1, norm(&x[k]));
        }
        assert!(norm(&y[k]) < 0.9 * norm(&x[k]), "ν = {}: nothing was subtracted", k + 1);
    }
}

#[test]
fn features_that_are_not_rotated_span_the_same_and_have_the_same_account() {
    let expansion = expansion(2, 3);
    let structures = molecules(60);
    let settings = some(4, NiceSelection::Cholesky);
    let rotated = fit(&settings, &expansion, &structures);
    let plain = fit(&NiceSettings { rotate: false, ..settings.clone() }, &expansion, &structures);
    assert!(rotated.contraction_flops() > 0 && plain.contraction_flops() == 0);
    let [x, y] = [&rotated, &plain].map(|nice| by_order(&expansion, nice, false, &structures));
    let norm = |x: &Array2<f64>| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    for k in 1..4 {
        assert_eq!(x[k].dim(), y[k].dim());
        assert!(norm(&(&x[k] - &y[k])) > 0.01 * norm(&x[k]));
        for (own, other) in [(&x[k], &y[k]), (&y[k], &x[k])] {
            let left = norm(&left_of(own, other));
            assert!(left < 1e-6 * norm(own), "ν = {}: {left:e} of {:e}", k + 1, norm(own));
        }
        // Each product is scaled to the variance that it stands for.
        let row = &plain.audit()[k - 1];
        let mean = norm(&y[k]).powi(2) / y[k].nrows() as f64;
        assert!((mean - row.invariants_kept).abs() < 1e-10 * row.invariants, "{row:?} {mean}");
        assert!((row.invariants_kept - rotated.audit()[k - 1].invariants_kept).abs() < 1e-10 * row.invariants);
    }
    let refused = NiceSettings { rotate: false, selection: NiceSelection::Pca, ..settings }.validate();
    assert!(refused.unwrap_err().to_string().contains("principal components are combinations"));
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
