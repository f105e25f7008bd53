//! The open steps: which is inside which, and who may end them.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::event::{StepId, StepStatus};

/// At most so many loose steps are open at once.
pub(crate) const LOOSE_MAX: usize = 1_000;

/// Who opened a step: the index of a dialect, or this for own markers.
pub(crate) const OWN_STEPS: u8 = u8::MAX;
/// Who opened a step that was open before: nobody ends it but those around it.
pub(crate) const FORMER_STEPS: u8 = u8::MAX - 1;

/// What distinguishes a step among those of its dialect.
///
/// Names are kept as hashes: an open step costs the same whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    /// What sort of step: `block`, `suite`, `vertex`, …
    pub(crate) kind: &'static str,
    /// Its name, or whatever its end will call it.
    pub(crate) key: u64,
    /// The parallel flow it is part of; 0 for the common one.
    pub(crate) lane: u64,
}

impl Label {
    /// A step of `kind` whose end names `key`.
    pub(crate) fn new(kind: &'static str, key: &str) -> Self {
        Self { kind, key: hash(key), lane: 0 }
    }

    /// The same in another flow.
    pub(crate) fn in_lane(self, lane: u64) -> Self {
        Self { lane, ..self }
    }
}

/// A number that stands for a text.
pub(crate) fn hash(text: &str) -> u64 {
    // Fixed keys: the same text gives the same number in every process.
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().max(1)
}

/// A step that has started and not ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    pub(crate) id: StepId,
    pub(crate) parent: Option<StepId>,
    pub(crate) owner: u8,
    pub(crate) label: Label,
    /// Foreign lines do not fall into it.
    pub(crate) loose: bool,
    /// Own steps: the hash of its `[id=…]`.
    pub(crate) id_key: Option<u64>,
    /// Its dialect noted a failure in it.
    pub(crate) failed: bool,
    /// How it ends if it does not end by its own dialect's word.
    pub(crate) verdict: Option<StepStatus>,
}

/// All open steps, in order of their starts.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    open: Vec<Open>,
    started: u32,
    loose: usize,
}

impl Tree {
    /// How many steps have started.
    pub(crate) fn started(&self) -> usize {
        self.started as usize
    }

    /// Whether one more loose step may be open.
    pub(crate) fn has_room_for_loose(&self) -> bool {
        self.loose < LOOSE_MAX
    }

    /// Opens a step inside `parent`, which is open.
    pub(crate) fn start(
        &mut self,
        owner: u8,
        label: Label,
        parent: Option<StepId>,
        loose: bool,
        id_key: Option<u64>,
    ) -> StepId {
        let id = StepId(self.started);
        self.started += 1;
        self.loose += usize::from(loose);
        self.open.push(Open {
            id,
            parent,
            owner,
            label,
            loose,
            id_key,
            failed: false,
            verdict: None,
        });
        id
    }

    /// Takes over what was open when `started` steps had started, in order of their starts.
    pub(crate) fn take_over(&mut self, started: u32, open: Vec<Open>) {
        self.loose = open.iter().filter(|open| open.loose).count();
        self.started = started;
        self.open = open;
    }

    /// Forgets a step and all inside it; gives them innermost first, itself last. Empty if it is not
    /// open.
    pub(crate) fn close(&mut self, id: StepId) -> Vec<Open> {
        let Ok(first) = self.open.binary_search_by_key(&id, |open| open.id) else {
            return Vec::new();
        };
        // What is inside started later, so one pass finds it: parents come before children.
        let mut closed: Vec<Open> = Vec::new();
        for open in &self.open[first..] {
            let inside = |parent| closed.binary_search_by_key(&parent, |open| open.id).is_ok();
            if open.id == id || open.parent.is_some_and(inside) {
                closed.push(*open);
            }
        }
        let mut gone = closed.iter().map(|open| open.id).peekable();
        self.open.retain(|open| gone.next_if_eq(&open.id).is_none());
        self.loose -= closed.iter().filter(|open| open.loose).count();
        closed.reverse();
        closed
    }

    /// Whether a step is open.
    pub(crate) fn is_open(&self, id: StepId) -> bool {
        self.get(id).is_some()
    }

    /// An open step.
    pub(crate) fn get(&self, id: StepId) -> Option<&Open> {
        let at = self.open.binary_search_by_key(&id, |open| open.id).ok()?;
        self.open.get(at)
    }

    /// The innermost open stacked step: where lines fall that no dialect places elsewhere.
    pub(crate) fn innermost(&self) -> Option<StepId> {
        self.last(|open| !open.loose)
    }

    /// The newest open step that is so.
    pub(crate) fn last(&self, mut is: impl FnMut(&Open) -> bool) -> Option<StepId> {
        self.open.iter().rev().find(|open| is(open)).map(|open| open.id)
    }

    /// All open steps, in order of their starts.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Open> {
        self.open.iter()
    }

    /// Says how `id` ends if it is closed with a step around it, or by the end.
    pub(crate) fn settle(&mut self, id: StepId, verdict: StepStatus) {
        if let Ok(at) = self.open.binary_search_by_key(&id, |open| open.id) {
            self.open[at].verdict = Some(verdict);
        }
    }

    /// Notes a failure in `id` and in the steps of the same dialect around it.
    pub(crate) fn fail(&mut self, id: StepId) {
        let Some(owner) = self.get(id).map(|open| open.owner) else { return };
        let mut at = Some(id);
        while let Some(id) = at {
            let Ok(index) = self.open.binary_search_by_key(&id, |open| open.id) else { return };
            let open = &mut self.open[index];
            if open.owner == owner {
                open.failed = true;
            }
            at = open.parent;
        }
    }
}
