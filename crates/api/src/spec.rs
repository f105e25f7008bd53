use serde::{Deserialize, Serialize};
use stepflow_model::{ExecutionId, Spec};

use crate::time::rfc3339;

/// A state that an execution came into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Moment {
    /// A status, `cancelling` or `paused`; `running` again after a pause.
    pub state: String,
    /// When.
    pub time: String,
    /// Who wanted it or why it came, where that is known.
    pub note: Option<String>,
}

/// A terminal's size in characters, at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Terminal {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

/// `GET /api/executions/{id}/spec`: how it was asked for, and what lists do not show of its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExecutionSpec {
    /// The execution.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub id: ExecutionId,
    /// The argument vector, as it reached the program; empty for output that StepFlow did not
    /// start.
    pub args: Vec<String>,
    /// The command was given as text for a shell.
    pub shell: bool,
    /// A failed step stops it.
    pub stop_on_error: bool,
    /// Standard error is kept apart.
    pub split_stderr: bool,
    /// It ends with the client that started it.
    pub bound: bool,
    /// When its output is made durable: `interval`, `always` or `never`.
    pub log_sync: String,
    /// How its processes were to be held together: `auto`, `cgroup` or `keeper`.
    pub containment: String,
    /// What becomes of those who hold its output after its end: `kill` or `leave`.
    pub on_leftover: String,
    /// Bytes of output that are kept, about; 0: all.
    pub log_max_bytes: u64,
    /// What is done when there would be more: `keep-ends`, `block` or `stop`.
    pub log_full: String,
    /// What becomes of it when the disk does not take its output: `block` or `kill`.
    pub on_disk_full: String,
    /// Whose markers its output may hold: `auto`, `none`, names. Older servers do not say it.
    #[serde(default)]
    pub dialect: String,
    /// Which files hold results of tests, as patterns. Older servers do not say it.
    #[serde(default)]
    pub junit: Vec<String>,
    /// For how long the output of what is left over is still recorded.
    pub drain_seconds: f64,
    /// Its time limit.
    pub timeout_seconds: Option<f64>,
    /// Between SIGTERM and SIGKILL.
    pub grace_seconds: f64,
    /// Names of variables whose values are in no record.
    pub mask_env: Vec<String>,
    /// Its terminal, if it has one.
    pub terminal: Option<Terminal>,
    /// The same can be run again.
    pub can_rerun: bool,
    /// The runs that this one repeats, the first of them first; at most 20.
    #[cfg_attr(feature = "ts", ts(type = "Array<string>"))]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::Id>"))]
    pub repeats: Vec<ExecutionId>,
    /// Every state that it came into, in order.
    pub moments: Vec<Moment>,
    /// Processes that still ran when the script's first process had ended.
    pub leftover: Vec<String>,
}

impl ExecutionSpec {
    /// What the spec itself says; the rest is empty.
    pub fn new(spec: &Spec) -> Self {
        let seconds = |ms: u64| std::time::Duration::from_millis(ms).as_secs_f64();
        Self {
            id: spec.id,
            args: spec.command.clone(),
            shell: spec.shell,
            stop_on_error: spec.stop_on_error,
            split_stderr: spec.split_stderr,
            bound: spec.bound,
            log_sync: spec.log_sync.as_str().to_owned(),
            containment: spec.containment.as_str().to_owned(),
            on_leftover: spec.leftover.as_str().to_owned(),
            log_max_bytes: spec.log_max_bytes,
            log_full: spec.log_full.as_str().to_owned(),
            on_disk_full: spec.on_disk_full.as_str().to_owned(),
            dialect: spec.dialect.clone(),
            junit: spec.junit.globs.clone(),
            drain_seconds: seconds(spec.drain_ms),
            timeout_seconds: spec.timeout_ms.map(seconds),
            grace_seconds: seconds(spec.grace_ms),
            mask_env: spec.mask_env.clone(),
            terminal: spec.pty.map(|size| Terminal { cols: size.cols, rows: size.rows }),
            can_rerun: spec.can_rerun(),
            repeats: Vec::new(),
            moments: vec![Moment {
                state: stepflow_model::Status::Pending.to_string(),
                time: rfc3339(spec.created_us),
                note: None,
            }],
            leftover: Vec::new(),
        }
    }
}
