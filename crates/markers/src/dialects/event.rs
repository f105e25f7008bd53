//! What dialects say: the events that every grammar is translated to.

use std::borrow::Cow;

use crate::Params;

/// One of the streams of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stream {
    /// Standard output and standard error through one pipe.
    #[default]
    Merged,
    /// Standard output alone.
    Stdout,
    /// Standard error alone.
    Stderr,
}

/// The number of a step, from 0 in order of their starts, own steps included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub u32);

/// The line that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Its stream.
    pub stream: Stream,
    /// Output offset of its first byte.
    pub start: u64,
    /// Output offset just after its line feed, or after its last byte at the end of the stream.
    pub end: u64,
    /// Its number, from 1.
    pub line: u64,
}

/// Where a piece of a stream stands in the output of its execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// The offset of its first byte.
    pub offset: u64,
    /// Lines that have ended before it.
    pub lines: u64,
    /// No line of it is said to begin before this offset: bytes of the other stream stand there.
    pub floor: u64,
}

/// Something that a line said.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The line. A decision that needed the next line names the line it is about.
    pub place: Place,
    /// The dialect's name, or the problem matcher's; [`OWN`] for own markers.
    pub dialect: Cow<'static, str>,
    /// What it said.
    pub kind: EventKind,
}

/// [`Event::dialect`] of own markers, and of what the frame itself says.
pub const OWN: &str = "native";

/// What a line said. `step`: the step it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A step begins.
    StepStart {
        /// Its number.
        step: StepId,
        /// The step it is nested in; open.
        parent: Option<StepId>,
        /// One line, at most [`crate::NAME_BYTES_MAX`] bytes, not empty.
        name: String,
        /// Own steps: what its `[id=…]` says.
        key: Option<String>,
        /// In the order in which the dialect gives them; keys are unique.
        params: Params,
        /// Lines without a place of their own do not fall into it.
        loose: bool,
    },
    /// A step ends; all that was open inside it has ended before. May come again for an ended step:
    /// the later one counts.
    StepEnd {
        /// Its number.
        step: StepId,
        /// How.
        status: StepStatus,
        /// A short word, such as `cached`; of own steps, why it failed or was skipped.
        detail: Option<String>,
        /// What ended it.
        by: Cause,
    },
    /// A problem, or a notice, that the script points out.
    Annotation(Box<Annotation>),
    /// A file that the script declares.
    Artifact {
        /// As written.
        path: String,
        /// What people call it.
        name: String,
        /// Where it belongs.
        step: Option<StepId>,
    },
    /// A key and a value.
    Meta {
        /// Not empty.
        key: String,
        /// May be empty.
        value: String,
        /// A label for people.
        title: Option<String>,
        /// Where it belongs.
        step: Option<StepId>,
    },
    /// A secret: to be hidden before anything else of its line is recorded or shown.
    Mask {
        /// Not blank.
        secret: String,
    },
    /// A text for people about the whole execution.
    Summary {
        /// Where the text is.
        source: Summary,
        /// Where it belongs.
        step: Option<StepId>,
    },
    /// Text of a line that no dialect recognised, or that a marker carried.
    Log {
        /// One line.
        text: String,
        /// Its level, if the line says one.
        level: Option<Level>,
        /// Where it belongs.
        step: Option<StepId>,
    },
    /// One test.
    Test(Box<Test>),
    /// The totals of a run of tests, as its tool printed them.
    TestSummary {
        /// How many of what: `passed`, `failed`, …
        counts: Vec<(String, u64)>,
        /// The package or file, if the tool counts them apart.
        suite: Option<String>,
        /// The tool's verdict.
        status: Option<StepStatus>,
        /// Where it belongs.
        step: Option<StepId>,
    },
    /// How far something is. At least one of `value` and `text` is there.
    Progress {
        /// 0 to 100.
        value: Option<f64>,
        /// What is being done.
        text: Option<String>,
        /// What is that far; the execution if absent.
        step: Option<StepId>,
    },
    /// From this line on the event's dialect is known to be in use.
    Detected,
    /// Something is wrong with a marker; the script goes on.
    Warning {
        /// A stable word for programs.
        code: &'static str,
        /// A sentence for people.
        message: String,
    },
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepStatus {
    /// With success.
    Success,
    /// It failed.
    Failure,
    /// It was not run.
    Skipped,
    /// It was stopped.
    Cancelled,
    /// It ended, and its dialect gives no verdict.
    Done,
}

/// What ended a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A line that says so.
    Marker,
    /// The step that came after it.
    Next,
    /// The end of a step around it.
    Parent,
    /// It was never run: its line is all it has.
    Skip,
    /// The end of the execution.
    End,
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestStatus {
    /// With success.
    Passed,
    /// What it tests is wrong.
    Failed,
    /// It could not test.
    Error,
    /// It was not run.
    Skipped,
    /// Known not to work yet; counts as no failure.
    Todo,
    /// It failed, as was expected.
    Xfailed,
    /// It passed, which was not expected.
    Xpassed,
    /// It started and never finished.
    Unknown,
}

/// How grave an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Severity {
    /// An error.
    #[default]
    Error,
    /// A warning.
    Warning,
    /// A notice.
    Notice,
}

/// The level of a line of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For those who debug.
    Debug,
    /// For information.
    Info,
    /// Worth a look.
    Notice,
    /// A warning.
    Warning,
    /// An error.
    Error,
    /// A command that is run.
    Command,
    /// A heading.
    Section,
}

/// A problem that the script points out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Annotation {
    /// How grave.
    pub severity: Severity,
    /// What; may have several lines.
    pub message: String,
    /// Where it belongs. Left empty by a dialect: the innermost stacked step.
    pub step: Option<StepId>,
    /// The source file, as printed.
    pub file: Option<String>,
    /// Its line, from 1.
    pub line: Option<u32>,
    /// Its column.
    pub col: Option<u32>,
    /// The last line.
    pub end_line: Option<u32>,
    /// The last column.
    pub end_col: Option<u32>,
    /// A heading.
    pub title: Option<String>,
    /// The tool's own code for it.
    pub code: Option<String>,
    /// More text, such as a stack trace.
    pub details: Option<String>,
}

/// One test, finished.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub status: TestStatus,
    /// Where it belongs.
    pub step: Option<StepId>,
    /// What it is part of.
    pub suite: Option<String>,
    /// Why it failed or was skipped.
    pub message: Option<String>,
    /// How long it took, milliseconds.
    pub duration_ms: Option<u64>,
    /// The how many-eth try it is, from 1.
    pub attempt: Option<u32>,
}

impl Test {
    /// A test that says no more than this; the frame fills in the step.
    pub fn new(name: impl Into<String>, status: TestStatus) -> Self {
        Self {
            name: name.into(),
            status,
            step: None,
            suite: None,
            message: None,
            duration_ms: None,
            attempt: None,
        }
    }
}

/// A summary's text.
#[derive(Debug, Clone, PartialEq)]
pub enum Summary {
    /// It is here.
    Markdown(String),
    /// It is in a file.
    File {
        /// As written.
        path: String,
        /// A heading.
        name: Option<String>,
    },
}
