//! Forces and stress are derivatives; symmetries; what a file holds; a reused list.

use rhobasis::Structure;
use rhobasis::files::Stored;
use rhobasis::neighbors::VerletList;
use rhobasis::potential::Potential;
use rhobasis::structure::Vec3;

use super::samples::{Noise, energy, potentials};

/// How far a slope is from difference quotients of fourth order: from the nearest of several steps, since long ones meet the
/// edge of the cutoff, where second derivatives jump, and short ones the rounding of energies.
fn from_difference_quotient(slope: f64, f: impl Fn(f64) -> f64) -> f64 {
    let quotient = |h: f64| (f(h) - f(-h)) / (2.0 * h);
    let richardson = |h: f64| (4.0 * quotient(h) - quotient(2.0 * h)) / 3.0;
    [1e-4, 3e-4, 1e-3].into_iter().map(|h| (slope - richardson(h)).abs()).fold(f64::INFINITY, f64::min)
}

/// How far the forces on all atoms are from difference quotients of the energy, in parts of the largest.
pub fn error_of_forces(potential: &Potential, structure: &Structure) -> f64 {
    let forces = potential.predict(std::slice::from_ref(structure), true).unwrap()[0].forces.clone();
    let largest = forces.as_flattened().iter().fold(0.0_f64, |m, f| m.max(f.abs()));
    assert!(largest > 0.0, "there are forces");
    let of_component = |(atom, d): (usize, usize)| {
        let moved = |x: f64| {
            let mut s = structure.clone();
            s.positions[atom][d] += x;
            energy(potential, &s)
        };
        from_difference_quotient(-forces[atom][d], moved) / largest
    };
    (0..structure.len()).flat_map(|atom| (0..3).map(move |d| (atom, d))).map(of_component).fold(0.0, f64::max)
}

#[test]
fn forces_and_stress_are_derivatives_of_the_energy() {
    for (name, potential, frames) in potentials() {
        for structure in [&frames[0], &frames[2]] {
            let error = error_of_forces(potential, structure);
            assert!(error < 1e-8, "{name}: {error:e} of the largest force");
            let predicted = &potential.predict(std::slice::from_ref(structure), true).unwrap()[0];
            for (p, q) in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)] {
                let strained = |x: f64| {
                    let mut s = structure.clone();
                    let half = if p == q { x } else { 0.5 * x };
                    let map = |r: &Vec3| {
                        let mut r2 = *r;
                        r2[q] += half * r[p];
                        if p != q {
                            r2[p] += half * r[q];
                        }
                        r2
                    };
                    s.positions = s.positions.iter().map(map).collect();
                    s.cell = std::array::from_fn(|k| map(&s.cell[k]));
                    energy(potential, &s)
                };
                let scale = predicted.virial.iter().fold(0.0_f64, |m, f| m.max(f.abs()));
                let difference = from_difference_quotient(-predicted.virial[[p, q]], strained);
                assert!(difference < 1e-8 * scale, "{name}: strain {p}{q}: {difference:e} of {scale}");
                assert_eq!(predicted.virial[[p, q]], predicted.virial[[q, p]]);
            }
            if structure.pbc == [true; 3] {
                let stress = predicted.stress(structure).unwrap();
                assert!((stress[[0, 1]] + predicted.virial[[0, 1]] / structure.volume()).abs() < 1e-15);
            } else {
                assert!(predicted.stress(structure).is_err());
            }
        }
    }
}

fn rotated(structure: &Structure) -> (Structure, impl Fn(&Vec3) -> Vec3 + use<>) {
    let (a, b) = (0.7_f64, 1.1_f64);
    let turn = move |r: &Vec3| {
        let [x, y, z] = [a.cos() * r[0] - a.sin() * r[1], a.sin() * r[0] + a.cos() * r[1], r[2]];
        [x, b.cos() * y - b.sin() * z, b.sin() * y + b.cos() * z]
    };
    let mut s = structure.clone();
    s.positions = s.positions.iter().map(turn).collect();
    s.cell = std::array::from_fn(|k| turn(&s.cell[k]));
    (s, turn)
}

#[test]
fn energies_are_invariant_and_forces_turn_with_the_structure() {
    for (name, potential, frames) in potentials() {
        let structure = &frames[1];
        let (turned, turn) = rotated(structure);
        let both = potential.predict(&[structure.clone(), turned], true).unwrap();
        let scale = energy(potential, structure).abs().max(1.0);
        assert!((both[0].energy - both[1].energy).abs() < 1e-10 * scale, "{name}");
        let largest = both[0].forces.as_flattened().iter().fold(0.0_f64, |m, f| m.max(f.abs()));
        let mut sum = [0.0; 3];
        for (f, g) in both[0].forces.iter().zip(&both[1].forces) {
            let f2 = turn(f);
            (0..3).for_each(|d| assert!((f2[d] - g[d]).abs() < 1e-10 * largest.max(scale), "{name}"));
            (0..3).for_each(|d| sum[d] += f[d]);
        }
        assert!(sum.iter().all(|s| s.abs() < 1e-11 * largest.max(scale)), "{name}: {sum:?}");
        // Permuted atoms and an inverted structure.
        let mut other = structure.clone();
        other.positions.swap(0, 3);
        other.positions.iter_mut().flatten().for_each(|x| *x = -*x);
        other.cell.iter_mut().flatten().for_each(|x| *x = -*x);
        let e = potential.predict(&[other], false).unwrap()[0].energy;
        assert!((e - both[0].energy).abs() < 1e-10 * scale, "{name}: {e} {}", both[0].energy);
    }
}

#[test]
fn doubling_the_cell_doubles_the_energy() {
    for (name, potential, frames) in potentials() {
        let one = &frames[0];
        let mut two = one.clone();
        two.species.extend(&one.species);
        two.positions.extend(one.positions.iter().map(|r| std::array::from_fn(|d| r[d] + one.cell[1][d])));
        two.cell[1] = one.cell[1].map(|x| 2.0 * x);
        let p = potential.predict(&[one.clone(), two], true).unwrap();
        let scale = energy(potential, one).abs().max(1.0);
        assert!((2.0 * p[0].energy - p[1].energy).abs() < 1e-10 * scale, "{name}");
        assert!((p[0].energies.iter().sum::<f64>() - p[0].energy).abs() < 1e-10 * p[0].energy.abs(), "{name}");
        for (f, g) in p[0].forces.iter().chain(&p[0].forces).zip(&p[1].forces) {
            (0..3).for_each(|d| assert!((f[d] - g[d]).abs() < 1e-9 * scale, "{name}"));
        }
    }
}

#[test]
fn a_file_holds_everything() {
    for (name, potential, frames) in potentials() {
        let bytes = potential.to_bytes();
        let loaded = Potential::from_bytes(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(loaded.predict(frames, true).unwrap(), potential.predict(frames, true).unwrap(), "{name}");
        assert_eq!(loaded.to_bytes(), bytes, "{name}");
        assert_eq!(loaded.settings(), potential.settings());
        match potential.energy_variances(frames) {
            Ok(variances) => assert_eq!(loaded.energy_variances(frames).unwrap(), variances, "{name}"),
            Err(_) => assert!(loaded.energy_variances(frames).is_err(), "{name}"),
        }
    }
}

#[test]
fn a_reused_list_gives_the_same_numbers() {
    for (name, potential, frames) in potentials().iter().step_by(3) {
        let mut list = VerletList::new(potential.r_cut(), 0.5).unwrap();
        let mut structure = frames[1].clone();
        let mut noise = Noise(9);
        let mut made = 0;
        for step in 0..20 {
            let found = potential.evaluate(&structure, &mut list).unwrap();
            let expected = &potential.predict(std::slice::from_ref(&structure), true).unwrap()[0];
            let scale = energy(potential, &structure).abs().max(1.0);
            assert!((found.energy - expected.energy).abs() < 1e-11 * scale, "{name}, step {step}");
            for (f, g) in found.forces.iter().zip(&expected.forces) {
                (0..3).for_each(|d| assert!((f[d] - g[d]).abs() < 1e-9 * scale, "{name}, step {step}"));
            }
            structure.positions.iter_mut().flatten().for_each(|x| *x += 0.05 * noise.next());
            made += usize::from(list.clone().update(&structure).unwrap());
        }
        assert!(made > 0 && made < 20, "{made}");
    }
}
