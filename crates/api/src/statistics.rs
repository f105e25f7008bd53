use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /api/statistics`: what was created in a time range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RangeStatistics {
    /// Where the range begins.
    pub since: String,
    /// Where it ends.
    pub until: String,
    /// Length of a part: an hour or a day.
    pub part_seconds: u64,
    /// All of it.
    pub whole: StatisticsPart,
    /// The range in parts, oldest first. The first and the last one may be cut.
    pub parts: Vec<StatisticsPart>,
    /// How many ended for each reason, other than that all went well.
    pub reasons: BTreeMap<String, u64>,
    /// By weekday from Monday, then by hour, in the asked time zone.
    pub week: Vec<Vec<WeekHour>>,
    /// The steps with the longest median duration, at most 20.
    pub slowest_steps: Vec<StepStatistics>,
    /// Steps that both fail and pass, those that fail most often first, at most 20.
    pub flakiest_steps: Vec<StepStatistics>,
    /// Steps are those of so many executions: the newest ones of the range.
    pub step_executions: u64,
}

/// A part of a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatisticsPart {
    /// Where it begins.
    pub since: String,
    /// How many were created in it.
    pub runs: u64,
    /// Of them completed.
    pub completed: u64,
    /// Of them failed.
    pub failed: u64,
    /// Of them cancelled.
    pub cancelled: u64,
    /// Median duration of those that completed, in seconds; null without any.
    pub median_seconds: Option<f64>,
    /// The duration that 95 of 100 completed ones do not exceed, in seconds; null without any.
    pub p95_seconds: Option<f64>,
    /// Median time between creation and start, in seconds; null when nothing was started.
    pub queue_seconds: Option<f64>,
    /// Bytes of output.
    pub bytes: u64,
}

/// What was created in one hour of one weekday.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WeekHour {
    /// How many.
    pub runs: u64,
    /// Of them failed.
    pub failed: u64,
}

/// How the steps of one name in the executions of one name went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepStatistics {
    /// The executions' name.
    pub execution: String,
    /// The steps' name.
    pub step: String,
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
    /// Median duration of those that passed, in seconds; null without any.
    pub median_seconds: Option<f64>,
}
