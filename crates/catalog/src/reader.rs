//! What can be asked.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed},
    },
};

use rusqlite::{
    Connection, OptionalExtension as _, Params, Row, params, params_from_iter, types::Value,
};
use stepflow_model::{
    Artifact, ArtifactId, ExecutionId, Source, Status, Step, StepId, StepStatus, Summary,
    results::Mark,
};

use crate::{
    CatalogError, Figures, Options, Role, SavedSearch, Session, Statistics, TEST_RUNS_MAX, TestRun,
    Token, open,
    pool::{Fault, Pool},
    queries::{self, Query},
    row::{self, integer},
    stats::Stats,
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
    /// Whose name contains this; upper and lower case of ASCII letters are the same.
    ///
    /// Looks at every name in the given times until the page is full: the one condition that no
    /// index serves.
    pub name_contains: Option<String>,
    /// With this tag among their tags.
    pub tag: Option<String>,
    /// That took longer than this, in microseconds. Those that have not ended are left out.
    pub longer_than_us: Option<u64>,
    /// That took less than this, in microseconds. Those that have not ended are left out.
    pub shorter_than_us: Option<u64>,
    /// With this exit code.
    pub exit_code: Option<i32>,
    /// From this way in.
    pub source: Option<Source>,
    /// What they must not be.
    pub without: Without,
    /// Created at this time or later, in microseconds UTC.
    pub since_us: Option<i64>,
    /// Created before this time, in microseconds UTC.
    pub until_us: Option<i64>,
    /// Only those that are pinned.
    pub pinned: bool,
    /// In which order.
    pub order: Order,
    /// Only those behind this one: creation time, or duration in the orders by duration, both in
    /// microseconds, and id of the last one seen.
    pub before: Option<(i64, ExecutionId)>,
    /// How many to leave out first. Prefer `before`, which costs nothing on late pages.
    pub offset: u64,
    /// How many at most; see [`LIST_LIMIT_MAX`].
    pub limit: u32,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By creation, the latest first.
    #[default]
    Newest,
    /// By duration, the longest first. Those that have not ended are left out.
    Longest,
    /// By duration, the shortest first. Those that have not ended are left out.
    Shortest,
}

/// Conditions of a [`ListQuery`] turned round: none of those that are given may hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Without {
    /// Not with this status.
    pub status: Option<Status>,
    /// Not of this user.
    pub user: Option<String>,
    /// Whose name does not contain this; upper and lower case of ASCII letters are the same.
    pub name_contains: Option<String>,
    /// Without this tag.
    pub tag: Option<String>,
    /// With an exit code, and not this one.
    pub exit_code: Option<i32>,
    /// Not from this way in.
    pub source: Option<Source>,
}

impl Default for ListQuery {
    /// The newest 50.
    fn default() -> Self {
        Self {
            status: None,
            user: None,
            name: None,
            name_contains: None,
            tag: None,
            longer_than_us: None,
            shorter_than_us: None,
            exit_code: None,
            source: None,
            without: Without::default(),
            since_us: None,
            until_us: None,
            pinned: false,
            order: Order::Newest,
            before: None,
            offset: 0,
            limit: 50,
        }
    }
}

impl ListQuery {
    /// The parameter that `name_contains` is compared with.
    fn part(&self) -> Option<String> {
        self.name_contains.as_ref().map(|part| part.to_ascii_lowercase())
    }

    /// The parameters ?1 to ?20 of all lists and totals.
    fn conditions(&self, value: i64, id: Option<String>, limit: i64, skip: i64) -> Vec<Value> {
        let word = |word: Option<&'static str>| Value::from(word.map(str::to_owned));
        // In an order by duration every one has a duration.
        let longer = match self.order {
            Order::Newest => self.longer_than_us.map(integer),
            Order::Longest | Order::Shortest => Some(self.longer_than_us.map_or(-1, integer)),
        };
        let without = &self.without;
        vec![
            word(self.status.map(Status::as_str)),
            self.user.clone().into(),
            self.name.clone().into(),
            self.tag.clone().into(),
            value.into(),
            id.into(),
            limit.into(),
            skip.into(),
            self.part().into(),
            self.since_us.unwrap_or(i64::MIN).into(),
            longer.into(),
            self.shorter_than_us.map(integer).into(),
            self.exit_code.into(),
            without.exit_code.into(),
            word(self.source.map(Source::as_str)),
            word(without.status.map(Status::as_str)),
            without.tag.clone().into(),
            without.user.clone().into(),
            without.name_contains.as_ref().map(|part| part.to_ascii_lowercase()).into(),
            word(without.source.map(Source::as_str)),
        ]
    }

    /// Whether there are conditions that `execution_by_facts` answers.
    fn has_facts(&self) -> bool {
        let Without { status, user, name_contains, tag: _, exit_code, source } = &self.without;
        self.order != Order::Newest
            || self.name_contains.is_some()
            || name_contains.is_some()
            || self.longer_than_us.is_some()
            || self.shorter_than_us.is_some()
            || self.exit_code.is_some()
            || self.source.is_some()
            || status.is_some()
            || user.is_some()
            || exit_code.is_some()
            || source.is_some()
    }

    /// Whether something besides a status is asked for, so that the counters do not know the total.
    fn is_narrow(&self) -> bool {
        self.since_us.is_some()
            || self.until_us.is_some()
            || self.without != Without::default()
            || self.has_facts()
    }
}

/// One of the last executions of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StripEntry {
    /// Which.
    pub id: ExecutionId,
    /// How it stands, as far as the catalog knows.
    pub status: Status,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
}

/// What the headline of a time range counts of one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverviewRow {
    /// When it was created, microseconds UTC.
    pub created_us: i64,
    /// How it stands.
    pub status: Status,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
    /// Bytes of output.
    pub bytes: u64,
}

/// What statistics count of one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimesRow<'a> {
    /// When it was created, microseconds UTC.
    pub created_us: i64,
    /// How it stands.
    pub status: Status,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
    /// Bytes of output.
    pub bytes: u64,
    /// When it was started, microseconds UTC.
    pub started_us: Option<i64>,
    /// Why it ended as it did.
    pub reason: Option<&'a str>,
}

/// What statistics count of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepTimesRow<'a> {
    /// The name of its execution.
    pub execution: &'a str,
    /// Its own name.
    pub name: &'a str,
    /// How it stands.
    pub status: StepStatus,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
}

/// What retention has to know of an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRow {
    /// Which.
    pub id: ExecutionId,
    /// When it was created, microseconds UTC.
    pub created_us: i64,
    /// When it ended, microseconds UTC.
    pub ended_us: Option<i64>,
    /// How it stands.
    pub status: Status,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Bytes of its output and its artifacts.
    pub bytes: u64,
}

/// Which artifacts to list, newest first. All given conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactQuery {
    /// Of this execution.
    pub execution: Option<ExecutionId>,
    /// Of this step of it.
    pub step: Option<u32>,
    /// Whose path contains this; upper and lower case of ASCII letters are the same.
    pub name_contains: Option<String>,
    /// Only those before this one: creation time and id of the last one seen.
    pub before: Option<(i64, ArtifactId)>,
    /// How many to leave out first.
    pub offset: u64,
    /// How many at most; at most one more than [`LIST_LIMIT_MAX`].
    pub limit: u32,
}

/// What the catalog's files are now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileFigures {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Pages of the database, free ones included.
    pub pages: u64,
    /// Pages that hold nothing: rows to come will use them, or maintenance gives them back.
    pub free_pages: u64,
    /// Size of the WAL: what a checkpoint would move.
    pub wal_bytes: u64,
}

pub(crate) fn file_figures(db: &Connection, path: &Path) -> rusqlite::Result<FileFigures> {
    let get = |name: &str| {
        db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map(|value| value as u64)
    };
    Ok(FileFigures {
        page_bytes: get("page_size")?,
        pages: get("page_count")?,
        free_pages: get("freelist_count")?,
        wal_bytes: fs::metadata(open::beside(path, "-wal")).map_or(0, |wal| wal.len()),
    })
}

/// How many earlier executions of a name are looked through for passes.
const USUAL_LOOKED_AT: u32 = 1_000;
/// Steps of one earlier execution that count.
const USUAL_STEPS_MAX: u32 = 10_000;

/// An execution that passed, with the steps that did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The execution.
    pub id: ExecutionId,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
    /// Its completed steps, in order of start.
    pub steps: Vec<PassedStep>,
}

/// A step that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedStep {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The step it is nested in.
    pub parent: Option<u32>,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
}

/// Reads the catalog. Cheap to clone; clones share the connections.
///
/// Calls block: for a free connection, and for the disk.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) pool: Arc<Pool>,
}

impl Reader {
    /// Opens an existing catalog for reading only, while another process may be writing it.
    ///
    /// Creates nothing and upgrades nothing.
    pub fn open_existing(path: &Path) -> Result<Self, CatalogError> {
        let reader = Self::new(path, Role::Command.into(), Arc::default());
        drop(reader.pool.take()?);
        Ok(reader)
    }

    pub(crate) fn new(path: &Path, options: Options, stats: Arc<Stats>) -> Self {
        Self { pool: Arc::new(Pool::new(path, options, stats)) }
    }

    pub(crate) fn close_idle(&self) {
        self.pool.close_idle();
    }

    /// What is wrong with the file now, as far as anybody has noticed. Looks at the file's name, not
    /// into it.
    pub fn fault(&self) -> Option<Fault> {
        self.pool.fault()
    }

    /// Has the file looked through by whoever looks for faults: nobody has noticed anything yet.
    pub fn suspect(&self) {
        self.pool.stats.damaged.store(true, Relaxed);
    }

    /// Forgets what was noticed: a closer look found nothing.
    pub fn forget_fault(&self) {
        self.pool.stats.damaged.store(false, Relaxed);
    }

    /// One execution.
    pub fn execution(&self, id: ExecutionId) -> Result<Option<Summary>, CatalogError> {
        self.one(queries::EXECUTION, [id.to_string()], row::summary)
    }

    /// At most `limit` executions of this name that were created before that one and passed, newest
    /// first. Looks no further back than the last thousand of that name.
    pub fn passes(
        &self,
        name: &str,
        before: (i64, ExecutionId),
        limit: u32,
    ) -> Result<Vec<Pass>, CatalogError> {
        let (created_us, id) = (before.0, before.1.to_string());
        let values = params![name, created_us, id, USUAL_LOOKED_AT, limit.min(LIST_LIMIT_MAX)];
        let mut passes = self.all(queries::USUAL, values, |row| {
            Ok(Pass {
                id: row::id(row, 0)?,
                duration_us: row::unsigned_opt(row, 1)?,
                steps: Vec::new(),
            })
        })?;
        for pass in &mut passes {
            let values = params![pass.id.to_string(), USUAL_STEPS_MAX];
            pass.steps = self.all(queries::USUAL_STEPS, values, |row| {
                Ok(PassedStep {
                    index: row.get(0)?,
                    name: row.get(1)?,
                    parent: row.get(2)?,
                    duration_us: row::unsigned_opt(row, 3)?,
                })
            })?;
        }
        Ok(passes)
    }

    /// The last executions of this name, at most `limit`, newest first.
    pub fn strip(&self, name: &str, limit: u32) -> Result<Vec<StripEntry>, CatalogError> {
        self.all(queries::STRIP, params![name, limit.min(LIST_LIMIT_MAX)], |row| {
            Ok(StripEntry {
                id: row::id(row, 0)?,
                status: row::word(row, 1, Status::from_word)?,
                duration_us: row::unsigned_opt(row, 2)?,
            })
        })
    }

    /// How long the newest passes of this name took, at most `limit`, in microseconds. Looks no
    /// further back than the last thousand of that name.
    pub fn pass_durations(&self, name: &str, limit: u32) -> Result<Vec<u64>, CatalogError> {
        let limit = limit.min(LIST_LIMIT_MAX);
        let values = params![name, i64::MAX, AFTER_ALL_IDS, USUAL_LOOKED_AT, limit];
        let durations = self.all(queries::USUAL, values, |row| row::unsigned_opt(row, 1))?;
        Ok(durations.into_iter().flatten().collect())
    }

    /// Hands over what the headline counts of each execution created in the given time,
    /// microseconds UTC, oldest first. However many there are, one at a time is held.
    pub fn overview(
        &self,
        times: std::ops::Range<i64>,
        mut take: impl FnMut(OverviewRow),
    ) -> Result<(), CatalogError> {
        self.all(queries::OVERVIEW, params![times.start, times.end], |row| {
            take(OverviewRow {
                created_us: row.get(0)?,
                status: row::word(row, 1, Status::from_word)?,
                duration_us: row::unsigned_opt(row, 2)?,
                bytes: row::unsigned(row, 3)?,
            });
            Ok(())
        })?;
        Ok(()) // A list of nothings takes no room.
    }

    /// Hands over what statistics count of each execution created in the given time, microseconds
    /// UTC, oldest first. However many there are, one at a time is held.
    pub fn times(
        &self,
        times: std::ops::Range<i64>,
        mut take: impl FnMut(TimesRow<'_>),
    ) -> Result<(), CatalogError> {
        self.all(queries::TIMES, params![times.start, times.end], |row| {
            take(TimesRow {
                created_us: row.get(0)?,
                status: row::word(row, 1, Status::from_word)?,
                duration_us: row::unsigned_opt(row, 2)?,
                bytes: row::unsigned(row, 3)?,
                started_us: row.get(4)?,
                reason: row.get_ref(5)?.as_str_or_null()?,
            });
            Ok(())
        })?;
        Ok(())
    }

    /// How the tests of one execution ended; `None`: it had none, or later executions of its name took
    /// its place.
    pub fn test_run(&self, id: ExecutionId) -> Result<Option<TestRun>, CatalogError> {
        self.one(queries::TEST_RUN, [id.to_string()], row::test_run)
    }

    /// Hands over how the tests of the last executions of this name ended, at most `limit` of those
    /// that were created before that place, newest first. One at a time is held.
    pub fn each_test_run(
        &self,
        name: &str,
        before: (i64, ExecutionId),
        limit: u32,
        mut take: impl FnMut(TestRun),
    ) -> Result<(), CatalogError> {
        let values = params![name, before.0, before.1.to_string(), limit.min(TEST_RUNS_MAX)];
        self.all(queries::TEST_RUNS, values, |row| {
            take(row::test_run(row)?);
            Ok(())
        })?;
        Ok(())
    }

    /// Which executions [`Reader::trends`] would look at, newest first: cheap, to know whether what
    /// it said still holds.
    pub fn test_run_ids(
        &self,
        name: &str,
        before: (i64, ExecutionId),
    ) -> Result<Vec<ExecutionId>, CatalogError> {
        let values = params![name, before.0, before.1.to_string(), TEST_RUNS_MAX];
        self.all(queries::TEST_RUN_IDS, values, |row| row::id(row, 0))
    }

    /// How the test with this key ended in the last executions of this name, at most `limit`, newest
    /// first; those without it are left out. As if there were none behind `until`, if that is given.
    pub fn test_history(
        &self,
        name: &str,
        key: u64,
        until: Option<(i64, ExecutionId)>,
        limit: u32,
    ) -> Result<Vec<(ExecutionId, i64, Mark)>, CatalogError> {
        let (created_us, id) = match until {
            Some((created_us, id)) => (created_us, format!("{id}{AFTER_ALL_IDS}")),
            None => (i64::MAX, AFTER_ALL_IDS.to_owned()),
        };
        let values = params![name, created_us, id, limit.min(TEST_RUNS_MAX)];
        let found = self.all(queries::TEST_RUNS, values, |row| {
            let run = row::test_run(row)?;
            Ok(run.find(key).map(|mark| (run.id, run.created_us, mark)))
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The next at most `limit` executions that are older than this place in the order of
    /// creation, the newest of them first.
    pub fn kept_older(
        &self,
        than: Option<(i64, ExecutionId)>,
        limit: u32,
    ) -> Result<Vec<KeptRow>, CatalogError> {
        // Every id is less than `g`.
        let (created_us, id) =
            than.map_or((i64::MAX, "g".to_owned()), |(time, id)| (time, id.to_string()));
        self.all(queries::KEPT_OLDER, params![created_us, id, limit], row::kept)
    }

    /// The next at most `limit` executions that are newer than this place, the oldest of them
    /// first.
    pub fn kept_newer(
        &self,
        than: Option<(i64, ExecutionId)>,
        limit: u32,
    ) -> Result<Vec<KeptRow>, CatalogError> {
        let (created_us, id) =
            than.map_or((i64::MIN, String::new()), |(time, id)| (time, id.to_string()));
        self.all(queries::KEPT_NEWER, params![created_us, id, limit], row::kept)
    }

    /// Hands over the steps of the newest executions created in the given time: at most
    /// `executions` of them, and at most `steps` steps.
    pub fn step_times(
        &self,
        times: std::ops::Range<i64>,
        executions: u32,
        steps: u32,
        mut take: impl FnMut(StepTimesRow<'_>),
    ) -> Result<(), CatalogError> {
        let values = params![times.start, times.end, executions, steps];
        self.all(queries::STEP_TIMES, values, |row| {
            take(StepTimesRow {
                execution: row.get_ref(0)?.as_str()?,
                name: row.get_ref(1)?.as_str()?,
                status: row::word(row, 2, StepStatus::from_word)?,
                duration_us: row::unsigned_opt(row, 3)?,
            });
            Ok(())
        })?;
        Ok(())
    }

    /// Searches saved for everybody, by name, so many at most.
    pub fn searches(&self, limit: u32) -> Result<Vec<SavedSearch>, CatalogError> {
        self.all(queries::SEARCHES, params!["", limit], row::search)
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

    /// The artifact that the original StepFlow Monitor gave this id.
    pub fn artifact_by_origin(&self, id: &str) -> Result<Option<ArtifactId>, CatalogError> {
        self.one(queries::ARTIFACT_BY_ORIGIN, [id], |row| {
            Ok(ArtifactId { execution: row::id(row, 0)?, index: row.get(1)? })
        })
    }

    /// The step that the original StepFlow Monitor gave this id.
    pub fn step_by_origin(&self, id: &str) -> Result<Option<StepId>, CatalogError> {
        self.one(queries::STEP_BY_ORIGIN, [id], |row| {
            Ok(StepId { execution: row::id(row, 0)?, index: row.get(1)? })
        })
    }

    /// Artifacts, newest first, each with its execution.
    pub fn artifacts_page(
        &self,
        query: &ArtifactQuery,
    ) -> Result<Vec<(ExecutionId, Artifact)>, CatalogError> {
        let (created_us, execution, index) = match query.before {
            Some((created_us, id)) => (created_us, id.execution.to_string(), id.index),
            None => (i64::MAX, AFTER_ALL_IDS.to_owned(), 0),
        };
        let part = query.name_contains.as_ref().map(|part| part.to_ascii_lowercase());
        let limit = query.limit.min(LIST_LIMIT_MAX + 1);
        let offset = integer(query.offset);
        let row = |row: &Row<'_>| Ok((row::id(row, 12)?, row::artifact(row)?));
        let Some(of) = query.execution else {
            let values = params![created_us, execution, index, limit, offset, part];
            return self.all(queries::ARTIFACTS_PAGE, values, row);
        };
        let index = query.before.map_or(i64::MAX, |(_, id)| i64::from(id.index));
        let values = params![of.to_string(), query.step, index, limit, offset, part];
        self.all(queries::ARTIFACTS_PAGE_OF, values, row)
    }

    /// Executions, newest first.
    pub fn list(&self, query: &ListQuery) -> Result<Vec<Summary>, CatalogError> {
        let ranked = query.order != Order::Newest;
        let statement = match query.order {
            Order::Longest => queries::LIST_LONGEST,
            Order::Shortest => queries::LIST_SHORTEST,
            Order::Newest if query.pinned => queries::LIST_PINNED,
            Order::Newest if query.name.is_some() => queries::LIST_NAME,
            Order::Newest if query.tag.is_some() => queries::LIST_TAG,
            Order::Newest if query.user.is_some() => queries::LIST_USER,
            Order::Newest if query.has_facts() => queries::LIST_FACTS,
            Order::Newest if query.status.is_some() => queries::LIST_STATUS,
            Order::Newest => queries::LIST,
        };
        // No id is less than an empty text: all before that time, and none of it.
        let until = (query.until_us.unwrap_or(i64::MAX), String::new());
        let until_us = until.0;
        let given = query.before.map(|(value, id)| (value, id.to_string()));
        let (value, id) = match (query.order, given) {
            (Order::Newest, Some(given)) => given.min(until),
            (Order::Newest, None) if query.until_us.is_some() => until,
            (_, Some(given)) => given,
            (Order::Shortest, None) => (-1, String::new()),
            (_, None) => (i64::MAX, AFTER_ALL_IDS.to_owned()),
        };
        let limit = query.limit.min(LIST_LIMIT_MAX);
        let skip = integer(query.offset);
        let mut values = query.conditions(value, Some(id), limit.into(), skip);
        if ranked {
            values.extend([Value::from(until_us), Value::from(query.pinned)]);
        }
        self.all(statement, params_from_iter(values), row::summary)
    }

    /// How many executions fulfil the conditions of `query`, wherever its page begins and ends.
    ///
    /// Exact for all, and for a status alone; otherwise counted up to [`TOTAL_COUNTED_MAX`].
    pub fn total(&self, query: &ListQuery) -> Result<u64, CatalogError> {
        let statement = if query.pinned {
            queries::TOTAL_PINNED
        } else if query.name.is_some() {
            queries::TOTAL_NAME
        } else if query.tag.is_some() {
            queries::TOTAL_TAG
        } else if query.user.is_some() {
            queries::TOTAL_USER
        } else if query.has_facts() {
            queries::TOTAL_FACTS
        } else if query.is_narrow() {
            match query.status {
                Some(_) => queries::TOTAL_STATUS,
                None => queries::TOTAL,
            }
        } else {
            let statistics = self.statistics()?;
            return Ok(query.status.map_or(statistics.total, |status| statistics.count(status)));
        };
        // A total has neither cursor nor offset.
        let until_us = query.until_us.unwrap_or(i64::MAX);
        let values = query.conditions(until_us, None, integer(TOTAL_COUNTED_MAX), 0);
        let counted = self.one(statement, params_from_iter(values), |row| row.get::<_, i64>(0))?;
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

    /// A number that is another one after each commit that changes executions, steps or artifacts,
    /// before whoever wrote is answered. What was read after this number was, and while it stays the
    /// same, is what would be read again. Always 0 where this process does not write the catalog.
    pub fn version(&self) -> u64 {
        self.pool.stats.version.load(Acquire)
    }

    /// What the catalog counted since it was opened: this reader's own questions, and, for one
    /// that came from [`crate::Catalog::reader`], everything. Blocks for nothing.
    pub fn figures(&self) -> Figures {
        self.pool.stats.figures()
    }

    /// What the files are now.
    pub fn file(&self) -> Result<FileFigures, CatalogError> {
        let db = self.pool.take()?;
        file_figures(db.get(), &self.pool.path)
            .map_err(|error| CatalogError::sql("look at", &self.pool.path, error))
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
        self.ask(|db| {
            let mut statement = db.prepare_cached(query.sql())?;
            statement.query_map(values, from_row)?.collect::<Result<Vec<T>, _>>()
        })
    }

    fn one<T>(
        &self,
        query: Query,
        values: impl Params,
        from_row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, CatalogError> {
        self.ask(|db| db.prepare_cached(query.sql())?.query_row(values, from_row).optional())
    }

    fn ask<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        let stats = &self.pool.stats;
        let watch = stats.watch();
        let answer = self.pool.take().and_then(|db| {
            read(db.get()).map_err(|error| CatalogError::sql("read", &self.pool.path, error))
        });
        stats.read.observe(watch.over());
        if let Err(error) = &answer {
            stats.reads_failed.fetch_add(1, Relaxed);
            stats.note(error);
            stats.busy.fetch_add(u64::from(matches!(error, CatalogError::Busy { .. })), Relaxed);
        }
        answer
    }
}

/// Greater than every id, and than every way an id can go on.
const AFTER_ALL_IDS: &str = "~";
