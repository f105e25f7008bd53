use serde::{Deserialize, Serialize};
use stepflow_model::ExecutionId;

/// `GET /api/executions/overview`: what was created in a time range up to now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Overview {
    /// The range that was asked for: `24h`, `7d` or `30d`.
    pub range: String,
    /// Where the range begins.
    pub since: String,
    /// How many were created in it.
    pub runs: u64,
    /// Of them completed.
    pub completed: u64,
    /// Of them failed.
    pub failed: u64,
    /// Of them cancelled.
    pub cancelled: u64,
    /// Completed of all that completed or failed, 0 to 1; null without any.
    pub success_ratio: Option<f64>,
    /// The median duration of those that completed, in seconds; null without any.
    pub median_seconds: Option<f64>,
    /// The duration that 95 of 100 completed ones do not exceed, in seconds; null without any.
    pub p95_seconds: Option<f64>,
    /// Bytes of output.
    pub bytes: u64,
    /// How many run now, whenever they were created.
    pub running: u64,
    /// How many wait for their start now.
    pub queued: u64,
    /// The range in parts of equal length, oldest first.
    pub parts: Vec<OverviewPart>,
}

/// A part of an [`Overview`]'s range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OverviewPart {
    /// Where it begins; it ends where the next one begins.
    pub since: String,
    /// How many were created in it.
    pub runs: u64,
    /// Completed of all that completed or failed, 0 to 1; null without any.
    pub success_ratio: Option<f64>,
    /// The median duration of those that completed, in seconds; null without any.
    pub median_seconds: Option<f64>,
    /// The duration that 95 of 100 completed ones do not exceed, in seconds; null without any.
    pub p95_seconds: Option<f64>,
    /// Bytes of output.
    pub bytes: u64,
}

/// `GET /api/executions/strips`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StripList {
    /// One for each name that the asked executions have.
    pub strips: Vec<Strip>,
}

/// How the executions of one name went lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Strip {
    /// Of the asked executions, those that have this name.
    #[cfg_attr(feature = "ts", ts(type = "string[]"))]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::Id>"))]
    pub ids: Vec<ExecutionId>,
    /// How many passes `usual_seconds` is taken from, at most 20.
    pub passes: u32,
    /// The median duration of its last passes, in seconds; null without one.
    pub usual_seconds: Option<f64>,
    /// Its last executions, at most 20, newest first.
    pub last: Vec<StripEntry>,
}

/// One execution of a [`Strip`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StripEntry {
    /// Which.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub id: ExecutionId,
    /// How it ended, or where it stands.
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Status"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Status"))]
    pub status: String,
    /// How long it took; null while it runs.
    pub duration_seconds: Option<f64>,
}
