use serde::{Deserialize, Serialize};
use stepflow_model::Stream;

use crate::{Cursor, FilteredLines, LineView};

/// A line, or a piece of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Line {
    /// Its number, from 1.
    pub n: u64,
    /// When its first byte was read.
    pub t: String,
    /// Where it came from.
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Stream"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Stream"))]
    pub stream: Stream,
    /// Output offset of its first byte.
    pub offset: u64,
    /// Its bytes in the record, line end and cut rest included: the next line begins at
    /// `offset + bytes`.
    pub bytes: u64,
    /// Its text, without line end.
    pub text: String,
    /// No line end follows (yet).
    pub partial: bool,
    /// Goes on a piece of the same stream that the other stream cut.
    pub continued: bool,
    /// Invalid UTF-8 was replaced.
    pub lossy: bool,
    /// Bytes of the line that are not in `text`.
    pub rest: u64,
    /// The step that owns it.
    pub step: Option<u32>,
    /// No line, but what stands in the place of output that is gone by policy; `text` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub dropped: Option<Dropped>,
    /// How a page shows it; with `view=1` alone. `text` is then at most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub view: Option<LineView>,
}

/// Output that is gone by policy. Offsets and line numbers are what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Dropped {
    /// Output offset of the first byte that is gone.
    pub from: u64,
    /// Output offset just after the last one.
    pub to: u64,
    /// Line ends that are gone.
    pub lines: u64,
}

impl From<stepflow_model::Dropped> for Dropped {
    fn from(gone: stepflow_model::Dropped) -> Self {
        Self { from: gone.from, to: gone.to, lines: gone.lines() }
    }
}

/// `GET /api/executions/{id}/log`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogRange {
    /// Number of the first line that was asked for.
    pub from_line: u64,
    /// The lines that are there.
    pub lines: Vec<Line>,
    /// Ended lines in the record.
    pub total_lines: u64,
    /// Bytes in the record.
    pub total_bytes: u64,
    /// Where to go on.
    pub cursor: Cursor,
    /// Nothing will be added.
    pub ended: bool,
    /// With a filter: what it lets through in the whole log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub filtered: Option<FilteredLines>,
}
