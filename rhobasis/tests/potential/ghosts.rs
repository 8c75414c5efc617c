//! Neighbour lists given from outside: periodic structures unfolded into centres and ghosts, as the engines of molecular dynamics
//! hand them over.

use ndarray::{Array2, ArrayView3};
use rhobasis::correlations::Invariants;
use rhobasis::density::{
    Density, Equivariants, ExpansionSettings, Primitive, Sigma, SphericalExpansion, centers_of, species_of,
};
use rhobasis::extxyz::{Options, read};
use rhobasis::neighbors::{NeighborList, VerletList};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use rhobasis::potential::Beside;
use rhobasis::structure::Vec3;
use rhobasis::{Error, Structure};

use crate::common;
use crate::samples::potentials;

const R_CUT: f64 = 4.5;
const WITH_VIRIALS: Beside = Beside { virials: true, extrapolation: false };

/// A structure without periodicity: the atoms, then their images within a list of more than the cutoff; and what each atom is
/// an image of.
fn unfold(structure: &Structure, r_cut: f64) -> (Structure, VerletList, Vec<usize>) {
    let skin = 0.5;
    let list = NeighborList::new(structure, r_cut + skin).unwrap();
    let mut ghosts: std::collections::BTreeMap<(u32, [i32; 3]), u32> = Default::default();
    let (mut atoms, mut owner) = (structure.clone(), (0..structure.len()).collect::<Vec<_>>());
    (atoms.pbc, atoms.cell) = ([false; 3], [[0.0; 3]; 3]);
    let mut neighbor = Vec::new();
    for (&j, &shift) in list.neighbor.iter().zip(&list.shift) {
        let index = match shift {
            [0, 0, 0] => j,
            _ => *ghosts.entry((j, shift)).or_insert_with(|| {
                let image: Vec3 = std::array::from_fn(|d| {
                    let moved: f64 = (0..3).map(|k| f64::from(shift[k]) * structure.cell[k][d]).sum();
                    structure.positions[j as usize][d] + moved
                });
                atoms.species.push(structure.species[j as usize]);
                atoms.positions.push(image);
                owner.push(j as usize);
                owner.len() as u32 - 1
            }),
        };
        neighbor.push(index);
    }
    (atoms, VerletList::given(r_cut, &list.start, &neighbor).unwrap(), owner)
}

/// Forces of ghosts go to the atoms that they are images of.
fn fold(of_all: &[Vec3], owner: &[usize], n_atoms: usize) -> Vec<Vec3> {
    let mut forces = vec![[0.0; 3]; n_atoms];
    for (force, &atom) in of_all.iter().zip(owner) {
        (0..3).for_each(|d| forces[atom][d] += force[d]);
    }
    forces
}

/// Sums of the same numbers in another order.
fn same(found: &[f64], expected: &[f64], what: &str) {
    within(1e-14, found, expected, what);
}

/// The same, where terms of a force cancel: those of long products by two digits.
fn close(found: &[f64], expected: &[f64], what: &str) {
    within(1e-12, found, expected, what);
}

fn within(tolerance: f64, found: &[f64], expected: &[f64], what: &str) {
    let largest = expected.iter().fold(0.0_f64, |a, x| a.max(x.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * largest, "{what}: {a} and {b}, of {largest} at most");
    }
}

fn density() -> Density {
    Density { r_cut: R_CUT, sigma: Sigma::Same(0.4), cutoff_width: 1.0, ..Density::default() }
}

fn settings() -> ExpansionSettings {
    ExpansionSettings { density: density(), primitive: Primitive::Gto { n_max: 5 }, l_max: 4, ..Default::default() }
}

/// Positions and cells in multiples of 2⁻²⁴ Å, of which sums are exact: images are where the periodic search sees them, to the bit.
fn on_grid(mut structure: Structure) -> Structure {
    let to_grid = |x: &mut f64| *x = (*x * 2f64.powi(24)).round() * 2f64.powi(-24);
    structure.positions.iter_mut().chain(&mut structure.cell).flatten().for_each(to_grid);
    structure
}

/// Bundled silicon, and a skewed cell of four species that is smaller than the cutoff, with atoms outside of it.
fn structures() -> Vec<Structure> {
    let path = common::root().join("examples/data/silicon.xyz.xz@2:4");
    let mut all = read(path.display().to_string(), &Options::default()).unwrap();
    let positions = vec![[0.1, -0.2, 0.3], [1.9, 2.2, 0.2], [2.3, 0.1, 2.4], [-1.5, 2.0, 2.2], [0.3, 6.1, 3.9]];
    let cell = [[4.1, 0.3, 0.0], [-0.4, 4.4, 0.2], [0.3, -0.1, 4.6]];
    all.push(Structure::crystal(vec![73, 41, 42, 74, 41], positions, cell));
    all
}

fn check(expansion: &SphericalExpansion, structure: &Structure, name: &str) {
    let (atoms, list, owner) = unfold(structure, R_CUT);
    let (one, lists, n) = (std::slice::from_ref(structure), [list], structure.len());
    assert!(atoms.len() > 2 * n, "{name}: there are ghosts");

    let expected = expansion.forward(one).unwrap();
    let mut found = Equivariants::zeros(centers_of(one), expected.keys.clone(), expected.channels.clone());
    let mut views: Vec<_> = found.blocks.iter_mut().map(|block| block.view_mut()).collect();
    expansion.forward_to(std::slice::from_ref(&atoms), Some(&lists), None, &mut views).unwrap();
    for (found, expected) in found.blocks.iter().zip(&expected.blocks) {
        same(found.as_slice().unwrap(), expected.as_slice().unwrap(), name);
    }
    let gradient: Vec<ArrayView3<f64>> = expected.views();
    let periodic = &expansion.backward(one, &gradient).unwrap()[0];
    let ghosts = &expansion.backward_with(std::slice::from_ref(&atoms), Some(&lists), &gradient).unwrap()[0];
    assert_eq!(ghosts.forces.len(), atoms.len());
    close(fold(&ghosts.forces, &owner, n).as_flattened(), periodic.forces.as_flattened(), name);
    same(ghosts.virial.as_slice().unwrap(), periodic.virial.as_slice().unwrap(), name);

    for normalize in [false, true] {
        let features = Invariants::power_spectrum(expansion, None, normalize).unwrap();
        let x = features.forward(one).unwrap();
        let mut found = Array2::zeros(x.dim());
        features.forward_to(std::slice::from_ref(&atoms), Some(&lists), None, found.view_mut()).unwrap();
        same(found.as_slice().unwrap(), x.as_slice().unwrap(), name);
        let gradient = Array2::from_shape_fn(x.dim(), |(i, k)| ((i + 3 * k) as f64).sin());
        let periodic = &features.backward(one, gradient.view()).unwrap()[0];
        let ghosts = &features.backward_with(std::slice::from_ref(&atoms), Some(&lists), gradient.view()).unwrap()[0];
        close(fold(&ghosts.forces, &owner, n).as_flattened(), periodic.forces.as_flattened(), name);
        same(ghosts.virial.as_slice().unwrap(), periodic.virial.as_slice().unwrap(), name);
    }
}

#[test]
fn centres_and_ghosts_are_the_periodic_structure() {
    for structure in structures().into_iter().map(on_grid) {
        let species = species_of(std::slice::from_ref(&structure));
        check(&SphericalExpansion::new(&settings(), &species).unwrap(), &structure, "primitive");
        for mixing in [Mixing::PerSpecies, Mixing::Combined] {
            for center_specific in [false, true] {
                let settings = CovarianceSettings { expansion: settings(), mixing, center_specific, weighting: None };
                let mut covariance = Covariance::new(&settings).unwrap();
                covariance.add(std::slice::from_ref(&structure), None).unwrap();
                let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(3)).unwrap();
                check(basis.expansion(), &structure, &format!("{mixing:?}, centre-specific: {center_specific}"));
            }
        }
    }
}

#[test]
fn potentials_of_centres_and_ghosts_are_those_of_the_periodic_structure() {
    for (name, potential, frames) in potentials() {
        for structure in frames.iter().filter(|frame| frame.pbc == [true; 3]).take(3).cloned().map(on_grid) {
            let structure = &structure;
            let (atoms, mut list, owner) = unfold(structure, potential.r_cut());
            let expected = &potential.predict(std::slice::from_ref(structure), true).unwrap()[0];
            let found = potential.evaluate(&atoms, &mut list).unwrap();
            same(&[found.energy], &[expected.energy], name);
            same(&found.energies, &expected.energies, name);
            close(fold(&found.forces, &owner, structure.len()).as_flattened(), expected.forces.as_flattened(), name);
        }
    }
}

/// Sums of 3 x 3 numbers over the images of each atom.
fn fold_virials(of_all: &[[Vec3; 3]], owner: &[usize], n_atoms: usize) -> Vec<[Vec3; 3]> {
    let mut virials = vec![[[0.0; 3]; 3]; n_atoms];
    for (virial, &atom) in of_all.iter().zip(owner) {
        let sum = virials[atom].as_flattened_mut();
        sum.iter_mut().zip(virial.as_flattened()).for_each(|(sum, x)| *sum += x);
    }
    virials
}

#[test]
fn the_virial_of_an_atom_is_its_distance_from_each_centre_times_the_force_of_that_centre() {
    for (name, potential, frames) in potentials() {
        let structure = frames.iter().find(|frame| frame.pbc == [true; 3]).unwrap();
        let (atoms, mut list, _) = unfold(structure, potential.r_cut());
        let found = potential.evaluate_with(&atoms, &mut list, WITH_VIRIALS).unwrap();
        let without = potential.evaluate(&atoms, &mut list).unwrap();
        assert_eq!(rhobasis::potential::Prediction { virials: vec![], ..found.clone() }, without, "{name}");

        let total = fold_virials(&found.virials, &vec![0; atoms.len()], 1);
        close(total.as_flattened().as_flattened(), found.virial.as_slice().unwrap(), name);

        // What one centre pulls at its neighbours, with that centre as the first atom.
        let mut expected = vec![[[0.0; 3]; 3]; atoms.len()];
        for i in 0..structure.len() {
            let mut swapped = atoms.clone();
            swapped.positions.swap(0, i);
            swapped.species.swap(0, i);
            let others: Vec<u32> = (1..atoms.len() as u32).collect();
            let mut one = VerletList::given(potential.r_cut(), &[0, others.len()], &others).unwrap();
            let forces = potential.evaluate(&swapped, &mut one).unwrap().forces;
            for j in 1..atoms.len() {
                let virial = &mut expected[if j == i { 0 } else { j }];
                for (p, q) in (0..9).map(|k| (k / 3, k % 3)) {
                    virial[p][q] += (swapped.positions[j][p] - swapped.positions[0][p]) * forces[j][q];
                }
            }
        }
        let flat = |virials: &[[Vec3; 3]]| virials.as_flattened().as_flattened().to_vec();
        close(&flat(&found.virials), &flat(&expected), name);
    }
}

#[test]
fn virials_of_atoms_do_not_depend_on_how_centres_are_shared_out() {
    let (name, potential, frames) = potentials().iter().next().unwrap();
    let small = on_grid(frames.iter().find(|frame| frame.pbc == [true; 3]).unwrap().clone());
    let virials = |structure: &Structure| {
        let (atoms, mut list, owner) = unfold(structure, potential.r_cut());
        let found = potential.evaluate_with(&atoms, &mut list, WITH_VIRIALS).unwrap().virials;
        let alone =
            rhobasis::on_this_thread(|| potential.evaluate_with(&atoms, &mut list, WITH_VIRIALS).unwrap().virials);
        assert_eq!(found, alone, "one thread gives the same bits");
        fold_virials(&found, &owner, structure.len())
    };
    let expected = virials(&small);
    for (k, found) in virials(&small.repeated([5, 4, 4]).unwrap()).iter().enumerate() {
        close(found.as_flattened(), expected[k % small.len()].as_flattened(), name);
    }
}

#[test]
fn a_list_that_does_not_fit_is_refused() {
    let structure = &structures()[0];
    let (atoms, list, _) = unfold(structure, R_CUT);
    let expansion = SphericalExpansion::new(&settings(), &[14]).unwrap();
    let refused = |structure: &Structure, list: &VerletList| -> Error {
        let mut c = expansion.forward(&[]).unwrap();
        let mut views: Vec<_> = c.blocks.iter_mut().map(|block| block.view_mut()).collect();
        let done =
            expansion.forward_to(std::slice::from_ref(structure), Some(std::slice::from_ref(list)), None, &mut views);
        done.unwrap_err()
    };
    let few = Structure { species: vec![14; 3], positions: atoms.positions[..3].to_vec(), ..atoms.clone() };
    for (structure, list) in
        [(&few, &list), (structure, &list), (&atoms, &VerletList::given(R_CUT + 1.0, &[0], &[]).unwrap())]
    {
        assert!(refused(structure, list).to_string().starts_with("lists = 1: "));
    }
    let e = list.clone().update(structure).unwrap_err().to_string();
    assert!(e.contains("pbc T T T: not those of the list"), "{e}");
    for (start, neighbor) in [(vec![1, 1], vec![0]), (vec![0, 2, 1], vec![0]), (vec![0, 2], vec![0]), (vec![], vec![])]
    {
        let e = VerletList::given(R_CUT, &start, &neighbor).unwrap_err().to_string();
        assert!(e.starts_with("start = "), "{e}");
    }
    let touching = [Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, 1e-5]])];
    let lists = [VerletList::given(R_CUT, &[0, 1], &[1]).unwrap()];
    let soap = Invariants::power_spectrum(&expansion, None, false).unwrap();
    let e =
        soap.forward_to(&touching, Some(&lists), None, Array2::zeros((1, soap.n_features())).view_mut()).unwrap_err();
    assert!(e.to_string().starts_with("frame 0, atom 0: atoms 0 and 1"), "{e}");
}
