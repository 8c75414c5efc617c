use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::dictionary;
use super::frame::{Extent, extent};
use crate::{Error, Result};

/// First size of the window onto a stream; it grows to the longest frame.
const WINDOW: usize = 1 << 20;
/// Bytes of a mapped file that are held behind the position, at most twice that; a multiple of the page size.
const HELD: usize = 4 << 20;
/// Memory that an xz or Zstandard stream may ask for, in bytes: above what their strongest presets need.
const MAX_DICTIONARY: u64 = 1 << 30;

/// The unpacked bytes of a file, from the current position on.
pub(super) struct Source {
    path: PathBuf,
    kind: Kind,
    /// Bytes of the file as stored.
    read: Arc<AtomicU64>,
}

enum Kind {
    Mapped {
        map: memmap2::Mmap,
        pos: usize,
        /// Pages before this are no longer held.
        held: usize,
    },
    Stream {
        reader: Box<dyn Read + Send>,
        packing: Option<&'static str>,
        /// Most bytes that unpacking takes.
        dictionary: u64,
        unpacked: u64,
        window: Vec<u8>,
        start: usize,
        end: usize,
        eof: bool,
    },
}

impl Source {
    pub fn open(path: &Path) -> Result<Source> {
        let io = |e| Error::io(path, e);
        let file = File::open(path).map_err(io)?;
        let regular = file.metadata().map_err(io)?.is_file();
        let read = Arc::new(AtomicU64::new(0));
        let mut packed = BufReader::with_capacity(1 << 16, Counted { inner: file, read: read.clone() });
        let magic = packed.fill_buf().map_err(io)?;
        let (packing, dictionary, reader): (_, _, Box<dyn Read + Send>) = match magic {
            [0x1f, 0x8b, ..] => (Some("gzip"), 1 << 15, Box::new(flate2::bufread::MultiGzDecoder::new(packed))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                (Some("Zstandard"), dictionary::of_zstandard(magic), Box::new(ZstdFrames::new(packed)))
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
                let (dictionary, limit_kb) = (dictionary::of_xz(magic), (MAX_DICTIONARY >> 10) as u32);
                (Some("xz"), dictionary, Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, limit_kb)))
            }
            [b'B', b'Z', b'h', b'1'..=b'9', ..] | [b'P', b'K', 3, 4, ..] => {
                return Err(Error::file(
                    path,
                    "bzip2 and zip files are not read",
                    "unpack it, or pack it with gzip, zstd or xz",
                ));
            }
            [_, ..] if regular => {
                // SAFETY: the map is only read. Another process that shortens the file meanwhile would break it, as it
                // would any reader; our own writer replaces files by renaming.
                let map = unsafe { memmap2::Mmap::map(&packed.into_inner().inner) }.map_err(io)?;
                #[cfg(unix)]
                // The advice is a hint; without it reading is only slower.
                let _ = map.advise(memmap2::Advice::Sequential);
                let pos = if map.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
                return Ok(Source { path: path.to_path_buf(), kind: Kind::Mapped { map, pos, held: 0 }, read });
            }
            _ => (None, 0, Box::new(packed)),
        };
        let kind =
            Kind::Stream { reader, packing, dictionary, unpacked: 0, window: Vec::new(), start: 0, end: 0, eof: false };
        Ok(Source { path: path.to_path_buf(), kind, read })
    }

    /// Bytes from the current position: at least one whole frame, or everything up to the end of the file.
    pub fn frame_bytes(&mut self) -> Result<&[u8]> {
        match &mut self.kind {
            Kind::Mapped { map, pos, .. } => Ok(&map[*pos..]),
            Kind::Stream { reader, packing, unpacked, window, start, end, eof, .. } => {
                // A bad atom count ends the wait too: the parser will meet and report it.
                while !*eof && matches!(extent(&window[*start..*end], false), Ok(Extent::Cut { .. } | Extent::Blank)) {
                    window.copy_within(*start..*end, 0);
                    (*start, *end) = (0, *end - *start);
                    if window.len() < 2 * *end || window.is_empty() {
                        window.resize((2 * window.len()).max(WINDOW), 0);
                    }
                    while *end < window.len() && !*eof {
                        let n = match reader.read(&mut window[*end..]) {
                            Ok(n) => n,
                            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                            Err(e) => return Err(stream_error(&self.path, *packing, e)),
                        };
                        *end += n;
                        *unpacked += n as u64;
                        *eof = n == 0;
                    }
                }
                Ok(&window[*start..*end])
            }
        }
    }

    /// Memory that reading a file may take, in bytes, judged by its first bytes: pages of a map, or what unpacking needs.
    pub fn window(path: &Path) -> u64 {
        let mut head = [0; 64];
        let read = File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
        match &head[..read] {
            [0x1f, 0x8b, ..] => 1 << 15,
            head @ ([0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) => {
                dictionary::of_zstandard(head)
            }
            head @ [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => dictionary::of_xz(head),
            _ => 2 * HELD as u64,
        }
    }

    /// Moves on by `n` bytes of those last seen.
    pub fn advance(&mut self, n: usize) {
        match &mut self.kind {
            Kind::Mapped { map, pos, held } => {
                *pos += n;
                let_go(map, *pos, held);
            }
            Kind::Stream { start, .. } => *start += n,
        }
    }

    /// Bytes of memory that reading this file to its end takes, judged by what has been unpacked of its `stored` bytes.
    pub fn memory(&self, stored: u64) -> u64 {
        match &self.kind {
            Kind::Mapped { .. } => stored.min(2 * HELD as u64),
            Kind::Stream { dictionary, packing, unpacked, window, .. } => {
                // The dictionary of xz grows with what is unpacked, by factors of two.
                let whole = *unpacked as f64 * stored as f64 / self.consumed().max(1) as f64;
                let grown = if *packing == Some("xz") { (whole as u64).next_power_of_two() } else { u64::MAX };
                window.len() as u64 + grown.min(*dictionary)
            }
        }
    }

    /// Bytes of the file as stored that have been consumed.
    pub fn consumed(&self) -> u64 {
        match &self.kind {
            Kind::Mapped { pos, .. } => *pos as u64,
            Kind::Stream { .. } => self.read.load(Ordering::Relaxed),
        }
    }
}

/// Lets go of the pages of a map that have been read: else they count as memory of the process until it ends.
#[cfg(unix)]
fn let_go(map: &memmap2::Mmap, pos: usize, held: &mut usize) {
    if pos - *held >= 2 * HELD {
        let end = pos / HELD * HELD;
        // SAFETY: the map is a file that is only read; a page that is asked for again is read from the file again. The advice
        // is a hint: without it only more memory is held.
        let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, *held, end - *held) };
        *held = end;
    }
}

#[cfg(not(unix))]
fn let_go(_: &memmap2::Mmap, _: usize, _: &mut usize) {}

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

/// Counts the bytes that pass.
struct Counted {
    inner: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// The content of all frames of a Zstandard file, one after the other, checksums verified.
struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_DICTIONARY);
        ZstdFrames { source, decoder, in_frame: false }
    }

    /// Whether another frame begins; skippable frames are passed over.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.source).take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(e) => return Err(io::Error::other(e)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                self.in_frame = self.next_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            let n = self.decoder.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            if !self.decoder.is_finished() {
                let strategy = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, strategy).map_err(io::Error::other)?;
            } else if self.decoder.can_collect() == 0 {
                let stored = self.decoder.get_checksum_from_data();
                if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "wrong checksum"));
                }
                self.in_frame = false;
            }
        }
    }
}
