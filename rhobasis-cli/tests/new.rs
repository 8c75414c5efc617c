//! `rhobasis new`: the model file that it proposes can be trained as it is, and says why each value is what it is.

mod common;

use std::fmt::Write as _;
use std::fs;

use common::{Place, bundled, molecules, says};

/// What the file of this name says of a key, before the comment.
fn value(place: &Place, file: &str, key: &str) -> String {
    let text = fs::read_to_string(place.path(file)).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{key} = ")));
    let line = line.unwrap_or_else(|| panic!("no {key} in: {text}"));
    line.split_once(" = ").unwrap().1.split("  #").next().unwrap().trim().to_string()
}

/// The root mean square error of a quantity on some data.
fn rmse(place: &Place, model: &str, data: &str, quantity: &str) -> f64 {
    let said = place.ok(&["evaluate", model, data, "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let rows = said["errors"].as_array().unwrap();
    let row = rows.iter().find(|row| row["quantity"] == quantity && row["config_type"].is_null()).unwrap();
    row["rmse"].as_f64().unwrap()
}

#[test]
fn silicon_gets_a_linear_potential_that_learns_forces() {
    let place = Place::new();
    let said = place.ok(&["new", &bundled("silicon.xyz.xz@::3"), "-o", "si.toml"]);
    says(&said, &["100 frames", "linear", "wrote si.toml", "next: rhobasis train si.toml -o si.rho"]);
    assert_eq!(value(&place, "si.toml", "kind"), "[\"power-spectrum\", \"bispectrum\"]");
    assert_eq!(value(&place, "si.toml", "test_fraction"), "0.2");
    let text = fs::read_to_string(place.path("si.toml")).unwrap();
    assert!(text.starts_with("# Proposed by 'rhobasis new'") && text.contains("\"liquid\" ("), "{text}");
    for (before, line) in text.lines().zip(text.lines().skip(1)) {
        let is_setting = !line.is_empty() && !line.starts_with(['#', '[']);
        assert!(!is_setting || line.contains("  # ") || before.starts_with('#'), "without a reason: {line}");
        assert!(line.chars().count() <= 150 || line.starts_with("train = "), "too long: {line}");
    }
    place.ok(&["train", "si.toml", "-o", "si.rho", "--no-plot"]);
    let test = bundled("silicon.xyz.xz@1::6");
    let [energy, force] =
        ["energy per atom", "force component"].map(|quantity| rmse(&place, "si.rho", &test, quantity));
    assert!(energy < 10.0 && force < 0.15, "{energy} meV/atom, {force} eV/Å");
    says(&place.ok(&["info", &bundled("silicon.xyz.xz@:3")]), &["next: rhobasis new", "-o silicon.toml"]);
}

#[test]
fn relaxed_molecules_get_a_kernel_of_energies() {
    let place = Place::new();
    let said = place.ok(&["new", &bundled("molecules.xyz.xz@::8"), "-o", "m.toml"]);
    says(&said, &["energies alone", "relaxed structures"]);
    assert_eq!(value(&place, "m.toml", "type"), "\"kernel-ridge\"");
    assert_eq!(value(&place, "m.toml", "mixing"), "\"combined\"");
    place.ok(&["train", "m.toml", "-o", "m.rho", "--no-plot"]);
    let energy = rmse(&place, "m.rho", &bundled("molecules.xyz.xz@1::80"), "energy per atom");
    assert!(energy < 100.0, "{energy} meV/atom");
}

#[test]
fn displaced_molecules_of_five_species_get_a_linear_potential() {
    let place = Place::new();
    place.ok(&["new", &bundled("molecules_rattled.xyz.xz@:12"), "-o", "r.toml"]);
    assert_eq!(value(&place, "r.toml", "type"), "\"ridge\"");
    assert_eq!(value(&place, "r.toml", "method"), "\"supervised\"");
    assert!(value(&place, "r.toml", "force_sigma").parse::<f64>().unwrap() > 0.02);
    // Principal functions, which take seconds rather than half a minute here.
    let text = fs::read_to_string(place.path("r.toml")).unwrap();
    let principal: Vec<&str> = text.lines().filter(|line| !line.starts_with("method")).collect();
    fs::write(place.path("r.toml"), principal.join("\n")).unwrap();
    let said = place.ok(&["train", "r.toml", "-o", "r.rho", "--dry-run"]);
    says(&said, &["force components", "stopped before the fit"]);
}

#[test]
fn labels_of_one_kind_are_enough() {
    let place = Place::new();
    let train = |left_out: &[&str], data: &str, sigma: &str| {
        let new = ["new", &bundled(data), "-o", "m.toml", "--force"];
        place.ok(&[&new[..], left_out].concat());
        assert_eq!(value(&place, "m.toml", sigma), "\"none\"");
        let output = place.succeeds(&mut place.command(&["train", "m.toml", "-o", "m.rho", "--dry-run"]));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!told.contains("not learned"), "{told}");
    };
    let no_stress = ["--stress-key", "", "--virial-key", ""];
    train(&[&no_stress[..], &["--energy-key", ""]].concat(), "silicon.xyz.xz@:40:4", "energy_sigma");
    train(&[&no_stress[..], &["--force-key", ""]].concat(), "silicon.xyz.xz@:40:4", "force_sigma");
}

#[test]
fn keys_are_found_by_their_names_and_free_atoms_by_their_frames() {
    let mut text = molecules(20).replace(" energy=", " dft_total_energy=");
    for (species, energy) in [("C", -1.0), ("O", -2.0), ("H", -0.5)] {
        writeln!(text, "1\nProperties=species:S:1:pos:R:3 dft_total_energy={energy} pbc=\"F F F\"\n{species} 0 0 0")
            .unwrap();
    }
    let place = Place::of(&[("data.xyz", text)]);
    let output = place.succeeds(&mut place.command(&["new", "data.xyz", "-o", "m.toml"]));
    says(&String::from_utf8(output.stderr).unwrap(), &["note: taking 'dft_total_energy' for the energy"]);
    assert_eq!(value(&place, "m.toml", "energy_key"), "\"dft_total_energy\"");
    assert_eq!(value(&place, "m.toml", "train"), "\"data.xyz\"");
    let text = fs::read_to_string(place.path("m.toml")).unwrap();
    says(&text, &["type = \"isolated-atoms\"", "# force_sigma = \"none\""]);
    place.ok(&["train", "m.toml", "-o", "m.rho", "--no-plot"]);
    says(&place.ok(&["info", "data.xyz"]), &["next: rhobasis new data.xyz -o data.toml"]);

    // In another folder, paths are those of the data.
    fs::create_dir(place.path("models")).unwrap();
    place.ok(&["new", "data.xyz@:20", "-o", "models/m.toml", "--energy-key", "dft_total_energy"]);
    let train = value(&place, "models/m.toml", "train");
    assert!(train.starts_with("\"/") && train.ends_with("/data.xyz@:20\""), "{train}");
    place.ok(&["train", "models/m.toml", "-o", "m.rho", "--no-plot", "--force"]);
}

#[test]
fn a_file_that_is_there_is_replaced_only_if_so_said() {
    let place = Place::of(&[("data.xyz", molecules(12))]);
    place.ok(&["new", "data.xyz", "-o", "m.toml"]);
    let new = ["new", "data.xyz", "-o", "m.toml"];
    place.refused(1, &new, &["m.toml", "is there already", "--force"]);
    let place = place.with("m.toml", "# mine\n[data]\ntrain = \"x.xyz\"\n");
    place.ok(&[&new[..], &["--force"]].concat());
    assert_eq!(value(&place, "m.toml", "train"), "\"data.xyz\"");
    place.refused(1, &["new", "data.xyz", "-o", "data.xyz"], &["data.xyz", "read by this command"]);
    place.refused(2, &["new", "data.xyz", "-o", "model.json"], &["model.json", ".toml"]);
    let unlabelled = molecules(3).replace(" energy=", " charge=");
    let atom = "1\nProperties=species:S:1:pos:R:3 energy=-1 pbc=\"F F F\"\nC 0 0 0\n";
    let place = Place::of(&[("unlabelled.xyz", unlabelled), ("atom.xyz", atom.to_string())]);
    place.refused(1, &["new", "unlabelled.xyz", "-o", "m.toml"], &["unlabelled.xyz", "--energy-key"]);
    place.refused(1, &["new", "atom.xyz", "-o", "m.toml"], &["no two atoms are within 6 Å", "several atoms"]);
}
