//! Statistics are kept, not counted: the writer adds what each change does to them.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};
use stepflow_model::Status;

use crate::{queries, row};

/// Longest duration that goes into the sum as it is, ten years; longer ones count as that.
///
/// A wall clock that jumped can make durations of decades. The sum must not overflow, and what a
/// row added must be what its removal takes away.
const DURATION_COUNTED_MAX_US: u64 = 10 * 366 * 86_400 * 1_000_000;

/// How many executions there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// All.
    pub total: u64,
    /// By status; every status has an entry. In the order of [`Status::ALL`]'s words.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Durations of the completed ones that have one, added up.
    pub completed_duration_us_sum: u64,
    /// How many those are.
    pub completed_duration_count: u64,
}

impl Statistics {
    /// How many have this status.
    pub fn count(&self, status: Status) -> u64 {
        self.by_status.get(status.as_str()).copied().unwrap_or(0)
    }

    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut by_status = BTreeMap::new();
        for (column, status) in Status::ALL.iter().enumerate() {
            by_status.insert(status.as_str(), row.get::<_, i64>(column)? as u64);
        }
        Ok(Self {
            total: by_status.values().sum(),
            by_status,
            completed_duration_us_sum: row.get::<_, i64>(5)? as u64,
            completed_duration_count: row.get::<_, i64>(6)? as u64,
        })
    }
}

/// What a row adds to the counters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) status: Status,
    pub(crate) duration_us: Option<u64>,
}

/// What changes do to the counters, until their transaction commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    by_status: [i64; Status::ALL.len()],
    duration_us_sum: i64,
    duration_count: i64,
}

impl Delta {
    /// A row went from `old` to `new`; `None`: it was not there, or is gone.
    pub(crate) fn row(&mut self, old: Option<Counted>, new: Option<Counted>) {
        for (counted, sign) in [(old, -1), (new, 1)] {
            let Some(Counted { status, duration_us }) = counted else { continue };
            self.by_status[status as usize] += sign;
            if let (Status::Completed, Some(duration_us)) = (status, duration_us) {
                self.duration_us_sum += sign * duration_us.min(DURATION_COUNTED_MAX_US) as i64;
                self.duration_count += sign;
            }
        }
    }

    /// Takes over what a batch did, once it has succeeded.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.by_status.iter_mut().zip(other.by_status) {
            *mine += theirs;
        }
        self.duration_us_sum += other.duration_us_sum;
        self.duration_count += other.duration_count;
    }

    /// What the counters must be: everything counted anew.
    pub(crate) fn counted(db: &Connection) -> rusqlite::Result<Self> {
        let mut delta = Self::default();
        let mut statement = db.prepare("SELECT status, duration_us FROM execution")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let status = row::word(row, 0, Status::from_word)?;
            let duration_us = row::unsigned_opt(row, 1)?;
            delta.row(None, Some(Counted { status, duration_us }));
        }
        Ok(delta)
    }

    /// What the counters are.
    pub(crate) fn kept(db: &Connection) -> rusqlite::Result<Self> {
        db.query_row(queries::STATISTICS.sql(), [], |row| {
            let mut delta = Self::default();
            for (at, count) in delta.by_status.iter_mut().enumerate() {
                *count = row.get(at)?;
            }
            (delta.duration_us_sum, delta.duration_count) = (row.get(5)?, row.get(6)?);
            Ok(delta)
        })
    }

    /// Writes it, within the transaction of the changes.
    pub(crate) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        if *self == Self::default() {
            return Ok(());
        }
        let [pending, running, completed, failed, cancelled] = self.by_status;
        db.prepare_cached(
            "UPDATE counter SET
                 pending = pending + ?1, running = running + ?2, completed = completed + ?3,
                 failed = failed + ?4, cancelled = cancelled + ?5,
                 completed_duration_us_sum = completed_duration_us_sum + ?6,
                 completed_duration_count = completed_duration_count + ?7
             WHERE id = 1",
        )?
        .execute([
            pending,
            running,
            completed,
            failed,
            cancelled,
            self.duration_us_sum,
            self.duration_count,
        ])?;
        Ok(())
    }
}
