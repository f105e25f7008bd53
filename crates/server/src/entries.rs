//! Log lines as the original's entries: time, content, level; chunk by chunk, however long the log.

use std::collections::HashSet;

use stepflow_api::rfc3339_ns;
use stepflow_engine::Handle;
use stepflow_model::{EventKind, Stream};
use stepflow_record::{LogReader, RecordError};

use crate::lines;

/// Log bytes that are read at once. More than the longest piece of a line.
const CHUNK_BYTES: u64 = 256 * 1024;
/// Most lines of a chunk: a hundred bytes each, however short.
const CHUNK_LINES: usize = 4_096;

/// A part of the log and the step that it belongs to: from, to before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) step: Option<u32>,
}

/// The whole log up to `end` in its order, cut where the step changes.
pub(crate) fn parts(handle: &Handle, end: u64) -> Vec<Part> {
    handle.read(|state| {
        // Before the first step, and unless the first step says otherwise, nobody owns the log.
        let first = (0, 0, None);
        let owners = std::iter::once(&first).chain(&state.owners);
        let ends = state.owners.iter().map(|next| next.0).chain([end]);
        let parts = owners.zip(ends);
        parts
            .map(|(owner, until)| Part { from: owner.0, until: until.min(end), step: owner.2 })
            .filter(|part| part.from < part.until)
            .collect()
    })
}

/// Where the lines of markers that had an effect begin, or end: the journal says so. As in the
/// original, they are not part of the log that these entries make.
#[derive(Debug, Default)]
struct Markers {
    starts: HashSet<u64>,
    ends: HashSet<u64>,
}

impl Markers {
    fn read(handle: &Handle) -> Result<Self, RecordError> {
        let mut markers = Self::default();
        if handle.read(|state| state.summary.origin.is_some()) {
            return Ok(markers); // The original left them out of its logs.
        }
        let Some(mut journal) = handle.journal()? else { return Ok(markers) };
        loop {
            let events = journal.read_new()?;
            if events.is_empty() {
                return Ok(markers);
            }
            for event in events {
                match event.kind {
                    EventKind::StepStarted { .. }
                    | EventKind::Artifact { .. }
                    | EventKind::Meta { .. } => {
                        markers.starts.insert(event.offset);
                    }
                    EventKind::StepFinished { by, .. } if by == "marker" => {
                        markers.ends.insert(event.offset);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// One line, or a piece of one that is longer than is delivered at once.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) time_ns: i64,
    pub(crate) text: String,
    pub(crate) stream: Stream,
    pub(crate) number: u64,
    /// Output offset behind it.
    pub(crate) end: u64,
    /// No line end follows yet.
    pub(crate) partial: bool,
}

impl Entry {
    /// The original's three keys, without the closing brace.
    pub(crate) fn open_json(&self, json: &mut String) -> serde_json::Result<()> {
        json.push_str("{\"timestamp\":\"");
        json.push_str(&rfc3339_ns(self.time_ns));
        json.push_str("\",\"content\":");
        json.push_str(&serde_json::to_string(&self.text)?);
        json.push_str(",\"level\":\"info\"");
        Ok(())
    }
}

/// Reads entries. Holds one chunk at a time.
#[derive(Debug)]
pub(crate) struct Entries {
    log: LogReader,
    markers: Markers,
}

impl Entries {
    /// Of `handle`'s log. Blocks.
    pub(crate) fn new(handle: &Handle, log: LogReader) -> Result<Self, RecordError> {
        Ok(Self { log, markers: Markers::read(handle)? })
    }

    /// The entries of one chunk of `part`, and where to go on; `None`: the part is done. Blocks.
    pub(crate) fn chunk(&self, part: Part) -> Result<(Vec<Entry>, Option<u64>), RecordError> {
        let bytes = CHUNK_BYTES.min(part.until - part.from);
        let (mut pieces, mut next) =
            lines::by_offset(&self.log, part.from, (bytes, CHUNK_LINES), true)?;
        pieces.retain(|piece| piece.offset < part.until);
        // A line that the chunk's end cuts is read whole by the next one.
        if next < part.until && pieces.len() > 1 && pieces.last().is_some_and(|last| last.partial) {
            next = pieces.pop().map_or(next, |last| last.offset);
        }
        let markers = &self.markers;
        let shown = pieces.into_iter().filter(|piece| {
            !markers.starts.contains(&piece.offset) && !markers.ends.contains(&piece.end)
        });
        let entries = shown.map(|piece| {
            let text = String::from_utf8_lossy(&piece.text);
            Entry {
                time_ns: piece.time_ns,
                text: text.strip_suffix('\r').unwrap_or(&text).to_owned(),
                stream: piece.stream,
                number: piece.number,
                end: piece.end,
                partial: piece.partial,
            }
        });
        let goes_on = part.from < next && next < part.until;
        Ok((entries.collect(), goes_on.then_some(next)))
    }
}
