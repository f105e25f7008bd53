//! `stepflow cancel`: the recorder is asked; for what waits in a server's queue, the server.

use std::{
    io::{Read, Write},
    process::ExitCode,
    time::Duration,
};

use serde_json::json;
use stepflow_engine::WriterLock;
use stepflow_model::{ExecutionId, Note, NoteKind, Reason, Source, Spec};
use stepflow_record::{Liveness, RecordView, Storage, append_note};
use stepflow_recorder::{
    control::Request,
    inflow::{End, Inflow},
};
use stepflow_sys::{clock, host::SocketDir};

use crate::{
    failure::Failure,
    run::follow::send,
    source,
    text::{say, why},
};

/// A recorder answers within this time, or something is wrong with it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Stops one execution, or all.
pub fn cancel(
    source: &mut dyn source::Source,
    id: Option<&str>,
    all: bool,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let ids = match id {
        Some(id) => vec![source.find(id)?],
        None => source.active()?,
    };
    let mut asked = Vec::new();
    for id in ids {
        match source.cancel(id) {
            Ok(true) => asked.push(id),
            Ok(false) if all => {}
            Ok(false) => {
                return Err(Failure::new(why::has_ended_already(id)).hint(why::show_says_how(id)));
            }
            Err(failure) if all => drop(failure.print()),
            Err(failure) => return Err(failure),
        }
    }
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", json!({"cancelled": asked}))?;
    } else {
        for id in &asked {
            writeln!(out, "{}", say::asked_to_stop(id))?;
        }
        if all && asked.is_empty() {
            writeln!(out, "{}", say::nothing_runs())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends a stream that no server waits for. The caller holds the writer lock, the claim on it.
fn cancel_stream(storage: &Storage, spec: &Spec) -> Result<bool, Failure> {
    let dir = storage.record_dir(spec.id);
    let mut inflow = Inflow::resume(&dir, spec, Vec::new())?;
    let by = std::env::var("USER").unwrap_or_default();
    inflow.note_cancel(&by);
    if !inflow.end(End::Cancelled { by }) || !inflow.seal() {
        return Err(Failure::new(why::disk_refuses()).hint(why::make_space()));
    }
    inflow.sync()?;
    Ok(true)
}

/// Asks for one to be stopped; `false`: it has ended.
pub fn one(storage: &Storage, id: ExecutionId) -> Result<bool, Failure> {
    let mut view = RecordView::open(storage, id)?;
    match view.liveness()? {
        Liveness::Ended => return Ok(false),
        Liveness::Lost | Liveness::Unstarted => {
            if let Some(_lock) = WriterLock::try_take(storage)? {
                if view.spec.source == Source::Ingest {
                    return cancel_stream(storage, &view.spec);
                }
                view.settle(|| NoteKind::NotStarted {
                    reason: Reason::User,
                    message: "cancelled before its start".to_owned(),
                })?;
                return Ok(true);
            }
        }
        Liveness::Alive => {}
    }
    let run = SocketDir::open(&storage.run_dir())?;
    if let Ok(mut socket) = run.connect(&Storage::socket_name(id)) {
        let by = std::env::var("USER").unwrap_or_default();
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        if send(&mut socket, &Request::Cancel { by, kill: false, noted: false }) {
            // The answer comes once the wish is durable.
            let mut answer = [0; 256];
            if matches!(socket.read(&mut answer), Ok(count) if count > 0) {
                return Ok(true);
            }
        }
        // Stopped, or its disk hangs. The wish is noted: by us, or by the server that runs.
        let Some(_lock) = WriterLock::try_take(storage)? else {
            return super::serve::ask_to_cancel(storage, id);
        };
        let kind = NoteKind::CancelWished { by: std::env::var("USER").unwrap_or_default() };
        let note = Note { time_us: clock::wall_us(), kind };
        append_note(&storage.record_dir(id), &note)?;
        let _ = Failure::new(why::recorder_silent(id)).hint(why::recorder_stopped()).print();
        return Ok(true);
    }
    super::serve::ask_to_cancel(storage, id)
}
