//! The command among scripts: JSON, silence, completions of shells, manual pages.

mod common;

use common::{Place, molecules, said, says};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

const MODEL: &str = "\
[data]
train = \"data.xyz@:24\"
test = \"data.xyz@24:\"
[basis]
r_cut = 3.0
sigma = 0.4
n_max = 5
l_max = 2
q_max = 3
mixing = \"combined\"
";

#[test]
fn info_is_one_object() {
    let text = molecules(10).replacen("energy=", "config_type=odd energy=", 1);
    let place = Place::of(&[("data.xyz", text)]);
    let said = json(&place.ok(&["info", "data.xyz", "--json"]));
    assert_eq!(said["files"][0]["path"], "data.xyz");
    assert_eq!((&said["frames"], &said["atoms"]), (&10.into(), &30.into()));
    assert_eq!(said["species"]["O"], serde_json::json!({ "atoms": 10, "frames": 10 }));
    assert_eq!(said["cells"][0]["pbc"], serde_json::json!([false, false, false]));
    assert_eq!(said["energy_per_atom"]["frames"], 10);
    assert!((said["energy_per_atom"]["max"].as_f64().unwrap() + 10.0 / 3.0).abs() < 1e-12);
    assert!(said["force"].is_null() && said["number_density"].is_null());
    let shortest = said["shortest_distance"]["distance"].as_f64().unwrap();
    assert!((0.9..1.2).contains(&shortest), "{shortest}");
    let named =
        |name: &str| said["properties"].as_array().unwrap().iter().find(|p| p["name"] == name).cloned().unwrap();
    assert_eq!((&named("energy")["of"], &named("config_type")["frames"]), (&"frame".into(), &1.into()));
    assert!(said["remarks"][0].as_str().unwrap().contains("config_type"));
    let checked = json(&place.ok(&["info", "data.xyz", "--json", "--labels"]));
    assert!(checked["label_check"]["findings"].is_array() && checked["label_check"]["tested"].is_array());
    let other = Place::of(&[("data.xyz", molecules(3).replace("energy=", "dft_energy="))]);
    let said = json(&other.ok(&["info", "data.xyz", "--json"]));
    assert_eq!(said["likely_keys"]["energy_key"], serde_json::json!(["dft_energy"]));
}

#[test]
fn errors_are_one_object_with_the_numbers_of_the_table() {
    let place = Place::of(&[("data.xyz", molecules(36)), ("m.toml", MODEL.to_string())]);
    place.ok(&["train", "m.toml", "-o", "m.rho", "--no-plot"]);
    let compared = json(&place.ok(&["evaluate", "m.rho", "data.xyz", "--json", "--csv", "e.csv"]));
    assert_eq!((&compared["model"], &compared["frames"]), (&"m.rho".into(), &36.into()));
    let row = &compared["errors"][0];
    assert_eq!((&row["quantity"], &row["unit"]), (&"energy per atom".into(), &"meV/atom".into()));
    assert_eq!((&row["config_type"], &row["count"]), (&Value::Null, &36.into()));
    let csv = said(place.bytes("e.csv"));
    let of_table: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(of_table[4].parse::<f64>().unwrap(), row["rmse"].as_f64().unwrap(), "{csv}");
    assert!(compared["intervals"].is_array());

    let folds = json(&place.ok(&["evaluate", "m.toml", "--folds", "3", "--json"]));
    assert_eq!(folds["folds"].as_array().unwrap().len(), 3);
    assert_eq!(folds["folds"][2]["errors"][0]["quantity"], "energy per atom");
    assert_eq!(folds["frames"], 24);
    let curve = json(&place.ok(&["evaluate", "m.toml", "--learning-curve", "8,16", "--json"]));
    let sizes: Vec<&Value> = curve["learning_curve"].as_array().unwrap().iter().map(|point| &point["frames"]).collect();
    assert_eq!(sizes, [&8, &16]);
    assert_eq!(curve["test_frames"], 12);
    assert!(curve["learning_curve"][1]["errors"][0]["rmse"].as_f64().unwrap() >= 0.0);
}

#[test]
fn quiet_leaves_out_notes_and_keeps_warnings_and_errors() {
    let place = Place::of(&[("data.xyz", molecules(30)), ("m.toml", MODEL.to_string())]);
    let stderr = |args: &[&str]| said(place.succeeds(&mut place.command(args)).stderr);
    let train = ["train", "m.toml", "-o", "m.rho", "--no-plot", "--force"];
    says(&stderr(&train), &["memory: about", "warning: "]);
    let quiet = stderr(&[&train[..], &["--quiet"]].concat());
    assert!(!quiet.contains("memory") && quiet.contains("warning: "), "{quiet}");
    assert!(quiet.lines().all(|line| line.starts_with("warning: ")), "{quiet}");
    let fit = ["fit", "data.xyz", "-o", "b.rho", "--r-cut", "3", "-q"];
    assert_eq!(stderr(&fit), "");
    place.refused(1, &["-q", "info", "none.xyz"], &["error: none.xyz"]);
}

#[test]
fn shells_complete_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.ok(&["completions", shell]);
        says(&script, &["rhobasis", "features", "by-species", "learning-curve", "completions"]);
    }
    place.refused(2, &["completions", "tcsh"], &["tcsh", "bash", "zsh", "fish"]);
    let script = place.ok(&["completions", "bash"]);
    let test = format!(
        "{script}\nCOMP_WORDS=(rhobasis fea)\nCOMP_CWORD=1\n_rhobasis rhobasis fea rhobasis\necho \"${{COMPREPLY[@]}}\""
    );
    match std::process::Command::new("bash").args(["-c", &test]).output() {
        Ok(output) => assert_eq!(said(output.stdout).trim(), "features", "{}", said(output.stderr)),
        Err(e) => eprintln!("no bash here: {e}"),
    }
}

#[test]
fn every_command_has_a_page() {
    let place = Place::new();
    let told = place.ok(&["man", "man/man1"]);
    says(&told, &["pages to man/man1"]);
    let page = |name: &str| std::fs::read_to_string(place.path(&format!("man/man1/{name}.1"))).unwrap();
    says(&page("rhobasis"), &[".TH RHOBASIS 1", "rhobasis\\-train"]);
    let train = page("rhobasis-train");
    says(&train, &[".TH RHOBASIS-TRAIN 1", "rhobasis train", "\\-\\-dry\\-run", "Example"]);
    let n_pages = std::fs::read_dir(place.path("man/man1")).unwrap().count();
    assert!(n_pages > 15 && told.contains(&format!("wrote {n_pages} pages")), "{told}");
    place.ok(&["man", "man/man1"]);
    let place = place.with("file", "text");
    place.refused(1, &["man", "file"], &["file"]);
}
