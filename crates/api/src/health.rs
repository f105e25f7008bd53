//! How the server is: for load balancers, for programs, for people who look for the cause.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

/// `GET /api/health`: open, and therefore silent about everything but itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// `healthy` or `unhealthy`.
    #[cfg_attr(feature = "ts", ts(type = "'healthy' | 'unhealthy'"))]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["healthy", "unhealthy"])))]
    pub status: Cow<'static, str>,
    /// `StepFlow Monitor`.
    pub service: Cow<'static, str>,
    /// Now.
    pub timestamp: String,
    /// Of the program.
    pub version: Cow<'static, str>,
    /// Since the server was started.
    #[serde(default)]
    pub uptime_seconds: f64,
    /// Whether the catalog answers: `ok` or `failed`.
    #[serde(default)]
    pub database: Cow<'static, str>,
    /// Whether live updates are served: `ok`, always where this is answered.
    #[serde(default)]
    pub websocket: Cow<'static, str>,
    /// Whether the storage directory is there: `ok` or `failed`.
    #[serde(default)]
    pub storage: Cow<'static, str>,
}

/// How one part of the server is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Component {
    /// `ok`, `degraded` (works, and somebody should look) or `unhealthy`.
    #[cfg_attr(feature = "ts", ts(type = "'ok' | 'degraded' | 'unhealthy'"))]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["ok", "degraded", "unhealthy"])))]
    pub status: String,
    /// In words.
    pub detail: String,
    /// The same as a stable word, for whoever has words of their own.
    #[serde(default)]
    pub what: String,
    /// The figures that the words have: counts, bytes, and ratios from 0 to 1.
    #[serde(default)]
    pub figures: BTreeMap<String, f64>,
}

/// The parts of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Components {
    /// The catalog.
    pub database: Component,
    /// Starting and following executions.
    pub engine: Component,
    /// The file system that holds the records.
    pub storage: Component,
    /// Live viewers.
    pub websocket: Component,
}

/// `GET /api/health/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthStatus {
    /// The worst of the components: `healthy`, `degraded` or `unhealthy`.
    #[cfg_attr(feature = "ts", ts(type = "'healthy' | 'degraded' | 'unhealthy'"))]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["healthy", "degraded", "unhealthy"])))]
    pub status: String,
    /// `StepFlow Monitor`.
    pub service: String,
    /// Of the program.
    pub version: String,
    /// Now.
    pub timestamp: String,
    /// Since the server was started.
    pub uptime_seconds: f64,
    /// Part by part.
    pub components: Components,
}

/// How long a kind of operation took, since the server was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// The mean; null: there were none.
    pub mean_seconds: Option<f64>,
    /// Half of them took at most this long; as exact as the buckets of `/metrics`.
    pub p50_seconds: Option<f64>,
    /// 95 of 100 took at most this long.
    pub p95_seconds: Option<f64>,
    /// 99 of 100 took at most this long.
    pub p99_seconds: Option<f64>,
    /// How many took longer than 5 ms.
    pub over_5ms: u64,
}

/// What the server's process uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessMetrics {
    /// Its id.
    pub pid: u32,
    /// Resident memory, mapped files included.
    pub resident_bytes: u64,
    /// Resident memory of its own.
    pub anonymous_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// How many it may open.
    pub max_fds: u64,
    /// Threads.
    pub threads: u64,
    /// Time on processors.
    pub cpu_seconds: f64,
    /// When it was started.
    pub started_at: String,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExecutionMetrics {
    /// All that the catalog holds, by status.
    pub by_status: BTreeMap<String, u64>,
    /// Those that have not ended, by status.
    pub live: BTreeMap<String, u64>,
    /// Those that ended since the server was started, by status.
    pub ended: BTreeMap<String, u64>,
    /// Those that wait for a place.
    pub waiting: u64,
    /// Places that are taken.
    pub running: u64,
    /// Places there are.
    pub running_max: u64,
    /// Output that is recorded and not yet synced.
    pub unsynced_bytes: u64,
    /// Recorders that are connected.
    pub recorders: u64,
    /// Executions whose recorder was gone without an end, since the server was started.
    pub recorders_lost: u64,
}

/// How the API is used, since the server was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HttpMetrics {
    /// Answers.
    pub requests: u64,
    /// Answers with a status of 500 or above.
    pub server_errors: u64,
    /// Requests that are being answered.
    pub in_progress: u64,
    /// From a request's head to the answer's.
    pub latency: Latency,
    /// Connections over TCP and over the Unix socket.
    pub connections: u64,
    /// How many there may be.
    pub connections_max: u64,
}

/// Who watches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ViewerMetrics {
    /// Clients of `/ws`.
    pub websocket: u64,
    /// Clients of event streams.
    pub sse: u64,
    /// Subscriptions of the clients of `/ws`.
    pub subscriptions: u64,
    /// Clients that were cut off: they took nothing for 30 s, or their login ended.
    pub dropped: u64,
}

/// `GET /api/health/metrics`: the figures of `/metrics`, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthMetrics {
    /// Now.
    pub timestamp: String,
    /// Since the server was started.
    pub uptime_seconds: f64,
    /// The server's process.
    pub process: ProcessMetrics,
    /// What is run.
    pub executions: ExecutionMetrics,
    /// How the API is used.
    pub http: HttpMetrics,
    /// Who watches.
    pub viewers: ViewerMetrics,
    /// The catalog, without its findings.
    pub database: DatabaseMetrics,
}

/// The catalog's files.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DatabaseFile {
    /// Size of the database.
    pub database_bytes: u64,
    /// Size of a page.
    pub page_bytes: u64,
    /// Pages, free ones included.
    pub pages: u64,
    /// Pages that hold nothing.
    pub free_pages: u64,
    /// Share of the pages that hold nothing, 0 to 1.
    pub free_ratio: f64,
    /// Size of the write-ahead log.
    pub wal_bytes: u64,
}

/// What the catalog did since the server was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DatabaseMetrics {
    /// Its files.
    pub file: DatabaseFile,
    /// Batches that wait for the writer.
    pub queued: u64,
    /// How many may wait.
    pub queue_max: u64,
    /// Rows and what belongs to them, written.
    pub changes: u64,
    /// Transactions.
    pub commit: Latency,
    /// Batches, from the moment they were handed over to the commit that holds them.
    pub write: Latency,
    /// Questions.
    pub read: Latency,
    /// Transactions that failed.
    pub commits_failed: u64,
    /// Questions that failed.
    pub reads_failed: u64,
    /// Times that another process held the lock for too long.
    pub busy: u64,
    /// Share of operations that needed nothing from the disk, 0 to 1; null: there were none.
    pub cache_hit_ratio: Option<f64>,
    /// Connections that read.
    pub readers: u64,
    /// Of them in use.
    pub readers_busy: u64,
    /// Times the write-ahead log was moved into the database.
    pub checkpoints: u64,
    /// Times a reader kept it from moving whole.
    pub checkpoints_blocked: u64,
    /// Runs of the maintenance.
    pub maintenances: u64,
}

/// A figure beyond its threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// `warning` or `error`.
    #[cfg_attr(feature = "ts", ts(type = "'warning' | 'error'"))]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["warning", "error"])))]
    pub level: String,
    /// A stable word.
    pub what: String,
    /// What was measured.
    pub measured: f64,
    /// What it should not exceed, or, for `cache-hit-ratio`, not fall below.
    pub threshold: f64,
    /// Of both: `seconds`, `bytes`, `ratio` or `count`.
    #[cfg_attr(feature = "ts", ts(type = "'seconds' | 'bytes' | 'ratio' | 'count'"))]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["seconds", "bytes", "ratio", "count"])))]
    pub unit: String,
    /// In words.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}

/// `GET /api/health/database`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthDatabase {
    /// `ok`; `degraded`: there are warnings; `unhealthy`: there are errors.
    #[cfg_attr(feature = "ts", ts(type = "'ok' | 'degraded' | 'unhealthy'"))]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["ok", "degraded", "unhealthy"])))]
    pub status: String,
    /// Now.
    pub timestamp: String,
    /// Always `wal`.
    pub journal_mode: String,
    /// The figures.
    #[serde(flatten)]
    pub metrics: DatabaseMetrics,
    /// What is beyond its threshold, worst first.
    pub findings: Vec<Finding>,
}

/// `POST /api/health/optimize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Optimized {
    /// `ok`, always where this is answered.
    pub status: String,
    /// The files before.
    pub before: DatabaseFile,
    /// The files after.
    pub after: DatabaseFile,
    /// Tables whose statistics were made anew.
    pub tables_analyzed: u32,
    /// Given back to the file system.
    pub bytes_freed: u64,
    /// Whether the write-ahead log was emptied; if not, a reader was in the way.
    pub wal_emptied: bool,
    /// Pieces it was done in; writes went on between them.
    pub slices: u32,
    /// The longest of them.
    pub longest_slice_seconds: f64,
    /// From beginning to end.
    pub duration_seconds: f64,
}

/// How the server was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthSample {
    /// Milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Executions that run.
    pub running: u64,
    /// Executions that wait for their start.
    pub waiting: u64,
    /// WebSocket and SSE connections.
    pub viewers: u64,
    /// Batches that wait for the catalog.
    pub queued: u64,
    /// Output that a power cut now would lose.
    pub unsynced_bytes: u64,
    /// The process's memory.
    pub resident_bytes: u64,
    /// Its open files.
    pub open_fds: u64,
    /// The catalog with its write-ahead log.
    pub database_bytes: u64,
    /// Free bytes of the storage's file system.
    pub free_bytes: u64,
    /// All bytes of it.
    pub space_bytes: u64,
    /// Transactions of the catalog since the sample before.
    pub commits: u64,
    /// Their mean time in seconds; null without any.
    pub commit_seconds: Option<f64>,
}

/// `GET /api/health/history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthHistory {
    /// Time between two samples.
    pub every_seconds: u64,
    /// At most those of the last 24 hours, oldest first; the last one is of now. They begin with
    /// the server: it keeps them in memory.
    pub samples: Vec<HealthSample>,
    /// When the file system is full if it goes on filling as it did; null: it does not fill, or
    /// not long enough is known.
    pub full_in_seconds: Option<f64>,
}

/// `GET /api/health/bundle`: what somebody who helps needs to know. No name, command, environment,
/// output, token or path of a script is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SupportBundle {
    /// The program's version.
    pub version: String,
    /// Kernel and processor architecture.
    pub system: String,
    /// Processors that it may use.
    pub processors: u64,
    /// Whether callers must authenticate.
    pub auth: bool,
    /// Part by part.
    pub status: HealthStatus,
    /// Figures.
    pub metrics: HealthMetrics,
    /// What is beyond its threshold.
    pub findings: Vec<Finding>,
    /// The last 24 hours.
    pub history: HealthHistory,
}
