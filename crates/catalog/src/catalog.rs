use std::{
    fs, io,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::{
    CatalogError, Maintained, Reader, Writer, migration, open,
    stats::Stats,
    writer::{Message, QUEUE_BATCHES_MAX, WriterThread},
};

/// How long a copy waits for somebody who changes the file's form.
const COPY_WAITS: Duration = Duration::from_secs(10);

/// What the catalog is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// For long: many readers, and a checkpoint whenever nothing happens.
    Server,
    /// For one command: few readers, and one checkpoint at the end.
    Command,
}

/// Each keeps a cache, and in the server a thread while it reads.
const READERS_MAX: usize = 32;

/// How the catalog is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Most of the file that each reader maps into memory; 0: none. SQLite gives the mapping up after
    /// each commit, and maps anew with the next question.
    pub mmap_bytes: u64,
    /// Most connections that read at the same time; they are opened when needed. At least 1. More than
    /// there are processors: who waits for one sleeps and has to be woken.
    pub readers: usize,
    /// Pages that the connection that writes keeps in memory (4 KiB each).
    pub cache_pages: u32,
    /// Pages by which the WAL grows before they are moved into the database; 0: only when nothing happens.
    pub wal_autocheckpoint: u32,
    /// Whether a thread of its own moves them, beside what is written; else the commit that finds so
    /// many.
    pub checkpoint_beside: bool,
    /// How long a connection waits for another process's lock before it says
    /// [`CatalogError::Busy`].
    pub busy_timeout: Duration,
    /// The WAL is moved into the database when it is larger than this; should somebody else's reader
    /// keep it from that, nothing more is written.
    pub wal_bytes_max: u64,
    /// A connection that reads is waited for no longer than this, and one that has read for longer is
    /// ended when something is written.
    pub reader_within: Duration,
    /// How long nothing must be written before the WAL is moved into the database; `None`: never.
    pub idle_checkpoint: Option<Duration>,
}

impl From<Role> for Options {
    fn from(role: Role) -> Self {
        let (mmap_bytes, busy_timeout) = (0, Duration::from_secs(5));
        let (cache_pages, wal_autocheckpoint) = (10_000, 1_000);
        let (wal_bytes_max, reader_within) = (open::WAL_BYTES_MAX, Duration::from_secs(5));
        match role {
            Role::Server => Self {
                mmap_bytes,
                readers: (2 * thread::available_parallelism().map_or(2, NonZero::get))
                    .min(READERS_MAX),
                cache_pages,
                wal_autocheckpoint,
                checkpoint_beside: true,
                busy_timeout,
                wal_bytes_max,
                reader_within,
                idle_checkpoint: Some(Duration::from_secs(5)),
            },
            Role::Command => Self {
                mmap_bytes,
                readers: 2,
                cache_pages,
                wal_autocheckpoint,
                checkpoint_beside: false,
                busy_timeout,
                wal_bytes_max,
                reader_within,
                idle_checkpoint: None,
            },
        }
    }
}

/// An open catalog: owns the thread that writes and the connections that read.
///
/// Open it only while holding the storage's writer lock. Dropping it closes it, without saying
/// whether that went well.
#[derive(Debug)]
pub struct Catalog {
    path: PathBuf,
    writer: Writer,
    reader: Reader,
    thread: Option<JoinHandle<()>>,
}

impl Catalog {
    /// Opens the catalog in `path`, making directory and file where there is none, and upgrading
    /// a file of an older release.
    pub fn open(path: &Path, role: Role) -> Result<Self, CatalogError> {
        Self::open_with(path, role.into())
    }

    /// [`Catalog::open`] with other settings than those of a role.
    pub fn open_with(path: &Path, options: Options) -> Result<Self, CatalogError> {
        let db = open::writing(path, &options)?;
        let (sender, receiver) = mpsc::sync_channel(QUEUE_BATCHES_MAX);
        let stats = Arc::new(Stats::default());
        let reader = Reader::new(path, options.clone(), Arc::clone(&stats));
        let beside = options.checkpoint_beside;
        let mut writer = WriterThread::new(db, path.to_owned(), options, Arc::clone(&stats))
            .beside(Arc::clone(&reader.pool));
        if beside {
            writer = writer.beside_checkpoints()?;
        }
        let thread = thread::Builder::new()
            .name("catalog-writer".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| CatalogError::io("start the writer of", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            writer: Writer { sender, stats },
            reader,
            thread: Some(thread),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The way to write.
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// The way to read.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Empties executions, steps, artifacts and statistics in one transaction, for rebuilding them
    /// from the records. Tokens and sessions stay. Comes after everything submitted before.
    pub fn reset_projection(&self) -> Result<(), CatalogError> {
        self.writer.ask(Message::ResetProjection)
    }

    /// Moves the WAL into the database and empties it. A reader in the midst of a long query may
    /// keep part of it there; that is no error.
    pub fn checkpoint_truncate(&self) -> Result<(), CatalogError> {
        self.writer.ask(Message::Checkpoint)
    }

    /// [`Writer::optimize`], waited for.
    pub fn optimize(&self) -> Result<Maintained, CatalogError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.writer.optimize(Box::new(move |done| drop(sender.send(done))));
        receiver.recv().unwrap_or(Err(CatalogError::Closed))
    }

    /// Size of the WAL: what a checkpoint would move.
    pub fn wal_bytes(&self) -> u64 {
        fs::metadata(open::beside(&self.path, "-wal")).map_or(0, |wal| wal.len())
    }

    /// Writes what was submitted, moves the WAL into the database and ends the thread. [`Writer`]s
    /// that are left say [`CatalogError::Closed`]; [`Reader`]s go on reading.
    pub fn close(mut self) -> Result<(), CatalogError> {
        self.shut()
    }

    fn shut(&mut self) -> Result<(), CatalogError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.reader.close_idle(); // The last to close removes the WAL: that should be the writer.
        let closed = self.writer.ask(Message::Close);
        match thread.join() {
            Ok(()) => closed,
            Err(_) => Err(CatalogError::Closed), // It panicked, which has been reported.
        }
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        let _ = self.shut();
    }
}

/// Copies a catalog as it is now to `target`, which is written over and synced. Whoever writes it
/// goes on meanwhile.
pub fn copy(path: &Path, target: &Path) -> Result<(), CatalogError> {
    open::check_sqlite(rusqlite::version_number())?;
    let sql = |error| CatalogError::sql("open for reading", path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(sql)?;
    db.busy_timeout(COPY_WAITS).map_err(sql)?;
    db.execute_batch("PRAGMA temp_store = MEMORY").map_err(sql)?;
    migration::copy_into(&db, path, target)
}

/// Sets a damaged catalog aside, together with its WAL, and returns where it is now.
///
/// `label` tells it from others, such as a time; a file that is there already is an error.
pub fn set_aside(path: &Path, label: &str) -> Result<PathBuf, CatalogError> {
    let aside = open::beside(path, &format!(".damaged-{label}"));
    if aside.exists() {
        let error = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(CatalogError::io("set the catalog aside as", &aside, error));
    }
    for suffix in ["-wal", ""] {
        let (from, to) = (open::beside(path, suffix), open::beside(&aside, suffix));
        match fs::rename(&from, &to) {
            Err(error) if suffix.is_empty() || error.kind() != io::ErrorKind::NotFound => {
                return Err(CatalogError::io("set aside", &from, error));
            }
            _ => {}
        }
    }
    open::remove(&open::beside(path, "-shm"))?;
    open::sync_directory(path)?;
    Ok(aside)
}
