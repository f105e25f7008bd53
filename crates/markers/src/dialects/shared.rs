//! What all dialects share: the open steps, who is suspended, who quotes, and lines that wait.

use super::{
    engine::{STEPS_MAX, slot},
    event::{Event, EventKind, Place, StepId, Stream},
    tree::Tree,
};

/// What all dialects share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) tree: Tree,
    pub(crate) suspended_by: Option<u8>,
    /// Dialects, as bits, whose markers are printed on purpose.
    pub(crate) markers: u32,
    /// By stream: who quotes, and until the end of which step at the latest.
    quotes: [Option<(u8, Option<StepId>)>; 2],
    /// Lines that may still become part of something, where text is wanted.
    pub(crate) held: Vec<(u8, Place, String)>,
    pub(crate) wants_text: bool,
    limit_told: bool,
}

impl Shared {
    pub(crate) fn new(markers: u32) -> Self {
        Self { markers, ..Self::default() }
    }

    /// Whether one more step may start; if not, this is said once.
    pub(crate) fn has_room(&mut self, out: &mut dyn FnMut(Event), place: Place) -> bool {
        if self.tree.started() < STEPS_MAX {
            return true;
        }
        if !std::mem::replace(&mut self.limit_told, true) {
            let kind = EventKind::Warning {
                code: "step_limit",
                message: format!(
                    "more than {STEPS_MAX} steps: later ones are shown as plain output"
                ),
            };
            out(Event { place, dialect: super::OWN.into(), kind });
        }
        false
    }

    pub(crate) fn quote(&mut self, stream: Stream, owner: u8, step: Option<StepId>) {
        self.quotes[slot(stream)] = Some((owner, step));
    }

    pub(crate) fn unquote(&mut self, stream: Stream, owner: u8) {
        if self.quoted_by(stream) == Some(owner) {
            self.quotes[slot(stream)] = None;
        }
    }

    /// Who quotes in `stream` now.
    pub(crate) fn quoted_by(&mut self, stream: Stream) -> Option<u8> {
        let quote = &mut self.quotes[slot(stream)];
        if let Some((_, Some(step))) = quote
            && !self.tree.is_open(*step)
        {
            *quote = None;
        }
        quote.map(|(owner, _)| owner)
    }

    pub(crate) fn release(&mut self, owner: u8, stream: Stream, out: &mut dyn FnMut(Event)) {
        let step = self.tree.innermost();
        let held = std::mem::take(&mut self.held);
        for (by, place, text) in held {
            if by == owner && slot(place.stream) == slot(stream) {
                let kind = EventKind::Log { text, level: None, step };
                out(Event { place, dialect: super::OWN.into(), kind });
            } else {
                self.held.push((by, place, text));
            }
        }
    }

    pub(crate) fn consume(&mut self, owner: u8, stream: Stream) {
        self.held.retain(|(by, place, _)| *by != owner || slot(place.stream) != slot(stream));
    }
}
