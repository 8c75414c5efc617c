//! What frames hold: against ASE, by the format, labels, in real files.

use std::path::PathBuf;

use rhobasis::extxyz::{Labels, Omission, Options, Reader, labels, labels_and_omissions, read, required_energy, write};
use rhobasis::structure::{ColumnData, Value, atomic_number, symbol};

use super::{TestFile, one, read_text, repository};

// ---------------------------------------------------------------- against ASE

/// The number of Python's `float.hex`.
fn hex_float(text: &str) -> f64 {
    if !text.contains("0x") {
        return text.parse().unwrap();
    }
    let (sign, digits) = text.strip_prefix('-').map_or((1.0, text), |t| (-1.0, t));
    let (mantissa, exponent) = digits.strip_prefix("0x").unwrap().split_once('p').unwrap();
    let (whole, fraction) = mantissa.split_once('.').unwrap();
    let bits = u64::from_str_radix(&format!("{whole}{fraction}"), 16).unwrap();
    let exponent = exponent.parse::<i32>().unwrap() - 4 * fraction.len() as i32;
    sign * bits as f64 * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2)
}

fn reals(data: &serde_json::Value) -> Vec<f64> {
    data.as_array().unwrap().iter().map(|x| hex_float(x.as_str().unwrap())).collect()
}

fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

fn assert_value(ours: &Value, ase: &serde_json::Value, what: &str) {
    let data = &ase["data"];
    let list = || data.as_array().unwrap().iter();
    let shape: Vec<usize> = serde_json::from_value(ase["shape"].clone()).unwrap_or_default();
    let equal = match (ase["kind"].as_str().unwrap(), ours) {
        ("Bool", Value::Bool(b)) => data.as_bool() == Some(*b),
        ("Int", Value::Int(i)) => data.as_i64() == Some(*i),
        ("Real", Value::Real(x)) => same(&[*x], &[hex_float(data.as_str().unwrap())]),
        ("Text", Value::Text(t)) => data.as_str() == Some(t),
        ("Bools", Value::Bools(x, s)) => *s == shape && list().map(|b| b.as_bool().unwrap()).eq(x.iter().copied()),
        ("Ints", Value::Ints(x, s)) => *s == shape && list().map(|i| i.as_i64().unwrap()).eq(x.iter().copied()),
        ("Reals", Value::Reals(x, s)) => *s == shape && same(x, &reals(data)),
        ("Texts", Value::Texts(x, s)) => *s == shape && list().map(|t| t.as_str().unwrap()).eq(x.iter()),
        // Objects stay the JSON they are.
        ("Dict", Value::Text(t)) => serde_json::from_str::<serde_json::Value>(&t["_JSON ".len()..]).unwrap() == *data,
        _ => false,
    };
    assert!(equal, "{what}: {ours:?} instead of {ase}");
}

#[test]
fn awkward_frames_read_as_ase_reads_them() {
    let folder = repository().join("reference/extxyz");
    let json = std::fs::read_to_string(folder.join("awkward.json")).unwrap();
    let ase: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let frames = read(folder.join("awkward.xyz"), &Options::default()).unwrap();
    assert_eq!(frames.len(), ase.len());
    for (f, (frame, ase)) in frames.iter().zip(&ase).enumerate() {
        assert_eq!(serde_json::json!(frame.species), ase["species"], "frame {f}");
        assert!(same(frame.positions.as_flattened(), &reals(&ase["positions"])), "positions of frame {f}");
        assert!(same(frame.cell.as_flattened(), &reals(&ase["cell"])), "cell of frame {f}");
        assert_eq!(serde_json::json!(frame.pbc), ase["pbc"], "pbc of frame {f}");
        assert_eq!(frame.info.len(), ase["info"].as_object().unwrap().len(), "frame {f}: {:?}", frame.info);
        for (key, value) in &frame.info {
            assert_value(value, &ase["info"][key], &format!("{key} of frame {f}"));
        }
        assert_eq!(frame.columns.len(), ase["columns"].as_object().unwrap().len(), "frame {f}");
        for column in &frame.columns {
            let shape = if column.width == 1 { vec![frame.len()] } else { vec![frame.len(), column.width] };
            let value = match column.data.clone() {
                ColumnData::Reals(x) => Value::Reals(x, shape),
                ColumnData::Ints(x) => Value::Ints(x, shape),
                ColumnData::Bools(x) => Value::Bools(x, shape),
                ColumnData::Texts(x) => Value::Texts(x, shape),
            };
            assert_value(&value, &ase["columns"][&column.name], &format!("column {} of frame {f}", column.name));
        }
    }
}

#[test]
fn awkward_frames_survive_writing_and_reading() {
    let frames = read(repository().join("reference/extxyz/awkward.xyz"), &Options::default()).unwrap();
    let file = TestFile::new("copy.xyz", "");
    write(&file.path, &frames).unwrap();
    let again = read(&file.path, &Options::default()).unwrap();
    // Compared as text, because NaN is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{frames:?}"));
}

// ---------------------------------------------------------------- the format

#[test]
fn lattice_vectors_come_one_after_the_other() {
    let s = one("1\nLattice=\"1 2 3 4 5 60 7 8 9\" Properties=species:S:1:pos:R:3\nSi 0 0 0\n");
    assert_eq!(s.cell, [[1.0, 2.0, 3.0], [4.0, 5.0, 60.0], [7.0, 8.0, 9.0]]);
    assert_eq!(s.pbc, [true; 3]);
    assert!(s.info.is_empty());
}

#[test]
fn windows_line_ends_tabs_and_trailing_blanks_are_passed_over() {
    let text = "\u{feff}2 \r\nProperties=species:S:1:pos:R:3\tpbc=\"F F F\" \r\nH\t0 0  0 \t\r\n  O 0 0 1.0D0\r\n\r\n \n\n1\n\nHe 1 2 3\n\n\n  ";
    let frames = read_text(text).unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].species, [1, 8]);
    assert_eq!(frames[0].positions[1], [0.0, 0.0, 1.0]);
    assert_eq!(frames[1].positions, [[1.0, 2.0, 3.0]]);
}

#[test]
fn fortran_exponents_are_numbers_and_names_like_them_are_not() {
    let s = one("1\nProperties=species:S:1:pos:R:3 e=-1.5D-3 v=\"1.0d2 .5D0\" name=1d3\nH 1.0D-3 -2.D+02 .5d0\n");
    assert_eq!(s.positions, [[1e-3, -200.0, 0.5]]);
    assert_eq!(s.get("e"), Some(&Value::Real(-1.5e-3)));
    assert_eq!(s.get("v"), Some(&Value::Reals(vec![100.0, 0.5], vec![2])));
    assert_eq!(s.get("name"), Some(&Value::Text("1d3".to_string())));
}

#[test]
fn plain_xyz_takes_symbol_and_position_and_leaves_the_rest() {
    let s = one("2\nit's methane, or part of it\nC 0 0 0 -0.4 17\n1 0 0 1.1\n");
    assert_eq!(s.species, [6, 1]);
    assert_eq!(s.get("comment"), Some(&Value::Text("it's methane, or part of it".to_string())));
    assert!(s.columns.is_empty() && s.pbc == [false; 3]);
}

#[test]
fn all_elements_are_known_by_symbol_and_by_number() {
    for z in 1..=118u8 {
        let symbol = symbol(z);
        assert_eq!(atomic_number(symbol), Some(z));
        assert_eq!(one(&format!("1\n\n{symbol} 0 0 0\n")).species, [z]);
        assert_eq!(one(&format!("1\nProperties=pos:R:3:Z:I:1\n0 0 0 {z}\n")).species, [z]);
    }
}

#[test]
fn an_empty_quoted_value_is_an_empty_text() {
    let s = one("1\na=\"\" b=2 c=''\nH 0 0 0\n");
    let empty = Value::Text(String::new());
    assert_eq!((s.get("a"), s.get("b"), s.get("c")), (Some(&empty), Some(&Value::Int(2)), Some(&empty)));
}

// ---------------------------------------------------------------- labels

#[test]
fn stress_is_the_negative_virial_over_the_volume_in_any_order() {
    let head = "1\nLattice=\"2 0 0 0 2 0 0 0 2\" Properties=species:S:1:pos:R:3:force:R:3 energy=-1";
    let expected = [[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]];
    for text in [
        "stress=\"1 6 5 6 2 4 5 4 3\"",
        "stress=\"1 2 3 4 5 6\"",
        "virial=\"-8 -48 -40 -48 -16 -32 -40 -32 -24\"",
        "virial=\"-8 -16 -24 -32 -40 -48\"",
        "stress=\"1 2 3 4 5 6\" virial=\"-8 -16 -24 -32 -40 -48.001\"",
    ] {
        let s = one(&format!("{head} {text}\nSi 0 0 0 .5 1 2\n"));
        let labels = labels(&s, &Options::default()).unwrap();
        let forces = Some(vec![[0.5, 1.0, 2.0]]);
        assert_eq!(labels, Labels { energy: Some(-1.0), forces, stress: Some(expected) }, "{text}");
    }
}

#[test]
fn labels_go_by_the_names_given() {
    let comment = "Lattice=\"2 0 0 0 2 0 0 0 2\" energy=-1 e=3 s=\"1 0 0 0 1 0 0 0 1\" stress=bad";
    let s = one(&format!("1\n{comment} Properties=species:S:1:pos:R:3:f:R:3\nSi 0 0 0 1 2 3\n"));
    let options =
        Options { energy_key: "e".into(), force_key: "f".into(), stress_key: "s".into(), ..Options::default() };
    let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let expected = Labels { energy: Some(3.0), forces: Some(vec![[1.0, 2.0, 3.0]]), stress: Some(identity) };
    assert_eq!(labels(&s, &options).unwrap(), expected);
    let none = Options { energy_key: String::new(), stress_key: String::new(), ..Options::default() };
    assert_eq!(labels(&s, &none).unwrap(), Labels::default());
}

#[test]
fn bad_labels_are_refused() {
    for (comment, forces, expected) in [
        ("energy=low", "1 2 3", "energy energy=\"low\" is no number; give the total energy"),
        ("energy=inf", "1 2 3", "energy is inf; give finite numbers, or NaN throughout"),
        ("", "1 2 inf", "atom 0: component z of forces is inf; give finite numbers"),
        ("", "1 nan 3", "atom 0: component y of forces is NaN; give finite numbers"),
        ("stress=\"1 2 3\"", "1 2 3", "does not hold nine or six numbers; give the matrix row by row"),
        ("virial=\"1 2 3 4 5 nan\"", "1 2 3", "component xy of virial is NaN; give finite numbers"),
        ("stress=\"1 0 0 0 1 inf 0 0 1\"", "1 2 3", "component zy of stress is inf; give finite numbers"),
        ("stress=\"1 1 1 0 0 0\" virial=\"8 8 8 0 0 0\"", "1 2 3", "differ by 2.000e0 eV/Å³: xx is 1.000000e0 and -1"),
    ] {
        let head = "1\nLattice=\"2 0 0 0 2 0 0 0 2\" Properties=species:S:1:pos:R:3:forces:R:3";
        let s = one(&format!("{head} {comment}\nSi 0 0 0 {forces}\n"));
        let message = labels(&s, &Options::default()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let s = one("1\nProperties=species:S:1:pos:R:3:forces:R:2\nSi 0 0 0 1 2\n");
    let message = labels(&s, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("the column forces has 2 values per atom"), "{message}");
}

#[test]
fn labels_whose_squares_are_none_are_refused() {
    let cell = "Lattice=\"0.5 0 0 0 0.5 0 0 0 0.5\" pbc=\"T T T\"";
    let forces = "Properties=species:S:1:pos:R:3:forces:R:3";
    for (text, expected) in [
        ("1\nenergy=1e308\nSi 0 0 0\n".to_string(), "energy is 1e308, and labels reach 1e100 at most; correct it"),
        ("1\nenergy=-2e100\nSi 0 0 0\n".into(), "energy is -2e100"),
        (format!("2\n{forces}\nSi 0 0 0 1 2 3\nSi 1 1 1 0 1e155 0\n"), "atom 1: component y of forces is 1e155"),
        (format!("1\n{cell} stress=\"0 0 0 0 0 -1e180\"\nSi 0 0 0\n"), "component xy of stress is -1e180"),
        (format!("1\n{cell} virial=\"1e100 0 0 0 0 0\"\nSi 0 0 0\n"), "component xx of −virial/volume is -8e100"),
    ] {
        let message = labels(&one(&text), &Options::default()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let s = one("1\nenergy=-1e100\nSi 0 0 0\n");
    assert_eq!(labels(&s, &Options::default()).unwrap().energy, Some(-1e100));
    assert!(required_energy(&one("1\nenergy=1e308\nSi 0 0 0\n"), "energy").unwrap_err().to_string().contains("1e308"));
}

#[test]
fn labels_that_are_nan_throughout_are_absent() {
    let head = "2\nLattice=\"2 0 0 0 2 0 0 0 2\" Properties=species:S:1:pos:R:3:forces:R:3 energy=nan";
    let nine = "stress=\"nan nan nan nan nan nan nan nan nan\"";
    let s = one(&format!("{head} {nine}\nSi 0 0 0 nan nan nan\nSi 1 1 1 nan nan nan\n"));
    let (said, omitted) = labels_and_omissions(&s, &Options::default()).unwrap();
    assert_eq!(said, Labels::default());
    assert_eq!(omitted, [Omission::NanEnergy, Omission::NanForces, Omission::NanStress]);
    // A virial with numbers stands in for a stress without.
    let s = one(&format!("{head} {nine} virial=\"-8 0 0 0 -8 0 0 0 -8\"\nSi 0 0 0 1 2 3\nSi 1 1 1 0 0 0\n"));
    let (said, omitted) = labels_and_omissions(&s, &Options::default()).unwrap();
    assert_eq!(said.stress, Some([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]));
    assert_eq!((said.forces.is_some(), omitted), (true, vec![Omission::NanEnergy, Omission::NanStress]));
    let message = required_energy(&s, "energy").unwrap_err().to_string();
    assert!(message.contains("energy energy=NaN is none"), "{message}");
}

#[test]
fn a_stress_without_full_periodicity_is_left_out() {
    for (cell, key) in [("Lattice=\"2 0 0 0 2 0 0 0 9\" pbc=\"T T F\"", "stress"), ("pbc=\"F F F\"", "virial")] {
        let s = one(&format!("1\n{cell} energy=-1 {key}=\"1 2 3 4 5 6\"\nSi 0 0 0\n"));
        let (said, omitted) = labels_and_omissions(&s, &Options::default()).unwrap();
        assert_eq!((said.energy, said.stress, omitted), (Some(-1.0), None, vec![Omission::StressWithoutVolume]));
        let unread = Options { stress_key: String::new(), virial_key: String::new(), ..Options::default() };
        assert_eq!(labels_and_omissions(&s, &unread).unwrap().1, []);
    }
    // NaN in a molecule is what programs write for want of a stress: nothing is left out.
    let s = one("1\npbc=\"F F F\" stress=\"nan nan nan nan nan nan\"\nSi 0 0 0\n");
    assert_eq!(labels_and_omissions(&s, &Options::default()).unwrap().1, [Omission::NanStress]);
}

// ---------------------------------------------------------------- real data

/// Frames and atoms of the smaller files, by data/README.md.
const DATA: [(&str, usize, usize); 12] = [
    ("bench_molecular_crystals", 100, 14535),
    ("bench_silicon_bulk", 30, 1620),
    ("ge_zuo2020", 253, 15640),
    ("methane_random", 9006, 45030),
    ("methane_random_forces", 999, 4995),
    ("perovskites", 3787, 18935),
    ("rmd17_ethanol", 2000, 18000),
    ("si_point_defects", 334, 21398),
    ("si_pw91_gap_sample", 252, 2651),
    ("si_random_crystals", 6204, 36355),
    ("si_zuo2020", 214, 13209),
    ("zundel", 901, 6307),
];

#[test]
fn real_files_hold_the_frames_and_atoms_they_should() {
    let data = std::env::var("RHOBASIS_DATA").map_or_else(|_| repository().join("../shared/data"), PathBuf::from);
    let options = Options::default();
    for (name, n_frames, n_atoms) in DATA {
        let path = data.join(format!("{name}.xyz.xz"));
        if !path.exists() {
            println!("skipped: no {}", path.display());
            continue;
        }
        let (mut frames, mut atoms) = (0, 0);
        for frame in Reader::open(&path, &options).unwrap() {
            let frame = frame.unwrap();
            assert_eq!(labels(&frame, &options).unwrap().energy.is_none(), name.starts_with("bench"), "{name}");
            frames += 1;
            atoms += frame.len();
        }
        assert_eq!((frames, atoms), (n_frames, n_atoms), "{name}");
    }
}
