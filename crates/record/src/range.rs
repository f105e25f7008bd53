//! A range of the output, as a stream of bytes.

use std::io::{self, Read};

use crate::LogReader;

/// Most bytes that are read at once.
const READ_BYTES: u64 = 256 * 1024;

/// Recorded bytes from one offset to another, in order, whichever form the log has.
#[derive(Debug)]
pub struct LogRange<'a> {
    log: &'a LogReader,
    at: u64,
    end: u64,
}

impl LogReader {
    /// The bytes from offset `from` up to `to`, which is at most [`LogReader::position`].
    pub fn range(&self, from: u64, to: u64) -> LogRange<'_> {
        LogRange { log: self, at: from, end: to }
    }
}

impl Read for LogRange<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at).min(READ_BYTES);
        let size = left.min(buffer.len() as u64) as usize;
        self.log.read_at(&mut buffer[..size], self.at).map_err(io::Error::other)?;
        self.at += size as u64;
        Ok(size)
    }
}
