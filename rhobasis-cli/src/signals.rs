//! Signals that ask a process to end.

#![cfg(unix)]

use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// The name of a signal, as in `SIGINT`.
pub fn name(signal: i32) -> &'static str {
    low_level::signal_name(signal).unwrap_or("a signal")
}

/// Calls `act` with each signal from now on, in a thread of its own; signals that this process was started to ignore (`nohup`,
/// a job in the background) stay ignored.
pub fn listen(act: impl Fn(i32) + Send + 'static) {
    let wanted: Vec<i32> = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal)).collect();
    let Ok(mut signals) = Signals::new(wanted) else { return }; // then they end the process as ever
    thread::spawn(move || signals.forever().for_each(act));
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros are a valid `sigaction`, which is only written to; nothing changes if no new action is given.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
