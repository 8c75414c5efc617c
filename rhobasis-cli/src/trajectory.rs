//! Frames that cost hours, and count before the last is there.

use std::path::Path;

use rhobasis::extxyz::Appender;
use rhobasis::files::{Digest, Existing, is_stream};
use rhobasis::{Error, Result, Structure};
use serde::{Deserialize, Serialize};

/// A file of frames, each of which is there as soon as it is added.
pub struct Trajectory {
    file: Appender,
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
    /// Begins the file; one that is there already is replaced only by `force`.
    pub fn begin(path: &Path, force: bool) -> Result<Self> {
        let existing = if force { Existing::Replaced } else { Existing::Refused };
        Ok(Trajectory { file: Appender::open(path, existing)?, end: End::default() })
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
        Ok(Trajectory { file: Appender::open(path, Existing::Continued(end.bytes))?, end })
    }

    /// Adds a frame, which is in the file before this returns.
    pub fn add(&mut self, frame: &Structure) -> Result<()> {
        let bytes = self.file.write(frame)?;
        let mut digest = Digest::default();
        digest.update(bytes);
        let (last, sha256) = (bytes.len() as u64, digest.hex());
        self.end = End { frames: self.end.frames + 1, bytes: self.file.bytes(), last, sha256 };
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
