//! What `ctest` prints.
//!
//! Source: output of CTest 3.25 and 4.4.

use super::{
    Context, Dialect, EventKind, Line, StepId, StepStatus, Stream, Taken, Test, TestStatus, Watch,
    tree::Label,
    words::{digits, split_while},
};

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(CTest::default())
}

#[derive(Default)]
struct CTest {
    /// The run that is open, and its stream.
    run: Option<(StepId, Stream)>,
}

/// Where a run begins: the directory is an absolute path.
const HEADER: &str = "Test project ";
/// What a line of a run may begin with.
const INSIDE: &[&str] =
    &[HEADER, NO_TESTS, LISTED, "Start ", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const NO_TESTS: &str = "No tests were found!!!";
/// The end of a list of tests that are not run.
const LISTED: &str = "Total Tests: ";

impl Dialect for CTest {
    fn watch(&self) -> Watch {
        match self.run {
            Some(_) => Watch::none().begins(INSIDE).indented(INSIDE),
            None => Watch::none().begins(&[HEADER]),
        }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        self.run = self.run.filter(|(step, _)| cx.is_open(*step));
        if is_header(text) {
            if let Some((step, _)) = self.run.take() {
                cx.end(step, StepStatus::Done, None);
            }
            let step = cx.start(Label::new("run", ""), "ctest", Vec::new());
            self.run = step.map(|step| (step, cx.place.stream));
            return if step.is_some() { Taken::Yes } else { Taken::No };
        }
        let Some((step, stream)) = self.run else { return Taken::No };
        if cx.is_quoting() {
            let own = is_start(text) || result(text).is_some() || totals(text).is_some();
            if !own {
                return Taken::No;
            }
            cx.unquote();
        }
        if (stream == Stream::Stderr) != (cx.place.stream == Stream::Stderr) {
            return Taken::No;
        }
        if let Some((name, status)) = result(text) {
            cx.test_on(Some(step), Test::new(name, status));
            if status == TestStatus::Failed {
                // What it printed may follow (`--output-on-failure`).
                cx.quote(Some(step));
            }
        } else if let Some((passed, failed)) = totals(text) {
            cx.say(EventKind::TestSummary {
                counts: vec![("passed".to_owned(), passed), ("failed".to_owned(), failed)],
                suite: None,
                status: None,
                step: Some(step),
            });
            let status = if failed > 0 { StepStatus::Failure } else { StepStatus::Success };
            self.end(status, None, cx);
        } else if is_start(text) {
            // Its result follows.
        } else if text == NO_TESTS {
            self.end(StepStatus::Skipped, Some("no tests"), cx);
        } else if text.strip_prefix(LISTED).and_then(digits::<u64>).is_some() {
            self.end(StepStatus::Done, None, cx);
        } else {
            return Taken::No;
        }
        Taken::Yes
    }
}

impl CTest {
    fn end(&mut self, status: StepStatus, detail: Option<&str>, cx: &mut Context<'_>) {
        if let Some((step, _)) = self.run.take() {
            cx.end(step, status, detail);
        }
    }
}

/// `Test project /DIR`, or with a drive's letter.
fn is_header(text: &str) -> bool {
    let Some(dir) = text.strip_prefix(HEADER) else { return false };
    let drive = |dir: &str| {
        let mut chars = dir.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic())
            && chars.next() == Some(':')
            && matches!(chars.next(), Some('/' | '\\'))
    };
    dir.starts_with('/') || drive(dir)
}

/// `Start I: NAME`, indented.
fn is_start(text: &str) -> bool {
    let rest = text.strip_prefix("    ").map(|rest| rest.trim_start_matches(' '));
    rest.and_then(|rest| rest.strip_prefix("Start "))
        .and_then(|rest| split_while(rest.trim_start_matches(' '), |c| c.is_ascii_digit()))
        .is_some_and(|(_, rest)| rest.starts_with(": "))
}

/// Name and status in `K/N Test #I: NAME ....[***]STATUS  S.SS sec`. A status with a regular
/// expression may go on in the next line.
fn result(text: &str) -> Option<(&str, TestStatus)> {
    let (_, rest) = split_while(text.trim_start_matches(' '), |c| c.is_ascii_digit())?;
    let (_, rest) = split_while(rest.strip_prefix('/')?, |c| c.is_ascii_digit())?;
    let rest = rest.strip_prefix(" Test ")?.trim_start_matches(' ').strip_prefix('#')?;
    let (_, rest) = split_while(rest, |c| c.is_ascii_digit())?;
    let rest = rest.strip_prefix(": ")?;
    let (left, status) = if let Some((left, status)) = rest.split_once(".***") {
        let skipped = status.starts_with("Skipped") || status.starts_with("Not Run");
        (left, if skipped { TestStatus::Skipped } else { TestStatus::Failed })
    } else {
        let (left, seconds) = rest.rsplit_once("Passed ")?;
        seconds.trim().strip_suffix(" sec")?;
        (left.trim_end().strip_suffix('.')?, TestStatus::Passed)
    };
    // The dots that fill the column stand behind a blank.
    let name = left.trim_end_matches('.');
    let name = name.strip_suffix(' ')?.trim_end();
    (!name.is_empty()).then_some((name, status))
}

/// Passed and failed in `P% tests passed, F tests failed out of N`; CTest 4 leaves out what is 0.
fn totals(text: &str) -> Option<(u64, u64)> {
    let (_, rest) = split_while(text, |c| c.is_ascii_digit())?;
    let rest = rest.strip_prefix("% tests passed")?;
    let (failed, rest) = match rest.strip_prefix(", ") {
        Some(rest) => {
            let (failed, rest) = split_while(rest, |c| c.is_ascii_digit())?;
            let rest = rest.strip_prefix(" test")?;
            (digits(failed)?, rest.strip_prefix('s').unwrap_or(rest).strip_prefix(" failed")?)
        }
        None => (0, rest),
    };
    let total: u64 = digits(rest.strip_prefix(" out of ")?)?;
    Some((total.saturating_sub(failed), failed))
}
