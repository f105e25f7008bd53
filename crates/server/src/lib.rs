//! Routes, who may call them, the live streams and the embedded page.
//!
//! [`Server::bind`] opens the storage's engine, a TCP port and `run/server.sock`; [`Server::run`]
//! serves until it is told to stop, or until a successor has taken everything
//! over. Stopping it stops no script.
//!
//! Next to no output is held here: every viewer reads the record at its own position, at its own pace,
//! or takes what another viewer of the same execution has just read (`shared.rs`).
//! Every route stands in one table, `table.rs`, with its permission. The contract:
//! `docs/reference/api.md`.
#![forbid(unsafe_code)]

mod accept; // connections
mod app; // what all routes share
mod auth; // who calls, and what they may
mod base_path; // what a proxy puts before our paths
mod config; // what a server is told, and why it may refuse
mod credential; // tokens and sessions: made, kept as digests, looked up
mod detail; // the detail answer, streamed
mod entries; // log lines as the original's entries
mod envelope; // the documented envelope, on request
mod exposition; // the text format of Prometheus
mod extract; // ids, bodies and queries: what they refuse is a problem too
mod handover; // everything given to a successor
mod head_timer; // hyper's clock, one timer a connection
mod health; // figures, thresholds, findings
mod legacy; // the original's WebSocket
mod limits; // how much one caller may take
mod lines; // lines of the record -> lines of the API
mod listeners; // where it listens
mod login; // one-time codes
mod markdown; // Markdown as a tree
mod metrics; // what the server counts about itself
mod objects; // a struct comes from a JSON object, wherever it stands
mod openapi; // the table and the types as an OpenAPI document, and its viewer
mod preview; // what can be shown of an artifact
mod problem; // RFC 9457
mod prometheus; // what `GET /metrics` shows
mod quiet; // a future that is asked only once it has rung
mod range; // bytes of a file, HTTP Range
mod results; // which tests an execution had
mod routes; // one file per family
mod samples; // how it was over the last day
mod security; // Host, Origin, headers, limits
mod selection; // lines that are taken away, a few at a time
mod serve; // a server's life
mod service; // what it runs in, and whether executions outlive that
mod shared; // lines that several viewers take
mod sse; // one execution as server-sent events
mod stall; // connections whose client takes nothing
mod table; // every route with its permission
mod topics; // what `/ws` can be subscribed to
mod ui; // the embedded page
mod upload; // a file received, to disk, never in memory
mod usual; // how long steps usually take
mod views; // what viewers know of logs, kept while somebody looks
mod ws; // `/ws`

pub use crate::{
    base_path::{BasePath, BasePathError},
    config::{ApiKey, Auth, Limits, ServeError, ServerConfig},
    openapi::openapi,
    results::{ResultsError, Seen, TestMark, TestOrder, TestQuery, Whose},
    routes::search_event,
    serve::{Ended, Inheritance, Server},
    service::{Service, Stop, service},
    table::{RouteInfo, routes},
    usual::{PASSES, usual},
};

/// The program's version, as clients see it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
