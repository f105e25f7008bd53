//! One execution as the original's messages: its journal and its log, read together in the order of
//! their offsets.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use stepflow_engine::{Handle, Mark};
use stepflow_model::{Event, EventKind, ExecutionState, StepId, StepStatus, UPLOADED_FIRST};
use stepflow_record::{JournalReader, Line, LogReader, RecordError};

use super::message;
use crate::lines;

/// Log bytes of one message, about.
const CHUNK_BYTES: u64 = 64 * 1024;
/// Most lines of one message.
const CHUNK_LINES: usize = 4_096;
/// Messages of one round, about.
const MESSAGES_MAX: usize = 64;

/// What one round brought.
pub(super) struct Round {
    pub(super) messages: Vec<String>,
    pub(super) state: State,
}

pub(super) enum State {
    /// There is more right now.
    More,
    /// Everything there is has been sent; `soon`: more follows, even without a change.
    Waits { soon: bool },
    /// It has ended, and all was sent.
    Over,
}

/// Follows one execution. The fold is its own, so that each message shows the state of its moment.
pub(super) struct Followed {
    handle: Arc<Handle>,
    state: ExecutionState,
    journal: Option<JournalReader>,
    log: Option<LogReader>,
    events: VecDeque<Event>,
    /// Log bytes that have been sent.
    offset: u64,
    /// Log bytes whose events are surely in the journal: what there was a round ago.
    safe: u64,
    /// Where lines begin that are markers.
    markers: HashSet<u64>,
    uploads: Mark,
    /// `execution_completed` has been sent.
    completed: bool,
}

impl Followed {
    /// From its start, if it is `new`, else from now on. Blocks.
    pub(super) fn new(handle: Arc<Handle>, new: bool) -> Result<Self, RecordError> {
        let state = ExecutionState::new(&handle.spec());
        let mut followed = Self {
            handle,
            state,
            journal: None,
            log: None,
            events: VecDeque::new(),
            offset: 0,
            safe: 0,
            markers: HashSet::new(),
            uploads: Mark::default(),
            completed: false,
        };
        if !new {
            followed.handle.changes(&mut followed.uploads);
            if let Some(log) = followed.handle.log()? {
                followed.offset = log.position()?.0;
                followed.safe = followed.offset;
            }
            while followed.read_events()? {
                for event in std::mem::take(&mut followed.events) {
                    followed.state.apply(&event);
                }
            }
        }
        Ok(followed)
    }

    /// Reads events; `false`: there are none. Blocks.
    fn read_events(&mut self) -> Result<bool, RecordError> {
        if self.journal.is_none() {
            self.journal = self.handle.journal()?;
        }
        if let Some(journal) = &mut self.journal {
            self.events.extend(journal.read_new()?);
        }
        Ok(!self.events.is_empty())
    }

    /// What is new, as messages. Blocks.
    pub(super) fn round(&mut self) -> Result<Round, RecordError> {
        let mut messages = Vec::new();
        // First the end, then what there is, then the events: in this order nothing is missed.
        let ended = self.handle.tick().ended;
        let end = match self.open_log()? {
            Some(log) => log.position()?.0,
            None => 0,
        };
        let safe = if ended { end } else { self.safe };
        self.safe = end;
        while messages.len() < MESSAGES_MAX {
            if self.events.is_empty() && !self.read_events()? {
                if self.offset < safe {
                    self.log_until(safe, ended, &mut messages)?;
                    continue;
                }
                self.uploads(&mut messages);
                if ended {
                    self.end(&mut messages);
                    return Ok(Round { messages, state: State::Over });
                }
                let soon = self.safe > self.offset;
                return Ok(Round { messages, state: State::Waits { soon } });
            }
            let Some(offset) = self.events.front().map(|event| event.offset) else { continue };
            if self.offset < offset {
                self.note_ends();
                self.log_until(offset, true, &mut messages)?;
            } else if let Some(event) = self.events.pop_front() {
                self.event(&event, &mut messages);
            }
        }
        Ok(Round { messages, state: State::More })
    }

    fn open_log(&mut self) -> Result<Option<&LogReader>, RecordError> {
        if self.log.is_none() {
            self.log = self.handle.log()?;
        }
        Ok(self.log.as_ref())
    }

    /// The line that ends where the next event stands is that event's marker.
    fn note_ends(&mut self) {
        if let Some(Event { kind: EventKind::StepFinished { by, .. }, offset, .. }) =
            self.events.front()
            && by == "marker"
        {
            self.markers.insert(*offset);
        }
    }

    /// The next lines before `until`, as one message. `whole`: half a line counts as one.
    fn log_until(
        &mut self,
        until: u64,
        whole: bool,
        messages: &mut Vec<String>,
    ) -> Result<(), RecordError> {
        let bytes = CHUNK_BYTES.min(until - self.offset);
        let from = self.offset;
        let Some(log) = self.open_log()? else {
            self.offset = until;
            return Ok(());
        };
        let (mut pieces, mut next) = lines::by_offset(log, from, (bytes, CHUNK_LINES), whole)?;
        pieces.retain(|piece| piece.offset < until);
        // The rest of a line that is cut here comes with the line, or is a piece of a long one.
        if pieces.len() > 1 && pieces.last().is_some_and(|last| last.partial && last.end < until) {
            next = pieces.pop().map_or(next, |last| last.offset);
        }
        self.offset = if next > from { next.min(until) } else { until };
        let shown: Vec<&Line> = pieces.iter().filter(|piece| self.is_shown(piece)).collect();
        if let Some(first) = shown.first() {
            let text: Vec<_> = shown
                .iter()
                .map(|piece| String::from_utf8_lossy(&piece.text))
                .map(|text| text.strip_suffix('\r').map_or(text.to_string(), str::to_owned))
                .collect();
            let id = self.state.summary.id;
            let step = self.state.current().map(|index| StepId { execution: id, index });
            let step = step.map(|step| step.to_string());
            let (content, time) = (text.join("\n"), first.time_ns);
            messages.push(message::log_entry(id, step.as_deref(), &content, time, shown.len()));
        }
        let offset = self.offset;
        self.markers.retain(|at| *at >= offset);
        Ok(())
    }

    fn is_shown(&self, piece: &Line) -> bool {
        !self.markers.contains(&piece.offset) && !self.markers.contains(&piece.end)
    }

    fn event(&mut self, event: &Event, messages: &mut Vec<String>) {
        let before = self.state.summary.status;
        self.state.apply(event);
        let update = |state| message::execution("execution_update", state);
        let state = &self.state;
        match &event.kind {
            EventKind::Started { .. } => {
                messages.push(message::execution("execution_started", state));
                messages.push(update(state));
            }
            EventKind::StepStarted { step, .. } => {
                self.markers.insert(event.offset);
                messages.extend(message::step(state, *step));
                messages.push(update(state));
            }
            EventKind::StepFinished { step, status, by, .. } => {
                messages.extend(message::step(state, *step));
                if by == "marker" && *status == StepStatus::Completed {
                    messages.push(update(state));
                }
            }
            EventKind::Meta { step, .. } => {
                self.markers.insert(event.offset);
                match step {
                    Some(step) => messages.extend(message::step(state, *step)),
                    None => messages.push(update(state)),
                }
            }
            EventKind::Progress { step: Some(step), .. } => {
                messages.extend(message::step(state, *step));
            }
            EventKind::Artifact { .. } => drop(self.markers.insert(event.offset)),
            EventKind::ArtifactStored { artifact, .. } => {
                if let Some(file) = state.artifact(*artifact) {
                    let id = state.summary.id;
                    messages.push(message::artifact("artifact_update", id, file));
                    messages.push(message::artifact("artifact_created", id, file));
                }
            }
            EventKind::Exited { .. } if !before.is_end() => self.complete(messages),
            EventKind::Progress { step: None, .. }
            | EventKind::CancelRequested { .. }
            | EventKind::Paused { .. }
            | EventKind::Resumed {} => {
                messages.push(update(state));
            }
            _ => {}
        }
    }

    /// Files that others have added since the last look.
    fn uploads(&mut self, messages: &mut Vec<String>) {
        let id = self.state.summary.id;
        let changed = self.handle.changes(&mut self.uploads);
        for file in changed.artifacts.iter().filter(|file| file.index >= UPLOADED_FIRST) {
            messages.push(message::artifact("artifact_update", id, file));
            messages.push(message::artifact("artifact_created", id, file));
        }
    }

    fn complete(&mut self, messages: &mut Vec<String>) {
        self.completed = true;
        messages.push(message::execution("execution_update", &self.state));
        messages.push(message::execution("execution_completed", &self.state));
    }

    /// The end is a verdict of somebody else: the journal does not have it.
    fn end(&mut self, messages: &mut Vec<String>) {
        if self.completed {
            return;
        }
        self.state = self.handle.read(Clone::clone);
        for step in
            self.state.steps.iter().filter(|step| step.ended_us == self.state.summary.ended_us)
        {
            messages.extend(message::step(&self.state, step.index));
        }
        self.complete(messages);
    }
}
