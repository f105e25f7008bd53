//! What scripts tell beside their steps, in the markers of other systems: problems, texts, tests.

use std::{collections::BTreeMap, ops::Bound};

use serde::{Deserialize, Serialize};

use crate::status::words;

words!(
    /// How grave a problem is.
    Severity {
        /// An error.
        Error = "error",
        /// A warning.
        Warning = "warning",
        /// A notice.
        Notice = "notice",
    }
);

words!(
    /// How a test ended.
    TestStatus {
        /// With success.
        Passed = "passed",
        /// What it tests is wrong.
        Failed = "failed",
        /// It could not test.
        Error = "error",
        /// It was not run.
        Skipped = "skipped",
        /// Known not to work yet; counts as no failure.
        Todo = "todo",
        /// It failed, as was expected.
        Xfailed = "xfailed",
        /// It passed, which was not expected.
        Xpassed = "xpassed",
        /// It started and never finished.
        Unknown = "unknown",
    }
);

/// A problem that a script points out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The dialect that it is told in.
    pub dialect: String,
    /// How grave.
    pub level: Severity,
    /// What; may have several lines.
    pub message: String,
    /// The step it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// The source file, as printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Its column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub col: Option<u32>,
    /// The last line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_line: Option<u32>,
    /// The last column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_col: Option<u32>,
    /// A heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The tool's own code for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// More text, such as a stack trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

impl Problem {
    pub(crate) fn bytes(&self) -> usize {
        let more = [&self.file, &self.title, &self.code, &self.details];
        self.message.len() + more.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// A text for people about the whole execution: itself, or where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The dialect that it is told in.
    pub dialect: String,
    /// The step it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// The text, in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markdown: Option<String>,
    /// The file that holds it, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Text {
    pub(crate) fn bytes(&self) -> usize {
        [&self.markdown, &self.path, &self.name].into_iter().flatten().map(String::len).sum()
    }
}

/// A test that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// The dialect that it is told in.
    pub dialect: String,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub status: TestStatus,
    /// The step it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// What it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// Why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The how many-eth try it is, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The source file it stands in, as printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line there, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// More text, such as a stack trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

/// What files of results (JUnit XML) are told in: a dialect that no line of the output has.
pub const JUNIT: &str = "junit";
/// Whose totals stand for all, the first that is there; else a tool's.
const HEADLINE: [&str; 3] = [JUNIT, "teamcity", "tap"];

/// How many tests ended how. What was expected to fail counts as skipped, what was expected to fail
/// and did not as passed, what never finished as an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestTotals {
    /// With success.
    pub passed: u64,
    /// What they test is wrong.
    pub failed: u64,
    /// They could not test.
    pub error: u64,
    /// Not run.
    pub skipped: u64,
    /// Known not to work yet.
    pub todo: u64,
}

impl TestTotals {
    fn add(&mut self, status: TestStatus, count: u64) {
        *match status {
            TestStatus::Passed | TestStatus::Xpassed => &mut self.passed,
            TestStatus::Failed => &mut self.failed,
            TestStatus::Error | TestStatus::Unknown => &mut self.error,
            TestStatus::Skipped | TestStatus::Xfailed => &mut self.skipped,
            TestStatus::Todo => &mut self.todo,
        } += count;
    }

    fn join(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.error += other.error;
        self.skipped += other.skipped;
        self.todo += other.todo;
    }
}

/// The tests of one execution, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tests {
    /// By dialect and step: what was counted here, and what the tool says, if it does.
    by: BTreeMap<(String, Option<u32>), (TestTotals, Option<TestTotals>)>,
}

impl Tests {
    pub(crate) fn take(&mut self, test: &Test) {
        let (counted, _) = self.by.entry((test.dialect.clone(), test.step)).or_default();
        counted.add(test.status, 1);
    }

    pub(crate) fn take_summary(
        &mut self,
        dialect: &str,
        step: Option<u32>,
        counts: &BTreeMap<String, u64>,
        is_inside: impl Fn(u32) -> bool,
    ) {
        let key = (dialect.to_owned(), step);
        // What was counted in steps inside it, as files of a session, is part of it. They started
        // later.
        let later = self.by.range_mut((Bound::Excluded(&key), Bound::Unbounded));
        for ((_, at), (counted, _)) in later.take_while(|((by, _), _)| by == dialect) {
            if at.is_some_and(&is_inside) {
                *counted = TestTotals::default();
            }
        }
        let (_, told) = self.by.entry(key).or_default();
        let told = told.get_or_insert_default();
        for (word, count) in counts {
            let word = match word.as_str() {
                "errors" => "error",
                "timed_out" | "exec_failed" => "failed",
                word => word,
            };
            if let Some(status) = TestStatus::from_word(word) {
                told.add(status, *count);
            }
        }
    }

    /// How many ended how, by dialect. What the tool says about a step is the truth for it.
    ///
    /// Not to be added up: two dialects may tell of the same run.
    pub fn totals(&self) -> BTreeMap<String, TestTotals> {
        let mut totals: BTreeMap<String, TestTotals> = BTreeMap::new();
        for ((dialect, _), (counted, told)) in &self.by {
            totals.entry(dialect.clone()).or_default().join(told.unwrap_or(*counted));
        }
        totals
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }

    /// The totals to show where there is room for one: of files of results, which were asked for,
    /// before those who report on purpose, and of these before those of a tool.
    pub fn headline(&self) -> Option<(String, TestTotals)> {
        let mut totals = self.totals();
        let first = HEADLINE.into_iter().find(|name| totals.contains_key(*name));
        let name = first.map(str::to_owned).or_else(|| totals.keys().next().cloned())?;
        totals.remove_entry(&name)
    }
}
