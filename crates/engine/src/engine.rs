//! The way in.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use stepflow_catalog::{
    Catalog, CatalogError, Change, Figures, ListQuery, Maintained, Reader, Statistics,
};
use stepflow_model::{Artifact, ArtifactId, ExecutionId, LogSync, NoteKind, Summary};
use stepflow_record::{Liveness, MinFree, NoRoom, RecordError, RecordView, Storage};
use stepflow_recorder::{
    Starter,
    control::{Answer, Request},
    inflow::End,
};
use stepflow_sys::{cgroup::Cgroup, clock, host::SocketDir};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    CancelError, ChangeError, CloseError, CreateError, FeedChanges, IngestError, NewExecution,
    OpenError, QueryError, Usual, WriterLock,
    admit::{self, Admission, Waiting},
    bell, compress,
    core::{Core, Registry, blocking},
    discover::{self, Opened},
    environment,
    feed::Feed,
    figures::{Counters, EngineFigures},
    follow,
    handle::Handle,
    ingest::{self, Ingest},
    lock::network_file_system,
    mend::{self, Mended},
    once::{Keys, Once},
    project, reap,
    remembered::Remembered,
    request::Prepared,
    retention::{self, Policy},
    upgrade,
};

/// Most executions that wait for a place. Each holds its claim, one open file. At it, more are
/// refused.
pub const QUEUED_MAX: usize = 4_096;
/// Records that are made at the same time; each waits for four syncs.
const CREATES_AT_ONCE: usize = 64;
/// Pages of lists that are kept until something is committed; longer ones are not.
const LISTS_MAX: usize = 16;
const LISTED_ROWS_MAX: usize = 101;
/// Commands hold the writer lock for moments: a start waits this long for it.
const LOCK_WITHIN: Duration = Duration::from_millis(1_500);
/// A holder that is being killed lets go within this time.
const DYING_WITHIN: Duration = Duration::from_secs(30);
/// A recorder that is being started is reached within this time.
const CANCEL_WITHIN: Duration = Duration::from_secs(10);
/// A question waits this long for its turn at a catalog that does not answer.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// All tasks see the shutdown within this time; the catalog is closed in what is left of 5 s.
const TASKS_END_WITHIN: Duration = Duration::from_secs(2);
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Who hands its lock over must know that nothing writes: tasks, and the catalog, get this long.
const TASKS_END_FOR_SURE_WITHIN: Duration = Duration::from_secs(10);

/// What an engine needs.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The storage, whose writer lock the engine takes.
    pub storage: Storage,
    /// Most executions that run at the same time; more wait.
    pub max_running: usize,
    /// How the catalog is opened.
    pub catalog: stepflow_catalog::Options,
    /// How long a stream from elsewhere is waited for when its source, or the server, went away.
    pub ingest_resume: Duration,
    /// When output is made durable, of executions that do not say.
    pub log_sync: LogSync,
    /// What else holds for executions that do not say.
    pub usual: Usual,
    /// What is kept, and for how long.
    pub retention: Policy,
    /// How long after the end of an execution its log is compressed; `None`: never.
    pub compress_after: Option<Duration>,
    /// What must be free on the disk before a new execution is accepted.
    pub disk_min_free: MinFree,
    /// The program that understands the recorder's hidden command.
    pub program: PathBuf,
}

/// One page of a list.
#[derive(Debug)]
pub struct ListPage {
    /// Newest first, with what is live as it is now.
    pub executions: Vec<Summary>,
    /// How many fulfil the conditions.
    pub total: u64,
    /// There are more behind these.
    pub has_more: bool,
    /// None of them is followed: until the next commit the same page says the same.
    pub settled: bool,
}

/// Many executions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) core: Arc<Core>,
    pub(crate) creates: Arc<Semaphore>,
    owned: Arc<Mutex<Option<(Catalog, WriterLock)>>>,
}

impl Engine {
    /// Takes the writer lock, opens the catalog and begins to follow everything that is open.
    /// Must be called within a tokio runtime with time and I/O.
    pub async fn open(config: EngineConfig) -> Result<Self, OpenError> {
        // Before the lock: nothing is to be made there.
        if let Some(kind) = network_file_system(config.storage.root()) {
            return Err(OpenError::Network { path: config.storage.root().to_owned(), kind });
        }
        let lock = take_lock(&config.storage).await?;
        Self::open_under(lock, config).await
    }

    /// The same under a lock that the caller has, of this storage.
    pub async fn open_under(lock: WriterLock, config: EngineConfig) -> Result<Self, OpenError> {
        let storage = config.storage;
        let opened = storage.clone();
        let options = config.catalog;
        let readers = options.readers.max(1);
        let (catalog, mended) = blocking(move || -> Result<_, OpenError> {
            upgrade::upgrade(&opened)?;
            Ok(mend::open(&opened, options)?)
        })
        .await
        .ok_or(CatalogError::Closed)??;
        let sockets = SocketDir::open(&storage.run_dir())
            .map_err(OpenError::system("open the run directory"))?;
        let (ingest, expiring) = Ingest::start(&storage, config.ingest_resume)
            .map_err(OpenError::system("start the threads that record streams"))?;
        let (reaper, started) = mpsc::channel(reap::QUEUE_MAX);
        let core = Arc::new(Core {
            keys: Arc::new(Keys::new(&storage)),
            storage,
            starter: Starter::new(config.program),
            sockets,
            reader: catalog.reader(),
            writer: catalog.writer(),
            registry: Mutex::new(Registry::default()),
            admission: Mutex::new(Admission::new(config.max_running)),
            feed: Feed::default(),
            changing: tokio::sync::Mutex::new(()),
            log_sync: config.log_sync,
            usual: config.usual,
            disk_min_free: config.disk_min_free,
            retention: config.retention,
            sweeping: tokio::sync::Mutex::new(()),
            swept: Mutex::default(),
            counters: Counters::default(),
            mended: Mutex::new(mended),
            asking: Semaphore::new(readers),
            lists: Remembered::new(LISTS_MAX),
            counted: Remembered::new(1),
            ingest,
            reaper,
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        });
        let engine = Self {
            core: Arc::clone(&core),
            creates: Arc::new(Semaphore::new(CREATES_AT_ONCE)),
            owned: Arc::new(Mutex::new(Some((catalog, lock)))),
        };
        core.tasks.spawn(reap::reap(started, core.shutdown.clone()));
        let mender = Arc::clone(&core);
        let mended = blocking(move || project::mend(&mender.storage, &mender.writer));
        mended.await.unwrap_or(Ok(()))?;
        let sweeper = core.storage.clone();
        blocking(move || sweep_groups(&sweeper)).await;
        core.tasks.spawn(ingest::expire(Arc::clone(&core), expiring));
        let opener = Arc::clone(&core);
        let opened =
            blocking(move || opener.open_all()).await.unwrap_or_else(|| Ok(Opened::default()))?;
        if !opened.rows.is_empty() {
            core.write(opened.rows).await?;
        }
        tracing::debug!(followed = opened.follow.len(), "open executions");
        for handle in opened.follow {
            core.tasks.spawn(follow::follow(Arc::clone(&core), handle));
        }
        core.pump();
        core.tasks.spawn(discover::watch(Arc::clone(&core)));
        core.tasks.spawn(retention::watch(Arc::clone(&core)));
        core.tasks.spawn(mend::watch(Arc::clone(&core)));
        if let Some(after) = config.compress_after {
            compress::start(&core, after)
                .map_err(OpenError::system("start the thread that compresses logs"))?;
        }
        Ok(engine)
    }

    /// The storage.
    pub fn storage(&self) -> &Storage {
        &self.core.storage
    }

    /// Accepts an execution: when this returns, it will reach exactly one end. It is started at
    /// once, or waits for a place.
    pub async fn create(&self, new: NewExecution) -> Result<Arc<Handle>, CreateError> {
        Ok(self.create_once(new, None).await?.0)
    }

    /// The same; with a key that was accepted within 24 h, that execution, and `true`.
    pub async fn create_once(
        &self,
        mut new: NewExecution,
        once: Option<Once>,
    ) -> Result<(Arc<Handle>, bool), CreateError> {
        let id = ExecutionId::new(Uuid::now_v7());
        new.log_sync.get_or_insert(self.core.log_sync);
        self.core.usual.fill(&mut new);
        match new.prepare(id, clock::wall_us()) {
            Ok(prepared) => self.accept_once(prepared, once).await,
            Err(refused) => {
                self.core.counters.refused.fetch_add(1, Relaxed);
                Err(refused.into())
            }
        }
    }

    /// Accepts what has been checked.
    pub(crate) async fn accept(&self, prepared: Prepared) -> Result<Arc<Handle>, CreateError> {
        let made = self.try_accept(prepared).await;
        let counters = &self.core.counters;
        let counter = if made.is_ok() { &counters.accepted } else { &counters.refused };
        counter.fetch_add(1, Relaxed);
        made
    }

    async fn try_accept(&self, prepared: Prepared) -> Result<Arc<Handle>, CreateError> {
        if self.core.shutdown.is_cancelled() {
            return Err(CreateError::Closing);
        }
        let waiting = self.core.admission().waiting();
        if waiting >= QUEUED_MAX {
            return Err(CreateError::QueueFull { waiting });
        }
        self.check_room().await?;
        let id = prepared.spec.id;
        let _permit = self.creates.acquire().await.map_err(|_| CreateError::Closing)?;
        // The marker must not be adopted by the watcher before we have it in hand.
        self.core.registry().reserve(id);
        let core = Arc::clone(&self.core);
        // A task of its own: a caller that goes away leaves no execution that nobody starts.
        let task = self.core.tasks.spawn(async move {
            let made = make(&core, prepared).await;
            if made.is_err() {
                core.registry().release(id);
            }
            made
        });
        task.await.unwrap_or(Err(CreateError::Closing))
    }

    /// Whether the disk has room for a new execution.
    pub(crate) async fn check_room(&self) -> Result<(), NoRoom> {
        let core = Arc::clone(&self.core);
        // A disk that hangs holds up nobody else.
        let looked = blocking(move || core.storage.check_room(core.disk_min_free));
        looked.await.unwrap_or(Ok(()))
    }

    /// Bytes that must be free before a new execution is accepted, on a file system of `all`.
    pub fn disk_min_free(&self, all: u64) -> u64 {
        self.core.disk_min_free.of(all)
    }

    /// One execution, live or ended.
    pub async fn execution(&self, id: ExecutionId) -> Result<Arc<Handle>, QueryError> {
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let storage = self.core.storage.clone();
        let opened = blocking(move || {
            let mut view = RecordView::open(&storage, id)?;
            let liveness = view.liveness()?;
            Ok((view, liveness))
        });
        let (view, liveness) = match opened.await.ok_or(QueryError::Closing)? {
            Ok(opened) => opened,
            Err(RecordError::Missing { .. }) => return Err(QueryError::Unknown(id)),
            Err(error) => return Err(error.into()),
        };
        if liveness == Liveness::Ended {
            let handle = Arc::new(Handle::new(&self.core.storage, view));
            handle.publish();
            self.core.registry().remember(&handle);
            return Ok(handle);
        }
        // Made elsewhere, a moment ago: it is followed from now on.
        if self.core.registry().reserve(id)
            && let Some(handle) = self.core.adopt_reserved(id).await?
        {
            return Ok(handle);
        }
        match self.known(id) {
            Some(known) => Ok(known),
            None => Ok(Arc::new(Handle::new(&self.core.storage, view))), // Being opened right now.
        }
    }

    pub(crate) fn known(&self, id: ExecutionId) -> Option<Arc<Handle>> {
        let mut registry = self.core.registry();
        registry.live(id).or_else(|| registry.recent(id))
    }

    /// Stops an execution: what waits never starts; what runs gets SIGTERM, and after the grace
    /// period, or at the second call, SIGKILL. When this returns, the wish is durable.
    pub async fn cancel(&self, id: ExecutionId, by: &str) -> Result<Arc<Handle>, CancelError> {
        let handle = self.execution(id).await?;
        if handle.is_fed() {
            let end = End::Cancelled { by: by.to_owned() };
            return match self.end_ingest(id, end).await {
                Ok(_) => Ok(handle),
                Err(IngestError::Closing) => Err(CancelError::Closing),
                Err(IngestError::Record(error)) => Err(error.into()),
                Err(IngestError::Catalog(error)) => Err(error.into()),
                Err(_) => Err(CancelError::Finished(id)),
            };
        }
        let deadline = Instant::now() + CANCEL_WITHIN;
        let request = Request::Cancel { by: by.to_owned(), kill: false, noted: false };
        loop {
            if handle.read(|state| state.summary.status.is_end()) {
                return Err(CancelError::Finished(id));
            }
            let waiting = self.core.admission().remove(id);
            if let Some(Waiting { handle, created, .. }) = waiting {
                drop(created); // The verdict takes the claim itself.
                admit::settle(&self.core, &handle, admit::cancelled_before_start(by)).await;
                self.core.tasks.spawn(follow::follow(Arc::clone(&self.core), Arc::clone(&handle)));
                return Ok(handle);
            }
            match bell::ask(&self.core.socket(id), &request).await {
                Ok(Answer::Error { error }) => return Err(CancelError::Refused(error)),
                Ok(Answer::Ok | Answer::Full | Answer::Position { .. }) => {
                    let _ = handle.refresh(); // So that the caller sees its wish.
                    return Ok(handle);
                }
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                    return self.wish(&handle, by).await;
                }
                // Not bound yet, or the recorder is just ending: its follower will tell.
                Err(_) if Instant::now() < deadline => {
                    handle.poke.notify_one();
                    sleep(Duration::from_millis(20)).await;
                }
                Err(_) => return self.wish(&handle, by).await,
            }
        }
    }

    /// Notes that somebody wants it stopped: its recorder does not answer. Its follower, of this
    /// server or the next, asks it until it does.
    async fn wish(&self, handle: &Arc<Handle>, by: &str) -> Result<Arc<Handle>, CancelError> {
        let _turn = self.core.changing.lock().await;
        let kind = NoteKind::CancelWished { by: by.to_owned() };
        self.note(handle, kind).await.map_err(|error| match error {
            ChangeError::Record(error) => CancelError::Record(error),
            ChangeError::Catalog(error) => CancelError::Catalog(error),
            _ => CancelError::Closing,
        })?;
        handle.poke.notify_one();
        Ok(Arc::clone(handle))
    }

    /// Executions, newest first; live ones as they are now.
    pub async fn list(&self, query: ListQuery) -> Result<ListPage, QueryError> {
        let limit = query.limit.min(stepflow_catalog::LIST_LIMIT_MAX);
        let version = self.version(); // Before it is read.
        let kept = self.core.lists.get(version, &query);
        let (mut executions, total) = if let Some(listed) = kept {
            (listed.0.clone(), listed.1)
        } else {
            let asked = query.clone();
            let listed = self
                .query(move |reader| {
                    let total = reader.total(&asked)?;
                    // One more tells whether there is more.
                    Ok((reader.list(&ListQuery { limit: limit + 1, ..asked })?, total))
                })
                .await?;
            if listed.0.len() <= LISTED_ROWS_MAX {
                self.core.lists.keep(version, query, Arc::new(listed.clone()));
            }
            listed
        };
        // The reader's own limit hides the one more; the last page then says more by mistake.
        let full = limit == stepflow_catalog::LIST_LIMIT_MAX && executions.len() == limit as usize;
        let has_more = limit > 0 && (executions.len() > limit as usize || full);
        executions.truncate(limit as usize);
        let registry = self.core.registry();
        let live: Vec<Option<Arc<Handle>>> =
            executions.iter().map(|summary| registry.live(summary.id)).collect();
        drop(registry);
        let settled = live.iter().all(Option::is_none);
        for (summary, live) in executions.iter_mut().zip(live) {
            if let Some(live) = live {
                *summary = live.summary();
            }
        }
        Ok(ListPage { executions, total, has_more, settled })
    }

    /// Everything that has not ended, oldest first.
    pub fn active(&self) -> Vec<Summary> {
        let mut active: Vec<Summary> = self
            .core
            .registry()
            .all()
            .iter()
            .map(|handle| handle.summary())
            .filter(|summary| !summary.status.is_end())
            .collect();
        active.sort_unstable_by_key(|summary| (summary.created_us, summary.id));
        active
    }

    /// One that is followed.
    pub fn live(&self, id: ExecutionId) -> Option<Arc<Handle>> {
        self.core.registry().live(id)
    }

    /// The summary of one that is followed.
    pub fn live_summary(&self, id: ExecutionId) -> Option<Summary> {
        let live = self.core.registry().live(id);
        live.map(|handle| handle.summary())
    }

    /// How many there are, and how long they took.
    pub async fn statistics(&self) -> Result<Statistics, QueryError> {
        let version = self.version(); // Before they are read.
        if let Some(known) = self.core.counted.get(version, &()) {
            return Ok(known);
        }
        let statistics = self.query(Reader::statistics).await?;
        self.core.counted.keep(version, (), statistics.clone());
        Ok(statistics)
    }

    /// A number that is another one once anything that lists, figures or details show was committed,
    /// before whoever wrote it is told.
    pub fn version(&self) -> u64 {
        self.core.reader.version()
    }

    /// One artifact.
    pub async fn artifact(&self, id: ArtifactId) -> Result<Option<Artifact>, QueryError> {
        match self.execution(id.execution).await {
            Ok(handle) => Ok(handle.read(|state| state.artifact(id.index).cloned())),
            Err(QueryError::Unknown(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Which artifact the original StepFlow Monitor gave this id.
    pub async fn artifact_by_origin(&self, id: String) -> Result<Option<ArtifactId>, QueryError> {
        self.query(move |reader| reader.artifact_by_origin(&id)).await
    }

    /// Asks the catalog on a blocking thread.
    pub async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reader) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let reader = self.core.reader.clone();
        let turn = timeout(ASKED_WITHIN, self.core.asking.acquire()).await;
        let crowded = || CatalogError::Crowded { path: self.core.storage.database() };
        let _turn = turn.map_err(|_| crowded())?.map_err(|_| QueryError::Closing)?;
        Ok(blocking(move || ask(&reader)).await.ok_or(QueryError::Closing)??)
    }

    /// Writes what lives only in the catalog: tokens and sessions. Returns after the commit.
    pub async fn apply(&self, batch: Vec<Change>) -> Result<(), CatalogError> {
        self.core.write(batch).await
    }

    /// What the engine counted since it was opened, and what is there now. In time proportional
    /// to the live executions; reads no file.
    pub fn figures(&self) -> EngineFigures {
        self.core.figures()
    }

    /// What the catalog counted since it was opened. Blocks for nothing.
    pub fn catalog_figures(&self) -> Figures {
        self.core.reader.figures()
    }

    /// What became of a catalog that was damaged or gone since the engine was opened.
    pub fn mended(&self) -> Option<Mended> {
        self.core.mended()
    }

    /// Maintenance of the catalog, in slices between which writes go on. Returns when it is done.
    pub async fn optimize(&self) -> Result<Maintained, QueryError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let writer = self.core.writer.clone();
        // On a blocking thread: the queue may be full for a moment.
        let asked = blocking(move || writer.optimize(Box::new(|done| drop(sender.send(done)))));
        asked.await.ok_or(QueryError::Closing)?;
        Ok(receiver.await.map_err(|_| QueryError::Closing)??)
    }

    /// To be woken when any execution changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.core.feed.subscribe()
    }

    /// Which executions changed since `version`.
    pub fn changes_since(&self, version: u64) -> FeedChanges {
        self.core.feed.since(version)
    }

    /// Cancelled when the engine is being closed.
    pub fn closing(&self) -> CancellationToken {
        self.core.shutdown.clone()
    }

    /// Does what [`Engine::shutdown`] does, and hands back the lock, under which nothing of this
    /// engine writes any more.
    ///
    /// # Errors
    /// [`CloseError::Busy`]: something still writes, and the lock stays where it is until then.
    pub async fn close(&self) -> Result<WriterLock, CloseError> {
        self.core.shutdown.cancel();
        self.core.tasks.close();
        let ended = timeout(TASKS_END_FOR_SURE_WITHIN, self.core.tasks.wait()).await;
        ended.map_err(|_| CloseError::Busy)?;
        self.core.admission().forget_waiting(); // Their claims are free: the next engine takes them.
        let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (catalog, lock) = owned.ok_or(CloseError::Busy)?;
        let core = Arc::clone(&self.core);
        let close = blocking(move || {
            core.ingest.stop(); // Under the lock, which is the claim on every stream's record.
            if let Err(error) = catalog.close() {
                // Whoever opens it next repairs it.
                tracing::warn!(%error, "the catalog was not closed in order");
            }
            lock
        });
        match timeout(TASKS_END_FOR_SURE_WITHIN, close).await {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) | Err(_) => Err(CloseError::Busy),
        }
    }

    /// Stops following and closes the catalog, within 5 s. Scripts go on: the next engine finds
    /// them again.
    pub async fn shutdown(&self) -> Result<(), CatalogError> {
        self.core.shutdown.cancel();
        self.core.tasks.close();
        if timeout(TASKS_END_WITHIN, self.core.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.core.tasks.len(), "tasks still run at the shutdown");
        }
        self.core.admission().forget_waiting(); // Their claims are free: the next engine takes them.
        let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((catalog, lock)) = owned else { return Ok(()) };
        let core = Arc::clone(&self.core);
        let close = blocking(move || {
            core.ingest.stop(); // Under the lock, which is the claim on every stream's record.
            let closed = catalog.close();
            drop(lock);
            closed
        });
        let Ok(closed) = timeout(CLOSE_WITHIN, close).await else {
            tracing::warn!("the catalog is still being closed");
            return Ok(());
        };
        closed.unwrap_or(Err(CatalogError::Closed))
    }
}

/// Whether a process has been killed and only its files are still being closed: a server with
/// thousands of them takes seconds for that on a busy machine, and whoever restarts it comes first.
fn is_dying(process: u32) -> bool {
    std::fs::read(format!("/proc/{process}/cmdline")).map_or(true, |line| line.is_empty())
}

/// Removes control groups of executions that have ended and left a daemon alone, or that never
/// came to a start, once they are empty. Those that somebody is in, or about to be, stay.
fn sweep_groups(storage: &Storage) {
    let Ok(own) = Cgroup::own() else { return };
    for name in own.children() {
        let id = name.strip_prefix("stepflow-").and_then(|id| id.parse::<ExecutionId>().ok());
        // Another storage's are none of our business.
        let ours = id.filter(|id| storage.record_dir(*id).exists());
        if ours.is_some_and(|id| matches!(storage.is_alive(id), Ok(false))) {
            let _ = own.child(&name).remove(); // Not empty: the kernel refuses.
        }
    }
}

async fn take_lock(storage: &Storage) -> Result<WriterLock, OpenError> {
    let begun = Instant::now();
    loop {
        match WriterLock::try_take(storage).map_err(OpenError::system("take the writer lock"))? {
            Some(lock) => return Ok(lock),
            None if begun.elapsed() < LOCK_WITHIN
                || (WriterLock::holder(storage).is_some_and(is_dying)
                    && begun.elapsed() < DYING_WITHIN) =>
            {
                sleep(Duration::from_millis(25)).await;
            }
            None => {
                return Err(OpenError::Locked {
                    path: storage.root().to_owned(),
                    holder: WriterLock::holder(storage),
                });
            }
        }
    }
}

/// Makes the record, commits its row, and admits it.
async fn make(core: &Arc<Core>, prepared: Prepared) -> Result<Arc<Handle>, CreateError> {
    let Prepared { spec, secrets } = prepared;
    let storage = core.storage.clone();
    let env = environment::whole(spec.id, &spec.env, &secrets, spec.pty.is_some());
    let made = blocking(move || {
        let made = storage.create(&spec).and_then(|created| {
            let view = RecordView::open(&storage, created.id)?;
            Ok((created, view))
        });
        if made.is_err() {
            // Not accepted, so nothing may be left that somebody could start. The id is new: no
            // other record has this directory.
            let _ = storage.close_execution(spec.id);
            let _ = std::fs::remove_dir_all(storage.record_dir(spec.id));
        }
        made
    });
    let (created, view) = made.await.ok_or(CreateError::Closing)??;
    let handle = Arc::new(Handle::new(&core.storage, view));
    handle.publish();
    core.registry().insert(Arc::clone(&handle));
    if let Err(error) = core.write(handle.read(project::rows)).await {
        // The record exists: it gets its end, and the catalog learns of it when it can.
        drop(created);
        admit::settle(core, &handle, project::not_started()).await;
        core.tasks.spawn(follow::follow(Arc::clone(core), handle));
        return Err(error.into());
    }
    core.feed.changed(handle.id(), None);
    core.admission().push(Waiting { handle: Arc::clone(&handle), created, env });
    core.pump();
    Ok(handle)
}
