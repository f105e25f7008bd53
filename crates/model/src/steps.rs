//! The rules: what was said in the output, or the end, means for an execution.
//!
//! Which line says what about which step is for `stepflow_markers::dialects` to find out; here stand
//! the limits and what an execution makes of it.
//!
//! `decide` and `finish` return events; nothing has happened until somebody applies them.

mod told; // problems, texts, tests, secrets

use serde_json::{Map, Value};
use stepflow_markers::{
    Value as ParamValue,
    dialects::{self, Cause, EventKind as Said},
};

use crate::{
    ARTIFACTS_MAX, EventKind, ExecutionState, METADATA_MAX, METAS_MAX, Reason, Status, Step,
    StepStatus, state::truthy,
};

pub use self::told::from_file;

/// Where on the marker's line an event belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Before the line: a `STEP_START` line is the first of its step.
    LineStart,
    /// After the line: a `STEP_COMPLETE` line is the last of its step.
    LineEnd,
}

/// What must happen because of what was said.
#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    /// Events, in order, each with its place.
    pub events: Vec<(At, EventKind)>,
    /// The script must be stopped: a critical step failed with this message.
    pub stop: Option<String>,
}

/// Decides what was said means in `state`. `opens`: a step begins on the same line after it.
/// `stop_on_error` holds for the whole execution.
pub fn decide(
    state: &ExecutionState,
    said: &dialects::Event,
    opens: bool,
    stop_on_error: bool,
) -> Decision {
    let dialect = || (said.dialect != dialects::OWN).then(|| said.dialect.to_string());
    let number = |step: &Option<dialects::StepId>| step.map(|step| step.0);
    match &said.kind {
        Said::StepStart { step, parent, name, key, params, loose } => Decision::just(
            At::LineStart,
            EventKind::StepStarted {
                step: step.0,
                name: name.clone(),
                parent: number(parent),
                key: key.clone(),
                params: to_json(params),
                dialect: dialect(),
                loose: *loose,
            },
        ),
        Said::StepEnd { step, status, detail, by } => {
            // What gives way to the next is over before that one's line.
            let at = if *by == Cause::Next || opens { At::LineStart } else { At::LineEnd };
            let mut decision = Decision::just(
                at,
                finished(step.0, *status, detail.as_deref(), *by, said.dialect == dialects::OWN),
            );
            if said.dialect == dialects::OWN
                && (*status, *by) == (dialects::StepStatus::Failure, Cause::Marker)
                && let Some(step) = state.steps.get(step.0 as usize)
            {
                let description = detail.as_deref().unwrap_or_default();
                decision.stop = critical_failure(step, description, stop_on_error);
            }
            decision
        }
        Said::Artifact { .. } if state.artifacts.len() >= ARTIFACTS_MAX => {
            warning(state, "artifact_limit", || {
                format!("more than {ARTIFACTS_MAX} artifacts: the rest is not collected")
            })
        }
        Said::Artifact { path, name, step } => Decision::just(
            At::LineStart,
            EventKind::Artifact {
                artifact: state.artifacts.len() as u32,
                step: number(step),
                path: path.clone(),
                description: name.clone(),
                dialect: dialect(),
            },
        ),
        Said::Meta { key, value, title, step } => {
            meta(state, number(step), key, value, title.as_deref(), dialect())
        }
        Said::Progress { value, text, step } => Decision::just(
            At::LineStart,
            EventKind::Progress {
                step: number(step),
                percent: *value,
                text: text.clone().unwrap_or_default(),
            },
        ),
        Said::Warning { code, message } => warning(state, code, || message.clone()),
        Said::Detected => {
            Decision::just(At::LineStart, EventKind::Detected { dialect: said.dialect.to_string() })
        }
        Said::Annotation(_)
        | Said::Summary { .. }
        | Said::Test(_)
        | Said::TestSummary { .. }
        | Said::Mask { .. } => told::decide(state, said),
        Said::Log { .. } => Decision::default(), // The log has it.
    }
}

fn finished(
    step: u32,
    status: dialects::StepStatus,
    detail: Option<&str>,
    by: Cause,
    own: bool,
) -> EventKind {
    use dialects::StepStatus as Ended;
    let done = status == Ended::Done;
    let (status, exit_code) = match status {
        Ended::Success | Ended::Done => (StepStatus::Completed, own.then_some(0)),
        Ended::Failure => (StepStatus::Failed, own.then_some(1)),
        Ended::Skipped => (StepStatus::Skipped, None),
        Ended::Cancelled => (StepStatus::Cancelled, None),
    };
    let why = matches!(status, StepStatus::Failed | StepStatus::Skipped);
    EventKind::StepFinished {
        step,
        status,
        exit_code,
        error: detail.filter(|_| why).map(str::to_owned),
        by: match by {
            Cause::Marker => "marker",
            Cause::Next => "next",
            Cause::Parent => "parent",
            Cause::Skip => "skip",
            Cause::End => "end",
        }
        .to_owned(),
        detail: detail.filter(|_| !own).map(str::to_owned),
        done,
    }
}

/// The steps that are open, for [`Dialects::take_over`](dialects::Dialects::take_over).
pub fn open_steps(state: &ExecutionState) -> Vec<dialects::Former> {
    let former = |open: &u32| {
        let step = &state.steps[*open as usize];
        dialects::Former {
            step: dialects::StepId(step.index),
            parent: step.parent.filter(|parent| state.open.contains(parent)).map(dialects::StepId),
            loose: step.loose,
            own: step.dialect.is_none().then(|| (step.name.clone(), step.key.clone())),
        }
    };
    state.open.iter().map(former).collect()
}

/// Each of what one read gave rise to, and whether a step begins on the same line after it.
pub fn with_openings(said: Vec<dialects::Event>) -> Vec<(dialects::Event, bool)> {
    let mut opens = vec![false; said.len()];
    for at in (1..said.len()).rev() {
        let same = said[at - 1].place == said[at].place;
        let begins = matches!(said[at].kind, Said::StepStart { .. });
        opens[at - 1] = same && (begins || opens[at]);
    }
    said.into_iter().zip(opens).collect()
}

/// How dialects want steps to end that are open at the end, where they say it.
pub type Verdicts = std::collections::BTreeMap<u32, StepStatus>;

/// What [`Dialects::settle`](dialects::Dialects::settle) said about the steps that are open.
pub fn verdicts(open: &[(dialects::StepId, Option<dialects::StepStatus>)]) -> Verdicts {
    use dialects::StepStatus as Ended;
    let word = |status| match status {
        Ended::Success | Ended::Done => StepStatus::Completed,
        Ended::Failure => StepStatus::Failed,
        Ended::Skipped => StepStatus::Skipped,
        Ended::Cancelled => StepStatus::Cancelled,
    };
    open.iter().filter_map(|(step, verdict)| Some((step.0, word((*verdict)?)))).collect()
}

/// How dialects call the end of an execution.
pub fn ending(outcome: &Verdict, exit_code: Option<i32>) -> dialects::Ending {
    match (outcome.status, exit_code) {
        (Status::Completed, _) => dialects::Ending::Exit(0),
        (Status::Cancelled, _) => dialects::Ending::Cancelled,
        (_, Some(code)) if code != 0 => dialects::Ending::Exit(code),
        _ => dialects::Ending::Failed,
    }
}

/// A key and a value, unless they are known already; only so many, or a loop would fill the journal.
fn meta(
    state: &ExecutionState,
    step: Option<u32>,
    key: &str,
    value: &str,
    title: Option<&str>,
    dialect: Option<String>,
) -> Decision {
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
    let (key, value) = (key.to_owned(), value.to_owned());
    let kind = EventKind::Meta { step, key, value, title: title.map(str::to_owned), dialect };
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

/// The events that close what is still open when the execution ends with `verdict`; `verdicts` of
/// dialects about single steps come first.
pub fn finish(
    state: &ExecutionState,
    verdict: &Verdict,
    exit_code: Option<i32>,
    verdicts: &Verdicts,
) -> Vec<EventKind> {
    let (status, error) = match verdict.status {
        Status::Completed => (StepStatus::Completed, None),
        Status::Cancelled => (StepStatus::Cancelled, None),
        _ => (StepStatus::Failed, verdict.message.clone()),
    };
    let mut open = state.open.clone();
    open.reverse(); // Children before their parents.
    open.into_iter()
        .map(|step| match verdicts.get(&step) {
            Some(status) => EventKind::StepFinished {
                step,
                status: *status,
                exit_code: None,
                error: None,
                by: "end".to_owned(),
                detail: None,
                done: false,
            },
            None => EventKind::StepFinished {
                step,
                status,
                exit_code: if status == StepStatus::Cancelled { None } else { exit_code },
                error: error.clone(),
                by: "end".to_owned(),
                detail: None,
                done: false,
            },
        })
        .collect()
}

impl Decision {
    fn just(at: At, kind: EventKind) -> Self {
        Self { events: vec![(at, kind)], stop: None }
    }
}

/// A warning and nothing else; nothing at all if it has been said, or enough has been.
fn warning(state: &ExecutionState, code: &str, message: impl FnOnce() -> String) -> Decision {
    let warning = state.noted.warning(code, message);
    Decision { events: warning.map(|kind| (At::LineStart, kind)).into_iter().collect(), stop: None }
}

/// What is said of the script's end when `step` has failed with `description`, if that is critical.
/// `stop_on_error` holds for the whole execution; a step's own parameter wins, in both directions.
pub fn critical_failure(step: &Step, description: &str, stop_on_error: bool) -> Option<String> {
    let wanted = step.metadata.get("stop_on_error");
    wanted
        .map_or(stop_on_error, truthy)
        .then(|| format!("Critical step failed: {} - {description}", step.name))
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
