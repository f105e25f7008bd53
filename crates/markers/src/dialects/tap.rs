//! The Test Anything Protocol, versions 13 and 14.
//!
//! Source: `TestAnything/testanything.github.io`, `tap-version-14-specification.md`.

mod line; // the grammar

use self::line::{Point, TapLine, is_between, parse, skipped_file, test_file};
use super::{
    Annotation, Context, Dialect, Ending, Line, Place, StepId, StepStatus, Stream, Taken, Test,
    TestStatus, Watch, tree::Label, watch::Needle,
};

/// Between two lines that belong together stand at most so many blank ones and comments.
const BETWEEN_MAX: u32 = 20;
/// Subtests are nested at most so deep.
const DEPTH_MAX: usize = 100;

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(Tap::default())
}

#[derive(Default)]
struct Tap {
    document: Option<Document>,
    /// By stream.
    lanes: [Lane; 2],
}

/// What the next line of a stream decides.
#[derive(Default)]
struct Lane {
    /// A line that may begin a document.
    candidate: Option<Candidate>,
    /// The test file that a harness has just named.
    file: Option<String>,
    /// The indentation of the point before, and of its diagnostics while they are quoted.
    point_indent: Option<usize>,
}

struct Document {
    step: StepId,
    stream: Stream,
    /// The document, then the open subtests, outermost first.
    levels: Vec<Level>,
    /// The name that a comment gave to what comes, and at which level.
    announced: Option<(usize, Option<String>)>,
}

struct Level {
    step: StepId,
    plan: Option<u64>,
    points: u64,
    failed: bool,
}

impl Level {
    fn new(step: StepId) -> Self {
        Self { step, plan: None, points: 0, failed: false }
    }
}

struct Candidate {
    place: Place,
    what: Beginning,
    /// How many blank lines and comments have followed.
    between: u32,
}

enum Beginning {
    Plan(u64),
    Point(Point),
}

impl Candidate {
    /// Whether `next` makes a document of it.
    fn is_confirmed_by(&self, next: &TapLine) -> bool {
        match (&self.what, next) {
            (Beginning::Plan(_), TapLine::Point(point)) => matches!(point.number, None | Some(1)),
            (Beginning::Point(_), TapLine::Point(point)) => point.number == Some(2),
            (Beginning::Point(_), TapLine::Plan(count, _)) => *count == 1,
            _ => false,
        }
    }
}

const BEGINNINGS: &[&str] = &["1..", "ok 1", "not ok 1", "TAP version 1"];
const ALL_LINES: &[&str] =
    &["1..", "ok", "not ok", "# Subtest", "Bail out!", "bail out!", "TAP version 1", "pragma "];

impl Dialect for Tap {
    fn watch(&self) -> Watch {
        let watch = Watch::none().needle(Needle::Dots);
        match self.document {
            Some(_) => watch.begins(ALL_LINES).indented(ALL_LINES),
            None => watch.begins(BEGINNINGS),
        }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        if cx.is_quoting() {
            if self.is_diagnostics(text, cx) {
                return Taken::Yes;
            }
            cx.unquote();
        }
        self.forget_closed(cx);
        if let Some((file, reason)) = skipped_file(text) {
            return match cx.start(Label::new("document", ""), file, Vec::new()) {
                Some(step) => {
                    cx.end(step, StepStatus::Skipped, Some(reason));
                    Taken::Yes
                }
                None => Taken::No,
            };
        }
        if let Some(file) = test_file(text) {
            self.lane(cx).file = Some(file.to_owned());
            cx.await_next();
            return Taken::No; // The harness's own line.
        }
        let indent = text.len() - text.trim_start_matches(' ').len();
        let Some(tap) = parse(&text[indent..]) else { return Taken::No };
        let is_here = |document: &Document| slot(document.stream) == slot(cx.place.stream);
        match &self.document {
            Some(document) if !is_here(document) => Taken::No,
            _ if tap == TapLine::Version && indent == 0 => {
                self.finish(None, cx);
                if self.start(None, cx) { Taken::Yes } else { Taken::No }
            }
            Some(_) => self.inside(tap, indent, text, cx),
            None if indent == 0 => self.begin(tap, cx),
            None => Taken::No,
        }
    }

    fn next(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        match self.lane(cx).candidate.take() {
            Some(candidate) => self.decide(candidate, line, cx),
            None => self.after(line, cx),
        }
    }

    fn end(&mut self, ending: Ending, cx: &mut Context<'_>) {
        self.forget_closed(cx);
        if ending != Ending::Cancelled {
            self.finish(Some(ending), cx);
        }
    }
}

impl Tap {
    fn lane(&mut self, cx: &Context<'_>) -> &mut Lane {
        &mut self.lanes[slot(cx.place.stream)]
    }

    /// Whether a line of a quotation belongs to it. Its last one ends it.
    fn is_diagnostics(&mut self, text: &str, cx: &mut Context<'_>) -> bool {
        let indent = self.lane(cx).point_indent.unwrap_or(0);
        if is_at(text, indent, "  ...") {
            cx.unquote();
            return true;
        }
        // A block that its test left unfinished ends where the indentation does.
        let blanks = text.len() - text.trim_start_matches(' ').len();
        text.trim().is_empty() || blanks >= indent + 2
    }

    /// Others may have closed the steps of a document together with theirs.
    fn forget_closed(&mut self, cx: &Context<'_>) {
        if let Some(document) = &mut self.document {
            document.levels.retain(|level| cx.is_open(level.step));
            if document.levels.is_empty() {
                self.document = None;
            }
        }
    }

    /// A line outside a document.
    fn begin(&mut self, tap: TapLine, cx: &mut Context<'_>) -> Taken {
        let what = match tap {
            TapLine::Plan(0, Some(reason)) => {
                if !self.start(None, cx) {
                    return Taken::No;
                }
                self.skip(&reason, cx);
                return Taken::Yes;
            }
            TapLine::Plan(count @ 1.., _) => Beginning::Plan(count),
            TapLine::Point(point) if point.number == Some(1) => Beginning::Point(point),
            _ => return Taken::No,
        };
        let place = cx.place;
        self.lane(cx).candidate = Some(Candidate { place, what, between: 0 });
        Taken::Held
    }

    /// The line after one that may begin a document.
    fn decide(
        &mut self,
        mut candidate: Candidate,
        line: Option<&Line<'_>>,
        cx: &mut Context<'_>,
    ) -> Taken {
        if let Some(text) = line.map(Line::visible) {
            if is_between(text) && candidate.between < BETWEEN_MAX {
                candidate.between += 1;
                self.lane(cx).candidate = Some(candidate);
                cx.await_next();
                return Taken::No;
            }
            if let Some(tap) = parse(text)
                && self.document.is_none()
                && candidate.is_confirmed_by(&tap)
            {
                let here = std::mem::replace(&mut cx.place, candidate.place);
                let started = self.start(None, cx);
                if started {
                    match candidate.what {
                        Beginning::Plan(count) => self.plan(count, None, 0, cx),
                        Beginning::Point(point) => self.point(point, 0, cx),
                    }
                }
                cx.place = here;
                if started {
                    cx.consume(here.stream);
                    return self.inside(tap, 0, text, cx);
                }
            }
        }
        cx.release(cx.place.stream);
        Taken::No
    }

    /// The line after a point, or after the name of a test file.
    fn after(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        let Some(line) = line else {
            self.lane(cx).file = None;
            return Taken::No;
        };
        let text = line.visible();
        if let Some(indent) = self.lane(cx).point_indent
            && is_at(text, indent, "  ---")
        {
            cx.quote(None);
            return Taken::Yes;
        }
        let Some(file) = self.lane(cx).file.take() else { return Taken::No };
        match parse(text) {
            Some(TapLine::BailOut | TapLine::Pragma) | None => Taken::No,
            // Behind a file's name any line of a document begins one; what was open has ended too
            // early.
            Some(tap) => {
                self.forget_closed(cx);
                self.finish(None, cx);
                if !self.start(Some(file), cx) {
                    return Taken::No;
                }
                self.inside(tap, 0, text, cx)
            }
        }
    }

    fn start(&mut self, file: Option<String>, cx: &mut Context<'_>) -> bool {
        let name = file.as_deref().unwrap_or("TAP");
        let step = cx.start(Label::new("document", ""), name, Vec::new());
        self.document = step.map(|step| Document {
            step,
            stream: cx.place.stream,
            levels: vec![Level::new(step)],
            announced: None,
        });
        step.is_some()
    }

    /// A line of a document that is open.
    fn inside(&mut self, tap: TapLine, indent: usize, text: &str, cx: &mut Context<'_>) -> Taken {
        let Some(document) = &mut self.document else { return Taken::No };
        if tap == TapLine::BailOut {
            let step = document.step;
            cx.annotation(Annotation {
                message: text.trim().to_owned(),
                step: Some(step),
                ..Annotation::default()
            });
            cx.end(step, StepStatus::Failure, Some("bail out"));
            self.document = None;
            return Taken::Yes;
        }
        let (depth, open) = (indent / 4, document.levels.len());
        if !indent.is_multiple_of(4) || depth > open || depth >= DEPTH_MAX {
            return Taken::No;
        }
        if matches!(tap, TapLine::Pragma | TapLine::Version) {
            return Taken::Yes;
        }
        if depth == open {
            let name = match document.announced.take() {
                Some((level, Some(name))) if level + 1 == depth => name,
                _ => "subtest".to_owned(),
            };
            match cx.start(Label::new("subtest", ""), &name, Vec::new()) {
                Some(step) => document.levels.push(Level::new(step)),
                None => return Taken::No,
            }
        }
        match tap {
            TapLine::Plan(count, reason) => self.plan(count, reason, depth, cx),
            TapLine::Point(point) => self.point(point, depth, cx),
            TapLine::Subtest(name) => {
                if let Some(inner) = document.levels.get(depth + 1) {
                    cx.end(inner.step, StepStatus::Done, None);
                    document.levels.truncate(depth + 1);
                }
                document.announced = Some((depth, name));
            }
            TapLine::Pragma | TapLine::Version | TapLine::BailOut => {}
        }
        Taken::Yes
    }

    fn plan(&mut self, count: u64, reason: Option<String>, depth: usize, cx: &mut Context<'_>) {
        let Some(level) = self.document.as_mut().and_then(|doc| doc.levels.get_mut(depth)) else {
            return;
        };
        if level.plan.is_some() {
            return;
        }
        level.plan = Some(count);
        if depth == 0 && count == 0 && level.points == 0 {
            self.skip(&reason.unwrap_or_default(), cx);
        } else if depth == 0 && level.points > 0 {
            self.finish_if_complete(cx);
        }
    }

    fn skip(&mut self, reason: &str, cx: &mut Context<'_>) {
        if let Some(document) = self.document.take() {
            cx.end(document.step, StepStatus::Skipped, Some(reason));
        }
    }

    fn point(&mut self, point: Point, depth: usize, cx: &mut Context<'_>) {
        let Some(document) = &mut self.document else { return };
        document.announced = None;
        let status = point.status();
        let Some(level) = document.levels.get_mut(depth) else { return };
        level.points += 1;
        level.failed |= status == TestStatus::Failed;
        let (number, step) = (point.number.unwrap_or(level.points), level.step);
        let message = point.directive.and_then(|(_, message)| message);
        if let Some(inner) = document.levels.get(depth + 1) {
            // The subtest's own point: its result, and no test.
            let status = match status {
                TestStatus::Passed => StepStatus::Success,
                TestStatus::Skipped => StepStatus::Skipped,
                TestStatus::Todo => StepStatus::Done,
                _ => StepStatus::Failure,
            };
            cx.end(inner.step, status, message.as_deref());
            document.levels.truncate(depth + 1);
        } else {
            let name = match point.description {
                empty if empty.is_empty() => format!("test {number}"),
                description => description,
            };
            cx.test_on(Some(step), Test { message, ..Test::new(name, status) });
        }
        self.lane(cx).point_indent = Some(depth * 4);
        cx.await_next();
        if depth == 0 {
            self.finish_if_complete(cx);
        }
    }

    fn finish_if_complete(&mut self, cx: &mut Context<'_>) {
        let complete = self.document.as_ref().and_then(|document| document.levels.first());
        if complete.is_some_and(|level| level.plan.is_some_and(|plan| level.points >= plan)) {
            self.finish(None, cx);
        }
    }

    /// Ends the document with the verdict that its points give.
    fn finish(&mut self, ending: Option<Ending>, cx: &mut Context<'_>) {
        let Some(document) = self.document.take() else { return };
        let Some(level) = document.levels.first() else { return };
        let complete = level.plan.is_none_or(|plan| level.points == plan);
        let ended_well = ending.is_none_or(|ending| ending == Ending::Exit(0));
        let good = complete && ended_well && !level.failed;
        let status = if good { StepStatus::Success } else { StepStatus::Failure };
        cx.end(document.step, status, None);
    }
}

/// Whether `text` is `word` behind `indent` spaces.
fn is_at(text: &str, indent: usize, word: &str) -> bool {
    let Some((blanks, rest)) = text.split_at_checked(indent) else { return false };
    blanks.bytes().all(|byte| byte == b' ') && rest.trim_end() == word
}

fn slot(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}
