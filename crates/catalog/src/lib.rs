//! The catalog: what can be listed, filtered and counted, in one SQLite file.
//!
//! It is a projection of the records and can be thrown away and rebuilt; only tokens and sessions
//! live nowhere else. One thread owns the only connection that writes and commits in groups; any
//! number of threads read, each through a read-only connection of a small pool.
//!
//! No async code: calls block, so an async caller moves them to a blocking thread, or hands
//! [`Writer::submit`] a callback. Never reads the wall clock or makes ids: both are handed in.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! use stepflow_catalog::{Catalog, ListQuery, Role};
//! let catalog = Catalog::open(&dir.path().join("database/stepflow.db"), Role::Server)?;
//! assert!(catalog.reader().list(&ListQuery::default())?.is_empty());
//! catalog.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Who may open the catalog to write is decided by a lock of the storage directory, which is the
//! caller's business. The tables: `migrations/*.sql`.
#![forbid(unsafe_code)]

mod apply; // one change -> SQL, and what it does to the counters
mod catalog; // the owner of the writer thread and of the pool
mod change; // what can be written
mod check; // what SQLite cannot know of a file
mod checkpointer; // the thread that moves the WAL into the database beside the writer
mod counter; // statistics without counting
mod error; // why not
mod inspect; // a look at a file from outside, which changes nothing
mod maintenance; // statistics for the planner, free pages, the WAL: in slices
mod migration; // numbered schema changes, with a copy of the file before those that change data
mod open; // from a path to connections: creation, checks, settings
mod pool; // the connections that read
mod queries; // every statement that reads, in one list
mod reader; // what can be asked
mod replace; // another file takes the place of one that is damaged or gone
mod row; // rows <-> model
mod seal; // a checksum in each row
mod stats; // what the catalog counts about itself
mod test_run; // how tests ended, and what the past says of them
mod waiting; // threads that wait for the writer, and how they are woken
mod writer; // the one thread that writes: group commit

pub use crate::{
    catalog::{Catalog, Options, Role, copy, set_aside},
    change::{Change, SavedSearch, Session, Token},
    counter::Statistics,
    error::CatalogError,
    inspect::{Header, Inspection, time_writes},
    maintenance::{Maintained, MaintainedReply},
    open::is_original,
    pool::Fault,
    reader::{
        ArtifactQuery, FileFigures, KeptRow, LIST_LIMIT_MAX, ListQuery, Order, OverviewRow, Pass,
        PassedStep, Reader, StepTimesRow, StripEntry, TOTAL_COUNTED_MAX, TimesRow, Without,
    },
    replace::{Renewed, Replaced, ReplacedReply, renew},
    stats::{BUCKETS_US, Durations, Figures, Histogram},
    test_run::{TEST_RUNS_MAX, TestRun, Trends},
    writer::{GROUP_CHANGES_MAX, GROUP_TIME_MAX, QUEUE_BATCHES_MAX, Reply, Writer},
};

/// The newest schema that this build reads and writes (`PRAGMA user_version`).
pub const SCHEMA_VERSION: u32 = migration::newest(migration::MIGRATIONS);
