//! Covariances of a weighted density, whose functions are used on the density as it is, against plain loops.

mod naive;

use naive::{eq4, eq6, eq7, eq11, largest_matrix_difference, rattled_diamond};
use ndarray::Array2;
use rhobasis::Structure;
use rhobasis::correlations::{Plan, Target};
use rhobasis::density::{Density, ExpansionSettings, Primitive, RadialScaling, Sigma, SphericalExpansion, species_of};
use rhobasis::files::Stored;
use rhobasis::neighbors::NeighborList;
use rhobasis::optimal::{
    Adaptation, Contraction, Covariance, CovarianceSettings, Mixing, NearestDistances, OptimalBasis, PcovrSettings,
    SupervisedCovariance, Task, Truncation, Weighting,
};

const U: RadialScaling = RadialScaling { rate: 1.0, scale: 1.5, exponent: 7.0 };

fn by(u: &RadialScaling) -> Option<Weighting> {
    Some(Weighting::By(u.clone()))
}

/// Exact integrals: what is compared differs by rounding alone.
fn settings(scaling: Option<RadialScaling>, weighting: Option<Weighting>) -> CovarianceSettings {
    let density = Density { r_cut: 3.5, sigma: Sigma::Same(0.4), scaling, ..Density::default() };
    let primitive = Primitive::Gto { n_max: 5 };
    let expansion = ExpansionSettings { density, primitive, l_max: 2, spline_accuracy: None };
    CovarianceSettings { expansion, weighting, ..CovarianceSettings::default() }
}

fn molecules() -> Vec<Structure> {
    (0..5).map(|k| naive::random_molecule(&[6, 1, 8, 1, 6, 1], k)).collect()
}

fn accumulated(settings: &CovarianceSettings, structures: &[Structure]) -> Covariance {
    let mut covariance = Covariance::new(settings).unwrap();
    covariance.add(structures, None).unwrap();
    covariance
}

fn largest(x: &Array2<f64>) -> f64 {
    x.iter().fold(0.0, |most, x| most.max(x.abs()))
}

#[test]
fn the_covariance_is_that_of_the_weighted_density_and_its_eigenvectors_are_the_functions() {
    let structures = molecules();
    let species = species_of(&structures);
    for (mixing, center_specific) in [(Mixing::PerSpecies, false), (Mixing::Combined, true)] {
        let weighted = CovarianceSettings { mixing, center_specific, ..settings(None, by(&U)) };
        let scaled = settings(Some(U), None).expansion;
        let c = eq4(&structures, &scaled, &species);
        let covariance = accumulated(&weighted, &structures);
        let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(3)).unwrap();
        for kind in basis.kinds() {
            for l in 0..=2 {
                let naive = match mixing {
                    Mixing::PerSpecies => eq6(&c, l, kind.center, None),
                    Mixing::Combined => eq11(&c, l, kind.center, None),
                };
                let found = covariance.matrix(kind.center, l, &species);
                let error = largest_matrix_difference(&found, &naive);
                assert!(error < 1e-12, "{mixing:?}, l = {l}: {error:e}");
            }
            for block in kind.blocks.iter().filter(|block| block.species.is_none()) {
                let l = block.key.lambda;
                let mut direct = Contraction::of(&covariance.matrix(kind.center, l, &species));
                direct.truncate(3);
                assert_eq!(block.contraction, direct, "l = {l}");
            }
        }
    }
}

#[test]
fn a_weighting_multiplies_the_scaling_that_the_density_has() {
    let structures = [rattled_diamond(3)];
    // (c/(c + x))² = c²/(c² + 2 c x + x²) is no scaling; plain loops over neighbours know what is.
    let weighted = accumulated(&settings(Some(U), by(&U)), &structures);
    let once = accumulated(&settings(Some(U), None), &structures);
    let instead = accumulated(&settings(None, by(&U)), &structures);
    let density = settings(Some(U), None).expansion.density;
    let pair = |d: f64| [Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]])];
    for d in [1.2, 1.9, 3.3] {
        // Of two atoms without the centres, C goes with the square of the weight.
        let trace = |settings: CovarianceSettings| {
            let mut settings = settings;
            settings.expansion.density.center_weight = 0.0;
            (0..=2).map(|l| accumulated(&settings, &pair(d)).matrix(None, l, &[14]).diag().sum()).sum::<f64>()
        };
        let plain = trace(settings(None, None));
        let u = naive::weight(&density, d) / naive::weight(&settings(None, None).expansion.density, d);
        let found = trace(settings(Some(U), by(&U))) / plain;
        assert!((found / u.powi(4) - 1.0).abs() < 1e-12, "{found:e} at {d}");
    }
    assert!(largest_matrix_difference(&once.matrix(None, 0, &[14]), &instead.matrix(None, 0, &[14])) < 1e-13);
    assert!(largest_matrix_difference(&weighted.matrix(None, 0, &[14]), &once.matrix(None, 0, &[14])) > 1e-3);
}

#[test]
fn the_basis_expands_the_density_as_it_is() {
    let structures = molecules();
    let species = species_of(&structures);
    for scaling in [None, Some(RadialScaling { rate: 1.0, scale: 2.5, exponent: 4.0 })] {
        let settings = settings(scaling, by(&U));
        let covariance = accumulated(&settings, &structures);
        let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(3)).unwrap();
        let primitive = eq4(&structures, &settings.expansion, &species);
        let found = basis.transform(&structures).unwrap();
        for block in &basis.kinds()[0].blocks {
            let (l, a) = (block.key.lambda, block.species.unwrap());
            let columns: Vec<usize> =
                (0..found.channels[l].len()).filter(|&k| found.channels[l][k].species == a).collect();
            for i in 0..found.centers.len() {
                let expected = eq7(&primitive, l, i, a, &block.contraction.u);
                let row = found.blocks[l].index_axis(ndarray::Axis(0), i).select(ndarray::Axis(1), &columns);
                assert!(largest(&(&row - &expected)) < 1e-10, "l = {l}");
            }
        }
        // The same functions of a basis that is told to use them: nothing but U knows of the weighting.
        let again = SphericalExpansion::new(&settings.expansion, &species).unwrap().forward(&structures).unwrap();
        let contracted = basis.contraction().forward(&again).unwrap();
        assert!(naive::largest_difference(&contracted, &found) < 1e-10);
    }
}

#[test]
fn the_median_of_nearest_neighbours_is_that_of_a_sorted_list_however_structures_are_cut() {
    let structures: Vec<Structure> = molecules().into_iter().chain([rattled_diamond(1), rattled_diamond(2)]).collect();
    let mut all: Vec<f64> = Vec::new();
    for structure in &structures {
        let list = NeighborList::new(structure, 3.0).unwrap();
        for center in 0..structure.len() {
            let of = |r: &[f64; 3]| r.iter().map(|x| x * x).sum::<f64>().sqrt();
            all.extend(list.vector[list.pairs(center)].iter().map(of).min_by(f64::total_cmp));
        }
    }
    all.sort_by(f64::total_cmp);
    let median = all[all.len().div_ceil(2) - 1];
    let (mut once, mut cut) = (NearestDistances::new(3.0), NearestDistances::new(3.0));
    once.add(&structures).unwrap();
    structures.iter().rev().for_each(|one| cut.add(std::slice::from_ref(one)).unwrap());
    assert!((once.median().unwrap() - median).abs() <= 5e-4, "{median}");
    assert_eq!(once.weighting().unwrap(), cut.weighting().unwrap());
    let RadialScaling { rate, scale, exponent } = once.weighting().unwrap();
    assert_eq!((rate, exponent), (1.0, 7.0));
    assert!((scale - 0.85 * median).abs() < 1.5e-3, "{scale}");
    let asked = settings(None, Some(Weighting::Nearest));
    let resolved = asked.resolved(|nearest| nearest.add(&structures)).unwrap();
    assert!(matches!(resolved.weighting, Some(Weighting::By(_))));
    assert_eq!(resolved.resolved(|_| panic!("numbers are known")).unwrap(), resolved);
}

#[test]
fn what_cannot_be_is_refused_with_value_and_remedy() {
    let refused = |weighting| Covariance::new(&settings(None, Some(weighting))).unwrap_err().to_string();
    let by = |rate, scale, exponent| Weighting::By(RadialScaling { rate, scale, exponent });
    assert!(refused(by(-1.0, 2.0, 7.0)).starts_with("weighting rate = -1: must be a positive number"));
    assert!(refused(by(1.0, 0.0, 7.0)).starts_with("weighting scale = 0: must be a positive number"));
    assert!(refused(by(1.0, 2.0, 0.5)).starts_with("weighting exponent = 0.5: must be at least 1"));
    let said = refused(Weighting::Nearest);
    assert!(said.starts_with("weighting = nearest: the distances of nearest neighbours are not known"), "{said}");
    let alone = [Structure::molecule(vec![14], vec![[0.0; 3]])];
    let said = settings(None, Some(Weighting::Nearest)).resolved(|nearest| nearest.add(&alone)).unwrap_err();
    assert!(said.to_string().contains("no atom has a neighbour within r_cut = 3.5 Å"), "{said}");
    let mut one_atom_twice = rattled_diamond(1);
    one_atom_twice.positions[1] = one_atom_twice.positions[0];
    let structures = [rattled_diamond(1), one_atom_twice];
    let said = settings(None, Some(Weighting::Nearest)).resolved(|nearest| nearest.add(&structures)).unwrap_err();
    assert!(said.to_string().contains("frame 1"), "{said}");
}

#[test]
fn files_keep_the_numbers_and_those_of_no_weighting_say_nothing_of_it() {
    let structures = [rattled_diamond(1), rattled_diamond(2)];
    let plain = accumulated(&settings(None, None), &structures);
    let basis = OptimalBasis::from_covariance(&plain, Truncation::QMax(2)).unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains("weighting");
    assert!(!said(plain.to_bytes()) && !said(basis.to_bytes()));

    let weighted = accumulated(&settings(None, by(&U)), &structures);
    let read = Covariance::from_bytes(&weighted.to_bytes()).unwrap();
    assert_eq!(read.settings(), weighted.settings());
    let basis = OptimalBasis::from_covariance(&read, Truncation::QMax(2)).unwrap();
    let again = OptimalBasis::from_bytes(&basis.to_bytes()).unwrap();
    assert_eq!(again.settings().weighting, Some(U));
    assert_eq!(again.kinds(), basis.kinds());
    assert_eq!(again.transform(&structures).unwrap(), basis.transform(&structures).unwrap());
}

#[test]
fn accumulators_of_other_weightings_are_not_merged_and_a_checkpoint_is_not_continued() {
    let folder = std::env::temp_dir().join(format!("rhobasis-weighting-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let structures = [rattled_diamond(1)];
    let mut plain = accumulated(&settings(None, None), &structures);
    let weighted = accumulated(&settings(None, by(&U)), &structures);
    let said = plain.merge(&weighted).unwrap_err().to_string();
    assert!(said.contains("weighting = none") && said.contains("[1, 1.5, 7]"), "{said}");
    let paths = [folder.join("plain.cov"), folder.join("weighted.cov")];
    plain.save(&paths[0]).unwrap();
    weighted.save(&paths[1]).unwrap();
    let said = Covariance::merge_files(&paths).unwrap_err().to_string();
    assert!(said.contains("weighting = [1, 1.5, 7]") && said.contains("weighting = none"), "{said}");
    let (path, task) = (folder.join("checkpoint"), Task { files: Vec::new(), shard: None });
    weighted.save_checkpoint(&path, &task, 1).unwrap();
    let said = plain.resume(&path, &task).unwrap_err().to_string();
    assert!(said.contains("made with weighting = [1, 1.5, 7]"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn sweeps_for_an_order_are_those_of_the_density_that_is_scaled_so() {
    let structures = molecules();
    let of = |settings: &CovarianceSettings| {
        let mut adaptation = Adaptation::new(settings, Truncation::QMax(2), 3).unwrap();
        loop {
            adaptation.add(&structures).unwrap();
            if adaptation.finish_sweep().unwrap() {
                return adaptation.into_basis().unwrap();
            }
        }
    };
    let (weighted, scaled) = (of(&settings(None, by(&U))), of(&settings(Some(U), None)));
    assert_eq!(weighted.provenance().retained.len(), scaled.provenance().retained.len());
    for (a, b) in weighted.provenance().retained.iter().zip(&scaled.provenance().retained) {
        assert!((a - b).abs() < 1e-12);
    }
    for (a, b) in weighted.kinds()[0].blocks.iter().zip(&scaled.kinds()[0].blocks) {
        assert!(largest_matrix_difference(&a.contraction.u, &b.contraction.u) < 1e-9);
    }
    assert!(weighted.expansion().density().scaling.is_none());
}

#[test]
fn with_energies_the_regression_is_of_the_density_as_it_is() {
    let distances = [1.4, 1.5, 1.7, 1.9, 2.0, 2.2, 2.4, 2.7, 3.0, 3.3];
    let dimers = distances.map(|d| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]]));
    let energies = distances.map(|d: f64| -8.0 + d.powi(-6));
    let of = |weighting, gamma| {
        let mut covariance = SupervisedCovariance::new(&settings(None, weighting)).unwrap();
        covariance.add(&dimers, &energies).unwrap();
        covariance.basis(PcovrSettings { gamma }, Truncation::QMax(2)).unwrap()
    };
    let first = |basis: &OptimalBasis| basis.kinds()[0].blocks[0].contraction.u.row(0).to_owned();
    // Towards 0 the first function is w, whatever the covariance; at 1 it is that of principal components.
    let (weighted, plain) = (first(&of(by(&U), 1e-9)), first(&of(None, 1e-9)));
    assert!((weighted.dot(&plain).abs() - 1.0).abs() < 1e-4, "{}", weighted.dot(&plain));
    let pca =
        OptimalBasis::from_covariance(&accumulated(&settings(None, by(&U)), &dimers), Truncation::QMax(2)).unwrap();
    assert!((first(&of(by(&U), 1.0)).dot(&first(&pca)).abs() - 1.0).abs() < 1e-12);
}

#[test]
fn eigenvalues_of_another_density_make_no_plan_but_data_do() {
    let structures = molecules();
    let basis =
        OptimalBasis::from_covariance(&accumulated(&settings(None, by(&U)), &structures), Truncation::Retain(1.0))
            .unwrap();
    let target = Target { nu: 2, retain: 0.99, invariant: false };
    let said = Plan::approximate(&basis, target).unwrap_err().to_string();
    assert!(said.contains("weighted density") && said.contains("give data too"), "{said}");
    let plan = Plan::exact(&basis, target, |norms| norms.add(&structures)).unwrap();
    assert!(plan.answer().equivariant[1] >= 0.99);
}
