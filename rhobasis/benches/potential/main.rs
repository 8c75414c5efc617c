//! What a potential costs: energy, forces and stress per atom, and a fit.
//!
//! `make bench`, or `cargo bench -p rhobasis --bench potential`. Silicon, r_cut 5 Å, eight functions, l ≤ 6; the list of
//! neighbours is reused, positions move a little from step to step. One thread unless RAYON_NUM_THREADS says more.

use std::hint::black_box;
use std::time::Instant;

use rhobasis::Structure;
use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma};
use rhobasis::extxyz::{Labels, Options, labels, read};
use rhobasis::neighbors::VerletList;
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
        let sparse = train(&basis, true, ModelSettings::gap(), &frames, &labels);
        println!("sparse, 1,000 points, 216 atoms: {:.2} µs per atom and step", step(&sparse, &diamond(3)));
    });
}
