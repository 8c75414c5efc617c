//! Memory of a thread, which is used again.

use std::cell::RefCell;

use super::recipe::Scratch;
use crate::simd::Aligned;

/// Memory of a thread.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub state: Aligned,
    /// Rates of the state, or derivatives by it.
    pub moving: Aligned,
    pub z: Aligned,
    pub scratch: Scratch,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Calls `job` with the memory of this thread.
pub(super) fn with_buffers<T>(job: impl FnOnce(&mut Buffers) -> T) -> T {
    BUFFERS.with_borrow_mut(job)
}
