//! Group commit, isolation, replays, tokens, and readers beside the writer.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::{sync::mpsc, thread};

use common::{artifact, id, scratch, step, summary, token};
use stepflow_catalog::{
    Catalog, CatalogError, Change, ListQuery, Options, Reader, Role, Session, Token,
};
use stepflow_model::{Status, StepStatus};

fn execution(number: u64, status: Status) -> Change {
    Change::Execution(Box::new(summary(number, status)))
}

#[test]
fn callers_on_64_threads_are_each_answered_after_their_commit() {
    let (_dir, catalog) = scratch();
    thread::scope(|scope| {
        for caller in 0..64 {
            let (writer, reader) = (catalog.writer(), catalog.reader());
            scope.spawn(move || {
                for turn in 0..20 {
                    let number = caller * 20 + turn;
                    writer.apply(vec![execution(number, Status::Running)]).unwrap();
                    assert!(reader.execution(id(number)).unwrap().is_some());
                }
            });
        }
    });
    assert_eq!(catalog.reader().statistics().unwrap().count(Status::Running), 64 * 20);
}

#[test]
fn submitted_batches_are_answered_in_order() {
    let (_dir, catalog) = scratch();
    let (sender, receiver) = mpsc::channel();
    for number in 0..2_000 {
        let sender = sender.clone();
        catalog.writer().submit(
            vec![execution(number, Status::Pending)],
            Box::new(move |result| sender.send((number, result.is_ok())).unwrap()),
        );
    }
    drop(sender);
    assert!(receiver.iter().eq((0..2_000).map(|number| (number, true))));
}

#[test]
fn a_failing_batch_fails_alone_and_whole() {
    let (_dir, catalog) = scratch();
    let (sender, receiver) = mpsc::channel();
    for number in 0..100 {
        let sender = sender.clone();
        let batch = if number % 10 == 3 {
            vec![
                execution(number, Status::Running),
                Change::Step(id(77_777), Box::new(step(0, StepStatus::Running))),
            ]
        } else {
            vec![
                execution(number, Status::Running),
                Change::Step(id(number), Box::new(step(0, StepStatus::Running))),
            ]
        };
        let reply = Box::new(move |result| sender.send((number, result)).unwrap());
        catalog.writer().submit(batch, reply);
    }
    drop(sender);
    let reader = catalog.reader();
    for (number, result) in receiver {
        match result {
            Ok(()) => assert_ne!(number % 10, 3),
            Err(CatalogError::UnknownExecution { id: missing }) => {
                assert_eq!((number % 10, missing), (3, id(77_777)));
            }
            Err(error) => panic!("{error}"),
        }
        let there = reader.execution(id(number)).unwrap().is_some();
        assert_eq!(there, number % 10 != 3, "{number}");
    }
    assert_eq!(reader.statistics().unwrap().total, 90);
}

#[test]
fn a_replay_never_undoes_an_end() {
    let (_dir, catalog) = scratch();
    let apply = |batch| catalog.writer().apply(batch).unwrap();
    let run = [
        Change::Execution(Box::new(summary(1, Status::Running))),
        Change::Step(id(1), Box::new(step(0, StepStatus::Running))),
        Change::Artifact(
            id(1),
            Box::new(stepflow_model::Artifact { settled: false, size: 0, ..artifact(0) }),
        ),
    ];
    let end = [
        Change::Execution(Box::new(summary(1, Status::Completed))),
        Change::Step(id(1), Box::new(step(0, StepStatus::Completed))),
        Change::Artifact(id(1), Box::new(artifact(0))),
    ];
    apply(run.to_vec());
    apply(end.to_vec());
    for _ in 0..2 {
        apply(run.to_vec());
        let reader = catalog.reader();
        assert_eq!(reader.execution(id(1)).unwrap(), Some(summary(1, Status::Completed)));
        assert_eq!(reader.steps(id(1)).unwrap(), [step(0, StepStatus::Completed)]);
        assert_eq!(reader.artifacts(id(1)).unwrap(), [artifact(0)]);
        let statistics = reader.statistics().unwrap();
        assert_eq!((statistics.total, statistics.count(Status::Completed)), (1, 1));
        apply(end.to_vec());
    }
}

#[test]
fn a_real_end_replaces_a_presumed_one_but_not_the_other_way_round() {
    let (_dir, catalog) = scratch();
    let with_seq = |status, seq| {
        let mut one = summary(1, status);
        one.position.seq = seq;
        one
    };
    let cases = [
        // what is there, what comes, whether it is taken
        ((Status::Running, 5), (Status::Failed, 5), true), // Lost: no event of its own.
        ((Status::Running, 9), (Status::Failed, 5), true), // The host lost the journal's tail.
        ((Status::Failed, 5), (Status::Running, 5), false),
        ((Status::Failed, 5), (Status::Running, 4), false),
        ((Status::Failed, 5), (Status::Running, 6), true),
        ((Status::Failed, 5), (Status::Completed, 9), true), // A late end.
        ((Status::Completed, 9), (Status::Failed, 5), false),
        ((Status::Completed, 9), (Status::Completed, 9), true),
        ((Status::Running, 5), (Status::Running, 4), true),
    ];
    for (old, new, taken) in cases {
        let (before, after) = (with_seq(old.0, old.1), with_seq(new.0, new.1));
        let batch = vec![
            Change::Delete(id(1)),
            Change::Execution(Box::new(before.clone())),
            Change::Execution(Box::new(after.clone())),
        ];
        catalog.writer().apply(batch).unwrap();
        let expected = if taken { after } else { before };
        let found = catalog.reader().execution(id(1)).unwrap().unwrap();
        assert_eq!(found, expected, "{old:?} {new:?}");
    }
}

#[test]
fn a_change_of_name_user_tags_or_time_reaches_every_list() {
    let (_dir, catalog) = scratch();
    catalog.writer().apply(vec![execution(1, Status::Running)]).unwrap();
    let mut changed = summary(1, Status::Running);
    changed.name = "other".to_owned();
    changed.user = "bob".to_owned();
    changed.tags = vec!["weekly".to_owned()];
    changed.created_us += 1;
    catalog.writer().apply(vec![Change::Execution(Box::new(changed.clone()))]).unwrap();
    let found = |name: Option<&str>, user: Option<&str>, tag: Option<&str>| {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let query =
            ListQuery { name: own(name), user: own(user), tag: own(tag), ..ListQuery::default() };
        catalog.reader().list(&query).unwrap() == [changed.clone()]
    };
    assert!(found(Some("other"), None, None) && !found(Some("build"), None, None));
    assert!(found(None, Some("bob"), None) && !found(None, Some("alice"), None));
    assert!(found(None, None, Some("weekly")) && !found(None, None, Some("nightly")));
    assert!(found(None, None, None));
}

#[test]
fn deleting_takes_everything_along() {
    let (dir, catalog) = scratch();
    let whole = vec![
        execution(1, Status::Completed),
        Change::Step(id(1), Box::new(step(0, StepStatus::Completed))),
        Change::Artifact(id(1), Box::new(artifact(0))),
    ];
    catalog.writer().apply(whole).unwrap();
    catalog.writer().apply(vec![Change::Delete(id(1)), Change::Delete(id(1))]).unwrap();
    let reader = catalog.reader();
    assert_eq!(reader.execution(id(1)).unwrap(), None);
    let statistics = reader.statistics().unwrap();
    assert_eq!((statistics.total, statistics.completed_duration_us_sum), (0, 0));
    let db = rusqlite::Connection::open(dir.path().join("stepflow.db")).unwrap();
    for table in ["step", "artifact", "execution_tag"] {
        let rows: i64 =
            db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

fn session(digest: u8, token_id: Option<&str>) -> Session {
    Session {
        digest: [digest; 32],
        token_id: token_id.map(str::to_owned),
        scope: "admin".to_owned(),
        created_us: 10,
        last_seen_us: 10,
        expires_us: 100,
    }
}

#[test]
fn tokens_are_found_used_and_revoked_once() {
    let (_dir, catalog) = scratch();
    let (writer, reader) = (catalog.writer(), catalog.reader());
    let create = |token: Token| writer.apply(vec![Change::TokenCreate(Box::new(token))]);
    create(token("t1", 1)).unwrap();
    create(token("t2", 2)).unwrap();
    assert!(matches!(create(token("t1", 3)), Err(CatalogError::TokenExists { .. })));
    assert_eq!(reader.token_by_digest(&[1; 32]).unwrap(), Some(token("t1", 1)));
    assert_eq!(reader.token_by_digest(&[9; 32]).unwrap(), None);
    assert_eq!(reader.tokens_by_prefix("sf_abcd").unwrap().len(), 2);
    assert_eq!(reader.tokens_by_prefix("sf_").unwrap().len(), 0);

    let used = |at_us| Change::TokenUsed { id: "t1".to_owned(), at_us };
    let revoke = |at_us| Change::TokenRevoke { id: "t1".to_owned(), at_us };
    writer.apply(vec![used(7), used(5), revoke(20), revoke(30)]).unwrap();
    create(token("t1", 1)).unwrap(); // A replay takes nothing back.
    let revoked = Token { last_used_us: Some(7), revoked_us: Some(20), ..token("t1", 1) };
    assert_eq!(reader.tokens().unwrap(), [revoked, token("t2", 2)]);
}

#[test]
fn sessions_end_by_logout_revocation_and_purge() {
    let (_dir, catalog) = scratch();
    let (writer, reader) = (catalog.writer(), catalog.reader());
    let there = |digest: u8| reader.session_by_digest(&[digest; 32]).unwrap();
    let create = |digest, token| Change::SessionCreate(Box::new(session(digest, token)));
    let seen = |digest: u8, at_us| Change::SessionSeen { digest: [digest; 32], at_us };
    writer
        .apply(vec![create(1, Some("t1")), create(2, Some("t2")), create(3, None), create(4, None)])
        .unwrap();
    writer.apply(vec![seen(2, 50), seen(2, 40), seen(4, 60)]).unwrap();
    assert_eq!(there(2).unwrap().last_seen_us, 50);

    writer.apply(vec![Change::TokenRevoke { id: "t1".to_owned(), at_us: 1 }]).unwrap();
    assert_eq!((there(1), there(2).is_some()), (None, true));
    writer.apply(vec![Change::SessionDelete { digest: [2; 32] }]).unwrap();
    assert_eq!(there(2), None);
    writer.apply(vec![Change::SessionPurge { expired_us: 99, idle_us: 10 }]).unwrap();
    assert_eq!((there(3), there(4).is_some()), (None, true)); // 3 was idle for too long.
    writer.apply(vec![Change::SessionPurge { expired_us: 100, idle_us: 0 }]).unwrap();
    assert_eq!(there(4), None);
}

#[test]
fn digests_stay_out_of_debug_output() {
    let shown = format!("{:?} {:?}", token("t1", 171), session(171, None));
    assert!(!shown.contains("171"), "{shown}");
}

#[test]
fn resetting_the_projection_keeps_tokens_and_sessions() {
    let (_dir, catalog) = scratch();
    let (writer, reader) = (catalog.writer(), catalog.reader());
    let batch = vec![
        execution(1, Status::Completed),
        Change::Step(id(1), Box::new(step(0, StepStatus::Completed))),
        Change::Artifact(id(1), Box::new(artifact(0))),
        Change::TokenCreate(Box::new(token("t1", 1))),
        Change::SessionCreate(Box::new(session(2, None))),
    ];
    writer.apply(batch.clone()).unwrap();
    catalog.reset_projection().unwrap();
    assert_eq!(reader.list(&ListQuery::default()).unwrap(), []);
    assert_eq!(reader.steps(id(1)).unwrap(), []);
    assert_eq!(reader.statistics().unwrap().total, 0);
    assert_eq!(reader.tokens().unwrap().len(), 1);
    assert!(reader.session_by_digest(&[2; 32]).unwrap().is_some());
    writer.apply(batch[..3].to_vec()).unwrap();
    assert_eq!(reader.total(&ListQuery::default()).unwrap(), 1);
    // Foreign keys are on again.
    let orphan = Change::Step(id(2), Box::new(step(0, StepStatus::Running)));
    assert!(matches!(writer.apply(vec![orphan]), Err(CatalogError::UnknownExecution { .. })));
}

#[test]
fn another_process_reads_while_this_one_writes() {
    let (_dir, catalog) = scratch();
    catalog.writer().apply(vec![execution(0, Status::Running)]).unwrap();
    let reader = Reader::open_existing(catalog.path()).unwrap();
    thread::scope(|scope| {
        let writer = catalog.writer();
        scope.spawn(move || {
            for number in 1..500 {
                let batch =
                    vec![execution(number, Status::Running), execution(number, Status::Completed)];
                writer.apply(batch).unwrap();
            }
        });
        let mut seen = 0;
        while seen < 500 {
            let statistics = reader.statistics().unwrap();
            assert!(seen <= statistics.total);
            assert_eq!(statistics.count(Status::Running), 1, "half a batch was seen");
            seen = statistics.total;
            let query = ListQuery { limit: 1_000, ..ListQuery::default() };
            assert!(seen <= reader.list(&query).unwrap().len() as u64);
        }
    });
}

#[test]
fn more_readers_than_connections_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { readers: 1, mmap_bytes: 0, ..Role::Server.into() };
    let catalog = Catalog::open_with(&dir.path().join("c.db"), options).unwrap();
    catalog.writer().apply(vec![execution(1, Status::Running)]).unwrap();
    thread::scope(|scope| {
        for _ in 0..16 {
            let reader = catalog.reader();
            scope.spawn(move || {
                for _ in 0..50 {
                    assert!(reader.execution(id(1)).unwrap().is_some());
                }
            });
        }
    });
}

#[test]
fn closing_writes_what_was_submitted_and_refuses_what_comes_later() {
    let (dir, catalog) = scratch();
    let path = dir.path().join("stepflow.db");
    let (writer, reader) = (catalog.writer(), catalog.reader());
    let (sender, receiver) = mpsc::channel();
    for number in 0..1_000 {
        let sender = sender.clone();
        let reply = Box::new(move |result: Result<(), _>| sender.send(result.is_ok()).unwrap());
        writer.submit(vec![execution(number, Status::Pending)], reply);
    }
    catalog.close().unwrap();
    drop(sender);
    assert_eq!(receiver.iter().filter(|written| *written).count(), 1_000);
    assert!(matches!(writer.apply(vec![]), Err(CatalogError::Closed)));
    assert!(!path.with_extension("db-wal").exists());
    assert_eq!(reader.statistics().unwrap().total, 1_000);
}

#[test]
fn a_checkpoint_empties_the_wal() {
    let (_dir, catalog) = scratch();
    catalog.writer().apply(vec![execution(1, Status::Pending)]).unwrap();
    assert_ne!(catalog.wal_bytes(), 0);
    catalog.checkpoint_truncate().unwrap();
    assert_eq!(catalog.wal_bytes(), 0);
    assert!(catalog.reader().execution(id(1)).unwrap().is_some());
    catalog.reader().integrity().unwrap();
}

#[test]
fn when_nothing_comes_the_wal_is_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let idle_checkpoint = Some(std::time::Duration::from_millis(1));
    let options = Options { idle_checkpoint, ..Role::Server.into() };
    let catalog = Catalog::open_with(&dir.path().join("c.db"), options).unwrap();
    for number in 0..3 {
        catalog.writer().apply(vec![execution(number, Status::Pending)]).unwrap();
        while catalog.wal_bytes() != 0 {
            thread::yield_now();
        }
    }
}
