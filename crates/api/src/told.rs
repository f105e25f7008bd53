//! What output says in the markers of other systems.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stepflow_model::ExecutionState;

/// A problem that a script points out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pointed {
    /// The system whose marker it is.
    pub dialect: String,
    /// `error`, `warning` or `notice`.
    pub level: String,
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

impl From<&stepflow_model::Problem> for Pointed {
    fn from(problem: &stepflow_model::Problem) -> Self {
        Self {
            dialect: problem.dialect.clone(),
            level: problem.level.to_string(),
            file: problem.file.clone(),
            line: problem.line,
            col: problem.col,
            end_line: problem.end_line,
            end_col: problem.end_col,
            title: problem.title.clone(),
            code: problem.code.clone(),
            details: problem.details.clone(),
        }
    }
}

/// A system whose markers were found in the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DetectedDialect {
    /// Its name.
    pub dialect: String,
    /// The line that gave it away.
    pub line: u64,
}

/// A text for people about the whole execution: itself, or where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SummaryText {
    /// The system whose marker it is.
    pub dialect: String,
    /// Index of the step it belongs to.
    pub step: Option<u32>,
    /// The text, in Markdown.
    pub markdown: Option<String>,
    /// The file that holds it, as written.
    pub path: Option<String>,
    /// A heading.
    pub name: Option<String>,
}

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestCounts {
    /// With success.
    pub passed: u64,
    /// What they test is wrong.
    pub failed: u64,
    /// They could not test, or never finished.
    pub error: u64,
    /// Not run, or expected to fail.
    pub skipped: u64,
    /// Known not to work yet.
    pub todo: u64,
}

impl From<stepflow_model::TestTotals> for TestCounts {
    fn from(totals: stepflow_model::TestTotals) -> Self {
        let stepflow_model::TestTotals { passed, failed, error, skipped, todo } = totals;
        Self { passed, failed, error, skipped, todo }
    }
}

/// What output says in the markers of other systems, beside steps, artifacts and annotations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Told {
    /// The systems, in the order in which they were found.
    pub dialects: Vec<DetectedDialect>,
    /// Texts about the whole.
    pub summaries: Vec<SummaryText>,
    /// Tests by the system that tells of them; not to be added up, two may tell of the same run.
    #[cfg_attr(feature = "ts", ts(type = "Record<string, TestCounts>"))]
    pub tests: BTreeMap<String, TestCounts>,
    /// Secrets that the output declared, and that are masked from there on.
    pub masks: u32,
}

impl Told {
    /// What was told in `state`; `None`: nothing.
    pub fn of(state: &ExecutionState) -> Option<Self> {
        let summaries = state.summaries.iter().map(|text| SummaryText {
            dialect: text.dialect.clone(),
            step: text.step,
            markdown: text.markdown.clone(),
            path: text.path.clone(),
            name: text.name.clone(),
        });
        let tests = state
            .tests
            .totals()
            .into_iter()
            .map(|(dialect, totals)| (dialect, TestCounts::from(totals)));
        let dialects = state
            .detected
            .iter()
            .map(|found| DetectedDialect { dialect: found.dialect.clone(), line: found.line });
        let told = Self {
            dialects: dialects.collect(),
            summaries: summaries.collect(),
            tests: tests.collect(),
            masks: state.secrets,
        };
        let nothing = told.dialects.is_empty()
            && told.summaries.is_empty()
            && told.tests.is_empty()
            && told.masks == 0;
        (!nothing).then_some(told)
    }
}
