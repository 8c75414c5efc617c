//! Ctrl-C, `kill` and a terminal that closes: what is complete stays, what is not is removed, and the user is told.
//!
//! A thread waits for the signals. It ends the process by itself, unless the work in hand has something to save first: that
//! is then asked to end ([`pending`]), and is waited for until it has taken notice, or for [`PATIENCE`]. A second signal
//! ends everything at once.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rhobasis::files;

#[cfg(unix)]
use crate::signals::name;
use crate::text::insist;

/// How long work that has something to save may take to notice. Batch systems kill after 10 to 30 seconds.
#[cfg(unix)]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The signal that came; 0 for none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// Works that end by themselves.
static HOLDING: AtomicUsize = AtomicUsize::new(0);
/// Whether one of them knows of the signal.
static NOTICED: AtomicBool = AtomicBool::new(false);
/// What a run that ends now leaves behind.
static KEPT: Mutex<Option<String>> = Mutex::new(None);

/// For work that saves something before it ends: as long as this lives, a signal does not end the process at once.
#[must_use]
pub struct Hold;

/// Promises to ask [`pending`] again and again.
pub fn hold() -> Hold {
    HOLDING.fetch_add(1, Ordering::SeqCst);
    Hold
}

impl Drop for Hold {
    fn drop(&mut self) {
        HOLDING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether the work is to end; who asks, ends it.
pub fn pending() -> bool {
    let pending = SIGNAL.load(Ordering::SeqCst) != 0;
    if pending {
        NOTICED.store(true, Ordering::SeqCst);
    }
    pending
}

/// Notes what a run that is interrupted from now on leaves behind, and how to go on.
pub fn keeps(text: impl Into<String>) {
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.into());
}

/// From now on it leaves the files that are complete.
pub fn keeps_files() {
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Ends the process: removes what is not complete and says what is kept.
pub fn end() -> ! {
    let last = files::abandon_drafts();
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).take();
    let kept = kept.unwrap_or_else(|| match last {
        Some(path) => format!("{} is complete; what was not is removed", path.display()),
        None => "nothing was written".into(),
    });
    std::process::exit(report(&kept));
}

/// Says what is kept, and returns the exit code: 128 + the number of the signal, as shells have it.
pub fn report(kept: &str) -> i32 {
    let signal = SIGNAL.load(Ordering::SeqCst);
    insist(format!("interrupted by {}: {kept}", name(signal)));
    128 + signal
}

/// Listens from now on.
#[cfg(unix)]
pub fn watch() {
    crate::signals::listen(|signal| {
        let first = SIGNAL.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if !first || HOLDING.load(Ordering::SeqCst) == 0 {
            end();
        }
        std::thread::spawn(|| {
            std::thread::sleep(PATIENCE);
            if !NOTICED.load(Ordering::SeqCst) {
                end();
            }
        });
    });
}

/// Signals end the process as ever.
#[cfg(not(unix))]
pub fn watch() {}

#[cfg(not(unix))]
fn name(_: i32) -> &'static str {
    "a signal"
}
