//! Tests that have been announced and not finished, and how those ended that were.

use std::collections::HashMap;

use crate::dialects::TestStatus;

/// At most so many tests have started and not finished.
const TESTS_MAX: usize = 10_000;
/// So many bytes of names are kept.
const BYTES_MAX: usize = 1024 * 1024;

/// What all packages together keep.
#[derive(Default)]
pub(super) struct Budget {
    names: usize,
    bytes: usize,
    /// How many were kept so far: the order of the names.
    kept: u64,
}

impl Budget {
    pub(super) fn has_room(&self, name: &str) -> bool {
        self.names < TESTS_MAX && self.bytes + name.len() <= BYTES_MAX
    }

    pub(super) fn keep(&mut self, name: &str) {
        self.names += 1;
        self.bytes += name.len();
        self.kept += 1;
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.names = self.names.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(name.len());
    }
}

/// The tests of one package, or of one session.
#[derive(Default)]
pub(super) struct Tests {
    /// Those that run, with the order of their announcement.
    running: HashMap<String, u64>,
    /// By status, in order of first sight.
    counts: Vec<(&'static str, u64)>,
}

impl Tests {
    pub(super) fn announce(&mut self, name: &str, budget: &mut Budget) {
        if budget.has_room(name) && !self.running.contains_key(name) {
            budget.keep(name);
            self.running.insert(name.to_owned(), budget.kept);
        }
    }

    /// Whether this test ran; it does not any more.
    pub(super) fn finish(&mut self, name: &str, status: TestStatus, budget: &mut Budget) -> bool {
        if self.running.remove(name).is_none() {
            return false;
        }
        budget.forget(name);
        self.count(match status {
            TestStatus::Failed => "failed",
            TestStatus::Skipped => "skipped",
            _ => "passed",
        });
        true
    }

    fn count(&mut self, key: &'static str) {
        match self.counts.iter_mut().find(|(known, _)| *known == key) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((key, 1)),
        }
    }

    /// Whether none runs.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Those that run, in order; they count as unknown, and are forgotten.
    pub(super) fn take_names(&mut self, budget: &mut Budget) -> Vec<String> {
        let mut names: Vec<(u64, String)> =
            self.running.drain().map(|(name, at)| (at, name)).collect();
        names.sort_unstable();
        for (_, name) in &names {
            budget.forget(name);
            self.count("unknown");
        }
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self, budget: &mut Budget) {
        self.take_names(budget);
        self.counts.clear();
    }

    /// The counts since the last time.
    pub(super) fn take_counts(&mut self) -> Vec<(String, u64)> {
        self.counts.drain(..).map(|(key, count)| (key.to_owned(), count)).collect()
    }
}
