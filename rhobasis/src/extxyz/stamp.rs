use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

use crate::{Error, Result};

/// Length of a file and when it was last written, by which a change between two looks at it is noticed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stamp {
    /// In bytes.
    pub length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// `None` for what is no regular file: a pipe has neither.
    pub fn new(data: &Metadata) -> Option<Stamp> {
        data.is_file().then(|| Stamp { length: data.len(), modified: data.modified().ok() })
    }

    /// Refuses a file that bears another stamp now.
    ///
    /// # Errors
    /// If it does, with both lengths.
    pub fn check(self, now: Option<Stamp>, path: &Path) -> Result<()> {
        let change = match now {
            Some(now) if now == self => return Ok(()),
            Some(now) if now.length == self.length => format!("its {} bytes were written anew", self.length),
            Some(now) => format!("it had {} bytes, and has {} now", self.length, now.length),
            None => "it is no file any more".to_string(),
        };
        Err(Error::file(
            path,
            format!("the file changed while it was read: {change}"),
            "run again when nothing writes to it, or read a copy",
        ))
    }
}
