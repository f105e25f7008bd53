//! What the past says of a test: whether it fails for the first time, has failed before, is mended, or
//! changes its mind.

use crate::TestStatus;

/// A test is flaky that changed its verdict this often …
pub const FLAKY_CHANGES: usize = 2;
/// … in so many of the last executions of the same name, the one that is looked at among them.
pub const FLAKY_RUNS: usize = 20;

/// What a test's end says about what it tests. In order: the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Something is wrong: it failed, could not test, or never finished.
    Failed,
    /// Nothing is wrong.
    Passed,
    /// Nothing is said: it was skipped, or is known to fail.
    Skipped,
}

impl Verdict {
    /// The verdict of a test that ended so.
    pub const fn of(status: TestStatus) -> Self {
        match status {
            TestStatus::Passed | TestStatus::Xpassed => Self::Passed,
            TestStatus::Failed | TestStatus::Error | TestStatus::Unknown => Self::Failed,
            TestStatus::Skipped | TestStatus::Todo | TestStatus::Xfailed => Self::Skipped,
        }
    }

    /// As it is spelled.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Passed => "passed",
            Self::Skipped => "skipped",
        }
    }
}

/// What is kept of a test beyond its execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// [`test_key`](crate::results::test_key) of its suite and name.
    pub key: u64,
    /// What it said.
    pub verdict: Verdict,
    /// It failed, and passed when it was tried again.
    pub flaky: bool,
    /// How long it took, milliseconds.
    pub duration_ms: Option<u64>,
}

/// What has become of a test since the last execution that had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It passed there, and fails.
    NewlyFailing,
    /// It failed there, and fails.
    StillFailing,
    /// It failed there, and passes.
    Fixed,
}

impl Change {
    /// As it is spelled.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewlyFailing => "newly_failing",
            Self::StillFailing => "still_failing",
            Self::Fixed => "fixed",
        }
    }
}

/// What the past says of a test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trend {
    /// Against the last execution that had it; none: nothing, or there is none.
    pub change: Option<Change>,
    /// Of one that fails still: the execution, counted back from 0 for the one before, since which it
    /// has failed in all that had it.
    pub since: Option<u16>,
    /// It failed and then passed in this execution, or changed its mind often enough.
    pub flaky: bool,
    /// No earlier execution that is remembered had it, though there are some.
    pub new: bool,
}

impl Trend {
    /// Of a test that said `now`, and in earlier executions of the same name, the latest first, what
    /// `past` says: the execution's place, counted back from 0, and the mark. Those that did not have
    /// it, and those where it was skipped, say nothing. `runs`: how many earlier executions there are.
    pub fn of(now: Mark, past: impl IntoIterator<Item = (u16, Verdict)>, runs: usize) -> Self {
        let mut trend = Self { flaky: now.flaky, new: runs > 0, ..Self::default() };
        let says = now.verdict != Verdict::Skipped;
        let mut before = says.then_some(now.verdict);
        let (mut first, mut failing, mut changes) = (true, true, 0);
        for (at, verdict) in past {
            trend.new = false;
            if verdict == Verdict::Skipped {
                continue;
            }
            if says && std::mem::replace(&mut first, false) {
                trend.change = match (verdict, now.verdict) {
                    (Verdict::Passed, Verdict::Failed) => Some(Change::NewlyFailing),
                    (Verdict::Failed, Verdict::Failed) => Some(Change::StillFailing),
                    (Verdict::Failed, Verdict::Passed) => Some(Change::Fixed),
                    _ => None,
                };
            }
            failing &= verdict == Verdict::Failed;
            if failing && trend.change == Some(Change::StillFailing) {
                trend.since = Some(at);
            }
            if usize::from(at) + 1 < FLAKY_RUNS {
                changes += usize::from(before.is_some_and(|before| before != verdict));
                before = Some(verdict);
            }
        }
        trend.flaky |= says && changes >= FLAKY_CHANGES;
        trend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts of one test, the newest first: `P`, `F`, `S`, and `.` for an execution without it.
    fn trend(verdicts: &str) -> Trend {
        let verdict = |letter| match letter {
            'P' => Some(Verdict::Passed),
            'F' => Some(Verdict::Failed),
            'S' => Some(Verdict::Skipped),
            _ => None,
        };
        let mut all = verdicts.chars().map(verdict);
        let verdict = all.next().flatten().unwrap();
        let now = Mark { key: 1, verdict, flaky: false, duration_ms: None };
        let past = all.clone().enumerate().filter_map(|(at, one)| Some((at as u16, one?)));
        Trend::of(now, past, all.count())
    }

    #[test]
    fn the_last_execution_that_had_it_decides() {
        use Change::{Fixed, NewlyFailing, StillFailing};
        for (verdicts, change, since, new) in [
            ("F", None, None, false),
            ("P", None, None, false),
            ("F..", None, None, true),
            ("PP", None, None, false),
            ("FP", Some(NewlyFailing), None, false),
            ("F.P", Some(NewlyFailing), None, false),
            ("FSP", Some(NewlyFailing), None, false),
            ("FS", None, None, false),
            ("FF", Some(StillFailing), Some(0), false),
            ("FFFP", Some(StillFailing), Some(1), false),
            ("F.F.FP", Some(StillFailing), Some(3), false),
            ("FFSF", Some(StillFailing), Some(2), false),
            ("PF", Some(Fixed), None, false),
            ("PP.F", None, None, false),
            ("SF", None, None, false),
        ] {
            let trend = trend(verdicts);
            assert_eq!((trend.change, trend.since, trend.new), (change, since, new), "{verdicts}");
        }
    }

    #[test]
    fn two_changes_in_the_last_twenty_executions_make_it_flaky() {
        for (verdicts, flaky) in [
            ("PPPP", false),
            ("FP", false),
            ("FPF", true),
            ("PFFFP", true),
            ("P.FS.P", true),
            ("SPFP", false), // What it says now is nothing.
        ] {
            assert_eq!(trend(verdicts).flaky, flaky, "{verdicts}");
        }
        let far = |gap: usize| format!("P{}FP", "P".repeat(gap));
        assert!(trend(&far(FLAKY_RUNS - 3)).flaky);
        assert!(!trend(&far(FLAKY_RUNS - 2)).flaky);
        let now = Mark { key: 1, verdict: Verdict::Passed, flaky: true, duration_ms: None };
        assert!(Trend::of(now, [], 0).flaky);
    }
}
