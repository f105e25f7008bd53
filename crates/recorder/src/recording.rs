//! The way of a byte: held back, masked, appended, indexed, scanned; and the journal beside it.

mod full; // a disk that does not take what there is
mod hear; // what the output says
mod limit; // output that outgrows its limit
mod replay; // going on with a record whose recorder is gone

use std::{path::Path, time::Duration};

use stepflow_markers::dialects::{At, Gate, Piece};
use stepflow_model::{
    Event, EventKind, ExecutionState, LogSync, OnDiskFull, Reason, Spec, Status, Stream,
};
use stepflow_record::{JournalWriter, RecordError, Writer};
use stepflow_sys::clock::{Clock, Stamp};

use self::{
    full::{Dropping, Lost},
    hear::Hearing,
    limit::Limit,
    replay::Replay,
};
use crate::{
    durable::Durable,
    mask::Masker,
    progress::{Progress, Said},
    session::RETRY_US,
    worker::Files,
};

/// A wall clock that jumps back further than this is worth a line in the journal.
const JUMP_NS: i64 = 1_000_000_000;
/// A clock that leaps for ever is told of this often.
const LEAPS_MAX: u32 = 16;

/// An end before the start is tried to be written this often.
const UNSTARTED_TRIES: usize = 20;
/// A journal whose sync fails is written again this often.
const REWRITES_MAX: usize = 8;

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
    progress: Progress,
    maskers: [Masker; 2],
    /// What the output itself declares to be secret.
    gate: Gate,
    hearing: Hearing,
    /// Where the present stream's run of bytes began: no line piece reaches back beyond.
    run_start: u64,
    stream: Stream,
    /// Decided bytes that a full disk refused.
    refused: Vec<(Stream, Vec<u8>)>,
    /// What the disk said last, while it refuses.
    trouble: Option<String>,
    announced_trouble: bool,
    /// The disk does not say that it is full: it fails.
    failing: bool,
    /// Output that was given up since that was said last; `None`: none is.
    lost: Option<Lost>,
    /// The policy is to drop what the disk does not take.
    dropping: Option<Dropping>,
    /// Room for the end is kept on the disk.
    reserving: bool,
    jump_noted: bool,
    leaps_noted: u32,
    /// Where the half line at the end begins.
    line_start: u64,
    /// How many of the bytes decided next are appended already.
    known: u64,
    /// What was journaled already, while recorded output is read again.
    replay: Option<Replay>,
    limit: Option<Limit>,
    told_not_dropped: bool,
    /// What the disk said to a sync of [`Recording::mind_limit`].
    pub(crate) sync_error: Option<RecordError>,
    /// Events since they were last taken, for who folds them in this process.
    pub(crate) fresh: Option<Vec<Event>>,
}

impl Recording {
    pub(crate) fn create(dir: &Path, spec: &Spec, masker: Masker) -> Result<Self, RecordError> {
        let mut writer = Writer::create(dir)?;
        if spec.log_sync == LogSync::Always {
            writer.sync_first();
        }
        Ok(Self::new(spec, masker, writer, JournalWriter::create(dir)?))
    }

    fn new(spec: &Spec, masker: Masker, writer: Writer, journal: JournalWriter) -> Self {
        Self {
            writer,
            journal,
            state: ExecutionState::new(spec),
            clock: Clock::default(),
            wants: Wants::default(),
            progress: Progress::default(),
            hearing: Hearing::new(spec, &masker),
            maskers: [masker.clone(), masker],
            gate: Gate::new(&spec.dialects()),
            run_start: 0,
            stream: Stream::Stdout,
            refused: Vec::new(),
            trouble: None,
            announced_trouble: false,
            failing: false,
            lost: None,
            dropping: (spec.on_disk_full == OnDiskFull::Drop).then(Dropping::default),
            reserving: false,
            jump_noted: false,
            leaps_noted: 0,
            line_start: 0,
            known: 0,
            replay: None,
            limit: Limit::new(spec),
            told_not_dropped: false,
            sync_error: None,
            fresh: None,
        }
    }

    /// Asks `durable` for a sync if it is time, or brings it about; says aloud what failed.
    /// `urgent`: something happened that a power cut must not take.
    pub(crate) fn make_durable(&mut self, durable: &mut Durable) {
        let urgent = std::mem::take(&mut self.wants.sync);
        if let Some(why) = durable.hear() {
            self.sync_failed(durable.safe(), why);
        }
        if let Some(error) = self.sync_error.take()
            && let Some(why) = durable.fail(&error)
        {
            self.sync_failed(durable.safe(), why);
        }
        if durable.is_synced_first() {
            self.close_due_entry();
            let failure = match self.writer.take_sync_error() {
                Some(error) => durable.fail(&error),
                None => None,
            };
            let (recorded, _) = self.writer.recorded();
            let failure = failure.or_else(|| {
                (recorded > durable.safe() && !durable.has_failed())
                    .then(|| self.journal.sync())
                    .and_then(|synced| match synced {
                        Ok(()) => {
                            durable.synced(recorded);
                            None
                        }
                        Err(error) => durable.fail(&error),
                    })
            });
            if let Some(why) = failure {
                self.sync_failed(durable.safe(), why);
            }
        }
        let now = self.clock.at_us();
        if !durable.wants_sync(self.writer.recorded().0, now, urgent) {
            return;
        }
        self.close_entry();
        if durable.is_idle()
            && let (Ok((output, index)), Ok(journal)) =
                (self.writer.handles(), self.journal.handle())
        {
            // Without a thread there is no sync before the end, and `safe` says so.
            let _ = durable.start(Files::new(output, index, journal));
        }
        durable.ask(self.writer.recorded().0, now);
    }

    /// Makes output and index durable, here and now. They are safe once the journal is, too:
    /// [`Recording::sync_end`].
    pub(crate) fn sync_output(&mut self, durable: &mut Durable) {
        self.close_entry();
        if let Some(why) = durable.hear_all() {
            self.sync_failed(durable.safe(), why);
        }
        if let Err(error) = self.writer.sync()
            && let Some(why) = durable.fail(&error)
        {
            self.sync_failed(durable.safe(), why);
        }
    }

    /// Ends a record whose start cannot be made durable, so that no script may be released.
    pub(crate) fn end_unstarted(&mut self, error: &dyn std::error::Error) {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        self.emit(EventKind::Exited {
            status: Status::Failed,
            reason: Some(Reason::StartFailed),
            exit_code: None,
            signal: None,
            core: false,
            message: Some(format!("the start could not be made durable: {error}{cause}")),
            digest: self.writer.digest(),
            index: None,
            leftover: Vec::new(),
        });
        // A disk that is full or ill for a moment still learns that nothing was started.
        for _ in 0..UNSTARTED_TRIES {
            if !self.is_blocked() && self.journal.rewrite().is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_micros(RETRY_US));
            self.retry();
        }
    }

    /// Makes the journal's end durable. Where a sync has failed it is written again: what it says of
    /// that is in pages that the kernel may take for clean.
    pub(crate) fn sync_end(&mut self, durable: &mut Durable) {
        for _ in 0..REWRITES_MAX {
            if self.is_blocked() {
                // What is said of the failure was refused as well.
                std::thread::sleep(Duration::from_micros(RETRY_US));
                self.retry();
            }
            let synced =
                if durable.has_failed() { self.journal.rewrite() } else { self.journal.sync() };
            match synced {
                Ok(()) if self.is_blocked() => {}
                Ok(()) => return durable.synced(self.writer.recorded().0),
                Err(error) => {
                    if let Some(why) = durable.fail(&error) {
                        self.sync_failed(durable.safe(), why);
                    }
                }
            }
        }
    }

    fn sync_failed(&mut self, safe: u64, why: String) {
        self.emit(EventKind::SyncFailed { safe, why });
    }

    fn close_due_entry(&mut self) {
        if self.writer.entry_due_us().is_some_and(|due| due <= self.clock.at_us()) {
            self.close_entry();
        }
    }

    /// Forgets what was taken and is not appended: held back by a mask, or refused by the disk. Its
    /// source sends it again.
    ///
    /// A mask that is not appended whole must be decided anew from its beginning: what stands there
    /// already is left out.
    pub(crate) fn rewind(&mut self, masker: Masker) -> Result<(), RecordError> {
        self.refused.clear();
        let mut masker = masker;
        for secret in &self.hearing.declared {
            masker.add(secret);
        }
        self.known = if masker.is_idle() { 0 } else { self.writer.trailing(b'*')? };
        self.hearing.words = masker.forgetful();
        self.maskers = [masker.clone(), masker];
        self.rewind_gate()
    }

    /// As [`Recording::rewind`], with the masks that there are.
    pub(crate) fn forget(&mut self) {
        let masker = self.maskers[0].forgetful();
        if let Err(error) = self.rewind(masker) {
            self.note_trouble(Err(error));
        }
    }

    /// Where `bytes`, at `at`, differ from what is appended there. Masked streams are not compared.
    pub(crate) fn first_difference(
        &self,
        at: u64,
        bytes: &[u8],
    ) -> Result<Option<u64>, RecordError> {
        let there = self.offset().saturating_sub(at).min(bytes.len() as u64) as usize;
        if !self.maskers[0].is_idle() || there == 0 {
            return Ok(None);
        }
        let mut known = vec![0; there];
        self.writer.read_back(&mut known, at)?;
        // What is gone by policy cannot be compared any more.
        let gone = self.writer.gone()?;
        let is_gone = |offset| gone.is_some_and(|gone| gone.holds(at + offset as u64));
        let mut pairs = known.iter().zip(bytes).enumerate();
        let same = pairs
            .find(|(offset, (known, byte))| known != byte && !is_gone(*offset))
            .map(|(offset, _)| offset);
        Ok(same.map(|differs| at + differs as u64))
    }

    /// Bytes of the stream, from its beginning, that need not be sent again.
    pub(crate) fn offset(&self) -> u64 {
        self.writer.appended().0 - self.known
    }

    /// Bytes that were taken and are not appended yet.
    pub(crate) fn in_hand(&self) -> u64 {
        let held = self.maskers.iter().map(Masker::held).sum::<usize>() + self.gate.held();
        let refused: usize = self.refused.iter().map(|(_, bytes)| bytes.len()).sum();
        (held + refused) as u64
    }

    /// Takes what one read brought.
    pub(crate) fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let stamp = self.stamp();
        let mut gate = std::mem::take(&mut self.gate);
        gate.push(self.hearing.stream(stream), bytes, &mut |piece| self.pass(stream, piece, stamp));
        self.gate = gate;
        self.mind_limit();
    }

    /// Takes what the gate has let through.
    fn pass(&mut self, stream: Stream, piece: Piece<'_>, stamp: Stamp) {
        match piece {
            Piece::Bytes(bytes) => {
                let mut masker = std::mem::take(&mut self.maskers[stream as usize]);
                let decided = self.unknown(masker.push(bytes));
                self.append(stream, decided, stamp);
                self.maskers[stream as usize] = masker;
            }
            Piece::Secret(secret) => self.hide(stream, secret),
        }
    }

    /// What of `decided` is not appended already.
    fn unknown<'a>(&mut self, decided: &'a [u8]) -> &'a [u8] {
        let known = decided.len().min(self.known as usize);
        self.known -= known as u64;
        &decided[known..]
    }

    /// A stream has ended: nothing is held back any more, its last half line counts as whole.
    pub(crate) fn end_stream(&mut self, stream: Stream) {
        let stamp = self.stamp();
        let mut gate = std::mem::take(&mut self.gate);
        gate.finish(self.hearing.stream(stream), &mut |piece| self.pass(stream, piece, stamp));
        self.gate = gate;
        let mut masker = std::mem::take(&mut self.maskers[stream as usize]);
        let decided = self.unknown(masker.finish());
        self.append(stream, decided, stamp);
        self.maskers[stream as usize] = masker;
        if self.refused.is_empty() {
            self.hear_end(stream);
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

    /// Writes the events that the journal held, at once.
    pub(crate) fn release_journal(&mut self) {
        let released = self.journal.release();
        self.note_trouble(released);
    }

    /// Appends an event that belongs behind everything printed so far: before the half line at the
    /// end, which may still become the first of a step; an end comes after it. That a file was copied
    /// belongs nowhere: what is decided late about a line before may still stand there.
    pub(crate) fn emit(&mut self, kind: EventKind) {
        let (offset, lines) = self.writer.appended();
        let known = self.state.summary.position;
        let (offset, lines) = match kind {
            EventKind::StepFinished { .. } | EventKind::Exited { .. } => (offset, lines),
            EventKind::ArtifactStored { .. } => (known.bytes, known.lines),
            _ => (self.line_start, lines),
        };
        self.emit_at(kind, offset, lines);
    }

    /// Appends an event that output gave rise to, unless it was journaled already.
    fn emit_found(&mut self, kind: EventKind, offset: u64, lines: u64) {
        let mut new = true;
        let position = self.state.summary.position;
        let (offset, lines) = (offset.max(position.bytes), lines.max(position.lines));
        if let Some(replay) = &mut self.replay {
            let known;
            (known, new) = replay.meet(&kind, offset, lines);
            for event in &known {
                self.apply_known(event);
            }
        }
        if new {
            // What was said before is journaled before: a record that is gone on with is read again
            // from here.
            if self.replay.is_none() && self.progress.due_us().is_some() {
                self.tell_progress();
            }
            self.emit_at(kind, offset, lines);
        } else if let EventKind::StepFinished { step, .. } = kind {
            self.progress.take(step);
        }
    }

    /// When [`Recording::tell_progress`] is to be called at the latest.
    pub(crate) fn progress_due_us(&self) -> Option<u64> {
        self.progress.due_us()
    }

    /// [`Recording::tell_progress`], if it is time.
    pub(crate) fn tell_progress_if_due(&mut self) {
        if self.progress.due_us().is_some_and(|due| due <= self.clock.at_us()) {
            self.tell_progress();
        }
    }

    /// Records what the script said about its progress and was not recorded yet.
    pub(crate) fn tell_progress(&mut self) {
        for (step, said) in self.progress.take_all(self.clock.at_us()) {
            self.progressed(step, said);
        }
    }

    fn progressed(&mut self, step: Option<u32>, said: Said) {
        let summary = &self.state.summary;
        let known = match step.and_then(|step| self.state.steps.get(step as usize)) {
            Some(step) => (step.progress, step.progress_text.as_deref()),
            None => (summary.progress, summary.progress_text.as_deref()),
        };
        let percent = said.percent.or(known.0);
        if known != (percent, Some(said.text.as_str()).filter(|text| !text.is_empty())) {
            let (offset, lines) = (said.offset, said.lines);
            self.emit_at(said.event(step), offset, lines);
        }
    }

    fn emit_at(&mut self, kind: EventKind, offset: u64, lines: u64) {
        match &kind {
            // What ends has said its last word before.
            EventKind::StepFinished { step, .. } => {
                if let Some(said) = self.progress.take(*step) {
                    self.progressed(Some(*step), said);
                }
            }
            EventKind::Exited { .. } => self.tell_progress(),
            _ => {}
        }
        // The journal follows the output: nothing is announced before it is recorded.
        self.close_entry();
        let stamp = match &mut self.replay {
            Some(replay) => replay.stamp(),
            None => self.stamp(),
        };
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
        if matches!(event.kind, EventKind::StepStarted { .. } | EventKind::Artifact { .. }) {
            self.keep_reserve();
        }
        let appended = self.journal.append(&event);
        if let Some(fresh) = &mut self.fresh {
            fresh.push(event);
        }
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
        if stamp.went_on_ns > JUMP_NS && self.leaps_noted < LEAPS_MAX {
            self.leaps_noted += 1;
            let seconds = stamp.went_on_ns / JUMP_NS;
            self.emit(EventKind::Warning {
                code: "clock_jump".to_owned(),
                message: format!(
                    "the system clock went forward by {seconds} s more than time has passed"
                ),
            });
        }
        stamp
    }

    fn append(&mut self, stream: Stream, bytes: &[u8], stamp: Stamp) {
        if bytes.is_empty() {
            return;
        }
        self.drop_if_blocked();
        let mut bytes = bytes;
        if self.lost.is_some() {
            let before = self.before_next_line(bytes);
            self.lose(stream, &bytes[..before]);
            self.go_on_at_line_start();
            bytes = &bytes[before..];
            if bytes.is_empty() {
                return;
            }
        }
        if self.is_blocked() || !self.refused.is_empty() {
            self.refused.push((stream, bytes.to_vec()));
            return;
        }
        let (base, mut lines) = self.writer.appended();
        let changes = stream != self.stream;
        if changes {
            self.stream = stream;
            self.run_start = base;
            self.line_start = base;
        }
        let (count, result) = self.writer.append(stream, bytes, stamp.wall_ns, stamp.at_us);
        if count < bytes.len() {
            self.refused.push((stream, bytes[count..].to_vec()));
        }
        self.note_trouble(result);
        if changes {
            // The half line of the other stream has ended with it.
            let fed = memchr::memchr_iter(b'\n', &bytes[..count]).count() as u64;
            lines = self.writer.appended().1 - fed;
        }
        let at = At { offset: base, lines, floor: self.run_start };
        self.hear(stream, &bytes[..count], at);
        if let Some(end) = memchr::memrchr(b'\n', &bytes[..count]) {
            self.line_start = base + end as u64 + 1;
        }
        self.drop_if_blocked();
    }
}

#[cfg(test)]
mod tests {

    use stepflow_model::Source;
    use stepflow_record::LogReader;

    use super::*;

    fn recording(dir: &Path) -> Recording {
        Recording::create(dir, &spec(), Masker::default()).unwrap()
    }

    fn spec() -> Spec {
        Spec {
            command: vec!["true".into()],
            cwd: "/".into(),
            grace_ms: 0,
            drain_ms: 0,
            ..Spec::new("0198c2aa-0000-7000-8000-000000000001".parse().unwrap(), Source::Cli, 0)
        }
    }

    #[test]
    fn markers_count_past_the_limit_and_a_record_is_gone_on_with_behind_its_gap() {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec { log_max_bytes: 1 << 20, ..spec() };
        let mut recording = Recording::create(dir.path(), &spec, Masker::default()).unwrap();
        recording.take(Stream::Stdout, b"STEP_START:First\n");
        let lines = |count: usize| "twenty bytes a line\n".repeat(count).into_bytes();
        for _ in 0..100 {
            recording.take(Stream::Stdout, &lines(5_000));
        }
        recording.take(Stream::Stdout, b"STEP_COMPLETE:First\nSTEP_START:Second\nhalf a");
        recording.close_entry();
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        let gone = log.dropped().unwrap().unwrap();
        let kept = recording.writer.recorded().0 - gone.bytes();
        assert!(((1 << 20)..(5 << 19)).contains(&kept), "{kept}");
        assert_eq!(recording.state.dropped, Some(gone), "the journal says what the mark says");
        let known = |state: &ExecutionState| {
            (state.steps.clone(), state.summary.position, state.dropped, state.open.clone())
        };
        let before = (known(&recording.state), recording.writer.appended());
        drop(recording);

        let mut again = Recording::resume(dir.path(), &spec, Masker::default()).unwrap();
        assert_eq!(known(&again.state), before.0);
        assert_eq!(again.writer.appended(), before.1);
        again.take(Stream::Stdout, b" line\nSTEP_COMPLETE:Second\n");
        for _ in 0..20 {
            again.take(Stream::Stdout, &lines(5_000));
        }
        // Its markers are all in what is gone by now.
        let behind = log.dropped().unwrap().unwrap();
        assert!(behind.from == gone.from && behind.to > before.1.0, "{behind:?}");
        again.close_entry();
        let before = known(&again.state);
        drop(again);
        let mut last = Recording::resume(dir.path(), &spec, Masker::default()).unwrap();
        assert_eq!(known(&last.state), before);
        last.take(Stream::Stdout, b"STEP_START:Third\n");
        let names: Vec<_> = last.state.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["First", "Second", "Third"]);
        assert!(last.state.steps[..2].iter().all(|step| step.status.is_end()));
    }

    fn names(recording: &Recording) -> Vec<&str> {
        recording.state.steps.iter().map(|step| step.name.as_str()).collect()
    }

    #[test]
    fn a_panic_in_a_dialect_costs_the_dialects_and_one_more_the_steps_and_no_byte() {
        let dir = tempfile::tempdir().unwrap();
        let mut recording = recording(dir.path());
        recording.hearing.poison = Some(b"poison");
        recording.take(Stream::Stdout, b"STEP_START:A [id=a]\n::group::G\n");
        recording.take(Stream::Stdout, b"poison\n::group::H\necho '");
        recording.take(Stream::Stdout, b"STEP_START:no\n::group::I\nSTEP_START:B [parent=a]\n");
        assert_eq!(names(&recording), ["A", "G", "H", "B"], "own markers are still read");
        assert_eq!(recording.state.steps[3].parent, Some(0));
        recording.take(Stream::Stdout, b"STEP_COMPLETE:A\n");
        assert!(recording.state.open.is_empty(), "with all that is inside it");
        recording.take(Stream::Stdout, b"poison\nSTEP_START:C\n");
        recording.take(Stream::Stdout, b"STEP_START:D\nlast\n");
        recording.close_entry();
        assert_eq!(names(&recording), ["A", "G", "H", "B", "C"], "recorded on without steps");
        let codes: Vec<_> = recording.state.annotations.iter().map(|a| a.code.as_str()).collect();
        assert_eq!(codes, ["dialect_panic", "scanner_panic"]);
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        assert_eq!(log.position().unwrap(), recording.writer.appended());
    }

    #[test]
    fn output_that_is_not_trusted_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec { dialect: "none".to_owned(), ..spec() };
        let mut recording = Recording::create(dir.path(), &spec, Masker::default()).unwrap();
        let output = b"STEP_START:A\n::group::G\n::add-mask::hunter22\nhunter22\n";
        recording.take(Stream::Stdout, output);
        recording.end_stream(Stream::Stdout);
        recording.close_entry();
        assert_eq!(recording.state.summary.position.seq, 0, "no event at all");
        assert_eq!(std::fs::read(dir.path().join("output.log")).unwrap(), output);
    }

    #[test]
    fn what_the_output_declares_secret_is_in_no_file_from_there_on_whatever_the_split() {
        let output = b"hunter22 before\nSTEP_START:hunter22-a\n::add-mask::hunter22\nhunter22 \
            aHVudGVyMjI= 68756e7465723232\n::error file=hunter22.c::is hunter22\n\
            ##vso[task.setvariable variable=k;issecret=true]pass%3Bword\npass;word pass%3Bword\n\
            ::group::pass;word\n::add-mask::no\n::notice title=a%3Ab%2Cc d::::add-mask\n\
            ::add-mask::x%25y%0Along line\nx%y long line\n::add-mask::last";
        let mut logs = Vec::new();
        for size in 1..60 {
            let dir = tempfile::tempdir().unwrap();
            let mut recording = recording(dir.path());
            for piece in output.chunks(size) {
                recording.take(Stream::Stdout, piece);
            }
            recording.end_stream(Stream::Stdout);
            recording.close_entry();
            recording.journal.flush().unwrap();
            let log = std::fs::read_to_string(dir.path().join("output.log")).unwrap();
            let (before, after) = log.split_once("::add-mask").unwrap();
            assert!(before.contains("hunter22 before"));
            let journal = std::fs::read_to_string(dir.path().join("journal.ndjson")).unwrap();
            for secret in
                ["hunter22", "aHVudGVyMjI", "68756e74", "pass;word", "pass%3B", "long line"]
            {
                assert!(!after.contains(secret), "{secret}: {after}");
                assert!(!journal.replace("hunter22-a", "").contains(secret), "{secret}: {journal}");
            }
            assert_eq!(recording.state.secrets, 5);
            assert_eq!(names(&recording), ["hunter22-a", "***"]);
            logs.push(log);
        }
        logs.dedup();
        assert_eq!(logs.len(), 1, "the same log whatever the split: {logs:?}");
    }

    #[test]
    fn a_hundred_thousand_words_about_progress_are_few_events_and_the_last_counts() {
        let dir = tempfile::tempdir().unwrap();
        let mut recording = recording(dir.path());
        recording.take(Stream::Stdout, b"STEP_START:A\n");
        let begun = recording.clock.at_us();
        for number in 0..100_000 {
            let line = format!("PROGRESS:{}:file {number}\n", number % 101);
            recording.take(Stream::Stdout, line.as_bytes());
        }
        recording.take(Stream::Stdout, b"PROGRESS:77:almost\nSTEP_COMPLETE:A\nPROGRESS:5\n");
        let rounds = (recording.clock.at_us() - begun) / crate::progress::EVERY_US + 1;
        recording.tell_progress();
        let step = &recording.state.steps[0];
        assert_eq!((step.progress, step.progress_text.as_deref()), (Some(77.0), Some("almost")));
        assert_eq!(recording.state.summary.progress, Some(5.0));
        let events = recording.state.summary.position.seq;
        assert!(events <= 4 + rounds, "{events} events in {rounds} quarters of a second");
        assert_eq!(recording.writer.appended().1, 100_004, "every line is in the output");
    }

    #[test]
    fn markers_that_are_refused_are_told_of_so_often_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut recording = recording(dir.path());
        let line = format!("STEP_START:{}\n", "n".repeat(5_000));
        for _ in 0..2_000 {
            recording.take(Stream::Stdout, line.as_bytes());
        }
        let most = stepflow_model::WARNINGS_MAX as u64;
        assert_eq!(recording.state.summary.position.seq, most + 1);
        assert_eq!(recording.state.annotations.last().unwrap().code, "warning_limit");
        assert_eq!(recording.writer.appended().1, 2_000, "every line is in the output");
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
