//! From limits to places: behind which execution everything of a rule is over its count or bytes.

use stepflow_catalog::KeptRow;
use stepflow_model::ExecutionId;

use super::Policy;

/// Where an execution stands in the order of creation.
pub(crate) type Place = (i64, ExecutionId);

/// What the first walk finds out. Rows are shown to it from the newest to the oldest.
#[derive(Debug)]
pub(crate) struct Survey<'a> {
    policy: &'a Policy,
    now_us: i64,
    rules: Vec<Tally>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    count: u64,
    bytes: u64,
    /// The newest one that is over a limit: it goes, and all older ones.
    over: Option<Place>,
}

impl<'a> Survey<'a> {
    /// `now_us`: the moment for which ages are told, microseconds UTC.
    pub(crate) fn new(policy: &'a Policy, now_us: i64) -> Self {
        Self { policy, now_us, rules: vec![Tally::default(); policy.rules().len()] }
    }

    /// Takes the next older execution into account.
    pub(crate) fn see(&mut self, row: &KeptRow) {
        let Some(at) = self.rule(row) else { return };
        let (limits, tally) = (&self.policy.rules()[at], &mut self.rules[at]);
        tally.count += 1;
        tally.bytes = tally.bytes.saturating_add(row.bytes);
        let over = limits.max_count.is_some_and(|max| tally.count > max)
            || limits.max_bytes.is_some_and(|max| tally.bytes > max);
        if over && tally.over.is_none() {
            tally.over = Some((row.created_us, row.id));
        }
    }

    /// Whether the second walk has to delete this one.
    pub(crate) fn lets_go(&self, row: &KeptRow) -> bool {
        let Some(at) = self.rule(row) else { return false };
        let old = self.policy.rules()[at].max_age.is_some_and(|max| {
            let max = i64::try_from(max.as_micros()).unwrap_or(i64::MAX);
            let ended = row.ended_us.unwrap_or(row.created_us);
            self.now_us.saturating_sub(ended) > max
        });
        old || self.rules[at].over.is_some_and(|over| (row.created_us, row.id) <= over)
    }

    /// The rule that decides; none for what no policy touches.
    fn rule(&self, row: &KeptRow) -> Option<usize> {
        if row.pinned || !row.status.is_end() {
            return None;
        }
        self.policy.of(&row.name, &row.tags)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use stepflow_model::Status;
    use uuid::Uuid;

    use super::*;
    use crate::retention::Rule;

    const DAY_US: i64 = 86_400_000_000;

    fn row(n: u64, bytes: u64) -> KeptRow {
        KeptRow {
            id: ExecutionId::new(Uuid::from_u128(u128::from(n) + 1)),
            created_us: n as i64 * DAY_US,
            ended_us: Some(n as i64 * DAY_US),
            status: Status::Completed,
            name: "build".into(),
            tags: Vec::new(),
            pinned: false,
            bytes,
        }
    }

    /// The numbers of those that go, of `rows`, which are given from the oldest on.
    fn gone(rules: Vec<Rule>, now_us: i64, rows: &[KeptRow]) -> Vec<u64> {
        let policy = Policy::new(rules).unwrap();
        let mut survey = Survey::new(&policy, now_us);
        rows.iter().rev().for_each(|row| survey.see(row));
        (0..).zip(rows).filter(|(_, row)| survey.lets_go(row)).map(|(n, _)| n).collect()
    }

    #[test]
    fn each_limit_lets_go_of_the_oldest() {
        let rows: Vec<KeptRow> = (0..6).map(|n| row(n, 10)).collect();
        let count = Rule { max_count: Some(4), ..Rule::default() };
        assert_eq!(gone(vec![count], 0, &rows), [0, 1]);
        let bytes = Rule { max_bytes: Some(35), ..Rule::default() };
        assert_eq!(gone(vec![bytes], 0, &rows), [0, 1, 2]);
        let age = Rule { max_age: Some(Duration::from_secs(3 * 86_400)), ..Rule::default() };
        assert_eq!(gone(vec![age], 5 * DAY_US, &rows), [0, 1], "one of just three days is kept");
        assert_eq!(
            gone(vec![Rule::default()], 5 * DAY_US, &rows),
            Vec::<u64>::new(),
            "no limit, no end"
        );
        assert_eq!(gone(Vec::new(), 5 * DAY_US, &rows), Vec::<u64>::new());
    }

    #[test]
    fn what_is_pinned_or_runs_neither_goes_nor_counts() {
        let mut rows: Vec<KeptRow> = (0..6).map(|n| row(n, 10)).collect();
        rows[0].pinned = true;
        rows[1].status = Status::Running;
        rows[5].pinned = true;
        let count = Rule { max_count: Some(2), ..Rule::default() };
        assert_eq!(gone(vec![count], 0, &rows), [2]);
    }

    #[test]
    fn a_rule_counts_its_own_alone() {
        let mut rows: Vec<KeptRow> = (0..6).map(|n| row(n, 10)).collect();
        rows[0].tags = vec!["release".into()];
        rows[4].tags = vec!["release".into()];
        let rules = vec![
            Rule { tag: Some("release".into()), ..Rule::default() },
            Rule { max_count: Some(1), ..Rule::default() },
        ];
        assert_eq!(gone(rules, 0, &rows), [1, 2, 3]);
    }

    #[test]
    fn one_that_is_too_large_by_itself_goes_with_all_older_ones() {
        let rows = [row(0, 1), row(1, 100), row(2, 1)];
        let bytes = Rule { max_bytes: Some(50), ..Rule::default() };
        assert_eq!(gone(vec![bytes], 0, &rows), [0, 1]);
    }

    proptest! {
        /// What is left is within the limits, and one more would not be.
        #[test]
        fn what_is_left_is_the_most_that_the_limits_allow(
            sizes in prop::collection::vec(0_u64..100, 0..40),
            max_count in prop::option::of(0_u64..40),
            max_bytes in prop::option::of(0_u64..2_000),
        ) {
            let rows: Vec<KeptRow> = (0..).zip(&sizes).map(|(n, bytes)| row(n, *bytes)).collect();
            let rule = Rule { max_count, max_bytes, ..Rule::default() };
            let gone = gone(vec![rule], 0, &rows).len();
            let fits = |kept: &[u64]| {
                max_count.is_none_or(|max| kept.len() as u64 <= max)
                    && max_bytes.is_none_or(|max| kept.iter().sum::<u64>() <= max)
            };
            prop_assert!(fits(&sizes[gone..]));
            prop_assert!(gone == 0 || !fits(&sizes[gone - 1..]));
        }
    }
}
