//! Many executions: admit, start, follow, wake, project.
//!
//! An [`Engine`] holds the storage's writer lock. It starts recorders, follows every open record
//! into the catalog, writes the verdict over records that nobody holds any more, and wakes whoever
//! watches. No HTTP; and no script depends on it: a recorder goes on when the engine goes away.
//!
//! ```text
//! create ─► record on disk ─► catalog row ─► admitted, or waiting ─► recorder process
//!                                                                        │ wake-ups
//! run/*.open (inotify, and a look) ─► a follower per open record ◄───────┘
//!                                       │ fold ─► handle (viewers) ─► catalog ─► marker removed
//! ```
#![forbid(unsafe_code)]

mod admit; // who may run now, who waits; starting recorders
mod bell; // the control socket's other end
mod command; // one text -> an argument vector, or why not
mod core; // what all tasks share
mod discover; // open markers: at the start, by inotify, by a look
mod engine; // the way in
mod environment; // what a script started here inherits
mod error; // why not
mod feed; // which executions changed
mod follow; // one task per open record
mod handle; // one execution, as viewers see it
mod lock; // who writes
mod project; // records -> catalog
mod reap; // recorders that have ended leave no zombie
mod request; // what to run -> a spec

pub use crate::{
    command::{CommandError, split},
    engine::{Engine, EngineConfig, ListPage, QUEUED_MAX},
    error::{CancelError, CreateError, OpenError, QueryError},
    feed::{FeedChanges, FeedEntry},
    handle::{Changed, Handle, Mark, Tick},
    lock::WriterLock,
    project::{ProjectError, Projected, project_open, reindex},
    request::{CommandLine, NewExecution, RequestError},
};
