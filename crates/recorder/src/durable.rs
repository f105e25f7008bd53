//! When recorded output becomes safe, and what is said when the disk fails to make it so.
//!
//! A sync that succeeds proves what was written before it began, unless one has failed before: the
//! kernel then takes pages for clean that never reached the disk, and the next sync skips them
//! (<https://wiki.postgresql.org/wiki/Fsync_Errors>). So [`Durable::safe`] stays for ever where it
//! was at the first failure.

use std::{io, os::fd::BorrowedFd};

use stepflow_model::{ExecutionId, LogSync};

use crate::worker::{Files, Worker};

/// Output is safe at the latest this long after it was recorded, plus the sync in flight.
const SYNC_US: u64 = 1_000_000;
/// The first time not before this, and at a moment of its own: hundreds that begin together would ask
/// the disk together ever after.
const FIRST_US: u64 = SYNC_US / 4;
/// Or when this much is unsynced, whichever is first.
const SYNC_BYTES: u64 = 4 << 20;
/// Past this much unsynced output the script waits for the disk.
const UNSYNCED_MAX: u64 = 64 << 20;
/// What must not wait is synced at once, and so many microseconds after the sync before at the latest:
/// steps that follow one another by the hundred a second share one.
const URGENT_US: u64 = 20_000;
/// When one sync is in flight and one waits, the next look comes after this.
const LOOK_AGAIN_US: u64 = SYNC_US / 20;

/// What is safe of one record, and what is being done about the rest.
pub(crate) struct Durable {
    mode: LogSync,
    /// Bytes that a power cut cannot take.
    safe: u64,
    /// Bytes that the syncs asked for so far cover.
    asked: u64,
    /// When the newest of them was asked for.
    asked_us: Option<u64>,
    due: Option<u64>,
    /// How long output waits for the next sync.
    wait_us: u64,
    failed: bool,
    worker: Option<Worker<u64, (u64, io::Result<()>)>>,
}

impl Durable {
    pub(crate) fn new(mode: LogSync, id: ExecutionId) -> Self {
        // The last bytes of an id are random.
        let moment = id.as_bytes()[12..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Self {
            mode,
            safe: 0,
            asked: 0,
            asked_us: None,
            due: None,
            wait_us: FIRST_US + moment % (SYNC_US - FIRST_US),
            failed: false,
            worker: None,
        }
    }

    /// Bytes that a power cut cannot take.
    pub(crate) fn safe(&self) -> u64 {
        self.safe
    }

    /// When to look again, by the recorder's clock.
    pub(crate) fn due_us(&self) -> Option<u64> {
        self.due
    }

    /// Readable when a sync has returned.
    pub(crate) fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.worker.as_ref().map(Worker::bell)
    }

    /// Whether everything recorded is synced already, but for the journal.
    pub(crate) fn is_synced_first(&self) -> bool {
        self.mode == LogSync::Always
    }

    /// Whether so much is unsynced that the script must wait for the disk. One that has failed is
    /// not waited for: nothing would ever end that.
    pub(crate) fn must_wait(&self, recorded: u64) -> bool {
        self.mode != LogSync::Never
            && !self.failed
            && recorded.saturating_sub(self.safe) > UNSYNCED_MAX
    }

    /// Whether a sync should be asked for now that `recorded` bytes are recorded. `urgent`: something
    /// happened that a power cut must not take.
    pub(crate) fn wants_sync(&mut self, recorded: u64, now: u64, urgent: bool) -> bool {
        if urgent {
            let from = self.asked_us.map_or(now, |asked| asked + URGENT_US);
            if from <= now {
                return true;
            }
            self.due = Some(self.due.map_or(from, |due| due.min(from)));
        }
        if self.mode != LogSync::Interval {
            // A sync that could not be asked for when it was urgent is still due.
            return self.due.is_some_and(|due| due <= now);
        }
        if recorded > self.asked && self.due.is_none() {
            self.due = Some(now + std::mem::replace(&mut self.wait_us, SYNC_US));
        }
        self.due.is_some_and(|due| due <= now) || recorded.saturating_sub(self.asked) >= SYNC_BYTES
    }

    /// Whether a sync has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether the thread that syncs still has to be started with [`Durable::start`].
    pub(crate) fn is_idle(&self) -> bool {
        self.worker.is_none()
    }

    /// Starts the thread that syncs.
    pub(crate) fn start(&mut self, mut files: Files) -> io::Result<()> {
        self.worker = Some(Worker::start("sync", move |upto| (upto, files.sync()))?);
        Ok(())
    }

    /// Asks for a sync of everything recorded: `recorded` bytes.
    pub(crate) fn ask(&mut self, recorded: u64, now: u64) {
        self.due = None;
        self.asked_us = Some(now);
        let Some(worker) = &mut self.worker else {
            self.due = Some(now + SYNC_US);
            return;
        };
        // One in flight and one waiting cover everything: more would only queue.
        if worker.pending < 2 {
            worker.give(recorded);
            self.asked = recorded;
        } else {
            self.due = Some(now + LOOK_AGAIN_US);
        }
    }

    /// Takes what the syncs brought: why the first of them failed, if one did.
    pub(crate) fn hear(&mut self) -> Option<String> {
        let done = self.worker.as_mut().map(Worker::take).unwrap_or_default();
        self.take(done)
    }

    /// The same, once no sync is under way: the kernel tells of a failure once, and one of those may
    /// have been told.
    pub(crate) fn hear_all(&mut self) -> Option<String> {
        let done = self.worker.as_mut().map(Worker::finish).unwrap_or_default();
        self.take(done)
    }

    fn take(&mut self, done: Vec<(u64, io::Result<()>)>) -> Option<String> {
        let mut failure = None;
        for (upto, result) in done {
            match result {
                Ok(()) => self.synced(upto),
                Err(error) => failure = failure.or(self.fail(&error)),
            }
        }
        failure
    }

    /// A sync that covered `upto` bytes has returned.
    pub(crate) fn synced(&mut self, upto: u64) {
        if !self.failed {
            self.safe = self.safe.max(upto);
        }
    }

    /// A sync failed. Returns what is to be said of it: only the first is news.
    pub(crate) fn fail(&mut self, error: &dyn std::error::Error) -> Option<String> {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        (!std::mem::replace(&mut self.failed, true)).then(|| format!("{error}{cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(mode: LogSync) -> Durable {
        let id = "0198c2aa-0000-7000-8000-000000000000".parse().unwrap();
        Durable { wait_us: SYNC_US, ..Durable::new(mode, id) }
    }

    #[test]
    fn the_first_sync_comes_within_a_second_at_a_moment_of_its_own_and_the_next_a_second_later() {
        let mut moments = Vec::new();
        for end in ["000000000000", "0000000749f0", "00000007a120", "5bd1e995ffff"] {
            let id = format!("0198c2aa-0000-7000-8000-{end}").parse().unwrap();
            let mut durable = Durable::new(LogSync::Interval, id);
            assert!(!durable.wants_sync(1, 0, false));
            let first = durable.due_us().unwrap();
            assert!((FIRST_US..SYNC_US).contains(&first));
            assert!(durable.wants_sync(1, first, false));
            durable.ask(1, first);
            durable.due = None; // As with a thread that syncs.
            durable.asked = 1;
            assert!(!durable.wants_sync(2, first, false));
            assert_eq!(durable.due_us(), Some(first + SYNC_US));
            moments.push(first);
        }
        moments.dedup();
        assert_eq!(moments.len(), 4, "{moments:?}");
    }

    #[test]
    fn the_interval_asks_after_a_second_or_four_mebibytes_and_never_asks_only_when_urged() {
        let mut durable = fresh(LogSync::Interval);
        assert!(!durable.wants_sync(0, 10, false), "nothing is recorded");
        assert!(!durable.wants_sync(1, 10, false));
        assert!(!durable.wants_sync(2, 10 + SYNC_US - 1, false), "counted from the oldest byte");
        assert!(durable.wants_sync(2, 10 + SYNC_US, false));
        assert!(durable.wants_sync(SYNC_BYTES, 11, false));
        assert!(durable.wants_sync(2, 11, true));
        let mut never = fresh(LogSync::Never);
        assert!(!never.wants_sync(1 << 40, u64::MAX, false));
        assert!(never.wants_sync(1, 1, true));
    }

    #[test]
    fn what_is_urgent_is_synced_at_once_and_what_follows_at_once_a_moment_later_together() {
        for mode in [LogSync::Interval, LogSync::Never] {
            let mut durable = fresh(mode);
            assert!(durable.wants_sync(1, 10, true));
            durable.ask(1, 10);
            durable.due = None; // As with a thread that syncs.
            assert!(!durable.wants_sync(2, 11, true) && !durable.wants_sync(3, 12, true));
            assert_eq!(durable.due_us(), Some(10 + URGENT_US), "counted from the sync before");
            assert!(
                durable.wants_sync(3, 10 + URGENT_US, false),
                "it is due without being said again"
            );
            durable.ask(3, 10 + URGENT_US);
            durable.due = None;
            assert!(durable.wants_sync(4, 10 + 2 * URGENT_US, true));
        }
    }

    #[test]
    fn a_failed_sync_is_news_once_and_stops_what_is_safe_for_ever() {
        let mut durable = fresh(LogSync::Interval);
        durable.synced(100);
        let error = io::Error::from_raw_os_error(5);
        assert!(durable.fail(&error).unwrap().contains("os error 5"));
        assert_eq!(durable.fail(&error), None);
        durable.synced(10_000_000);
        assert_eq!(durable.safe(), 100);
    }

    #[test]
    fn the_script_waits_past_64_mib_unless_the_disk_has_failed_or_nobody_asked() {
        let mut durable = fresh(LogSync::Interval);
        assert!(!durable.must_wait(UNSYNCED_MAX));
        assert!(durable.must_wait(UNSYNCED_MAX + 1));
        assert!(!fresh(LogSync::Never).must_wait(u64::MAX));
        durable.synced(1);
        assert!(!durable.must_wait(UNSYNCED_MAX + 1));
        assert!(durable.must_wait(UNSYNCED_MAX + 2));
        let _ = durable.fail(&io::Error::from_raw_os_error(5));
        assert!(!durable.must_wait(u64::MAX));
    }
}
