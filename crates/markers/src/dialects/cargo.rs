//! What cargo, rustc and the Rust test harness print.
//!
//! Source: `rust-lang/cargo`, status lines (aligned at column 12); `rust-lang/rust`,
//! `library/test/src/formatters/pretty.rs`, `terse.rs`; output of cargo 1.95.

mod line; // the grammar

use self::line::{
    Diagnostic, HarnessLine, Verb, diagnostic, harness, is_letters, is_test_line, place, running,
    verb,
};
use super::{
    Annotation, Context, Dialect, EventKind, Line, Place, StepId, StepStatus, Stream, Taken, Test,
    TestStatus, Watch,
    event::Cause,
    tree::{Label, hash},
};

/// So many problems without a place are known, so that a repetition is not told again.
const TOLD_MAX: usize = 64;

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(Cargo::default())
}

#[derive(Default)]
struct Cargo {
    build: Option<StepId>,
    run: Option<Run>,
    /// By stream: what the next line decides.
    pending: [Option<Pending>; 2],
    /// Problems without a place, as hashes, the newest last.
    told: Vec<u64>,
}

/// A test binary that runs.
#[derive(Clone, Copy)]
struct Run {
    step: StepId,
    /// How many tests it has said it runs.
    tests: Option<u64>,
}

enum Pending {
    /// A place may follow.
    Diagnostic(Place, Diagnostic),
    /// Tests may follow.
    Running(Place, u64),
}

/// Beginnings of messages.
const MESSAGES: &[&str] = &["warning: ", "warning[", "error: ", "error[", "running "];
/// Beginnings of lines while tests run.
const IN_RUN: &[&str] =
    &["warning: ", "warning[", "error: ", "error[", "running ", "test ", "---- "];
/// Verbs, and what must follow.
const VERBS: &[&str] = &[
    "Compiling ",
    "Checking ",
    "Documenting ",
    "Fresh ",
    "Dirty ",
    "Building [",
    "Updating ",
    "Downloading ",
    "Downloaded ",
    "Locking ",
    "Adding ",
    "Blocking waiting ",
    "Finished ",
    "Running ",
    "Doc-tests ",
];

impl Dialect for Cargo {
    fn watch(&self) -> Watch {
        let begins = if self.run.is_some() { IN_RUN } else { MESSAGES };
        Watch::none().begins(begins).indented(VERBS)
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        self.forget_closed(cx);
        self.look(line.visible(), cx)
    }

    fn next(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        self.forget_closed(cx);
        match self.pending[slot(cx.place.stream)].take() {
            Some(Pending::Diagnostic(at, diagnostic)) => {
                let Some((file, number, col)) = line.and_then(|line| place(line.visible())) else {
                    return Taken::No;
                };
                let here = std::mem::replace(&mut cx.place, at);
                cx.annotation(Annotation {
                    severity: diagnostic.severity,
                    message: diagnostic.message,
                    code: diagnostic.code,
                    file: Some(file.to_owned()),
                    line: Some(number),
                    col,
                    ..Annotation::default()
                });
                cx.place = here;
                Taken::Yes
            }
            Some(Pending::Running(at, tests)) => self.decide(at, tests, line, cx),
            None => Taken::No,
        }
    }
}

impl Cargo {
    /// Others may have closed a step together with theirs.
    fn forget_closed(&mut self, cx: &Context<'_>) {
        self.build = self.build.filter(|step| cx.is_open(*step));
        self.run = self.run.filter(|run| cx.is_open(run.step));
    }

    fn look(&mut self, text: &str, cx: &mut Context<'_>) -> Taken {
        if cx.is_quoting() {
            // What a test printed: only what ends the run counts.
            let ends = match verb(text) {
                Some(Verb::Tests(_)) => true,
                Some(_) => false,
                None => {
                    is_failed_run(text)
                        || matches!(harness(text), Some(HarnessLine::Totals(totals))
                            if self.is_complete(totals.sum()))
                }
            };
            if !ends {
                return Taken::No;
            }
            cx.unquote();
        }
        if text.starts_with(' ') {
            return verb(text).map_or(Taken::No, |verb| self.verb(verb, cx));
        }
        if let Some(run) = self.run
            && let Some(line) = harness(text)
        {
            return self.harness(run, line, cx);
        }
        if let Some(tests) = running(text) {
            return self.running(tests, cx);
        }
        self.message(text, cx)
    }

    fn verb(&mut self, verb: Verb<'_>, cx: &mut Context<'_>) -> Taken {
        match verb {
            Verb::Works { text, tells } => {
                if self.build.is_none() {
                    self.build = cx.start(Label::new("build", ""), "cargo build", Vec::new());
                }
                if self.build.is_none() {
                    return Taken::No;
                }
                if tells {
                    cx.progress(self.build, None, text);
                }
            }
            Verb::Finished => self.end_build(StepStatus::Success, cx),
            Verb::Tests(name) => {
                // The build is over where tests run.
                if let Some(build) = self.build.take() {
                    cx.end_by(build, StepStatus::Success, None, Cause::Next);
                }
                if let Some(run) = self.run.take() {
                    let failed = cx.has_failed(run.step);
                    let status = if failed { StepStatus::Failure } else { StepStatus::Done };
                    cx.end_by(run.step, status, None, Cause::Next);
                }
                let step = cx.start(Label::new("tests", &name), &name, Vec::new());
                self.run = step.map(|step| Run { step, tests: None });
                if step.is_none() {
                    return Taken::No;
                }
            }
        }
        Taken::Yes
    }

    fn end_build(&mut self, status: StepStatus, cx: &mut Context<'_>) {
        if let Some(build) = self.build.take() {
            cx.end(build, status, None);
        }
        self.told.clear();
    }

    /// `running N tests`.
    fn running(&mut self, tests: u64, cx: &mut Context<'_>) -> Taken {
        match &mut self.run {
            Some(run) if run.tests.is_none() => {
                run.tests = Some(tests);
                Taken::Yes
            }
            Some(_) => Taken::No, // A test printed it.
            None => {
                let pending = Pending::Running(cx.place, tests);
                self.pending[slot(cx.place.stream)] = Some(pending);
                Taken::Held
            }
        }
    }

    /// The line after one that may begin tests without a header.
    fn decide(
        &mut self,
        at: Place,
        tests: u64,
        line: Option<&Line<'_>>,
        cx: &mut Context<'_>,
    ) -> Taken {
        let follows = line.map(Line::visible).filter(|text| match tests {
            0 => text.trim().is_empty(),
            _ => is_test_line(text) || is_letters(text, tests),
        });
        if let Some(text) = follows
            && self.run.is_none()
        {
            let here = std::mem::replace(&mut cx.place, at);
            let step = cx.start(Label::new("tests", ""), "tests", Vec::new());
            cx.place = here;
            if let Some(step) = step {
                cx.consume(here.stream);
                self.run = Some(Run { step, tests: Some(tests) });
                return self.look(text, cx);
            }
        }
        cx.release(cx.place.stream);
        Taken::No
    }

    /// A line of the harness while a test binary runs.
    fn harness(&mut self, run: Run, line: HarnessLine<'_>, cx: &mut Context<'_>) -> Taken {
        if run.tests.is_none() {
            return Taken::No;
        }
        match line {
            HarnessLine::Test { name, status, message, duration_ms } => {
                if status == TestStatus::Failed {
                    cx.fail(run.step);
                }
                let message = message.map(str::to_owned);
                cx.test_on(
                    Some(run.step),
                    Test { message, duration_ms, ..Test::new(name, status) },
                );
                Taken::Yes
            }
            HarnessLine::Output => {
                cx.quote(Some(run.step));
                Taken::Yes
            }
            HarnessLine::Totals(totals) => {
                if !self.is_complete(totals.sum()) {
                    return Taken::No; // Of tests that a test has run.
                }
                let mut counts = vec![
                    ("passed".to_owned(), totals.passed),
                    ("failed".to_owned(), totals.failed),
                    ("skipped".to_owned(), totals.ignored),
                ];
                if totals.measured > 0 {
                    counts.push(("measured".to_owned(), totals.measured));
                }
                let (suite, step) = (None, Some(run.step));
                cx.say(EventKind::TestSummary { counts, suite, status: None, step });
                let status = if totals.ok { StepStatus::Success } else { StepStatus::Failure };
                cx.end(run.step, status, None);
                self.run = None;
                Taken::Yes
            }
        }
    }

    /// Whether so many results are those of the tests that run.
    fn is_complete(&self, results: u64) -> bool {
        self.run.is_some_and(|run| run.tests.is_none_or(|tests| tests == results))
    }

    fn message(&mut self, text: &str, cx: &mut Context<'_>) -> Taken {
        if text.starts_with("error: could not compile `") {
            self.end_build(StepStatus::Failure, cx);
            return Taken::Yes;
        }
        if is_count_of_warnings(text) {
            return Taken::Yes; // Each was told.
        }
        if text.starts_with("error: failed to run custom build command for `")
            && self.build.is_some()
        {
            self.end_build(StepStatus::Failure, cx);
            return Taken::Yes;
        }
        if is_failed_run(text) {
            let Some(run) = self.run.take() else { return Taken::No };
            cx.end(run.step, StepStatus::Failure, None);
            return Taken::Yes;
        }
        let Some(diagnostic) = diagnostic(text) else { return Taken::No };
        if diagnostic.of_package {
            let key = hash(&diagnostic.message);
            if !self.told.contains(&key) {
                if self.told.len() == TOLD_MAX {
                    self.told.remove(0);
                }
                self.told.push(key);
                let Diagnostic { severity, message, .. } = diagnostic;
                cx.annotation(Annotation { severity, message, ..Annotation::default() });
            }
            return Taken::Yes;
        }
        self.pending[slot(cx.place.stream)] = Some(Pending::Diagnostic(cx.place, diagnostic));
        cx.await_next();
        Taken::No // Text, unless a place follows.
    }
}

/// `warning: `NAME` (KIND) generated N warnings`, whatever follows.
fn is_count_of_warnings(text: &str) -> bool {
    let rest = text.strip_prefix("warning: `").and_then(|rest| rest.split_once(") generated "));
    rest.is_some_and(|(_, rest)| {
        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(" warning")
    })
}

/// Cargo's word for a test binary that failed, however it ended.
fn is_failed_run(text: &str) -> bool {
    let rest = text.strip_prefix("error: ");
    rest.and_then(|rest| rest.split_once(' ')).is_some_and(|(what, rest)| {
        matches!(what, "test" | "doctest" | "bench") && rest.starts_with("failed, to rerun pass `")
    })
}

fn slot(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}
