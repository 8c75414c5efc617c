//! Work on many threads: results in order, the first error, and buffers that are lent.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::Result;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Runs a job whose predictions are made on the calling thread alone: no other is started, or waited for. This is for engines that
/// have a process on each core, where threads of ours would be in the way.
///
/// ```
/// assert_eq!(rhobasis::on_this_thread(|| 6 * 7), 42);
/// ```
pub fn on_this_thread<T>(job: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }
    let _restore = Restore(ALONE.replace(true));
    job()
}

/// The job for each item, results in order; on the calling thread where threads would not help. The error is that of the
/// first item that fails, and jobs after it are left undone.
pub(crate) fn in_parallel<T: Send, R: Send>(
    items: Vec<T>,
    job: impl Fn(T) -> Result<R> + Send + Sync,
) -> Result<Vec<R>> {
    if items.len() <= 1 || ALONE.get() || rayon::current_num_threads() == 1 {
        return items.into_iter().map(job).collect();
    }
    let first_failed = AtomicUsize::new(usize::MAX);
    let unless_failed = |(k, item)| {
        if k > first_failed.load(Ordering::Relaxed) {
            return None;
        }
        let result = job(item);
        if result.is_err() {
            first_failed.fetch_min(k, Ordering::Relaxed);
        }
        Some(result)
    };
    let results: Vec<Option<Result<R>>> = items.into_par_iter().enumerate().map(unless_failed).collect();
    results.into_iter().flatten().collect()
}

/// Buffers that are lent to one thread at a time, and kept for the next.
#[derive(Debug)]
pub(crate) struct Pool<W>(Mutex<Vec<W>>);

impl<W> Default for Pool<W> {
    fn default() -> Self {
        Pool(Mutex::default())
    }
}

impl<W> Pool<W> {
    /// Runs a job with buffers that earlier jobs have left, or new ones. Nobody waits for them: in a forked process, whoever held
    /// the lock may not exist.
    pub fn lend<T>(&self, new: impl FnOnce() -> W, job: impl FnOnce(&mut W) -> T) -> T {
        let left = self.0.try_lock().ok().and_then(|mut idle| idle.pop());
        let mut work = left.unwrap_or_else(new);
        let result = job(&mut work);
        if let Ok(mut idle) = self.0.try_lock() {
            idle.push(work);
        }
        result
    }
}
