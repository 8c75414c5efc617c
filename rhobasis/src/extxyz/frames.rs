use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::frame::{self, Extent};
use super::layout::Layout;
use super::rows::cut_short;
use super::slice::{self, Selection, Slice};
use super::source::Source;
use super::stamp::Stamp;
use crate::files::Format;
use crate::{Error, Result, Structure};

/// An open file: `next` is the index of the frame that begins at the source's position.
pub(super) struct Frames {
    pub path: PathBuf,
    pub source: Source,
    pub selection: Selection,
    pub next: usize,
    pub bytes: u64,
    /// Bytes of the frame before.
    before: usize,
}

pub(super) enum Step {
    /// A frame of the slice, with its structure if it was read.
    Frame(Option<Structure>),
    NotSelected,
    End,
}

impl Frames {
    /// Opens a file, which must be as it was when it had this stamp.
    pub fn open(path: PathBuf, slice: &Slice, stamp: Option<Stamp>) -> Result<Frames> {
        let n_frames = if slice.counts_from_the_end() { count(&path)? } else { 0 };
        let selection = slice.resolve(n_frames, &path)?;
        let source = Source::open(&path)?;
        if let Some(stamp) = stamp {
            stamp.check(source.stamp(), &path)?;
        }
        let bytes = source.stamp().map_or(0, |stamp| stamp.length);
        Ok(Frames { path, source, selection, next: 0, bytes, before: 0 })
    }

    pub fn step(
        &mut self,
        layout: &mut Option<Layout>,
        validate: bool,
        read: bool,
        unpacked: &mut u64,
    ) -> Result<Step> {
        let index = self.next;
        if self.selection.ends_before(index) {
            return Ok(Step::End);
        }
        let selected = self.selection.contains(index);
        let taken = match selected && read {
            true => {
                parsed(&mut self.source, index, self.before, layout, validate).map(|t| t.map(|(s, n)| (Some(s), n)))
            }
            false => passed(&mut self.source, index).map(|t| t.map(|n| (None, n))),
        };
        let taken = taken.map_err(|e| explained(e, &mut self.source, index, &self.path))?;
        let Some((structure, consumed)) = taken else { return self.end() };
        self.source.advance(consumed);
        *unpacked += consumed as u64;
        self.before = consumed;
        self.next += 1;
        Ok(if selected { Step::Frame(structure) } else { Step::NotSelected })
    }

    /// The end of the file has come: were there frames, and the one asked for?
    fn end(&self) -> Result<Step> {
        self.source.unchanged()?;
        if self.next == 0 {
            return Err(no_frames(&self.path));
        }
        match self.selection.single {
            Some(index) => Err(slice::out_of_range(&self.path, i64::try_from(index).unwrap_or(i64::MAX), self.next)),
            None => Ok(Step::End),
        }
    }
}

/// The next frame and its length in bytes; `None` at the end. `before` is the length of the one before.
fn parsed(
    source: &mut Source,
    index: usize,
    before: usize,
    layout: &mut Option<Layout>,
    validate: bool,
) -> Result<Option<(Structure, usize)>> {
    // Frames resemble each other: where two like the one before are at hand, the end of this one is not looked for first.
    let held = source.held();
    let at_once = match before > 0 && held.len() > 2 * before {
        true => frame::parse(held, index, layout).ok().flatten().filter(|(_, consumed)| *consumed < held.len()),
        false => None,
    };
    let taken = match at_once {
        Some(taken) => Some(taken),
        None => frame::parse(source.frame()?.0, index, layout)?,
    };
    if let Some((structure, _)) = taken.as_ref().filter(|_| validate) {
        structure.validate()?;
    }
    Ok(taken)
}

/// The length of the next frame, by its lines alone; `None` at the end.
fn passed(source: &mut Source, index: usize) -> Result<Option<usize>> {
    let (_, extent) = source.frame()?;
    match extent? {
        Extent::Frame(consumed) => Ok(Some(consumed)),
        Extent::Cut { atoms, of } => Err(cut_short(atoms, of, index)),
        Extent::Blank => Ok(None),
    }
}

/// The reason for an error at a frame, if there is a better one than what was met: the file is being written, or is of
/// another format.
fn explained(error: Error, source: &mut Source, index: usize, path: &Path) -> Error {
    if let Err(changed) = source.unchanged() {
        return changed;
    }
    if let (0, Error::Structure { .. }, Ok((bytes, _))) = (index, &error, source.frame())
        && let Some(format) = Format::of(bytes).filter(|format| !format.is_structures())
    {
        return format.instead_of_structures(path);
    }
    error.at_frame(index).in_file(path)
}

/// Number of frames of a file, by its lines alone.
fn count(path: &Path) -> Result<usize> {
    let mut source = Source::open(path)?;
    let mut n = 0;
    while let Some(consumed) = passed(&mut source, n).map_err(|e| explained(e, &mut source, n, path))? {
        source.advance(consumed);
        n += 1;
    }
    source.unchanged()?;
    if n == 0 { Err(no_frames(path)) } else { Ok(n) }
}

fn no_frames(path: &Path) -> Error {
    Error::file(path, "the file holds no frame", "give an extended XYZ file with at least one structure")
}

/// What the system knows of a file that is to be read.
pub(super) fn metadata(path: &Path) -> Result<Metadata> {
    match std::fs::metadata(path) {
        Ok(data) if data.is_dir() => Err(Error::file(path, "is a directory", "name a file in it")),
        Ok(data) => Ok(data),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::file(
            path,
            "no such file",
            "check the path; a slice of frames follows an '@', as in data.xyz@:1000",
        )),
        Err(e) => Err(Error::io(path, e)),
    }
}
