//! `rhobasis features`: the arrays it writes hold what the library computes.

mod chosen;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use rhobasis::Structure;
use rhobasis::correlations::{FeatureKind, Invariants, Member, Nice};
use rhobasis::extxyz;
use rhobasis::files::Stored;
use rhobasis::optimal::OptimalBasis;
use tempfile::TempDir;

/// A folder with a basis, in which the command runs.
struct Place {
    folder: TempDir,
    data: String,
}

/// Name of each array of a `.npz`, its shape, and its data.
type Arrays = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

impl Place {
    /// A small basis for some of the bundled molecules.
    fn molecules(more: &[&str]) -> Self {
        Place::of("molecules.xyz.xz@:40", &[&["--n-max", "4", "--l-max", "3", "--scaling", "1,2,4"], more].concat())
    }

    /// A basis for some of the bundled crystals: 1257 atoms, whose bispectra are computed in several portions.
    fn silicon() -> Self {
        Place::of("silicon.xyz.xz@::8", &["--n-max", "6", "--l-max", "3", "--q-max", "6"])
    }

    fn of(data: &str, settings: &[&str]) -> Self {
        let data = format!("{}/../examples/data/{data}", env!("CARGO_MANIFEST_DIR"));
        let place = Place { folder: tempfile::tempdir().unwrap(), data };
        place.ok(&[&["fit", &place.data, "-o", "basis.rho", "--r-cut", "4"], settings].concat());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_rhobasis")).args(args).current_dir(&self.folder).output().unwrap()
    }

    /// Runs a command that must succeed; returns what it printed, on both channels.
    fn ok(&self, args: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(args);
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert_eq!(status.code(), Some(0), "{args:?}: {said}");
        said
    }

    fn features(&self, kind: &str, output: &str, more: &[&str]) -> String {
        self.ok(&[&["features", &self.data, "--basis", "basis.rho", "--kind", kind, "-o", output, "--force"], more]
            .concat())
    }

    /// Runs `features`, which must end with this code, these words, and nothing written.
    fn refused(&self, code: i32, more: &[&str], words: &[&str]) {
        let listing = || fs::read_dir(&self.folder).unwrap().count();
        let before = listing();
        let output = self.run(&[&["features", &self.data, "--basis", "basis.rho"], more].concat());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{message}");
        words.iter().for_each(|word| assert!(message.contains(word), "'{word}' is missing in: {message}"));
        assert_eq!(listing(), before, "something was written");
    }

    fn arrays(&self, name: &str) -> Arrays {
        let bytes = fs::read(self.path(name)).unwrap();
        let word = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()) as usize;
        let (mut arrays, mut at) = (Arrays::new(), 0);
        // Members follow each other, their sizes in the 64-bit field.
        while bytes[at..].starts_with(b"PK\x03\x04") {
            let (name, extra) = (word(at + 26), word(at + 28));
            let size = u64::from_le_bytes(bytes[at + 30 + name + 4..][..8].try_into().unwrap()) as usize;
            let start = at + 30 + name + extra;
            let name = String::from_utf8(bytes[at + 30..at + 30 + name].to_vec()).unwrap();
            arrays.insert(name.trim_end_matches(".npy").into(), array(&bytes[start..start + size]));
            at = start + size;
        }
        arrays
    }

    fn matrix(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        array(&fs::read(self.path(name)).unwrap())
    }

    fn basis(&self) -> OptimalBasis {
        OptimalBasis::load(&self.path("basis.rho")).unwrap()
    }

    fn frames(&self) -> Vec<Structure> {
        extxyz::Reader::open(&self.data, &extxyz::Options::default()).unwrap().map(|frame| frame.unwrap()).collect()
    }
}

/// Shape and data of an array file.
fn array(bytes: &[u8]) -> (Vec<usize>, Vec<u8>) {
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let length = u16::from_le_bytes(bytes[8..10].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
    let axes = header.split("'shape': (").nth(1).unwrap().split(')').next().unwrap();
    (axes.split(',').filter_map(|n| n.trim().parse().ok()).collect(), bytes[10 + length..].to_vec())
}

fn reals(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
}

fn integers(bytes: &[u8]) -> Vec<i64> {
    bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
}

fn settings(arrays: &Arrays) -> serde_json::Value {
    let text: String = arrays["settings"]
        .1
        .chunks_exact(4)
        .map(|c| char::from_u32(u32::from_le_bytes(c.try_into().unwrap())).unwrap())
        .collect();
    serde_json::from_str(&text).unwrap()
}

/// The kinds of invariants, by their names on the command line.
fn all_kinds(basis: &OptimalBasis, normalize: bool) -> [(&'static str, Invariants); 3] {
    let expansion = basis.expansion();
    [
        ("radial-spectrum", Invariants::radial_spectrum(expansion, normalize)),
        ("power-spectrum", Invariants::power_spectrum(expansion, None, normalize).unwrap()),
        ("bispectrum", Invariants::bispectrum(expansion, normalize).unwrap()),
    ]
}

#[test]
fn arrays_hold_the_numbers_of_the_library_to_the_bit() {
    let bases: [&[&str]; 3] =
        [&["--retain", "0.9"], &["--mixing", "combined", "--q-max", "3"], &["--center-specific", "--q-max", "2"]];
    for more in bases {
        let place = Place::molecules(more);
        let (basis, frames) = (place.basis(), place.frames());
        for (kind, invariants) in all_kinds(&basis, false) {
            let said = place.features(kind, "x.npz", &[]);
            let arrays = place.arrays("x.npz");
            let expected = invariants.forward(&frames).unwrap();
            let (shape, x) = &arrays["X"];
            assert_eq!(shape[..], [expected.nrows(), expected.ncols()], "{kind}");
            assert!(reals(x) == expected.as_slice().unwrap(), "{kind}, {more:?}");
            assert!(x.iter().any(|&byte| byte != 0));

            let columns = invariants.columns();
            assert_eq!(arrays["columns"].0[..], [columns.nrows(), columns.ncols()]);
            let columns: Vec<i64> = columns.iter().map(|&i| i as i64).collect();
            assert_eq!(integers(&arrays["columns"].1), columns);
            for (l, channels) in basis.expansion().channels().iter().enumerate() {
                let table: Vec<i64> = channels.iter().flat_map(|c| [i64::from(c.species), c.n as i64]).collect();
                assert_eq!(integers(&arrays[&format!("channels_l{l}")].1), table);
            }
            let disk = format!("disk {} bytes per atom", with_commas(8 * expected.ncols()));
            assert!(said.contains(&disk), "{disk}: {said}");
        }
    }
}

/// 117748 as `117,748`.
fn with_commas(n: usize) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", with_commas(n / 1000), n % 1000) }
}

#[test]
fn rows_and_settings_are_described() {
    let place = Place::molecules(&["--q-max", "2"]);
    place.features("power-spectrum", "x.npz", &["--normalize"]);
    let arrays = place.arrays("x.npz");
    let frames = place.frames();
    let of_frames = |of: fn((usize, usize, u8)) -> i64| -> Vec<i64> {
        let atoms = |(s, frame): (usize, &Structure)| {
            frame.species.clone().into_iter().enumerate().map(move |(atom, z)| of((s, atom, z)))
        };
        frames.iter().enumerate().flat_map(atoms).collect()
    };
    assert_eq!(integers(&arrays["structure"].1), of_frames(|(s, _, _)| s as i64));
    assert_eq!(integers(&arrays["atom"].1), of_frames(|(_, atom, _)| atom as i64));
    assert_eq!(integers(&arrays["species"].1), of_frames(|(_, _, z)| i64::from(z)));
    let settings = settings(&arrays);
    assert_eq!(settings["kind"], "power-spectrum");
    assert_eq!(settings["normalize"], true);
    assert_eq!(settings["files"][0]["frames"], 40);
    assert_eq!(settings["basis"]["expansion"]["l_max"], 3);
    assert_eq!(settings["basis_file"]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn normalised_rows_have_norm_one() {
    let place = Place::molecules(&["--q-max", "2"]);
    for (kind, invariants) in all_kinds(&place.basis(), true) {
        place.features(kind, "x.npz", &["--normalize"]);
        let x = reals(&place.arrays("x.npz")["X"].1);
        let norms = x.chunks(invariants.n_features()).map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt());
        assert!(norms.into_iter().all(|norm| (norm - 1.0).abs() < 1e-12), "{kind}");
        assert!(x == invariants.forward(&place.frames()).unwrap().as_slice().unwrap(), "{kind}");
    }
}

#[test]
fn a_matrix_whole_or_in_pieces_holds_the_numbers_of_the_archive() {
    let place = Place::silicon();
    for kind in ["radial-spectrum", "power-spectrum", "bispectrum"] {
        place.features(kind, "x.npz", &[]);
        let archive = place.arrays("x.npz");
        place.features(kind, "x.npy", &[]);
        assert!(place.matrix("x.npy") == archive["X"], "{kind}");
        for name in ["columns", "channels_l0", "channels_l3", "structure", "atom", "species", "settings"] {
            assert!(place.arrays("x.meta.npz")[name] == archive[name], "{kind}: {name}");
        }
        // A file may end within a frame, and the next run goes on there.
        let pieces = || place.features(kind, &format!("{kind}.npy"), &["--chunk-rows", "300"]);
        pieces();
        let n_pieces = archive["X"].0[0].div_ceil(300);
        assert!(n_pieces > 3);
        fs::remove_file(place.path(&format!("{kind}-00002.npy"))).unwrap();
        assert!(pieces().contains("600 rows are there already"));
        let joined: Vec<u8> = (0..n_pieces).flat_map(|k| place.matrix(&format!("{kind}-{k:05}.npy")).1).collect();
        assert!(joined == archive["X"].1, "{kind}");
        let meta = settings(&place.arrays(&format!("{kind}-00000.meta.npz")));
        assert_eq!((&meta["kind"], &meta["chunk_rows"]), (&kind.into(), &300.into()));
    }
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let place = Place::silicon();
    let with = |threads: &str| {
        place.features("bispectrum", "x.npz", &["--threads", threads, "--normalize"]);
        fs::read(place.path("x.npz")).unwrap()
    };
    // The number of frames that are computed at a time depends on it.
    let one = with("1");
    assert!(["2", "3"].iter().all(|threads| with(threads) == one));
}

/// Writes an array file of integers with so many columns.
fn write_integers(place: &Place, name: &str, width: usize, values: &[i64]) {
    let shape = format!("({}, {width})", values.len() / width);
    let header = format!("{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut array = b"\x93NUMPY\x01\x00".to_vec();
    array.extend((header.len() as u16).to_le_bytes());
    array.extend(header.bytes().chain(values.iter().flat_map(|v| v.to_le_bytes())));
    fs::write(place.path(name), array).unwrap();
}

#[test]
fn chosen_columns_hold_the_numbers_of_the_whole() {
    let place = Place::molecules(&["--mixing", "combined", "--q-max", "4"]);
    place.features("power-spectrum", "x.npz", &[]);
    let whole = place.arrays("x.npz");
    let (n, x) = (whole["X"].0[1], reals(&whole["X"].1));
    let chosen = [31, 0, 7, 8, 9, 39, 20];
    let columns: Vec<i64> =
        chosen.iter().flat_map(|&k| integers(&whole["columns"].1)[3 * k..3 * k + 3].to_vec()).collect();
    write_integers(&place, "picked.npy", 3, &columns);
    let said = place.features("power-spectrum", "y.npz", &["--columns", "picked.npy"]);
    assert!(said.contains("7 columns, disk 56 bytes per atom"), "{said}");
    let part = place.arrays("y.npz");
    assert_eq!(integers(&part["columns"].1), columns);
    let expected: Vec<f64> = x.chunks(n).flat_map(|row| chosen.iter().map(|&k| row[k])).collect();
    assert!(reals(&part["X"].1) == expected);
    assert_eq!(settings(&part)["columns_file"]["path"], "picked.npy");
    place.features("power-spectrum", "y.npy", &["--columns", "picked.npy", "--chunk-rows", "1000"]);
    assert!(place.matrix("y-00000.npy") == part["X"]);

    // Of other features, of another basis, not of indices, not a selection.
    let refused = |name: &str, words: &[&str]| {
        place.refused(1, &["--kind", "power-spectrum", "--columns", name, "-o", "z.npz"], words);
    };
    write_integers(&place, "radial.npy", 2, &[0, 1, 0, 2]);
    refused("radial.npy", &["radial.npy", "'columns' has shape (2, 2)", "rhobasis select"]);
    write_integers(&place, "other.npy", 3, &[0, 0, 1, 0, 2, 5]);
    refused("other.npy", &["other.npy", "does not fit this basis", "[0, 2, 5] (row 1)"]);
    write_integers(&place, "negative.npy", 3, &[0, 0, -1]);
    refused("negative.npy", &["negative.npy", "other numbers than indices"]);
    write_integers(&place, "empty.npy", 3, &[]);
    refused("empty.npy", &["empty.npy", "'columns' has shape (0, 3)"]);
    refused("none.npy", &["none.npy", "No such file"]);
    place.refused(
        2,
        &["--kind", "bispectrum", "--columns", "picked.npy", "-o", "z.npz"],
        &["--columns", "power-spectrum"],
    );
}

#[test]
fn leading_channels_are_those_of_the_library() {
    let place = Place::molecules(&["--q-max", "3"]);
    let member =
        |normalize| Member { q_max: Some(2), l_max: Some(1), ..Member::new(FeatureKind::Bispectrum, normalize) };
    let invariants = Invariants::of_members(place.basis().expansion(), &[member(true)]).unwrap();
    place.features("bispectrum", "x.npz", &["--use-q-max", "2", "--use-l-max", "1", "--normalize"]);
    let arrays = place.arrays("x.npz");
    assert!(reals(&arrays["X"].1) == invariants.forward(&place.frames()).unwrap().as_slice().unwrap());
    let columns: Vec<i64> = invariants.columns().iter().map(|&i| i as i64).collect();
    assert_eq!(integers(&arrays["columns"].1), columns);
    let said = settings(&arrays);
    assert_eq!((&said["q_max"], &said["l_max"]), (&2.into(), &1.into()));

    let refused = |code, args: &[&str], words: &[&str]| place.refused(code, &[args, &["-o", "y.npz"]].concat(), words);
    let kind = ["--kind", "power-spectrum"];
    refused(1, &[&kind[..], &["--use-q-max", "4"]].concat(), &["--use-q-max = 4: this basis has 3 channels"]);
    refused(1, &[&kind[..], &["--use-l-max", "4"]].concat(), &["--use-l-max = 4: this basis ends at l_max = 3"]);
    refused(2, &["--use-l-max", "2"], &["--use-l-max", "--kind density", "leave it out"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::molecules(&["--q-max", "2"]);
    place.refused(2, &["--normalize", "-o", "x.npz"], &["--normalize", "--kind density", "leave it out"]);
    place.refused(2, &["--kind", "power", "-o", "x.npz"], &["power-spectrum", "bispectrum", "radial-spectrum"]);
    place.refused(2, &["--kind", "bispectrum", "--chunk-rows", "5", "-o", "x.npz"], &["--chunk-rows", "*.npy"]);
    place.features("power-spectrum", "x.npy", &["--chunk-rows", "100"]);
    let other = ["--kind", "power-spectrum", "--normalize", "--chunk-rows", "100", "-o", "x.npy"];
    place.refused(1, &other, &["x-00000.npy", "another run"]);
}

/// Few of many products.
const NICE: [&str; 8] =
    ["--nu-max", "4", "--n-equivariants", "8", "--n-invariants", "12", "--n-invariant-candidates", "60"];

#[test]
fn nice_is_chosen_by_the_data_or_read_from_a_file() {
    let place = Place::molecules(&["--q-max", "2", "--mixing", "combined"]);
    let said = place.features("nice", "x.npz", &[&NICE[..], &["--save-nice", "a.nice"]].concat());
    assert!(said.contains("fitted to") && said.contains("beyond λ_max") && said.contains("38 columns"), "{said}");
    let basis = place.basis();
    let nice = Nice::load(&place.path("a.nice")).unwrap();
    let expected = Invariants::nice(basis.expansion(), &nice, false).unwrap().forward(&place.frames()).unwrap();
    let arrays = place.arrays("x.npz");
    assert!(reals(&arrays["X"].1) == expected.as_slice().unwrap());
    assert_eq!(arrays["columns"].0, [38, 2]);
    assert_eq!(settings(&arrays)["nice"]["n_equivariants"], 8);
    place.features("nice", "y.npz", &["--nice", "a.nice"]);
    assert!(place.arrays("y.npz")["X"] == arrays["X"]);
    place.features("nice", "x.npy", &[&NICE[..], &["--chunk-rows", "200"]].concat());
    let said = place.ok(&["show", "a.nice", "--plot", "a.svg"]);
    assert!(said.contains("n_equivariants") && said.contains("not looked at"), "{said}");
    assert!(fs::read_to_string(place.path("a.svg")).unwrap().contains("<svg"));
}

#[test]
fn what_makes_no_sense_of_nice_is_refused() {
    let place = Place::molecules(&["--q-max", "2", "--mixing", "combined"]);
    place.refused(2, &["--kind", "bispectrum", "--nu-max", "4", "-o", "x.npz"], &["--nu-max", "--kind nice"]);
    place.refused(1, &["--kind", "nice", "--nu-max", "9", "-o", "x.npz"], &["nu_max = 9", "between 2 and 8"]);
    place.refused(1, &["--kind", "nice", "--nice", "basis.rho", "-o", "y.npz"], &["basis.rho", "basis"]);
    place.features("nice", "x.npz", &[&NICE[..], &["--save-nice", "a.nice"]].concat());
    let both = ["--kind", "nice", "--nice", "a.nice", "--nu-max", "3", "-o", "y.npz"];
    place.refused(2, &both, &["--nu-max", "--nice"]);
    let over = ["--kind", "nice", "--save-nice", "basis.rho", "-o", "y.npz"];
    place.refused(1, &over, &["basis.rho"]);
    place.features("nice", "x.npy", &[&NICE[..], &["--chunk-rows", "200"]].concat());
    let other = ["--kind", "nice", "--nu-max", "3", "--chunk-rows", "200", "-o", "x.npy"];
    place.refused(1, &other, &["x-00000.npy", "another run"]);
}

#[test]
fn rows_of_frames_are_sums_and_means_of_those_of_atoms() {
    let place = Place::molecules(&["--q-max", "2", "--mixing", "combined"]);
    let frames = place.frames();
    let species = place.basis().expansion().species().to_vec();
    for (kind, invariants) in all_kinds(&place.basis(), true) {
        let (x, n) = (invariants.forward(&frames).unwrap(), invariants.n_features());
        for (reduce, by_species) in [("sum", false), ("mean", false), ("sum", true), ("mean", true)] {
            let blocks = if by_species { species.len() } else { 1 };
            let mut expected = vec![0.0; frames.len() * blocks * n];
            for (center, row) in rhobasis::density::centers_of(&frames).iter().zip(x.outer_iter()) {
                let of = species.iter().position(|&z| by_species && z == center.species).unwrap_or(0);
                let n_atoms = if reduce == "mean" { frames[center.structure].len() as f64 } else { 1.0 };
                let first = (center.structure * blocks + of) * n;
                expected[first..first + n].iter_mut().zip(row).for_each(|(sum, x)| *sum += x / n_atoms);
            }
            let mut flags = vec!["--normalize", "--reduce", reduce];
            flags.extend(by_species.then_some("--by-species"));
            let said = place.features(kind, "x.npz", &flags);
            assert!(said.contains("40 frames: array X, axes [frame, column]"), "{said}");
            assert!(said.contains(&format!("disk {} bytes per frame", with_commas(8 * n * blocks))), "{said}");
            let arrays = place.arrays("x.npz");
            assert_eq!(arrays["X"].0, [40, blocks * n]);
            let largest = expected.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            let off = reals(&arrays["X"].1).iter().zip(&expected).fold(0.0, |a: f64, (x, y)| a.max((x - y).abs()));
            assert!(largest > 0.0 && off < 1e-12 * largest, "{kind}, {flags:?}: {off:e}");
            assert_eq!(arrays["columns"].0[0], blocks * n);
            let n_atoms: Vec<i64> = frames.iter().map(|frame| frame.len() as i64).collect();
            assert_eq!(integers(&arrays["n_atoms"].1), n_atoms);
            assert_eq!(integers(&arrays["structure"].1), (0..40).collect::<Vec<i64>>());
            assert!(!arrays.contains_key("atom"));
            if by_species {
                let of: Vec<i64> = species.iter().flat_map(|&z| vec![i64::from(z); n]).collect();
                assert_eq!(integers(&arrays["column_species"].1), of);
            }
            assert_eq!(settings(&arrays)["reduce"], reduce);
        }
    }
    let flags = ["--reduce", "mean", "--by-species"];
    place.features("power-spectrum", "x.npz", &flags);
    let whole = place.arrays("x.npz");
    place.features("power-spectrum", "x.npy", &flags);
    assert!(place.matrix("x.npy") == whole["X"]);
    place.features("power-spectrum", "y.npy", &[&flags[..], &["--chunk-rows", "15", "--threads", "1"]].concat());
    let joined: Vec<u8> = (0..3).flat_map(|k| place.matrix(&format!("y-{k:05}.npy")).1).collect();
    assert!(joined == whole["X"].1);
    let said = place.ok(&["select", "x.npz", "--method", "cur", "-n", "3", "-o", "picked.npz"]);
    assert!(said.contains("3 features of"), "{said}");
    assert_eq!(place.arrays("picked.npz")["column_species"].0, [3]);

    place.refused(2, &["--reduce", "sum", "-o", "z.npz"], &["--reduce", "--kind density", "leave it out"]);
    place.refused(2, &["--kind", "bispectrum", "--by-species", "-o", "z.npz"], &["--reduce"]);
    place.refused(2, &["--kind", "bispectrum", "--reduce", "max", "-o", "z.npz"], &["max", "sum", "mean"]);
}
