//! The command as its users meet it: what it writes, what it says, how it ends.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

mod common;

use common::{Place, molecules, says};

/// Settings small enough for a test.
const SMALL: &[&str] = &["--r-cut", "4", "--n-max", "6", "--l-max", "2"];

/// Fits with these settings.
trait Fits {
    fn fit(&self, file: &str, more: &[&str]) -> String;
    /// The message of a fit that must be refused.
    fn fit_refused(&self, file: &str) -> String;
}

impl Fits for Place {
    fn fit(&self, file: &str, more: &[&str]) -> String {
        self.ok(&[&["fit", file, "-o", "basis.rho", "--force"], SMALL, more].concat())
    }

    fn fit_refused(&self, file: &str) -> String {
        self.refused(1, &[&["fit", file, "-o", "basis.rho", "--q-max", "2"], SMALL].concat(), &[])
    }
}

fn crystals(n: usize) -> String {
    let mut text = String::new();
    for k in 0..n {
        let (a, d) = (2.7 + 0.01 * k as f64, 0.02 * ((k * 5) % 11) as f64);
        writeln!(text, "2\nLattice=\"0 {a} {a} {a} 0 {a} {a} {a} 0\" pbc=\"T T T\"").unwrap();
        writeln!(text, "Si 0 0 0\nSi {} 1.36 {}", 1.36 + d, 1.36 - d).unwrap();
    }
    text
}

#[test]
fn info_counts_what_is_there_and_names_what_is_odd() {
    let odd = "1\npbc=\"F F F\"\nHe 0 0 0\n2\npbc=\"T T T\"\nSi 0 0 0\nSi 0 0 0.4\n";
    let place = Place::new().with("data.xyz", &(crystals(3) + &crystals(1) + odd));
    let text = place.ok(&["info", "data.xyz"]);
    says(&text, &["frames          6", "Si 10 atoms in 5 frames", "He 1 atom in 1 frame"]);
    says(&text, &["frames that repeat an earlier one", "frame 3 repeats frame 0", "one isolated atom"]);
    says(
        &text,
        &["frames that would be refused: 1; first: ", "data.xyz, frame 5", "no volume", "next: rhobasis fit data.xyz"],
    );
}

#[test]
fn fit_and_show_tell_the_same_story() {
    let place = Place::new().with("data.xyz", molecules(20));
    let fitted = place.fit("data.xyz@:15", &["--mixing", "combined", "--q-max", "4"]);
    says(&fitted, &["H C O", "45", "data.xyz@:15 (15 frames, sha256 ", "wrote basis.rho", "next: rhobasis show"]);
    let shown = place.ok(&["show", "basis.rho", "--plot", "b.svg", "--at", "1.1", "--csv", "b"]);
    says(&shown, &["H C O", "GTO, n_max 6, l_max 2", "Eigenvalues, all species", "O neighbours at 1.1 Å"]);
    assert!(String::from_utf8(place.bytes("b.svg")).unwrap().contains("residual variance"));
    for (file, lines) in [("b-eigenvalues.csv", 1 + 3 * 18), ("b-residual-variance.csv", 1 + 19)] {
        assert_eq!(String::from_utf8(place.bytes(file)).unwrap().lines().count(), lines, "{file}");
    }
}

#[test]
fn a_centre_specific_basis_is_shown_by_centre() {
    let place = Place::new().with("data.xyz", molecules(20));
    place.fit("data.xyz", &["--center-specific", "--retain", "0.99"]);
    says(&place.ok(&["show", "basis.rho"]), &["H neighbours of C", "around O: 20"]);
    place.ok(&["show", "basis.rho", "--center", "C", "--plot", "c.svg"]);
    place.refused(1, &["show", "basis.rho", "--plot", "d.svg"], &["name one of H C O"]);
    place.refused(1, &["show", "basis.rho", "--center", "Si"], &["Si", "name one of H C O"]);
}

#[test]
fn the_same_bytes_for_one_thread_and_two() {
    let place = Place::new().with("data.xyz", molecules(150));
    place.fit("data.xyz", &["--threads", "1"]);
    let one = place.bytes("basis.rho");
    place.fit("data.xyz", &["--threads", "2"]);
    assert!(one == place.bytes("basis.rho"));
}

#[test]
fn several_files_add_up_to_one() {
    let place = Place::new().with("a.xyz", molecules(10)).with("all.xyz", molecules(10) + &crystals(4));
    let place = place.with("b.xyz", crystals(4));
    let all = place.fit("all.xyz", &[]);
    let both = place.ok(&[&["fit", "a.xyz", "b.xyz", "-o", "basis.rho", "--force"], SMALL].concat());
    let numbers = |text: &str| text.split("Channels kept").nth(1).unwrap().to_string();
    assert_eq!(numbers(&all), numbers(&both));
}

#[test]
fn a_covariance_can_be_kept_instead() {
    let place = Place::new().with("data.xyz", molecules(5));
    place.ok(&[&["fit", "data.xyz", "-o", "sum.cov"], SMALL].concat());
    assert!(place.bytes("sum.cov").windows(10).any(|w| w == b"covariance"));
    place.refused(2, &["fit", "data.xyz", "-o", "other.cov", "--q-max", "3"], &["--q-max", ".cov"]);
}

#[test]
fn features_are_arrays_that_numpy_reads() {
    let place = Place::new().with("data.xyz", molecules(7));
    place.fit("data.xyz", &["--q-max", "2"]);
    place.ok(&["features", "data.xyz", "--basis", "basis.rho", "--kind", "density", "-o", "x.npz"]);
    let zip = place.bytes("x.npz");
    for part in ["PK\x03\x04", "l2.npy", "channels_l1.npy", "settings.npy", "'shape': (21, 5, 6, )"] {
        assert!(zip.windows(part.len()).any(|w| w == part.as_bytes()), "{part}");
    }
    place.ok(&["features", "data.xyz@2:", "--basis", "basis.rho", "-o", "x.npy"]);
    let matrix = place.bytes("x.npy");
    assert_eq!(matrix.len(), 192 + 8 * 15 * (1 + 3 + 5) * 6);
    assert!(String::from_utf8_lossy(&matrix[..192]).contains("'shape': (15, 54, )"));
    // Both hold the same numbers: centre 6 of all frames is centre 0 from frame 2 on; l0 comes first in both.
    let data_of_l0 = zip.windows(7).position(|w| w == b"\x93NUMPY\x01").unwrap() + 192;
    assert_eq!(zip[data_of_l0 + 8 * 6 * 6..][..8 * 6], matrix[192..][..8 * 6]);
    assert!(place.names().contains(&"x.meta.npz".to_string()));
}

#[test]
fn a_basis_is_exported_for_featomic_and_as_a_table() {
    let place = Place::new().with("data.xyz", molecules(7));
    place.fit("data.xyz", &["--q-max", "2", "--center-specific", "--scaling", "1,2,7"]);
    let said = place.ok(&["export", "basis.rho", "--to", "featomic", "--center", "C", "-o", "c.json"]);
    says(&said, &["neighbours H C O: ", "knots, within ", "wrote c.json"]);
    let json: serde_json::Value = serde_json::from_slice(&place.bytes("c.json")).unwrap();
    assert_eq!(json["8"]["density"]["scaling"]["exponent"], 7.0);
    assert_eq!(json["8"]["basis"]["by_angular"]["2"]["points"][0]["values"][0], 0.0);
    place.ok(&["export", "basis.rho", "--to", "csv", "--center", "C", "--points", "5", "-o", "c.csv"]);
    let table = String::from_utf8(place.bytes("c.csv")).unwrap();
    assert!(table.starts_with("centre,neighbour,l,q,r_angstrom,"), "{table}");
    assert!(table.lines().skip(1).all(|row| row.starts_with("C,")) && table.contains("C,O,2,1,4,"), "{table}");
}

#[test]
fn an_export_that_makes_no_sense_is_refused() {
    let place = Place::new().with("data.xyz", molecules(7));
    place.fit("data.xyz", &["--q-max", "2", "--center-specific"]);
    let export = |code: i32, more: &[&str]| place.refused(code, &[&["export", "basis.rho"], more].concat(), &[]);
    says(&export(1, &["--to", "featomic", "-o", "a.json"]), &["center = none", "name one of H C O"]);
    says(&export(1, &["--to", "csv", "--center", "Si", "-o", "a.csv"]), &["center = Si", "H C O"]);
    says(&export(2, &["--to", "csv", "--center", "Qq", "-o", "a.csv"]), &["'Qq' is no element"]);
    says(&export(2, &["--to", "csv", "-o", "a.json"]), &["a.json", "must end in .csv"]);
    says(&export(2, &["--to", "csv", "--accuracy", "1e-8", "-o", "a.csv"]), &["--accuracy", "leave it out"]);
    says(&export(2, &["--to", "featomic", "--points", "9", "-o", "a.json"]), &["--points", "leave it out"]);
    says(&export(2, &["--to", "csv", "--r-max", "nan", "-o", "a.csv"]), &["--r-max NaN"]);
    let accuracy = ["--to", "featomic", "--center", "C", "--accuracy", "1", "-o", "a.json"];
    says(&export(1, &accuracy), &["accuracy = 1", "between 1e-12 and 1e-2"]);
}

#[test]
fn features_in_chunks_have_the_rows_of_the_matrix() {
    let place = Place::new().with("data.xyz", molecules(7));
    place.fit("data.xyz", &["--q-max", "2"]);
    let features = ["features", "data.xyz", "--basis", "basis.rho", "-o", "x.npy"];
    place.ok(&features);
    let chunks = [&features[..], &["--chunk-rows", "8"]].concat();
    // What describes the whole matrix would be replaced.
    place.refused(1, &chunks, &["x.meta.npz: is there already"]);
    let said = place.ok(&[&chunks[..], &["--force"]].concat());
    says(&said, &["21 centres: matrices of 8 rows with 54 columns", "wrote x-00000.npy, …"]);
    let parts: Vec<u8> = (0..3).flat_map(|k| place.bytes(&format!("x-{k:05}.npy"))[192..].to_vec()).collect();
    assert!(parts == place.bytes("x.npy")[192..]);
    fs::remove_file(place.path("x-00001.npy")).unwrap();
    says(&place.ok(&chunks), &["8 rows are there already"]);
    assert!(place.path("x-00001.npy").exists());
    let other = [&features[..], &["--chunk-rows", "9"]].concat();
    place.refused(1, &other, &["x-00000.npy", "another run", "remove these files"]);
}

#[test]
fn demo_leaves_pictures() {
    let place = Place::new();
    says(&place.ok(&["demo", "-o", "out"]), &["FEATURES for models", "IN SHORT"]);
    assert!(place.path("out/silicon-basis.svg").exists());
    // Again in its folder, without --force.
    fs::write(place.path("out/silicon-basis.svg"), "<svg></svg>").unwrap();
    place.ok(&["demo", "-o", "out"]);
    assert!(fs::metadata(place.path("out/silicon-basis.svg")).unwrap().len() > 1000);
}

#[test]
fn wrong_usage_ends_with_code_2() {
    let place = Place::new().with("data.xyz", molecules(2));
    place.refused(2, &["fit", "data.xyz", "-o", "b.rho", "--n-maks", "3"], &["--n-maks"]);
    place.refused(2, &["fit", "data.xyz", "-o", "b.txt"], &["b.txt", ".rho or .cov"]);
    place.refused(2, &["fit", "data.xyz", "-o", "b.rho", "--q-max", "2", "--retain", "0.9"], &["--retain"]);
    place.refused(2, &["fit", "data.xyz", "-o", "b.rho", "--sigma", "Hx=0.3"], &["sigma = \"Hx\": is no element"]);
    place.refused(2, &["fit", "data.xyz", "-o", "b.rho", "--scaling", "1,2"], &["rate, scale"]);
    place.refused(2, &["info", "data.xyz", "--threads", "0"], &["--threads"]);
}

#[test]
fn each_verb_explains_itself_with_an_example() {
    for verb in ["demo", "info", "fit", "merge", "show", "features", "export"] {
        says(&Place::new().ok(&[verb, "--help"]), &["Usage: rhobasis", "Example"]);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_refused_first() {
    // The data does not exist either, but the output is looked at first.
    Place::new().refused(1, &["fit", "none.xyz", "-o", "no/such/folder/b.rho"], &["no/such/folder", "no such folder"]);
}

#[test]
fn a_missing_file_is_named() {
    Place::new().refused(1, &["info", "none.xyz"], &["none.xyz", "no such file"]);
}

#[test]
fn a_slice_without_frames_is_refused() {
    let place = Place::new().with("data.xyz", molecules(2));
    says(&place.fit_refused("data.xyz@5:"), &["data.xyz@5:", "no frame is selected"]);
}

#[test]
fn nan_positions_are_refused_with_file_frame_and_atom() {
    let place = Place::new().with("data.xyz", &(molecules(3) + "2\n\nH 0 0 0\nH 0 nan 1\n"));
    says(&place.fit_refused("data.xyz"), &["data.xyz, frame 3, atom 1", "not finite", "remove the frame"]);
}

#[test]
fn a_periodic_cell_without_volume_is_refused() {
    let flat = "1\nLattice=\"3 0 0 0 3 0 3 3 0\" pbc=\"T T T\"\nSi 0 0 0\n";
    let place = Place::new().with("data.xyz", &(crystals(2) + flat));
    says(&place.fit_refused("data.xyz"), &["data.xyz, frame 2", "no volume", "lattice vectors"]);
}

#[test]
fn atoms_on_top_of_each_other_are_refused() {
    let place = Place::new().with("data.xyz", &(crystals(2) + "2\n\nH 0 0 0\nH 0 0 0.0005\n"));
    // Frames are named as in their file, whatever the slice.
    says(
        &place.fit_refused("data.xyz@1:"),
        &["data.xyz, frame 2, atom ", "only 5.000e-4 Å apart", "remove the duplicate"],
    );
}

#[test]
fn a_species_that_the_basis_does_not_know_is_refused() {
    let place = Place::new().with("si.xyz", crystals(3)).with("mol.xyz", molecules(3));
    place.fit("si.xyz", &["--q-max", "2"]);
    for output in ["x.npz", "x.npy"] {
        place.refused(
            1,
            &["features", "mol.xyz", "--basis", "basis.rho", "-o", output],
            &["mol.xyz, frame 0, atom 0", "C", "Si"],
        );
    }
}

#[test]
fn a_species_without_sigma_is_refused() {
    let place = Place::new().with("data.xyz", molecules(3));
    place.refused(1, &["fit", "data.xyz", "-o", "b.rho", "--sigma", "H=0.3,C=0.4"], &["sigma", "no width for O"]);
}

#[test]
fn ragged_rows_are_refused() {
    let place =
        Place::new().with("data.xyz", "2\nProperties=species:S:1:pos:R:3:forces:R:3\nH 0 0 0 1 2 3\nH 0 0 1 1 2\n");
    says(&place.fit_refused("data.xyz"), &["data.xyz, frame 0, atom 1"]);
}

#[test]
fn a_file_that_ends_within_a_frame_is_refused() {
    let whole = molecules(3);
    let place = Place::new().with("data.xyz", &whole[..whole.trim_end().rfind('\n').unwrap()]);
    says(&place.fit_refused("data.xyz"), &["data.xyz, frame 2"]);
}

#[test]
fn more_channels_than_functions_are_refused() {
    let place = Place::new().with("data.xyz", molecules(3));
    let fit = |mixing: &str, q: &str| {
        place.refused(1, &[&["fit", "data.xyz", "-o", "b.rho", "--mixing", mixing, "--q-max", q], SMALL].concat(), &[])
    };
    says(&fit("per-species", "7"), &["q_max = 7", "6 primitive functions per species", "use at most 6"]);
    says(&fit("combined", "19"), &["q_max = 19", "18 primitive functions", "use at most 18"]);
}

#[test]
fn a_basis_file_from_a_newer_format_is_refused() {
    let place = Place::new().with("data.xyz", molecules(3));
    place.fit("data.xyz", &[]);
    let mut bytes = place.bytes("basis.rho");
    let key = b"\"format_version\":\"";
    let at = bytes.windows(key.len()).position(|w| w == key).unwrap() + key.len();
    bytes[at] = b'9';
    fs::write(place.path("newer.rho"), bytes).unwrap();
    place.refused(1, &["show", "newer.rho"], &["newer.rho", "format version 9", "install a newer rhobasis"]);
    fs::write(place.path("cut.rho"), &place.bytes("basis.rho")[..500]).unwrap();
    place.refused(1, &["show", "cut.rho"], &["cut.rho"]);
}

#[test]
fn a_basis_file_of_the_older_format_is_read_with_a_note() {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reference/featomic_export/combined.rho");
    let output = Command::new(env!("CARGO_BIN_EXE_rhobasis")).arg("show").arg(old).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    says(
        &String::from_utf8(output.stderr).unwrap(),
        &["combined.rho: written by an older rhobasis", "without a digest"],
    );
}

#[test]
fn real_silicon_if_at_hand() {
    let shared = std::env::var("RHOBASIS_DATA").unwrap_or_else(|_| "../../shared/data".into());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(shared).join("si_point_defects.xyz.xz");
    if !file.exists() {
        println!("skipped: no {}", file.display());
        return;
    }
    let place = Place::new();
    let text = place.fit(&format!("{}@::40", file.display()), &["--q-max", "5"]);
    says(&text, &["Si", "9 frames"]);
}
