//! Markers and structure that scripts print for other systems, fed into the same steps.
//!
//! A dialect is a small state machine in a file of its own behind the trait `Dialect`, and a line
//! in `ENTRIES`; nothing else knows it. [`Dialects`] cuts the streams into lines and asks. The
//! order of `ENTRIES` is the order of asking: the first that takes a line has it alone.

mod context; // what a dialect can do
mod cut; // a stream -> its lines
mod engine; // lines -> the dialects' events
mod event; // what dialects say
mod filter; // whole reads: what nobody wants to see
mod gate; // secrets that a script declares, before they are recorded
mod glue; // markers in the middle of a line
mod line; // the views of a line
mod literals; // many words at once
mod own; // own markers in the common tree
mod problems; // matchers: diagnostics described by data
mod select; // which dialects an execution has
mod shared; // what dialects have in common
mod starts; // lines that begin in one of a few bytes
mod tables; // the one that dialects begin with
mod tree; // the open steps
mod watch; // which lines a dialect wants to see
mod words; // small readers

// Marker dialects.
mod azure;
mod buildkite;
pub mod github;
mod gitlab;
mod jenkins;
mod sd_daemon;
mod tap;
mod teamcity;
mod travis;

// Tool dialects.
mod ansible;
mod cargo;
mod cmake_make;
mod ctest;
mod docker;
mod gcc_diag;
mod go_test;
mod gradle;
mod make;
mod maven;
mod nextest;
mod ninja;
mod npm;
mod pytest;
mod terraform;
mod tqdm;
mod turbo;
mod xtrace;

pub(crate) use self::{context::Context, line::Line, watch::Watch};
pub use self::{
    engine::{Dialects, Ending, Former, Offers, STEPS_MAX},
    event::{
        Annotation, At, Cause, Event, EventKind, Level, OWN, Place, Severity, StepId, StepStatus,
        Stream, Summary, Test, TestStatus,
    },
    gate::{Gate, Piece},
    problems::{Fault, Matcher, MatcherError, TEXT_BYTES_MAX, shipped_names},
    select::{Choice, Selection, SelectionError, names},
};

/// What a dialect made of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nothing: the next dialect may look at it.
    No,
    /// It belongs to this dialect.
    Yes,
    /// It may belong to this dialect: the next line of the stream decides, in [`Dialect::next`].
    Held,
}

/// One grammar.
///
/// Its state must stay small whatever it is fed, it must not panic on any text, and what it says
/// must depend on nothing but the lines. It may say events even for a line that it does not take.
pub(crate) trait Dialect: Send {
    /// The lines that it wants to be offered in its present state; asked after each line that it
    /// saw.
    fn watch(&self) -> Watch;

    /// Looks at a line that no earlier dialect took.
    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken;

    /// Looks at the line after one that it held or called [`Context::await_next`] for, before all
    /// others. `None`: no such line will come, or another dialect has it. To be settled here:
    /// [`Context::consume`] or [`Context::release`] what was held.
    fn next(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        let _ = line;
        cx.release(cx.place.stream);
        Taken::No
    }

    /// The execution has ended. What it does not close here is closed by the exit code.
    fn end(&mut self, ending: Ending, cx: &mut Context<'_>) {
        let _ = (ending, cx);
    }
}

/// A dialect that there is.
pub(crate) struct Entry {
    /// What users call it.
    pub(crate) name: &'static str,
    /// Printed on purpose for another system: `stop-commands` suspends it.
    pub(crate) is_marker: bool,
    /// Only in use where somebody asks for it.
    pub(crate) opt_in: bool,
    /// The environment variable by which its own system makes itself known.
    pub(crate) variable: Option<&'static str>,
    /// Makes one; `true` if the user or the environment names the dialect.
    pub(crate) new: fn(hinted: bool) -> Box<dyn Dialect>,
}

/// A marker dialect that is on by default.
const fn marker(
    name: &'static str,
    variable: Option<&'static str>,
    new: fn(bool) -> Box<dyn Dialect>,
) -> Entry {
    Entry { name, is_marker: true, opt_in: false, variable, new }
}

/// A tool dialect that is on by default.
const fn tool(name: &'static str, new: fn(bool) -> Box<dyn Dialect>) -> Entry {
    Entry { name, is_marker: false, opt_in: false, variable: None, new }
}

/// Only in use where somebody asks for it.
const fn opt_in(entry: Entry) -> Entry {
    Entry { opt_in: true, ..entry }
}

/// All dialects, in the order of asking; at most 32.
pub(crate) const ENTRIES: &[Entry] = &[
    marker("github", Some("GITHUB_ACTIONS"), github::new),
    marker("gitlab", Some("GITLAB_CI"), gitlab::new),
    marker("azure", Some("TF_BUILD"), azure::new),
    marker("teamcity", Some("TEAMCITY_VERSION"), teamcity::new),
    marker("travis", Some("TRAVIS"), travis::new),
    marker("buildkite", Some("BUILDKITE"), buildkite::new),
    marker("tap", None, tap::new),
    opt_in(marker("jenkins", Some("JENKINS_URL"), jenkins::new)),
    opt_in(marker("sd-daemon", Some("JOURNAL_STREAM"), sd_daemon::new)),
    tool("docker", docker::new),
    tool("ansible", ansible::new),
    tool("nextest", nextest::new),
    tool("pytest", pytest::new),
    tool("cargo", cargo::new),
    tool("go-test", go_test::new),
    tool("make", make::new),
    tool("npm", npm::new),
    tool("terraform", terraform::new),
    opt_in(tool("xtrace", xtrace::new)),
    tool("gradle", gradle::new),
    tool("maven", maven::new),
    tool("ninja", ninja::new),
    tool("cmake-make", cmake_make::new),
    tool("ctest", ctest::new),
    opt_in(tool("turbo", turbo::new)),
    tool("tqdm", tqdm::new),
    tool("gcc-diag", gcc_diag::new),
];
