//! The fold from events to what people see.

mod artifacts; // the part of the fold that is about files
mod noted; // which warnings were said already

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ANNOTATIONS_MAX, ArtifactOrigin, Dropped, Event, EventKind, ExecutionId, ExecutionOrigin,
    METADATA_MAX, Note, NoteKind, PROBLEMS_MAX, Problem, Reason, Source, Spec, Status, StepOrigin,
    StepStatus, Tests, Text, expected::expected_s,
};

/// How far a record has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Recorded output bytes.
    pub bytes: u64,
    /// Ended lines.
    pub lines: u64,
    /// The last journal event.
    pub seq: u64,
}

/// What lists show of an execution; one row of the catalog. Times are microseconds UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The execution.
    pub id: ExecutionId,
    /// Its name.
    pub name: String,
    /// The command as one line.
    pub command: String,
    /// The working directory.
    pub cwd: String,
    /// Where it stands.
    pub status: Status,
    /// Why, for failed and cancelled.
    pub reason: Option<Reason>,
    /// Being stopped.
    pub cancelling: bool,
    /// Waiting for disk space.
    pub paused: bool,
    /// The script's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// A sentence for people.
    pub error_message: Option<String>,
    /// Accepted.
    pub created_us: i64,
    /// Script released.
    pub started_us: Option<i64>,
    /// Ended.
    pub ended_us: Option<i64>,
    /// From start to end by the monotonic clock, microseconds.
    pub duration_us: Option<u64>,
    /// Declared environment.
    pub env: std::collections::BTreeMap<String, String>,
    /// Who asked.
    pub user: String,
    /// Free words.
    pub tags: Vec<String>,
    /// Somebody wants to find it again.
    #[serde(default)]
    pub pinned: bool,
    /// Steps begun.
    pub total_steps: u32,
    /// Steps ended as completed.
    pub completed_steps: u32,
    /// Steps ended as failed.
    pub failed_steps: u32,
    /// Steps that were not run on purpose.
    pub skipped_steps: u32,
    /// How far the script says it is, outside of steps; 0 to 100.
    pub progress: Option<f64>,
    /// What it says it is doing.
    pub progress_text: Option<String>,
    /// The newest step's number.
    pub current_step: Option<u32>,
    /// The newest open step's name.
    pub current_step_name: Option<String>,
    /// Artifacts declared.
    pub artifacts: u32,
    /// Warnings.
    pub warnings: u32,
    /// Metadata of the caller and of `META:` outside steps.
    pub metadata: Map<String, Value>,
    /// Who asked, as a way in.
    pub source: Source,
    /// It has a terminal.
    pub pty: bool,
    /// The execution that this one repeats.
    pub rerun_of: Option<ExecutionId>,
    /// How the tree is held together.
    pub containment: String,
    /// It runs, and its recorder does not answer: stopped, or its disk hangs. Seen from here and
    /// now, in no record.
    #[serde(default)]
    pub unresponsive: bool,
    /// The host's name.
    pub host: String,
    /// How far its record has come, as far as known here.
    pub position: Position,
    /// Imported from the original StepFlow Monitor, with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<ExecutionOrigin>>,
}

impl Summary {
    /// What the script itself says about the whole; else completed steps of all, 0 to 100, 0
    /// without steps.
    pub fn progress_percentage(&self) -> f64 {
        if let Some(progress) = self.progress {
            return progress;
        }
        if self.total_steps == 0 {
            return 0.0;
        }
        f64::from(self.completed_steps) / f64::from(self.total_steps) * 100.0
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its number, from 0, in order of start.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The step it is nested in.
    pub parent: Option<u32>,
    /// Its `[id=…]`.
    pub key: Option<String>,
    /// How deep it is nested; 0 for top level.
    pub depth: u32,
    /// Where it stands.
    pub status: StepStatus,
    /// Its exit code, where one is known.
    pub exit_code: Option<i32>,
    /// Why it failed, or was skipped.
    pub error: Option<String>,
    /// How far the script says it is, 0 to 100.
    pub progress: Option<f64>,
    /// What it says it is doing.
    pub progress_text: Option<String>,
    /// Begun, wall clock.
    pub started_us: i64,
    /// Ended, wall clock.
    pub ended_us: Option<i64>,
    /// Begun, monotonic.
    pub started_at_us: u64,
    /// From begin to end, monotonic.
    pub duration_us: Option<u64>,
    /// Expected duration in seconds, from `[expected=…]` or `[duration=…]`.
    pub estimated_s: Option<f64>,
    /// Its failure stops the script.
    pub stop_on_error: bool,
    /// The marker's parameters and `META:` pairs.
    pub metadata: Map<String, Value>,
    /// Output offset of its first byte.
    pub start_offset: u64,
    /// Output offset just after its last byte.
    pub end_offset: Option<u64>,
    /// Number of its first line, from 1.
    pub first_line: u64,
    /// Number of its last line; `first_line - 1` when it has none.
    pub last_line: Option<u64>,
    /// Imported from the original StepFlow Monitor, with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<StepOrigin>>,
    /// The dialect that it is told in; own markers if absent. Not in the catalog, like what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// A short word of its dialect about its end, such as `cached`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// It has a place of its own: lines do not fall into it.
    #[serde(default)]
    pub loose: bool,
    /// It ended, and nobody said how: completed without a verdict.
    #[serde(default)]
    pub done: bool,
}

/// One declared artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its number, from 0.
    pub index: u32,
    /// The step it was declared in.
    pub step: Option<u32>,
    /// The path as written.
    pub path: String,
    /// Its description.
    pub description: String,
    /// Declared.
    pub created_us: i64,
    /// SHA-256 of the copy, hex; its name on disk.
    pub sha256: Option<String>,
    /// Size of the copy.
    pub size: u64,
    /// It changed while it was copied.
    pub changed: bool,
    /// Why there is no copy.
    pub problem: Option<String>,
    /// Whether the copying has been decided.
    pub settled: bool,
    /// Imported from the original StepFlow Monitor, with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<ArtifactOrigin>>,
}

/// Something people should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    /// A stable word.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// The line it belongs to.
    pub line: u64,
    /// The step that was open.
    pub step: Option<u32>,
    /// When.
    pub time_us: i64,
    /// The script itself points it out, with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<Problem>>,
}

/// A dialect that was found in the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detected {
    /// Its name.
    pub dialect: String,
    /// The line that gave it away.
    pub line: u64,
}

/// A place where output is missing that the disk did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The bytes before and behind this offset were not printed one after the other.
    pub offset: u64,
    /// It was printed before this line.
    pub line: u64,
    /// How much is missing.
    pub bytes: u64,
    /// A sentence for people.
    pub message: String,
}

/// The state of one execution after some prefix of its events.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionState {
    /// What lists show.
    pub summary: Summary,
    /// All steps in order of start.
    pub steps: Vec<Step>,
    /// All artifacts in order of their numbers: declared ones, then uploaded ones.
    pub artifacts: Vec<Artifact>,
    /// Artifacts that were removed, as they were.
    pub removed: Vec<Artifact>,
    /// Warnings, at most [`ANNOTATIONS_MAX`], and problems, at most [`PROBLEMS_MAX`].
    pub annotations: Vec<Annotation>,
    /// Dialects in use, in the order in which they were found.
    pub detected: Vec<Detected>,
    /// Texts about the whole.
    pub summaries: Vec<Text>,
    /// Tests, counted.
    pub tests: Tests,
    /// Secrets that its output has declared.
    pub secrets: u32,
    /// The open steps' numbers in order of start; the last one that is not loose owns the output.
    pub open: Vec<u32>,
    /// Where the output changes its owner: from this offset and line on, this step (or none).
    pub owners: Vec<(u64, u64, Option<u32>)>,
    /// The script's first process, once started.
    pub pid: Option<i32>,
    /// Output from this byte on may not survive a power cut: the disk failed to make it durable.
    pub unsafe_from: Option<u64>,
    /// Output that is gone by policy.
    pub dropped: Option<Dropped>,
    /// Places where output is missing that the disk did not take, at most [`ANNOTATIONS_MAX`].
    pub losses: Vec<Loss>,
    /// Bytes that are missing there, and in all further places.
    pub lost_bytes: u64,
    /// The kernel's boot id at the start.
    pub boot_id: Option<String>,
    /// The recorder's pid.
    pub recorder_pid: Option<i32>,
    /// The control group of its tree, if it has one.
    pub cgroup: Option<String>,
    /// Who wants it stopped, while its recorder has not taken that down: a wish in the notes.
    pub wish: Option<String>,
    /// Processes left over at the end.
    pub leftover: Vec<String>,
    /// Steps changed since [`ExecutionState::take_changes`].
    changed_steps: Vec<u32>,
    /// Artifacts changed since then.
    changed_artifacts: Vec<u32>,
    /// Artifacts the script has declared, removed ones included.
    declared_artifacts: u32,
    /// Which warnings its output has given rise to.
    pub(crate) noted: noted::Noted,
    started_at_us: u64,
}

/// What changed between two looks: numbers of steps and artifacts, each once, ascending.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Steps.
    pub steps: Vec<u32>,
    /// Artifacts.
    pub artifacts: Vec<u32>,
}

impl ExecutionState {
    /// The state before any event.
    pub fn new(spec: &Spec) -> Self {
        Self {
            summary: Summary {
                id: spec.id,
                name: spec.name.clone(),
                command: spec.command_text(),
                cwd: spec.cwd.clone(),
                status: Status::Pending,
                reason: None,
                cancelling: false,
                paused: false,
                exit_code: None,
                signal: None,
                error_message: None,
                created_us: spec.created_us,
                started_us: None,
                ended_us: None,
                duration_us: None,
                env: spec.env.clone(),
                user: spec.user.clone(),
                tags: spec.tags.clone(),
                pinned: false,
                total_steps: 0,
                completed_steps: 0,
                failed_steps: 0,
                skipped_steps: 0,
                progress: None,
                progress_text: None,
                current_step: None,
                current_step_name: None,
                artifacts: 0,
                warnings: 0,
                metadata: spec.metadata.clone(),
                source: spec.source,
                pty: spec.pty.is_some(),
                rerun_of: spec.rerun_of,
                containment: String::new(),
                unresponsive: false,
                host: String::new(),
                position: Position::default(),
                origin: None,
            },
            steps: Vec::new(),
            artifacts: Vec::new(),
            removed: Vec::new(),
            annotations: Vec::new(),
            detected: Vec::new(),
            summaries: Vec::new(),
            tests: Tests::default(),
            secrets: 0,
            open: Vec::new(),
            owners: Vec::new(),
            pid: None,
            unsafe_from: None,
            dropped: None,
            losses: Vec::new(),
            lost_bytes: 0,
            boot_id: None,
            cgroup: None,
            recorder_pid: None,
            wish: None,
            leftover: Vec::new(),
            changed_steps: Vec::new(),
            changed_artifacts: Vec::new(),
            declared_artifacts: 0,
            noted: noted::Noted::default(),
            started_at_us: 0,
        }
    }

    /// The step that owns the output now; `None`: the preamble, or between steps.
    pub fn current(&self) -> Option<u32> {
        self.open.iter().rev().copied().find(|open| !self.steps[*open as usize].loose)
    }

    /// The step that owns the byte at `offset`.
    pub fn owner_of(&self, offset: u64) -> Option<u32> {
        let after = self.owners.partition_point(|owner| owner.0 <= offset);
        after.checked_sub(1).and_then(|at| self.owners[at].2)
    }

    /// Steps and artifacts that changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let mut changes = Changes {
            steps: std::mem::take(&mut self.changed_steps),
            artifacts: std::mem::take(&mut self.changed_artifacts),
        };
        for list in [&mut changes.steps, &mut changes.artifacts] {
            list.sort_unstable();
            list.dedup();
        }
        changes
    }

    /// Takes one event. Events after the end, and events seen before, change nothing.
    pub fn apply(&mut self, event: &Event) {
        if event.seq <= self.summary.position.seq {
            return; // Delivered twice.
        }
        self.summary.position.seq = event.seq;
        self.summary.position.bytes = self.summary.position.bytes.max(event.offset);
        self.summary.position.lines = self.summary.position.lines.max(event.lines);
        // The last sync is that of the end: what it says about the disk comes behind it.
        if let EventKind::SyncFailed { safe, why } = &event.kind {
            return self.sync_failed(event, *safe, why);
        }
        if self.summary.status.is_end() {
            return; // The end is final.
        }
        match &event.kind {
            EventKind::Started {
                pid, boot_id, containment, cgroup, host, recorder_pid, ..
            } => {
                self.summary.status = Status::Running;
                self.summary.started_us = Some(event.time_us);
                self.summary.containment.clone_from(containment);
                self.summary.host.clone_from(host);
                self.started_at_us = event.at_us;
                self.pid = Some(*pid);
                self.recorder_pid = Some(*recorder_pid);
                self.cgroup.clone_from(cgroup);
                self.boot_id = Some(boot_id.clone());
            }
            EventKind::StepStarted { step, name, parent, key, params, dialect, loose } => {
                self.step_started(event, *step, name, *parent, key.as_ref(), params);
                if let Some(known) = self.steps.last_mut().filter(|known| known.index == *step) {
                    known.dialect.clone_from(dialect);
                    known.loose = *loose;
                }
                self.owner_changed(event);
            }
            EventKind::StepFinished { step, status, exit_code, error, detail, done, .. } => {
                if let Some(known) = self.step_finished(event, *step, *status) {
                    known.exit_code = *exit_code;
                    known.error.clone_from(error);
                    known.detail.clone_from(detail);
                    known.done = *done;
                }
            }
            EventKind::Progress { step, percent, text } => {
                let (progress, said) = match step.and_then(|s| self.steps.get_mut(s as usize)) {
                    Some(step) => {
                        self.changed_steps.push(step.index);
                        (&mut step.progress, &mut step.progress_text)
                    }
                    None => (&mut self.summary.progress, &mut self.summary.progress_text),
                };
                if let Some(percent) = percent {
                    *progress = Some(percent.clamp(0.0, 100.0));
                }
                *said = Some(text.clone()).filter(|text| !text.is_empty());
            }
            EventKind::Artifact { artifact, step, path, description, .. } => {
                self.artifact_declared(event, *artifact, *step, path, description);
            }
            EventKind::ArtifactStored { artifact, sha256, size, changed, problem } => {
                if let Some(known) = self.artifact_mut(*artifact) {
                    known.sha256.clone_from(sha256);
                    known.size = *size;
                    known.changed = *changed;
                    known.problem.clone_from(problem);
                    known.settled = true;
                    self.changed_artifacts.push(*artifact);
                }
            }
            EventKind::Meta { step, key, value, .. } => {
                self.noted.take_meta();
                let (metadata, changed) = match step.and_then(|s| self.steps.get_mut(s as usize)) {
                    Some(step) => (&mut step.metadata, Some(step.index)),
                    None => (&mut self.summary.metadata, None),
                };
                if metadata.len() < METADATA_MAX || metadata.contains_key(key) {
                    metadata.insert(key.clone(), Value::String(value.clone()));
                }
                self.changed_steps.extend(changed);
            }
            EventKind::Detected { dialect } => {
                let (dialect, line) = (dialect.clone(), event.lines + 1);
                self.detected.push(Detected { dialect, line });
            }
            EventKind::Problem(problem) => self.problem(event, problem),
            EventKind::Summary(text) => {
                self.noted.bytes += text.bytes();
                self.summaries.push((**text).clone());
            }
            EventKind::Test(test) => {
                self.noted.tests += 1;
                self.tests.take(test);
            }
            EventKind::TestSummary { dialect, step, counts, .. } => {
                self.noted.totals += 1;
                let (steps, around) = (&self.steps, *step);
                self.tests.take_summary(dialect, around, counts, |inner| {
                    let parent = |step: &u32| steps.get(*step as usize)?.parent;
                    around.is_some_and(|around| {
                        std::iter::successors(parent(&inner), parent).any(|step| step == around)
                    })
                });
            }
            EventKind::SecretDeclared { .. } => self.secrets += 1,
            EventKind::Warning { code, message } => self.warn(event, code, message.clone()),
            EventKind::CancelRequested { .. } => {
                self.summary.cancelling = true;
                self.wish = None;
            }
            EventKind::Paused { .. } => self.summary.paused = true,
            EventKind::Resumed {} => self.summary.paused = false,
            EventKind::Imported { origin } => self.imported(origin),
            EventKind::StepImported { step, origin } => {
                if self.step_imported(*step, origin) {
                    self.changed_steps.push(*step);
                }
            }
            EventKind::ArtifactImported { artifact, origin } => {
                if self.artifact_imported(*artifact, origin) {
                    self.changed_artifacts.push(*artifact);
                }
            }
            EventKind::OutputDropped { dropped, .. } => self.dropped = Some(*dropped),
            EventKind::OutputLost { bytes, cuts_line, .. } => {
                let behind = event.lines + 1 + u64::from(*cuts_line);
                self.output_lost(event, *bytes, behind);
            }
            EventKind::SignalSent { .. } | EventKind::SyncFailed { .. } | EventKind::Unknown => {}
            EventKind::Exited { status, reason, exit_code, signal, message, leftover, .. } => {
                self.leftover.clone_from(leftover);
                self.end(*status, *reason, message.clone(), event.time_us);
                self.summary.exit_code = *exit_code;
                self.summary.signal = *signal;
                // What never started took no time.
                self.summary.duration_us =
                    self.summary.started_us.map(|_| event.at_us.saturating_sub(self.started_at_us));
            }
        }
    }

    /// Of the bytes that are recorded, how many a power cut cannot take, once `synced` are synced.
    pub fn safe_bytes(&self, synced: u64) -> u64 {
        self.unsafe_from.map_or(synced, |from| from.min(synced))
    }

    fn warn(&mut self, event: &Event, code: &str, message: String) {
        self.summary.warnings += 1;
        self.noted.take(code);
        if self.annotations.len() - self.noted.problems < ANNOTATIONS_MAX {
            self.annotations.push(Annotation {
                code: code.to_owned(),
                message,
                line: event.lines + 1,
                step: self.current(),
                time_us: event.time_us,
                problem: None,
            });
        }
    }

    fn problem(&mut self, event: &Event, problem: &Problem) {
        self.noted.bytes += problem.bytes();
        if self.noted.problems < PROBLEMS_MAX {
            self.noted.problems += 1;
            self.summary.warnings += 1;
            self.annotations.push(Annotation {
                code: problem.level.as_str().to_owned(),
                message: problem.message.clone(),
                line: event.lines + 1,
                step: problem.step,
                time_us: event.time_us,
                problem: Some(Box::new(problem.clone())),
            });
        }
    }

    fn output_lost(&mut self, event: &Event, bytes: u64, line: u64) {
        let message = event.kind.loss(event.offset).unwrap_or_default();
        self.lost_bytes += bytes;
        if self.losses.len() < ANNOTATIONS_MAX {
            let offset = event.offset;
            self.losses.push(Loss { offset, line, bytes, message: message.clone() });
        }
        self.warn(event, "output_lost", message);
    }

    fn sync_failed(&mut self, event: &Event, safe: u64, why: &str) {
        if self.unsafe_from.is_none_or(|known| safe < known) {
            self.unsafe_from = Some(safe);
            let message = format!(
                "the disk failed to make output durable ({why}): output after byte {safe} may not survive a power cut"
            );
            self.warn(event, "sync_failed", message);
        }
    }

    /// Takes a note of somebody else. A recorded end wins over a verdict; files and labels come and
    /// go after it as before.
    pub fn apply_note(&mut self, note: &Note) {
        if self.artifact_noted(note) || self.labelled(note) || self.summary.status.is_end() {
            return;
        }
        let (reason, message) = match &note.kind {
            NoteKind::Recovered { unverified_bytes, set_aside_bytes, damaged_bytes } => {
                self.annotations.push(Annotation {
                    code: "recovered".to_owned(),
                    message: format!(
                        "after a crash: {unverified_bytes} bytes of output kept without checksum, \
                         {set_aside_bytes} bytes of index or journal set aside, \
                         {damaged_bytes} bytes damaged; output still in the pipe was lost (amount unknown)"
                    ),
                    line: self.summary.position.lines + 1,
                    step: self.current(),
                    time_us: note.time_us,
                    problem: None,
                });
                self.summary.warnings += 1;
                return;
            }
            NoteKind::Lost { reason: Reason::HostRestarted } => {
                (Reason::HostRestarted, "the host restarted while the script ran".to_owned())
            }
            NoteKind::Lost { reason } => {
                (*reason, "the recorder was lost: how the script ended cannot be known".to_owned())
            }
            NoteKind::NotStarted { reason, message } => (*reason, message.clone()),
            NoteKind::CancelWished { by } => {
                // One that the recorder has taken down already, or a second one, says nothing new.
                if !std::mem::replace(&mut self.summary.cancelling, true) {
                    self.wish = Some(by.clone());
                }
                return;
            }
            NoteKind::ArtifactAdded { .. }
            | NoteKind::ArtifactRemoved { .. }
            | NoteKind::Labelled { .. } => return,
        };
        let status = if reason == Reason::User { Status::Cancelled } else { Status::Failed };
        let open = std::mem::take(&mut self.open);
        for index in open {
            let step = &mut self.steps[index as usize];
            step.status = if status == Status::Cancelled {
                StepStatus::Cancelled
            } else {
                StepStatus::Failed
            };
            step.error = (status == Status::Failed).then(|| message.clone());
            step.ended_us = Some(note.time_us.max(step.started_us));
            step.duration_us = u64::try_from(note.time_us - step.started_us).ok();
            self.changed_steps.push(index);
            self.summary.failed_steps += u32::from(status == Status::Failed);
        }
        for artifact in self.artifacts.iter_mut().filter(|artifact| !artifact.settled) {
            artifact.settled = true;
            artifact.problem = Some("the recorder was lost before the copy was made".to_owned());
            self.changed_artifacts.push(artifact.index);
        }
        let started = self.summary.started_us;
        self.end(status, Some(reason), Some(message), note.time_us);
        self.summary.duration_us = started.and_then(|at| u64::try_from(note.time_us - at).ok());
    }

    /// Takes a note of labels; whether it is one.
    fn labelled(&mut self, note: &Note) -> bool {
        let NoteKind::Labelled { name, tags, pinned } = &note.kind else { return false };
        if let Some(name) = name {
            self.summary.name.clone_from(name);
        }
        if let Some(tags) = tags {
            self.summary.tags.clone_from(tags);
        }
        self.summary.pinned = pinned.unwrap_or(self.summary.pinned);
        true
    }

    fn end(&mut self, status: Status, reason: Option<Reason>, message: Option<String>, at: i64) {
        self.summary.status = status;
        self.summary.reason = reason;
        self.summary.error_message = message;
        self.summary.ended_us = Some(at);
        self.summary.cancelling = false;
        self.summary.unresponsive = false;
        self.wish = None;
        self.summary.paused = false;
        self.summary.current_step_name = None;
    }

    fn step_started(
        &mut self,
        event: &Event,
        step: u32,
        name: &str,
        parent: Option<u32>,
        key: Option<&String>,
        params: &Map<String, Value>,
    ) {
        if step as usize != self.steps.len() {
            return; // A journal with a hole: `record` has reported it.
        }
        let depth =
            parent.and_then(|p| self.steps.get(p as usize)).map_or(0, |parent| parent.depth + 1);
        self.steps.push(Step {
            index: step,
            name: name.to_owned(),
            parent,
            key: key.cloned(),
            depth,
            status: StepStatus::Running,
            exit_code: None,
            error: None,
            started_us: event.time_us,
            ended_us: None,
            started_at_us: event.at_us,
            duration_us: None,
            progress: None,
            progress_text: None,
            estimated_s: expected_s(params),
            stop_on_error: params.get("stop_on_error").is_some_and(truthy),
            metadata: params.clone(),
            start_offset: event.offset,
            end_offset: None,
            first_line: event.lines + 1,
            last_line: None,
            origin: None,
            dialect: None,
            detail: None,
            loose: false,
            done: false,
        });
        self.open.push(step);
        self.summary.total_steps = self.steps.len() as u32;
        self.summary.current_step = Some(step);
        self.changed_steps.push(step);
    }

    /// Ends a step; gives it back if this end counts.
    fn step_finished(&mut self, event: &Event, step: u32, status: StepStatus) -> Option<&mut Step> {
        let known = self.steps.get_mut(step as usize)?;
        if known.status.is_end() {
            // Of those of a dialect the later end counts.
            known.dialect.as_ref()?;
            match known.status {
                StepStatus::Completed => self.summary.completed_steps -= 1,
                StepStatus::Failed => self.summary.failed_steps -= 1,
                StepStatus::Skipped => self.summary.skipped_steps -= 1,
                _ => {}
            }
        }
        known.status = status;
        known.ended_us = Some(event.time_us);
        known.duration_us = Some(event.at_us.saturating_sub(known.started_at_us));
        known.end_offset = Some(event.offset);
        known.last_line = Some(event.lines.max(known.first_line.saturating_sub(1)));
        self.open.retain(|open| *open != step);
        match status {
            StepStatus::Completed => self.summary.completed_steps += 1,
            StepStatus::Failed => self.summary.failed_steps += 1,
            StepStatus::Skipped => {
                self.summary.skipped_steps += 1;
                // What runs beside it is still the one that people want to see.
                self.summary.current_step = self.current().or(Some(step));
            }
            _ => {}
        }
        self.changed_steps.push(step);
        self.owner_changed(event);
        self.steps.get_mut(step as usize)
    }

    fn owner_changed(&mut self, event: &Event) {
        let owner = self.current();
        self.summary.current_step_name = owner.map(|step| self.steps[step as usize].name.clone());
        match self.owners.last_mut() {
            Some(last) if last.0 == event.offset => last.2 = owner,
            Some(last) if last.2 == owner => {}
            _ => self.owners.push((event.offset, event.lines, owner)),
        }
    }
}

/// The original's rule for a parameter that switches something on: any non-empty, non-zero value.
pub(crate) fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64().is_some_and(|n| n != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
