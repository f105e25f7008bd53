//! Which tests an execution had: rows made from its journal, beside what the past says of them. Kept
//! for a few executions, so that a list of fifty thousand is read once and not for every page of it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use stepflow_api::{TestDetail, TestList, TestMarks, TestPast, TestResult, TestTry, rfc3339};
use stepflow_catalog::{CatalogError, Reader, Trends};
use stepflow_model::{
    ExecutionId, ExecutionState, JUNIT, TestTotals, Tests,
    results::{Change, Mark, Results, TestRow, Trend, Verdict},
};
use stepflow_record::{RecordError, ResultsView, Storage};

/// Executions whose tests are kept, and rows of them together.
const KEPT_MAX: usize = 4;
const KEPT_ROWS_MAX: usize = 60_000;

/// What a list of tests must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestQuery {
    /// Of this system; `all`: of every one; absent: of the one whose totals stand for all.
    pub dialect: Option<String>,
    /// With one of these verdicts; empty: with any.
    pub verdicts: Vec<Verdict>,
    /// With this mark.
    pub mark: Option<TestMark>,
    /// With this in name, suite or message; upper and lower case are the same.
    pub text: Option<String>,
    /// In this order.
    pub order: TestOrder,
    /// So many are left out first.
    pub offset: usize,
    /// So many at most.
    pub limit: usize,
}

/// What the past may say of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestMark {
    /// Failed now, passed before.
    NewlyFailing,
    /// Failed now and before.
    StillFailing,
    /// Passed now, failed before.
    Fixed,
    /// Does not know.
    Flaky,
    /// Was not there before.
    New,
}

impl TestMark {
    /// All of them, as they are spelled.
    pub const NAMES: [&str; 5] = ["newly_failing", "still_failing", "fixed", "flaky", "new"];

    /// As it is spelled.
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// By how it is spelled.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::NewlyFailing, Self::StillFailing, Self::Fixed, Self::Flaky, Self::New];
        Self::NAMES.iter().position(|name| *name == word).map(|at| all[at])
    }
}

/// The order of a list of tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TestOrder {
    /// What failed first, of that what is new; then what is flaky; else as they were told of.
    #[default]
    Failed,
    /// As they were told of.
    Told,
    /// The slowest first.
    Slowest,
    /// By suite and name.
    Name,
}

impl TestOrder {
    /// All of them, as they are spelled.
    pub const NAMES: [&str; 4] = ["failed", "told", "slowest", "name"];

    /// As it is spelled.
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// By how it is spelled.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Failed, Self::Told, Self::Slowest, Self::Name];
        Self::NAMES.iter().position(|name| *name == word).map(|at| all[at])
    }
}

/// What of an execution's state a list of its tests needs.
#[derive(Debug, Clone)]
pub struct Whose {
    id: ExecutionId,
    name: String,
    created_us: i64,
    ended: bool,
    tests: Tests,
}

impl Whose {
    /// Of this execution.
    pub fn of(state: &ExecutionState) -> Self {
        Self {
            id: state.summary.id,
            name: state.summary.name.clone(),
            created_us: state.summary.created_us,
            ended: state.summary.status.is_end(),
            tests: state.tests.clone(),
        }
    }

    fn place(&self) -> (i64, ExecutionId) {
        (self.created_us, self.id)
    }
}

/// Why tests cannot be told of.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What is remembered cannot.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// The tests of one execution, as far as they have been read.
#[derive(Debug)]
pub struct Seen {
    view: ResultsView,
    /// What the past said, of which marks, and which executions that was.
    trends: Trends,
    compared: Option<(u64, Vec<ExecutionId>)>,
}

impl Seen {
    /// Nothing yet.
    pub fn new(storage: &Storage, id: ExecutionId) -> Self {
        Self { view: ResultsView::new(storage, id), trends: Trends::default(), compared: None }
    }

    /// Reads what is new, in the record and of the past; `reader`: where that is remembered, if it is.
    pub fn refresh(&mut self, whose: &Whose, reader: Option<&Reader>) -> Result<(), ResultsError> {
        // The state has counted them: where there are none, no journal is read.
        if whose.tests.is_empty() {
            return Ok(());
        }
        self.view.refresh()?;
        let Some(reader) = reader else { return Ok(()) };
        let earlier = reader.test_run_ids(&whose.name, whose.place())?;
        let now = Some((self.view.seq(), earlier));
        if self.compared != now {
            let marks: Vec<Mark> = self.view.results().marks();
            self.trends = reader.trends(&whose.name, whose.place(), &marks)?;
            self.compared = now;
        }
        Ok(())
    }

    fn results(&self) -> &Results {
        self.view.results()
    }

    fn result(&self, index: usize, row: &TestRow) -> TestResult {
        let trend = self.trends.of(row.key());
        TestResult::new(index as u32, row, &trend, self.trends.since(&trend))
    }

    /// One page of the list.
    pub fn list(&self, whose: &Whose, query: &TestQuery) -> TestList {
        let totals = whose.tests.totals();
        let dialect = match query.dialect.as_deref() {
            Some("all") => None,
            Some(name) => Some(name.to_owned()),
            // A system that told of totals alone has no rows to show.
            None => whose
                .tests
                .headline()
                .map(|(name, _)| name)
                .filter(|name| self.results().rows().iter().any(|row| *row.dialect == **name)),
        };
        let counts = match (&dialect, query.dialect.is_none()) {
            (Some(name), _) => totals.get(name).copied().unwrap_or_default(),
            (None, true) => whose.tests.headline().map(|(_, totals)| totals).unwrap_or_default(),
            (None, false) => TestTotals::default(),
        };
        let needle = query.text.as_deref().map(str::to_lowercase).filter(|text| !text.is_empty());
        let mut marks = TestMarks::default();
        let mut total_ms: u64 = 0;
        let mut found: Vec<(usize, &TestRow, Trend)> = Vec::new();
        for (index, row) in self.results().rows().iter().enumerate() {
            if dialect.as_deref().is_some_and(|name| name != &*row.dialect) {
                continue;
            }
            let mut trend = self.trends.of(row.key());
            trend.flaky |= row.is_flaky();
            count(&mut marks, trend);
            total_ms = total_ms.saturating_add(row.duration_ms.unwrap_or(0));
            let wanted =
                query.verdicts.is_empty() || query.verdicts.contains(&Verdict::of(row.status));
            if wanted
                && query.mark.is_none_or(|mark| has(trend, mark))
                && needle.as_deref().is_none_or(|needle| mentions(row, needle))
            {
                found.push((index, row, trend));
            }
        }
        match query.order {
            TestOrder::Told => {}
            TestOrder::Failed => found.sort_by_key(|(_, row, trend)| rank(row, *trend)),
            TestOrder::Slowest => {
                found.sort_by_key(|(_, row, _)| std::cmp::Reverse(row.duration_ms));
            }
            TestOrder::Name => {
                found.sort_by(|(_, a, _), (_, b, _)| (&a.suite, &a.name).cmp(&(&b.suite, &b.name)));
            }
        }
        let matched = found.len();
        let page = found.into_iter().skip(query.offset).take(query.limit);
        let tests: Vec<_> = page.map(|(index, row, _)| self.result(index, row)).collect();
        TestList {
            execution_id: whose.id,
            dialect,
            counts: counts.into(),
            dialects: totals.into_iter().map(|(name, totals)| (name, totals.into())).collect(),
            marks,
            compared: self.trends.runs.len() as u32,
            total_ms,
            matched: matched as u64,
            offset: query.offset as u64,
            has_more: query.offset.saturating_add(tests.len()) < matched,
            tests,
            ended: whose.ended,
            status: 200,
        }
    }

    /// Everything about one test; `None`: there is no such.
    pub fn detail(
        &self,
        whose: &Whose,
        index: u32,
        reader: Option<&Reader>,
    ) -> Result<Option<TestDetail>, ResultsError> {
        let Some(row) = self.results().rows().get(index as usize) else { return Ok(None) };
        let tries = self.view.tries(row)?;
        let last = tries.len();
        let tries = tries.into_iter().enumerate().map(|(at, (line, test))| TestTry {
            attempt: test.attempt.unwrap_or(at as u32 + 1),
            status: test.status.to_string(),
            duration_ms: test.duration_ms,
            message: test.message,
            details: test.details,
            line: if test.dialect == JUNIT {
                row.line.filter(|_| at + 1 == last)
            } else {
                Some(line)
            },
        });
        let tries = tries.collect();
        let history = match reader {
            Some(reader) => {
                let most = stepflow_catalog::TEST_RUNS_MAX;
                reader.test_history(&whose.name, row.key(), Some(whose.place()), most)?
            }
            None => Vec::new(),
        };
        Ok(Some(TestDetail {
            test: self.result(index as usize, row),
            tries,
            history: history.into_iter().map(past).collect(),
            status: 200,
        }))
    }
}

/// How a test ended in one execution.
pub fn past((execution_id, created_us, mark): (ExecutionId, i64, Mark)) -> TestPast {
    TestPast {
        execution_id,
        created_at: rfc3339(created_us),
        verdict: mark.verdict.as_str().to_owned(),
        flaky: mark.flaky,
        duration_ms: mark.duration_ms,
    }
}

fn count(marks: &mut TestMarks, trend: Trend) {
    marks.flaky += u64::from(trend.flaky);
    marks.new += u64::from(trend.new);
    match trend.change {
        Some(Change::NewlyFailing) => marks.newly_failing += 1,
        Some(Change::StillFailing) => marks.still_failing += 1,
        Some(Change::Fixed) => marks.fixed += 1,
        None => {}
    }
}

fn has(trend: Trend, mark: TestMark) -> bool {
    match mark {
        TestMark::NewlyFailing => trend.change == Some(Change::NewlyFailing),
        TestMark::StillFailing => trend.change == Some(Change::StillFailing),
        TestMark::Fixed => trend.change == Some(Change::Fixed),
        TestMark::Flaky => trend.flaky,
        TestMark::New => trend.new,
    }
}

fn rank(row: &TestRow, trend: Trend) -> u8 {
    match (Verdict::of(row.status), trend.change) {
        (Verdict::Failed, Some(Change::NewlyFailing)) => 0,
        (Verdict::Failed, _) => 1,
        _ if trend.flaky => 2,
        (Verdict::Passed, _) => 3,
        (Verdict::Skipped, _) => 4,
    }
}

fn mentions(row: &TestRow, needle: &str) -> bool {
    let texts = [Some(&row.name), row.suite.as_ref(), row.message.as_ref()];
    texts.into_iter().flatten().any(|text| text.to_lowercase().contains(needle))
}

/// The tests of the executions that were asked for last.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<VecDeque<(ExecutionId, Arc<Mutex<Seen>>)>>);

impl Kept {
    /// Those of this execution, which become the last asked for.
    pub(crate) fn of(&self, storage: &Storage, id: ExecutionId) -> Arc<Mutex<Seen>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|(other, _)| *other == id);
        let entry = match known.and_then(|at| kept.remove(at)) {
            Some(entry) => entry,
            None => (id, Arc::new(Mutex::new(Seen::new(storage, id)))),
        };
        let seen = Arc::clone(&entry.1);
        kept.push_front(entry);
        kept.truncate(KEPT_MAX);
        // One that is being read counts as nothing until it is asked for again.
        let mut rows = 0;
        kept.retain(|(other, seen)| {
            rows += seen.try_lock().map_or(0, |seen| seen.results().rows().len());
            *other == id || rows <= KEPT_ROWS_MAX
        });
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_and_no_others() {
        for name in TestMark::NAMES {
            assert_eq!(TestMark::from_word(name).map(TestMark::as_str), Some(name));
        }
        for name in TestOrder::NAMES {
            assert_eq!(TestOrder::from_word(name).map(TestOrder::as_str), Some(name));
        }
        assert_eq!(TestMark::from_word("flaky"), Some(TestMark::Flaky));
        assert_eq!(TestOrder::from_word("slowest"), Some(TestOrder::Slowest));
        assert_eq!((TestMark::from_word("x"), TestOrder::from_word("")), (None, None));
    }
}
