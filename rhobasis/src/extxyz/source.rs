use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::frame::{Extent, extent};
use crate::{Error, Result};

/// First size of the window onto a stream; it grows to the longest frame.
const WINDOW: usize = 1 << 20;
/// Bytes of a mapped file that are held behind the position, at most twice that; a multiple of the page size.
#[cfg(unix)]
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
        let (packing, reader): (_, Box<dyn Read + Send>) = match magic {
            [0x1f, 0x8b, ..] => (Some("gzip"), Box::new(flate2::bufread::MultiGzDecoder::new(packed))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                (Some("Zstandard"), Box::new(ZstdFrames::new(packed)))
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
                let limit_kb = (MAX_DICTIONARY >> 10) as u32;
                (Some("xz"), Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, limit_kb)))
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
            _ => (None, Box::new(packed)),
        };
        let kind = Kind::Stream { reader, packing, window: Vec::new(), start: 0, end: 0, eof: false };
        Ok(Source { path: path.to_path_buf(), kind, read })
    }

    /// Bytes from the current position: at least one whole frame, or everything up to the end of the file.
    pub fn frame_bytes(&mut self) -> Result<&[u8]> {
        match &mut self.kind {
            Kind::Mapped { map, pos, .. } => Ok(&map[*pos..]),
            Kind::Stream { reader, packing, window, start, end, eof } => {
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
                        *eof = n == 0;
                    }
                }
                Ok(&window[*start..*end])
            }
        }
    }

    /// Memory that reading on may still take, in bytes: pages of a map, or the window of what is unpacked.
    pub fn window(path: &Path) -> u64 {
        let mut head = [0; 64];
        let read = File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
        match &head[..read] {
            [0x1f, 0x8b, ..] => 1 << 15,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => 8 << 20,
            [0xfd, b'7', b'z', b'X', b'Z', 0, rest @ ..] => xz_dictionary(rest).unwrap_or(8 << 20),
            _ => 8 << 20, // mapped: HELD, twice
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

/// Size of the dictionary of the first block of an xz stream, whose first six bytes have been taken.
fn xz_dictionary(stream: &[u8]) -> Option<u64> {
    let block = stream.get(6..)?; // after the flags of the stream and their checksum
    let sizes = block.get(1)? >> 6; // one bit each: packed size, size
    let mut at = 2;
    for _ in 0..sizes.count_ones() {
        at += block.get(at..)?.iter().position(|byte| byte & 0x80 == 0)? + 1;
    }
    // The filter LZMA2 has the number 0x21 and one byte of properties: an exponent, and whether it is 2^k or 3·2^(k−1).
    let [0x21, 1, bits] = *block.get(at..at + 3)? else { return None };
    Some((2 | u64::from(bits & 1)) << (bits.min(40) / 2 + 11))
}

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
