//! The one place that appends output and index.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use stepflow_model::Stream;

use crate::{
    RecordError,
    index::{Entry, Flags, HEADER},
};

/// Reads of one stream share an entry within this time.
pub const ENTRY_AGE_MAX: Duration = Duration::from_millis(5);
/// Reads of one stream share an entry up to this size.
const ENTRY_OUTPUT_MAX: u64 = 64 * 1024;

#[derive(Debug)]
struct Open {
    from: u64,
    time_ns: i64,
    opened_at_us: u64,
    flags: u32,
    crc: u32,
}

/// Appends output. Bytes count as recorded once their index entry is written: call
/// [`Writer::close_entry`] when [`Writer::entry_due_us`] says so, before each sync and at the end.
#[derive(Debug)]
pub struct Writer {
    output: File,
    index: File,
    dir: PathBuf,
    /// Bytes written to `output.log`.
    bytes: u64,
    /// Lines ended in them.
    lines: u64,
    at_line_start: bool,
    stream: Stream,
    /// Streams whose half line the other one cut: their next piece continues it.
    cut: [bool; 2],
    open: Option<Open>,
    /// Entry bytes that a full disk held back.
    unwritten: Vec<u8>,
    recorded: (u64, u64),
    digest: Sha256,
}

fn create(path: &Path) -> Result<File, RecordError> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(RecordError::io("create", path))
}

impl Writer {
    /// Creates output and index of a new record.
    pub fn create(dir: &Path) -> Result<Self, RecordError> {
        let output = create(&dir.join("output.log"))?;
        let index = create(&dir.join("output.idx"))?;
        let mut writer = Self {
            output,
            index,
            dir: dir.to_owned(),
            bytes: 0,
            lines: 0,
            at_line_start: true,
            stream: Stream::Stdout,
            cut: [false; 2],
            open: None,
            unwritten: HEADER.to_vec(),
            recorded: (0, 0),
            digest: Sha256::new(),
        };
        writer.flush_index()?;
        Ok(writer)
    }

    /// Appends `bytes`. Returns how many were written: fewer than all only with an error beside
    /// it (a full disk); calling again with the rest goes on exactly there.
    pub fn append(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        time_ns: i64,
        at_us: u64,
    ) -> (usize, Result<(), RecordError>) {
        if bytes.is_empty() {
            return (0, Ok(()));
        }
        if stream != self.stream
            && let Err(error) = self.close_entry()
        {
            return (0, Err(error));
        }
        if self.open.is_none() {
            let mut flags = if stream == Stream::Stderr { Flags::STDERR } else { 0 };
            if stream != self.stream && !self.at_line_start {
                // The other stream's half line counts as ended here; numbers never change later.
                flags |= Flags::BREAK;
                self.lines += 1;
                self.cut[self.stream as usize] = true;
            }
            if std::mem::take(&mut self.cut[stream as usize]) {
                flags |= Flags::CONTINUED;
            }
            self.stream = stream;
            self.open =
                Some(Open { from: self.bytes, time_ns, opened_at_us: at_us, flags, crc: 0 });
        }
        let mut written = 0;
        while written < bytes.len() {
            match self.output.write(&bytes[written..]) {
                Ok(0) => {
                    let error = io::ErrorKind::WriteZero.into();
                    return (written, Err(self.failed("output.log", error)));
                }
                Ok(count) => {
                    self.account(&bytes[written..written + count]);
                    written += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(self.failed("output.log", error))),
            }
        }
        let full = self.open.as_ref().is_some_and(|o| self.bytes - o.from >= ENTRY_OUTPUT_MAX);
        (written, if full { self.close_entry() } else { Ok(()) })
    }

    /// When the open entry must be closed, in microseconds of the recorder's clock.
    pub fn entry_due_us(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.opened_at_us + ENTRY_AGE_MAX.as_micros() as u64)
    }

    /// Closes the open entry: what was appended is recorded once this returns.
    pub fn close_entry(&mut self) -> Result<(), RecordError> {
        if let Some(open) = self.open.take()
            && self.bytes > open.from
        {
            let mut entry = Entry {
                byte_end: self.bytes,
                line_end: self.lines,
                time_ns: open.time_ns,
                flags: Flags(open.flags),
                crc: 0,
            };
            entry.seal(open.crc, self.bytes - open.from);
            let encoded = entry.encode();
            self.digest.update(encoded);
            self.unwritten.extend_from_slice(&encoded);
        }
        self.flush_index()
    }

    /// Recorded bytes and lines: what readers see.
    pub fn recorded(&self) -> (u64, u64) {
        self.recorded
    }

    /// Bytes and lines appended, recorded or about to be.
    pub fn appended(&self) -> (u64, u64) {
        (self.bytes, self.lines)
    }

    /// SHA-256 over all entries so far, hex. Each entry holds its bytes' checksum.
    pub fn digest(&self) -> String {
        use std::fmt::Write;
        self.digest.clone().finalize().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Makes everything recorded durable.
    pub fn sync(&self) -> Result<(), RecordError> {
        self.output.sync_data().map_err(|error| self.failed("output.log", error))?;
        self.index.sync_data().map_err(|error| self.failed("output.idx", error))
    }

    /// Second handles of output and index, for a thread that syncs.
    pub fn handles(&self) -> Result<(File, File), RecordError> {
        let clone =
            |file: &File| file.try_clone().map_err(|error| self.failed("output.log", error));
        Ok((clone(&self.output)?, clone(&self.index)?))
    }

    fn account(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.at_line_start = bytes.last() == Some(&b'\n');
        if let Some(open) = &mut self.open {
            open.crc = crc32c::crc32c_append(open.crc, bytes);
        }
    }

    fn flush_index(&mut self) -> Result<(), RecordError> {
        while !self.unwritten.is_empty() {
            match self.index.write(&self.unwritten) {
                Ok(count) => drop(self.unwritten.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("output.idx", error)),
            }
        }
        if self.open.is_none() {
            self.recorded = (self.bytes, self.lines);
        }
        Ok(())
    }

    fn failed(&self, name: &str, error: io::Error) -> RecordError {
        RecordError::io("write", &self.dir.join(name))(error)
    }
}
