//! Maintenance in slices: between two of them the writer takes whatever waits.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::{CatalogError, reader::FileFigures};

/// Rows that ANALYZE looks at per index: enough for the planner, and a bound on the time.
const ANALYSIS_ROWS: u32 = 400;
/// Pages that one slice gives back.
const SLICE_PAGES: u64 = 64;
/// Most pages that one run gives back (64 MiB); the next goes on.
const RUN_PAGES_MAX: u64 = 16_384;
/// Free pages that a run by itself leaves for the rows to come (1 MiB).
const KEEP_PAGES: u64 = 256;
/// Tables whose statistics a run that was asked for makes anew.
const TABLES: [&str; 7] =
    ["execution", "execution_tag", "step", "artifact", "test_run", "token", "session"];

/// What one run of the maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// The files before it.
    pub before: FileFigures,
    /// The files after it.
    pub after: FileFigures,
    /// Tables whose statistics were made anew.
    pub analyzed: u32,
    /// Pages that were given back to the file system.
    pub pages_freed: u64,
    /// Slices it took; writes go on between them.
    pub slices: u32,
    /// The longest of them: how long a write waited at most.
    pub longest_slice: Duration,
    /// From beginning to end, with what was written between.
    pub took: Duration,
    /// A reader kept the checkpoint from emptying the WAL.
    pub checkpoint_blocked: bool,
}

/// Told when a run is over, on the writer thread; dropped when the catalog is closed before.
pub type MaintainedReply = Box<dyn FnOnce(Result<Maintained, CatalogError>) + Send>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Analyze(usize),
    Optimize,
    Vacuum,
    Checkpoint,
}

/// A run that is under way.
pub(crate) struct Run {
    next: Next,
    asked: bool,
    begun: Instant,
    pub(crate) done: Maintained,
    /// Those who asked; as many as there are callers, who are bounded by their connections.
    pub(crate) replies: Vec<MaintainedReply>,
}

/// What is to be done after a slice.
pub(crate) enum After {
    /// Another slice.
    Slice,
    /// The checkpoint, which the writer does, and then the run is over.
    Checkpoint,
}

impl Run {
    /// `asked`: somebody wants everything done; else what is worth it.
    pub(crate) fn new(before: FileFigures, asked: bool) -> Self {
        let done = Maintained {
            before,
            after: before,
            analyzed: 0,
            pages_freed: 0,
            slices: 0,
            longest_slice: Duration::ZERO,
            took: Duration::ZERO,
            checkpoint_blocked: false,
        };
        let next = if asked { Next::Analyze(0) } else { Next::Optimize };
        Self { next, asked, begun: Instant::now(), done, replies: Vec::new() }
    }

    /// Does one bounded piece of the work.
    pub(crate) fn slice(&mut self, db: &Connection) -> rusqlite::Result<After> {
        let begun = Instant::now();
        match self.next {
            Next::Analyze(at) => {
                db.pragma_update(None, "analysis_limit", ANALYSIS_ROWS)?;
                db.execute_batch(&format!("ANALYZE {}", TABLES[at]))?;
                self.done.analyzed += 1;
                let next = at + 1;
                self.next = if next < TABLES.len() { Next::Analyze(next) } else { Next::Optimize };
            }
            Next::Optimize => {
                db.pragma_update(None, "analysis_limit", ANALYSIS_ROWS)?;
                // 0x10002: look at all tables, not only at those this connection has queried.
                drain(db, "PRAGMA optimize(0x10002)")?;
                self.next = Next::Vacuum;
            }
            Next::Vacuum => {
                let free = free_pages(db)?;
                let keep = if self.asked { 0 } else { KEEP_PAGES };
                let left = RUN_PAGES_MAX - self.done.pages_freed.min(RUN_PAGES_MAX);
                let pages = free.saturating_sub(keep).min(SLICE_PAGES).min(left);
                if pages == 0 {
                    self.next = Next::Checkpoint;
                } else {
                    drain(db, &format!("PRAGMA incremental_vacuum({pages})"))?;
                    let freed = free - free_pages(db)?.min(free);
                    self.done.pages_freed += freed;
                    if freed == 0 {
                        self.next = Next::Checkpoint; // A file without auto_vacuum gives none back.
                    }
                }
            }
            Next::Checkpoint => {}
        }
        self.note(begun.elapsed());
        Ok(if self.next == Next::Checkpoint { After::Checkpoint } else { After::Slice })
    }

    /// Counts a slice that took this long.
    pub(crate) fn note(&mut self, took: Duration) {
        self.done.slices += 1;
        self.done.longest_slice = self.done.longest_slice.max(took);
        self.done.took = self.begun.elapsed();
    }
}

fn free_pages(db: &Connection) -> rusqlite::Result<u64> {
    db.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0)).map(|n| n as u64)
}

/// Runs a statement to its end, whatever rows it gives: some pragmas work row by row.
fn drain(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
