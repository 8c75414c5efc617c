//! The memory of a fit: what it states, what it takes, and what a list of alphas takes more.

#[path = "potential/samples.rs"]
#[allow(dead_code)]
mod samples;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rhobasis::Structure;
use rhobasis::extxyz::Labels;
use rhobasis::files::Stored;
use rhobasis::models::Solver;
use rhobasis::potential::{Alpha, Baseline, Basis, FeatureKind, ModelSettings, TrainSettings, Trainer, Weights};

/// Megabytes of the basis and its tables in a model and its file, which do not grow with the columns.
const OF_BASIS: f64 = 4.0;

/// Bytes that are held, and the most since the last look.
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn taken(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    MOST.fetch_max(held, Relaxed);
}

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Megabytes that a fit states, besides what it holds when it begins, and the most that it takes until its file is written.
fn stated_and_taken(
    basis: &Basis,
    alpha: Alpha,
    solver: Solver,
    frames: &[Structure],
    labels: &[Labels],
    file: &Path,
) -> [f64; 2] {
    let settings = TrainSettings {
        features: samples::features(FeatureKind::PowerSpectrum, false),
        model: ModelSettings::Ridge { alpha, solver },
        baseline: Baseline::default(),
        repulsion: Default::default(),
        weights: Weights::default(),
    };
    let basis = basis.clone();
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    let mut trainer = Trainer::new(basis, &settings, frames, labels).unwrap();
    let stated = HELD.load(Relaxed) - before + trainer.memory();
    while trainer.done() < frames.len() {
        trainer.advance(16).unwrap();
    }
    trainer.finish().unwrap().save(file).unwrap();
    [stated, MOST.load(Relaxed) - before].map(|bytes| bytes as f64 / 1e6)
}

/// One test, so that no other one allocates at the same time.
#[test]
fn a_list_of_alphas_takes_at_most_three_quarters_as_much_again_as_one_and_no_more_than_is_stated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("potential.rho");
    let list = Alpha::Best((3..11).map(|k| 10f64.powi(-k)).collect());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    // What is made once for all fits does not count.
    let (few, basis) = (samples::frames(6, 5), Basis::primitive(&samples::expansion(7, 4), &[6, 14]).unwrap());
    let of_few: Vec<Labels> = few.iter().map(samples::pair_labels).collect();
    pool.install(|| stated_and_taken(&basis, Alpha::Fixed(1e-6), Solver::Qr, &few, &of_few, &file));
    // Columns: 2 species × (2 n_max)(2 n_max + 1)/2 × (l_max + 1).
    for (n_max, l_max, n_frames, solver) in
        [(7, 4, 120, Solver::Qr), (5, 4, 300, Solver::Qr), (4, 3, 120, Solver::Cholesky), (4, 3, 20, Solver::Cholesky)]
    {
        let frames = samples::frames(n_frames, 5);
        let labels: Vec<Labels> = frames.iter().map(samples::pair_labels).collect();
        let basis = Basis::primitive(&samples::expansion(n_max, l_max), &[6, 14]).unwrap();
        let of = |alpha: Alpha| pool.install(|| stated_and_taken(&basis, alpha, solver, &frames, &labels, &file));
        let ([stated, one], [stated_of_list, several]) = (of(Alpha::Fixed(1e-6)), of(list.clone()));
        let n = 2 * n_max * (2 * n_max + 1) * (l_max + 1);
        println!(
            "{n} columns, {n_frames} frames, {solver:?}: one alpha {one:.1} MB of {stated:.1}, eight {several:.1} MB of \
             {stated_of_list:.1}"
        );
        // Of few columns, the rows that threads hold at the moment count as much as the triangles; and Cholesky may need
        // eigenvectors for folds where the whole does not.
        let counts = n > 1000 && solver == Solver::Qr;
        assert!(!counts || several <= 1.75 * one, "{several} MB against {one} MB");
        for (stated, taken) in [(stated, one), (stated_of_list, several)] {
            assert!(taken < stated + OF_BASIS, "{taken} MB taken, {stated} MB stated");
        }
    }
}
