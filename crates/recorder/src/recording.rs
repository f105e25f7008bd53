//! The way of a byte: held back, masked, appended, indexed, scanned; and the journal beside it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use stepflow_markers::{Found, Scanner};
use stepflow_model::{
    Event, EventKind, ExecutionState, Spec, Stream,
    steps::{self, At},
};
use stepflow_record::{JournalWriter, RecordError, Writer};
use stepflow_sys::clock::{Clock, Stamp};

use crate::mask::Masker;

/// A wall clock that jumps back further than this is worth a line in the journal.
const JUMP_NS: i64 = 1_000_000_000;

/// What the data path wants done.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    /// A critical step failed: stop the script, with this message.
    pub(crate) stop: Option<String>,
    /// Files to collect: number and path.
    pub(crate) artifacts: Vec<(u32, String)>,
    /// Something happened that a power cut must not take.
    pub(crate) sync: bool,
}

/// One execution's record, being written.
pub(crate) struct Recording {
    pub(crate) writer: Writer,
    pub(crate) journal: JournalWriter,
    pub(crate) state: ExecutionState,
    pub(crate) clock: Clock,
    pub(crate) wants: Wants,
    stop_on_error: bool,
    maskers: [Masker; 2],
    /// `None` after a panic: it records on without steps.
    scanners: Option<[Scanner; 2]>,
    /// Where the present stream's run of bytes began: no line piece reaches back beyond.
    run_start: u64,
    stream: Stream,
    /// Decided bytes that a full disk refused.
    refused: Vec<(Stream, Vec<u8>)>,
    /// What the disk said last, while it refuses.
    trouble: Option<String>,
    announced_trouble: bool,
    jump_noted: bool,
}

impl Recording {
    pub(crate) fn create(dir: &Path, spec: &Spec, masker: Masker) -> Result<Self, RecordError> {
        Ok(Self {
            writer: Writer::create(dir)?,
            journal: JournalWriter::create(dir)?,
            state: ExecutionState::new(spec),
            clock: Clock::default(),
            wants: Wants::default(),
            stop_on_error: spec.stop_on_error,
            maskers: [masker.clone(), masker],
            scanners: Some([Scanner::new(), Scanner::new()]),
            run_start: 0,
            stream: Stream::Stdout,
            refused: Vec::new(),
            trouble: None,
            announced_trouble: false,
            jump_noted: false,
        })
    }

    /// Takes what one read brought.
    pub(crate) fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let stamp = self.stamp();
        let mut masker = std::mem::take(&mut self.maskers[stream as usize]);
        let decided = masker.push(bytes);
        self.append(stream, decided, stamp);
        self.maskers[stream as usize] = masker;
    }

    /// A stream has ended: nothing is held back any more, its last half line counts as whole.
    pub(crate) fn end_stream(&mut self, stream: Stream) {
        let stamp = self.stamp();
        let mut masker = std::mem::take(&mut self.maskers[stream as usize]);
        self.append(stream, masker.finish(), stamp);
        self.maskers[stream as usize] = masker;
        if self.refused.is_empty() {
            self.finish_scan(stream);
        }
    }

    /// Whether the disk refuses; the script waits then.
    pub(crate) fn is_blocked(&self) -> bool {
        self.trouble.is_some()
    }

    /// Tries again what the disk refused.
    pub(crate) fn retry(&mut self) {
        self.trouble = None;
        let stamp = self.stamp();
        for (stream, bytes) in std::mem::take(&mut self.refused) {
            self.append(stream, &bytes, stamp);
        }
        let flushed = self.journal.flush();
        self.note_trouble(flushed);
        self.close_entry();
        if self.trouble.is_none() && std::mem::take(&mut self.announced_trouble) {
            self.emit(EventKind::Resumed {});
        }
    }

    /// Records what is in the open index entry.
    pub(crate) fn close_entry(&mut self) {
        let closed = self.writer.close_entry();
        self.note_trouble(closed);
    }

    /// Appends an event that belongs behind everything printed so far.
    pub(crate) fn emit(&mut self, kind: EventKind) {
        let (offset, lines) = self.writer.appended();
        self.emit_at(kind, offset, lines);
    }

    fn emit_at(&mut self, kind: EventKind, offset: u64, lines: u64) {
        // The journal follows the output: nothing is announced before it is recorded.
        self.close_entry();
        let stamp = self.stamp();
        let position = self.state.summary.position;
        let event = Event {
            seq: position.seq + 1,
            time_us: stamp.wall_ns / 1_000,
            at_us: stamp.at_us,
            offset: offset.max(position.bytes),
            lines: lines.max(position.lines),
            kind,
        };
        self.state.apply(&event);
        let appended = self.journal.append(&event);
        self.note_trouble(appended);
    }

    fn stamp(&mut self) -> Stamp {
        let stamp = self.clock.stamp();
        if stamp.went_back_ns > JUMP_NS && !std::mem::replace(&mut self.jump_noted, true) {
            let seconds = stamp.went_back_ns / JUMP_NS;
            self.emit(EventKind::Warning {
                code: "clock_jump".to_owned(),
                message: format!(
                    "the system clock went back by {seconds} s: times stand still until it catches up"
                ),
            });
        }
        stamp
    }

    fn note_trouble(&mut self, result: Result<(), RecordError>) {
        if let Err(error) = result
            && self.trouble.is_none()
        {
            let cause = std::error::Error::source(&error).map(|s| format!(": {s}"));
            let why = format!("{error}{}", cause.unwrap_or_default());
            self.trouble = Some(why.clone());
            if !std::mem::replace(&mut self.announced_trouble, true) {
                self.emit(EventKind::Paused { why });
            }
        }
    }

    fn append(&mut self, stream: Stream, bytes: &[u8], stamp: Stamp) {
        if bytes.is_empty() {
            return;
        }
        if self.is_blocked() || !self.refused.is_empty() {
            self.refused.push((stream, bytes.to_vec()));
            return;
        }
        let (base, _) = self.writer.appended();
        if stream != self.stream {
            self.stream = stream;
            self.run_start = base;
        }
        let (count, result) = self.writer.append(stream, bytes, stamp.wall_ns, stamp.at_us);
        if count < bytes.len() {
            self.refused.push((stream, bytes[count..].to_vec()));
        }
        self.note_trouble(result);
        self.scan(stream, &bytes[..count], base);
    }

    fn scan(&mut self, stream: Stream, bytes: &[u8], base: u64) {
        let mut found = Vec::new();
        self.guarded(|scanners| {
            scanners[stream as usize].push(bytes, base, &mut |f| found.push(f));
        });
        if found.is_empty() {
            return;
        }
        let (_, lines) = self.writer.appended();
        let line_ends_from = |at: u64| {
            let tail = &bytes[at.saturating_sub(base) as usize..];
            lines - memchr::memchr_iter(b'\n', tail).count() as u64
        };
        let places: Vec<_> = found.into_iter().map(|f| (line_ends_from(f.end), f)).collect();
        for (ended, found) in places {
            self.act(found, ended.saturating_sub(1), ended);
        }
    }

    fn finish_scan(&mut self, stream: Stream) {
        let mut found = Vec::new();
        self.guarded(|scanners| scanners[stream as usize].finish(&mut |f| found.push(f)));
        let (_, lines) = self.writer.appended();
        for found in found {
            self.act(found, lines, lines + 1);
        }
    }

    /// A scanner that panics must not end the script: from then on there are no more steps.
    fn guarded(&mut self, scan: impl FnOnce(&mut [Scanner; 2])) {
        let Some(mut scanners) = self.scanners.take() else { return };
        match catch_unwind(AssertUnwindSafe(|| {
            scan(&mut scanners);
            scanners
        })) {
            Ok(scanners) => self.scanners = Some(scanners),
            Err(_) => self.emit(EventKind::Warning {
                code: "scanner_panic".to_owned(),
                message: "reading markers failed inside StepFlow: the output is recorded on, \
                          without further steps; please report this"
                    .to_owned(),
            }),
        }
    }

    /// Carries out a marker whose line begins after `lines_before` lines and ends the
    /// `lines_after`th.
    fn act(&mut self, found: Found, lines_before: u64, lines_after: u64) {
        let start = found.start.max(self.run_start);
        let marker = match found.outcome {
            Ok(marker) => marker,
            Err(error) => {
                let kind = EventKind::Warning {
                    code: "marker_refused".to_owned(),
                    message: error.to_string(),
                };
                return self.emit_at(kind, start, lines_before);
            }
        };
        let decision = steps::decide(&self.state, &marker, self.stop_on_error);
        for (at, kind) in decision.events {
            match &kind {
                EventKind::Artifact { artifact, path, .. } => {
                    self.wants.artifacts.push((*artifact, path.clone()));
                    self.wants.sync = true;
                }
                EventKind::StepStarted { .. } | EventKind::StepFinished { .. } => {
                    self.wants.sync = true;
                }
                _ => {}
            }
            match at {
                At::LineStart => self.emit_at(kind, start, lines_before),
                At::LineEnd => self.emit_at(kind, found.end, lines_after),
            }
        }
        if self.wants.stop.is_none() {
            self.wants.stop = decision.stop;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stepflow_model::Source;
    use stepflow_record::LogReader;

    use super::*;

    fn recording(dir: &Path) -> Recording {
        let spec = Spec {
            id: "0198c2aa-0000-7000-8000-000000000001".parse().unwrap(),
            name: String::new(),
            command: vec!["true".into()],
            cwd: "/".into(),
            env: BTreeMap::new(),
            env_inherited: vec![],
            mask_env: vec![],
            tags: vec![],
            metadata: serde_json::Map::new(),
            user: String::new(),
            created_us: 0,
            source: Source::Cli,
            bound: false,
            timeout_ms: None,
            grace_ms: 0,
            drain_ms: 0,
            stop_on_error: false,
            split_stderr: false,
            shell: false,
        };
        Recording::create(dir, &spec, Masker::default()).unwrap()
    }

    #[test]
    fn a_panic_in_the_scanner_costs_the_steps_and_no_byte() {
        let dir = tempfile::tempdir().unwrap();
        let mut recording = recording(dir.path());
        recording.take(Stream::Stdout, b"STEP_START:A\n");
        recording.guarded(|_| panic!("injected"));
        recording.take(Stream::Stdout, b"STEP_START:B\nlast\n");
        recording.close_entry();
        assert_eq!(recording.state.steps.len(), 1, "recorded on without steps");
        assert_eq!(recording.state.annotations[0].code, "scanner_panic");
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        assert_eq!(log.position().unwrap(), (31, 3));
    }

    #[test]
    fn nothing_is_announced_before_it_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let mut recording = recording(dir.path());
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        recording.take(Stream::Stdout, b"x\nSTEP_START:A\ny\nSTEP_COMPLETE:A\n");
        let step = &recording.state.steps[0];
        let (bytes, lines) = log.position().unwrap();
        assert!(step.end_offset.unwrap() <= bytes && step.last_line.unwrap() <= lines);
        assert_eq!((step.first_line, step.last_line), (2, Some(4)));
    }
}
