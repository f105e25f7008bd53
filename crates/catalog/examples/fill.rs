//! Fills the catalog of a storage with executions that have ended, for measurements of lists and
//! figures at a size nobody waits for: a million executions of three steps over 90 days.
//!
//! `cargo run --release -p stepflow-catalog --example fill DATABASE [EXECUTIONS]`
//!
//! Rows only: the executions have no records, so their logs say that they are missing.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use stepflow_catalog::{Catalog, Change, Role};
use stepflow_model::{
    Event, EventKind, ExecutionId, ExecutionState, IdError, Reason, Source, Spec, Status,
    StepStatus,
};

const DAYS: u64 = 90;
const BATCH: u64 = 1_000;
const STEPS: [&str; 3] = ["Check out", "Build", "Test"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: fill DATABASE [EXECUTIONS]")?;
    let count: u64 = args.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let now_us = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let apart_us = (DAYS * 86_400_000_000 / count.max(1)) as i64;
    let catalog = Catalog::open(std::path::Path::new(&path), Role::Server)?;
    let began = Instant::now();
    for first in (0..count).step_by(BATCH as usize) {
        let mut batch = Vec::new();
        for number in first..count.min(first + BATCH) {
            let age_us = (count - number) as i64 * apart_us;
            changes(number, now_us - age_us, &mut batch)?;
        }
        catalog.writer().apply(batch)?;
    }
    catalog.close()?;
    println!("{count} executions in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// The rows of one execution: nine of ten pass, the others fail in a step or are cancelled.
fn changes(number: u64, created_us: i64, batch: &mut Vec<Change>) -> Result<(), IdError> {
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let spec = spec(number, random, created_us)?;
    let mut state = ExecutionState::new(&spec);
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
    Ok(())
}

/// Ids as UUIDv7 makes them: time first, the rest as good as random.
fn spec(number: u64, random: u64, created_us: i64) -> Result<Spec, IdError> {
    let millis = created_us / 1_000;
    let id: ExecutionId = format!(
        "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
        millis >> 16,
        millis & 0xffff,
        random & 0xfff,
        random >> 12 & 0xfff,
        random >> 16 & 0xffff_ffff_ffff
    )
    .parse()?;
    Ok(Spec {
        id,
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
    })
}
