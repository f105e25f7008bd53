use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stepflow_model::{ExecutionId, StepId};

use crate::time::{rfc3339, seconds};

/// One step. `logs` is always empty here: the detail answer streams it from the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct Step {
    pub id: String,
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub execution_id: ExecutionId,
    pub name: String,
    pub description: String,
    pub index: u32,
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::StepStatus"))]
    pub status: String,
    pub exit_code: Option<i32>,
    pub error_message: Option<String>,
    pub created_at: String,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    pub estimated_duration: Option<f64>,
    /// Until now while it is open.
    pub duration_seconds: Option<f64>,
    #[cfg_attr(feature = "ts", ts(type = "Record<string, unknown>"))]
    pub metadata: Map<String, Value>,
    pub is_finished: bool,
    pub stop_on_error: bool,
    pub parent: Option<u32>,
    pub key: Option<String>,
    pub depth: u32,
    pub first_line: u64,
    pub last_line: Option<u64>,
    pub start_offset: u64,
    pub end_offset: Option<u64>,
    /// Last, so that it can be streamed.
    #[serde(default)]
    #[cfg_attr(feature = "ts", ts(type = "Array<unknown>"))]
    pub logs: Vec<Value>,
}

impl Step {
    /// `step` of `execution` as it stands at `now_us`, microseconds UTC.
    pub fn new(execution: ExecutionId, step: &stepflow_model::Step, now_us: i64) -> Self {
        let open = || u64::try_from(now_us - step.started_us).unwrap_or(0);
        let finished = step.status.is_end();
        Self {
            id: StepId { execution, index: step.index }.to_string(),
            execution_id: execution,
            name: step.name.clone(),
            description: String::new(),
            index: step.index,
            status: step.status.to_string(),
            exit_code: step.exit_code,
            error_message: step.error.clone(),
            created_at: rfc3339(step.started_us),
            started_at: Some(rfc3339(step.started_us)),
            completed_at: step.ended_us.map(rfc3339),
            estimated_duration: step.estimated_s,
            duration_seconds: match (step.duration_us, finished) {
                (Some(us), _) => Some(seconds(us)),
                (None, false) => Some(seconds(open())),
                (None, true) => None,
            },
            metadata: step.metadata.clone(),
            is_finished: finished,
            stop_on_error: step.stop_on_error,
            parent: step.parent,
            key: step.key.clone(),
            depth: step.depth,
            first_line: step.first_line,
            last_line: step.last_line,
            start_offset: step.start_offset,
            end_offset: step.end_offset,
            logs: Vec::new(),
        }
    }
}
