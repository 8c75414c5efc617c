//! Files tell the command that made them, and the same command makes the same bytes.

mod common;

use common::{Place, bundled, says, without_command};

/// Settings small enough for a test.
const SMALL: &str = "--r-cut 4 --n-max 4 --l-max 2 --spline-accuracy 1e-4";

/// A line of the command, its words apart.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// What `show` says of a file.
fn made_by(place: &Place, name: &str) -> Option<String> {
    let shown = place.ok(&["show", name]);
    shown.lines().find_map(|line| line.strip_prefix("made by").map(|told| told.trim().to_string()))
}

/// That it says this command.
fn tells(place: &Place, name: &str, command: &str) {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(made_by(place, name), Some(format!("rhobasis {command} (rhobasis {version})")), "{name}");
}

#[test]
fn every_kind_of_result_tells_its_command() {
    let place = Place::of(&[("a.xyz", common::molecules(12)), ("my data.xyz", common::molecules(7))]);
    let run = |line: &str| place.ok(&words(line));
    run(&format!("fit a.xyz {SMALL} -o b.rho"));
    tells(&place, "b.rho", &format!("fit a.xyz {SMALL}"));
    place.ok(&[
        &["--threads", "2", "fit", "a.xyz", "my data.xyz", "--sigma=C=0.3,H=0.25,O=0.3"],
        &words(SMALL)[..],
        &["-oc.cov"],
    ]
    .concat());
    tells(&place, "c.cov", &format!("fit a.xyz 'my data.xyz' --sigma C=0.3,H=0.25,O=0.3 {SMALL}"));
    says(
        &place.ok(&["show", "c.cov"]),
        &["sigma H=0.25,C=0.3,O=0.3 Å", "species         H C O", "structures      19", "centres         57"],
    );
    run("merge c.cov -o m.rho --q-max 2");
    tells(&place, "m.rho", "merge c.cov --q-max 2");
    run("features a.xyz --basis b.rho --kind nice --nu-max 2 --save-nice n.nice -o N.npz");
    for name in ["n.nice", "N.npz"] {
        tells(&place, name, "features a.xyz --basis b.rho --kind nice --nu-max 2");
    }
    run("features a.xyz --basis b.rho --kind power-spectrum -o X.npy --normalize");
    tells(&place, "X.npy", "features a.xyz --basis b.rho --kind power-spectrum --normalize");
    run("features a.xyz@:3 --basis b.rho -o P.npy --chunk-rows 4");
    tells(&place, "P.meta.npz", "features a.xyz@:3 --basis b.rho --chunk-rows 4");
    assert_eq!(made_by(&place, "P-00000.npy"), None);
    run("select X.npy -n 3 --method fps -o picked.npz");
    let told = made_by(&place, "picked.npz").unwrap();
    assert!(told.starts_with("rhobasis select X.npy ") && told.contains("--method fps"), "{told}");
    says(&place.ok(&["show", "picked.npz"]), &["selected        3", "scores          3"]);
    says(&place.ok(&["show", "N.npz"]), &["X               36 × "]);
    place.refused(2, &["show", "c.cov", "--at", "1"], &["this is an accumulator"]);
    place.refused(2, &["show", "X.npy", "--csv", "t"], &["this is a file of arrays"]);
}

#[test]
fn models_tell_it_too() {
    let text = format!(
        "[data]\ntrain = \"{}\"\n[basis]\nr_cut = 4.0\nn_max = 4\nl_max = 2\nq_max = 2\nspline_accuracy = 1e-4\n",
        bundled("silicon.xyz.xz@::12")
    );
    let place = Place::of(&[("it's.toml", text)]);
    place.ok(&["train", "it's.toml", "-o", "p.rho", "--no-plot", "--checkpoint", "c", "--checkpoint-every=9", "-q"]);
    tells(&place, "p.rho", r"train 'it'\''s.toml'");
}

#[test]
fn the_same_command_makes_the_same_bytes_and_another_the_same_but_for_its_words() {
    let place = Place::of(&[("a.xyz", common::molecules(12))]);
    let fit = |line: &str| place.ok(&words(&format!("fit {line}")));
    fit(&format!("a.xyz {SMALL} -o one.rho --threads 1"));
    fit(&format!("-o two.rho --checkpoint two.ckpt a.xyz --threads 2 {SMALL} --checkpoint-every 0 --force -q"));
    assert!(place.bytes("one.rho") == place.bytes("two.rho"));
    fit(&format!("{SMALL} a.xyz -o three.rho"));
    assert!(place.bytes("one.rho") != place.bytes("three.rho"));
    assert!(without_command(&place.bytes("one.rho")) == without_command(&place.bytes("three.rho")));
    tells(&place, "three.rho", &format!("fit {SMALL} a.xyz"));
}

#[test]
fn a_file_of_an_older_version_is_read_as_before() {
    let place = Place::new();
    let old = format!("{}/../reference/featomic_export/combined.rho", env!("CARGO_MANIFEST_DIR"));
    let told = made_by(&place, &old).unwrap();
    assert!(told.starts_with("rhobasis ") && !told.contains("fit"), "{told}"); // the version alone
}
