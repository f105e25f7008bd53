//! Output of a program that StepFlow did not start: taken byte by byte from somebody who can say
//! again what was not recorded.
//!
//! An [`Inflow`] is one such record, being written. It has no process, no thread and no timer of its
//! own, and no file open while it is idle: a server holds thousands. Its owner closes the open entry
//! when it is due, tries again what a full disk refused, syncs, and says when it ends.
//!
//! Positions in the stream and in the record are the same: a mask is as long as what it hides.

use std::path::Path;

use stepflow_model::{
    Event, EventKind, ExecutionState, LogFull, Position, Reason, Spec, Status, Stream,
    steps::{self, Verdict},
};
use stepflow_record::RecordError;
use stepflow_sys::{host, keeper};

use crate::{durable::Durable, mask::Masker, recording::Recording};

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Its source said that this is all, perhaps with the exit code of what made it.
    Closed {
        /// That code.
        exit_code: Option<i32>,
    },
    /// It reached the limit of its log, and was to stop then.
    Full {
        /// A sentence for people.
        message: String,
    },
    /// Its source went away in the middle.
    Lost {
        /// A sentence for people.
        message: String,
    },
    /// Somebody does not want the rest.
    Cancelled {
        /// Who, or by what way.
        by: String,
    },
    /// The terminal or client in the foreground went away.
    ClientGone,
    /// The disk did not take it any more, for this reason.
    Refused {
        /// Full, or failing.
        reason: Reason,
        /// A sentence for people.
        message: String,
    },
}

/// One record, being written from a stream.
pub struct Inflow {
    recording: Recording,
    end: Option<End>,
    /// Paths in it are those of files on this host.
    here: bool,
    /// What files of test results say: told at the end.
    results: Vec<EventKind>,
}

impl std::fmt::Debug for Inflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflow").field("offset", &self.offset()).finish_non_exhaustive()
    }
}

impl Inflow {
    /// Begins the record in `dir`, which holds its spec. `secrets` never reach it.
    pub fn create(dir: &Path, spec: &Spec, secrets: Vec<Vec<u8>>) -> Result<Self, RecordError> {
        Ok(Self::new(Recording::create(dir, spec, masker(secrets))?, false))
    }

    /// The same for a source on this host, whose files can be collected and which sends nothing
    /// twice.
    pub(crate) fn create_here(
        dir: &Path,
        spec: &Spec,
        masker: Masker,
    ) -> Result<Self, RecordError> {
        let mut recording = Recording::create(dir, spec, masker)?;
        // Not for streams from elsewhere: there may be thousands, and their sources wait.
        recording.reserve();
        Ok(Self::new(recording, true))
    }

    /// Goes on with the record in `dir`, whose writer is gone: exactly as it would have gone on.
    /// What that had taken and not recorded must be sent again, from [`Inflow::offset`].
    pub fn resume(dir: &Path, spec: &Spec, secrets: Vec<Vec<u8>>) -> Result<Self, RecordError> {
        Ok(Self::new(Recording::resume(dir, spec, masker(secrets))?, false))
    }

    fn new(mut recording: Recording, here: bool) -> Self {
        recording.fresh = (!here).then(Vec::new);
        if recording.state.summary.started_us.is_none() {
            recording.emit(EventKind::Started {
                pid: 0,
                start_ticks: 0,
                boot_id: host::boot_id(),
                recorder_pid: keeper::this_pid(),
                keeper_pid: 0,
                containment: String::new(),
                cgroup: None,
                host: host::name(),
            });
        }
        let mut inflow = Self { recording, end: None, here, results: Vec::new() };
        inflow.emit_verdicts_on_artifacts();
        inflow
    }

    /// Bytes that need not be sent again: all before it are recorded, or will be at once.
    pub fn offset(&self) -> u64 {
        self.recording.offset()
    }

    /// Bytes taken, appended or not.
    pub fn received(&self) -> u64 {
        self.offset() + self.recording.in_hand()
    }

    /// A source begins to send from [`Inflow::offset`] on: what was taken beyond is forgotten.
    pub fn rewind(&mut self, secrets: Vec<Vec<u8>>) -> Result<(), RecordError> {
        self.recording.rewind(masker(secrets))
    }

    /// The source has gone: what it sent and is not appended will come again, or never.
    pub fn forget(&mut self) {
        self.recording.forget();
    }

    /// Where bytes that are sent again, as the stream's from `at` on, are not those recorded; `None`:
    /// nowhere, as far as masks let it be known.
    pub fn first_difference(&self, at: u64, bytes: &[u8]) -> Result<Option<u64>, RecordError> {
        self.recording.first_difference(at, bytes)
    }

    /// Takes the stream's next bytes. A full disk keeps them in memory: take no more before
    /// [`Inflow::retry`] has succeeded.
    pub fn take(&mut self, bytes: &[u8]) {
        self.recording.take(Stream::Stdout, bytes);
        if !self.here
            && let Some(error) = self.recording.sync_error.take()
        {
            // Which of it is safe is for its owner to know: nothing that is said here is too much.
            self.sync_failed(0, error.to_string());
        }
        self.emit_verdicts_on_artifacts();
    }

    /// When the open entry must be closed, in microseconds of [`Inflow::now_us`].
    pub fn entry_due_us(&self) -> Option<u64> {
        self.recording.writer.entry_due_us()
    }

    /// The stream's clock.
    pub fn now_us(&self) -> u64 {
        self.recording.clock.at_us()
    }

    /// What was appended is recorded, and may be shown, once this returns.
    pub fn close_entry(&mut self) {
        if !self.recording.is_blocked() {
            self.recording.tell_progress_if_due();
            self.recording.close_entry();
        }
    }

    /// When the latest progress is to be recorded, by [`Inflow::close_entry`].
    pub fn progress_due_us(&self) -> Option<u64> {
        self.recording.progress_due_us()
    }

    /// Whether the disk refuses.
    pub fn is_blocked(&self) -> bool {
        self.recording.is_blocked()
    }

    /// Tries again what the disk refused.
    pub fn retry(&mut self) {
        self.recording.retry();
        self.emit_verdicts_on_artifacts();
    }

    /// Whether the output has reached its limit, and what is to be done then.
    pub(crate) fn reached(&self) -> Option<(LogFull, u64)> {
        self.recording.reached()
    }

    /// See [`Recording::give_up`]: how the stream ends then.
    pub(crate) fn give_up(&mut self, waited_s: u64) -> End {
        let (reason, message) = self.recording.give_up(waited_s);
        End::Refused { reason, message }
    }

    /// See [`Recording::has_given_up`].
    pub(crate) fn has_given_up(&self) -> bool {
        self.recording.has_given_up()
    }

    /// See [`Recording::waits_for_disk`].
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.recording.waits_for_disk()
    }

    /// See [`Recording::drop_due_us`].
    pub(crate) fn drop_due_us(&self) -> Option<u64> {
        self.recording.drop_due_us()
    }

    /// See [`Recording::mind_drop`].
    pub(crate) fn mind_drop(&mut self) {
        self.recording.mind_drop();
    }

    /// See [`Recording::give_reserve_back`].
    pub(crate) fn give_reserve_back(&mut self) {
        self.recording.give_reserve_back();
    }

    /// Notes something that people should know.
    pub fn warn(&mut self, code: &str, message: String) {
        self.recording.emit(EventKind::Warning { code: code.to_owned(), message });
    }

    /// Notes what happened beside the stream.
    pub(crate) fn note(&mut self, kind: EventKind) {
        self.recording.emit(kind);
        self.recording.wants.sync = true;
    }

    /// Keeps what files of test results say until the end.
    pub(crate) fn keep_results(&mut self, told: Vec<EventKind>) {
        self.results.extend(told);
    }

    /// Files to collect: number and path.
    pub(crate) fn take_artifacts(&mut self) -> Vec<(u32, String)> {
        std::mem::take(&mut self.recording.wants.artifacts)
    }

    /// See [`Recording::make_durable`].
    pub(crate) fn make_durable(&mut self, durable: &mut Durable) {
        self.recording.make_durable(durable);
    }

    /// See [`Recording::sync_output`].
    pub(crate) fn sync_output(&mut self, durable: &mut Durable) {
        self.recording.sync_output(durable);
    }

    /// See [`Recording::sync_end`].
    pub(crate) fn sync_end(&mut self, durable: &mut Durable) {
        self.recording.sync_end(durable);
    }

    /// The disk failed to make durable what comes after `safe`; said once.
    pub fn sync_failed(&mut self, safe: u64, why: String) {
        self.recording.emit(EventKind::SyncFailed { safe, why });
    }

    /// Notes that somebody wants it to end.
    pub fn note_cancel(&mut self, by: &str) {
        let by = by.to_owned();
        self.recording.emit(EventKind::CancelRequested { reason: Reason::User, by });
    }

    /// Ends the stream: the last half line counts as whole, and open steps are closed. Returns
    /// whether the disk took it; else it is called again after [`Inflow::retry`]. When everything is
    /// synced, [`Inflow::seal`] follows.
    pub fn end(&mut self, end: End) -> bool {
        if self.is_blocked() {
            return false;
        }
        if self.end.is_none() {
            // A crash in between must not leave half of this: it is written at once.
            self.recording.journal.hold();
            self.recording.end_stream(Stream::Stdout);
            if self.is_blocked() {
                self.recording.release_journal();
                return false; // What a mask held back waits for space, like everything.
            }
            self.emit_verdicts_on_artifacts();
            self.recording.tell_progress();
            let results = std::mem::take(&mut self.results);
            self.recording.say_results(results);
            let end = match (self.recording.tell_of_loss(), end) {
                // Never complete with a hole that nobody chose.
                (Some((reason, message)), End::Closed { .. }) => End::Refused { reason, message },
                (_, end) => end,
            };
            let verdict = self.verdict(&end);
            let exit_code = exit_code(&end);
            let verdicts = self.recording.settle(&verdict, exit_code);
            for kind in steps::finish(&self.recording.state, &verdict, exit_code, &verdicts) {
                self.recording.emit(kind);
            }
            self.end = Some(end);
            self.recording.release_journal();
        }
        !self.is_blocked()
    }

    /// Appends the end itself. Nobody may hear of it before it is synced. Returns whether the disk
    /// took it.
    pub fn seal(&mut self) -> bool {
        if let Some(end) = self.end.take() {
            self.recording.close_entry();
            let Verdict { status, reason, message } = self.verdict(&end);
            self.recording.emit(EventKind::Exited {
                status,
                reason,
                exit_code: exit_code(&end),
                signal: None,
                core: false,
                message,
                digest: self.recording.writer.digest(),
                index: None,
                leftover: Vec::new(),
            });
        }
        !self.is_blocked()
    }

    /// Whether the end is appended.
    pub fn is_sealed(&self) -> bool {
        self.state().summary.status.is_end()
    }

    /// The state after everything journaled.
    pub fn state(&self) -> &ExecutionState {
        &self.recording.state
    }

    /// How far the record is: what readers see.
    pub fn position(&self) -> Position {
        let (bytes, lines) = self.recording.writer.recorded();
        Position { bytes, lines, seq: self.state().summary.position.seq }
    }

    /// Events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.recording.fresh.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether something has happened, since the last call, that a power cut must not take.
    pub fn take_urgency(&mut self) -> bool {
        std::mem::take(&mut self.recording.wants.sync)
    }

    /// Makes everything recorded and journaled durable, alone.
    pub fn sync(&mut self) -> Result<(), RecordError> {
        self.recording.close_entry();
        self.recording.writer.sync()?;
        self.recording.journal.sync()
    }

    /// Closes the files; whatever is written next opens them again.
    pub fn close_files(&mut self) {
        self.recording.writer.close_files();
        self.recording.journal.close_files();
    }

    /// Descriptors in use, at most three.
    pub fn open_files(&self) -> usize {
        self.recording.writer.open_files() + self.recording.journal.open_files()
    }

    fn verdict(&self, end: &End) -> Verdict {
        let failed = |reason, message: &str| Verdict {
            status: Status::Failed,
            reason: Some(reason),
            message: Some(message.to_owned()),
        };
        match (end, &self.recording.wants.stop) {
            (End::Cancelled { by }, _) => Verdict {
                status: Status::Cancelled,
                reason: Some(Reason::User),
                message: Some(if by.is_empty() {
                    "cancelled".to_owned()
                } else {
                    format!("cancelled by {by}")
                }),
            },
            (End::ClientGone, _) => Verdict {
                status: Status::Cancelled,
                reason: Some(Reason::ClientGone),
                message: Some("the terminal or client that started it went away".to_owned()),
            },
            (End::Full { message }, _) => failed(Reason::OutputLimit, message),
            (End::Refused { reason, message }, _) => failed(*reason, message),
            (End::Lost { message }, _) => failed(Reason::SourceLost, message),
            (End::Closed { .. }, Some(message)) => failed(Reason::StepError, message),
            (End::Closed { exit_code: Some(code) }, None) if *code != 0 => {
                failed(Reason::ExitCode, &format!("the source ended with exit code {code}"))
            }
            (End::Closed { .. }, None) => {
                Verdict { status: Status::Completed, reason: None, message: None }
            }
        }
    }

    /// A path in a stream from elsewhere names no file here.
    fn emit_verdicts_on_artifacts(&mut self) {
        const PROBLEM: &str = "declared by a source elsewhere: its files are not on this host";
        if self.here {
            return;
        }
        if !std::mem::take(&mut self.recording.wants.artifacts).is_empty() {
            self.recording.wants.sync = true;
        }
        let open = self.state().artifacts.iter().rev().take_while(|file| !file.settled);
        let mut open: Vec<u32> = open.map(|file| file.index).collect();
        while let Some(artifact) = open.pop() {
            self.recording.emit(EventKind::ArtifactStored {
                artifact,
                sha256: None,
                size: 0,
                changed: false,
                problem: Some(PROBLEM.to_owned()),
            });
        }
    }
}

fn masker(secrets: Vec<Vec<u8>>) -> Masker {
    Masker::new(secrets).keeping_length()
}

fn exit_code(end: &End) -> Option<i32> {
    match end {
        End::Closed { exit_code } => *exit_code,
        End::Full { .. }
        | End::Refused { .. }
        | End::Lost { .. }
        | End::Cancelled { .. }
        | End::ClientGone => None,
    }
}

#[cfg(test)]
mod tests {
    use stepflow_model::Source;
    use stepflow_record::{RecordView, Storage};

    use super::*;

    #[test]
    fn who_is_told_knows_what_who_reads_knows() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        let id = "0198c2aa-0000-7000-8000-000000000001".parse().unwrap();
        let spec = Spec { name: "told".to_owned(), ..Spec::new(id, Source::Ingest, 7) };
        storage.create_held(&spec).unwrap();
        let record = storage.record_dir(id);
        let mut inflow = Inflow::create(&record, &spec, Vec::new()).unwrap();
        let mut told = RecordView::begin(&storage, spec);
        told.take(&inflow.take_events(), inflow.position());
        let same = |told: &RecordView| {
            let read = RecordView::open(&storage, id).unwrap();
            assert_eq!(format!("{:?}", told.spec), format!("{:?}", read.spec));
            assert_eq!(format!("{:?}", told.state), format!("{:?}", read.state));
        };
        same(&told);
        assert!(told.state.summary.started_us.is_some());
        inflow.take(b"STEP_START:one\nSTEP_COMPLETE:one\n");
        inflow.close_entry();
        told.take(&inflow.take_events(), inflow.position());
        same(&told);
    }
}
