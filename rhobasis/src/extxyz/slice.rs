use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Frames `start, start + step, ...` below `stop`, as in Python; negative numbers count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    start: i64,
    stop: Option<i64>,
    step: usize,
    /// Set for `@5`: that frame must exist.
    single: Option<i64>,
}

/// A slice without negative numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    pub start: usize,
    pub stop: Option<usize>,
    pub step: usize,
    /// The one frame asked for by index.
    pub single: Option<usize>,
}

impl Slice {
    const ALL: Slice = Slice { start: 0, stop: None, step: 1, single: None };

    fn parse(text: &str) -> Option<Slice> {
        let number = |part: &str| -> Option<Option<i64>> {
            if part.trim().is_empty() { Some(None) } else { part.trim().parse().ok().map(Some) }
        };
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            [one] => {
                let index: i64 = one.trim().parse().ok()?;
                Some(Slice { start: index, stop: None, step: 1, single: Some(index) })
            }
            [start, stop] => Some(Slice { start: number(start)?.unwrap_or(0), stop: number(stop)?, ..Slice::ALL }),
            [start, stop, step] => {
                let step = usize::try_from(number(step)?.unwrap_or(1)).ok().filter(|&step| step > 0)?;
                Some(Slice { start: number(start)?.unwrap_or(0), stop: number(stop)?, step, single: None })
            }
            _ => None,
        }
    }

    /// Whether the number of frames must be known.
    pub fn counts_from_the_end(&self) -> bool {
        self.start < 0 || self.stop.is_some_and(|stop| stop < 0)
    }

    /// The frames meant, given the number of frames if [`Slice::counts_from_the_end`].
    pub fn resolve(&self, n_frames: usize, path: &Path) -> Result<Selection> {
        let from_start = |i: i64| {
            let magnitude = usize::try_from(i.unsigned_abs()).unwrap_or(usize::MAX);
            if i < 0 { n_frames.checked_sub(magnitude) } else { Some(magnitude) }
        };
        if let Some(index) = self.single {
            let start = from_start(index).ok_or_else(|| out_of_range(path, index, n_frames))?;
            return Ok(Selection { start, stop: start.checked_add(1), step: 1, single: Some(start) });
        }
        let clamped = |i: i64| from_start(i).unwrap_or(0);
        Ok(Selection { start: clamped(self.start), stop: self.stop.map(clamped), step: self.step, single: None })
    }
}

impl Selection {
    /// Whether frame `i` is wanted.
    pub fn contains(&self, i: usize) -> bool {
        i >= self.start && !self.ends_before(i) && (i - self.start).is_multiple_of(self.step)
    }

    /// Whether no frame from `i` on is wanted.
    pub fn ends_before(&self, i: usize) -> bool {
        self.stop.is_some_and(|stop| i >= stop || stop <= self.start)
    }
}

/// `@5` of a file with fewer frames.
pub(super) fn out_of_range(path: &Path, index: i64, n_frames: usize) -> Error {
    Error::file(
        path,
        format!("frame {index} was asked for, but the file has {n_frames} frames"),
        "frames count from 0; use an index below their number",
    )
}

/// The file that `data.xyz@:1000` names.
pub fn path_of(spec: &str) -> PathBuf {
    split(Path::new(spec)).map_or_else(|_| PathBuf::from(spec), |(path, _)| path)
}

/// Splits `data.xyz@:1000` into file and slice. A file whose own name holds `@` wins over the slice.
pub(super) fn split(spec: &Path) -> Result<(PathBuf, Slice)> {
    if spec.exists() {
        return Ok((spec.to_path_buf(), Slice::ALL));
    }
    let Some((file, text)) = spec.to_str().and_then(|s| s.rsplit_once('@')) else {
        return Ok((spec.to_path_buf(), Slice::ALL));
    };
    match Slice::parse(text) {
        Some(slice) => Ok((PathBuf::from(file), slice)),
        None if Path::new(file).exists() => Err(Error::setting(
            "slice",
            format!("@{text}"),
            format!("is no slice of the frames of {file}"),
            "write @index or @start:stop:step with a step of at least 1, as in @5, @-1, @:1000, @::10",
        )),
        None => Ok((spec.to_path_buf(), Slice::ALL)),
    }
}
