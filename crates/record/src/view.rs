//! The state of a record now: events and notes, folded.

use std::{path::PathBuf, time::Duration};

use stepflow_model::{
    Event, ExecutionId, ExecutionState, Note, NoteKind, Position, Reason, Source, Spec,
};
use stepflow_sys::{cgroup::Cgroup, clock, host, lock::Lock, tree};

use crate::{
    JournalReader, LogReader, RecordError, Storage, append_note, read_notes, recover::recover,
};

/// Whether somebody will still write to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// Its end is recorded.
    Ended,
    /// Recorder or keeper hold the claim.
    Alive,
    /// Nobody holds the claim, and it has started.
    Lost,
    /// Nobody holds the claim, and it never started.
    Unstarted,
}

/// What is killed in a control group has left it within this time.
const GROUP_ENDS_WITHIN: Duration = Duration::from_secs(2);

/// The name of the control group of an execution's tree.
pub fn group_name(id: ExecutionId) -> String {
    format!("stepflow-{id}")
}

/// One record, followed.
#[derive(Debug)]
pub struct RecordView {
    storage: Storage,
    dir: PathBuf,
    /// What was asked for.
    pub spec: Spec,
    /// The state after the events read so far.
    pub state: ExecutionState,
    journal: Option<JournalReader>,
    notes_seen: usize,
    log: Option<LogReader>,
}

impl RecordView {
    /// Opens a record and folds what is there.
    pub fn open(storage: &Storage, id: ExecutionId) -> Result<Self, RecordError> {
        let mut view = Self::open_unread(storage, id)?;
        view.refresh()?;
        Ok(view)
    }

    /// Opens a record and reads nothing yet: for those who want every event, which the first
    /// [`RecordView::refresh`] gives them.
    pub fn open_unread(storage: &Storage, id: ExecutionId) -> Result<Self, RecordError> {
        Ok(Self::begin(storage, storage.spec(id)?))
    }

    /// The record of this spec, which has just been made by our own process: there is nothing to
    /// read that its writer does not say by [`RecordView::take`].
    pub fn begin(storage: &Storage, spec: Spec) -> Self {
        let state = ExecutionState::new(&spec);
        let dir = storage.record_dir(spec.id);
        let storage = storage.clone();
        Self { storage, dir, spec, state, journal: None, notes_seen: 0, log: None }
    }

    /// Reads what is new: events, notes, position. Returns the new events.
    pub fn refresh(&mut self) -> Result<Vec<Event>, RecordError> {
        let mut fresh = Vec::new();
        if self.journal.is_none() {
            self.journal = JournalReader::open(&self.dir)?;
        }
        if let Some(journal) = &mut self.journal {
            loop {
                let events = journal.read_new()?;
                if events.is_empty() {
                    break;
                }
                for event in events {
                    self.state.apply(&event);
                    fresh.push(event);
                }
            }
        }
        // After the end as well: files may be added to it and taken away.
        self.refresh_notes()?;
        if let Some(log) = self.log()? {
            let (bytes, lines) = log.position()?;
            let position = &mut self.state.summary.position;
            *position = Position { bytes, lines, seq: position.seq };
        }
        Ok(fresh)
    }

    /// Reads the notes that are new: for a record whose writer says by itself what else is.
    pub fn refresh_notes(&mut self) -> Result<(), RecordError> {
        for note in read_notes(&self.dir)?.iter().skip(self.notes_seen) {
            self.state.apply_note(note);
            self.notes_seen += 1;
        }
        Ok(())
    }

    /// The log; `None` before the recorder has made it.
    pub fn log(&mut self) -> Result<Option<&LogReader>, RecordError> {
        if self.log.is_none() {
            self.log = LogReader::open(&self.dir)?;
        }
        Ok(self.log.as_ref())
    }

    /// Whether somebody will still write. Looks at the claim first and at the journal after it:
    /// an end that was written between the two is seen.
    pub fn liveness(&mut self) -> Result<Liveness, RecordError> {
        Ok(self.look()?.0)
    }

    /// The same, and the events that were new.
    pub fn look(&mut self) -> Result<(Liveness, Vec<Event>), RecordError> {
        if self.state.summary.status.is_end() {
            return Ok((Liveness::Ended, Vec::new()));
        }
        let alive = if self.is_ingested() {
            self.storage.is_written()?
        } else {
            self.storage.is_alive(self.spec.id)?
        };
        let fresh = self.refresh()?;
        let liveness = if self.state.summary.status.is_end() {
            Liveness::Ended
        } else if alive {
            Liveness::Alive
        } else if self.state.summary.started_us.is_some() {
            Liveness::Lost
        } else {
            Liveness::Unstarted
        };
        Ok((liveness, fresh))
    }

    /// Whether the server itself records it, as the holder of the writer lock.
    fn is_ingested(&self) -> bool {
        self.spec.source == Source::Ingest
    }

    /// Takes what the writer of this record, in our own process, has just recorded.
    pub fn take(&mut self, events: &[Event], position: Position) {
        for event in events {
            self.state.apply(event);
        }
        let known = &mut self.state.summary.position;
        *known = Position { seq: known.seq, ..position };
    }

    /// Closes the files; a later look opens them again and reads from the beginning, which changes
    /// nothing: events are counted once.
    pub fn close_files(&mut self) {
        self.journal = None;
        self.log = None;
    }

    /// Whether it runs and its recorder stands still (SIGSTOP): a fact of the kernel. One whose disk
    /// hangs is found by asking it.
    pub fn is_stopped(&self) -> bool {
        let state = &self.state;
        let Some(pid) = state.recorder_pid.filter(|_| !state.summary.status.is_end()) else {
            return false;
        };
        let stands = |process: tree::ProcessInfo| matches!(process.state, 'T' | 't');
        // Another process may have the pid by now: the command line of a recorder names its id.
        state.boot_id.as_deref() == Some(host::boot_id().as_str())
            && tree::info(pid).is_some_and(stands)
            && std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.contains(&self.spec.id.to_string()))
    }

    /// Ends what is left in the control group of this execution, which is proven to be its own: it
    /// was made on this host since it was started, and carries the execution's id. The caller holds
    /// the claim. Returns whether nothing is left, or nothing could be.
    fn end_group(&mut self) -> bool {
        let since_boot = self.state.boot_id.as_deref() == Some(host::boot_id().as_str());
        let Some(name) = self.state.cgroup.as_deref().filter(|_| since_boot) else { return true };
        if name.rsplit('/').next() != Some(group_name(self.spec.id).as_str()) {
            return true;
        }
        // One that is not seen from here is another host's, or container's.
        Cgroup::at(name).map_or(true, |group| group.end(GROUP_ENDS_WITHIN))
    }

    /// Writes the verdict over a record that nobody holds: lost, or not started. The caller holds
    /// the writer lock. Returns whether the record has ended now; `false`: somebody holds it, or it
    /// is an ingested stream: its source may come back while no server runs, so the next server
    /// waits for it and gives the verdict.
    pub fn settle(&mut self, unstarted: impl FnOnce() -> NoteKind) -> Result<bool, RecordError> {
        if self.is_ingested() {
            self.refresh()?;
            return Ok(self.state.summary.status.is_end());
        }
        let path = self.storage.claim(self.spec.id);
        let claim = Lock::try_take(&path).map_err(RecordError::io("lock", &path))?;
        let Some(_claim) = claim else { return Ok(false) };
        // Under the claim nobody writes: what the journal says now is all it will ever say.
        self.refresh()?;
        if self.state.summary.status.is_end() {
            return Ok(true);
        }
        // Recorder and keeper were killed in the same instant: what they left has to go first.
        if !self.end_group() {
            return Ok(false);
        }
        let recovery = recover(&self.dir)?;
        self.journal = None;
        self.log = None;
        self.notes_seen = 0;
        self.state = ExecutionState::new(&self.spec);
        self.refresh()?;
        if self.state.summary.status.is_end() {
            return Ok(true);
        }
        let kind = match (&self.state.summary.started_us, &self.state.boot_id) {
            (Some(_), Some(boot)) if *boot != host::boot_id() => {
                NoteKind::Lost { reason: Reason::HostRestarted }
            }
            (Some(_), _) => NoteKind::Lost { reason: Reason::RecorderLost },
            (None, _) if self.state.wish.is_some() => NoteKind::NotStarted {
                reason: Reason::User,
                message: "cancelled before the start".to_owned(),
            },
            (None, _) => unstarted(),
        };
        let time_us = clock::wall_us().max(self.state.summary.created_us);
        if self.state.summary.started_us.is_some() {
            let found = NoteKind::Recovered {
                unverified_bytes: recovery.unverified_bytes,
                set_aside_bytes: recovery.set_aside_bytes,
                damaged_bytes: recovery.damaged_bytes,
            };
            append_note(&self.dir, &Note { time_us, kind: found })?;
        }
        append_note(&self.dir, &Note { time_us, kind })?;
        self.refresh()?;
        Ok(true)
    }
}
