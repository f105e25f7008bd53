//! Rows to model. A row that breaks an invariant is an error, not a default.

use std::iter;

use rusqlite::{
    Row,
    types::{FromSql, FromSqlError, Type, ValueRef},
};
use serde::de::DeserializeOwned;
use stepflow_model::{
    Artifact, ExecutionId, Position, Reason, Source, Status, Step, StepStatus, Summary,
};

use crate::{KeptRow, SavedSearch, Session, TestRun, Token, seal};

type Result<T> = rusqlite::Result<T>;

/// Where columns are taken from.
pub(crate) trait Columns {
    /// The value of a column.
    fn value(&self, column: usize) -> Result<ValueRef<'_>>;
}

impl Columns for Row<'_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>> {
        self.get_ref(column)
    }
}

/// The first values of a row, each of which SQLite was asked for once: a row is held against its seal
/// and then read.
struct Values<'a, const COUNT: usize>([ValueRef<'a>; COUNT]);

impl<'a, const COUNT: usize> Values<'a, COUNT> {
    /// The row, if it is what was written: these columns are sealed, with the seal in the column `seal`.
    fn sealed(
        row: &'a Row<'_>,
        columns: impl IntoIterator<Item = usize>,
        seal: usize,
    ) -> Result<Self> {
        let mut values = [ValueRef::Null; COUNT];
        for (column, value) in values.iter_mut().enumerate() {
            *value = row.get_ref(column)?;
        }
        let values = Self(values);
        seal::check(&values, columns, seal)?;
        Ok(values)
    }

    /// As [`Row::get`].
    fn get<T: FromSql>(&self, column: usize) -> Result<T> {
        get(self, column)
    }
}

impl<const COUNT: usize> Columns for Values<'_, COUNT> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>> {
        self.0.get(column).copied().ok_or(rusqlite::Error::InvalidColumnIndex(column))
    }
}

/// Values of `execution_columns!`.
type OfExecution<'a> = Values<'a, 40>;
/// Values of `step_columns!`: the id of the execution, which is sealed first, stands behind the seal.
type OfStep<'a> = Values<'a, 24>;
/// The same of `artifact_columns!`.
type OfArtifact<'a> = Values<'a, 13>;

/// Whether a row of `execution_columns!` is what was written.
pub(crate) fn sealed_summary(row: &Row<'_>) -> Result<()> {
    of_execution(row).map(drop)
}

/// The same of `step_columns!`.
pub(crate) fn sealed_step(row: &Row<'_>) -> Result<()> {
    of_step(row).map(drop)
}

/// The same of `artifact_columns!`.
pub(crate) fn sealed_artifact(row: &Row<'_>) -> Result<()> {
    of_artifact(row).map(drop)
}

fn of_execution<'a>(row: &'a Row<'_>) -> Result<OfExecution<'a>> {
    Values::sealed(row, 0..39, 39)
}

fn of_step<'a>(row: &'a Row<'_>) -> Result<OfStep<'a>> {
    Values::sealed(row, iter::once(23).chain(0..22), 22)
}

fn of_artifact<'a>(row: &'a Row<'_>) -> Result<OfArtifact<'a>> {
    Values::sealed(row, iter::once(12).chain(0..11), 11)
}

/// A row of `test_run_columns!`.
pub(crate) fn test_run(row: &Row<'_>) -> Result<TestRun> {
    seal::check(row, 0..4, 4)?;
    TestRun::from_bytes(id(row, 0)?, row.get(2)?, row.get_ref(3)?.as_blob()?)
        .ok_or_else(|| seal::damaged("tests are not what was written"))
}

/// A row of `execution_columns!`.
pub(crate) fn summary(row: &Row<'_>) -> Result<Summary> {
    let row = &of_execution(row)?;
    Ok(Summary {
        id: id(row, 0)?,
        name: row.get(1)?,
        command: row.get(2)?,
        cwd: row.get(3)?,
        status: word(row, 4, Status::from_word)?,
        reason: word_opt(row, 5, Reason::from_word)?,
        cancelling: row.get(6)?,
        paused: row.get(7)?,
        exit_code: row.get(8)?,
        signal: row.get(9)?,
        error_message: row.get(10)?,
        created_us: row.get(11)?,
        started_us: row.get(12)?,
        ended_us: row.get(13)?,
        duration_us: unsigned_opt(row, 14)?,
        env: json(row, 15)?,
        user: row.get(16)?,
        tags: json(row, 17)?,
        total_steps: row.get(18)?,
        completed_steps: row.get(19)?,
        failed_steps: row.get(20)?,
        current_step: row.get(21)?,
        current_step_name: row.get(22)?,
        artifacts: row.get(23)?,
        warnings: row.get(24)?,
        metadata: json(row, 25)?,
        source: word(row, 26, Source::from_word)?,
        containment: row.get(27)?,
        unresponsive: false,
        host: row.get(28)?,
        position: Position {
            bytes: unsigned(row, 29)?,
            lines: unsigned(row, 30)?,
            seq: unsigned(row, 31)?,
        },
        skipped_steps: row.get(32)?,
        progress: row.get(33)?,
        progress_text: row.get(34)?,
        pty: row.get(35)?,
        rerun_of: match row.value(36)? {
            ValueRef::Null => None,
            _ => Some(id(row, 36)?),
        },
        origin: json_opt(row, 37)?,
        pinned: row.get(38)?,
    })
}

/// A row of `step_columns!`.
pub(crate) fn step(row: &Row<'_>) -> Result<Step> {
    let row = &of_step(row)?;
    Ok(Step {
        index: row.get(0)?,
        name: row.get(1)?,
        parent: row.get(2)?,
        key: row.get(3)?,
        depth: row.get(4)?,
        status: word(row, 5, StepStatus::from_word)?,
        exit_code: row.get(6)?,
        error: row.get(7)?,
        started_us: row.get(8)?,
        ended_us: row.get(9)?,
        started_at_us: unsigned(row, 10)?,
        duration_us: unsigned_opt(row, 11)?,
        estimated_s: row.get(12)?,
        stop_on_error: row.get(13)?,
        metadata: json(row, 14)?,
        start_offset: unsigned(row, 15)?,
        end_offset: unsigned_opt(row, 16)?,
        first_line: unsigned(row, 17)?,
        last_line: unsigned_opt(row, 18)?,
        progress: row.get(19)?,
        progress_text: row.get(20)?,
        origin: json_opt(row, 21)?,
        dialect: None,
        detail: None,
        loose: false,
        done: false,
    })
}

/// A row of `artifact_columns!`.
pub(crate) fn artifact(row: &Row<'_>) -> Result<Artifact> {
    let row = &of_artifact(row)?;
    Ok(Artifact {
        index: row.get(0)?,
        step: row.get(1)?,
        path: row.get(2)?,
        description: row.get(3)?,
        created_us: row.get(4)?,
        sha256: row.get(5)?,
        size: unsigned(row, 6)?,
        changed: row.get(7)?,
        problem: row.get(8)?,
        settled: row.get(9)?,
        origin: json_opt(row, 10)?,
    })
}

/// A row of `kept_columns!`.
pub(crate) fn kept(row: &Row<'_>) -> Result<KeptRow> {
    Ok(KeptRow {
        id: id(row, 0)?,
        created_us: row.get(1)?,
        ended_us: row.get(2)?,
        status: word(row, 3, Status::from_word)?,
        name: row.get(4)?,
        tags: json(row, 5)?,
        pinned: row.get(6)?,
        bytes: unsigned(row, 7)?,
    })
}

/// A row of `token_columns!`.
pub(crate) fn token(row: &Row<'_>) -> Result<Token> {
    seal::check(row, 0..9, 9)?;
    Ok(Token {
        id: row.get(0)?,
        prefix: row.get(1)?,
        digest: row.get(2)?,
        name: row.get(3)?,
        scope: row.get(4)?,
        created_us: row.get(5)?,
        expires_us: row.get(6)?,
        last_used_us: row.get(7)?,
        revoked_us: row.get(8)?,
    })
}

/// A row of `search_columns!`.
pub(crate) fn search(row: &Row<'_>) -> Result<SavedSearch> {
    seal::check(row, 0..3, 3)?;
    Ok(SavedSearch { name: row.get(0)?, query: row.get(1)?, created_us: row.get(2)? })
}

/// A row of `session_columns!`.
pub(crate) fn session(row: &Row<'_>) -> Result<Session> {
    seal::check(row, 0..6, 6)?;
    Ok(Session {
        digest: row.get(0)?,
        token_id: row.get(1)?,
        scope: row.get(2)?,
        created_us: row.get(3)?,
        last_seen_us: row.get(4)?,
        expires_us: row.get(5)?,
    })
}

/// A column with an execution's id.
pub(crate) fn id(row: &impl Columns, column: usize) -> Result<ExecutionId> {
    text(row, column)?.parse().map_err(|error| wrong(column, Type::Text, error))
}

/// Lengths, offsets and durations as SQLite's integers: none of ours can exceed 63 bits.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn get<T: FromSql>(row: &impl Columns, column: usize) -> Result<T> {
    let value = row.value(column)?;
    T::column_result(value).map_err(|error| match error {
        FromSqlError::OutOfRange(found) => rusqlite::Error::IntegralValueOutOfRange(column, found),
        other => wrong(column, value.data_type(), other),
    })
}

fn text(row: &impl Columns, column: usize) -> Result<&str> {
    Ok(row.value(column)?.as_str()?)
}

pub(crate) fn unsigned(row: &impl Columns, column: usize) -> Result<u64> {
    let value: i64 = get(row, column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

pub(crate) fn unsigned_opt(row: &impl Columns, column: usize) -> Result<Option<u64>> {
    let Some(value) = get::<Option<i64>>(row, column)? else { return Ok(None) };
    u64::try_from(value)
        .map(Some)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

pub(crate) fn word<T>(
    row: &impl Columns,
    column: usize,
    from_word: fn(&str) -> Option<T>,
) -> Result<T> {
    let word = text(row, column)?;
    from_word(word).ok_or_else(|| wrong(column, Type::Text, format!("unknown word `{word}`")))
}

fn word_opt<T>(
    row: &impl Columns,
    column: usize,
    from_word: fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    if row.value(column)? == ValueRef::Null {
        return Ok(None);
    }
    word(row, column, from_word).map(Some)
}

fn json<T: DeserializeOwned>(row: &impl Columns, column: usize) -> Result<T> {
    serde_json::from_str(text(row, column)?).map_err(|error| wrong(column, Type::Text, error))
}

fn json_opt<T: DeserializeOwned>(row: &impl Columns, column: usize) -> Result<Option<T>> {
    if row.value(column)? == ValueRef::Null {
        return Ok(None);
    }
    json(row, column).map(Some)
}

fn wrong(
    column: usize,
    kind: Type,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, error.into())
}
