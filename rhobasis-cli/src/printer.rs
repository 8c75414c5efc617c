//! Standard output, which may be closed or full before the work is done.

use std::io::{self, BufWriter, Write};

/// What a command prints.
///
/// A command that also writes files goes on when nobody listens any more, and the failure is known at the end; one that only
/// prints has nothing else to do, and ends with it.
pub struct Printer {
    sink: BufWriter<Box<dyn Write>>,
    goes_on: bool,
    failure: Option<io::Error>,
}

impl Printer {
    /// Prints to standard output, or to standard error if a file is written to the former.
    pub fn new(goes_on: bool, to_stderr: bool) -> Self {
        let sink: Box<dyn Write> = if to_stderr { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        Printer { sink: BufWriter::new(sink), goes_on, failure: None }
    }

    /// Prints what is left.
    ///
    /// # Errors
    /// If anything could not be printed, now or before.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.failure.map_or(Ok(()), Err)
    }

    fn attempt<T>(
        &mut self,
        instead: T,
        act: impl FnOnce(&mut BufWriter<Box<dyn Write>>) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.failure.is_some() {
            return Ok(instead);
        }
        match act(&mut self.sink) {
            Err(e) if self.goes_on => {
                self.failure = Some(e);
                Ok(instead)
            }
            done => done,
        }
    }
}

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.attempt(bytes.len(), |sink| sink.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.attempt((), Write::flush)
    }
}
