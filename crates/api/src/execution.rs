use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stepflow_model::{ExecutionId, Status, Summary};

use crate::{
    Artifact, Pointed, Step, Told,
    time::{rfc3339, seconds},
};

/// One execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Execution {
    /// UUIDv7: ids are in order of creation.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub id: ExecutionId,
    /// For people; the command if none was given.
    pub name: String,
    /// Arguments joined by spaces, for people.
    pub command: String,
    /// Where the script runs.
    pub working_directory: String,
    /// Where it stands; the last three are ends.
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Status"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Status"))]
    pub status: String,
    /// Of the script; null while it runs, after a signal, or when nobody can know it.
    pub exit_code: Option<i32>,
    /// Why it failed, in words.
    pub error_message: Option<String>,
    /// When it was accepted.
    pub created_at: String,
    /// When the script was started.
    pub started_at: Option<String>,
    /// When it ended.
    pub completed_at: Option<String>,
    /// Declared for it; never secrets.
    #[cfg_attr(feature = "ts", ts(type = "Record<string, string>"))]
    pub environment: BTreeMap<String, String>,
    /// Who it was started for, as the request said.
    pub user: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Somebody wants to find it again.
    pub pinned: bool,
    /// Steps so far.
    pub total_steps: u32,
    /// Of them completed.
    pub completed_steps: u32,
    /// -1 before any step, as in the original.
    pub current_step_index: i64,
    /// From start to end; until now while it runs.
    pub duration_seconds: Option<f64>,
    /// Completed steps of all so far, 0 to 100.
    pub progress_percentage: f64,
    /// From the request and from META markers.
    #[cfg_attr(feature = "ts", ts(type = "Record<string, unknown>"))]
    pub metadata: Map<String, Value>,
    /// Why it failed or was cancelled.
    #[cfg_attr(feature = "ts", ts(as = "Option<crate::typescript::Reason>"))]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Reason>"))]
    pub reason: Option<String>,
    /// The signal that ended the script.
    pub signal: Option<i32>,
    /// Somebody asked for its end.
    pub cancelling: bool,
    /// It waits for space on a full disk.
    pub paused: bool,
    /// Steps that failed.
    pub failed_steps: u32,
    /// Steps that were skipped.
    pub skipped_steps: u32,
    /// What the script says about the whole, 0 to 100.
    pub progress: Option<f64>,
    /// The words that came with it.
    pub progress_text: Option<String>,
    /// Of the step that is open.
    pub current_step_name: Option<String>,
    /// Ended lines of output.
    pub lines: u64,
    /// Bytes of output.
    pub bytes: u64,
    /// How many annotations there are.
    pub warnings: u32,
    /// How many artifacts there are.
    pub artifacts_count: u32,
    /// Who asked for it.
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Source"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Source"))]
    pub source: String,
    /// It has a terminal.
    pub pty: bool,
    /// The execution that this one repeats.
    #[cfg_attr(feature = "ts", ts(type = "string | null"))]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Id>"))]
    pub rerun_of: Option<ExecutionId>,
    /// How its processes are kept together: `cgroup` or `keeper`.
    pub containment: String,
    /// It runs, and its recorder does not answer: stopped, or its disk hangs. Older servers do not
    /// say it.
    #[serde(default)]
    pub unresponsive: bool,
    /// Where it runs.
    pub host: String,
}

impl Execution {
    /// `summary` as it stands at `now_us`, microseconds UTC.
    pub fn new(summary: &Summary, now_us: i64) -> Self {
        let running = || {
            let started = summary.started_us.filter(|_| !summary.status.is_end())?;
            Some(u64::try_from(now_us - started).unwrap_or(0))
        };
        Self {
            id: summary.id,
            name: summary.name.clone(),
            command: summary.command.clone(),
            working_directory: summary.cwd.clone(),
            status: summary.status.to_string(),
            exit_code: summary.exit_code,
            error_message: summary.error_message.clone(),
            created_at: rfc3339(summary.created_us),
            started_at: summary.started_us.map(rfc3339),
            completed_at: summary.ended_us.map(rfc3339),
            environment: summary.env.clone(),
            user: summary.user.clone(),
            tags: summary.tags.clone(),
            pinned: summary.pinned,
            total_steps: summary.total_steps,
            completed_steps: summary.completed_steps,
            current_step_index: summary.current_step.map_or(-1, i64::from),
            duration_seconds: summary.duration_us.or_else(running).map(seconds),
            progress_percentage: summary.progress_percentage(),
            metadata: summary.metadata.clone(),
            reason: summary.reason.map(|reason| reason.to_string()),
            signal: summary.signal,
            cancelling: summary.cancelling,
            paused: summary.paused,
            failed_steps: summary.failed_steps,
            skipped_steps: summary.skipped_steps,
            progress: summary.progress,
            progress_text: summary.progress_text.clone(),
            current_step_name: summary.current_step_name.clone(),
            lines: summary.position.lines,
            bytes: summary.position.bytes,
            warnings: summary.warnings,
            artifacts_count: summary.artifacts,
            source: summary.source.to_string(),
            pty: summary.pty,
            rerun_of: summary.rerun_of,
            containment: summary.containment.clone(),
            unresponsive: summary.unresponsive,
            host: summary.host.clone(),
        }
    }
}

/// Something people should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Annotation {
    /// A stable word.
    pub code: String,
    /// In words.
    pub message: String,
    /// The line of output it is about; 0: none in particular.
    pub line: u64,
    /// Index of the step it is about.
    pub step: Option<u32>,
    /// When it was noted.
    pub time: String,
    /// The script itself points it out, with this; absent for what StepFlow noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub pointed: Option<Pointed>,
}

impl From<&stepflow_model::Annotation> for Annotation {
    fn from(annotation: &stepflow_model::Annotation) -> Self {
        Self {
            code: annotation.code.clone(),
            message: annotation.message.clone(),
            line: annotation.line,
            step: annotation.step,
            time: rfc3339(annotation.time_us),
            pointed: annotation.problem.as_deref().map(Pointed::from),
        }
    }
}

/// `GET /api/executions/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExecutionDetail {
    /// The execution itself.
    pub execution: Execution,
    /// In order of their index, each with its log lines unless `logs=0`.
    pub steps: Vec<Step>,
    /// In order of declaration.
    pub artifacts: Vec<Artifact>,
    /// In order of time.
    pub annotations: Vec<Annotation>,
    /// What its output says in the markers of other systems; absent where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub told: Option<Told>,
    /// Lines outside all steps, streamed from the record; empty with `?logs=0`.
    #[serde(default)]
    #[cfg_attr(feature = "ts", ts(type = "Array<unknown>"))]
    pub logs: Vec<Value>,
    /// Bytes that its log takes up on the disk, the index included; older servers do not say it.
    #[serde(default)]
    pub stored_bytes: u64,
    /// The log is in its compressed form.
    #[serde(default)]
    pub compressed: bool,
    /// 200, as in the original.
    pub status: u16,
}

/// `GET /api/executions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExecutionList {
    /// Newest first.
    pub executions: Vec<Execution>,
    /// As it was applied.
    pub limit: u32,
    /// As it was applied.
    pub offset: u64,
    /// Executions in this answer.
    pub count: usize,
    /// Executions that fulfil the conditions; counted up to 10,000 where no counter knows.
    pub total_count: u64,
    /// There are more behind these.
    pub has_more: bool,
    /// For `before`, to get the next page; null on the last.
    pub next_before: Option<String>,
    /// 200, as in the original.
    pub status: u16,
}

/// `GET /api/executions/active`: the original's six keys, and whole objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActiveList {
    /// The original's six keys.
    pub active_executions: Vec<ActiveExecution>,
    /// Whole objects, newest first.
    pub executions: Vec<Execution>,
    /// How many.
    pub count: usize,
}

/// One of [`ActiveList::active_executions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActiveExecution {
    /// Its id.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub id: ExecutionId,
    /// `pending` or `running`.
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Status"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Status"))]
    pub status: String,
    /// For people.
    pub name: String,
    /// When the script was started.
    pub start_time: Option<String>,
    /// Arguments joined by spaces.
    pub command: String,
    /// When it was accepted.
    pub created_at: String,
}

impl From<Vec<Execution>> for ActiveList {
    fn from(executions: Vec<Execution>) -> Self {
        let active = |execution: &Execution| ActiveExecution {
            id: execution.id,
            status: execution.status.clone(),
            name: execution.name.clone(),
            start_time: execution.started_at.clone(),
            command: execution.command.clone(),
            created_at: execution.created_at.clone(),
        };
        Self {
            active_executions: executions.iter().map(active).collect(),
            count: executions.len(),
            executions,
        }
    }
}

/// `GET /api/executions/statistics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Statistics {
    /// All of them.
    pub total_executions: u64,
    /// Pending or running.
    pub active_now: u64,
    /// Completed of all, for people: `73.7%`.
    pub success_rate: String,
    /// Mean over completed ones, for people: `0.2s`, or `-`.
    pub avg_duration: String,
    /// Completed of all; 0 when there is none.
    pub success_ratio: f64,
    /// Mean over completed ones; null when there is none.
    pub avg_duration_seconds: Option<f64>,
    /// How many have each status.
    #[cfg_attr(feature = "ts", ts(type = "Partial<Record<Status, number>>"))]
    pub by_status: BTreeMap<String, u64>,
    /// How many wait to be started.
    pub queued: u64,
}

impl Statistics {
    /// From counts by status, and the durations of completed ones: their sum and number.
    pub fn new(by_status: BTreeMap<String, u64>, duration_us_sum: u64, durations: u64) -> Self {
        let count = |status: Status| by_status.get(status.as_str()).copied().unwrap_or(0);
        let total: u64 = by_status.values().sum();
        let ratio = if total == 0 { 0.0 } else { count(Status::Completed) as f64 / total as f64 };
        let average = (durations > 0).then(|| seconds(duration_us_sum) / durations as f64);
        Self {
            total_executions: total,
            active_now: count(Status::Pending) + count(Status::Running),
            success_rate: format!("{:.1}%", ratio * 100.0),
            avg_duration: match average {
                Some(average) if average > 0.0 => format!("{average:.1}s"),
                _ => "-".to_owned(),
            },
            success_ratio: ratio,
            avg_duration_seconds: average,
            queued: count(Status::Pending),
            by_status,
        }
    }
}

/// `POST /api/executions/{id}/cancel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CancelAnswer {
    /// Which execution.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub id: ExecutionId,
    /// Where it stands now.
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Status"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Status"))]
    pub status: String,
    /// In words.
    pub message: String,
}

/// `DELETE /api/executions/{id}` and `DELETE /api/artifacts/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeleteAnswer {
    /// What was deleted.
    pub id: String,
    /// True.
    pub deleted: bool,
    /// In words.
    pub message: String,
}
