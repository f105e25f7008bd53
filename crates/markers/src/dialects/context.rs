//! What a dialect can do while it is asked about a line.

use std::borrow::Cow;

use super::{
    event::{
        Annotation, Cause, Event, EventKind, Level, Place, StepId, StepStatus, Stream, Summary,
        Test,
    },
    line::one_line,
    shared::Shared,
    tree::{Label, OWN_STEPS, Open},
};
use crate::Value;

/// The way of a dialect to the tree of steps and to who listens.
pub(crate) struct Context<'a> {
    pub(crate) shared: &'a mut Shared,
    pub(crate) out: &'a mut dyn FnMut(Event),
    /// The dialect's index.
    pub(crate) me: u8,
    pub(crate) name: Cow<'static, str>,
    /// The line that events are about.
    pub(crate) place: Place,
    /// Set by [`Context::await_next`].
    pub(crate) awaits: bool,
}

impl Context<'_> {
    /// Starts a step inside the innermost stacked one; lines fall into it from now on. `None`: the
    /// execution has too many steps, the line is text.
    pub(crate) fn start(
        &mut self,
        label: Label,
        name: &str,
        params: Vec<(String, String)>,
    ) -> Option<StepId> {
        let parent = self.shared.tree.innermost();
        self.open(label, name, params, parent, false)
    }

    /// Starts a step inside `parent`, which is open or `None`; lines fall into it from now on.
    pub(crate) fn start_inside(
        &mut self,
        parent: Option<StepId>,
        label: Label,
        name: &str,
        params: Vec<(String, String)>,
    ) -> Option<StepId> {
        self.open(label, name, params, parent, false)
    }

    /// Starts a step that has its own place in the tree; no foreign line falls into it. A parent
    /// that is not open any more is replaced by the innermost stacked step.
    pub(crate) fn start_loose(
        &mut self,
        label: Label,
        name: &str,
        params: Vec<(String, String)>,
        parent: Option<StepId>,
    ) -> Option<StepId> {
        if !self.shared.tree.has_room_for_loose() {
            return None;
        }
        let parent = match parent {
            Some(parent) if self.is_open(parent) => Some(parent),
            Some(_) => self.innermost(),
            None => None,
        };
        self.open(label, name, params, parent, true)
    }

    fn open(
        &mut self,
        label: Label,
        name: &str,
        params: Vec<(String, String)>,
        parent: Option<StepId>,
        loose: bool,
    ) -> Option<StepId> {
        if !self.shared.has_room(self.out, self.place) {
            return None;
        }
        let step = self.shared.tree.start(self.me, label, parent, loose, None);
        let params = params.into_iter().map(|(key, value)| (key, Value::Text(value))).collect();
        let name = one_line(name);
        self.say(EventKind::StepStart { step, parent, name, key: None, params, loose });
        Some(step)
    }

    /// Ends a step, and before it all that is open inside it. Nothing happens if it is not open.
    pub(crate) fn end(&mut self, step: StepId, status: StepStatus, detail: Option<&str>) {
        self.end_by(step, status, detail, Cause::Marker);
    }

    /// [`Context::end`], for another cause than this line's own word.
    pub(crate) fn end_by(
        &mut self,
        step: StepId,
        status: StepStatus,
        detail: Option<&str>,
        by: Cause,
    ) {
        let mut closed = self.shared.tree.close(step);
        if closed.pop().is_none() {
            return;
        }
        for inner in closed {
            // A failed own step takes the own steps inside it along.
            let fails = inner.owner == OWN_STEPS && self.is_own() && status == StepStatus::Failure;
            let own = if fails { StepStatus::Failure } else { StepStatus::Done };
            let status = inner.verdict.unwrap_or(own);
            let detail = detail.filter(|_| fails).map(str::to_owned);
            self.say(EventKind::StepEnd { step: inner.id, status, detail, by: Cause::Parent });
        }
        let detail = detail.filter(|text| !text.is_empty());
        let detail =
            detail.map(|text| if self.is_own() { text.to_owned() } else { one_line(text) });
        self.say(EventKind::StepEnd { step, status, detail, by });
    }

    /// Says that a step that has ended ended otherwise, or later, than was said.
    pub(crate) fn end_again(&mut self, step: StepId, status: StepStatus, detail: Option<&str>) {
        let detail = detail.filter(|text| !text.is_empty()).map(one_line);
        self.say(EventKind::StepEnd { step, status, detail, by: Cause::Marker });
    }

    /// The innermost open stacked step, whoever opened it.
    pub(crate) fn innermost(&self) -> Option<StepId> {
        self.shared.tree.innermost()
    }

    /// The step around all open steps of this dialect; the innermost one if there are none.
    pub(crate) fn outside(&self) -> Option<StepId> {
        match self.shared.tree.iter().find(|open| open.owner == self.me) {
            Some(outermost) => outermost.parent,
            None => self.innermost(),
        }
    }

    /// Whether a step that a marker opened, of whatever system, is open inside `step`.
    pub(crate) fn has_markers_inside(&self, step: StepId) -> bool {
        let markers = self.shared.markers;
        let is_marker = |owner: u8| {
            owner == OWN_STEPS || markers.checked_shr(owner.into()).unwrap_or(0) & 1 == 1
        };
        // Whoever is open and began later is inside, but for loose ones.
        self.shared.tree.iter().any(|open| open.id > step && !open.loose && is_marker(open.owner))
    }

    /// The newest open own step: what a `STEP_ERROR` means.
    pub(crate) fn innermost_own(&self) -> Option<StepId> {
        self.shared.tree.last(|open| open.owner == OWN_STEPS)
    }

    /// The newest open step of this dialect that is so.
    pub(crate) fn find(&self, mut is: impl FnMut(&Open) -> bool) -> Option<StepId> {
        self.shared.tree.last(|open| open.owner == self.me && is(open))
    }

    /// The newest open step of this dialect with this label.
    pub(crate) fn find_label(&self, label: Label) -> Option<StepId> {
        self.find(|open| open.label == label)
    }

    /// The newest open step of this dialect of this kind.
    pub(crate) fn find_kind(&self, kind: &str) -> Option<StepId> {
        self.find(|open| open.label.kind == kind)
    }

    /// Whether a step is still open: others may have closed it together with theirs.
    pub(crate) fn is_open(&self, step: StepId) -> bool {
        self.shared.tree.is_open(step)
    }

    /// An open step.
    pub(crate) fn get(&self, step: StepId) -> Option<&Open> {
        self.shared.tree.get(step)
    }

    /// Says how `step` ends if it is closed with a step around it, or by the execution's end.
    pub(crate) fn settle(&mut self, step: StepId, verdict: StepStatus) {
        self.shared.tree.settle(step, verdict);
    }

    /// Notes a failure in `step` and in the steps of this dialect around it.
    pub(crate) fn fail(&mut self, step: StepId) {
        self.shared.tree.fail(step);
    }

    /// Whether a failure was noted in an open step.
    pub(crate) fn has_failed(&self, step: StepId) -> bool {
        self.get(step).is_some_and(|open| open.failed)
    }

    /// A problem. Without a step it belongs to the innermost stacked one.
    pub(crate) fn annotation(&mut self, annotation: Annotation) {
        let step = annotation.step.or_else(|| self.innermost());
        self.say(EventKind::Annotation(Box::new(Annotation { step, ..annotation })));
    }

    /// A file; nothing for an empty path. The name is the file's if it is empty.
    pub(crate) fn artifact(&mut self, path: &str, name: &str) {
        if path.is_empty() {
            return;
        }
        let name = if name.is_empty() { file_name(path) } else { name };
        let step = self.innermost();
        self.say(EventKind::Artifact { path: path.to_owned(), name: one_line(name), step });
    }

    /// A key and a value.
    pub(crate) fn meta(&mut self, key: &str, value: &str) {
        self.meta_on(self.innermost(), key, value, None);
    }

    /// A key and a value on `step`.
    pub(crate) fn meta_on(
        &mut self,
        step: Option<StepId>,
        key: &str,
        value: &str,
        title: Option<String>,
    ) {
        let (key, value) = (one_line(key), value.to_owned());
        self.say(EventKind::Meta { key, value, title, step });
    }

    /// A secret; nothing if it is blank.
    pub(crate) fn mask(&mut self, secret: &str) {
        if !secret.trim().is_empty() {
            self.say(EventKind::Mask { secret: secret.to_owned() });
        }
    }

    /// A text about the whole execution.
    pub(crate) fn summary(&mut self, source: Summary) {
        let step = self.innermost();
        self.say(EventKind::Summary { source, step });
    }

    /// Text that a marker carried.
    pub(crate) fn log(&mut self, text: &str) {
        self.log_on(self.innermost(), text, None);
    }

    /// Text that a marker carried, of a level.
    pub(crate) fn log_as(&mut self, level: Level, text: &str) {
        self.log_on(self.innermost(), text, Some(level));
    }

    /// Text that belongs to `step`.
    pub(crate) fn log_on(&mut self, step: Option<StepId>, text: &str, level: Option<Level>) {
        self.say(EventKind::Log { text: text.to_owned(), level, step });
    }

    /// A test of `step`.
    pub(crate) fn test_on(&mut self, step: Option<StepId>, test: Test) {
        self.say(EventKind::Test(Box::new(Test { step, ..test })));
    }

    /// How far `step` is.
    pub(crate) fn progress(&mut self, step: Option<StepId>, value: Option<f64>, text: &str) {
        let text = Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        if value.is_some() || text.is_some() {
            self.say(EventKind::Progress { value, text, step });
        }
    }

    /// Any other event.
    pub(crate) fn say(&mut self, kind: EventKind) {
        (self.out)(Event { place: self.place, dialect: self.name.clone(), kind });
    }

    /// The next line of this line's stream goes to this dialect's `next` before all others.
    pub(crate) fn await_next(&mut self) {
        self.awaits = true;
    }

    /// The lines that this dialect held of `stream` become ordinary output after all.
    pub(crate) fn release(&mut self, stream: Stream) {
        self.shared.release(self.me, stream, self.out);
    }

    /// The lines that this dialect held of `stream` have become part of what it recognised.
    pub(crate) fn consume(&mut self, stream: Stream) {
        self.shared.consume(self.me, stream);
    }

    /// From the next line of this line's stream on, only this dialect sees lines: they quote what
    /// others printed. At the latest until `step` has ended.
    pub(crate) fn quote(&mut self, step: Option<StepId>) {
        self.shared.quote(self.place.stream, self.me, step);
    }

    /// The quotation of this line's stream is over.
    pub(crate) fn unquote(&mut self) {
        self.shared.unquote(self.place.stream, self.me);
    }

    /// Whether this dialect has a quotation open in this line's stream.
    pub(crate) fn is_quoting(&mut self) -> bool {
        self.shared.quoted_by(self.place.stream) == Some(self.me)
    }

    /// From the next line on, no marker dialect but this one sees lines, own markers included.
    pub(crate) fn suspend(&mut self) {
        self.shared.suspended_by = Some(self.me);
    }

    /// All see lines again.
    pub(crate) fn resume(&mut self) {
        if self.shared.suspended_by == Some(self.me) {
            self.shared.suspended_by = None;
        }
    }

    /// Whether this is the frame itself, speaking for own markers.
    pub(crate) fn is_own(&self) -> bool {
        self.me == OWN_STEPS
    }
}

/// The last part of a path, of either sort of system.
pub(crate) fn file_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches(['/', '\\']);
    let name = trimmed.rsplit(['/', '\\']).next().unwrap_or(trimmed);
    if name.is_empty() { path } else { name }
}
