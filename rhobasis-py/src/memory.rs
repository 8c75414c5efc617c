//! Memory of results that goes round: what Python has dropped holds the next result, so that the kernel need not hand
//! out and clear fresh pages each time, which would cost as much as the results themselves.

use std::sync::{Mutex, PoisonError};

use memmap2::{MmapMut, MmapRaw};
use ndarray::{ArrayView, Dimension, IntoDimension};
use numpy::{Element, IntoPyArray, PyArray, PyArray1, PyArrayMethods};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use rhobasis::density::Precision;

/// Smaller results are left to the allocator.
const SMALL: usize = 1 << 15;
/// From here on huge pages are asked for, in bytes.
const HUGE: usize = 1 << 22;
/// At most so many bytes are kept for later.
const KEPT: usize = 1 << 26;

static IDLE: Mutex<Vec<MmapRaw>> = Mutex::new(Vec::new());

/// Numbers of some precision that NumPy knows.
pub(crate) trait Number: Precision + Element {}
impl Number for f32 {}
impl Number for f64 {}

/// Numbers to be overwritten; what they are before is not said.
pub(crate) enum Memory<T = f64> {
    Small(Vec<T>),
    Pages(Pages),
}

/// Whole pages, that go back when dropped.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Pages {
    /// `None` only while being dropped.
    map: Option<MmapRaw>,
    /// How many numbers of it are in use.
    len: usize,
}

impl<T: Number> Memory<T> {
    /// Room for `len` numbers.
    ///
    /// # Errors
    /// `MemoryError` if the system has no such room.
    pub fn new(len: usize) -> PyResult<Self> {
        let bytes = len.saturating_mul(size_of::<T>());
        if bytes > isize::MAX as usize / 2 {
            return Err(no_memory(bytes, &std::io::ErrorKind::OutOfMemory.into()));
        }
        if bytes < SMALL {
            return Ok(Memory::Small(vec![T::default(); len]));
        }
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = (0..idle.len()).filter(|&k| (bytes..=bytes + bytes / 2).contains(&idle[k].len()));
        if let Some(k) = fitting.min_by_key(|&k| idle[k].len()) {
            return Ok(Memory::Pages(Pages { map: Some(idle.swap_remove(k)), len }));
        }
        drop(idle);
        // Sizes in steps of at most an eighth, so that results that differ a little share their memory.
        let step = (bytes.next_power_of_two() / 16).max(SMALL / 8);
        let map = MmapMut::map_anon(bytes.next_multiple_of(step)).map_err(|e| no_memory(bytes, &e))?;
        #[cfg(target_os = "linux")]
        if bytes >= HUGE {
            let _ = map.advise(memmap2::Advice::HugePage); // as well as the kernel can
        }
        Ok(Memory::Pages(Pages { map: Some(map.into()), len }))
    }

    /// The numbers.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Memory::Small(numbers) => numbers,
            Memory::Pages(pages) => {
                let map = pages.map.as_ref().expect("not dropped");
                // SAFETY: the map is page-aligned and holds at least `len` numbers, `new` says; every bit pattern is a number. Nothing
                // else refers to them: a map goes to IDLE only when the array made of it, and all its views, are gone.
                unsafe { std::slice::from_raw_parts_mut(map.as_mut_ptr().cast(), pages.len) }
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Memory::Small(numbers) => numbers.len(),
            Memory::Pages(pages) => pages.len,
        }
    }

    /// The numbers as an array of this shape, which owns them.
    pub fn into_array<'py, D: Dimension>(
        self,
        py: Python<'py>,
        shape: impl IntoDimension<Dim = D>,
    ) -> PyResult<Bound<'py, PyArray<T, D>>> {
        let shape = shape.into_dimension();
        assert_eq!(self.len(), shape.size(), "as many numbers as the shape says");
        match self {
            Memory::Small(numbers) => {
                let flat: Bound<'py, PyArray1<T>> = numbers.into_pyarray(py);
                flat.reshape(shape)
            }
            Memory::Pages(pages) => {
                let pages = Bound::new(py, pages)?;
                let map = pages.get().map.as_ref().expect("not dropped");
                // SAFETY: as many numbers as the map holds, aligned; the array keeps `pages` alive, and nothing else refers to
                // them. Python may write: hence the raw map, whose pointer was never that of a shared reference.
                let array = unsafe {
                    let view = ArrayView::from_shape_ptr(shape, map.as_mut_ptr().cast::<T>());
                    PyArray::borrow_from_array(&view, pages.into_any())
                };
                Ok(array)
            }
        }
    }
}

fn no_memory(bytes: usize, error: &std::io::Error) -> PyErr {
    PyMemoryError::new_err(format!(
        "no memory for a block of {:.1} GB ({error}); give fewer frames at a time, or take a Jacobian in parts",
        bytes as f64 / 1e9
    ))
}

impl Drop for Pages {
    fn drop(&mut self) {
        let Some(map) = self.map.take() else { return };
        if map.len() > KEPT {
            return; // rather than all that is kept
        }
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(map);
        // The oldest go first.
        while idle.iter().map(|map| map.len()).sum::<usize>() > KEPT {
            idle.remove(0);
        }
    }
}
