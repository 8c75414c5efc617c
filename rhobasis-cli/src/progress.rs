//! How far the work is: a bar on a terminal, a line now and then in a log.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::size;
use crate::text::{count, is_quiet, tell};

/// Nothing is said in a log of what takes less time.
const PATIENCE: Duration = Duration::from_secs(10);
/// A line comes after each tenth of the work, and after a minute of it.
const TENTHS: f64 = 10.0;
const MINUTE: Duration = Duration::from_secs(60);

/// What is counted.
#[derive(Clone, Copy)]
pub enum Of {
    Frames,
    Steps,
    Bytes,
}

/// The state of one job. Nothing is shown with `--quiet`.
pub struct Progress {
    bar: ProgressBar,
    log: Option<Mutex<Log>>,
}

/// What a log has been told.
struct Log {
    doing: String,
    total: u64,
    of: Of,
    start: Instant,
    /// When the last line came, since the start, and how much was done then.
    last: (Duration, u64),
}

impl Progress {
    /// Of so many frames or bytes, `doing` something.
    pub fn new(total: u64, doing: &str, of: Of) -> Self {
        let shown = std::io::stderr().is_terminal() && !is_quiet();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(doing.to_string());
        let counts = match of {
            Of::Frames => "{pos}/{len} frames",
            Of::Steps => "{pos}/{len} steps",
            Of::Bytes => "{bytes}/{total_bytes}",
        };
        if let Ok(style) = ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {counts}, {{eta}} left")) {
            bar.set_style(style);
        }
        if shown {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        let log = Log { doing: doing.to_string(), total, of, start: Instant::now(), last: (Duration::ZERO, 0) };
        Progress { bar, log: (!shown && !is_quiet()).then(|| Mutex::new(log)) }
    }

    /// So much is done.
    pub fn set_position(&self, done: u64) {
        self.bar.set_position(done);
        let Some(log) = &self.log else { return };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = log.start.elapsed();
        if let Some(line) = log.line(elapsed, done) {
            tell(line);
        }
    }

    /// So much more is done.
    pub fn inc(&self, more: u64) {
        self.set_position(self.bar.position() + more);
    }

    /// Takes the bar away while something is printed.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Log {
    /// The line that is due after this time, if one is.
    fn line(&mut self, elapsed: Duration, done: u64) -> Option<String> {
        let (when, before) = self.last;
        let tenths = |done: u64| (TENTHS * done as f64 / self.total.max(1) as f64).floor();
        let (new_tenth, waited) = (tenths(done) > tenths(before), elapsed - when);
        if done == 0 || done >= self.total || waited < PATIENCE || !(new_tenth || waited >= MINUTE) {
            return None;
        }
        self.last = (elapsed, done);
        let part = done as f64 / self.total as f64;
        let counts = match self.of {
            Of::Frames => format!("{} of {} frames", count(done as usize), count(self.total as usize)),
            Of::Steps => format!("{} of {} steps", count(done as usize), count(self.total as usize)),
            Of::Bytes => format!("{} of {}", size(done as f64), size(self.total as f64)),
        };
        let left = clock(elapsed.mul_f64((1.0 - part) / part));
        Some(format!("{}: {:.0} %, {counts}, {left} left", self.doing, 100.0 * part))
    }
}

/// `1:05` for minutes and seconds, `2:03:00` with hours.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(total: u64, of: Of) -> Log {
        Log { doing: "training".into(), total, of, start: Instant::now(), last: (Duration::ZERO, 0) }
    }

    #[test]
    fn a_log_has_a_line_for_each_tenth_with_the_time_that_is_left() {
        let mut log = log(2000, Of::Frames);
        let lines: Vec<String> = (1..=200).filter_map(|k| log.line(Duration::from_secs(2 * k), 10 * k)).collect();
        assert_eq!(lines.len(), 9, "{lines:?}");
        assert_eq!(lines[0], "training: 10 %, 200 of 2,000 frames, 6:00 left");
        assert_eq!(lines[8], "training: 90 %, 1,800 of 2,000 frames, 0:40 left");
    }

    #[test]
    fn slow_work_has_a_line_each_minute_and_quick_work_has_none() {
        let mut slow = log(100_000_000, Of::Bytes);
        let lines: Vec<String> = (1..=10).filter_map(|k| slow.line(Duration::from_secs(30 * k), k * 100_000)).collect();
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert_eq!(lines[0], "training: 0 %, 200 kB of 100 MB, 8:19:00 left");
        let mut quick = log(100, Of::Frames);
        assert!((1..=100).all(|k| quick.line(Duration::from_millis(90 * k), k).is_none()));
    }
}
