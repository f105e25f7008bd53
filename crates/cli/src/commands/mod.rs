//! Everything but `run`: look at what is recorded, stop it, serve it.

mod cancel; // stop executions
mod logs; // print and follow a log
mod look; // ls, show: ask the catalog
mod parse; // markers of any log
mod serve; // serve, open

use std::process::ExitCode;

use stepflow_model::ExecutionId;
use stepflow_record::Storage;

use crate::{
    args::{Args, Command},
    config,
    failure::Failure,
    run,
};

/// Carries out one command.
pub fn execute(args: Args) -> Result<ExitCode, Failure> {
    let storage = || config::storage(args.storage.as_deref());
    match args.command {
        Command::Run(run) => run::run(&storage().map_err(own)?, run),
        Command::Serve(serve) => serve::serve(storage()?, &serve),
        Command::Open { id, json } => serve::open(&storage()?, id.as_deref(), json.json),
        Command::Ls { status, tag, name, limit, json } => {
            look::ls(&storage()?, status.as_deref(), tag, name, limit, json.json)
        }
        Command::Show { id, json } => look::show(&storage()?, &id, json.json),
        Command::Logs { id, follow, step, tail, time, raw, json } => {
            let options = logs::Options { follow, step, tail, time, raw, json: json.json };
            logs::logs(&storage()?, &id, &options)
        }
        Command::Cancel { id, all, json } => {
            cancel::cancel(&storage()?, id.as_deref(), all, json.json)
        }
        Command::Parse { file, tree, json } => parse::parse(&file, tree, json.json),
        Command::Reindex { json } => look::reindex(&storage()?, json.json),
    }
}

/// `run` fails with our own code: the script's codes stay the script's.
fn own(failure: Failure) -> Failure {
    failure.code(crate::failure::OWN)
}

/// Brings the catalog up to date if nobody else does. A failure costs nothing: the records hold
/// everything, and the next command tries again.
pub fn project(storage: &Storage) {
    if let Err(failure) = look::catch_up(storage) {
        let _ = failure.print();
    }
}

/// Finds an execution by id, by a beginning or end of one, or the newest by `last`.
pub fn find(storage: &Storage, text: &str) -> Result<ExecutionId, Failure> {
    let hint = "`stepflow ls` shows the ids";
    if let Ok(id) = text.parse::<ExecutionId>() {
        return match storage.spec(id) {
            Ok(_) => Ok(id),
            Err(_) => Err(Failure::new(format!("there is no execution {id}")).hint(hint)),
        };
    }
    let all = storage.executions()?;
    if text == "last" {
        return all.last().copied().ok_or_else(|| {
            Failure::new("nothing has run here yet").hint("try `stepflow run -- CMD`")
        });
    }
    if text.len() < 4 {
        return Err(Failure::new(format!("`{text}` is too short for an id")).hint(hint));
    }
    let matching: Vec<ExecutionId> = all
        .into_iter()
        .filter(|id| {
            let id = id.to_string();
            id.starts_with(text) || id.ends_with(text)
        })
        .collect();
    match matching.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::new(format!("there is no execution `{text}`")).hint(hint)),
        many => Err(Failure::new(format!("`{text}` fits {} executions", many.len()))
            .hint("give more of the id")),
    }
}
