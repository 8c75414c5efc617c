//! What a centre costs: primitive and contracted, values and adjoint, direct and two-step, by number of species.
//!
//! `cargo bench -p rhobasis --bench expansion`. Best of several interleaved rounds, one thread; look at ratios.

use std::hint::black_box;
use std::time::Instant;

use ndarray::{Array2, s};
use rhobasis::Structure;
use rhobasis::density::{
    Density, Equivariants, ExpansionSettings, Primitive, Sigma, SphericalExpansion, Workspace, species_of,
};
use rhobasis::neighbors::NeighborList;
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};

const R_CUT: f64 = 6.0;
const L_MAX: usize = 6;

/// A rattled diamond lattice of 64 atoms whose species alternate at random.
fn crystal(species: &[u8], seed: u64) -> Structure {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let a = 5.431;
    let basis = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
    let (mut z, mut positions) = (Vec::new(), Vec::new());
    for cell in 0..8 {
        let corner = [cell / 4, cell / 2 % 2, cell % 2].map(|k| k as f64);
        for b in basis {
            for shift in [0.0, 0.25] {
                z.push(species[(uniform() * species.len() as f64) as usize]);
                positions.push(std::array::from_fn(|d| a * (corner[d] + b[d] + shift) + 0.3 * (uniform() - 0.5)));
            }
        }
    }
    let edge = 2.0 * a;
    Structure::crystal(z, positions, [[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]])
}

fn settings(n_max: usize) -> ExpansionSettings {
    ExpansionSettings {
        density: Density { r_cut: R_CUT, sigma: Sigma::Same(0.5), ..Density::default() },
        primitive: Primitive::Gto { n_max },
        l_max: L_MAX,
        spline_accuracy: Some(1e-8),
    }
}

fn optimal(frames: &[Structure], n_max: usize, q_max: usize, mixing: Mixing) -> OptimalBasis {
    let settings = CovarianceSettings { expansion: settings(n_max), mixing, center_specific: false };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(frames, None).unwrap();
    OptimalBasis::from_covariance(&covariance, Truncation::QMax(q_max)).unwrap()
}

/// Something to time, with its name.
type Job<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// Microseconds per centre of each job, best of interleaved rounds.
fn time(n_centers: usize, jobs: &mut [Job]) -> Vec<f64> {
    let mut best = vec![f64::INFINITY; jobs.len()];
    for _ in 0..15 {
        for (best, (_, job)) in best.iter_mut().zip(jobs.iter_mut()) {
            let start = Instant::now();
            job();
            *best = best.min(start.elapsed().as_secs_f64() * 1e6 / n_centers as f64);
        }
    }
    best
}

/// Values given the neighbour lists, into buffers that are reused.
fn values<'a>(
    expansion: &'a SphericalExpansion,
    frames: &'a [Structure],
    lists: &'a [NeighborList],
) -> Box<dyn FnMut() + 'a> {
    let mut work = Workspace::new(expansion);
    let mut c = expansion.forward(&frames[..1]).unwrap();
    Box::new(move || {
        for (structure, list) in frames.iter().zip(lists) {
            let mut views: Vec<_> = c.blocks.iter_mut().map(|b| b.view_mut()).collect();
            expansion.forward_into(structure, list, &mut views, &mut work).unwrap();
        }
        black_box(&c);
    })
}

/// Eq. (12) after Eq. (4): the whole primitive expansion, then U.
fn two_step<'a>(
    primitive: &'a SphericalExpansion,
    basis: &'a OptimalBasis,
    frames: &'a [Structure],
    lists: &'a [NeighborList],
) -> Box<dyn FnMut() + 'a> {
    let mut work = Workspace::new(primitive);
    let mut c = primitive.forward(&frames[..1]).unwrap();
    Box::new(move || {
        for (structure, list) in frames.iter().zip(lists) {
            let mut views: Vec<_> = c.blocks.iter_mut().map(|b| b.view_mut()).collect();
            primitive.forward_into(structure, list, &mut views, &mut work).unwrap();
            black_box(contract(&c, basis));
        }
    })
}

fn contract(c: &Equivariants, basis: &OptimalBasis) -> Vec<Array2<f64>> {
    let blocks = &basis.kinds()[0].blocks;
    c.blocks
        .iter()
        .zip(blocks)
        .map(|(c, block)| {
            let (i, m, n) = c.dim();
            let rows = c.to_shape((i * m, n)).unwrap();
            rhobasis::linalg::matmul(rows.slice(s![.., ..]), block.contraction.u.t())
        })
        .collect()
}

fn main() {
    let frames: Vec<Structure> = (1..=4).map(|seed| crystal(&[14], seed)).collect();
    let n_centers: usize = frames.iter().map(Structure::len).sum();
    let lists: Vec<NeighborList> = frames.iter().map(|f| NeighborList::new(f, R_CUT).unwrap()).collect();
    let pairs: usize = lists.iter().map(NeighborList::len).sum();
    println!("silicon, r_cut {R_CUT} Å, l_max {L_MAX}: {:.1} neighbours per centre", pairs as f64 / n_centers as f64);

    let eight = SphericalExpansion::new(&settings(8), &[14]).unwrap();
    let twenty = SphericalExpansion::new(&settings(20), &[14]).unwrap();
    let q8 = optimal(&frames, 20, 8, Mixing::PerSpecies);
    let q4 = optimal(&frames, 20, 4, Mixing::PerSpecies);
    let gradient = eight.forward(&frames).unwrap();
    let mut list = NeighborList::default();
    let mut jobs: Vec<Job> = vec![
        ("neighbour list", Box::new(|| frames.iter().for_each(|f| list.update(black_box(f), R_CUT).unwrap()))),
        ("primitive n = 8", values(&eight, &frames, &lists)),
        ("contracted q = 8 from 20", values(q8.expansion(), &frames, &lists)),
        ("contracted q = 4 from 20", values(q4.expansion(), &frames, &lists)),
        ("primitive n = 20", values(&twenty, &frames, &lists)),
        (
            "adjoint n = 8, list included",
            Box::new(|| {
                black_box(eight.backward(&frames, &gradient.views()).unwrap());
            }),
        ),
    ];
    let best = time(n_centers, &mut jobs);
    for ((name, _), t) in jobs.iter().zip(&best) {
        println!("  {name:<32} {t:8.2} µs per centre");
    }
    println!("  contracted / primitive at 8 functions: {:.2}", best[2] / best[1]);

    println!("combined basis, q = 8 from 20 functions of each species:");
    for species in [&[14_u8][..], &[6, 7, 8, 14], &[1, 5, 6, 7, 8, 9, 14, 15, 16, 17]] {
        let frames: Vec<Structure> = (1..=4).map(|seed| crystal(species, seed)).collect();
        let lists: Vec<NeighborList> = frames.iter().map(|f| NeighborList::new(f, R_CUT).unwrap()).collect();
        let basis = optimal(&frames, 20, 8, Mixing::Combined);
        let primitive = SphericalExpansion::new(&settings(20), &species_of(&frames)).unwrap();
        let mut jobs = vec![
            ("direct", values(basis.expansion(), &frames, &lists)),
            ("two-step", two_step(&primitive, &basis, &frames, &lists)),
        ];
        let best = time(n_centers, &mut jobs);
        println!(
            "  {:>2} species: direct {:6.2}, two-step {:6.2} µs per centre, two-step / direct {:.1}",
            species.len(),
            best[0],
            best[1],
            best[1] / best[0]
        );
    }
}
