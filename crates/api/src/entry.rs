use serde::{Deserialize, Serialize};

/// A line of a log as the original shows it, with more than it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogEntry {
    /// When it was read.
    pub timestamp: String,
    /// The line without its end.
    pub content: String,
    /// Always `info`, as in the original.
    pub level: String,
    /// The same as `content`.
    pub message: String,
    /// The step it belongs to; null: none.
    pub step_id: Option<String>,
    /// The name of that step.
    pub step_name: Option<String>,
    /// Its number in the log, from 1.
    pub line: u64,
    /// `stdout` or `stderr`.
    pub stream: String,
}

/// `GET /api/executions/{id}/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogEntries {
    /// Whose log it is.
    pub execution_id: String,
    /// In the order of the log.
    pub logs: Vec<LogEntry>,
    /// Entries in this answer.
    pub count: u64,
    /// There are more behind these.
    pub has_more: bool,
    /// For `cursor`, to go on.
    pub next_cursor: String,
    /// 200, as in the original.
    pub status: u16,
}
