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
mod backup; // a whole storage copied while it is used, and brought back
mod bell; // the control socket's other end
mod change; // delete one, add a file, remove a file
mod command; // one text -> an argument vector, or why not
mod compress; // logs of ended executions, in the background
mod core; // what all tasks share
mod discover; // open markers: at the start, by inotify, by a look
mod engine; // the way in
mod environment; // what a script started here inherits
mod error; // why not
mod feed; // which executions changed
mod figures; // what the engine counts about itself
mod follow; // one task per open record
mod handle; // one execution, as viewers see it
mod ingest; // streams from elsewhere, recorded here
mod lock; // who writes
mod mend; // a catalog that is damaged or gone, at the start or while it is used
mod once; // a request that is sent again makes no second execution
mod project; // records -> catalog
mod reap; // recorders that have ended leave no zombie
mod remembered; // answers that are still true
mod request; // what to run -> a spec
mod rerun; // the same again
mod retention; // what is kept, and for how long
mod search; // one text in many logs
mod upgrade; // a storage of the original, when a server opens it

pub use crate::{
    backup::{BackedUp, BackupError, Progress, Restored, backup, restore},
    change::{Labels, Upload},
    command::{CommandError, split},
    engine::{Engine, EngineConfig, ListPage, QUEUED_MAX},
    error::{
        CancelError, ChangeError, CloseError, CreateError, IngestError, OpenError, QueryError,
        RerunError,
    },
    feed::{FeedChanges, FeedEntry},
    figures::EngineFigures,
    handle::{Changed, Handle, Mark, Tick},
    ingest::{Attachment, INGESTS_MAX, IngestState, NewIngest},
    lock::WriterLock,
    mend::{Mended, renew},
    once::{KEY_BYTES_MAX, KEYS_MAX, Once},
    project::{ProjectError, Projected, project_open, reindex},
    remembered::Remembered,
    request::{CommandLine, NewExecution, RequestError, Usual},
    retention::{Policy, PolicyError, Rule, Swept},
    search::{
        CONTEXT_MAX, Found, FoundLine, FoundStep, Search, SearchCursor, SearchEnd, SearchProgress,
        search,
    },
};
