//! Executions, steps and artifacts to store.
#![allow(dead_code, reason = "each test binary uses its part")]

use stepflow_catalog::{Catalog, Change, Role, Token};
use stepflow_model::{Artifact, ExecutionId, Position, Source, Status, Step, StepStatus, Summary};

/// The id with this number: greater numbers are greater ids.
pub fn id(number: u64) -> ExecutionId {
    format!("0198c2aa-0000-7000-8000-{number:012x}").parse().unwrap()
}

/// An execution with this number, made `number` seconds after 2026-11-22T19:59:12.289162Z.
pub fn summary(number: u64, status: Status) -> Summary {
    let created_us = 1_795_377_552_289_162 + number as i64 * 1_000_000;
    Summary {
        id: id(number),
        name: "build".to_owned(),
        command: "bash build.sh".to_owned(),
        cwd: "/srv/project".to_owned(),
        status,
        reason: None,
        cancelling: false,
        paused: false,
        exit_code: (status == Status::Completed).then_some(0),
        signal: None,
        error_message: None,
        created_us,
        started_us: (status != Status::Pending).then_some(created_us + 500),
        ended_us: status.is_end().then_some(created_us + 2_000_500),
        duration_us: status.is_end().then_some(2_000_000),
        env: [("KEY".to_owned(), "va\"lue\n".to_owned())].into(),
        user: "alice".to_owned(),
        tags: vec!["nightly".to_owned(), "日本".to_owned()],
        pinned: false,
        total_steps: 1,
        completed_steps: 0,
        failed_steps: 0,
        current_step: Some(0),
        current_step_name: None,
        artifacts: 1,
        warnings: 0,
        metadata: serde_json::Map::new(),
        source: Source::Server,
        containment: "keeper".to_owned(),
        unresponsive: false,
        host: "host".to_owned(),
        skipped_steps: 0,
        progress: None,
        progress_text: None,
        pty: false,
        problem_matchers: std::collections::BTreeMap::new(),
        rerun_of: None,
        position: Position { bytes: 10, lines: 1, seq: if status.is_end() { 9 } else { 5 } },
        origin: None,
    }
}

/// One that waits, as a change.
pub fn pending(number: u64) -> Change {
    Change::Execution(Box::new(summary(number, Status::Pending)))
}

/// A token with this id.
pub fn token(id: &str, digest: u8) -> Token {
    Token {
        id: id.to_owned(),
        prefix: "sf_abcd".to_owned(),
        digest: [digest; 32],
        name: "CI".to_owned(),
        scope: "admin".to_owned(),
        created_us: 1,
        expires_us: Some(100),
        last_used_us: None,
        revoked_us: None,
    }
}

pub fn step(index: u32, status: StepStatus) -> Step {
    Step {
        index,
        name: "Compile".to_owned(),
        parent: None,
        key: None,
        depth: 0,
        status,
        exit_code: status.is_end().then_some(0),
        error: None,
        started_us: 1_795_377_553_000_000,
        ended_us: status.is_end().then_some(1_795_377_554_000_001),
        started_at_us: 1_000,
        duration_us: status.is_end().then_some(1_000_001),
        estimated_s: Some(300.0),
        stop_on_error: true,
        metadata: serde_json::from_str(r#"{"duration":300}"#).unwrap(),
        start_offset: 0,
        end_offset: None,
        first_line: 1,
        last_line: None,
        progress: None,
        progress_text: None,
        origin: None,
        dialect: None,
        detail: None,
        loose: false,
        done: false,
    }
}

pub fn artifact(index: u32) -> Artifact {
    Artifact {
        index,
        step: Some(0),
        path: "out/report.html".to_owned(),
        description: "Build Report".to_owned(),
        created_us: 1_795_377_553_000_000 + i64::from(index),
        sha256: Some("ab".repeat(32)),
        size: 29,
        changed: false,
        problem: None,
        settled: true,
        origin: None,
    }
}

/// An empty catalog in a directory of its own.
pub fn scratch() -> (tempfile::TempDir, Catalog) {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("stepflow.db"), Role::Command).unwrap();
    (dir, catalog)
}
