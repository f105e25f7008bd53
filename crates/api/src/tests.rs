//! Which tests an execution had, and what the past says of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stepflow_model::{
    ExecutionId,
    results::{TestRow, Trend},
};

use crate::{TestCounts, time::rfc3339};

/// Since when a test fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestSince {
    /// The execution in which it failed first, as far as is remembered.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub execution_id: ExecutionId,
    /// When that was accepted.
    pub created_at: String,
}

impl From<(ExecutionId, i64)> for TestSince {
    fn from((execution_id, created_us): (ExecutionId, i64)) -> Self {
        Self { execution_id, created_at: rfc3339(created_us) }
    }
}

/// One test, after its last try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestResult {
    /// Its place among the tests of its execution, from 0 in the order in which they were told of.
    pub index: u32,
    /// The system that tells of it; `junit`: a file of results.
    pub dialect: String,
    /// What it is part of.
    pub suite: Option<String>,
    /// Its name.
    pub name: String,
    /// `passed`, `failed`, `error`, `skipped`, `todo`, `xfailed`, `xpassed` or `unknown`.
    pub status: String,
    /// How long its last try took, milliseconds.
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub duration_ms: Option<u64>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed or was skipped, the first 240 bytes of it.
    pub message: Option<String>,
    /// Index of the step it belongs to.
    pub step: Option<u32>,
    /// Its source file, as printed.
    pub file: Option<String>,
    /// Its line there, from 1.
    pub file_line: Option<u32>,
    /// The line of the log that tells of it.
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub line: Option<u64>,
    /// It failed and then passed, or changed its verdict twice or more in the last 20 executions of
    /// this name.
    pub flaky: bool,
    /// No earlier execution of this name that is remembered had it, though there are some.
    pub new: bool,
    /// Against the last execution of this name that had it: `newly_failing`, `still_failing` or
    /// `fixed`.
    pub change: Option<String>,
    /// Of one that fails still: since when.
    pub failing_since: Option<TestSince>,
}

impl TestResult {
    /// The row at `index`, of which the past says `trend`.
    pub fn new(
        index: u32,
        row: &TestRow,
        trend: &Trend,
        failing_since: Option<(ExecutionId, i64)>,
    ) -> Self {
        let (file, file_line) = match row.source.as_deref() {
            Some((file, line)) => (Some(file.clone()), *line),
            None => (None, None),
        };
        Self {
            index,
            dialect: row.dialect.to_string(),
            suite: row.suite.as_deref().map(str::to_owned),
            name: row.name.to_string(),
            status: row.status.to_string(),
            duration_ms: row.duration_ms,
            attempts: row.attempts,
            message: row.message.as_deref().map(str::to_owned),
            step: row.step,
            file,
            file_line,
            line: row.line,
            flaky: row.is_flaky() || trend.flaky,
            new: trend.new,
            change: trend.change.map(|change| change.as_str().to_owned()),
            failing_since: failing_since.map(TestSince::from),
        }
    }
}

/// How many tests are what, of those that are listed before any filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestMarks {
    /// Failed now, passed in the last execution that had them.
    pub newly_failing: u64,
    /// Failed there as well.
    pub still_failing: u64,
    /// Passed now, failed there.
    pub fixed: u64,
    /// Failed and then passed, or change their verdict.
    pub flaky: u64,
    /// Had by no earlier execution.
    pub new: u64,
}

/// `GET /api/executions/{id}/tests`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestList {
    /// The execution.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub execution_id: ExecutionId,
    /// Whose tests are listed: the first there is of `junit`, `teamcity`, `tap`, then a tool, unless
    /// asked otherwise; absent: everybody's.
    pub dialect: Option<String>,
    /// How they ended: of a system that prints totals, these. Not filtered.
    pub counts: TestCounts,
    /// The same by system; not to be added up, two may tell of the same run.
    #[cfg_attr(feature = "ts", ts(type = "Record<string, TestCounts>"))]
    pub dialects: BTreeMap<String, TestCounts>,
    /// What the past says of them. Not filtered.
    pub marks: TestMarks,
    /// How many earlier executions of this name are remembered, at most 50.
    pub compared: u32,
    /// How long all that say so took, added up, milliseconds.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub total_ms: u64,
    /// How many the filters let through.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub matched: u64,
    /// How many of those were left out first.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub offset: u64,
    /// One page of them.
    pub tests: Vec<TestResult>,
    /// There are more behind it.
    pub has_more: bool,
    /// It has ended: there will be no more.
    pub ended: bool,
    /// 200.
    pub status: u16,
}

/// One try of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestTry {
    /// Which one, from 1.
    pub attempt: u32,
    /// How it ended; the words of [`TestResult::status`].
    pub status: String,
    /// How long it took, milliseconds.
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub duration_ms: Option<u64>,
    /// Why it failed or was skipped.
    pub message: Option<String>,
    /// More about that, such as a stack trace.
    pub details: Option<String>,
    /// The line of the log that tells of it.
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub line: Option<u64>,
}

/// How a test ended in one execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestPast {
    /// The execution.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub execution_id: ExecutionId,
    /// When it was accepted.
    pub created_at: String,
    /// `passed`, `failed` or `skipped`.
    pub verdict: String,
    /// It failed, and passed when it was tried again.
    pub flaky: bool,
    /// How long it took, milliseconds.
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub duration_ms: Option<u64>,
}

/// `GET /api/executions/{id}/tests/{index}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestDetail {
    /// The test.
    pub test: TestResult,
    /// Every try that was told of, in order.
    pub tries: Vec<TestTry>,
    /// The last executions of this name that had it, up to this one, newest first; at most 50.
    pub history: Vec<TestPast>,
    /// 200.
    pub status: u16,
}

/// `GET /api/tests`: one test over the executions of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestHistory {
    /// The name of the executions.
    pub name: String,
    /// What the test is part of.
    pub suite: Option<String>,
    /// The test's name.
    pub test: String,
    /// The executions that had it, newest first.
    pub history: Vec<TestPast>,
    /// How many these are.
    pub count: u32,
    /// 200.
    pub status: u16,
}
