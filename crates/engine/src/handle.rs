//! One execution, as viewers see it: the folded record, and a way to be woken.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use stepflow_model::{
    Annotation, Artifact, Event, ExecutionId, ExecutionState, Position, Source, Spec, Step, Summary,
};
use stepflow_record::{JournalReader, Liveness, LogReader, RecordError, RecordView, Storage};
use tokio::sync::{Notify, watch};

/// How far a record has come; a wake-up says no more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tick {
    /// Grows with every change of what people see, but for the position alone.
    pub version: u64,
    /// How far output and journal are.
    pub position: Position,
    /// Nothing will change any more, and the catalog knows.
    pub ended: bool,
}

/// What a viewer has seen. The default: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    version: u64,
    annotations: usize,
}

/// What changed since a [`Mark`].
#[derive(Debug, Clone)]
pub struct Changed {
    /// The whole summary.
    pub summary: Summary,
    /// Steps that changed.
    pub steps: Vec<Step>,
    /// Artifacts that changed.
    pub artifacts: Vec<Artifact>,
    /// Annotations that came.
    pub annotations: Vec<Annotation>,
    /// Numbers of all artifacts that have been removed.
    pub removed: Vec<u32>,
}

#[derive(Debug)]
struct Seen {
    view: RecordView,
    version: u64,
    /// The version at which each step changed last.
    steps: Vec<u64>,
    /// By number: the script's own and uploaded ones are counted apart.
    artifacts: HashMap<u32, u64>,
    /// Why its recorder could not start the script, in its own words.
    start_problem: Option<String>,
}

/// One execution: live ones are kept fresh by their follower, ended ones never change.
#[derive(Debug)]
pub struct Handle {
    id: ExecutionId,
    storage: Storage,
    /// Its writer is in this process and says what is new: nothing is read.
    fed: bool,
    seen: Mutex<Seen>,
    tick: watch::Sender<Tick>,
    /// Tells the follower to look at once.
    pub(crate) poke: Notify,
    /// Output that a power cut cannot take, as its recorder said last.
    safe: AtomicU64,
}

impl Handle {
    pub(crate) fn new(storage: &Storage, view: RecordView) -> Self {
        let id = view.spec.id;
        let fed = view.spec.source == Source::Ingest;
        let mut seen = Seen {
            view,
            version: 1,
            steps: Vec::new(),
            artifacts: HashMap::new(),
            start_problem: None,
        };
        seen.note_all();
        let position = seen.view.state.summary.position;
        let tick = Tick { version: seen.version, position, ended: false };
        Self {
            id,
            storage: storage.clone(),
            fed,
            seen: Mutex::new(seen),
            tick: watch::Sender::new(tick),
            poke: Notify::new(),
            safe: AtomicU64::new(0),
        }
    }

    /// The execution.
    pub fn id(&self) -> ExecutionId {
        self.id
    }

    /// How far it is.
    pub fn tick(&self) -> Tick {
        *self.tick.borrow()
    }

    /// To be woken: the channel holds the latest only.
    pub fn subscribe(&self) -> watch::Receiver<Tick> {
        let ticks = self.tick.subscribe();
        self.poke.notify_one(); // What nobody watched may be a moment behind.
        ticks
    }

    /// Whether anybody is to be woken.
    pub(crate) fn is_watched(&self) -> bool {
        self.tick.receiver_count() > 0
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&ExecutionState) -> T) -> T {
        look(&self.lock().view.state)
    }

    /// What was asked for.
    pub fn spec(&self) -> Spec {
        self.lock().view.spec.clone()
    }

    /// What lists show.
    pub fn summary(&self) -> Summary {
        self.read(|state| state.summary.clone())
    }

    /// What changed since `mark`, which is moved on.
    pub fn changes(&self, mark: &mut Mark) -> Changed {
        let seen = self.lock();
        let state = &seen.view.state;
        let steps = state.steps.iter().zip(&seen.steps);
        let changed = Changed {
            summary: state.summary.clone(),
            steps: steps.filter(|(_, at)| **at > mark.version).map(|(s, _)| s.clone()).collect(),
            artifacts: state
                .artifacts
                .iter()
                .filter(|one| seen.artifacts.get(&one.index).is_none_or(|at| *at > mark.version))
                .cloned()
                .collect(),
            removed: state.removed.iter().map(|one| one.index).collect(),
            annotations: state.annotations.get(mark.annotations..).unwrap_or_default().to_vec(),
        };
        *mark = Mark { version: seen.version, annotations: state.annotations.len() };
        changed
    }

    /// Whether something has changed since `mark`.
    pub(crate) fn is_behind(&self, mark: Mark) -> bool {
        self.lock().version != mark.version
    }

    /// Opens the log; `None` before the recorder has made it. Blocks.
    pub fn log(&self) -> Result<Option<LogReader>, RecordError> {
        LogReader::open(&self.storage.record_dir(self.id))
    }

    /// Bytes that output and index take up on the disk, and whether they are compressed. Blocks.
    pub fn stored_log(&self) -> (u64, bool) {
        self.storage.stored_log(self.id)
    }

    /// Opens the journal; `None` before the recorder has made it. Blocks.
    pub fn journal(&self) -> Result<Option<JournalReader>, RecordError> {
        JournalReader::open(&self.storage.record_dir(self.id))
    }

    /// Whether its writer is in this process.
    pub(crate) fn is_fed(&self) -> bool {
        self.fed
    }

    /// Folds what its writer, in this process, has recorded.
    pub(crate) fn feed(&self, events: &[Event], position: Position) {
        self.lock().folding(|view| view.take(events, position));
    }

    /// Folds what is new. Viewers are told by [`Handle::publish`].
    pub(crate) fn refresh(&self) -> Result<(), RecordError> {
        if self.fed {
            return self.lock().folding(RecordView::refresh_notes);
        }
        self.lock().folding(RecordView::refresh).map(drop)
    }

    /// Takes down how far its recorder says it is, where nothing else is new: then nothing need be
    /// read. Returns whether that is so.
    pub(crate) fn go_on(&self, to: Position) -> bool {
        let mut seen = self.lock();
        let summary = &mut seen.view.state.summary;
        if summary.status.is_end() || summary.position.seq != to.seq {
            return false;
        }
        let known = &mut summary.position;
        *known = Position {
            bytes: known.bytes.max(to.bytes),
            lines: known.lines.max(to.lines),
            seq: to.seq,
        };
        true
    }

    /// Whether somebody will still write. Blocks.
    pub(crate) fn liveness(&self) -> Result<Liveness, RecordError> {
        let mut seen = self.lock();
        seen.folding(RecordView::liveness)
    }

    /// Takes the place of what was folded so far: a verdict has been written, or a tail set aside.
    pub(crate) fn replace(&self, view: RecordView) {
        let mut seen = self.lock();
        seen.view = view;
        seen.version += 1;
        seen.note_all();
    }

    /// Tells viewers how far it is, the end included.
    pub(crate) fn publish(&self) {
        let now = {
            let seen = self.lock();
            let summary = &seen.view.state.summary;
            Tick {
                version: seen.version,
                position: summary.position,
                ended: summary.status.is_end(),
            }
        };
        self.tick.send_if_modified(|tick| {
            let modified = *tick != now;
            *tick = now;
            modified
        });
    }

    /// Notes what a recorder said; it never goes back.
    pub(crate) fn set_safe_bytes(&self, safe: u64) {
        self.safe.fetch_max(safe, Relaxed);
    }

    /// Output of a live execution that a power cut cannot take, as its recorder said last.
    pub fn safe_bytes(&self) -> u64 {
        self.safe.load(Relaxed)
    }

    /// Notes whether its recorder answers; viewers are told by [`Handle::publish`].
    pub(crate) fn set_unresponsive(&self, unresponsive: bool) {
        let mut seen = self.lock();
        let summary = &mut seen.view.state.summary;
        if summary.unresponsive != unresponsive {
            summary.unresponsive = unresponsive;
            seen.version += 1;
        }
    }

    /// Who wants it stopped, as long as its recorder has not taken that down.
    pub(crate) fn wish(&self) -> Option<String> {
        self.read(|state| state.wish.clone().filter(|_| !state.summary.status.is_end()))
    }

    pub(crate) fn set_start_problem(&self, problem: String) {
        self.lock().start_problem = Some(problem);
    }

    pub(crate) fn start_problem(&self) -> Option<String> {
        self.lock().start_problem.clone()
    }

    /// Closes what it holds open of an ended record; a later look opens it again.
    pub(crate) fn close_files(&self) {
        self.lock().view.close_files();
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // A fold that panicked leaves a state that is behind, not one that is wrong.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Does what may fold events, and counts what it changed.
    fn folding<T>(&mut self, fold: impl FnOnce(&mut RecordView) -> T) -> T {
        let before = self.fingerprint();
        let folded = fold(&mut self.view);
        self.note_changes();
        if before != self.fingerprint() {
            self.version += 1;
        }
        folded
    }

    /// All that can change without a step or an artifact changing, but for the position.
    fn fingerprint(&self) -> (u64, stepflow_model::Status, usize) {
        let state = &self.view.state;
        (state.summary.position.seq, state.summary.status, state.annotations.len())
    }

    fn note_changes(&mut self) {
        let changes = self.view.state.take_changes();
        if changes.steps.is_empty() && changes.artifacts.is_empty() {
            return;
        }
        self.version += 1;
        self.steps.resize(self.view.state.steps.len(), self.version);
        for at in changes.steps {
            self.steps[at as usize] = self.version;
        }
        self.artifacts.extend(changes.artifacts.into_iter().map(|index| (index, self.version)));
    }

    fn note_all(&mut self) {
        let _ = self.view.state.take_changes();
        self.steps = vec![self.version; self.view.state.steps.len()];
        let artifacts = self.view.state.artifacts.iter();
        self.artifacts = artifacts.map(|one| (one.index, self.version)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_is_believed_while_nothing_but_output_is_new_and_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        let id = "0198c2aa-0000-7000-8000-000000000001".parse().unwrap();
        let view = RecordView::begin(&storage, Spec::new(id, Source::Server, 0));
        let handle = Handle::new(&storage, view);
        let at = |bytes, seq| Position { bytes, lines: bytes / 10, seq };
        let position = || handle.read(|state| state.summary.position);
        assert!(handle.go_on(at(20, 0)));
        assert_eq!(position(), at(20, 0));
        assert!(handle.go_on(at(10, 0)));
        assert_eq!(position(), at(20, 0), "a wake-up that was late");
        assert!(!handle.go_on(at(30, 1)), "there is an event to be read");
        assert_eq!(position(), at(20, 0));
    }
}
