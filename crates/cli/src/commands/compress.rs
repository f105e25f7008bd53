//! `stepflow compress`: logs of ended executions, made small.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::json;
use stepflow_api::human_size;
use stepflow_model::ExecutionId;
use stepflow_record::{Compression, RecordError, Storage};

use super::{find, progress::Shown, upgrade};
use crate::{
    failure::{Failure, chain},
    format::count,
    text::{say, why},
};

/// What was done, added up.
#[derive(Debug, Default)]
struct Done {
    compressed: u64,
    already: u64,
    output_bytes: u64,
    before: u64,
    after: u64,
    /// Not ended, or just being ended or compressed by somebody else.
    busy: u64,
    /// What stays as it is, and why.
    left: Vec<(ExecutionId, String)>,
}

impl Done {
    fn add(&mut self, id: ExecutionId, outcome: Result<Compression, RecordError>) {
        match outcome {
            Ok(Compression::Done { output_bytes, before, after }) => {
                self.compressed += 1;
                self.output_bytes += output_bytes;
                self.before += before;
                self.after += after;
            }
            Ok(Compression::Already | Compression::NoLog) => self.already += 1,
            Ok(Compression::Busy | Compression::Stopped) => self.busy += 1,
            Ok(Compression::Flawed(flaw)) => self.left.push((id, super::verify::line(id, &flaw))),
            Ok(Compression::NoRoom { needed, free }) => {
                let (needed, free) = (human_size(needed), human_size(free));
                self.left.push((id, say::no_room_to_compress(id, needed, free)));
            }
            Err(RecordError::Missing { .. }) => {} // Just deleted.
            Err(error) => self.left.push((id, say::not_compressed(id, chain(&error)))),
        }
    }
}

/// Compresses the logs of these executions, or of all that have ended.
pub fn compress(storage: &Storage, ids: &[String], as_json: bool) -> Result<ExitCode, Failure> {
    upgrade::refuse_original(storage)?;
    let ids = match ids {
        [] => storage.executions().map_err(|error| Failure::from_error(&error))?,
        ids => ids.iter().map(|id| find(storage, id)).collect::<Result<Vec<_>, Failure>>()?,
    };
    let mut done = Done::default();
    let mut shown = Shown::default();
    for (id, number) in ids.iter().zip(1_u64..) {
        let outcome = storage.compress(*id, Some(stepflow_view::filter), &mut || true);
        let is_over = matches!(
            outcome,
            Ok(Compression::Done { .. } | Compression::Already | Compression::NoLog)
        );
        if is_over {
            storage.forget_ended(*id).map_err(|error| Failure::from_error(&error))?;
        }
        done.add(*id, outcome);
        shown.show(|| say::compressing(count(number), count(ids.len() as u64)));
    }
    shown.clear();
    let mut out = io::stdout().lock();
    if as_json {
        let left: Vec<_> =
            done.left.iter().map(|(id, why)| json!({"id": id, "why": why})).collect();
        let object = json!({
            "compressed": done.compressed,
            "already": done.already,
            "busy": done.busy,
            "output_bytes": done.output_bytes,
            "disk_bytes_before": done.before,
            "disk_bytes_after": done.after,
            "left": left,
        });
        writeln!(out, "{object}")?;
    } else {
        for (_, why) in &done.left {
            writeln!(out, "{why}")?;
        }
        let sizes = (human_size(done.before), human_size(done.after));
        writeln!(out, "{}", say::compressed(count(done.compressed), sizes.0, sizes.1))?;
        if done.busy > 0 {
            writeln!(out, "{}", say::left_uncompressed(count(done.busy)))?;
        }
    }
    if done.left.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let left = count(done.left.len() as u64);
    Err(Failure::new(why::logs_stay_as_they_are(left)).hint(why::verify_says_why()))
}
