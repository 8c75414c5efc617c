//! Uncertainties: calibrated by frames that were left out, and leverages of atoms.

use rhobasis::Structure;
use rhobasis::extxyz::Labels;
use rhobasis::files::Stored;
use rhobasis::models::Solver;
use rhobasis::neighbors::VerletList;
use rhobasis::optimal::Mixing;
use rhobasis::potential::{
    Alpha, Beside, Candidates, Coverage, FeatureKind, ModelSettings, Potential, Prediction, Quantity, SparseMethod,
    TrainSettings,
};

use crate::samples::{Noise, features, frames, optimal, pair_labels, potentials, train};

const GRADED: Beside = Beside { virials: false, extrapolation: true };

/// Normal numbers, nearly: sums of twelve uniform ones.
fn normal(noise: &mut Noise) -> f64 {
    (0..12).map(|_| 0.5 * noise.next()).sum::<f64>()
}

/// A potential of few parameters, whose own predictions are the truth for others like it.
fn truth(frames: &[Structure]) -> Potential {
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    train(
        optimal(frames, Mixing::Combined, 2, 2),
        features(FeatureKind::PowerSpectrum, false),
        linear(),
        frames,
        &labels,
    )
    .unwrap()
}

fn linear() -> ModelSettings {
    ModelSettings::Ridge { alpha: Alpha::Fixed(1e-12), solver: Solver::Qr }
}

/// What the potential says, with noise of these standard deviations.
fn noisy(potential: &Potential, frames: &[Structure], [energy, force]: [f64; 2], noise: &mut Noise) -> Vec<Labels> {
    let said = potential.predict(frames, true).unwrap();
    let of = |p: &rhobasis::potential::Prediction| Labels {
        energy: Some(p.energy + energy * normal(noise)),
        forces: Some(p.forces.iter().map(|f| f.map(|f| f + force * normal(noise))).collect()),
        stress: None,
    };
    said.iter().map(of).collect()
}

#[test]
fn labels_with_noise_lie_within_the_intervals_as_often_as_these_say() {
    let all = frames(400, 21);
    let truth = truth(&all[..40]);
    let mut noise = Noise(5);
    // As large as the weights say, and ten times as large, which only frames that were left out can tell.
    for scale in [1.0, 10.0] {
        let labels = noisy(&truth, &all, [0.004 * scale, 0.05 * scale], &mut noise);
        let basis = truth.basis().clone();
        let kind = features(FeatureKind::PowerSpectrum, false);
        let potential = train(basis, kind, linear(), &all[..200], &labels[..200]).unwrap();
        let (test, said) = (&all[200..], &labels[200..]);
        let predicted = potential.predict(test, true).unwrap();
        let (energies, forces) = (potential.energy_variances(test).unwrap(), potential.force_deviations(test).unwrap());
        let mut coverage = Coverage::default();
        for (k, (label, p)) in said.iter().zip(&predicted).enumerate() {
            coverage.add(Quantity::Energy, p.energy - label.energy.unwrap(), energies[k].sqrt());
            let components = label.forces.as_ref().unwrap().iter().flatten().zip(p.forces.iter().flatten());
            for ((f, p), deviation) in components.zip(forces[k].iter().flatten()) {
                coverage.add(Quantity::Force, p - f, *deviation);
            }
        }
        for (part, quantity) in [0.68, 0.9].into_iter().flat_map(|p| [(p, Quantity::Energy), (p, Quantity::Force)]) {
            let found = coverage.within(quantity, part).unwrap();
            // Three deviations of a binomial distribution of the 200 frames, and of the factor, found of 96.
            let allowed = 3.0 * (part * (1.0 - part) * (1.0 / 200.0 + 1.0 / 96.0)).sqrt();
            assert!((found - part).abs() < allowed, "{scale} {quantity:?}: {found} of {part}");
        }
        // Intervals of any part, by what was left out alone.
        for (part, quantity) in [0.3, 0.5, 0.95].into_iter().flat_map(|p| [(p, Quantity::Energy), (p, Quantity::Force)])
        {
            let width = potential.interval(quantity, part).unwrap();
            let found = coverage.inside(quantity, width).unwrap();
            let allowed = 3.0 * (part * (1.0 - part) * (1.0 / 200.0 + 1.0 / 96.0)).sqrt() + 0.01;
            assert!((found - part).abs() < allowed, "{scale} {quantity:?}: {found} within {width}, of {part}");
        }
        let loaded = Potential::from_bytes(&potential.to_bytes()).unwrap();
        assert_eq!(loaded.interval(Quantity::Force, 0.8).unwrap(), potential.interval(Quantity::Force, 0.8).unwrap());
    }
}

#[test]
fn calibration_is_found_of_different_frames_and_does_not_depend_on_repeats() {
    let all = frames(30, 8);
    let labels: Vec<Labels> = all.iter().map(pair_labels).collect();
    let factor = |frames: &[Structure], labels: &[Labels]| {
        let kind = features(FeatureKind::PowerSpectrum, false);
        let potential = train(optimal(&all, Mixing::Combined, 2, 2), kind, linear(), frames, labels).unwrap();
        (potential.calibration().unwrap(), potential.energy_variances(&all[..1]).unwrap()[0])
    };
    let (once, variance) = factor(&all, &labels);
    assert_eq!(once.frames, 30);
    assert!(once.energy.unwrap() > 0.0 && once.force.unwrap() > 0.0);
    // Frames that are there three times know no more of their errors than the same frames once.
    let thrice = [&all[..], &all, &all].concat();
    let labels_of_them = [&labels[..], &labels, &labels].concat();
    let (found, same) = factor(&thrice, &labels_of_them);
    assert_eq!(found.frames, 30);
    let ratio = |a: Option<f64>, b: Option<f64>| a.unwrap() / b.unwrap();
    assert!((ratio(found.energy, once.energy) / 3f64.sqrt() - 1.0).abs() < 0.01, "{found:?} {once:?}");
    assert!((same / variance - 1.0).abs() < 0.02, "{same} {variance}");
    // Too few to leave any out.
    let (few, _) = factor(&all[..6], &labels[..6]);
    assert!(!few.is_known() && few.of_energies() == 1.0);
}

#[test]
fn the_largest_extrapolation_in_training_is_one_and_beyond_it_is_larger() {
    for (name, potential, frames) in potentials() {
        let Ok(found) = potential.extrapolation(frames) else {
            assert!(potential.energy_variances(frames).is_err(), "{name}");
            continue;
        };
        let mut largest = std::collections::BTreeMap::new();
        for (frame, of_atoms) in frames.iter().zip(&found) {
            assert_eq!(of_atoms.len(), frame.len());
            for (z, h) in frame.species.iter().zip(of_atoms) {
                let so_far = largest.entry(*z).or_insert(0.0_f64);
                *so_far = so_far.max(*h);
            }
        }
        for (z, h) in largest {
            assert!((h - 1.0).abs() < 1e-9, "{name}: {h} for {z}");
        }
        let mut squeezed = frames[0].clone();
        squeezed.cell = squeezed.cell.map(|row| row.map(|x| 0.75 * x));
        squeezed.positions = squeezed.positions.iter().map(|r| r.map(|x| 0.75 * x)).collect();
        let far = potential.extrapolation(&[squeezed]).unwrap()[0].iter().copied().fold(0.0, f64::max);
        // Of normalised features the norm of a strange environment is not larger than another's.
        let least = if name.contains("normalised") || name.contains("sparse") { 0.3 } else { 1.0 };
        assert!(far > least, "{name}: {far}");
    }
}

#[test]
fn uncertainties_are_stored_and_do_not_depend_on_how_they_are_asked_for() {
    for (name, potential, frames) in potentials() {
        if potential.calibration().is_none() {
            let mut list = VerletList::new(potential.r_cut(), 0.5).unwrap();
            let e = potential.evaluate_with(&frames[0], &mut list, GRADED).unwrap_err().to_string();
            assert!(e.contains("kernel ridge model"), "{e}");
            assert!(potential.force_deviations(frames).is_err() && Candidates::new(potential).is_err());
            continue;
        }
        let loaded = Potential::from_bytes(&potential.to_bytes()).unwrap();
        assert_eq!(loaded.calibration(), potential.calibration(), "{name}");
        let extrapolation = potential.extrapolation(frames).unwrap();
        assert_eq!(loaded.extrapolation(frames).unwrap(), extrapolation, "{name}");
        assert_eq!(loaded.force_deviations(frames).unwrap(), potential.force_deviations(frames).unwrap(), "{name}");
        let mut list = VerletList::new(potential.r_cut(), 0.5).unwrap();
        let found = potential.evaluate_with(&frames[1], &mut list, GRADED).unwrap();
        let alone = potential.evaluate(&frames[1], &mut list).unwrap();
        assert_eq!(Prediction { extrapolation: vec![], ..found.clone() }, alone, "{name}");
        assert_eq!(found.extrapolation.len(), frames[1].len(), "{name}");
        for (a, b) in found.extrapolation.iter().zip(&extrapolation[1]) {
            assert!((a - b).abs() < 1e-9 * b.abs().max(1e-3), "{name}: {a} {b}");
        }
        let mut unknown = frames[0].clone();
        unknown.species[2] = 79;
        assert!(potential.extrapolation(&[unknown]).unwrap_err().to_string().contains("Au was no centre"));
    }
}

#[test]
fn potentials_of_older_versions_say_that_they_do_not_know() {
    let frames = frames(10, 3);
    let labels: Vec<Labels> = frames.iter().map(pair_labels).collect();
    let settings = TrainSettings {
        features: features(FeatureKind::PowerSpectrum, false),
        model: linear(),
        baseline: Default::default(),
        repulsion: Default::default(),
        weights: Default::default(),
    };
    let basis = optimal(&frames, Mixing::Combined, 2, 2);
    // What `train` leaves out is what older files do not hold.
    let without = rhobasis::potential::train(basis, &settings, &frames, &labels, |_| ()).unwrap();
    let loaded = Potential::from_bytes(&without.to_bytes()).unwrap();
    assert_eq!(loaded.calibration(), None);
    assert!(loaded.energy_variances(&frames).unwrap().iter().all(|v| *v > 0.0));
    let e = loaded.extrapolation(&frames).unwrap_err().to_string();
    assert!(e.contains("train it anew"), "{e}");
}

#[test]
fn frames_to_label_next_differ_from_one_another() {
    let known = frames(20, 4);
    let labels: Vec<Labels> = known.iter().map(pair_labels).collect();
    let basis = optimal(&known, Mixing::Combined, 3, 2);
    let gap = ModelSettings::Gap { n_sparse: 20, zeta: 2, sparse_method: SparseMethod::Fps, delta: 1.0, jitter: 1e-8 };
    for model in [linear(), gap] {
        let potential =
            train(basis.clone(), features(FeatureKind::PowerSpectrum, false), model, &known, &labels).unwrap();
        let scaled = |k: usize, x: f64| {
            let mut frame = known[k].clone();
            frame.cell = frame.cell.map(|row| row.map(|y| x * y));
            frame.positions = frame.positions.iter().map(|r| r.map(|y| x * y)).collect();
            frame
        };
        // A strange frame five times, another one, and one that is known.
        let mut candidates = Candidates::new(&potential).unwrap();
        candidates.add(&vec![scaled(0, 0.7); 5]).unwrap();
        candidates.add(&[scaled(1, 0.8), known[3].clone()]).unwrap();
        let chosen = candidates.choose(9).unwrap();
        assert_eq!(chosen.len(), 7);
        assert_eq!(chosen[0].frame, 0);
        assert!(chosen[0].extrapolation > 1.0 && chosen[0].remaining == chosen[0].extrapolation);
        for choice in chosen.iter().filter(|c| (1..5).contains(&c.frame)) {
            assert!(choice.remaining < 1.0 && choice.extrapolation > 1.0, "{choice:?}");
        }
        assert!(chosen.windows(2).all(|pair| pair[0].remaining >= pair[1].remaining), "{chosen:?}");
        assert!(candidates.choose(0).is_err() && Candidates::new(&potential).unwrap().choose(1).is_err());
    }
}
