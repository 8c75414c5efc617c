//! What energies and forces cost, per atom: time, and with `-- --counts` (valgrind installed) instructions, which other load
//! does not change. valgrind knows no AVX-512: counts are those of the AVX2 code.
//!
//! `cargo bench -p rhobasis --bench chain -- [--counts] [NAME]`, NAME being part of the names of the jobs to run. One thread.
//! Bundled data: silicon, and molecules of H C N O of eight to eleven atoms, alone, forty to a call, or forty to a structure.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use ndarray::Array2;
use rhobasis::Structure;
use rhobasis::correlations::Invariants;
use rhobasis::density::Variable;
use rhobasis::extxyz::{Labels, Options, labels, read};
use rhobasis::files::Stored;
use rhobasis::neighbors::VerletList;
use rhobasis::optimal::{Covariance, CovarianceSettings, OptimalBasis, Truncation};
use rhobasis::potential::{Basis, Potential, TrainSettings, Trainer};
use serde_json::json;

/// Structures of a kind, and bases and potentials for them: made once, read by the processes that count.
struct Data {
    name: &'static str,
    train: Vec<Structure>,
    labels: Vec<Labels>,
    covariance: CovarianceSettings,
    /// Truncations: of the basis below power spectra, and of that below bispectra.
    q_max: [usize; 2],
}

impl Data {
    fn silicon() -> Self {
        let (train, labels) = bundled("silicon.xyz.xz@:120:4", |_| true);
        Data {
            name: "silicon",
            train,
            labels,
            covariance: covariance_settings(5.0, 12, 6, "per-species"),
            q_max: [8, 4],
        }
    }

    fn molecules() -> Self {
        let (train, labels) = bundled("molecules_rattled.xyz.xz@:250", |f| {
            (8..=11).contains(&f.len()) && f.species.iter().all(|z| [1, 6, 7, 8].contains(z))
        });
        let covariance = covariance_settings(4.5, 8, 4, "combined");
        Data {
            name: "molecules",
            train: train[..40].to_vec(),
            labels: labels[..40].to_vec(),
            covariance,
            q_max: [6, 4],
        }
    }

    fn path(&self, what: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chain-{}-{what}.rho", self.name))
    }

    fn optimal(&self, q_max: usize) -> OptimalBasis {
        let mut covariance = Covariance::new(&self.covariance).unwrap();
        covariance.add(&self.train, None).unwrap();
        OptimalBasis::from_covariance(&covariance, Truncation::QMax(q_max)).unwrap()
    }

    /// Fits what the jobs need.
    fn prepare(&self) {
        let [two, three] = self.q_max.map(|q| self.optimal(q));
        two.save(&self.path("basis")).unwrap();
        three.save(&self.path("small-basis")).unwrap();
        let [two, three] = [two, three].map(Basis::Optimal);
        let ridge = json!({ "type": "ridge", "alpha": 1e-9, "solver": "qr" });
        let gap = |n_sparse, zeta| json!({ "type": "gap", "n_sparse": n_sparse, "zeta": zeta, "sparse_method": "fps", "delta": 1.0, "jitter": 1e-10 });
        let both = json!([
            features("power-spectrum", false),
            { "kind": "bispectrum", "normalize": false, "q_max": 4, "l_max": 3 },
        ]);
        for (name, basis, features, model) in [
            ("linear", &two, features("power-spectrum", false), &ridge),
            ("normalized", &two, features("power-spectrum", true), &ridge),
            ("bispectrum", &three, features("bispectrum", false), &ridge),
            ("mixed", &two, both, &ridge),
            ("radial", &two, features("radial-spectrum", false), &ridge),
            ("sparse", &two, features("power-spectrum", true), &gap(300, 4)),
            ("quadratic", &three, features("power-spectrum", true), &gap(600, 2)),
        ] {
            let settings = train_settings(features, model);
            let mut trainer = Trainer::new(basis.clone(), &settings, &self.train, &self.labels).unwrap();
            trainer.advance(self.train.len()).unwrap();
            trainer.finish().unwrap().save(&self.path(name)).unwrap();
        }
    }

    fn potential(&self, name: &str) -> Potential {
        Potential::load(&self.path(name)).unwrap()
    }

    fn basis(&self, name: &str) -> OptimalBasis {
        OptimalBasis::load(&self.path(name)).unwrap()
    }
}

/// As the files of models have them, which change less than the library does.
fn covariance_settings(r_cut: f64, n_max: usize, l_max: usize, mixing: &str) -> CovarianceSettings {
    let density = json!({ "r_cut": r_cut, "sigma": 0.4, "cutoff_width": 1.0, "scaling": null, "center_weight": 1.0 });
    let primitive = json!({ "kind": "gto", "n_max": n_max });
    let expansion = json!({ "density": density, "primitive": primitive, "l_max": l_max, "spline_accuracy": 1e-8 });
    serde_json::from_value(json!({ "expansion": expansion, "mixing": mixing, "center_specific": false })).unwrap()
}

fn features(kind: &str, normalize: bool) -> serde_json::Value {
    json!({ "kind": kind, "normalize": normalize })
}

fn train_settings(features: serde_json::Value, model: &serde_json::Value) -> TrainSettings {
    let weights = json!({ "energy_sigma": 0.002, "force_sigma": 0.05, "stress_sigma": 0.002 });
    serde_json::from_value(
        json!({ "features": features, "model": model, "baseline": "least-squares", "weights": weights }),
    )
    .unwrap()
}

/// The frames of a file that pass, with what they are labelled with. The first ones only: valgrind unpacks slowly.
fn bundled(file: &str, pass: impl Fn(&Structure) -> bool) -> (Vec<Structure>, Vec<Labels>) {
    let path = format!("{}/../examples/data/{file}", env!("CARGO_MANIFEST_DIR"));
    let frames = read(&path, &Options::default()).unwrap();
    let frames: Vec<Structure> = frames.into_iter().filter(pass).collect();
    let labels = frames.iter().map(|f| labels(f, &Options::default()).unwrap()).collect();
    (frames, labels)
}

/// A frame of 64 atoms, eight times: 512.
fn cell(frames: &[Structure]) -> Structure {
    let one = frames.iter().find(|f| f.len() == 64).expect("a frame of 64 atoms");
    let (mut species, mut positions) = (Vec::new(), Vec::new());
    for k in 0..8_usize {
        species.extend_from_slice(&one.species);
        let image = [k & 1, (k >> 1) & 1, k >> 2].map(|s| s as f64);
        let shift: [f64; 3] = std::array::from_fn(|d| (0..3).map(|v| image[v] * one.cell[v][d]).sum());
        // Not all alike: each a little off.
        let wave = |i: usize, d: usize| 0.03 * ((7 * i + 11 * d + 13 * k) as f64).sin();
        let moved = |(i, r): (usize, &[f64; 3])| std::array::from_fn(|d| r[d] + shift[d] + wave(i, d));
        positions.extend(one.positions.iter().enumerate().map(moved));
    }
    Structure::crystal(species, positions, one.cell.map(|v| v.map(|x| 2.0 * x)))
}

/// All molecules in one structure, beyond reach of each other.
fn together(molecules: &[Structure]) -> Structure {
    let (mut species, mut positions) = (Vec::new(), Vec::new());
    for (k, molecule) in molecules.iter().enumerate() {
        species.extend_from_slice(&molecule.species);
        positions.extend(molecule.positions.iter().map(|r| [r[0] + 30.0 * k as f64, r[1], r[2]]));
    }
    Structure::molecule(species, positions)
}

type Work<'a> = Box<dyn FnMut() + Send + 'a>;

/// What is counted: its name, the number of atoms that it is for, and how to make it.
struct Job<'a> {
    name: String,
    n_atoms: usize,
    make: Box<dyn Fn() -> Work<'a> + Send + Sync + 'a>,
}

/// Energies and forces of structures, some to a call.
fn predict<'a>(potential: Potential, frames: &'a [Structure], per_call: usize) -> Work<'a> {
    Box::new(move || {
        for part in frames.chunks(per_call) {
            black_box(potential.predict(part, true).unwrap());
        }
    })
}

/// Steps on a list that is reused.
fn step<'a>(potential: Potential, structure: &Structure) -> Work<'a> {
    let (mut list, mut moving) = (VerletList::new(potential.r_cut(), 0.3).unwrap(), structure.clone());
    Box::new(move || {
        moving.positions.iter_mut().enumerate().for_each(|(i, r)| r[i % 3] += 1e-3);
        black_box(potential.evaluate(&moving, &mut list).unwrap());
    })
}

fn jobs<'a>(silicon: &'a Data, molecules: &'a Data, large: &'a [Structure], merged: &'a [Structure]) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    let mut add = |name: String, n_atoms: usize, make: Box<dyn Fn() -> Work<'a> + Send + Sync + 'a>| {
        jobs.push(Job { name, n_atoms, make });
    };
    let small = &molecules.train[..];
    let sizes = [large[0].len(), small.iter().map(Structure::len).sum()];
    for model in ["linear", "bispectrum", "mixed", "sparse", "normalized", "radial", "quadratic"] {
        let silicon_of = move || silicon.potential(model);
        let of = move || molecules.potential(model);
        add(
            format!("{model}: 512 silicon atoms, list kept"),
            sizes[0],
            Box::new(move || step(silicon_of(), &large[0])),
        );
        add(format!("{model}: molecules, forty a call"), sizes[1], Box::new(move || predict(of(), small, 40)));
        if ["linear", "bispectrum", "sparse"].contains(&model) {
            add(format!("{model}: 512 silicon atoms"), sizes[0], Box::new(move || predict(silicon_of(), large, 1)));
            add(format!("{model}: molecules, one a call"), sizes[1], Box::new(move || predict(of(), small, 1)));
            add(format!("{model}: molecules, forty a structure"), sizes[1], Box::new(move || predict(of(), merged, 1)));
        }
    }
    for (data, frames, n_atoms) in [(silicon, large, sizes[0]), (molecules, small, sizes[1])] {
        let name = data.name;
        for (kind, basis) in [("power spectrum", "basis"), ("bispectrum", "small-basis")] {
            let invariants = move || {
                let basis = data.basis(basis);
                match kind {
                    "power spectrum" => Invariants::power_spectrum(basis.expansion(), None, false).unwrap(),
                    _ => Invariants::bispectrum(basis.expansion(), false).unwrap(),
                }
            };
            add(
                format!("{kind}, {name}: forward"),
                n_atoms,
                Box::new(move || {
                    let x = invariants();
                    Box::new(move || drop(black_box(x.forward(frames).unwrap())))
                }),
            );
            add(
                format!("{kind}, {name}: backward"),
                n_atoms,
                Box::new(move || {
                    let x = invariants();
                    let g = Array2::from_elem((n_atoms, x.n_features()), 0.5);
                    Box::new(move || drop(black_box(x.backward(frames, g.view()).unwrap())))
                }),
            );
            // Of a few atoms: the Jacobian of all does not fit into the caches, nor into a minute of valgrind.
            let few = if name == "silicon" { &data.train[..1] } else { &data.train[..4] };
            add(
                format!("{kind}, {name}: Jacobian"),
                few.iter().map(Structure::len).sum(),
                Box::new(move || {
                    let x = invariants();
                    Box::new(move || drop(black_box(x.jacobian(few, Variable::Positions).unwrap())))
                }),
            );
        }
        add(
            format!("covariance, {name}"),
            n_atoms,
            Box::new(move || {
                // Tables are made with it, which takes longer than these frames.
                let mut covariance = Covariance::new(&data.covariance).unwrap();
                Box::new(move || covariance.add(frames, None).unwrap())
            }),
        );
        for (model, kind, normalize) in [("linear", "power-spectrum", false), ("sparse", "power-spectrum", true)] {
            let train = &data.train[..4];
            add(
                format!("rows of a fit, {model}, {name}"),
                train.iter().map(Structure::len).sum(),
                Box::new(move || {
                    let potential = data.potential(model);
                    let model = serde_json::to_value(&potential.settings().model).unwrap();
                    let settings = train_settings(features(kind, normalize), &model);
                    let mut trainer =
                        Some(Trainer::new(potential.basis().clone(), &settings, train, &data.labels[..4]).unwrap());
                    let mut done = None;
                    Box::new(move || {
                        if let Some(mut trainer) = trainer.take() {
                            trainer.advance(train.len()).unwrap();
                            done = Some(trainer);
                        }
                        black_box(&done);
                    })
                }),
            );
        }
    }
    jobs
}

/// What callgrind is told to count.
#[inline(never)]
fn counted(work: &mut Work) {
    work();
}

/// Runs this program again under callgrind, for one job.
fn instructions(job: &Job) -> String {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted*"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--count", &job.name])
        .output();
    let Ok(output) = output else { return "   (valgrind is not installed)".into() };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let count = text.lines().find_map(|line| line.split("Collected :").nth(1)?.trim().parse::<f64>().ok());
    count.map_or("   (no count)".into(), |n| format!("{:12.0} instructions", n / job.n_atoms as f64))
}

fn main() {
    let (silicon, molecules) = (Data::silicon(), Data::molecules());
    let (large, merged) = ([cell(&silicon.train)], [together(&molecules.train)]);
    let jobs = jobs(&silicon, &molecules, &large, &merged);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--count") {
        let job = jobs.iter().find(|job| job.name == args[at + 1]).expect("a job of this name");
        let mut work = (job.make)();
        return pool.install(move || {
            if !job.name.starts_with("rows") {
                work(); // buffers grow, lists are made
            }
            counted(&mut work);
        });
    }
    pool.install(|| [&silicon, &molecules].map(Data::prepare));
    let part = args[1..].iter().find(|a| !a.starts_with("--"));
    for job in jobs.iter().filter(|job| part.is_none_or(|part| job.name.contains(part.as_str()))) {
        let mut best = f64::INFINITY;
        pool.install(|| {
            let mut work = (job.make)();
            for _ in 0..if job.name.starts_with("rows") { 1 } else { 7 } {
                let start = Instant::now();
                work();
                best = best.min(start.elapsed().as_secs_f64() * 1e6 / job.n_atoms as f64);
            }
        });
        let counts = if args.iter().any(|a| a == "--counts") { instructions(job) } else { String::new() };
        println!("{:<44} {best:9.2} µs per atom {counts}", job.name);
    }
}
