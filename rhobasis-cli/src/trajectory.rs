//! Frames that cost hours, and count before the last is there.

use std::path::{Path, PathBuf};

use rhobasis::extxyz::Appender;
use rhobasis::files::{Digest, Existing, is_stream};
use rhobasis::{Error, Result, Structure};
use serde::{Deserialize, Serialize};

use crate::files::{are_replaced, holds_something, is_there};

/// A file of frames, each of which is there as soon as it is added.
pub struct Trajectory {
    path: PathBuf,
    existing: Existing,
    /// From the first frame on: a run that is refused leaves no empty file.
    file: Option<Appender>,
    end: End,
}

/// Where a file of frames ends, for a run that goes on with it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct End {
    /// Frames in the file.
    pub frames: usize,
    /// Bytes in the file.
    bytes: u64,
    /// Bytes of the last frame.
    last: u64,
    /// SHA-256 of the last frame.
    sha256: String,
}

impl Trajectory {
    /// Begins the file; one that is there already is replaced only by --force.
    pub fn begin(path: &Path) -> Result<Self> {
        if !are_replaced() && holds_something(path) {
            return Err(is_there(path));
        }
        let existing = if are_replaced() { Existing::Replaced } else { Existing::Refused };
        Ok(Trajectory { path: path.into(), existing, file: None, end: End::default() })
    }

    /// Goes on with a file where it ended; frames that were added later are cut off.
    ///
    /// # Errors
    /// If it is another file.
    pub fn go_on(path: &Path, end: End) -> Result<Self> {
        if !is_stream(path) && end.bytes > 0 {
            let found = last_frame(path, &end).map_err(|e| Error::io(path, e))?;
            if found.as_deref() != Some(&end.sha256[..]) {
                let problem = "is not the trajectory that the checkpoint belongs to";
                return Err(Error::file(path, problem, "give it back, or name a new file: the frames go on there"));
            }
        }
        let file = Some(Appender::open(path, Existing::Continued(end.bytes))?);
        Ok(Trajectory { path: path.into(), existing: Existing::Refused, file, end })
    }

    /// Adds a frame, which is in the file before this returns.
    pub fn add(&mut self, frame: &Structure) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(Appender::open(&self.path, self.existing)?);
        }
        let file = self.file.as_mut().expect("just opened");
        let bytes = file.write(frame)?;
        let mut digest = Digest::default();
        digest.update(bytes);
        let (last, sha256) = (bytes.len() as u64, digest.hex());
        self.end = End { frames: self.end.frames + 1, bytes: file.bytes(), last, sha256 };
        Ok(())
    }

    /// Where it ends now.
    pub fn end(&self) -> &End {
        &self.end
    }
}

/// The digest of what lies where the last frame did; none if the file is shorter.
fn last_frame(path: &Path, end: &End) -> std::io::Result<Option<String>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(end.bytes.saturating_sub(end.last)))?;
    let mut bytes = Vec::new();
    file.take(end.last).read_to_end(&mut bytes)?;
    let mut digest = Digest::default();
    digest.update(&bytes);
    Ok((bytes.len() as u64 == end.last).then(|| digest.hex()))
}
