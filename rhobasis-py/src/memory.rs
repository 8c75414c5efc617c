//! Memory of results that goes round: what Python has dropped holds the next result, so that the kernel need not hand
//! out and clear fresh pages each time, which would cost as much as the results themselves.

use std::sync::{Mutex, PoisonError};

use memmap2::MmapMut;
use ndarray::{ArrayView, Dimension, IntoDimension};
use numpy::{IntoPyArray, PyArray, PyArray1, PyArrayMethods};
use pyo3::prelude::*;

/// Smaller results are left to the allocator.
const SMALL: usize = 1 << 15;
/// From here on huge pages are asked for, in bytes.
const HUGE: usize = 1 << 22;
/// At most so many bytes are kept for later.
const KEPT: usize = 1 << 26;

static IDLE: Mutex<Vec<MmapMut>> = Mutex::new(Vec::new());

/// Numbers to be overwritten; what they are before is not said.
pub(crate) enum Memory {
    Small(Vec<f64>),
    Pages(Pages),
}

/// Whole pages, that go back when dropped.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Pages {
    /// `None` only while being dropped.
    map: Option<MmapMut>,
    /// How many numbers of it are in use.
    len: usize,
}

impl Memory {
    /// Room for `len` numbers.
    pub fn new(len: usize) -> PyResult<Self> {
        let bytes = len * size_of::<f64>();
        if bytes < SMALL {
            return Ok(Memory::Small(vec![0.0; len]));
        }
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = (0..idle.len()).filter(|&k| (bytes..=bytes + bytes / 2).contains(&idle[k].len()));
        if let Some(k) = fitting.min_by_key(|&k| idle[k].len()) {
            return Ok(Memory::Pages(Pages { map: Some(idle.swap_remove(k)), len }));
        }
        drop(idle);
        // Sizes in steps of at most an eighth, so that results that differ a little share their memory.
        let step = (bytes.next_power_of_two() / 16).max(SMALL / 8);
        let map = MmapMut::map_anon(bytes.next_multiple_of(step))?;
        #[cfg(target_os = "linux")]
        if bytes >= HUGE {
            let _ = map.advise(memmap2::Advice::HugePage); // as well as the kernel can
        }
        Ok(Memory::Pages(Pages { map: Some(map), len }))
    }

    /// The numbers.
    pub fn as_mut_slice(&mut self) -> &mut [f64] {
        match self {
            Memory::Small(numbers) => numbers,
            Memory::Pages(pages) => {
                let map = pages.map.as_mut().expect("not dropped");
                // SAFETY: the map is page-aligned and holds at least `len` numbers; every bit pattern is a number.
                unsafe { std::slice::from_raw_parts_mut(map.as_mut_ptr().cast(), pages.len) }
            }
        }
    }

    /// The numbers as an array of this shape, which owns them.
    pub fn into_array<'py, D: Dimension>(
        self,
        py: Python<'py>,
        shape: impl IntoDimension<Dim = D>,
    ) -> PyResult<Bound<'py, PyArray<f64, D>>> {
        let shape = shape.into_dimension();
        match self {
            Memory::Small(numbers) => {
                let flat: Bound<'py, PyArray1<f64>> = numbers.into_pyarray(py);
                flat.reshape(shape)
            }
            Memory::Pages(pages) => {
                let pages = Bound::new(py, pages)?;
                let map = pages.get().map.as_ref().expect("not dropped");
                // SAFETY: `len` numbers, aligned; the array keeps `pages` alive, and nothing else refers to them.
                let array = unsafe {
                    let view = ArrayView::from_shape_ptr(shape, map.as_ptr().cast::<f64>());
                    PyArray::borrow_from_array(&view, pages.into_any())
                };
                Ok(array)
            }
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let Some(map) = self.map.take() else { return };
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(map);
        // The oldest go first.
        while idle.iter().map(|map| map.len()).sum::<usize>() > KEPT {
            idle.remove(0);
        }
    }
}
