//! Everything but `run`: look at what is recorded, stop it, serve it.

mod artifacts; // list and get what a script announced
mod attach; // be at the terminal of an execution
mod backup; // a whole storage, copied and brought back
mod bench; // what this machine can carry
pub mod cancel; // stop executions
pub mod completions; // for shells, and manual pages
mod compress; // logs of ended executions, made small
pub mod export; // an execution as a file
pub mod logs; // print and follow a log
pub mod look; // ls, reindex: ask the catalog
mod manager; // a service manager, and who comes after a server
mod parse; // markers of any log
mod progress; // how far a long command is
pub mod prune; // delete what is not to be kept
pub mod rerun; // the same again
pub mod search; // one text in the logs of many
mod serve; // serve, open
pub mod show; // one execution
mod tests; // which tests there were
mod trace; // steps as a Chrome trace
mod upgrade; // storages of the original
mod verify; // every byte held against its checksum

use std::process::ExitCode;

use stepflow_catalog::{ListQuery, Reader};
use stepflow_model::ExecutionId;
use stepflow_record::Storage;

use crate::{
    args::{self, Args, Command},
    config, doctor,
    failure::Failure,
    run,
    source::Place,
    text::why,
};

/// Carries out one command.
pub fn execute(args: Args) -> Result<ExitCode, Failure> {
    let storage = || config::storage(args.storage.as_deref());
    let place = || Place::of(&args);
    let pager = !args.no_pager;
    if args.server.is_some() && is_of_this_host(&args.command) {
        return Err(Failure::new(why::of_this_host()).hint(why::without_server()));
    }
    match &args.command {
        Command::Run(run) => run::run(&storage().map_err(own)?, run),
        Command::Attach(attach) => match place().map_err(own)? {
            Place::Here(storage) => attach::attach(&storage, attach),
            Place::There(server) => attach::follow_there(server, attach, pager),
        }
        .map_err(own),
        Command::Rerun(rerun) => match place().map_err(own)? {
            Place::Here(storage) => rerun::rerun(&storage, rerun),
            Place::There(server) => rerun::rerun_there(server, rerun),
        }
        .map_err(own),
        Command::Pipe(pipe) => {
            storage().and_then(|storage| run::pipe::pipe(&storage, pipe)).map_err(own)
        }
        Command::Serve(serve) => serve::serve(storage()?, serve),
        Command::Open { id, json } => match place()? {
            Place::Here(storage) => serve::open(&storage, id.as_deref(), json.json),
            Place::There(server) => serve::open_there(server, id.as_deref(), json.json),
        },
        Command::Ls(ls) => look::ls(&mut *place()?.source(), ls, pager),
        Command::Search(find) => {
            let place = place().map_err(|failure| failure.code(2))?;
            search::search(&mut *place.source(), find, pager)
        }
        Command::Show { id, json } => {
            let place = place()?;
            let storage = match &place {
                Place::Here(storage) => Some(storage.clone()),
                Place::There(_) => None,
            };
            show::show(&mut *place.source(), storage.as_ref(), id, json.json, pager)
        }
        Command::Logs(logs) => logs::logs(&mut *place()?.source(), logs, pager),
        Command::Watch(watch) => crate::watch::watch(place()?.source(), watch),
        Command::Cancel { id, all, json } => {
            cancel::cancel(&mut *place()?.source(), id.as_deref(), *all, json.json)
        }
        Command::Artifacts(args::Artifacts { command }) => {
            artifacts::artifacts(&mut *place()?.source(), command, pager)
        }
        Command::Tests(tests) => tests::tests(&mut *place()?.source(), tests, pager),
        Command::Export(export) => export::export(&mut *place()?.source(), export),
        Command::Parse(parse) => {
            parse::parse(parse, config::directory(args.storage.as_deref()).ok().as_deref())
        }
        Command::Doctor { full, json } => {
            doctor::doctor(&config::storage_as_it_is(args.storage.as_deref())?, *full, json.json)
        }
        Command::Bench(bench) => bench::bench(args.storage.as_deref(), bench),
        Command::Upgrade { json } => upgrade::upgrade(&storage()?, json.json),
        Command::Prune(prune) => prune::prune(place()?, prune),
        Command::Backup { dir, json } => backup::backup(&storage()?, dir, json.json),
        Command::Restore { dir, json } => backup::restore(
            config::storage_as_it_is(args.storage.as_deref())?.root(),
            dir,
            json.json,
        ),
        Command::Verify { ids, json } => verify::verify(&storage()?, ids, json.json),
        Command::Compress { ids, json } => compress::compress(&storage()?, ids, json.json),
        Command::Reindex { json } => look::reindex(&storage()?, json.json),
        Command::Completions { shell } => completions::completions(*shell),
        Command::Man { dir } => completions::man(dir),
        Command::Ids { begin } => completions::ids(&mut *place()?.source(), begin),
    }
}

/// Whether a command has nothing to ask a server for.
fn is_of_this_host(command: &Command) -> bool {
    matches!(
        command,
        Command::Run(_)
            | Command::Pipe(_)
            | Command::Serve(_)
            | Command::Parse(_)
            | Command::Doctor { .. }
            | Command::Bench(_)
            | Command::Upgrade { .. }
            | Command::Compress { .. }
            | Command::Reindex { .. }
            | Command::Backup { .. }
            | Command::Restore { .. }
            | Command::Verify { .. }
    )
}

/// `run`, `rerun` and `attach` fail with our own code: the script's codes stay the script's.
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
    if let Ok(id) = text.parse::<ExecutionId>() {
        if storage.spec(id).is_ok() {
            return Ok(id);
        }
        upgrade::refuse_original(storage)?;
        return Err(Failure::new(why::no_execution(id)).hint(why::ls_shows_ids()));
    }
    upgrade::refuse_original(storage)?;
    let all = storage.executions()?;
    if text == "last" {
        return newest(storage, &all)
            .ok_or_else(|| Failure::new(why::nothing_has_run()).hint(why::try_run()));
    }
    if text.len() < 4 {
        return Err(Failure::new(why::too_short(text)).hint(why::ls_shows_ids()));
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
        [] => Err(Failure::new(why::no_execution_like(text)).hint(why::ls_shows_ids())),
        many => Err(Failure::new(why::fits_many(text, many.len())).hint(why::more_of_the_id())),
    }
}

/// The newest of all records. Ids of our own are in order of creation; those of the original are in
/// none, so the catalog says which of them is the newest.
fn newest(storage: &Storage, all: &[ExecutionId]) -> Option<ExecutionId> {
    let ordered = |id: &&ExecutionId| id.as_bytes()[6] >> 4 == 7;
    let ours = all.iter().rev().find(ordered).copied();
    if all.iter().all(|id| ordered(&id)) {
        return ours;
    }
    let listed = Reader::open_existing(&storage.database())
        .and_then(|reader| reader.list(&ListQuery { limit: 1, ..ListQuery::default() }))
        .ok()
        .and_then(|mut found| found.pop());
    match (ours, listed) {
        (Some(ours), Some(listed)) => {
            let created = storage.spec(ours).map_or(i64::MAX, |spec| spec.created_us);
            Some(if listed.created_us > created { listed.id } else { ours })
        }
        (ours, listed) => ours.or(listed.map(|listed| listed.id)).or(all.last().copied()),
    }
}
