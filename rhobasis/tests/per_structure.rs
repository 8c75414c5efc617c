//! Features of whole structures: against sums of those of their atoms.

use ndarray::{Array2, s};
use rhobasis::Structure;
use rhobasis::correlations::{
    FeatureKind, Invariants, Member, NiceSample, NiceSettings, PerStructure, Reduction, Sequence,
};
use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma, SphericalExpansion, centers_of};

fn expansion() -> SphericalExpansion {
    let density = Density { r_cut: 4.0, sigma: Sigma::Same(0.4), ..Density::default() };
    let settings =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max: 3 }, l_max: 2, ..Default::default() };
    SphericalExpansion::new(&settings, &[1, 6, 8]).unwrap()
}

fn molecule() -> Structure {
    let positions = [[0.0, 0.0, 0.1], [1.2, 0.3, -0.2], [-0.4, 1.1, 0.3], [0.2, -0.9, 0.9], [1.9, -0.8, 0.4]];
    Structure::molecule(vec![6, 8, 1, 1, 1], positions.to_vec())
}

fn crystal() -> Structure {
    let cell = [[3.1, 0.2, 0.0], [0.0, 3.4, 0.3], [0.5, 0.0, 2.9]];
    Structure::crystal(vec![1, 6, 6], vec![[0.1, 0.0, 0.2], [1.5, 1.6, 1.2], [0.4, 2.2, 2.0]], cell)
}

/// All kinds of features, normalised or not.
fn features(expansion: &SphericalExpansion) -> Vec<Invariants> {
    let settings =
        NiceSettings { n_equivariants: 4, n_invariants: 5, sequence: Sequence::PerSpecies, ..Default::default() };
    let mut nice = NiceSample::for_fit(expansion, &settings).unwrap();
    nice.add(&[molecule(), crystal()]).unwrap();
    let of = |kind, normalize| {
        let mut member = Member::new(kind, normalize);
        member.nice = member.nice.map(|_| settings.clone());
        member.fit_to(&nice).unwrap();
        Invariants::of_members(expansion, &[member]).unwrap()
    };
    let kinds = [FeatureKind::RadialSpectrum, FeatureKind::PowerSpectrum, FeatureKind::Bispectrum, FeatureKind::Nice];
    kinds.into_iter().flat_map(|kind| [of(kind, false), of(kind, true)]).collect()
}

/// Rows of structures from those of their atoms, by the formula.
fn summed(x: &Array2<f64>, structures: &[Structure], how: PerStructure, species: &[u8]) -> Array2<f64> {
    let blocks = if how.by_species { species } else { &[] };
    let n = x.ncols();
    let mut sums = Array2::zeros((structures.len(), n * blocks.len().max(1)));
    for (center, row) in centers_of(structures).iter().zip(x.outer_iter()) {
        let block = blocks.iter().position(|&z| z == center.species).unwrap_or(0);
        let n_atoms = structures[center.structure].len() as f64;
        let factor = if how.reduction == Reduction::Mean { 1.0 / n_atoms } else { 1.0 };
        sums.slice_mut(s![center.structure, block * n..(block + 1) * n]).scaled_add(factor, &row);
    }
    sums
}

#[test]
fn rows_of_structures_are_sums_and_means_of_those_of_their_atoms() {
    let empty = Structure::molecule(Vec::new(), Vec::new());
    let alone = Structure::molecule(vec![8], vec![[0.0; 3]]);
    // 324 atoms: several threads share it.
    let large = crystal().repeated([6, 6, 3]).unwrap();
    let structures =
        [vec![empty.clone(), molecule(), alone, crystal()], vec![molecule(); 9], vec![large, empty]].concat();
    let expansion = expansion();
    for (kind, invariants) in features(&expansion).into_iter().enumerate() {
        let x = invariants.forward(&structures).unwrap();
        for reduction in [Reduction::Sum, Reduction::Mean] {
            for by_species in [false, true] {
                let how = PerStructure { reduction, by_species };
                let found = invariants.per_structure(&structures, how).unwrap();
                let expected = summed(&x, &structures, how, expansion.species());
                let largest = expected.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
                assert!(largest > 0.0);
                let difference = (&found - &expected).iter().fold(0.0, |a: f64, b| a.max(b.abs()));
                assert!(difference <= 1e-12 * largest, "{kind}, {how:?}: {difference:e} of {largest:e}");
                assert!(found.row(0).iter().chain(found.row(structures.len() - 1)).all(|&x| x == 0.0));
            }
        }
    }
}

#[test]
fn rows_of_structures_have_the_same_bits_for_any_number_of_threads() {
    let structures = [vec![molecule(); 30], vec![crystal().repeated([6, 6, 3]).unwrap(), molecule()]].concat();
    let invariants = &features(&expansion())[2];
    let how = PerStructure { reduction: Reduction::Mean, by_species: true };
    let with = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| invariants.per_structure(&structures, how).unwrap())
    };
    assert!(with(1) == with(3));
    let one_by_one: Vec<_> =
        structures.iter().map(|s| invariants.per_structure(std::slice::from_ref(s), how)).collect();
    for (row, alone) in with(2).outer_iter().zip(one_by_one) {
        assert!((&row - &alone.unwrap().row(0)).iter().all(|difference| difference.abs() < 1e-12));
    }
}

#[test]
fn rows_of_structures_of_an_unknown_species_are_refused() {
    let invariants = Invariants::radial_spectrum(&expansion(), false);
    let how = PerStructure { reduction: Reduction::Sum, by_species: true };
    let gold = Structure::molecule(vec![6, 79], vec![[0.0; 3], [0.0, 0.0, 9.0]]);
    let refused = invariants.per_structure(&[molecule(), gold], how).unwrap_err().to_string();
    assert!(refused.contains("Au") && refused.contains("frame 1"), "{refused}");
    let refused =
        invariants.per_structure_to(&[molecule()], how, None, Array2::<f64>::zeros((1, 5)).view_mut()).unwrap_err();
    assert!(refused.to_string().contains("a row for each structure"), "{refused}");
}
