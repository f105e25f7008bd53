//! How far an upgrade is, and what it did.

use std::{path::PathBuf, time::Duration};

use rusqlite::Connection;

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The database is copied and checked.
    Copying,
    /// Executions become records.
    Converting,
    /// The catalog takes the database's place.
    Finishing,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is going on.
    pub phase: Phase,
    /// Executions that are records now, those of an earlier attempt included.
    pub done: u64,
    /// Of these, those of an earlier attempt.
    pub before: u64,
    /// Executions there are.
    pub total: u64,
    /// Since this attempt began.
    pub elapsed: Duration,
}

/// What was done, earlier attempts included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Executions.
    pub executions: u64,
    /// Steps.
    pub steps: u64,
    /// Log lines.
    pub lines: u64,
    /// Artifacts.
    pub artifacts: u64,
    /// Artifacts that have a file.
    pub artifact_files: u64,
    /// Executions that had no end: the original was killed while they ran.
    pub interrupted: u64,
    /// Executions of which the original had saved only steps or artifacts.
    pub rows_missing: u64,
    /// Steps whose end the original had not saved.
    pub steps_closed: u64,
    /// Logs of steps without the step.
    pub steps_found: u64,
    /// Log lines without a readable time.
    pub lines_without_time: u64,
    /// Logs that could not be read to their end.
    pub logs_unreadable: u64,
    /// Values that are not what their columns hold.
    pub values_unreadable: u64,
    /// Executions with the id of a record of our own, which stays.
    pub kept: u64,
    /// The original's database: going back means restoring this file.
    pub backup: PathBuf,
    /// How long this attempt took.
    pub took: Duration,
}

impl Report {
    /// Counts what is in the new catalog.
    pub(crate) fn count(
        db: &Connection,
        kept: u64,
        backup: PathBuf,
        took: Duration,
    ) -> rusqlite::Result<Self> {
        const SQL: &str = "
            SELECT count(*), total(position_lines),
                   total(origin ->> '$.repairs.interrupted'),
                   total(origin ->> '$.repairs.row_missing'),
                   total(origin ->> '$.repairs.steps_closed'),
                   total(origin ->> '$.repairs.steps_found'),
                   total(origin ->> '$.repairs.lines_without_time'),
                   total(origin ->> '$.repairs.logs_unreadable'),
                   total(origin ->> '$.repairs.values_unreadable'),
                   (SELECT count(*) FROM step), (SELECT count(*) FROM artifact),
                   (SELECT count(sha256) FROM artifact)
            FROM execution";
        db.query_row(SQL, [], |row| {
            // total() is a float: exact up to 2^53.
            let number = |at: usize| row.get::<_, f64>(at).map(|number| number as u64);
            let count = |at: usize| row.get::<_, i64>(at).map(|number| number as u64);
            Ok(Self {
                executions: count(0)?,
                lines: number(1)?,
                interrupted: number(2)?,
                rows_missing: number(3)?,
                steps_closed: number(4)?,
                steps_found: number(5)?,
                lines_without_time: number(6)?,
                logs_unreadable: number(7)?,
                values_unreadable: number(8)?,
                steps: count(9)?,
                artifacts: count(10)?,
                artifact_files: count(11)?,
                kept,
                backup,
                took,
            })
        })
    }
}
