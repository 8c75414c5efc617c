//! Frames of the files a user names, in chunks, with a progress bar and the place of each frame.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rhobasis::extxyz::{Options, Reader, required_energy};
use rhobasis::optimal::{Shard, SourceFile};
use rhobasis::structure::{Column, ColumnData, Value};
use rhobasis::{Error, Result, Structure};
use sha2::{Digest, Sha256};

/// Frames and atoms after which a chunk is full.
const CHUNK_FRAMES: usize = 512;
const CHUNK_ATOMS: usize = 65_536;

/// Under which keys DATA keeps its labels.
#[derive(clap::Args, Debug)]
pub struct Keys {
    /// Key of the energy of a frame, in eV
    #[arg(long, value_name = "KEY", default_value_t = Options::default().energy_key)]
    pub energy_key: String,
    /// Column of the forces, in eV/Å
    #[arg(long, value_name = "KEY", default_value_t = Options::default().force_key)]
    pub force_key: String,
    /// Key of the stress, in eV/Å³, positive under tension
    #[arg(long, value_name = "KEY", default_value_t = Options::default().stress_key)]
    pub stress_key: String,
    /// Key of the virial, −volume × stress, in eV
    #[arg(long, value_name = "KEY", default_value_t = Options::default().virial_key)]
    pub virial_key: String,
}

impl Keys {
    /// No labels are read.
    pub fn none() -> Options {
        let none = String::new();
        Options {
            energy_key: none.clone(),
            force_key: none.clone(),
            stress_key: none.clone(),
            virial_key: none,
            validate: true,
        }
    }

    pub fn options(&self, validate: bool) -> Options {
        Options {
            energy_key: self.energy_key.clone(),
            force_key: self.force_key.clone(),
            stress_key: self.stress_key.clone(),
            virial_key: self.virial_key.clone(),
            validate,
        }
    }
}

/// Some consecutive frames.
pub struct Chunk {
    pub structures: Vec<Structure>,
    /// Index of the first frame among those that are read.
    pub first: usize,
    /// Index, over all files, of the frame after the last.
    pub next: usize,
    /// Part of all bytes that has been read.
    pub fraction: f64,
    /// The text that was, in bytes.
    pub text: u64,
    /// Energies of the frames, if they were asked for.
    pub energies: Vec<f64>,
    places: Vec<(PathBuf, usize)>,
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
            fraction: 1.0,
            text: 0,
            energies: Vec::new(),
            places: Vec::new(),
            decoder: 0,
            of: 1.0,
        }
    }

    /// File of a frame of this chunk, and its index there.
    pub fn place(&self, k: usize) -> (&PathBuf, usize) {
        let (path, frame) = &self.places[k];
        (path, *frame)
    }

    /// Bytes of memory that reading takes: buffers, and the chunks that exist at a time (one in work, one waiting, one being
    /// read), should the others be like this one.
    pub fn reading_memory(&self) -> f64 {
        let frames: usize = self.structures.iter().map(memory_of).sum();
        let places: usize = self.places.iter().map(|(path, _)| 64 + path.as_os_str().len()).sum();
        self.decoder as f64 + self.of.clamp(1.0, 3.0) * (frames + places) as f64
    }

    /// Replaces the frame number of an error by file and frame as the user knows them; `index` makes the index in this chunk
    /// of it.
    pub fn locate(&self, mut e: Error, index: impl Fn(usize) -> usize) -> Error {
        if let Error::Structure { place, .. } = &mut e
            && let Some((path, frame)) = place.frame.and_then(|frame| self.places.get(index(frame)))
        {
            place.frame = Some(*frame);
            place.file = Some(path.clone());
        }
        e
    }
}

/// Opened files, not yet read.
pub struct Input {
    readers: Vec<(String, Reader)>,
    shard: Shard,
    /// Frames that are passed over, because their work is done.
    done: usize,
    /// SHA-256 of the files, where it had to be known beforehand.
    hashes: Vec<String>,
    labels: bool,
    /// Key of the energy that each frame must have.
    energy: Option<String>,
}

impl Input {
    /// Opens all files, so that a wrong name is found before the work starts.
    pub fn open(specs: &[String], options: &Options) -> Result<Self> {
        let open = |spec: &String| Ok((spec.clone(), Reader::open(spec, options)?));
        let readers = specs.iter().map(open).collect::<Result<_>>()?;
        Ok(Input { readers, shard: Shard::default(), done: 0, hashes: Vec::new(), labels: true, energy: None })
    }

    /// Takes only some of the frames, counted over all files.
    pub fn shard(self, shard: Shard) -> Self {
        Input { shard, ..self }
    }

    /// Passes over the frames before this one, counted over all files.
    pub fn after(self, done: usize) -> Self {
        Input { done, ..self }
    }

    /// Keeps species, positions and cells only.
    pub fn without_labels(self) -> Self {
        Input { labels: false, ..self }
    }

    /// Reads the energy of each frame under this key; without one, a frame is refused.
    pub fn with_energies(self, key: String) -> Self {
        Input { energy: Some(key), ..self }
    }

    /// Memory that reading takes besides the frames, in bytes.
    pub fn window(&self) -> u64 {
        self.readers.iter().map(|(_, reader)| reader.window()).max().unwrap_or(0)
    }

    /// The files and the SHA-256 of their content, before a frame is read.
    pub fn hash(&mut self) -> Result<Vec<SourceFile>> {
        let of =
            |(_, reader): &(String, Reader)| reader.paths().iter().map(|path| sha256(path)).collect::<Result<String>>();
        self.hashes = self.readers.iter().map(of).collect::<Result<_>>()?;
        let file = |((path, _), sha256): (&(String, Reader), &String)| SourceFile {
            path: path.clone(),
            frames: 0,
            sha256: sha256.clone(),
        };
        Ok(self.readers.iter().zip(&self.hashes).map(file).collect())
    }

    /// Calls `work` with one chunk after the other while the next ones are being read, and returns what was read.
    pub fn for_each_chunk(self, doing: &str, mut work: impl FnMut(Chunk) -> Result<()>) -> Result<Vec<SourceFile>> {
        let total = self.readers.iter().map(|(_, r)| r.bytes().1).sum();
        let bar = progress_bar(total, doing);
        let result = std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel::<(Chunk, u64)>(1);
            let reading = scope.spawn(move || self.read(&sender));
            for (chunk, bytes) in &receiver {
                bar.set_position(bytes);
                work(chunk)?; // an error drops the receiver, which ends the reading
            }
            drop(receiver);
            reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        bar.finish_and_clear();
        result
    }

    fn read(self, sender: &mpsc::SyncSender<(Chunk, u64)>) -> Result<Vec<SourceFile>> {
        let mut files = Vec::new();
        let (mut next, mut bytes_before, mut text_before) = (0, 0, 0);
        let bytes_total: u64 = self.readers.iter().map(|(_, r)| r.bytes().1).sum();
        let mut chunk = Chunk::new(0, 0);
        let mut chunks = 0.0;
        let mut atoms = 0;
        for (k, (spec, mut reader)) in self.readers.into_iter().enumerate() {
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
                let path = reader.path().map(PathBuf::from).unwrap_or_default();
                if let Some(key) = &self.energy {
                    let locate = |e: Error| e.at_frame(reader.frame_index().unwrap_or(0)).in_file(&path);
                    chunk.energies.push(required_energy(&structure, key).map_err(locate)?);
                }
                if !self.labels {
                    (structure.info, structure.columns) = (Vec::new(), Vec::new());
                }
                chunk.places.push((path, reader.frame_index().unwrap_or(0)));
                atoms += structure.len();
                chunk.structures.push(structure);
                frames += 1;
                next += 1;
                chunk.next = next;
                if chunk.structures.len() == 1 {
                    chunk.decoder = reader.memory();
                }
                if chunk.structures.len() >= CHUNK_FRAMES || atoms >= CHUNK_ATOMS {
                    let first = chunk.first + chunk.structures.len();
                    let mut full = std::mem::replace(&mut chunk, Chunk::new(first, next));
                    atoms = 0;
                    chunks += 1.0;
                    let bytes = bytes_before + (reader.progress() * reader.bytes().1 as f64) as u64;
                    full.decoder = reader.memory();
                    full.of = chunks * bytes_total as f64 / bytes.max(1) as f64;
                    full.fraction = bytes as f64 / bytes_total.max(1) as f64;
                    full.text = text_before + reader.unpacked();
                    if sender.send((full, bytes)).is_err() {
                        return Ok(files); // the receiver has given up, for a reason of its own
                    }
                }
            }
            let Some(path) = reader.path() else {
                return Err(Error::file(spec, "no frame is selected", "change the slice after the '@'"));
            };
            let sha256 = self.hashes.get(k).cloned().map_or_else(|| sha256(path), Ok)?;
            files.push(SourceFile { sha256, path: spec, frames });
            bytes_before += reader.bytes().1;
            text_before += reader.unpacked();
        }
        chunk.text = text_before;
        if !chunk.structures.is_empty() {
            let _ = sender.send((chunk, bytes_before)); // as above
        }
        Ok(files)
    }
}

/// Bytes of memory of a structure, labels and other columns included.
pub fn memory_of(structure: &Structure) -> usize {
    const ALLOCATION: usize = 16; // what the allocator adds
    let text = |t: &String| size_of::<String>() + t.capacity() + ALLOCATION;
    let value = |v: &Value| match v {
        Value::Bool(_) | Value::Int(_) | Value::Real(_) => 0,
        Value::Text(t) => t.capacity() + ALLOCATION,
        Value::Bools(x, _) => x.capacity() + 3 * ALLOCATION,
        Value::Ints(x, _) => 8 * x.capacity() + 3 * ALLOCATION,
        Value::Reals(x, _) => 8 * x.capacity() + 3 * ALLOCATION,
        Value::Texts(x, _) => x.iter().map(text).sum::<usize>() + 3 * ALLOCATION,
    };
    let column = |c: &Column| match &c.data {
        ColumnData::Reals(x) => 8 * x.capacity(),
        ColumnData::Ints(x) => 8 * x.capacity(),
        ColumnData::Bools(x) => x.capacity(),
        ColumnData::Texts(x) => x.iter().map(text).sum(),
    };
    let info: usize = structure.info.iter().map(|(key, v)| text(key) + size_of::<Value>() + value(v)).sum();
    let columns: usize = structure.columns.iter().map(|c| size_of::<Column>() + text(&c.name) + column(c)).sum();
    let atoms = structure.species.capacity() + size_of::<[f64; 3]>() * structure.positions.capacity();
    size_of::<Structure>() + 4 * ALLOCATION + atoms + info + columns
}

/// SHA-256 of the bytes of a file, in hexadecimal.
pub fn sha256(path: &std::path::Path) -> Result<String> {
    let io = |e| Error::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer).map_err(io)?;
        if n == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&buffer[..n]);
    }
}

/// A bar over bytes with the time that is left; nothing is drawn unless standard error is a terminal.
fn progress_bar(total: u64, doing: &str) -> ProgressBar {
    bar(total, doing, "{bytes}/{total_bytes}")
}

/// A bar over frames with the time that is left; nothing is drawn unless standard error is a terminal.
pub fn frames_bar(total: usize, doing: &str) -> ProgressBar {
    bar(total as u64, doing, "{pos}/{len} frames")
}

fn bar(total: u64, doing: &str, of: &str) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target).with_message(doing.to_string());
    if let Ok(style) = ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {of}, {{eta}} left")) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
