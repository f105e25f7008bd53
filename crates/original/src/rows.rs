//! The database, one execution at a time.

use std::{cmp::Ordering, ops::ControlFlow, sync::Arc};

use rusqlite::{Connection, Rows, Statement};

use crate::value::Row;

/// Everything the database holds of one execution.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    /// `None`: only steps or artifacts name it.
    pub(crate) execution: Option<Row>,
    /// In order of their index.
    pub(crate) steps: Vec<Row>,
    /// In order of their creation.
    pub(crate) artifacts: Vec<Row>,
}

/// How many executions there are, but for those without a row.
pub(crate) fn count(db: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = db.query_row("SELECT count(*) FROM executions", [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Hands all of them to `take`, in order of id: three walks side by side, no row held longer than
/// its execution.
pub(crate) fn for_each(
    db: &Connection,
    mut take: impl FnMut(Job) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let mut executions = prepare(db, "executions", "id")?;
    let mut steps = prepare(db, "steps", "execution_id, step_index, created_at, rowid")?;
    let mut artifacts = prepare(db, "artifacts", "execution_id, created_at, rowid")?;
    let mut executions = Walk::begin(executions.as_mut(), "id")?;
    let mut steps = Walk::begin(steps.as_mut(), "execution_id")?;
    let mut artifacts = Walk::begin(artifacts.as_mut(), "execution_id")?;
    while let Some(id) =
        [executions.id(), steps.id(), artifacts.id()].into_iter().flatten().min().map(str::to_owned)
    {
        let job = Job {
            execution: executions.take(&id)?.pop(),
            steps: steps.take(&id)?,
            artifacts: artifacts.take(&id)?,
            id,
        };
        if take(job).is_break() {
            break;
        }
    }
    Ok(())
}

/// All columns of a table; `None` if an old database lacks it.
fn prepare<'a>(
    db: &'a Connection,
    table: &str,
    order: &str,
) -> rusqlite::Result<Option<Statement<'a>>> {
    let there: bool = db.query_row(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1",
        [table],
        |row| row.get(0),
    )?;
    if !there {
        return Ok(None);
    }
    db.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")).map(Some)
}

struct Walk<'a> {
    rows: Option<Rows<'a>>,
    columns: Arc<[String]>,
    key: &'static str,
    next: Option<(String, Row)>,
}

impl<'a> Walk<'a> {
    fn begin(
        statement: Option<&'a mut Statement<'_>>,
        key: &'static str,
    ) -> rusqlite::Result<Self> {
        let Some(statement) = statement else {
            return Ok(Self { rows: None, columns: Arc::new([]), key, next: None });
        };
        let columns = statement.column_names().map(str::to_owned).collect();
        let mut walk = Self { rows: Some(statement.query([])?), columns, key, next: None };
        walk.step()?;
        Ok(walk)
    }

    fn step(&mut self) -> rusqlite::Result<()> {
        self.next = None;
        let Some(rows) = &mut self.rows else { return Ok(()) };
        if let Some(row) = rows.next()? {
            let mut row = Row::read(&self.columns, row)?;
            self.next = Some((row.text(self.key).unwrap_or_default(), row));
        }
        Ok(())
    }

    fn id(&self) -> Option<&str> {
        self.next.as_ref().map(|(id, _)| id.as_str())
    }

    /// The rows with this id, which is the least.
    fn take(&mut self, id: &str) -> rusqlite::Result<Vec<Row>> {
        let mut rows = Vec::new();
        while self.id().is_some_and(|next| next.cmp(id) != Ordering::Greater) {
            rows.extend(self.next.take().map(|(_, row)| row));
            self.step()?;
        }
        Ok(rows)
    }
}
