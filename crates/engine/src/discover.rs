//! Open markers: looked at once at the start, then watched.

use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::Duration,
};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use stepflow_catalog::{CatalogError, Change};
use stepflow_model::{ExecutionId, Source};
use stepflow_record::{Created, Liveness, RecordError, RecordView};
use stepflow_sys::lock::Lock;
use tokio::{
    io::unix::AsyncFd,
    time::{MissedTickBehavior, interval},
};

use crate::{
    admit::Waiting,
    core::{Core, blocking},
    environment, follow,
    handle::Handle,
    project,
};

/// A look at the directory, should a notice have been lost.
const LOOK: Duration = Duration::from_secs(5);

/// What an open record needs.
enum Found {
    /// To be followed: it runs, or has ended, or needs a verdict.
    Follow(Arc<Handle>),
    /// Accepted by an earlier server and never started.
    Start(Waiting),
    /// Nothing: it is gone, or cannot be read.
    Nothing,
}

/// What the open markers named.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// To be followed.
    pub(crate) follow: Vec<Arc<Handle>>,
    /// Rows of those that wait for a place.
    pub(crate) rows: Vec<Change>,
}

impl Core {
    /// Looks at all open markers, oldest first, and follows or queues what they name. Blocks.
    pub(crate) fn open_all(self: &Arc<Self>) -> Result<Opened, RecordError> {
        let mut opened = Opened::default();
        for id in self.storage.open_executions()? {
            if !self.registry().reserve(id) {
                continue;
            }
            match self.open_one(id) {
                Found::Follow(handle) => opened.follow.push(handle),
                Found::Start(waiting) => {
                    opened.rows.extend(waiting.handle.read(project::rows));
                    waiting.handle.publish();
                    self.admission().push(waiting);
                }
                Found::Nothing => {}
            }
        }
        Ok(opened)
    }

    /// Opens a reserved record. Blocks.
    fn open_one(&self, id: ExecutionId) -> Found {
        match self.try_open(id) {
            Ok(found) => found,
            Err(RecordError::Missing { .. }) => {
                let _ = self.storage.close_execution(id); // The record has been removed.
                self.registry().release(id);
                Found::Nothing
            }
            Err(error) => {
                tracing::error!(execution = %id, %error, "cannot open a record");
                self.registry().set_broken(id);
                Found::Nothing
            }
        }
    }

    fn try_open(&self, id: ExecutionId) -> Result<Found, RecordError> {
        let mut view = RecordView::open(&self.storage, id)?;
        let liveness = view.liveness()?;
        let server = view.spec.source == Source::Server;
        let spec = view.spec.clone();
        if spec.source == Source::Ingest {
            view.close_files(); // There may be thousands.
        }
        let handle = Arc::new(Handle::new(&self.storage, view));
        self.registry().insert(Arc::clone(&handle));
        if spec.source == Source::Ingest && liveness != Liveness::Ended {
            self.ingest.adopt(&handle);
        }
        if server && liveness == Liveness::Alive {
            self.admission().found_running(id);
        }
        if !(server && liveness == Liveness::Unstarted) {
            return Ok(Found::Follow(handle));
        }
        // A recorder that came as far as a log is not started a second time: that is settled.
        let dir = self.storage.record_dir(id);
        let touched = dir.join("journal.ndjson").exists() || dir.join("output.idx").exists();
        if touched || dir.join("notes.ndjson").exists() {
            return Ok(Found::Follow(handle));
        }
        if !spec.mask_env.is_empty() {
            handle.set_start_problem(
                "the server was restarted before the start; it does not keep masked values"
                    .to_owned(),
            );
            return Ok(Found::Follow(handle));
        }
        let path = self.storage.claim(id);
        match Lock::try_take(&path) {
            Ok(Some(claim)) => {
                // Whoever made it may have been killed before all of it was synced.
                self.storage.create_again(id)?;
                Ok(Found::Start(Waiting {
                    env: environment::whole(id, &spec.env, &[], spec.pty.is_some()),
                    created: Created { id, claim },
                    handle,
                }))
            }
            Ok(None) => Ok(Found::Follow(handle)),
            Err(source) => Err(RecordError::Io { what: "lock", path, source }),
        }
    }

    /// Begins to follow `id`, unless somebody does already.
    pub(crate) fn adopt(self: &Arc<Self>, id: ExecutionId) {
        if self.shutdown.is_cancelled() || !self.registry().reserve(id) {
            return;
        }
        let core = Arc::clone(self);
        self.tasks.spawn(async move { drop(core.adopt_reserved(id).await) });
    }

    /// Opens a reserved record and follows it, or queues it. Returns its handle.
    pub(crate) async fn adopt_reserved(
        self: &Arc<Self>,
        id: ExecutionId,
    ) -> Result<Option<Arc<Handle>>, CatalogError> {
        let core = Arc::clone(self);
        let found = blocking(move || core.open_one(id)).await;
        match found {
            Some(Found::Follow(handle)) => {
                self.tasks.spawn(follow::follow(Arc::clone(self), Arc::clone(&handle)));
                Ok(Some(handle))
            }
            Some(Found::Start(waiting)) => {
                let handle = Arc::clone(&waiting.handle);
                handle.publish();
                self.write(handle.read(project::rows)).await?;
                self.admission().push(waiting);
                self.pump();
                Ok(Some(handle))
            }
            Some(Found::Nothing) => Ok(None),
            None => {
                self.registry().release(id);
                Ok(None)
            }
        }
    }

    fn look_at_markers(self: &Arc<Self>) {
        match self.storage.open_executions() {
            Ok(ids) => ids.into_iter().for_each(|id| self.adopt(id)),
            Err(error) => tracing::warn!(%error, "cannot list open executions"),
        }
    }
}

/// The id in the name of an open marker.
fn marker_id(name: &OsStr) -> Option<ExecutionId> {
    name.to_str()?.strip_suffix(".open")?.parse().ok()
}

struct Notices {
    inotify: Inotify,
    ready: AsyncFd<OwnedFd>,
}

impl Notices {
    fn new(dir: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        inotify.add_watch(dir, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe: the descriptor must stay open, which an `OwnedFd` does"
        )]
        let ready = AsyncFd::new(inotify.as_fd().try_clone_to_owned()?)?;
        Ok(Self { inotify, ready })
    }

    /// Waits for notices; `None`: some were lost, look at everything. Safe to cancel.
    async fn next(&mut self) -> io::Result<Option<Vec<ExecutionId>>> {
        loop {
            let mut guard = self.ready.readable().await?;
            match self.inotify.read_events() {
                Ok(events)
                    if events.iter().any(|e| e.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)) =>
                {
                    return Ok(None);
                }
                Ok(events) => {
                    let names = events.into_iter().filter_map(|event| event.name);
                    return Ok(Some(names.filter_map(|name| marker_id(&name)).collect()));
                }
                Err(nix::errno::Errno::EAGAIN) => guard.clear_ready(),
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Follows every execution that appears, until shutdown.
pub(crate) async fn watch(core: Arc<Core>) {
    let mut notices = Notices::new(&core.storage.run_dir())
        .inspect_err(|error| {
            tracing::warn!(%error, "cannot watch the run directory: looking every 5 s instead");
        })
        .ok();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let noticed = async {
            match &mut notices {
                Some(notices) => notices.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = core.shutdown.cancelled() => return,
            _ = look.tick() => core.look_at_markers(),
            ids = noticed => match ids {
                Ok(Some(ids)) => ids.into_iter().for_each(|id| core.adopt(id)),
                Ok(None) => core.look_at_markers(),
                Err(error) => {
                    tracing::warn!(%error, "cannot watch the run directory any more");
                    notices = None;
                }
            },
        }
    }
}
