use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stepflow_model::{ExecutionId, Source, Status, Summary};

use crate::{
    Artifact, Step,
    time::{rfc3339, seconds},
};

/// One execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct Execution {
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub id: ExecutionId,
    pub name: String,
    pub command: String,
    pub working_directory: String,
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Status"))]
    pub status: String,
    pub exit_code: Option<i32>,
    pub error_message: Option<String>,
    pub created_at: String,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    #[cfg_attr(feature = "ts", ts(type = "Record<string, string>"))]
    pub environment: BTreeMap<String, String>,
    pub user: String,
    pub tags: Vec<String>,
    pub total_steps: u32,
    pub completed_steps: u32,
    /// -1 before any step, as in the original.
    pub current_step_index: i64,
    /// Until now while it runs.
    pub duration_seconds: Option<f64>,
    pub progress_percentage: f64,
    #[cfg_attr(feature = "ts", ts(type = "Record<string, unknown>"))]
    pub metadata: Map<String, Value>,
    #[cfg_attr(feature = "ts", ts(as = "Option<crate::typescript::Reason>"))]
    pub reason: Option<String>,
    pub signal: Option<i32>,
    pub cancelling: bool,
    pub paused: bool,
    pub failed_steps: u32,
    pub current_step_name: Option<String>,
    pub lines: u64,
    pub bytes: u64,
    pub warnings: u32,
    pub artifacts_count: u32,
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Source"))]
    pub source: String,
    pub containment: String,
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
            current_step_name: summary.current_step_name.clone(),
            lines: summary.position.lines,
            bytes: summary.position.bytes,
            warnings: summary.warnings,
            artifacts_count: summary.artifacts,
            source: source(summary.source).to_owned(),
            containment: summary.containment.clone(),
            host: summary.host.clone(),
        }
    }
}

/// The word for `source`.
pub(crate) const fn source(source: Source) -> &'static str {
    match source {
        Source::Cli => "cli",
        Source::Server => "server",
    }
}

/// Something people should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct Annotation {
    pub code: String,
    pub message: String,
    /// 0: none in particular.
    pub line: u64,
    pub step: Option<u32>,
    pub time: String,
}

impl From<&stepflow_model::Annotation> for Annotation {
    fn from(annotation: &stepflow_model::Annotation) -> Self {
        Self {
            code: annotation.code.clone(),
            message: annotation.message.clone(),
            line: annotation.line,
            step: annotation.step,
            time: rfc3339(annotation.time_us),
        }
    }
}

/// `GET /api/executions/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct ExecutionDetail {
    pub execution: Execution,
    pub steps: Vec<Step>,
    pub artifacts: Vec<Artifact>,
    pub annotations: Vec<Annotation>,
    /// 200, as in the original.
    pub status: u16,
}

/// `GET /api/executions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct ExecutionList {
    pub executions: Vec<Execution>,
    pub limit: u32,
    pub offset: u64,
    pub count: usize,
    pub total_count: u64,
    pub has_more: bool,
    pub next_before: Option<String>,
    /// 200, as in the original.
    pub status: u16,
}

/// `GET /api/executions/active`: the original's six keys, and whole objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct ActiveList {
    pub active_executions: Vec<ActiveExecution>,
    pub executions: Vec<Execution>,
    pub count: usize,
}

/// One of [`ActiveList::active_executions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct ActiveExecution {
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub id: ExecutionId,
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Status"))]
    pub status: String,
    pub name: String,
    pub start_time: Option<String>,
    pub command: String,
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
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct Statistics {
    pub total_executions: u64,
    pub active_now: u64,
    pub success_rate: String,
    pub avg_duration: String,
    /// Completed of all; 0 when there is none.
    pub success_ratio: f64,
    /// Mean over completed ones; null when there is none.
    pub avg_duration_seconds: Option<f64>,
    #[cfg_attr(feature = "ts", ts(type = "Partial<Record<Status, number>>"))]
    pub by_status: BTreeMap<String, u64>,
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
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct CancelAnswer {
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub id: ExecutionId,
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Status"))]
    pub status: String,
    pub message: String,
}
