//! The one place that appends output and index.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use stepflow_model::Stream;

use crate::{
    RecordError,
    append::Appender,
    gap,
    index::{ENTRY_BYTES, Entry, Flags, HEADER},
    short,
};

/// Reads of one stream that follow one another share an entry within this time.
pub const ENTRY_AGE_MAX: Duration = Duration::from_millis(5);
/// Reads of one stream share an entry up to this size.
pub(crate) const ENTRY_OUTPUT_MAX: u64 = 64 * 1024;

/// Kept behind the end of the index, when asked for.
const INDEX_RESERVE: u64 = 4096;

#[derive(Debug)]
struct Open {
    from: u64,
    time_ns: i64,
    due_us: u64,
    flags: u32,
    crc: u32,
}

/// Appends output. Bytes count as recorded once their index entry is written: call
/// [`Writer::close_entry`] when [`Writer::entry_due_us`] says so, before each sync and at the end.
#[derive(Debug)]
pub struct Writer {
    output: Appender,
    index: Appender,
    dir: PathBuf,
    /// Bytes written to `output.log`.
    bytes: u64,
    /// Lines ended in them.
    lines: u64,
    at_line_start: bool,
    stream: Stream,
    /// What is appended next does not go on the half line before it.
    ends_half_line: bool,
    /// Streams whose half line the other one cut: their next piece continues it.
    cut: [bool; 2],
    open: Option<Open>,
    /// When the entry before it was due.
    due_before_us: u64,
    /// Entry bytes that a full disk held back.
    unwritten: Vec<u8>,
    recorded: (u64, u64),
    digest: Sha256,
    /// All entries, while they are few.
    entries: Option<Vec<u8>>,
    /// Nothing counts as recorded before the disk has it.
    synced_first: bool,
    /// What the disk said to that, the first time it failed.
    sync_error: Option<RecordError>,
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Writer {
    /// Creates output and index of a new record.
    pub fn create(dir: &Path) -> Result<Self, RecordError> {
        let create = |name: &'static str| {
            Appender::create(dir, name).map_err(RecordError::io("create", &dir.join(name)))
        };
        let mut writer = Self::at_start(dir, create("output.log")?, create("output.idx")?);
        writer.unwritten = HEADER.to_vec();
        writer.flush_index()?;
        Ok(writer)
    }

    /// Goes on where a writer that is gone stopped. The record has been recovered; the caller is the
    /// only one who writes to it.
    pub fn resume(dir: &Path) -> Result<Self, RecordError> {
        let path = dir.join("output.idx");
        let mut index = match File::open(&path) {
            Ok(index) => index,
            // It was gone before it had made its files; a recovered output has an index.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::create(dir),
            Err(error) => return Err(RecordError::io("open", &path)(error)),
        };
        let mut writer =
            Self::at_start(dir, Appender::closed("output.log"), Appender::closed("output.idx"));
        let mut entries = vec![0; 1024 * ENTRY_BYTES as usize];
        let mut header = [0; ENTRY_BYTES as usize];
        let read = RecordError::io("read", &path);
        let mut digest_all = || {
            index.read_exact(&mut header)?;
            loop {
                let mut have = 0;
                while have < entries.len() {
                    match index.read(&mut entries[have..])? {
                        0 => break,
                        count => have += count,
                    }
                }
                let whole = have - have % ENTRY_BYTES as usize;
                writer.count_in(&entries[..whole]);
                if let Some(last) = entries[..whole].last_chunk() {
                    let last = Entry::decode(*last);
                    writer.bytes = last.byte_end;
                    writer.lines = last.line_end;
                    writer.stream = last.flags.stream();
                }
                if have < entries.len() {
                    return io::Result::Ok(());
                }
            }
        };
        digest_all().map_err(read)?;
        writer.recorded = (writer.bytes, writer.lines);
        if let Some(last) = writer.bytes.checked_sub(1) {
            let path = dir.join("output.log");
            let mut byte = [0];
            File::open(&path)
                .and_then(|output| output.read_exact_at(&mut byte, last))
                .map_err(RecordError::io("read", &path))?;
            writer.at_line_start = byte == *b"\n";
        }
        Ok(writer)
    }

    fn at_start(dir: &Path, output: Appender, index: Appender) -> Self {
        Self {
            output,
            index,
            dir: dir.to_owned(),
            bytes: 0,
            lines: 0,
            at_line_start: true,
            stream: Stream::Stdout,
            ends_half_line: false,
            cut: [false; 2],
            open: None,
            due_before_us: 0,
            unwritten: Vec::new(),
            recorded: (0, 0),
            digest: Sha256::new(),
            entries: Some(Vec::new()),
            synced_first: false,
            sync_error: None,
        }
    }

    /// From now on output is synced before its index entry is written, and the entry after that:
    /// no reader sees what a power cut can take.
    pub fn sync_first(&mut self) {
        self.synced_first = true;
    }

    /// What the disk said the first time such a sync failed; output is recorded on regardless.
    pub fn take_sync_error(&mut self) -> Option<RecordError> {
        self.sync_error.take()
    }

    fn sync_now(&mut self, file: fn(&mut Self) -> (&mut Appender, &'static str)) {
        let dir = self.dir.clone();
        let (appender, name) = file(self);
        let synced = appender.file(&dir).and_then(File::sync_data);
        if let Err(error) = synced
            && self.sync_error.is_none()
        {
            self.sync_error = Some(self.failed(name, error));
        }
    }

    /// Closes the files; whatever writes next opens them again. The open entry is not affected.
    pub fn close_files(&mut self) {
        self.output.close();
        self.index.close();
    }

    /// Descriptors in use.
    pub fn open_files(&self) -> usize {
        usize::from(self.output.is_open()) + usize::from(self.index.is_open())
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
        if (stream != self.stream || self.ends_half_line)
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
            } else if self.ends_half_line && !self.at_line_start {
                flags |= Flags::BREAK;
                self.lines += 1;
            }
            self.ends_half_line = false;
            if std::mem::take(&mut self.cut[stream as usize]) {
                flags |= Flags::CONTINUED;
            }
            self.stream = stream;
            // What comes after a pause is seen at once, what follows it together.
            let age_us = ENTRY_AGE_MAX.as_micros() as u64;
            let due_us = (self.due_before_us + age_us).clamp(at_us, at_us + age_us);
            self.due_before_us = due_us;
            self.open = Some(Open { from: self.bytes, time_ns, due_us, flags, crc: 0 });
        }
        let mut written = 0;
        while written < bytes.len() {
            match self.output.write(&self.dir, &bytes[written..]) {
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

    /// Output is missing here: what is appended next begins a line, whatever stands before it.
    pub fn end_half_line(&mut self) {
        self.ends_half_line = true;
    }

    /// Whether what is appended next begins a line.
    pub fn is_at_line_start(&self) -> bool {
        self.at_line_start
    }

    /// Fills `buffer` with what was appended at `offset`; what is gone by policy reads as zeros: see
    /// [`Writer::gone`].
    pub fn read_back(&self, buffer: &mut [u8], offset: u64) -> Result<(), RecordError> {
        let path = self.dir.join("output.log");
        File::open(&path)
            .and_then(|output| output.read_exact_at(buffer, offset))
            .map_err(RecordError::io("read", &path))
    }

    /// What of the output is gone by policy.
    pub fn gone(&self) -> Result<Option<stepflow_model::Dropped>, RecordError> {
        gap::load(&self.dir)
    }

    /// How many bytes at the end of the output are `byte`.
    pub fn trailing(&self, byte: u8) -> Result<u64, RecordError> {
        let count = || {
            let output = File::open(self.dir.join("output.log"))?;
            let mut piece = [0; 4096];
            let mut from = self.bytes;
            while from > 0 {
                let size = from.min(piece.len() as u64);
                from -= size;
                let piece = &mut piece[..size as usize];
                output.read_exact_at(piece, from)?;
                if let Some(other) = piece.iter().rposition(|known| *known != byte) {
                    return io::Result::Ok(self.bytes - (from + other as u64 + 1));
                }
            }
            Ok(self.bytes)
        };
        count().map_err(RecordError::io("read", &self.dir.join("output.log")))
    }

    /// When the open entry must be closed, in microseconds of the recorder's clock.
    pub fn entry_due_us(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.due_us)
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
            self.count_in(&encoded);
            self.unwritten.extend_from_slice(&encoded);
            if self.synced_first {
                self.sync_now(|writer| (&mut writer.output, "output.log"));
                self.flush_index()?;
                self.sync_now(|writer| (&mut writer.index, "output.idx"));
            }
        }
        self.flush_index()
    }

    fn count_in(&mut self, encoded: &[u8]) {
        self.digest.update(encoded);
        if let Some(entries) = &mut self.entries {
            entries.extend_from_slice(encoded);
            if entries.len() > short::ENTRIES_MAX * ENTRY_BYTES as usize {
                self.entries = None;
            }
        }
    }

    /// The whole index, for the end to carry, where that spares its file; `journal` is how long the
    /// journal is before the end. To be followed by [`Writer::remove_index`] once the end is durable.
    pub fn short_index(&self, journal: u64) -> Option<String> {
        let entries = self.entries.as_ref().filter(|_| self.open.is_none())?;
        short::carried(entries, journal)
    }

    /// Removes `output.idx`, which the end carries: nothing more will be written.
    pub fn remove_index(&mut self) {
        self.index.close();
        // Where it cannot be removed there are two of the same.
        let _ = fs::remove_file(self.dir.join("output.idx"));
    }

    /// The record's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
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
        hex(&self.digest.clone().finalize())
    }

    /// Makes everything recorded durable.
    pub fn sync(&mut self) -> Result<(), RecordError> {
        let output = self.output.file(&self.dir).and_then(File::sync_data);
        output.map_err(|error| self.failed("output.log", error))?;
        let index = self.index.file(&self.dir).and_then(File::sync_data);
        index.map_err(|error| self.failed("output.idx", error))
    }

    /// Keeps room on the disk for a page of index entries, for when the disk is full: what output it
    /// still takes can be indexed.
    pub fn reserve(&mut self) {
        self.index.reserve(INDEX_RESERVE);
    }

    /// Keeps all of it again. Whether there is as much as was asked for, or can be none.
    pub fn refill_reserve(&mut self) -> bool {
        self.index.refill_reserve()
    }

    /// Gives it back: nothing more will be written.
    pub fn give_reserve_back(&mut self) {
        self.index.give_reserve_back();
    }

    /// Second handles of output and index, for a thread that syncs.
    pub fn handles(&mut self) -> Result<(File, File), RecordError> {
        let output = self.output.file(&self.dir).and_then(File::try_clone);
        let output = output.map_err(|error| self.failed("output.log", error))?;
        let index = self.index.file(&self.dir).and_then(File::try_clone);
        Ok((output, index.map_err(|error| self.failed("output.idx", error))?))
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
            match self.index.write(&self.dir, &self.unwritten) {
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
