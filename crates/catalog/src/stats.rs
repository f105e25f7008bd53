//! What the catalog counts about itself: atomics that cost nothing to keep, read at any time.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, Release},
    },
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};

use crate::CatalogError;

/// Upper ends of a histogram's buckets, microseconds; what is longer is in one more bucket.
///
/// 5 ms, the target for every operation of the database, is among them.
pub const BUCKETS_US: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000,
];

/// What took less has not waited for a disk: the kernel is not asked.
const DISK_ANSWERS_AFTER: Duration = Duration::from_micros(20);

/// How long something took, counted in buckets. No lock, no allocation.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&self, took: Duration) {
        let us = took.as_micros() as u64;
        let at = BUCKETS_US.partition_point(|end| *end < us);
        self.buckets[at].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// What it holds now.
    pub fn snapshot(&self) -> Durations {
        let buckets = std::array::from_fn(|at| self.buckets[at].load(Relaxed));
        Durations { buckets, sum_us: self.sum_us.load(Relaxed) }
    }
}

/// What a [`Histogram`] held at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many took at most as long as the end of the same number in [`BUCKETS_US`], and longer
    /// than the end before it; the last: longer than all of them.
    pub buckets: [u64; BUCKETS_US.len() + 1],
    /// All of them together, microseconds.
    pub sum_us: u64,
}

impl Durations {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The mean in seconds; `None`: there were none.
    pub fn mean_s(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum_us as f64 / 1e6 / count as f64)
    }

    /// The end, in seconds, of the bucket in which the share `share` (0 to 1) of them is reached;
    /// `None`: there were none. What is beyond the last end is said to be at it.
    pub fn quantile_s(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = ((count as f64 * share).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let at = self.buckets.iter().position(|bucket| {
            seen += bucket;
            seen >= wanted
        });
        let at = at.unwrap_or(0).min(BUCKETS_US.len() - 1);
        Some(BUCKETS_US[at] as f64 / 1e6)
    }

    /// How many took longer than `us`, which should be one of [`BUCKETS_US`].
    pub fn longer_than(&self, us: u64) -> u64 {
        let from = BUCKETS_US.partition_point(|end| *end <= us);
        self.buckets[from..].iter().sum()
    }
}

/// What the catalog counts about itself since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Grows after each commit that changes what lists and figures show; see [`crate::Reader::version`].
    pub(crate) version: AtomicU64,
    pub(crate) queued: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) batches_failed: AtomicU64,
    pub(crate) changes: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commits_durable: AtomicU64,
    pub(crate) commits_failed: AtomicU64,
    pub(crate) busy: AtomicU64,
    /// A transaction, from its begin to the end of its commit.
    pub(crate) commit: Histogram,
    /// A batch, from the moment it was handed over to its answer.
    pub(crate) write: Histogram,
    pub(crate) reads_failed: AtomicU64,
    /// A question, waiting for a connection included.
    pub(crate) read: Histogram,
    pub(crate) from_memory: AtomicU64,
    pub(crate) from_disk: AtomicU64,
    pub(crate) readers_open: AtomicU64,
    pub(crate) readers_lent: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) checkpoints_blocked: AtomicU64,
    pub(crate) maintenances: AtomicU64,
    /// Readers that were ended because they kept the WAL from being emptied.
    pub(crate) readers_ended: AtomicU64,
    /// Somebody was told that the file is damaged.
    pub(crate) damaged: AtomicBool,
}

/// What the catalog counted since it was opened; see [`crate::Reader::figures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; docs/operations.md says it to people")]
pub struct Figures {
    /// Batches that wait for the writer now.
    pub queued: u64,
    pub batches: u64,
    /// Nothing of these was written; their callers know.
    pub batches_failed: u64,
    /// Changes (rows and what belongs to them) that were committed.
    pub changes: u64,
    pub commits: u64,
    /// Of the commits: synced before they were answered.
    pub commits_durable: u64,
    pub commits_failed: u64,
    /// Another process held the lock for longer than the busy timeout.
    pub busy: u64,
    /// A transaction, from its begin to the end of its commit.
    pub commit: Durations,
    /// A batch, from the moment it was handed over to its answer.
    pub write: Durations,
    pub reads_failed: u64,
    /// A question, waiting for a connection included.
    pub read: Durations,
    /// Operations that needed nothing from the disk: all they touched was cached.
    pub from_memory: u64,
    /// Operations that waited for the disk to read something.
    pub from_disk: u64,
    /// Connections that read, idle ones included, and how many of them are in use.
    pub readers_open: u64,
    pub readers_lent: u64,
    pub checkpoints: u64,
    /// A reader kept a checkpoint from moving everything.
    pub checkpoints_blocked: u64,
    /// Runs of the maintenance.
    pub maintenances: u64,
    /// Readers that were ended because they kept the WAL from being emptied.
    pub readers_ended: u64,
}

impl Figures {
    /// Share of operations that needed nothing from the disk, 0 to 1; `None`: there were none.
    pub fn cache_hit_ratio(&self) -> Option<f64> {
        let all = self.from_memory + self.from_disk;
        (all > 0).then(|| self.from_memory as f64 / all as f64)
    }
}

impl Stats {
    /// Notes what an error says about the file.
    pub(crate) fn note(&self, error: &CatalogError) {
        // A row that nobody can have written, a table that is not there: a look through the file says.
        let suspicious = match error {
            CatalogError::BadRow { .. } => true,
            CatalogError::Sql { source, .. } => {
                source.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown)
            }
            error => error.is_corrupt(),
        };
        if suspicious {
            self.damaged.store(true, Relaxed);
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        Figures {
            queued: get(&self.queued),
            batches: get(&self.batches),
            batches_failed: get(&self.batches_failed),
            changes: get(&self.changes),
            commits: get(&self.commits),
            commits_durable: get(&self.commits_durable),
            commits_failed: get(&self.commits_failed),
            busy: get(&self.busy),
            commit: self.commit.snapshot(),
            write: self.write.snapshot(),
            reads_failed: get(&self.reads_failed),
            read: self.read.snapshot(),
            from_memory: get(&self.from_memory),
            from_disk: get(&self.from_disk),
            readers_open: get(&self.readers_open),
            readers_lent: get(&self.readers_lent),
            checkpoints: get(&self.checkpoints),
            checkpoints_blocked: get(&self.checkpoints_blocked),
            maintenances: get(&self.maintenances),
            readers_ended: get(&self.readers_ended),
        }
    }

    /// A batch that was handed over at `submitted` gets its answer.
    pub(crate) fn answered(&self, submitted: Instant, good: bool) {
        self.write.observe(submitted.elapsed());
        self.batches.fetch_add(1, Relaxed);
        if !good {
            self.batches_failed.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn committed(&self, changes: u64, durable: bool) {
        self.commits.fetch_add(1, Relaxed);
        self.commits_durable.fetch_add(u64::from(durable), Relaxed);
        self.changes.fetch_add(changes, Relaxed);
    }

    /// What was read before is not what would be read now.
    pub(crate) fn seen(&self) {
        self.version.fetch_add(1, Release);
    }

    /// Begins to watch an operation of this thread.
    pub(crate) fn watch(&self) -> Watch<'_> {
        Watch { stats: self, begun: Instant::now(), blocks: blocks_read() }
    }
}

/// One operation, watched.
pub(crate) struct Watch<'a> {
    stats: &'a Stats,
    begun: Instant,
    blocks: Option<i64>,
}

impl Watch<'_> {
    /// The operation is over. Returns how long it took.
    pub(crate) fn over(self) -> Duration {
        // SQLite's own hit counters are out of reach of safe code, and say nothing of the pages
        // that readers map. The kernel says what counts: whether this thread had to read a disk.
        let took = self.begun.elapsed();
        let after = (took >= DISK_ANSWERS_AFTER).then(blocks_read).flatten();
        match (self.blocks, after) {
            (Some(before), Some(after)) if after > before => &self.stats.from_disk,
            _ => &self.stats.from_memory,
        }
        .fetch_add(1, Relaxed);
        took
    }
}

/// Blocks that this thread has read from a disk, page faults included.
fn blocks_read() -> Option<i64> {
    getrusage(UsageWho::RUSAGE_THREAD).ok().map(|usage| usage.block_reads())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_took_at_most_its_end() {
        let histogram = Histogram::default();
        for us in [0, 250, 251, 5_000, 5_001, 60_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let found = histogram.snapshot();
        assert_eq!(found.buckets[..6], [2, 1, 0, 0, 1, 1]);
        assert_eq!((found.buckets[14], found.count()), (1, 6));
        assert_eq!(found.longer_than(5_000), 2);
        assert_eq!(found.sum_us, 250 + 251 + 5_000 + 5_001 + 60_000_000);
    }

    #[test]
    fn a_quantile_is_the_end_of_its_bucket() {
        let histogram = Histogram::default();
        assert_eq!(
            (histogram.snapshot().quantile_s(0.5), histogram.snapshot().mean_s()),
            (None, None)
        );
        for _ in 0..99 {
            histogram.observe(Duration::from_micros(700));
        }
        histogram.observe(Duration::from_secs(60));
        let found = histogram.snapshot();
        assert_eq!(found.quantile_s(0.5), Some(0.001));
        assert_eq!(found.quantile_s(0.99), Some(0.001));
        assert_eq!(
            found.quantile_s(1.0),
            Some(10.0),
            "what is longer than all is said to be there"
        );
    }
}
