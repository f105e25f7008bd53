//! How the tests of an execution ended, and what the past says of each: one row an execution, whose
//! tests are 13 bytes each, in the order of their keys.
//!
//! So ten thousand tests are one row to write, a name's history is fifty rows to read, and both are
//! gone through side by side, one row at a time in memory.

use std::collections::HashMap;

use stepflow_model::{
    ExecutionId,
    results::{Mark, Trend, Verdict},
};

use crate::{CatalogError, Reader};

/// The tests of so many executions of one name are remembered.
pub const TEST_RUNS_MAX: u32 = 50;
/// Key, verdict, duration.
const MARK_BYTES: usize = 8 + 1 + 4;
/// A test whose time nobody said.
const NO_DURATION: u32 = u32::MAX;
/// Bit of the verdict's byte.
const FLAKY: u8 = 4;

/// How the tests of one execution ended.
#[derive(Clone, PartialEq, Eq)]
pub struct TestRun {
    /// The execution.
    pub id: ExecutionId,
    /// When it was accepted, microseconds UTC.
    pub created_us: i64,
    marks: Box<[u8]>,
}

impl std::fmt::Debug for TestRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestRun").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TestRun {
    /// Of `marks` in ascending order of their keys, each once.
    pub fn new(id: ExecutionId, created_us: i64, marks: &[Mark]) -> Self {
        let mut bytes = Vec::with_capacity(marks.len() * MARK_BYTES);
        for mark in marks {
            let verdict = match mark.verdict {
                Verdict::Failed => 0,
                Verdict::Passed => 1,
                Verdict::Skipped => 2,
            };
            let duration = mark.duration_ms.map_or(NO_DURATION, |duration_ms| {
                u32::try_from(duration_ms).unwrap_or(NO_DURATION).min(NO_DURATION - 1)
            });
            bytes.extend_from_slice(&mark.key.to_le_bytes());
            bytes.push(verdict | if mark.flaky { FLAKY } else { 0 });
            bytes.extend_from_slice(&duration.to_le_bytes());
        }
        Self { id, created_us, marks: bytes.into() }
    }

    /// As a row has it; `None`: no such row was written.
    pub(crate) fn from_bytes(id: ExecutionId, created_us: i64, marks: &[u8]) -> Option<Self> {
        let whole = marks.len().is_multiple_of(MARK_BYTES);
        let run = Self { id, created_us, marks: marks.into() };
        (whole && run.marks().count() == marks.len() / MARK_BYTES).then_some(run)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.marks
    }

    /// All of them, by key.
    pub fn marks(&self) -> impl Iterator<Item = Mark> + '_ {
        self.marks.chunks_exact(MARK_BYTES).map_while(mark)
    }

    /// The test with this key, if there was one.
    pub fn find(&self, key: u64) -> Option<Mark> {
        let count = self.marks.len() / MARK_BYTES;
        let at = |index: usize| self.marks.get(index * MARK_BYTES..(index + 1) * MARK_BYTES);
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            let found = at(middle).and_then(mark)?;
            match found.key.cmp(&key) {
                std::cmp::Ordering::Equal => return Some(found),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

fn mark(bytes: &[u8]) -> Option<Mark> {
    let key = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let word = *bytes.get(8)?;
    let duration = u32::from_le_bytes(bytes.get(9..13)?.try_into().ok()?);
    let verdict = match word & !FLAKY {
        0 => Verdict::Failed,
        1 => Verdict::Passed,
        2 => Verdict::Skipped,
        _ => return None,
    };
    let duration_ms = (duration != NO_DURATION).then(|| u64::from(duration));
    Some(Mark { key, verdict, flaky: word & FLAKY != 0, duration_ms })
}

/// What the past says of the tests of one execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trends {
    /// The earlier executions of the same name that had tests, the latest first: id, and when it was
    /// accepted, microseconds UTC.
    pub runs: Vec<(ExecutionId, i64)>,
    /// By key, of those of which it says anything.
    said: HashMap<u64, Trend>,
}

impl Trends {
    /// What the past says of the test with this key.
    pub fn of(&self, key: u64) -> Trend {
        self.said.get(&key).copied().unwrap_or_default()
    }

    /// The execution that [`Trend::since`] means.
    pub fn since(&self, trend: &Trend) -> Option<(ExecutionId, i64)> {
        self.runs.get(usize::from(trend.since?)).copied()
    }
}

impl Reader {
    /// What the past says of `marks`, the tests of the execution `of`, which is named `name`; they are
    /// in ascending order of their keys, each once.
    pub fn trends(
        &self,
        name: &str,
        of: (i64, ExecutionId),
        marks: &[Mark],
    ) -> Result<Trends, CatalogError> {
        const ABSENT: u8 = u8::MAX;
        let most = TEST_RUNS_MAX as usize;
        let mut runs = Vec::new();
        // By test, what each run says of it; of as many as there may be, a byte each.
        let mut past = vec![ABSENT; marks.len() * most];
        self.each_test_run(name, of, TEST_RUNS_MAX, |run| {
            let at = runs.len();
            runs.push((run.id, run.created_us));
            let mut there = run.marks().peekable();
            for (index, mark) in marks.iter().enumerate() {
                while there.next_if(|one| one.key < mark.key).is_some() {}
                if let Some(one) = there.next_if(|one| one.key == mark.key) {
                    past[index * most + at] = one.verdict as u8;
                }
            }
        })?;
        let mut said = HashMap::new();
        for (index, mark) in marks.iter().enumerate() {
            let verdicts = past[index * most..][..runs.len()].iter().enumerate();
            let verdicts = verdicts.filter_map(|(at, verdict)| {
                let all = [Verdict::Failed, Verdict::Passed, Verdict::Skipped];
                let verdict = all.into_iter().find(|one| *one as u8 == *verdict)?;
                Some((at as u16, verdict))
            });
            let trend = Trend::of(*mark, verdicts, runs.len());
            if trend != Trend::default() {
                said.insert(mark.key, trend);
            }
        }
        Ok(Trends { runs, said })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_and_are_found_by_their_keys() {
        let id = "0198c2aa-0000-7000-8000-000000000001".parse().unwrap();
        let mark = |key, verdict, flaky, duration_ms| Mark { key, verdict, flaky, duration_ms };
        let marks = [
            mark(0, Verdict::Failed, false, None),
            mark(7, Verdict::Passed, true, Some(0)),
            mark(8, Verdict::Skipped, false, Some(u64::from(u32::MAX) - 1)),
            mark(u64::MAX, Verdict::Passed, false, Some(1)),
        ];
        let run = TestRun::new(id, 5, &marks);
        let again = TestRun::from_bytes(id, 5, run.bytes()).unwrap();
        assert_eq!(again.marks().collect::<Vec<_>>(), marks);
        for mark in marks {
            assert_eq!(again.find(mark.key), Some(mark));
        }
        assert_eq!(again.find(9), None);
        let long = TestRun::new(id, 5, &[mark(1, Verdict::Passed, false, Some(u64::MAX))]);
        assert_eq!(long.find(1).unwrap().duration_ms, Some(u64::from(u32::MAX) - 1));
        assert_eq!(TestRun::from_bytes(id, 5, &run.bytes()[1..]), None);
        let mut wrong = run.bytes().to_vec();
        wrong[8] = 3;
        assert_eq!(TestRun::from_bytes(id, 5, &wrong), None);
    }
}
