//! What is remembered of tests, and what it says of those that come after.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use common::{id, scratch, summary};
use stepflow_catalog::{Catalog, CatalogError, Change, TEST_RUNS_MAX, TestRun};
use stepflow_model::{
    Status, Summary,
    results::{Change as Changed, Mark, Verdict},
};

const MOST: u64 = TEST_RUNS_MAX as u64;

fn mark(key: u64, letter: char) -> Mark {
    let verdict = match letter {
        'P' => Verdict::Passed,
        'F' => Verdict::Failed,
        _ => Verdict::Skipped,
    };
    Mark { key, verdict, flaky: false, duration_ms: Some(key * 10) }
}

/// An execution named `name`, whose tests ended so: the letter's place is the key.
fn run(catalog: &Catalog, number: u64, name: &str, verdicts: &str) -> Vec<Mark> {
    let one = execution(number, name);
    let there = verdicts.chars().enumerate().filter(|(_, letter)| *letter != '.');
    let marks: Vec<_> = there.map(|(key, letter)| mark(key as u64, letter)).collect();
    let tests = TestRun::new(one.id, one.created_us, &marks);
    let batch = vec![Change::Execution(Box::new(one)), Change::Tests(Box::new(tests))];
    catalog.writer().apply(batch).unwrap();
    marks
}

fn execution(number: u64, name: &str) -> Summary {
    let one = summary(number, Status::Completed);
    Summary { name: name.to_owned(), created_us: number as i64, ..one }
}

#[test]
fn trends_compare_with_earlier_executions_of_the_same_name() {
    let (_dir, catalog) = scratch();
    run(&catalog, 1, "a", "PPFP.F");
    run(&catalog, 2, "b", "FFFFFF");
    run(&catalog, 3, "a", "PFFF.F");
    let marks = run(&catalog, 4, "a", "PPFFFP");
    run(&catalog, 5, "a", "FFFFFF"); // Later ones say nothing.
    let reader = catalog.reader();
    let trends = reader.trends("a", (4, id(4)), &marks).unwrap();
    assert_eq!(trends.runs, [(id(3), 3), (id(1), 1)]);
    assert_eq!(reader.test_run_ids("a", (4, id(4))).unwrap(), [id(3), id(1)]);
    let told: Vec<_> = (0..6)
        .map(|key| {
            let trend = trends.of(key);
            (trend.change, trends.since(&trend).map(|since| since.1), trend.flaky, trend.new)
        })
        .collect();
    assert_eq!(
        told,
        [
            (None, None, false, false),
            (Some(Changed::Fixed), None, true, false),
            (Some(Changed::StillFailing), Some(1), false, false),
            (Some(Changed::StillFailing), Some(3), false, false),
            (None, None, false, true),
            (Some(Changed::Fixed), None, false, false),
        ]
    );
    let history = reader.test_history("a", 1, Some((4, id(4))), 50).unwrap();
    let history: Vec<_> = history.iter().map(|(id, at, mark)| (*id, *at, mark.verdict)).collect();
    assert_eq!(
        history,
        [(id(4), 4, Verdict::Passed), (id(3), 3, Verdict::Failed), (id(1), 1, Verdict::Passed)]
    );
    assert_eq!(reader.test_history("a", 1, None, 1).unwrap()[0].0, id(5));
}

#[test]
fn the_last_fifty_of_a_name_are_remembered_in_whatever_order_they_came() {
    let (_dir, catalog) = scratch();
    let reader = catalog.reader();
    for number in (1..=MOST + 10).rev() {
        run(&catalog, number, "a", "P");
    }
    run(&catalog, 500, "b", "P");
    let all = reader.test_run_ids("a", (i64::MAX, id(900))).unwrap();
    let expected: Vec<_> = (11..=MOST + 10).rev().map(id).collect();
    assert_eq!(all, expected);
    assert_eq!(reader.test_run(id(10)).unwrap(), None);
    assert!(reader.test_run(id(11)).unwrap().is_some());

    // With its execution it goes, and with its execution it gets another name.
    catalog.writer().apply(vec![Change::Delete(id(60))]).unwrap();
    assert_eq!(reader.test_run(id(60)).unwrap(), None);
    let mut renamed = execution(59, "b");
    renamed.position.seq += 1;
    catalog.writer().apply(vec![Change::Execution(Box::new(renamed))]).unwrap();
    assert_eq!(reader.test_run_ids("b", (i64::MAX, id(900))).unwrap(), [id(500), id(59)]);
    let (marks, damage) = (reader.test_run(id(59)).unwrap().unwrap(), reader.integrity());
    assert_eq!(marks.marks().collect::<Vec<_>>(), [mark(0, 'P')]);
    damage.unwrap();
    catalog.reset_projection().unwrap();
    assert_eq!(reader.test_run_ids("b", (i64::MAX, id(900))).unwrap(), []);
}

#[test]
fn tests_come_after_their_execution_and_the_last_word_counts() {
    let (_dir, catalog) = scratch();
    let tests = |marks: &[Mark]| vec![Change::Tests(Box::new(TestRun::new(id(1), 1, marks)))];
    let refused = catalog.writer().apply(tests(&[])).unwrap_err();
    assert!(matches!(refused, CatalogError::UnknownExecution { .. }), "{refused}");
    run(&catalog, 1, "a", "P");
    catalog.writer().apply(tests(&[mark(0, 'F')])).unwrap();
    let run = catalog.reader().test_run(id(1)).unwrap().unwrap();
    assert_eq!(run.find(0).unwrap().verdict, Verdict::Failed);
}
