//! The rules: what a marker, or the end, means for the steps that are open.
//!
//! `decide` and `finish` return events; nothing has happened until somebody applies them.

use serde_json::{Map, Value};
use stepflow_markers::{Marker, MarkerError, Value as ParamValue};

use crate::{
    ARTIFACTS_MAX, EventKind, ExecutionState, METADATA_MAX, METAS_MAX, Reason, STEPS_MAX, Status,
    Step, StepStatus, state::truthy,
};

/// Where on the marker's line an event belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Before the line: a `STEP_START` line is the first of its step.
    LineStart,
    /// After the line: a `STEP_COMPLETE` line is the last of its step.
    LineEnd,
}

/// What must happen because of a marker.
#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    /// Events, in order, each with its place.
    pub events: Vec<(At, EventKind)>,
    /// The script must be stopped: a critical step failed with this message.
    pub stop: Option<String>,
}

/// Decides what `marker` means in `state`. `stop_on_error` holds for the whole execution.
pub fn decide(state: &ExecutionState, marker: &Marker, stop_on_error: bool) -> Decision {
    match marker {
        Marker::StepStart { name, params } => start(state, name, &to_json(params)),
        Marker::StepComplete { name, params } => complete(state, name, &to_json(params)),
        Marker::StepError { description, params } => {
            error(state, description, &to_json(params), stop_on_error)
        }
        Marker::StepSkip { name, reason, params } => skip(state, name, reason, &to_json(params)),
        Marker::Progress { percent, text, params } => {
            let step = match self::text(&to_json(params), "id") {
                Some(key) => find_open(state, &key).or_else(|| state.current()),
                None => state.current(),
            };
            let progress = EventKind::Progress { step, percent: *percent, text: text.clone() };
            Decision::just(At::LineStart, progress)
        }
        Marker::Artifact { path, description } => {
            if state.artifacts.len() >= ARTIFACTS_MAX {
                return warning(state, "artifact_limit", || {
                    format!("more than {ARTIFACTS_MAX} artifacts: the rest is not collected")
                });
            }
            Decision::just(
                At::LineStart,
                EventKind::Artifact {
                    artifact: state.artifacts.len() as u32,
                    step: state.current(),
                    path: path.clone(),
                    description: description.clone(),
                },
            )
        }
        Marker::Meta { key, value } => meta(state, key, value),
    }
}

/// A key and a value, unless they are known already; only so many, or a loop would fill the journal.
fn meta(state: &ExecutionState, key: &str, value: &str) -> Decision {
    let step = state.current();
    let known = match step.and_then(|step| state.steps.get(step as usize)) {
        Some(step) => &step.metadata,
        None => &state.summary.metadata,
    };
    if known.get(key).and_then(Value::as_str) == Some(value) {
        return Decision::default();
    }
    let full = known.len() >= METADATA_MAX && !known.contains_key(key);
    if full || state.noted.metas() >= METAS_MAX {
        return warning(state, "meta_limit", || {
            format!(
                "more than {METADATA_MAX} keys on one step, or {METAS_MAX} changes: later metadata \
                 is not taken down"
            )
        });
    }
    let kind = EventKind::Meta { step, key: key.to_owned(), value: value.to_owned() };
    Decision::just(At::LineStart, kind)
}

/// How the script's first process ended, and why it was stopped, if it was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// It left a core file.
    pub core: bool,
    /// We stopped it, for this reason, with this sentence.
    pub stopped: Option<(Reason, String)>,
    /// It could not be started: what the system said.
    pub start_error: Option<String>,
}

/// The verdict over an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Its end.
    pub status: Status,
    /// Why, unless completed.
    pub reason: Option<Reason>,
    /// A sentence for people.
    pub message: Option<String>,
}

/// Judges the end of an execution.
pub fn verdict(outcome: &Outcome) -> Verdict {
    let failed = |reason, message| Verdict {
        status: Status::Failed,
        reason: Some(reason),
        message: Some(message),
    };
    if let Some(error) = &outcome.start_error {
        return failed(Reason::StartFailed, error.clone());
    }
    if let Some((reason, message)) = &outcome.stopped {
        return match reason {
            Reason::User | Reason::ClientGone => Verdict {
                status: Status::Cancelled,
                reason: Some(*reason),
                message: Some(message.clone()),
            },
            _ => failed(*reason, message.clone()),
        };
    }
    match (outcome.exit_code, outcome.signal) {
        (Some(0), _) => Verdict { status: Status::Completed, reason: None, message: None },
        (Some(code), _) => {
            failed(Reason::ExitCode, format!("the script ended with exit code {code}"))
        }
        (None, Some(signal)) => failed(Reason::Signal, format!("signal {signal} ended the script")),
        (None, None) => {
            failed(Reason::RecorderLost, "how the script ended cannot be known".to_owned())
        }
    }
}

/// The events that close what is still open when the execution ends with `verdict`.
pub fn finish(state: &ExecutionState, verdict: &Verdict, exit_code: Option<i32>) -> Vec<EventKind> {
    let (status, error) = match verdict.status {
        Status::Completed => (StepStatus::Completed, None),
        Status::Cancelled => (StepStatus::Cancelled, None),
        _ => (StepStatus::Failed, verdict.message.clone()),
    };
    let mut open = state.open.clone();
    open.reverse(); // Children before their parents.
    open.into_iter()
        .map(|step| EventKind::StepFinished {
            step,
            status,
            exit_code: if status == StepStatus::Cancelled { None } else { exit_code },
            error: error.clone(),
            by: "end".to_owned(),
        })
        .collect()
}

impl Decision {
    fn just(at: At, kind: EventKind) -> Self {
        Self { events: vec![(at, kind)], stop: None }
    }
}

/// What is said of a line that looks like a marker and is none, unless enough has been said.
pub fn refused(state: &ExecutionState, why: &MarkerError) -> Option<EventKind> {
    let code = match why {
        MarkerError::TooLong { .. } => "marker_refused",
        // A limit, as those of steps and files are: said once.
        MarkerError::LineTooLong { .. } => "marker_line_limit",
    };
    state.noted.warning(code, || why.to_string())
}

/// A warning and nothing else; nothing at all if it has been said, or enough has been.
fn warning(state: &ExecutionState, code: &str, message: impl FnOnce() -> String) -> Decision {
    let warning = state.noted.warning(code, message);
    Decision { events: warning.map(|kind| (At::LineStart, kind)).into_iter().collect(), stop: None }
}

/// The parent that a new step names, if it is open; else a warning says that there is none.
fn parent(
    state: &ExecutionState,
    name: &str,
    params: &Map<String, Value>,
    decision: &mut Decision,
) -> Option<u32> {
    let wanted = text(params, "parent")?;
    let found = find_open(state, &wanted);
    if found.is_none() {
        let warning = state.noted.warning("unknown_parent", || {
            format!(
                "step `{name}` names the parent `{wanted}`, which is not open: it starts at the top"
            )
        });
        decision.events.extend(warning.map(|kind| (At::LineStart, kind)));
    }
    found
}

/// Whether there is room for one more step; else what to say instead, once.
fn step_limit(state: &ExecutionState) -> Option<Decision> {
    (state.steps.len() >= STEPS_MAX).then(|| {
        warning(state, "step_limit", || {
            format!("more than {STEPS_MAX} steps: later ones are shown as plain output")
        })
    })
}

/// A step that is not run: its marker's line is all it has. What is open stays open.
fn skip(state: &ExecutionState, name: &str, reason: &str, params: &Map<String, Value>) -> Decision {
    if let Some(limit) = step_limit(state) {
        return limit;
    }
    let mut decision = Decision::default();
    let parent = parent(state, name, params, &mut decision);
    let step = state.steps.len() as u32;
    decision.events.push((
        At::LineStart,
        EventKind::StepStarted {
            step,
            name: name.to_owned(),
            parent,
            key: text(params, "id"),
            params: params.clone(),
        },
    ));
    decision.events.push((
        At::LineEnd,
        EventKind::StepFinished {
            step,
            status: StepStatus::Skipped,
            exit_code: None,
            error: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
            by: "skip".to_owned(),
        },
    ));
    decision
}

fn start(state: &ExecutionState, name: &str, params: &Map<String, Value>) -> Decision {
    if let Some(limit) = step_limit(state) {
        return limit;
    }
    let key = text(params, "id");
    let mut decision = Decision::default();
    let parent = parent(state, name, params, &mut decision);
    // A start ends its sibling, unless one of the two carries an id: those may run side by side.
    if key.is_none() {
        let siblings: Vec<u32> = state
            .open
            .iter()
            .copied()
            .filter(|open| {
                let open = &state.steps[*open as usize];
                open.parent == parent && open.key.is_none()
            })
            .collect();
        for sibling in siblings {
            close(
                state,
                sibling,
                StepStatus::Completed,
                Some(0),
                None,
                "next",
                At::LineStart,
                &mut decision,
            );
        }
    }
    decision.events.push((
        At::LineStart,
        EventKind::StepStarted {
            step: state.steps.len() as u32,
            name: name.to_owned(),
            parent,
            key,
            params: params.clone(),
        },
    ));
    decision
}

fn complete(state: &ExecutionState, name: &str, params: &Map<String, Value>) -> Decision {
    let found = match text(params, "id") {
        Some(key) => find_open(state, &key),
        None => find_named(state, name),
    };
    let mut decision = Decision::default();
    match found {
        Some(step) => {
            close(
                state,
                step,
                StepStatus::Completed,
                Some(0),
                None,
                "marker",
                At::LineEnd,
                &mut decision,
            );
            decision
        }
        None => warning(state, "unmatched_complete", || {
            format!("STEP_COMPLETE:{name} matches no open step and has no effect")
        }),
    }
}

fn error(
    state: &ExecutionState,
    description: &str,
    params: &Map<String, Value>,
    stop_on_error: bool,
) -> Decision {
    let found = match text(params, "id") {
        Some(key) => find_open(state, &key),
        None => state.current(),
    };
    let mut decision = Decision::default();
    let Some(step) = found else {
        return warning(state, "error_outside_step", || {
            format!("STEP_ERROR outside a step: {description}")
        });
    };
    close(
        state,
        step,
        StepStatus::Failed,
        Some(1),
        Some(description),
        "marker",
        At::LineEnd,
        &mut decision,
    );
    decision.stop = critical_failure(&state.steps[step as usize], description, stop_on_error);
    decision
}

/// What is said of the script's end when `step` has failed with `description`, if that is critical.
/// `stop_on_error` holds for the whole execution; a step's own parameter wins, in both directions.
pub fn critical_failure(step: &Step, description: &str, stop_on_error: bool) -> Option<String> {
    let wanted = step.metadata.get("stop_on_error");
    wanted
        .map_or(stop_on_error, truthy)
        .then(|| format!("Critical step failed: {} - {description}", step.name))
}

/// Closes `step` after everything that is open inside it.
#[expect(
    clippy::too_many_arguments,
    reason = "one place builds all closings; a struct would name each twice"
)]
fn close(
    state: &ExecutionState,
    step: u32,
    status: StepStatus,
    exit_code: Option<i32>,
    error: Option<&str>,
    by: &str,
    at: At,
    decision: &mut Decision,
) {
    for inner in state.open.iter().rev() {
        if *inner != step && is_inside(state, *inner, step) {
            let (status, error) = match status {
                StepStatus::Failed => (StepStatus::Failed, error.map(str::to_owned)),
                _ => (StepStatus::Completed, None),
            };
            decision.events.push((
                at,
                EventKind::StepFinished {
                    step: *inner,
                    status,
                    exit_code,
                    error,
                    by: "parent".to_owned(),
                },
            ));
        }
    }
    decision.events.push((
        at,
        EventKind::StepFinished {
            step,
            status,
            exit_code,
            error: error.map(str::to_owned),
            by: by.to_owned(),
        },
    ));
}

fn is_inside(state: &ExecutionState, inner: u32, outer: u32) -> bool {
    let mut at = state.steps[inner as usize].parent;
    while let Some(parent) = at {
        if parent == outer {
            return true;
        }
        at = state.steps[parent as usize].parent;
    }
    false
}

/// The newest open step with this id, else with this name.
fn find_open(state: &ExecutionState, wanted: &str) -> Option<u32> {
    let by_key = |step: &&u32| state.steps[**step as usize].key.as_deref() == Some(wanted);
    state.open.iter().rev().find(by_key).copied().or_else(|| find_named(state, wanted))
}

fn find_named(state: &ExecutionState, name: &str) -> Option<u32> {
    state.open.iter().rev().find(|step| state.steps[**step as usize].name == name).copied()
}

fn text(params: &Map<String, Value>, key: &str) -> Option<String> {
    match params.get(key)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn to_json(params: &[(String, ParamValue)]) -> Map<String, Value> {
    let json = |value: &ParamValue| match value {
        ParamValue::Bool(on) => Value::Bool(*on),
        ParamValue::Int(number) => Value::from(*number),
        ParamValue::Float(number) => Value::from(*number),
        ParamValue::Text(text) => Value::from(text.as_str()),
    };
    params.iter().map(|(key, value)| (key.clone(), json(value))).collect()
}
