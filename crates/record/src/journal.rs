//! Checked JSON lines: each ends in `,"crc":"xxxxxxxx"}` over all bytes before that.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::Serialize;
use stepflow_model::{Event, EventKind, Note};

use crate::{RecordError, append::Appender};

pub(crate) const VERSION: u64 = 1;
/// The journal's file.
pub(crate) const NAME: &str = "journal.ndjson";
/// A journal line is never longer; a longer one is damage.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// `value` as a line with its checksum and line feed.
pub(crate) fn seal_line(value: &impl Serialize, path: &Path) -> Result<Vec<u8>, RecordError> {
    let mut line = Vec::with_capacity(256);
    seal_into(&mut line, value, path)?;
    Ok(line)
}

/// The same at the end of `lines`, which stays as it was on an error.
pub(crate) fn seal_into(
    lines: &mut Vec<u8>,
    value: &impl Serialize,
    path: &Path,
) -> Result<(), RecordError> {
    let before = lines.len();
    if let Err(error) = serde_json::to_writer(&mut *lines, value) {
        lines.truncate(before);
        return Err(RecordError::Damaged { path: path.to_owned(), why: error.to_string() });
    }
    lines.pop(); // The closing brace.
    let crc = crc32c::crc32c(&lines[before..]);
    // Writing to a vector cannot fail.
    let _ = writeln!(lines, ",\"crc\":\"{crc:08x}\"}}");
    Ok(())
}

/// The line itself if its checksum holds. A line feed is not part of it.
pub(crate) fn proven(line: &[u8]) -> Option<&[u8]> {
    let (at, hex) = checksum(line)?;
    // Compared as text: parsing would let `A` pass for `a`, and `+` for `0`.
    (format!("{:08x}", crc32c::crc32c(&line[..at])) == hex).then_some(line)
}

/// Where a line's checksum stands, and its digits, whether it holds or not.
pub(crate) fn checksum(line: &[u8]) -> Option<(usize, &str)> {
    const TAIL: usize = r#","crc":"00000000"}"#.len();
    let at = line.len().checked_sub(TAIL)?;
    let tail = std::str::from_utf8(&line[at..]).ok()?;
    Some((at, tail.strip_prefix(",\"crc\":\"")?.strip_suffix("\"}")?))
}

#[derive(Serialize)]
pub(crate) struct Header {
    pub(crate) format: &'static str,
    pub(crate) v: u64,
}

/// Appends events to `journal.ndjson`.
#[derive(Debug)]
pub struct JournalWriter {
    file: Appender,
    dir: PathBuf,
    /// Bytes of lines that a full disk cut, or that go out together; first in, first out.
    unwritten: Vec<u8>,
    held: bool,
}

impl JournalWriter {
    /// Creates the journal of a new record.
    pub fn create(dir: &Path) -> Result<Self, RecordError> {
        let path = dir.join(NAME);
        let file = Appender::create_or_open(dir, NAME).map_err(RecordError::io("create", &path))?;
        let header = seal_line(&Header { format: "stepflow-journal", v: VERSION }, &path)?;
        let mut journal = Self { file, dir: dir.to_owned(), unwritten: header, held: false };
        journal.flush()?;
        Ok(journal)
    }

    /// Goes on with the journal of a recovered record.
    pub fn resume(dir: &Path) -> Result<Self, RecordError> {
        match std::fs::metadata(dir.join(NAME)) {
            Ok(meta) if meta.len() > 0 => Ok(Self {
                file: Appender::closed(NAME),
                dir: dir.to_owned(),
                unwritten: Vec::new(),
                held: false,
            }),
            // Its writer was gone before the first line was whole.
            _ => Self::create(dir),
        }
    }

    /// Appends one event. After an error nothing is lost: [`JournalWriter::flush`] goes on.
    pub fn append(&mut self, event: &Event) -> Result<(), RecordError> {
        let line = seal_line(event, &self.dir.join(NAME))?;
        self.unwritten.extend_from_slice(&line);
        self.flush()
    }

    /// Lets events come together until [`JournalWriter::release`] writes them at once.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Writes what was held.
    pub fn release(&mut self) -> Result<(), RecordError> {
        self.held = false;
        self.flush()
    }

    /// Writes what a full disk held back.
    pub fn flush(&mut self) -> Result<(), RecordError> {
        while !self.held && !self.unwritten.is_empty() {
            match self.file.write(&self.dir, &self.unwritten) {
                Ok(written) => drop(self.unwritten.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RecordError::io("write", &self.dir.join(NAME))(error)),
            }
        }
        Ok(())
    }

    /// Makes what is written durable.
    pub fn sync(&mut self) -> Result<(), RecordError> {
        let synced = self.file.file(&self.dir).and_then(File::sync_data);
        synced.map_err(RecordError::io("sync", &self.dir.join(NAME)))
    }

    /// Writes every byte of the journal again, in its place, and syncs: after a failed sync the
    /// kernel takes pages for clean that never reached the disk, and a later sync skips them.
    pub fn rewrite(&mut self) -> Result<(), RecordError> {
        let path = self.dir.join(NAME);
        let rewrite = || {
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            let mut piece = vec![0; 64 * 1024];
            let mut at = 0;
            loop {
                match file.read_at(&mut piece, at) {
                    Ok(0) => return file.sync_all(),
                    Ok(count) => {
                        file.write_all_at(&piece[..count], at)?;
                        at += count as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        };
        rewrite().map_err(RecordError::io("sync", &path))
    }

    /// Keeps room on the disk for at least so many bytes behind the end, for when the disk is full.
    pub fn reserve(&mut self, bytes: u64) {
        self.file.reserve(bytes);
    }

    /// Keeps all of it again. Whether there is as much as was asked for, or can be none.
    pub fn refill_reserve(&mut self) -> bool {
        self.file.refill_reserve()
    }

    /// How much of what is kept is left.
    pub fn room(&self) -> u64 {
        self.file.room().saturating_sub(self.unwritten.len() as u64)
    }

    /// Gives back what was kept: nothing more will be written.
    pub fn give_reserve_back(&mut self) {
        self.file.give_reserve_back();
    }

    /// How long the journal is, what a full disk holds back included.
    pub fn size(&self) -> Result<u64, RecordError> {
        let path = self.dir.join(NAME);
        let meta = std::fs::metadata(&path).map_err(RecordError::io("look at", &path))?;
        Ok(meta.len() + self.unwritten.len() as u64)
    }

    /// A second handle, for a thread that syncs.
    pub fn handle(&mut self) -> Result<File, RecordError> {
        let handle = self.file.file(&self.dir).and_then(File::try_clone);
        handle.map_err(RecordError::io("open", &self.dir.join(NAME)))
    }

    /// Closes the file; whatever writes next opens it again.
    pub fn close_files(&mut self) {
        self.file.close();
    }

    /// Descriptors in use.
    pub fn open_files(&self) -> usize {
        usize::from(self.file.is_open())
    }
}

/// All events of a recovered journal, each with the offset of its line in the file.
pub fn read_journal(dir: &Path) -> Result<Vec<(u64, Event)>, RecordError> {
    let Some(mut reader) = JournalReader::open(dir)? else { return Ok(Vec::new()) };
    let path = dir.join(NAME);
    let bytes = std::fs::read(&path).map_err(RecordError::io("read", &path))?;
    let mut placed = Vec::new();
    let mut events = Vec::new();
    let mut at = 0;
    while let Some(end) = memchr::memchr(b'\n', &bytes[at..]) {
        reader.take_line(&bytes[at..at + end], &mut events)?;
        placed.extend(events.drain(..).map(|event| (at as u64, event)));
        at += end + 1;
    }
    Ok(placed)
}

/// Follows a journal that may still grow.
#[derive(Debug)]
pub struct JournalReader {
    file: File,
    path: PathBuf,
    at: u64,
    seq: u64,
    header_seen: bool,
    /// Lines whose checksum does not hold: seen, counted, never used.
    pub damaged_lines: u64,
}

impl JournalReader {
    /// Opens the journal; `Ok(None)` if the recorder has not made it yet.
    pub fn open(dir: &Path) -> Result<Option<Self>, RecordError> {
        let path = dir.join(NAME);
        match File::open(&path) {
            Ok(file) => {
                Ok(Some(Self { file, path, at: 0, seq: 0, header_seen: false, damaged_lines: 0 }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RecordError::io("open", &path)(error)),
        }
    }

    /// The events that were added since the last call, at most about 1 MiB of them; empty: no more.
    pub fn read_new(&mut self) -> Result<Vec<Event>, RecordError> {
        let mut events = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut have = 0;
        loop {
            let got = match self.file.read_at(&mut buffer[have..], self.at + have as u64) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(RecordError::io("read", &self.path)(error)),
            };
            have += got;
            let mut used = 0;
            while let Some(end) = memchr::memchr(b'\n', &buffer[used..have]) {
                self.take_line(&buffer[used..used + end], &mut events)?;
                used += end + 1;
            }
            self.at += used as u64;
            if got == 0 {
                return Ok(events); // A half line waits for its rest.
            }
            if used > 0 {
                if self.at % (1 << 20) < used as u64 && !events.is_empty() {
                    return Ok(events);
                }
                buffer.copy_within(used..have, 0);
                have -= used;
            } else if have == buffer.len() {
                if have >= LINE_BYTES_MAX {
                    self.damaged_lines += 1;
                    self.at += have as u64;
                    have = 0;
                } else {
                    buffer.resize(buffer.len() * 2, 0);
                }
            }
        }
    }

    /// Bytes of the journal that have been read as whole lines.
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// The last event's number.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    fn take_line(&mut self, line: &[u8], events: &mut Vec<Event>) -> Result<(), RecordError> {
        let Some(body) = proven(line) else {
            self.damaged_lines += 1;
            return Ok(());
        };
        if !self.header_seen {
            self.header_seen = true;
            #[derive(serde::Deserialize)]
            struct Header {
                v: u64,
            }
            if let Ok(header) = serde_json::from_slice::<Header>(body) {
                if header.v > VERSION {
                    return Err(RecordError::TooNew {
                        path: self.path.clone(),
                        found: header.v,
                        supported: VERSION,
                    });
                }
                return Ok(());
            }
        }
        let Some(event) = serde_json::from_slice::<Event>(body).ok().or_else(|| unknown(body))
        else {
            self.damaged_lines += 1;
            return Ok(());
        };
        self.seq = self.seq.max(event.seq);
        events.push(event);
        Ok(())
    }
}

/// An event of a kind that this build does not know keeps its place.
fn unknown(body: &[u8]) -> Option<Event> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        seq: u64,
        time_us: i64,
        at_us: u64,
        offset: u64,
        lines: u64,
    }
    let Envelope { seq, time_us, at_us, offset, lines } = serde_json::from_slice(body).ok()?;
    Some(Event { seq, time_us, at_us, offset, lines, kind: EventKind::Unknown })
}

/// Appends a note to a record, synced. The caller holds the writer lock.
pub fn append_note(dir: &Path, note: &Note) -> Result<(), RecordError> {
    let path = dir.join("notes.ndjson");
    let mut file = OpenOptions::new()
        .append(true)
        .read(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(RecordError::io("open", &path))?;
    let size = file.metadata().map_err(RecordError::io("look at", &path))?.len();
    let mut bytes = Vec::new();
    if size == 0 {
        bytes = seal_line(&Header { format: "stepflow-notes", v: VERSION }, &path)?;
    } else {
        let mut last = [0];
        file.read_exact_at(&mut last, size - 1).map_err(RecordError::io("read", &path))?;
        if last != *b"\n" {
            bytes.push(b'\n'); // A torn note: it stays, its checksum refuses it.
        }
    }
    bytes.extend(seal_line(note, &path)?);
    file.write_all(&bytes).map_err(RecordError::io("write", &path))?;
    file.sync_all().map_err(RecordError::io("sync", &path))?;
    crate::layout::sync_dir(dir)
}

/// All notes whose checksum holds.
pub fn read_notes(dir: &Path) -> Result<Vec<Note>, RecordError> {
    let path = dir.join("notes.ndjson");
    let mut bytes = Vec::new();
    match File::open(&path) {
        Ok(mut file) => {
            file.read_to_end(&mut bytes).map_err(RecordError::io("read", &path))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(RecordError::io("open", &path)(error)),
    }
    Ok(bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(proven(line)?).ok())
        .collect())
}
