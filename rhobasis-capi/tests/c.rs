//! The library as C sees it: the header, and a program that evaluates silicon with ghosts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma};
use rhobasis::extxyz::{Options, labels, read};
use rhobasis::files::Stored;
use rhobasis::neighbors::{NeighborList, VerletList};
use rhobasis::potential::{
    Baseline, Basis, Beside, FeatureSettings, ModelSettings, Potential, TrainSettings, Trainer, Weights,
};
use rhobasis::{Structure, on_this_thread};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_header_says_what_the_library_does() {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let sources = cbindgen::Builder::new().with_config(config).with_src(root().join("src/lib.rs"));
    let mut made = Vec::new();
    sources.generate().unwrap().write(&mut made);
    let (made, path) = (String::from_utf8(made).unwrap(), root().join("include/rhobasis.h"));
    if std::env::var_os("RHOBASIS_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "{} is not current: RHOBASIS_WRITE_HEADER=1 cargo test -p rhobasis-capi", path.display());
}

/// A small potential of silicon, and a frame.
fn silicon() -> (Potential, Structure) {
    let path = root().join("../examples/data/silicon.xyz.xz@:12");
    let frames = read(path.display().to_string(), &Options::default()).unwrap();
    let labels: Vec<_> = frames.iter().map(|frame| labels(frame, &Options::default()).unwrap()).collect();
    let density = Density { r_cut: 4.0, sigma: Sigma::Same(0.5), cutoff_width: 1.0, ..Density::default() };
    let expansion =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max: 4 }, l_max: 3, ..ExpansionSettings::default() };
    let settings = TrainSettings {
        features: FeatureSettings::default(),
        model: ModelSettings::ridge(),
        baseline: Baseline::default(),
        repulsion: Default::default(),
        weights: Weights::default(),
    };
    let basis = Basis::primitive(&expansion, &[14]).unwrap();
    let mut trainer = Trainer::new(basis, &settings, &frames, &labels).unwrap();
    trainer.advance(frames.len()).unwrap();
    (trainer.finish().unwrap(), frames[3].clone())
}

/// Centres and images of a periodic structure, with the list of pairs.
fn unfold(structure: &Structure, r_cut: f64) -> (Structure, Vec<usize>, Vec<u32>) {
    let list = NeighborList::new(structure, r_cut + 0.4).unwrap();
    let mut atoms = Structure::molecule(structure.species.clone(), structure.positions.clone());
    let mut images: BTreeMap<(u32, [i32; 3]), u32> = BTreeMap::new();
    let mut neighbor = Vec::new();
    for (&j, &shift) in list.neighbor.iter().zip(&list.shift) {
        let next = atoms.len() as u32;
        let index = if shift == [0; 3] { j } else { *images.entry((j, shift)).or_insert(next) };
        if index == next {
            let moved = |d: usize| (0..3).map(|k| f64::from(shift[k]) * structure.cell[k][d]).sum::<f64>();
            atoms.species.push(structure.species[j as usize]);
            atoms.positions.push(std::array::from_fn(|d| structure.positions[j as usize][d] + moved(d)));
        }
        neighbor.push(index);
    }
    (atoms, list.start.clone(), neighbor)
}

/// The static library that was built with this test.
fn library() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("librhobasis_capi") && name.ends_with(".a")
    };
    let found = std::fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path()).filter(is_ours);
    found.max_by_key(|path| path.metadata().and_then(|data| data.modified()).unwrap()).unwrap()
}

fn compiled(folder: &Path) -> PathBuf {
    let program = folder.join("potential");
    let built = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-o"])
        .arg(&program)
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join("tests/potential.c"))
        .arg(library())
        .args(["-lpthread", "-ldl", "-lm"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

#[test]
fn a_program_in_c_finds_what_rust_finds() {
    let folder = tempfile::tempdir().unwrap();
    let (potential, structure) = silicon();
    let (model, input) = (folder.path().join("silicon.rho"), folder.path().join("atoms.txt"));
    potential.save(&model).unwrap();
    let (atoms, start, neighbor) = unfold(&structure, potential.r_cut());
    let mut text = format!("{} {} {}\n", structure.len(), atoms.len(), neighbor.len());
    for (z, r) in atoms.species.iter().zip(&atoms.positions) {
        text += &format!("{z} {:e} {:e} {:e}\n", r[0], r[1], r[2]);
    }
    start.iter().for_each(|k| text += &format!("{k} "));
    neighbor.iter().for_each(|j| text += &format!("{j} "));
    std::fs::write(&input, text).unwrap();

    let ran = Command::new(compiled(folder.path())).arg(&model).arg(&input).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    let line = |name: &str| {
        let found = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("{name}: {said}"))
    };
    let numbers = |name: &str| -> Vec<f64> { line(name).split(' ').map(|x| x.parse().unwrap()).collect() };

    let mut list = VerletList::given(potential.r_cut(), &start, &neighbor).unwrap();
    let beside = Beside { virials: true, extrapolation: true };
    let expected = on_this_thread(|| potential.evaluate_with(&atoms, &mut list, beside)).unwrap();
    assert_eq!(numbers("energy"), [expected.energy]);
    assert_eq!(numbers("energies"), expected.energies);
    assert_eq!(numbers("forces"), expected.forces.as_flattened());
    assert_eq!(numbers("virial"), expected.virial.as_slice().unwrap());
    assert_eq!(numbers("virials"), expected.virials.as_flattened().as_flattened());
    assert_eq!(numbers("extrapolation"), expected.extrapolation);
    assert_eq!(numbers("lone"), expected.extrapolation, "with and without virials");
    assert_eq!(line("far"), "0", "a training frame has no close pair");
    let mut moved = atoms.clone();
    moved.positions[neighbor[0] as usize] = atoms.positions[0];
    moved.positions[neighbor[0] as usize][0] += 1.7;
    let close = potential.evaluate(&moved, &mut list).unwrap().close.unwrap();
    let [i, j] = close.atoms.map(|atom| atom as f64);
    assert_eq!(numbers("close"), [i, j, close.distance, close.smallest.unwrap()]);
    let periodic = &potential.predict(&[structure], true).unwrap()[0];
    assert!((periodic.energy / expected.energy - 1.0).abs() < 1e-12);
    assert!((numbers("again")[0] / expected.energy - 1.0).abs() < 1e-14, "results are added");
    assert_eq!(numbers("unchanged"), expected.forces[0], "a call that fails adds nothing");
    assert_eq!(numbers("cutoff"), [4.0]);
    assert_eq!(line("knows"), "1 14 14 0");

    assert!(line("missing").starts_with("1 missing.rho: "), "{said}");
    let element = "element = Xx: the potential was trained on Si only; name one of these, or train it on such atoms";
    assert_eq!(line("element"), element);
    let early = "-1 neighbors = none: the pairs of atoms are not known; call rhobasis_set_neighbors first";
    assert_eq!(line("early"), early);
    assert!(line("touching").starts_with("-1 0 atom 0: atoms 0 and "), "{said}");
    assert!(line("species").starts_with("-1 atom 0: "), "{said}");
    assert!(line("list").starts_with("-1 start = "), "{said}");
}
