use serde::{Deserialize, Serialize};

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something is wrong.
    Error,
    /// Something may be wrong.
    Warning,
    /// Worth reading.
    Notice,
    /// For developers of the script.
    Debug,
    /// Everything else.
    Other,
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LevelSource {
    /// The script, with a marker.
    Marker,
    /// A rule of the server's: it may be wrong.
    Detected,
}

/// How a page shows one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LineView {
    /// Parameters of the SGR sequence that leads from nothing to the style it begins in: `1;31`;
    /// empty for none. null: the server has not scanned so far yet; ask again.
    pub style: Option<String>,
    /// What is shown, where the line's own bytes, styles aside, are something else: text with SGR
    /// sequences, and OSC 8 around links, and no other control character. null: show `text`.
    pub shown: Option<String>,
    /// Columns, as wrapping counts them: it takes `max(1, ceil(width / columns))` rows.
    pub width: u32,
    /// Times that text was put over earlier text of the line.
    pub replaced: u32,
    /// Bytes at the end of the line that are not shown.
    pub hidden: u64,
    /// How grave it is.
    pub level: LogLevel,
    /// Who says so.
    pub source: LevelSource,
    /// It stands around a line that the filter lets through.
    pub context: bool,
}

/// Lines of each level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LevelCounts {
    /// Lines that say that something failed.
    pub error: u64,
    /// Lines that warn.
    pub warning: u64,
    /// Lines that point something out.
    pub notice: u64,
    /// Lines for whoever looks for a fault.
    pub debug: u64,
    /// All other lines.
    pub other: u64,
}

/// A line that says that something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorLine {
    /// Its number.
    pub line: u64,
    /// Who says so.
    pub source: LevelSource,
}

/// What one step printed itself; what its children printed is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepLines {
    /// Its number; null: what no step owns.
    pub step: Option<u32>,
    /// Lines.
    pub lines: u64,
    /// Of each level.
    pub counts: LevelCounts,
    /// The first error.
    pub first_error: Option<ErrorLine>,
}

/// Lines that one step owns, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepRange {
    /// The step; null: none.
    pub step: Option<u32>,
    /// The first line.
    pub first_line: u64,
    /// The last line; null: up to the end of the log, which may grow.
    pub last_line: Option<u64>,
}

/// Output that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogGap {
    /// It was printed before this line.
    pub line: u64,
    /// How much; null: nobody knows.
    pub bytes: Option<u64>,
    /// A stable word: `recovered` after a crash, `log_max_bytes` by policy, `output_lost` where the
    /// disk did not take it.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// `GET /api/executions/{id}/log/meta`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogMeta {
    /// Ended lines in the record, and one more for a half line at the end.
    pub lines: u64,
    /// Bytes in the record.
    pub bytes: u64,
    /// Bytes that it takes up on the disk, the index included; older servers do not say it.
    #[serde(default)]
    pub stored_bytes: u64,
    /// It is in its compressed form.
    #[serde(default)]
    pub compressed: bool,
    /// Lines that have been scanned: what follows is about them.
    pub scanned_lines: u64,
    /// All lines have been scanned.
    pub complete: bool,
    /// Lines of each level.
    pub counts: LevelCounts,
    /// Lines from standard error.
    pub stderr_lines: u64,
    /// The first error.
    pub first_error: Option<ErrorLine>,
    /// For each step that owns lines.
    pub steps: Vec<StepLines>,
    /// Which step owns which lines, in order.
    pub ranges: Vec<StepRange>,
    /// Output that is missing.
    pub gaps: Vec<LogGap>,
    /// Bytes that survive a power cut; null: not known while it runs.
    pub safe_bytes: Option<u64>,
    /// Nothing will be added.
    pub ended: bool,
    /// The server's time zone when the execution was made, in minutes east of UTC.
    pub utc_offset_min: i32,
}

/// `GET /api/executions/{id}/log/rows`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogRows {
    /// Columns of the page.
    pub columns: u32,
    /// Lines of each entry of `pages`.
    pub page_lines: u32,
    /// Number of the page that `pages` begins with, from 0.
    pub from_page: u64,
    /// Rows of so many lines each.
    pub pages: Vec<u32>,
    /// Rows of all scanned lines.
    pub total_rows: u64,
    /// Lines that have been scanned.
    pub scanned_lines: u64,
    /// All lines have been scanned.
    pub complete: bool,
    /// Nothing will be added.
    pub ended: bool,
}

/// `GET /api/executions/{id}/log/density`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogDensity {
    /// For each part of equal size, from the beginning on.
    pub buckets: Vec<LevelCounts>,
    /// Lines that have been scanned: the parts are parts of them.
    pub scanned_lines: u64,
    /// All lines have been scanned.
    pub complete: bool,
    /// Nothing will be added.
    pub ended: bool,
}

/// A line of [`LogErrors`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogError {
    /// Its number.
    pub line: u64,
    /// The step that owns it.
    pub step: Option<u32>,
    /// How grave it is.
    pub level: LogLevel,
    /// Who says so.
    pub source: LevelSource,
    /// What it says, without styles, cut.
    pub text: String,
}

/// `GET /api/executions/{id}/log/errors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogErrors {
    /// In order.
    pub errors: Vec<LogError>,
    /// How many there are in all scanned lines.
    pub total: u64,
    /// Where to go on: `from`, or `before`, of the next request; null: that was all.
    pub next: Option<u64>,
    /// All lines have been scanned.
    pub complete: bool,
    /// Nothing will be added.
    pub ended: bool,
}

/// What a filter lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FilteredLines {
    /// Lines in the whole log, context included.
    pub total: u64,
    /// Lines that are not context.
    pub matches: u64,
    /// All lines have been scanned.
    pub complete: bool,
}

/// A line with matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SearchHit {
    /// Its number.
    pub line: u64,
    /// The step that owns it.
    pub step: Option<u32>,
    /// Matches in it.
    pub matches: u64,
    /// Where they begin and end in the text that a page shows, styles aside, in UTF-16 units. Those
    /// in a part that is not shown are missing.
    pub spans: Vec<(u32, u32)>,
}

/// Matches in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepHits {
    /// The step; null: none.
    pub step: Option<u32>,
    /// Lines with matches.
    pub lines: u64,
}

/// `GET /api/executions/{id}/log/search`. One answer is about the lines from `from_line` up to, not
/// including, `next_line`; asked again with its `cursor`, the next answer goes on there. Sums over
/// the answers are exact when `complete` is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogSearch {
    /// The first ones, at most `limit`; backwards: the last ones, the last one first.
    pub hits: Vec<SearchHit>,
    /// Lines with matches.
    pub lines: u64,
    /// Matches.
    pub matches: u64,
    /// Lines with matches in each step that has some.
    pub steps: Vec<StepHits>,
    /// Lines with matches in parts of equal size of the lines 1 to `total_lines`, if asked for.
    pub density: Vec<u32>,
    /// The first line that was searched.
    pub from_line: u64,
    /// The line behind the last one that was searched; backwards, the last one that was.
    pub next_line: u64,
    /// Lines in the record.
    pub total_lines: u64,
    /// Where to go on: `cursor` of the next request.
    pub cursor: String,
    /// All that is recorded has been searched.
    pub complete: bool,
    /// Nothing will be added.
    pub ended: bool,
}

/// How long a step usually takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UsualStep {
    /// Names from the outermost step to this one.
    pub path: Vec<String>,
    /// Which one of that path, from 0: loops have steps of equal names.
    pub occurrence: u32,
    /// The median, in seconds.
    pub seconds: f64,
    /// Of so many passes.
    pub passes: u32,
    /// The step of this execution that it is about; null: it has not begun here.
    pub step: Option<u32>,
}

/// `GET /api/executions/{id}/usual`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Usual {
    /// How many earlier passes of the same name there are, at most 20.
    pub passes: u32,
    /// The median of their durations, in seconds; null without one.
    pub seconds: Option<f64>,
    /// For each step of them, in their order.
    pub steps: Vec<UsualStep>,
}
