//! Streams from elsewhere: the engine itself records them, with few threads for thousands.
//!
//! The writer lock, held for life, is the claim on all of them: whoever holds it is the one that
//! writes their records. A source that goes away, or a server that does, leaves the execution open
//! for [`crate::EngineConfig::ingest_resume`]; the source goes on from the offset that it is told.

mod attachment; // one source, sending
mod shard; // a thread that records many streams
mod stream; // one of them
mod sync; // all of them made durable at once

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use stepflow_model::{ExecutionId, Source, Spec};
use stepflow_record::{RecordError, RecordView, Storage};
use stepflow_recorder::inflow::{End, Inflow};
use stepflow_sys::{clock, host};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc, oneshot};
use uuid::Uuid;

pub use self::attachment::Attachment;
use self::{shard::Shard, stream::Stream, sync::Syncer};
use crate::{
    Engine, QueryError,
    core::{Core, blocking},
    error::IngestError,
    follow,
    handle::Handle,
    request::{self, Usual},
};

/// Most streams that are open, sending or waited for; at it, new ones are refused.
pub const INGESTS_MAX: usize = 16_384;
/// Stands in the spec for masks that came with the stream: their values are kept nowhere.
const MASKED: &str = "X-StepFlow-Mask";
/// Threads that record.
const SHARDS_MAX: usize = 4;
/// Files of streams that are open at the same time, if the limit of open files allows it.
const FILES_MAX: u64 = 4_000;
/// Records that are made at the same time, at most; no more than there are processors, and two. None
/// of it waits for the disk: more would only stand in the way of each other, and of streams that send.
const MAKES_MAX: usize = 8;
/// Records that are read again at the same time, after a restart.
const WAKES: usize = 8;

/// What a source says of itself when it begins.
#[derive(Debug, Clone, Default)]
pub struct NewIngest {
    /// Its id; a new one if absent.
    pub id: Option<ExecutionId>,
    /// Shown to people; "ingest" if absent or empty.
    pub name: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// Who sends.
    pub user: String,
    /// A failed step makes the execution failed.
    pub stop_on_error: bool,
    /// Never reach the record.
    pub secrets: Vec<Vec<u8>>,
    /// Whose markers it may hold; as the engine does it if absent.
    pub dialect: Option<String>,
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IngestState {
    /// Bytes that need not be sent again.
    pub offset: u64,
    /// Bytes that a power cut cannot take.
    pub safe: u64,
    /// A source is sending.
    pub attached: bool,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, IngestError>>;

/// What a shard is told.
pub(crate) enum Job {
    Adopt(Box<Stream>),
    /// Is the record still to be read again? Its handle, then.
    Dormant(ExecutionId, Reply<Option<Arc<Handle>>>),
    Woken(ExecutionId, Result<Box<Inflow>, RecordError>),
    Attach {
        id: ExecutionId,
        offset: u64,
        secrets: Vec<Vec<u8>>,
        reply: Reply<(u64, u64)>,
    },
    Append {
        id: ExecutionId,
        epoch: u64,
        at: u64,
        bytes: Vec<u8>,
        reply: Reply<()>,
    },
    Detach {
        id: ExecutionId,
        epoch: u64,
    },
    /// This part of the stream is all for now.
    Rest {
        id: ExecutionId,
        epoch: u64,
        reply: Reply<IngestState>,
    },
    End {
        id: ExecutionId,
        epoch: Option<u64>,
        end: End,
        reply: Option<Reply<IngestState>>,
    },
    Look(ExecutionId, Reply<IngestState>),
    Synced {
        ticket: u64,
        covered: Vec<(ExecutionId, u64)>,
        result: Result<(), String>,
    },
    Stop,
}

/// The way to the shards.
#[derive(Debug)]
pub(crate) struct Ingest {
    storage: Storage,
    shards: Vec<Sender<Job>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    window: Duration,
    open: Arc<AtomicUsize>,
    /// Who makes a record.
    making: Semaphore,
    /// One wake-up of a record at a time, per stripe of ids.
    waking: [AsyncMutex<()>; WAKES],
}

impl Ingest {
    /// Starts the threads. The ids of streams whose time is over while their record is still to be
    /// read again come out of the receiver.
    pub(crate) fn start(
        storage: &Storage,
        window: Duration,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<ExecutionId>)> {
        let (expired, expiring) = mpsc::unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let count = processors.min(SHARDS_MAX);
        let files = FILES_MAX.min(host::fd_limit() / 5) as usize / count;
        let syncer = Syncer::start(storage)?;
        let mut shards = Vec::with_capacity(count);
        let mut threads = Vec::with_capacity(count);
        for _ in 0..count {
            let (jobs, inbox) = channel();
            let shard = Shard::new(
                inbox,
                jobs.clone(),
                syncer.tickets(),
                expired.clone(),
                Arc::clone(&open),
                window,
                files.max(3),
            );
            threads
                .push(thread::Builder::new().name("ingest".to_owned()).spawn(move || shard.run())?);
            shards.push(jobs);
        }
        let (storage, threads) = (storage.clone(), Mutex::new(threads));
        let waking = std::array::from_fn(|_| AsyncMutex::new(()));
        let making = Semaphore::new(processors.clamp(2, MAKES_MAX));
        Ok((Self { storage, shards, threads, window, open, making, waking }, expiring))
    }

    fn number(id: ExecutionId) -> usize {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        hasher.finish() as usize
    }

    pub(crate) fn send(&self, id: ExecutionId, job: Job) {
        // A shard lives as long as its sender; one that panicked drops the reply, which says so.
        let _ = self.shards[Self::number(id) % self.shards.len()].send(job);
    }

    async fn ask<T>(
        &self,
        id: ExecutionId,
        job: impl FnOnce(Reply<T>) -> Job,
    ) -> Result<T, IngestError> {
        let (reply, answer) = oneshot::channel();
        self.send(id, job(reply));
        answer.await.unwrap_or(Err(IngestError::Closing))
    }

    /// Takes a stream over that an earlier server left open; its window begins now.
    pub(crate) fn adopt(&self, handle: &Arc<Handle>) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let resume_by = Some(Instant::now() + self.window);
        let stream = Stream::new(Arc::clone(handle), None, resume_by);
        self.send(handle.id(), Job::Adopt(Box::new(stream)));
    }

    /// Reads a record again that an earlier server left open, unless that was done.
    pub(crate) async fn wake(&self, id: ExecutionId) -> Result<(), IngestError> {
        let _turn = self.waking[Self::number(id) / 64 % WAKES].lock().await;
        let Some(handle) = self.ask(id, |reply| Job::Dormant(id, reply)).await? else {
            return Ok(());
        };
        let storage = self.storage.clone();
        let woken = blocking(move || {
            let spec = storage.spec(id)?;
            let inflow = Inflow::resume(&storage.record_dir(id), &spec, Vec::new())?;
            // What hung in the air is gone: the folded state begins anew.
            let mut view = RecordView::open(&storage, id)?;
            view.close_files();
            handle.replace(view);
            Ok(Box::new(inflow))
        });
        self.send(id, Job::Woken(id, woken.await.ok_or(IngestError::Closing)?));
        Ok(())
    }

    /// Makes everything durable and ends the threads. Blocks.
    pub(crate) fn stop(&self) {
        for shard in &self.shards {
            let _ = shard.send(Job::Stop);
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that records streams had panicked");
            }
        }
    }
}

/// Reads records again whose window is over, so that their end can be recorded.
pub(crate) async fn expire(core: Arc<Core>, mut expiring: mpsc::UnboundedReceiver<ExecutionId>) {
    loop {
        let id = tokio::select! {
            id = expiring.recv() => id,
            () = core.shutdown.cancelled() => return,
        };
        let Some(id) = id else { return };
        if let Err(error) = core.ingest.wake(id).await {
            tracing::warn!(execution = %id, %error, "cannot end a stream whose source is lost");
        }
    }
}

impl Engine {
    /// Makes an execution of a stream, or finds the one with this id. Returns its handle and whether
    /// it is new.
    pub async fn ingest(&self, new: NewIngest) -> Result<(Arc<Handle>, bool), IngestError> {
        let core = Arc::clone(&self.core);
        if core.shutdown.is_cancelled() {
            return Err(IngestError::Closing);
        }
        let id = new.id.unwrap_or_else(|| ExecutionId::new(Uuid::now_v7()));
        if let Some(known) = self.known(id) {
            return Ok((known, false));
        }
        let mut spec = spec(id, &new, &self.core.usual)?;
        // A stream has nobody here who could wait or be stopped: its middle goes.
        spec.log_max_bytes = self.core.usual.log_max_bytes;
        let _permit = core.ingest.making.acquire().await.map_err(|_| IngestError::Closing)?;
        if !core.registry().reserve(id) {
            return self.made_already(id).await;
        }
        // A task of its own: a source that goes away leaves no record that nobody owns.
        let secrets = new.secrets;
        let made = core.tasks.spawn(make(Arc::clone(&core), spec, secrets));
        match made.await.unwrap_or(Err(IngestError::Closing))? {
            Some(handle) => Ok((handle, true)),
            None => self.made_already(id).await,
        }
    }

    /// The execution with this id, of which there is something already.
    async fn made_already(&self, id: ExecutionId) -> Result<(Arc<Handle>, bool), IngestError> {
        match self.execution(id).await {
            Ok(known) => Ok((known, false)),
            // Somebody is making it right now, by the same id.
            Err(QueryError::Unknown(_)) => Err(IngestError::Superseded),
            Err(error) => Err(error.into()),
        }
    }

    /// Becomes the source of a stream, from byte `offset` on; one that is still there is pushed out.
    pub async fn ingest_attach(
        &self,
        id: ExecutionId,
        offset: u64,
        secrets: Vec<Vec<u8>>,
    ) -> Result<Attachment, IngestError> {
        let handle = self.ingested(id).await?;
        if secrets.is_empty() && !handle.spec().mask_env.is_empty() {
            return Err(IngestError::MasksMissing);
        }
        self.core.ingest.wake(id).await?;
        let attach = |reply| Job::Attach { id, offset, secrets, reply };
        let (epoch, have) = self.core.ingest.ask(id, attach).await?;
        Ok(Attachment::new(Arc::clone(&self.core), id, epoch, offset, have))
    }

    /// How far a stream is; one that has ended is whole and safe.
    pub async fn ingest_state(&self, id: ExecutionId) -> Result<IngestState, IngestError> {
        match self.ingested(id).await {
            Ok(_) => {}
            Err(IngestError::Ended { offset }) => {
                return Ok(IngestState { offset, safe: offset, attached: false });
            }
            Err(error) => return Err(error),
        }
        self.core.ingest.wake(id).await?;
        match self.core.ingest.ask(id, |reply| Job::Look(id, reply)).await {
            Err(IngestError::Ended { offset }) => {
                Ok(IngestState { offset, safe: offset, attached: false })
            }
            looked => looked,
        }
    }

    /// Ends a stream whose source has said everything. Returns when the end is durable.
    pub async fn ingest_end(
        &self,
        id: ExecutionId,
        exit_code: Option<i32>,
    ) -> Result<IngestState, IngestError> {
        self.end_ingest(id, End::Closed { exit_code }).await
    }

    pub(crate) async fn end_ingest(
        &self,
        id: ExecutionId,
        end: End,
    ) -> Result<IngestState, IngestError> {
        self.ingested(id).await?;
        self.core.ingest.wake(id).await?;
        let job = |reply| Job::End { id, epoch: None, end, reply: Some(reply) };
        self.core.ingest.ask(id, job).await
    }

    /// The handle of an open stream.
    async fn ingested(&self, id: ExecutionId) -> Result<Arc<Handle>, IngestError> {
        let handle = self.execution(id).await?;
        let (source, ended, offset) = handle.read(|state| {
            let summary = &state.summary;
            (summary.source, summary.status.is_end(), summary.position.bytes)
        });
        match (source, ended) {
            (Source::Ingest, false) => Ok(handle),
            (Source::Ingest, true) => Err(IngestError::Ended { offset }),
            _ => Err(IngestError::NotIngested(id)),
        }
    }
}

/// Makes the execution of a stream, whose id is reserved; `None`: there is one with this id.
async fn make(
    core: Arc<Core>,
    spec: Spec,
    secrets: Vec<Vec<u8>>,
) -> Result<Option<Arc<Handle>>, IngestError> {
    let (id, maker) = (spec.id, Arc::clone(&core));
    // All that blocks at once: there may be thousands.
    let made = blocking(move || make_record(&maker, spec, secrets)).await;
    let made = made.unwrap_or(Err(IngestError::Closing));
    let Some((inflow, view)) = made.inspect_err(|_| core.registry().release(id))? else {
        core.registry().release(id);
        return Ok(None);
    };
    let handle = Arc::new(Handle::new(&core.storage, view));
    handle.publish();
    core.registry().insert(Arc::clone(&handle));
    core.ingest.open.fetch_add(1, Ordering::Relaxed);
    let resume_by = Some(Instant::now() + core.ingest.window);
    let stream = Stream::new(Arc::clone(&handle), Some(inflow), resume_by);
    core.ingest.send(id, Job::Adopt(Box::new(stream)));
    core.tasks.spawn(follow::follow(Arc::clone(&core), Arc::clone(&handle)));
    Ok(Some(handle))
}

/// Makes the record; `None`: there is one already. Blocks.
fn make_record(
    core: &Core,
    spec: Spec,
    secrets: Vec<Vec<u8>>,
) -> Result<Option<(Inflow, RecordView)>, IngestError> {
    let (storage, id) = (&core.storage, spec.id);
    if !matches!(storage.spec(id), Err(RecordError::Missing { .. })) {
        return Ok(None);
    }
    if core.ingest.open.load(Ordering::Relaxed) >= INGESTS_MAX {
        return Err(IngestError::TooMany);
    }
    storage.check_room(core.disk_min_free)?;
    storage.create_held(&spec)?;
    let dir = storage.record_dir(id);
    let mut inflow = Inflow::create(&dir, &spec, secrets).inspect_err(|_| {
        // Nobody was told of it, and the id is new: nothing else has this directory.
        let _ = storage.close_execution(id);
        let _ = std::fs::remove_dir_all(&dir);
    })?;
    let mut view = RecordView::begin(storage, spec);
    view.take(&inflow.take_events(), inflow.position());
    Ok(Some((inflow, view)))
}

fn spec(id: ExecutionId, new: &NewIngest, usual: &Usual) -> Result<Spec, IngestError> {
    let name = new.name.clone().filter(|name| !name.trim().is_empty());
    request::check_words(name.as_deref(), &new.user, &new.tags)?;
    let dialect = new.dialect.as_ref().unwrap_or(&usual.dialect);
    stepflow_model::check_dialects(dialect, &usual.problem_matchers)
        .map_err(request::RequestError::from)?;
    let masked = !new.secrets.is_empty();
    Ok(Spec {
        name: name.unwrap_or_else(|| "ingest".to_owned()),
        mask_env: if masked { vec![MASKED.to_owned()] } else { Vec::new() },
        tags: new.tags.clone(),
        user: new.user.clone(),
        grace_ms: 0,
        drain_ms: 0,
        stop_on_error: new.stop_on_error,
        dialect: dialect.clone(),
        problem_matchers: usual.problem_matchers.clone(),
        ..Spec::new(id, Source::Ingest, clock::wall_us())
    })
}
