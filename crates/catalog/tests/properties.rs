//! What is stored comes back, and the counters equal a recount, whatever came in which order.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::collections::BTreeMap;

use common::{id, scratch, step, summary};
use proptest::{collection::vec, option, prelude::*};
use stepflow_catalog::{Change, ListQuery, Statistics};
use stepflow_model::{
    Artifact, ArtifactOrigin, ExecutionOrigin, Position, Reason, Source, Status, Step, StepOrigin,
    StepStatus, Summary,
};

fn json() -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    let value = prop_oneof![
        any::<String>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    proptest::collection::btree_map(any::<String>(), value, 0..4)
        .prop_map(|pairs| pairs.into_iter().collect())
}

/// What SQLite can hold of our counts: 63 bits.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![0..=i64::MAX as u64, Just(i64::MAX as u64), Just(0)]
}

fn any_summary() -> impl Strategy<Value = Summary> {
    let texts = vec(any::<String>(), 7);
    let numbers = vec(any::<u32>(), 5);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let options = (
        option::of(proptest::sample::select(Reason::ALL)),
        option::of(any::<i32>()),
        option::of(any::<i32>()),
        option::of(any::<String>()),
        option::of(any::<i64>()),
        option::of(count()),
        option::of(any::<u32>()),
    );
    let rest = (
        proptest::sample::select(Status::ALL),
        any::<i64>(),
        vec(any::<String>(), 0..4),
        proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        json(),
        [count(), count(), count()],
    );
    (texts, numbers, flags, options, rest).prop_map(|(texts, numbers, flags, options, rest)| {
        let (status, created_us, tags, env, metadata, [bytes, lines, seq]) = rest;
        let (reason, exit_code, signal, error_message, time, duration_us, current_step) = options;
        let [name, command, cwd, user, containment, host, step_name] =
            <[String; 7]>::try_from(texts).unwrap();
        let extra = metadata.clone();
        Summary {
            id: id(1),
            name,
            command,
            cwd,
            status,
            reason,
            cancelling: flags.0,
            paused: flags.1,
            exit_code,
            signal,
            error_message,
            created_us,
            started_us: time,
            ended_us: time.map(|time| time.wrapping_add(1)),
            duration_us,
            env,
            user,
            tags,
            pinned: flags.1,
            total_steps: numbers[0],
            completed_steps: numbers[1],
            failed_steps: numbers[2],
            current_step,
            current_step_name: current_step.map(|_| step_name),
            artifacts: numbers[3],
            warnings: numbers[4],
            metadata,
            source: if flags.2 { Source::Cli } else { Source::Server },
            containment,
            unresponsive: false,
            host,
            position: Position { bytes, lines, seq },
            skipped_steps: numbers[4],
            progress: current_step.map(f64::from),
            progress_text: current_step.map(|step| format!("step {step}")),
            pty: flags.0,
            rerun_of: flags.1.then(|| id(9)),
            origin: flags.0.then(|| {
                let repairs = stepflow_model::Repairs { steps_closed: lines, ..<_>::default() };
                let command = Some("a  b".to_owned());
                Box::new(ExecutionOrigin { id: None, command, repairs, extra: extra.clone() })
            }),
        }
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let options = (
        option::of(any::<u32>()),
        option::of(any::<String>()),
        option::of(any::<i32>()),
        option::of(any::<String>()),
        option::of(any::<i64>()),
        option::of(count()),
        option::of(any::<f64>()),
        option::of(count()),
    );
    let rest = (
        any::<u32>(),
        any::<String>(),
        any::<u32>(),
        proptest::sample::select(StepStatus::ALL),
        any::<i64>(),
        any::<bool>(),
        json(),
        [count(), count(), count()],
    );
    (options, rest).prop_map(|(options, rest)| Step {
        index: rest.0,
        name: rest.1,
        parent: options.0,
        key: options.1,
        depth: rest.2,
        status: rest.3,
        exit_code: options.2,
        error: options.3,
        started_us: rest.4,
        ended_us: options.4,
        started_at_us: rest.7[0],
        duration_us: options.5,
        estimated_s: options.6,
        stop_on_error: rest.5,
        origin: rest.5.then(|| {
            Box::new(StepOrigin {
                id: "old".to_owned(),
                created_us: rest.4,
                description: "d".to_owned(),
                estimated_s: Some(0.5),
                stop_on_error: rest.5,
                extra: rest.6.clone(),
            })
        }),
        metadata: rest.6,
        dialect: None,
        detail: None,
        loose: false,
        done: false,
        start_offset: rest.7[1],
        end_offset: options.7,
        first_line: rest.7[2],
        last_line: options.7,
        progress: options.6,
        progress_text: options.6.map(|seconds| seconds.to_string()),
    })
}

fn any_artifact() -> impl Strategy<Value = Artifact> {
    let texts = (any::<String>(), any::<String>(), option::of(any::<String>()));
    let rest = (any::<u32>(), option::of(any::<u32>()), any::<i64>(), count());
    (texts, rest, option::of(any::<String>()), any::<bool>(), any::<bool>()).prop_map(
        |(texts, rest, problem, changed, settled)| Artifact {
            index: rest.0,
            step: rest.1,
            path: texts.0,
            description: texts.1,
            created_us: rest.2,
            sha256: texts.2,
            size: rest.3,
            changed,
            problem,
            settled,
            origin: settled.then(|| {
                Box::new(ArtifactOrigin {
                    id: "old".to_owned(),
                    step_id: None,
                    name: "n".to_owned(),
                    file_name: String::new(),
                    file_size: rest.3,
                    mime_type: String::new(),
                    artifact_type: "other".to_owned(),
                    tags: vec!["t".to_owned()],
                    metadata: serde_json::Map::new(),
                    is_public: changed,
                    retention_days: rest.1,
                    extra: serde_json::Map::new(),
                })
            }),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_stored_comes_back(
        one in any_summary(), steps in vec(any_step(), 0..4), artifacts in vec(any_artifact(), 0..4),
    ) {
        let (_dir, catalog) = scratch();
        // The last of each number counts, unless an end stands against it: one of each here.
        let steps: BTreeMap<u32, Step> = steps.into_iter().map(|s| (s.index, s)).collect();
        let artifacts: BTreeMap<u32, Artifact> =
            artifacts.into_iter().map(|a| (a.index, a)).collect();
        let mut batch = vec![Change::Execution(Box::new(one.clone()))];
        batch.extend(steps.values().cloned().map(|s| Change::Step(one.id, Box::new(s))));
        batch.extend(artifacts.values().cloned().map(|a| Change::Artifact(one.id, Box::new(a))));
        for _ in 0..2 {
            catalog.writer().apply(batch.clone()).unwrap();
            let reader = catalog.reader();
            prop_assert_eq!(reader.execution(one.id).unwrap(), Some(one.clone()));
            prop_assert_eq!(reader.steps(one.id).unwrap(), steps.values().cloned().collect::<Vec<_>>());
            prop_assert_eq!(
                reader.artifacts(one.id).unwrap(),
                artifacts.values().cloned().collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn counters_equal_a_recount(
        batches in vec(
            vec((0_u64..6, 0_usize..7, 0_u64..4, option::of(0_u64..1_000_000)), 1..6),
            1..30,
        )
    ) {
        let (dir, catalog) = scratch();
        for batch in batches {
            let changes = batch.iter().map(|&(number, what, seq, duration_us)| match what {
                5 => Change::Delete(id(number)),
                // No such execution: the whole batch fails and must leave no trace.
                6 => Change::Step(id(99), Box::new(step(0, StepStatus::Running))),
                status => {
                    let mut one = summary(number, Status::ALL[status]);
                    one.duration_us = duration_us;
                    one.position.seq = seq;
                    Change::Execution(Box::new(one))
                }
            }).collect();
            let fails = batch.iter().any(|change| change.1 == 6);
            prop_assert_eq!(catalog.writer().apply(changes).is_err(), fails);
        }
        let reader = catalog.reader();
        let rows = reader.list(&ListQuery { limit: 100, ..ListQuery::default() }).unwrap();
        let durations: Vec<u64> = rows.iter()
            .filter(|row| row.status == Status::Completed)
            .filter_map(|row| row.duration_us)
            .collect();
        let recount = Statistics {
            total: rows.len() as u64,
            by_status: Status::ALL.iter()
                .map(|s| (s.as_str(), rows.iter().filter(|row| row.status == *s).count() as u64))
                .collect(),
            completed_duration_us_sum: durations.iter().sum(),
            completed_duration_count: durations.len() as u64,
        };
        prop_assert_eq!(reader.statistics().unwrap(), recount);
        drop(catalog);
        let db = rusqlite::Connection::open(dir.path().join("stepflow.db")).unwrap();
        let tags: i64 = db.query_row("SELECT count(*) FROM execution_tag", [], |r| r.get(0)).unwrap();
        prop_assert_eq!(tags as usize, rows.len() * 2);
    }
}

#[test]
fn absurd_durations_neither_overflow_the_sum_nor_stay_in_it() {
    let (_dir, catalog) = scratch();
    for number in 0..1_000 {
        let mut one = summary(number, Status::Completed);
        one.duration_us = Some(u64::MAX);
        let change = Change::Execution(Box::new(one));
        catalog.writer().apply(vec![change.clone(), change]).unwrap();
    }
    assert_eq!(catalog.reader().statistics().unwrap().completed_duration_count, 1_000);
    catalog.writer().apply((0..1_000).map(|number| Change::Delete(id(number))).collect()).unwrap();
    assert_eq!(catalog.reader().statistics().unwrap().completed_duration_us_sum, 0);
}
