//! Who may run now, and who waits: first in, first out.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    io,
    os::unix::net::UnixStream as StdUnixStream,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use stepflow_model::{ExecutionId, NoteKind, Reason};
use stepflow_record::{Created, RecordView};
use tokio::io::AsyncReadExt;

use crate::{
    core::{Core, blocking},
    follow,
    handle::Handle,
};

/// Longest message of a recorder that could not start.
const PROBLEM_BYTES_MAX: u64 = 4096;
/// A recorder says that it has started, or ends, within this time, unless the disk hangs.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// An accepted execution that is not started yet. It holds the claim: nobody takes it for dead.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) handle: Arc<Handle>,
    pub(crate) created: Created,
    /// The script's whole environment: secrets are here and nowhere else.
    pub(crate) env: Vec<(OsString, OsString)>,
}

#[derive(Debug)]
pub(crate) struct Admission {
    max_running: usize,
    running: HashSet<ExecutionId>,
    /// In id order, which is the order of creation.
    waiting: BTreeMap<ExecutionId, Waiting>,
}

impl Admission {
    pub(crate) fn new(max_running: usize) -> Self {
        Self { max_running: max_running.max(1), running: HashSet::new(), waiting: BTreeMap::new() }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait, how many run, and how many may.
    pub(crate) fn figures(&self) -> (u64, u64, u64) {
        (self.waiting.len() as u64, self.running.len() as u64, self.max_running as u64)
    }

    /// One that runs already, found at the start.
    pub(crate) fn found_running(&mut self, id: ExecutionId) {
        self.running.insert(id);
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.waiting.insert(waiting.handle.id(), waiting);
    }

    /// Takes a waiting one out, for a cancel.
    pub(crate) fn remove(&mut self, id: ExecutionId) -> Option<Waiting> {
        self.waiting.remove(&id)
    }

    /// Lets all claims of waiting ones go, at the shutdown.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    fn next(&mut self) -> Option<Waiting> {
        if self.running.len() >= self.max_running {
            return None;
        }
        let (id, waiting) = self.waiting.pop_first()?;
        self.running.insert(id);
        Some(waiting)
    }
}

impl Core {
    /// Starts what may run now.
    pub(crate) fn pump(self: &Arc<Self>) {
        while !self.shutdown.is_cancelled() {
            let Some(waiting) = self.admission().next() else { return };
            self.tasks.spawn(launch(Arc::clone(self), waiting));
        }
    }

    /// `id` has ended: its place is free.
    pub(crate) fn leave(self: &Arc<Self>, id: ExecutionId) {
        let left = self.admission().running.remove(&id);
        if left {
            self.pump();
        }
    }
}

/// Starts the recorder of an admitted execution, then follows the record.
async fn launch(core: Arc<Core>, waiting: Waiting) {
    let Waiting { handle, created, env } = waiting;
    let starter = Arc::clone(&core);
    let started = blocking(move || starter.starter.start(&starter.storage, created, env))
        .await
        .unwrap_or_else(|| Err(io::Error::other("the starting thread was lost")));
    match started {
        Ok(launched) => {
            core.counters.recorders_started.fetch_add(1, Relaxed);
            if let Some(child) = launched.child {
                let _ = core.reaper.send((Arc::clone(&handle), child)).await;
            }
            core.tasks.spawn(hear_link(Arc::clone(&core), Arc::clone(&handle), launched.link));
        }
        Err(error) => {
            tracing::error!(execution = %handle.id(), %error, "cannot start a recorder");
            core.counters.recorders_failed.fetch_add(1, Relaxed);
            handle.set_start_problem(format!("cannot start the recorder: {error}"));
        }
    }
    core.tasks.spawn(follow::follow(Arc::clone(&core), handle));
}

/// Hears whether the recorder has started, and in what words it failed to; then that it has ended,
/// so that its follower looks at once.
async fn hear_link(core: Arc<Core>, handle: Arc<Handle>, link: StdUnixStream) {
    let ready = || {
        link.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(link)
    };
    let Ok(mut link) = ready() else { return handle.poke.notify_one() };
    let hear = async {
        let mut said = Vec::new();
        let mut link = (&mut link).take(PROBLEM_BYTES_MAX);
        while !said.contains(&b'\n') && link.read_buf(&mut said).await? > 0 {}
        io::Result::Ok(said)
    };
    let said = tokio::select! {
        said = tokio::time::timeout(STARTED_WITHIN, hear) => said,
        () = core.shutdown.cancelled() => return,
    };
    if let Ok(Ok(said)) = said {
        let said = String::from_utf8_lossy(&said);
        if let Some(problem) = said.strip_prefix("failed ") {
            handle.set_start_problem(problem.trim().to_owned());
        } else if said.is_empty() {
            handle.set_start_problem("the recorder ended before it started the script".to_owned());
        }
    }
    handle.poke.notify_one();
    let mut more = [0];
    tokio::select! {
        // It says no more, and holds its end for life.
        _ = link.read(&mut more) => handle.poke.notify_one(),
        () = core.shutdown.cancelled() => {}
    }
}

/// Writes the verdict over an execution whose claim is free, with `unstarted` if it never started.
/// Returns whether it has ended now.
pub(crate) async fn settle(core: &Core, handle: &Arc<Handle>, unstarted: NoteKind) -> bool {
    let (storage, target) = (core.storage.clone(), Arc::clone(handle));
    let settled = blocking(move || {
        // A view of its own: recovery may read a long log, and nobody should wait for that.
        let mut view = RecordView::open(&storage, target.id())?;
        let ended = view.settle(|| unstarted)?;
        target.replace(view);
        Ok::<_, stepflow_record::RecordError>(ended)
    })
    .await;
    match settled {
        Some(Ok(ended)) => {
            core.counters.verdicts.fetch_add(u64::from(ended), Relaxed);
            ended
        }
        Some(Err(error)) => {
            tracing::error!(execution = %handle.id(), %error, "cannot write the verdict");
            false
        }
        None => false,
    }
}

pub(crate) fn cancelled_before_start(by: &str) -> NoteKind {
    let who = if by.is_empty() { String::new() } else { format!(" by {by}") };
    NoteKind::NotStarted {
        reason: Reason::User,
        message: format!("cancelled{who} before the start"),
    }
}
