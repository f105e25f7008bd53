//! Which tests there were: the fold from events to one row a test.
//!
//! It is no part of [`ExecutionState`](crate::ExecutionState), which only counts them: fifty thousand
//! rows are made when somebody asks for them, from the same journal.

mod trend; // what the past says of a test

use std::{collections::HashMap, sync::Arc};

use crate::{Event, EventKind, TestStatus, told::JUNIT};

pub use self::trend::{Change, FLAKY_CHANGES, FLAKY_RUNS, Mark, Trend, Verdict};

/// Of a message so much is kept in a row, in bytes; the whole one is in the journal.
pub const ROW_MESSAGE_BYTES_MAX: usize = 240;

/// One test, after its last try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRow {
    /// The dialect that it is told in.
    pub dialect: Arc<str>,
    /// What it is part of.
    pub suite: Option<Box<str>>,
    /// Its name.
    pub name: Box<str>,
    /// How it ended.
    pub status: TestStatus,
    /// The step it belongs to.
    pub step: Option<u32>,
    /// How long its last try took, milliseconds.
    pub duration_ms: Option<u64>,
    /// How often it was tried.
    pub attempts: u32,
    /// A try before the last one failed.
    pub failed_before: bool,
    /// The beginning of why it failed or was skipped.
    pub message: Option<Box<str>>,
    /// Its source file and line there.
    pub source: Option<Box<(String, Option<u32>)>>,
    /// The line of the log that tells of it; none where a file of results does.
    pub line: Option<u64>,
    /// Its last event in the journal.
    pub seq: u64,
}

impl TestRow {
    /// It failed, and passed when it was tried again.
    pub fn is_flaky(&self) -> bool {
        self.failed_before && Verdict::of(self.status) == Verdict::Passed
    }

    /// What it is known by in other executions.
    pub fn key(&self) -> u64 {
        test_key(self.suite.as_deref(), &self.name)
    }

    /// What is kept of it beyond its execution.
    pub fn mark(&self) -> Mark {
        Mark {
            key: self.key(),
            verdict: Verdict::of(self.status),
            flaky: self.is_flaky(),
            duration_ms: self.duration_ms,
        }
    }
}

/// What a test of this suite and name is known by: FNV-1a with 64 bits over both. Part of what the
/// catalog keeps: it never changes.
pub fn test_key(suite: Option<&str>, name: &str) -> u64 {
    let suite = suite.unwrap_or_default().bytes();
    // No text holds 0xFF: where the suite ends is part of the key.
    suite.chain([0xFF]).chain(name.bytes()).fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// All tests of one execution, in the order in which they were first told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    rows: Vec<TestRow>,
    /// The row of a test of which a further try may be told.
    last: HashMap<(Arc<str>, Option<u32>, u64), u32>,
    dialects: Vec<Arc<str>>,
}

impl Results {
    /// Takes one event; all but tests change nothing. A test that is told of as a further try takes
    /// the place of the earlier one.
    pub fn apply(&mut self, event: &Event) {
        let EventKind::Test(test) = &event.kind else { return };
        let dialect = self.dialect(&test.dialect);
        let key = (Arc::clone(&dialect), test.step, test_key(test.suite.as_deref(), &test.name));
        let attempt = test.attempt.unwrap_or(1).max(1);
        // A file is read behind the end of the output, where no line tells of it.
        let line = (test.dialect != JUNIT).then_some(event.lines + 1);
        let mut row = TestRow {
            dialect,
            suite: test.suite.as_deref().map(Into::into),
            name: test.name.as_str().into(),
            status: test.status,
            step: test.step,
            duration_ms: test.duration_ms,
            attempts: attempt,
            failed_before: attempt > 1, // Nobody tries again what has passed.
            message: test.message.as_deref().map(|message| beginning(message).into()),
            source: test.file.clone().map(|file| Box::new((file, test.line))),
            line,
            seq: event.seq,
        };
        let earlier = self.last.get(&key).copied().filter(|_| attempt > 1);
        if let Some(known) = earlier.and_then(|at| self.rows.get_mut(at as usize)) {
            row.failed_before |= known.failed_before;
            row.source = row.source.or_else(|| known.source.take());
            *known = row;
        } else {
            self.last.insert(key, self.rows.len() as u32);
            self.rows.push(row);
        }
    }

    /// One a test.
    pub fn rows(&self) -> &[TestRow] {
        &self.rows
    }

    /// The log's line of a test that a file of results tells of, where the output told of one with
    /// the same name; of one with the same suite, if there are several.
    pub fn lines_of_files(&mut self) {
        if !self.dialects.iter().any(|name| &**name == JUNIT) || self.dialects.len() == 1 {
            return;
        }
        let mut by_key: HashMap<u64, u64> = HashMap::new();
        let mut by_name: HashMap<&str, Option<u64>> = HashMap::new();
        for row in self.rows.iter().filter(|row| &*row.dialect != JUNIT) {
            let Some(line) = row.line else { continue };
            by_key.insert(row.key(), line);
            // Of two with one name neither is meant for sure.
            by_name.entry(&row.name).and_modify(|known| *known = None).or_insert(Some(line));
        }
        let lines: Vec<(usize, u64)> = self
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| &*row.dialect == JUNIT)
            .filter_map(|(at, row)| {
                let by_key = by_key.get(&row.key()).copied();
                let line = by_key.or_else(|| by_name.get(&*row.name).copied().flatten())?;
                Some((at, line))
            })
            .collect();
        for (at, line) in lines {
            self.rows[at].line = Some(line);
        }
    }

    /// What is kept of them beyond the execution, by key in ascending order, each key once: of
    /// several tests with one key the worst counts.
    pub fn marks(&self) -> Vec<Mark> {
        let mut marks: Vec<Mark> = self.rows.iter().map(TestRow::mark).collect();
        marks.sort_by_key(|mark| (mark.key, mark.verdict));
        marks.dedup_by(|later, kept| {
            let same = later.key == kept.key;
            kept.flaky |= same && later.flaky;
            same
        });
        marks
    }

    fn dialect(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.dialects.iter().find(|known| &***known == name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        self.dialects.push(Arc::clone(&new));
        new
    }
}

/// The first lines of a message, as far as a row has room.
fn beginning(message: &str) -> &str {
    let mut end = message.len().min(ROW_MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Test;

    fn test(name: &str, status: TestStatus) -> Test {
        Test {
            dialect: "tap".to_owned(),
            name: name.to_owned(),
            status,
            step: None,
            suite: None,
            message: None,
            duration_ms: None,
            attempt: None,
            file: None,
            line: None,
            details: None,
        }
    }

    fn fold(tests: Vec<Test>) -> Results {
        let mut results = Results::default();
        for (at, test) in tests.into_iter().enumerate() {
            let seq = at as u64 + 1;
            let kind = EventKind::Test(Box::new(test));
            results.apply(&Event { seq, time_us: 0, at_us: 0, offset: 0, lines: seq * 10, kind });
        }
        results
    }

    #[test]
    fn a_further_try_takes_the_place_of_the_one_before_it() {
        use TestStatus::{Failed, Passed};
        let attempt = |name, status, attempt| Test { attempt: Some(attempt), ..test(name, status) };
        let results = fold(vec![
            attempt("a", Failed, 1),
            test("b", Passed),
            attempt("a", Failed, 2),
            attempt("a", Passed, 3),
            test("b", Failed), // Another test of the same name.
            attempt("c", Passed, 2),
            attempt("d", Failed, 2),
        ]);
        let rows: Vec<_> = results
            .rows()
            .iter()
            .map(|row| (&*row.name, row.status, row.attempts, row.is_flaky(), row.line, row.seq))
            .collect();
        assert_eq!(
            rows,
            [
                ("a", Passed, 3, true, Some(41), 4),
                ("b", Passed, 1, false, Some(21), 2),
                ("b", Failed, 1, false, Some(51), 5),
                ("c", Passed, 2, true, Some(61), 6),
                ("d", Failed, 2, false, Some(71), 7),
            ]
        );
        let marks = results.marks();
        assert_eq!(marks.len(), 4);
        assert!(marks.windows(2).all(|pair| pair[0].key < pair[1].key));
        let b = marks.iter().find(|mark| mark.key == test_key(None, "b")).unwrap();
        assert_eq!(b.verdict, Verdict::Failed);
    }

    #[test]
    fn a_test_of_a_file_gets_the_line_on_which_the_output_tells_of_it() {
        use TestStatus::{Failed, Passed};
        let of = |suite: &str, name, status| Test {
            dialect: JUNIT.to_owned(),
            suite: Some(suite.to_owned()),
            ..test(name, status)
        };
        let in_suite = |suite: &str, name| Test {
            suite: Some(suite.to_owned()),
            dialect: "nextest".to_owned(),
            ..test(name, Passed)
        };
        let mut results = fold(vec![
            test("only", Failed),
            in_suite("x", "twice"),
            in_suite("y", "twice"),
            of("s", "only", Failed),
            of("y", "twice", Passed),
            of("z", "twice", Passed),
            of("s", "nowhere", Passed),
        ]);
        results.lines_of_files();
        let lines: Vec<_> = results.rows()[3..].iter().map(|row| row.line).collect();
        assert_eq!(lines, [Some(11), Some(31), None, None]);
    }

    #[test]
    fn a_key_tells_suites_and_names_apart_and_never_changes() {
        assert_eq!(test_key(None, ""), 0xAF64_724C_8602_EB6E);
        assert_ne!(test_key(Some("a"), "bc"), test_key(Some("ab"), "c"));
        assert_eq!(test_key(Some(""), "a"), test_key(None, "a"));
        assert_eq!(test_key(Some("greeter"), "tests::a"), test_key(Some("greeter"), "tests::a"));
    }
}
