//! The pool of connections that only read, and what can be asked.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};
use stepflow_model::{Artifact, ArtifactId, ExecutionId, Status, Step, Summary};

use crate::{
    CatalogError, Options, Role, Session, Statistics, Token, open,
    queries::{self, Query},
    row::{self, integer},
};

/// Most rows of one list; a greater limit counts as this.
pub const LIST_LIMIT_MAX: u32 = 1_000;

/// Most rows that [`Reader::total`] counts where no counter knows; more are said to be this many.
pub const TOTAL_COUNTED_MAX: u64 = 10_000;

/// Which executions to list, newest first. All given conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// With this status.
    pub status: Option<Status>,
    /// Of this user, exactly.
    pub user: Option<String>,
    /// With this name, exactly.
    pub name: Option<String>,
    /// With this tag among their tags.
    pub tag: Option<String>,
    /// Only those before this one: creation time and id of the last one seen.
    pub before: Option<(i64, ExecutionId)>,
    /// How many to leave out first. Prefer `before`, which costs nothing on late pages.
    pub offset: u64,
    /// How many at most; see [`LIST_LIMIT_MAX`].
    pub limit: u32,
}

impl Default for ListQuery {
    /// The newest 50.
    fn default() -> Self {
        Self { status: None, user: None, name: None, tag: None, before: None, offset: 0, limit: 50 }
    }
}

/// Reads the catalog. Cheap to clone; clones share the connections.
///
/// Calls block: for a free connection, and for the disk.
#[derive(Debug, Clone)]
pub struct Reader {
    pool: Arc<Pool>,
}

impl Reader {
    /// Opens an existing catalog for reading only, while another process may be writing it.
    ///
    /// Creates nothing and upgrades nothing.
    pub fn open_existing(path: &Path) -> Result<Self, CatalogError> {
        let reader = Self::new(path, Role::Command.into());
        drop(reader.pool.take()?);
        Ok(reader)
    }

    pub(crate) fn new(path: &Path, options: Options) -> Self {
        let pool = Pool {
            path: path.to_owned(),
            options,
            state: Mutex::default(),
            returned: Condvar::new(),
        };
        Self { pool: Arc::new(pool) }
    }

    pub(crate) fn close_idle(&self) {
        let mut state = self.pool.lock();
        state.open -= state.idle.len();
        state.idle.clear();
    }

    /// One execution.
    pub fn execution(&self, id: ExecutionId) -> Result<Option<Summary>, CatalogError> {
        self.one(queries::EXECUTION, [id.to_string()], row::summary)
    }

    /// Its steps, in order of start.
    pub fn steps(&self, id: ExecutionId) -> Result<Vec<Step>, CatalogError> {
        self.all(queries::STEPS, [id.to_string()], row::step)
    }

    /// Its artifacts, in order of declaration.
    pub fn artifacts(&self, id: ExecutionId) -> Result<Vec<Artifact>, CatalogError> {
        self.all(queries::ARTIFACTS, [id.to_string()], row::artifact)
    }

    /// One artifact.
    pub fn artifact(&self, id: ArtifactId) -> Result<Option<Artifact>, CatalogError> {
        self.one(queries::ARTIFACT, params![id.execution.to_string(), id.index], row::artifact)
    }

    /// Artifacts of all executions, newest first, before the given one: creation time and id of
    /// the last one seen.
    pub fn artifacts_page(
        &self,
        limit: u32,
        before: Option<(i64, ArtifactId)>,
    ) -> Result<Vec<(ExecutionId, Artifact)>, CatalogError> {
        let (created_us, execution, index) = match before {
            Some((created_us, id)) => (created_us, id.execution.to_string(), id.index),
            None => (i64::MAX, AFTER_ALL_IDS.to_owned(), 0),
        };
        self.all(
            queries::ARTIFACTS_PAGE,
            params![created_us, execution, index, limit.min(LIST_LIMIT_MAX)],
            |row| Ok((row::id(row, 10)?, row::artifact(row)?)),
        )
    }

    /// Executions, newest first.
    pub fn list(&self, query: &ListQuery) -> Result<Vec<Summary>, CatalogError> {
        let statement = if query.name.is_some() {
            queries::LIST_NAME
        } else if query.tag.is_some() {
            queries::LIST_TAG
        } else if query.user.is_some() {
            queries::LIST_USER
        } else if query.status.is_some() {
            queries::LIST_STATUS
        } else {
            queries::LIST
        };
        let (created_us, id) = match query.before {
            Some((created_us, id)) => (created_us, id.to_string()),
            None => (i64::MAX, AFTER_ALL_IDS.to_owned()),
        };
        self.all(
            statement,
            params![
                query.status.map(Status::as_str),
                query.user,
                query.name,
                query.tag,
                created_us,
                id,
                query.limit.min(LIST_LIMIT_MAX),
                integer(query.offset),
            ],
            row::summary,
        )
    }

    /// How many executions fulfil the conditions of `query`, wherever its page begins and ends.
    ///
    /// Exact for all, and for a status alone; otherwise counted up to [`TOTAL_COUNTED_MAX`].
    pub fn total(&self, query: &ListQuery) -> Result<u64, CatalogError> {
        let statement = if query.name.is_some() {
            queries::TOTAL_NAME
        } else if query.tag.is_some() {
            queries::TOTAL_TAG
        } else if query.user.is_some() {
            queries::TOTAL_USER
        } else {
            let statistics = self.statistics()?;
            return Ok(query.status.map_or(statistics.total, |status| statistics.count(status)));
        };
        let values = params![
            query.status.map(Status::as_str),
            query.user,
            query.name,
            query.tag,
            integer(TOTAL_COUNTED_MAX),
        ];
        let counted = self.one(statement, values, |row| row.get::<_, i64>(0))?;
        Ok(counted.unwrap_or(0) as u64)
    }

    /// How many executions there are, and how long they took.
    pub fn statistics(&self) -> Result<Statistics, CatalogError> {
        Ok(self.one(queries::STATISTICS, [], Statistics::from_row)?.unwrap_or_default())
    }

    /// Executions that have not ended, in no order.
    pub fn unfinished(&self) -> Result<Vec<ExecutionId>, CatalogError> {
        self.all(queries::UNFINISHED, [], |row| row::id(row, 0))
    }

    /// Executions whose id begins with `prefix`, in id order; all of them for an empty one.
    pub fn ids_with_prefix(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<ExecutionId>, CatalogError> {
        let end = format!("{prefix}{AFTER_ALL_IDS}");
        let values = params![prefix, end, limit.min(LIST_LIMIT_MAX)];
        self.all(queries::IDS_WITH_PREFIX, values, |row| row::id(row, 0))
    }

    /// The token with this SHA-256, expired and revoked ones too.
    pub fn token_by_digest(&self, digest: &[u8; 32]) -> Result<Option<Token>, CatalogError> {
        self.one(queries::TOKEN_BY_DIGEST, [digest], row::token)
    }

    /// Tokens with this lookup prefix, expired and revoked ones too; at most [`LIST_LIMIT_MAX`].
    pub fn tokens_by_prefix(&self, prefix: &str) -> Result<Vec<Token>, CatalogError> {
        self.all(queries::TOKENS_BY_PREFIX, params![prefix, LIST_LIMIT_MAX], row::token)
    }

    /// All tokens, oldest first.
    pub fn tokens(&self) -> Result<Vec<Token>, CatalogError> {
        self.all(queries::TOKENS, [i64::MIN], row::token)
    }

    /// The session with this SHA-256, expired ones too.
    pub fn session_by_digest(&self, digest: &[u8; 32]) -> Result<Option<Session>, CatalogError> {
        self.one(queries::SESSION_BY_DIGEST, [digest], row::session)
    }

    /// Looks through the whole file for damage, in time proportional to its size.
    ///
    /// # Errors
    /// [`CatalogError::Corrupt`] with the first finding.
    pub fn integrity(&self) -> Result<(), CatalogError> {
        let db = self.pool.take()?;
        let finding: String = db
            .get()
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|error| CatalogError::sql("check", &self.pool.path, error))?;
        if finding == "ok" {
            return Ok(());
        }
        Err(CatalogError::Corrupt { path: self.pool.path.clone(), what: finding })
    }

    fn all<T>(
        &self,
        query: Query,
        values: impl Params,
        from_row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, CatalogError> {
        let db = self.pool.take()?;
        let read = || {
            let mut statement = db.get().prepare_cached(query.sql())?;
            statement.query_map(values, from_row)?.collect::<Result<Vec<T>, _>>()
        };
        read().map_err(|error| CatalogError::sql("read", &self.pool.path, error))
    }

    fn one<T>(
        &self,
        query: Query,
        values: impl Params,
        from_row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, CatalogError> {
        let db = self.pool.take()?;
        let read = || db.get().prepare_cached(query.sql())?.query_row(values, from_row).optional();
        read().map_err(|error| CatalogError::sql("read", &self.pool.path, error))
    }
}

/// Greater than every id, and than every way an id can go on.
const AFTER_ALL_IDS: &str = "~";

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    options: Options,
    state: Mutex<PoolState>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    idle: Vec<Connection>,
    /// Idle and lent ones.
    open: usize,
}

/// A connection that goes back to the pool.
struct Lent<'a> {
    pool: &'a Pool,
    db: Option<Connection>,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        // Nothing that can panic happens under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection: an idle one, a new one, or, when all are lent, the next that comes back.
    fn take(&self) -> Result<Lent<'_>, CatalogError> {
        let mut state = self.lock();
        loop {
            if let Some(db) = state.idle.pop() {
                return Ok(Lent { pool: self, db: Some(db) });
            }
            if state.open < self.options.readers.max(1) {
                break;
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.open += 1;
        drop(state);
        let mut lent = Lent { pool: self, db: None };
        lent.db = Some(open::reading(&self.path, &self.options)?);
        Ok(lent)
    }
}

impl Lent<'_> {
    fn get(&self) -> &Connection {
        self.db.as_ref().expect("`take` puts a connection in before it hands this out")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        match self.db.take() {
            Some(db) => state.idle.push(db),
            None => state.open -= 1, // It could not be opened.
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}
