//! Lines as they were sent, for the others who watch the same execution: read and written once, not
//! once for each of a thousand viewers.
//!
//! What begins at somebody's cursor is right for him, wherever it ends: nobody waits for anybody, and
//! who is further behind than this reaches back reads the record by himself.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use axum::body::Bytes;
use stepflow_model::ExecutionId;

/// Kept of each execution that several watch: about the last tenth of a second of a fast one.
const BYTES_MAX: usize = 64 * 1024;

/// What is shared, by execution.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<HashMap<ExecutionId, Weak<Recent>>>);

impl Shared {
    /// To be held by a viewer of `id` as long as he watches.
    pub(crate) fn of(&self, id: ExecutionId) -> Arc<Recent> {
        let mut all = lock(&self.0);
        if let Some(known) = all.get(&id).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, recent| recent.strong_count() > 0);
        let recent = Arc::default();
        all.insert(id, Arc::downgrade(&recent));
        recent
    }
}

/// The lines of one execution that were sent last.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Batch>>);

/// A JSON array of lines, and which output it is.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) json: Bytes,
}

impl Recent {
    /// The newest lines that begin at `from`, if somebody has sent them.
    pub(crate) fn at(&self, from: u64) -> Option<Batch> {
        lock(&self.0).iter().rev().find(|batch| batch.from == from).cloned()
    }

    pub(crate) fn keep(&self, batch: Batch) {
        let mut batches = lock(&self.0);
        batches.push_back(batch);
        let mut bytes: usize = batches.iter().map(|batch| batch.json.len()).sum();
        while bytes > BYTES_MAX
            && let Some(oldest) = batches.pop_front()
        {
            bytes -= oldest.json.len();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(from: u64, to: u64, bytes: usize) -> Batch {
        Batch { from, to, json: vec![b'x'; bytes].into() }
    }

    #[test]
    fn the_newest_that_begins_there_is_found_and_little_is_kept() {
        let recent = Recent::default();
        recent.keep(batch(0, 10, 100));
        recent.keep(batch(0, 20, 200));
        recent.keep(batch(20, 30, 100));
        assert_eq!(recent.at(0).map(|batch| batch.to), Some(20));
        assert!(recent.at(10).is_none() && recent.at(20).is_some());
        recent.keep(batch(30, 40, BYTES_MAX - 100));
        assert!(recent.at(0).is_none() && recent.at(20).is_some());
        recent.keep(batch(40, 50, BYTES_MAX + 1));
        assert!(recent.at(30).is_none() && recent.at(40).is_none());
    }

    #[test]
    fn viewers_of_one_execution_share_and_the_last_takes_it_along() {
        let shared = Shared::default();
        let id = |text: &str| text.parse::<ExecutionId>().unwrap();
        let one = id("0198c2aa-0000-7000-8000-000000000001");
        let other = id("0198c2aa-0000-7000-8000-000000000002");
        let (first, second) = (shared.of(one), shared.of(one));
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &shared.of(other)));
        first.keep(batch(0, 1, 1));
        drop((first, second));
        assert!(shared.of(one).at(0).is_none());
        assert_eq!(lock(&shared.0).len(), 1, "nobody watches the other one");
    }
}
