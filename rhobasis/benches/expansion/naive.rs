//! Eq. (8) as four plain loops, from the same tables: what the fast code is measured against.

use std::hint::black_box;

use ndarray::{Array2, Array3};
use rhobasis::Structure;
use rhobasis::density::{RadialTable, SolidHarmonics, SphericalExpansion};
use rhobasis::neighbors::NeighborList;

/// c_i[m, n] = Σ_j f(r_ji) I_nl(r_ji)/r_ji^l · r_ji^l Y_lm(r_ji) of one species, but for the centre itself: `[center, lm, n]`.
fn expand(
    expansion: &SphericalExpansion,
    tables: &[Array3<f64>],
    table: &RadialTable,
    harmonics: &SolidHarmonics,
    list: &NeighborList,
) -> Vec<Array2<f64>> {
    let l_max = harmonics.l_max();
    let n_max = tables[0].dim().2;
    let h = expansion.density().r_cut / (table.n_knots() - 1) as f64;
    let mut all = Vec::new();
    for center in 0..list.start.len() - 1 {
        let mut c = Array2::zeros(((l_max + 1).pow(2), n_max));
        for pair in list.pairs(center) {
            let r_ji = list.vector[pair];
            let r = r_ji.iter().map(|x| x * x).sum::<f64>().sqrt();
            let (f, _) = expansion.density().weight(r);
            let y = harmonics.evaluate(r_ji);
            let k = ((r / h) as usize).min(table.n_knots() - 2);
            let t = r / h - k as f64;
            let (h01, h10, h11) = (t * t * (3.0 - 2.0 * t), t * (1.0 - t).powi(2), t * t * (t - 1.0));
            for (l, table) in tables.iter().enumerate() {
                let at = |knot: usize, which: usize, n: usize| table[[knot, which, n]];
                for n in 0..n_max {
                    let value = (1.0 - h01) * at(k, 0, n) + h01 * at(k + 1, 0, n);
                    let value = f * (value + h * (h10 * at(k, 1, n) + h11 * at(k + 1, 1, n)));
                    for lm in l * l..(l + 1) * (l + 1) {
                        c[[lm, n]] += value * y[lm];
                    }
                }
            }
        }
        all.push(c);
    }
    all
}

/// The naive values of silicon, as a job.
pub fn values<'a>(
    expansion: &'a SphericalExpansion,
    frames: &'a [Structure],
    lists: &'a [NeighborList],
) -> Box<dyn FnMut() + Send + 'a> {
    assert!(frames.iter().all(|f| f.species.iter().all(|&z| z == 14)), "one species");
    let (tables, table, harmonics) = parts(expansion);
    Box::new(move || {
        for list in lists {
            black_box(expand(expansion, &tables, table, &harmonics, list));
        }
    })
}

/// Both ways must give the same numbers, or the times mean nothing.
pub fn check(expansion: &SphericalExpansion, frame: &Structure, list: &NeighborList) {
    let (tables, table, harmonics) = parts(expansion);
    let naive = expand(expansion, &tables, table, &harmonics, list);
    let fast = expansion.forward(std::slice::from_ref(frame)).unwrap();
    for (l, block) in fast.blocks.iter().enumerate().skip(1) {
        for ((i, m, n), c) in block.indexed_iter() {
            assert!((c - naive[i][[l * l + m, n]]).abs() < 1e-13, "centre {i}, l {l}, m {m}, n {n}");
        }
    }
}

fn parts(expansion: &SphericalExpansion) -> (Vec<Array3<f64>>, &RadialTable, SolidHarmonics) {
    let table = expansion.table(None, 14).expect("silicon is splined");
    let l_max = expansion.l_max();
    ((0..=l_max).map(|l| table.array(l)).collect(), table, SolidHarmonics::new(l_max))
}
