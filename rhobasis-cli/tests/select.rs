//! `rhobasis select`, on matrices as `features` and as NumPy write them.

use std::fs;
use std::path::{Path, PathBuf};

mod common;

use common::Place;

/// Integers of an array that our writer has stored.
fn integers(place: &Place, file: &str, name: &str) -> Vec<i64> {
    let bytes = fs::read(place.path(file)).unwrap();
    let local = format!("{name}.npy");
    let at = bytes.windows(local.len()).position(|w| w == local.as_bytes()).expect("the array is there");
    let start = at + bytes[at..].windows(6).position(|w| w == b"\x93NUMPY").unwrap();
    let header = String::from_utf8_lossy(&bytes[start..start + 192]).into_owned();
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let n: usize = shape.split(',').filter_map(|s| s.trim().parse::<usize>().ok()).product();
    let words = bytes[start + 192..].chunks_exact(8).take(n);
    words.map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
}
/// A `.npy` file as NumPy writes it, with a header of its own length.
fn npy(descr: &str, fortran_order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}");
    text += &" ".repeat(63 - (10 + text.len()) % 64);
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.extend(data);
    bytes
}

/// The matrix of random numbers of reference/selection_metrics, packed by numpy.savez_compressed.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../reference/selection_metrics/golden.npz")
}

const CUR: [i64; 10] = [19, 13, 16, 18, 12, 15, 9, 10, 14, 6];
const FPS: [i64; 10] = [0, 13, 16, 14, 15, 19, 12, 11, 17, 18];
const FPS_SAMPLES: [i64; 10] = [0, 53, 98, 69, 4, 41, 91, 99, 47, 9];

#[test]
fn the_choice_is_that_of_scikit_matter() {
    let place = Place::new();
    let file = golden();
    let file = file.to_str().unwrap();
    let out = place.ok(&["select", file, "-n", "10", "--force", "-o", "picked.npz"]);
    assert!(out.contains("10 features of 20 chosen from 100 × 20"), "{out}");
    assert_eq!(integers(&place, "picked.npz", "selected"), CUR);
    place.ok(&["select", file, "--method", "fps", "-n", "10", "--force", "-o", "picked.npz"]);
    assert_eq!(integers(&place, "picked.npz", "selected"), FPS);
    place.ok(&["select", file, "--method", "fps", "--of", "samples", "-n", "10", "--force", "-o", "picked.npz"]);
    assert_eq!(integers(&place, "picked.npz", "selected"), FPS_SAMPLES);
}

#[test]
fn a_matrix_too_large_for_memory_gives_the_same_choice() {
    let place = Place::new();
    let file = golden();
    let file = file.to_str().unwrap();
    for (method, expected) in [("cur", CUR), ("fps", FPS)] {
        place.ok(&["select", file, "--method", method, "-n", "10", "--memory", "0", "--force", "-o", "picked.npz"]);
        assert_eq!(integers(&place, "picked.npz", "selected"), expected);
    }
    let samples = ["select", file, "--of", "samples", "-n", "2", "--memory", "0", "-o", "no.npz"];
    place.refused(1, &samples, &["100 × 20", "--memory"]);
}

#[test]
fn very_large_and_small_numbers_are_chosen_from_as_ordinary_ones() {
    let place = Place::new();
    let numbers: Vec<f64> = (0..500).map(|i| f64::from(i * i % 97) - 40.0 + 0.3 * f64::from(i % 10)).collect();
    let write = |name: &str, exponents: &dyn Fn(usize) -> i32| {
        let sized = numbers.iter().enumerate().map(|(i, x)| x * 2f64.powi(exponents(i)));
        let data: Vec<u8> = sized.flat_map(f64::to_le_bytes).collect();
        fs::write(place.path(name), npy("<f8", "False", "(50, 10)", &data)).unwrap();
    };
    write("x.npy", &|_| 0);
    write("tiny.npy", &|_| -660);
    write("huge.npy", &|_| 660);
    for method in ["cur", "fps"] {
        for memory in ["4", "0"] {
            let chosen = |file: &str| {
                let flags = ["--method", method, "-n", "6", "--memory", memory, "--force", "-o", "picked.npz"];
                place.ok(&[&["select", file][..], &flags].concat());
                integers(&place, "picked.npz", "selected")
            };
            let expected = chosen("x.npy");
            assert_eq!(expected.len(), 6);
            assert_eq!(chosen("tiny.npy"), expected, "{method}, {memory} GB");
            assert_eq!(chosen("huge.npy"), expected, "{method}, {memory} GB");
        }
    }
}

#[test]
fn columns_are_described_as_features_describes_them() {
    let place = Place::new();
    let mut frames = String::new();
    for k in 0..4 {
        let x = 1.0 + 0.1 * f64::from(k);
        frames += &format!(
            "3\nProperties=species:S:1:pos:R:3 pbc=\"F F F\"\nO 0 0 0\nH {x} 0 0\nH 0 {} 0.3\n",
            2.0 - x / 2.0
        );
    }
    fs::write(place.path("water.xyz"), frames).unwrap();
    let small = ["--r-cut", "4", "--n-max", "4", "--l-max", "1", "--q-max", "2", "--spline-accuracy", "1e-4"];
    place.ok(&[&["fit", "water.xyz", "-o", "b.rho"], &small[..]].concat());
    place.ok(&["features", "water.xyz", "--basis", "b.rho", "-o", "X.npy"]);
    place.ok(&["select", "X.npy", "-n", "3", "-o", "picked.npz"]);
    let selected = integers(&place, "picked.npz", "selected");
    let all = integers(&place, "X.meta.npz", "columns");
    let expected: Vec<i64> = selected.iter().flat_map(|&j| all[4 * j as usize..][..4].to_vec()).collect();
    assert_eq!(integers(&place, "picked.npz", "columns"), expected);
    place.ok(&["select", "X.npy", "--method", "fps", "--of", "samples", "--start", "2", "-n", "3", "-o", "rows.npz"]);
    let rows = integers(&place, "rows.npz", "selected");
    assert_eq!(rows[0], 2);
    let atoms: Vec<i64> = rows.iter().map(|i| i % 3).collect();
    assert_eq!(integers(&place, "rows.npz", "atom"), atoms);
}

#[test]
fn orders_and_types_of_numpy_are_read() {
    let place = Place::new();
    // Rows (0), (1), (5), (2.5) beside a constant column: 0, 2, 3 by distance.
    let rows = [[0.0, 1.0], [1.0, 1.0], [5.0, 1.0], [2.5, 1.0_f64]];
    let by_rows: Vec<u8> = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    let by_columns: Vec<u8> = (0..2).flat_map(|j| rows.map(|row| row[j])).flat_map(|x| x.to_le_bytes()).collect();
    let single: Vec<u8> = rows.iter().flatten().flat_map(|x| (*x as f32).to_le_bytes()).collect();
    fs::write(place.path("c.npy"), npy("<f8", "False", "(4, 2)", &by_rows)).unwrap();
    fs::write(place.path("f.npy"), npy("<f8", "True", "(4, 2)", &by_columns)).unwrap();
    fs::write(place.path("s.npy"), npy("<f4", "False", "(4, 2)", &single)).unwrap();
    for file in ["c.npy", "f.npy", "s.npy"] {
        place.ok(&["select", file, "--method", "fps", "--of", "samples", "-n", "3", "--force", "-o", "picked.npz"]);
        assert_eq!(integers(&place, "picked.npz", "selected"), [0, 2, 3], "{file}");
    }
}

#[test]
fn refusals_name_file_array_and_shape() {
    let place = Place::new();
    let nan: Vec<u8> = [1.0, f64::NAN].iter().flat_map(|x| x.to_le_bytes()).collect();
    let files: [(&str, Vec<u8>, &[&str]); 6] = [
        ("three.npy", npy("<f8", "False", "(1, 1, 2)", &nan), &["three.npy", "'X'", "[1, 1, 2]"]),
        ("nan.npy", npy("<f8", "False", "(1, 2)", &nan), &["nan.npy", "not finite"]),
        ("short.npy", npy("<f8", "False", "(2, 2)", &nan), &["short.npy", "[2, 2]", "too early"]),
        ("text.npy", npy("<U3", "False", "(2, 2)", &nan), &["text.npy", "<U3", "astype"]),
        ("huge.npy", npy("<f8", "False", "(99999999999999, 99999999999999)", &nan), &["huge.npy", "too large"]),
        ("none.npz", b"not an archive".to_vec(), &["none.npz", "archive"]),
    ];
    for (name, bytes, words) in files {
        fs::write(place.path(name), bytes).unwrap();
        place.refused(1, &["select", name, "-n", "1", "-o", "picked.npz"], words);
    }
    let file = golden();
    let file = file.to_str().unwrap();
    place.refused(1, &["select", file, "-n", "21", "-o", "picked.npz"], &["n = 21", "20 features"]);
    place.refused(1, &["select", "missing.npz", "-n", "1", "-o", "picked.npz"], &["missing.npz"]);
    place.refused(2, &["select", file, "-n", "1", "-o", "picked.txt"], &["picked.txt"]);
    assert!(!place.path("picked.npz").exists());
}
