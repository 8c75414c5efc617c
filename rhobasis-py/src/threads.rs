//! Work without the lock of the interpreter.

use std::sync::{Mutex, OnceLock, PoisonError};

use pyo3::prelude::*;
use rayon::ThreadPool;

/// Process in which the module was imported.
static HOME: OnceLock<u32> = OnceLock::new();
/// Threads of a forked process, and that process.
static OWN: Mutex<Option<(u32, &'static ThreadPool)>> = Mutex::new(None);

/// To be called on import.
pub(crate) fn import() {
    HOME.get_or_init(std::process::id);
}

/// Sets the number of threads of this process, before the first computation; false if it was set already.
#[pyfunction]
pub(crate) fn set_threads(n: usize) -> bool {
    rayon::ThreadPoolBuilder::new().num_threads(n).build_global().is_ok()
}

/// Runs a job while other Python threads go on. A forked process has none of the threads that its parent had, and would
/// wait for them for ever: it gets its own.
pub(crate) fn detach<T: Send>(py: Python<'_>, job: impl FnOnce() -> T + Send) -> T {
    match own_threads() {
        None => py.detach(job),
        Some(pool) => py.detach(|| pool.install(job)),
    }
}

/// Of a forked process. Asked for under the lock of the interpreter, so that no fork finds `OWN` locked.
fn own_threads() -> Option<&'static ThreadPool> {
    let process = std::process::id();
    if HOME.get() == Some(&process) {
        return None;
    }
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    match *own {
        Some((of, pool)) if of == process => Some(pool),
        _ => {
            // Never dropped: in a fork of this process nobody would be there to be stopped. The threads of the parent are
            // gone: where no new ones can be had, the calling one becomes the only thread of its pool.
            let all = rayon::ThreadPoolBuilder::new().build();
            let pool = all.or_else(|_| rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build());
            let pool: &ThreadPool = Box::leak(Box::new(pool.expect("the calling thread is there")));
            *own = Some((process, pool));
            Some(pool)
        }
    }
}
