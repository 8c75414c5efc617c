//! What the tests share: reference values in `reference/<name>/values.safetensors` and `../shared/golden/<name>.npz`.
#![allow(dead_code)] // each test file uses a part

use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Named arrays, each a shape and its values, last axis fastest.
pub type Arrays = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

/// Root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All arrays of a safetensors file of float64.
pub fn load(path: impl AsRef<Path>) -> Arrays {
    let path = path.as_ref();
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tensors = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    tensors
        .iter()
        .map(|(name, tensor)| {
            assert_eq!(tensor.dtype(), Dtype::F64, "{}: {name}", path.display());
            let values = tensor.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
            (name.to_string(), (tensor.shape().to_vec(), values))
        })
        .collect()
}

/// The arrays of `reference/<name>/values.safetensors`.
pub fn reference(name: &str) -> Arrays {
    load(root().join("reference").join(name).join("values.safetensors"))
}

/// Arrays and settings of `../shared/golden/<name>.npz`, whose licence keeps it out of the repository; none, and a line that
/// says so, where it is absent.
pub fn golden(name: &str) -> Option<(Arrays, serde_json::Value)> {
    let path = root().join("../shared/golden").join(format!("{name}.npz"));
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped: {} is absent", path.display());
        return None;
    };
    Some(npz(&bytes))
}

/// The arrays of an `.npz` file, and its JSON text `settings`.
pub fn npz(bytes: &[u8]) -> (Arrays, serde_json::Value) {
    let mut files = unzip(bytes);
    let text = files.remove("settings.npy").expect("settings");
    let (_, _, text) = npy_header(&text);
    let text: String = text.chunks_exact(4).map(|c| char::from_u32(le_u32(c, 0)).expect("UTF-32")).collect();
    let settings = serde_json::from_str(text.trim_end_matches('\0')).expect("JSON");
    let arrays = files.iter().map(|(name, bytes)| (name.trim_end_matches(".npy").to_string(), npy(bytes))).collect();
    (arrays, settings)
}

fn le_u16(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()) as usize
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The files of a zip archive (stored or deflated), found through its central directory.
fn unzip(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let end = bytes.windows(4).rposition(|w| w == b"PK\x05\x06").expect("the end of a zip archive");
    let mut at = le_u32(bytes, end + 16) as usize;
    let mut files = BTreeMap::new();
    for _ in 0..le_u16(bytes, end + 10) {
        let [name, extra, comment] = [28, 30, 32].map(|field| le_u16(bytes, at + field));
        let (size, local) = (le_u32(bytes, at + 20) as usize, le_u32(bytes, at + 42) as usize);
        let start = local + 30 + le_u16(bytes, local + 26) + le_u16(bytes, local + 28);
        let packed = &bytes[start..start + size];
        let mut content = Vec::new();
        match le_u16(bytes, at + 10) {
            0 => content.extend_from_slice(packed),
            8 => drop(flate2::read::DeflateDecoder::new(packed).read_to_end(&mut content).expect("deflated data")),
            method => panic!("zip method {method}"),
        }
        files.insert(String::from_utf8(bytes[at + 46..at + 46 + name].to_vec()).expect("a name"), content);
        at += 46 + name + extra + comment;
    }
    files
}

/// Type letters, shape and data of a `.npy` file in C order.
fn npy_header(bytes: &[u8]) -> (String, Vec<usize>, &[u8]) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = le_u16(bytes, 8);
    let header = std::str::from_utf8(&bytes[10..10 + length]).expect("an ASCII header");
    assert!(header.contains("'fortran_order': False"), "{header}");
    let between = |from: &str, to: char| {
        let rest = &header[header.find(from).expect("a field") + from.len()..];
        rest[..rest.find(to).expect("its end")].to_string()
    };
    let shape = between("'shape': (", ')').split(',').filter_map(|n| n.trim().parse().ok()).collect();
    (between("'descr': '", '\''), shape, &bytes[10 + length..])
}

/// Shape and values of a `.npy` file.
fn npy(bytes: &[u8]) -> (Vec<usize>, Vec<f64>) {
    let (kind, shape, data) = npy_header(bytes);
    let word = |b: &[u8]| <[u8; 8]>::try_from(b).unwrap();
    let values = match kind.as_str() {
        "<f8" => data.chunks_exact(8).map(|b| f64::from_le_bytes(word(b))).collect(),
        "<i8" => data.chunks_exact(8).map(|b| i64::from_le_bytes(word(b)) as f64).collect(),
        "|b1" => data.iter().map(|&b| f64::from(b)).collect(),
        _ => panic!("arrays of type {kind}"),
    };
    (shape, values)
}

/// The settings of a reference file, JSON text kept as its metadata.
pub fn settings(path: impl AsRef<Path>) -> serde_json::Value {
    let bytes = std::fs::read(path.as_ref()).expect("the file was just loaded");
    let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
    let text = &metadata.metadata().as_ref().expect("metadata")["settings"];
    serde_json::from_str(text).expect("JSON")
}

/// Largest absolute difference over the largest absolute value of `expected`.
pub fn relative_difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0.0_f64, |m, (f, e)| m.max((f - e).abs())) / largest
}
