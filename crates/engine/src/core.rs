//! What all tasks of an engine share.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::PathBuf,
    process::Child,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stepflow_catalog::{CatalogError, Change, ListQuery, Reader, Statistics, Writer};
use stepflow_model::{ExecutionId, LogSync, Summary};
use stepflow_record::{MinFree, Storage};
use stepflow_recorder::Starter;
use stepflow_sys::host::SocketDir;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admit::Admission,
    feed::Feed,
    figures::Counters,
    handle::Handle,
    ingest::Ingest,
    mend::Mended,
    once::Keys,
    remembered::Remembered,
    request::Usual,
    retention::{Policy, Swept},
};

/// Ended executions whose folded state is kept for viewers that come again.
const RECENT_MAX: usize = 32;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) storage: Storage,
    pub(crate) starter: Starter,
    pub(crate) sockets: SocketDir,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) registry: Mutex<Registry>,
    pub(crate) admission: Mutex<Admission>,
    pub(crate) feed: Feed,
    /// Whoever changes records from outside has it: one at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// When output is made durable, of executions that do not say.
    pub(crate) log_sync: LogSync,
    /// What else holds for executions that do not say.
    pub(crate) usual: Usual,
    /// What must be free before a new execution is accepted.
    pub(crate) disk_min_free: MinFree,
    /// What is kept, and for how long.
    pub(crate) retention: Policy,
    /// One sweep at a time.
    pub(crate) sweeping: tokio::sync::Mutex<()>,
    /// The last one.
    pub(crate) swept: Mutex<Option<Swept>>,
    pub(crate) counters: Counters,
    /// What became of a catalog that was damaged or gone.
    pub(crate) mended: Mutex<Option<Mended>>,
    /// Questions to the catalog that are asked at once: further ones wait without a thread.
    pub(crate) asking: Semaphore,
    /// Pages of lists, one row more than was asked for, and how many rows there are in all.
    pub(crate) lists: Remembered<ListQuery, Arc<(Vec<Summary>, u64)>>,
    pub(crate) counted: Remembered<(), Statistics>,
    pub(crate) ingest: Ingest,
    /// Idempotency keys.
    pub(crate) keys: Arc<Keys>,
    pub(crate) reaper: mpsc::Sender<(Arc<Handle>, Child)>,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

/// Who is followed.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    live: HashMap<ExecutionId, Arc<Handle>>,
    /// Being made or opened by one task: nobody else may begin to follow them.
    reserved: HashSet<ExecutionId>,
    /// Could not be opened: said once, tried again at each start.
    broken: HashSet<ExecutionId>,
    recent: VecDeque<Arc<Handle>>,
}

impl Registry {
    /// Reserves `id` for the caller; `false`: somebody has it.
    pub(crate) fn reserve(&mut self, id: ExecutionId) -> bool {
        !self.live.contains_key(&id) && !self.broken.contains(&id) && self.reserved.insert(id)
    }

    /// Reserves `id` to remove it, broken or not; `false`: it is followed, or being opened.
    pub(crate) fn reserve_to_remove(&mut self, id: ExecutionId) -> bool {
        !self.live.contains_key(&id) && self.reserved.insert(id)
    }

    /// Forgets everything about a reserved one.
    pub(crate) fn removed(&mut self, id: ExecutionId) {
        self.reserved.remove(&id);
        self.broken.remove(&id);
        self.recent.retain(|known| known.id() != id);
    }

    pub(crate) fn release(&mut self, id: ExecutionId) {
        self.reserved.remove(&id);
    }

    pub(crate) fn set_broken(&mut self, id: ExecutionId) {
        self.reserved.remove(&id);
        self.broken.insert(id);
    }

    pub(crate) fn insert(&mut self, handle: Arc<Handle>) {
        self.reserved.remove(&handle.id());
        self.live.insert(handle.id(), handle);
    }

    pub(crate) fn live(&self, id: ExecutionId) -> Option<Arc<Handle>> {
        self.live.get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Handle>> {
        self.live.values().cloned().collect()
    }

    /// Moves `handle` from the live to the recent ones.
    pub(crate) fn ended(&mut self, handle: &Arc<Handle>) {
        self.live.remove(&handle.id());
        self.remember(handle);
    }

    pub(crate) fn remember(&mut self, handle: &Arc<Handle>) {
        self.recent.retain(|known| known.id() != handle.id());
        self.recent.push_back(Arc::clone(handle));
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    pub(crate) fn recent(&mut self, id: ExecutionId) -> Option<Arc<Handle>> {
        let at = self.recent.iter().position(|known| known.id() == id)?;
        let handle = self.recent.remove(at)?;
        self.recent.push_back(Arc::clone(&handle));
        Some(handle)
    }
}

impl Core {
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        // Nothing that can panic happens under the lock.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn socket(&self, id: ExecutionId) -> PathBuf {
        self.sockets.path(&Storage::socket_name(id))
    }

    /// Writes a batch; returns after the commit that holds it.
    ///
    /// Callers wait for the answer before they write again, so that the writer's queue has room:
    /// handing over does not block.
    pub(crate) async fn write(&self, batch: Vec<Change>) -> Result<(), CatalogError> {
        let (sender, receiver) = oneshot::channel();
        self.writer.submit(batch, Box::new(move |result| drop(sender.send(result))));
        receiver.await.unwrap_or(Err(CatalogError::Closed))
    }
}

/// Runs what blocks on a blocking thread; `None`: it panicked, or the runtime is going away.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
