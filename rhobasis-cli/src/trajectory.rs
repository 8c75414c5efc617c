//! Frames that cost hours, and count before the last is there.

use std::path::{Path, PathBuf};

use rhobasis::extxyz::Writer;
use rhobasis::{Result, Structure, files};

use crate::interrupt;
use crate::text::{plural, tell};

/// A file of frames: under a name that shows until it is complete, and kept there should the run not come to its end.
pub struct Trajectory {
    writer: Writer,
    pub frames: usize,
}

impl Trajectory {
    /// Begins the file; says where runs that did not end have left their frames.
    pub fn begin(path: &Path) -> Result<Self> {
        for left in files::unfinished(path) {
            tell(format!(
                "note: {} holds frames of a run that did not end; it stays until you remove it",
                left.display()
            ));
        }
        let writer = Writer::create_lasting(path)?;
        if let Some(place) = writer.unfinished() {
            interrupt::keeps(format!("the frames so far are in {}", place.display()));
        }
        Ok(Trajectory { writer, frames: 0 })
    }

    /// Adds a frame, which is in the file before this returns, unless the file is packed.
    pub fn add(&mut self, frame: &Structure) -> Result<()> {
        self.writer.write(frame)?;
        self.writer.flush()?;
        self.frames += 1;
        Ok(())
    }

    /// Gives the file its name.
    pub fn finish(self) -> Result<()> {
        let (frames, place) = (self.frames, self.place());
        self.writer.finish().inspect_err(|_| tell_of(frames, place.as_deref()))
    }

    /// Leaves the frames of a run that has failed where they are, and says so.
    pub fn keep(self) {
        let (frames, place) = (self.frames, self.place());
        let _ = self.writer.keep(); // if the disk is full, what is in the file stays all the same
        tell_of(frames, place.as_deref());
    }

    fn place(&self) -> Option<PathBuf> {
        self.writer.unfinished().map(Path::to_path_buf)
    }
}

fn tell_of(frames: usize, place: Option<&Path>) {
    if let Some(place) = place.filter(|_| frames > 0) {
        tell(format!("note: {} kept in {}", plural(frames, "frame"), place.display()));
    }
}
