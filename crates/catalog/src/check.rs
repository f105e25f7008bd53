//! What SQLite cannot know of a file: whether its rows are what was written, its counters what the rows
//! come to, its tables ours.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use crate::{
    counter::Delta,
    migration,
    queries::{
        artifact_columns, execution_columns, search_columns, session_columns, step_columns,
        test_run_columns, token_columns,
    },
    row,
};

/// Findings of one table; a damaged file has thousands.
const FOUND_MAX: usize = 20;

type Found = rusqlite::Result<Vec<String>>;

/// Rows that records give back.
pub(crate) fn projected_rows(db: &Connection) -> Found {
    let mut found = Vec::new();
    let executions = concat!("SELECT ", execution_columns!(), " FROM execution");
    sealed(db, executions, row::sealed_summary, &mut found)?;
    let steps = concat!("SELECT ", step_columns!(), " FROM step");
    sealed(db, steps, row::sealed_step, &mut found)?;
    let artifacts = concat!("SELECT ", artifact_columns!(), " FROM artifact");
    sealed(db, artifacts, row::sealed_artifact, &mut found)?;
    let tests = concat!("SELECT ", test_run_columns!(), " FROM test_run");
    sealed(db, tests, |row| row::test_run(row).map(drop), &mut found)?;
    if !found.is_empty() {
        return Ok(found); // Its tags may not even be a list.
    }
    // Tags stand in a table of their own besides, for lists.
    let other = "SELECT count(*) FROM (
                   SELECT e.id, e.created_us, t.value FROM execution AS e, json_each(e.tags) AS t
                   EXCEPT SELECT execution_id, execution_created_us, tag FROM execution_tag)";
    let more = "SELECT count(*) FROM (
                  SELECT execution_id, execution_created_us, tag FROM execution_tag EXCEPT
                  SELECT e.id, e.created_us, t.value FROM execution AS e, json_each(e.tags) AS t)";
    let names = "SELECT count(*) FROM test_run AS t JOIN execution AS e ON e.id = t.execution_id
                 WHERE t.name <> e.name OR t.created_us <> e.created_us";
    let count: i64 = db.query_row(names, [], |row| row.get(0))?;
    if count > 0 {
        found.push(format!("tests of {count} executions are not under their names"));
    }
    for sql in [other, more] {
        let count: i64 = db.query_row(sql, [], |row| row.get(0))?;
        if count > 0 {
            found.push(format!("{count} tags are not those of their executions"));
        }
    }
    Ok(found)
}

/// Rows that nothing gives back.
pub(crate) fn lone_rows(db: &Connection) -> Found {
    let mut found = Vec::new();
    let tokens = concat!("SELECT ", token_columns!(), " FROM token");
    sealed(db, tokens, |row| row::token(row).map(drop), &mut found)?;
    let sessions = concat!("SELECT ", session_columns!(), " FROM session");
    sealed(db, sessions, |row| row::session(row).map(drop), &mut found)?;
    let searches = concat!("SELECT ", search_columns!(), " FROM saved_search");
    sealed(db, searches, |row| row::search(row).map(drop), &mut found)?;
    Ok(found)
}

fn sealed(
    db: &Connection,
    sql: &str,
    check: fn(&Row<'_>) -> rusqlite::Result<()>,
    found: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let until = found.len() + FOUND_MAX;
    while let Some(row) = rows.next()? {
        if let Err(error) = check(row) {
            let key = row.get_ref(0)?.as_str().unwrap_or("a row");
            found.push(format!("{key}: {error}"));
            if found.len() >= until {
                break;
            }
        }
    }
    Ok(())
}

/// Whether the counters are what the rows come to.
pub(crate) fn counters(db: &Connection) -> Found {
    let same = Delta::kept(db)? == Delta::counted(db)?;
    Ok(if same { Vec::new() } else { vec!["the counters are not what the rows come to".into()] })
}

/// Which of the tables, indexes and views of this version are missing or others. What somebody added besides is
/// theirs, but for triggers, which change what is written.
pub(crate) fn schema(db: &Connection, version: u32) -> Found {
    let ours = Connection::open_in_memory()?;
    let migrations = migration::MIGRATIONS.iter().take(version as usize);
    for migration in migrations {
        ours.execute_batch(migration.sql)?;
    }
    let there = declared(db)?;
    let mut found: Vec<String> = declared(&ours)?
        .into_iter()
        .filter(|(name, declaration)| there.get(name) != Some(declaration))
        .map(|((kind, name), _)| format!("{kind} {name} is missing, or another"))
        .collect();
    let triggers = there.keys().filter(|(kind, _)| kind == "trigger");
    found.extend(triggers.map(|(_, name)| format!("trigger {name} is not ours")));
    Ok(found)
}

/// What is declared, by kind and name.
pub(crate) fn declared(
    db: &Connection,
) -> rusqlite::Result<BTreeMap<(String, String), Option<String>>> {
    let sql = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    rows.collect()
}
