//! JSON that crosses a process boundary: what the HTTP API and the live stream send and take.
//!
//! The wire is a promise, while the domain is ours to rename: one constructor per type joins the
//! two. Pure: no I/O, no clock; a moment that a value depends on is handed in.
//! The page that describes it: `docs/reference/api.md`.
//!
//! ```
//! let cursor: stepflow_api::Cursor = "12.3".parse()?;
//! assert_eq!((cursor.offset, cursor.seq), (12, 3));
//! # Ok::<(), stepflow_api::CursorError>(())
//! ```
#![forbid(unsafe_code)]

mod artifact; // one declared file
mod create; // what a new execution is asked for with, and the answer
mod cursor; // where a client is in the log and among the events
mod entry; // lines as the original shows them
mod execution; // one execution, lists of them, statistics
mod find; // one text in many logs
mod health; // how the server is, and what it counted
mod ingest; // how far a stream from elsewhere is
mod live; // what is said over `/ws`
mod log; // lines
mod overview; // the headline of a time range, how names went lately
mod preview; // what can be shown of an artifact
mod problem; // RFC 9457
mod retention; // what is kept, and for how long
#[cfg(feature = "schema")]
mod schema; // what the schemas of OpenAPI say of words and ids
mod search; // searches that were saved
mod session; // login, tokens
mod spec; // how one was asked for
mod statistics; // a time range in figures
mod step; // one step
mod tests; // which tests there were, and what the past says of them
mod time; // RFC 3339, UTC, microseconds
mod told; // what output says in the markers of other systems
#[cfg(feature = "ts")]
mod typescript; // all of it as one file for the page
mod view; // what a log viewer needs to know

pub use crate::{
    artifact::{Artifact, ArtifactList, human_size, mime_type},
    create::{
        Command, Containment, CreateAnswer, CreateRequest, Emulation, LabelRequest, Leftover,
        LogFull, LogSync, OnDiskFull, RerunRequest,
    },
    cursor::{Cursor, CursorError},
    entry::{LogEntries, LogEntry},
    execution::{
        ActiveExecution, ActiveList, Annotation, CancelAnswer, DeleteAnswer, Execution,
        ExecutionDetail, ExecutionList, Statistics,
    },
    find::{ContextLine, FoundLine, SearchEvent, SearchFound, SearchProgress},
    health::{
        Component, Components, DatabaseFile, DatabaseMetrics, ExecutionMetrics, Finding, Health,
        HealthDatabase, HealthHistory, HealthMetrics, HealthSample, HealthStatus, HttpMetrics,
        Latency, Optimized, ProcessMetrics, SupportBundle, ViewerMetrics,
    },
    ingest::IngestAnswer,
    live::{ClientMessage, ServerMessage, Topic},
    log::{Dropped, Line, LogRange},
    overview::{Overview, OverviewPart, Strip, StripEntry, StripList},
    preview::{ArchiveEntry, ArtifactPreview, MarkdownNode, PreviewContent},
    problem::Problem,
    retention::{Retention, RetentionRule, RetentionSweepRequest, RetentionSwept},
    search::{SavedSearch, SavedSearchList, SavedSearchRequest},
    session::{LoginRequest, LoginUrl, Session, TokenCreate, TokenCreated, TokenInfo, TokenList},
    spec::{ExecutionSpec, Moment, Terminal},
    statistics::{RangeStatistics, StatisticsPart, StepStatistics, WeekHour},
    step::Step,
    tests::{
        TestDetail, TestHistory, TestList, TestMarks, TestPast, TestResult, TestSince, TestTry,
    },
    time::{TimeError, Zone, parse_time, rfc3339, rfc3339_ns},
    told::{DetectedDialect, Pointed, SummaryText, TestCounts, Told},
    view::{
        ErrorLine, FilteredLines, LevelCounts, LevelSource, LineView, LogDensity, LogError,
        LogErrors, LogGap, LogLevel, LogMeta, LogRows, LogSearch, SearchHit, StepHits, StepLines,
        StepRange, Usual, UsualStep,
    },
};

#[cfg(feature = "schema")]
pub use crate::schema::{schemas_received, schemas_sent};
#[cfg(feature = "ts")]
pub use crate::typescript::typescript;
