//! Rows, threads, batches, catalog: every stage works while the others do.

use std::{
    collections::HashSet,
    num::NonZero,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use stepflow_catalog::{Catalog, CatalogError, Change};
use stepflow_model::{ExecutionId, ExecutionState};
use stepflow_sys::disk;

use crate::{
    UpgradeError,
    convert::{Context, Memory, convert},
    execution::id_of,
    rows::{self, Job},
    source,
};

/// Executions that go through a channel at once.
const CHUNK: usize = 32;
/// Executions whose records are synced, and whose rows are committed, together; an interrupted
/// upgrade repeats at most about twice as many. The first batches are smaller: what is wrong with the
/// disk shows at once, and something is safe soon.
const BATCH: usize = 4096;
const BATCH_FIRST: usize = 64;
/// Rows of a batch, should its executions be large.
const BATCH_ROWS: usize = 65_536;
/// Chunks that wait for a commit: the threads go on while a batch is synced.
const CONVERTED_MAX: usize = BATCH / CHUNK;

type Converted = Result<Vec<Option<ExecutionState>>, UpgradeError>;

/// What to convert, where to.
pub(crate) struct Work<'a> {
    pub(crate) backup: &'a Path,
    pub(crate) context: Context<'a>,
    pub(crate) catalog: &'a Catalog,
    /// Those that an earlier attempt has committed.
    pub(crate) done: &'a HashSet<ExecutionId>,
}

impl Work<'_> {
    /// Converts everything that is left and tells `progress` how many more are done. Returns how
    /// many were left out, since a record of our own has their id.
    pub(crate) fn run(&self, progress: &mut dyn FnMut(u64)) -> Result<u64, UpgradeError> {
        let workers = thread::available_parallelism().map_or(2, NonZero::get).clamp(2, 8);
        let (jobs, chunks) = sync_channel::<Vec<Job>>(workers * 2);
        let (converted, states) = sync_channel::<Converted>(CONVERTED_MAX);
        // Gone with the last worker: then the reader's next chunk finds nobody, and it ends.
        let chunks = Arc::new(Mutex::new(chunks));
        thread::scope(|scope| {
            let reader = converted.clone();
            scope.spawn(move || {
                if let Err(error) = self.read(&jobs) {
                    let _ = reader.send(Err(error));
                }
            });
            for _ in 0..workers {
                let converted = converted.clone();
                let chunks = Arc::clone(&chunks);
                scope.spawn(move || self.convert(&chunks, &converted));
            }
            drop(chunks);
            drop(converted); // The channel ends with the last thread.
            self.commit(states, progress)
        })
    }

    fn read(&self, jobs: &SyncSender<Vec<Job>>) -> Result<(), UpgradeError> {
        let db = source::open_immutable(self.backup)?;
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut open = true;
        rows::for_each(&db, |job| {
            if !self.done.contains(&id_of(&job.id)) {
                chunk.push(job);
                if chunk.len() == CHUNK {
                    // Nobody takes it after an error elsewhere.
                    open = jobs.send(std::mem::take(&mut chunk)).is_ok();
                }
            }
            if open { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .map_err(UpgradeError::sql("read", self.backup))?;
        let _ = jobs.send(chunk);
        Ok(())
    }

    fn convert(&self, chunks: &Mutex<Receiver<Vec<Job>>>, converted: &SyncSender<Converted>) {
        let mut memory = Memory::default();
        loop {
            let chunk = chunks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(chunk) = chunk else { return };
            let states: Converted =
                chunk.into_iter().map(|job| convert(job, self.context, &mut memory)).collect();
            let failed = states.is_err();
            if converted.send(states).is_err() || failed {
                return;
            }
        }
    }

    /// Syncs the records of a batch and commits its rows, until all are through.
    fn commit(
        &self,
        states: Receiver<Converted>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, UpgradeError> {
        let (reply, replies) = channel();
        let mut batch = Batch {
            reply,
            replies,
            waiting: false,
            changes: Vec::new(),
            executions: 0,
            size: BATCH_FIRST,
        };
        let mut left_out = 0;
        for converted in states {
            let converted = converted?;
            progress(converted.len() as u64);
            for state in converted {
                let Some(state) = state else {
                    left_out += 1;
                    continue;
                };
                batch.add(state);
            }
            if batch.executions >= batch.size || batch.changes.len() >= BATCH_ROWS {
                batch.commit(self)?;
            }
        }
        batch.commit(self)?;
        batch.wait()?;
        Ok(left_out)
    }
}

struct Batch {
    reply: Sender<Result<(), CatalogError>>,
    replies: Receiver<Result<(), CatalogError>>,
    /// The batch before this one is being committed.
    waiting: bool,
    changes: Vec<Change>,
    executions: usize,
    /// It is committed when it has this many.
    size: usize,
}

impl Batch {
    fn add(&mut self, state: ExecutionState) {
        let id = state.summary.id;
        self.executions += 1;
        self.changes.push(Change::Execution(Box::new(state.summary)));
        self.changes.extend(state.steps.into_iter().map(|step| Change::Step(id, Box::new(step))));
        let artifacts = state.artifacts.into_iter();
        self.changes.extend(artifacts.map(|artifact| Change::Artifact(id, Box::new(artifact))));
    }

    fn commit(&mut self, work: &Work<'_>) -> Result<(), UpgradeError> {
        if self.executions == 0 {
            return Ok(());
        }
        // First the records, then the rows that say they are there.
        let root = work.context.storage.root();
        disk::sync_filesystem(root).map_err(UpgradeError::io("sync", root))?;
        self.wait()?;
        let reply = self.reply.clone();
        work.catalog.writer().submit(
            std::mem::take(&mut self.changes),
            Box::new(move |result| drop(reply.send(result))),
        );
        self.waiting = true;
        self.executions = 0;
        self.size = (self.size * 2).min(BATCH);
        Ok(())
    }

    fn wait(&mut self) -> Result<(), UpgradeError> {
        if std::mem::take(&mut self.waiting) {
            self.replies.recv().unwrap_or(Err(CatalogError::Closed))?;
        }
        Ok(())
    }
}
