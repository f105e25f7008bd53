//! SQLite alone: the same file, the same rows, transactions of the same size, and nothing around it:
//! no queue, no answers, no checks of what may replace what.

use std::{path::Path, thread, time::Instant};

use rusqlite::{Connection, OpenFlags, config::DbConfig, params, params_from_iter, types::Value};

use crate::{BenchError, fill};

fn open(path: &Path, synchronous: &str) -> Result<Connection, BenchError> {
    let db = Connection::open(path)?;
    // As the catalog sets them.
    db.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA cache_size = 10000;
         PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 1000; PRAGMA foreign_keys = ON;"
    ))?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn reading(path: &Path) -> Result<Connection, BenchError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.execute_batch("PRAGMA cache_size = -2048; PRAGMA mmap_size = 0;")?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// So many operations of a second: six of ten read, on a thread for each core; the others write on
/// one, so many a transaction.
pub(super) fn mixed(
    path: &Path,
    operations: u64,
    each: u64,
    round: u64,
) -> Result<f64, BenchError> {
    let db = open(path, "NORMAL")?;
    let ids: Vec<String> = db
        .prepare("SELECT id FROM execution ORDER BY created_us DESC, id DESC LIMIT 1000")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let rows = Rows::of(&db)?;
    let (tens, threads) = (operations / 10, thread::available_parallelism().map_or(2, usize::from));
    let begun = Instant::now();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..threads as u64)
            .map(|number| {
                let (ids, share) = (&ids, tens / threads as u64);
                scope.spawn(move || read(&reading(path)?, ids, number, share))
            })
            .collect();
        let wrote = write(&db, &rows, tens, each, round);
        for reader in readers {
            let lost = || BenchError::Server("a thread panicked".to_owned());
            reader.join().map_err(|_| lost())??;
        }
        wrote
    })?;
    Ok(operations as f64 / begun.elapsed().as_secs_f64())
}

/// Every value of every row, taken as it is.
fn all(db: &Connection, sql: &str, id: Option<&str>) -> Result<u64, BenchError> {
    let mut statement = db.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter(id))?;
    let mut values = 0;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            values += u64::from(row.get::<_, Value>(column)? != Value::Null);
        }
    }
    Ok(values)
}

fn read(db: &Connection, ids: &[String], first: u64, tens: u64) -> Result<u64, BenchError> {
    let mut values = 0;
    for turn in 0..tens {
        let some = |more: u64| {
            Some(ids[fill::scattered(first * tens + turn + more) as usize % ids.len()].as_str())
        };
        for more in [0, 1, 3] {
            values += all(db, "SELECT * FROM execution WHERE id = ?1", some(more))?;
        }
        values += all(db, "SELECT * FROM step WHERE execution_id = ?1", some(2))?;
        let newest = "SELECT * FROM execution ORDER BY created_us DESC, id DESC LIMIT 10";
        values += all(db, newest, None)?;
        values += all(db, "SELECT * FROM counter", None)?;
    }
    Ok(values)
}

/// A row of each table, to make others of.
struct Rows {
    execution: Vec<Value>,
    created: usize,
    step: Vec<Value>,
}

impl Rows {
    fn of(db: &Connection) -> Result<Self, BenchError> {
        let row = |sql: &str| {
            let mut statement = db.prepare(sql)?;
            let columns = statement.column_count();
            statement.query_row([], |row| (0..columns).map(|at| row.get(at)).collect())
        };
        let statement = db.prepare("SELECT * FROM execution")?;
        Ok(Self {
            created: statement.column_index("created_us")?,
            execution: row("SELECT * FROM execution WHERE status = 'completed' LIMIT 1")?,
            step: row("SELECT * FROM step WHERE step_index = 0 LIMIT 1")?,
        })
    }
}

fn write(db: &Connection, rows: &Rows, tens: u64, each: u64, round: u64) -> Result<(), BenchError> {
    let places = |count: usize| vec!["?"; count].join(", ");
    let execution = format!("INSERT INTO execution VALUES ({})", places(rows.execution.len()));
    let step = format!("INSERT INTO step VALUES ({})", places(rows.step.len()));
    let mut open = 0;
    for turn in 0..tens {
        let now_us = fill::now_us();
        let number = 1_000_000_000 * (round + 1) + turn;
        let id = fill::id(number, now_us).to_string();
        let mut values = rows.execution.clone();
        values[0] = id.clone().into();
        values[rows.created] = now_us.into();
        let mut of_step = rows.step.clone();
        of_step[0] = id.clone().into();
        for part in 0..4 {
            if open == 0 {
                db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            }
            match part {
                0 => db.prepare_cached(&execution)?.execute(params_from_iter(&values))?,
                1 => db.prepare_cached(&step)?.execute(params_from_iter(&of_step))?,
                2 => db
                    .prepare_cached(
                        "UPDATE step SET ended_us = ?2, duration_us = 1000, end_offset = 100, last_line = 2
                         WHERE execution_id = ?1 AND step_index = 0",
                    )?
                    .execute(params![id, now_us])?,
                _ => db
                    .prepare_cached(
                        "UPDATE execution SET status = 'failed', ended_us = ?2, exit_code = 1,
                           position_bytes = 100, position_lines = 3, position_seq = 9 WHERE id = ?1",
                    )?
                    .execute(params![id, now_us])?,
            };
            open += 1;
            if open >= each {
                db.prepare_cached("UPDATE counter SET running = running + 1")?.execute([])?;
                db.prepare_cached("COMMIT")?.execute([])?;
                open = 0;
            }
        }
    }
    if open > 0 {
        db.execute_batch("COMMIT")?;
    }
    Ok(())
}

/// So many tokens, synced at each commit, so many a transaction; a second.
pub(super) fn durable(path: &Path, writes: u64, each: u64) -> Result<f64, BenchError> {
    let db = open(path, "FULL")?;
    let begun = Instant::now();
    for first in (0..writes).step_by(each as usize) {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for number in first..writes.min(first + each) {
            let mut digest = [1; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            let id = format!("{:016x}", number | 1 << 60);
            db.prepare_cached(
                "INSERT INTO token (id, prefix, digest, name, scope, created_us)
                 VALUES (?1, ?2, ?3, 'bench', 'admin', ?4)",
            )?
            .execute(params![id, &id[8..], digest, number as i64])?;
        }
        db.prepare_cached("COMMIT")?.execute([])?;
    }
    Ok(writes as f64 / begun.elapsed().as_secs_f64())
}
