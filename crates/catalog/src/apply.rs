//! One change to SQL, and what it does to the counters. Runs inside the writer's transaction.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, ToSql, params};
use stepflow_model::{Artifact, ExecutionId, Status, Step, Summary};

use crate::{
    CatalogError, Change, Session, TEST_RUNS_MAX, Token,
    counter::{Counted, Delta},
    queries::{
        self, artifact_columns, execution_columns, search_columns, session_columns, step_columns,
        test_run_columns, token_columns,
    },
    row::{self, integer},
    seal,
};

/// Why a change was not applied: SQL says it, or we do.
enum Refusal {
    Sql(rusqlite::Error),
    Ours(CatalogError),
}

impl Refusal {
    fn named(self, path: &Path) -> CatalogError {
        match self {
            Self::Sql(error) => CatalogError::sql("write", path, error),
            Self::Ours(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

type Applied = Result<(), Refusal>;

/// Applies `changes` whole or, on an error, not at all; `counters` then stay as they were.
pub(crate) fn batch(
    db: &Connection,
    path: &Path,
    changes: &[Change],
    counters: &mut Delta,
) -> Result<(), CatalogError> {
    let run = |sql| db.prepare_cached(sql)?.execute([]);
    let outcome = (|| {
        run("SAVEPOINT batch")?;
        let delta = all(db, changes)?;
        run("RELEASE batch")?;
        Ok::<_, Refusal>(delta)
    })();
    match outcome {
        Ok(delta) => {
            counters.add(&delta);
            Ok(())
        }
        Err(refusal) => {
            // Some errors, such as a full disk, end the whole transaction: the writer sees that.
            // Should only this fail, the transaction is ended here, which the writer sees as well.
            if !db.is_autocommit() && db.execute_batch("ROLLBACK TO batch; RELEASE batch").is_err()
            {
                let _ = db.execute_batch("ROLLBACK");
            }
            Err(refusal.named(path))
        }
    }
}

/// Applies `changes` where only the end of the whole transaction can take back what is done already:
/// without a savepoint, for which SQLite copies every page that is touched after it.
pub(crate) fn unguarded(
    db: &Connection,
    path: &Path,
    changes: &[Change],
    counters: &mut Delta,
) -> Result<(), CatalogError> {
    let delta = all(db, changes).map_err(|refusal| refusal.named(path))?;
    counters.add(&delta);
    Ok(())
}

fn all(db: &Connection, changes: &[Change]) -> Result<Delta, Refusal> {
    let mut delta = Delta::default();
    for change in changes {
        apply(db, change, &mut delta)?;
    }
    Ok(delta)
}

fn apply(db: &Connection, change: &Change, counters: &mut Delta) -> Applied {
    match change {
        Change::Execution(summary) => execution(db, summary, counters),
        Change::Step(id, of) => step(db, *id, of),
        Change::Artifact(id, of) => artifact(db, *id, of),
        Change::ArtifactRemoved(id, index) => {
            const SQL: &str =
                "DELETE FROM artifact WHERE execution_id = ?1 AND artifact_index = ?2";
            db.prepare_cached(SQL)?.execute(params![id.to_string(), index])?;
            Ok(())
        }
        Change::Tests(run) => tests(db, run.id, run.bytes()),
        Change::Delete(id) => delete(db, *id, counters),
        Change::TokenCreate(token) => token_create(db, token),
        Change::TokenRevoke { id, at_us } => {
            token_change(db, id, |token| {
                token.revoked_us.get_or_insert(*at_us);
            })?;
            db.prepare_cached("DELETE FROM session WHERE token_id = ?1")?.execute([id])?;
            Ok(())
        }
        Change::TokenUsed { id, at_us } => token_change(db, id, |token| {
            token.last_used_us = token.last_used_us.max(Some(*at_us));
        }),
        Change::SearchSave(search) => {
            let seal = seal::of(params![search.name, search.query, search.created_us])?;
            db.prepare_cached(concat!(
                "INSERT INTO saved_search (",
                search_columns!(),
                ") VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET query = ?2, created_us = ?3, crc = ?4",
            ))?
            .execute(params![search.name, search.query, search.created_us, seal])?;
            Ok(())
        }
        Change::SearchForget(name) => {
            db.prepare_cached("DELETE FROM saved_search WHERE name = ?1")?.execute([name])?;
            Ok(())
        }
        Change::SessionCreate(session) => session_create(db, session),
        Change::SessionSeen { digest, at_us } => session_seen(db, digest, *at_us),
        Change::SessionDelete { digest } => {
            db.prepare_cached("DELETE FROM session WHERE digest = ?1")?.execute([digest])?;
            Ok(())
        }
        Change::SessionPurge { expired_us, idle_us } => {
            db.prepare_cached("DELETE FROM session WHERE expires_us <= ?1")?
                .execute([expired_us])?;
            db.prepare_cached("DELETE FROM session WHERE last_seen_us <= ?1")?
                .execute([idle_us])?;
            Ok(())
        }
    }
}

// What every update of an execution sets: all but the columns that indexes carry. SQLite rewrites
// an index as soon as one of its columns is named, whether or not the value is another.
macro_rules! execution_set {
    ($more:literal) => {
        concat!(
            "SET command = ?3, cwd = ?4, reason = ?6, cancelling = ?7, paused = ?8,
               exit_code = ?9, signal = ?10, error_message = ?11, started_us = ?13, ended_us = ?14,
               duration_us = ?15, env = ?16, total_steps = ?19, completed_steps = ?20,
               failed_steps = ?21, current_step = ?22, current_step_name = ?23, artifacts = ?24,
               warnings = ?25, metadata = ?26, source = ?27, containment = ?28, host = ?29,
               position_bytes = ?30, position_lines = ?31, position_seq = ?32,
               skipped_steps = ?33, progress = ?34, progress_text = ?35, pty = ?36, rerun_of = ?37,
               origin = ?38, crc = ?39",
            $more
        )
    };
}

const EXECUTION_UPSERT: &str = concat!(
    "INSERT INTO execution (",
    execution_columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
        ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38,
        ?40, ?39)
     ON CONFLICT (id) DO UPDATE ",
    execution_set!(", name = ?2, status = ?5, created_us = ?12, user_name = ?17, tags = ?18, pinned = ?40")
);
const EXECUTION_UPDATE: &str = concat!("UPDATE execution ", execution_set!(""), " WHERE id = ?1");
const EXECUTION_UPDATE_STATUS: &str =
    concat!("UPDATE execution ", execution_set!(", status = ?5"), " WHERE id = ?1");

/// Parameters of the updates: all but whether it is pinned.
const UPDATED: usize = 39;

/// What is compared before an execution is replaced.
struct Old {
    counted: Counted,
    seq: u64,
    name: String,
    created_us: i64,
    user: String,
    tags: String,
    pinned: bool,
}

fn old_execution(db: &Connection, id: &str) -> rusqlite::Result<Option<Old>> {
    db.prepare_cached(
        "SELECT status, duration_us, position_seq, name, created_us, user_name, tags,
                pinned
         FROM execution WHERE id = ?1",
    )?
    .query_row([id], |row| {
        let word: String = row.get(0)?;
        Ok(Old {
            counted: Counted {
                // The table's CHECK knows the same words.
                status: Status::from_word(&word).unwrap_or(Status::Pending),
                duration_us: row.get::<_, Option<i64>>(1)?.map(|duration| duration as u64),
            },
            seq: row.get::<_, i64>(2)? as u64,
            name: row.get(3)?,
            created_us: row.get(4)?,
            user: row.get(5)?,
            tags: row.get(6)?,
            pinned: row.get(7)?,
        })
    })
    .optional()
}

/// Whether `new` may replace a row with `status` that stands at `seq`.
fn replaces(status: Status, seq: u64, new: &Summary) -> bool {
    match (status.is_end(), new.status.is_end()) {
        (true, false) => seq < integer(new.position.seq) as u64,
        (true, true) => seq <= integer(new.position.seq) as u64,
        (false, _) => true,
    }
}

fn execution(db: &Connection, new: &Summary, counters: &mut Delta) -> Applied {
    let id = new.id.to_string();
    let tags = text(&new.tags)?;
    let old = old_execution(db, &id)?;
    if old.as_ref().is_some_and(|old| !replaces(old.counted.status, old.seq, new)) {
        return Ok(());
    }
    let (sql, count) = match &old {
        Some(old)
            if old.name == new.name
                && old.created_us == new.created_us
                && old.user == new.user
                && old.tags == tags
                && old.pinned == new.pinned =>
        {
            if old.counted.status == new.status {
                (EXECUTION_UPDATE, UPDATED)
            } else {
                (EXECUTION_UPDATE_STATUS, UPDATED)
            }
        }
        _ => (EXECUTION_UPSERT, UPDATED + 1),
    };
    let sealed: &[&dyn ToSql] = params![
        id,
        new.name,
        new.command,
        new.cwd,
        new.status.as_str(),
        new.reason.map(stepflow_model::Reason::as_str),
        new.cancelling,
        new.paused,
        new.exit_code,
        new.signal,
        new.error_message,
        new.created_us,
        new.started_us,
        new.ended_us,
        new.duration_us.map(integer),
        text(&new.env)?,
        new.user,
        tags,
        new.total_steps,
        new.completed_steps,
        new.failed_steps,
        new.current_step,
        new.current_step_name,
        new.artifacts,
        new.warnings,
        text(&new.metadata)?,
        new.source.as_str(),
        new.containment,
        new.host,
        integer(new.position.bytes),
        integer(new.position.lines),
        integer(new.position.seq),
        new.skipped_steps,
        new.progress,
        new.progress_text,
        new.pty,
        new.rerun_of.map(|id| id.to_string()),
        text_opt(new.origin.as_deref())?,
        new.pinned,
    ];
    let seal = seal::of(sealed)?;
    let mut values = sealed.to_vec();
    values.insert(UPDATED - 1, &seal);
    db.prepare_cached(sql)?.execute(&values[..count])?;
    if old.as_ref().is_none_or(|old| old.tags != tags || old.created_us != new.created_us) {
        if old.is_some() {
            db.prepare_cached("DELETE FROM execution_tag WHERE execution_id = ?1")?
                .execute([&id])?;
        }
        for tag in &new.tags {
            // A tag given twice is one tag.
            db.prepare_cached(
                "INSERT INTO execution_tag (tag, execution_created_us, execution_id)
                 VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![tag, new.created_us, id])?;
        }
    }
    // Its tests stand under its name.
    if old.as_ref().is_some_and(|old| old.name != new.name || old.created_us != new.created_us) {
        let known = db
            .prepare_cached("SELECT marks FROM test_run WHERE execution_id = ?1")?
            .query_row([&id], |row| row.get::<_, Vec<u8>>(0))
            .optional()?;
        if let Some(marks) = known {
            tests(db, new.id, &marks)?;
        }
    }
    let counted = Counted { status: new.status, duration_us: new.duration_us };
    counters.row(old.map(|old| old.counted), Some(counted));
    Ok(())
}

fn delete(db: &Connection, id: ExecutionId, counters: &mut Delta) -> Applied {
    let id = id.to_string();
    if let Some(old) = old_execution(db, &id)? {
        db.prepare_cached("DELETE FROM execution WHERE id = ?1")?.execute([&id])?;
        counters.row(Some(old.counted), None);
    }
    Ok(())
}

fn step(db: &Connection, id: ExecutionId, step: &Step) -> Applied {
    const SQL: &str = concat!(
        "INSERT INTO step (",
        step_columns!(),
        ", origin_id) VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
            ?18, ?19, ?20, ?21, ?22, ?23, ?25, ?1, ?24)
         ON CONFLICT (execution_id, step_index) DO UPDATE SET
           name = ?3, parent = ?4, step_key = ?5, depth = ?6, status = ?7, exit_code = ?8,
           error = ?9, started_us = ?10, ended_us = ?11, started_at_us = ?12, duration_us = ?13,
           estimated_s = ?14, stop_on_error = ?15, metadata = ?16, start_offset = ?17,
           end_offset = ?18, first_line = ?19, last_line = ?20,
           progress = ?21, progress_text = ?22, origin = ?23, origin_id = ?24, crc = ?25
         WHERE status IN ('pending', 'running') OR ?7 NOT IN ('pending', 'running')"
    );
    let sealed: &[&dyn ToSql] = params![
        id.to_string(),
        step.index,
        step.name,
        step.parent,
        step.key,
        step.depth,
        step.status.as_str(),
        step.exit_code,
        step.error,
        step.started_us,
        step.ended_us,
        integer(step.started_at_us),
        step.duration_us.map(integer),
        step.estimated_s,
        step.stop_on_error,
        text(&step.metadata)?,
        integer(step.start_offset),
        step.end_offset.map(integer),
        integer(step.first_line),
        step.last_line.map(integer),
        step.progress,
        step.progress_text,
        text_opt(step.origin.as_deref())?,
    ];
    let (origin, seal) = (step.origin.as_ref().map(|origin| &origin.id), seal::of(sealed)?);
    let values = [sealed, params![origin, seal]].concat();
    db.prepare_cached(SQL)?.execute(&*values).map_err(|error| orphan(id, error))?;
    Ok(())
}

fn artifact(db: &Connection, id: ExecutionId, artifact: &Artifact) -> Applied {
    const SQL: &str = concat!(
        "INSERT INTO artifact (",
        artifact_columns!(),
        ", origin_id) VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?14, ?1, ?13)
         ON CONFLICT (execution_id, artifact_index) DO UPDATE SET
           step_index = ?3, path = ?4, description = ?5, created_us = ?6, sha256 = ?7,
           size_bytes = ?8, changed = ?9, problem = ?10, settled = ?11, origin = ?12, origin_id = ?13,
           crc = ?14
         WHERE settled <= ?11"
    );
    let sealed: &[&dyn ToSql] = params![
        id.to_string(),
        artifact.index,
        artifact.step,
        artifact.path,
        artifact.description,
        artifact.created_us,
        artifact.sha256,
        integer(artifact.size),
        artifact.changed,
        artifact.problem,
        artifact.settled,
        text_opt(artifact.origin.as_deref())?,
    ];
    let (origin, seal) = (artifact.origin.as_ref().map(|origin| &origin.id), seal::of(sealed)?);
    let values = [sealed, params![origin, seal]].concat();
    db.prepare_cached(SQL)?.execute(&*values).map_err(|error| orphan(id, error))?;
    Ok(())
}

fn tests(db: &Connection, id: ExecutionId, marks: &[u8]) -> Applied {
    const SQL: &str = concat!(
        "INSERT INTO test_run (",
        test_run_columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (execution_id) DO UPDATE SET name = ?2, created_us = ?3, marks = ?4, crc = ?5"
    );
    // The oldest of a name go when there are more than are remembered.
    const PRUNE: &str = "DELETE FROM test_run WHERE name = ?1 AND (created_us, execution_id) <=
         (SELECT created_us, execution_id FROM test_run INDEXED BY test_run_by_name
          WHERE name = ?1 ORDER BY created_us DESC, execution_id DESC LIMIT 1 OFFSET ?2)";
    let text = id.to_string();
    let known = db
        .prepare_cached("SELECT name, created_us FROM execution WHERE id = ?1")?
        .query_row([&text], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    let Some((name, created_us)) = known else {
        return Err(Refusal::Ours(CatalogError::UnknownExecution { id }));
    };
    let sealed: &[&dyn ToSql] = params![text, name, created_us, marks];
    let seal = seal::of(sealed)?;
    db.prepare_cached(SQL)?.execute(&*[sealed, params![seal]].concat())?;
    db.prepare_cached(PRUNE)?.execute(params![name, TEST_RUNS_MAX])?;
    Ok(())
}

fn token_create(db: &Connection, token: &Token) -> Applied {
    // The same token again changes nothing, so that a replay cannot take a revocation back.
    let known = db
        .prepare_cached("SELECT digest FROM token WHERE id = ?1")?
        .query_row([&token.id], |row| row.get::<_, [u8; 32]>(0))
        .optional()?;
    match known {
        Some(digest) if digest == token.digest => return Ok(()),
        Some(_) => return Err(Refusal::Ours(CatalogError::TokenExists { id: token.id.clone() })),
        None => {}
    }
    token_write(db, token)
}

/// Changes what is not an index's of a token that is there.
fn token_change(db: &Connection, id: &str, change: impl FnOnce(&mut Token)) -> Applied {
    let known = db.prepare_cached(queries::TOKEN.sql())?.query_row([id], row::token).optional()?;
    let Some(mut token) = known else { return Ok(()) };
    change(&mut token);
    token_write(db, &token)
}

fn token_write(db: &Connection, token: &Token) -> Applied {
    let sealed: &[&dyn ToSql] = params![
        token.id,
        token.prefix,
        token.digest,
        token.name,
        token.scope,
        token.created_us,
        token.expires_us,
        token.last_used_us,
        token.revoked_us,
    ];
    let seal = seal::of(sealed)?;
    db.prepare_cached(concat!(
        "INSERT INTO token (",
        token_columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (id) DO UPDATE SET last_used_us = ?8, revoked_us = ?9, crc = ?10",
    ))?
    .execute(&*[sealed, params![seal]].concat())?;
    Ok(())
}

fn session_create(db: &Connection, session: &Session) -> Applied {
    const SQL: &str = concat!(
        "INSERT INTO session (",
        session_columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (digest) DO NOTHING",
    );
    session_write(db, SQL, session)
}

fn session_seen(db: &Connection, digest: &[u8; 32], at_us: i64) -> Applied {
    const SQL: &str = concat!(
        "INSERT INTO session (",
        session_columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (digest) DO UPDATE SET last_seen_us = ?5, crc = ?7",
    );
    let known = db
        .prepare_cached(queries::SESSION_BY_DIGEST.sql())?
        .query_row([digest], row::session)
        .optional()?;
    let Some(mut session) = known else { return Ok(()) };
    session.last_seen_us = session.last_seen_us.max(at_us);
    session_write(db, SQL, &session)
}

fn session_write(db: &Connection, sql: &'static str, session: &Session) -> Applied {
    let sealed: &[&dyn ToSql] = params![
        session.digest,
        session.token_id,
        session.scope,
        session.created_us,
        session.last_seen_us,
        session.expires_us,
    ];
    let seal = seal::of(sealed)?;
    db.prepare_cached(sql)?.execute(&*[sealed, params![seal]].concat())?;
    Ok(())
}

/// JSON for a column.
fn text(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// JSON for a column that may be null.
fn text_opt<T: serde::Serialize>(value: Option<&T>) -> rusqlite::Result<Option<String>> {
    value.map(text).transpose()
}

/// A broken foreign key says which execution is missing.
fn orphan(id: ExecutionId, error: rusqlite::Error) -> Refusal {
    match error.sqlite_error() {
        Some(known) if known.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
            Refusal::Ours(CatalogError::UnknownExecution { id })
        }
        _ => Refusal::Sql(error),
    }
}
