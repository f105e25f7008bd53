//! Lists, pages, totals, and what the views show.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use common::{artifact, id, scratch, step, summary};
use rusqlite::types::Value;
use stepflow_catalog::{
    ArtifactQuery, Change, ListQuery, Order, Reader, SavedSearch, Without, Writer,
};
use stepflow_model::{ArtifactId, Source, Status, StepStatus, Summary};

fn numbers(list: &[Summary]) -> Vec<u64> {
    list.iter().map(|s| u64::from_str_radix(&s.id.to_string()[24..], 16).unwrap()).collect()
}

/// 40 executions: statuses, names, users and tags in turn; each two share a creation time.
fn fill(writer: &Writer) -> Vec<Summary> {
    let all: Vec<Summary> = (0..40)
        .map(|number| {
            let mut one = summary(number, Status::ALL[number as usize % 5]);
            one.created_us = summary(number / 2, Status::Pending).created_us;
            one.name = String::from(["build", "test"][number as usize % 2]);
            one.user = String::from(["alice", "bob", ""][number as usize % 3]);
            one.tags = [vec!["a"], vec!["a", "b", "b"], vec![]][number as usize / 2 % 3]
                .iter()
                .map(|&tag| tag.to_owned())
                .collect();
            one
        })
        .collect();
    writer.apply(all.iter().cloned().map(Box::new).map(Change::Execution).collect()).unwrap();
    all
}

fn pages(reader: &Reader, query: &ListQuery, limit: u32) -> Vec<Summary> {
    let mut query = ListQuery { limit, ..query.clone() };
    let mut seen = Vec::new();
    loop {
        let page = reader.list(&query).unwrap();
        let Some(last) = page.last() else { return seen };
        let value = match query.order {
            Order::Newest => last.created_us,
            Order::Longest | Order::Shortest => last.duration_us.unwrap() as i64,
        };
        query.before = Some((value, last.id));
        seen.extend(page);
    }
}

#[test]
fn lists_are_newest_first_filtered_and_paged_without_holes_or_repeats() {
    let (_dir, catalog) = scratch();
    let mut all = fill(&catalog.writer());
    all.sort_by_key(|s| std::cmp::Reverse((s.created_us, s.id)));
    let reader = catalog.reader();
    let text = |text: &str| Some(text.to_owned());
    let statuses = [None, Some(Status::Failed)];
    for status in statuses {
        for user in [None, text("bob"), text(""), text("nobody")] {
            for name in [None, text("test")] {
                for tag in [None, text("a"), text("b"), text("c")] {
                    let query = ListQuery {
                        status,
                        user: user.clone(),
                        name: name.clone(),
                        tag: tag.clone(),
                        ..ListQuery::default()
                    };
                    let expected: Vec<Summary> = all
                        .iter()
                        .filter(|s| status.is_none_or(|status| s.status == status))
                        .filter(|s| user.as_ref().is_none_or(|user| s.user == *user))
                        .filter(|s| name.as_ref().is_none_or(|name| s.name == *name))
                        .filter(|s| tag.as_ref().is_none_or(|tag| s.tags.contains(tag)))
                        .cloned()
                        .collect();
                    assert_eq!(reader.list(&query).unwrap(), expected, "{query:?}");
                    assert_eq!(pages(&reader, &query, 3), expected, "{query:?}");
                    assert_eq!(reader.total(&query).unwrap(), expected.len() as u64, "{query:?}");
                    let skipped = ListQuery { offset: 2, limit: 3, ..query };
                    let expected = expected.iter().skip(2).take(3).cloned().collect::<Vec<_>>();
                    assert_eq!(reader.list(&skipped).unwrap(), expected, "{skipped:?}");
                }
            }
        }
    }
}

#[test]
fn lists_can_be_narrowed_by_a_part_of_the_name_and_by_time() {
    let (_dir, catalog) = scratch();
    let mut all = fill(&catalog.writer());
    all.sort_by_key(|s| std::cmp::Reverse((s.created_us, s.id)));
    let reader = catalog.reader();
    let times: Vec<i64> = all.iter().map(|s| s.created_us).collect();
    let (first, middle, last) = (times[39], times[20], times[0]);
    let text = |text: &str| Some(text.to_owned());
    let bounds = [None, Some(first), Some(middle), Some(middle + 1), Some(last), Some(last + 1)];
    for since_us in bounds {
        for until_us in bounds {
            for name_contains in [None, text("UIL"), text("t"), text("%"), text("")] {
                for (status, tag, name) in [
                    (None, None, None),
                    (Some(Status::Failed), None, None),
                    (None, text("a"), None),
                    (Some(Status::Running), text("a"), text("build")),
                ] {
                    let query = ListQuery {
                        status,
                        tag,
                        name,
                        name_contains: name_contains.clone(),
                        since_us,
                        until_us,
                        ..ListQuery::default()
                    };
                    let part = query.name_contains.as_deref().unwrap_or("").to_lowercase();
                    let expected: Vec<Summary> = all
                        .iter()
                        .filter(|s| since_us.is_none_or(|since| since <= s.created_us))
                        .filter(|s| until_us.is_none_or(|until| s.created_us < until))
                        .filter(|s| s.name.contains(&part))
                        .filter(|s| status.is_none_or(|status| s.status == status))
                        .filter(|s| query.tag.as_ref().is_none_or(|tag| s.tags.contains(tag)))
                        .filter(|s| query.name.as_ref().is_none_or(|name| s.name == *name))
                        .cloned()
                        .collect();
                    assert_eq!(reader.list(&query).unwrap(), expected, "{query:?}");
                    assert_eq!(pages(&reader, &query, 3), expected, "{query:?}");
                    assert_eq!(reader.total(&query).unwrap(), expected.len() as u64, "{query:?}");
                }
            }
        }
    }
}

#[test]
fn an_offset_past_the_end_is_an_empty_page() {
    let (_dir, catalog) = scratch();
    fill(&catalog.writer());
    let list = |offset, limit| {
        catalog.reader().list(&ListQuery { offset, limit, ..ListQuery::default() }).unwrap()
    };
    assert_eq!(numbers(&list(38, 10)), [1, 0]);
    assert!(list(40, 10).is_empty());
    assert!(list(u64::MAX, 10).is_empty());
    assert!(list(0, 0).is_empty());
    assert_eq!(list(0, u32::MAX).len(), 40);
}

#[test]
fn single_rows_and_ids() {
    let (_dir, catalog) = scratch();
    let all = fill(&catalog.writer());
    let reader = catalog.reader();
    assert_eq!(reader.execution(id(7)).unwrap().as_ref(), Some(&all[7]));
    assert_eq!(reader.execution(id(999)).unwrap(), None);
    assert_eq!(reader.steps(id(999)).unwrap(), []);

    let mut unfinished = reader.unfinished().unwrap();
    unfinished.sort();
    let expected: Vec<_> = all.iter().filter(|s| !s.status.is_end()).map(|s| s.id).collect();
    assert_eq!(unfinished, expected);

    let prefix = "0198c2aa-0000-7000-8000-00000000000";
    assert_eq!(reader.ids_with_prefix(prefix, 100).unwrap(), (0..16).map(id).collect::<Vec<_>>());
    assert_eq!(reader.ids_with_prefix(prefix, 2).unwrap(), [id(0), id(1)]);
    assert_eq!(reader.ids_with_prefix(&id(3).to_string(), 2).unwrap(), [id(3)]);
    assert_eq!(reader.ids_with_prefix("", 100).unwrap().len(), 40);
    assert_eq!(reader.ids_with_prefix("%", 100).unwrap(), []);
}

#[test]
fn artifacts_of_all_executions_are_paged_newest_first() {
    let (_dir, catalog) = scratch();
    let mut expected = Vec::new();
    for number in 0..5 {
        let execution = summary(number, Status::Running);
        let mut batch = vec![Change::Execution(Box::new(execution))];
        for index in 0..4 {
            let mut one = artifact(index);
            one.created_us += (number / 2) as i64;
            expected.push((id(number), one.clone()));
            batch.push(Change::Artifact(id(number), Box::new(one)));
        }
        catalog.writer().apply(batch).unwrap();
    }
    expected.sort_by_key(|(id, a)| std::cmp::Reverse((a.created_us, *id, a.index)));
    let reader = catalog.reader();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = reader
            .artifacts_page(&ArtifactQuery { before, limit: 3, ..ArtifactQuery::default() })
            .unwrap();
        let Some((execution, last)) = page.last() else { break };
        let (execution, index) = (*execution, last.index);
        before = Some((last.created_us, ArtifactId { execution, index }));
        seen.extend(page);
    }
    assert_eq!(seen, expected);
    let of = |step, name: Option<&str>| {
        let query = ArtifactQuery {
            execution: Some(id(1)),
            step,
            name_contains: name.map(str::to_owned),
            limit: 1_001,
            ..ArtifactQuery::default()
        };
        reader.artifacts_page(&query).unwrap()
    };
    let mut of_one: Vec<_> = expected.iter().filter(|(of, _)| *of == id(1)).cloned().collect();
    of_one.sort_by_key(|(_, one)| std::cmp::Reverse(one.index));
    assert!(of_one.len() > 1);
    assert_eq!(of(None, None), of_one);
    assert_eq!(of(Some(999), None), []);
    let path = of_one[0].1.path.to_ascii_uppercase();
    assert!(of(None, Some(&path)).contains(&of_one[0]));
    assert_eq!(of(None, Some("no such name")), []);
    let one = ArtifactId { execution: id(1), index: 2 };
    assert_eq!(reader.artifact(one).unwrap().unwrap().index, 2);
    assert_eq!(reader.artifact(ArtifactId { index: 9, ..one }).unwrap(), None);
}

#[test]
fn the_views_have_the_originals_columns_in_its_order() {
    let (dir, catalog) = scratch();
    let expected = [
        (
            "executions",
            "id name command working_directory status exit_code error_message created_at \
             started_at completed_at environment user_name tags total_steps completed_steps \
             current_step_index metadata",
        ),
        (
            "steps",
            "id execution_id name description step_index status exit_code error_message \
             created_at started_at completed_at estimated_duration stop_on_error metadata",
        ),
        (
            "artifacts",
            "id execution_id step_id name description file_path file_name file_size mime_type \
             artifact_type created_at tags is_public retention_days metadata",
        ),
    ];
    let db = rusqlite::Connection::open(dir.path().join("stepflow.db")).unwrap();
    for (view, columns) in expected {
        let statement = db.prepare(&format!("SELECT * FROM {view}")).unwrap();
        assert_eq!(statement.column_names().collect::<Vec<_>>().join(" "), columns, "{view}");
        assert!(db.execute(&format!("DELETE FROM {view}"), []).is_err(), "{view} is read only");
    }
    drop(catalog);
}

#[test]
fn the_views_show_the_originals_values() {
    let (dir, catalog) = scratch();
    let mut pending = summary(2, Status::Pending);
    (pending.current_step, pending.created_us) = (None, 1_795_377_552_000_000);
    let missing = stepflow_model::Artifact {
        step: None,
        path: "plain".to_owned(),
        sha256: None,
        size: 0,
        ..artifact(1)
    };
    catalog
        .writer()
        .apply(vec![
            Change::Execution(Box::new(summary(0, Status::Completed))),
            Change::Step(id(0), Box::new(step(3, StepStatus::Completed))),
            Change::Artifact(id(0), Box::new(artifact(0))),
            Change::Artifact(id(0), Box::new(missing)),
            Change::Execution(Box::new(pending)),
        ])
        .unwrap();
    let db = rusqlite::Connection::open(dir.path().join("stepflow.db")).unwrap();
    let row = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        let columns = statement.column_count();
        statement
            .query_row([], |row| {
                (0..columns)
                    .map(|at| {
                        Ok(match row.get::<_, Value>(at)? {
                            Value::Null => "null".to_owned(),
                            Value::Integer(number) => number.to_string(),
                            Value::Real(number) => format!("{number:?}"),
                            Value::Text(text) => text,
                            Value::Blob(_) => "blob".to_owned(),
                        })
                    })
                    .collect()
            })
            .unwrap()
    };
    let zero = "0198c2aa-0000-7000-8000-000000000000";
    assert_eq!(
        row("SELECT * FROM executions WHERE status = 'completed'"),
        [
            zero,
            "build",
            "bash build.sh",
            "/srv/project",
            "completed",
            "0",
            "null",
            "2026-11-22T19:59:12.289162Z",
            "2026-11-22T19:59:12.289662Z",
            "2026-11-22T19:59:14.289662Z",
            r#"{"KEY":"va\"lue\n"}"#,
            "alice",
            r#"["nightly","日本"]"#,
            "1",
            "0",
            "0",
            "{}",
        ]
    );
    assert_eq!(
        row("SELECT created_at, started_at, completed_at, current_step_index
             FROM executions WHERE status = 'pending'"),
        ["2026-11-22T19:59:12.000000Z", "null", "null", "-1"]
    );
    assert_eq!(
        row("SELECT * FROM steps"),
        [
            &format!("{zero}-s3"),
            zero,
            "Compile",
            "",
            "3",
            "completed",
            "0",
            "null",
            "2026-11-22T19:59:13.000000Z",
            "2026-11-22T19:59:13.000000Z",
            "2026-11-22T19:59:14.000001Z",
            "300.0",
            "1",
            r#"{"duration":300}"#,
        ]
    );
    assert_eq!(
        row("SELECT * FROM artifacts WHERE name = 'report.html'"),
        [
            &format!("{zero}-a0"),
            zero,
            &format!("{zero}-s0"),
            "report.html",
            "Build Report",
            &format!("storage/artifacts/{zero}/{}", "ab".repeat(32)),
            "report.html",
            "29",
            "text/html",
            "other",
            "2026-11-22T19:59:13.000000Z",
            "[]",
            "1",
            "null",
            "{}",
        ]
    );
    assert_eq!(
        row("SELECT id, step_id, name, file_path, file_name, file_size, mime_type
             FROM artifacts WHERE name = 'plain'"),
        [&format!("{zero}-a1"), "null", "plain", "plain", "", "0", ""]
    );
}

#[test]
fn passes_are_the_newest_completed_ones_of_a_name_with_their_completed_steps() {
    let (_dir, catalog) = scratch();
    let all = fill(&catalog.writer());
    let steps: Vec<Change> =
        all.iter()
            .flat_map(|one| {
                [(0, StepStatus::Completed), (1, StepStatus::Failed), (2, StepStatus::Completed)]
                    .map(|(index, status)| {
                        let mut step = step(index, status);
                        step.duration_us = Some(u64::from(index) + 1);
                        Change::Step(one.id, Box::new(step))
                    })
            })
            .collect();
    catalog.writer().apply(steps).unwrap();
    let reader = catalog.reader();
    for at in [0, 7, 20, 39] {
        let before = (all[at].created_us, all[at].id);
        for limit in [0, 1, 3, 100] {
            let mut expected: Vec<&Summary> = all
                .iter()
                .filter(|one| one.name == "build" && one.status == Status::Completed)
                .filter(|one| (one.created_us, one.id) < before)
                .collect();
            expected.sort_by_key(|one| std::cmp::Reverse((one.created_us, one.id)));
            expected.truncate(limit as usize);
            let passes = reader.passes("build", before, limit).unwrap();
            assert!(passes.iter().map(|pass| pass.id).eq(expected.iter().map(|one| one.id)));
            for pass in passes {
                assert_eq!(pass.duration_us, Some(2_000_000));
                let steps: Vec<_> =
                    pass.steps.iter().map(|step| (step.index, step.duration_us)).collect();
                assert_eq!(steps, [(0, Some(1)), (2, Some(3))]);
            }
        }
    }
    assert_eq!(reader.passes("nobody", (i64::MAX, all[0].id), 20).unwrap(), []);
}

#[test]
fn lists_can_be_narrowed_by_facts_and_by_what_they_must_not_be() {
    let (_dir, catalog) = scratch();
    let all: Vec<Summary> = (0..40)
        .map(|number| {
            let mut one = summary(number, Status::ALL[number as usize % 5]);
            one.name = String::from(["Build", "test"][number as usize % 2]);
            one.user = String::from(["alice", "bob", ""][number as usize % 3]);
            one.duration_us = one.status.is_end().then_some(number * 1_000_000);
            one.exit_code = one.status.is_end().then_some(number as i32 % 3);
            one.source = [Source::Cli, Source::Server][number as usize / 2 % 2];
            one.tags = if number % 4 == 0 { vec!["a".to_owned()] } else { vec![] };
            one.pinned = number % 3 == 0;
            one
        })
        .collect();
    catalog
        .writer()
        .apply(all.iter().cloned().map(Box::new).map(Change::Execution).collect())
        .unwrap();
    let reader = catalog.reader();
    let text = |text: &str| Some(text.to_owned());
    let base = ListQuery::default;
    let without = |without: Without| ListQuery { without, ..base() };
    type Holds = fn(&Summary) -> bool;
    let conditions: [(ListQuery, Holds); 13] = [
        (ListQuery { longer_than_us: Some(20_000_000), ..base() }, |s| {
            s.duration_us.is_some_and(|us| us > 20_000_000)
        }),
        (ListQuery { shorter_than_us: Some(8_000_000), ..base() }, |s| {
            s.duration_us.is_some_and(|us| us < 8_000_000)
        }),
        (ListQuery { exit_code: Some(1), ..base() }, |s| s.exit_code == Some(1)),
        (ListQuery { source: Some(Source::Cli), ..base() }, |s| s.source == Source::Cli),
        (without(Without { status: Some(Status::Failed), ..Without::default() }), |s| {
            s.status != Status::Failed
        }),
        (without(Without { user: text("bob"), ..Without::default() }), |s| s.user != "bob"),
        (without(Without { name_contains: text("BUI"), ..Without::default() }), |s| {
            s.name != "Build"
        }),
        (without(Without { tag: text("a"), ..Without::default() }), |s| s.tags.is_empty()),
        (without(Without { exit_code: Some(0), ..Without::default() }), |s| {
            s.exit_code.is_some_and(|code| code != 0)
        }),
        (without(Without { source: Some(Source::Cli), ..Without::default() }), |s| {
            s.source != Source::Cli
        }),
        (ListQuery { pinned: true, ..base() }, |s| s.pinned),
        (ListQuery { until_us: Some(all[25].created_us), ..base() }, |s| {
            s.created_us < 1_795_377_552_289_162 + 25_000_000
        }),
        (base(), |_| true),
    ];
    // Each alone, and beside each condition that leads through another index.
    for (query, holds) in conditions {
        for status in [None, Some(Status::Failed)] {
            for user in [None, text("alice")] {
                for name in [None, text("test")] {
                    for tag in [None, text("a")] {
                        let query = ListQuery {
                            status,
                            user: user.clone(),
                            name: name.clone(),
                            tag: tag.clone(),
                            ..query.clone()
                        };
                        let mut expected: Vec<Summary> = all
                            .iter()
                            .filter(|s| holds(s))
                            .filter(|s| status.is_none_or(|status| s.status == status))
                            .filter(|s| user.as_ref().is_none_or(|user| s.user == *user))
                            .filter(|s| name.as_ref().is_none_or(|name| s.name == *name))
                            .filter(|s| tag.as_ref().is_none_or(|tag| s.tags.contains(tag)))
                            .cloned()
                            .collect();
                        expected.reverse();
                        assert_listed(&reader, &query, &expected);
                        expected.retain(|s| s.duration_us.is_some());
                        expected.sort_by_key(|s| (s.duration_us, s.id));
                        let shortest = ListQuery { order: Order::Shortest, ..query };
                        assert_listed(&reader, &shortest, &expected);
                        expected.reverse();
                        let longest = ListQuery { order: Order::Longest, ..shortest };
                        assert_listed(&reader, &longest, &expected);
                    }
                }
            }
        }
    }
}

/// At once, page by page, and counted.
fn assert_listed(reader: &Reader, query: &ListQuery, expected: &[Summary]) {
    assert_eq!(reader.list(query).unwrap(), expected, "{query:?}");
    assert_eq!(pages(reader, query, 3), expected, "{query:?}");
    assert_eq!(reader.total(query).unwrap(), expected.len() as u64, "{query:?}");
}

#[test]
fn searches_are_kept_by_name_and_survive_a_rebuilt_projection() {
    let (_dir, catalog) = scratch();
    let save = |name: &str, query: &str| {
        let search = SavedSearch { name: name.to_owned(), query: query.to_owned(), created_us: 7 };
        catalog.writer().apply(vec![Change::SearchSave(Box::new(search))]).unwrap();
    };
    save("nights", "tag:nightly");
    save("broken", "status:failed");
    save("nights", "tag:nightly status:failed");
    catalog.reset_projection().unwrap();
    let kept = || -> Vec<(String, String)> {
        let kept = catalog.reader().searches(10).unwrap();
        kept.into_iter().map(|search| (search.name, search.query)).collect()
    };
    let pair = |name: &str, query: &str| (name.to_owned(), query.to_owned());
    let nights = pair("nights", "tag:nightly status:failed");
    assert_eq!(kept(), [pair("broken", "status:failed"), nights.clone()]);
    catalog.writer().apply(vec![Change::SearchForget("broken".to_owned())]).unwrap();
    assert_eq!(kept(), [nights]);
}

#[test]
fn the_headline_counts_what_is_there_now_and_a_strip_ends_with_the_newest() {
    let (_dir, catalog) = scratch();
    let all = fill(&catalog.writer());
    let reader = catalog.reader();
    let times = all[0].created_us..all[20].created_us;
    let count = || {
        let mut rows = Vec::new();
        reader.overview(times.clone(), |row| rows.push(row)).unwrap();
        rows.len()
    };
    assert_eq!(count(), 20, "the end of the range is not in it");
    catalog.writer().apply(vec![Change::Delete(id(3))]).unwrap();
    assert_eq!(count(), 19, "what was deleted is not counted");
    let strip = reader.strip("test", 4).unwrap();
    let ids: Vec<_> = strip.iter().map(|one| one.id).collect();
    assert_eq!(ids, [id(39), id(37), id(35), id(33)]);
    assert_eq!(strip[0].status, all[39].status);
    let passes = all.iter().filter(|s| s.name == "test" && s.status == Status::Completed).count();
    assert_eq!(reader.pass_durations("test", 20).unwrap(), vec![2_000_000; passes]);
}
