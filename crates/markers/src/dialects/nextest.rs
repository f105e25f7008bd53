//! What `cargo nextest run` prints.
//!
//! Source: `nextest-rs/nextest`, `nextest-runner/src/reporter/displayer`; output of nextest 0.9.143.

use super::{
    Context, Dialect, EventKind, Line, StepId, StepStatus, Stream, Taken, Test, TestStatus, Watch,
    tree::Label,
    words::{digits, split_while},
};

/// The words of all lines are aligned to the right at this column.
const COLUMN: usize = 12;
/// What tests have printed is indented by so many blanks.
const CAPTURED_INDENT: usize = 4;
/// A summary has at most so many counts.
const COUNTS_MAX: usize = 16;

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(Nextest::default())
}

#[derive(Default)]
struct Nextest {
    state: State,
    /// How what a test has printed stands apart, while it is quoted.
    captured: Captured,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Captured {
    /// Below `  stdout ───`: by its indentation.
    #[default]
    Indented,
    /// Below `--- STDOUT: …`, as older releases print it: not at all.
    Plain,
}

#[derive(Default, Clone, Copy)]
enum State {
    #[default]
    Idle,
    Running(Run),
    /// The summary has been printed; what failed is said once more, in this stream.
    Repeating(Stream),
}

#[derive(Clone, Copy)]
struct Run {
    step: StepId,
    stream: Stream,
    /// Somebody has asked it to stop.
    interrupted: bool,
}

const HEADER: &str = "Nextest run ID ";
const SUMMARY: &str = "Summary [";
const FAILED: &str = "error: test run failed";
/// The words of result lines, or how they begin.
const INSIDE: &[&str] = &[
    HEADER, SUMMARY, FAILED, "Cancel", "stdout", "stderr", "output", "--- STD", "TRY ", "PASS",
    "LEAK", "FLAKY", "SKIP", "FAIL", "TIMEOUT", "TMT", "ABORT", "SIG", "XFAIL", "SLOW", "RETRY",
    "DELAY",
];

impl Dialect for Nextest {
    fn watch(&self) -> Watch {
        match self.state {
            State::Idle => Watch::none().indented(&[HEADER]),
            State::Running(_) | State::Repeating(_) => {
                Watch::none().begins(INSIDE).indented(INSIDE)
            }
        }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        if let State::Running(run) = self.state
            && !cx.is_open(run.step)
        {
            self.state = State::Idle;
        }
        if cx.is_quoting() {
            if !self.ends_quotation(text) {
                return Taken::No;
            }
            cx.unquote();
        }
        if is_header(text) {
            return self.begin(cx);
        }
        if let Some(captured) = captured(text) {
            return self.quote(captured, cx);
        }
        match self.state {
            State::Running(run) if is_same(run.stream, cx.place.stream) => {
                self.inside(run, text, cx)
            }
            State::Repeating(stream) if is_same(stream, cx.place.stream) => {
                if text == FAILED {
                    self.state = State::Idle;
                    return Taken::Yes;
                }
                if Outcome::parse(text).is_some() { Taken::Yes } else { Taken::No }
            }
            _ => Taken::No,
        }
    }
}

impl Nextest {
    fn begin(&mut self, cx: &mut Context<'_>) -> Taken {
        if let State::Running(run) = self.state {
            cx.end(run.step, StepStatus::Done, None);
        }
        let stream = cx.place.stream;
        let Some(step) = cx.start(Label::new("run", ""), "nextest", Vec::new()) else {
            self.state = State::Idle;
            return Taken::No;
        };
        self.state = State::Running(Run { step, stream, interrupted: false });
        Taken::Yes
    }

    /// What a test has printed follows: no line of it is anybody's.
    fn quote(&mut self, captured: Captured, cx: &mut Context<'_>) -> Taken {
        let (stream, step) = match self.state {
            State::Running(run) => (run.stream, Some(run.step)),
            // Only indentation ends it for certain.
            State::Repeating(stream) if captured == Captured::Indented => (stream, None),
            State::Repeating(_) | State::Idle => return Taken::No,
        };
        if is_same(stream, cx.place.stream) {
            self.captured = captured;
            cx.quote(step);
        }
        Taken::No
    }

    /// Whether a line is nextest's own again.
    fn ends_quotation(&self, text: &str) -> bool {
        let own = Outcome::parse(text).is_some()
            || aligned(text).is_some_and(|text| {
                text.starts_with("Cancelling due to ") || summary(text).is_some()
            });
        own || match self.captured {
            Captured::Indented => {
                let blanks = text.bytes().take_while(|byte| *byte == b' ').count();
                blanks < CAPTURED_INDENT && !text.trim().is_empty()
            }
            Captured::Plain => text.starts_with("───") || captured(text).is_some(),
        }
    }

    fn inside(&mut self, run: Run, text: &str, cx: &mut Context<'_>) -> Taken {
        if let Some(counts) = aligned(text).and_then(summary) {
            let of = |word: &str| {
                counts.iter().filter(|(key, _)| key == word).map(|(_, count)| count).sum::<u64>()
            };
            let failed = of("failed") + of("timed_out") + of("exec_failed");
            let (status, detail) = if failed > 0 {
                (StepStatus::Failure, run.interrupted.then_some("interrupted"))
            } else if run.interrupted {
                (StepStatus::Cancelled, Some("interrupted"))
            } else if of("passed") == 0 {
                (StepStatus::Skipped, Some("no tests"))
            } else {
                (StepStatus::Success, None)
            };
            let (suite, step) = (None, Some(run.step));
            cx.say(EventKind::TestSummary { counts, suite, status: None, step });
            cx.end(run.step, status, detail);
            self.state = State::Repeating(run.stream);
            return Taken::Yes;
        }
        if let Some(outcome) = Outcome::parse(text) {
            if let Some(status) = outcome.status {
                cx.test_on(
                    Some(run.step),
                    Test {
                        suite: Some(outcome.binary.to_owned()),
                        attempt: outcome.attempt,
                        ..Test::new(outcome.name, status)
                    },
                );
            }
            return Taken::Yes;
        }
        let cancelled = aligned(text)
            .and_then(|text| text.strip_prefix("Cancelling due to "))
            .is_some_and(|why| !why.starts_with("test failure"));
        if cancelled {
            self.state = State::Running(Run { interrupted: true, ..run });
        }
        Taken::No // It tells people what happens.
    }
}

fn is_same(one: Stream, other: Stream) -> bool {
    (one == Stream::Stderr) == (other == Stream::Stderr)
}

/// `text` without blanks in front, if its first words end at the column.
fn aligned(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(' ');
    let blanks = text.len() - rest.len();
    let head = &rest[..rest.find(" [").or_else(|| rest.find(' ')).unwrap_or(rest.len())];
    (blanks == COLUMN.saturating_sub(head.len())).then_some(rest)
}

/// Whether what a test has printed follows, and how.
fn captured(text: &str) -> Option<Captured> {
    if text.starts_with("--- STDOUT: ") || text.starts_with("--- STDERR: ") {
        return Some(Captured::Plain);
    }
    let what = text.strip_prefix("  ")?.strip_suffix(" ───")?;
    matches!(what, "stdout" | "stderr" | "output" | "stdout+stderr").then_some(Captured::Indented)
}

/// ` Nextest run ID UUID with nextest profile: NAME`.
fn is_header(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(' ').and_then(|text| text.strip_prefix(HEADER)) else {
        return false;
    };
    let Some((id, rest)) = rest.split_once(' ') else { return false };
    id.len() == 36
        && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        && rest.starts_with("with nextest profile: ")
}

/// The line of one result.
struct Outcome<'a> {
    /// `None`: it is not over, or is tried again.
    status: Option<TestStatus>,
    attempt: Option<u32>,
    binary: &'a str,
    name: &'a str,
}

impl<'a> Outcome<'a> {
    /// `[TRY N ]STATUS [ S.SSSs] [(I/N)] BINARY TEST`, aligned.
    fn parse(text: &'a str) -> Option<Self> {
        let (words, rest) = aligned(text)?.split_once(" [")?;
        let (attempt, word) = match words.strip_prefix("TRY ") {
            Some(rest) => {
                let (number, name) = rest.split_once(' ')?;
                (Some(digits(number)?), word(name)?)
            }
            None => (None, word(words)?),
        };
        let (time, rest) = rest.split_once("] ")?;
        let time = time.trim_start_matches(['>', ' ']).strip_suffix('s')?;
        time.parse::<f64>().ok()?;
        let (counter, rest) = match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(") ").map(|(counter, rest)| (Some(counter), rest))?,
            None => (None, rest),
        };
        let counted = counter.is_some_and(|counter| counter.contains('/'));
        let (binary, name) = rest.split_once(' ')?;
        // A failed try is the last one only if it is counted.
        let status = match word {
            Word::Ended(status) if attempt.is_none() || counted => Some(status),
            Word::Ended(TestStatus::Passed) => Some(TestStatus::Passed),
            Word::Ended(_) | Word::GoesOn => None,
        };
        Some(Self { status, attempt, binary, name })
    }
}

/// What a word says of a test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Ended(TestStatus),
    /// It goes on, or was told before.
    GoesOn,
}

fn word(word: &str) -> Option<Word> {
    Some(match word {
        "PASS" | "LEAK" | "TMT-PASS" | "TIMEOUT-PASS" => Word::Ended(TestStatus::Passed),
        "SKIP" => Word::Ended(TestStatus::Skipped),
        "FAIL" | "FAIL + LEAK" | "FAIL+LEAK" | "LEAK-FAIL" | "TIMEOUT" | "TMT" | "ABORT"
        | "XFAIL" => Word::Ended(TestStatus::Failed),
        "SLOW" | "RETRY" | "DELAY" => Word::GoesOn,
        // `FLAKY 2/3` behind the summary: its tries were told.
        _ if word.starts_with("FLAKY") => Word::GoesOn,
        _ if word.starts_with("SIG") && word.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Word::Ended(TestStatus::Failed)
        }
        _ => return None,
    })
}

/// The counts in `Summary [ S.SSSs] N tests run: P passed (F flaky), F failed, S skipped`.
fn summary(text: &str) -> Option<Vec<(String, u64)>> {
    let (_, rest) = text.strip_prefix(SUMMARY)?.split_once("] ")?;
    let (_, counts) = rest.split_once(" run: ")?;
    let mut found = Vec::new();
    let parts = counts.split([',', '(', ')']).map(str::trim).filter(|part| !part.is_empty());
    for part in parts.take(COUNTS_MAX) {
        let (count, words) = split_while(part, |c| c.is_ascii_digit())?;
        let key = words.strip_prefix(' ')?;
        if !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' ') {
            return None;
        }
        found.push((key.replace(' ', "_"), digits(count)?));
    }
    Some(found)
}
