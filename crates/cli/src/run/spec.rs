//! What to run, from the command line.

use std::{collections::BTreeMap, env, ffi::OsString};

use stepflow_model::{Emulation, ExecutionId, Source, Spec};
use stepflow_sys::clock;
use uuid::Uuid;

use super::{splits, terminal};
use crate::{
    args::{Output, Run},
    failure::{self, Failure},
    matchers::selection,
    text::why,
};

/// Of our own variables, those that no script gets.
const OURS: [&str; 2] = ["STEPFLOW_TOKEN", "STEPFLOW_API_KEY"];

/// `matchers`: the user's problem matchers.
pub fn spec(
    args: &Run,
    output: Output,
    matchers: BTreeMap<String, String>,
) -> Result<Spec, Failure> {
    selection(&args.dialect.dialect, &matchers).map_err(|failure| failure.code(failure::OWN))?;
    let texts: Vec<String> = args
        .command
        .iter()
        .map(|arg| {
            arg.clone().into_string().map_err(|arg| {
                Failure::new(why::not_utf8(arg.display()))
                    .hint(why::file_or_variable())
                    .code(failure::OWN)
            })
        })
        .collect::<Result<_, _>>()?;
    let (command, shell) = if args.shell {
        (vec!["/bin/sh".to_owned(), "-c".to_owned(), texts.join(" ")], true)
    } else {
        (texts.clone(), false)
    };
    let here = env::current_dir().map_err(|error| {
        Failure::new(why::working_directory_gone(error)).hint(why::change_directory())
    })?;
    let cwd = args.cwd.as_ref().map_or_else(|| here.clone(), |cwd| here.join(cwd));
    let masked = |name: &String| args.mask_env.contains(name);
    let env: BTreeMap<String, String> =
        declared(args).into_iter().filter(|(name, _)| !masked(name)).collect();
    Ok(Spec {
        id: new_id(),
        name: args.name.clone().unwrap_or_else(|| texts.join(" ")),
        command,
        cwd: cwd.to_string_lossy().into_owned(),
        env,
        env_inherited: inherited(),
        mask_env: args.mask_env.clone(),
        tags: args.tags.clone(),
        metadata: serde_json::Map::new(),
        user: user(),
        created_us: clock::wall_us(),
        source: Source::Cli,
        bound: !args.show.detach,
        timeout_ms: args.timeout.map(|t| t.as_millis() as u64),
        grace_ms: args.grace.as_millis() as u64,
        drain_ms: args.ends.drain_timeout.as_millis() as u64,
        stop_on_error: args.stop_on_error,
        split_stderr: !args.pty && (args.split_stderr || splits(output)),
        shell,
        pty: args.pty.then(terminal::size),
        log_sync: args.log_sync.into(),
        containment: args.ends.containment.into(),
        leftover: args.ends.leftover.into(),
        log_max_bytes: args.log.log_max_bytes,
        log_full: args.log.log_full.into(),
        on_disk_full: args.ends.on_disk_full.into(),
        dialect: args.dialect.dialect.clone(),
        problem_matchers: matchers,
        junit: stepflow_model::JunitFiles::wanted(args.junit.junit.clone()),
        rerun_of: None,
    })
}

/// The variables that are declared for the script, secrets included: what an emulated system has, then
/// what is given, which wins.
pub fn declared(args: &Run) -> BTreeMap<String, String> {
    let emulated = args.emulate.iter().flat_map(|system| Emulation::from(*system).variables());
    let emulated = emulated.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    emulated.chain(args.env.iter().cloned()).collect()
}

/// A fresh id; ids of one process are in order of creation.
pub fn new_id() -> ExecutionId {
    ExecutionId::new(Uuid::now_v7())
}

/// Who we are.
pub fn user() -> String {
    env::var("USER").unwrap_or_default()
}

/// The names of what is passed on.
pub fn inherited() -> Vec<String> {
    env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
}

/// The caller's environment, less our own secrets, plus what was declared.
pub fn environment(spec: &Spec, declared: &BTreeMap<String, String>) -> Vec<(OsString, OsString)> {
    let mut all: BTreeMap<OsString, OsString> =
        env::vars_os().filter(|(name, _)| !OURS.iter().any(|our| name == our)).collect();
    if spec.pty.is_none() {
        // A pipe would make Python hold its output back for kilobytes; `--env PYTHONUNBUFFERED=`
        // is off.
        all.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
    }
    all.insert("STEPFLOW_EXECUTION_ID".into(), spec.id.to_string().into());
    all.extend(declared.iter().map(|(name, value)| (name.into(), value.into())));
    all.into_iter().collect()
}
