//! Planted faults are found and named; clean labels are left in peace.

use std::path::PathBuf;

use rhobasis::Structure;
use rhobasis::extxyz::{Dataset, Labels, Options, labels};
use rhobasis::label_check::{Label, LabelReport, Sureness, check_labels};
use rhobasis::neighbors::NeighborList;
use rhobasis::potential::config_type;

const HARTREE: f64 = 27.211386245988;
const BOHR: f64 = 0.529177210903;

/// Frames and labels of a file.
#[derive(Clone)]
struct Data {
    frames: Vec<Structure>,
    labels: Vec<Labels>,
}

impl Data {
    fn read(path: &str) -> Self {
        let options = Options::default();
        let mut data = Data { frames: Vec::new(), labels: Vec::new() };
        for chunk in Dataset::open(&[path.to_string()], &options).unwrap().chunks() {
            for frame in chunk.unwrap().structures {
                data.labels.push(labels(&frame, &options).unwrap());
                data.frames.push(frame);
            }
        }
        data
    }

    /// Bundled frames, `name` with a slice.
    fn bundled(name: &str) -> Self {
        Data::read(&format!("{}/../examples/data/{name}", env!("CARGO_MANIFEST_DIR")))
    }

    /// A real data set, if it is at hand.
    fn real(name: &str) -> Option<Self> {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
        let file = std::env::var("RHOBASIS_DATA").map_or(here, PathBuf::from).join(format!("{name}.xyz.xz"));
        if !file.exists() {
            println!("skipped: no {}", file.display());
            return None;
        }
        Some(Data::read(file.to_str().unwrap()))
    }

    /// Every so many frames.
    fn every(self, step: usize) -> Self {
        Data {
            frames: self.frames.into_iter().step_by(step).collect(),
            labels: self.labels.into_iter().step_by(step).collect(),
        }
    }

    /// With the labels of these frames spoilt.
    fn spoilt(&self, frames: impl IntoIterator<Item = usize>, how: impl Fn(&Structure, &mut Labels)) -> Self {
        let mut data = self.clone();
        frames.into_iter().for_each(|k| how(&self.frames[k], &mut data.labels[k]));
        data
    }

    fn all_spoilt(&self, how: impl Fn(&Structure, &mut Labels)) -> Self {
        self.spoilt(0..self.frames.len(), how)
    }

    fn check(&self) -> LabelReport {
        check_labels(&self.frames, &self.labels).unwrap()
    }
}

fn scale_energy(factor: f64) -> impl Fn(&Structure, &mut Labels) {
    move |_, labels| labels.energy = labels.energy.map(|e| e * factor)
}

fn scale_forces(factor: f64) -> impl Fn(&Structure, &mut Labels) {
    move |_, labels| labels.forces.iter_mut().flatten().flatten().for_each(|f| *f *= factor)
}

fn scale_stress(factor: f64) -> impl Fn(&Structure, &mut Labels) {
    move |_, labels| labels.stress.iter_mut().flatten().flatten().for_each(|s| *s *= factor)
}

fn virial_for_stress(frame: &Structure, labels: &mut Labels) {
    scale_stress(-frame.volume())(frame, labels);
}

fn energy_per_atom(frame: &Structure, labels: &mut Labels) {
    scale_energy(1.0 / frame.len() as f64)(frame, labels);
}

/// xx, yy, zz, yz, xz, xy come to stand for others.
fn reorder(order: [usize; 6]) -> impl Fn(&Structure, &mut Labels) {
    move |_, labels| {
        if let Some(s) = &mut labels.stress {
            let said = [s[0][0], s[1][1], s[2][2], s[1][2], s[0][2], s[0][1]];
            let [xx, yy, zz, yz, xz, xy] = order.map(|k| said[k]);
            *s = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]];
        }
    }
}

const YZ_XZ: [usize; 6] = [0, 1, 2, 4, 3, 5];
const VASP: [usize; 6] = [0, 1, 2, 5, 3, 4];

/// What is done to the labels of a frame, with words of the name of the fault.
type Planted = (&'static str, Box<dyn Fn(&Structure, &mut Labels)>);

/// Faults of a whole set.
fn of_all() -> Vec<Planted> {
    vec![
        ("forces of the wrong sign", Box::new(scale_forces(-1.0))),
        ("forces in Hartree/Bohr", Box::new(scale_forces(BOHR / HARTREE))),
        ("forces in kcal/mol", Box::new(scale_forces(23.0605))),
        ("forces in meV", Box::new(scale_forces(1000.0))),
        ("energy in Hartree", Box::new(scale_energy(1.0 / HARTREE))),
        ("energy in kJ/mol", Box::new(scale_energy(96.485))),
        ("per atom", Box::new(energy_per_atom)),
        ("stress of the wrong sign", Box::new(scale_stress(-1.0))),
        ("stress in GPa", Box::new(scale_stress(160.2177))),
        ("pressure tensor in kbar", Box::new(scale_stress(-1602.177))),
        ("virial taken for stress", Box::new(virial_for_stress)),
        ("yz and xz exchanged", Box::new(reorder(YZ_XZ))),
        ("order xx yy zz xy yz zx", Box::new(reorder(VASP))),
    ]
}

/// The same of single frames.
fn of_one() -> Vec<Planted> {
    vec![
        ("energy in Hartree", Box::new(scale_energy(1.0 / HARTREE))),
        ("energy per atom", Box::new(energy_per_atom)),
        ("energy far from", Box::new(|s, l| l.energy = l.energy.map(|e| e + 1.5 * s.len() as f64))),
        ("forces of the wrong sign", Box::new(scale_forces(-1.0))),
        ("forces in Hartree/Bohr", Box::new(scale_forces(BOHR / HARTREE))),
        ("stress of the wrong sign", Box::new(scale_stress(-1.0))),
        ("virial taken for stress", Box::new(virial_for_stress)),
        ("stress in kbar", Box::new(scale_stress(1602.177))),
    ]
}

/// Numbers between −½ and ½, the same in each run.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }
}

/// Strained and rattled solid solutions of three metals, two to sixteen atoms of a bcc lattice, under Morse potentials and, what no
/// pair potential knows, the square root of a density at each atom. The pressure is off by a constant, as a plane-wave basis
/// that is too small makes it.
fn alloy(n_frames: usize) -> Data {
    let mut uniform = Uniform(5);
    let mut data = Data { frames: Vec::new(), labels: Vec::new() };
    for k in 0..n_frames {
        let cells = [[1, 1, 1], [2, 2, 1], [2, 2, 2], [2, 2, 2]][k % 4];
        let strain: [[f64; 3]; 3] = std::array::from_fn(|_| std::array::from_fn(|_| 0.04 * uniform.next()));
        let strained = |r: [f64; 3]| -> [f64; 3] {
            std::array::from_fn(|p| r[p] + (0..3).map(|q| (strain[p][q] + strain[q][p]) * r[q]).sum::<f64>())
        };
        let a = 3.2 * (1.0 + 0.06 * uniform.next());
        let cell =
            std::array::from_fn(|p| strained(std::array::from_fn(|q| if p == q { a * cells[p] as f64 } else { 0.0 })));
        let (mut species, mut positions) = (Vec::new(), Vec::new());
        for site in 0..2 * cells[0] * cells[1] * cells[2] {
            let (corner, half) = (site / 2, 0.5 * (site % 2) as f64);
            let at = [corner % cells[0], corner / cells[0] % cells[1], corner / cells[0] / cells[1]];
            let mut r = strained(at.map(|x| a * (x as f64 + half)));
            r.iter_mut().for_each(|x| *x += 0.45 * uniform.next());
            positions.push(r);
            species.push([41, 42, 73][((uniform.next() + 0.5) * 3.0) as usize % 3]);
        }
        let frame = Structure::crystal(species, positions, cell);
        data.labels.push(labels_of_alloy(&frame));
        data.frames.push(frame);
    }
    data
}

/// E = Σ_pairs D ((1 − e^(−α(r−r0)))² − 1) − 0.3 Σ_i √ρ_i, ρ_i = Σ_j e^(−2(r−2.8)), times a function that ends at 5 Å.
fn labels_of_alloy(frame: &Structure) -> Labels {
    let list = NeighborList::new(frame, 5.0).unwrap();
    let of = |z: u8| match z {
        41 => (0.35, 2.80),
        42 => (0.45, 2.70),
        _ => (0.40, 2.95),
    };
    let ends = |r: f64| ((1.0 - r / 5.0).powi(2), -0.4 * (1.0 - r / 5.0));
    let density = |r: f64| {
        let (e, (f, df)) = ((-2.0 * (r - 2.8)).exp(), ends(r));
        (e * f, e * (df - 2.0 * f))
    };
    let length = |pair: usize| list.vector[pair].iter().map(|x| x * x).sum::<f64>().sqrt();
    let rho: Vec<f64> = (0..frame.len()).map(|i| list.pairs(i).map(|p| density(length(p)).0).sum()).collect();
    let (mut energy, mut forces, mut stress) = (0.0, vec![[0.0; 3]; frame.len()], [[0.0; 3]; 3]);
    for i in 0..frame.len() {
        energy -= 0.3 * rho[i].sqrt() + [41, 42, 73].iter().position(|z| *z == frame.species[i]).unwrap() as f64;
        for pair in list.pairs(i) {
            let (j, r, vector) = (list.neighbor[pair] as usize, length(pair), list.vector[pair]);
            let ((d_i, r_i), (d_j, r_j)) = (of(frame.species[i]), of(frame.species[j]));
            let (depth, x, (f, df)) = (f64::sqrt(d_i * d_j), (-1.3 * (r - 0.5 * (r_i + r_j))).exp(), ends(r));
            let (morse, slope) = (depth * ((1.0 - x).powi(2) - 1.0), depth * 2.0 * 1.3 * (1.0 - x) * x);
            energy += 0.5 * morse * f;
            let slope = 0.5 * (slope * f + morse * df) - 0.15 / rho[i].sqrt() * density(r).1;
            for p in 0..3 {
                forces[i][p] += slope * vector[p] / r;
                forces[j][p] -= slope * vector[p] / r;
                (0..3).for_each(|q| stress[p][q] += slope * vector[p] * vector[q] / r / frame.volume());
            }
        }
    }
    (0..3).for_each(|p| stress[p][p] -= 0.05);
    Labels { energy: Some(energy), forces: Some(forces), stress: Some(stress) }
}

/// Every fault with one of these words in its name is named.
fn assert_found(data: &Data, words: &[&str]) {
    for (name, how) in of_all().into_iter().filter(|(name, _)| words.iter().any(|word| name.contains(word))) {
        let report = data.all_spoilt(&how).check();
        let found = report.findings.iter().find(|f| f.suspicion.contains(name));
        let found = found.unwrap_or_else(|| panic!("{name} was not found: {:?}", report.findings));
        assert!(found.sureness >= Sureness::Likely, "{name}: {found:?}");
        assert!(found.frames.len() * 10 > data.frames.len() * 5, "{name}: {} frames", found.frames.len());
    }
}

fn assert_quiet(report: &LabelReport, n: usize) {
    let flagged: std::collections::BTreeSet<usize> =
        report.findings.iter().flat_map(|f| f.frames.iter().copied()).collect();
    assert!(flagged.len() as f64 <= (0.01 * n as f64).max(1.0), "{} of {n}: {:?}", flagged.len(), report.findings);
}

#[test]
fn faults_of_the_whole_set_are_named_in_bundled_silicon() {
    assert_found(
        &Data::bundled("silicon.xyz.xz@::6"),
        &["forces", "energy", "atom", "stress", "tensor", "exchanged", "order"],
    );
}

#[test]
fn faults_of_one_frame_are_named_in_bundled_silicon() {
    let data = Data::bundled("silicon.xyz.xz@::3");
    // A rattled or strained frame with forces and stress that say something.
    let strength = |k: &usize| {
        let labels = &data.labels[*k];
        let forces = labels.forces.iter().flatten().flatten().map(|f| f.abs()).fold(0.0, f64::max);
        forces * labels.stress.iter().flatten().flatten().map(|s| s.abs()).fold(0.0, f64::max)
    };
    let mut by_strength: Vec<usize> = (0..data.frames.len()).collect();
    by_strength.sort_by(|a, b| strength(a).total_cmp(&strength(b)));
    let k = by_strength[data.frames.len() * 9 / 10];
    for (name, how) in of_one() {
        let report = data.spoilt([k], &how).check();
        let found = report.findings.iter().find(|f| f.suspicion.contains(name) && f.frames.contains(&k));
        assert!(found.is_some(), "{name} of frame {k}: {:?}", report.findings);
        assert!(report.findings.iter().map(|f| f.frames.len()).sum::<usize>() <= 4, "{name}: {:?}", report.findings);
    }
}

#[test]
fn faults_of_the_whole_set_are_named_in_an_alloy_whose_pressure_is_off() {
    let words = ["wrong sign", "forces in Hartree/Bohr", "energy in Hartree", "atom", "virial", "tensor", "exchanged"];
    assert_found(&alloy(80), &words);
}

#[test]
fn faults_of_one_frame_are_named_in_an_alloy() {
    let data = alloy(80);
    assert_quiet(&data.check(), data.frames.len());
    let strength = |k: &usize| data.labels[*k].forces.iter().flatten().flatten().map(|f| f * f).sum::<f64>();
    let strained = (0..data.frames.len()).max_by(|a, b| strength(a).total_cmp(&strength(b))).unwrap();
    let wanted = ["energy in Hartree", "forces of the wrong sign", "energy far from"];
    let planted = of_one().into_iter().filter(|(name, _)| wanted.contains(name));
    for (name, how) in planted {
        let report = data.spoilt([strained], &how).check();
        let found = report.findings.iter().find(|f| f.suspicion.contains(name) && f.frames.contains(&strained));
        assert!(found.is_some(), "{name} of frame {strained}: {:?} {:?}", report.findings, report.tested);
    }
}

#[test]
fn energies_per_atom_are_known_by_a_few_frames_of_another_size() {
    let data = Data::bundled("molecules.xyz.xz@::8");
    let report = data.all_spoilt(energy_per_atom).check();
    let found = report.findings.iter().find(|f| f.suspicion.contains("per atom")).expect("energies per atom");
    assert!(found.sureness >= Sureness::Likely && found.frames.len() > data.frames.len() / 2, "{found:?}");
}

#[test]
fn clean_labels_are_left_in_peace() {
    for name in ["silicon.xyz.xz@::4", "molecules_rattled.xyz.xz@::4", "molecules.xyz.xz@::8"] {
        let data = Data::bundled(name);
        let report = data.check();
        assert_quiet(&report, data.frames.len());
        assert!(!report.tested.is_empty());
    }
}

#[test]
fn energies_of_molecules_in_hartree_are_known_by_their_hydrogen() {
    let mut data = Data::bundled("molecules_rattled.xyz.xz@::3");
    data.labels.iter_mut().for_each(|l| l.forces = None);
    let report = data.all_spoilt(scale_energy(1.0 / HARTREE)).check();
    assert!(report.findings.iter().any(|f| f.suspicion == "energy in Hartree"), "{:?}", report.findings);
}

#[test]
fn repeated_frames_with_different_labels_are_named() {
    let mut data = Data::bundled("molecules_rattled.xyz.xz@::3");
    let (frame, mut said) = (data.frames[7].clone(), data.labels[7].clone());
    said.energy = said.energy.map(|e| e + 0.5);
    data.frames.push(frame);
    data.labels.push(said);
    let report = data.check();
    let found = report.findings.iter().find(|f| f.suspicion.contains("repeated frames")).unwrap();
    assert_eq!((found.label, &found.frames[..]), (Label::Energy, &[7, data.frames.len() - 1][..]));
}

#[test]
fn without_enough_frames_nothing_is_claimed() {
    let mut data = Data::bundled("silicon.xyz.xz@::6");
    data.frames.truncate(5);
    data.labels.truncate(5);
    let report = data.check();
    assert!(report.findings.is_empty());
    assert!(report.untested[0].contains("5 frames"), "{:?}", report.untested);
    let empty = check_labels(&[], &[]).unwrap();
    assert!(empty.findings.is_empty());
}

/// In both sets the dynamics and the vacancies have yz and xz exchanged; strained cells have not.
#[test]
fn real_silicon_and_germanium_have_yz_and_xz_exchanged() {
    for name in ["si_zuo2020", "ge_zuo2020"] {
        let Some(data) = Data::real(name) else { return };
        let report = data.check();
        let exchanged = |f: &&rhobasis::label_check::Finding| f.suspicion.contains("yz and xz exchanged");
        let found = report.findings.iter().find(exchanged).unwrap_or_else(|| panic!("{:?}", report.findings));
        assert_eq!(found.sureness, Sureness::Certain);
        let kind = |k: usize| config_type(&data.frames[k]);
        let wrong = |k: &&usize| ["AIMD-NVT", "Vacancy"].contains(&kind(**k));
        assert!(found.frames.iter().filter(wrong).count() * 20 >= found.frames.len() * 19, "{:?}", found.frames);
        // Put right, they are clean, and other faults are found.
        let swapped: Vec<usize> = (0..data.frames.len()).filter(|k| wrong(&k)).collect();
        let right = data.spoilt(swapped, reorder(YZ_XZ));
        assert_quiet(&right.check(), right.frames.len());
        assert_found(&right, &["Hartree/Bohr", "stress of the wrong sign", "tensor", "per atom"]);
    }
}

/// QM9: energies alone, of molecules of many sizes.
#[test]
fn real_molecules_with_energies_per_atom_are_known() {
    let Some(data) = Data::real("qm9").map(|data| data.every(400)) else { return };
    assert_quiet(&data.check(), data.frames.len());
    assert_found(&data, &["per atom", "energy in Hartree"]);
}

/// Four metals; many of the frames have hardly any forces and shears.
#[test]
fn real_faults_of_an_alloy_of_four_metals_are_named() {
    let Some(data) = Data::real("mo_nb_ta_w").map(|data| data.every(10)) else { return };
    assert_quiet(&data.check(), data.frames.len());
    assert_found(&data, &["energy in Hartree", "stress of the wrong sign", "exchanged"]);
}
