//! Routes, who may call them, the live streams and the embedded page.
//!
//! [`Server::bind`] opens the storage's engine, a TCP port and `run/server.sock`; [`Server::run`]
//! serves until it is told to stop. Stopping it stops no script.
//!
//! No output is ever held here: every viewer reads the record at its own position, at its own pace.
//! Every route stands in one table, `table.rs`, with its permission. The contract:
//! `docs/reference/api.md`.
#![forbid(unsafe_code)]

mod app; // what all routes share
mod auth; // who calls, and what they may
mod config; // what a server is told, and why it may refuse
mod credential; // tokens and sessions: made, kept as digests, looked up
mod detail; // the detail answer, streamed
mod extract; // ids, bodies and queries: what they refuse is a problem too
mod lines; // lines of the record -> lines of the API
mod login; // one-time codes
mod problem; // RFC 9457
mod range; // bytes of a file, HTTP Range
mod routes; // one file per family
mod security; // Host, Origin, headers, limits
mod serve; // listeners and connections
mod sse; // one execution as server-sent events
mod table; // every route with its permission
mod topics; // what `/ws` can be subscribed to
mod ui; // the embedded page
mod ws; // `/ws`

pub use crate::{
    config::{Auth, ServeError, ServerConfig},
    serve::Server,
    table::{RouteInfo, routes},
};

/// The program's version, as clients see it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
