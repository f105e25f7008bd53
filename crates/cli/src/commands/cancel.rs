//! `stepflow cancel`: the recorder is asked; for what waits in a server's queue, the server.

use std::{
    io::{Read, Write},
    process::ExitCode,
    time::Duration,
};

use serde_json::json;
use stepflow_engine::WriterLock;
use stepflow_model::{ExecutionId, NoteKind, Reason};
use stepflow_record::{Liveness, RecordView, Storage};
use stepflow_recorder::control::Request;
use stepflow_sys::host::SocketDir;

use super::find;
use crate::{failure::Failure, run::follow::send};

/// A recorder answers within this time, or something is wrong with it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub fn cancel(
    storage: &Storage,
    id: Option<&str>,
    all: bool,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let ids = match id {
        Some(id) => vec![find(storage, id)?],
        None => storage.open_executions()?,
    };
    let mut asked = Vec::new();
    for id in ids {
        match one(storage, id) {
            Ok(true) => asked.push(id),
            Ok(false) if all => {}
            Ok(false) => {
                return Err(Failure::new(format!("execution {id} has ended already")));
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
            writeln!(out, "{id}  asked to stop")?;
        }
        if all && asked.is_empty() {
            writeln!(out, "nothing is running")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for one to be stopped; `false`: it has ended.
fn one(storage: &Storage, id: ExecutionId) -> Result<bool, Failure> {
    let mut view = RecordView::open(storage, id)?;
    match view.liveness()? {
        Liveness::Ended => return Ok(false),
        Liveness::Lost | Liveness::Unstarted => {
            if let Some(_lock) = WriterLock::try_take(storage)? {
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
        if send(&mut socket, &Request::Cancel { by, kill: false }) {
            // The answer comes once the wish is durable.
            let mut answer = [0; 256];
            if matches!(socket.read(&mut answer), Ok(count) if count > 0) {
                return Ok(true);
            }
        }
        return Err(Failure::new(format!("the recorder of {id} does not answer"))
            .hint("is it stopped (SIGSTOP)? It stops the script as soon as it goes on"));
    }
    super::serve::ask_to_cancel(storage, id)
}
