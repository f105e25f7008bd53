//! Records that are over when they are made: imported ones, written in one go.
//!
//! The same files as a recorder writes, without its syncs: the caller makes thousands of them and
//! then syncs the file system once.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use stepflow_model::{Event, EventKind, ExecutionState, Position, Spec};

use crate::{
    RecordError, Storage,
    index::{Entry, Flags, HEADER},
    journal::{Header, LINE_BYTES_MAX, VERSION, seal_into},
    layout::{SPEC_BYTES_MAX, SPEC_VERSION, Versioned},
    write::ENTRY_OUTPUT_MAX,
};

/// Bytes of a file that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// One file of the record: gathered, then written.
#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    file: Option<File>,
}

impl Part {
    fn begin(&mut self) {
        self.bytes.clear();
        self.file = None;
    }

    fn spill(&mut self, dir: &Path, name: &str) -> Result<(), RecordError> {
        if self.bytes.len() < BUFFER_BYTES {
            return Ok(());
        }
        self.write(dir, name)
    }

    fn write(&mut self, dir: &Path, name: &str) -> Result<(), RecordError> {
        let path = dir.join(name);
        let mut file = match self.file.take() {
            Some(file) => file,
            // An unfinished earlier attempt is written over.
            None => OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)
                .map_err(RecordError::io("create", &path))?,
        };
        file.write_all(&self.bytes).map_err(RecordError::io("write", &path))?;
        self.bytes.clear();
        self.file = Some(file);
        Ok(())
    }
}

/// The memory of one writer after another.
#[derive(Debug, Default)]
pub struct WholeBuffers {
    output: Part,
    index: Part,
    journal: Part,
}

/// A record in the making. Until [`WholeRecord::finish`] it has no spec, so nobody sees it.
#[derive(Debug)]
pub struct WholeRecord<'a> {
    buffers: &'a mut WholeBuffers,
    dir: PathBuf,
    spec: Vec<u8>,
    state: ExecutionState,
    base_us: i64,
    bytes: u64,
    lines: u64,
    seq: u64,
    /// The open entry: where it begins in the output and in the buffer, and its time.
    open: Option<(u64, usize, i64)>,
    digest: Sha256,
}

impl<'a> WholeRecord<'a> {
    /// Begins a record; what an unfinished attempt left is written over. Monotonic times count
    /// from `base_us`, microseconds UTC.
    pub fn begin(
        storage: &Storage,
        spec: &Spec,
        base_us: i64,
        buffers: &'a mut WholeBuffers,
    ) -> Result<Self, RecordError> {
        let dir = storage.record_dir(spec.id);
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(RecordError::io("create", &dir)(error));
            }
            _ => {}
        }
        let path = dir.join("spec.json");
        let mut line = Vec::with_capacity(512);
        seal_into(&mut line, &Versioned { v: SPEC_VERSION, spec: spec.clone() }, &path)?;
        if line.len() as u64 > SPEC_BYTES_MAX {
            let why = format!("larger than {SPEC_BYTES_MAX} bytes");
            return Err(RecordError::Damaged { path, why });
        }
        for part in [&mut buffers.output, &mut buffers.index, &mut buffers.journal] {
            part.begin();
        }
        buffers.index.bytes.extend_from_slice(&HEADER);
        let header = Header { format: "stepflow-journal", v: VERSION };
        seal_into(&mut buffers.journal.bytes, &header, &dir)?;
        Ok(Self {
            buffers,
            dir,
            spec: line,
            state: ExecutionState::new(spec),
            base_us,
            bytes: 0,
            lines: 0,
            seq: 0,
            open: None,
            digest: Sha256::new(),
        })
    }

    /// The state after the events so far.
    pub fn state(&self) -> &ExecutionState {
        &self.state
    }

    /// Appends a line, which contains no line feed, printed at `time_ns`.
    pub fn line(&mut self, text: &[u8], time_ns: i64) -> Result<(), RecordError> {
        if self.open.is_some_and(|(from, _, time)| {
            time != time_ns || self.bytes - from + text.len() as u64 >= ENTRY_OUTPUT_MAX
        }) {
            self.close_entry()?;
        }
        // Long lines take several entries: none covers more than readers take at once.
        for piece in text.chunks(ENTRY_OUTPUT_MAX as usize) {
            self.append(piece, time_ns);
            if piece.len() as u64 == ENTRY_OUTPUT_MAX {
                self.close_entry()?;
            }
        }
        self.lines += 1;
        self.append(b"\n", time_ns);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], time_ns: i64) {
        let output = &mut self.buffers.output.bytes;
        self.open.get_or_insert((self.bytes, output.len(), time_ns));
        output.extend_from_slice(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn close_entry(&mut self) -> Result<(), RecordError> {
        let Some((_, at, time_ns)) = self.open.take() else { return Ok(()) };
        let mut entry = Entry {
            byte_end: self.bytes,
            line_end: self.lines,
            time_ns,
            flags: Flags::default(),
            crc: 0,
        };
        entry.seal_over(&self.buffers.output.bytes[at..]);
        let encoded = entry.encode();
        self.digest.update(encoded);
        self.buffers.index.bytes.extend_from_slice(&encoded);
        // Only now: an open entry's bytes are still needed.
        self.buffers.output.spill(&self.dir, "output.log")?;
        self.buffers.index.spill(&self.dir, "output.idx")
    }

    /// Appends an event that happened at `time_us`, at the end of what was appended so far.
    ///
    /// # Errors
    /// [`RecordError::Damaged`] if it is longer than a journal's line may be; nothing is appended.
    pub fn event(&mut self, kind: EventKind, time_us: i64) -> Result<(), RecordError> {
        let event = Event {
            seq: self.seq + 1,
            time_us,
            at_us: u64::try_from(time_us.saturating_sub(self.base_us)).unwrap_or(0),
            offset: self.bytes,
            lines: self.lines,
            kind,
        };
        let path = self.dir.join("journal.ndjson");
        let journal = &mut self.buffers.journal;
        let before = journal.bytes.len();
        seal_into(&mut journal.bytes, &event, &path)?;
        if journal.bytes.len() - before > LINE_BYTES_MAX {
            journal.bytes.truncate(before);
            let why = format!("an event is longer than {LINE_BYTES_MAX} bytes");
            return Err(RecordError::Damaged { path, why });
        }
        journal.spill(&self.dir, "journal.ndjson")?;
        self.seq = event.seq;
        self.state.apply(&event);
        Ok(())
    }

    /// The digest that the end carries: over all entries so far.
    pub fn digest(&mut self) -> Result<String, RecordError> {
        self.close_entry()?;
        Ok(crate::write::hex(&self.digest.clone().finalize()))
    }

    /// Writes the record, its spec last. Nothing is synced. Returns the state to be shown.
    pub fn finish(mut self) -> Result<ExecutionState, RecordError> {
        self.close_entry()?;
        self.buffers.output.write(&self.dir, "output.log")?;
        self.buffers.index.write(&self.dir, "output.idx")?;
        self.buffers.journal.write(&self.dir, "journal.ndjson")?;
        Part { bytes: self.spec, file: None }.write(&self.dir, "spec.json")?;
        self.state.summary.position =
            Position { bytes: self.bytes, lines: self.lines, seq: self.seq };
        Ok(self.state)
    }
}
