//! Going on with a record whose recorder is gone, as if nothing had happened.
//!
//! Output leads, the journal follows: some lines may be recorded whose markers were never acted on,
//! and a power cut may have taken any tail of either file. So recorded output is read again from a
//! line before the last event that came from it. What that gives has been journaled up to some
//! point, event for event; from there on it is new.

use std::{collections::VecDeque, path::Path};

use stepflow_markers::dialects::At;
use stepflow_model::{Event, EventKind, Spec, StepStatus, Stream, steps};
use stepflow_record::{
    JournalWriter, LogReader, RecordError, Writer, cut_journal, read_journal, recover_to_resume,
};
use stepflow_sys::clock::{Clock, Stamp};

use super::Recording;
use crate::mask::Masker;

/// Recorded output is read again in pieces of this size.
const PIECE: u64 = 64 * 1024;
/// No more output than this is always read again from its beginning.
const WHOLE: u64 = 1024 * 1024;

/// Journaled events from some line on, and the time of what is read again.
pub(super) struct Replay {
    /// With the offset of each one's line in the journal.
    known: VecDeque<(u64, Event)>,
    /// Events up to this output offset were decided by other rules than ours, and stand.
    settled: Option<u64>,
    /// When the output that is read again was read first.
    read_ns: i64,
    /// The last event's times.
    last: (i64, u64),
}

impl Replay {
    /// Takes an event that reading again gave. Returns the journaled events that come before it,
    /// itself included if it is one of them, and whether it is new.
    pub(super) fn meet(&mut self, kind: &EventKind, offset: u64, lines: u64) -> (Vec<Event>, bool) {
        if self.settled.is_some_and(|settled| offset <= settled) {
            return (Vec::new(), false);
        }
        let events = |known: &mut VecDeque<(u64, Event)>, count: usize| {
            known.drain(..count).map(|(_, event)| event).collect()
        };
        let Some(at) = self.known.iter().position(|(_, event)| event.kind.is_from_output()) else {
            let rest = self.known.len();
            return (events(&mut self.known, rest), true);
        };
        // No event is journaled before the one in front of it, whatever line it is about: a line that
        // was held back is decided behind what another dialect made of the next one.
        let before = at.checked_sub(1).map(|before| &self.known[before].1);
        let offset = before.map_or(offset, |before| offset.max(before.offset));
        let lines = before.map_or(lines, |before| lines.max(before.lines));
        let next = &self.known[at].1;
        if next.kind == *kind && next.offset == offset && next.lines == lines {
            return (events(&mut self.known, at + 1), false);
        }
        // Another version of StepFlow wrote this journal and read the markers differently.
        let last = self.known.iter().rev().find(|(_, event)| event.kind.is_from_output());
        self.settled = last.map(|(_, event)| event.offset);
        let rest = self.known.len();
        (events(&mut self.known, rest), false)
    }

    /// The time of an event that was not journaled: that of its output.
    pub(super) fn stamp(&mut self) -> Stamp {
        let (time_us, at_us) = self.last;
        let read_us = (self.read_ns / 1_000).max(time_us);
        self.last = (read_us, at_us + (read_us - time_us) as u64);
        Stamp { wall_ns: read_us * 1_000, at_us: self.last.1, went_back_ns: 0, went_on_ns: 0 }
    }
}

impl Recording {
    /// Goes on with the record in `dir`, whose recorder is gone: as it would be if that had recorded
    /// the same bytes. The caller is the only one who writes to it.
    pub(crate) fn resume(dir: &Path, spec: &Spec, masker: Masker) -> Result<Self, RecordError> {
        recover_to_resume(dir)?;
        let writer = Writer::resume(dir)?;
        let (bytes, _) = writer.recorded();
        let mut events = read_journal(dir)?;
        // Nothing that stands behind recorded output is true any more, nor is half an end.
        let ended = |event: &Event| matches!(event.kind, EventKind::Exited { .. });
        let half_end = |event: &Event| matches!(&event.kind, EventKind::StepFinished { by, .. } if by == "end");
        let whole = events.iter().any(|(_, event)| ended(event) && event.offset <= bytes);
        let hangs = |event: &Event| event.offset > bytes || (!whole && half_end(event));
        if let Some(at) = events.iter().position(|(_, event)| hangs(event)) {
            cut_journal(dir, events[at].0)?;
            events.truncate(at);
        }
        let mut recording = Self::new(spec, masker.clone(), writer, JournalWriter::resume(dir)?);
        recording.rewind(masker)?;
        let warned = |wanted| {
            let is = |event: &Event| matches!(&event.kind, EventKind::Warning { code, .. } if code == wanted);
            events.iter().any(|(_, event)| is(event))
        };
        if warned("scanner_panic") {
            recording.hearing.dialects = None;
        } else if warned("dialect_panic") {
            recording.own_markers_alone();
        }
        let log = LogReader::open(dir)?;
        let last_ns = log.as_ref().map_or(Ok(None), LogReader::last_time_ns)?.unwrap_or(0);
        let last =
            events.last().map_or((last_ns / 1_000, 0), |(_, event)| (event.time_us, event.at_us));
        recording.clock = Clock::resume(last.1, last.0 * 1_000).not_before(last_ns);

        if whole {
            for (_, event) in &events {
                recording.state.apply(event);
            }
            return Ok(recording);
        }
        let anchor = match &log {
            Some(log) => {
                // What dialects know follows from all that was printed. One that nobody has noticed
                // yet knows nothing but the line or two before.
                let detected = |event: &Event| matches!(event.kind, EventKind::Detected { .. });
                let anchor = if bytes <= WHOLE || events.iter().any(|(_, e)| detected(e)) {
                    0
                } else {
                    anchor(&events, log)?
                };
                match log.dropped()? {
                    Some(gone) if anchor < gone.to => line_start_behind(log, gone.to, bytes)?,
                    _ => anchor,
                }
            }
            None => 0,
        };
        // No event from output is at the anchor itself, unless it is the beginning.
        let from = events
            .iter()
            .position(|(_, event)| event.kind.is_from_output() && event.offset >= anchor)
            .unwrap_or(events.len());
        let known: VecDeque<_> = events.split_off(from).into();
        for (_, event) in &events {
            recording.apply_known(event);
        }
        recording.take_over();
        recording.replay = Some(Replay { known, settled: None, read_ns: last_ns, last });
        if let Some(log) = &log {
            recording.read_again(log, anchor, bytes)?;
        }
        if let Some(mut replay) = recording.replay.take() {
            // Their line is not whole any more: it will come again, and they with it.
            let lost = replay.known.iter().position(|(_, event)| event.kind.is_from_output());
            if let Some(lost) = lost {
                cut_journal(dir, replay.known[lost].0)?;
                replay.known.truncate(lost);
            }
            for (_, event) in &replay.known {
                recording.apply_known(event);
            }
        }
        if recording.progress.due_us().is_some() {
            recording.tell_progress();
        }
        recording.agree();
        recording.rewind_gate()?;
        if recording.state.secrets > 0 {
            recording.emit(EventKind::Warning {
                code: "mask_lost".to_owned(),
                message: "secrets that the output declared before its recorder went away are not \
                          known any more: they are not masked from here on"
                    .to_owned(),
            });
        }
        Ok(recording)
    }

    /// Folds a journaled event. A critical step that failed counts at the end, whoever saw it.
    pub(super) fn apply_known(&mut self, event: &Event) {
        self.state.apply(event);
        if let EventKind::StepFinished { step, status: StepStatus::Failed, error, by, .. } =
            &event.kind
            && by == "marker"
            && self.wants.stop.is_none()
            && let Some(step) = self.state.steps.get(*step as usize)
        {
            let error = error.as_deref().unwrap_or_default();
            self.wants.stop = steps::critical_failure(step, error, self.hearing.stop_on_error);
        }
    }

    /// Looks for markers in recorded output from `from`, the beginning of a line, to `until`.
    fn read_again(&mut self, log: &LogReader, from: u64, until: u64) -> Result<(), RecordError> {
        let mut at = from;
        let mut lines = if from == 0 { 0 } else { log.line_at(from)? - 1 };
        self.line_start = from;
        let stream = self.hearing.stream(Stream::Stdout);
        if from > 0 && log.dropped()?.is_some_and(|gone| gone.to <= from) {
            // Behind a gap nobody knows that a line begins here; if none does, this is no marker.
            let mut before = [0];
            log.read_at(&mut before, from - 1)?;
            if before != *b"\n" {
                let at = At { offset: from - 1, lines, floor: 0 };
                self.guarded(|dialects| dialects.push_at(stream, b"x", at, &mut |_| {}));
            }
        }
        let mut piece = Vec::new();
        while at < until {
            piece.resize(PIECE.min(until - at) as usize, 0);
            log.read_at(&mut piece, at)?;
            let mut said = Vec::new();
            let here = At { offset: at, lines, floor: 0 };
            let whole =
                self.guarded(|d| d.push_at(stream, &piece, here, &mut |event| said.push(event)));
            let mut rest = said.as_slice();
            while let Some(first) = rest.first() {
                // All that one line says, at the time of that line.
                let count = rest.iter().take_while(|event| event.place == first.place).count();
                let (line, after) = rest.split_at(count);
                rest = after;
                if let Some(replay) = &mut self.replay
                    && let Some(line) = log.lines_from_offset(first.place.start, 1)?.first()
                {
                    replay.read_ns = line.time_ns;
                }
                self.act(line.to_vec());
            }
            if !whole {
                self.fall_back();
            }
            lines += memchr::memchr_iter(b'\n', &piece).count() as u64;
            if let Some(end) = memchr::memrchr(b'\n', &piece) {
                self.line_start = at + end as u64 + 1;
            }
            at += piece.len() as u64;
        }
        Ok(())
    }
}

/// The beginning of a line before the last event that came from output, such that no such event is
/// exactly there: which line an event there belongs to would be open.
fn anchor(events: &[(u64, Event)], log: &LogReader) -> Result<u64, RecordError> {
    let mut high = None;
    for (_, event) in events.iter().rev().filter(|(_, event)| event.kind.is_from_output()) {
        if let Some(high) = high
            && event.offset < high
            && let Some(start) = last_line_start(log, event.offset, high)?
        {
            return Ok(start);
        }
        high = Some(event.offset);
    }
    Ok(0)
}

/// The first beginning of a line behind `offset`, where output begins again whose markers were acted
/// on long ago; `until` if there is none.
fn line_start_behind(log: &LogReader, offset: u64, until: u64) -> Result<u64, RecordError> {
    let (mut at, mut piece) = (offset, Vec::new());
    while at < until {
        piece.resize(PIECE.min(until - at) as usize, 0);
        log.read_at(&mut piece, at)?;
        if let Some(feed) = memchr::memchr(b'\n', &piece) {
            return Ok(at + feed as u64 + 1);
        }
        at += piece.len() as u64;
    }
    Ok(until)
}

/// The last beginning of a line that lies between `low` and `high`, and is neither.
fn last_line_start(log: &LogReader, low: u64, high: u64) -> Result<Option<u64>, RecordError> {
    let mut until = high - 1;
    let mut piece = Vec::new();
    while low < until {
        let from = until.saturating_sub(PIECE).max(low);
        piece.resize((until - from) as usize, 0);
        log.read_at(&mut piece, from)?;
        if let Some(at) = memchr::memrchr(b'\n', &piece) {
            return Ok(Some(from + at as u64 + 1));
        }
        until = from;
    }
    Ok(None)
}
