use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::labels::required_energy;
use super::provenance::{Shard, SourceFile};
use super::read::{Options, Reader};
use crate::{Error, Result, Structure};

/// Frames and atoms after which a chunk is full.
const CHUNK_FRAMES: usize = 512;
const CHUNK_ATOMS: usize = 65_536;

/// The frames of some files, opened and not yet read: those of a shard, counted over all files and after slices.
///
/// ```
/// # fn main() -> rhobasis::Result<()> {
/// use rhobasis::extxyz::{self, Dataset, Options, Shard};
/// use rhobasis::Structure;
/// let file = std::env::temp_dir().join(format!("rhobasis-doc-dataset-{}.xyz", std::process::id()));
/// let dimer = |d: f64| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]]);
/// extxyz::write(&file, &[dimer(2.0), dimer(2.3), dimer(2.6)])?;
///
/// let data = Dataset::open(&[file.display().to_string()], &Options::default())?.shard(Shard::new(1, 2)?);
/// let mut chunks = data.chunks();
/// for chunk in &mut chunks {
///     let chunk = chunk?;
///     assert_eq!(chunk.structures, [dimer(2.0), dimer(2.6)]);
///     assert_eq!(chunk.place(1), (file.as_path(), 2));
/// }
/// assert_eq!(chunks.files()[0].frames, 2);
/// # std::fs::remove_file(file).ok();
/// # Ok(())
/// # }
/// ```
pub struct Dataset {
    readers: Vec<(String, Reader)>,
    shard: Shard,
    /// Frames that are passed over, because their work is done.
    done: usize,
    /// SHA-256 of the files, where it had to be known beforehand.
    hashes: Vec<String>,
    labels: bool,
    /// Key of the energy that each frame must have.
    energy: Option<String>,
    chunk_frames: usize,
}

impl Dataset {
    /// Opens all files, each with an optional slice, so that a wrong name is found before the work starts.
    ///
    /// # Errors
    /// If a file is missing or a slice is malformed.
    pub fn open(specs: &[String], options: &Options) -> Result<Self> {
        let open = |spec: &String| Ok((spec.clone(), Reader::open(spec, options)?));
        let readers = specs.iter().map(open).collect::<Result<_>>()?;
        let (shard, hashes) = (Shard::default(), Vec::new());
        Ok(Dataset { readers, shard, done: 0, hashes, labels: true, energy: None, chunk_frames: CHUNK_FRAMES })
    }

    /// Takes only some of the frames.
    #[must_use]
    pub fn shard(self, shard: Shard) -> Self {
        Dataset { shard, ..self }
    }

    /// Passes over the frames before this one.
    #[must_use]
    pub fn after(self, done: usize) -> Self {
        Dataset { done, ..self }
    }

    /// Keeps species, positions and cells only.
    #[must_use]
    pub fn without_labels(self) -> Self {
        Dataset { labels: false, ..self }
    }

    /// Reads the energy of each frame under this key; without one, a frame is refused.
    #[must_use]
    pub fn with_energies(self, key: String) -> Self {
        Dataset { energy: Some(key), ..self }
    }

    /// Gives at most so many frames at a time.
    #[must_use]
    pub fn in_chunks_of(self, chunk_frames: usize) -> Self {
        Dataset { chunk_frames, ..self }
    }

    /// Memory that reading takes besides the frames, in bytes.
    pub fn window(&self) -> u64 {
        self.readers.iter().map(|(_, reader)| reader.window()).max().unwrap_or(0)
    }

    /// Bytes of all files as stored.
    pub fn bytes(&self) -> u64 {
        self.readers.iter().map(|(_, reader)| reader.bytes().1).sum()
    }

    /// The files and the SHA-256 of their content, before a frame is read.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn hash(&mut self) -> Result<Vec<SourceFile>> {
        self.hashes = self.readers.iter().map(|(_, reader)| reader.sha256()).collect::<Result<_>>()?;
        let file = |((path, _), sha256): (&(String, Reader), &String)| SourceFile {
            path: path.clone(),
            frames: 0,
            sha256: sha256.clone(),
        };
        Ok(self.readers.iter().zip(&self.hashes).map(file).collect())
    }

    /// One chunk after the other, while the next ones are being read.
    pub fn chunks(self) -> Chunks {
        let (sender, receiver) = sync_channel(1);
        let reading = std::thread::spawn(move || self.read(&sender));
        Chunks { receiver: Some(receiver), reading: Some(reading), files: Vec::new() }
    }

    fn read(self, sender: &SyncSender<Chunk>) -> Result<Vec<SourceFile>> {
        let mut files = Vec::new();
        let (mut next, mut bytes_before, mut text_before) = (0, 0, 0);
        let bytes_total = self.bytes();
        let mut chunk = Chunk::new(0, 0);
        let mut chunks = 0.0;
        let mut atoms = 0;
        for (k, (spec, mut reader)) in self.readers.into_iter().enumerate() {
            let path: Arc<Path> = reader.paths()[0].as_path().into();
            let mut frames = 0;
            loop {
                let wanted = self.shard.next(next.max(self.done));
                let passed = reader.pass(wanted - next)?;
                frames += self.shard.count(next..next + passed);
                next += passed;
                if next < wanted {
                    break; // the end of the file
                }
                let Some(structure) = reader.next() else { break };
                let mut structure = structure?;
                let frame = reader.frame_index().unwrap_or(0);
                if let Some(key) = &self.energy {
                    let locate = |e: Error| e.at_frame(frame).in_file(&*path);
                    chunk.energies.push(required_energy(&structure, key).map_err(locate)?);
                }
                if !self.labels {
                    (structure.info, structure.columns) = (Vec::new(), Vec::new());
                }
                chunk.places.push((path.clone(), frame));
                atoms += structure.len();
                chunk.structures.push(structure);
                frames += 1;
                next += 1;
                chunk.next = next;
                if chunk.structures.len() == 1 {
                    chunk.decoder = reader.memory();
                }
                if chunk.structures.len() >= self.chunk_frames || atoms >= CHUNK_ATOMS {
                    let first = chunk.first + chunk.structures.len();
                    let mut full = std::mem::replace(&mut chunk, Chunk::new(first, next));
                    atoms = 0;
                    chunks += 1.0;
                    full.bytes = bytes_before + (reader.progress() * reader.bytes().1 as f64) as u64;
                    full.decoder = reader.memory();
                    full.of = chunks * bytes_total as f64 / full.bytes.max(1) as f64;
                    full.fraction = full.bytes as f64 / bytes_total.max(1) as f64;
                    full.text = text_before + reader.unpacked();
                    if sender.send(full).is_err() {
                        return Ok(files); // the receiver has given up, for a reason of its own
                    }
                }
            }
            if reader.path().is_none() {
                return Err(Error::file(spec, "no frame is selected", "change the slice after the '@'"));
            }
            let sha256 = match self.hashes.get(k) {
                Some(hash) => reader.unchanged().map(|()| hash.clone())?,
                None => reader.sha256()?,
            };
            files.push(SourceFile { sha256, path: spec, frames });
            bytes_before += reader.bytes().1;
            text_before += reader.unpacked();
        }
        (chunk.text, chunk.bytes) = (text_before, bytes_before);
        if !chunk.structures.is_empty() {
            let _ = sender.send(chunk); // as above
        }
        Ok(files)
    }
}

/// The chunks of a data set, which a thread reads ahead: one is in work, one waits, one is being read.
///
/// An error names file and frame, and ends the iteration.
pub struct Chunks {
    receiver: Option<Receiver<Chunk>>,
    reading: Option<JoinHandle<Result<Vec<SourceFile>>>>,
    files: Vec<SourceFile>,
}

impl Chunks {
    /// What was read: the files, the frames that were taken of each, and the SHA-256 of their content. Empty before the end.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }
}

impl Iterator for Chunks {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Result<Chunk>> {
        if let Some(chunk) = self.receiver.as_ref().and_then(|receiver| receiver.recv().ok()) {
            return Some(Ok(chunk));
        }
        let done = self.reading.take()?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match done {
            Ok(files) => self.files = files,
            Err(e) => return Some(Err(e)),
        }
        None
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.receiver = None; // which ends the reading
        if let Some(reading) = self.reading.take() {
            let _ = reading.join(); // nobody waits for its result
        }
    }
}

/// Some consecutive frames of a data set.
pub struct Chunk {
    /// The frames.
    pub structures: Vec<Structure>,
    /// Index of the first frame among those that are read.
    pub first: usize,
    /// Index, over all files, of the frame after the last.
    pub next: usize,
    /// Bytes of the files, as stored, that have been read.
    pub bytes: u64,
    /// Part of all bytes that has been read.
    pub fraction: f64,
    /// The text that was, in bytes.
    pub text: u64,
    /// Energies of the frames, if they were asked for.
    pub energies: Vec<f64>,
    /// File of each frame, and its index there.
    pub places: Vec<(Arc<Path>, usize)>,
    /// Bytes of memory that reading takes.
    decoder: u64,
    /// Chunks like this one that the files hold, estimated.
    of: f64,
}

impl Chunk {
    fn new(first: usize, next: usize) -> Self {
        Chunk {
            structures: Vec::new(),
            first,
            next,
            bytes: 0,
            fraction: 1.0,
            text: 0,
            energies: Vec::new(),
            places: Vec::new(),
            decoder: 0,
            of: 1.0,
        }
    }

    /// File of a frame of this chunk, and its index there.
    pub fn place(&self, k: usize) -> (&Path, usize) {
        let (path, frame) = &self.places[k];
        (path, *frame)
    }

    /// File and frame, as a message has them.
    pub fn named(&self, k: usize) -> String {
        let (path, frame) = self.place(k);
        format!("{}, frame {frame}", path.display())
    }

    /// Bytes of memory that reading takes: buffers, and the chunks that exist at a time (one in work, one waiting, one being
    /// read), should the others be like this one.
    pub fn reading_memory(&self) -> f64 {
        let frames: usize = self.structures.iter().map(Structure::memory).sum();
        let places = size_of::<(Arc<Path>, usize)>() * self.places.capacity();
        self.decoder as f64 + self.of.clamp(1.0, 3.0) * (frames + places) as f64
    }

    /// Replaces the frame number of an error by file and frame as the user knows them; `index` makes the index in this chunk
    /// of it.
    pub fn locate(&self, mut e: Error, index: impl Fn(usize) -> usize) -> Error {
        if let Error::Structure { place, .. } = &mut e
            && let Some((path, frame)) = place.frame.and_then(|frame| self.places.get(index(frame)))
        {
            place.frame = Some(*frame);
            place.file = Some(path.to_path_buf());
        }
        e
    }
}
