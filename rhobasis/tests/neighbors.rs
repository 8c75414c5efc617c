//! The neighbour list against ASE, vesin and a plain triple loop.

use proptest::prelude::*;
use rhobasis::{Structure, neighbors::NeighborList};
use serde_json::Value;

/// The definition, as loops.
mod naive_neighbors {
    use rhobasis::Structure;

    /// (j, S, r_ji) of every neighbour of centre i, for shifts up to `range` in each periodic direction.
    pub fn neighbors(x: &Structure, i: usize, r_cut: f64, range: i32) -> Vec<(usize, [i32; 3], [f64; 3])> {
        let steps = |k: usize| if x.pbc[k] { -range..=range } else { 0..=0 };
        let mut found = Vec::new();
        for j in 0..x.positions.len() {
            for s0 in steps(0) {
                for s1 in steps(1) {
                    for s2 in steps(2) {
                        let s = [s0, s1, s2];
                        let r: [f64; 3] = std::array::from_fn(|k| {
                            let image: f64 = (0..3).map(|m| f64::from(s[m]) * x.cell[m][k]).sum();
                            x.positions[j][k] - x.positions[i][k] + image
                        });
                        let is_itself = j == i && s == [0; 3];
                        if !is_itself && r.iter().map(|x| x * x).sum::<f64>().sqrt() < r_cut {
                            found.push((j, s, r));
                        }
                    }
                }
            }
        }
        found
    }
}

/// Pairs of a centre in a common order, (j, S, r_ji).
fn sorted(list: &NeighborList, i: usize) -> Vec<(usize, [i32; 3], [f64; 3])> {
    let mut pairs: Vec<_> = list.pairs(i).map(|p| (list.neighbor[p] as usize, list.shift[p], list.vector[p])).collect();
    pairs.sort_by_key(|&(j, s, _)| (j, s));
    pairs
}

/// Shape, exact antisymmetry, and vectors that are r_j - r_i + S·H to rounding.
fn check_consistency(x: &Structure, list: &NeighborList) {
    assert_eq!(list.start.len(), x.positions.len() + 1);
    assert_eq!((list.start[0], *list.start.last().unwrap()), (0, list.len()));
    assert_eq!((list.vector.len(), list.shift.len()), (list.len(), list.len()));
    let all: Vec<_> = (0..x.positions.len()).map(|i| sorted(list, i)).collect();
    for (i, pairs) in all.iter().enumerate() {
        for &(j, s, r) in pairs {
            let back =
                all[j].binary_search_by_key(&(i, s.map(|s| -s)), |&(j, s, _)| (j, s)).expect("(j, i, -S) is there");
            assert_eq!(all[j][back].2, r.map(|x| -x), "exactly opposite vectors");
            for (k, &r_k) in r.iter().enumerate() {
                let terms = [x.positions[j][k], -x.positions[i][k]];
                let terms: Vec<f64> = terms.into_iter().chain((0..3).map(|m| f64::from(s[m]) * x.cell[m][k])).collect();
                let size: f64 = terms.iter().map(|t| t.abs()).sum();
                // Wrapping goes through the compact cell, whose own rounding adds to that of the sum.
                assert!((terms.iter().sum::<f64>() - r_k).abs() <= 4e-15 * (size + 100.0), "{terms:?} {r_k}");
            }
        }
    }
}

fn check_against_loops(x: &Structure, r_cut: f64, range: i32) {
    let list = NeighborList::new(x, r_cut).unwrap();
    check_consistency(x, &list);
    for i in 0..x.positions.len() {
        let mut expected = naive_neighbors::neighbors(x, i, r_cut, range);
        expected.sort_by_key(|&(j, s, _)| (j, s));
        let found = sorted(&list, i);
        let keys = |v: &[(usize, [i32; 3], [f64; 3])]| v.iter().map(|&(j, s, _)| (j, s)).collect::<Vec<_>>();
        assert_eq!(keys(&found), keys(&expected), "centre {i}");
    }
}

fn reals(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn vectors(value: &Value) -> Vec<[f64; 3]> {
    value.as_array().unwrap().iter().map(|row| reals(row).try_into().unwrap()).collect()
}

/// A jittered grid of n³ atoms with spacing a.
fn jittered_grid(n: usize, a: f64) -> Vec<[f64; 3]> {
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..n * n * n).map(|m| [m % n, m / n % n, m / n / n].map(|k| (k as f64 + 0.4 * random()) * a)).collect()
}

#[test]
fn awkward_cells_give_the_neighbours_that_ase_and_vesin_find() {
    let text = include_str!("../../reference/neighbors/neighbors.json");
    let data: Value = serde_json::from_str(text).unwrap();
    let systems = data["systems"].as_array().unwrap();
    assert!(systems.len() >= 200);
    let mut list = NeighborList::default();
    for (index, system) in systems.iter().enumerate() {
        let positions = vectors(&system["positions"]);
        let pbc: Vec<bool> = system["pbc"].as_array().unwrap().iter().map(|x| x.as_bool().unwrap()).collect();
        let x = Structure {
            species: vec![1; positions.len()],
            positions,
            cell: vectors(&system["cell"]).try_into().unwrap(),
            pbc: pbc.try_into().unwrap(),
            ..Structure::default()
        };
        list.update(&x, system["r_cut"].as_f64().unwrap()).unwrap();
        check_consistency(&x, &list);
        for (i, expected) in system["centers"].as_array().unwrap().iter().enumerate() {
            let mut found = [0.0; 6];
            for p in list.pairs(i) {
                let [a, b, c] = list.vector[p];
                let shift = list.shift[p].map(f64::from);
                let r = (a * a + b * b + c * c).sqrt();
                let probe = a + 2f64.sqrt() * b + std::f64::consts::PI * c;
                let terms = [1.0, r, probe, shift[0], shift[1], shift[2]];
                found.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            }
            for (found, expected) in found.into_iter().zip(reals(expected)) {
                let tolerance = 1e-7 + 1e-10 * expected.abs();
                assert!(
                    (found - expected).abs() < tolerance,
                    "system {index} ({}), centre {i}: {found} {expected}",
                    system["kind"]
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cell_gives_the_neighbours_of_the_definition(
        entries in prop::array::uniform9(-4.0..4.0f64),
        pbc in prop::array::uniform3(any::<bool>()),
        fractions in prop::collection::vec(prop::array::uniform3(-1.0..2.0f64), 1..5),
        many in any::<bool>(),
        r_cut in 1.0..4.0f64,
    ) {
        let [a, b, c, d, e, f, g, h, i] = entries;
        let cell = [[a + 5.0_f64.copysign(a), b, c], [d, e + 5.0, f], [g, h, i - 6.0]];
        let mut x = Structure { species: vec![1; fractions.len()], cell, pbc, ..Structure::default() };
        let span = x.volume().abs();
        let faces: Vec<f64> = (0..3).map(|k| {
            let (p, q) = (cell[(k + 1) % 3], cell[(k + 2) % 3]);
            let n = [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
            span / n.iter().map(|x| x * x).sum::<f64>().sqrt()
        }).collect();
        let narrow = faces.into_iter().fold(f64::INFINITY, f64::min);
        prop_assume!(narrow > 2.0);
        x.positions = fractions.iter().map(|f| [0, 1, 2].map(|k| (0..3).map(|m| f[m] * cell[m][k]).sum())).collect();
        if many {
            x.positions.extend(jittered_grid(3, 1.7));
            x.species.resize(x.positions.len(), 1);
        }
        let distinct = (0..x.positions.len()).all(|i| {
            let near = naive_neighbors::neighbors(&x, i, 0.01, 4);
            near.is_empty()
        });
        prop_assume!(distinct);
        check_against_loops(&x, r_cut, (r_cut / narrow).ceil() as i32 + 4);
    }
}

#[test]
fn no_atoms_and_one_atom_have_no_neighbours() {
    let none = NeighborList::new(&Structure::default(), 5.0).unwrap();
    assert_eq!((none.start.as_slice(), none.len()), (&[0][..], 0));
    let empty_cell =
        Structure { pbc: [true; 3], cell: [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]], ..Structure::default() };
    assert!(NeighborList::new(&empty_cell, 5.0).unwrap().is_empty());
    let atom = Structure::molecule(vec![1], vec![[1.0, 2.0, 3.0]]);
    assert!(NeighborList::new(&atom, 5.0).unwrap().pairs(0).is_empty());
}

#[test]
fn a_pair_at_exactly_the_cutoff_is_left_out() {
    let dimer = Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 2.0]]);
    assert_eq!(NeighborList::new(&dimer, 2.0).unwrap().len(), 0);
    assert_eq!(NeighborList::new(&dimer, 2.0f64.next_up()).unwrap().len(), 2);
    let cubic = Structure::crystal(vec![1], vec![[0.3, 0.1, 0.2]], [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]);
    assert_eq!(NeighborList::new(&cubic, 2.0).unwrap().len(), 0);
    assert_eq!(NeighborList::new(&cubic, 2.0f64.next_up()).unwrap().len(), 6);
}

#[test]
fn molecules_on_both_sides_of_the_small_limit_agree_with_the_loops() {
    for n in [2, 3, 4, 5] {
        let positions = jittered_grid(n, 1.5);
        check_against_loops(&Structure::molecule(vec![1; positions.len()], positions), 3.3, 0);
    }
}

#[test]
fn fragments_a_thousand_kilometres_apart_keep_their_own_neighbours() {
    let near = jittered_grid(3, 1.5);
    let mut positions = near.clone();
    positions.extend(near.iter().map(|r| [r[0] + 1e6, r[1] - 3e6, r[2] + 1e16 / 1e10]));
    let x = Structure::molecule(vec![1; positions.len()], positions);
    check_against_loops(&x, 4.0, 0);
    let one_vector = Structure { pbc: [false, true, false], cell: [[0.0; 3], [0.0, 9.0, 1.0], [0.0; 3]], ..x };
    let list = NeighborList::new(&one_vector, 4.0).unwrap();
    check_consistency(&one_vector, &list);
}

#[test]
fn extreme_numbers_end_in_a_list_or_an_error() {
    let cube = |a: f64| [[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]];
    for size in [0.0, 1e-300, 1e-100, 1e-5, 1.0, 1e5, 1e100, 1e300, f64::INFINITY, f64::NAN] {
        for far in [0.0, 1.0, 1e8, 1e40, 1e160, 1e300, f64::NAN] {
            for r_cut in [1e-300, 1e-3, 1.0, 1e100, 1e300] {
                for pbc in [[true; 3], [true, false, true], [false, true, false], [false; 3]] {
                    for n in [2, 50] {
                        let mut positions: Vec<_> = (0..n).map(|m| [0.01 * f64::from(m), 0.0, 0.0]).collect();
                        positions[1] = [far, 0.5, far];
                        let x = Structure {
                            species: vec![1; positions.len()],
                            positions,
                            cell: cube(size),
                            pbc,
                            ..Structure::default()
                        };
                        if let Ok(list) = NeighborList::new(&x, r_cut) {
                            assert_eq!(list.start.len(), x.positions.len() + 1);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn equivalent_lattice_vectors_and_moved_atoms_describe_the_same_crystal() {
    let cell = [[4.0, 0.3, 0.0], [0.1, 5.0, -0.4], [0.7, 0.2, 4.5]];
    let base = Structure::crystal(vec![1; 2], vec![[0.1, 0.2, 0.3], [2.0, 2.5, 1.9]], cell);
    let skewed = {
        let [a, b, c] = cell;
        let b = [0, 1, 2].map(|k| b[k] + 1000.0 * a[k]);
        let c = [0, 1, 2].map(|k| c[k] - 37.0 * b[k]);
        Structure { cell: [a, b, c], ..base.clone() }
    };
    let distances = |x: &Structure| {
        let list = NeighborList::new(x, 9.0).unwrap();
        check_consistency(x, &list);
        let mut r: Vec<f64> = list.vector.iter().map(|v| v.iter().map(|x| x * x).sum::<f64>().sqrt()).collect();
        r.sort_by(f64::total_cmp);
        r
    };
    let (r, s) = (distances(&base), distances(&skewed));
    assert_eq!(r.len(), s.len());
    assert!(r.iter().zip(&s).all(|(r, s)| (r - s).abs() < 1e-9));
    let mut moved = base.clone();
    moved.positions[1] = [0, 1, 2].map(|k| base.positions[1][k] + 9999.0 * cell[0][k] - 5000.0 * cell[2][k]);
    let s = distances(&moved);
    assert_eq!(r.len(), s.len());
    assert!(r.iter().zip(&s).all(|(r, s)| (r - s).abs() < 1e-9));
}

#[test]
fn a_reused_list_equals_a_new_one() {
    let big = Structure::molecule(vec![1; 125], jittered_grid(5, 1.5));
    let crystal =
        Structure::crystal(vec![1; 27], jittered_grid(3, 1.5), [[4.5, 0.0, 0.0], [0.0, 4.5, 0.0], [0.0, 0.0, 4.5]]);
    let small = Structure::molecule(vec![1; 8], jittered_grid(2, 1.5));
    let mut list = NeighborList::default();
    for x in [&big, &crystal, &small, &crystal, &big] {
        list.update(x, 3.0).unwrap();
        let new = NeighborList::new(x, 3.0).unwrap();
        assert_eq!(
            (&list.start, &list.neighbor, &list.vector, &list.shift),
            (&new.start, &new.neighbor, &new.vector, &new.shift)
        );
    }
}

#[test]
fn mistakes_are_named_with_a_remedy() {
    let message = |x: &Structure, r_cut: f64| NeighborList::new(x, r_cut).unwrap_err().to_string();
    let dimer = Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 5e-4]]);
    assert!(message(&dimer, 3.0).contains("atoms 0 and 1 (shift [0, 0, 0]) are only 5.000e-4 Å apart"));
    let crystal = Structure::crystal(
        vec![1, 1],
        vec![[0.0; 3], [4.0, 0.0, 1e-4]],
        [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]],
    );
    assert!(message(&crystal, 3.0).contains("atoms 0 and 1 (shift [-1, 0, 0]) are only 1.000e-4 Å apart"));
    for r_cut in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(message(&crystal, r_cut).contains("r_cut"));
    }
    let tiny = Structure::crystal(vec![1], vec![[0.0; 3]], [[0.01, 0.0, 0.0], [0.0, 0.01, 0.0], [0.0, 0.0, 0.01]]);
    assert!(message(&tiny, 6.0).contains("neighbours per atom"));
    let flat = Structure::crystal(vec![1], vec![[0.0; 3]], [[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
    assert!(message(&flat, 6.0).contains("no volume"));
    let lost = Structure { positions: vec![[f64::NAN, 0.0, 0.0]], ..tiny };
    assert!(message(&lost, 0.001).contains("atom 0"));
}
