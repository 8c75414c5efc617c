//! Ctrl-C, `kill` and a terminal that closes: what is complete stays, what is not is removed, and the user is told.
//!
//! A thread waits for the signals. It ends the process by itself, unless the work in hand has something to save first: that
//! is then asked to end ([`pending`]), and is waited for until it has taken notice, or for [`PATIENCE`]. A second signal
//! ends everything at once.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rhobasis::files;

use crate::text::tell;

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
    tell(format!("interrupted by {}: {kept}", name(signal)));
    128 + signal
}

#[cfg(unix)]
pub use unix::{name, watch};

#[cfg(unix)]
mod unix {
    use std::thread;
    use std::time::Duration;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level;

    use super::{HOLDING, NOTICED, Ordering, SIGNAL, end};

    /// How long work that has something to save may take to notice, in seconds. Batch systems kill after 10 to 30.
    const PATIENCE: Duration = Duration::from_secs(5);

    pub fn name(signal: i32) -> &'static str {
        low_level::signal_name(signal).unwrap_or("a signal")
    }

    /// Listens from now on; signals that this process was started to ignore (`nohup`, a job in the background) stay ignored.
    pub fn watch() {
        let wanted: Vec<i32> = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal)).collect();
        let Ok(mut signals) = Signals::new(wanted) else { return }; // then they end the process as ever
        thread::spawn(move || {
            for signal in signals.forever() {
                let first = SIGNAL.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok();
                if !first || HOLDING.load(Ordering::SeqCst) == 0 {
                    end();
                }
                thread::spawn(|| {
                    thread::sleep(PATIENCE);
                    if !NOTICED.load(Ordering::SeqCst) {
                        end();
                    }
                });
            }
        });
    }

    fn is_ignored(signal: i32) -> bool {
        // SAFETY: all zeros are a valid `sigaction`, which is only written to; nothing changes if no new action is given.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
        }
    }
}

#[cfg(not(unix))]
fn name(_: i32) -> &'static str {
    "a signal"
}

#[cfg(not(unix))]
pub fn watch() {}
