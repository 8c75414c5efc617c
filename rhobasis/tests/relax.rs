//! Crystals at rest, and how stiff they are: of pair potentials, whose derivatives are short sums.

use rhobasis::neighbors::NeighborList;
use rhobasis::potential::{
    BirchMurnaghan, ElasticConstants, Evaluated, GPA, RelaxCell, RelaxSettings, energies_of_volumes, lattice_constants,
    relax,
};
use rhobasis::structure::Vec3;
use rhobasis::{Result, Structure};

/// A Morse potential of D = 0.3 eV, a = 1.4/Å, r_0 = 2.9 Å, cut off smoothly at 6 Å.
fn morse(s: &Structure) -> Result<Evaluated> {
    let list = NeighborList::new(s, 6.0)?;
    let (mut energy, mut forces, mut virial) = (0.0, vec![[0.0; 3]; s.len()], [[0.0; 3]; 3]);
    for i in 0..s.len() {
        for pair in list.pairs(i) {
            let (j, d) = (list.neighbor[pair] as usize, list.vector[pair]);
            let r = d.iter().map(|x| x * x).sum::<f64>().sqrt();
            let e = (-1.4 * (r - 2.9)).exp();
            let (cut, slope) = ((1.0 - r * r / 36.0).powi(3), -6.0 * r / 36.0 * (1.0 - r * r / 36.0).powi(2));
            let value = 0.3 * (e * e - 2.0 * e);
            let dv = 0.3 * 1.4 * (-2.0 * e * e + 2.0 * e) * cut + value * slope;
            energy += 0.5 * value * cut;
            for p in 0..3 {
                forces[i][p] += 0.5 * dv * d[p] / r;
                forces[j][p] -= 0.5 * dv * d[p] / r;
                (0..3).for_each(|q| virial[p][q] -= 0.5 * dv * d[p] * d[q] / r);
            }
        }
    }
    Ok(Evaluated { energy, forces, virial: Some(virial) })
}

fn fcc(a: f64) -> Structure {
    let h = 0.5 * a;
    let positions = vec![[0.0; 3], [0.0, h, h], [h, 0.0, h], [h, h, 0.0]];
    Structure::crystal(vec![29; 4], positions, [[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]])
}

fn tight(pressure: f64) -> RelaxSettings {
    RelaxSettings { fmax: 1e-6, cell: Some(RelaxCell { pressure, smax: 1e-5 }), max_steps: 5000 }
}

/// Atoms off their places in a cell that is off its shape.
fn rattled() -> Structure {
    let mut crystal = fcc(4.1);
    crystal.cell[0][1] = 0.1;
    crystal.cell[2][0] = -0.07;
    let push = |i: usize, d: usize| 0.07 * ((7 * i + 3 * d) % 5) as f64 - 0.14;
    crystal.positions.iter_mut().enumerate().for_each(|(i, r)| *r = std::array::from_fn(|d| r[d] + push(i, d)));
    crystal
}

#[test]
fn a_crystal_comes_to_rest_with_its_cell_wherever_it_began() {
    let crystal = relax(fcc(4.0), &tight(0.0), morse).unwrap();
    let again = relax(rattled(), &tight(0.0), morse).unwrap();
    assert!((crystal.evaluated.energy - again.evaluated.energy).abs() < 1e-8, "{} eV", again.evaluated.energy);
    assert!((crystal.structure.volume() - again.structure.volume()).abs() < 1e-3);
    let [a, b, c, alpha, beta, gamma] = lattice_constants(&again.structure);
    for (x, y) in [(a, b), (b, c), (alpha, 90.0), (beta, 90.0), (gamma, 90.0)] {
        assert!((x - y).abs() < 2e-3, "{a} {b} {c} {alpha} {beta} {gamma}");
    }
    assert!(again.fmax < 1e-6 && again.smax.unwrap() < 1e-5 && again.steps > 10);
    // The cell stays where it is unless it is asked to move.
    let atoms = relax(rattled(), &RelaxSettings { cell: None, ..tight(0.0) }, morse).unwrap();
    assert_eq!(atoms.structure.cell, rattled().cell);
    assert!(atoms.evaluated.energy > again.evaluated.energy + 1e-3);
}

#[test]
fn under_pressure_the_stress_is_minus_that_pressure() {
    let crystal = relax(rattled(), &tight(5.0), morse).unwrap();
    let (virial, volume) = (crystal.evaluated.virial.unwrap(), crystal.structure.volume());
    for (p, row) in virial.iter().enumerate() {
        for (q, w) in row.iter().enumerate() {
            let expected = if p == q { 5.0 } else { 0.0 };
            assert!((w / volume / GPA - expected).abs() < 1e-4);
        }
    }
}

#[test]
fn elastic_constants_of_a_pair_potential_are_cubic_and_cauchy() {
    let crystal = relax(fcc(4.0), &tight(0.0), morse).unwrap();
    let found = ElasticConstants::of(&crystal.structure, 1e-3, &tight(0.0), morse).unwrap();
    let c = found.c;
    // Cauchy: C12 = C44 where forces are along bonds and no atom is moved by a strain.
    for (i, j) in [(1, 1), (2, 2)] {
        assert!((c[i][j] - c[0][0]).abs() < 1e-2, "{c:?}");
    }
    for (i, j) in [(0, 1), (0, 2), (1, 2), (4, 4), (5, 5)] {
        assert!((c[i][j] - c[3][3]).abs() < 2e-2, "{c:?}");
    }
    for (i, j) in [(0, 3), (1, 4), (2, 5), (3, 4), (3, 5), (4, 5)] {
        assert!(c[i][j].abs() < 1e-3, "{c:?}");
    }
    assert!(found.asymmetry < 0.02 && found.smallest() > 0.0);
    // The same as second derivatives of the energy.
    let energy = |strain: [f64; 3]| {
        let mut s = crystal.structure.clone();
        let scaled = |r: Vec3| -> Vec3 { std::array::from_fn(|d| r[d] * (1.0 + strain[d])) };
        s.cell = s.cell.map(scaled);
        s.positions.iter_mut().for_each(|r| *r = scaled(*r));
        morse(&s).unwrap().energy
    };
    let h = 2e-3;
    let second = (energy([h, 0.0, 0.0]) + energy([-h, 0.0, 0.0]) - 2.0 * energy([0.0; 3])) / (h * h);
    let c11 = second / crystal.structure.volume() / GPA;
    assert!((c11 - c[0][0]).abs() < 0.005 * c11, "{c11} {}", c[0][0]);
    // All averages of a cubic crystal have one bulk modulus, which is that of the equation of state.
    let [bulk, shear] = found.reuss().unwrap();
    assert!((bulk - found.bulk_voigt()).abs() < 1e-3 && shear < found.shear_voigt());
    assert!((bulk - (c[0][0] + 2.0 * c[0][1]) / 3.0).abs() < 1e-2);
    let scales: Vec<f64> = (0..11).map(|k| 0.95 + 0.01 * f64::from(k)).collect();
    let points = energies_of_volumes(&crystal.structure, &scales, &tight(0.0), morse).unwrap();
    let curve = BirchMurnaghan::fit(&points).unwrap();
    assert!((curve.bulk / bulk - 1.0).abs() < 0.01, "{curve:?} {bulk}");
    assert!((curve.volume / crystal.structure.volume() - 1.0).abs() < 2e-4);
    assert!(curve.error < 1e-4 && (curve.energy - crystal.evaluated.energy).abs() < 1e-4);
}

#[test]
fn the_equation_of_state_gives_back_what_it_was_made_of() {
    let (v0, e0, b0, bp) = (40.0, -10.0, 98.0, 4.6);
    let energy = |v: f64| {
        let x: f64 = (v0 / v).powf(2.0 / 3.0);
        e0 + 9.0 * v0 * b0 * GPA / 16.0 * ((x - 1.0).powi(3) * bp + (x - 1.0).powi(2) * (6.0 - 4.0 * x))
    };
    let points: Vec<[f64; 2]> = (0..9).map(|k| 36.0 + f64::from(k)).map(|v| [v, energy(v)]).collect();
    let curve = BirchMurnaghan::fit(&points).unwrap();
    for (found, expected) in [(curve.volume, v0), (curve.energy, e0), (curve.bulk, b0), (curve.derivative, bp)] {
        assert!((found - expected).abs() < 1e-6 * expected.abs(), "{curve:?}");
    }
    let h = 1e-4;
    let pressure = -(curve.at(38.0 + h) - curve.at(38.0 - h)) / (2.0 * h) / GPA;
    assert!((pressure - curve.pressure(38.0)).abs() < 1e-4 && curve.error < 1e-9);
    assert!(BirchMurnaghan::fit(&points[..4]).unwrap_err().to_string().contains("seven or more"));
    assert!(BirchMurnaghan::fit(&points[5..]).unwrap_err().to_string().contains("seven or more"));
    let falling: Vec<[f64; 2]> = (0..9).map(|k| 50.0 + f64::from(k)).map(|v| [v, energy(v)]).collect();
    assert!(BirchMurnaghan::fit(&falling).unwrap_err().to_string().contains("no minimum"));
}

#[test]
fn what_does_not_come_to_rest_says_so() {
    let few = RelaxSettings { max_steps: 3, ..tight(0.0) };
    let message = relax(rattled(), &few, morse).unwrap_err().to_string();
    assert!(
        message.contains("after 3 steps the largest force is") && message.contains("stress + pressure"),
        "{message}"
    );
    let burst = relax(fcc(4.0), &tight(-60.0), morse).unwrap_err().to_string();
    assert!(burst.contains("times the volume that it began with"), "{burst}");
    let open = Structure { pbc: [true, true, false], ..fcc(4.0) };
    assert!(relax(open, &tight(0.0), morse).unwrap_err().to_string().contains("cannot be relaxed"));
    let forces = |s: &Structure| Ok((0.0, vec![[0.0; 3]; s.len()]));
    assert!(relax(fcc(4.0), &tight(0.0), forces).unwrap_err().to_string().contains("no virial"));
    for settings in [RelaxSettings { fmax: 0.0, ..tight(0.0) }, RelaxSettings { fmax: f64::NAN, ..tight(0.0) }] {
        assert!(relax(fcc(4.0), &settings, morse).unwrap_err().to_string().starts_with("fmax = "));
    }
    assert!(relax(fcc(4.0), &tight(f64::NAN), morse).unwrap_err().to_string().starts_with("pressure = NaN"));
    let wide = ElasticConstants::of(&fcc(4.0), 0.5, &tight(0.0), morse);
    assert!(wide.unwrap_err().to_string().starts_with("strain = 0.5"));
}
