//! `stepflow verify`: every byte held against its checksum.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use serde_json::{Value, json};
use stepflow_api::human_size;
use stepflow_model::ExecutionId;
use stepflow_record::{Flaw, Proof, RecordError, Storage};

use super::{find, progress::Shown, upgrade};
use crate::{
    failure::{Failure, chain},
    format::count,
    text::{say, why},
};

/// Reading and hashing share the processors; more threads than this only seek more.
const THREADS_MAX: usize = 4;

/// Everything that was found, added up.
#[derive(Debug, Default)]
struct Found {
    executions: u64,
    /// Still written.
    open: u64,
    /// Nobody vouched for their end: a crash ended them, or the start failed.
    unsealed: u64,
    bytes: u64,
    unverified_bytes: u64,
    /// What the logs take up on the disk, indexes included.
    stored_bytes: u64,
    artifacts: u64,
    artifact_bytes: u64,
    damaged: u64,
    flaws: Vec<(ExecutionId, Flaw)>,
    unreadable: Vec<(ExecutionId, RecordError)>,
}

impl Found {
    fn add(&mut self, id: ExecutionId, verified: Result<Proof, RecordError>) {
        let proof = match verified {
            Ok(proof) => proof,
            Err(RecordError::Missing { .. }) => return, // Just deleted, or never accepted.
            Err(error) => return self.unreadable.push((id, error)),
        };
        self.executions += 1;
        self.open += u64::from(proof.alive);
        self.unsealed += u64::from(!proof.alive && !proof.sealed);
        self.bytes += proof.bytes;
        self.unverified_bytes += proof.unverified_bytes;
        self.artifacts += proof.artifacts;
        self.artifact_bytes += proof.artifact_bytes;
        self.damaged += u64::from(!proof.flaws.is_empty());
        self.flaws.extend(proof.flaws.into_iter().map(|flaw| (id, flaw)));
    }
}

/// Reads these executions again, or all.
pub fn verify(storage: &Storage, ids: &[String], as_json: bool) -> Result<ExitCode, Failure> {
    upgrade::refuse_original(storage)?;
    let ids = match ids {
        [] => storage.executions().map_err(|error| Failure::from_error(&error))?,
        ids => ids.iter().map(|id| find(storage, id)).collect::<Result<Vec<_>, Failure>>()?,
    };
    let mut found = all(storage, &ids);
    found.flaws.sort_by_key(|(id, _)| *id);
    found.unreadable.sort_by_key(|(id, _)| *id);
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{}", as_object(&found))?;
    } else {
        for (id, flaw) in &found.flaws {
            writeln!(out, "{}", line(*id, flaw))?;
        }
        for (id, error) in &found.unreadable {
            writeln!(out, "{}", say::not_verified(id, chain(error)))?;
        }
        let (bytes, artifacts) = (human_size(found.bytes), human_size(found.artifact_bytes));
        let of = (count(found.executions), count(found.artifacts));
        writeln!(out, "{}", say::proven(of.0, bytes, of.1, artifacts))?;
        writeln!(out, "{}", say::logs_take_up(human_size(found.stored_bytes)))?;
        if found.unsealed > 0 {
            let unverified = human_size(found.unverified_bytes);
            writeln!(out, "{}", say::not_proven(count(found.unsealed), unverified))?;
        }
        if found.open > 0 {
            writeln!(out, "{}", say::still_written(count(found.open)))?;
        }
    }
    if found.flaws.is_empty() && found.unreadable.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let bad = found.damaged + found.unreadable.len() as u64;
    Err(Failure::new(why::not_as_recorded(count(bad))).hint(why::compare_with_backup()))
}

fn all(storage: &Storage, ids: &[ExecutionId]) -> Found {
    let found = Mutex::new(Found::default());
    let next = AtomicUsize::new(0);
    let shown = Mutex::new(Shown::default());
    let work = || {
        while let Some(id) = ids.get(next.fetch_add(1, Relaxed)) {
            let verified = storage.verify(*id);
            let (stored, _) = storage.stored_log(*id);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.stored_bytes += stored;
            found.add(*id, verified);
            drop(found);
            let done = next.load(Relaxed).min(ids.len()) as u64;
            let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            shown.show(|| say::verifying(count(done), count(ids.len() as u64)));
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    shown.into_inner().unwrap_or_else(PoisonError::into_inner).clear();
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What is said of one finding.
pub fn line(id: ExecutionId, flaw: &Flaw) -> String {
    let file = flaw.path.file_name().unwrap_or_default().to_string_lossy();
    say::damaged(id, file, &flaw.what)
}

/// The same for programs.
pub fn flaw(id: ExecutionId, flaw: &Flaw) -> Value {
    let file = flaw.path.file_name().unwrap_or_default().to_string_lossy();
    json!({"id": id, "file": file, "what": flaw.what})
}

fn as_object(found: &Found) -> Value {
    let unreadable: Vec<Value> =
        found.unreadable.iter().map(|(id, why)| json!({"id": id, "why": chain(why)})).collect();
    json!({
        "executions": found.executions,
        "bytes": found.bytes,
        "stored_bytes": found.stored_bytes,
        "artifacts": found.artifacts,
        "artifact_bytes": found.artifact_bytes,
        "damaged": found.damaged,
        "unsealed": found.unsealed,
        "unverified_bytes": found.unverified_bytes,
        "open": found.open,
        "flaws": found.flaws.iter().map(|(id, found)| flaw(*id, found)).collect::<Vec<_>>(),
        "unreadable": unreadable,
    })
}
