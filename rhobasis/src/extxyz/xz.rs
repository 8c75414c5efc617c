use std::io::{self, BufRead, Read};

use lzma_rust2::{Action, Status, XzStream};

/// The content of all streams of an xz file, one after the other, checksums verified.
///
/// The reader of the library (0.25) turns forever on some damaged blocks; here a step without progress is an error.
pub(super) struct XzStreams<R> {
    source: R,
    decoder: XzStream,
    ended: bool,
}

impl<R: BufRead> XzStreams<R> {
    /// From the beginning of a file; refuses streams that ask for more memory than `most` bytes.
    pub fn new(source: R, most: u64) -> Self {
        let limit = u32::try_from(most >> 10).unwrap_or(u32::MAX);
        XzStreams { source, decoder: XzStream::new_mem_limit(true, limit), ended: false }
    }
}

impl<R: BufRead> Read for XzStreams<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !buf.is_empty() {
            let packed = self.source.fill_buf()?;
            let at_end = packed.is_empty();
            let action = if at_end { Action::Finish } else { Action::Run };
            let step = self.decoder.process(packed, buf, action)?;
            self.source.consume(step.bytes_consumed);
            self.ended = step.status == Status::StreamEnd;
            if step.bytes_produced > 0 {
                return Ok(step.bytes_produced);
            }
            if step.bytes_consumed == 0 && !self.ended {
                let kind = if at_end { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
                return Err(io::Error::new(kind, "the packed data is damaged"));
            }
        }
        Ok(0)
    }
}
