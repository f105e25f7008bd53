use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stepflow_model::{ExecutionId, StepId};

use crate::time::{rfc3339, seconds};

/// One step. `logs` is always empty here: the detail answer streams it from the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Step {
    /// `<execution>-s<index>`.
    pub id: String,
    /// Its execution.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub execution_id: ExecutionId,
    /// As its marker says.
    pub name: String,
    /// Always empty, as in the original.
    pub description: String,
    /// Its number, from 0.
    pub index: u32,
    /// Where it stands.
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::StepStatus"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::StepStatus"))]
    pub status: String,
    /// 0 when completed, 1 after STEP_ERROR, or the script's.
    pub exit_code: Option<i32>,
    /// What STEP_ERROR said.
    pub error_message: Option<String>,
    /// When its marker came.
    pub created_at: String,
    /// The same.
    pub started_at: Option<String>,
    /// When it ended.
    pub completed_at: Option<String>,
    /// Seconds, as its marker says.
    pub estimated_duration: Option<f64>,
    /// What the script says, 0 to 100.
    pub progress: Option<f64>,
    /// The words that came with it.
    pub progress_text: Option<String>,
    /// Until now while it is open.
    pub duration_seconds: Option<f64>,
    /// Parameters of its marker, and META within it.
    #[cfg_attr(feature = "ts", ts(type = "Record<string, unknown>"))]
    pub metadata: Map<String, Value>,
    /// It has ended.
    pub is_finished: bool,
    /// Its failure stops the script.
    pub stop_on_error: bool,
    /// Index of the step it stands in.
    pub parent: Option<u32>,
    /// Its `[id=…]`.
    pub key: Option<String>,
    /// How many steps it stands in.
    pub depth: u32,
    /// The line of its marker.
    pub first_line: u64,
    /// Its last line; null while it is open.
    pub last_line: Option<u64>,
    /// Output byte at which it begins.
    pub start_offset: u64,
    /// Output byte behind it; null while it is open.
    pub end_offset: Option<u64>,
    /// The system whose markers tell it; absent for StepFlow's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub dialect: Option<String>,
    /// A short word of that system about its end, such as `cached`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub detail: Option<String>,
    /// Its lines: `timestamp`, `content`, `level`. Empty with `logs=0`.
    #[serde(default)]
    #[cfg_attr(feature = "ts", ts(type = "Array<unknown>"))]
    pub logs: Vec<Value>,
}

impl Step {
    /// Its id, as all answers show it.
    pub fn id_of(execution: ExecutionId, step: &stepflow_model::Step) -> String {
        match &step.origin {
            Some(origin) => origin.id.clone(), // It had one before it came to us.
            None => StepId { execution, index: step.index }.to_string(),
        }
    }

    /// `step` of `execution` as it stands at `now_us`, microseconds UTC.
    pub fn new(execution: ExecutionId, step: &stepflow_model::Step, now_us: i64) -> Self {
        let open = || u64::try_from(now_us - step.started_us).unwrap_or(0);
        let finished = step.status.is_end();
        let origin = step.origin.as_deref();
        Self {
            id: Self::id_of(execution, step),
            execution_id: execution,
            name: step.name.clone(),
            description: origin.map(|origin| origin.description.clone()).unwrap_or_default(),
            index: step.index,
            status: step.status.to_string(),
            exit_code: step.exit_code,
            error_message: step.error.clone(),
            created_at: rfc3339(origin.map_or(step.started_us, |origin| origin.created_us)),
            started_at: Some(rfc3339(step.started_us)),
            completed_at: step.ended_us.map(rfc3339),
            estimated_duration: step.estimated_s,
            progress: step.progress,
            progress_text: step.progress_text.clone(),
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
            dialect: step.dialect.clone(),
            detail: step.detail.clone(),
            logs: Vec::new(),
        }
    }
}
