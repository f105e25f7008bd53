//! What `go test -v` and `go test -json` print.
//!
//! Source: `golang/go`, `src/cmd/internal/test2json/test2json.go`, `src/cmd/go/internal/test`;
//! output of Go 1.19 and 1.27.

mod line; // the grammar of text
mod record; // the grammar of JSON
mod tests; // tests that run

use std::collections::HashMap;

use self::{
    line::{PackageLine, announced, package_line, result, with_word},
    record::Record,
    tests::{Budget, Tests},
};
use super::{
    Annotation, Context, Dialect, Ending, EventKind, Line, StepId, StepStatus, Stream, Taken, Test,
    TestStatus, Watch, tree::Label, watch::Needle,
};

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(GoTest::default())
}

#[derive(Default)]
struct GoTest {
    session: Option<Session>,
    /// Packages of JSON records that are open, by name.
    packages: HashMap<String, Package>,
    /// What all of them together may keep.
    budget: Budget,
}

/// Runs whose output is text.
struct Session {
    step: StepId,
    stream: Stream,
    tests: Tests,
    failed: bool,
    /// The last package has ended; nothing has begun since.
    complete: bool,
}

/// A package of JSON records.
struct Package {
    step: StepId,
    tests: Tests,
}

const IDLE: &[&str] = &[
    "=== RUN ",
    "\u{16}=== RUN ",
    "ok  \t",
    "FAIL\t",
    "{\"Action\":\"",
    "{\"Time\":\"",
    "{\"ImportPath\":\"",
];
const ARMED: &[&str] = &[
    "=== ",
    "\u{16}=== ",
    "ok  \t",
    "FAIL\t",
    "?   \t",
    "{\"Action\":\"",
    "{\"Time\":\"",
    "{\"ImportPath\":\"",
];

impl Dialect for GoTest {
    fn watch(&self) -> Watch {
        match self.session {
            Some(_) => Watch::none().begins(ARMED).needle(Needle::Dashes),
            None => Watch::none().begins(IDLE),
        }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        if text.starts_with('{') {
            return match Record::parse(text) {
                Some(record) => self.record(&record, cx),
                None => Taken::No,
            };
        }
        if let Some(session) = &mut self.session
            && !cx.is_open(session.step)
        {
            session.tests.clear(&mut self.budget);
            self.session = None;
        }
        let stream = self.session.as_ref().map_or(cx.place.stream, |session| session.stream);
        if (stream == Stream::Stderr) != (cx.place.stream == Stream::Stderr) {
            return Taken::No;
        }
        // A byte that marks lines of the framework.
        let text = text.strip_prefix('\u{16}').unwrap_or(text);
        if let Some(name) = announced(text) {
            return self.run(name, cx);
        }
        if let Some(package) = package_line(text) {
            return self.package(&package, cx);
        }
        self.inside(text, cx)
    }

    fn end(&mut self, ending: Ending, cx: &mut Context<'_>) {
        if let Some(session) = &mut self.session
            && cx.is_open(session.step)
        {
            let nothing_runs = session.tests.is_empty();
            for name in session.tests.take_names(&mut self.budget) {
                cx.test_on(Some(session.step), Test::new(name, TestStatus::Unknown));
            }
            // Its own packages are all well, whatever the script ended with.
            if ending != Ending::Cancelled && !session.failed && session.complete && nothing_runs {
                cx.settle(session.step, StepStatus::Success);
            }
        }
        let mut packages: Vec<_> = std::mem::take(&mut self.packages).into_values().collect();
        packages.sort_by_key(|package| package.step);
        for mut package in packages {
            for name in package.tests.take_names(&mut self.budget) {
                cx.test_on(Some(package.step), Test::new(name, TestStatus::Unknown));
            }
        }
    }
}

impl GoTest {
    /// The session, started if there is none.
    fn session(&mut self, cx: &mut Context<'_>) -> Option<&mut Session> {
        if self.session.is_none() {
            let step = cx.start(Label::new("session", ""), "go test", Vec::new())?;
            self.session = Some(Session {
                step,
                stream: cx.place.stream,
                tests: Tests::default(),
                failed: false,
                complete: false,
            });
        }
        self.session.as_mut()
    }

    fn run(&mut self, name: &str, cx: &mut Context<'_>) -> Taken {
        if self.session(cx).is_none() {
            return Taken::No;
        }
        if let Some(session) = &mut self.session {
            session.complete = false;
            session.tests.announce(name, &mut self.budget);
        }
        Taken::Yes
    }

    fn package(&mut self, line: &PackageLine<'_>, cx: &mut Context<'_>) -> Taken {
        let (name, failed) = match line {
            PackageLine::Ok(name) => (*name, false),
            PackageLine::Failed(name) | PackageLine::NotBuilt(name, _) => (*name, true),
            PackageLine::NoTests => {
                return if self.session.is_some() { Taken::Yes } else { Taken::No };
            }
        };
        if self.session(cx).is_none() {
            return Taken::No;
        }
        let Some(session) = &mut self.session else { return Taken::No };
        session.complete = true;
        session.failed |= failed;
        let step = session.step;
        if failed {
            cx.settle(step, StepStatus::Failure);
        }
        say_package(&mut session.tests, &mut self.budget, step, name, failed, cx);
        if let PackageLine::NotBuilt(_, message) = line {
            cx.annotation(Annotation {
                message: (*message).to_owned(),
                step: Some(step),
                ..Annotation::default()
            });
        }
        Taken::Yes
    }

    /// Another line while a session is open.
    fn inside(&mut self, text: &str, cx: &mut Context<'_>) -> Taken {
        let Some(session) = &mut self.session else { return Taken::No };
        if with_word(text).is_some() {
            return Taken::Yes;
        }
        let Some((name, status, duration_ms)) = result(text) else { return Taken::No };
        if !session.tests.finish(name, status, &mut self.budget) {
            return Taken::No; // The test printed it.
        }
        cx.test_on(Some(session.step), Test { duration_ms, ..Test::new(name, status) });
        Taken::Yes
    }

    fn record(&mut self, record: &Record, cx: &mut Context<'_>) -> Taken {
        let Some(name) = record.package.as_deref().filter(|name| !name.is_empty()) else {
            // What the compiler says; it has no package.
            return match (record.action.as_str(), &record.output) {
                ("build-output", Some(output)) => {
                    cx.log(output.trim_end());
                    Taken::Yes
                }
                ("build-fail", _) => Taken::Yes,
                _ => Taken::No,
            };
        };
        let Some(step) = self.step(name, cx) else { return Taken::No };
        let Some(package) = self.packages.get_mut(name) else { return Taken::No };
        let status = match record.action.as_str() {
            "pass" => TestStatus::Passed,
            "fail" => TestStatus::Failed,
            "skip" => TestStatus::Skipped,
            action => {
                match (action, &record.test, &record.output) {
                    ("run", Some(test), _) => package.tests.announce(test, &mut self.budget),
                    ("output", _, Some(output)) => {
                        let output = output.trim_start_matches('\u{16}').trim_end();
                        if !output.is_empty() {
                            cx.log_on(Some(step), output, None);
                        }
                    }
                    _ => {}
                }
                return Taken::Yes;
            }
        };
        if let Some(test) = &record.test {
            if package.tests.finish(test, status, &mut self.budget) {
                let duration_ms = record.elapsed_ms;
                cx.test_on(Some(step), Test { duration_ms, ..Test::new(test, status) });
            }
            return Taken::Yes;
        }
        let failed = status == TestStatus::Failed;
        say_package(&mut package.tests, &mut self.budget, step, name, failed, cx);
        if record.failed_build {
            cx.annotation(Annotation {
                message: format!("{name} [build failed]"),
                step: Some(step),
                ..Annotation::default()
            });
        }
        let status = match status {
            TestStatus::Failed => StepStatus::Failure,
            TestStatus::Skipped => StepStatus::Skipped,
            _ => StepStatus::Success,
        };
        cx.end(step, status, None);
        self.budget.forget(name);
        self.packages.remove(name);
        Taken::Yes
    }

    /// The step of a package, started at first sight.
    fn step(&mut self, name: &str, cx: &mut Context<'_>) -> Option<StepId> {
        match self.packages.get_mut(name) {
            Some(package) if cx.is_open(package.step) => return Some(package.step),
            Some(package) => {
                package.tests.clear(&mut self.budget);
                self.packages.remove(name);
                self.budget.forget(name);
            }
            None => {}
        }
        if !self.budget.has_room(name) {
            return None;
        }
        let parent = cx.innermost();
        let step = cx.start_loose(Label::new("package", name), name, Vec::new(), parent)?;
        self.budget.keep(name);
        self.packages.insert(name.to_owned(), Package { step, tests: Tests::default() });
        Some(step)
    }
}

/// The end of a package: what never finished, and the totals.
fn say_package(
    tests: &mut Tests,
    budget: &mut Budget,
    step: StepId,
    name: &str,
    failed: bool,
    cx: &mut Context<'_>,
) {
    for test in tests.take_names(budget) {
        cx.test_on(Some(step), Test::new(test, TestStatus::Unknown));
    }
    let counts = tests.take_counts();
    if counts.is_empty() && !failed {
        return; // It has no tests, or names none.
    }
    let status = if failed { StepStatus::Failure } else { StepStatus::Success };
    let (suite, status, step) = (Some(name.to_owned()), Some(status), Some(step));
    cx.say(EventKind::TestSummary { counts, suite, status, step });
}
