use serde::{Deserialize, Serialize};
use stepflow_model::Stream;

use crate::Cursor;

/// A line, or a piece of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Line {
    /// Its number, from 1.
    pub n: u64,
    /// When its first byte was read.
    pub t: String,
    /// Where it came from.
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Stream"))]
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
}

/// `GET /api/executions/{id}/log`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
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
}
