use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::frames::{Frames, Step, metadata};
use super::layout::Layout;
use super::slice::{self, Selection, Slice};
use super::source::Source;
use super::stamp::Stamp;
use crate::files::sha256;
use crate::{Error, Result, Structure};

/// Under which names a file keeps its labels, and whether frames are checked on reading.
///
/// An empty name means that the label is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Key of the total energy of the frame, in eV.
    pub energy_key: String,
    /// Column of the forces, in eV/Å; with the default `forces`, `force` is taken too.
    pub force_key: String,
    /// Key of the stress, in eV/Å³, positive under tension.
    pub stress_key: String,
    /// Key of the virial, −volume × stress, in eV.
    pub virial_key: String,
    /// Whether each frame is checked by [`Structure::validate`].
    pub validate: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            energy_key: "energy".to_string(),
            force_key: "forces".to_string(),
            stress_key: "stress".to_string(),
            virial_key: "virial".to_string(),
            validate: true,
        }
    }
}

/// Frames of one file or of several, in order, one in memory at a time.
///
/// An error names file, frame (counted from 0 in the file, whatever the slice) and atom, and ends the iteration.
///
/// ```
/// # fn main() -> rhobasis::Result<()> {
/// use rhobasis::{Structure, extxyz};
/// let file = std::env::temp_dir().join(format!("rhobasis-doc-{}.xyz", std::process::id()));
/// let water = Structure::molecule(vec![8, 1, 1], vec![[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]);
/// extxyz::write(&file, &[water.clone(), water.clone()])?;
///
/// let last = format!("{}@-1", file.display());
/// for frame in extxyz::Reader::open(&last, &extxyz::Options::default())? {
///     assert_eq!(frame?, water);
/// }
/// # std::fs::remove_file(file).ok();
/// # Ok(())
/// # }
/// ```
pub struct Reader {
    validate: bool,
    paths: Vec<PathBuf>,
    /// What each file was when the reader was opened; `None` for a pipe.
    stamps: Vec<Option<Stamp>>,
    queue: VecDeque<(PathBuf, Slice)>,
    /// SHA-256 of a pipe that was read to its end.
    piped: Option<String>,
    current: Option<Frames>,
    /// File and index of the frame read last.
    last: Option<(PathBuf, usize)>,
    layout: Option<Layout>,
    bytes_closed: u64,
    bytes_total: u64,
    unpacked: u64,
}

impl Reader {
    /// Opens `file`, or the frames `file@start:stop:step` of it. A missing file or a malformed slice is an error.
    pub fn open(spec: impl AsRef<Path>, options: &Options) -> Result<Reader> {
        Reader::open_all([spec], options)
    }

    /// Opens several files, each with its own slice, to be read one after the other.
    pub fn open_all<S: AsRef<Path>>(specs: impl IntoIterator<Item = S>, options: &Options) -> Result<Reader> {
        let (mut queue, mut stamps) = (VecDeque::new(), Vec::new());
        let mut bytes_total = 0;
        for spec in specs {
            let (path, slice) = slice::split(spec.as_ref())?;
            let data = metadata(&path)?;
            bytes_total += data.len();
            stamps.push(Stamp::new(&data));
            queue.push_back((path, slice));
        }
        Ok(Reader {
            validate: options.validate,
            paths: queue.iter().map(|(path, _)| path.clone()).collect(),
            stamps,
            queue,
            piped: None,
            current: None,
            last: None,
            layout: None,
            bytes_closed: 0,
            bytes_total,
            unpacked: 0,
        })
    }

    /// Index in its file, from 0, of the frame read last.
    pub fn frame_index(&self) -> Option<usize> {
        self.last.as_ref().map(|(_, index)| *index)
    }

    /// File of the frame read last.
    pub fn path(&self) -> Option<&Path> {
        self.last.as_ref().map(|(path, _)| path.as_path())
    }

    /// All files, without their slices.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// SHA-256 of the first file. It must be as it was when it was opened; of a pipe, it is known when that has been read.
    pub(super) fn sha256(&self) -> Result<String> {
        if self.stamps[0].is_none() {
            return self.piped.clone().ok_or_else(|| {
                let problem = "is no regular file, and its content must be known before it is read";
                Error::file(&self.paths[0], problem, "write it to a file first")
            });
        }
        let hash = sha256(&self.paths[0])?;
        self.unchanged().map(|()| hash)
    }

    /// Refuses files that were written to since they were opened.
    pub(super) fn unchanged(&self) -> Result<()> {
        let stamps = self.paths.iter().zip(&self.stamps);
        stamps
            .filter_map(|(path, stamp)| Some((path, (*stamp)?)))
            .try_for_each(|(path, stamp)| stamp.check(Stamp::new(&metadata(path)?), path))
    }

    /// Memory that unpacking may take, in bytes; not the frames.
    pub fn window(&self) -> u64 {
        let window = |path: &PathBuf| Source::window(path);
        self.paths.iter().map(window).max().unwrap_or(0)
    }

    /// Passes over the next `n` frames by their lines alone, and says how many there were: fewer at the end.
    ///
    /// # Errors
    /// If the file ends within a frame; that ends the iteration.
    pub fn pass(&mut self, n: usize) -> Result<usize> {
        for passed in 0..n {
            match self.step(false) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(passed),
                Err(e) => return Err(self.end_with(e)),
            }
        }
        Ok(n)
    }

    /// Bytes read so far and bytes in all, as stored (packed, where a file is packed), over all files.
    pub fn bytes(&self) -> (u64, u64) {
        let open = self.current.as_ref().map_or(0, |f| f.source.consumed());
        ((self.bytes_closed + open).min(self.bytes_total), self.bytes_total)
    }

    /// Bytes of memory that reading takes, judged by the file that is open: its window, and the dictionary of its packing.
    pub fn memory(&self) -> u64 {
        self.current.as_ref().map_or(0, |f| f.source.memory(f.bytes))
    }

    /// Bytes of text read so far, over all files.
    pub fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// Fraction of the work done, from 0 to 1: by bytes, or by frames where a slice ends before its file does.
    pub fn progress(&self) -> f64 {
        let (done, total) = self.bytes();
        let by_bytes = if total == 0 { 1.0 } else { done as f64 / total as f64 };
        match &self.current {
            Some(Frames { next, bytes, selection: Selection { stop: Some(stop), .. }, .. })
                if *stop > 0 && total > 0 =>
            {
                let by_frames = (*next as f64 / *stop as f64).min(1.0);
                by_bytes.max((self.bytes_closed as f64 + by_frames * *bytes as f64) / total as f64)
            }
            None if self.queue.is_empty() => 1.0,
            _ => by_bytes,
        }
    }

    /// The next `n` frames; fewer at the end, none after it.
    pub fn read_chunk(&mut self, n: usize) -> Result<Vec<Structure>> {
        self.by_ref().take(n).collect()
    }

    /// The next frame of the slice; its structure if it is to be read.
    fn step(&mut self, read: bool) -> Result<Option<Option<Structure>>> {
        loop {
            let frames = match &mut self.current {
                Some(frames) => frames,
                None => match self.queue.pop_front() {
                    Some((path, slice)) => {
                        let stamp = self.stamps[self.paths.len() - 1 - self.queue.len()];
                        self.current.insert(Frames::open(path, &slice, stamp)?)
                    }
                    None => return Ok(None),
                },
            };
            match frames.step(&mut self.layout, self.validate, read, &mut self.unpacked)? {
                Step::Frame(structure) => {
                    let index = frames.next - 1;
                    match &mut self.last {
                        Some((path, last)) if *path == frames.path => *last = index,
                        last => *last = Some((frames.path.clone(), index)),
                    }
                    return Ok(Some(structure));
                }
                Step::NotSelected => {}
                Step::End => {
                    self.bytes_closed += frames.bytes;
                    self.piped = frames.source.digest_of_pipe()?;
                    self.current = None;
                }
            }
        }
    }
}

impl Reader {
    /// After an error nothing more is read.
    fn end_with(&mut self, error: Error) -> Error {
        self.queue.clear();
        self.current = None;
        error
    }
}

impl Iterator for Reader {
    type Item = Result<Structure>;

    fn next(&mut self) -> Option<Result<Structure>> {
        match self.step(true) {
            Ok(frame) => frame.flatten().map(Ok),
            Err(e) => Some(Err(self.end_with(e))),
        }
    }
}

/// All frames of `file` or `file@start:stop:step`.
pub fn read(spec: impl AsRef<Path>, options: &Options) -> Result<Vec<Structure>> {
    Reader::open(spec, options)?.collect()
}
