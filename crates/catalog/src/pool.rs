//! The connections that only read: a few, lent one at a time, taken back from whoever keeps one for too
//! long, and replaced together when the file is.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use rusqlite::{Connection, InterruptHandle};

use crate::{CatalogError, Options, open, stats::Stats};

/// What is wrong with a catalog's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Something that was read or written said that the file is damaged.
    Damaged,
    /// The file is not under its name any more, or another one is.
    Gone,
}

#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) path: PathBuf,
    options: Options,
    pub(crate) stats: Arc<Stats>,
    state: Mutex<PoolState>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    idle: Vec<Connection>,
    /// Idle and lent ones.
    open: usize,
    /// Grows when the file is replaced: connections of an earlier one are closed when they return.
    generation: u64,
    /// As few as there are connections.
    lent: Vec<Loan>,
    loans: u64,
    /// How many wait for one: to wake nobody is a system call as well.
    waiting: usize,
    /// The file that is read, by device and number, once somebody has opened it.
    file: Option<(u64, u64)>,
}

/// A connection that is in use.
struct Loan {
    number: u64,
    since: Instant,
    interrupt: InterruptHandle,
}

impl std::fmt::Debug for Loan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loan").field("since", &self.since).finish_non_exhaustive()
    }
}

/// A connection that goes back to the pool.
pub(crate) struct Lent<'a> {
    pool: &'a Pool,
    db: Option<Connection>,
    generation: u64,
    loan: Option<u64>,
}

/// Which file stands under a name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl Pool {
    pub(crate) fn new(path: &Path, options: Options, stats: Arc<Stats>) -> Self {
        Self {
            path: path.to_owned(),
            options,
            stats,
            state: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        // Nothing that can panic happens under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn close_idle(&self) {
        let mut state = self.lock();
        state.open -= state.idle.len();
        self.stats.readers_open.store(state.open as u64, Relaxed);
        state.idle.clear();
    }

    /// The file is about to be replaced: nobody gets a connection to the one that is there now.
    pub(crate) fn renew(&self) {
        self.close_idle();
        let mut state = self.lock();
        state.generation += 1;
        state.file = None;
        for loan in &state.lent {
            loan.interrupt.interrupt();
        }
    }

    /// Notes which file is read and written from now on.
    pub(crate) fn opened(&self) {
        let file = identity(&self.path);
        self.lock().file = file;
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        if self.stats.damaged.load(Relaxed) {
            return Some(Fault::Damaged);
        }
        let opened = self.lock().file;
        (opened.is_some() && identity(&self.path) != opened).then_some(Fault::Gone)
    }

    /// Ends what has been read for longer than this, at its next row or page: what it still sees
    /// keeps the WAL from being emptied.
    pub(crate) fn end_older(&self, than: Duration) {
        for loan in self.lock().lent.iter().filter(|loan| loan.since.elapsed() > than) {
            self.stats.readers_ended.fetch_add(1, Relaxed);
            loan.interrupt.interrupt();
        }
    }

    /// A connection: an idle one, a new one, or, when all are lent, the next that comes back.
    ///
    /// # Errors
    /// [`CatalogError::Crowded`]: none came back within the busy timeout.
    pub(crate) fn take(&self) -> Result<Lent<'_>, CatalogError> {
        let asked = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(db) = state.idle.pop() {
                self.stats.readers_lent.fetch_add(1, Relaxed);
                return Ok(self.lend(&mut state, db));
            }
            if state.open < self.options.readers.max(1) {
                break;
            }
            // Waiting for ever, threads would be used up that read logs.
            let left = self.options.reader_within.saturating_sub(asked.elapsed());
            if left.is_zero() {
                return Err(CatalogError::Crowded { path: self.path.clone() });
            }
            state.waiting += 1;
            let waited = self.returned.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
        state.open += 1;
        self.stats.readers_open.store(state.open as u64, Relaxed);
        self.stats.readers_lent.fetch_add(1, Relaxed);
        let generation = state.generation;
        drop(state);
        // Dropped with its place if the file cannot be opened.
        let mut lent = Lent { pool: self, db: None, generation, loan: None };
        let db = open::reading(&self.path, &self.options)?;
        let mut state = self.lock();
        let loan = Self::note(&mut state, &db);
        drop(state);
        (lent.db, lent.loan) = (Some(db), Some(loan));
        Ok(lent)
    }

    fn lend(&self, state: &mut PoolState, db: Connection) -> Lent<'_> {
        let loan = Self::note(state, &db);
        Lent { pool: self, db: Some(db), generation: state.generation, loan: Some(loan) }
    }

    fn note(state: &mut PoolState, db: &Connection) -> u64 {
        state.loans += 1;
        let (number, interrupt) = (state.loans, db.get_interrupt_handle());
        state.lent.push(Loan { number, since: Instant::now(), interrupt });
        number
    }
}

impl Lent<'_> {
    pub(crate) fn get(&self) -> &Connection {
        self.db.as_ref().expect("`take` puts a connection in before it hands this out")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        if let Some(loan) = self.loan {
            state.lent.retain(|lent| lent.number != loan);
        }
        match self.db.take() {
            Some(db) if self.generation == state.generation => state.idle.push(db),
            _ => state.open -= 1, // It could not be opened, or reads a file that was replaced.
        }
        self.pool.stats.readers_open.store(state.open as u64, Relaxed);
        self.pool.stats.readers_lent.fetch_sub(1, Relaxed);
        let awaited = state.waiting > 0;
        drop(state);
        if awaited {
            self.pool.returned.notify_one();
        }
    }
}
