//! Which executions changed: pulled by version, so that no subscriber has a queue.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stepflow_model::{ExecutionId, Summary};
use tokio::sync::watch;

/// Executions that are remembered as changed. A subscriber that is further behind starts over.
const ENTRIES_MAX: usize = 8_192;

/// One changed execution.
#[derive(Debug, Clone)]
pub struct FeedEntry {
    /// Which.
    pub id: ExecutionId,
    /// What it ended as; `None`: it is still followed, ask its handle.
    pub ended: Option<Arc<Summary>>,
}

/// What changed since a version.
#[derive(Debug, Clone, Default)]
pub struct FeedChanges {
    /// To be given at the next call.
    pub version: u64,
    /// Each changed execution once, oldest change first.
    pub entries: Vec<FeedEntry>,
    /// Some changes have been forgotten: look at everything that is active.
    pub incomplete: bool,
}

#[derive(Debug, Default)]
struct Inner {
    version: u64,
    /// By the version of its last change.
    changed: BTreeMap<u64, FeedEntry>,
    at: HashMap<ExecutionId, u64>,
    forgotten: u64,
}

#[derive(Debug)]
pub(crate) struct Feed {
    inner: Mutex<Inner>,
    bump: watch::Sender<u64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { inner: Mutex::default(), bump: watch::Sender::new(0) }
    }
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `id` changed; `ended` when it will not change again.
    pub(crate) fn changed(&self, id: ExecutionId, ended: Option<Arc<Summary>>) {
        let mut inner = self.lock();
        inner.version += 1;
        let version = inner.version;
        if let Some(before) = inner.at.insert(id, version) {
            inner.changed.remove(&before);
        }
        inner.changed.insert(version, FeedEntry { id, ended });
        if inner.changed.len() > ENTRIES_MAX
            && let Some((version, entry)) = inner.changed.pop_first()
        {
            inner.at.remove(&entry.id);
            inner.forgotten = version;
        }
        drop(inner);
        self.bump.send_replace(version);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.bump.subscribe()
    }

    pub(crate) fn since(&self, version: u64) -> FeedChanges {
        let inner = self.lock();
        FeedChanges {
            version: inner.version,
            entries: inner.changed.range(version + 1..).map(|(_, entry)| entry.clone()).collect(),
            incomplete: version < inner.forgotten,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_that_changed_often_is_told_once() {
        let feed = Feed::default();
        let id = |n: u32| format!("0198c2aa-0000-7000-8000-{n:012}").parse().unwrap();
        for n in [1, 2, 1, 1] {
            feed.changed(id(n), None);
        }
        let all = feed.since(0);
        assert_eq!(all.entries.iter().map(|e| e.id).collect::<Vec<_>>(), [id(2), id(1)]);
        assert!(!all.incomplete);
        assert!(feed.since(all.version).entries.is_empty());
        for n in 10..=(10 + ENTRIES_MAX as u32) {
            feed.changed(id(n), None);
        }
        assert!(feed.since(all.version - 3).incomplete);
    }
}
