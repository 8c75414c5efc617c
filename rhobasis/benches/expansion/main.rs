//! What a centre costs: values and derivatives, primitive and contracted, by number of species and of threads.
//!
//! `make bench`, or `cargo bench -p rhobasis --bench expansion`. Best of several interleaved rounds; look at ratios. With
//! valgrind installed, `-- --counts` adds numbers of instructions, which other load does not change (valgrind knows no
//! AVX-512: they are those of the AVX2 code).

mod naive;

use std::hint::black_box;
use std::process::Command;
use std::slice::from_ref;
use std::time::Instant;

use ndarray::{Array2, s};
use rhobasis::Structure;
use rhobasis::density::{
    Density, Equivariants, ExpansionSettings, JacobianCursor, Motion, Primitive, Sigma, SphericalExpansion, Variable,
    species_of,
};
use rhobasis::neighbors::{NeighborList, VerletList};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};

const R_CUT: f64 = 6.0;
const L_MAX: usize = 6;

/// Numbers in [0, 1).
fn random(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A rattled diamond lattice of 64 atoms whose species alternate at random.
fn crystal(species: &[u8], seed: u64) -> Structure {
    diamond(2, species, seed)
}

/// A rattled diamond lattice of silicon, with n cells of eight atoms along each edge.
fn silicon_cell(n: usize, seed: u64) -> Structure {
    diamond(n, &[14], seed)
}

fn diamond(n: usize, species: &[u8], seed: u64) -> Structure {
    let mut uniform = random(seed);
    let a = 5.431;
    let basis = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
    let (mut z, mut positions) = (Vec::new(), Vec::new());
    for cell in 0..n * n * n {
        let corner = [cell / (n * n), cell / n % n, cell % n].map(|k| k as f64);
        for b in basis {
            for shift in [0.0, 0.25] {
                z.push(species[(uniform() * species.len() as f64) as usize]);
                positions.push(std::array::from_fn(|d| a * (corner[d] + b[d] + shift) + 0.3 * (uniform() - 0.5)));
            }
        }
    }
    let edge = n as f64 * a;
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
    let settings = CovarianceSettings { expansion: settings(n_max), mixing, center_specific: false, weighting: None };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(frames, None).unwrap();
    OptimalBasis::from_covariance(&covariance, Truncation::QMax(q_max)).unwrap()
}

/// Something to time, with its name.
type Job<'a> = (&'static str, Box<dyn FnMut() + Send + 'a>);

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
    lists: &'a [VerletList],
) -> Box<dyn FnMut() + Send + 'a> {
    let mut c = expansion.forward(&frames[..1]).unwrap();
    Box::new(move || {
        for (structure, list) in frames.iter().zip(lists) {
            let mut views: Vec<_> = c.blocks.iter_mut().map(|b| b.view_mut()).collect();
            expansion.forward_to(from_ref(structure), Some(from_ref(list)), None, &mut views).unwrap();
        }
        black_box(&c);
    })
}

/// Eq. (12) after Eq. (4): the whole primitive expansion, then U.
fn two_step<'a>(
    primitive: &'a SphericalExpansion,
    basis: &'a OptimalBasis,
    frames: &'a [Structure],
    lists: &'a [VerletList],
) -> Box<dyn FnMut() + Send + 'a> {
    let mut c = primitive.forward(&frames[..1]).unwrap();
    Box::new(move || {
        for (structure, list) in frames.iter().zip(lists) {
            let mut views: Vec<_> = c.blocks.iter_mut().map(|b| b.view_mut()).collect();
            primitive.forward_to(from_ref(structure), Some(from_ref(list)), None, &mut views).unwrap();
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

/// The full Jacobian in parts of 4 MB, one after the other in the same memory.
fn jacobian<'a>(expansion: &'a SphericalExpansion, frames: &'a [Structure]) -> Box<dyn FnMut() + Send + 'a> {
    let mut memory: Vec<Vec<f64>> = vec![Vec::new(); expansion.l_max() + 1];
    Box::new(move || {
        let mut cursor = JacobianCursor::new(Variable::Positions, 4_000_000);
        while let Some(part) = cursor.next_part(expansion, frames).unwrap() {
            memory.iter_mut().enumerate().for_each(|(l, m)| m.resize(part.len_of(expansion, l), 0.0));
            let mut blocks: Vec<&mut [f64]> = memory.iter_mut().map(|m| &mut m[..]).collect();
            part.fill(expansion, frames, &mut blocks).unwrap();
        }
        black_box(&memory);
    })
}

/// Values into memory that is used again, neighbours included.
fn forward<'a>(expansion: &'a SphericalExpansion, frames: &'a [Structure]) -> Box<dyn FnMut() + Send + 'a> {
    let mut c = expansion.forward(frames).unwrap();
    Box::new(move || {
        let mut views: Vec<_> = c.blocks.iter_mut().map(|b| b.view_mut()).collect();
        expansion.forward_to(frames, None, None, &mut views).unwrap();
        black_box(&c);
    })
}

fn backward<'a>(expansion: &'a SphericalExpansion, frames: &'a [Structure]) -> Box<dyn FnMut() + Send + 'a> {
    let gradient = expansion.forward(frames).unwrap();
    Box::new(move || {
        black_box(expansion.backward(frames, &gradient.views()).unwrap());
    })
}

fn tangent<'a>(expansion: &'a SphericalExpansion, frames: &'a [Structure]) -> Box<dyn FnMut() + Send + 'a> {
    let motion = |f: &Structure| Motion { velocities: f.positions.clone(), strain: [[0.1; 3]; 3] };
    let motions: Vec<Motion> = frames.iter().map(motion).collect();
    let mut c = expansion.forward(frames).unwrap();
    Box::new(move || {
        let mut views: Vec<_> = c.blocks.iter_mut().map(|b| b.view_mut()).collect();
        expansion.forward_to(frames, None, Some(&motions), &mut views).unwrap();
        black_box(&c);
    })
}

fn centers(frames: &[Structure]) -> usize {
    frames.iter().map(Structure::len).sum()
}

fn silicon() -> Vec<Structure> {
    (1..=4).map(|seed| crystal(&[14], seed)).collect()
}

fn lists(frames: &[Structure]) -> Vec<VerletList> {
    let of = |frame: &Structure| {
        let mut list = VerletList::new(R_CUT, 0.0).unwrap();
        list.update(frame).unwrap();
        list
    };
    frames.iter().map(of).collect()
}

/// One thread, silicon: the table, and what can be counted.
fn by_kind(count: Option<&str>) {
    let frames = silicon();
    let lists = lists(&frames);
    let plain: Vec<_> = frames.iter().map(|f| NeighborList::new(f, R_CUT).unwrap()).collect();
    let pairs: usize = plain.iter().map(NeighborList::len).sum();
    let eight = SphericalExpansion::new(&settings(8), &[14]).unwrap();
    // Counted are jobs with eight functions, and valgrind is slow: the others need not be there.
    let n_max = if count.is_some() { 8 } else { 20 };
    let twenty = SphericalExpansion::new(&settings(n_max), &[14]).unwrap();
    let q8 = optimal(&frames, n_max, 8, Mixing::PerSpecies);
    let q4 = optimal(&frames, n_max, 4, Mixing::PerSpecies);
    let mut list = NeighborList::default();
    let mut jobs: Vec<Job> = vec![
        ("neighbour list", Box::new(|| frames.iter().for_each(|f| list.update(black_box(f), R_CUT).unwrap()))),
        ("values n = 8, list given", values(&eight, &frames, &lists)),
        ("values q = 8 from 20, list given", values(q8.expansion(), &frames, &lists)),
        ("values q = 4 from 20, list given", values(q4.expansion(), &frames, &lists)),
        ("values n = 20, list given", values(&twenty, &frames, &lists)),
        ("values n = 8", forward(&eight, &frames)),
        ("adjoint n = 8", backward(&eight, &frames)),
        ("tangent n = 8", tangent(&eight, &frames)),
        ("Jacobian n = 8", jacobian(&eight, &frames)),
        ("values n = 8, naive, list given", naive::values(&eight, &frames, &plain)),
    ];
    if let Some(name) = count {
        let (_, job) = jobs.iter_mut().find(|(n, _)| *n == name).expect("a job of this name");
        job(); // buffers grow
        counted(job);
        return;
    }
    naive::check(&eight, &frames[0], &plain[0]);
    let n = centers(&frames);
    println!(
        "silicon, r_cut {R_CUT} Å, l_max {L_MAX}: {:.1} neighbours per centre, one thread",
        pairs as f64 / n as f64
    );
    let counts = std::env::args().any(|a| a == "--counts");
    let best = time(n, &mut jobs);
    for ((name, _), t) in jobs.iter().zip(&best) {
        let count = if counts && !name.contains("20") { instructions(name, n) } else { String::new() };
        println!("  {name:<34} {t:8.2} µs per centre{count}");
    }
    println!("  contracted / primitive at 8 functions: {:.2}", best[2] / best[1]);
    println!("  naive / fast: {:.0}", best[9] / best[1]);
}

/// What callgrind is told to count.
#[inline(never)]
fn counted(job: &mut dyn FnMut()) {
    job();
}

/// Runs this program again under callgrind, for one job.
fn instructions(name: &str, n_centers: usize) -> String {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted*"])
        .arg(program)
        .args(["--count", name])
        .env("RAYON_NUM_THREADS", "1")
        .output();
    let Ok(output) = output else { return "   (valgrind is not installed)".into() };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let count = text.lines().find_map(|line| line.split("Collected :").nth(1)?.trim().parse::<f64>().ok());
    count.map_or("   (no count)".into(), |n| format!("  {:9.0} instructions (AVX2)", n / n_centers as f64))
}

/// Cost of a combined basis against the number of species: all mixed in one cell, or four to a cell as in a data set.
fn by_species() {
    println!("combined basis, q = 8 from 20 functions of each species, list given:");
    let mut first = [0.0; 2];
    for n_species in [1, 5, 20, 56_u8] {
        let species: Vec<u8> = (1..=n_species).collect();
        let mixed: Vec<Structure> = (1..=8).map(|seed| crystal(&species, seed)).collect();
        let few: Vec<Structure> = (0..8)
            .map(|k| {
                let four: Vec<u8> = (0..4).map(|j| species[(4 * k + j) * 7 % species.len()]).collect();
                crystal(&four, k as u64 + 1)
            })
            .collect();
        let basis = optimal(&mixed, 20, 8, Mixing::Combined);
        let primitive = SphericalExpansion::new(&settings(20), &species_of(&mixed)).unwrap();
        let (lists_of_mixed, lists_of_few) = (lists(&mixed), lists(&few));
        let mut jobs = vec![
            ("mixed", values(basis.expansion(), &mixed, &lists_of_mixed)),
            ("few", values(basis.expansion(), &few, &lists_of_few)),
            ("two-step", two_step(&primitive, &basis, &mixed, &lists_of_mixed)),
        ];
        let best = time(centers(&mixed), &mut jobs);
        if n_species == 1 {
            first = [best[0], best[1]];
        }
        println!(
            "  {n_species:>2} species: four to a cell {:6.2} µs per centre ({:.2} of one species), all in a cell {:6.2} ({:.2}), \
             two-step / direct {:.1}",
            best[1],
            best[1] / first[1],
            best[0],
            best[0] / first[0],
            best[2] / best[0]
        );
    }
}

/// What one thread takes over what two take.
fn by_threads() {
    let small: Vec<Structure> = (0..400).map(|k| molecule(k + 1)).collect();
    let large = [silicon_cell(10, 7)];
    let (eight, four) = (
        SphericalExpansion::new(&settings(8), &[14]).unwrap(),
        SphericalExpansion::new(&settings(8), &[1, 6, 7, 8]).unwrap(),
    );
    let pools = [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    println!("two threads (time of one / time of two):");
    for (what, expansion, frames) in
        [("400 molecules", &four, &small[..]), ("one cell of 8,000 atoms", &eight, &large[..])]
    {
        type Make = for<'a> fn(&'a SphericalExpansion, &'a [Structure]) -> Box<dyn FnMut() + Send + 'a>;
        let kinds: [(&str, Make); 4] =
            [("values", forward), ("adjoint", backward), ("tangent", tangent), ("covariance", accumulate)];
        for (kind, make) in kinds {
            let mut job = make(expansion, frames);
            let mut best = [f64::INFINITY; 2];
            for _ in 0..7 {
                for (pool, best) in pools.iter().zip(&mut best) {
                    let start = Instant::now();
                    pool.install(&mut job);
                    *best = best.min(start.elapsed().as_secs_f64() * 1e6 / centers(frames) as f64);
                }
            }
            println!("  {what:<24} {kind:<10} {:7.2} µs per centre, {:.2}", best[0], best[0] / best[1]);
        }
    }
}

/// The covariance of frames, in a primitive basis as that of the expansion.
fn accumulate<'a>(_: &'a SphericalExpansion, frames: &'a [Structure]) -> Box<dyn FnMut() + Send + 'a> {
    let settings = CovarianceSettings {
        expansion: settings(8),
        mixing: Mixing::PerSpecies,
        center_specific: false,
        weighting: None,
    };
    Box::new(move || {
        let mut covariance = Covariance::new(&settings).unwrap();
        covariance.add(frames, None).unwrap();
        black_box(&covariance);
    })
}

/// A chain of nine atoms that turns at random.
fn molecule(seed: u64) -> Structure {
    let mut uniform = random(seed);
    let mut positions = vec![[0.0; 3]];
    for k in 0..8 {
        let last: [f64; 3] = positions[k];
        positions.push(std::array::from_fn(|d| last[d] + 0.75 + 0.5 * uniform() * if d == k % 3 { 1.0 } else { -1.0 }));
    }
    Structure::molecule(vec![6, 1, 7, 1, 8, 1, 6, 1, 1], positions)
}

/// Fixed costs: molecules, one function, l = 0.
fn overhead() {
    let small: Vec<Structure> = (0..400).map(|k| molecule(k + 1)).collect();
    let least = ExpansionSettings { l_max: 0, ..settings(1) };
    let expansion = SphericalExpansion::new(&least, &[1, 6, 7, 8]).unwrap();
    let mut jobs = vec![("values", forward(&expansion, &small)), ("adjoint", backward(&expansion, &small))];
    let best = time(centers(&small), &mut jobs);
    println!(
        "molecules of 9 atoms, n = 1, l = 0, list included: values {:.2}, adjoint {:.2} µs per centre",
        best[0], best[1]
    );
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--count") {
        return by_kind(Some(&args[at + 1]));
    }
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    one.install(|| {
        by_kind(None);
        by_species();
        overhead();
    });
    by_threads();
}
