//! The covariance and its contraction, Eqs. (4), (6), (11), (21), (22), against plain loops.

mod naive;

use naive::{eq4, eq6, eq7, eq11, eq12, eq22, largest_difference, largest_matrix_difference, rattled_diamond};
use ndarray::Array2;
use rhobasis::Structure;
use rhobasis::density::{
    Channel, CutoffFunction, Density, Equivariants, ExpansionSettings, Primitive, RadialScaling, Sigma,
    SphericalExpansion, species_of,
};
use rhobasis::files::Stored;
use rhobasis::optimal::{
    Contraction, Covariance, CovarianceSettings, Mixing, OptimalBasis, SourceFile, Task, Truncation,
};

fn expansion(primitive: Primitive, l_max: usize, spline_accuracy: Option<f64>) -> ExpansionSettings {
    let density = Density { r_cut: 3.5, sigma: Sigma::Same(0.4), ..Density::default() };
    ExpansionSettings { density, primitive, l_max, spline_accuracy }
}

fn settings(n_max: usize, l_max: usize, mixing: Mixing, center_specific: bool) -> CovarianceSettings {
    CovarianceSettings {
        expansion: expansion(Primitive::Gto { n_max }, l_max, Some(1e-8)),
        mixing,
        center_specific,
        weighting: None,
    }
}

fn molecules() -> Vec<Structure> {
    (0..5).map(|k| naive::random_molecule(&[6, 1, 8, 1, 6, 1, 7], k)).collect()
}

fn accumulated(settings: &CovarianceSettings, structures: &[Structure], weights: Option<&[f64]>) -> Covariance {
    let mut covariance = Covariance::new(settings).unwrap();
    covariance.add(structures, weights).unwrap();
    covariance
}

/// Coefficients by the same expansion, for tests of what is done with them.
fn coefficients(settings: &CovarianceSettings, structures: &[Structure]) -> Equivariants {
    SphericalExpansion::new(&settings.expansion, &species_of(structures)).unwrap().forward(structures).unwrap()
}

#[test]
fn eq4_of_every_basis_equals_the_triple_loop_over_images() {
    let skewed = Structure::crystal(
        vec![14, 8, 14],
        vec![[0.2, -0.3, 0.1], [1.4, 3.2, 0.8], [5.9, 1.0, -1.1]],
        [[3.1, 0.0, 0.0], [1.9, 2.9, 0.0], [-1.3, 1.1, 3.4]],
    );
    let on_the_axis = Structure::molecule(vec![14, 8, 8], vec![[0.0; 3], [0.0, 0.0, 1.6], [0.0, 0.0, -1.7]]);
    let alone = Structure::molecule(vec![8], vec![[1.0, 2.0, 3.0]]);
    let structures = [skewed, on_the_axis, alone];
    let smeared = Sigma::PerSpecies([(8, 0.35), (14, 0.5)].into_iter().collect());
    let cases = [
        (Primitive::Gto { n_max: 6 }, smeared.clone()),
        (Primitive::Gto { n_max: 6 }, Sigma::Same(0.0)),
        (Primitive::Dvr { n_max: 7, quadrature: false }, smeared.clone()),
        (Primitive::Dvr { n_max: 7, quadrature: true }, smeared.clone()),
        (Primitive::LaplacianEigenstates { n_max: 5 }, smeared),
        (Primitive::LaplacianEigenstates { n_max: 5 }, Sigma::Same(0.0)),
    ];
    for (primitive, sigma) in cases {
        let mut settings = expansion(primitive, 4, None);
        settings.density.sigma = sigma;
        settings.density.center_weight = 0.7;
        settings.density.scaling = Some(RadialScaling { rate: 1.5, scale: 2.0, exponent: 5.0 });
        let fast = SphericalExpansion::new(&settings, &[8, 14]).unwrap().forward(&structures).unwrap();
        let slow = eq4(&structures, &settings, &[8, 14]);
        let found = largest_difference(&fast, &slow);
        println!("{:?}, {:?}: {found:.1e}", settings.primitive, settings.density.sigma);
        // GTO with sigma = 0 has R_n(0) itself in the centre's term, read off nodes that end just short of 0.
        let bound = if settings.density.sigma == Sigma::Same(0.0) { 3e-11 } else { 1e-12 };
        assert!(found < bound, "{:?}, {:?}: {found:e}", settings.primitive, settings.density.sigma);
        settings.spline_accuracy = Some(1e-8);
        let splined = SphericalExpansion::new(&settings, &[8, 14]).unwrap().forward(&structures).unwrap();
        assert!(largest_difference(&splined, &fast) < 1e-7, "{:?}", settings.primitive);
    }
}

#[test]
fn eq4_with_each_cutoff_function_equals_the_loop_over_images() {
    let structures = molecules();
    for (cutoff_function, cutoff_width) in [
        (CutoffFunction::Cosine, 1.2),
        (CutoffFunction::Polynomial, 1.2),
        (CutoffFunction::Tanh, 3.5),
        (CutoffFunction::Tanh, 0.3),
        (CutoffFunction::Step, 0.0),
    ] {
        let mut settings = expansion(Primitive::Gto { n_max: 4 }, 3, None);
        settings.density = Density { cutoff_function, cutoff_width, ..settings.density };
        let fast = SphericalExpansion::new(&settings, &[1, 6, 7, 8]).unwrap().forward(&structures).unwrap();
        let found = largest_difference(&fast, &eq4(&structures, &settings, &[1, 6, 7, 8]));
        assert!(found < 1e-12, "{cutoff_function:?}, {cutoff_width} Å: {found:e}");
    }
}

#[test]
fn eq6_and_eq11_match_the_double_sum_around_all_centers_or_one_kind() {
    let structures = molecules();
    let n_centers = structures.iter().map(Structure::len).sum();
    let mut random = naive::Random(3);
    let weights: Vec<f64> = (0..n_centers).map(|_| 3.0 * random.next()).collect();
    for mixing in [Mixing::PerSpecies, Mixing::Combined] {
        for center_specific in [false, true] {
            for weights in [None, Some(&weights[..])] {
                let settings = settings(5, 3, mixing, center_specific);
                let c = coefficients(&settings, &structures);
                let covariance = accumulated(&settings, &structures, weights);
                let kinds = if center_specific { vec![Some(1), Some(6), Some(7), Some(8)] } else { vec![None] };
                assert_eq!(covariance.kinds(), kinds);
                for kind in kinds {
                    for l in 0..=3 {
                        let expected = match mixing {
                            Mixing::PerSpecies => eq6(&c, l, kind, weights),
                            Mixing::Combined => eq11(&c, l, kind, weights),
                        };
                        let found = covariance.matrix(kind, l, &[1, 6, 7, 8]);
                        assert!(largest_matrix_difference(&found, &expected) < 1e-13, "{mixing:?} {kind:?} l = {l}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_species_seen_only_in_the_last_block_counts_all_centers_before_it() {
    let settings = settings(4, 2, Mixing::Combined, false);
    // 130 structures make two full blocks of 64; fluorine comes in the third.
    let mut structures: Vec<Structure> = (0..130).map(|k| naive::random_molecule(&[6, 1], k)).collect();
    structures.push(naive::random_molecule(&[9, 1], 130));
    let covariance = accumulated(&settings, &structures, None);
    assert_eq!(covariance.species(), [1, 6, 9]);
    assert_eq!(covariance.n_centers(None), 262);
    let c = coefficients(&settings, &structures);
    for l in 0..=2 {
        let found = covariance.matrix(None, l, &[1, 6, 9]);
        assert!(largest_matrix_difference(&found, &eq11(&c, l, None, None)) < 1e-13);
    }
    let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(2)).unwrap();
    assert_eq!(basis.species(), [1, 6, 9]);
}

#[test]
fn an_environment_without_neighbors_counts_as_an_environment() {
    let pair = Structure::molecule(vec![6, 6], vec![[0.0; 3], [0.0, 0.9, 1.1]]);
    let alone = Structure::molecule(vec![6], vec![[7.0, 0.0, 0.0]]);
    let settings = settings(4, 2, Mixing::PerSpecies, false);
    let two = accumulated(&settings, std::slice::from_ref(&pair), None);
    let three = accumulated(&settings, &[pair, alone.clone()], None);
    assert_eq!(three.n_centers(None), 3);
    for l in 1..=2 {
        let expected = two.matrix(None, l, &[6]) * (2.0 / 3.0);
        assert!(largest_matrix_difference(&three.matrix(None, l, &[6]), &expected) < 1e-14);
    }
    // Nothing but single atoms: only l = 0 has a density, and a basis is still made.
    let lonely = accumulated(&settings, &[alone.clone(), alone.clone()], None);
    assert!(lonely.matrix(None, 1, &[6]).iter().all(|&x| x == 0.0));
    let basis = OptimalBasis::from_covariance(&lonely, Truncation::QMax(1)).unwrap();
    let c = basis.transform(&[alone]).unwrap();
    assert!((c.squared_norm() - lonely.matrix(None, 0, &[6]).diag().sum()).abs() < 1e-8);
    assert!(c.blocks.iter().flatten().all(|x| x.is_finite()));
}

#[test]
fn a_structure_without_one_of_the_species_adds_to_n_and_to_nothing_else() {
    let settings = settings(4, 2, Mixing::PerSpecies, false);
    let with = naive::random_molecule(&[8, 1, 1], 1);
    let without = naive::random_molecule(&[1, 1], 2);
    let c = accumulated(&settings, &[with.clone(), without.clone()], None);
    let alone = accumulated(&settings, std::slice::from_ref(&with), None);
    for l in 0..=2 {
        let expected = alone.matrix(None, l, &[8]) * (3.0 / 5.0);
        assert!(largest_matrix_difference(&c.matrix(None, l, &[8]), &expected) < 1e-14);
    }
    let basis = OptimalBasis::from_covariance(&c, Truncation::QMax(2)).unwrap();
    let coefficients = basis.transform(&[without]).unwrap();
    let oxygen = |k: usize| coefficients.channels[0][k].species == 8;
    for ((_, _, k), value) in coefficients.blocks[0].indexed_iter() {
        assert_eq!(oxygen(k), *value == 0.0);
    }
}

#[test]
fn nothing_depends_on_the_number_of_threads_or_the_size_of_chunks() {
    let structures: Vec<Structure> = (0..150)
        .map(|k| naive::random_molecule(if k % 3 == 0 { &[6, 1, 8, 7] } else { &[6, 1, 1] }, k))
        .chain([rattled_diamond(1)])
        .collect();
    let directory = tempfile::tempdir().unwrap();
    for (mixing, center_specific) in [(Mixing::PerSpecies, true), (Mixing::Combined, false)] {
        let mut settings = settings(4, 2, mixing, center_specific);
        settings.expansion.spline_accuracy = Some(1e-5);
        let mut first: Option<(Vec<u64>, Vec<u8>, Vec<u8>)> = None;
        for threads in [1, 2] {
            for chunk in [1, 64, structures.len()] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let found = pool.install(|| {
                    let mut covariance = Covariance::new(&settings).unwrap();
                    structures.chunks(chunk).for_each(|part| covariance.add(part, None).unwrap());
                    let mut bits = Vec::new();
                    for kind in covariance.kinds() {
                        for l in 0..=2 {
                            let c = covariance.matrix(kind, l, &covariance.species());
                            bits.extend(c.iter().map(|x| x.to_bits()));
                        }
                    }
                    let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(3)).unwrap();
                    let paths = ["basis.rho", "all.cov"].map(|name| directory.path().join(name));
                    basis.save(&paths[0]).unwrap();
                    covariance.save(&paths[1]).unwrap();
                    let [basis, accumulator] = paths.map(|path| std::fs::read(path).unwrap());
                    (bits, basis, accumulator)
                });
                let expected = first.get_or_insert_with(|| found.clone());
                assert!(found == *expected, "{mixing:?}: {threads} threads, chunks of {chunk}");
            }
        }
    }
}

#[test]
fn eq22_is_the_norm_that_the_contracted_coefficients_lack() {
    let structures = molecules();
    for mixing in [Mixing::PerSpecies, Mixing::Combined] {
        let mut settings = settings(6, 2, mixing, false);
        settings.expansion.spline_accuracy = None;
        let covariance = accumulated(&settings, &structures, None);
        let c = coefficients(&settings, &structures);
        let species = covariance.species();
        for q_max in [1, 3, 6] {
            let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(q_max)).unwrap();
            let channels = |_| match mixing {
                Mixing::Combined => (0..q_max).map(|n| Channel { species: 0, n }).collect(),
                Mixing::PerSpecies => {
                    species.iter().flat_map(|&species| (0..q_max).map(move |n| Channel { species, n })).collect()
                }
            };
            let mut contracted =
                Equivariants::zeros(c.centers.clone(), c.keys.clone(), (0..=2).map(channels).collect());
            for block in &basis.kind(None).unwrap().blocks {
                let (l, u) = (block.key.lambda, &block.contraction.u);
                for i in 0..c.centers.len() {
                    let (rows, first) = match block.species {
                        None => (eq12(&c, l, i, u), 0),
                        Some(a) => (eq7(&c, l, i, a, u), q_max * species.iter().position(|&z| z == a).unwrap()),
                    };
                    for ((m, q), value) in rows.indexed_iter() {
                        contracted.blocks[l][[i, m, first + q]] = *value;
                    }
                }
            }
            let expected = eq22(&contracted, &c);
            assert!((basis.residual_variance(None)[q_max] - expected).abs() < 1e-12, "{mixing:?} q = {q_max}");
            assert!((basis.discarded_variance() - expected).abs() < 1e-12, "{mixing:?} q = {q_max}");
        }
    }
}

#[test]
fn eigenvectors_equal_those_of_jacobis_rotations() {
    let structures = molecules();
    let covariance = accumulated(&settings(5, 2, Mixing::Combined, false), &structures, None);
    for l in 0..=2 {
        let c = covariance.matrix(None, l, &covariance.species());
        let found = Contraction::of(&c);
        let (eigenvalues, u) = naive::eigen(&c);
        for q in 0..8 {
            assert!((found.eigenvalues[q] - eigenvalues[q]).abs() < 1e-14 * eigenvalues[0] * 20.0);
            let overlap = found.u.row(q).dot(&u.row(q)).abs();
            assert!((overlap - 1.0).abs() < 1e-9, "l = {l}, q = {q}: {overlap}");
        }
    }
}

/// |∫ x² f_q g_q dx| of the leading functions of two bases.
fn overlaps(a: &OptimalBasis, b: &OptimalBasis, l: usize, count: usize) -> Vec<f64> {
    let rule = naive::gauss_legendre(300, 0.0, 12.0);
    let x: Vec<f64> = rule.iter().map(|&(x, _)| x).collect();
    let [f, g]: [Array2<f64>; 2] = [a, b].map(|basis| basis.radial_functions(None, 14, l, &x).unwrap());
    (0..count)
        .map(|q| {
            let sum: f64 = rule.iter().enumerate().map(|(k, &(x, w))| w * x * x * f[[k, q]] * g[[k, q]]).sum();
            sum.abs()
        })
        .collect()
}

#[test]
fn gto_dvr_and_laplacian_eigenstates_give_the_same_optimal_functions() {
    let structures: Vec<Structure> = (0..40).map(rattled_diamond).collect();
    let basis = |primitive: Primitive| {
        let mut expansion = expansion(primitive, 4, Some(1e-8));
        expansion.density = Density { r_cut: 5.0, sigma: Sigma::Same(0.3), cutoff_width: 2.0, ..Density::default() };
        let settings =
            CovarianceSettings { expansion, mixing: Mixing::PerSpecies, center_specific: false, weighting: None };
        OptimalBasis::from_covariance(&accumulated(&settings, &structures, None), Truncation::QMax(6)).unwrap()
    };
    let gto = basis(Primitive::Gto { n_max: 30 });
    let dvr = basis(Primitive::Dvr { n_max: 40, quadrature: false });
    let laplacian = basis(Primitive::LaplacianEigenstates { n_max: 30 });
    for l in [0, 1, 2, 4] {
        let same = overlaps(&gto, &dvr, l, 6);
        let confined = overlaps(&gto, &laplacian, l, 4);
        println!("l = {l}: GTO with DVR {same:?}, with Laplacian eigenstates {confined:?}");
        assert!(same.iter().all(|&o| o > 0.99999), "l = {l}: {same:?}");
        // Eigenstates vanish at r_cut; a wide cutoff function keeps the density from reaching it.
        assert!(confined.iter().all(|&o| o > 0.999), "l = {l}: {confined:?}");
    }
}

#[test]
fn an_accumulator_read_back_holds_the_same_sums_and_goes_on() {
    let structures = molecules();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("half.cov");
    for (mixing, center_specific) in [(Mixing::PerSpecies, true), (Mixing::Combined, false), (Mixing::Combined, true)] {
        let settings = settings(4, 2, mixing, center_specific);
        let half = structures.len() / 2;
        let saved = accumulated(&settings, &structures[..half], None);
        saved.save(&path).unwrap();
        let mut read = Covariance::load(&path).unwrap();
        assert_eq!((read.n_structures(), read.kinds()), (saved.n_structures(), saved.kinds()));
        for kind in saved.kinds() {
            assert_eq!(read.n_centers(kind), saved.n_centers(kind));
            for l in 0..=2 {
                let species = saved.species();
                assert_eq!(read.matrix(kind, l, &species), saved.matrix(kind, l, &species));
            }
        }
        let bytes = std::fs::read(&path).unwrap();
        read.save(&path).unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes, "{mixing:?}: written again, the file has other bytes");

        read.add(&structures[half..], None).unwrap();
        let whole = accumulated(&settings, &structures, None);
        for kind in whole.kinds() {
            let (found, expected) = (read.matrix(kind, 1, &whole.species()), whole.matrix(kind, 1, &whole.species()));
            let scale = expected.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
            assert!(largest_matrix_difference(&found, &expected) <= 1e-13 * scale);
        }

        std::fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
        let message = Covariance::load(&path).unwrap_err().to_string();
        assert!(message.contains("half.cov"), "{message}");
    }
}

#[test]
fn a_checkpoint_anywhere_does_not_change_a_bit() {
    let structures: Vec<Structure> = (0..150)
        .map(|k| naive::random_molecule(if k % 5 == 0 { &[6, 1, 8] } else { &[6, 1] }, k))
        .chain([naive::random_molecule(&[9, 1], 150)])
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.ckpt");
    let file = |sha256: &str| SourceFile { path: "a.xyz".into(), frames: 0, sha256: sha256.into() };
    let task = Task { files: vec![file("1")], shard: None };
    for (mixing, center_specific) in [(Mixing::PerSpecies, true), (Mixing::Combined, false)] {
        let settings = settings(4, 2, mixing, center_specific);
        let expected = accumulated(&settings, &structures, None);
        for n in [0, 1, 37, 64, 100, 128, 151] {
            accumulated(&settings, &structures[..n], None).save_checkpoint(&path, &task, 2 * n).unwrap();
            let mut found = Covariance::new(&settings).unwrap();
            assert_eq!(found.resume(&path, &task).unwrap(), Some(2 * n));
            assert_eq!(found.n_structures(), n);
            found.add(&structures[n..], None).unwrap();
            assert!(found.to_bytes() == expected.to_bytes(), "{mixing:?}: interrupted after {n} structures");
        }
        let other = Task { files: vec![file("2")], shard: None };
        let message = Covariance::new(&settings).unwrap().resume(&path, &other).unwrap_err().to_string();
        assert!(message.contains("a.xyz has changed"), "{message}");
    }
}

#[test]
fn a_large_structure_in_runs_of_centers_equals_its_coefficients() {
    // 300 atoms of four species: runs of 256 and 44, whose neighbours are in the other one.
    let parts: Vec<Structure> = (0..75).map(|k| naive::random_molecule(&[6, 1, 8, 7], k)).collect();
    let mut large = Structure::default();
    for (k, part) in parts.iter().enumerate() {
        let at =
            |r: &[f64; 3]| [r[0] + 2.5 * (k % 5) as f64, r[1] + 2.5 * (k / 5 % 5) as f64, r[2] + 2.5 * (k / 25) as f64];
        large.species.extend(&part.species);
        large.positions.extend(part.positions.iter().map(at));
    }
    let weights: Vec<f64> = (0..300).map(|i| 0.5 + 0.01 * f64::from(i)).collect();
    for (mixing, center_specific) in [(Mixing::PerSpecies, true), (Mixing::Combined, false)] {
        let settings = settings(4, 2, mixing, center_specific);
        let structures = std::slice::from_ref(&large);
        let c = coefficients(&settings, structures);
        let found = accumulated(&settings, structures, Some(&weights));
        for kind in found.kinds() {
            for l in 0..=2 {
                let expected = match mixing {
                    Mixing::PerSpecies => eq6(&c, l, kind, Some(&weights)),
                    Mixing::Combined => eq11(&c, l, kind, Some(&weights)),
                };
                let scale = expected.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
                assert!(largest_matrix_difference(&found.matrix(kind, l, &[1, 6, 7, 8]), &expected) < 1e-13 * scale);
            }
        }
        let bytes = [1, 2, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| accumulated(&settings, structures, Some(&weights)).to_bytes())
        });
        assert!(bytes[0] == bytes[1] && bytes[1] == bytes[2]);
    }
}

#[test]
fn a_structure_that_is_refused_leaves_no_trace() {
    let settings = settings(4, 1, Mixing::Combined, false);
    let mut structures: Vec<Structure> = (0..300).map(|k| naive::random_molecule(&[6, 1], k)).collect();
    let mut covariance = accumulated(&settings, &structures[..10], None);
    let before = covariance.to_bytes();
    structures[290].positions[1] = structures[290].positions[0];
    let message = covariance.add(&structures[10..], None).unwrap_err().to_string();
    assert!(message.contains("frame 290"), "{message}");
    assert!(covariance.to_bytes() == before);
}

#[test]
fn accumulators_with_other_settings_are_not_merged() {
    let mut covariance = Covariance::new(&settings(4, 1, Mixing::Combined, false)).unwrap();
    let others = [
        (settings(5, 1, Mixing::Combined, false), "n_max = 4"),
        (settings(4, 2, Mixing::Combined, false), "l_max = 1"),
        (settings(4, 1, Mixing::PerSpecies, false), "mixing = combined"),
        (settings(4, 1, Mixing::Combined, true), "center_specific = false"),
    ];
    for (other, words) in others {
        let message = covariance.merge(&Covariance::new(&other).unwrap()).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains("same settings"), "{message}");
    }
}
