//! The two walks.

use std::{
    sync::{Arc, PoisonError},
    thread,
    time::{Duration, Instant},
};

use stepflow_catalog::{Catalog, Change, KeptRow, LIST_LIMIT_MAX, Reader, Writer};
use stepflow_model::ExecutionId;
use stepflow_record::{Liveness, RecordError, RecordView, Storage};
use stepflow_sys::clock;
use tokio::time::{MissedTickBehavior, interval_at};

use super::{
    Policy,
    survey::{Place, Survey},
};
use crate::{
    ChangeError, Engine, WriterLock,
    core::{Core, blocking},
};

/// Deleted with two syncs and one transaction; whoever else changes records waits for one of them.
const BATCH: usize = 32;
/// A server sweeps for the first time after this, then again and again.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// How often a server sweeps.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// What one sweep did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Nothing was deleted: what would have been.
    pub dry_run: bool,
    /// When it began, microseconds UTC.
    pub at_us: i64,
    /// Executions that the catalog knew.
    pub looked_at: u64,
    /// Executions that were deleted, whole.
    pub deleted: u64,
    /// Bytes that they took up on the disk.
    pub bytes_freed: u64,
    /// Executions that stay until the next sweep: somebody was just at them.
    pub busy: u64,
    /// Executions that stay because their records cannot be read.
    pub unreadable: u64,
    /// How long it took.
    pub took: Duration,
    /// It was cut off before it was through; the next one goes on.
    pub stopped: bool,
}

/// Where a sweep works: in a server, which shares the records with others, or alone.
struct Sweep<'a> {
    storage: &'a Storage,
    reader: Reader,
    writer: Writer,
    /// Of a server.
    core: Option<&'a Core>,
    dry_run: bool,
    /// When it is cut off.
    until: Option<Instant>,
}

impl Engine {
    /// Deletes what `policy` lets go of; with `dry_run`, finds out what that would be, as far as
    /// the catalog knows. One sweep at a time: another waits. Cut off after `within`.
    pub async fn sweep(
        &self,
        policy: Policy,
        dry_run: bool,
        within: Duration,
    ) -> Result<Swept, ChangeError> {
        let core = Arc::clone(&self.core);
        self.spawned(async move { sweep_beside(&core, policy, dry_run, Some(within)).await }).await
    }

    /// What is kept here, and the last sweep that deleted something or found nothing to delete.
    pub fn retention(&self) -> (Policy, Option<Swept>) {
        let last = self.core.swept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.core.retention.clone(), last)
    }
}

impl WriterLock {
    /// The same as [`Engine::sweep`] where no server runs: the caller holds the lock.
    pub fn sweep(
        &self,
        storage: &Storage,
        catalog: &Catalog,
        policy: &Policy,
        dry_run: bool,
    ) -> Result<Swept, ChangeError> {
        let (reader, writer) = (catalog.reader(), catalog.writer());
        Sweep { storage, reader, writer, core: None, dry_run, until: None }.run(policy)
    }
}

async fn sweep_beside(
    core: &Arc<Core>,
    policy: Policy,
    dry_run: bool,
    within: Option<Duration>,
) -> Result<Swept, ChangeError> {
    let _turn = core.sweeping.lock().await;
    let until = within.map(|within| Instant::now() + within);
    let swept = {
        let core = Arc::clone(core);
        blocking(move || {
            let (storage, reader, writer) = (&core.storage, core.reader.clone(), &core.writer);
            let core = Some(&*core);
            let writer = writer.clone();
            Sweep { storage, reader, writer, core, dry_run, until }.run(&policy)
        })
    };
    let swept = swept.await.ok_or(ChangeError::Closing)??;
    if !dry_run {
        *core.swept.lock().unwrap_or_else(PoisonError::into_inner) = Some(swept.clone());
    }
    Ok(swept)
}

/// Keeps to the server's own policy.
pub(crate) async fn watch(core: Arc<Core>) {
    if !core.retention.has_limits() {
        return;
    }
    let mut due = interval_at(tokio::time::Instant::now() + FIRST_AFTER, SWEEP_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.shutdown.cancelled() => return,
            _ = due.tick() => {}
        }
        match sweep_beside(&core, core.retention.clone(), false, None).await {
            Ok(swept) if swept.deleted > 0 => {
                let Swept { deleted, bytes_freed, busy, .. } = swept;
                tracing::info!(deleted, bytes_freed, busy, "retention");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "retention stopped; the next sweep goes on"),
        }
    }
}

impl Sweep<'_> {
    fn run(&self, policy: &Policy) -> Result<Swept, ChangeError> {
        let begun = Instant::now();
        let now_us = clock::wall_us();
        let mut swept = Swept { dry_run: self.dry_run, at_us: now_us, ..Swept::default() };
        let mut survey = Survey::new(policy, now_us);
        let mut place = None;
        while !self.is_closing() {
            let rows = self.reader.kept_older(place, LIST_LIMIT_MAX)?;
            let Some(last) = rows.last() else { break };
            place = Some((last.created_us, last.id));
            swept.looked_at += rows.len() as u64;
            for row in rows {
                survey.see(&row);
            }
        }
        let mut place: Option<Place> = None;
        swept.stopped = loop {
            if self.is_stopped(&swept) {
                break true;
            }
            let rows = self.reader.kept_newer(place, LIST_LIMIT_MAX)?;
            let Some(last) = rows.last() else { break false };
            place = Some((last.created_us, last.id));
            let gone: Vec<&KeptRow> = rows.iter().filter(|row| survey.lets_go(row)).collect();
            if self.dry_run {
                swept.deleted += gone.len() as u64;
                let bytes = gone.iter().map(|row| self.storage.disk_bytes(row.id));
                swept.bytes_freed += bytes.sum::<u64>();
                continue;
            }
            let mut batches = gone.chunks(BATCH);
            while let Some(batch) = batches.next().filter(|_| !self.is_stopped(&swept)) {
                let batch_begun = Instant::now();
                self.delete(batch, policy, &mut swept)?;
                if self.core.is_some() {
                    thread::sleep(batch_begun.elapsed()); // Others have the disk half of the time.
                }
            }
        };
        swept.took = begun.elapsed();
        Ok(swept)
    }

    fn is_closing(&self) -> bool {
        self.core.is_some_and(|core| core.shutdown.is_cancelled())
    }

    /// Not for lack of time before something is deleted: who asks again and again gets through.
    fn is_stopped(&self, swept: &Swept) -> bool {
        let late = || self.until.is_some_and(|until| Instant::now() >= until);
        self.is_closing() || (self.dry_run || swept.deleted > 0) && late()
    }

    /// Deletes those of a batch that the records themselves let go of.
    fn delete(
        &self,
        rows: &[&KeptRow],
        policy: &Policy,
        swept: &mut Swept,
    ) -> Result<(), ChangeError> {
        let _turn = self.core.map(|core| core.changing.blocking_lock());
        let reserve = |id| self.core.is_none_or(|core| core.registry().reserve_to_remove(id));
        let reserved: Vec<&KeptRow> = rows.iter().copied().filter(|row| reserve(row.id)).collect();
        swept.busy += (rows.len() - reserved.len()) as u64;
        let deleted = self.delete_reserved(&reserved, policy, swept);
        if let Some(core) = self.core {
            let gone = deleted.as_deref().unwrap_or_default();
            let mut registry = core.registry();
            for row in reserved {
                if gone.contains(&row.id) {
                    registry.removed(row.id);
                } else {
                    registry.release(row.id);
                }
            }
        }
        deleted.map(drop)
    }

    /// Returns those that are gone. Nobody else begins to follow them meanwhile.
    fn delete_reserved(
        &self,
        rows: &[&KeptRow],
        policy: &Policy,
        swept: &mut Swept,
    ) -> Result<Vec<ExecutionId>, ChangeError> {
        let mut ids = Vec::new();
        let mut bytes = Vec::new();
        let mut gone = Vec::new(); // Whose record is gone already: an earlier try was cut off.
        for row in rows {
            match self.may_go(row, policy) {
                Ok(true) => {
                    bytes.push(self.storage.disk_bytes(row.id));
                    ids.push(row.id);
                }
                Ok(false) => {}
                Err(RecordError::Missing { .. }) => gone.push(row.id),
                Err(error) => {
                    // Whether it is pinned nobody knows; and it may be mended yet.
                    tracing::warn!(execution = %row.id, %error, "retention leaves it alone");
                    swept.unreadable += 1;
                }
            }
        }
        let mut failed = None;
        for ((id, bytes), discarded) in ids.iter().zip(bytes).zip(self.storage.discard_all(&ids)?) {
            match discarded {
                Ok(true) => {
                    gone.push(*id);
                    swept.bytes_freed += bytes;
                }
                Ok(false) => swept.busy += 1, // Its processes are just going away.
                Err(error) => failed = Some(error),
            }
        }
        self.writer.apply(gone.iter().map(|id| Change::Delete(*id)).collect())?;
        for id in &gone {
            self.storage.purge(*id)?;
        }
        swept.deleted += gone.len() as u64;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(gone),
        }
    }

    /// What the record says, which may be ahead of the catalog: ended, not pinned, and still under
    /// a rule with limits.
    fn may_go(&self, row: &KeptRow, policy: &Policy) -> Result<bool, RecordError> {
        let mut view = RecordView::open(self.storage, row.id)?;
        let ended = view.liveness()? == Liveness::Ended;
        let now = &view.state.summary;
        // Under another rule by now: the next sweep judges it by that one.
        let same_rule = policy.of(&now.name, &now.tags) == policy.of(&row.name, &row.tags);
        Ok(ended && !now.pinned && same_rule)
    }
}
