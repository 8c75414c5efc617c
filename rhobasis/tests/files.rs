//! Files of every kind: flipped bytes, values that cannot be, older and newer formats.

mod naive;
#[allow(dead_code)]
#[path = "potential/samples.rs"]
mod samples;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, Axis};
use rhobasis::density::ExpansionSettings;
use rhobasis::extxyz::{Labels, SourceFile};
use rhobasis::files::{self, Archive, Stored};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Task, Truncation};
use rhobasis::potential::{Baseline, Basis, FeatureKind, ModelSettings, Potential, TrainSettings, Trainer, Weights};
use rhobasis::{Result, Structure};
use tempfile::TempDir;

fn molecules() -> Vec<Structure> {
    let mut all: Vec<Structure> = (0..2).map(|k| naive::random_molecule(&[6, 1, 8, 1, 7], k)).collect();
    all.push(Structure::molecule(vec![8], vec![[1.0, 2.0, 3.0]]));
    all
}

fn accumulated(mixing: Mixing, center_specific: bool) -> Covariance {
    let expansion = ExpansionSettings { spline_accuracy: Some(1e-4), ..samples::expansion(4, 2) };
    let settings = CovarianceSettings { expansion, mixing, center_specific, weighting: None };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(&molecules(), None).unwrap();
    covariance
}

fn basis(center_specific: bool) -> OptimalBasis {
    let mixing = if center_specific { Mixing::PerSpecies } else { Mixing::Combined };
    OptimalBasis::from_covariance(&accumulated(mixing, center_specific), Truncation::QMax(3)).unwrap()
}

fn task() -> Task {
    Task { files: vec![SourceFile { path: "a.xyz".into(), frames: 0, sha256: "1".into() }], shard: None }
}

/// A fit that is about to begin, of frames that live as long as the test.
fn trainer() -> Trainer<'static> {
    let frames = Box::leak(samples::frames(4, 1).into_boxed_slice());
    let labels: Vec<Labels> = frames.iter().map(samples::pair_labels).collect();
    let settings = TrainSettings {
        features: samples::features(FeatureKind::RadialSpectrum, false),
        model: ModelSettings::ridge(),
        baseline: Baseline::default(),
        repulsion: Default::default(),
        weights: Weights::default(),
    };
    let expansion = ExpansionSettings { spline_accuracy: Some(1e-4), ..samples::expansion(3, 1) };
    let basis = Basis::primitive(&expansion, &[6, 14]).unwrap();
    Trainer::new(basis, &settings, frames, labels.leak()).unwrap()
}

type Read = Box<dyn Fn(&Path) -> Result<()>>;

/// A file of one kind, and how it is read.
struct Case {
    kind: &'static str,
    path: PathBuf,
    read: Read,
}

fn cases(folder: &TempDir) -> Vec<Case> {
    let path = |name: &str| folder.path().join(name);
    fn case(kind: &'static str, path: PathBuf, read: impl Fn(&Path) -> Result<()> + 'static) -> Case {
        Case { kind, path, read: Box::new(read) }
    }
    basis(false).save(&path("basis.rho")).unwrap();
    basis(true).save(&path("specific.rho")).unwrap();
    accumulated(Mixing::Combined, false).save(&path("sum.cov")).unwrap();
    accumulated(Mixing::PerSpecies, true).save(&path("specific.cov")).unwrap();
    let run = RefCell::new(accumulated(Mixing::Combined, false));
    run.borrow().save_checkpoint(&path("run.ckpt"), &task(), 3).unwrap();
    let fit = RefCell::new(trainer());
    fit.borrow_mut().advance(2).unwrap();
    fit.borrow_mut().save_checkpoint(&path("fit.ckpt"), "this").unwrap();
    let frames = samples::frames(4, 1);
    let labels: Vec<Labels> = frames.iter().map(samples::pair_labels).collect();
    let features = samples::features(FeatureKind::RadialSpectrum, false);
    let optimal = samples::optimal(&frames, Mixing::PerSpecies, 2, 1);
    let potential = samples::train(optimal, features, ModelSettings::ridge(), &frames, &labels).unwrap();
    potential.save(&path("potential.rho")).unwrap();
    vec![
        case("basis", path("basis.rho"), |path| OptimalBasis::load(path).map(drop)),
        case("basis", path("specific.rho"), |path| OptimalBasis::load(path).map(drop)),
        case("covariance", path("sum.cov"), |path| Covariance::load(path).map(drop)),
        case("covariance", path("specific.cov"), |path| Covariance::load(path).map(drop)),
        case("potential", path("potential.rho"), |path| Potential::load(path).map(drop)),
        case("checkpoint", path("run.ckpt"), move |path| run.borrow_mut().resume(path, &task()).map(drop)),
        case("training", path("fit.ckpt"), move |path| fit.borrow_mut().resume(path, "this").map(drop)),
    ]
}

fn header_length(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
}

/// The same file with its metadata changed, as another program might.
fn with_metadata(bytes: &[u8], change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> Vec<u8> {
    let end = 8 + header_length(bytes);
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    change(header["__metadata__"].as_object_mut().unwrap());
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes(), &header[..], &bytes[end..]].concat()
}

fn in_format_1(bytes: &[u8]) -> Vec<u8> {
    with_metadata(bytes, |metadata| {
        metadata.insert("format_version".into(), "1".into());
        metadata.remove("digest").unwrap();
    })
}

#[test]
fn a_flipped_byte_is_refused_by_name_in_every_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    for Case { kind, path, read } in cases(&folder) {
        let bytes = std::fs::read(&path).unwrap();
        read(&path).unwrap();
        assert_eq!(files::kind_of(&path).as_deref(), Some(kind));
        let name = path.file_name().unwrap().to_str().unwrap();
        let data = 8 + header_length(&bytes);
        let in_header = (0..data).step_by((data / 150).max(1));
        let in_arrays = (data..bytes.len()).step_by(((bytes.len() - data) / 150).max(1));
        let metadata = bytes.windows(12).position(|word| word == b"__metadata__").unwrap();
        for at in in_header.chain(metadata..metadata + 120).chain(in_arrays).chain([bytes.len() - 1]) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            let error = read(&path).err().unwrap_or_else(|| panic!("{name}: byte {at} was flipped and accepted"));
            assert!(error.to_string().contains(name), "{name}, byte {at}: {error}");
            if at >= data {
                assert!(error.to_string().contains("the file is damaged: restore a copy"), "{error}");
            }
        }
        for length in (0..bytes.len()).step_by(bytes.len() / 40).chain([1, 7, 8, 9, bytes.len() - 1]) {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains(name), "{name} cut to {length} bytes");
        }
        for garbage in [&b"no file of ours"[..], &[0xff; 64]] {
            std::fs::write(&path, garbage).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains(name));
            assert_eq!(files::kind_of(&path), None);
        }
    }
}

#[test]
fn files_of_the_older_format_load_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reference/featomic_export");
    for name in ["per_species.rho", "combined.rho", "center_specific.rho", "delta.rho"] {
        let (old, new) = (reference.join(name), folder.path().join(name));
        let note = files::note_on(&old).unwrap();
        assert!(note.contains(name) && note.contains("without a digest"), "{note}");
        OptimalBasis::load(&old).unwrap().save(&new).unwrap();
        assert_eq!(files::note_on(&new), None);
        assert_eq!(Archive::read(&new, "basis").unwrap(), Archive::read(&old, "basis").unwrap());
    }
    for Case { path, read, .. } in cases(&folder) {
        std::fs::write(&path, in_format_1(&std::fs::read(&path).unwrap())).unwrap();
        read(&path).unwrap();
        assert!(files::note_on(&path).unwrap().contains("save it again"));
    }
}

#[test]
fn files_of_a_newer_format_or_without_their_digest_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for Case { path, read, .. } in cases(&folder) {
        let bytes = std::fs::read(&path).unwrap();
        let refusal = |change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
            std::fs::write(&path, with_metadata(&bytes, change)).unwrap();
            read(&path).unwrap_err().to_string()
        };
        let newer = refusal(&|metadata| drop(metadata.insert("format_version".into(), "3".into())));
        assert!(newer.contains("format version 3") && newer.contains("newer rhobasis"), "{newer}");
        let older = refusal(&|metadata| drop(metadata.insert("format_version".into(), "1".into())));
        assert!(older.contains("the digest differs"), "{older}");
        let without = refusal(&|metadata| drop(metadata.remove("digest")));
        assert!(without.contains("it has no digest"), "{without}");
    }
}

#[test]
fn a_garbled_header_of_the_older_format_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("basis.rho");
    let bytes = in_format_1(&basis(false).to_bytes());
    let mut random = naive::Random(17);
    for _ in 0..400 {
        let mut garbled = bytes.clone();
        garbled[(random.next() * (8 + header_length(&bytes)) as f64) as usize] = (random.next() * 256.0) as u8;
        std::fs::write(&path, &garbled).unwrap();
        if let Ok(basis) = OptimalBasis::load(&path) {
            let _ = basis.transform(&molecules());
        }
    }
}

/// Changes what a file holds, gives it a digest that is right, and returns why it is refused.
fn refusal(case: &Case, change: impl FnOnce(&mut Archive)) -> String {
    let bytes = std::fs::read(&case.path).unwrap();
    let mut archive = Archive::read(&case.path, case.kind).unwrap();
    change(&mut archive);
    archive.write(&case.path, case.kind).unwrap();
    let error = (case.read)(&case.path).err().map(|e| e.to_string());
    std::fs::write(&case.path, bytes).unwrap();
    let name = case.path.file_name().unwrap().to_str().unwrap();
    let message = error.unwrap_or_else(|| panic!("{name}: {:?} was accepted", archive.metadata));
    assert!(message.contains(name), "{message}");
    message
}

fn replace(archive: &mut Archive, key: &str, from: &str, to: &str) {
    let text = archive.metadata.get_mut(key).unwrap();
    assert!(text.contains(from), "{from}: {text}");
    *text = text.replace(from, to);
}

fn array<'a>(archive: &'a mut Archive, name: &str) -> &'a mut ArrayD<f64> {
    archive.tensors.get_mut(name).unwrap_or_else(|| panic!("there is no {name}"))
}

fn rename(archive: &mut Archive, from: &str, to: &str) {
    let moved = archive.tensors.remove(from).unwrap();
    archive.tensors.insert(to.into(), moved);
}

#[test]
fn a_basis_that_cannot_be_is_refused_though_its_digest_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(&folder);
    let edits = [
        ("species", "[1,6,7,8]", "[1,6,7]"),
        ("species", "[1,6,7,8]", "[1,6,7,300]"),
        ("species", "[1,6,7,8]", "[1,6,7,119]"),
        ("species", "[1,6,7,8]", "[6,1,7,8]"),
        ("species", "[1,6,7,8]", "[]"),
        ("settings", "\"l_max\":2", "\"l_max\":3"),
        ("settings", "\"l_max\":2", "\"l_max\":100000000"),
        ("settings", "\"r_cut\":4.0", "\"r_cut\":-4.0"),
        ("settings", "\"r_cut\":4.0", "\"r_cut\":5.0"),
        ("settings", "\"n_max\":4", "\"n_max\":5"),
        ("settings", "\"n_max\":4", "\"n_max\":900000000"),
        ("settings", "\"q_max\":3", "\"q_max\":0"),
        ("settings", "\"q_max\":3", "\"q_max\":17"),
        ("settings", "\"mixing\":\"combined\"", "\"mixing\":\"per-species\""),
        ("settings", "\"center_specific\":false", "\"center_specific\":true"),
        ("n_centers", ":11", ":-11"),
        ("n_centers", ":11", ":11.5"),
        ("n_centers", ":11", ":1e300"),
        ("n_centers", "\"0\"", "\"6\""),
        ("n_centers", "{\"0\":11}", "{}"),
        ("table_power", "\"l\"", "\"2\""),
    ];
    for (key, from, to) in edits {
        refusal(&cases[0], |archive| replace(archive, key, from, to));
    }
    let nu = refusal(&cases[0], |archive| replace(archive, "settings", "\"mixing\"", "\"nu\":0,\"mixing\""));
    assert!(nu.contains("nu = 0"), "{nu}");
    let method = "\"method\":{\"name\":\"pcovr\",\"gamma\":2.0},\"mixing\"";
    let gamma = refusal(&cases[0], |archive| replace(archive, "settings", "\"mixing\"", method));
    assert!(gamma.contains("gamma = 2"), "{gamma}");
    let renamed = refusal(&cases[0], |archive| rename(archive, "U/l1", "V/l1"));
    assert!(renamed.contains("array 'U/l1' is missing"), "{renamed}");
    refusal(&cases[0], |archive| rename(archive, "table/6/l2", "table/5/l2"));
    refusal(&cases[0], |archive| rename(archive, "knots", "nodes"));
    let knots = refusal(&cases[0], |archive| array(archive, "knots").swap([1], [2]));
    assert!(knots.contains("equally spaced"), "{knots}");
    let negative = refusal(&cases[0], |archive| array(archive, "eigenvalues/l0")[[2]] = -1e-3);
    assert!(negative.contains("eigenvalues/l0") && negative.contains("-0.001"), "{negative}");
    let skew = refusal(&cases[0], |archive| array(archive, "U/l0")[[0, 0]] += 1e-5);
    assert!(skew.contains("U/l0") && skew.contains("not orthonormal"), "{skew}");
    let nan = refusal(&cases[0], |archive| array(archive, "table/6/l1")[[3, 0, 0]] = f64::NAN);
    assert!(nan.contains("array 'table/6/l1' holds NaN"), "{nan}");
    let short = refusal(&cases[0], |archive| {
        let table = array(archive, "table/6/l1");
        *table = table.clone().slice_axis(Axis(2), (..2).into()).to_owned();
    });
    assert!(short.contains("table/6/l1") && short.contains("shape"), "{short}");
    refusal(&cases[1], |archive| replace(archive, "n_centers", "\"6\"", "\"9\""));
    refusal(&cases[1], |archive| rename(archive, "c6/U/1/l0", "c6/U/2/l0"));
}

#[test]
fn sums_potentials_and_checkpoints_that_cannot_be_are_refused_though_their_digest_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(&folder);
    let [combined, specific, potential, checkpoint, training] = &cases[2..] else { panic!("five more kinds") };
    for count in [-1.0, 0.5, 1e17, f64::INFINITY] {
        refusal(combined, |archive| array(archive, "n_centers")[[0]] = count);
        refusal(specific, |archive| array(archive, "c6/n_centers")[[0]] = count);
        refusal(checkpoint, |archive| array(archive, "open/c0/n_centers")[[0]] = count);
    }
    let square = refusal(combined, |archive| array(archive, "sum/l1")[[2, 2]] = -1.0);
    assert!(square.contains("sum/l1") && square.contains("no sum of squares"), "{square}");
    refusal(combined, |archive| replace(archive, "species", "[1,6,7,8]", "[1,7,6,8]"));
    refusal(combined, |archive| replace(archive, "species", "[1,6,7,8]", "[1,6,7]"));
    refusal(combined, |archive| replace(archive, "centers", "[0]", "[6]"));
    refusal(combined, |archive| replace(archive, "n_structures", "3", "-3"));
    refusal(combined, |archive| replace(archive, "settings", "\"n_max\":4", "\"n_max\":5"));
    refusal(specific, |archive| replace(archive, "centers", "[1,", "[2,"));
    for (key, from, to) in [
        ("species", "[6,14]", "[14,6]"),
        ("settings", "\"energy_sigma\":", "\"energy_sigma\":-"),
        ("basis", "\\\"l_max\\\":1", "\\\"l_max\\\":2"),
    ] {
        refusal(potential, |archive| replace(archive, key, from, to));
    }
    let alpha = refusal(potential, |archive| drop(archive.metadata.insert("alpha".into(), "-1.0".into())));
    assert!(alpha.contains("alpha is -1"), "{alpha}");
    refusal(potential, |archive| array(archive, "basis/U/14/l0")[[0, 0]] += 1e-5);
    refusal(potential, |archive| array(archive, "basis/eigenvalues/14/l0")[[0]] = -1.0);
    refusal(potential, |archive| rename(archive, "model/14/weights", "model/15/weights"));
    refusal(checkpoint, |archive| replace(archive, "next", "3", "-3"));
    refusal(checkpoint, |archive| rename(archive, "open/c0/1-6", "open/c0/1"));
    refusal(training, |archive| replace(archive, "done", "2", "5"));
    refusal(training, |archive| replace(archive, "done", "2", "2.5"));
}
