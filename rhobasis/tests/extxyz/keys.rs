//! Under which keys labels are, and keys that are misspelt.

use rhobasis::Structure;
use rhobasis::extxyz::{LabelKeys, LabelSurvey, labels_and_omissions, required_energy};

use super::read_text as frames;

/// What is found in these frames under the keys that are named.
fn survey(frames: &[Structure], keys: LabelKeys) -> LabelSurvey {
    let mut survey = LabelSurvey::new(&keys);
    for (k, frame) in frames.iter().enumerate() {
        let (labels, omitted) = labels_and_omissions(frame, &keys.options(true)).unwrap();
        survey.add(frame, &labels, &omitted, || format!("frame {k}"));
    }
    survey
}

fn named(setting: &str, key: &str) -> LabelKeys {
    let key = Some(key.to_string());
    match setting {
        "energy_key" => LabelKeys { energy_key: key, ..LabelKeys::default() },
        "force_key" => LabelKeys { force_key: key, ..LabelKeys::default() },
        "stress_key" => LabelKeys { stress_key: key, ..LabelKeys::default() },
        _ => LabelKeys { virial_key: key, ..LabelKeys::default() },
    }
}

/// The lines that are proposed for frames with this comment and these columns.
fn proposed(comment: &str, columns: &str) -> Vec<String> {
    let n: usize = columns.split(':').skip(2).step_by(3).map(|width| width.parse::<usize>().unwrap()).sum();
    let row = " 1.5".repeat(n);
    let properties = format!("Properties=species:S:1:pos:R:3{}{columns}", if n > 0 { ":" } else { "" });
    let frames = frames(format!("1\nLattice=\"4 0 0 0 4 0 0 0 4\" {properties} {comment}\nSi 0 0 0{row}\n")).unwrap();
    survey(&frames, LabelKeys::default()).likely().iter().map(|likely| likely.setting()).collect()
}

const SIX: &str = "\"1 2 3 4 5 6\"";

#[test]
fn a_named_key_that_no_frame_has_is_refused_with_the_nearest_first() {
    let text = "1\nREF_energy=-1 DFT_energy=-2 Properties=species:S:1:pos:R:3:REF_forces:R:3\nSi 0 0 0 1 2 3\n";
    let all = frames(format!("{text}1\nenergy=-3 stress={SIX}\nSi 0 0 0\n")).unwrap();
    for (setting, key, message) in [
        (
            "energy_key",
            "REF_enrgy",
            "energy_key = REF_enrgy: no frame has this key; there is REF_energy, DFT_energy, energy",
        ),
        ("force_key", "REF_force", "force_key = REF_force: no frame has this column; there is REF_forces; name one"),
        ("stress_key", "dft_stress", "stress_key = dft_stress: no frame has this key; there is stress, "),
        ("virial_key", "virial", "virial_key = virial: no frame has this key"),
    ] {
        let refused = survey(&all, named(setting, key)).check_named().unwrap_err().to_string();
        assert!(refused.starts_with(message), "{refused}");
    }
    // Some frames are enough, and an empty key leaves a label out.
    for (setting, key) in [("energy_key", "DFT_energy"), ("force_key", "REF_forces"), ("virial_key", "")] {
        survey(&all, named(setting, key)).check_named().unwrap();
    }
    let bare = frames("1\n\nSi 0 0 0\n").unwrap();
    let refused = survey(&bare, named("force_key", "forces")).check_named().unwrap_err().to_string();
    assert!(refused.contains("the columns are species and positions only"), "{refused}");
}

#[test]
fn labels_of_other_programs_are_recognised_by_kind_and_shape() {
    // MACE and pacemaker
    assert_eq!(
        proposed(&format!("REF_energy=-1 REF_stress={SIX} config_type=bulk"), "REF_forces:R:3"),
        ["energy_key = \"REF_energy\"", "force_key = \"REF_forces\"", "stress_key = \"REF_stress\""]
    );
    // QUIP and GAP
    assert_eq!(
        proposed(&format!("dft_energy=-1 dft_virial={SIX} kinetic_energy=0.1 energy_sigma=0.001"), "dft_force:R:3"),
        ["energy_key = \"dft_energy\"", "force_key = \"dft_force\"", "virial_key = \"dft_virial\""]
    );
    // n2p2, FHI-aims, CP2K
    assert_eq!(proposed("TotEnergy=-1", "force:R:3"), ["energy_key = \"TotEnergy\""]);
    assert_eq!(proposed("Energy=-1 virials=\"1 2 3\"", ""), ["energy_key = \"Energy\""]);
    assert_eq!(proposed("i = 1, time = 0.5, E = -17.16", "f:R:3"), ["energy_key = \"E\"", "force_key = \"f\""]);
    assert_eq!(proposed("free_energy=-1", "momenta:R:3"), ["energy_key = \"free_energy\""]);
    // Of the wrong shape, or something else
    assert_eq!(
        proposed("energy_weight=1 energy_of=slab stress_x=1 bandgap=2", "force_mask:R:3:force_norm:R:1"),
        [""; 0]
    );
    // Nothing is missing: a virial is a stress.
    assert_eq!(proposed(&format!("energy=-1 dft_energy=-1 virial={SIX} dft_stress={SIX}"), "forces:R:3"), [""; 0]);
}

#[test]
fn the_surest_key_comes_first_and_others_are_mentioned() {
    let text = format!(
        "1\nLattice=\"4 0 0 0 4 0 0 0 4\" mace_energy=-3 free_energy=-1 dft_stress={SIX} virial={SIX}\nSi 0 0 0\n"
    );
    let found = survey(&frames(&text).unwrap(), LabelKeys::default());
    assert_eq!(found.likely()[0].keys, ["free_energy", "mace_energy"]);
    assert_eq!(found.likely()[0].flag(), "--energy-key free_energy");
    assert_eq!(found.others()[0].keys, ["dft_stress"]);
    // Named is not missing.
    let found = survey(&frames(&text).unwrap(), named("energy_key", "mace_energy"));
    assert_eq!((found.likely(), found.others()[0].keys.clone()), (vec![], vec!["free_energy".to_string()]));
}

#[test]
fn labels_that_are_left_out_are_counted_with_the_first() {
    let slab = format!("1\nLattice=\"4 0 0 0 4 0 0 0 4\" pbc=\"T T F\" energy=nan stress={SIX}\nSi 0 0 0\n");
    let crystal = format!("1\nLattice=\"4 0 0 0 4 0 0 0 4\" energy=-1 stress={SIX}\nSi 0 0 0\n");
    let found = survey(&frames(&(crystal.clone() + &slab + &slab)).unwrap(), LabelKeys::default());
    let [nan, stress] = &found.omissions()[..] else { panic!("{:?}", found.omissions()) };
    assert!(nan.contains("the energy of 2 frames is NaN") && nan.ends_with("first: frame 1"), "{nan}");
    assert!(stress.contains("the stress of 2 frames is left out") && stress.ends_with("first: frame 1"), "{stress}");
}

#[test]
fn an_energy_that_is_needed_and_missing_is_proposed() {
    let all = frames("1\nREF_energy=-1 weight=2\nSi 0 0 0\n1\nb=-1 enrgy=2\nSi 0 0 0\n1\n\nSi 0 0 0\n").unwrap();
    let message = |k: usize| required_energy(&all[k], "energy").unwrap_err().to_string();
    assert!(message(0).contains("energy_key = \"REF_energy\" (--energy-key REF_energy)"), "{}", message(0));
    assert!(message(1).contains("its comment line has enrgy, b;"), "{}", message(1));
    assert!(message(2).contains("its comment line has nothing;"), "{}", message(2));
}

#[test]
fn a_cell_under_a_misspelt_key_is_not_lost() {
    let nine = "\"4 0 0 0 4 0 0 0 4.5\"";
    for (comment, parts) in [
        (format!("lattice={nine}"), ["frame 1", "the key 'lattice' differs from Lattice", "no cell; write Lattice"]),
        (format!("LATTICE={nine} pbc=\"F F F\""), ["frame 1", "'LATTICE'", "write Lattice"]),
        (
            format!("Lattice={nine} PBC=\"T T F\""),
            ["frame 1", "'PBC' differs from pbc", "another periodicity; write pbc"],
        ),
        ("Pbc=\"1 1 1\"".to_string(), ["frame 1", "'Pbc'", "write pbc"]),
        (
            "properties=species:S:1:pos:R:3:forces:R:3".to_string(),
            ["'properties'", "columns would not be read", "write Prop"],
        ),
    ] {
        let message = frames(format!("1\n\nSi 0 0 0\n1\n{comment}\nSi 0 0 0\n")).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    // What only looks so is a key like any other.
    for comment in
        ["lattice=fcc", "PBC=\"F F F\"", "properties=measured", &format!("Lattice={nine} lattice={nine} PBC=T")]
    {
        let read = frames(format!("1\n{comment}\nSi 0 0 0\n")).unwrap();
        assert!(
            read[0].get(comment.split('=').next().unwrap()).is_some() || comment.starts_with("Lattice"),
            "{comment}"
        );
    }
}
