use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::dictionary;
use super::frame::{Extent, LONGEST_LINE, extent, line_too_long};
use super::stamp::Stamp;
use super::xz::XzStreams;
use super::zstandard::ZstdFrames;
use crate::files::{Digest, Format};
use crate::{Error, Result, memory};

/// First size of the window onto the text, in bytes; it grows to the longest frame.
const WINDOW: usize = 1 << 20;
/// Memory that an xz or Zstandard stream may ask for, in bytes: above what their strongest presets need.
const MAX_DICTIONARY: u64 = 1 << 30;
/// Fewer bytes than that hold no row of an atom: `H 0 0 0` and a line break.
const SHORTEST_ROW: u64 = 8;

/// The unpacked bytes of a file, from the current position on. They are read in blocks, not mapped: of a mapped file that
/// somebody shortens, the next access ends the process.
pub(super) struct Source {
    path: PathBuf,
    file: Arc<File>,
    /// When it was opened; `None` for a pipe.
    stamp: Option<Stamp>,
    passed: Arc<Passed>,
    reader: Box<dyn Read + Send>,
    packing: Option<&'static str>,
    /// Most bytes that unpacking takes.
    dictionary: u64,
    unpacked: u64,
    window: Vec<u8>,
    start: usize,
    end: usize,
    eof: bool,
}

impl Source {
    pub fn open(path: &Path) -> Result<Source> {
        let io = |e| Error::io(path, e);
        let file = Arc::new(File::open(path).map_err(io)?);
        let stamp = Stamp::new(&file.metadata().map_err(io)?);
        let passed = Arc::new(Passed::new(stamp.is_none()));
        let mut packed = BufReader::with_capacity(1 << 16, Counted { file: file.clone(), passed: passed.clone() });
        let magic = packed.fill_buf().map_err(io)?;
        let (packing, dictionary, reader): (_, _, Box<dyn Read + Send>) = match magic {
            [0x1f, 0x8b, ..] => (Some("gzip"), 1 << 15, Box::new(flate2::bufread::MultiGzDecoder::new(packed))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                let dictionary = dictionary::of_zstandard(magic);
                (Some("Zstandard"), dictionary, Box::new(ZstdFrames::new(packed, MAX_DICTIONARY)))
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
                let dictionary = dictionary::of_xz(magic);
                (Some("xz"), dictionary, Box::new(XzStreams::new(packed, MAX_DICTIONARY)))
            }
            _ => match Format::of_binary(magic) {
                Some(format) => return Err(format.instead_of_structures(path)),
                None => (None, 0, Box::new(packed)),
            },
        };
        Ok(Source {
            path: path.to_path_buf(),
            file,
            stamp,
            passed,
            reader,
            packing,
            dictionary,
            unpacked: 0,
            window: Vec::new(),
            start: 0,
            end: 0,
            eof: false,
        })
    }

    /// What the file was when it was opened; `None` for a pipe.
    pub fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Refuses a file that was written to since it was opened.
    pub fn unchanged(&self) -> Result<()> {
        let Some(stamp) = self.stamp else { return Ok(()) };
        let now = self.file.metadata().map_err(|e| Error::io(&self.path, e))?;
        stamp.check(Stamp::new(&now), &self.path)
    }

    /// Bytes from the current position, at least one whole frame or everything up to the end of the file, and where the frame
    /// ends. A bad atom count is for the caller to meet.
    pub fn frame(&mut self) -> Result<(&[u8], Result<Extent>)> {
        loop {
            match extent(&self.window[self.start..self.end], self.eof) {
                Ok(Extent::Cut { of, .. }) if !self.eof => self.fill(of)?,
                Ok(Extent::Blank) if !self.eof => {
                    self.start = self.end;
                    self.fill(0)?;
                }
                found => return Ok((&self.window[self.start..self.end], found)),
            }
        }
    }

    /// What has been read from the current position on, which may end within a frame.
    pub fn held(&self) -> &[u8] {
        &self.window[self.start..self.end]
    }

    /// Reads on, to the end of the window; it grows where a frame, of `n_atoms` as it says, takes half of it.
    fn fill(&mut self, n_atoms: usize) -> Result<()> {
        self.window.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.window.len() < 2 * self.end || self.window.is_empty() {
            self.grow(n_atoms)?;
        }
        let first = self.unpacked == 0;
        while self.end < self.window.len() && !self.eof {
            let n = match self.reader.read(&mut self.window[self.end..]) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(stream_error(&self.path, self.packing, e)),
            };
            self.end += n;
            self.unpacked += n as u64;
            self.eof = n == 0;
        }
        if first && self.window[..self.end].starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
        }
        Ok(())
    }

    /// A window of twice the size, for what can be a frame.
    fn grow(&mut self, n_atoms: usize) -> Result<()> {
        let size = (2 * self.window.len()).max(WINDOW);
        if size > LONGEST_LINE {
            self.check_size(n_atoms)?;
        }
        let more = size - self.window.len();
        memory::reserve(&mut self.window, more).map_err(|shortage| {
            let problem = format!("a frame of more than {} MB of text does not fit: {shortage}", self.end >> 20);
            Error::structure(None, problem, "compare its atom count with its rows, or split the structure")
        })?;
        self.window.resize(size, 0);
        Ok(())
    }

    /// Refuses a line without end, and an atom count that the rest of the file cannot hold.
    fn check_size(&self, n_atoms: usize) -> Result<()> {
        let text = &self.window[self.start..self.end];
        if text.len() - memchr::memrchr(b'\n', text).unwrap_or(0) > LONGEST_LINE {
            return Err(line_too_long(text));
        }
        let Some(Stamp { length, .. }) = self.stamp.filter(|_| self.packing.is_none()) else { return Ok(()) };
        let rest = length.saturating_sub(self.consumed());
        if n_atoms as u64 > rest / SHORTEST_ROW {
            let problem =
                format!("the atom count is {n_atoms}, but the {rest} bytes that are left cannot hold so many");
            let remedy = "correct the count; or the file was cut short: copy it again";
            return Err(Error::structure(None, problem, remedy));
        }
        Ok(())
    }

    /// Memory that unpacking a file may take, in bytes, judged by its first bytes.
    pub fn window(path: &Path) -> u64 {
        let mut head = [0; 64];
        // A pipe is left alone: what is read from it is gone.
        let regular = path.metadata().is_ok_and(|data| data.is_file());
        let file = regular.then(|| File::open(path).ok()).flatten();
        let read = file.and_then(|mut file| file.read(&mut head).ok()).unwrap_or(0);
        match &head[..read] {
            [0x1f, 0x8b, ..] => 1 << 15,
            head @ ([0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) => {
                dictionary::of_zstandard(head)
            }
            head @ [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => dictionary::of_xz(head),
            _ => 0,
        }
    }

    /// Moves on by `n` bytes of those last seen.
    pub fn advance(&mut self, n: usize) {
        self.start += n;
    }

    /// Bytes of memory that reading this file to its end takes, judged by what has been unpacked of its `stored` bytes.
    pub fn memory(&self, stored: u64) -> u64 {
        // The dictionary of xz grows with what is unpacked, by factors of two.
        let whole = self.unpacked as f64 * stored as f64 / self.consumed().max(1) as f64;
        let grown = if self.packing == Some("xz") { (whole as u64).next_power_of_two() } else { u64::MAX };
        self.window.len() as u64 + grown.min(self.dictionary)
    }

    /// Bytes of the file as stored that have been consumed.
    pub fn consumed(&self) -> u64 {
        match self.packing {
            None => self.unpacked - (self.end - self.start) as u64,
            Some(_) => self.passed.bytes.load(Ordering::Relaxed),
        }
    }

    /// SHA-256 of all that comes out of a pipe, which is read to its end; `None` for a file, which can be read again.
    pub fn digest_of_pipe(&self) -> Result<Option<String>> {
        let Some(digest) = &self.passed.digest else { return Ok(None) };
        let mut digest = digest.lock().unwrap_or_else(PoisonError::into_inner);
        io::copy(&mut &*self.file, &mut *digest).map_err(|e| Error::io(&self.path, e))?;
        Ok(Some(digest.clone().hex()))
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn stream_error(path: &Path, packing: Option<&str>, e: io::Error) -> Error {
    match packing {
        Some(packing) => Error::file(
            path,
            format!("the {packing} stream cannot be unpacked: {e}"),
            "the file is cut short or damaged; copy or download it again",
        ),
        None => Error::io(path, e),
    }
}

/// What has been read of a file, as stored.
struct Passed {
    bytes: AtomicU64,
    /// Of these bytes, where they cannot be read again.
    digest: Option<Mutex<Digest>>,
}

impl Passed {
    fn new(pipe: bool) -> Self {
        Passed { bytes: AtomicU64::new(0), digest: pipe.then(Mutex::default) }
    }
}

/// Notes the bytes that pass.
struct Counted {
    file: Arc<File>,
    passed: Arc<Passed>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = (&*self.file).read(buf)?;
        self.passed.bytes.fetch_add(n as u64, Ordering::Relaxed);
        if let Some(digest) = &self.passed.digest {
            digest.lock().unwrap_or_else(PoisonError::into_inner).update(&buf[..n]);
        }
        Ok(n)
    }
}
