//! Features of some atoms, of single precision, with energies beside.

use std::fs;
use std::process::Output;

use rhobasis::extxyz;

use crate::{Place, array, integers, reals, settings, with_commas};

#[test]
fn chosen_species_have_the_rows_that_they_have_among_all() {
    let place = Place::molecules(&["--q-max", "2", "--mixing", "combined"]);
    for kind in ["density", "power-spectrum", "bispectrum"] {
        place.features(kind, "all.npz", &[]);
        let said = place.features(kind, "some.npz", &["--centers", "O,N"]);
        let (all, some) = (place.arrays("all.npz"), place.arrays("some.npz"));
        let species = integers(&all["species"].1);
        let rows: Vec<usize> = (0..species.len()).filter(|&i| [7, 8].contains(&species[i])).collect();
        assert!(said.contains(&format!("{} centres:", rows.len())), "{said}");
        for name in ["structure", "atom", "species"] {
            let of_all = integers(&all[name].1);
            assert_eq!(integers(&some[name].1), rows.iter().map(|&i| of_all[i]).collect::<Vec<_>>());
        }
        for name in all.keys().filter(|name| *name == "X" || (name.starts_with('l') && name.len() == 2)) {
            let width = all[name].0[1..].iter().product::<usize>();
            let (x, found) = (reals(&all[name].1), reals(&some[name].1));
            let expected: Vec<f64> = rows.iter().flat_map(|&i| &x[i * width..(i + 1) * width]).copied().collect();
            assert_eq!(found.len(), expected.len());
            assert!(
                found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-13 * (1.0 + b.abs())),
                "{kind} {name}"
            );
        }
        assert_eq!(settings(&some)["centers"], serde_json::json!(["N", "O"]));
    }
    place.features("power-spectrum", "some.npz", &["--centers", "O,N"]);
    place.features("power-spectrum", "some.npy", &["--centers", "O,N", "--chunk-rows", "9"]);
    let joined: Vec<u8> = (0..)
        .map_while(|k| fs::read(place.path(&format!("some-{k:05}.npy"))).ok())
        .collect::<Vec<_>>()
        .iter()
        .flat_map(|bytes| array(bytes).1)
        .collect();
    assert!(joined == place.arrays("some.npz")["X"].1);

    let refused = |centers: &str, words: &[&str]| {
        place.refused(1, &["--kind", "bispectrum", "-o", "z.npz", "--centers", centers], words);
    };
    refused("Xy", &["--centers = Xy", "is no element"]);
    refused("O,Fe", &["--centers = Fe", "is not among the species of this basis", "name some of these"]);
    fs::write(place.path("water.xyz"), WATER).unwrap();
    let args = ["features", "water.xyz", "--basis", "basis.rho", "--kind", "bispectrum", "-o", "z.npz", "--centers"];
    let Output { status, stderr, .. } = place.run(&[&args[..], &["N"]].concat());
    let message = String::from_utf8(stderr).unwrap();
    assert!(status.code() == Some(1) && message.contains("centers = N: no atom is of this species"), "{message}");
    assert!(message.contains("there are H O") && !place.path("z.npz").exists(), "{message}");
    let said = place.ok(&[&args[..], &["N,O"]].concat());
    assert!(said.contains("--centers: no atom is N") && said.contains("2 centres"), "{said}");
}

/// Two frames, of which one has an energy.
const WATER: &str = "3
Properties=species:S:1:pos:R:3 dft=-14.5 pbc=\"F F F\"
O 0 0 0
H 0.76 0.59 0
H -0.76 0.59 0
1
Properties=species:S:1:pos:R:3 pbc=\"F F F\"
O 0 0 0
";

#[test]
fn single_precision_is_double_precision_rounded() {
    let place = Place::molecules(&["--q-max", "2"]);
    for more in [&[][..], &["--reduce", "mean"], &["--centers", "C"]] {
        place.features("power-spectrum", "double.npz", more);
        let said = place.features("power-spectrum", "single.npz", &[more, &["--float32"]].concat());
        let (double, single) = (place.arrays("double.npz"), place.arrays("single.npz"));
        let width = double["X"].0[1];
        assert!(said.contains(&format!("disk {} bytes per", with_commas(4 * width))), "{said}");
        assert_eq!(single["X"].0, double["X"].0);
        let rounded: Vec<u8> = reals(&double["X"].1).iter().flat_map(|&x| (x as f32).to_le_bytes()).collect();
        assert!(single["X"].1 == rounded);
        assert_eq!(settings(&single)["dtype"], "float32");
        place.features("power-spectrum", "single.npy", &[more, &["--float32"]].concat());
        assert!(place.matrix("single.npy") == single["X"]);
    }
    let said = place.ok(&["select", "single.npz", "--method", "fps", "-n", "3", "-o", "picked.npz"]);
    assert!(said.contains("3 features of"), "{said}");
}

#[test]
fn energies_and_numbers_of_atoms_of_frames_lie_beside_the_features() {
    let place = Place::molecules(&["--q-max", "2"]);
    let frames = place.frames();
    let energies: Vec<f64> = frames.iter().map(|frame| extxyz::required_energy(frame, "energy").unwrap()).collect();
    let n_atoms: Vec<i64> = frames.iter().map(|frame| frame.len() as i64).collect();
    for (output, more) in [("a.npz", &[][..]), ("b.npz", &["--reduce", "sum"]), ("c.npy", &["--chunk-rows", "99"])] {
        place.features("radial-spectrum", output, more);
        let arrays = place.arrays(&output.replace(".npy", ".meta.npz"));
        assert_eq!(reals(&arrays["energy"].1), energies);
        assert_eq!(integers(&arrays["n_atoms"].1), n_atoms);
    }
    place.ok(&["select", "b.npz", "--method", "fps", "--of", "samples", "-n", "3", "-o", "picked.npz"]);
    let (picked, b) = (place.arrays("picked.npz"), place.arrays("b.npz"));
    let selected = integers(&picked["selected"].1);
    assert_eq!(integers(&picked["structure"].1), selected);
    assert_eq!(reals(&picked["energy"].1), selected.iter().map(|&k| energies[k as usize]).collect::<Vec<_>>());
    assert_eq!(integers(&picked["n_atoms"].1), selected.iter().map(|&k| n_atoms[k as usize]).collect::<Vec<_>>());
    assert_eq!(b["energy"].0, [40]);
    assert!(!place.arrays("c-00000.meta.npz").contains_key("energy"), "frames may be in several pieces");
    place.features("radial-spectrum", "a.npz", &["--energy-key", ""]);
    assert!(!place.arrays("a.npz").contains_key("energy"));
    place.refused(
        1,
        &["--kind", "bispectrum", "-o", "z.npz", "--energy-key", "dft"],
        &["--energy-key dft", "no frame has"],
    );

    fs::write(place.path("water.xyz"), WATER).unwrap();
    let args = ["features", "water.xyz", "--basis", "basis.rho", "--kind", "radial-spectrum", "-o", "w.npz", "--force"];
    place.ok(&args);
    assert!(!place.arrays("w.npz").contains_key("energy"));
    let said = place.ok(&[&args[..], &["--energy-key", "dft"]].concat());
    assert!(said.contains("1 of 2 frames have no energy"), "{said}");
    let energies = reals(&place.arrays("w.npz")["energy"].1);
    assert!(energies[0] == -14.5 && energies[1].is_nan());

    fs::write(place.path("water.xyz"), WATER.replace("dft=-14.5", "energy=inf")).unwrap();
    let message = String::from_utf8(place.run(&args).stderr).unwrap();
    assert!(message.contains("frame 0: energy is inf") && message.contains("--energy-key \"\""), "{message}");
    place.ok(&[&args[..], &["--energy-key", ""]].concat());
}

#[test]
fn unknown_neighbors_are_left_out_where_that_is_asked_for() {
    let place = Place::molecules(&["--q-max", "2"]);
    let water = WATER.split("\n1\n").next().unwrap().replace("dft=-14.5 ", "");
    fs::write(place.path("bare.xyz"), format!("{water}\n")).unwrap();
    fs::write(place.path("salt.xyz"), format!("{water}\nNa 1.5 -1.5 0.3\n").replacen('3', "4", 1)).unwrap();
    let args = |data, output| ["features", data, "--basis", "basis.rho", "--kind", "power-spectrum", "-o", output];
    place.ok(&args("bare.xyz", "bare.npz"));
    let flags = ["--centers", "H,O", "--ignore-unknown-species"];
    place.ok(&[&args("salt.xyz", "salt.npz")[..], &flags].concat());
    let (bare, salt) = (place.arrays("bare.npz"), place.arrays("salt.npz"));
    let (expected, found) = (reals(&bare["X"].1), reals(&salt["X"].1));
    assert_eq!(bare["X"].0, salt["X"].0);
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-13 * (1.0 + b.abs())));
    assert_eq!(settings(&salt)["unknown_species"], "ignore");
    for more in [&flags[..2], &flags[2..]] {
        let Output { status, stderr, .. } = place.run(&[&args("salt.xyz", "z.npz")[..], more].concat());
        let message = String::from_utf8(stderr).unwrap();
        assert!(status.code() == Some(1) && message.contains("Na is not among the species"), "{message}");
    }
}
