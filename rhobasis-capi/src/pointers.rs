//! Pointers of C as slices and texts; each function is as safe as what the caller promises of the pointer.

use std::ffi::{CStr, c_char};

use rhobasis::structure::Vec3;
use rhobasis::{Error, Result};

fn missing(name: &'static str) -> Error {
    Error::setting(name, "NULL", "is needed", "give an address")
}

/// What the pointer of the potential points to.
pub unsafe fn object<'a, T>(pointer: *mut T) -> Result<&'a mut T> {
    unsafe { pointer.as_mut() }.ok_or_else(|| missing("potential"))
}

/// A text that ends with 0.
pub unsafe fn text<'a>(pointer: *const c_char, name: &'static str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(missing(name));
    }
    let bytes = unsafe { CStr::from_ptr(pointer) };
    let remedy = "write it in UTF-8";
    bytes.to_str().map_err(|_| Error::setting(name, bytes.to_string_lossy(), "is not a text", remedy))
}

/// So many numbers; of none, the address does not matter.
pub unsafe fn slice<'a, T>(pointer: *const T, n: usize, name: &'static str) -> Result<&'a [T]> {
    match (n, pointer.is_null()) {
        (0, _) => Ok(&[]),
        (_, true) => Err(missing(name)),
        _ => Ok(unsafe { std::slice::from_raw_parts(pointer, n) }),
    }
}

/// So many vectors.
pub unsafe fn triples<'a>(pointer: *const f64, n: usize, name: &'static str) -> Result<&'a [Vec3]> {
    unsafe { slice(pointer.cast(), n, name) }
}

/// Adds numbers to what stands at an address, unless that is NULL.
pub unsafe fn add(pointer: *mut f64, numbers: &[f64]) {
    if !pointer.is_null() && !numbers.is_empty() {
        let sums = unsafe { std::slice::from_raw_parts_mut(pointer, numbers.len()) };
        sums.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += x);
    }
}
