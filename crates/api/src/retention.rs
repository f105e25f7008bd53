use serde::{Deserialize, Serialize};

/// What one kind of executions may take up. Without any limit they are kept for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RetentionRule {
    /// Only executions with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only executions whose name this pattern covers: `*` stands for any text, `?` for one
    /// character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long after its end one is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub max_age_seconds: Option<u64>,
    /// How many of them are kept, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub max_count: Option<u64>,
    /// How many bytes of output and artifacts of them are kept, the newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub max_bytes: Option<u64>,
}

/// `GET /api/retention`: what is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Retention {
    /// The first rule that an execution falls under decides; under none, it is kept. One that is
    /// pinned, and one that has not ended, is always kept.
    pub rules: Vec<RetentionRule>,
    /// What the last sweep of this server did.
    pub last: Option<RetentionSwept>,
}

/// `POST /api/retention/sweep`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RetentionSweepRequest {
    /// Delete nothing: say what would be deleted.
    #[serde(default)]
    pub dry_run: bool,
    /// The rules of this sweep alone; those of the server unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RetentionRule>>,
}

/// What a sweep did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RetentionSwept {
    /// Nothing was deleted: what would have been.
    pub dry_run: bool,
    /// When it began.
    pub at: String,
    /// Executions that were looked at.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub looked_at: u64,
    /// Executions that were deleted, whole.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub deleted: u64,
    /// Bytes that they took up on the disk.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub bytes_freed: u64,
    /// Executions that stay until the next sweep: somebody was just at them.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub busy: u64,
    /// Executions that stay because their records cannot be read.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub unreadable: u64,
    /// How long it took.
    pub seconds: f64,
    /// It was cut off after some seconds: the next one goes on.
    pub stopped: bool,
}
