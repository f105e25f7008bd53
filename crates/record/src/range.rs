//! A range of the output, as a stream of bytes.

use std::io::{self, Read, Write};

use stepflow_model::Dropped;

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

impl LogReader {
    /// Copies what is kept of the bytes from `from` up to `to`; `missing` hears of what is not, once
    /// and where it stood. Returns how many bytes were copied.
    pub fn copy_kept(
        &self,
        from: u64,
        to: u64,
        out: &mut dyn Write,
        missing: &mut dyn FnMut(Dropped) -> io::Result<()>,
    ) -> io::Result<u64> {
        let (mut at, mut copied) = (from, 0);
        let mut buffer = Vec::new();
        while at < to {
            let gone = self.dropped().map_err(io::Error::other)?;
            if let Some(gone) = gone.filter(|gone| gone.holds(at)) {
                missing(gone)?;
                at = gone.to;
                continue;
            }
            let stop = gone.filter(|gone| gone.from > at).map_or(to, |gone| gone.from.min(to));
            buffer.resize((stop - at).min(READ_BYTES) as usize, 0);
            self.read_at(&mut buffer, at).map_err(io::Error::other)?;
            let end = at + buffer.len() as u64;
            let gone = self.dropped().map_err(io::Error::other)?;
            if gone.is_some_and(|gone| gone.touches(at, end)) {
                continue; // It went while it was read.
            }
            out.write_all(&buffer)?;
            copied += buffer.len() as u64;
            at = end;
        }
        Ok(copied)
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
