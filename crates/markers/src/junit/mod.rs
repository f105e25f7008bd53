//! Files of test results in the form that JUnit's Ant task began and most test tools write: pytest,
//! cargo-nextest, Maven Surefire, go-junit-report, jest-junit, CTest, GoogleTest, …
//!
//! There is no standard; this reads what they have in common. `testcase` elements may stand in suites
//! of suites. `failure`, `error` and `skipped` say how one ended; of Surefire, `flakyFailure` and
//! `flakyError` are tries before one that passed, `rerunFailure` and `rerunError` tries after the
//! first that failed. Properties and captured output are passed over: that is in the log, or nowhere.
//!
//! ```
//! # use stepflow_markers::junit;
//! let xml = br#"<testsuite name="s"><testcase name="t" time="0.25"/></testsuite>"#;
//! let mut names = Vec::new();
//! let count = junit::parse(&xml[..], &mut |case| names.push((case.suite, case.name))).unwrap();
//! assert_eq!((count, names), (1, vec![(Some("s".into()), "t".into())]));
//! ```
//! A file of any size is read in little memory, entities of its own are not expanded, and nothing is
//! ever fetched.

mod bounded; // XML without its bulk

use std::{
    io::{self, BufReader, Read},
    mem,
};

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use self::bounded::Bounded;
use crate::{NAME_BYTES_MAX, dialects::TestStatus};

/// Longest message of a test, in bytes; the rest is cut.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// Longest details of a test, such as a stack trace, in bytes; the rest is cut.
pub const DETAILS_BYTES_MAX: usize = 16 * 1024;
/// Elements stand in one another this deep at most.
pub const DEPTH_MAX: usize = 64;
/// No test takes longer, in seconds: about 31 years.
const SECONDS_MAX: f64 = 1e9;

/// One try of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it is part of: its class, or the suites around it.
    pub suite: Option<String>,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub status: TestStatus,
    /// How long it took, milliseconds.
    pub duration_ms: Option<u64>,
    /// Why it failed or was skipped.
    pub message: Option<String>,
    /// More about that, such as a stack trace.
    pub details: Option<String>,
    /// The source file it stands in, as written.
    pub file: Option<String>,
    /// Its line there, from 1.
    pub line: Option<u32>,
    /// The how many-eth try it is, from 1, where there were several.
    pub attempt: Option<u32>,
}

/// A file that is none of JUnit's, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum JunitError {
    /// The source failed.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// There is no element in it.
    #[error("it holds no XML")]
    Empty,
    /// It is XML of another kind.
    #[error("its root is <{root}>, not <testsuites> or <testsuite>")]
    NotJunit {
        /// The root element's name.
        root: String,
    },
    /// It is no XML from some place on.
    #[error("it is no well-formed XML after {cases} tests: {why}")]
    Xml {
        /// Tests before that place.
        cases: usize,
        /// What is wrong there.
        why: String,
        /// Its root is one of JUnit's.
        junit: bool,
    },
    /// It ends before its root does: whoever wrote it was stopped.
    #[error("it ends in its middle, after {cases} tests")]
    Cut {
        /// Tests before the end.
        cases: usize,
    },
    /// Elements stand too deep in one another.
    #[error("its elements stand more than {DEPTH_MAX} deep in one another")]
    TooDeep,
}

impl JunitError {
    /// Whether the file was meant to be one of JUnit's: its root says so.
    pub fn is_junit(&self) -> bool {
        match self {
            Self::Xml { junit, .. } => *junit,
            Self::Cut { .. } | Self::TooDeep => true,
            Self::Read(_) | Self::Empty | Self::NotJunit { .. } => false,
        }
    }
}

/// Reads one file and gives each try of each test to `take`, in order; the last of several of one test
/// says how it ended. Returns how many tests there were.
///
/// # Errors
/// A file that is not whole has given what stands before the place where it breaks.
pub fn parse(source: impl Read, take: &mut dyn FnMut(Case)) -> Result<usize, JunitError> {
    let mut reader = Reader::from_reader(BufReader::new(Bounded::new(source)));
    let config = reader.config_mut();
    config.allow_dangling_amp = true; // A text that was cut in the middle of an entity.
    let mut parser = Parser { take, open: Vec::new(), suites: Vec::new(), case: None, cases: 0 };
    let mut buffer = Vec::new();
    let mut root_seen = false;
    loop {
        buffer.clear();
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(quick_xml::Error::Io(error)) if error.kind() != io::ErrorKind::InvalidData => {
                let error = io::Error::new(error.kind(), error.to_string());
                return Err(JunitError::Read(error));
            }
            // An unclosed tag at the very end is a file whose writer was stopped.
            Err(error) => {
                let cases = parser.cases;
                return Err(match error {
                    quick_xml::Error::Syntax(_) if root_seen => JunitError::Cut { cases },
                    error => JunitError::Xml { cases, why: error.to_string(), junit: root_seen },
                });
            }
        };
        match event {
            Event::Start(tag) => {
                let element = Element::of(&tag);
                if !mem::replace(&mut root_seen, true) {
                    check_root(&tag, element)?;
                }
                if parser.open.len() >= DEPTH_MAX {
                    return Err(JunitError::TooDeep);
                }
                parser.begin(element, &tag);
                parser.open.push(element);
            }
            Event::Empty(tag) => {
                let element = Element::of(&tag);
                if !mem::replace(&mut root_seen, true) {
                    check_root(&tag, element)?;
                }
                parser.begin(element, &tag);
                parser.end(element);
            }
            Event::End(_) => {
                if let Some(element) = parser.open.pop() {
                    parser.end(element);
                }
            }
            Event::Text(text) => parser.text(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::CData(text) => parser.text(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(name) => {
                let known = match name.resolve_char_ref() {
                    Ok(Some(character)) => Some(character.to_string()),
                    _ => quick_xml::escape::resolve_xml_entity(&name).map(str::to_owned),
                };
                // An entity of the file's own stays as it is written: nothing is expanded.
                parser.text(&known.unwrap_or_else(|| format!("&{};", &*name)));
            }
            Event::Eof if !root_seen => return Err(JunitError::Empty),
            Event::Eof if !parser.open.is_empty() => {
                return Err(JunitError::Cut { cases: parser.cases });
            }
            Event::Eof => return Ok(parser.cases),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn check_root(tag: &BytesStart<'_>, element: Element) -> Result<(), JunitError> {
    if element == Element::Suite {
        return Ok(());
    }
    let root = tag.local_name().as_ref().chars().take(80).collect();
    Err(JunitError::NotJunit { root })
}

/// An element as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Suite,
    Case,
    /// How a try ended; `earlier`: one before the try that the test case is about.
    Outcome {
        status: TestStatus,
        retry: Option<Retry>,
    },
    /// Surefire puts the text of an outcome into this.
    StackTrace,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    /// Before one that passed.
    Flaky,
    /// After the first that failed.
    Rerun,
}

impl Element {
    fn of(tag: &BytesStart<'_>) -> Self {
        let outcome = |status, retry| Self::Outcome { status, retry };
        match tag.local_name().as_ref() {
            "testsuites" | "testsuite" => Self::Suite,
            "testcase" => Self::Case,
            "failure" => outcome(TestStatus::Failed, None),
            "error" => outcome(TestStatus::Error, None),
            "skipped" => outcome(TestStatus::Skipped, None),
            "flakyFailure" => outcome(TestStatus::Failed, Some(Retry::Flaky)),
            "flakyError" => outcome(TestStatus::Error, Some(Retry::Flaky)),
            "rerunFailure" => outcome(TestStatus::Failed, Some(Retry::Rerun)),
            "rerunError" => outcome(TestStatus::Error, Some(Retry::Rerun)),
            "stackTrace" => Self::StackTrace,
            _ => Self::Other,
        }
    }
}

/// What an outcome says.
#[derive(Debug)]
struct Outcome {
    status: TestStatus,
    retry: Option<Retry>,
    message: Option<String>,
    text: String,
}

/// The test case that is open.
#[derive(Debug)]
struct Open {
    case: Case,
    /// An outcome that is open, or those of this test case.
    outcome: Option<Outcome>,
    outcomes: Vec<Outcome>,
}

/// Tries of one test that are told; of more the last counts.
const TRIES_MAX: usize = 20;

struct Parser<'a> {
    take: &'a mut dyn FnMut(Case),
    /// What stands around the next element.
    open: Vec<Element>,
    /// Names of the suites among them.
    suites: Vec<Option<String>>,
    case: Option<Open>,
    cases: usize,
}

impl Parser<'_> {
    fn begin(&mut self, element: Element, tag: &BytesStart<'_>) {
        let mut attributes = Attributes::of(tag);
        match element {
            // The names that tools give to their whole run tell nobody anything.
            Element::Suite => {
                let root = self.open.is_empty() && tag.local_name().as_ref() == "testsuites";
                self.suites.push(attributes.name.filter(|_| !root));
            }
            Element::Case if self.case.is_none() => {
                let name = attributes.name.take().unwrap_or_default();
                let class = attributes.class.take().filter(|class| *class != name);
                let around = || {
                    let names: Vec<_> = self.suites.iter().flatten().map(String::as_str).collect();
                    (!names.is_empty()).then(|| cut(names.join(" / "), NAME_BYTES_MAX))
                };
                let not_run = matches!(attributes.status.as_deref(), Some("notrun" | "disabled"));
                let case = Case {
                    suite: class.or_else(around),
                    name,
                    status: if not_run { TestStatus::Skipped } else { TestStatus::Passed },
                    duration_ms: attributes.time,
                    message: None,
                    details: None,
                    file: attributes.file,
                    line: attributes.line,
                    attempt: None,
                };
                self.case = Some(Open { case, outcome: None, outcomes: Vec::new() });
            }
            Element::Outcome { mut status, retry } => {
                let Some(open) = self.case.as_mut().filter(|open| open.outcome.is_none()) else {
                    return;
                };
                if status == TestStatus::Skipped
                    && attributes.kind.as_deref() == Some("pytest.xfail")
                {
                    status = TestStatus::Xfailed;
                }
                let message = attributes.message;
                open.outcome = Some(Outcome { status, retry, message, text: String::new() });
            }
            Element::Case | Element::StackTrace | Element::Other => {}
        }
    }

    fn text(&mut self, text: &str) {
        // Beside what an outcome says there may be what the test printed.
        let (Some(Element::Outcome { .. } | Element::StackTrace), Some(open)) =
            (self.open.last(), &mut self.case)
        else {
            return;
        };
        if let Some(outcome) = &mut open.outcome {
            let room = DETAILS_BYTES_MAX.saturating_sub(outcome.text.len());
            outcome.text.push_str(beginning(text, room));
        }
    }

    fn end(&mut self, element: Element) {
        match element {
            Element::Suite => {
                self.suites.pop();
            }
            Element::Case => {
                // One that stands in another, which nobody writes, is passed over.
                if !self.open.contains(&Element::Case)
                    && let Some(open) = self.case.take()
                {
                    self.cases += 1;
                    open.give(self.take);
                }
            }
            Element::Outcome { .. } => {
                if let Some(open) = &mut self.case
                    && let Some(outcome) = open.outcome.take()
                {
                    open.outcomes.push(outcome);
                    if open.outcomes.len() > 2 * TRIES_MAX {
                        open.outcomes.remove(TRIES_MAX);
                    }
                }
            }
            Element::StackTrace | Element::Other => {}
        }
    }
}

impl Open {
    fn give(self, take: &mut dyn FnMut(Case)) {
        let Self { case, outcomes, .. } = self;
        let is = |retry| move |outcome: &Outcome| outcome.retry == retry;
        let flaky = outcomes.iter().filter(|one| is(Some(Retry::Flaky))(one)).count();
        let rerun = outcomes.iter().filter(|one| is(Some(Retry::Rerun))(one)).count();
        // A failure counts for more than that it was skipped later, whatever the order.
        let own = outcomes
            .iter()
            .filter(|one| one.retry.is_none())
            .min_by_key(|one| matches!(one.status, TestStatus::Skipped | TestStatus::Xfailed));
        let told = |case: &Case, outcome: &Outcome, attempt| {
            let text = outcome.text.trim_end();
            let first = || text.lines().map(str::trim).find(|line| !line.is_empty());
            let message = outcome.message.clone().or_else(|| first().map(str::to_owned));
            Case {
                status: outcome.status,
                message: message.map(|message| cut(message, MESSAGE_BYTES_MAX)),
                details: (!text.trim().is_empty()).then(|| text.to_owned()),
                attempt,
                ..case.clone()
            }
        };
        let retried = flaky > 0 || rerun > 0;
        let mut attempt = 0_u32;
        let mut next = || {
            attempt += 1;
            retried.then_some(attempt)
        };
        // The time of a test case is that of its last try.
        let earlier = |case: Case| Case { duration_ms: None, ..case };
        let mut reruns = outcomes.iter().filter(|one| is(Some(Retry::Rerun))(one));
        if rerun > 0 {
            let last = reruns.next_back();
            for outcome in own.into_iter().chain(reruns) {
                take(earlier(told(&case, outcome, next())));
            }
            if let Some(last) = last {
                take(told(&case, last, next()));
            }
            return;
        }
        for outcome in outcomes.iter().filter(|one| is(Some(Retry::Flaky))(one)) {
            take(earlier(told(&case, outcome, next())));
        }
        let attempt = next();
        take(match own {
            Some(outcome) => told(&case, outcome, attempt),
            None => Case { attempt, ..case },
        });
    }
}

/// What attributes say, cut to size; what is empty is absent.
#[derive(Debug, Default)]
struct Attributes {
    name: Option<String>,
    class: Option<String>,
    time: Option<u64>,
    file: Option<String>,
    line: Option<u32>,
    status: Option<String>,
    message: Option<String>,
    kind: Option<String>,
}

impl Attributes {
    fn of(tag: &BytesStart<'_>) -> Self {
        let mut found = Self::default();
        // One that is malformed or given twice says nothing; the others do.
        for attribute in tag.attributes().with_checks(false).flatten() {
            let place = match attribute.key.local_name().as_ref() {
                "name" => &mut found.name,
                "classname" => &mut found.class,
                "file" => &mut found.file,
                "status" => &mut found.status,
                "message" => &mut found.message,
                "type" => &mut found.kind,
                "time" => {
                    found.time = milliseconds(&attribute.value);
                    continue;
                }
                "line" => {
                    found.line = attribute.value.parse().ok();
                    continue;
                }
                _ => continue,
            };
            // An entity that nobody knows leaves the text as it is written.
            let text = match quick_xml::escape::unescape(&attribute.value) {
                Ok(text) => text.into_owned(),
                Err(_) => attribute.value.clone().into_owned(),
            };
            *place = Some(cut(text, NAME_BYTES_MAX)).filter(|text| !text.trim().is_empty());
        }
        found
    }
}

/// Seconds as tools write them, `1,234.56` too.
fn milliseconds(text: &str) -> Option<u64> {
    let seconds: f64 = text.trim().replace(',', "").parse().ok()?;
    (0.0..=SECONDS_MAX).contains(&seconds).then(|| (seconds * 1000.0).round() as u64)
}

/// As many characters as fit.
fn beginning(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(beginning(&text, bytes_max).len());
    text
}
