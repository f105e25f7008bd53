//! `stepflow backup`, `stepflow restore`: a whole storage, copied and brought back.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use serde_json::json;
use stepflow_api::{human_size, rfc3339};
use stepflow_engine::BackupError;
use stepflow_record::Storage;

use super::{progress::Shown, upgrade};
use crate::{failure::Failure, format::count, text::say};

/// Copies the storage to `target`, or what is new since the last time.
pub fn backup(storage: &Storage, target: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    upgrade::refuse_original(storage)?;
    let mut shown = Shown::default();
    let done = stepflow_engine::backup(storage, target, &mut |done, of| {
        shown.show(|| say::backing_up(count(done), count(of)));
    });
    shown.clear();
    let done = done.map_err(refused)?;
    let mut out = io::stdout().lock();
    if as_json {
        let object = json!({
            "executions": done.executions,
            "copied": done.copied,
            "bytes": done.bytes,
            "removed": done.removed,
            "unfinished": done.unfinished,
        });
        writeln!(out, "{object}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let (copied, bytes) = (count(done.copied), human_size(done.bytes));
    writeln!(out, "{}", say::backed_up(count(done.executions), copied, bytes))?;
    if done.removed > 0 {
        writeln!(out, "{}", say::removed_there(count(done.removed)))?;
    }
    if done.unfinished > 0 {
        writeln!(out, "{}", say::backed_up_so_far(count(done.unfinished)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings a backup back to where no storage is yet.
pub fn restore(storage: &Path, from: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let mut shown = Shown::default();
    let done = stepflow_engine::restore(from, storage, &mut |done, of| {
        shown.show(|| say::restoring(count(done), count(of)));
    });
    shown.clear();
    let done = done.map_err(refused)?;
    let mut out = io::stdout().lock();
    if as_json {
        let object = json!({
            "executions": done.executions,
            "bytes": done.bytes,
            "of": rfc3339(done.of_us),
            "flaws": done.flaws.iter().map(|(id, flaw)| super::verify::flaw(*id, flaw))
                .collect::<Vec<_>>(),
        });
        writeln!(out, "{object}")?;
    } else {
        let (executions, bytes) = (count(done.executions), human_size(done.bytes));
        writeln!(out, "{}", say::restored(executions, bytes, rfc3339(done.of_us)))?;
        for (id, flaw) in &done.flaws {
            writeln!(out, "{}", super::verify::line(*id, flaw))?;
        }
    }
    Ok(if done.flaws.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn refused(error: BackupError) -> Failure {
    let failure = Failure::from_error(&error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
