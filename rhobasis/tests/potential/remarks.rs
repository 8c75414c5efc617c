//! What is said before a fit, and settings that are too large or too small for double precision.

use rhobasis::Structure;
use rhobasis::extxyz::Labels;
use rhobasis::models::Solver;
use rhobasis::optimal::Mixing;
use rhobasis::potential::{
    Alpha, Baseline, Basis, FeatureKind, ModelSettings, Sigmas, SparseMethod, TrainSettings, Trainer, Weights,
};

use super::samples::{expansion, features, frames, optimal, pair_labels};

fn labelled(n: usize, seed: u64) -> (Vec<Structure>, Vec<Labels>) {
    let frames = frames(n, seed);
    let labels = frames.iter().map(pair_labels).collect();
    (frames, labels)
}

fn settings(model: ModelSettings, baseline: Baseline, all: Sigmas) -> TrainSettings {
    let weights = Weights { all, ..Weights::default() };
    TrainSettings {
        features: features(FeatureKind::PowerSpectrum, true),
        model,
        baseline,
        repulsion: Default::default(),
        weights,
    }
}

fn primitive() -> Basis {
    let expansion = rhobasis::density::ExpansionSettings { spline_accuracy: Some(1e-5), ..expansion(3, 1) };
    Basis::primitive(&expansion, &[6, 14]).unwrap()
}

fn said(settings: &TrainSettings, basis: &Basis, frames: &[Structure], labels: &[Labels]) -> Vec<String> {
    let trainer = Trainer::new(basis.clone(), settings, frames, labels).unwrap();
    trainer.remarks().into_iter().map(|r| format!("{:?}: {}", r.frame, r.text)).collect()
}

#[test]
fn no_setting_makes_a_fit_panic() {
    let (frames, labels) = labelled(6, 3);
    let basis = primitive();
    let extremes = [5e-324, 1e-308, 1e-200, 1e-150, 1e-31, 1e-30, 1e-12, 1e12, 1e30, 1e31, 1e150, 1e200, 1.7e308];
    let sigmas = |k: usize, value: f64| {
        let mut sigmas = Sigmas::default();
        *[&mut sigmas.energy_sigma, &mut sigmas.force_sigma, &mut sigmas.stress_sigma][k] = Some(value);
        sigmas
    };
    let gap =
        |delta, jitter| ModelSettings::Gap { n_sparse: 8, zeta: 2, sparse_method: SparseMethod::Fps, delta, jitter };
    let ridge = |alpha| ModelSettings::Ridge { alpha, solver: Solver::Qr };
    let cholesky = |alpha| ModelSettings::Ridge { alpha: Alpha::Fixed(alpha), solver: Solver::Cholesky };
    for value in extremes {
        let mut cases = vec![
            ("alpha", ridge(Alpha::Fixed(value)), Sigmas::default()),
            ("alpha", ridge(Alpha::Best(vec![1e-9, value])), Sigmas::default()),
            ("alpha", cholesky(value), Sigmas::default()),
            ("delta", gap(value, 1e-10), Sigmas::default()),
            ("jitter", gap(1.0, value), Sigmas::default()),
            ("delta", ModelSettings::KernelRidge { zeta: 2, delta: value }, Sigmas::default()),
            ("energy_sigma", ModelSettings::kernel_ridge(), sigmas(0, value)),
        ];
        for (k, name) in ["energy_sigma", "force_sigma", "stress_sigma"].into_iter().enumerate() {
            cases.push((name, ridge(Alpha::Best(vec![1e-12, 1e-8, 1e-4])), sigmas(k, value)));
            cases.push((name, cholesky(1e-9), sigmas(k, value)));
            cases.push((name, gap(1.0, 1e-10), sigmas(k, value)));
        }
        for (name, model, sigmas) in cases {
            let settings = settings(model, Baseline::default(), sigmas);
            let done = Trainer::new(basis.clone(), &settings, &frames, &labels).and_then(|mut trainer| {
                trainer.advance(frames.len())?;
                trainer.finish()?.predict(&frames[..1], true)
            });
            match done {
                Ok(predictions) => assert!(predictions[0].energy.is_finite()),
                Err(e) if !(1e-30..=1e30).contains(&value) && name != "alpha" => {
                    let text = e.to_string();
                    assert!(text.starts_with(name) && text.contains("must be a positive number"), "{value:e}: {text}");
                }
                Err(e) => assert!(!e.to_string().contains("NaN"), "{name} = {value:e}: {e}"),
            }
        }
    }
}

#[test]
fn labels_that_cannot_be_squared_are_named() {
    let (frames, labels) = labelled(4, 3);
    let given = |e| settings(ModelSettings::ridge(), Baseline::Given([(6, e), (14, e)].into()), Sigmas::default());
    let refusal = |settings: &TrainSettings, labels: &[Labels]| {
        let done = Trainer::new(primitive(), settings, &frames, labels).and_then(|mut trainer| trainer.advance(4));
        done.unwrap_err().to_string()
    };
    let with = |change: fn(&mut Labels)| {
        let mut labels = labels.clone();
        change(&mut labels[2]);
        // Least squares over all energies: another frame must not be blamed.
        refusal(&settings(ModelSettings::ridge(), Baseline::default(), Sigmas::default()), &labels)
    };
    let error = with(|l| l.energy = Some(1e300));
    assert_eq!(
        error,
        "frame 2: energy is 1e300, and labels reach 1e100 at most; correct it, or give NaN throughout where \
                       there is no such label"
    );
    assert!(with(|l| l.energy = Some(f64::NAN)).starts_with("frame 2: energy is NaN; leave it out"));
    let error = with(|l| l.forces.as_mut().unwrap()[1][2] = -1e200);
    assert!(error.starts_with("frame 2, atom 1: component z of forces is -1e200"), "{error}");
    let error = with(|l| l.stress = Some([[0.0, f64::INFINITY, 0.0], [0.0; 3], [0.0; 3]]));
    assert!(error.starts_with("frame 2: component xy of stress is inf"), "{error}");
    let error = refusal(&given(1e200), &labels);
    assert!(error.starts_with("frame 0: ") && error.contains("energy_sigma"), "{error}");
}

#[test]
fn a_basis_that_keeps_little_and_labels_that_hardly_count_are_remarked_upon() {
    let (frames, labels) = labelled(6, 4);
    let ridge = |sigmas| settings(ModelSettings::ridge(), Baseline::default(), sigmas);
    let large = optimal(&frames, Mixing::Combined, 12, 2);
    let nothing = said(&ridge(Sigmas::default()), &large, &frames, &labels);
    assert!(nothing.iter().all(|text| text.contains("no composition")), "{nothing:?}");
    let small = optimal(&frames, Mixing::Combined, 1, 2);
    let (kept, channels) = small.kept_variance().unwrap();
    assert!(kept < 0.99 && channels == "q_max 1" && primitive().kept_variance().is_none());
    let of_small = said(&ridge(Sigmas::default()), &small, &frames, &labels);
    let expected = format!("None: q_max 1 keeps {:.1} % of the variance", 100.0 * kept);
    assert!(of_small[0].starts_with(&expected), "{of_small:?}");
    let unimportant = Sigmas { energy_sigma: Some(50.0), force_sigma: Some(0.05), stress_sigma: Some(3.0) };
    let texts = said(&ridge(unimportant), &large, &frames, &labels);
    let hardly: Vec<&String> = texts.iter().filter(|text| text.contains("hardly count")).collect();
    assert_eq!(hardly.len(), 2, "{texts:?}");
    assert!(hardly[0].contains("energy_sigma is 50000 meV") && hardly[1].contains("stress_sigma is 3000 meV/Å³"));
}

#[test]
fn compositions_that_tell_no_atoms_apart_are_remarked_upon() {
    let (mut frames, mut labels) = labelled(6, 5);
    let basis = primitive();
    let least_squares = settings(ModelSettings::ridge(), Baseline::default(), Sigmas::default());
    let texts = said(&least_squares, &basis, &frames, &labels);
    assert!(texts.iter().any(|text| text.contains("the free atoms of C and Si apart")), "{texts:?}");
    let given =
        settings(ModelSettings::ridge(), Baseline::Given([(6, -150.0), (14, -100.0)].into()), Sigmas::default());
    assert!(said(&given, &basis, &frames, &labels).is_empty());
    frames[3].species[0] = 6;
    labels[3] = pair_labels(&frames[3]);
    assert!(said(&least_squares, &basis, &frames, &labels).is_empty());
    // A free atom whose label is not what is given.
    frames.push(Structure::molecule(vec![14], vec![[0.0; 3]]));
    labels.push(Labels { energy: Some(-99.0), ..Labels::default() });
    let texts = said(&given, &basis, &frames, &labels);
    assert!(texts.len() == 1 && texts[0].starts_with("Some(6): a Si atom alone has -99 eV"), "{texts:?}");
}

#[test]
fn absurd_energies_are_named_before_the_fit() {
    let (mut frames, mut labels) = labelled(12, 6);
    frames[3].species[0] = 6;
    labels[3] = pair_labels(&frames[3]);
    let ridge = settings(ModelSettings::ridge(), Baseline::default(), Sigmas::default());
    let basis = primitive();
    assert!(said(&ridge, &basis, &frames, &labels).is_empty());
    labels[7].energy = Some(labels[7].energy.unwrap() * 27.2);
    let texts = said(&ridge, &basis, &frames, &labels);
    assert!(texts.len() == 1 && texts[0].starts_with("Some(7): its energy is -"), "{texts:?}");
    assert!(texts[0].contains("eV/atom off") && texts[0].contains("times the spread"), "{texts:?}");
    for k in [0, 1, 8] {
        labels[k].energy = Some(1e4 * f64::from(k as u32 + 1));
    }
    let texts = said(&ridge, &basis, &frames, &labels);
    assert_eq!(texts.len(), 4, "{texts:?}");
    assert!(texts[0].starts_with("Some(8)") && texts[3].contains("1 more frames"), "{texts:?}");
}
