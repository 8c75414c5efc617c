//! Principal covariates regression of energies, Eq. (14), against plain loops.

mod naive;

use std::collections::BTreeMap;

use naive::{eigen, largest_matrix_difference};
use ndarray::{Array1, Array2, s};
use rhobasis::Structure;
use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma, SphericalExpansion, species_of};
use rhobasis::files::Stored;
use rhobasis::optimal::{
    CovarianceSettings, Method, Mixing, OptimalBasis, PcovrSettings, SupervisedCovariance, Truncation,
};

const PCA: PcovrSettings = PcovrSettings { gamma: 1.0 };

fn settings(n_max: usize, l_max: usize, mixing: Mixing, center_specific: bool) -> CovarianceSettings {
    let density = Density { r_cut: 3.5, sigma: Sigma::Same(0.4), ..Density::default() };
    let primitive = Primitive::Gto { n_max };
    let expansion = ExpansionSettings { density, primitive, l_max, spline_accuracy: Some(1e-8) };
    CovarianceSettings { expansion, mixing, center_specific, weighting: None }
}

const ALL: [(Mixing, bool); 4] =
    [(Mixing::PerSpecies, false), (Mixing::PerSpecies, true), (Mixing::Combined, false), (Mixing::Combined, true)];

/// Molecules of several compositions, and energies: a large part for each atom, and a sum over pairs.
fn data(n: u64) -> (Vec<Structure>, Vec<f64>) {
    let species: [&[u8]; 4] = [&[6, 1, 8, 1], &[6, 6, 1], &[8, 1, 1], &[6, 1, 1, 8, 8]];
    let structures: Vec<Structure> = (0..n).map(|k| naive::random_molecule(species[k as usize % 4], k)).collect();
    let energies = structures.iter().map(energy).collect();
    (structures, energies)
}

fn energy(structure: &Structure) -> f64 {
    let mut energy: f64 = structure.species.iter().map(|&z| -13.6 * f64::from(z).powi(2)).sum();
    for (i, r) in structure.positions.iter().enumerate() {
        for (j, s) in structure.positions[..i].iter().enumerate() {
            let d = (0..3).map(|k| (r[k] - s[k]).powi(2)).sum::<f64>().sqrt();
            let charge = f64::from(structure.species[i]) * f64::from(structure.species[j]);
            energy += charge.sqrt() * ((-1.3 * (d - 1.1)).exp() - 0.4 * (-(d - 1.6).powi(2)).exp());
        }
    }
    energy
}

fn accumulated(settings: &CovarianceSettings, structures: &[Structure], energies: &[f64]) -> SupervisedCovariance {
    let mut covariance = SupervisedCovariance::new(settings).unwrap();
    covariance.add(structures, energies).unwrap();
    covariance
}

/// U of the block of l = 0 of a kind of centre and a neighbour species, and the variances.
fn block(basis: &OptimalBasis, kind: Option<u8>, species: Option<u8>) -> (Array2<f64>, Vec<f64>) {
    let blocks = &basis.kind(kind).unwrap().blocks;
    let found = &blocks.iter().find(|b| b.key.lambda == 0 && b.species == species).unwrap().contraction;
    (found.u.clone(), found.eigenvalues.clone())
}

fn projector(u: &Array2<f64>) -> Array2<f64> {
    u.t().dot(u)
}

/// Energies and structure sums by loops over centres: N_a, X_A by (kind of centre, species), and all species of both.
struct Sums {
    counts: Array2<f64>,
    x: Array2<f64>,
    /// Kind of centre and species of each group of columns of `x`.
    pairs: Vec<(Option<u8>, u8)>,
    /// Σ_i c_i c_iᵀ over all (kind, a, n), with zeros between kinds.
    c: Array2<f64>,
}

fn sums(settings: &CovarianceSettings, structures: &[Structure]) -> Sums {
    let species = species_of(structures);
    let c = SphericalExpansion::new(&settings.expansion, &species).unwrap().forward(structures).unwrap();
    let n = c.channels[0].len() / species.len();
    let kinds: Vec<Option<u8>> =
        if settings.center_specific { species.iter().map(|&z| Some(z)).collect() } else { vec![None] };
    let pairs: Vec<(Option<u8>, u8)> = kinds.iter().flat_map(|&k| species.iter().map(move |&a| (k, a))).collect();
    let width = pairs.len() * n;
    let mut sums = Sums {
        counts: Array2::zeros((structures.len(), species.len())),
        x: Array2::zeros((structures.len(), width)),
        pairs,
        c: Array2::zeros((width, width)),
    };
    for (i, center) in c.centers.iter().enumerate() {
        let place = species.iter().position(|&z| z == center.species).unwrap();
        sums.counts[[center.structure, place]] += 1.0;
        let start = if settings.center_specific { place * species.len() * n } else { 0 };
        for p in 0..species.len() * n {
            sums.x[[center.structure, start + p]] += c.blocks[0][[i, 0, p]];
            for q in 0..species.len() * n {
                sums.c[[start + p, start + q]] += c.blocks[0][[i, 0, p]] * c.blocks[0][[i, 0, q]];
            }
        }
    }
    sums
}

/// f(A) of a symmetric matrix, without its null space.
fn function(a: &Array2<f64>, f: impl Fn(f64) -> f64) -> Array2<f64> {
    let (values, vectors) = eigen(a);
    let mut sum = Array2::zeros(a.dim());
    for (k, value) in values.iter().enumerate() {
        if *value > 1e-14 * values[0] {
            for ((i, j), s) in sum.indexed_iter_mut() {
                *s += f(*value) * vectors[[k, i]] * vectors[[k, j]];
            }
        }
    }
    sum
}

/// Least squares and ridge by normal equations: y without its composition, w.
fn regression(sums: &Sums, energies: &[f64], alpha: f64) -> (Array1<f64>, Array1<f64>, f64) {
    let energies = Array1::from(energies.to_vec());
    let nn = sums.counts.t().dot(&sums.counts);
    let e = function(&nn, |x| 1.0 / x).dot(&sums.counts.t().dot(&energies));
    let y = &energies - &sums.counts.dot(&e);
    let ridge = sums.x.t().dot(&sums.x) + Array2::<f64>::eye(sums.x.ncols()) * alpha;
    let inverse = function(&ridge, |x| 1.0 / x);
    let w = inverse.dot(&sums.x.t().dot(&y));
    let left = &y - &sums.x.dot(&w);
    // Generalised cross-validation, by the trace of the matrix that makes predictions of targets.
    let hat = sums.x.dot(&inverse.dot(&sums.x.t()));
    let rank = eigen(&nn).0.iter().filter(|&&value| value > 1e-9).count();
    let free = energies.len() as f64 - rank as f64 - hat.diag().sum();
    let score = if free >= 1.0 { left.dot(&left) / (free * free) } else { f64::INFINITY };
    (y, w, score)
}

/// Eq. (14) for one block, from the definition: C̃, its eigenvectors, C^(−1/2) V, Gram–Schmidt.
fn eq14(c: &Array2<f64>, w: &Array1<f64>, gamma: f64) -> Array2<f64> {
    let root = function(c, f64::sqrt);
    let g = root.dot(w);
    let outer = Array2::from_shape_fn(c.dim(), |(i, j)| g[i] * g[j]);
    let (_, v) = eigen(&(c * gamma + outer * (1.0 - gamma)));
    let mut rows = v.dot(&function(c, |x| 1.0 / x.sqrt()));
    for q in 0..rows.nrows() {
        for p in 0..q {
            let overlap = rows.row(p).dot(&rows.row(q));
            let earlier = rows.row(p).to_owned();
            rows.row_mut(q).scaled_add(-overlap, &earlier);
        }
        let norm = rows.row(q).dot(&rows.row(q)).sqrt();
        rows.row_mut(q).mapv_inplace(|x| x / norm);
    }
    rows
}

#[test]
fn eq14_matches_its_definition_around_all_centers_or_one_kind() {
    let (structures, energies) = data(60);
    for (mixing, center_specific) in ALL {
        let mut settings = settings(3, 0, mixing, center_specific);
        settings.expansion.spline_accuracy = Some(1e-5);
        let covariance = accumulated(&settings, &structures, &energies);
        let found = covariance.regression().unwrap();
        let sums = sums(&settings, &structures);
        let (y, mut w, score) = regression(&sums, &energies, found.alpha);
        for (z, e) in &found.baseline {
            assert!((e + 13.6 * f64::from(*z).powi(2)).abs() < 10.0);
        }
        for (k, pair) in sums.pairs.iter().enumerate() {
            let fast = &found.weights[pair];
            let most = w.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
            for (n, fast) in fast.iter().enumerate() {
                assert!((fast - w[3 * k + n]).abs() < 1e-5 * most, "{pair:?} {n}: {fast} {}", w[3 * k + n]);
            }
        }
        let left = &y - &sums.x.dot(&w);
        let r2 = 1.0 - left.dot(&left) / y.dot(&y);
        assert!((r2 - found.r2).abs() < 1e-7, "{r2} {}", found.r2);
        assert!(r2 > 0.3 && r2 < 1.0, "{r2}");
        // No other strength has a smaller score.
        for factor in [1e-2, 0.1_f64.sqrt(), 10_f64.sqrt(), 100.0] {
            assert!(score <= regression(&sums, &energies, found.alpha * factor).2 * (1.0 + 1e-9), "{factor}");
        }

        // C of all blocks that are contracted, and its trace.
        let n_species = species_of(&structures).len();
        let width = if mixing == Mixing::Combined { 3 * n_species } else { 3 };
        let n_blocks = sums.x.ncols() / width;
        let c = &sums.c / sums.c.diag().sum();
        let part = |k: usize| (k * width)..((k + 1) * width);
        let block_of = |k: usize| c.slice(s![part(k), part(k)]).to_owned();
        let variance: f64 =
            (0..n_blocks).map(|k| w.slice(s![part(k)]).dot(&block_of(k).dot(&w.slice(s![part(k)])))).sum();
        w *= (r2 / variance).sqrt();
        for gamma in [1.0, 0.5, 0.1, 1e-3] {
            let basis = covariance.basis(PcovrSettings { gamma }, Truncation::QMax(width)).unwrap();
            assert_eq!(basis.settings().method, Method::Pcovr(PcovrSettings { gamma }));
            for k in 0..n_blocks {
                let (kind, a) = sums.pairs[k * width / 3];
                let owner = (mixing == Mixing::PerSpecies).then_some(a);
                let (u, variances) = block(&basis, kind, owner);
                let expected = eq14(&block_of(k), &w.slice(s![part(k)]).to_owned(), gamma);
                for q in 1..=u.nrows() {
                    let (fast, slow) = (projector(&u.slice(s![..q, ..]).to_owned()), {
                        let rows = expected.slice(s![..q, ..]).to_owned();
                        projector(&rows)
                    });
                    let found = largest_matrix_difference(&fast, &slow);
                    assert!(found < 2e-4, "{mixing:?} {center_specific} {kind:?} {owner:?} γ {gamma} q {q}: {found:e}");
                }
                let largest: Vec<f64> = u.rows().into_iter().map(largest).collect();
                assert!(largest.iter().all(|x| *x > 0.0));
                assert!(largest_matrix_difference(&u.dot(&u.t()), &Array2::eye(u.nrows())) < 1e-12);
                let c = covariance.covariance().matrix(kind, 0, owner.as_slice());
                let c = if owner.is_none() {
                    covariance.covariance().matrix(kind, 0, &covariance.covariance().species())
                } else {
                    c
                };
                for (q, row) in u.rows().into_iter().enumerate() {
                    assert!((row.dot(&c.dot(&row)) - variances[q]).abs() < 1e-13 * c.diag().sum());
                }
                assert!((variances.iter().sum::<f64>() - c.diag().sum()).abs() < 1e-13 * c.diag().sum());
            }
        }
    }
}

fn largest(row: ndarray::ArrayView1<f64>) -> f64 {
    row.iter().fold(0.0_f64, |a, &b| if b.abs() > a.abs() { b } else { a })
}

#[test]
fn gamma_1_gives_the_principal_components() {
    let (structures, energies) = data(40);
    for (mixing, center_specific) in ALL {
        let covariance = accumulated(&settings(6, 2, mixing, center_specific), &structures, &energies);
        for truncation in [Truncation::QMax(4), Truncation::Retain(0.999)] {
            let pca = OptimalBasis::from_covariance(covariance.covariance(), truncation).unwrap();
            let found = covariance.basis(PCA, truncation).unwrap();
            for (a, b) in pca.kinds().iter().zip(found.kinds()) {
                for (a, b) in a.blocks.iter().zip(&b.blocks) {
                    assert_eq!((a.key, a.species), (b.key, b.species));
                    let (a, b) = (&a.contraction, &b.contraction);
                    assert!(largest_matrix_difference(&a.u, &b.u) < 1e-9);
                    let scale = a.eigenvalues[0];
                    let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-13 * scale;
                    assert!(a.eigenvalues.iter().zip(&b.eigenvalues).all(close));
                }
            }
            let (a, b) = (pca.residual_variance(None), found.residual_variance(None));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-13));
        }
    }
}

/// Squares that least squares of `y` on these columns leaves.
fn left(columns: &Array2<f64>, y: &Array1<f64>) -> f64 {
    let w = function(&columns.t().dot(columns), |x| 1.0 / x).dot(&columns.t().dot(y));
    let rest = y - &columns.dot(&w);
    rest.dot(&rest)
}

#[test]
fn towards_gamma_0_one_function_is_as_good_as_the_whole_linear_model() {
    let (structures, energies) = data(80);
    for (mixing, center_specific) in ALL {
        let settings = settings(4, 0, mixing, center_specific);
        let covariance = accumulated(&settings, &structures, &energies);
        let found = covariance.regression().unwrap();
        let basis = covariance.basis(PcovrSettings { gamma: 1e-9 }, Truncation::QMax(1)).unwrap();
        for ((kind, a), w) in &found.weights {
            // The first function is w: of this species, or its part of the one for all.
            let w = match mixing {
                Mixing::PerSpecies => w.clone(),
                Mixing::Combined if *a == 1 => {
                    found.weights.iter().filter(|((k, _), _)| k == kind).flat_map(|(_, w)| w.clone()).collect()
                }
                Mixing::Combined => continue,
            };
            let (u, _) = block(&basis, *kind, (mixing == Mixing::PerSpecies).then_some(*a));
            let w = Array1::from(w);
            let cosine = u.row(0).dot(&w).abs() / w.dot(&w).sqrt();
            assert!((cosine - 1.0).abs() < 1e-6, "{mixing:?} {kind:?} {a}: {cosine}");
        }

        // Sums over the atoms of a structure of that one feature (of each species, and kind of centre).
        let sums = sums(&settings, &structures);
        let (y, w, _) = regression(&sums, &energies, found.alpha);
        let c = basis.transform(&structures).unwrap();
        let kinds = if center_specific { species_of(&structures).len() } else { 1 };
        let mut z = Array2::zeros((structures.len(), c.channels[0].len() * kinds));
        for (i, center) in c.centers.iter().enumerate() {
            let kind = if center_specific { [1, 6, 8].iter().position(|&z| z == center.species).unwrap() } else { 0 };
            for q in 0..c.channels[0].len() {
                z[[center.structure, kind * c.channels[0].len() + q]] += c.blocks[0][[i, 0, q]];
            }
        }
        let whole = &y - &sums.x.dot(&w);
        let (whole, one) = (whole.dot(&whole), left(&z, &y));
        assert!(one <= whole * (1.0 + 1e-6), "{mixing:?} {center_specific}: {one} against {whole}");
        if (mixing, center_specific) == (Mixing::Combined, false) {
            assert_eq!(z.ncols(), 1);
            assert!(one > 0.9 * whole);
            // Principal components need more of them.
            let pca = OptimalBasis::from_covariance(covariance.covariance(), Truncation::QMax(1)).unwrap();
            let c = pca.transform(&structures).unwrap();
            let mut z = Array2::zeros((structures.len(), 1));
            c.centers.iter().enumerate().for_each(|(i, center)| z[[center.structure, 0]] += c.blocks[0][[i, 0, 0]]);
            assert!(left(&z, &y) > 1.5 * whole);
        }
    }
}

#[test]
fn energies_that_are_a_sum_over_pairs_and_atoms_are_found_exactly() {
    let (structures, _) = data(80);
    let settings = settings(4, 0, Mixing::Combined, false);
    let sums = sums(&settings, &structures);
    // A pair potential that knows nothing of the composition: no part of it goes to the baseline.
    let shared = sums.counts.t().dot(&sums.x);
    let w = Array1::from_iter((0..12).map(|k| (1.7 * k as f64).sin()));
    let w = &w - &shared.t().dot(&function(&shared.dot(&shared.t()), |x| 1.0 / x)).dot(&shared.dot(&w));
    let atoms = Array1::from(vec![-13.0, -1000.0, -2000.0]);
    let energies = sums.counts.dot(&atoms) + sums.x.dot(&w);
    let found = accumulated(&settings, &structures, energies.as_slice().unwrap()).regression().unwrap();
    assert!(1.0 - found.r2 < 1e-12, "{:e}", 1.0 - found.r2);
    let w_found: Vec<f64> = [1, 6, 8].iter().flat_map(|&a| found.weights[&(None, a)].clone()).collect();
    let largest = w_found.iter().zip(&w).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(largest < 1e-5, "{largest:e}");
    for (e, expected) in found.baseline.values().zip(&atoms) {
        assert!((e - expected).abs() < 1e-5);
    }
}

#[test]
fn truncation_is_nested() {
    let (structures, energies) = data(30);
    let covariance = accumulated(&settings(6, 1, Mixing::Combined, false), &structures, &energies);
    let basis = |truncation| covariance.basis(PcovrSettings { gamma: 0.2 }, truncation).unwrap();
    let (all, _) = block(&basis(Truncation::QMax(18)), None, None);
    for q in [1, 2, 7] {
        let (few, variances) = block(&basis(Truncation::QMax(q)), None, None);
        assert_eq!(few, all.slice(s![..q, ..]));
        assert_eq!(variances.len(), 18, "those of dropped functions stay");
    }
    for fraction in [0.5, 0.9, 0.999] {
        let kept = basis(Truncation::Retain(fraction));
        assert!(kept.discarded_variance() <= 1.0 - fraction + 1e-12);
        let (few, _) = block(&kept, None, None);
        assert_eq!(few, all.slice(s![..few.nrows(), ..]));
    }
}

#[test]
fn residual_variance_is_what_projected_coefficients_lose() {
    let (structures, energies) = data(30);
    let settings = settings(5, 2, Mixing::PerSpecies, false);
    let covariance = accumulated(&settings, &structures, &energies);
    let primitive = SphericalExpansion::new(&settings.expansion, &[1, 6, 8]).unwrap().forward(&structures).unwrap();
    for q in 1..=5 {
        let basis = covariance.basis(PcovrSettings { gamma: 0.05 }, Truncation::QMax(q)).unwrap();
        let kept = basis.transform(&structures).unwrap().squared_norm();
        let lost = 1.0 - kept / primitive.squared_norm();
        let found = basis.residual_variance(None);
        assert!((lost - found[q]).abs() < 1e-7, "{lost} {}", found[q]);
        assert!((found[q] - basis.discarded_variance()).abs() < 1e-12);
        assert!(found.windows(2).all(|pair| pair[1] <= pair[0]));
    }
}

#[test]
fn neither_threads_nor_chunks_change_a_bit_and_files_keep_all() {
    let (mut structures, mut energies) = data(150);
    structures.push(naive::random_molecule(&[9, 1], 151)); // comes late
    energies.push(-1100.0);
    structures.push(naive::random_molecule(&[9, 1, 1], 152));
    energies.push(-1110.0);
    let directory = tempfile::tempdir().unwrap();
    for (mixing, center_specific) in [(Mixing::PerSpecies, true), (Mixing::Combined, false)] {
        let mut settings = settings(4, 2, mixing, center_specific);
        settings.expansion.spline_accuracy = Some(1e-5);
        let mut first: Option<Vec<u8>> = None;
        for threads in [1, 2, 3] {
            for chunk in [1, 50, 64, structures.len()] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let basis = pool.install(|| {
                    let mut covariance = SupervisedCovariance::new(&settings).unwrap();
                    for (structures, energies) in structures.chunks(chunk).zip(energies.chunks(chunk)) {
                        covariance.add(structures, energies).unwrap();
                    }
                    covariance.basis(PcovrSettings { gamma: 0.1 }, Truncation::QMax(3)).unwrap()
                });
                let bytes = basis.to_bytes();
                assert!(*first.get_or_insert_with(|| bytes.clone()) == bytes, "{threads} threads, chunks of {chunk}");
                if chunk == 1 {
                    let path = directory.path().join("pcovr.rho");
                    basis.save(&path).unwrap();
                    let loaded = OptimalBasis::load(&path).unwrap();
                    assert!(loaded.to_bytes() == bytes);
                    assert_eq!(loaded.settings(), basis.settings());
                    assert_eq!(loaded.provenance(), basis.provenance());
                    assert!(loaded.provenance().energy_r2.is_some());
                    let few = &structures[..5];
                    assert_eq!(loaded.transform(few).unwrap(), basis.transform(few).unwrap());
                }
            }
        }
    }
}

#[test]
fn files_of_principal_components_say_nothing_of_methods() {
    let (structures, energies) = data(20);
    let covariance = accumulated(&settings(4, 1, Mixing::Combined, false), &structures, &energies);
    let pca = OptimalBasis::from_covariance(covariance.covariance(), Truncation::QMax(2)).unwrap();
    let has = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
    assert!(!has(&pca.to_bytes(), "method") && !has(&pca.to_bytes(), "energy_r2"));
    let pcovr = covariance.basis(PcovrSettings { gamma: 0.25 }, Truncation::QMax(2)).unwrap().to_bytes();
    assert!(has(&pcovr, r#"\"method\":{\"name\":\"pcovr\",\"gamma\":0.25}"#));
}

#[test]
fn the_order_of_structures_does_not_matter_beyond_rounding() {
    let (structures, energies) = data(100);
    let settings = settings(5, 1, Mixing::Combined, false);
    let forward = accumulated(&settings, &structures, &energies);
    let (mut backward, mut reversed) = (structures, energies);
    backward.reverse();
    reversed.reverse();
    let backward = accumulated(&settings, &backward, &reversed);
    let (a, b) = (forward.regression().unwrap(), backward.regression().unwrap());
    assert_eq!(a.alpha.log10().round(), b.alpha.log10().round());
    assert!((a.r2 - b.r2).abs() < 1e-12);
    let basis = |c: &SupervisedCovariance| c.basis(PcovrSettings { gamma: 0.1 }, Truncation::QMax(6)).unwrap();
    let ((u, _), (v, _)) = (block(&basis(&forward), None, None), block(&basis(&backward), None, None));
    let found = largest_matrix_difference(&u, &v);
    assert!(found < 1e-9, "{found:e}");
}

#[test]
fn large_energies_of_atoms_cost_no_digits_of_what_is_learned() {
    let (structures, energies) = data(60);
    let settings = settings(4, 1, Mixing::Combined, false);
    let plain = accumulated(&settings, &structures, &energies).regression().unwrap();
    let shift: BTreeMap<u8, f64> = [(1, -1.0e3), (6, -4.0e4), (8, -7.0e4)].into();
    let shifted: Vec<f64> =
        structures.iter().zip(&energies).map(|(s, e)| e + s.species.iter().map(|z| shift[z]).sum::<f64>()).collect();
    let found = accumulated(&settings, &structures, &shifted).regression().unwrap();
    for (z, e) in &found.baseline {
        assert!((e - plain.baseline[z] - shift[z]).abs() < 1e-8);
    }
    assert!((found.r2 - plain.r2).abs() < 1e-10);
}

#[test]
fn what_makes_no_basis_is_refused_by_name() {
    let (structures, mut energies) = data(12);
    let settings = settings(4, 1, Mixing::PerSpecies, false);
    let mut covariance = SupervisedCovariance::new(&settings).unwrap();
    let basis = |c: &SupervisedCovariance, gamma| c.basis(PcovrSettings { gamma }, Truncation::QMax(2)).unwrap_err();
    assert!(basis(&covariance, 0.5).to_string().contains("at least one structure"));
    covariance.add(&structures[..7], &energies[..7]).unwrap();
    let before = covariance.regression().unwrap();
    let message = covariance.add(&structures[7..], &energies).unwrap_err().to_string();
    assert!(message.contains("energies = 12") && message.contains("5 structures"), "{message}");
    energies[9] = f64::NAN;
    let message = covariance.add(&structures[7..], &energies[7..]).unwrap_err().to_string();
    assert!(message.starts_with("frame 9: its energy is NaN"), "{message}");
    let mut bad = structures[7..].to_vec();
    bad[1].positions[0][0] = f64::INFINITY;
    let message = covariance.add(&bad, &[1.0; 5]).unwrap_err().to_string();
    assert!(message.starts_with("frame 8, atom 0"), "{message}");
    assert_eq!((covariance.regression().unwrap(), covariance.covariance().n_structures()), (before, 7));
    for gamma in [0.0, -0.1, 1.1, f64::NAN] {
        let message = basis(&covariance, gamma).to_string();
        assert!(message.contains(&format!("gamma = {gamma}")), "{message}");
    }
    // Energies that the composition explains.
    let mut flat = SupervisedCovariance::new(&settings).unwrap();
    let atoms: Vec<f64> = structures.iter().map(|s| s.species.iter().map(|&z| -f64::from(z)).sum()).collect();
    flat.add(&structures, &atoms).unwrap();
    let message = basis(&flat, 0.5).to_string();
    assert!(message.contains("compositions alone") && message.contains("pca"), "{message}");
    flat.add(&structures[..1], &[atoms[0] + 1.0]).unwrap();
    assert!(flat.regression().is_ok());
}
