//! The catalog's writer and readers, beside SQLite with the same schema, rows and batches.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use stepflow_catalog::{Catalog, CatalogError, Change, ListQuery, Role, Token};
use stepflow_model::{Event, EventKind, ExecutionId, ExecutionState, Status, Step, StepStatus};

use super::{Run, raw};
use crate::{
    BenchError,
    figure::{Figure, What, percentile_ms},
    fill,
};

/// Those who read and write at once; each waits for its own answer before it goes on.
const WORKERS: u64 = 20;
/// Those who make durable writes at once.
const CALLERS: u64 = 64;

pub(crate) fn measure(run: &mut Run<'_>) -> Result<(), BenchError> {
    let database = copy(run, "ours.db")?;
    let mixed = Figure::new(What::Mixed, Some(WORKERS), vec![]);
    let durable = Figure::new(What::Durable, Some(CALLERS), vec![]);
    let [mut mixed, mut durable] = [mixed, durable];
    let [mut read_slow, mut write_slow, mut durable_slow] = [vec![], vec![], vec![]];
    let catalog = Catalog::open(&database, Role::Server)?;
    for round in 0..run.options.runs as u64 {
        run.check()?;
        let before = catalog.reader().figures();
        let mut done = operations(&catalog, round, run.sizes.catalog_time)?;
        let after = catalog.reader().figures();
        let each = (after.changes - before.changes) / (after.commits - before.commits).max(1);
        mixed.runs.push(done.per_second);
        read_slow.push(percentile_ms(&mut done.reads_us, 0.99));
        write_slow.push(percentile_ms(&mut done.writes_us, 0.99));
        catalog.checkpoint_truncate()?;
        // What SQLite does with as many reads, and writes in transactions of the same size.
        let plain = copy(run, "raw.db")?;
        mixed.limits.push(raw::mixed(&plain, done.operations, each.max(1), round)?);
        remove(&plain);

        run.check()?;
        let before = catalog.reader().figures().commits;
        let mut done = durable_writes(&catalog, round, run.sizes.catalog_time)?;
        let commits = catalog.reader().figures().commits - before;
        durable.runs.push(done.per_second);
        durable_slow.push(percentile_ms(&mut done.writes_us, 0.99));
        let plain = copy(run, "raw.db")?;
        let each = (done.operations / commits.max(1)).max(1);
        durable.limits.push(raw::durable(&plain, done.operations, each)?);
        remove(&plain);
    }
    catalog.close()?;
    remove(&database);
    run.keep(mixed);
    run.keep(Figure::new(What::MixedReadSlow, Some(WORKERS), read_slow));
    run.keep(Figure::new(What::MixedWriteSlow, Some(WORKERS), write_slow));
    run.keep(durable);
    run.keep(Figure::new(What::DurableSlow, Some(CALLERS), durable_slow));
    Ok(())
}

/// The filled catalog under another name: the one that servers start over stays as it is.
fn copy(run: &Run<'_>, name: &str) -> Result<PathBuf, BenchError> {
    let (from, to) = (run.filled()?.join("database/stepflow.db"), run.place.dir().join(name));
    stepflow_catalog::copy(&from, &to)?;
    Ok(to)
}

fn remove(database: &std::path::Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        let _ = fs::remove_file(name);
    }
}

/// What a load came to.
#[derive(Debug, Default)]
struct Done {
    operations: u64,
    per_second: f64,
    reads_us: Vec<u64>,
    writes_us: Vec<u64>,
}

/// Runs `work` on so many threads at once, each with its number, until the time is over.
fn at_once(
    threads: u64,
    during: Duration,
    work: impl Fn(u64, &mut Done, &dyn Fn() -> bool) -> Result<(), CatalogError> + Sync,
) -> Result<Done, CatalogError> {
    let together = Barrier::new(threads as usize + 1);
    let mut all = Done::default();
    let took = thread::scope(|scope| {
        let (work, together) = (&work, &together);
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                scope.spawn(move || {
                    let mut done = Done::default();
                    together.wait();
                    let begun = Instant::now();
                    work(number, &mut done, &|| begun.elapsed() < during).map(|()| done)
                })
            })
            .collect();
        together.wait();
        let begun = Instant::now();
        for worker in workers {
            // A panic of a worker is one of the bench.
            let done = worker.join().unwrap_or(Err(CatalogError::Closed))?;
            all.reads_us.extend(done.reads_us);
            all.writes_us.extend(done.writes_us);
        }
        Ok::<_, CatalogError>(begun.elapsed())
    })?;
    all.operations = (all.reads_us.len() + all.writes_us.len()) as u64;
    all.per_second = all.operations as f64 / took.as_secs_f64();
    Ok(all)
}

/// Of ten operations six read and four write: an execution comes, a step of it begins and ends, it
/// ends; meanwhile three are looked at, one's steps, the newest ten, the statistics.
fn operations(catalog: &Catalog, round: u64, during: Duration) -> Result<Done, CatalogError> {
    let reader = catalog.reader();
    let newest = reader.list(&ListQuery { limit: 1_000, ..ListQuery::default() })?;
    let known: Vec<ExecutionId> = newest.iter().map(|summary| summary.id).collect();
    let next = AtomicU64::new(1_000_000_000 * (round + 1));
    at_once(WORKERS, during, |_, done, goes_on| {
        let (reader, writer) = (catalog.reader(), catalog.writer());
        while goes_on() {
            let number = next.fetch_add(1, Relaxed);
            let some =
                |more: u64| known[fill::scattered(number + more) as usize % known.len().max(1)];
            let mut read = |asked: &dyn Fn() -> Result<(), CatalogError>| {
                let begun = Instant::now();
                asked()?;
                done.reads_us.push(begun.elapsed().as_micros() as u64);
                Ok::<_, CatalogError>(())
            };
            let mut write = |change: Change| {
                let begun = Instant::now();
                writer.apply(vec![change])?;
                done.writes_us.push(begun.elapsed().as_micros() as u64);
                Ok::<_, CatalogError>(())
            };
            let mut life = Life::new(number);
            write(life.execution())?;
            read(&|| reader.execution(some(0)).map(drop))?;
            read(&|| reader.execution(some(1)).map(drop))?;
            write(life.step(EventKind::StepStarted {
                step: 0,
                name: "Build".to_owned(),
                parent: None,
                key: None,
                params: serde_json::Map::new(),
                dialect: None,
                loose: false,
            }))?;
            read(&|| reader.list(&ListQuery { limit: 10, ..ListQuery::default() }).map(drop))?;
            read(&|| reader.steps(some(2)).map(drop))?;
            write(life.step(EventKind::StepFinished {
                step: 0,
                status: StepStatus::Completed,
                exit_code: Some(0),
                error: None,
                by: "marker".to_owned(),
                detail: None,
                done: false,
            }))?;
            read(&|| reader.statistics().map(drop))?;
            read(&|| reader.execution(some(3)).map(drop))?;
            life.apply(ended());
            write(life.execution())?;
        }
        Ok(())
    })
}

fn ended() -> EventKind {
    EventKind::Exited {
        status: Status::Completed,
        reason: None,
        exit_code: Some(0),
        signal: None,
        core: false,
        message: None,
        digest: String::new(),
        index: None,
        leftover: vec![],
    }
}

/// An execution as it comes to pass.
struct Life {
    state: ExecutionState,
    seq: u64,
}

impl Life {
    fn new(number: u64) -> Self {
        Self { state: fill::accepted(number, fill::now_us()), seq: 0 }
    }

    fn apply(&mut self, kind: EventKind) {
        self.seq += 1;
        let (seq, at_us) = (self.seq, self.seq * 1_000);
        let time_us = self.state.summary.created_us + at_us as i64;
        self.state.apply(&Event { seq, time_us, at_us, offset: seq * 100, lines: seq, kind });
    }

    fn execution(&self) -> Change {
        Change::Execution(Box::new(self.state.summary.clone()))
    }

    fn step(&mut self, kind: EventKind) -> Change {
        self.apply(kind);
        let step: Step = self.state.steps[0].clone();
        Change::Step(self.state.summary.id, Box::new(step))
    }
}

/// Each is synced before it is answered.
fn durable_writes(catalog: &Catalog, round: u64, during: Duration) -> Result<Done, CatalogError> {
    let next = AtomicU64::new(1_000_000_000 * (round + 1));
    at_once(CALLERS, during, |_, done, goes_on| {
        let writer = catalog.writer();
        while goes_on() {
            let change = token(next.fetch_add(1, Relaxed));
            let begun = Instant::now();
            writer.apply(vec![change])?;
            done.writes_us.push(begun.elapsed().as_micros() as u64);
        }
        Ok(())
    })
}

fn token(number: u64) -> Change {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    Change::TokenCreate(Box::new(Token {
        id: format!("{number:016x}"),
        prefix: format!("{number:08x}"),
        digest,
        name: "bench".to_owned(),
        scope: "admin".to_owned(),
        created_us: number as i64,
        expires_us: None,
        last_used_us: None,
        revoked_us: None,
    }))
}
