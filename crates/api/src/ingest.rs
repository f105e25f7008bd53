use serde::{Deserialize, Serialize};
use stepflow_model::{ExecutionId, Summary};

/// How far a stream is: the answer to whoever sends it, or asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IngestAnswer {
    /// The execution.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub id: ExecutionId,
    /// For people.
    pub name: String,
    /// Where it stands.
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Status"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Status"))]
    pub status: String,
    /// Why, for failed and cancelled.
    #[cfg_attr(feature = "ts", ts(as = "Option<crate::typescript::Reason>"))]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Reason>"))]
    pub reason: Option<String>,
    /// Bytes that need not be sent again.
    pub offset: u64,
    /// Bytes that a power cut cannot take.
    pub safe: u64,
    /// Recorded bytes.
    pub bytes: u64,
    /// Lines that ended in them.
    pub lines: u64,
    /// A source is sending.
    pub attached: bool,
    /// Where people see it.
    pub url: String,
}

impl IngestAnswer {
    /// `summary`, of whose stream the first `offset` bytes are there and `safe` are durable.
    pub fn new(summary: Summary, offset: u64, safe: u64, attached: bool, url: String) -> Self {
        Self {
            id: summary.id,
            name: summary.name,
            status: summary.status.to_string(),
            reason: summary.reason.map(|reason| reason.to_string()),
            offset,
            safe,
            bytes: summary.position.bytes,
            lines: summary.position.lines,
            attached,
            url,
        }
    }
}
