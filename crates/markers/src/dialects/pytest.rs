//! What pytest prints, xdist's workers included.
//!
//! Source: `pytest-dev/pytest`, `src/_pytest/terminal.py`, `_io/terminalwriter.py`, `subtests.py`;
//! output of pytest 9.2 and pytest-xdist 3.8.

mod line; // the grammar

use std::collections::HashSet;

use self::line::{Heading, Outcome, Title, Totals, heading, outcome, problem, terse};
use super::{
    Annotation, Context, Dialect, EventKind, Line, StepId, StepStatus, Stream, Taken, Test,
    TestStatus, Watch,
    event::Cause,
    tree::{Label, hash},
};

/// So many tests that failed are known by name, so that the summary does not tell of them again.
const REPORTED_MAX: usize = 10_000;

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(Pytest::default())
}

#[derive(Default)]
struct Pytest {
    session: Option<Session>,
}

struct Session {
    step: StepId,
    stream: Stream,
    /// How wide its headings are.
    width: usize,
    file: Option<File>,
    /// The file whose letters may go on in the next line.
    letters: Option<StepId>,
    /// The short summary is being printed.
    in_summary: bool,
    /// Sessions that a quotation quotes.
    quoted: u32,
    interrupted: bool,
    broken: bool,
    failed: bool,
    /// Tests that were said to have failed, as hashes.
    reported: HashSet<u64>,
}

/// The test file whose tests are being printed.
struct File {
    /// `None`: there are too many steps.
    step: Option<StepId>,
    path: u64,
    failed: bool,
}

impl Dialect for Pytest {
    fn watch(&self) -> Watch {
        match self.session {
            // A line of results begins with a path.
            Some(_) => Watch::all(),
            None => Watch::none().begins(&["=== ", "===="]),
        }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        if self.session.as_ref().is_some_and(|session| !cx.is_open(session.step)) {
            self.session = None;
        }
        let heading = heading(text);
        let Some(session) = &mut self.session else { return self.begin(heading.as_ref(), cx) };
        if (session.stream == Stream::Stderr) != (cx.place.stream == Stream::Stderr) {
            return Taken::No;
        }
        if cx.is_quoting() {
            match &heading {
                Some(heading) if session.ends_quotation(heading) => cx.unquote(),
                _ => return Taken::No,
            }
        }
        match heading {
            Some(heading) => self.heading(&heading, cx),
            None => session.line(text, cx),
        }
    }
}

impl Pytest {
    fn begin(&mut self, heading: Option<&Heading<'_>>, cx: &mut Context<'_>) -> Taken {
        let Some(heading) = heading.filter(|heading| heading.is_start()) else { return Taken::No };
        let Some(step) = cx.start(Label::new("session", ""), "pytest", Vec::new()) else {
            return Taken::No;
        };
        self.session = Some(Session {
            step,
            stream: cx.place.stream,
            width: heading.width,
            file: None,
            letters: None,
            in_summary: false,
            quoted: 0,
            interrupted: false,
            broken: false,
            failed: false,
            reported: HashSet::new(),
        });
        Taken::Yes
    }

    /// A heading outside quotations.
    fn heading(&mut self, heading: &Heading<'_>, cx: &mut Context<'_>) -> Taken {
        let Some(session) = &mut self.session else { return Taken::No };
        if heading.is_start() {
            // The one before was killed.
            let failed = session.failed;
            session.end_file(cx);
            let status = if failed { StepStatus::Failure } else { StepStatus::Done };
            cx.end_by(session.step, status, None, Cause::Next);
            self.session = None;
            return self.begin(Some(heading), cx);
        }
        let Some(title) = session.title(heading) else { return Taken::No };
        session.in_summary = false;
        session.letters = None;
        match title {
            Title::Quoted => {
                session.end_file(cx);
                cx.quote(Some(session.step));
            }
            Title::Summary => {
                session.end_file(cx);
                session.in_summary = true;
            }
            Title::Section | Title::Stopped => session.end_file(cx),
            Title::Interrupted => {
                session.interrupted = true;
                session.end_file(cx);
            }
            Title::Totals(totals) => {
                session.end(totals, cx);
                self.session = None;
            }
        }
        Taken::Yes
    }
}

impl Session {
    /// What a heading says, if it is as wide as pytest makes it.
    fn title(&self, heading: &Heading<'_>) -> Option<Title> {
        // One that fills the line may have a single character at each side.
        let fills = heading.width + 1 >= self.width;
        let title = heading.title()?;
        match title {
            Title::Totals(_) => (fills || heading.marks >= 3).then_some(title),
            Title::Stopped | Title::Interrupted => fills.then_some(title),
            _ => (heading.marks >= 3).then_some(title),
        }
    }

    /// Whether a heading inside a quotation is pytest's own.
    fn ends_quotation(&mut self, heading: &Heading<'_>) -> bool {
        if heading.is_start() {
            self.quoted = self.quoted.saturating_add(1);
            return false;
        }
        match self.title(heading) {
            Some(Title::Totals(_)) if self.quoted > 0 => {
                self.quoted -= 1;
                false
            }
            Some(_) => self.quoted == 0,
            None => false,
        }
    }

    fn line(&mut self, text: &str, cx: &mut Context<'_>) -> Taken {
        if self.in_summary {
            return self.summary(text, cx);
        }
        if text.starts_with("INTERNALERROR>") {
            self.broken = true;
            return Taken::No;
        }
        if let Some(outcome) = outcome(text) {
            self.letters = None;
            self.test(&outcome, cx);
            return Taken::Yes;
        }
        let Some(letters) = terse(text) else { return Taken::No };
        self.failed |= letters.failed;
        let status = if letters.failed { StepStatus::Failure } else { StepStatus::Success };
        match (letters.path, self.letters) {
            (Some(path), _) => {
                self.end_file(cx);
                let Some(step) = cx.start(Label::new("file", ""), path, Vec::new()) else {
                    return Taken::No;
                };
                cx.end(step, status, None);
                // A failure is not taken back by what follows.
                self.letters = (!letters.failed).then_some(step);
                Taken::Yes
            }
            (None, Some(step)) => {
                if letters.failed {
                    cx.end_again(step, status, None);
                    self.letters = None;
                }
                Taken::Yes
            }
            (None, None) => Taken::No,
        }
    }

    fn test(&mut self, outcome: &Outcome<'_>, cx: &mut Context<'_>) {
        let step = if outcome.by_worker { Some(self.step) } else { self.file(outcome.path(), cx) };
        let Some(status) = outcome.status else { return };
        if matches!(status, TestStatus::Failed | TestStatus::Error) {
            self.failed = true;
            if let Some(file) = self.file.as_mut().filter(|_| !outcome.by_worker) {
                file.failed = true;
            }
            self.is_news(&outcome.node, status);
        }
        cx.test_on(step, Test::new(outcome.node.clone(), status));
    }

    /// The step of a file, started if another one was open.
    fn file(&mut self, path: &str, cx: &mut Context<'_>) -> Option<StepId> {
        let path_key = hash(path);
        if !self.file.as_ref().is_some_and(|file| {
            file.path == path_key && file.step.is_none_or(|step| cx.is_open(step))
        }) {
            self.end_file(cx);
            let step = cx.start(Label::new("file", path), path, Vec::new());
            self.file = Some(File { step, path: path_key, failed: false });
        }
        self.file.as_ref().and_then(|file| file.step).or(Some(self.step))
    }

    fn end_file(&mut self, cx: &mut Context<'_>) {
        let Some(file) = self.file.take() else { return };
        let status = if file.failed {
            StepStatus::Failure
        } else if self.interrupted {
            StepStatus::Cancelled
        } else {
            StepStatus::Success
        };
        if let Some(step) = file.step {
            cx.end_by(step, status, None, Cause::Next);
        }
    }

    /// Whether nobody has said yet that this test ended so.
    fn is_news(&mut self, node: &str, status: TestStatus) -> bool {
        let key = hash(node).wrapping_add(u64::from(status == TestStatus::Error));
        self.reported.len() < REPORTED_MAX && self.reported.insert(key)
    }

    /// A line of the short summary.
    fn summary(&mut self, text: &str, cx: &mut Context<'_>) -> Taken {
        let known = |node: &str, status: TestStatus| {
            let key = hash(node).wrapping_add(u64::from(status == TestStatus::Error));
            self.reported.contains(&key)
        };
        let Some(problem) = problem(text, known) else { return Taken::No };
        self.failed = true;
        if self.is_news(&problem.node, problem.status) {
            let message = problem.message.map(str::to_owned);
            let test = Test { message, ..Test::new(problem.node.clone(), problem.status) };
            cx.test_on(Some(self.step), test);
        }
        cx.annotation(Annotation {
            message: problem.message.unwrap_or(&problem.node).to_owned(),
            step: Some(self.step),
            file: Some(problem.path.to_owned()),
            title: Some(problem.node),
            ..Annotation::default()
        });
        Taken::Yes
    }

    fn end(&mut self, totals: Totals, cx: &mut Context<'_>) {
        self.end_file(cx);
        let ran = totals.counts.iter().any(|(key, _)| key != "deselected" && key != "warning");
        let bad = |(key, count): &(String, u64)| (key == "failed" || key == "error") && *count > 0;
        let (status, detail) = if self.broken || totals.counts.iter().any(bad) {
            (StepStatus::Failure, None)
        } else if self.interrupted {
            (StepStatus::Cancelled, Some("interrupted"))
        } else if !ran {
            (StepStatus::Skipped, Some("no tests ran"))
        } else {
            (StepStatus::Success, None)
        };
        if !totals.counts.is_empty() {
            let (suite, step) = (None, Some(self.step));
            cx.say(EventKind::TestSummary { counts: totals.counts, suite, status: None, step });
        }
        cx.end(self.step, status, detail);
    }
}
