//! What NICE costs, per atom, from structures: `cargo bench -p rhobasis --bench nice -- [FILE]`.
//!
//! Beside the time of one thread stands how much faster two are, by the clock, and beside values how many operations a second the
//! combinations of products alone would be, next to what the processor can do with numbers that are in registers.
//!
//! 20 channels for each l ≤ 5 (all neighbour species together), ν ≤ 4, of each order 1,000 pairs of each parity, 100
//! equivariants for each (σ, λ), 500 of 5,000 invariants: 1,520 features. Bundled molecules, or those of FILE.

use std::hint::black_box;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use multiversion::multiversion;
use ndarray::Array1;
use rhobasis::Structure;
use rhobasis::correlations::{
    Choice, FeatureKind, Invariants, Member, Nice, NiceSample, NiceSelection, NiceSettings, Split,
};
use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma};
use rhobasis::extxyz::{Labels, Options, labels, read};
use rhobasis::models::Solver;
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use rhobasis::potential::{Alpha, Baseline, Basis, ModelSettings, Potential, TrainSettings, Trainer, Weights};

const REPEATS: usize = 5;

fn main() {
    let bundled = format!("{}/../examples/data/molecules_rattled.xyz.xz@:100", env!("CARGO_MANIFEST_DIR"));
    let file = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or(bundled);
    let molecules = read(&file, &Options::default()).unwrap();
    let basis = basis(&molecules);
    let expansion = basis.expansion();
    let n_atoms: usize = molecules.iter().map(Structure::len).sum();
    println!("{n_atoms} atoms; µs per atom of one thread, the least of {REPEATS} runs, and how much faster two are");
    println!("a fused multiplication and addition in registers: {:.0} Gflop/s", peak());
    let pools = [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    let least = |pool: &rayon::ThreadPool, clock: fn() -> f64, job: &(dyn Fn() + Sync)| {
        let once = |_| {
            pool.install(|| {
                let begun = clock();
                job();
                clock() - begun
            })
        };
        (0..REPEATS).map(once).fold(f64::MAX, f64::min)
    };
    let report = |name: &str, job: &(dyn Fn() + Sync)| {
        let [one, two] = pools.each_ref().map(|pool| least(pool, on_clock, job));
        let micros = 1e6 / n_atoms as f64 * least(&pools[0], on_cpu, job);
        println!("{name:50} {micros:8.1} {:6.2}", one / two);
        micros
    };
    report("coefficients", &|| drop(black_box(expansion.forward(&molecules).unwrap())));
    let chosen = NiceSettings { nu_max: 4, ..NiceSettings::default() };
    for (name, settings) in [
        ("lowest degrees", NiceSettings { choice: Choice::Degree, ..chosen.clone() }),
        ("chosen products", chosen.clone()),
        ("chosen products, not rotated", NiceSettings { rotate: false, ..chosen.clone() }),
        ("chosen products, balanced", NiceSettings { split: Split::Balanced, ..chosen.clone() }),
        ("principal components", NiceSettings { selection: NiceSelection::Pca, ..chosen }), // the fit takes minutes
    ] {
        let begun = Instant::now();
        let mut sample = NiceSample::new(expansion, settings.n_centers).unwrap();
        sample.add(&molecules).unwrap();
        let nice = Nice::fit(&settings, &sample).unwrap();
        println!("{name}: fitted to {} atoms in {:.1} s", nice.n_centers(), begun.elapsed().as_secs_f64());
        let invariants = Invariants::nice(expansion, &nice, false).unwrap();
        println!("    {} features", invariants.n_features());
        let micros = report("    values", &|| drop(black_box(invariants.forward(&molecules).unwrap())));
        let flops = nice.contraction_flops() as f64;
        if flops > 0.0 {
            println!("    {:.2} Mflop an atom in combinations: {:.0} Gflop/s", 1e-6 * flops, 1e-3 * flops / micros);
        }
        let weights = Array1::<f64>::ones(invariants.n_features());
        let weights = weights.broadcast((n_atoms, invariants.n_features())).unwrap();
        report("    adjoint", &|| drop(black_box(invariants.backward(&molecules, weights).unwrap())));
        if settings.choice == Choice::Degree {
            continue;
        }
        let potential = potential(&basis, &nice, &molecules);
        report("    linear potential: energy, forces, virial", &|| {
            drop(black_box(potential.predict(&molecules, true).unwrap()));
        });
    }
}

/// Seconds by the clock since the first call.
fn on_clock() -> f64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGUN.elapsed().as_secs_f64()
}

/// Seconds that this thread has run, whatever else the machine does; by the clock where that is not known.
fn on_cpu() -> f64 {
    let known = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = known.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(on_clock, |ns| 1e-9 * ns)
}

/// 10⁹ operations a second in 10 sums of 8 numbers each, as many as keep the units of one core busy.
fn peak() -> f64 {
    const N: usize = 4_000_000;
    let once = |_| {
        let begun = on_cpu();
        black_box(sums(black_box([1.0 - 1e-9; 8]), N));
        on_cpu() - begun
    };
    let seconds = (0..REPEATS).map(once).fold(f64::MAX, f64::min);
    1e-9 * (2 * 8 * SUMS * N) as f64 / seconds
}

const SUMS: usize = 10;

#[multiversion(targets("x86_64+avx512f+avx2+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn sums(factor: [f64; 8], n: usize) -> [[f64; 8]; SUMS] {
    let mut sums = [[1.0_f64; 8]; SUMS];
    for _ in 0..n {
        for sum in &mut sums {
            for k in 0..8 {
                sum[k] = sum[k].mul_add(factor[k], 1e-3);
            }
        }
    }
    sums
}

/// A linear potential of the energies alone: what it predicts does not matter here.
fn potential(basis: &OptimalBasis, nice: &Nice, molecules: &[Structure]) -> Potential {
    let labels: Vec<Labels> = molecules.iter().map(|m| labels(m, &Options::default()).unwrap()).collect();
    let member = Member {
        nice: Some(nice.settings().clone()),
        fitted: Some(Arc::new(nice.clone())),
        ..Member::new(FeatureKind::Nice, false)
    };
    let settings = TrainSettings {
        features: member.into(),
        model: ModelSettings::Ridge { alpha: Alpha::Fixed(1e-6), solver: Solver::Cholesky },
        baseline: Baseline::default(),
        repulsion: Default::default(),
        weights: Weights::default(),
    };
    let labels: Vec<Labels> = labels.into_iter().map(|l| Labels { energy: l.energy, ..Labels::default() }).collect();
    let (basis, frames) = (Basis::Optimal(basis.clone()), &molecules[..20]);
    let mut trainer = Trainer::new(basis, &settings, frames, &labels[..20]).unwrap();
    trainer.advance(frames.len()).unwrap();
    trainer.finish().unwrap()
}

fn basis(molecules: &[Structure]) -> OptimalBasis {
    let density = Density { r_cut: 5.0, sigma: Sigma::Same(0.3), cutoff_width: 0.5, ..Density::default() };
    let expansion =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max: 5 }, l_max: 5, ..Default::default() };
    let settings = CovarianceSettings { expansion, mixing: Mixing::Combined, center_specific: false, weighting: None };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(molecules, None).unwrap();
    OptimalBasis::from_covariance(&covariance, Truncation::QMax(20)).unwrap()
}
