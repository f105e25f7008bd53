//! Records that are found: followed, started, settled, brought into the catalog.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{path::PathBuf, time::Duration};

use stepflow_catalog::{Catalog, ListQuery, Role};
use stepflow_engine::{
    CommandLine, Engine, EngineConfig, NewExecution, OpenError, Policy, WriterLock, project_open,
    reindex,
};
use stepflow_model::{Event, EventKind, ExecutionId, Reason, Source, Spec, Status, Summary};
use stepflow_record::{JournalWriter, Storage, Writer};
use stepflow_sys::host;
use tokio::time::timeout;

fn spec(source: Source) -> Spec {
    Spec {
        id: ExecutionId::new(uuid::Uuid::now_v7()),
        name: "test".to_owned(),
        command: vec!["true".to_owned()],
        cwd: "/".to_owned(),
        env: [].into(),
        env_inherited: vec![],
        mask_env: vec![],
        tags: vec!["t".to_owned()],
        metadata: serde_json::Map::new(),
        user: String::new(),
        created_us: 1_000_000,
        source,
        bound: false,
        timeout_ms: None,
        grace_ms: 1,
        drain_ms: 1,
        stop_on_error: false,
        split_stderr: false,
        shell: false,
        pty: None,
        log_sync: stepflow_model::LogSync::default(),
        containment: stepflow_model::Containment::default(),
        leftover: stepflow_model::Leftover::default(),
        log_max_bytes: 0,
        log_full: stepflow_model::LogFull::default(),
        on_disk_full: stepflow_model::OnDiskFull::default(),
        dialect: stepflow_model::dialect_default(),
        junit: stepflow_model::JunitFiles::default(),
        rerun_of: None,
    }
}

fn kinds(boot_id: &str) -> Vec<EventKind> {
    vec![
        EventKind::Started {
            pid: 1,
            start_ticks: 1,
            boot_id: boot_id.to_owned(),
            recorder_pid: 1,
            keeper_pid: 1,
            containment: "keeper".to_owned(),
            cgroup: None,
            host: "here".to_owned(),
        },
        EventKind::StepStarted {
            step: 0,
            name: "Build".to_owned(),
            parent: None,
            key: None,
            params: serde_json::Map::new(),
            dialect: None,
            loose: false,
        },
        EventKind::Exited {
            status: Status::Completed,
            reason: None,
            exit_code: Some(0),
            signal: None,
            core: false,
            message: None,
            digest: String::new(),
            leftover: vec![],
        },
    ]
}

/// A record with the first `count` of [`kinds`], and nobody who holds it.
fn record(storage: &Storage, spec: &Spec, boot_id: &str, count: usize) {
    drop(storage.create(spec).unwrap());
    let dir = storage.record_dir(spec.id);
    if count == 0 {
        return;
    }
    let mut writer = Writer::create(&dir).unwrap();
    let mut journal = JournalWriter::create(&dir).unwrap();
    for (at, kind) in kinds(boot_id).into_iter().take(count).enumerate() {
        let seq = at as u64 + 1;
        let (offset, lines) = writer.appended();
        let event = Event { seq, time_us: 1_000_000, at_us: seq, offset, lines, kind };
        journal.append(&event).unwrap();
        writer.append(stepflow_model::Stream::Stdout, b"line\n", 1, seq).1.unwrap();
        writer.close_entry().unwrap();
    }
}

struct Place {
    _dir: tempfile::TempDir,
    storage: Storage,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path()).unwrap();
    Place { _dir: dir, storage }
}

fn config(storage: &Storage) -> EngineConfig {
    // `/bin/false` stands in for a recorder that cannot start.
    EngineConfig {
        storage: storage.clone(),
        max_running: 2,
        catalog: stepflow_catalog::Role::Server.into(),
        ingest_resume: Duration::from_secs(60),
        compress_after: None,
        log_sync: stepflow_model::LogSync::default(),
        usual: stepflow_engine::Usual::default(),
        retention: Policy::default(),
        disk_min_free: stepflow_record::MinFree::default(),
        program: PathBuf::from("/bin/false"),
    }
}

fn all(catalog: &Catalog) -> Vec<Summary> {
    catalog.reader().list(&ListQuery { limit: 1000, ..ListQuery::default() }).unwrap()
}

#[test]
fn a_command_that_finds_the_lock_free_projects_and_settles_but_starts_nothing() {
    let Place { storage, .. } = &place();
    let boot = host::boot_id();
    let lost = spec(Source::Cli);
    let restarted = spec(Source::Server);
    let unstarted = spec(Source::Cli);
    let waiting = spec(Source::Server);
    let ended = spec(Source::Cli);
    let live = spec(Source::Cli);
    record(storage, &lost, &boot, 2);
    record(storage, &restarted, "another boot", 2);
    record(storage, &unstarted, &boot, 0);
    record(storage, &waiting, &boot, 0);
    record(storage, &ended, &boot, 3);
    let held = storage.create(&live).unwrap();
    std::fs::write(storage.open_marker(spec(Source::Cli).id), b"").unwrap(); // Its record is gone.

    let catalog = Catalog::open(&storage.database(), Role::Command).unwrap();
    let projected = project_open(storage, &catalog).unwrap();
    assert_eq!((projected.executions, projected.settled), (6, 3));
    assert!(projected.unreadable.is_empty(), "{:?}", projected.unreadable);
    let reader = catalog.reader();
    let end = |spec: &Spec| {
        let summary = reader.execution(spec.id).unwrap().unwrap();
        (summary.status, summary.reason)
    };
    assert_eq!(end(&lost), (Status::Failed, Some(Reason::RecorderLost)));
    assert_eq!(end(&restarted), (Status::Failed, Some(Reason::HostRestarted)));
    assert_eq!(end(&unstarted), (Status::Failed, Some(Reason::NotStarted)));
    assert_eq!(end(&waiting), (Status::Pending, None));
    assert_eq!(end(&ended), (Status::Completed, None));
    assert_eq!(end(&live), (Status::Pending, None));
    assert_eq!(storage.open_executions().unwrap(), [waiting.id, live.id]);
    assert_eq!(reader.steps(lost.id).unwrap()[0].status, stepflow_model::StepStatus::Failed);

    // Thrown away and rebuilt, it is the same.
    let before = all(&catalog);
    storage.close_execution(waiting.id).unwrap(); // A marker that was lost comes back.
    let rebuilt = reindex(storage, &catalog).unwrap();
    assert_eq!((rebuilt.executions, rebuilt.settled), (6, 0));
    assert_eq!(all(&catalog), before);
    assert_eq!(storage.open_executions().unwrap(), [waiting.id, live.id]);
    drop(held);
}

#[test]
fn a_record_that_cannot_be_read_is_reported_and_stops_nobody() {
    let Place { storage, .. } = &place();
    let (bad, good) = (spec(Source::Cli), spec(Source::Cli));
    record(storage, &bad, "b", 3);
    record(storage, &good, "b", 3);
    std::fs::write(storage.record_dir(bad.id).join("spec.json"), b"{}").unwrap();
    let catalog = Catalog::open(&storage.database(), Role::Command).unwrap();
    let projected = project_open(storage, &catalog).unwrap();
    assert_eq!(projected.executions, 1);
    assert_eq!(projected.unreadable.len(), 1);
    assert_eq!(projected.unreadable[0].0, bad.id);
    assert_eq!(reindex(storage, &catalog).unwrap().unreadable.len(), 1);
}

async fn ended(engine: &Engine, id: ExecutionId) -> Summary {
    let handle = engine.execution(id).await.unwrap();
    let mut ticks = handle.subscribe();
    let wait = ticks.wait_for(|tick| tick.ended);
    let _ = timeout(Duration::from_secs(20), wait).await.expect("no end").unwrap();
    handle.summary()
}

#[tokio::test]
async fn what_an_earlier_server_accepted_is_started_or_says_why_not() {
    let Place { storage, .. } = &place();
    let waiting = spec(Source::Server);
    let masked = Spec { mask_env: vec!["KEY".to_owned()], ..spec(Source::Server) };
    let begun = spec(Source::Server);
    record(storage, &waiting, "b", 0);
    record(storage, &masked, "b", 0);
    // Its recorder came as far as a log: it is never started a second time.
    record(storage, &begun, "b", 0);
    drop(Writer::create(&storage.record_dir(begun.id)).unwrap());
    drop(JournalWriter::create(&storage.record_dir(begun.id)).unwrap());

    let engine = Engine::open(config(storage)).await.unwrap();
    let summary = ended(&engine, waiting.id).await;
    assert_eq!(summary.status, Status::Failed); // The stand-in was started, and failed.
    let summary = ended(&engine, masked.id).await;
    assert_eq!(summary.reason, Some(Reason::StartFailed));
    assert!(summary.error_message.unwrap().contains("masked"));
    assert_eq!(ended(&engine, begun.id).await.reason, Some(Reason::NotStarted));
    engine.shutdown().await.unwrap();
    assert!(storage.open_executions().unwrap().is_empty());
    let catalog = Catalog::open(&storage.database(), Role::Command).unwrap();
    assert_eq!(catalog.reader().statistics().unwrap().count(Status::Failed), 3);
}

#[tokio::test]
async fn one_engine_at_a_time_and_the_next_goes_on() {
    let Place { storage, .. } = &place();
    let engine = Engine::open(config(storage)).await.unwrap();
    let Err(error) = Engine::open(config(storage)).await else { panic!("a second engine") };
    let OpenError::Locked { holder, .. } = error else { panic!("{error}") };
    assert_eq!(holder, Some(std::process::id()));
    let new = NewExecution::new(CommandLine::Text("true".to_owned()));
    let handle = engine.create(new).await.unwrap();
    let id = handle.id();
    assert_eq!(ended(&engine, id).await.status, Status::Failed);
    engine.shutdown().await.unwrap();
    assert!(WriterLock::try_take(storage).unwrap().is_some());

    let engine = Engine::open(config(storage)).await.unwrap();
    let again = engine.execution(id).await.unwrap();
    assert!(again.tick().ended);
    let page = engine.list(ListQuery::default()).await.unwrap();
    assert_eq!((page.executions.len(), page.total, page.has_more), (1, 1, false));
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_host_that_restarted_is_told_from_a_recorder_that_died() {
    let Place { storage, .. } = &place();
    let (old, new) = (spec(Source::Cli), spec(Source::Server));
    record(storage, &old, "another boot", 2);
    record(storage, &new, &host::boot_id(), 2);
    let engine = Engine::open(config(storage)).await.unwrap();
    assert_eq!(ended(&engine, old.id).await.reason, Some(Reason::HostRestarted));
    assert_eq!(ended(&engine, new.id).await.reason, Some(Reason::RecorderLost));
    engine.shutdown().await.unwrap();
}
