//! Executions of the list that are selected: what is done is done to all of them.

use std::collections::HashSet;

use stepflow_api::Execution;
use stepflow_model::ExecutionId;

/// Above so many, their number is to be typed before anything is done to them.
pub const UNASKED_MAX: usize = 20;

/// What can be done to executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Stop,
    Rerun,
}

/// Only what is on the list is selected: nothing is done to what nobody sees.
#[derive(Debug, Default)]
pub struct Marks {
    ids: HashSet<ExecutionId>,
    /// The one that was selected last: a range begins there.
    last: Option<ExecutionId>,
}

impl Marks {
    pub fn has(&self, id: ExecutionId) -> bool {
        self.ids.contains(&id)
    }

    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// In the order of the list.
    pub fn of(&self, list: &[Execution]) -> Vec<ExecutionId> {
        list.iter().map(|one| one.id).filter(|id| self.has(*id)).collect()
    }

    /// Selects it, or no longer.
    pub fn toggle(&mut self, id: ExecutionId) {
        if !self.ids.remove(&id) {
            self.ids.insert(id);
        }
        self.last = Some(id);
    }

    /// Selects all between the one that was selected last and the one at `to`.
    pub fn reach(&mut self, list: &[Execution], to: usize) {
        let from = list.iter().position(|one| Some(one.id) == self.last).unwrap_or(to);
        let (first, last) = (from.min(to), from.max(to));
        self.ids.extend(list.iter().take(last + 1).skip(first).map(|one| one.id));
        self.last = list.get(to).map(|one| one.id);
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps only what is still on the list.
    pub fn keep(&mut self, list: &[Execution]) {
        if !self.ids.is_empty() {
            let listed: HashSet<ExecutionId> = list.iter().map(|one| one.id).collect();
            self.ids.retain(|id| listed.contains(id));
        }
    }
}
