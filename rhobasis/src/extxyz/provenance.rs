//! Which frames of which files.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One input file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Path as given, slice included.
    pub path: String,
    /// Frames used.
    pub frames: usize,
    /// Of the bytes of the file.
    pub sha256: String,
}

/// Part i of n of a data set, i = 1 … n: its frames k with k mod n = i − 1, counted over all files and after slices.
///
/// ```
/// use rhobasis::extxyz::Shard;
/// let second: Shard = "2/3".parse()?;
/// assert_eq!([0, 2, 5].map(|frame| second.next(frame)), [1, 4, 7]); // its frames are 1, 4, 7, …
/// assert_eq!(second.count(0..7), 2);
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Numbers")]
pub struct Shard {
    pub(crate) index: usize,
    pub(crate) of: usize,
}

/// A shard as it stands in a file, before its numbers are checked.
#[derive(Deserialize)]
struct Numbers {
    index: usize,
    of: usize,
}

impl TryFrom<Numbers> for Shard {
    type Error = Error;

    fn try_from(numbers: Numbers) -> Result<Self> {
        Shard::new(numbers.index, numbers.of)
    }
}

/// More shards than that are a slip of the pen.
const MOST_SHARDS: usize = 1_000_000;

impl Shard {
    /// Part `index` of `of`, counted from 1.
    ///
    /// # Errors
    /// Unless 1 ≤ index ≤ of.
    pub fn new(index: usize, of: usize) -> Result<Self> {
        if index == 0 || index > of || of > MOST_SHARDS {
            let problem = format!("a shard i/n has 1 ≤ i ≤ n, and n is at most {MOST_SHARDS}");
            return Err(Error::setting(
                "shard",
                format!("{index}/{of}"),
                problem,
                "count the shards from 1, as in 1/4",
            ));
        }
        Ok(Shard { index, of })
    }

    /// The number of shards.
    pub fn of(self) -> usize {
        self.of
    }

    /// How many of these frames are its own.
    pub fn count(self, frames: Range<usize>) -> usize {
        let below = |frame: usize| (frame + self.of - self.index) / self.of;
        below(frames.end) - below(frames.start)
    }

    /// Its first frame at or after `frame`.
    pub fn next(self, frame: usize) -> usize {
        frame + (self.index - 1 + self.of - frame % self.of) % self.of
    }
}

impl Default for Shard {
    /// All frames.
    fn default() -> Self {
        Shard { index: 1, of: 1 }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let (index, of) = numbers.ok_or_else(|| {
            Error::setting("shard", text, "is no shard", "write i/n with two whole numbers, as in 2/8")
        })?;
        Shard::new(index, of)
    }
}

impl SourceFile {
    /// Refuses files that an earlier pass over the data, if there was one, has read with other content.
    ///
    /// # Errors
    /// With the name of the first.
    pub fn unchanged(before: &[SourceFile], now: &[SourceFile]) -> Result<()> {
        let other = |now: &&SourceFile| before.iter().any(|file| file.path == now.path && file.sha256 != now.sha256);
        match now.iter().find(other) {
            Some(file) => Err(Error::file(
                &file.path,
                "the file changed between two passes over the data",
                "run again when nothing writes to it, or read a copy",
            )),
            None => Ok(()),
        }
    }

    /// Whether this is the same slice of the same bytes; the folder may differ from machine to machine.
    pub fn same_data(&self, other: &SourceFile) -> bool {
        let name = |file: &SourceFile| Path::new(&file.path).file_name().map(std::ffi::OsStr::to_owned);
        self.sha256 == other.sha256 && name(self) == name(other)
    }

    /// Whether both hold frames of the same bytes, for all that their slices say: two different slices may be apart.
    pub(crate) fn overlaps(&self, other: &SourceFile) -> bool {
        let slice = |file: &SourceFile| file.path.rsplit_once('@').map(|(_, slice)| slice.to_owned());
        let (mine, theirs) = (slice(self), slice(other));
        self.sha256 == other.sha256 && (mine == theirs || mine.is_none() || theirs.is_none())
    }
}
