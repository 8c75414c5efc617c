//! Copies of a structure that come by turns each find a list, and lists are made no more often than for one copy.

use rhobasis::neighbors::VerletPool;
use rhobasis::structure::Vec3;
use rhobasis::{Error, Structure};

const SKIN: f64 = 0.4;

/// Numbers between −1 and 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    fn shake(&mut self, structure: &mut Structure, by: f64) {
        structure.positions.iter_mut().flatten().for_each(|x| *x += by * self.next());
    }
}

/// Eight atoms of silicon.
fn crystal() -> Structure {
    let corners: [Vec3; 4] = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
    let all = corners.iter().flat_map(|r| [r.map(|x| 5.43 * x), r.map(|x| 5.43 * (x + 0.25))]).collect();
    Structure::crystal(vec![14; 8], all, [[5.43, 0.0, 0.0], [0.0, 5.43, 0.0], [0.0, 0.0, 5.43]])
}

/// Beads further apart than half of the skin.
fn beads(n: usize, noise: &mut Noise) -> Vec<Structure> {
    let bead = |_| {
        let mut bead = crystal();
        noise.shake(&mut bead, 0.35);
        bead
    };
    (0..n).map(bead).collect()
}

fn pool() -> VerletPool {
    VerletPool::new(4.0, SKIN).unwrap()
}

#[test]
fn sixteen_beads_that_hardly_move_have_sixteen_lists_and_keep_them() {
    let mut noise = Noise(1);
    let mut beads = beads(16, &mut noise);
    let mut pool = pool();
    for _ in 0..50 {
        for bead in &mut beads {
            noise.shake(bead, 1e-3);
            pool.list(bead).unwrap();
        }
    }
    assert_eq!((pool.made(), pool.n_lists()), (16, 16));
}

#[test]
fn beads_that_drift_have_lists_made_no_more_often_than_each_alone() {
    let mut noise = Noise(2);
    let mut beads = beads(16, &mut noise);
    let drift: Vec<Vec3> = (0..16).map(|_| std::array::from_fn(|_| 0.02 * noise.next())).collect();
    let (mut together, mut apart) = (pool(), vec![pool(); 16]);
    for _ in 0..100 {
        for ((bead, drift), alone) in beads.iter_mut().zip(&drift).zip(&mut apart) {
            bead.positions.iter_mut().for_each(|r| (0..3).for_each(|d| r[d] += drift[d]));
            together.list(bead).unwrap();
            alone.list(bead).unwrap();
        }
    }
    let alone: u64 = apart.iter().map(VerletPool::made).sum();
    assert!(alone > 64 && together.made() <= alone + 16, "{} together, {alone} alone", together.made());
    assert!(together.n_lists() <= 24, "{}", together.n_lists());
}

#[test]
fn beads_that_start_as_one_and_spread_get_a_list_each_when_they_need_it() {
    let mut noise = Noise(3);
    let mut beads = vec![crystal(); 16];
    let mut pool = pool();
    for step in 0..200 {
        for bead in &mut beads {
            noise.shake(bead, if step < 50 { 0.03 } else { 1e-4 });
            pool.list(bead).unwrap();
        }
        if step == 0 {
            assert_eq!(pool.made(), 1, "they share it");
        }
        if step == 100 {
            assert!(pool.n_lists() <= 16, "{}", pool.n_lists());
        }
    }
    let made = pool.made();
    beads.iter().for_each(|bead| assert!(pool.list(bead).is_ok()));
    assert_eq!(pool.made(), made);
}

#[test]
fn a_structure_that_moves_on_alone_has_one_list() {
    let (mut noise, mut structure, mut pool) = (Noise(4), crystal(), pool());
    for _ in 0..300 {
        noise.shake(&mut structure, 0.02);
        pool.list(&structure).unwrap();
    }
    assert!(pool.made() > 5 && pool.n_lists() == 1, "{} made, {} kept", pool.made(), pool.n_lists());
}

#[test]
fn structures_without_end_have_no_more_than_some_lists() {
    let (mut noise, mut pool) = (Noise(5), pool());
    for structure in beads(300, &mut noise) {
        pool.list(&structure).unwrap();
    }
    assert_eq!((pool.made(), pool.n_lists()), (300, 64));
    let many = beads(100, &mut noise);
    let lists = pool.take_lists(&many).unwrap();
    pool.put_back(lists);
    assert_eq!(pool.n_lists(), 64);
}

#[test]
fn lists_that_are_taken_together_are_those_of_their_structures() {
    let mut noise = Noise(6);
    let mut beads = beads(7, &mut noise);
    beads[3] = beads[2].clone(); // each has its own even so
    let mut pool = pool();
    for _ in 0..20 {
        let mut lists = pool.take_lists(&beads).unwrap();
        for (list, bead) in lists.iter_mut().zip(&beads) {
            assert!(!list.list().update(bead).unwrap(), "it serves");
        }
        pool.put_back(lists);
        beads.iter_mut().for_each(|bead| noise.shake(bead, 1e-3));
    }
    assert_eq!(pool.made(), 7);
}

#[test]
fn another_cell_or_number_of_atoms_is_another_list_and_an_error_harms_none() {
    let mut pool = pool();
    let first = crystal();
    pool.list(&first).unwrap();
    let mut wider = crystal();
    wider.cell[0][0] += 1e-9;
    assert!(!pool.list(&wider).unwrap().update(&wider).unwrap());
    let pair = Structure::molecule(vec![14; 2], vec![[0.0; 3], [0.0, 0.0, 2.0]]);
    pool.list(&pair).unwrap();
    assert_eq!(pool.made(), 3);
    let mut broken = crystal();
    broken.positions[1] = broken.positions[0];
    assert!(matches!(pool.list(&broken), Err(Error::Structure { .. })));
    broken.positions[1][0] = f64::NAN;
    assert!(matches!(pool.list(&broken), Err(Error::Structure { .. })));
    for known in [&first, &wider, &pair] {
        pool.list(known).unwrap();
    }
    assert_eq!(pool.made(), 3);
    assert!(VerletPool::new(0.0, 0.1).is_err() && VerletPool::new(1.0, -0.1).is_err());
}
