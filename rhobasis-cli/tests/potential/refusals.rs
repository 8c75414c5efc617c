//! Model files, labels and data that are wrong.

use std::fs;

use super::{BASIS, Place, bundled, says, silicon};

#[test]
fn what_is_wrong_in_a_model_file_is_named() {
    let place = Place::new();
    let data = bundled("silicon.xyz.xz@:20");
    let head = format!("[data]\ntrain = \"{data}\"\n");
    let refused = |text: &str, parts: &[&str]| {
        fs::write(place.path("model.toml"), text).unwrap();
        place.refused(1, &["train", "model.toml", "-o", "m.rho"], parts);
    };
    let both = format!("{head}{BASIS}");
    refused(
        &format!("{both}r_cutt = 5\n"),
        &["model.toml", "[basis]", "unknown key 'r_cutt'", "nearest known one is 'r_cut'"],
    );
    refused(&format!("{both}[modell]\n"), &["unknown key 'modell'", "'model'"]);
    refused(&format!("{both}[model]\ntype = \"gap\"\nalpha = 1\n"), &["unknown key 'alpha'", "n_sparse"]);
    refused(&format!("{both}[model]\ntype = \"rigde\"\n"), &["nearest known one is \"ridge\""]);
    refused(&format!("{both}[model]\nalpha = -1\n"), &["alpha = -1", "positive"]);
    refused(&format!("{both}[weights]\nenrgy_sigma = 1\n"), &["'enrgy_sigma'", "'energy_sigma'"]);
    refused(
        &format!("{both}[weights.\"diamont_2\"]\nenergy_sigma = 1\n"),
        &["diamont_2", "config_type", "'diamond_2'"],
    );
    refused(&format!("{both}[weights.\"diamond_2\"]\nenergy = 1\n"), &["[weights.\"diamond_2\"]", "'energy_sigma'"]);
    refused(&format!("{both}[weights]\nforce_sigma = 0\n"), &["force_sigma = 0", "positive"]);
    refused(&format!("{both}[baseline]\ntype = \"given\"\nenergies = {{ Xx = 1 }}\n"), &["\"Xx\"", "no element"]);
    refused(&format!("{both}[baseline]\ntype = \"given\"\n"), &["energies = none: they are missing"]);
    refused(&format!("{both}[baseline]\ntype = \"isolated-atoms\"\n"), &["single Si atom"]);
    refused(&both.replace("r_cut = 4.0", "r_cut = \"4\""), &["line 4", "r_cut = \"4\"", "must be a number"]);
    refused(&both.replace("r_cut = 4.0", "r_cut = -4"), &["r_cut = -4", "positive"]);
    refused(&both.replace("q_max = 4", "q_max = 4\nretain = 0.9"), &["retain", "q_max"]);
    refused(&format!("{head}test = \"x\"\ntest_fraction = 0.5\n{BASIS}"), &["test_fraction", "does not go with test"]);
    refused(&format!("{head}test_fraction = 1.5\n{BASIS}"), &["test_fraction = 1.5"]);
    refused(&format!("{both}gamma = 0.5\n"), &["unknown key 'gamma'"]);
    refused(&format!("{both}method = \"pcovr\"\ngamma = 2\n"), &["gamma = 2"]);
    refused(&format!("{both}method = \"primitive\"\n"), &["unknown key 'q_max'"]);
    let kinds = format!("{both}[features]\nkind = [\"power-spectrum\", \"bispectrum\"]\n");
    refused(
        &format!("{kinds}q_max = [4, 2, 1]\n"),
        &["line 12", "q_max = [4, 2, 1]: there are 2 kinds", "one for each"],
    );
    refused(&format!("{kinds}q_max = [4, 9]\n"), &["q_max = 9: this basis has 4 channels", "use 1 to 4"]);
    refused(&format!("{kinds}weight = 0\n"), &["weight = 0", "must be a positive number"]);
    refused(&format!("{both}[features]\nq_max = [4]\n"), &["q_max = [4]: must be a whole number"]);
    let twice = kinds.replace("bispectrum", "power-spectrum");
    refused(&format!("{twice}columns = \"x.npz\"\n"), &["columns chooses components of one power spectrum"]);
    refused(&head, &["no section [basis]"]);
    refused(BASIS, &["no section [data]"]);
    refused(&format!("{head}[basis]\nfile = \"none.rho\"\n"), &["none.rho"]);
    refused("[data]\ntrain = 3\n", &["train = 3"]);
    refused("[data\n", &["model.toml: line 1"]);
}

#[test]
fn missing_labels_are_named() {
    let bare = "2\nLattice=\"4 0 0 0 4 0 0 0 4\" pbc=\"T T T\"\nSi 0 0 0\nSi 1.9 1.9 1.9\n".repeat(3);
    let energies = bare.replace("pbc", "dft=-8.0 pbc");
    let model = |keys: &str, more: &str| format!("[data]\ntrain = \"a.xyz\"\n{keys}{BASIS}{more}");
    let place = Place::of(&[("bare.xyz", &bare), ("a.xyz", &energies), ("m.toml", &model("", ""))]);
    place.refused(
        1,
        &["train", "m.toml", "-o", "m.rho"],
        &["m.toml", "no training frame has a label under energy", "energy_key"],
    );
    fs::write(place.path("m.toml"), model("energy_key = \"dft\"\n", "[weights]\nforce_sigma = 0.1\n")).unwrap();
    place.refused(
        1,
        &["train", "m.toml", "-o", "m.rho"],
        &["force_sigma = 0.1", "no training frame has forces", "\"none\""],
    );
    fs::write(place.path("m.toml"), model("energy_key = \"dft\"\n", "")).unwrap();
    let text = place.ok(&["train", "m.toml", "-o", "m.rho"]);
    says(&text, &["3 energies", "0 force components, left out"]);
    place.refused(1, &["evaluate", "m.rho", "bare.xyz"], &["bare.xyz", "no frame has a label", "--energy-key"]);
    place.ok(&["evaluate", "m.rho", "a.xyz", "--energy-key", "dft"]);
    place.ok(&["predict", "m.rho", "bare.xyz", "-o", "p.xyz"]);
    assert!(place.read("p.xyz").iter().all(|frame| frame.get("energy").is_some() && frame.get("stress").is_some()));
}

#[test]
fn wrong_files_and_unknown_species_are_refused() {
    let place = Place::of(&[("model.toml", &silicon(""))]);
    place.ok(&["train", "model.toml", "-o", "m.rho", "--no-plot"]);
    let data = bundled("silicon.xyz.xz@:2");
    place.ok(&["fit", &data, "-o", "basis.rho", "--n-max", "4", "--l-max", "1"]);
    place.refused(1, &["predict", "basis.rho", &data, "-o", "p.xyz"], &["basis.rho", "kind 'basis', not 'potential'"]);
    place.refused(1, &["evaluate", "basis.rho", &data], &["kind 'basis'"]);
    place.refused(1, &["md", "basis.rho", &data], &["kind 'basis'"]);
    place.refused(1, &["predict", "model.toml", &data, "-o", "p.xyz"], &["model.toml"]);
    place.refused(2, &["train", "m.rho", "-o", "n.rho"], &["does not end in .toml"]);
    place.refused(2, &["train", "model.toml", "-o", "n.xyz"], &["must end in .rho"]);
    place.refused(1, &["predict", "none.rho", &data, "-o", "p.xyz"], &["none.rho", "no such file"]);
    place.refused(1, &["predict", "m.rho", &data, "-o", "no/p.xyz"], &["no such folder"]);
    let water = "1\npbc=\"F F F\" energy=1\nSi 0 0 0\n3\npbc=\"F F F\" energy=1\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n";
    fs::write(place.path("w.xyz"), water).unwrap();
    for verb in [&["predict", "m.rho", "w.xyz", "-o", "p.xyz"][..], &["evaluate", "m.rho", "w.xyz"]] {
        place.refused(1, verb, &["w.xyz, frame 1, atom", "Si"]);
    }
    place.refused(1, &["md", "m.rho", "w.xyz@1"], &["w.xyz", "atom", "Si"]);
}
