//! Memory whose size is known before it is taken: refused with a message where the system does not have it.

use std::fmt;
use std::fs;

/// Below this many bytes nobody asks the system.
const SMALL: u64 = 64 << 20;

/// What is needed, and what there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shortage {
    /// Bytes that are needed; `u64::MAX` for more than can be counted.
    pub needed: u64,
    /// Bytes that the system can give, if it tells.
    pub available: Option<u64>,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        match self.needed {
            u64::MAX => f.write_str("it needs more memory than any machine has")?,
            needed => write!(f, "it needs {:.1} GB of memory", gigabytes(needed))?,
        }
        match self.available {
            Some(bytes) => write!(f, ", and {:.1} GB are free", gigabytes(bytes)),
            None => f.write_str(", which the system does not give"),
        }
    }
}

/// Whether the system can give so many bytes, as far as it tells.
///
/// # Errors
/// If it has less. Where it does not tell, it is only what no address can reach that is refused.
///
/// ```
/// assert!(rhobasis::memory::check(1 << 20).is_ok());
/// let refused = rhobasis::memory::check(1 << 62).unwrap_err();
/// assert!(refused.to_string().starts_with("it needs 4611686018.4 GB of memory"));
/// ```
pub fn check(bytes: u64) -> Result<(), Shortage> {
    if bytes < SMALL {
        return Ok(());
    }
    let available = available();
    if bytes > available.unwrap_or(isize::MAX as u64 / 2) {
        return Err(Shortage { needed: bytes, available });
    }
    Ok(())
}

/// Makes room for `n` more values, if the system can give it.
///
/// # Errors
/// If it cannot.
pub fn reserve<T>(values: &mut Vec<T>, n: usize) -> Result<(), Shortage> {
    let needed = (n as u64).saturating_mul(size_of::<T>() as u64);
    check(needed)?;
    values.try_reserve_exact(n).map_err(|_| Shortage { needed, available: None })
}

/// Bytes that the system can still give, within the limit of a container (cgroup 2); `None` where it does not tell.
fn available() -> Option<u64> {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let machine = 1024 * line.trim().trim_end_matches(" kB").parse::<u64>().ok()?;
    let container = number("/sys/fs/cgroup/memory.max").map(|limit| {
        // What the container holds of files can be given back.
        let held = number("/sys/fs/cgroup/memory.current").unwrap_or(0).saturating_sub(cached());
        limit.saturating_sub(held)
    });
    Some(container.map_or(machine, |container| container.min(machine)))
}

/// Bytes of files that the container's memory holds.
fn cached() -> u64 {
    let text = fs::read_to_string("/sys/fs/cgroup/memory.stat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("file "));
    line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
}
