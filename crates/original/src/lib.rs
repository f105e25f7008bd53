//! Storages of the original StepFlow Monitor (the Python server), upgraded in place.
//!
//! [`upgrade`] turns every execution of the original's database into a record, beside the files
//! the original wrote, builds a catalog of them, and puts it in the database's place in one step.
//! Until that step the original is whole and in its place; afterwards its database is kept as
//! `database/stepflow.db.original-TIME`, one file, and going back means restoring that file. The
//! original's log and artifact files are never moved, changed or deleted.
//!
//! ```text
//! stepflow.db (+ -wal, -journal) ─ copy, checkpoint ─► stepflow.db.original-TIME
//!    │ rows, by execution                                   │ read only from here on
//!    └──────────────── step_N_ID.log ─► threads: record ─► batch ─ syncfs ─► stepflow.db.upgrading
//! last: stepflow.db.upgrading ─ rename ─► stepflow.db
//! ```
//! It may be killed at any moment: the next call goes on after the last batch.
#![forbid(unsafe_code)]

mod artifact; // declared files and the copies the original made
mod convert; // the rows and logs of one execution -> its record
mod error; // why not
mod execution; // a row of `executions`
mod log; // step logs
mod pipeline; // rows -> threads -> batches -> catalog
mod plan; // what an upgrade that was begun has to go on with
mod report; // what was done, how far it is
mod rows; // the database, one execution at a time
mod source; // is it one, is it in use, its copy
mod step; // a row of `steps`
mod swap; // the last step
mod time; // times without an offset
mod upgrade; // the way in
mod value; // columns that may hold anything

pub use crate::{
    error::UpgradeError,
    report::{Phase, Progress, Report},
    upgrade::upgrade,
};

/// What tests and fuzzers look at: the parsers alone.
pub mod parsers {
    pub use crate::{
        log::{LogLine, parse_line},
        time::Zone,
    };
}
