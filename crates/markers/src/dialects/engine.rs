//! Bytes of the streams in, events out: cuts lines and asks the dialects about them.

use std::{ops::Range, sync::Arc};

use super::{
    Dialect, Line, Selection, Taken,
    context::Context,
    cut::{Cut, Cutter, ends_with_blank_line},
    event::{At, Cause, Event, EventKind, Place, StepId, StepStatus, Stream},
    filter::Filter,
    own,
    problems::Problems,
    shared::Shared,
    tables::first_table,
    tree::{FORMER_STEPS, Label, OWN_STEPS, Open, hash},
    watch::{Table, Watch},
};
use crate::LINE_BYTES_MAX;

/// An execution has at most so many steps, whoever starts them.
pub const STEPS_MAX: usize = 10_000;

/// A longer line counts as empty for the next one.
const BEFORE_BYTES_MAX: usize = 4 * 1024;

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Exit(i32),
    /// It was stopped.
    Cancelled,
    /// Otherwise, a signal say.
    Failed,
}

impl Ending {
    /// What becomes of a step that is open then.
    pub fn status(self) -> StepStatus {
        match self {
            Self::Exit(0) => StepStatus::Success,
            Self::Cancelled => StepStatus::Cancelled,
            Self::Exit(_) | Self::Failed => StepStatus::Failure,
        }
    }
}

/// Recognises own markers and dialects in the output of one execution, whatever its split into
/// reads. The state is bounded, whatever the output.
#[derive(Debug)]
pub struct Dialects {
    cutters: [Cutter; 2],
    core: Core,
    /// Lines that have ended, for who does not count them.
    lines: u64,
}

/// A step that was open before: see [`Dialects::take_over`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// Its number.
    pub step: StepId,
    /// The step it is nested in.
    pub parent: Option<StepId>,
    /// Lines without a place of their own do not fall into it.
    pub loose: bool,
    /// An own step: its name, and what its `[id=…]` says.
    pub own: Option<(String, Option<String>)>,
}

#[derive(Debug)]
struct Core {
    own: bool,
    parts: Vec<Part>,
    table: Arc<Table>,
    /// Dialects, as bits, that wait for the next line of a stream.
    awaiting: [u32; 2],
    /// By stream: the line before the next one is blank, or there is none.
    follows_blank: [bool; 2],
    /// Dialects, as bits, that have recognised something.
    detected: u32,
    /// The bit of problem matchers; 0: there are none.
    matchers: u32,
    /// By stream: the last whole line, where problem matchers are in use; empty if it was too long or there was none.
    before: [Vec<u8>; 2],
    shared: Shared,
    /// Where the output ends so far.
    end: Place,
    /// Where the piece stands that is being read.
    at: At,
    /// So many of its bytes are counted, with so many line feeds.
    counted: (usize, u64),
    offers: Offers,
}

/// What was done for the lines so far; ordinary output costs none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offers {
    /// Lines that somebody may want: they are decoded, and escape sequences taken out.
    pub lines: u64,
    /// How often a line was shown to a dialect.
    pub shown: u64,
}

struct Part {
    name: &'static str,
    /// Printed on purpose for another system.
    is_marker: bool,
    dialect: Box<dyn Dialect>,
    watch: Watch,
}

impl Part {
    fn new(name: &'static str, is_marker: bool, dialect: Box<dyn Dialect>) -> Self {
        Self { name, is_marker, watch: dialect.watch(), dialect }
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Dialects {
    /// The dialects that `selection` names.
    pub fn new(selection: &Selection) -> Self {
        // As large as it gets, with problem matchers: there may be thousands of them.
        let mut parts = Vec::with_capacity(selection.entries().count() + 1);
        parts.extend(
            selection
                .entries()
                .map(|(entry, hinted)| Part::new(entry.name, entry.is_marker, (entry.new)(hinted))),
        );
        let problems = Problems::new(selection.matchers());
        let words: Vec<Box<str>> = problems.literals().map(Box::from).collect();
        let is_any = !parts.is_empty() || !problems.is_empty();
        let mut matchers = 0;
        if !problems.is_empty() {
            matchers = 1 << parts.len();
            parts.push(Part::new("problem-matchers", false, Box::new(problems)));
        }
        let watches: Vec<_> = parts.iter().map(|part| part.watch).collect();
        let table = first_table(watches, is_any.then_some(words), matchers);
        let core = Core {
            own: selection.own(),
            table,
            awaiting: [0; 2],
            follows_blank: [true; 2],
            // Matchers say themselves what they detect: each has a name of its own.
            detected: matchers,
            matchers,
            before: [Vec::new(), Vec::new()],
            shared: Shared::new(markers_of(&parts)),
            parts,
            end: Place::default(),
            at: At::default(),
            counted: (0, 0),
            offers: Offers::default(),
        };
        Self { cutters: [Cutter::default(), Cutter::default()], core, lines: 0 }
    }

    /// Goes on where another has stopped, after `started` steps of which these are open. What that
    /// one knew of its dialects is not known here: their open steps end with those around them.
    pub fn take_over(&mut self, started: u32, open: &[Former]) {
        let open = open.iter().map(|former| {
            let (name, key) =
                former.own.as_ref().map_or(("", None), |(name, key)| (name, key.as_deref()));
            Open {
                id: former.step,
                parent: former.parent,
                owner: if former.own.is_some() { OWN_STEPS } else { FORMER_STEPS },
                label: if former.own.is_some() {
                    own::label(name)
                } else {
                    Label::new("former", "")
                },
                loose: former.loose,
                id_key: key.map(hash),
                failed: false,
                verdict: None,
            }
        });
        self.core.shared.tree.take_over(started, open.collect());
    }

    /// The work that was done so far.
    pub fn offers(&self) -> Offers {
        self.core.offers
    }

    /// How many steps have started, and those that are open, in order of their starts.
    pub fn steps(&self) -> (usize, impl Iterator<Item = StepId>) {
        let tree = &self.core.shared.tree;
        (tree.started(), tree.iter().map(|open| open.id))
    }

    /// Also says what no dialect recognised, line by line: [`EventKind::Log`]. Ordinary output is
    /// far slower to read then.
    #[must_use]
    pub fn with_text(mut self) -> Self {
        self.core.shared.wants_text = true;
        self
    }

    /// Feeds a stream's next bytes, which stand at `offset` in the output; counts lines itself.
    pub fn push(&mut self, stream: Stream, bytes: &[u8], offset: u64, out: &mut dyn FnMut(Event)) {
        self.push_at(stream, bytes, At { offset, lines: self.lines, floor: 0 }, out);
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
    }

    /// Feeds a stream's next bytes, for who knows where they stand.
    pub fn push_at(&mut self, stream: Stream, bytes: &[u8], at: At, out: &mut dyn FnMut(Event)) {
        let (cutter, core) = (&mut self.cutters[slot(stream)], &mut self.core);
        if core.is_off() {
            return;
        }
        let At { offset, lines, floor } = at;
        let end = offset + bytes.len() as u64;
        core.end = Place { stream, start: offset, end, line: lines + 1 };
        core.at = at;
        core.counted = (0, 0);
        let rest = cutter.complete(bytes, offset, &mut |line, start, end| {
            let place = Place { stream, start: start.max(floor), end, line: lines + 1 };
            core.line(line, None, place, out);
            core.follows_blank[slot(stream)] = line.is_blank();
            core.remember(stream, if let Cut::Whole(line) = line { line } else { b"" });
        });
        let whole = memchr::memrchr(b'\n', &bytes[rest..]).map_or(rest, |at| rest + at + 1);
        core.lines(bytes, rest..whole, stream, out);
        if rest < whole {
            core.follows_blank[slot(stream)] = ends_with_blank_line(&bytes[rest..whole]);
        }
        cutter.keep(&bytes[whole..], offset + whole as u64);
    }

    /// A stream has ended: its last half line counts as whole, and decisions that wait for its next
    /// line are made.
    pub fn end_stream(&mut self, stream: Stream, out: &mut dyn FnMut(Event)) {
        self.end_stream_at(stream, self.lines, 0, out);
    }

    /// The same, for who knows that so many `lines` have ended, and where the stream's last run of
    /// bytes began.
    pub fn end_stream_at(
        &mut self,
        stream: Stream,
        lines: u64,
        floor: u64,
        out: &mut dyn FnMut(Event),
    ) {
        let (cutter, core) = (&mut self.cutters[slot(stream)], &mut self.core);
        core.end.line = lines + 1;
        cutter.finish(&mut |line, start, end| {
            let place = Place { stream, start: start.max(floor), end, line: lines + 1 };
            core.line(line, None, place, out);
        });
        core.nothing_follows(stream, out);
    }

    /// The execution has ended; its streams have. Closes all that is open.
    pub fn end(&mut self, ending: Ending, out: &mut dyn FnMut(Event)) {
        let open = self.settle(ending, out);
        let place = self.core.end_place();
        for (step, verdict) in open.into_iter().rev() {
            self.core.shared.tree.close(step);
            let status = verdict.unwrap_or(ending.status());
            let kind = EventKind::StepEnd { step, status, detail: None, by: Cause::End };
            out(Event { place, dialect: super::OWN.into(), kind });
        }
    }

    /// The same, but what is open stays so and is returned, in order of the starts, each with the
    /// verdict that its dialect has over it.
    pub fn settle(
        &mut self,
        ending: Ending,
        out: &mut dyn FnMut(Event),
    ) -> Vec<(StepId, Option<StepStatus>)> {
        let core = &mut self.core;
        let place = core.end_place();
        for index in 0..core.parts.len() {
            core.ask(index, place, out, |dialect, cx| {
                dialect.end(ending, cx);
                Taken::No
            });
        }
        core.shared.tree.iter().map(|open| (open.id, open.verdict)).collect()
    }
}

pub(super) fn slot(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}

/// A line as the next one may see it.
fn bounded(line: &[u8]) -> &[u8] {
    if line.len() > BEFORE_BYTES_MAX { b"" } else { line }
}

/// The last line of several.
fn last_line(lines: &[u8]) -> &[u8] {
    &lines[memchr::memrchr(b'\n', lines).map_or(0, |end| end + 1)..]
}

/// The marker dialects among `parts`, as bits.
fn markers_of(parts: &[Part]) -> u32 {
    let markers = parts.iter().enumerate().filter(|(_, part)| part.is_marker);
    markers.fold(0, |all, (index, _)| all | 1 << index)
}

/// The indices of the bits that are set, in order.
fn bits(mut set: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let index = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (index < u32::BITS).then_some(index as usize)
    })
}

impl Core {
    /// Nothing is looked for.
    fn is_off(&self) -> bool {
        !self.own && self.parts.is_empty() && !self.shared.wants_text
    }

    fn end_place(&self) -> Place {
        Place { start: self.end.end, ..self.end }
    }

    /// The number of the line that begins at `start` in the piece that is being read. Lines are
    /// counted only where somebody asks, and once.
    fn number(&mut self, piece: &[u8], start: usize) -> u64 {
        let (until, lines) = &mut self.counted;
        if let Some(new) = piece.get(*until..start) {
            *lines += memchr::memchr_iter(b'\n', new).count() as u64;
            *until = start;
        }
        self.at.lines + *lines + 1
    }

    /// Whole lines at once, a part of `piece`: what nobody wants to see is passed over.
    fn lines(
        &mut self,
        piece: &[u8],
        part: Range<usize>,
        stream: Stream,
        out: &mut dyn FnMut(Event),
    ) {
        let (first, bytes) = (part.start, &piece[part]);
        let offset = self.at.offset + first as u64;
        let mut filter = Filter::new(bytes, &self.table);
        let mut at = 0;
        while at < bytes.len() {
            if !self.wants_every_line(stream) {
                match filter.next(at, &self.table, self.own) {
                    Some(start) => at = start,
                    None => break,
                }
            }
            if at > 0 {
                self.follows_blank[slot(stream)] = ends_with_blank_line(&bytes[..at]);
            }
            let rest = &bytes[at..];
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let start = offset + at as u64;
            let end = start + length as u64 + 1;
            let line = self.number(piece, first + at);
            let place = Place { stream, start: start.max(self.at.floor), end, line };
            let before = bytes[..at].strip_suffix(b"\n").map(last_line);
            self.line(Cut::Whole(&rest[..length]), before, place, out);
            at += length + 1;
        }
        if let Some(whole) = bytes.strip_suffix(b"\n") {
            self.remember(stream, last_line(whole));
        }
    }

    /// A whole line has been read: the next one of the stream may ask for it.
    fn remember(&mut self, stream: Stream, line: &[u8]) {
        if self.matchers != 0 {
            let before = &mut self.before[slot(stream)];
            before.clear();
            before.extend_from_slice(bounded(line));
        }
    }

    fn wants_every_line(&mut self, stream: Stream) -> bool {
        self.shared.wants_text
            || self.table.all() != 0
            || self.awaiting[slot(stream)] != 0
            || self.shared.quoted_by(stream).is_some()
    }

    /// `before`: the line before it, where it stands in the same piece.
    fn line(
        &mut self,
        line: Cut<'_>,
        before: Option<&[u8]>,
        place: Place,
        out: &mut dyn FnMut(Event),
    ) {
        let bytes = match line {
            Cut::Whole(bytes) if bytes.len() <= LINE_BYTES_MAX => bytes,
            Cut::Whole(head) | Cut::Head(head) => {
                self.nothing_follows(place.stream, out);
                let hears = self.own
                    && self.shared.suspended_by.is_none()
                    && self.shared.quoted_by(place.stream).is_none();
                if let Some(error) = crate::parse::too_long(head).filter(|_| hears) {
                    self.own_marker(Err(error), place, out);
                }
                return;
            }
        };
        self.offers.lines += 1;
        let mut line = Line::new(bytes, place).after_blank(self.follows_blank[slot(place.stream)]);
        let kept;
        if self.matchers != 0 {
            line.before = Some(if let Some(before) = before {
                bounded(before)
            } else {
                kept = self.before[slot(place.stream)].clone();
                kept.as_slice()
            });
        }
        if !self.recognise(&line, bytes, out) && self.shared.wants_text {
            let step = self.shared.tree.innermost();
            let kind = EventKind::Log { text: line.visible().to_owned(), level: None, step };
            out(Event { place, dialect: super::OWN.into(), kind });
        }
    }

    fn recognise(&mut self, line: &Line<'_>, bytes: &[u8], out: &mut dyn FnMut(Event)) -> bool {
        let mut not_again = 0;
        if self.offer_to_waiting(line, out) {
            return true;
        }
        if let Some(owner) = self.shared.quoted_by(line.stream()) {
            if self.offer(usize::from(owner), line, out) {
                return true;
            }
            if self.shared.quoted_by(line.stream()).is_some() {
                return false;
            }
            // The owner has seen that its quotation ended before this line.
            not_again = 1 << owner;
        }
        if self.own && self.shared.suspended_by.is_none() {
            match crate::parse(bytes) {
                Ok(None) => {}
                outcome => {
                    self.own_marker(outcome, line.place, out);
                    return true;
                }
            }
        }
        let who = self.table.who(line.visible().as_bytes(), bytes) & !not_again;
        bits(who).any(|index| self.is_heard(index) && self.offer(index, line, out))
    }

    /// The line after one that was held: who waits for it decides first.
    fn offer_to_waiting(&mut self, line: &Line<'_>, out: &mut dyn FnMut(Event)) -> bool {
        let mut taken = false;
        for index in bits(std::mem::take(&mut self.awaiting[slot(line.stream())])) {
            let heard = !taken && self.is_heard(index);
            let next = heard.then_some(line);
            taken |= self.ask(index, line.place, out, |dialect, cx| dialect.next(next, cx));
        }
        taken
    }

    /// No further line of `stream` can be part of what is held.
    fn nothing_follows(&mut self, stream: Stream, out: &mut dyn FnMut(Event)) {
        let place = Place { stream, ..self.end_place() };
        for index in bits(std::mem::take(&mut self.awaiting[slot(stream)])) {
            self.ask(index, place, out, |dialect, cx| dialect.next(None, cx));
        }
    }

    fn offer(&mut self, index: usize, line: &Line<'_>, out: &mut dyn FnMut(Event)) -> bool {
        self.offers.shown += 1;
        let wants_text = self.shared.wants_text;
        let mut held = false;
        let taken = self.ask(index, line.place, out, |dialect, cx| {
            let taken = dialect.line(line, cx);
            held = taken == Taken::Held;
            taken
        });
        if held && wants_text {
            self.shared.held.push((index as u8, line.place, line.visible().to_owned()));
        }
        taken
    }

    /// Whether marker dialects are suspended, and this one with them.
    fn is_heard(&self, index: usize) -> bool {
        match self.shared.suspended_by {
            Some(by) => usize::from(by) == index || !self.parts[index].is_marker,
            None => true,
        }
    }

    /// Lets a dialect speak. Whether the line is taken.
    fn ask(
        &mut self,
        index: usize,
        place: Place,
        out: &mut dyn FnMut(Event),
        question: impl FnOnce(&mut dyn Dialect, &mut Context<'_>) -> Taken,
    ) -> bool {
        let part = &mut self.parts[index];
        let is_known = self.detected & 1 << index != 0;
        // That it was detected is said before what it says.
        let mut said = Vec::new();
        let mut keep = |event| said.push(event);
        let mut cx = Context {
            shared: &mut self.shared,
            out: if is_known { &mut *out } else { &mut keep },
            me: index as u8,
            name: part.name.into(),
            place,
            awaits: false,
        };
        let taken = question(part.dialect.as_mut(), &mut cx);
        if cx.awaits || taken == Taken::Held {
            self.awaiting[slot(place.stream)] |= 1 << index;
        }
        if !is_known && taken == Taken::Yes {
            self.detected |= 1 << index;
            // What was held until this line began before it.
            let first = said.first().map_or(place, |first: &Event| first.place);
            let place = if first.start < place.start { first } else { place };
            out(Event { place, dialect: part.name.into(), kind: EventKind::Detected });
        }
        said.into_iter().for_each(out);
        let watch = part.dialect.watch();
        if watch != part.watch {
            part.watch = watch;
            let watches: Vec<_> = self.parts.iter().map(|part| part.watch).collect();
            Arc::make_mut(&mut self.table).set(&watches);
        }
        taken != Taken::No
    }

    fn own_marker(
        &mut self,
        outcome: Result<Option<crate::Marker>, crate::MarkerError>,
        place: Place,
        out: &mut dyn FnMut(Event),
    ) {
        let mut cx = Context {
            shared: &mut self.shared,
            out,
            me: OWN_STEPS,
            name: super::OWN.into(),
            place,
            awaits: false,
        };
        match outcome {
            Ok(Some(marker)) => own::act(&marker, &mut cx),
            Ok(None) => {}
            Err(error) => {
                let code = match error {
                    crate::MarkerError::TooLong { .. } => "marker_refused",
                    // A limit, as those of steps and files are: said once.
                    crate::MarkerError::LineTooLong { .. } => "marker_line_limit",
                };
                cx.say(EventKind::Warning { code, message: error.to_string() });
            }
        }
    }
}
