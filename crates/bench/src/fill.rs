//! Executions that never ran, for lists at a size that nobody waits for.

use std::time::{SystemTime, UNIX_EPOCH};

use stepflow_catalog::{Catalog, Change, Role};
use stepflow_model::{
    Event, EventKind, ExecutionId, ExecutionState, Reason, Source, Spec, Status, StepStatus,
};

use crate::{BenchError, place::Place};

const DAYS: u64 = 90;
const BATCH: u64 = 1_000;
const STEPS: [&str; 3] = ["Check out", "Build", "Test"];

/// Fills the catalog at `path` with so many executions of three steps, over ninety days, through the
/// catalog's own writer.
pub(crate) fn fill(place: &Place, path: &std::path::Path, count: u64) -> Result<(), BenchError> {
    let now_us = now_us();
    let apart_us = (DAYS * 86_400_000_000 / count.max(1)) as i64;
    let catalog = Catalog::open(path, Role::Server)?;
    for first in (0..count).step_by(BATCH as usize) {
        place.check()?;
        let mut batch = Vec::new();
        for number in first..count.min(first + BATCH) {
            let age_us = (count - number) as i64 * apart_us;
            ended(number, now_us - age_us, &mut batch);
        }
        catalog.writer().apply(batch)?;
    }
    // As a server does when it is idle; without it the planner knows nothing.
    catalog.optimize()?;
    catalog.close()?;
    Ok(())
}

pub(crate) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as i64)
}

/// As good as random, the same each time.
pub(crate) fn scattered(number: u64) -> u64 {
    number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// An id as UUIDv7 makes them: time first, the rest as good as random.
pub(crate) fn id(number: u64, created_us: i64) -> ExecutionId {
    let (random, millis) = (scattered(number), created_us / 1_000);
    let text = format!(
        "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
        millis >> 16,
        millis & 0xffff,
        random & 0xfff,
        random >> 12 & 0xfff,
        random >> 16 & 0xffff_ffff_ffff
    );
    text.parse().expect("it is written as ids are")
}

/// An execution that was just accepted.
pub(crate) fn accepted(number: u64, created_us: i64) -> ExecutionState {
    ExecutionState::new(&spec(number, created_us))
}

/// The rows of one execution: nine of ten pass, the others fail in a step or are cancelled.
fn ended(number: u64, created_us: i64, batch: &mut Vec<Change>) {
    let random = scattered(number);
    let mut state = accepted(number, created_us);
    let (mut seq, mut at_us) = (0, 0);
    let mut emit = |state: &mut ExecutionState, after_us: u64, kind: EventKind| {
        seq += 1;
        at_us += after_us;
        let time_us = created_us + at_us as i64;
        state.apply(&Event { seq, time_us, at_us, offset: seq * 100, lines: seq * 4, kind });
    };
    let started = EventKind::Started {
        pid: 1,
        start_ticks: 1,
        boot_id: String::new(),
        recorder_pid: 1,
        keeper_pid: 1,
        containment: "keeper".to_owned(),
        cgroup: None,
        host: "here".to_owned(),
    };
    emit(&mut state, 5_000, started);
    let failing = (random % 100 < 7).then_some(random as usize % STEPS.len());
    for (index, name) in STEPS.into_iter().enumerate() {
        let step = index as u32;
        let begun = EventKind::StepStarted {
            step,
            name: name.to_owned(),
            parent: None,
            key: None,
            params: serde_json::Map::new(),
            dialect: None,
            loose: false,
        };
        emit(&mut state, 10_000, begun);
        let failed = failing == Some(index);
        let finished = EventKind::StepFinished {
            step,
            status: if failed { StepStatus::Failed } else { StepStatus::Completed },
            exit_code: Some(i32::from(failed)),
            error: failed.then(|| format!("{name} went wrong")),
            by: "marker".to_owned(),
            detail: None,
            done: false,
        };
        emit(&mut state, 200_000 + (random >> (8 * index)) % 60_000_000, finished);
        if failed {
            break;
        }
    }
    let cancelled = failing.is_none() && random % 100 >= 97;
    let (status, reason, exit_code) = match failing {
        Some(_) => (Status::Failed, Some(Reason::ExitCode), Some(1)),
        None if cancelled => (Status::Cancelled, Some(Reason::User), None),
        None => (Status::Completed, None, Some(0)),
    };
    let exited = EventKind::Exited {
        status,
        reason,
        exit_code,
        signal: None,
        core: false,
        message: None,
        digest: String::new(),
        leftover: vec![],
    };
    emit(&mut state, 20_000, exited);
    let id = state.summary.id;
    batch.push(Change::Execution(Box::new(state.summary)));
    batch.extend(state.steps.into_iter().map(|step| Change::Step(id, Box::new(step))));
}

fn spec(number: u64, created_us: i64) -> Spec {
    Spec {
        id: id(number, created_us),
        name: format!(
            "{} {}",
            ["build", "deploy", "nightly tests"][number as usize % 3],
            number % 50
        ),
        command: vec!["bash".to_owned(), "scripts/build.sh".to_owned()],
        cwd: "/srv/projects/example".to_owned(),
        env: [("TARGET".to_owned(), "release".to_owned())].into(),
        env_inherited: vec![],
        mask_env: vec![],
        tags: if number.is_multiple_of(4) { vec!["release".to_owned()] } else { vec![] },
        metadata: serde_json::Map::new(),
        user: ["alice", "bob", "carol"][number as usize % 3].to_owned(),
        created_us,
        source: Source::Server,
        bound: false,
        timeout_ms: None,
        grace_ms: 10_000,
        drain_ms: 5_000,
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
