//! What the engine counts about itself: read at any time, kept for nothing.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use stepflow_model::Status;

use crate::core::Core;

/// Counters of an engine, since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) recorders_started: AtomicU64,
    pub(crate) recorders_failed: AtomicU64,
    pub(crate) recorders_connected: AtomicU64,
    pub(crate) verdicts: AtomicU64,
    pub(crate) logs_compressed: AtomicU64,
    pub(crate) logs_not_compressed: AtomicU64,
    pub(crate) compressed_bytes: AtomicU64,
    pub(crate) freed_bytes: AtomicU64,
    /// In the order of [`Status::ALL`]; only ends are ever counted.
    ended: [AtomicU64; Status::ALL.len()],
}

impl Counters {
    pub(crate) fn ended(&self, status: Status) {
        if let Some(at) = Status::ALL.iter().position(|known| *known == status) {
            self.ended[at].fetch_add(1, Relaxed);
        }
    }
}

/// What the engine counted since it was opened, and what is there now; see
/// [`crate::Engine::figures`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineFigures {
    /// Live executions (those that are followed and have not ended) by status.
    pub live: BTreeMap<&'static str, u64>,
    /// Executions that wait for a place.
    pub waiting: u64,
    /// Places that are taken, and how many there are.
    pub running: u64,
    /// Most executions that run at the same time.
    pub running_max: u64,
    /// Output of live executions that a power cut could still take, bytes: recorded, not yet
    /// synced.
    pub unsynced_bytes: u64,
    /// Recorders whose control socket is connected now.
    pub recorders_connected: u64,
    /// Recorders that were started.
    pub recorders_started: u64,
    /// Recorders that could not be started.
    pub recorders_failed: u64,
    /// Verdicts over records whose recorder was gone without an end.
    pub verdicts: u64,
    /// Executions that were accepted.
    pub accepted: u64,
    /// Executions that were refused.
    pub refused: u64,
    /// Logs of ended executions that were compressed.
    pub logs_compressed: u64,
    /// Logs that stay as they are: they do not prove themselves, or the disk refused.
    pub logs_not_compressed: u64,
    /// Output in the logs that were compressed, bytes.
    pub compressed_bytes: u64,
    /// What they take up less on the disk than before, bytes.
    pub freed_bytes: u64,
    /// Executions whose end was committed, by status.
    pub ended: BTreeMap<&'static str, u64>,
}

impl Core {
    pub(crate) fn figures(&self) -> EngineFigures {
        let mut live: BTreeMap<&'static str, u64> = Status::ALL
            .iter()
            .filter(|status| !status.is_end())
            .map(|status| (status.as_str(), 0))
            .collect();
        let mut unsynced_bytes = 0;
        for handle in self.registry().all() {
            let (status, bytes) =
                handle.read(|state| (state.summary.status, state.summary.position.bytes));
            if let Some(count) = live.get_mut(status.as_str()) {
                *count += 1;
                unsynced_bytes += bytes.saturating_sub(handle.safe_bytes());
            }
        }
        let (waiting, running, running_max) = self.admission().figures();
        let counters = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        EngineFigures {
            live,
            waiting,
            running,
            running_max,
            unsynced_bytes,
            recorders_connected: get(&counters.recorders_connected),
            recorders_started: get(&counters.recorders_started),
            recorders_failed: get(&counters.recorders_failed),
            verdicts: get(&counters.verdicts),
            accepted: get(&counters.accepted),
            refused: get(&counters.refused),
            logs_compressed: get(&counters.logs_compressed),
            logs_not_compressed: get(&counters.logs_not_compressed),
            compressed_bytes: get(&counters.compressed_bytes),
            freed_bytes: get(&counters.freed_bytes),
            ended: Status::ALL
                .iter()
                .zip(&counters.ended)
                .filter(|(status, _)| status.is_end())
                .map(|(status, count)| (status.as_str(), get(count)))
                .collect(),
        }
    }
}
