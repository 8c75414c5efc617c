//! Features of some atoms: the rows that they have among those of all.

use ndarray::{Array2, Array3, Axis};
use rhobasis::Structure;
use rhobasis::correlations::{Invariants, PerStructure, Reduction};
use rhobasis::density::{
    Centers, Density, ExpansionSettings, Primitive, Sigma, SphericalExpansion, centers_of, check_centers_occur,
};

fn expansion() -> SphericalExpansion {
    let density = Density { r_cut: 3.5, sigma: Sigma::Same(0.4), ..Density::default() };
    let settings =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max: 3 }, l_max: 2, ..Default::default() };
    SphericalExpansion::new(&settings, &[6, 14]).unwrap()
}

/// Silicon carbide of 8·n³ atoms, shaken, species by turns if `mixed`, else all silicon first.
fn carbide(n: usize, mixed: bool) -> Structure {
    let (a, mut species, mut positions) = (4.36, Vec::new(), Vec::new());
    let basis = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
    for (shift, z) in [(0.0, 14), (0.25, 6)] {
        for cell in 0..n.pow(3) {
            let corner = [cell % n, cell / n % n, cell / n / n];
            for site in basis {
                species.push(z);
                positions.push(std::array::from_fn(|d| a * (corner[d] as f64 + site[d] + shift)));
            }
        }
    }
    let n_atoms = species.len();
    for (k, r) in positions.iter_mut().enumerate() {
        let shake: [f64; 3] = std::array::from_fn(|d| 0.1 * ((7 * k + 3 * d) as f64).sin());
        (0..3).for_each(|d| r[d] += shake[d]);
    }
    if mixed {
        let order: Vec<usize> = (0..n_atoms / 2).flat_map(|k| [k, k + n_atoms / 2]).collect();
        species = order.iter().map(|&k| species[k]).collect();
        positions = order.iter().map(|&k| positions[k]).collect();
    }
    let side = a * n as f64;
    Structure::crystal(species, positions, [[side, 0.0, 0.0], [0.0, side, 0.0], [0.0, 0.0, side]])
}

/// Small ones that share a run, one of a few runs, one that threads share, one without atoms, one without the species.
fn structures() -> Vec<Structure> {
    let carbon = Structure::molecule(vec![6, 6], vec![[0.0; 3], [0.0, 0.0, 1.3]]);
    let empty = Structure::molecule(Vec::new(), Vec::new());
    vec![carbide(1, true), empty, carbide(1, false), carbon, carbide(2, true), carbide(4, true)]
}

fn choices(structures: &[Structure]) -> Vec<Centers> {
    let n_atoms: usize = structures.iter().map(Structure::len).sum();
    let mask: Vec<bool> = (0..n_atoms).map(|k| k % 3 == 1 || k % 50 > 40).collect();
    let first = |s: &Structure| if s.is_empty() { vec![] } else { vec![s.len() as i64 - 1, 0] };
    vec![
        Centers::of_species(structures, &[14]),
        Centers::of_species(structures, &[6, 14]),
        Centers::of_mask(structures, &mask).unwrap(),
        Centers::of_atoms(structures, &structures.iter().map(first).collect::<Vec<_>>()).unwrap(),
        Centers::of_species(structures, &[]),
    ]
}

/// Rows of these centres among those of all.
fn rows(structures: &[Structure], centers: &Centers) -> Vec<usize> {
    let chosen = centers.table(structures);
    let all = centers_of(structures);
    chosen.iter().map(|center| all.iter().position(|other| other == center).unwrap()).collect()
}

#[test]
fn rows_of_chosen_centers_are_those_among_all_rounded_where_so_wanted() {
    let (structures, expansion) = (structures(), expansion());
    let soap = Invariants::power_spectrum(&expansion, None, true).unwrap();
    let (x, c) = (soap.forward(&structures).unwrap(), expansion.forward(&structures).unwrap());
    for centers in choices(&structures) {
        let rows = rows(&structures, &centers);
        assert!(rows.is_sorted() && rows.len() == centers.len());
        let expected = x.select(Axis(0), &rows);
        let mut found = Array2::<f64>::from_elem(expected.dim(), f64::NAN);
        soap.forward_centers_to(&structures, Some(&centers), found.view_mut()).unwrap();
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-14));
        let mut single = Array2::<f32>::from_elem(expected.dim(), f32::NAN);
        soap.forward_centers_to(&structures, Some(&centers), single.view_mut()).unwrap();
        assert!(single == found.mapv(|x| x as f32));

        let mut blocks: Vec<Array3<f32>> =
            c.blocks.iter().map(|block| Array3::zeros((rows.len(), block.dim().1, block.dim().2))).collect();
        let mut views: Vec<_> = blocks.iter_mut().map(|block| block.view_mut()).collect();
        expansion.forward_centers_to(&structures, Some(&centers), &mut views).unwrap();
        for (found, all) in blocks.iter().zip(&c.blocks) {
            let expected = all.select(Axis(0), &rows);
            assert!(found.iter().zip(&expected).all(|(&a, b)| (f64::from(a) - b).abs() <= 1e-7 * b.abs()));
        }
    }
}

#[test]
fn sums_and_means_are_over_chosen_centers() {
    let (structures, expansion) = (structures(), expansion());
    let spectrum = Invariants::radial_spectrum(&expansion, false);
    let (x, n) = (spectrum.forward(&structures).unwrap(), spectrum.n_features());
    for centers in choices(&structures) {
        for (reduction, by_species) in [(Reduction::Sum, false), (Reduction::Mean, false), (Reduction::Mean, true)] {
            let how = PerStructure { reduction, by_species };
            let mut expected = Array2::<f64>::zeros((structures.len(), spectrum.n_features_per_structure(how)));
            for (center, row) in centers.table(&structures).iter().zip(rows(&structures, &centers)) {
                let first = if by_species && center.species == 14 { n } else { 0 };
                let n_centers = if reduction == Reduction::Mean { centers.n_of(center.structure) } else { 1 };
                for (k, x) in x.row(row).iter().enumerate() {
                    expected[[center.structure, first + k]] += x / n_centers as f64;
                }
            }
            let mut found = Array2::<f64>::from_elem(expected.dim(), f64::NAN);
            spectrum.per_structure_to(&structures, how, Some(&centers), found.view_mut()).unwrap();
            let largest = expected.iter().fold(1e-300, |a: f64, b| a.max(b.abs()));
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-13 * largest), "{how:?}");
            let mut single = Array2::<f32>::from_elem(expected.dim(), f32::NAN);
            spectrum.per_structure_to(&structures, how, Some(&centers), single.view_mut()).unwrap();
            assert!(single == found.mapv(|x| x as f32));
        }
    }
}

#[test]
fn sums_of_many_structures_are_rounded_portion_by_portion() {
    let structures: Vec<Structure> = (0..200).map(|k| carbide(1, k % 3 == 0)).collect();
    let bispectrum = Invariants::bispectrum(&expansion(), false).unwrap();
    let how = PerStructure { reduction: Reduction::Sum, by_species: true };
    let double = bispectrum.per_structure(&structures, how).unwrap();
    let mut single = Array2::<f32>::zeros(double.dim());
    bispectrum.per_structure_to(&structures, how, None, single.view_mut()).unwrap();
    assert!(single == double.mapv(|x| x as f32));
    assert!(single.row(199).iter().any(|&x| x != 0.0));

    let mut broken = structures;
    broken[150].positions[1] = [f64::NAN; 3];
    let e = bispectrum.per_structure_to(&broken, how, None, single.view_mut()).unwrap_err().to_string();
    assert!(e.contains("frame 150, atom 1"), "{e}");
}

#[test]
fn what_cannot_be_chosen_is_refused() {
    let two = [carbide(1, true), carbide(1, false)];
    let refused = |atoms: &[Vec<i64>]| Centers::of_atoms(&two, atoms).unwrap_err().to_string();
    assert!(refused(&[vec![0]]).contains("there are 2"));
    assert!(refused(&[vec![0], vec![3, 8]]).contains("centers = 8: frame 1 has 8 atoms, counted from 0"));
    assert!(refused(&[vec![-1], vec![]]).contains("centers = -1: frame 0"));
    assert!(refused(&[vec![2, 0, 2], vec![]]).contains("centers = 2: frame 0 has this atom in its list twice"));
    let e = Centers::of_mask(&two, &[true; 15]).unwrap_err().to_string();
    assert!(e.contains("a mask of 15") && e.contains("have 16 atoms"), "{e}");
    let e = check_centers_occur(&[14, 1], &[6, 14]).unwrap_err().to_string();
    assert!(e.contains("centers = H") && e.contains("C Si"), "{e}");

    let spectrum = Invariants::radial_spectrum(&expansion(), false);
    let mut out = Array2::<f64>::zeros((8, spectrum.n_features()));
    let others = Centers::of_species(&two, &[6]);
    let e = spectrum.forward_centers_to(&two[..1], Some(&others), out.view_mut()).unwrap_err().to_string();
    assert!(e.contains("other structures"), "{e}");
}

#[test]
fn a_structure_without_centers_is_checked_like_the_others() {
    let mut structures = vec![carbide(1, true), Structure::molecule(vec![6], vec![[f64::NAN, 0.0, 0.0]])];
    let silicon = Centers::of_species(&structures, &[14]);
    let spectrum = Invariants::radial_spectrum(&expansion(), false);
    let mut out = Array2::<f64>::zeros((silicon.len(), spectrum.n_features()));
    let e = spectrum.forward_centers_to(&structures, Some(&silicon), out.view_mut()).unwrap_err().to_string();
    assert!(e.contains("frame 1, atom 0"), "{e}");
    structures[1].positions[0] = [0.0; 3];
    spectrum.forward_centers_to(&structures, Some(&silicon), out.view_mut()).unwrap();
}

/// What is left of a structure without atoms of a species.
fn without(structure: &Structure, species: u8) -> Structure {
    let kept: Vec<usize> = (0..structure.len()).filter(|&i| structure.species[i] != species).collect();
    let (species, positions) = kept.iter().map(|&i| (structure.species[i], structure.positions[i])).unzip();
    Structure { species, positions, ..structure.clone() }
}

#[test]
fn unknown_neighbors_that_are_ignored_are_as_if_they_were_not_there() {
    let (structures, expansion) = (structures(), expansion());
    let gold = |structure: &Structure| {
        let mut structure = structure.clone();
        structure.species.iter_mut().skip(1).step_by(3).for_each(|z| *z = 79);
        structure
    };
    let with: Vec<Structure> = structures.iter().map(gold).collect();
    let known = Centers::of_species(&with, &[6, 14]);
    let others: Vec<Structure> = with.iter().map(|structure| without(structure, 79)).collect();
    let spectra =
        [Invariants::power_spectrum(&expansion, None, false).unwrap(), Invariants::radial_spectrum(&expansion, true)];
    for spectrum in spectra {
        let expected = spectrum.forward(&others).unwrap();
        let mut found = Array2::<f64>::from_elem(expected.dim(), f64::NAN);
        let refused = spectrum.forward_centers_to(&with, Some(&known), found.view_mut()).unwrap_err().to_string();
        assert!(
            refused.contains("Au is not among the species") && refused.contains("leave the frame out"),
            "{refused}"
        );
        let ignoring = spectrum.ignoring_unknown_neighbors();
        ignoring.forward_centers_to(&with, Some(&known), found.view_mut()).unwrap();
        let largest = expected.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-13 * largest));
        assert!(ignoring.forward(&structures).unwrap() == spectrum.forward(&structures).unwrap());
        let refused = ignoring.forward(&with).unwrap_err().to_string();
        assert!(refused.contains("frame 0, atom 1: Au is not") && refused.contains("choose centers"), "{refused}");
    }
}

#[test]
fn forces_come_from_the_neighbors_that_are_not_ignored() {
    let expansion = expansion().ignoring_unknown_neighbors();
    let pair = [[0.0; 3], [0.0, 0.4, 1.9]];
    let bare = Structure::molecule(vec![6, 14], pair.to_vec());
    let c = expansion.forward(std::slice::from_ref(&bare)).unwrap();
    let bare = expansion.backward(&[bare], &c.views()).unwrap().remove(0);
    // Lists say what centres there are: the two, and gold beside them.
    let positions = [&pair[..], &[[1.5, 0.0, 0.0]]].concat();
    let gilded = [Structure::molecule(vec![6, 14, 79], positions)];
    let r_cut = expansion.density().r_cut;
    let lists = [rhobasis::neighbors::VerletList::given(r_cut, &[0, 2, 4], &[1, 2, 0, 2]).unwrap()];
    let adjoint = expansion.backward_with(&gilded, Some(&lists), &c.views()).unwrap().remove(0);
    assert_eq!(adjoint.forces[2], [0.0; 3]);
    assert_eq!(adjoint.forces[..2], bare.forces[..]);
    assert!(bare.forces[0].iter().any(|f| f.abs() > 1e-3));
}
