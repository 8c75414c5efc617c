//! Cross-validation and learning curves of small molecules.

use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma, species_of};
use rhobasis::extxyz::Labels;
use rhobasis::potential::{
    Alpha, Baseline, Basis, Errors, FeatureSettings, ModelSettings, Potential, Progress, Quantity, Repulsion,
    TrainSettings, Weights, check_species, cross_validate, folds, learning_curve, train,
};
use rhobasis::{Error, Structure};

fn settings() -> TrainSettings {
    let ModelSettings::Ridge { solver, .. } = ModelSettings::ridge() else { unreachable!("it is one") };
    TrainSettings {
        features: FeatureSettings::default(),
        model: ModelSettings::Ridge { alpha: Alpha::Fixed(1e-8), solver },
        baseline: Baseline::LeastSquares,
        // Folds differ in how near atoms come, and models are to be seen alone.
        repulsion: Repulsion::None,
        weights: Weights::default(),
    }
}

fn make_basis(frames: &[Structure], _: &[Labels]) -> rhobasis::Result<Basis> {
    let density = Density { r_cut: 3.0, sigma: Sigma::Same(0.3), ..Density::default() };
    let primitive = Primitive::Gto { n_max: 5 };
    let expansion = ExpansionSettings { density, primitive, l_max: 2, spline_accuracy: Some(1e-6) };
    Basis::primitive(&expansion, &species_of(frames))
}

/// OH and H2 on a Morse curve, with forces; the first three frames once more at the end.
fn data() -> (Vec<Structure>, Vec<Labels>) {
    let frame = |k: usize| {
        let r = 0.65 + 0.05 * (k / 2) as f64;
        Structure::molecule(vec![if k.is_multiple_of(2) { 1 } else { 8 }, 1], vec![[0.0; 3], [r, 0.0, 0.0]])
    };
    let label = |frame: &Structure| {
        let (depth, rest) = if frame.species[0] == 1 { (4.5, 0.74) } else { (4.6, 0.97) };
        let decay = (-2.0 * (frame.positions[1][0] - rest)).exp();
        let slope = 2.0 * depth * (1.0 - decay) * 2.0 * decay;
        let energy = depth * (1.0 - decay) * (1.0 - decay) - 30.0;
        Labels { energy: Some(energy), forces: Some(vec![[slope, 0.0, 0.0], [-slope, 0.0, 0.0]]), stress: None }
    };
    let frames: Vec<Structure> = (0..24).chain(0..3).map(frame).collect();
    let labels = frames.iter().map(label).collect();
    (frames, labels)
}

#[test]
fn each_fold_is_predicted_by_a_fit_to_the_others() {
    let (frames, labels) = data();
    let folds = folds(&frames, 3, 7).unwrap();
    let (mut tested, mut features) = (false, Vec::new());
    let mut watch = |progress: Progress| {
        assert_eq!(progress.testing, progress.potential.is_some());
        tested |= progress.fit == 2 && progress.testing && progress.done == progress.frames;
        features.extend(progress.potential.map(Potential::n_features));
    };
    let done = cross_validate(&mut make_basis, &settings(), &frames, &labels, &folds, &mut watch).unwrap();

    let others: Vec<usize> = (0..frames.len()).filter(|&i| folds[i] != 1).collect();
    let chosen: Vec<Structure> = others.iter().map(|&i| frames[i].clone()).collect();
    let said: Vec<Labels> = others.iter().map(|&i| labels[i].clone()).collect();
    let potential = train(make_basis(&chosen, &said).unwrap(), &settings(), &chosen, &said, |_| ()).unwrap();
    let mut errors = Errors::default();
    for i in (0..frames.len()).filter(|&i| folds[i] == 1) {
        let prediction = potential.predict(&frames[i..=i], true).unwrap().remove(0);
        let found = done.predictions[i].as_ref().unwrap();
        assert!((found.energy - prediction.energy).abs() < 1e-9);
        errors.add(i, &frames[i], &labels[i], found).unwrap();
    }
    assert_eq!(done.by_fold[1], errors);
    assert_eq!(done.by_fold.len(), 3);
    let counts: usize = done.by_fold.iter().map(|e| e.of(Quantity::Energy, None).count).sum();
    assert_eq!((counts, done.errors.of(Quantity::Force, None).count), (27, 6 * 27));
    assert!(done.errors.of(Quantity::EnergyPerAtom, None).rmse() < 200.0, "meV/atom");
    assert!(tested && features.iter().all(|&n| n == potential.n_features()));
}

#[test]
fn free_atoms_take_part_in_every_fit() {
    let (mut frames, mut labels) = data();
    for (z, energy) in [(1, -13.5), (8, -16.0)] {
        frames.push(Structure::molecule(vec![z], vec![[0.0; 3]]));
        labels.push(Labels { energy: Some(energy), ..Labels::default() });
    }
    let settings = TrainSettings { baseline: Baseline::IsolatedAtoms, ..settings() };
    let folds = folds(&frames, 4, 0).unwrap();
    let done = cross_validate(&mut make_basis, &settings, &frames, &labels, &folds, &mut |_| ()).unwrap();
    assert!(done.predictions[..27].iter().all(Option::is_some) && done.predictions[27..].iter().all(Option::is_none));
}

#[test]
fn a_learning_curve_ends_with_the_fit_to_all() {
    let (frames, labels) = data();
    let on: Vec<usize> = (0..frames.len()).filter(|i| i % 4 != 1).collect();
    let with: Vec<usize> = (0..frames.len()).filter(|i| i % 4 == 1).collect();
    let curve = |sizes: &[usize], seed| {
        learning_curve(&mut make_basis, &settings(), &frames, &labels, [&on, &with], sizes, seed, &mut |_| ())
    };
    let found = curve(&[8, on.len()], 5).unwrap();
    let chosen: Vec<Structure> = on.iter().map(|&i| frames[i].clone()).collect();
    let said: Vec<Labels> = on.iter().map(|&i| labels[i].clone()).collect();
    let potential = train(make_basis(&chosen, &said).unwrap(), &settings(), &chosen, &said, |_| ()).unwrap();
    let mut errors = Errors::default();
    for &i in &with {
        let prediction = potential.predict(&frames[i..=i], true).unwrap().remove(0);
        errors.add(i, &frames[i], &labels[i], &prediction).unwrap();
    }
    let rmse = |errors: &Errors| errors.of(Quantity::Energy, None).rmse();
    assert!((rmse(&found[1].1) / rmse(&errors) - 1.0).abs() < 1e-6);
    assert!(rmse(&found[1].1) < rmse(&found[0].1));
    assert_eq!(curve(&[8], 5).unwrap()[0].1, found[0].1);
    assert_ne!(curve(&[8], 6).unwrap()[0].1, found[0].1);
    for size in [0, on.len() + 1] {
        let message = curve(&[size], 0).unwrap_err().to_string();
        assert!(message.starts_with(&format!("learning_curve = {size}")), "{message}");
    }
}

#[test]
fn a_frame_that_cannot_be_used_is_named_by_its_place_among_all() {
    let (mut frames, labels) = data();
    frames[20].positions[1] = [f64::NAN; 3];
    let folds: Vec<usize> = (0..frames.len()).map(|i| usize::from(i >= 13)).collect();
    let frame = |e: Error| match e {
        Error::Structure { place, .. } => place.frame,
        e => panic!("{e}"),
    };
    let failed = cross_validate(&mut make_basis, &settings(), &frames, &labels, &folds, &mut |_| ()).unwrap_err();
    assert_eq!(frame(failed), Some(20));
    let wrong = cross_validate(&mut make_basis, &settings(), &frames, &labels[1..], &folds, &mut |_| ());
    assert!(wrong.unwrap_err().to_string().contains("27 frames, 26 labels"));
}

#[test]
fn species_that_a_fit_would_not_know_are_named_before_any_fit() {
    let (mut frames, labels) = data();
    frames[5].species[0] = 9;
    let mut no_basis = |_: &[Structure], _: &[Labels]| -> rhobasis::Result<Basis> { panic!("nothing is fitted") };
    let folds: Vec<usize> = (0..frames.len()).map(|i| usize::from(i < 13)).collect();
    let refused = cross_validate(&mut no_basis, &settings(), &frames, &labels, &folds, &mut |_| ()).unwrap_err();
    assert!(
        refused.to_string().starts_with("frame 5, atom 0: one of the fits would be to 14 frames, none of which has F")
    );
    let (on, with): (Vec<usize>, Vec<usize>) = (0..frames.len()).partition(|&i| i != 5);
    let curve = learning_curve(&mut no_basis, &settings(), &frames, &labels, [&on, &with], &[20], 0, &mut |_| ());
    assert!(curve.unwrap_err().to_string().contains("use larger sizes, or another seed, or leave the frame out"));
    let refused = check_species(on.iter().map(|&i| &frames[i]), with.iter().map(|&i| (i, &frames[i]))).unwrap_err();
    assert!(refused.to_string().starts_with("frame 5, atom 0: F was no centre in the training set"), "{refused}");
}

#[test]
fn labels_that_are_none_are_refused_where_errors_are_summed() {
    let (frames, labels) = data();
    let potential = train(make_basis(&frames, &labels).unwrap(), &settings(), &frames, &labels, |_| ()).unwrap();
    let prediction = potential.predict(&frames[..1], true).unwrap().remove(0);
    for energy in [1e308, f64::NAN] {
        let label = Labels { energy: Some(energy), ..labels[0].clone() };
        let refused = Errors::default().add(4, &frames[0], &label, &prediction).unwrap_err().to_string();
        assert!(refused.starts_with("frame 4: energy is "), "{refused}");
    }
    let mut errors = Errors::default();
    errors.add(0, &frames[0], &Labels { energy: Some(-1e100), ..labels[0].clone() }, &prediction).unwrap();
    let sum = errors.of(Quantity::EnergyPerAtom, None);
    assert!((sum.rmse() / 5e102 - 1.0).abs() < 1e-12 && (sum.mae() / 5e102 - 1.0).abs() < 1e-12);
}
