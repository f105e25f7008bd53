//! Checked JSON lines: each ends in `,"crc":"xxxxxxxx"}` over all bytes before that.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::Serialize;
use stepflow_model::{Event, EventKind, Note};

use crate::RecordError;

const VERSION: u64 = 1;
/// A journal line is never longer; a longer one is damage.
const LINE_BYTES_MAX: usize = 1 << 20;

/// `value` as a line with its checksum and line feed.
pub(crate) fn seal_line(value: &impl Serialize, path: &Path) -> Result<Vec<u8>, RecordError> {
    let mut line = serde_json::to_vec(value)
        .map_err(|error| RecordError::Damaged { path: path.to_owned(), why: error.to_string() })?;
    line.pop(); // The closing brace.
    let crc = crc32c::crc32c(&line);
    line.extend_from_slice(format!(",\"crc\":\"{crc:08x}\"}}\n").as_bytes());
    Ok(line)
}

/// The line itself if its checksum holds. A line feed is not part of it.
pub(crate) fn proven(line: &[u8]) -> Option<&[u8]> {
    const TAIL: usize = r#","crc":"00000000"}"#.len();
    let at = line.len().checked_sub(TAIL)?;
    let tail = std::str::from_utf8(&line[at..]).ok()?;
    let hex = tail.strip_prefix(",\"crc\":\"")?.strip_suffix("\"}")?;
    // Compared as text: parsing would let `A` pass for `a`, and `+` for `0`.
    (format!("{:08x}", crc32c::crc32c(&line[..at])) == hex).then_some(line)
}

#[derive(Serialize)]
struct Header {
    format: &'static str,
    v: u64,
}

/// Appends events to `journal.ndjson`.
#[derive(Debug)]
pub struct JournalWriter {
    file: File,
    path: PathBuf,
    /// Bytes of a line that a full disk cut; they go first when space is back.
    unwritten: Vec<u8>,
}

impl JournalWriter {
    /// Creates the journal of a new record.
    pub fn create(dir: &Path) -> Result<Self, RecordError> {
        let path = dir.join("journal.ndjson");
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(RecordError::io("create", &path))?;
        let header = seal_line(&Header { format: "stepflow-journal", v: VERSION }, &path)?;
        let mut journal = Self { file, path, unwritten: header };
        journal.flush()?;
        Ok(journal)
    }

    /// Appends one event. After an error nothing is lost: [`JournalWriter::flush`] goes on.
    pub fn append(&mut self, event: &Event) -> Result<(), RecordError> {
        let line = seal_line(event, &self.path)?;
        self.unwritten.extend_from_slice(&line);
        self.flush()
    }

    /// Writes what a full disk held back.
    pub fn flush(&mut self) -> Result<(), RecordError> {
        while !self.unwritten.is_empty() {
            match self.file.write(&self.unwritten) {
                Ok(written) => drop(self.unwritten.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RecordError::io("write", &self.path)(error)),
            }
        }
        Ok(())
    }

    /// Makes what is written durable.
    pub fn sync(&self) -> Result<(), RecordError> {
        self.file.sync_data().map_err(RecordError::io("sync", &self.path))
    }

    /// A second handle, for a thread that syncs.
    pub fn handle(&self) -> Result<File, RecordError> {
        self.file.try_clone().map_err(RecordError::io("open", &self.path))
    }
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
        let path = dir.join("journal.ndjson");
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
