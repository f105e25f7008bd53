use serde::{Deserialize, Serialize};
use stepflow_model::ExecutionId;

use crate::Execution;

/// A line of `GET /api/search`: what came of a search over many logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one at a time, made to be written at once")]
pub enum SearchEvent {
    /// Hits in the log of one execution, in order. Executions come newest first.
    Found(SearchFound),
    /// How far it is: at the beginning, and every now and then.
    Progress(SearchProgress),
    /// A log, or part of one, could not be searched.
    Unreadable {
        /// The execution.
        #[cfg_attr(feature = "ts", ts(type = "string"))]
        #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
        execution_id: ExecutionId,
        /// Why.
        why: String,
    },
    /// The last line.
    End {
        /// How far it came.
        progress: SearchProgress,
        /// Where to go on; null: everything has been searched.
        cursor: Option<String>,
    },
}

/// Hits in the log of one execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SearchFound {
    /// The execution.
    pub execution: Execution,
    /// The hits, by line.
    pub lines: Vec<FoundLine>,
    /// There may be more than `each` asked for, which are left out.
    pub more: bool,
}

/// How far a search over many logs is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SearchProgress {
    /// Executions that the conditions choose; more than 10,000 may count as that.
    pub total: u64,
    /// Executions that this answer is done with.
    pub done: u64,
    /// Output bytes that were searched.
    pub scanned_bytes: u64,
    /// Output bytes of which filters say that they hold no match.
    pub skipped_bytes: u64,
    /// Hits of this answer.
    pub hits: u64,
}

/// A line with a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FoundLine {
    /// Its number.
    pub line: u64,
    /// Output offset of its first byte.
    pub offset: u64,
    /// Number of the step that it belongs to, within the execution.
    pub step: Option<u32>,
    /// That step's name.
    pub step_name: Option<String>,
    /// Matches in it.
    pub matches: u64,
    /// What a page shows of it, or of a long one what stands around the first match.
    pub text: String,
    /// Where in `text` matches stand: UTF-16 units, from and to.
    pub spans: Vec<(u32, u32)>,
    /// Something stands before `text`.
    pub cut_before: bool,
    /// Something stands behind `text`.
    pub cut_after: bool,
    /// Lines before it, as many as were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<ContextLine>,
    /// Lines behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ContextLine>,
}

/// A line beside one with a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContextLine {
    /// Its number.
    pub line: u64,
    /// How a page shows it begins.
    pub text: String,
    /// Something stands behind `text`.
    pub cut: bool,
}
