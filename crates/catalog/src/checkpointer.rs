//! The thread that moves the WAL into the database beside the writer, so that no write waits for the
//! disk to sync.
//!
//! It moves what it can without waiting for anybody, whenever the WAL has grown by so many pages. Only
//! the writer lets the WAL begin anew, when it has become long: then little is left to move.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, InterruptHandle};

use crate::{CatalogError, Options, open, stats::Stats};

/// The WAL begins anew once it has so many times the pages at which some are moved: often enough to
/// stay in memory, seldom enough that hardly a write meets the syncs that this takes.
const ROUNDS: u32 = 12;

/// Bytes of a page in the WAL, with its header.
const FRAME_BYTES: u64 = 4096 + 24;

/// How long the writer waits for those who still read the WAL before it begins anew: a usual read.
pub(crate) const RESTART_WAITS: Duration = Duration::from_millis(2);

/// Who ends the thread tells it so this often while it works.
const INTERRUPT_EVERY: Duration = Duration::from_millis(1);

/// The writer's side. Dropping it ends the thread.
pub(crate) struct Checkpointer {
    shared: Arc<Shared>,
    interrupt: InterruptHandle,
    thread: Option<JoinHandle<()>>,
    /// Pages in the WAL after the last commit.
    pages: Arc<AtomicU32>,
    /// How many there were when the thread was last asked to move some.
    asked_at: u32,
    /// How many there must be before the WAL is to begin anew.
    restart_at: u32,
    limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    /// More pages than were in the WAL, for which some are moved.
    round: u32,
    /// Pages with which the WAL is to begin anew.
    restart: u32,
}

impl Limits {
    /// `None`: the WAL is moved only when nothing happens.
    fn of(options: &Options) -> Option<Self> {
        let round = options.wal_autocheckpoint;
        let most = u32::try_from(options.wal_bytes_max / 4 * 3 / FRAME_BYTES).unwrap_or(u32::MAX);
        let restart = round.saturating_mul(ROUNDS).min(most).max(1);
        (round > 0).then_some(Self { round: round.min(restart), restart })
    }
}

/// What the writer has to do about the WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// To let it begin anew.
    Restart,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    wanted: bool,
    working: bool,
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic happens under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to move; `None`: it is over.
    fn begin(&self) -> Option<Working<'_>> {
        let mut state = self.lock();
        while !state.wanted && !state.over {
            state = self.wait(state);
        }
        if state.over {
            return None;
        }
        (state.wanted, state.working) = (false, true);
        Some(Working(self))
    }
}

/// Pages are being moved. Over when dropped, whatever happens: the writer waits for it.
struct Working<'a>(&'a Shared);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.lock().working = false;
        self.0.changed.notify_all();
    }
}

impl Checkpointer {
    /// Starts the thread beside the connection `db` that writes `path`, which from now on moves no page
    /// by itself. `None`: nothing is to be moved under writes.
    ///
    /// To be called before anybody can have put another file under the name.
    pub(crate) fn start(
        db: &mut Connection,
        path: &Path,
        options: &Options,
        stats: &Arc<Stats>,
    ) -> Result<Option<Self>, CatalogError> {
        let Some(limits) = Limits::of(options) else { return Ok(None) };
        let own = open::checkpointing(path)?;
        let interrupt = own.get_interrupt_handle();
        let shared = Arc::new(Shared::default());
        let (here, stats, place) = (Arc::clone(&shared), Arc::clone(stats), path.to_owned());
        let thread = thread::Builder::new()
            .name("catalog-wal".to_owned())
            .spawn(move || {
                while let Some(_working) = here.begin() {
                    move_pages(&own, &place, &stats);
                }
            })
            .map_err(|error: io::Error| {
                CatalogError::io("start the checkpoints of", path, error)
            })?;
        let pages = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&pages);
        let started = Self {
            shared,
            interrupt,
            thread: Some(thread),
            pages,
            asked_at: 0,
            restart_at: limits.restart,
            limits,
        };
        // Last: with it the connection moves no page any more.
        db.wal_hook(Some(move |_: &mut _, pages| {
            counted.store(u32::try_from(pages).unwrap_or_default(), Relaxed);
            Ok(())
        }))
        .map_err(|error| CatalogError::sql("watch the WAL of", path, error))?;
        Ok(Some(started))
    }

    /// Something was committed: has pages moved, if there are enough of them.
    pub(crate) fn committed(&mut self) -> Due {
        let pages = self.pages.load(Relaxed);
        if pages < self.asked_at {
            (self.asked_at, self.restart_at) = (0, self.limits.restart); // It has begun anew.
        }
        if pages - self.asked_at >= self.limits.round {
            self.asked_at = pages;
            self.shared.lock().wanted = true;
            self.shared.changed.notify_all();
        }
        if pages < self.restart_at {
            return Due::Nothing;
        }
        // While it works the WAL may grow for another while: then there is less left to wait for.
        let late = pages >= self.restart_at.saturating_add(self.limits.restart / 2);
        let state = self.shared.lock();
        if late || !(state.working || state.wanted) { Due::Restart } else { Due::Nothing }
    }

    /// Waits until the thread moves nothing; it begins again only when [`Checkpointer::committed`] says.
    pub(crate) fn pause(&self) {
        let mut state = self.shared.lock();
        state.wanted = false;
        while state.working {
            state = self.shared.wait(state);
        }
    }

    /// The WAL begins anew with the next commit.
    pub(crate) fn begun_anew(&mut self) {
        self.pages.store(0, Relaxed);
        (self.asked_at, self.restart_at) = (0, self.limits.restart);
    }

    /// Somebody who reads keeps the WAL from beginning anew: to be tried again a round later.
    pub(crate) fn held(&mut self) {
        self.restart_at = self.pages.load(Relaxed).saturating_add(self.limits.round);
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.over = true;
        self.shared.changed.notify_all();
        while state.working {
            // Again and again: only what has begun hears it, and this may be about to.
            self.interrupt.interrupt();
            let waited = self.shared.changed.wait_timeout(state, INTERRUPT_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // A panic has been reported.
        }
    }
}

/// Moves what nobody who reads still needs as it was. What fails is left in the WAL, where nothing is
/// lost: the next time, or the writer, which then says so, moves it.
fn move_pages(db: &Connection, path: &Path, stats: &Stats) {
    let moved = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    match moved {
        Ok(()) => {
            stats.checkpoints.fetch_add(1, Relaxed);
        }
        Err(error) => stats.note(&CatalogError::sql("checkpoint", path, error)),
    }
}
