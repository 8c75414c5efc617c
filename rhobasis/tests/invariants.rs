//! Invariant features: against their definition, the symmetries of space, and difference quotients.

mod common;

use ndarray::{Array2, Array3, Axis};
use rhobasis::Structure;
use rhobasis::correlations::{
    FeatureKind, Invariants, Member, Nice, NiceSample, NiceSelection, NiceSettings, Sequence, Split,
};
use rhobasis::density::{
    Density, ExpansionSettings, Motion, Primitive, RadialScaling, Sigma, SphericalExpansion, Variable,
};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};

type Vec3 = [f64; 3];

fn settings(n_max: usize, l_max: usize) -> ExpansionSettings {
    let density = Density {
        r_cut: 4.03, // no pair so near to the ends of the cutoff's shell, where its second derivative jumps, as to cross them
        cutoff_width: 1.17,
        sigma: Sigma::Same(0.4),
        scaling: Some(RadialScaling { rate: 1.0, scale: 2.0, exponent: 3.0 }),
        ..Density::default()
    };
    ExpansionSettings { density, primitive: Primitive::Gto { n_max }, l_max, ..ExpansionSettings::default() }
}

fn molecule() -> Structure {
    let positions = vec![
        [0.0, 0.0, 0.1],
        [1.2, 0.3, -0.2],
        [-0.4, 1.1, 0.3],
        [0.2, -0.9, 0.9],
        [1.9, -0.8, 0.4],
        [2.1, 1.0, 1.0],
        [-1.0, 0.2, -1.1],
        [0.6, 1.9, -0.7],
        [-1.6, -0.9, 0.5],
        [0.9, -0.2, 2.1],
    ];
    Structure::molecule(vec![6, 8, 6, 1, 1, 1, 6, 1, 8, 1], positions)
}

fn crystal() -> Structure {
    let cell = [[3.1, 0.2, 0.0], [0.0, 3.4, 0.3], [0.5, 0.0, 2.9]];
    Structure::crystal(vec![1, 8, 6], vec![[0.1, 0.0, 0.2], [1.5, 1.6, 1.2], [0.4, 2.2, 2.0]], cell)
}

fn optimal(mixing: Mixing, center_specific: bool, truncation: Truncation) -> OptimalBasis {
    let settings = CovarianceSettings { expansion: settings(4, 3), mixing, center_specific, weighting: None };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(&[molecule(), crystal()], None).unwrap();
    OptimalBasis::from_covariance(&covariance, truncation).unwrap()
}

/// Expansions of every kind: primitive, per species with ragged channels, combined, centre-specific.
fn expansions() -> Vec<(&'static str, SphericalExpansion)> {
    let of = |basis: OptimalBasis| basis.expansion().clone();
    vec![
        ("primitive", SphericalExpansion::new(&settings(3, 3), &[1, 6, 8]).unwrap()),
        ("large l", SphericalExpansion::new(&settings(2, 8), &[1, 6, 8]).unwrap()),
        ("per species", of(optimal(Mixing::PerSpecies, false, Truncation::Retain(0.98)))),
        ("combined", of(optimal(Mixing::Combined, false, Truncation::QMax(3)))),
        ("centre-specific", of(optimal(Mixing::Combined, true, Truncation::Retain(0.97)))),
    ]
}

/// All kinds of features, whole and in part, normalised or not.
fn features(expansion: &SphericalExpansion) -> Vec<(&'static str, Invariants)> {
    let power =
        |columns: Option<&[[usize; 3]]>, normalize| Invariants::power_spectrum(expansion, columns, normalize).unwrap();
    let some = [[1, 0, 1], [2, 1, 1], [0, 0, 0], [0, 0, 2], [1, 1, 1], [1, 0, 0], [3, 0, 1], [0, 1, 1]];
    let some: Vec<_> =
        some.into_iter().filter(|c| expansion.channels().get(c[0]).is_some_and(|of_l| c[2] < of_l.len())).collect();
    let mut all = vec![
        ("radial spectrum", Invariants::radial_spectrum(expansion, false)),
        ("radial spectrum, normalised", Invariants::radial_spectrum(expansion, true)),
        ("power spectrum", power(None, false)),
        ("power spectrum, normalised", power(None, true)),
        ("part of the power spectrum", power(Some(&some), false)),
        ("part of the power spectrum, normalised", power(Some(&some), true)),
    ];
    let of = |members: &[Member]| Invariants::of_members(expansion, members).unwrap();
    let leading =
        |kind, q_max, normalize| Member { q_max: Some(q_max), l_max: Some(2), ..Member::new(kind, normalize) };
    let radial = Member { weight: 3.0, ..leading(FeatureKind::RadialSpectrum, 1, false) };
    let pairs = Member::new(FeatureKind::PowerSpectrum, false);
    let triples = Member { weight: 0.25, ..leading(FeatureKind::Bispectrum, 2, true) };
    all.push(("leading part of the power spectrum", of(&[leading(FeatureKind::PowerSpectrum, 1, false)])));
    all.push(("leading part of the bispectrum, normalised", of(std::slice::from_ref(&triples))));
    all.push(("three kinds", of(&[radial.clone(), pairs.clone(), triples.clone()])));
    all.push(("three kinds, none normalised", of(&[radial, pairs, Member { normalize: false, ..triples }])));
    if expansion.l_max() < 5 {
        all.push(("bispectrum", Invariants::bispectrum(expansion, false).unwrap()));
        all.push(("bispectrum, normalised", Invariants::bispectrum(expansion, true).unwrap()));
        let principal = |settings: &mut NiceSettings| {
            (settings.selection, settings.split) = (NiceSelection::Pca, Split::Balanced);
        };
        let per_species = |settings: &mut NiceSettings| settings.sequence = Sequence::PerSpecies;
        let purified = |settings: &mut NiceSettings| settings.purify = true;
        let both = |settings: &mut NiceSettings| {
            (settings.sequence, settings.purify, settings.n_invariants) = (Sequence::PerSpecies, true, 30);
        };
        let plain = |settings: &mut NiceSettings| settings.rotate = false;
        let plain_of_both = |settings: &mut NiceSettings| {
            both(settings);
            plain(settings);
        };
        let kinds: [(_, Change); 7] = [
            ("nice", &|_| ()),
            ("nice of principal components", &principal),
            ("nice per species", &per_species),
            ("nice, purified", &purified),
            ("nice per species, purified", &both),
            ("nice, not rotated", &plain),
            ("nice per species, purified, not rotated", &plain_of_both),
        ];
        for (name, change) in kinds {
            let Some(nice) = nice(expansion, change) else { continue };
            all.push((name, Invariants::nice(expansion, &nice, false).unwrap()));
            all.push(("nice, normalised", Invariants::nice(expansion, &nice, true).unwrap()));
        }
    }
    all
}

/// Other settings of NICE.
type Change<'a> = &'a dyn Fn(&mut NiceSettings);

/// Few of many products, with other settings; none of an expansion that does not know these species.
fn nice(expansion: &SphericalExpansion, change: Change) -> Option<Nice> {
    let mut settings = NiceSettings {
        nu_max: 4,
        n_candidates: 60,
        n_equivariants: 9,
        n_invariant_candidates: 50,
        n_invariants: 11,
        ..NiceSettings::default()
    };
    change(&mut settings);
    let mut sample = NiceSample::for_fit(expansion, &settings).unwrap();
    sample.add(&[molecule(), crystal()]).ok()?;
    // More atoms than features, or none of higher orders is left.
    for k in 0..if settings.purify { 30 } else { 0 } {
        for mut structure in [molecule(), crystal()] {
            let positions = structure.positions.iter_mut().flatten().enumerate();
            positions.for_each(|(i, x)| *x += 0.1 * ((7 * k + 3 * i) as f64).sin());
            sample.add(&[structure]).ok()?;
        }
    }
    Nice::fit(&settings, &sample).map_err(|e| assert!(e.to_string().contains("there is no atom of"), "{e}")).ok()
}

fn largest(x: &Array2<f64>) -> f64 {
    x.iter().fold(0.0, |a: f64, b| a.max(b.abs()))
}

fn assert_near(found: &Array2<f64>, expected: &Array2<f64>, tolerance: f64, what: &str) {
    assert_eq!(found.dim(), expected.dim(), "{what}");
    let scale = largest(expected).max(1e-12);
    let worst = largest(&(found - expected)) / scale;
    assert!(worst < tolerance, "{what}: {worst:e}");
}

#[test]
fn eq15_is_the_sum_over_m() {
    for (name, expansion) in expansions() {
        let frames = [molecule(), crystal()];
        let c = expansion.forward(&frames).unwrap();
        for (kind, soap) in features(&expansion) {
            if !kind.contains("power") {
                continue;
            }
            let columns = soap.columns();
            let mut expected = Array2::zeros((13, soap.n_features()));
            for ((i, k), p) in expected.indexed_iter_mut() {
                let [l, a, b] = [0, 1, 2].map(|field| columns[[k, field]]);
                let sum: f64 = (0..=2 * l).map(|m| c.blocks[l][[i, m, a]] * c.blocks[l][[i, m, b]]).sum();
                *p = sum * (if a == b { 1.0 } else { 2.0 } / (2 * l + 1) as f64).sqrt();
            }
            if kind.contains("normalised") {
                for mut row in expected.rows_mut() {
                    let norm = row.iter().map(|p| p * p).sum::<f64>().sqrt();
                    row /= norm;
                }
            }
            assert_near(&soap.forward(&frames).unwrap(), &expected, 1e-13, &format!("{name}, {kind}"));
        }
    }
}

/// A rotation by three angles, or with an inversion.
fn rotation(inverted: bool) -> [Vec3; 3] {
    let about = |axis: usize, angle: f64| {
        let (i, j) = ((axis + 1) % 3, (axis + 2) % 3);
        let mut r = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        (r[i][i], r[i][j], r[j][i], r[j][j]) = (angle.cos(), -angle.sin(), angle.sin(), angle.cos());
        r
    };
    let times = |a: [Vec3; 3], b: [Vec3; 3]| -> [Vec3; 3] {
        std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
    };
    let r = times(times(about(2, 0.7), about(0, 1.9)), about(1, -2.3));
    if inverted { r.map(|row| row.map(|x| -x)) } else { r }
}

fn turned(structure: &Structure, r: [Vec3; 3], shift: Vec3) -> Structure {
    let turn = |x: &Vec3| -> Vec3 { std::array::from_fn(|i| (0..3).map(|k| r[i][k] * x[k]).sum()) };
    let mut turned = structure.clone();
    turned.positions = structure.positions.iter().map(turn).map(|x| std::array::from_fn(|d| x[d] + shift[d])).collect();
    turned.cell = structure.cell.map(|row| turn(&row));
    turned
}

#[test]
fn rotation_inversion_translation_and_permutation_change_nothing() {
    for (name, expansion) in expansions() {
        for (kind, invariants) in features(&expansion) {
            for structure in [molecule(), crystal()] {
                let x = invariants.forward(std::slice::from_ref(&structure)).unwrap();
                for inverted in [false, true] {
                    let other = turned(&structure, rotation(inverted), [0.3, -1.0, 2.2]);
                    let moved = invariants.forward(&[other]).unwrap();
                    assert_near(&moved, &x, 1e-10, &format!("{name}, {kind}, inverted: {inverted}"));
                }
                let order: Vec<usize> = (0..structure.len()).rev().collect();
                let mut permuted = structure.clone();
                permuted.positions = order.iter().map(|&i| structure.positions[i]).collect();
                permuted.species = order.iter().map(|&i| structure.species[i]).collect();
                let y = invariants.forward(&[permuted]).unwrap();
                assert_near(&y, &x.select(Axis(0), &order), 1e-10, &format!("{name}, {kind}, permuted"));
            }
        }
    }
}

/// Fourth-order difference quotient along a motion, by Richardson's rule.
fn quotient(invariants: &Invariants, structure: &Structure, motion: &Motion) -> Array2<f64> {
    let at = |t: f64| {
        let strained = |x: &Vec3| -> Vec3 {
            std::array::from_fn(|q| x[q] + t * (0..3).map(|p| x[p] * motion.strain[p][q]).sum::<f64>())
        };
        let mut moved = structure.clone();
        for (x, v) in moved.positions.iter_mut().zip(&motion.velocities) {
            *x = strained(x);
            (0..3).for_each(|d| x[d] += t * v[d]);
        }
        moved.cell = structure.cell.map(|row| strained(&row));
        invariants.forward(&[moved]).unwrap()
    };
    let slope = |h: f64| (at(h) - at(-h)) / (2.0 * h);
    let h = 2e-3;
    (slope(h / 2.0) * 4.0 - slope(h)) / 3.0
}

fn motion(n_atoms: usize, strained: bool) -> Motion {
    let wave = |k: usize| ((7 * k + 3) as f64).sin();
    let velocities = (0..n_atoms).map(|i| std::array::from_fn(|d| wave(3 * i + d))).collect();
    let strain = std::array::from_fn(|p| std::array::from_fn(|q| if strained { wave(40 + 3 * p + q) } else { 0.0 }));
    Motion { velocities, strain }
}

/// Without splines: difference quotients of splined values see the jumps of their second derivatives.
fn exact(mut settings: ExpansionSettings) -> ExpansionSettings {
    settings.spline_accuracy = None;
    settings
}

#[test]
fn tangents_are_difference_quotients() {
    let expansion = SphericalExpansion::new(&exact(settings(2, 3)), &[1, 6, 8]).unwrap();
    for (kind, invariants) in features(&expansion) {
        for (structure, strained) in [(molecule(), false), (crystal(), true)] {
            let motion = motion(structure.len(), strained);
            let expected = quotient(&invariants, &structure, &motion);
            let found = invariants.tangent(&[structure], &[motion]).unwrap();
            assert_near(&found, &expected, 1e-7, kind);
        }
    }
}

#[test]
fn the_jacobian_times_a_motion_is_the_tangent() {
    for (name, expansion) in expansions() {
        for (kind, invariants) in features(&expansion) {
            let frames = [molecule(), crystal()];
            let motions = [motion(10, false), motion(3, false)];
            let tangent = invariants.tangent(&frames, &motions).unwrap();
            let jacobian = invariants.jacobian(&frames, Variable::Positions).unwrap();
            let mut sum = Array2::zeros(tangent.dim());
            for (row, values) in jacobian.rows.iter().zip(jacobian.values.outer_iter()) {
                let velocity = motions[row.structure].velocities[row.atom.unwrap()];
                let mut of_center = sum.row_mut(10 * row.structure + row.center);
                (0..3).for_each(|d| of_center.scaled_add(velocity[d], &values.row(d)));
            }
            assert_near(&sum, &tangent, 1e-12, &format!("{name}, {kind}"));
        }
    }
}

#[test]
fn the_jacobian_by_strain_times_a_strain_is_the_tangent() {
    for (name, expansion) in expansions() {
        for (kind, invariants) in features(&expansion) {
            let frames = [crystal()];
            let mut along = motion(3, true);
            along.velocities.iter_mut().for_each(|v| *v = [0.0; 3]);
            let tangent = invariants.tangent(&frames, std::slice::from_ref(&along)).unwrap();
            let jacobian = invariants.jacobian(&frames, Variable::Strain).unwrap();
            let mut sum = Array2::zeros(tangent.dim());
            for (i, values) in jacobian.values.outer_iter().enumerate() {
                (0..9).for_each(|k| sum.row_mut(i).scaled_add(along.strain[k / 3][k % 3], &values.row(k)));
            }
            assert_near(&sum, &tangent, 1e-12, &format!("{name}, {kind}"));
        }
    }
}

#[test]
fn backward_is_the_transpose_of_the_tangent() {
    for (name, expansion) in expansions() {
        for (kind, invariants) in features(&expansion) {
            let frames = [molecule(), crystal()];
            let motions = [motion(10, true), motion(3, true)];
            let dx = invariants.tangent(&frames, &motions).unwrap();
            let g = Array2::from_shape_fn(dx.dim(), |(i, k)| ((3 * i + 5 * k) as f64).cos());
            let along = |g: &ndarray::ArrayView2<f64>| {
                let adjoints = invariants.backward(&frames, *g).unwrap();
                let mut sum = 0.0;
                for (adjoint, motion) in adjoints.iter().zip(&motions) {
                    let forces = adjoint.forces.as_flattened().iter().zip(motion.velocities.as_flattened());
                    sum -= forces.map(|(f, v)| f * v).sum::<f64>();
                    sum -= adjoint.virial.iter().zip(motion.strain.as_flattened()).map(|(a, b)| a * b).sum::<f64>();
                }
                sum
            };
            let size: f64 = (&g * &dx).iter().map(|x| x.abs()).sum();
            let expected = (&g * &dx).sum();
            assert!((along(&g.view()) - expected).abs() < 1e-13 * size, "{name}, {kind}");
            // Any strides, and the same weights for all centres.
            let mut wide = Array2::zeros((g.nrows(), 2 * g.ncols()));
            wide.slice_mut(ndarray::s![.., ..;2]).assign(&g);
            assert!((along(&wide.slice(ndarray::s![.., ..;2])) - expected).abs() < 1e-13 * size, "{name}, {kind}");
            let weights = g.row(0).to_owned();
            let whole = weights.broadcast(g.dim()).unwrap();
            assert_eq!(along(&whole), along(&whole.to_owned().view()), "{name}, {kind}");
        }
    }
}

#[test]
fn parts_of_a_jacobian_are_those_of_the_whole() {
    let (_, expansion) = expansions().swap_remove(0);
    for (kind, invariants) in features(&expansion) {
        let frames = [molecule(), crystal(), molecule()];
        let whole = invariants.jacobian(&frames, Variable::Positions).unwrap();
        let mut cursor = invariants.jacobian_cursor(Variable::Positions, 40_000);
        let (mut values, mut rows) = (Vec::new(), Vec::new());
        while let Some(part) = cursor.next_part(invariants.expansion(), &frames).unwrap() {
            let start = values.len();
            values.resize(start + part.rows.len() * 3 * invariants.n_features(), f64::NAN);
            invariants.fill_jacobian(&part, &frames, &mut values[start..]).unwrap();
            rows.extend(part.rows);
        }
        assert_eq!(rows, whole.rows, "{kind}");
        assert_eq!(values, whole.values.as_slice().unwrap(), "{kind}");
    }
}

#[test]
fn jacobians_by_species_and_the_zeros_between_make_the_whole() {
    for (name, expansion) in expansions() {
        for (kind, invariants) in features(&expansion) {
            let frames = [molecule(), crystal(), molecule()];
            let whole = invariants.jacobian(&frames, Variable::Positions).unwrap();
            let jacobian = match invariants.jacobian_by_species(&frames) {
                Ok(jacobian) => jacobian,
                Err(error) => {
                    assert!(kind.contains("nice") && error.to_string().contains("combination"), "{kind}: {error}");
                    continue;
                }
            };
            let parts = &jacobian.parts;
            let mut arrays: Vec<Array3<f64>> = Vec::new();
            for part in parts {
                arrays.push(Array3::from_elem((part.rows.len(), 3, part.n_columns()), f64::NAN));
            }
            let out = arrays.iter_mut().map(|array| array.as_slice_mut().unwrap()).collect();
            invariants.fill_jacobian_by_species(&jacobian, &frames, out).unwrap();
            assert_eq!(parts.iter().map(|part| part.rows.len()).sum::<usize>(), whole.rows.len());
            let mut put_together = Array3::zeros(whole.values.dim());
            for (part, values) in parts.iter().zip(&arrays) {
                assert!(part.rows.is_sorted_by_key(|row| (row.structure, row.center, row.atom)));
                for (row, values) in part.rows.iter().zip(values.outer_iter()) {
                    let moved =
                        (row.atom != Some(row.center)).then(|| frames[row.structure].species[row.atom.unwrap()]);
                    assert_eq!(moved, part.species);
                    let place = whole.rows.iter().position(|other| other == row).unwrap();
                    for (k, column) in part.columns.iter().cloned().flatten().enumerate() {
                        put_together.slice_mut(ndarray::s![place, .., column]).assign(&values.column(k));
                    }
                }
            }
            assert_eq!(put_together, whole.values, "{name}, {kind}");
        }
    }
    let separate = SphericalExpansion::new(&settings(3, 2), &[1, 6, 8]).unwrap();
    let spectrum = Invariants::power_spectrum(&separate, None, false).unwrap();
    let jacobian = spectrum.jacobian_by_species(&[molecule()]).unwrap();
    // 9 channels, three of each species: 45 products for each l, of which 21 are of the other two species.
    assert!(jacobian.parts[1..].iter().all(|part| part.n_columns() == 3 * (45 - 21)), "smaller than the whole");
    assert!(spectrum.fill_jacobian_by_species(&jacobian, &[molecule()], Vec::new()).is_err(), "no arrays");
}

#[test]
fn an_atom_alone_and_a_centre_without_channels_are_normal() {
    let expansion = SphericalExpansion::new(&settings(2, 2), &[1]).unwrap();
    let alone = [Structure::molecule(vec![1], vec![[0.0; 3]])];
    for (kind, invariants) in features(&expansion) {
        let x = invariants.forward(&alone).unwrap();
        assert!(x.iter().all(|x| x.is_finite()) && largest(&x) > 0.0, "{kind}");
        let jacobian = invariants.jacobian(&alone, Variable::Positions).unwrap();
        assert!(jacobian.values.iter().all(|&x| x == 0.0), "{kind}");
    }
    let mut without_centre = settings(2, 2);
    without_centre.density.center_weight = 0.0;
    let expansion = SphericalExpansion::new(&without_centre, &[1]).unwrap();
    for (kind, invariants) in features(&expansion) {
        assert!(invariants.forward(&alone).unwrap().iter().all(|&x| x == 0.0), "{kind}: zero stays zero");
        let adjoint = &invariants.backward(&alone, Array2::ones((1, invariants.n_features())).view()).unwrap()[0];
        assert_eq!(adjoint.forces, [[0.0; 3]], "{kind}");
    }
}

#[test]
fn columns_that_do_not_exist_are_refused_by_name() {
    let expansion = SphericalExpansion::new(&settings(2, 2), &[1]).unwrap();
    let refused = |columns: &[[usize; 3]], words: &str| {
        let error = Invariants::power_spectrum(&expansion, Some(columns), false).unwrap_err().to_string();
        assert!(error.contains("columns") && error.contains(words), "{error}");
    };
    refused(&[[0, 0, 0], [3, 0, 0]], "l_max = 2");
    refused(&[[1, 0, 2]], "channels 0 to 1");
    refused(&[[1, 1, 0]], "give [1, 0, 1]");
    refused(&[[1, 0, 1], [0, 0, 0], [1, 0, 1]], "twice");
}

#[test]
fn threads_do_not_change_a_bit() {
    let (_, expansion) = expansions().swap_remove(0);
    let frames: Vec<Structure> = (0..20).map(|k| if k % 3 == 0 { crystal() } else { molecule() }).collect();
    for (kind, invariants) in features(&expansion) {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let x = invariants.forward(&frames).unwrap();
                let adjoints = invariants.backward(&frames, x.view()).unwrap();
                (x, adjoints)
            })
        };
        assert_eq!(run(1), run(2), "{kind}");
    }
}

/// Small structures share runs of centres: an empty one, an atom, molecules, a cell, and one with more centres than a run.
#[test]
fn structures_together_give_what_they_give_alone() {
    let mut large = crystal();
    for k in 1..30 {
        let layer = |r: &Vec3| std::array::from_fn(|d| r[d] + f64::from(k) * large.cell[0][d]);
        let moved: Vec<Vec3> = large.positions[..3].iter().map(layer).collect();
        large.positions.extend(moved);
        large.species.extend([1, 8, 6]);
    }
    large.cell[0] = large.cell[0].map(|x| 30.0 * x);
    let atom = Structure::molecule(vec![8], vec![[0.3, 0.0, 0.0]]);
    let nothing = Structure::default();
    let all =
        [molecule(), nothing.clone(), atom, crystal(), molecule(), molecule(), large, nothing, crystal(), molecule()];
    for (name, expansion) in expansions() {
        for (kind, invariants) in features(&expansion) {
            let together = invariants.forward(&all).unwrap();
            let forces = invariants.backward(&all, together.view()).unwrap();
            let mut row = 0;
            for (structure, force) in all.iter().zip(&forces) {
                let (one, rows) = (std::slice::from_ref(structure), row..row + structure.len());
                row = rows.end;
                let alone = invariants.forward(one).unwrap();
                assert_eq!(alone, together.slice(ndarray::s![rows, ..]), "{name}, {kind}");
                assert_eq!(&invariants.backward(one, alone.view()).unwrap()[0], force, "{name}, {kind}");
            }
        }
    }
}
