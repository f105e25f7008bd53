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
mod execution; // one execution, lists of them, statistics
mod live; // what is said over `/ws`
mod log; // lines
mod problem; // RFC 9457
mod session; // login, tokens, health
mod step; // one step
mod time; // RFC 3339, UTC, microseconds
#[cfg(feature = "ts")]
mod typescript; // all of it as one file for the page

pub use crate::{
    artifact::{Artifact, ArtifactList, human_size, mime_type},
    create::{Command, CreateAnswer, CreateRequest},
    cursor::{Cursor, CursorError},
    execution::{
        ActiveExecution, ActiveList, Annotation, CancelAnswer, Execution, ExecutionDetail,
        ExecutionList, Statistics,
    },
    live::{ClientMessage, ServerMessage, Topic},
    log::{Line, LogRange},
    problem::Problem,
    session::{
        Health, LoginRequest, LoginUrl, Session, TokenCreate, TokenCreated, TokenInfo, TokenList,
    },
    step::Step,
    time::{rfc3339, rfc3339_ns},
};

#[cfg(feature = "ts")]
pub use crate::typescript::typescript;
