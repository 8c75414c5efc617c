//! Atoms that are nearer to each other than in training.

use rhobasis::Structure;
use rhobasis::files::{Archive, Stored};
use rhobasis::neighbors::{NeighborList, VerletList};
use rhobasis::potential::{
    Baseline, FeatureKind, ModelSettings, Potential, Repulsion, TrainSettings, Weights, train as trained,
};
use rhobasis::settings::Given;
use rhobasis::structure::covalent_radius;

use crate::samples::*;

fn dimer(species: [u8; 2], r: f64) -> Structure {
    Structure::molecule(species.to_vec(), vec![[0.1, -0.2, 0.0], [0.1 + 0.6 * r, -0.2 + 0.8 * r, 0.0]])
}

fn energy(potential: &Potential, structure: &Structure) -> f64 {
    potential.predict(std::slice::from_ref(structure), false).unwrap()[0].energy
}

/// The same potential without its core.
fn bare(potential: &Potential) -> Potential {
    let mut archive = potential.archive();
    assert!(archive.metadata.remove("nearest").is_some());
    Potential::from_archive(archive, "bare".as_ref()).unwrap()
}

#[test]
fn smallest_distances_are_those_of_the_training_frames() {
    for (kind, potential, frames) in potentials() {
        let mut least = std::collections::BTreeMap::new();
        for frame in frames {
            let list = NeighborList::new(frame, potential.r_cut()).unwrap();
            for i in 0..frame.len() {
                for pair in list.pairs(i) {
                    let (a, b) = (frame.species[i], frame.species[list.neighbor[pair] as usize]);
                    let r = list.vector[pair].iter().map(|x| x * x).sum::<f64>().sqrt();
                    let entry: &mut f64 = least.entry((a.min(b), a.max(b))).or_insert(r);
                    *entry = entry.min(r);
                }
            }
        }
        let found: Vec<_> = potential.nearest().unwrap().rows();
        assert_eq!(found, least.into_iter().map(|((a, b), r)| (a, b, r)).collect::<Vec<_>>(), "{kind}");
    }
}

#[test]
fn the_core_changes_no_bit_where_training_has_been() {
    for (kind, potential, frames) in potentials() {
        let (with, without) =
            (potential.predict(frames, true).unwrap(), bare(potential).predict(frames, true).unwrap());
        assert_eq!(with, without, "{kind}");
        assert!(with.iter().all(|prediction| prediction.close.is_none()), "{kind}");
    }
    // Nor does it change the fit.
    let (_, _, frames) = &potentials()[0];
    let labels: Vec<_> = frames.iter().map(pair_labels).collect();
    let fit = |repulsion: Repulsion| {
        let (baseline, weights) = (Baseline::default(), Weights::default());
        let features = features(FeatureKind::PowerSpectrum, false);
        let settings = TrainSettings { features, model: ModelSettings::ridge(), baseline, repulsion, weights };
        let basis = optimal(frames, rhobasis::optimal::Mixing::PerSpecies, 3, 2);
        trained(basis, &settings, frames, &labels, |_| {}).unwrap()
    };
    let [with, without] = [Repulsion::default(), Repulsion::None].map(fit);
    assert_eq!(with.archive().tensors, without.archive().tensors);
    let close = dimer([14, 14], 1.0);
    assert!(energy(&with, &close) > energy(&without, &close) + 20.0);
    // Without a core, a pair that is too near is named all the same.
    let said = without.predict(&[close], false).unwrap()[0].close.unwrap();
    assert_eq!((said.atoms, said.species), ([0, 1], [14, 14]));
    assert!((said.distance - 1.0).abs() < 1e-12 && said.smallest == with.nearest().unwrap().get(14, 14));
    assert!(
        said.to_string().starts_with("atoms 0 (Si) and 1 (Si) are 1.000 Å apart; the smallest distance in training is")
    );
}

#[test]
fn the_energy_rises_all_the_way_as_atoms_approach() {
    for (kind, potential, _) in potentials() {
        for (a, b, nearest) in potential.nearest().unwrap().rows() {
            let nearest = nearest.min(0.9 * (covalent_radius(a).unwrap() + covalent_radius(b).unwrap()));
            // Further out, what a model of twelve frames says may be off by more than the core.
            let steps = 60;
            let scan: Vec<f64> = (0..=steps)
                .map(|k| 0.3 + (0.55 * nearest - 0.3) * f64::from(k) / f64::from(steps))
                .map(|r| energy(potential, &dimer([a, b], r)))
                .collect();
            assert!(scan.windows(2).all(|pair| pair[0] > pair[1]), "{kind} {a} {b}: {scan:?}");
            assert!(scan[0] > scan[steps as usize] + 100.0, "{kind} {a} {b}: {scan:?}");
        }
    }
}

#[test]
fn forces_and_stress_are_derivatives_where_the_core_acts() {
    let mut crystal = frames(1, 3).remove(0);
    crystal.positions[1] = std::array::from_fn(|d| crystal.positions[0][d] + [0.9, 0.6, -0.5][d]);
    for (kind, potential, _) in potentials() {
        let here = &potential.predict(std::slice::from_ref(&crystal), true).unwrap()[0];
        assert!(here.close.is_some(), "{kind}");
        assert!((here.energy - bare(potential).predict(&[crystal.clone()], false).unwrap()[0].energy) > 1.0, "{kind}");
        let scale = here.forces.as_flattened().iter().fold(0.0_f64, |most, f| most.max(f.abs()));
        let h = 1e-5;
        for (atom, d) in [(0, 0), (1, 1), (1, 2), (3, 0)] {
            let moved = |x: f64| {
                let mut moved = crystal.clone();
                moved.positions[atom][d] += x;
                energy(potential, &moved)
            };
            let slope = (moved(h) - moved(-h)) / (2.0 * h);
            assert!((slope + here.forces[atom][d]).abs() < 1e-6 * scale.max(1.0), "{kind} {atom} {d}: {slope}");
        }
        for (p, q) in [(0, 0), (1, 2)] {
            let strained = |x: f64| {
                let mut strained = crystal.clone();
                let by = |mut r: [f64; 3]| {
                    r[q] += x * r[p];
                    r
                };
                strained.cell = strained.cell.map(by);
                strained.positions.iter_mut().for_each(|r| *r = by(*r));
                energy(potential, &strained)
            };
            let slope = (strained(h) - strained(-h)) / (2.0 * h);
            assert!((slope + here.virial[[p, q]]).abs() < 1e-5 * scale.max(1.0), "{kind} {p} {q}: {slope}");
        }
        // A list that is kept from step to step finds the same pairs.
        let mut list = VerletList::new(potential.r_cut(), 0.4).unwrap();
        let listed = potential.evaluate(&crystal, &mut list).unwrap();
        assert!((listed.energy - here.energy).abs() < 1e-9 * here.energy.abs(), "{kind}");
        assert_eq!(listed.close.map(|c| c.species), here.close.map(|c| c.species));
    }
}

#[test]
fn files_keep_the_core_and_older_ones_have_none() {
    let (_, potential, _) = &potentials()[0];
    let again = Potential::from_bytes(&potential.to_bytes()).unwrap();
    let close = [dimer([14, 6], 0.8)];
    assert_eq!(again.predict(&close, true).unwrap(), potential.predict(&close, true).unwrap());
    assert_eq!(again.nearest(), potential.nearest());
    // As written before there was any.
    let mut archive: Archive = potential.archive();
    archive.metadata.remove("nearest");
    let settings = archive.metadata.get_mut("settings").unwrap();
    let core = r#""repulsion":{"type":"zbl","inner":0.7,"outer":1.0},"#;
    assert!(settings.contains(core), "{settings}");
    *settings = settings.replace(core, "");
    let old = Potential::from_archive(archive, "old".as_ref()).unwrap();
    assert_eq!((old.settings().repulsion, old.nearest()), (Repulsion::None, None));
    let said = &old.predict(&close, true).unwrap()[0];
    assert!(said.close.is_none() && said.energy < potential.predict(&close, false).unwrap()[0].energy - 10.0);
}

#[test]
fn a_pair_that_training_never_had_is_named_at_any_distance() {
    let labelled: Vec<Structure> =
        [14, 6].iter().flat_map(|&z| (0..6).map(move |k| dimer([z, z], 1.6 + 0.2 * f64::from(k)))).collect();
    let labels: Vec<_> = labelled.iter().map(pair_labels).collect();
    let (model, kind) = (ModelSettings::ridge(), features(FeatureKind::PowerSpectrum, false));
    let potential = train(
        rhobasis::potential::Basis::primitive(&expansion(5, 2), &[6, 14]).unwrap(),
        kind,
        model,
        &labelled,
        &labels,
    )
    .unwrap();
    let rows = potential.nearest().unwrap().rows();
    assert!(rows.iter().map(|&(a, b, _)| (a, b)).eq([(6, 6), (14, 14)]));
    assert!(rows.iter().all(|(.., r)| (r - 1.6).abs() < 1e-12), "{rows:?}");
    let far = &potential.predict(&[dimer([14, 6], 3.5)], false).unwrap()[0];
    let text = far.close.unwrap().to_string();
    assert!(text.contains("(Si) and 1 (C) are 3.500 Å apart; no training frame had these species"), "{text}");
    // Its core leaves bonds as they are that training may have lacked.
    let core = |r: f64| energy(&potential, &dimer([14, 6], r)) - energy(&bare(&potential), &dimer([14, 6], r));
    assert!(core(1.7) == 0.0 && core(1.4) > 0.0 && core(0.5) > 100.0);
}

#[test]
fn fractions_that_make_no_core_are_refused() {
    let refused = |inner: f64, outer: f64| {
        let given = move |name: &str| match name {
            "inner" => Some(Given::Number(inner)),
            "outer" => Some(Given::Number(outer)),
            _ => None,
        };
        Repulsion::read(&given).unwrap_err().to_string()
    };
    assert!(refused(0.8, 0.8).starts_with("inner = 0.8: must be below outer, which is 0.8"));
    assert!(refused(0.5, 1.1).starts_with("outer = 1.1"));
    assert!(refused(-0.1, 1.0).starts_with("inner = -0.1"));
    let none = |name: &str| (name == "repulsion").then(|| Given::Text("none".into()));
    assert_eq!(Repulsion::read(&none).unwrap(), Repulsion::None);
    assert_eq!(Repulsion::default(), Repulsion::Zbl { inner: 0.7, outer: 1.0 });
}
