//! What a potential costs: energy, forces and stress per atom, and a fit.
//!
//! `make bench`, or `cargo bench -p rhobasis --bench potential`. Silicon, r_cut 5 Å, eight functions, l ≤ 6; the list of
//! neighbours is reused, positions move a little from step to step. One thread unless RAYON_NUM_THREADS says more.

use std::hint::black_box;
use std::time::Instant;

use rhobasis::Structure;
use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma};
use rhobasis::extxyz::{Labels, Options, labels, read};
use rhobasis::neighbors::{VerletList, VerletPool};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use rhobasis::potential::{
    Baseline, Basis, FeatureKind, FeatureSettings, Member, ModelSettings, Potential, TrainSettings, Trainer, Weights,
};

/// A rattled diamond lattice with n cells of eight atoms along each edge.
fn diamond(n: usize) -> Structure {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let a = 5.46;
    let basis = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
    let mut positions = Vec::new();
    for cell in 0..n * n * n {
        let corner = [cell / (n * n), cell / n % n, cell % n].map(|k| k as f64);
        for b in basis {
            for shift in [0.0, 0.25] {
                positions.push(std::array::from_fn(|d| a * (corner[d] + b[d] + shift) + 0.28 * (uniform() - 0.5)));
            }
        }
    }
    let edge = n as f64 * a;
    Structure::crystal(vec![14; positions.len()], positions, [[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]])
}

fn train(basis: &Basis, normalize: bool, model: ModelSettings, frames: &[Structure], labels: &[Labels]) -> Potential {
    let features = FeatureSettings::from(Member::new(FeatureKind::PowerSpectrum, normalize));
    let settings = TrainSettings {
        features,
        model,
        baseline: Baseline::default(),
        repulsion: Default::default(),
        weights: Weights::default(),
    };
    let start = Instant::now();
    let mut trainer = Trainer::new(basis.clone(), &settings, frames, labels).unwrap();
    let points = start.elapsed().as_secs_f64();
    trainer.advance(frames.len()).unwrap();
    let rows = start.elapsed().as_secs_f64();
    let counts = trainer.counts();
    let potential = trainer.finish().unwrap();
    println!(
        "fit: {} rows, {} parameters: {:.2} s sparse points, {:.2} s rows, {:.2} s solution",
        counts.n_rows(),
        potential.n_parameters(),
        points,
        rows - points,
        start.elapsed().as_secs_f64() - rows
    );
    potential
}

/// Microseconds per atom of a step, best of several.
fn step(potential: &Potential, structure: &Structure) -> f64 {
    let mut list = VerletList::new(potential.r_cut(), 0.3).unwrap();
    let mut moving = structure.clone();
    let mut best = f64::INFINITY;
    for k in 0..30 {
        for (i, r) in moving.positions.iter_mut().enumerate() {
            r[(i + k) % 3] += 1e-3 * ((i * 7 + k * 3) % 5) as f64 - 2e-3;
        }
        let start = Instant::now();
        black_box(potential.evaluate(&moving, &mut list).unwrap());
        best = best.min(start.elapsed().as_secs_f64());
    }
    best * 1e6 / structure.len() as f64
}

/// Seconds of a round of copies of a structure, each of which moves a little; the median of several.
fn round(copies: &mut [Structure], mut evaluate: impl FnMut(&Structure)) -> f64 {
    let mut times: Vec<f64> = (0..21)
        .map(|round| {
            for (k, copy) in copies.iter_mut().enumerate() {
                for (i, r) in copy.positions.iter_mut().enumerate() {
                    r[(i + k) % 3] += 1e-3 * ((i * 7 + k + round * 3) % 5) as f64 - 2e-3;
                }
            }
            let start = Instant::now();
            copies.iter().for_each(&mut evaluate);
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// What a step of each of 16 beads of a ring polymer costs that come by turns, over a step of one bead alone.
fn beads(potential: &Potential, structure: &Structure) {
    const N: usize = 16;
    let bead = |k: usize| {
        let mut bead = structure.clone();
        let positions = bead.positions.iter_mut().enumerate();
        positions.for_each(|(i, r)| r[i % 3] += 0.4 * ((i * 5 + k * 3) as f64).sin());
        bead
    };
    let (mut beads, mut alone): (Vec<Structure>, _) = ((0..N).map(bead).collect(), [bead(0)]);
    let mut pool = VerletPool::new(potential.r_cut(), 0.5).unwrap();
    let mut with_pool = |x: &Structure| {
        black_box(potential.evaluate(x, pool.list(x).unwrap()).unwrap());
    };
    let one = round(&mut alone, &mut with_pool);
    let pooled = round(&mut beads, &mut with_pool) / N as f64;
    let mut list = VerletList::new(potential.r_cut(), 0.5).unwrap();
    let single = round(&mut beads, |x| {
        black_box(potential.evaluate(x, &mut list).unwrap());
    });
    let single = single / N as f64;
    println!(
        "linear, {N} beads of {} atoms by turns, over one bead ({:.2} ms): {:.2} with a list each, {:.2} with one list",
        structure.len(),
        1e3 * one,
        pooled / one,
        single / one
    );
}

fn main() {
    let data = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let data = data.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/silicon.xyz.xz").into());
    let frames = read(&data, &Options::default()).unwrap();
    let labels: Vec<Labels> = frames.iter().map(|f| labels(f, &Options::default()).unwrap()).collect();
    let n_atoms: usize = frames.iter().map(Structure::len).sum();
    println!("{data}: {} frames, {n_atoms} atoms", frames.len());
    let density = Density { r_cut: 5.0, sigma: Sigma::Same(0.5), cutoff_width: 1.0, ..Density::default() };
    let expansion =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max: 16 }, l_max: 6, ..Default::default() };
    let settings =
        CovarianceSettings { expansion, mixing: Mixing::PerSpecies, center_specific: false, weighting: None };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(&frames, None).unwrap();
    let basis = Basis::Optimal(OptimalBasis::from_covariance(&covariance, Truncation::QMax(8)).unwrap());
    let threads = std::env::var("RAYON_NUM_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        println!("threads: {threads}");
        let linear = train(&basis, false, ModelSettings::ridge(), &frames, &labels);
        println!("linear, 1,000 atoms: {:.2} µs per atom and step", step(&linear, &diamond(5)));
        beads(&linear, &diamond(3));
        let sparse = train(&basis, true, ModelSettings::gap(), &frames, &labels);
        println!("sparse, 1,000 points, 216 atoms: {:.2} µs per atom and step", step(&sparse, &diamond(3)));
    });
}
