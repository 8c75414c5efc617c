//! A regulariser that is chosen from a list: interruptions, errors, warnings.

use rhobasis::Structure;
use rhobasis::extxyz::Labels;
use rhobasis::files::{Archive, Stored};
use rhobasis::models::Solver;
use rhobasis::optimal::Mixing;
use rhobasis::potential::{Alpha, Baseline, Basis, FeatureKind, ModelSettings, TrainSettings, Trainer, Weights, folds};

use super::samples::{features, frames, optimal, pair_labels};

fn settings(alphas: &[f64], solver: Solver) -> TrainSettings {
    TrainSettings {
        features: features(FeatureKind::PowerSpectrum, false),
        model: ModelSettings::Ridge { alpha: Alpha::Best(alphas.to_vec()), solver },
        baseline: Baseline::default(),
        repulsion: Default::default(),
        weights: Weights::default(),
    }
}

fn sample() -> (Vec<Structure>, Vec<Labels>, Basis) {
    let frames = frames(11, 4);
    let labels = frames.iter().map(pair_labels).collect();
    let basis = optimal(&frames, Mixing::PerSpecies, 2, 2);
    (frames, labels, basis)
}

const ALPHAS: [f64; 3] = [1e-6, 1e-12, 1e-9];

#[test]
fn a_fit_that_chooses_can_be_interrupted_after_any_frame() {
    let (frames, labels, basis) = sample();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fit.checkpoint");
    for solver in [Solver::Qr, Solver::Cholesky] {
        let start = || Trainer::new(basis.clone(), &settings(&ALPHAS, solver), &frames, &labels).unwrap();
        let finish = |mut trainer: Trainer| {
            trainer.advance(frames.len()).unwrap();
            trainer.finish().unwrap().to_bytes()
        };
        let whole = finish(start());
        for stop in 0..=frames.len() {
            let (mut first, mut second) = (start(), start());
            first.advance(stop).unwrap();
            first.save_checkpoint(&path, "this").unwrap();
            assert!(second.resume(&path, "this").unwrap() && second.done() == stop);
            assert!(finish(second) == whole, "resumed after {stop} frames");
            assert!(finish(first) == whole, "went on after the checkpoint of {stop} frames");
        }
    }
}

#[test]
fn a_checkpoint_of_the_former_layout_or_with_a_fold_too_few_is_refused() {
    let (frames, labels, basis) = sample();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fit.checkpoint");
    let start = || Trainer::new(basis.clone(), &settings(&ALPHAS, Solver::Qr), &frames, &labels).unwrap();
    let mut trainer = start();
    trainer.advance(9).unwrap();
    trainer.save_checkpoint(&path, "this").unwrap();
    let refused = |change: &dyn Fn(&mut Archive)| {
        let mut archive = Archive::read(&path, "training").unwrap();
        change(&mut archive);
        let changed = path.with_extension("changed");
        archive.write(&changed, "training").unwrap();
        let mut other = start();
        let error = other.resume(&changed, "this").unwrap_err().to_string();
        assert_eq!(other.done(), 0);
        error
    };
    let former = refused(&|archive| drop(archive.metadata.remove("layout")));
    assert!(former.contains("another version of rhobasis") && former.contains("remove it to start anew"), "{former}");
    let few = refused(&|archive| drop(archive.tensors.remove("2/triangle")));
    assert!(few.contains("2 of 3 folds are there"), "{few}");
    let short = refused(&|archive| {
        let triangle = archive.tensors.get_mut("1/triangle").unwrap();
        *triangle = triangle.slice(ndarray::s![..5]).to_owned().into_dyn();
    });
    assert!(short.contains("'1/triangle' is no triangle of"), "{short}");
    let open = refused(&|archive| drop(archive.tensors.remove("open/sums")));
    assert!(open.contains("sums: this array is missing"), "{open}");
}

#[test]
fn a_frame_that_cannot_be_used_is_named_by_its_place_in_the_file_whatever_its_fold() {
    let (mut frames, labels, basis) = sample();
    let of = folds(&frames, 5, 0).unwrap();
    assert!(!of.is_sorted(), "frames are taken in another order: {of:?}");
    for bad in [0, 4, 10] {
        let good = frames[bad].positions[1];
        frames[bad].positions[1] = frames[bad].positions[0];
        let done = Trainer::new(basis.clone(), &settings(&ALPHAS, Solver::Qr), &frames, &labels)
            .and_then(|mut trainer| trainer.advance(frames.len()));
        let error = done.unwrap_err().to_string();
        assert!(error.contains(&format!("frame {bad}")), "{error}");
        frames[bad].positions[1] = good;
    }
}

#[test]
fn an_alpha_at_an_end_of_its_list_is_told_of() {
    let (frames, labels, basis) = sample();
    let warnings = |alphas: &[f64]| {
        let mut trainer = Trainer::new(basis.clone(), &settings(alphas, Solver::Qr), &frames, &labels).unwrap();
        trainer.advance(frames.len()).unwrap();
        let potential = trainer.finish().unwrap();
        (potential.alpha().unwrap(), potential.warnings().to_vec())
    };
    let (alpha, said) = warnings(&[1e3, 1e2]);
    assert!(alpha == 1e2 && said.len() == 1, "{alpha} {said:?}");
    assert!(
        said[0].contains("alpha = 1e2 was chosen, the smallest of its list") && said[0].contains("1e0"),
        "{said:?}"
    );
    let (alpha, said) = warnings(&[1e-20, 1e-9, 1e3]);
    assert!(alpha == 1e-20 && said[0].contains("for instance to 1e-22"), "{alpha} {said:?}");
    assert!(warnings(&[1e3]).1.is_empty());
}
