//! What the tests share: reference values in `reference/<name>/values.safetensors`.
#![allow(dead_code)] // each test file uses a part

use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
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

/// Arrays whose licence keeps them out of the repository, `target/golden/<name>.safetensors`; none, and a line that says so,
/// where they have not been made by `reference/radial_integrals/make.py`.
pub fn private(name: &str) -> Option<Arrays> {
    let path = root().join("target/golden").join(format!("{name}.safetensors"));
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(load(path))
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
